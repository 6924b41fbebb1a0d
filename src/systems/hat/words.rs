//! Refusals in a HAT's own words.
//!
//! Each is `{"error", "message"}` under its real status, with texts that a HAT itself uses; nothing in them comes from the request. Over
//! the limit of its log-in a HAT says 400, and so it is said here. Statuses of which no HAT knows are told in the same form.
//!
//! Rules: HAT 2.0, `ErrorHandler`; RFC 9110 section 12.5.1 (`Accept`), read as its framework (Play) does: the client's first choice decides.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, VARY};
use http::{HeaderName, StatusCode};
use serde_json::json;

use crate::domain::Refusal;
use crate::systems::contract::{Refused, Rendered};

/// `refused`, as a HAT would write it. `redirect` is where clients are sent that want a page.
pub fn render(refused: &Refused<'_>, redirect: Option<&HeaderValue>) -> Rendered {
    let (status, error, message) = words(refused);
    let vary = (VARY, HeaderValue::from_static("Accept"));
    let asks_for_entry = matches!(status, 401 | 403) && !wants_json(refused.headers);
    if let Some(place) = redirect.filter(|place| asks_for_entry && !is_at(refused.target, place)) {
        return Rendered { status: 303, headers: vec![(LOCATION, place.clone()), vary], body: Bytes::new() };
    }
    let body = json!({ "error": error, "message": message }).to_string();
    let mut headers: Vec<(HeaderName, HeaderValue)> = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    if redirect.is_some() && matches!(status, 401 | 403) {
        headers.push(vary);
    }
    Rendered { status, headers, body: Bytes::from(body) }
}

fn words<'w>(refused: &Refused<'w>) -> (u16, &'w str, &'w str) {
    match (refused.refusal, refused.status) {
        (Refusal::Throttled { .. }, _) => (400, "Bad Request", "Request rate exceeded"),
        (Refusal::GuardRefused(breach), status) => (status, "Forbidden", &breach.says),
        (_, 401) => (401, "Not Authenticated", "Not Authenticated"),
        (_, 403) => (403, "Forbidden", "Access Denied"),
        (_, 404) => (404, "Not Found", "HAT unavailable"),
        (_, 400) if refused.public == "credential_conflict" => (400, "Bad Request", "More than one token"),
        (_, 400) => (400, "Bad Request", "The request cannot be read"),
        (_, status) => {
            let name = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error");
            (status, name, name)
        }
    }
}

/// Whether `target`, as sent, is where `place` sends to: a redirect there would go round and round.
fn is_at(target: &str, place: &HeaderValue) -> bool {
    let path = |text: &[u8]| text.split(|byte| *byte == b'?').next().map(<[u8]>::to_vec);
    path(target.as_bytes()) == path(place.as_bytes())
}

/// Whether a client asks for JSON before anything else. One that says nothing, or nothing that can be read, takes what it gets.
pub fn wants_json(headers: &HeaderMap) -> bool {
    let mut first: Option<(u16, u8, bool)> = None;
    for value in headers.get_all(ACCEPT) {
        let Ok(text) = value.to_str() else { return true };
        for item in text.split(',') {
            let Some(choice) = read(item) else { continue };
            let (quality, exactness, _) = choice;
            // Of equal ones the one that stands first is the first choice.
            if 0 < quality && first.is_none_or(|(known, exact, _)| (known, exact) < (quality, exactness)) {
                first = Some(choice);
            }
        }
    }
    first.is_none_or(|(_, _, json)| json)
}

/// One media range: its quality in thousandths, how exact it is, and whether JSON lies in it. `None` for none.
fn read(item: &str) -> Option<(u16, u8, bool)> {
    let mut pieces = item.split(';').map(str::trim);
    let range = pieces.next()?.to_ascii_lowercase();
    let (kind, subtype) = range.split_once('/')?;
    let quality = pieces.find_map(|piece| piece.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("q")));
    let quality = quality.map_or(Some(1_000), |(_, value)| thousandths(value.trim()))?;
    let (exactness, json) = match (kind, subtype) {
        ("*", "*") => (0, true),
        (kind, "*") => (1, kind == "application"),
        (kind, subtype) => (2, kind == "application" && (subtype == "json" || subtype.ends_with("+json"))),
    };
    Some((quality, exactness, json))
}

/// A quality value (RFC 9110 section 12.4.2) in thousandths.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    if !matches!(whole, "0" | "1") || 3 < rest.len() || !rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let rest: u16 = format!("{rest:0<3}").parse().ok()?;
    let value = if whole == "1" { 1_000_u16 + rest } else { rest };
    (value <= 1_000).then_some(value)
}
