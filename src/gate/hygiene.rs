//! What is taken off a request before it is forwarded, and the ids it is given.
//!
//! Pure: fields in, a list of changes out. Which names are identity headers is the firewall's to say
//! (`countersign::firewall`); which fields are hop-by-hop is the edge's.
//!
//! Deliberately absent: anything taken out of a body; cleaning of values. A request that nominates a protected field as
//! hop-by-hop is refused, since what would be left of it is not what its sender appears to have sent.
//!
//! Rules: RFC 9110 section 7.6.1, RFC 6265 section 4.2, RFC 9113 section 8.2.3, W3C Trace Context level 1 section 3.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, COOKIE, HOST, ORIGIN, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::countersign::firewall::{Firewall, same_folded};
use crate::domain::{Place, Random, Refusal, RequestView, Secret, Target};
use crate::gate::rule::SessionToken;
use crate::route::host;

/// `X-Request-Id`.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// `traceparent`.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// `tracestate`.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// `Sec-Fetch-Site`, which browsers set and pages cannot (Fetch Metadata section 2.3).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The most names that `Connection` may nominate, over all its lines.
const MAX_NOMINATIONS: usize = 16;

/// Refuses a head whose `Connection` nominates a field that must arrive: see [`Firewall::protects`].
///
/// # Errors
///
/// [`Refusal::HeadMalformed`], also when an option is not a token or there are more than sixteen.
pub fn refuse_nominations(headers: &HeaderMap, firewall: &Firewall) -> Result<(), Refusal> {
    let mut nominations = 0_usize;
    for line in headers.get_all(CONNECTION) {
        let line = line.to_str().map_err(|_| Refusal::HeadMalformed)?;
        for option in line.split(',').map(|option| option.trim_matches([' ', '\t'])).filter(|option| !option.is_empty()) {
            nominations += 1;
            let name = HeaderName::from_bytes(option.as_bytes()).map_err(|_| Refusal::HeadMalformed)?;
            if firewall.protects(&name) || MAX_NOMINATIONS < nominations {
                return Err(Refusal::HeadMalformed);
            }
        }
    }
    Ok(())
}

/// The `Host` to forward, where the client wrote it otherwise than it was judged: in capitals, with a dot behind it, or only
/// in an absolute-form target. An upstream that serves several hosts must not read another one than the rule was found for.
///
/// `host` is the canonical host; a port is kept as sent. `None` when what was sent can stand.
#[must_use]
pub fn judged_host(headers: &HeaderMap, authority: Option<&str>, absolute: Option<&str>, host: &str) -> Option<HeaderValue> {
    if host.is_empty() {
        return None;
    }
    let field = headers.get(HOST).and_then(|value| value.to_str().ok());
    let is_judged = |sent: &str| sent.strip_prefix(host).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'));
    let places = [field, authority];
    if places.iter().any(Option::is_some) && places.into_iter().flatten().all(is_judged) {
        return None;
    }
    let port = field.or(authority).or(absolute).and_then(|sent| host::authority(sent).ok()?.port);
    HeaderValue::try_from(port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))).ok()
}

/// Changes a request so that no credential that stood in `places` is forwarded.
///
/// A header goes in every spelling that folds to its name; a cookie or parameter goes as often as it occurs. Everything
/// else stays byte for byte, except that several `Cookie` lines become one. What stood in the body stays there.
///
/// `target` is rewritten, `remove` gets the names of fields to remove, `set` the `Cookie` field that replaces the client's.
pub fn remove_credentials<'p>(
    request: &RequestView<'_>,
    places: impl Iterator<Item = &'p Place>,
    target: &mut Target,
    remove: &mut Vec<HeaderName>,
    set: &mut Vec<(HeaderName, HeaderValue)>,
) {
    let headers = request.headers;
    let mut cookies: Vec<&str> = Vec::new();
    let mut parameters: Vec<&str> = Vec::new();
    for place in places {
        match place {
            Place::Header(name) => {
                let spellings = headers.keys().filter(|other| same_folded(other.as_str(), name.as_str()));
                for spelling in spellings {
                    if !remove.contains(spelling) {
                        remove.push(spelling.clone());
                    }
                }
            }
            // Without a cookie there is nothing to gather names for.
            Place::Cookie(name) if headers.contains_key(COOKIE) => cookies.push(name),
            Place::Query(name) if target.query.is_some() => parameters.push(name),
            Place::Cookie(_) | Place::Query(_) | Place::Body => {}
        }
    }
    if !cookies.is_empty() && !remove.contains(&COOKIE) {
        match without_cookies(headers, &cookies) {
            Some(rest) => set.push((COOKIE, rest)),
            None => remove.push(COOKIE),
        }
    }
    if let Some(query) = target.query.as_deref().filter(|_| !parameters.is_empty()) {
        let kept: Vec<&str> = query.split('&').filter(|pair| !names_one_of(pair, &parameters)).collect();
        target.query = (!kept.is_empty()).then(|| kept.join("&").into());
    }
}

