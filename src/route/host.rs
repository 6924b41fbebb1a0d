//! The one canonical host of a request.
//!
//! Lower case, no trailing dot, no port. A request names its host in up to three places (`Host`, `:authority`, an
//! absolute-form target); when two of them disagree, it has two readings and is refused.
//!
//! Deliberately absent: international names (they arrive as `xn--`), percent-encoding, user information, IPv6 zones, and
//! the many old spellings of an IPv4 address. An underscore is accepted: container names have them, and it has one
//! reading.
//!
//! Rules: RFC 9110 section 7.2, RFC 9112 section 3.2.2, RFC 3986 section 3.2.2, RFC 1035 section 2.3.4.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use http::HeaderMap;
use http::header::HOST;

use crate::domain::Refusal;

/// Host and port, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority<'h> {
    /// The canonical host; an IPv6 address stands in brackets.
    pub host: Cow<'h, str>,
    /// The port, when one was written.
    pub port: Option<u16>,
}

/// The longest host name (RFC 1035 section 2.3.4), without the trailing dot.
pub const MAX_HOST: usize = 253;

/// The longest label of a host name.
const MAX_LABEL: usize = 63;

/// Reads `text` as `host [":" port]`.
///
/// # Errors
///
/// [`Refusal::TargetAmbiguous`] when it is not exactly that.
pub fn authority(text: &str) -> Result<Authority<'_>, Refusal> {
    if let Some(after) = text.strip_prefix('[') {
        let (address, port) = after.split_once(']').ok_or(Refusal::TargetAmbiguous)?;
        let address: Ipv6Addr = address.parse().map_err(|_| Refusal::TargetAmbiguous)?;
        let port = if port.is_empty() { None } else { Some(self::port(port.strip_prefix(':').ok_or(Refusal::TargetAmbiguous)?)?) };
        return Ok(Authority { host: Cow::Owned(format!("[{address}]")), port });
    }
    let (host, port) = match text.bytes().position(|byte| byte == b':').and_then(|colon| text.split_at_checked(colon)) {
        Some((host, port)) => (host, Some(self::port(port.strip_prefix(':').unwrap_or_default())?)),
        None => (text, None),
    };
    Ok(Authority { host: name(host)?, port })
}

/// The canonical host of a request: what its `Host` field, HTTP/2 `:authority` and absolute-form target agree on.
///
/// Empty when it names none; whether that is allowed (HTTP/1.0 only) is the edge's to say, and no rule that names a host
/// matches it.
///
/// # Errors
///
/// [`Refusal::TargetAmbiguous`] when there are two `Host` fields, one cannot be read, or two places disagree.
pub fn of_request<'h>(headers: &'h HeaderMap, authority: Option<&'h str>, absolute: Option<&'h str>) -> Result<Cow<'h, str>, Refusal> {
    let mut fields = headers.get_all(HOST).iter();
    let field = match (fields.next(), fields.next()) {
        (_, Some(_)) => return Err(Refusal::TargetAmbiguous),
        (Some(value), None) => Some(value.to_str().map_err(|_| Refusal::TargetAmbiguous)?),
        (None, None) => None,
    };

    let mut agreed: Option<Authority<'h>> = None;
    for text in [absolute, authority, field].into_iter().flatten() {
        let next = self::authority(text)?;
        match &agreed {
            Some(first) if first.host != next.host || telling_port(first.port) != telling_port(next.port) => {
                return Err(Refusal::TargetAmbiguous);
            }
            Some(_) => {}
            None => agreed = Some(next),
        }
    }
    Ok(agreed.map_or(Cow::Borrowed(""), |authority| authority.host))
}

/// The port, unless it is one that clients leave out.
fn telling_port(port: Option<u16>) -> Option<u16> {
    port.filter(|port| !matches!(port, 80 | 443))
}

fn port(text: &str) -> Result<u16, Refusal> {
    if text.is_empty() || 5 < text.len() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::TargetAmbiguous);
    }
    match text.parse() {
        Ok(port) if port != 0 => Ok(port),
        _ => Err(Refusal::TargetAmbiguous),
    }
}

/// A registered name or IPv4 address in canonical form.
fn name(text: &str) -> Result<Cow<'_, str>, Refusal> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.is_empty() || MAX_HOST < text.len() {
        return Err(Refusal::TargetAmbiguous);
    }
    // One look at each byte; `label` counts those of the label so far, `before` is the one before.
    let (mut label, mut before, mut capitals) = (0_usize, b'.', false);
    for byte in text.bytes().chain([b'.']) {
        match byte {
            b'.' if label == 0 || MAX_LABEL < label || before == b'-' => return Err(Refusal::TargetAmbiguous),
            b'.' => label = 0,
            b'-' if label == 0 => return Err(Refusal::TargetAmbiguous),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => {
                label += 1;
                capitals |= byte.is_ascii_uppercase();
            }
            _ => return Err(Refusal::TargetAmbiguous),
        }
        before = byte;
    }
    // `0x7f.1`, `127.1` and `017700000001` are all 127.0.0.1 to some resolver; only the usual spelling has one reading.
    if ends_in_number(text) && text.parse::<Ipv4Addr>().is_err() {
        return Err(Refusal::TargetAmbiguous);
    }
    Ok(if capitals { Cow::Owned(text.to_ascii_lowercase()) } else { Cow::Borrowed(text) })
}

fn ends_in_number(text: &str) -> bool {
    // A name whose last byte is no digit of any kind cannot end in a number.
    if !text.bytes().next_back().is_some_and(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'x' | b'X')) {
        return false;
    }
    let last = text.rsplit('.').next().unwrap_or(text);
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    last.bytes().all(|byte| byte.is_ascii_digit()) || hex.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests;
