//! The `server_key` scheme: one text that is the base64 of `id:secret`.
//!
//! `Server-Key: base64(id:secret)` as TapTalk's back ends are called with, any other header of that form (`App-Key`,
//! `API-Key`), or `Authorization: Basic` (RFC 7617). There is exactly one text per key: padded standard base64 without
//! stray bits; everything else is malformed. What is judged, and why nothing is cached: [`crate::verify::keyholder`].

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderName;
use http::header::AUTHORIZATION;
use zeroize::Zeroizing;

use crate::domain::{Credential, Doubt, Facts, Found, Identity, Place, RequestView, Step, Timestamp, Verified};
use crate::settings::{Checking, Choice, KeySpec, Node, Section, SectionSpec, Shape, Span};
use crate::verify::contract::{Desks, KeyUse, SchemeEntry, SchemePlan, SchemeTools, Verifier};
use crate::verify::keyholder::{Keyholders, is_id};
use crate::verify::keys::contract::{BuiltKeys, KeyClass};
use crate::verify::presented::{authorization, header, unite};

/// The scheme's line on the roll-call.
pub static ENTRY: SchemeEntry = SchemeEntry {
    name: "server_key",
    doc: "An id and a secret in one header: `Server-Key: base64(id:secret)`.",
    shape: Shape::Section(&SETTINGS),
    plan,
};

const NAME: &str = ENTRY.name;

/// The longest text that is decoded, in bytes.
const MAX_TEXT: usize = 8 * 1024;

static SETTINGS: SectionSpec = SectionSpec {
    title: "the `server_key` scheme",
    doc: "Callers that present an id and a secret as one base64 text.",
    keys: &[
        KeySpec::required("keys", Shape::Name("keys"), "The key store that knows the ids: one of kind `server_keys`."),
        KeySpec::default(
            "from",
            Shape::List { of: &FROM, lone: true, min: 1 },
            "server_key",
            "Where the text stands: `server_key` (the header `Server-Key`), `basic` (`Authorization: Basic`), or { header: NAME }. \
             All places named are looked at; two that disagree are refused.",
        ),
    ],
};

const FROM: Shape = Shape::Either(&[
    Shape::OneOf(&["server_key", "basic"]),
    Shape::Kind { what: "place of a server key", kinds: place_kinds, beside: &[] },
]);

fn place_kinds() -> Vec<Choice> {
    vec![Choice { name: "header", shape: Shape::HeaderName, doc: "A header field whose whole value is base64(id:secret)." }]
}

/// Where the text may stand.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// The whole value of this field.
    Header(HeaderName),
    /// `Authorization: Basic` (RFC 7617).
    Basic,
}

impl Form {
    /// The field that TapTalk's back ends use.
    const SERVER_KEY: Self = Self::Header(HeaderName::from_static("server-key"));

    fn place(&self) -> Place {
        match self {
            Self::Header(name) => Place::Header(name.clone()),
            Self::Basic => Place::Header(AUTHORIZATION),
        }
    }
}

/// The settings, proven.
#[derive(Debug)]
pub struct ServerKeyPlan {
    store: String,
    store_span: Span,
    from: Box<[Form]>,
}

