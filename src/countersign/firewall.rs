//! Which client fields never reach an upstream, whatever their spelling.
//!
//! CGI, WSGI, PHP and Rack turn every byte of a field name that is not alphanumeric into `_` and forget the case, so
//! `X-Auth-Subject`, `x_auth_subject` and `X.Auth~Subject` are one name to them. Names are therefore compared folded:
//! lower case, every non-alphanumeric byte alike. Stripped are the names that any rule of the conf can emit, on every
//! route, and the families below that claim to be another proxy's word.
//!
//! Deliberately absent: a list of allowed fields, and any trust by route. What a trusted proxy in front of us said has
//! been read by `gate::forwarded` before and is said anew.

use std::collections::HashSet;

use http::{HeaderMap, HeaderName};

use crate::domain::Refusal;

/// Folded names that no client's field passes under, whatever the conf says.
pub const ALWAYS: &[&str] = &[
    // The identity set that upstreams expect of us by default, also where a rule emits another one.
    "x-auth-subject",
    "x-auth-issuer",
    "x-auth-scopes",
    "x-auth-method",
    "x-auth-assertion",
    // Where the request came from, in the words of proxies that are not there.
    "forwarded",
    "x-forwarded",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-originating-ip",
    "client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
    "x-proxyuser-ip",
    "front-end-https",
    "x-scheme",
    "x-url-scheme",
    "x-request-id",
    // Another target or host than the one that was judged.
    "x-host",
    "x-http-host-override",
    "x-rewrite-url",
    "x-http-destinationurl",
    "x-proxy-url",
    // Another method than the one that was judged.
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    // Another proxy's verdict about the caller.
    "remote-user",
    "x-client-cert",
    "x-client-dn",
    "x-client-verify",
    "proxy-authorization",
    "proxy-authenticate",
    "proxy-connection",
    "www-authenticate",
    // CGI turns it into HTTP_PROXY, which clients of the upstream obey.
    "proxy",
];

/// Folded beginnings that no client's field passes under.
pub const ALWAYS_PREFIXES: &[&str] =
    &["x-forwarded-", "x-original-", "x-remote-", "x-envoy-", "x-middleware-", "x-ssl-", "ssl-client-", "x-internal-"];

/// `name` in lower case, every byte that is not a letter or digit as `-`. Folding twice changes nothing.
#[must_use]
pub fn fold(name: &str) -> String {
    name.bytes().map(|byte| char::from(fold_byte(byte))).collect()
}

/// Whether `left` and `right` are one name once folded.
#[must_use]
pub fn same_folded(left: &str, right: &str) -> bool {
    left.len() == right.len() && left.bytes().zip(right.bytes()).all(|(left, right)| fold_byte(left) == fold_byte(right))
}

const fn fold_byte(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' | b'0'..=b'9' => byte,
        b'A'..=b'Z' => byte.to_ascii_lowercase(),
        _ => b'-',
    }
}

/// Why a countersigner may not emit field `name`; `None` when it may.
///
/// These are framing, hop-by-hop, the client's own credentials, and what the proxy itself says.
#[must_use]
pub fn reserved(name: &HeaderName) -> Option<&'static str> {
    const FRAMING: &[&str] =
        &["host", "content-length", "transfer-encoding", "content-type", "content-encoding", "expect", "date", "range"];
    const HOPS: &[&str] =
        &["connection", "keep-alive", "te", "trailer", "upgrade", "http2-settings", "proxy", "proxy-connection", "proxy-authorization"];
    const CREDENTIALS: &[&str] = &["authorization", "cookie", "set-cookie", "www-authenticate", "proxy-authenticate"];
    const OURS: &[&str] = &["forwarded", "x-forwarded", "x-real-ip", "x-request-id", "traceparent", "tracestate", "via"];
    let folded = fold(name.as_str());
    let is_in = |list: &[&str]| list.contains(&folded.as_str());
    if is_in(FRAMING) {
        Some("it says how the message is read")
    } else if is_in(HOPS) {
        Some("it belongs to one connection and not to the request")
    } else if is_in(CREDENTIALS) {
        Some("it carries credentials; `upstream_credential` is the way to send one")
    } else if is_in(OURS) || folded.starts_with("x-forwarded-") {
        Some("the proxy itself sets it")
    } else {
        None
    }
}