/// Changes a request so that `fresh` stands wherever the credential stood that it renews, for upstreams that are shown credentials.
///
/// A header keeps the auth-scheme in front of its value. `target` and `set` are as [`remove_credentials`] left them.
///
/// # Errors
///
/// [`Refusal::Internal`] when `fresh` cannot stand there; what has run out is not sent in its place.
pub fn replace_credential(
    request: &RequestView<'_>,
    places: &[Place],
    fresh: &Secret,
    target: &mut Target,
    set: &mut Vec<(HeaderName, HeaderValue)>,
) -> Result<(), Refusal> {
    let fresh = std::str::from_utf8(fresh.expose()).map_err(|_| Refusal::Internal)?;
    for place in places {
        match place {
            Place::Header(name) => {
                let sent = request.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
                let scheme = sent.split_once(' ').map_or_else(String::new, |(scheme, _)| format!("{scheme} "));
                put(set, name, HeaderValue::try_from(scheme + fresh))?;
            }
            Place::Cookie(name) => {
                let left = set.iter().find(|(set, _)| *set == COOKIE).map(|(_, value)| value.clone());
                let left = left.or_else(|| without_cookies(request.headers, &[]));
                let left = left.as_ref().and_then(|value| value.to_str().ok()).ok_or(Refusal::Internal)?;
                let pairs = left.split("; ").map(|pair| match pair.split_once('=') {
                    Some((called, _)) if called.trim() == &**name => format!("{called}={fresh}"),
                    _ => pair.to_owned(),
                });
                put(set, &COOKIE, HeaderValue::try_from(pairs.collect::<Vec<_>>().join("; ")))?;
            }
            Place::Query(name) => {
                let query = target.query.as_deref().unwrap_or_default();
                let encoded: String = form_urlencoded::byte_serialize(fresh.as_bytes()).collect();
                let pairs = query.split('&').map(|pair| match pair.split_once('=') {
                    Some((called, _)) if names_one_of(pair, &[name]) => format!("{called}={encoded}"),
                    _ => pair.to_owned(),
                });
                target.query = Some(pairs.collect::<Vec<_>>().join("&").into());
            }
            // What stood in a body stays there; an upstream that reads it sees what the client sent.
            Place::Body => {}
        }
    }
    Ok(())
}

/// Sets one field, in place of one of that name that is to be set already.
fn put<E>(set: &mut Vec<(HeaderName, HeaderValue)>, name: &HeaderName, value: Result<HeaderValue, E>) -> Result<(), Refusal> {
    let mut value = value.map_err(|_| Refusal::Internal)?;
    value.set_sensitive(true);
    set.retain(|(other, _)| other != name);
    set.push((name.clone(), value));
    Ok(())
}

/// Shows the upstream the credential that we hold for the caller. Where we hold none, the upstream sees none.
///
/// # Errors
///
/// [`Refusal::Internal`] when it cannot stand in a field.
pub fn show_held(shown: &SessionToken, held: Option<&Secret>, set: &mut Vec<(HeaderName, HeaderValue)>) -> Result<(), Refusal> {
    let Some(held) = held else { return Ok(()) };
    let value = [shown.prefix.as_bytes(), held.expose()].concat();
    put(set, &shown.header, HeaderValue::from_bytes(&value))
}

