//! Where a HAT token stands: every place in which a HAT looks for one, each looked at, and one text or none.
//!
//! A HAT takes the first that it finds: query, header, form body, JSON body. Whoever looks at one of them alone is passed by with a token
//! in another. A body is read when its Content-Type says that it is a form or JSON, and then strictly: UTF-8, not compressed, no name in
//! JSON twice; nested members are not looked at.
//!
//! Not read: XML bodies, in which a HAT looks last of all and of which an application behind us has no use.
//!
//! Rules: WHATWG URL section 5.1 (forms), RFC 8259 (JSON), RFC 9110 section 8.3 (Content-Type).

use std::borrow::Cow;

use http::HeaderName;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use crate::domain::{Doubt, Facts, Need, Place, RequestView, Step, Value};
use crate::jose::json::{JsonFault, parse_to_depth};
use crate::verify::presented::{Presented, Reading, form_value, header, query, sole_value, unite};

/// A kind of place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A query parameter.
    Query,
    /// A header field.
    Header,
    /// A field of a form that is the body.
    Form,
    /// A member of the JSON object that is the body.
    Json,
}

/// What the token is called.
#[derive(Debug)]
pub struct Field {
    /// In query and body, exactly so.
    pub name: Box<str>,
    /// As a header field, in any case.
    pub header: HeaderName,
}

impl Origin {
    /// The words of the conf.
    pub const WORDS: &'static [&'static str] = &["query", "header", "form", "json"];

    /// The place that the conf calls `word`.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "query" => Some(Self::Query),
            "header" => Some(Self::Header),
            "form" => Some(Self::Form),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    /// Where `field` stands.
    #[must_use]
    pub fn place(self, field: &Field) -> Place {
        match self {
            Self::Query => Place::Query(field.name.clone()),
            Self::Header => Place::Header(field.header.clone()),
            Self::Form | Self::Json => Place::Body,
        }
    }
}

/// A body, as far as it can hold a token.
enum Body<'b> {
    /// None that could.
    None,
    /// Form-encoded text.
    Form(&'b str),
    /// Any JSON value.
    Json(Value),
}

/// What stands in all the places of `from`; asks for the body when it could hold something.
pub fn find<'r>(field: &Field, from: &[Origin], request: &RequestView<'r>, facts: &Facts) -> Step<Presented<'r>> {
    let body = match body_kind(from, request) {
        Err(doubt) => return Step::Done(Presented::Unreadable(doubt)),
        Ok(None) => Body::None,
        Ok(Some(kind)) => match facts.body() {
            None => return Step::Need(Need::Body),
            Some(bytes) => match read_body(kind, bytes) {
                Err(doubt) => return Step::Done(Presented::Unreadable(doubt)),
                Ok(body) => body,
            },
        },
    };
    Step::Done(unite(from.iter().map(|origin| (read(field, *origin, request, &body), origin.place(field)))))
}

/// The same without a body; `None` when one could hold something.
pub fn glance<'r>(field: &Field, from: &[Origin], request: &RequestView<'r>) -> Option<Presented<'r>> {
    let bare = matches!(body_kind(from, request), Ok(None));
    bare.then(|| unite(from.iter().map(|origin| (read(field, *origin, request, &Body::None), origin.place(field)))))
}

fn read<'r>(field: &Field, origin: Origin, request: &RequestView<'r>, body: &Body<'_>) -> Reading<'r> {
    match (origin, body) {
        (Origin::Query, _) => query(&field.name, request),
        (Origin::Header, _) => header(&field.header, request),
        (Origin::Form, Body::Form(text)) => Ok(form_value(&field.name, text)?.map(|value| Cow::Owned(value.into_owned()))),
        (Origin::Json, Body::Json(value)) => match value.member(&field.name) {
            None => Ok(None),
            Some(Value::Text(text)) if !text.is_empty() => Ok(Some(Cow::Owned(text.to_string()))),
            Some(_) => Err(Doubt::Malformed),
        },
        (Origin::Form | Origin::Json, _) => Ok(None),
    }
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
        "application/json" | "text/json" => Origin::Json,
        other if other.starts_with("application/") && other.ends_with("+json") => Origin::Json,
        _ => return Ok(None),
    };
    if !from.contains(&kind) {
        return Ok(None);
    }
    // In another charset or coding the bytes have a reading that is not ours.
    let foreign = |(key, value): (&str, &str)| {
        let known = ["utf-8", "us-ascii"].iter().any(|known| value.trim_matches('"').eq_ignore_ascii_case(known));
        key.eq_ignore_ascii_case("charset") && !known
    };
    let coded = request.headers.get_all(CONTENT_ENCODING).iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if coded || pieces.filter_map(|piece| piece.split_once('=')).any(foreign) { Err(Doubt::Malformed) } else { Ok(Some(kind)) }
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