/// The names to strip, ready to be asked for every field of every request.
#[derive(Debug)]
pub struct Firewall {
    /// Folded names.
    names: HashSet<Box<[u8]>, ahash::RandomState>,
    /// By folded first byte, which lengths a name to strip can have: bit `n` for `n` bytes, the last for longer ones.
    lengths: Box<[u64; 256]>,
    /// Folded names in which this conf looks for credentials. They pass, but may not be nominated as hop-by-hop.
    credentials: HashSet<String, ahash::RandomState>,
}

/// The longest name that is folded without allocating.
const USUAL: usize = 64;

impl Firewall {
    /// The most fields of one request that may be stripped. More is no accident, and costs us, so it is refused.
    pub const MAX_STRIPPED: usize = 32;

    /// A firewall for the names that any rule can emit, besides those that are always stripped.
    #[must_use]
    pub fn new<'n>(emitted: impl IntoIterator<Item = &'n HeaderName>) -> Self {
        let emitted = emitted.into_iter().map(HeaderName::as_str);
        let names: HashSet<Box<[u8]>, _> =
            ALWAYS.iter().copied().chain(emitted).map(|name| fold(name).into_bytes().into_boxed_slice()).collect();
        let mut lengths = Box::new([0_u64; 256]);
        for name in &names {
            if let Some(mask) = name.first().and_then(|first| lengths.get_mut(usize::from(*first))) {
                *mask |= length_bit(name.len());
            }
        }
        Self { names, lengths, credentials: HashSet::default() }
    }

    /// The same, knowing the fields in which this conf looks for credentials.
    #[must_use]
    pub fn with_credentials<'n>(mut self, names: impl IntoIterator<Item = &'n HeaderName>) -> Self {
        self.credentials.extend(names.into_iter().map(|name| fold(name.as_str())));
        self
    }

    /// Whether `Connection` must not name this field, in whatever spelling: it decides who is calling, or how the message
    /// is read, so a request without it is another request.
    #[must_use]
    pub fn protects(&self, name: &HeaderName) -> bool {
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
        let folded = fold(name.as_str());
        // Old clients nominate `Proxy-Connection` in good faith; it is stripped, and dropping it changes nothing.
        let is_harmless = folded == "proxy-connection";
        PROTECTED.contains(&folded.as_str()) || self.credentials.contains(&folded) || self.strips(name) && !is_harmless
    }

    /// Whether a client's field of this name must not reach the upstream.
    #[must_use]
    pub fn strips(&self, name: &HeaderName) -> bool {
        let name = name.as_str().as_bytes();
        let Some(first) = name.first().map(|first| fold_byte(*first)) else { return false };
        let is_possible = self.lengths.get(usize::from(first)).is_some_and(|mask| mask & length_bit(name.len()) != 0);
        is_possible && self.names_it(name) || ALWAYS_PREFIXES.iter().any(|prefix| starts_folded(name, prefix.as_bytes()))
    }

    /// Whether a client's field of this name is nobody's word: it is stripped, and no credential of the client's own.
    #[must_use]
    pub fn is_forgery(&self, name: &HeaderName) -> bool {
        self.strips(name) && !self.credentials.contains(&fold(name.as_str()))
    }

    /// Appends the names of all fields in `headers` that must be stripped to `remove`, each once.
    ///
    /// # Errors
    ///
    /// [`Refusal::HeadMalformed`] when there are more than [`Self::MAX_STRIPPED`] such fields.
    pub fn sweep(&self, headers: &HeaderMap, remove: &mut Vec<HeaderName>) -> Result<(), Refusal> {
        let mut fields = 0_usize;
        for name in headers.keys().filter(|name| self.strips(name)) {
            fields += headers.get_all(name).iter().count();
            if Self::MAX_STRIPPED < fields {
                return Err(Refusal::HeadMalformed);
            }
            remove.push(name.clone());
        }
        Ok(())
    }

    fn names_it(&self, name: &[u8]) -> bool {
        let mut usual = [0_u8; USUAL];
        match usual.get_mut(..name.len()) {
            Some(folded) => {
                folded.iter_mut().zip(name).for_each(|(folded, byte)| *folded = fold_byte(*byte));
                self.names.contains(&*folded)
            }
            None => self.names.contains(name.iter().map(|byte| fold_byte(*byte)).collect::<Vec<u8>>().as_slice()),
        }
    }
}

fn length_bit(length: usize) -> u64 {
    1 << length.min(63)
}

fn starts_folded(name: &[u8], prefix: &[u8]) -> bool {
    name.len() >= prefix.len() && name.iter().zip(prefix).all(|(byte, wanted)| fold_byte(*byte) == *wanted)
}

#[cfg(test)]
mod tests;
