//! Where a browser may be sent away to, and come back to: addresses that the conf writes down, and no others.
//!
//! Whoever asks may choose among them, by writing one exactly as it stands there; nothing is compared by parts, so nothing that a browser
//! reads otherwise than we do can be made to look like one (RFC 6749 section 10.15, RFC 9700 section 2.1).

use url::Url;

use crate::settings::{Checking, KeySpec, Section, Shape};

/// The addresses.
pub(super) const REDIRECT_KEY: KeySpec = KeySpec::required(
    "redirect_uris",
    Shape::List { of: &Shape::Text, lone: true, min: 1 },
    "Where the browser comes back to: absolute https URLs (http on loopback). The first, unless the request names another of them as \
     `redirect_uri`, byte for byte.",
);

/// The addresses of one service. At least one.
#[derive(Debug, Clone)]
pub(super) struct Away(Box<[Box<str>]>);

impl Away {
    /// Reads `redirect_uris` of `section`, or notes every fault.
    pub(super) fn read(section: &Section<'_>, checking: &mut Checking<'_>) -> Option<Self> {
        let before = checking.faults.errors();
        let mut places: Vec<Box<str>> = Vec::new();
        for node in section.items(REDIRECT_KEY.name) {
            let text = node.as_text().unwrap_or_default();
            match fault_of(text) {
                Some(says) => checking.faults.error(&node.span, says),
                None if places.iter().any(|place| **place == *text) => checking.faults.error(&node.span, "this address stands here twice"),
                None => places.push(text.into()),
            }
        }
        (before == checking.faults.errors() && !places.is_empty()).then(|| Self(places.into()))
    }

    /// The address that `wanted` is, or the first where nothing is wanted; `None` when it is none of them.
    pub(super) fn choose(&self, wanted: Option<&str>) -> Option<&str> {
        match wanted {
            None => self.0.first().map(|place| &**place),
            Some(wanted) => self.0.iter().map(|place| &**place).find(|place| *place == wanted),
        }
    }
}

/// What is wrong with `text` as an address that a browser is sent to, if anything.
pub(super) fn fault_of(text: &str) -> Option<String> {
    let url = Url::parse(text).ok().filter(|url| url.has_host() && text.bytes().all(|byte| byte.is_ascii_graphic()));
    let Some(url) = url else { return Some(format!("`{}` is no absolute URL", text.escape_debug())) };
    let here = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if url.scheme() != "https" && !(url.scheme() == "http" && here) {
        return Some(format!(
            "`{text}` is not https (http is for loopback): whoever sits on the way would read what comes with the browser"
        ));
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Some(format!("`{text}` has a user or a fragment; write the address alone"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Away, fault_of};

    #[test]
    fn an_address_is_taken_byte_for_byte_or_not_at_all() {
        let away = Away(["https://app.example/callback".into(), "https://app.example/other?a=b".into()].into());
        let first = Some("https://app.example/callback");
        let rows = [
            (None, first, "the first, where nothing is wanted"),
            (first, first, "the same"),
            (Some("https://app.example/other?a=b"), Some("https://app.example/other?a=b"), "another of them"),
            (Some("https://app.example/callback/"), None, "almost the same"),
            (Some("https://app.example/callback?next=https://evil.example"), None, "more than that"),
            (Some("https://APP.example/callback"), None, "another spelling"),
            (Some("https://app.example@evil.example/callback"), None, "a user that looks like a host (L8)"),
            (Some("https://app.example.evil.example/callback"), None, "a longer name (L2)"),
            (Some("//evil.example"), None, "a host alone (L1)"),
            (Some("javascript:alert(1)"), None, "another scheme"),
            (Some(""), None, "nothing at all"),
        ];
        for (wanted, expected, shows) in rows {
            assert_eq!(away.choose(wanted), expected, "{shows}");
        }
        let rows = [
            ("https://app.example/callback", true, "https"),
            ("http://127.0.0.1:8080/callback", true, "this machine"),
            ("http://localhost:8080/callback", true, "by name"),
            ("http://app.example/callback", false, "plaintext to anywhere else"),
            ("http://localhost.evil.example/", false, "a name that starts like it"),
            ("/callback", false, "a path"),
            ("https://user@app.example/", false, "a user"),
            ("https://app.example/#x", false, "a fragment"),
            ("myapp://callback", false, "an application's own scheme"),
            ("https://app.example/a b", false, "a space"),
        ];
        for (text, good, shows) in rows {
            assert_eq!(fault_of(text).is_none(), good, "{shows}: {text}");
        }
    }
}
