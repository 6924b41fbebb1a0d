//! Which addresses we may call, and which never.
//!
//! Nothing here opens a socket. What is judged is the address that a connection is about to be made to, after
//! resolution, so that a name which changes its answer between check and use gains nothing; IP literals in a URL are
//! judged the same way. Transition addresses (IPv4-mapped, 6to4, NAT64) are judged by the IPv4 address they lead to.
//!
//! Sources: the IANA special-purpose registries (RFC 6890, RFC 8190), RFC 4291, RFC 3056 (6to4), RFC 6052 (NAT64),
//! RFC 4380 (Teredo), and the addresses at which clouds serve the credentials of the machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Where the host of a URL comes from, and so how far it may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// The operator wrote it. May be private or loopback, never link-local or a metadata address.
    Configured,
    /// A credential named it. Public addresses only.
    FromToken,
}

/// Whether a connection to `address` may be made.
///
/// # Security
///
/// A wrong `true` lets a token make us ask machines that only we can reach, the cloud's credential service among them.
#[must_use]
pub fn permits(address: IpAddr, reach: Reach) -> bool {
    match address {
        IpAddr::V4(address) => permits_v4(address, reach),
        IpAddr::V6(address) => permits_v6(address, reach),
    }
}

/// Whether the host of `url` may be called as far as can be told before resolution: an IP literal is judged here,
/// a name when it has been resolved.
#[must_use]
pub fn permits_literal(url: &Url, reach: Reach) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => permits_v4(address, reach),
        Some(Host::Ipv6(address)) => permits_v6(address, reach),
        Some(Host::Domain(name)) => !name.is_empty() && (reach == Reach::Configured || !is_localhost(name)),
        None => false,
    }
}

/// Whether `url` may be asked without TLS being missed: `https`, or `http` to this very machine.
#[must_use]
pub fn plaintext_allowed(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => is_localhost(name),
            None => false,
        },
        _ => false,
    }
}

/// Whether `name` means this machine whatever a resolver says (RFC 6761 section 6.3).
#[must_use]
pub fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit('.').next().unwrap_or(name);
    last.eq_ignore_ascii_case("localhost")
}

/// Where clouds serve the machine's own credentials or configuration, beyond the link-local range.
const METADATA_V4: &[Ipv4Addr] = &[
    Ipv4Addr::new(100, 100, 100, 200), // Alibaba Cloud
    Ipv4Addr::new(168, 63, 129, 16),   // Azure, host agent
    Ipv4Addr::new(192, 0, 0, 192),     // Oracle Cloud, classic
];

/// The same in IPv6.
const METADATA_V6: &[Ipv6Addr] = &[
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254),    // AWS
    Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254),    // Google Cloud
    Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe), // Oracle Cloud
];

fn permits_v4(address: Ipv4Addr, reach: Reach) -> bool {
    let [first, second, third, _] = address.octets();
    let never = first == 0 // "this network", which systems take for themselves
        || address.is_link_local()
        || address.is_multicast()
        || 240 <= first // reserved, and broadcast
        || METADATA_V4.contains(&address);
    if never {
        return false;
    }
    match reach {
        Reach::Configured => true,
        Reach::FromToken => {
            let reserved = match (first, second) {
                (100, 64..=127) => true, // shared by carriers, RFC 6598
                (192, 0) => third == 0 || third == 2,
                (192, 88) => third == 99, // 6to4 relays, RFC 7526
                (198, 18 | 19) => true,   // benchmarks, RFC 2544
                (198, 51) => third == 100,
                (203, 0) => third == 113,
                _ => false,
            };
            !(address.is_loopback() || address.is_private() || reserved)
        }
    }
}

fn permits_v6(address: Ipv6Addr, reach: Reach) -> bool {
    if let Some(inner) = carried_v4(address) {
        return permits_v4(inner, reach);
    }
    let [first, second, third, ..] = address.segments();
    let never = address.is_unspecified()
        || address.is_multicast()
        || first & 0xffc0 == 0xfe80 // link-local
        || (first, second) == (0x2001, 0) // Teredo: leads to an IPv4 address of the sender's choice
        || METADATA_V6.contains(&address);
    if never {
        return false;
    }
    match reach {
        Reach::Configured => true,
        // Global unicast is 2000::/3 and nothing else, less what is set aside for documents and tests.
        Reach::FromToken => {
            first & 0xe000 == 0x2000
                && !(first == 0x2001 && second < 0x0200)
                && !(first == 0x2001 && second == 0x0db8)
                && !(first == 0x3fff && second < 0x1000)
                && !(first == 0x2620 && second == 0x004f && third == 0x8000) // AS112, RFC 7534
        }
    }
}

/// The IPv4 address that a transition address leads to.
fn carried_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let tail = || {
        let [high, low] = [g.to_be_bytes(), h.to_be_bytes()];
        Ipv4Addr::from([high[0], high[1], low[0], low[1]])
    };
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0xffff) => Some(tail()), // IPv4-mapped
        // IPv4-compatible, long gone; `::` and `::1` are addresses of their own.
        (0, 0, 0, 0, 0, 0) if g != 0 => Some(tail()),
        (0, 0, 0, 0, 0xffff, 0) => Some(tail()),           // IPv4-translated, RFC 2765
        (0x0064, 0xff9b, 0, 0, 0, 0) => Some(tail()),      // NAT64, well-known prefix
        (0x0064, 0xff9b, 0x0001, _, _, _) => Some(tail()), // NAT64, local prefix, RFC 8215
        (0x2002, _, _, _, _, _) => {
            let [high, low] = [b.to_be_bytes(), c.to_be_bytes()];
            Some(Ipv4Addr::from([high[0], high[1], low[0], low[1]]))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
