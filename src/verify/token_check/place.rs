//! Where a token stands that may have a word before it: `Authorization: OAuth TOKEN`, `?authorization=Bearer TOKEN`.
//!
//! Under `Authorization` the word is an auth-scheme: a request with another one brings nothing for us. Everywhere else the place
//! is ours alone, so a value without the word is malformed and never absent. The case of the word does not count
//! (RFC 9110 section 11.1); nothing else is forgiven.

use std::borrow::Cow;

use http::HeaderName;
use http::header::AUTHORIZATION;

use crate::domain::{Doubt, Facts, Need, Place, RequestView, Step};
use crate::settings::{Checking, Choice, Entry, KeySpec, Node, NodeValue, Section, SectionSpec, Shape};
use crate::verify::body::{Body, Kind, body};
use crate::verify::presented::{
    Presented, Reading, Source, authorization, is_cookie_octet, is_token, place_kinds, plan_sources, read, unite,
};

/// The shape of a `from` key: a list of places, or a single one without brackets.
pub const SPOTS: Shape = Shape::List { of: &SPOT, lone: true, min: 1 };

const SPOT: Shape =
    Shape::Either(&[Shape::OneOf(&["bearer"]), Shape::Kind { what: "place of a credential", kinds: spot_kinds, beside: BESIDE_KEYS }]);

fn spot_kinds() -> Vec<Choice> {
    let form = Choice {
        name: "form",
        shape: Shape::Text,
        doc: "A field of exactly this name in a form that is the body, of at most 64 KiB. What stands there goes on with the body.",
    };
    place_kinds().into_iter().chain([form]).collect()
}

static BESIDE: SectionSpec = SectionSpec { title: "a place of a credential", doc: "What may stand beside the place.", keys: BESIDE_KEYS };

const BESIDE_KEYS: &[KeySpec] = &[KeySpec::optional(
    "prefix",
    Shape::Text,
    "What stands there before the token, such as `Bearer ` or `OAuth `, with the space; its case does not count.",
)];

/// One place to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spot {
    /// The token alone.
    Plain(Source),
    /// `Authorization` under this auth-scheme, in lower case.
    Scheme(Box<str>),
    /// The token behind this text.
    Behind(Source, Box<str>),
    /// A field of the form that is the body.
    Form(Box<str>),
}

/// The longest prefix, in bytes.
const MAX_PREFIX: usize = 64;

impl Spot {
    /// The part of a request that is looked at, and removed before forwarding.
    #[must_use]
    pub fn place(&self) -> Place {
        match self {
            Self::Plain(source) | Self::Behind(source, _) => source.place(),
            Self::Scheme(_) => Place::Header(AUTHORIZATION),
            Self::Form(_) => Place::Body,
        }
    }

    /// The auth-scheme that it is found under, as it is registered, where it is.
    #[must_use]
    pub fn scheme(&self) -> Option<&'static str> {
        match self {
            Self::Plain(Source::Bearer) => Some("Bearer"),
            Self::Scheme(name) if &**name == "oauth" => Some("OAuth"),
            Self::Plain(_) | Self::Scheme(_) | Self::Behind(..) | Self::Form(_) => None,
        }
    }

    fn read<'r>(&self, request: &RequestView<'r>, body: &Body<'_>) -> Reading<'r> {
        match self {
            Self::Form(name) => body.text(name),
            Self::Plain(source) => read(source, request),
            Self::Scheme(name) => authorization(name, request),
            Self::Behind(source, prefix) => match read(source, request)? {
                None => Ok(None),
                Some(text) => behind(text, prefix).map(Some).ok_or(Doubt::Malformed),
            },
        }
    }
}

/// Looks at all of `spots` and makes one of what they hold; asks for the body when one of them is a form and it could be one.
pub fn find_one<'r>(spots: &[Spot], request: &RequestView<'r>, facts: &Facts) -> Step<Presented<'r>> {
    let reads_forms = spots.iter().any(|spot| matches!(spot, Spot::Form(_)));
    match body(|kind| reads_forms && kind == Kind::Form, request, facts) {
        Err(doubt) => Step::Done(Presented::Unreadable(doubt)),
        Ok(Body::Unread) => Step::Need(Need::Body),
        Ok(body) => Step::Done(unite(spots.iter().map(|spot| (spot.read(request, &body), spot.place())))),
    }
}

