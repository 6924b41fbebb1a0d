//! User data of a ticket request that comes from whom the rule has proven, and not from what the client sends.
//!
//! With it, a page asks for its own ticket: the proxy says who the user is and adds the Server-Key, and neither is the client's to
//! choose. Of the client's own body only those fields are taken that the conf names, the kind of device and its id unless written; all
//! others are left out, whatever they are.
//!
//! Never here: a field that says who the user is, from anywhere but the identity.

use http::{HeaderMap, HeaderName};

use crate::domain::{Breach, Claim, Identity, RequestView, Value};
use crate::settings::{Checking, Node, Section};
use crate::systems::taptalk::client::sole;
use crate::systems::taptalk::profile::{ADDRESS, AGENT, CUSTOMER, DEVICE_ID, Members, PLATFORM, Product, Profile, breach};

/// The fields that say something of the device and nothing of the user.
const OF_THE_DEVICE: [&str; 3] = [AGENT, PLATFORM, DEVICE_ID];

/// Where a field comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// The caller's subject.
    Subject,
    /// A claim of the caller, by its dotted path: a text or a whole number.
    Claim(Box<str>),
    /// The client's address.
    ClientAddress,
    /// A field of the request's head.
    Header(HeaderName),
}

impl Source {
    fn read(word: &str) -> Option<Self> {
        match (word, word.split_once('.')) {
            ("subject", _) => Some(Self::Subject),
            ("client_address", _) => Some(Self::ClientAddress),
            (_, Some(("claims", path))) if !path.is_empty() => Some(Self::Claim(path.into())),
            (_, Some(("header", name))) => HeaderName::from_bytes(name.as_bytes()).ok().map(Self::Header),
            _ => None,
        }
    }

    fn value(&self, identity: &Identity, request: &RequestView<'_>) -> Option<Box<str>> {
        match self {
            Self::Subject => Some(identity.subject.clone()),
            Self::Claim(path) => match identity.claims.at_path(path)? {
                Claim::Text(text) => Some(text.into()),
                Claim::Int(number) => Some(number.to_string().into()),
                _ => None,
            },
            Self::ClientAddress => Some(request.client.to_canonical().to_string().into()),
            Self::Header(name) => text_of(request.headers, name),
        }
    }
}

/// The only value of `name`; what has no reading is nothing, and then missed where it must be there.
fn text_of(headers: &HeaderMap, name: &HeaderName) -> Option<Box<str>> {
    sole(headers, name).ok().map(Into::into)
}

/// Which fields come from where, proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filling {
    /// Whose tickets are asked for.
    pub(super) product: Product,
    sources: Vec<(&'static str, Source)>,
    /// What is taken of the client's body.
    taken: Vec<&'static str>,
}

impl Filling {
    /// Reads `fill` and `take` of `section`; `Some(None)` when nothing is filled, `None` after a fault.
    pub(super) fn plan(section: &Section<'_>, checking: &mut Checking<'_>) -> Option<Option<Self>> {
        let before = checking.faults.errors();
        let Some(written) = section.node("fill") else {
            if let Some(take) = section.node("take") {
                checking.faults.error(&take.span, "`take` says what is taken of a body that is filled; write `fill`, or remove it");
                return None;
            }
            return Some(None);
        };
        let mut sources: Vec<(&'static str, Source)> = Vec::new();
        let entries = written.as_map().unwrap_or_default();
        let product = if entries.iter().any(|entry| entry.key == CUSTOMER) { Product::OneTalk } else { Product::PowerTalk };
        for entry in entries {
            let Some(field) = product.field(&entry.key) else {
                checking.faults.error(&entry.span, "this is not a documented field of a ticket request");
                continue;
            };
            let Some(source) = entry.node.as_text().and_then(Source::read) else {
                let says = "write `subject`, `claims.NAME`, `client_address` or `header.NAME`";
                checking.faults.error(&entry.node.span, says);
                continue;
            };
            if matches!(source, Source::Header(_)) && !OF_THE_DEVICE.contains(&field.name) {
                let says = format!(
                    "a header is the client's to write, and `{}` says who the user is; take it from `subject` or `claims.NAME`",
                    field.name
                );
                checking.faults.error(&entry.node.span, says);
            }
            sources.push((field.name, source));
        }
        let given = |name: &str, sources: &[(&str, Source)]| sources.iter().any(|(known, _)| *known == name);
        if !given(product.user(), &sources) && checking.faults.errors() == before {
            checking.faults.error(
                &written.span,
                "say who the user is: `xcUserID: subject`, or a claim that your chat server knows users by; `customerUserID` for OneTalk",
            );
        }
        for (name, source) in [(ADDRESS, Source::ClientAddress), (AGENT, Source::Header(http::header::USER_AGENT))] {
            if product.field(name).is_some() && !given(name, &sources) {
                sources.push((name, source));
            }
        }
        let taken = Self::taken(product, section, &sources, checking);
        (checking.faults.errors() == before).then_some(Some(Self { product, sources, taken }))
    }

    fn taken(
        product: Product,
        section: &Section<'_>,
        sources: &[(&'static str, Source)],
        checking: &mut Checking<'_>,
    ) -> Vec<&'static str> {
        let is_filled = |name: &str| sources.iter().any(|(known, _)| *known == name);
        let Some(written) = section.node("take") else {
            return [PLATFORM, DEVICE_ID].into_iter().filter(|name| product.field(name).is_some() && !is_filled(name)).collect();
        };
        let items: Vec<&Node> = written.as_list().map_or_else(|| vec![written], |items| items.iter().collect());
        let mut taken = Vec::new();
        for item in items {
            match item.as_text().and_then(|name| product.field(name)) {
                None => checking.faults.error(&item.span, "this is not a documented field of a ticket request"),
                Some(field) if is_filled(field.name) || field.name == product.user() || field.name == ADDRESS => {
                    checking.faults.error(&item.span, "this field is filled, so nothing of the client's is taken for it; remove it here");
                }
                Some(field) => taken.push(field.name),
            }
        }
        taken
    }

    /// The user data for `identity`, with what is taken of the client's `sent`.
    ///
    /// # Errors
    ///
    /// A [`Breach`]: what is filled or taken lacks a field that must be there, or one is of a wrong form.
    pub(super) fn profile(&self, sent: &Members, identity: &Identity, request: &RequestView<'_>) -> Result<Profile, Breach> {
        let taken = sent.iter().filter(|(name, _)| self.taken.iter().any(|known| **name == **known)).cloned();
        let mut members: Members = taken.collect();
        for (name, source) in &self.sources {
            if let Some(value) = source.value(identity, request) {
                members.push(((*name).into(), Value::Text(value)));
            }
        }
        // What comes from the identity must not be empty either: an empty name would be nobody's.
        let user = self.product.user();
        if members.iter().any(|(name, value)| **name == *user && value.as_text().is_none_or(|text| text.trim().is_empty())) {
            return Err(breach(user, "is required"));
        }
        Profile::check(self.product, &members)
    }
}
