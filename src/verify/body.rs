//! A request's body, for schemes whose credential stands among its parameters: whether it can hold one, and what stands there.
//!
//! A body is looked into only when its Content-Type says that it is of a kind that is looked at. One that says so and cannot be read as
//! we read it (compressed, another charset, not UTF-8, with two readings) is malformed and never absent. Nested members of JSON are not
//! looked at; elements of XML are, however deep, since that is how those find one who look into XML at all.
//!
//! Rules: RFC 9110 sections 8.3 and 8.4, WHATWG URL section 5.1 (forms), RFC 8259 (JSON), XML 1.0 (`xml`).

mod xml;

use std::borrow::Cow;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use crate::domain::{Doubt, Facts, RequestView, Value};
use crate::jose::json::{JsonFault, parse_to_depth};
use crate::verify::presented::{Reading, form_value, sole_value};

/// A kind of body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Form-encoded.
    Form,
    /// One JSON value.
    Json,
    /// One XML document.
    Xml,
}

/// What a request's body is to a reader of some kinds.
#[derive(Debug, Clone, PartialEq)]
pub enum Body<'f> {
    /// None that could hold anything: there is none, or it is of another kind.
    None,
    /// One of them, that has not been read yet.
    Unread,
    /// Form-encoded text.
    Form(&'f str),
    /// Any JSON value.
    Json(Value),
    /// The text of an XML document, unparsed.
    Xml(&'f str),
}

/// The body of `request`, where it is of a kind that is looked at, as far as `facts` have it.
///
/// # Errors
///
/// [`Doubt::Conflict`] for two content types, or a name that stands in JSON twice; [`Doubt::Malformed`] for one in a coding or charset
/// that is not ours, and for one that is not what it says it is.
pub fn body<'f>(looks_at: impl Fn(Kind) -> bool, request: &RequestView<'_>, facts: &'f Facts) -> Result<Body<'f>, Doubt> {
    let Some(kind) = kind_of(looks_at, request)? else { return Ok(Body::None) };
    facts.body().map_or(Ok(Body::Unread), |bytes| read(kind, bytes))
}

impl Body<'_> {
    /// The text that is called `name`, never empty.
    ///
    /// # Errors
    ///
    /// [`Doubt::Conflict`] when it stands there twice, [`Doubt::Malformed`] when something else than a text is called so.
    pub fn text(&self, name: &str) -> Reading<'static> {
        match self {
            Self::None | Self::Unread => Ok(None),
            Self::Form(text) => Ok(form_value(name, text)?.map(owned)),
            Self::Xml(text) => Ok(xml::sole_text(text, name)?.map(Cow::Owned)),
            Self::Json(value) => match value.member(name) {
                None => Ok(None),
                Some(Value::Text(text)) if !text.is_empty() => Ok(Some(Cow::Owned(text.to_string()))),
                Some(_) => Err(Doubt::Malformed),
            },
        }
    }

    /// The same, where in JSON a whole number without a sign may stand for its digits, as times often do.
    ///
    /// # Errors
    ///
    /// As [`Body::text`].
    pub fn text_or_number(&self, name: &str) -> Reading<'static> {
        match self {
            Self::Json(value) => match value.member(name) {
                Some(Value::Int(number)) if 0 <= *number => Ok(Some(Cow::Owned(number.to_string()))),
                _ => self.text(name),
            },
            _ => self.text(name),
        }
    }

    /// Its kind, where it has been read.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Self::None | Self::Unread => None,
            Self::Form(_) => Some(Kind::Form),
            Self::Json(_) => Some(Kind::Json),
            Self::Xml(_) => Some(Kind::Xml),
        }
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

/// What the request says its body is, of the kinds that are looked at; `None` when it says nothing, or something else.
///
/// # Errors
///
/// [`Doubt::Conflict`] for two content types, [`Doubt::Malformed`] when the bytes have a reading that is not ours.
pub fn kind_of(looks_at: impl Fn(Kind) -> bool, request: &RequestView<'_>) -> Result<Option<Kind>, Doubt> {
    if ![Kind::Form, Kind::Json, Kind::Xml].into_iter().any(&looks_at) {
        return Ok(None);
    }
    let Some(written) = sole_value(&CONTENT_TYPE, request)? else { return Ok(None) };
    let mut pieces = written.split(';').map(|piece| piece.trim_matches([' ', '\t']));
    let media = pieces.next().unwrap_or_default().to_ascii_lowercase();
    let kind = match media.as_str() {
        "application/x-www-form-urlencoded" => Kind::Form,
        "application/json" | "text/json" => Kind::Json,
        "application/xml" | "text/xml" => Kind::Xml,
        other if other.starts_with("application/") && other.ends_with("+json") => Kind::Json,
        other if other.starts_with("application/") && other.ends_with("+xml") => Kind::Xml,
        _ => return Ok(None),
    };
    if !looks_at(kind) {
        return Ok(None);
    }
    let is_ours = |value: &str| ["utf-8", "us-ascii"].iter().any(|known| value.trim_matches('"').eq_ignore_ascii_case(known));
    let foreign = |(key, value): (&str, &str)| key.eq_ignore_ascii_case("charset") && !is_ours(value);
    let coded = request.headers.get_all(CONTENT_ENCODING).iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if coded || pieces.filter_map(|piece| piece.split_once('=')).any(foreign) { Err(Doubt::Malformed) } else { Ok(Some(kind)) }
}

fn read(kind: Kind, bytes: &[u8]) -> Result<Body<'_>, Doubt> {
    /// An application's body may nest deeper than claims do.
    const DEPTH: usize = 100;
    let text = std::str::from_utf8(bytes).map_err(|_| Doubt::Malformed)?;
    match kind {
        Kind::Form => Ok(Body::Form(text)),
        Kind::Json | Kind::Xml if bytes.is_empty() => Ok(Body::None),
        Kind::Xml => Ok(Body::Xml(text)),
        Kind::Json => parse_to_depth(bytes, DEPTH).map(Body::Json).map_err(|fault| match fault {
            JsonFault::Duplicate => Doubt::Conflict,
            JsonFault::Malformed | JsonFault::TooDeep => Doubt::Malformed,
        }),
    }
}

#[cfg(test)]
mod tests;
