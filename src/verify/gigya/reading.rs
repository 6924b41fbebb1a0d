//! Where the parts of a signed user id stand, and that they stand there once.
//!
//! Each part is looked for in every configured place; all that hold it must agree. Some parts without the others are
//! malformed, not absent. A body is read only when its Content-Type says that it is a form or JSON, and then strictly: it
//! must be UTF-8, not compressed, and no name in JSON may stand twice. Nested members are not looked at.
//!
//! Rules: WHATWG URL section 5.1 (forms), RFC 8259 (JSON), RFC 9110 section 8.3 (Content-Type).

use std::borrow::Cow;

use http::HeaderName;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use crate::domain::{Credential, Doubt, Facts, Found, Need, Place, RequestView, Step, Value};
use crate::jose::json::{JsonFault, parse_to_depth};
use crate::verify::gigya::proof::Kind;
use crate::verify::presented::{Presented, Reading, cookie, form_value, header, query, sole_value, unite};

/// A kind of place where the parts may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Query parameters.
    Query,
    /// A form-encoded body.
    Form,
    /// The members of a JSON object that is the body.
    Json,
    /// Header fields.
    Headers,
    /// Cookies, taken as they stand.
    Cookies,
}

impl Origin {
    /// The words of the conf.
    pub const WORDS: &'static [&'static str] = &["query", "form", "json", "headers", "cookies"];

    /// The place that the conf calls `word`.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "query" => Some(Self::Query),
            "form" => Some(Self::Form),
            "json" => Some(Self::Json),
            "headers" => Some(Self::Headers),
            "cookies" => Some(Self::Cookies),
            _ => None,
        }
    }

    /// Where the part called `name` stands.
    #[must_use]
    pub fn place(self, name: &str) -> Place {
        match self {
            Self::Query => Place::Query(name.into()),
            Self::Form | Self::Json => Place::Body,
            Self::Headers => HeaderName::from_bytes(name.as_bytes()).map_or(Place::Body, Place::Header),
            Self::Cookies => Place::Cookie(name.into()),
        }
    }
}

/// What the parts are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The user id.
    pub uid: Box<str>,
    /// The signature.
    pub signature: Box<str>,
    /// The signed time.
    pub timestamp: Box<str>,
    /// The friend's id; for the kind that has one only.
    pub friend: Option<Box<str>>,
}

impl Names {
    /// What the vendor calls them.
    #[must_use]
    pub fn of(kind: Kind) -> Self {
        let (uid, signature, timestamp) = match kind {
            Kind::User => ("UID", "UIDSignature", "signatureTimestamp"),
            Kind::Site => ("siteUID", "UIDSig", "UIDTimestamp"),
            Kind::Friend => ("UID", "friendshipSignature", "signatureTimestamp"),
        };
        let friend = (kind == Kind::Friend).then(|| "friendUID".into());
        Self { uid: uid.into(), signature: signature.into(), timestamp: timestamp.into(), friend }
    }

    /// All of them, in the order of the parts of a credential: id, time, signature, friend's id.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        [Some(&self.uid), Some(&self.timestamp), Some(&self.signature), self.friend.as_ref()].into_iter().flatten().map(|name| &**name)
    }
}

/// A body, as far as it can hold parts.
enum Body<'b> {
    /// None that could.
    None,
    /// Form-encoded text.
    Form(&'b str),
    /// Any JSON value.
    Json(Value),
}