/// All cookies but those called one of `names`, as one field; `None` when none is left.
fn without_cookies(headers: &HeaderMap, names: &[&str]) -> Option<HeaderValue> {
    let lines = headers.get_all(COOKIE);
    let mut kept: Vec<u8> = Vec::with_capacity(lines.iter().map(|line| line.len() + 2).sum());
    for line in lines {
        let mut rest = line.as_bytes();
        while !rest.is_empty() {
            let (pair, behind) = cut(rest, b';');
            rest = behind;
            let pair = pair.trim_ascii();
            let name = cut(pair, b'=').0.trim_ascii();
            if pair.is_empty() || names.iter().any(|wanted| wanted.as_bytes() == name) {
                continue;
            }
            if !kept.is_empty() {
                kept.extend_from_slice(b"; ");
            }
            kept.extend_from_slice(pair);
        }
    }
    if kept.is_empty() {
        return None;
    }
    // Parts of valid values, joined with valid bytes, are valid. Should that ever be wrong, no cookie is sent at all.
    let mut value = HeaderValue::from_bytes(&kept).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// What stands before the first `byte` of `text`, and what behind it.
fn cut(text: &[u8], byte: u8) -> (&[u8], &[u8]) {
    let end = memchr::memchr(byte, text).unwrap_or(text.len());
    (text.get(..end).unwrap_or_default(), text.get(end + 1..).unwrap_or_default())
}

/// Whether the parameter `pair` has one of `names`, once decoded as forms are (`+` is a space). A broken escape stands for itself here, as
/// for readers that repair; whoever looks for credentials refuses it instead.
fn names_one_of(pair: &str, names: &[&str]) -> bool {
    let name = cut(pair.as_bytes(), b'=').0;
    if memchr::memchr2(b'%', b'+', name).is_none() {
        return names.iter().any(|wanted| wanted.as_bytes() == name);
    }
    form_urlencoded::parse(pair.as_bytes()).next().is_some_and(|(name, _)| names.iter().any(|wanted| *wanted == name))
}

/// The names among `fields` that are one of `names` once folded. Who reads an answer may fold as upstreams do: a gateway or
/// a CGI behind the client would take `X_Auth_Subject` for our word.
#[must_use]
pub fn named_among(names: &[HeaderName], fields: &HeaderMap) -> Vec<HeaderName> {
    let is_one = |field: &&HeaderName| names.iter().any(|name| same_folded(name.as_str(), field.as_str()));
    fields.keys().filter(is_one).cloned().collect()
}

/// The id this request goes by: the client's when it sends exactly one that is well formed (8 to 64 letters, digits, `-`,
/// `_` or `.`), else a new one of 32 hex digits.
#[must_use]
pub fn request_id(headers: &HeaderMap, random: &dyn Random) -> Arc<str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    match sole_text(headers, &REQUEST_ID) {
        Some(id) if (8..=64).contains(&id.len()) && id.bytes().all(is_plain) => id.into(),
        _ => {
            let mut bytes = [0_u8; 16];
            random.fill_id(&mut bytes);
            let mut text = [0_u8; 32];
            for (digits, byte) in text.chunks_exact_mut(2).zip(bytes) {
                digits.copy_from_slice(&digits_of(byte));
            }
            // Hex digits are always text.
            std::str::from_utf8(&text).unwrap_or_default().into()
        }
    }
}

/// Whether a request says which page it comes from, as browsers do.
#[must_use]
pub fn names_an_origin(request: &RequestView<'_>) -> bool {
    request.headers.contains_key(&SEC_FETCH_SITE) || request.headers.contains_key(ORIGIN)
}

/// Whether a request that a browser may have sent by itself comes from a page of the same origin.
///
/// Safe methods pass, unless they ask for another protocol: a WebSocket opened by a page elsewhere would speak, and listen, as
/// the user, and no CORS rule stands in its way (RFC 6455 section 10.2). Those and all other methods need `Sec-Fetch-Site: same-origin` (or `none`: the user's own doing), or, from a browser
/// that does not send it, an `Origin` of this very host. A request with neither is refused: a browser that sends cookies
/// with an unsafe method sends at least one of them.
///
/// A page loaded over plain HTTP is not the same origin as this host over TLS. Ports are compared where `Host` tells one.
#[must_use]
pub fn same_origin(request: &RequestView<'_>) -> bool {
    if matches!(request.method, "GET" | "HEAD" | "OPTIONS") && !request.headers.contains_key(UPGRADE) {
        return true;
    }
    if request.headers.contains_key(&SEC_FETCH_SITE) {
        return matches!(sole_text(request.headers, &SEC_FETCH_SITE), Some("same-origin" | "none"));
    }
    let Some(origin) = sole_text(request.headers, &ORIGIN) else { return false };
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let default_port = match (scheme, request.secure) {
        ("https", _) => 443,
        ("http", false) => 80,
        _ => return false,
    };
    let Ok(origin) = host::authority(authority) else { return false };
    if request.host.is_empty() || origin.host != request.host {
        return false;
    }
    match sole_text(request.headers, &HOST).map(host::authority) {
        Some(Ok(own)) => origin.port.unwrap_or(default_port) == own.port.unwrap_or(default_port),
        Some(Err(_)) => false,
        // HTTP/2: the host came as `:authority`, whose port is not kept.
        None => true,
    }
}

