//! Where the metadata of an issuer is found, and where it may send us.
//!
//! Reading the document is `jose::metadata`'s business; here are the two questions about its addresses.
//!
//! Rules: OpenID Connect Discovery 1.0 section 4, RFC 8414 section 3.

use url::Url;

use crate::net::guard::{Reach, permits_literal, plaintext_allowed};

/// The largest discovery document that is read, in bytes.
pub const MAX_DOCUMENT: usize = 128 * 1_024;

/// Where the document of `issuer` is: behind its path, less a final slash. `None` when `issuer` is no URL under which
/// anything can be discovered: https (or http to this machine), without query, fragment and user.
#[must_use]
pub fn document_of(issuer: &str) -> Option<Url> {
    let url = Url::parse(issuer).ok()?;
    let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    if !plain || !plaintext_allowed(&url) || !permits_literal(&url, Reach::Configured) {
        return None;
    }
    let base = issuer.strip_suffix('/').unwrap_or(issuer);
    Url::parse(&format!("{base}/.well-known/openid-configuration")).ok()
}

/// Whether `document` may send us on to `url`: a provider that is asked over TLS never to plaintext, loopback included.
#[must_use]
pub fn may_lead(document: &Url, url: &Url) -> bool {
    if document.scheme() == "https" { url.scheme() == "https" } else { plaintext_allowed(url) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_stands_behind_the_issuers_own_path() {
        let cases = [
            ("https://id.example", Some("https://id.example/.well-known/openid-configuration"), "without a path"),
            ("https://id.example/", Some("https://id.example/.well-known/openid-configuration"), "a final slash is not doubled"),
            ("https://id.example/realms/a", Some("https://id.example/realms/a/.well-known/openid-configuration"), "behind a path"),
            ("http://127.0.0.1:4000", Some("http://127.0.0.1:4000/.well-known/openid-configuration"), "plaintext to this machine"),
            ("http://id.example", None, "plaintext to another"),
            ("https://169.254.169.254", None, "the machine's own credentials"),
            ("https://user@id.example", None, "a user"),
            ("https://id.example?a=b", None, "a query"),
            ("https://id.example#a", None, "a fragment"),
            ("id.example", None, "no URL"),
        ];
        for (issuer, expected, shows) in cases {
            assert_eq!(document_of(issuer).as_ref().map(Url::as_str), expected, "{shows}: {issuer}");
        }
    }

    #[test]
    fn nobody_is_sent_from_tls_to_plaintext() {
        let cases = [
            ("https://id.example/d", "https://other.example/token", true, "another host is the provider's own choice"),
            ("https://id.example/d", "http://127.0.0.1/token", false, "even to this machine"),
            ("http://127.0.0.1/d", "http://127.0.0.1/token", true, "plaintext stays on this machine"),
            ("http://127.0.0.1/d", "http://id.example/token", false, "and does not leave it"),
            ("http://127.0.0.1/d", "https://id.example/token", true, "TLS is always fine"),
        ];
        for (document, url, expected, shows) in cases {
            assert_eq!(may_lead(&Url::parse(document).unwrap(), &Url::parse(url).unwrap()), expected, "{shows}: {document} {url}");
        }
    }
}
