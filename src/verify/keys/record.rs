//! One server key as it is written: a JSON object, one line of a file or one answer of a look-up.
//!
//! Unknown members are refused: a record that says `"revoked": true` must not be read as if it did not. What a fault says
//! never shows a value, only where it stood.
//!
//! ```json
//! {"id":"acme","secrets":["cs1:..."],"scopes":["chat:write"],"hosts":["api.example"],"not_before":"2026-01-01T00:00:00Z","expires":1798761600,"disabled":false}
//! ```

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, de};

use crate::domain::Timestamp;
use crate::settings::unquoted::unquoted;
use crate::verify::keyholder::{MAX_ID, is_id};
use crate::verify::keys::contract::ServerKey;
use crate::verify::keys::digest::parse_digest;

/// The most scopes or hosts of one key.
pub(super) const MAX_LIST: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    secrets: Vec<Cow<'a, str>>,
    #[serde(default)]
    not_before: Option<Moment>,
    #[serde(default)]
    expires: Option<Moment>,
    #[serde(default)]
    disabled: bool,
    #[serde(default)]
    scopes: Vec<Box<str>>,
    #[serde(default)]
    hosts: Vec<Box<str>>,
}

/// Seconds since the epoch, or a date and time with its offset (RFC 3339).
pub(super) struct Moment(pub(super) Timestamp);

/// Reads one record.
///
/// # Errors
///
/// What is wrong with it, for the operator; never a value of it.
pub fn parse_record(bytes: &[u8]) -> Result<ServerKey, String> {
    let written: Written<'_> = serde_json::from_slice(bytes).map_err(|error| unquoted(&error, "a server key"))?;
    if !is_id(&written.id) {
        return Err(format!("`id` must have 1 to {MAX_ID} bytes and no control characters"));
    }
    let mut digests = [None, None];
    if written.secrets.is_empty() || digests.len() < written.secrets.len() {
        return Err("`secrets` must hold one digest, or two during a rotation".to_owned());
    }
    for (slot, text) in digests.iter_mut().zip(&written.secrets) {
        let digest =
            parse_digest(text).ok_or("a secret is no digest as `countersign keys hash` makes it; it must not stand in the clear")?;
        *slot = Some(digest);
    }
    if digests[0] == digests[1] {
        return Err("both secrets are the same; write it once".to_owned());
    }
    let not_before = written.not_before.map(|moment| moment.0);
    let expires = written.expires.map(|moment| moment.0);
    if let (Some(start), Some(end)) = (not_before, expires)
        && end <= start
    {
        return Err("`expires` is not after `not_before`, so the key would never be good".to_owned());
    }
    if MAX_LIST < written.scopes.len() || MAX_LIST < written.hosts.len() {
        return Err(format!("`scopes` and `hosts` hold at most {MAX_LIST} each"));
    }
    if !written.scopes.iter().all(|scope| is_scope(scope)) {
        return Err("a scope is visible ASCII without space, `\"` and `\\` (RFC 6749 section 3.3)".to_owned());
    }
    if !written.hosts.iter().all(|host| is_host(host)) {
        return Err("a host is a lower-case name or address without port and trailing dot".to_owned());
    }
    Ok(ServerKey {
        id: written.id.into(),
        digests,
        not_before,
        expires,
        disabled: written.disabled,
        scopes: written.scopes.into(),
        hosts: written.hosts.into(),
    })
}

fn is_scope(scope: &str) -> bool {
    !scope.is_empty() && scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

/// Whether `host` can stand in a list of hosts: a lower-case name or address without port and trailing dot.
pub(super) fn is_host(host: &str) -> bool {
    let name = |host: &str| {
        !host.is_empty()
            && !host.starts_with('.')
            && !host.ends_with('.')
            && host.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'))
    };
    let literal = |inner: &str| inner.bytes().all(|byte| matches!(byte, b'a'..=b'f' | b'0'..=b'9' | b':' | b'.'));
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => literal(inner),
        None => name(host),
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MomentVisitor)
    }
}

struct MomentVisitor;

impl de::Visitor<'_> for MomentVisitor {
    type Value = Moment;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("seconds since the epoch, or a date and time such as 2026-01-31T00:00:00Z")
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Moment, E> {
        Ok(Moment(Timestamp(seconds)))
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Moment, E> {
        i64::try_from(seconds).map(|seconds| Moment(Timestamp(seconds))).map_err(|_| E::custom("beyond the end of time"))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Moment, E> {
        let moment = chrono::DateTime::parse_from_rfc3339(text).map_err(|_| E::custom("no date and time"))?;
        Ok(Moment(Timestamp(moment.timestamp())))
    }
}

#[cfg(test)]
mod tests;
