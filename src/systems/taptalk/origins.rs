//! Which pages may read an answer that the proxy itself has written.
//!
//! The web client calls from another origin. A preflight lets it ask (`preflight` of the rule); that its browser shows it the answer
//! takes a field on the answer too. A refusal without that field is a broken connection to the page, which then neither refreshes nor
//! logs out. Answers of the upstream bring their own.
//!
//! Never here: cookies of other origins; these clients have none.
//!
//! Rules: Fetch standard section 3.2 (`Access-Control-Allow-Origin`), RFC 9110 section 12.5.5 (`Vary`).

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ORIGIN, VARY};
use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::settings::{Checking, KeySpec, Section, Shape};
use crate::systems::taptalk::client::sole;

/// The key that names them, for whoever writes answers.
pub const ORIGINS_KEY: KeySpec = KeySpec::default(
    "origins",
    Shape::List { of: &Shape::Text, lone: true, min: 0 },
    "[]",
    "Origins whose pages may read what the proxy answers itself: `https://app.example`, or `*` for any. Those of `preflight`.",
);

/// Origins, proven.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins {
    named: Box<[HeaderValue]>,
    any: bool,
}

impl Origins {
    /// Reads the key `origins` of `section`; `None` after a fault.
    pub fn plan(section: &Section<'_>, checking: &mut Checking<'_>) -> Option<Self> {
        let (mut named, mut any) = (Vec::new(), false);
        let before = checking.faults.errors();
        for item in section.items("origins") {
            let Some(written) = item.as_text() else { continue };
            if written == "*" {
                any = true;
                continue;
            }
            let url = Url::parse(written).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
            match url.map(|url| url.origin().ascii_serialization()) {
                Some(origin) if origin == written => named.extend(HeaderValue::from_str(written).ok()),
                Some(origin) => checking.faults.error(&item.span, format!("browsers write this origin `{origin}`; write it so")),
                None => checking.faults.error(&item.span, "this is no origin; write `https://app.example`"),
            }
        }
        (checking.faults.errors() == before).then(|| Self { named: named.into(), any })
    }

    /// The fields of an answer to a request with these `headers`.
    #[must_use]
    pub fn fields(&self, headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
        if self.any {
            return vec![(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"))];
        }
        if self.named.is_empty() {
            return Vec::new();
        }
        let vary = (VARY, HeaderValue::from_static("Origin"));
        match sole(headers, &ORIGIN).ok().and_then(|origin| self.named.iter().find(|named| **named == *origin)) {
            Some(named) => vec![(ACCESS_CONTROL_ALLOW_ORIGIN, named.clone()), vary],
            None => vec![vary],
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::ORIGIN;
    use http::{HeaderMap, HeaderValue};

    use super::Origins;

    #[test]
    fn only_pages_that_are_named_may_read_an_answer() {
        let app = HeaderValue::from_static("https://app.example");
        let named = Origins { named: Box::new([app]), any: false };
        let rows: [(&Origins, &[&str], Option<&str>, &str); 7] = [
            (&named, &["https://app.example"], Some("https://app.example"), "the page that is named"),
            (&named, &["https://app.example:8443"], None, "another port"),
            (&named, &["https://evil.example"], None, "another page"),
            (&named, &[], None, "no page at all"),
            (&named, &["https://app.example", "https://app.example"], None, "two, even alike"),
            (&Origins::default(), &["https://app.example"], None, "nobody is named"),
            (&Origins { named: Box::default(), any: true }, &["https://any.example"], Some("*"), "any"),
        ];
        for (origins, sent, expected, shows) in rows {
            let headers: HeaderMap = sent.iter().map(|origin| (ORIGIN, HeaderValue::from_str(origin).unwrap())).collect();
            let fields = origins.fields(&headers);
            let allowed: Vec<_> = fields.iter().filter(|(name, _)| *name == "access-control-allow-origin").collect();
            assert_eq!(allowed.first().map(|(_, value)| value.to_str().unwrap()), expected, "{shows}");
            assert!(allowed.len() <= 1, "{shows}");
        }
    }
}
