//! Host names as issuers write them, and the domains they must lie in. Pure text.
//!
//! One host has one spelling here: lower case, no trailing dot, no default port, never an IP address. What is spelled
//! otherwise is another issuer's name, or nobody's. Rules: RFC 1123 section 2.1, RFC 1035 section 2.3.4.

/// The longest host name, in bytes.
const MAX_NAME: usize = 253;

/// The longest label, in bytes.
const MAX_LABEL: usize = 63;

/// A domain whose hosts are allowed, itself included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suffix(Box<str>);

impl Suffix {
    /// Reads a domain as written in the conf, a leading dot or not.
    ///
    /// # Errors
    ///
    /// A sentence for the operator.
    pub fn read(written: &str) -> Result<Self, String> {
        let name = written.strip_prefix('.').unwrap_or(written);
        if !is_name(name) {
            return Err(format!(
                "`{written}` is no domain in canonical form; write it like `hubofallthings.net`, lower case, without port"
            ));
        }
        if !name.contains('.') {
            return Err(format!("`{written}` would allow every host of a top-level domain; name the domain you trust"));
        }
        Ok(Self(name.into()))
    }

    /// Whether `issuer`, in canonical form, lies in this domain: the same labels at the end, whole.
    #[must_use]
    pub fn covers(&self, issuer: &str) -> bool {
        let (name, _) = split(issuer);
        name.strip_suffix(&*self.0).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    }
}

/// Whether `issuer` is `host` or `host:port` in the one spelling that is accepted.
#[must_use]
pub fn is_canonical(issuer: &str) -> bool {
    let (name, port) = split(issuer);
    is_name(name) && name.contains('.') && port.is_none_or(is_port)
}

fn split(issuer: &str) -> (&str, Option<&str>) {
    issuer.split_once(':').map_or((issuer, None), |(name, port)| (name, Some(port)))
}

fn is_port(port: &str) -> bool {
    // 443 is what stands there when nothing does; leading zeros would be a second spelling.
    port != "443" && !port.starts_with('0') && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
}

fn is_name(name: &str) -> bool {
    // A last label of digits (or hexadecimal) makes an IPv4 address of the whole (WHATWG URL, section 3.5).
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= MAX_NAME && name.split('.').all(is_label) && last.starts_with(|letter: char| letter.is_ascii_lowercase())
}

fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::{Suffix, is_canonical};

    #[test]
    fn a_host_has_one_spelling_and_lies_in_its_domain_by_whole_labels() {
        let domain = Suffix::read("hubat.net").unwrap();
        let long_label = format!("{}.hubat.net", "a".repeat(63));
        let longer_label = format!("{}.hubat.net", "a".repeat(64));
        let long_name = format!("{}hubat.net", "aaaaaaaaa.".repeat(25));
        let cases = [
            // issuer, allowed, what the row shows
            ("testing.hubat.net", true, "a host of the domain"),
            ("a.b.hubat.net", true, "deeper"),
            ("hubat.net", true, "the domain itself"),
            ("testing.hubat.net:9000", true, "with a port"),
            ("xn--bcher-kva.hubat.net", true, "an internationalised name as it travels"),
            (&long_label, true, "the longest label"),
            (&longer_label, false, "a longer one"),
            (&long_name, false, "a name of more than 253 bytes"),
            ("evilhubat.net", false, "the same letters, another label"),
            ("hubat.net.evil.example", false, "the domain in front"),
            ("evil.example/hubat.net", false, "the domain as a path"),
            ("evil.example?.hubat.net", false, "the domain as a query"),
            ("evil.example#.hubat.net", false, "the domain as a fragment"),
            ("evil.example\\.hubat.net", false, "a backslash"),
            ("x@evil.hubat.net", false, "a user"),
            ("evil.example:80@testing.hubat.net", false, "a user that looks like a host"),
            ("https://testing.hubat.net", false, "a scheme"),
            ("testing.hubat.net/", false, "a path"),
            ("testing.hubat.net.", false, "a trailing dot is a second spelling"),
            ("Testing.hubat.net", false, "upper case is a second spelling"),
            ("testing..hubat.net", false, "an empty label"),
            ("-a.hubat.net", false, "a label that starts with a hyphen"),
            ("a_b.hubat.net", false, "an underscore"),
            ("tésting.hubat.net", false, "letters beyond ASCII"),
            ("%74esting.hubat.net", false, "an escape"),
            ("testing.hubat.net:443", false, "the default port is a second spelling"),
            ("testing.hubat.net:09000", false, "a leading zero"),
            ("testing.hubat.net:65536", false, "no such port"),
            ("testing.hubat.net:", false, "a port that is missing"),
            ("testing.hubat.net:0", false, "port zero"),
            ("testing.hubat.net:+90", false, "a sign"),
            ("testing.hubat.net:90:90", false, "two ports"),
            ("127.0.0.1", false, "an address"),
            ("169.254.169.254", false, "the address"),
            ("[::1]", false, "an address of the other kind"),
            ("localhost", false, "this machine"),
            ("", false, "nobody"),
            ("testing.hubat.net\0", false, "NUL"),
            ("testing.hubat.net\r\nHost: x", false, "a line break"),
            (" testing.hubat.net", false, "a space"),
        ];
        for (issuer, allowed, shows) in cases {
            assert_eq!(is_canonical(issuer) && domain.covers(issuer), allowed, "{shows} ({issuer:?})");
        }
        assert!(!is_canonical("1.2.3.4") && !is_canonical("a.0x7f") && !is_canonical("a.1"), "what a URL reads as an address");
    }

    #[test]
    fn a_domain_is_named_in_full() {
        for (written, taken, shows) in [
            ("hubat.net", true, "a domain"),
            (".hubat.net", true, "with the dot people write"),
            ("net", false, "a top-level domain"),
            (".", false, "everything"),
            ("", false, "nothing"),
            ("*.hubat.net", false, "a pattern"),
            ("hubat.net:9000", false, "a port"),
            ("HUBAT.net", false, "upper case"),
            ("10.0.0.1", false, "an address"),
        ] {
            assert_eq!(Suffix::read(written).is_ok(), taken, "{shows} ({written})");
        }
    }
}