/// What stands behind `prefix`; `None` when something else, or nothing, does.
fn behind<'r>(text: Cow<'r, str>, prefix: &str) -> Option<Cow<'r, str>> {
    let (word, _) = text.split_at_checked(prefix.len()).filter(|(word, rest)| word.eq_ignore_ascii_case(prefix) && !rest.is_empty())?;
    let end = word.len();
    match text {
        Cow::Borrowed(text) => text.get(end..).map(Cow::Borrowed),
        Cow::Owned(text) => text.get(end..).map(|rest| Cow::Owned(rest.to_owned())),
    }
}

/// Proves the items of a `from` key, whose form [`SPOTS`] has proven already; `bearer` when there is none. `None` after a fault.
pub fn plan_spots(nodes: &[&Node], checking: &mut Checking<'_>) -> Option<Box<[Spot]>> {
    let before = checking.faults.errors();
    let mut spots: Vec<Spot> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let Some(spot) = plan_spot(node, checking) else { continue };
        // One field has one auth-scheme, so two of those never meet; anything else is one place for one text.
        let is_taken = |other: &Spot| match (&spot, other) {
            (Spot::Scheme(_) | Spot::Plain(Source::Bearer) | Spot::Form(_), _) => *other == spot,
            _ => other.place() == spot.place(),
        };
        if spots.iter().any(is_taken) {
            checking.faults.error(&node.span, "this place is named already; name each place once");
        }
        spots.push(spot);
    }
    if spots.is_empty() {
        spots.push(Spot::Plain(Source::Bearer));
    }
    (before == checking.faults.errors()).then(|| spots.into())
}

fn plan_spot(node: &Node, checking: &mut Checking<'_>) -> Option<Spot> {
    let beside = node.as_map().map(|_| Section::unproven(&BESIDE, node));
    if let Some(name) = node.get("form") {
        let name = name.as_text().unwrap_or_default();
        if name.is_empty() || name.chars().any(char::is_control) {
            checking.faults.error(&node.span, "the name of a field is text without control characters");
            return None;
        }
        if node.get("prefix").is_some() {
            checking.faults.error(&node.span, "a field of a form holds the token alone; leave `prefix` out");
            return None;
        }
        return Some(Spot::Form(name.into()));
    }
    let Some(prefix) = beside.as_ref().and_then(|beside| beside.text("prefix")) else {
        return plain(node, checking).map(Spot::Plain);
    };
    let span = beside.as_ref().map_or(&node.span, |beside| beside.span_of("prefix"));
    let is_writable = |byte: u8| matches!(byte, 0x20..=0x7e) && byte != b',';
    if MAX_PREFIX < prefix.len() || !prefix.bytes().all(is_writable) || prefix.starts_with(' ') {
        checking.faults.error(span, "a `prefix` is up to 64 characters of ASCII, such as `OAuth `, without a comma and no space in front");
        return None;
    }
    let name = node.get("header").and_then(Node::as_text).and_then(|name| HeaderName::from_bytes(name.as_bytes()).ok());
    if name == Some(AUTHORIZATION) {
        return match prefix.strip_suffix(' ').filter(|scheme| scheme.bytes().all(is_token)) {
            Some(scheme) if scheme.eq_ignore_ascii_case("bearer") => Some(Spot::Plain(Source::Bearer)),
            Some(scheme) => Some(Spot::Scheme(scheme.to_ascii_lowercase().into())),
            None => {
                checking.faults.error(span, "under `Authorization` the `prefix` is an auth-scheme and one space, such as `OAuth `");
                None
            }
        };
    }
    let entries = node.as_map().unwrap_or_default().iter().filter(|entry| entry.key != "prefix").map(Entry::clone).collect();
    let source = plain(&Node { span: node.span.clone(), value: NodeValue::Map(entries) }, checking)?;
    if matches!(source, Source::Cookie(_)) && !prefix.bytes().all(is_cookie_octet) {
        checking
            .faults
            .error(span, "no cookie holds this: its value has neither spaces nor `\"`, `,`, `;` and `\\` (RFC 6265 section 4.1.1)");
        return None;
    }
    Some(Spot::Behind(source, prefix.into()))
}

/// A place without a prefix.
fn plain(node: &Node, checking: &mut Checking<'_>) -> Option<Source> {
    plan_sources(&[node], checking)?.into_vec().pop()
}