fn plan(node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn SchemePlan>> {
    prove(node, checking).map(|plan| Box::new(plan) as Box<dyn SchemePlan>)
}

/// Proves the settings, or notes every fault and returns `None`. Pure.
pub fn prove(node: &Node, checking: &mut Checking<'_>) -> Option<ServerKeyPlan> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let store = section.text("keys")?.to_owned();
    let store_span = section.span_of("keys").clone();
    let known = checking.resolve("keys", &store, &store_span);
    let from = plan_places(&section.items("from"), checking)?;
    known.then_some(ServerKeyPlan { store, store_span, from })
}

fn plan_places(nodes: &[&Node], checking: &mut Checking<'_>) -> Option<Box<[Form]>> {
    let mut places: Vec<Form> = Vec::new();
    let mut sound = true;
    for node in nodes {
        let place = match (node.as_text(), node.get("header").and_then(Node::as_text)) {
            (Some("basic"), _) => Ok(Form::Basic),
            (Some("server_key"), _) => Ok(Form::SERVER_KEY),
            (None, Some(name)) => HeaderName::from_bytes(name.as_bytes()).map(Form::Header).map_err(|_| "this is not a header field name"),
            _ => Err("write `server_key`, `basic` or { header: NAME }"),
        };
        match place {
            Ok(Form::Header(AUTHORIZATION)) => {
                checking.faults.error(&node.span, "`Authorization` carries more than the text; write `basic`");
                sound = false;
            }
            Ok(place) if places.contains(&place) => {
                checking.faults.error(&node.span, "this place is named already; name each place once");
                sound = false;
            }
            Ok(place) => places.push(place),
            Err(says) => {
                checking.faults.error(&node.span, says);
                sound = false;
            }
        }
    }
    if places.is_empty() {
        places.push(Form::SERVER_KEY);
    }
    sound.then(|| places.into())
}

impl SchemePlan for ServerKeyPlan {
    fn scheme(&self) -> &'static str {
        NAME
    }

    fn key_stores(&self) -> Vec<KeyUse> {
        vec![KeyUse { store: self.store.clone(), class: KeyClass::ServerKeys, span: self.store_span.clone(), shared: false }]
    }

    fn looks_at(&self) -> Vec<Place> {
        self.from.iter().map(Form::place).collect()
    }

    fn build(&self, name: &Arc<str>, tools: &mut SchemeTools<'_>) -> Result<Arc<dyn Verifier>, String> {
        Ok(Arc::new(self.verifier(name, tools.keys, tools.desks)?))
    }
}

impl ServerKeyPlan {
    /// The verifier of authenticator `name` over the stores in `keys`.
    ///
    /// # Errors
    ///
    /// A sentence for the operator when the store does not hold server keys.
    pub fn verifier(&self, name: &Arc<str>, keys: &BTreeMap<String, BuiltKeys>, desks: &mut Desks) -> Result<ServerKeyVerifier, String> {
        Ok(ServerKeyVerifier { holders: Keyholders::of(name, NAME, &self.store, keys, desks)?, from: self.from.clone() })
    }
}

/// Verifies texts of the form base64(id:secret).
pub struct ServerKeyVerifier {
    holders: Keyholders,
    from: Box<[Form]>,
}

impl Verifier for ServerKeyVerifier {
    fn find<'r>(&self, request: &RequestView<'r>, _facts: &Facts) -> Step<Found<'r>> {
        let readings = self.from.iter().map(|from| {
            let reading = match from {
                Form::Header(name) => header(name, request),
                Form::Basic => authorization("Basic", request),
            };
            (reading, from.place())
        });
        Step::Done(unite(readings).into())
    }

    fn verify(
        &self,
        credential: &Credential<'_>,
        request: &RequestView<'_>,
        facts: &Facts,
        now: Timestamp,
    ) -> Step<Verified<Arc<Identity>>> {
        match Pair::read(credential.part(0)) {
            None => Step::Refuse(Doubt::Malformed.into()),
            Some(pair) => self.holders.judge(pair.id(), pair.secret(), request, facts, now),
        }
    }

    fn challenge(&self) -> Option<&'static str> {
        self.from.contains(&Form::Basic).then_some("Basic")
    }

    fn cache_generation(&self) -> Option<u64> {
        None
    }

    fn claimed_id<'c>(&self, credential: &'c Credential<'_>) -> Option<Cow<'c, str>> {
        Pair::read(credential.part(0)).map(|pair| Cow::Owned(pair.id().to_owned()))
    }
}

/// `id:secret`, decoded; wiped when dropped.
struct Pair {
    bytes: Zeroizing<Vec<u8>>,
    colon: usize,
}

impl Pair {
    /// `None` for everything that is not the one text of an id and a secret.
    fn read(text: &str) -> Option<Self> {
        if MAX_TEXT < text.len() {
            return None;
        }
        let bytes = Zeroizing::new(STANDARD.decode(text).ok()?);
        let colon = memchr::memchr(b':', &bytes)?;
        let pair = Self { bytes, colon };
        (is_id(pair.id()) && !pair.secret().is_empty()).then_some(pair)
    }

    /// What stands before the first colon; empty when that is not UTF-8.
    fn id(&self) -> &str {
        self.bytes.get(..self.colon).and_then(|id| std::str::from_utf8(id).ok()).unwrap_or("")
    }

    /// What stands after the first colon.
    fn secret(&self) -> &[u8] {
        self.bytes.get(self.colon + 1..).unwrap_or_default()
    }
}
