//! Where a request came from, and how that is told to the upstream.
//!
//! The address at the other end of the connection is a fact. What fields say about addresses before it is believed only
//! of peers the conf trusts, read from the right, and only as far as the chain of trusted proxies reaches: what stands
//! left of the first untrusted address is that stranger's invention. A malformed entry ends the walk.
//!
//! There are two dialects, `X-Forwarded-*` and `Forwarded`. A proxy that writes one usually lets the client's own fields of
//! the other pass, and we cannot know which is which; so where both are present they must agree, else neither is believed.
//!
//! Rules: RFC 7239; `X-Forwarded-*` by common use.

use std::borrow::Cow;
use std::fmt::Write;
use std::net::IpAddr;

use bytes::Bytes;
use http::header::{FORWARDED, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use crate::domain::RequestView;
use crate::route::host;

/// `X-Forwarded-For`.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `X-Forwarded-Proto`.
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// `X-Forwarded-Host`.
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The most bytes that an address takes, as it is usually written.
const LONGEST_ADDRESS: usize = 39;

/// The longest chain of proxies we walk.
const MAX_HOPS: usize = 32;

/// Where a request came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The client: the peer, or the first address before the trusted proxies.
    pub client: IpAddr,
    /// Whether the client's connection was TLS, as far as we or a trusted peer can tell.
    pub secure: bool,
    /// The host the client asked the trusted proxy for, canonical, when it says so. Never used for routing.
    pub host: Option<Box<str>>,
    /// The trusted proxies between the client and us, nearest to the client first; the peer is the last.
    hops: Vec<IpAddr>,
}

/// Where a request came from that `peer` sent over a connection that is TLS or not.
///
/// `trusted` are the networks of proxies in front of us; with none, nobody's word is taken.
#[must_use]
pub fn origin(peer: IpAddr, tls: bool, headers: &HeaderMap, trusted: &[IpNet]) -> Origin {
    let peer = Origin { client: peer.to_canonical(), secure: tls, host: None, hops: Vec::new() };
    if !is_trusted(peer.client, trusted) {
        return peer;
    }
    let has = |name: &HeaderName| headers.contains_key(name);
    let x_forwarded = (has(&X_FORWARDED_FOR) || has(&X_FORWARDED_PROTO)).then(|| read_x_forwarded(&peer, trusted, headers));
    let forwarded = has(&FORWARDED).then(|| read_forwarded(&peer, trusted, headers));
    match (x_forwarded, forwarded) {
        (Some(one), Some(other)) if one.client != other.client || one.secure != other.secure => peer,
        (Some(told), _) | (None, Some(told)) => told,
        (None, None) => peer,
    }
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&address))
}

fn read_x_forwarded(peer: &Origin, trusted: &[IpNet], headers: &HeaderMap) -> Origin {
    let mut origin = peer.clone();
    // Lines and entries from the right. A line that is not text is one malformed entry.
    let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let entries = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(',')).map(|entry| address(trimmed(entry)));
    origin.walk(trusted, entries);

    // The last entry is the nearest proxy's own word; what stands before it may be the client's.
    if let Some(scheme) = last_entry(headers, &X_FORWARDED_PROTO) {
        origin.secure = scheme.eq_ignore_ascii_case("https");
    }
    origin.host = last_entry(headers, &X_FORWARDED_HOST).and_then(canonical_host);
    origin
}

fn last_entry<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let last = headers.get_all(name).iter().next_back()?;
    // What is not text is present all the same: an empty entry is neither a scheme nor a host.
    last.to_str().unwrap_or_default().rsplit(',').next().map(trimmed)
}

