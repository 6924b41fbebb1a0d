//! What is taken off a request before it is forwarded, and the ids it is given.
//!
//! Pure: fields in, a list of changes out. Which names are identity headers is the firewall's to say
//! (`countersign::firewall`); which fields are hop-by-hop is the edge's.
//!
//! Deliberately absent: anything taken out of a body; cleaning of values. A request that nominates a protected field as
//! hop-by-hop is refused, since what would be left of it is not what its sender appears to have sent.
//!
//! Rules: RFC 9110 section 7.6.1, RFC 6265 section 4.2, RFC 9113 section 8.2.3, W3C Trace Context level 1 section 3.

use std::fmt::Write;

use http::header::{CONNECTION, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::countersign::firewall::{Firewall, fold, same_folded};
use crate::domain::{Place, Random, Refusal, Target};

/// `X-Request-Id`.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// `traceparent`.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// `tracestate`.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The most names that `Connection` may nominate, over all its lines.
const MAX_NOMINATIONS: usize = 16;

/// Fields that decide who is calling, or how the message is read. Folded.
const PROTECTED: &[&str] = &[
    "authorization",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "instanceid",
    "instancekey",
    "server-key",
    "set-cookie",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "x-auth-token",
];

/// Refuses a head whose `Connection` nominates a field that must arrive: credentials, framing, identity and forwarding
/// names in any spelling, and the fields in `credentials`, where this conf looks for credentials.
///
/// # Errors
///
/// [`Refusal::HeadMalformed`], also when an option is not a token or there are more than sixteen.
pub fn check_nominations(headers: &HeaderMap, firewall: &Firewall, credentials: &[HeaderName]) -> Result<(), Refusal> {
    let mut nominations = 0_usize;
    for line in headers.get_all(CONNECTION) {
        let line = line.to_str().map_err(|_| Refusal::HeadMalformed)?;
        for option in line.split(',').map(|option| option.trim_matches([' ', '\t'])).filter(|option| !option.is_empty()) {
            nominations += 1;
            let name = HeaderName::from_bytes(option.as_bytes()).map_err(|_| Refusal::HeadMalformed)?;
            let is_protected = PROTECTED.contains(&fold(name.as_str()).as_str())
                || firewall.strips(&name) && name.as_str() != "proxy-connection"
                || credentials.iter().any(|credential| same_folded(credential.as_str(), name.as_str()));
            if is_protected || MAX_NOMINATIONS < nominations {
                return Err(Refusal::HeadMalformed);
            }
        }
    }
    Ok(())
}

/// What removing a credential changes about a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Removal {
    /// Fields to remove.
    pub remove: Vec<HeaderName>,
    /// The `Cookie` field without the credential, when other cookies are left.
    pub cookie: Option<HeaderValue>,
    /// The target without the credential, when it stood in the query.
    pub target: Option<Target>,
}

/// What must change about a request so that no credential that stood in `places` is forwarded.
///
/// A header goes in every spelling that folds to its name; a cookie or parameter goes as often as it occurs. Everything
/// else stays byte for byte, except that several `Cookie` lines become one. What stood in the body stays there.
#[must_use]
pub fn removal(places: &[Place], headers: &HeaderMap, target: &Target) -> Removal {
    let mut removal = Removal::default();
    let mut cookies: Vec<&str> = Vec::new();
    let mut parameters: Vec<&str> = Vec::new();
    for place in places {
        match place {
            Place::Header(name) => {
                let spellings = headers.keys().filter(|other| same_folded(other.as_str(), name.as_str()));
                for spelling in spellings {
                    if !removal.remove.contains(spelling) {
                        removal.remove.push(spelling.clone());
                    }
                }
            }
            Place::Cookie(name) => cookies.push(name),
            Place::Query(name) => parameters.push(name),
            Place::Body => {}
        }
    }
    if !cookies.is_empty() && headers.contains_key(COOKIE) && !removal.remove.contains(&COOKIE) {
        match without_cookies(headers, &cookies) {
            Some(rest) => removal.cookie = Some(rest),
            None => removal.remove.push(COOKIE),
        }
    }
    if !parameters.is_empty() {
        removal.target = target.query.as_deref().map(|query| {
            let kept: Vec<&str> = query.split('&').filter(|pair| !names_one_of(pair, &parameters)).collect();
            let query = (!kept.is_empty()).then(|| kept.join("&").into());
            Target { path: target.path.clone(), query }
        });
    }
    removal
}

/// All cookies but those called one of `names`, as one field; `None` when none is left.
fn without_cookies(headers: &HeaderMap, names: &[&str]) -> Option<HeaderValue> {
    let mut kept: Vec<u8> = Vec::new();
    for line in headers.get_all(COOKIE) {
        for pair in line.as_bytes().split(|byte| *byte == b';') {
            let pair = pair.trim_ascii();
            let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
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

/// Whether the parameter `pair` has one of `names`, once decoded as forms are (`+` is a space).
fn names_one_of(pair: &str, names: &[&str]) -> bool {
    form_urlencoded::parse(pair.as_bytes()).next().is_some_and(|(name, _)| names.iter().any(|wanted| *wanted == name))
}

/// The id this request goes by: the client's when it sends exactly one that is well formed (8 to 64 letters, digits, `-`,
/// `_` or `.`), else a new one of 32 hex digits.
#[must_use]
pub fn request_id(headers: &HeaderMap, random: &dyn Random) -> String {
    let mut lines = headers.get_all(&X_REQUEST_ID).iter();
    let sent = match (lines.next(), lines.next()) {
        (Some(sole), None) => sole.to_str().ok(),
        _ => None,
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    match sent {
        Some(id) if (8..=64).contains(&id.len()) && id.bytes().all(is_plain) => id.to_owned(),
        _ => {
            let mut bytes = [0_u8; 16];
            random.fill(&mut bytes);
            hex(&bytes)
        }
    }
}

/// The position of this request in a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The `traceparent` for the upstream.
    pub parent: String,
    /// Whether this is a new trace, because the client sent none or a broken one; its `tracestate` must then go.
    pub is_new: bool,
}

/// Continues the client's trace one step, or begins a new one.
#[must_use]
pub fn trace(headers: &HeaderMap, random: &dyn Random) -> Trace {
    let mut span = [0_u8; 8];
    random.fill(&mut span);
    // All zeros is "no span" (section 3.2.2.4); one such draw in 2^64 is worth a line.
    if span == [0; 8] {
        span = [1; 8];
    }
    let mut lines = headers.get_all(&TRACEPARENT).iter();
    let sent = match (lines.next(), lines.next()) {
        (Some(sole), None) => sole.to_str().ok().and_then(read_traceparent),
        _ => None,
    };
    match sent {
        Some((trace, sampled)) => {
            Trace { parent: format!("00-{trace}-{}-{}", hex(&span), if sampled { "01" } else { "00" }), is_new: false }
        }
        None => {
            let mut trace = [0_u8; 16];
            random.fill(&mut trace);
            if trace == [0; 16] {
                trace = [1; 16];
            }
            Trace { parent: format!("00-{}-{}-00", hex(&trace), hex(&span)), is_new: true }
        }
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a `String` does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
