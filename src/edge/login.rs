//! Where a browser is sent to log in, and whether what asks is a browser's navigation at all.
//!
//! The way back is always a path of this very site: what cannot be shown to be one becomes `/`. A query is kept only when
//! no credential was presented, because one could stand in it and the login page may belong to someone else.
//!
//! Rules: Fetch Metadata (`Sec-Fetch-Mode`, `Sec-Fetch-Dest`), RFC 9110 section 12.5.1 (`Accept`).

use std::borrow::Cow;

use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::domain::Refusal;
use crate::edge::respond::AnswerRequest;

/// Everything but the unreserved characters (RFC 3986 section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Longer ways back are not kept; some servers refuse longer redirect targets altogether.
const LONGEST_RETURN: usize = 2048;

/// How often a path may be encoded over and over before it is not worth understanding.
const LAYERS: usize = 3;

/// The login page with the way back added, when `request` is a navigation that can follow.
pub(super) fn location(page: &str, refusal: &Refusal, request: &AnswerRequest<'_>) -> Option<HeaderValue> {
    if !is_navigation(request) {
        return None;
    }
    let back = way_back(refusal, request);
    let page = page.split_once('#').map_or(page, |(before, _)| before);
    let joint = if page.contains('?') { '&' } else { '?' };
    HeaderValue::from_str(&format!("{page}{joint}return_to={}", utf8_percent_encode(back, RESERVED))).ok()
}

/// Whether a person's browser is loading a page.
///
/// A browser that sends `Sec-Fetch-Mode` has said so itself; scripts cannot set it. Without it, a GET that would rather
/// have HTML than anything else counts.
fn is_navigation(request: &AnswerRequest<'_>) -> bool {
    match (request.sec_fetch_mode, request.sec_fetch_dest) {
        // A login page inside a frame is a trap or refuses to show; the outer page learns 401 instead.
        (Some("navigate"), None | Some("document")) => true,
        (Some(_), _) | (None, Some(_)) => false,
        (None, None) => matches!(request.method, "GET" | "HEAD") && request.accept.is_some_and(prefers_html),
    }
}

/// Whether the type wanted most, the first of equals, is HTML by name; `*/*` alone is what tools send.
fn prefers_html(accept: &str) -> bool {
    let mut best: Option<(&str, u16)> = None;
    for entry in accept.split(',') {
        let mut parts = entry.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="))).map_or(1000, thousandths);
        if best.is_none_or(|(_, highest)| highest < weight) && !kind.is_empty() && 0 < weight {
            best = Some((kind, weight));
        }
    }
    best.is_some_and(|(kind, _)| kind.eq_ignore_ascii_case("text/html") || kind.eq_ignore_ascii_case("application/xhtml+xml"))
}

/// A quality value in thousandths (RFC 9110 section 12.4.2); 0 for what is none.
fn thousandths(text: &str) -> u16 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits_only = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    match (whole, digits_only) {
        ("1", true) if fraction.bytes().all(|byte| byte == b'0') => 1000,
        ("0", true) => format!("{fraction:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

/// Where to come back to: the path asked for where that is surely one of ours, else `/`.
fn way_back<'r>(refusal: &Refusal, request: &AnswerRequest<'r>) -> &'r str {
    // What was sent with another method cannot be come back to.
    if !matches!(request.method, "GET" | "HEAD") {
        return "/";
    }
    let target = request.path_and_query;
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    let back = if matches!(refusal, Refusal::CredentialMissing) { target } else { path };
    let plain = back.len() <= LONGEST_RETURN && back.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#'));
    if plain && is_local(path) { back } else { "/" }
}

/// Whether `path` stays on this site however often someone decodes it on the way.
fn is_local(path: &str) -> bool {
    let mut read = Cow::Borrowed(path);
    for _ in 0..LAYERS {
        let rooted = read.starts_with('/') && !read.contains("//");
        if !rooted || read.chars().any(|c| c.is_control() || c == '\\') {
            return false;
        }
        if !read.contains('%') {
            return true;
        }
        let Ok(decoded) = percent_decode_str(&read).decode_utf8() else { return false };
        if decoded == read {
            return true;
        }
        read = Cow::Owned(decoded.into_owned());
    }
    false
}

#[cfg(test)]
mod tests;