fn read_forwarded(peer: &Origin, trusted: &[IpNet], headers: &HeaderMap) -> Origin {
    let mut origin = peer.clone();
    let mut elements = Vec::new();
    for line in headers.get_all(FORWARDED) {
        match line.to_str().ok().and_then(elements_of) {
            Some(found) => elements.extend(found),
            // Nothing left of a malformed line is believed.
            None => elements.clear(),
        }
        if MAX_HOPS < elements.len() {
            elements.drain(..elements.len() - MAX_HOPS);
        }
    }
    if let Some(nearest) = elements.last() {
        if let Some(scheme) = &nearest.proto {
            origin.secure = scheme.eq_ignore_ascii_case("https");
        }
        origin.host = nearest.host.as_deref().and_then(canonical_host);
    }
    origin.walk(trusted, elements.iter().rev().map(|element| element.node.as_deref().and_then(address)));
    origin
}

/// One `forwarded-element` (RFC 7239 section 4), its values unquoted.
#[derive(Debug, Default)]
struct Element {
    node: Option<String>,
    proto: Option<String>,
    host: Option<String>,
}

/// The elements of one line; `None` when it breaks the grammar anywhere or names a parameter twice.
fn elements_of(line: &str) -> Option<Vec<Element>> {
    let mut elements = Vec::new();
    let mut element = Element::default();
    let mut rest = trimmed(line);
    loop {
        let (name, after) = rest.split_once('=')?;
        if name.is_empty() || !name.bytes().all(is_token_byte) {
            return None;
        }
        let (value, after) = value_of(after)?;
        let place = match name.to_ascii_lowercase().as_str() {
            "for" => Some(&mut element.node),
            "proto" => Some(&mut element.proto),
            "host" => Some(&mut element.host),
            _ => None,
        };
        if place.is_some_and(|place| place.replace(value).is_some()) {
            return None;
        }
        let after = trimmed(after);
        if after.is_empty() {
            elements.push(element);
            return Some(elements);
        }
        if let Some(next) = after.strip_prefix(',') {
            elements.push(std::mem::take(&mut element));
            rest = trimmed(next);
        } else {
            rest = trimmed(after.strip_prefix(';')?);
        }
    }
}

/// A token or quoted string at the start of `text` (RFC 9110 section 5.6), and what follows it.
fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.bytes().position(|byte| !is_token_byte(byte)).unwrap_or(text.len());
        let (token, rest) = text.split_at_checked(end)?;
        return (!token.is_empty()).then(|| (token.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return Some((value, characters.as_str())),
            '\\' => value.push(characters.next()?),
            character => value.push(character),
        }
    }
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// An address as proxies write it: bare, in brackets, or with a port behind it.
fn address(text: &str) -> Option<IpAddr> {
    let bare = match text.strip_prefix('[') {
        Some(after) => {
            let (inside, port) = after.split_once(']')?;
            let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
            return inside.parse::<std::net::Ipv6Addr>().ok().filter(|_| is_port).map(|address| IpAddr::V6(address).to_canonical());
        }
        // One colon is `v4:port`; more are an IPv6 address.
        None => match text.split_once(':') {
            Some((front, port)) if !port.contains(':') => {
                front.parse::<std::net::Ipv4Addr>().ok().filter(|_| port.parse::<u16>().is_ok()).map(IpAddr::V4)
            }
            _ => text.parse().ok(),
        },
    };
    bare.map(|address| address.to_canonical())
}

fn joined(authority: &host::Authority<'_>) -> String {
    match authority.port {
        None => authority.host.to_string(),
        Some(port) => format!("{}:{port}", authority.host),
    }
}

/// The request's canonical host, with the port that its `Host` field names.
fn with_port<'r>(request: &RequestView<'r>) -> Cow<'r, str> {
    let Ok(Some(field)) = request.sole_header(&HOST) else { return Cow::Borrowed(request.host) };
    // It has been read as this very host: where it starts with it, a port is all that can follow.
    if !request.host.is_empty()
        && field.strip_prefix(request.host).is_some_and(|rest| rest.is_empty() || rest.starts_with(':') && !rest.starts_with(":0"))
    {
        return Cow::Borrowed(field);
    }
    let port = host::authority(field).ok().and_then(|authority| authority.port);
    port.map_or(Cow::Borrowed(request.host), |port| Cow::Owned(format!("{}:{port}", request.host)))
}