/// Looks for all parts.
pub fn find<'r>(names: &Names, fields: &[HeaderName], from: &[Origin], request: &RequestView<'r>, facts: &Facts) -> Step<Found<'r>> {
    let body = match body_kind(from, request) {
        Err(doubt) => return Step::Done(Found::Unreadable(doubt)),
        Ok(None) => Body::None,
        Ok(Some(kind)) => match facts.body() {
            None => return Step::Need(Need::Body),
            Some(bytes) => match read_body(kind, bytes) {
                Err(doubt) => return Step::Done(Found::Unreadable(doubt)),
                Ok(body) => body,
            },
        },
    };
    let mut parts: Vec<Cow<'r, str>> = Vec::with_capacity(4);
    let mut places: Vec<Place> = Vec::with_capacity(4);
    let mut missing = false;
    for (index, name) in names.all().enumerate() {
        let readings = from.iter().map(|origin| {
            let reading = match origin {
                Origin::Query => query(name, request),
                Origin::Headers => fields.get(index).map_or(Ok(None), |field| header(field, request)),
                Origin::Cookies => cookie(name, request),
                Origin::Form | Origin::Json => in_body(name, &body, *origin),
            };
            (reading, origin.place(name))
        });
        match unite(readings) {
            Presented::Unreadable(doubt) => return Step::Done(Found::Unreadable(doubt)),
            Presented::Absent => missing = true,
            Presented::One { text, places: stood } => {
                parts.push(text);
                places.extend(stood);
            }
        }
    }
    Step::Done(match (parts.is_empty(), missing) {
        (true, _) => Found::Absent,
        (false, true) => Found::Unreadable(Doubt::Malformed),
        (false, false) => {
            places.dedup();
            Found::Present(Credential { parts, places })
        }
    })
}

/// Which configured kind of body the request says it has.
fn body_kind(from: &[Origin], request: &RequestView<'_>) -> Result<Option<Origin>, Doubt> {
    if !from.iter().any(|origin| matches!(origin, Origin::Form | Origin::Json)) {
        return Ok(None);
    }
    let Some(written) = sole_value(&CONTENT_TYPE, request)? else { return Ok(None) };
    let mut pieces = written.split(';').map(|piece| piece.trim_matches([' ', '\t']));
    let media = pieces.next().unwrap_or_default().to_ascii_lowercase();
    let kind = match media.as_str() {
        "application/x-www-form-urlencoded" => Origin::Form,
        "application/json" => Origin::Json,
        other if other.starts_with("application/") && other.ends_with("+json") => Origin::Json,
        _ => return Ok(None),
    };
    if !from.contains(&kind) {
        return Ok(None);
    }
    // In another charset or coding the bytes have a reading that is not ours.
    let foreign_charset = pieces.filter_map(|piece| piece.split_once('=')).any(|(key, value)| {
        key.eq_ignore_ascii_case("charset")
            && !["utf-8", "us-ascii"].iter().any(|known| value.trim_matches('"').eq_ignore_ascii_case(known))
    });
    let coded = request.headers.get_all(CONTENT_ENCODING).iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if foreign_charset || coded { Err(Doubt::Malformed) } else { Ok(Some(kind)) }
}

fn read_body(kind: Origin, bytes: &[u8]) -> Result<Body<'_>, Doubt> {
    /// An application's body may nest deeper than claims do.
    const DEPTH: usize = 100;
    if kind == Origin::Form {
        return std::str::from_utf8(bytes).map(Body::Form).map_err(|_| Doubt::Malformed);
    }
    if bytes.is_empty() {
        return Ok(Body::None);
    }
    parse_to_depth(bytes, DEPTH).map(Body::Json).map_err(|fault| match fault {
        JsonFault::Duplicate => Doubt::Conflict,
        JsonFault::Malformed | JsonFault::TooDeep => Doubt::Malformed,
    })
}

fn in_body<'r>(name: &str, body: &Body<'_>, origin: Origin) -> Reading<'r> {
    match (body, origin) {
        (Body::Form(text), Origin::Form) => Ok(form_value(name, text)?.map(|value| Cow::Owned(value.into_owned()))),
        (Body::Json(value), Origin::Json) => match value.member(name) {
            None => Ok(None),
            Some(Value::Text(text)) if !text.is_empty() => Ok(Some(Cow::Owned(text.to_string()))),
            // A whole number has one text; times are often sent as one.
            Some(Value::Int(number)) if 0 <= *number => Ok(Some(Cow::Owned(number.to_string()))),
            Some(_) => Err(Doubt::Malformed),
        },
        _ => Ok(None),
    }
}