/// The `traceparent` for the upstream: the client's trace, one step on, or a new trace where it sent none that is sound; and
/// whether it is the client's. Where it is not, the client's `tracestate` must be removed (section 3.3.1.1).
#[must_use]
pub fn traceparent(headers: &HeaderMap, random: &dyn Random) -> (HeaderValue, bool) {
    // Drawn at once: a draw costs about the same whatever its length.
    let mut drawn = [0_u8; 24];
    random.fill_id(&mut drawn);
    let (span, trace) = drawn.split_at(8);
    let sent = sent_trace(headers);
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    let (front, back) = text.split_at_mut(35);
    if let Some(place) = front.get_mut(3..) {
        match sent {
            Some((sent, _)) => place.iter_mut().zip(sent.bytes()).for_each(|(digit, sent)| *digit = sent),
            None => write_id(place, trace),
        }
    }
    if let Some(place) = back.get_mut(1..17) {
        write_id(place, span);
    }
    if let (Some((_, true)), Some(flag)) = (sent, back.last_mut()) {
        *flag = b'1';
    }
    // Hex digits and dashes are always a valid value.
    let value = HeaderValue::from_maybe_shared(Bytes::copy_from_slice(&text)).unwrap_or_else(|_| HeaderValue::from_static(""));
    (value, sent.is_some())
}

fn sent_trace(headers: &HeaderMap) -> Option<(&str, bool)> {
    sole_text(headers, &TRACEPARENT).and_then(read_traceparent)
}

/// The value of a field that stands there exactly once, as visible ASCII.
fn sole_text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (Some(sole), None) => sole.to_str().ok(),
        _ => None,
    }
}

/// The trace id of a `traceparent`, and whether it is sampled; `None` when it is malformed.
fn read_traceparent(text: &str) -> Option<(&str, bool)> {
    let mut parts = text.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |part: &str, length: usize| part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_nonzero = |part: &str| part.bytes().any(|byte| byte != b'0');
    // Later versions may append parts; version 00 has exactly four.
    let is_complete = version != "00" || parts.next().is_none();
    let is_sound = is_hex(version, 2)
        && version != "ff"
        && is_hex(trace, 32)
        && is_nonzero(trace)
        && is_hex(parent, 16)
        && is_nonzero(parent)
        && is_hex(flags, 2)
        && is_complete;
    let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
    is_sound.then_some((trace, sampled))
}

/// Writes an id of a trace or span. All zeros is "none" (sections 3.2.2.3 and 3.2.2.4); one such draw in 2^64 is worth a line.
fn write_id(place: &mut [u8], id: &[u8]) {
    for (digits, byte) in place.chunks_exact_mut(2).zip(id) {
        digits.copy_from_slice(&digits_of(*byte));
    }
    if let (true, Some(last)) = (id.iter().all(|byte| *byte == 0), place.last_mut()) {
        *last = b'1';
    }
}

/// The two lower-case hex digits of a byte. By hand, because some sixty are written for every request.
const fn digits_of(byte: u8) -> [u8; 2] {
    [digit_of(byte >> 4), digit_of(byte & 15)]
}

/// The digit of a number below 16, without a table or a branch that depends on it.
const fn digit_of(half: u8) -> u8 {
    // 'a' is 39 further than the place right behind '9'.
    half + b'0' + if 9 < half { 39 } else { 0 }
}

#[cfg(test)]
mod tests;