/// Appends an address as it is usually written. IPv4 by hand: it is written for nearly every request, and the formatter costs
/// ten times as much.
fn push_address(text: &mut String, address: &IpAddr) {
    match address {
        IpAddr::V4(address) => {
            // At most three digits and a dot each.
            let mut written = [0_u8; 16];
            let mut end = 0;
            for octet in address.octets() {
                let digits = [octet / 100, octet / 10 % 10, octet % 10];
                let leading = if octet < 10 { 2 } else { usize::from(octet < 100) };
                for byte in digits.into_iter().skip(leading).map(|digit| b'0' + digit).chain([b'.']) {
                    if let Some(place) = written.get_mut(end) {
                        *place = byte;
                    }
                    end += 1;
                }
            }
            // Digits and dots are text; the last dot is one too many.
            text.push_str(written.get(..end - 1).and_then(|written| std::str::from_utf8(written).ok()).unwrap_or_default());
        }
        IpAddr::V6(address) => {
            // Writing to a `String` does not fail.
            let _ = write!(text, "{address}");
        }
    }
}

fn canonical_host(text: &str) -> Option<Box<str>> {
    host::authority(text).ok().map(|authority| joined(&authority).into())
}

impl Origin {
    /// Follows `entries` from the nearest on, as long as the address reached is a trusted proxy.
    fn walk(&mut self, trusted: &[IpNet], entries: impl Iterator<Item = Option<IpAddr>>) {
        for entry in entries.take(MAX_HOPS) {
            if !is_trusted(self.client, trusted) {
                return;
            }
            let Some(next) = entry else { return };
            self.hops.insert(0, self.client);
            self.client = next;
        }
    }

    /// Appends what the upstream is told, in both dialects: the client, the proxies we believed, the scheme and the host.
    ///
    /// The host is the one the client asked a trusted proxy for, when that says so, else the request's own; with neither
    /// there is none.
    pub fn outgoing(&self, request: &RequestView<'_>, set: &mut Vec<(HeaderName, HeaderValue)>) {
        let scheme = if self.secure { "https" } else { "http" };
        // An application that builds links needs the port its clients use.
        let own = with_port(request);
        let host = self.host.as_deref().unwrap_or(&own);
        // All values in one piece of memory, since each would cost one.
        let hops = 1 + self.hops.len();
        let mut text = String::with_capacity(host.len() * 2 + 32 + hops * 2 * (LONGEST_ADDRESS + 8));
        for address in std::iter::once(&self.client).chain(&self.hops) {
            if !text.is_empty() {
                text.push_str(", ");
            }
            push_address(&mut text, address);
        }
        let chain = text.len();
        for address in std::iter::once(&self.client).chain(&self.hops) {
            if chain < text.len() {
                text.push_str(", ");
            }
            let (open, close) = if address.is_ipv6() { ("for=\"[", "]\"") } else { ("for=", "") };
            text.push_str(open);
            push_address(&mut text, address);
            text.push_str(close);
        }
        // Scheme and host belong to the hop we know of, which is the last element.
        [";proto=", scheme].into_iter().for_each(|part| text.push_str(part));
        let mut shown = text.len()..text.len();
        if !host.is_empty() {
            text.push_str(";host=\"");
            shown = text.len()..text.len() + host.len();
            [host, "\""].into_iter().for_each(|part| text.push_str(part));
        }
        let text = Bytes::from(text);
        for (name, part) in [(X_FORWARDED_FOR, 0..chain), (FORWARDED, chain..text.len()), (X_FORWARDED_HOST, shown)] {
            // Addresses and canonical hosts are always valid values.
            if let Ok(value) = HeaderValue::from_maybe_shared(text.slice(part))
                && !value.is_empty()
            {
                set.push((name, value));
            }
        }
        set.push((X_FORWARDED_PROTO, HeaderValue::from_static(scheme)));
    }
}

#[cfg(test)]
mod tests;
