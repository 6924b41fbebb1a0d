//! Whether a request's body is a form, and its text, for schemes whose credential stands among parameters.
//!
//! A body is a form only when its Content-Type says so. One that says so and cannot be read as we read it (compressed, another
//! charset, not UTF-8) is malformed and not absent.
//!
//! Rules: RFC 9110 sections 8.3 and 8.4, WHATWG URL section 5.1.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use crate::domain::{Doubt, Facts, RequestView};
use crate::verify::presented::sole_value;

/// What a request's body is to a reader of forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormBody<'f> {
    /// No form.
    None,
    /// A form that has not been read yet.
    Unread,
    /// Its text, form-encoded.
    Text(&'f str),
}

/// The form that `request` brings, as far as `facts` have it.
///
/// # Errors
///
/// [`Doubt::Conflict`] for two content types, [`Doubt::Malformed`] for a form in a coding or charset that is not ours.
pub fn form_body<'f>(request: &RequestView<'_>, facts: &'f Facts) -> Result<FormBody<'f>, Doubt> {
    if !is_form(request)? {
        return Ok(FormBody::None);
    }
    match facts.body() {
        None => Ok(FormBody::Unread),
        Some(bytes) => std::str::from_utf8(bytes).map(FormBody::Text).map_err(|_| Doubt::Malformed),
    }
}

fn is_form(request: &RequestView<'_>) -> Result<bool, Doubt> {
    let Some(written) = sole_value(&CONTENT_TYPE, request)? else { return Ok(false) };
    let mut pieces = written.split(';').map(|piece| piece.trim_matches([' ', '\t']));
    if !pieces.next().unwrap_or_default().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Ok(false);
    }
    // In another charset or coding the bytes have a reading that is not ours.
    let is_ours = |value: &str| ["utf-8", "us-ascii"].iter().any(|known| value.trim_matches('"').eq_ignore_ascii_case(known));
    let foreign_charset =
        pieces.filter_map(|piece| piece.split_once('=')).any(|(key, value)| key.eq_ignore_ascii_case("charset") && !is_ours(value));
    let coded = request.headers.get_all(CONTENT_ENCODING).iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if foreign_charset || coded { Err(Doubt::Malformed) } else { Ok(true) }
}
