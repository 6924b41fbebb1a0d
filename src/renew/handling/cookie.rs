//! A cookie that a fresh credential is put into: its name, and what stands behind its value.
//!
//! Deliberately absent: a cookie without `Secure` or without `HttpOnly`.
//!
//! Rules: RFC 6265 sections 4.1.1 and 4.1.2, and the prefixes of its revision (RFC 6265bis section 4.1.3).

use crate::domain::Seconds;
use crate::renew::handling::HandTo;
use crate::settings::{Checking, KeySpec, Section, SectionSpec, Shape, Span};

/// The settings of a cookie.
pub(super) static SETTINGS: SectionSpec = SectionSpec {
    title: "a cookie",
    doc: "A cookie that carries a fresh credential. It is always `Secure` and `HttpOnly`.",
    keys: &[
        KeySpec::optional("name", Shape::Text, "Its name; that of the cookie which the old one came in, unless written."),
        KeySpec::default("path", Shape::Text, "/", "The path under which browsers send it."),
        KeySpec::optional("domain", Shape::Text, "The domain to whose hosts browsers send it; only the very host unless written."),
        KeySpec::default("same_site", Shape::OneOf(&["lax", "strict", "none"]), "lax", "Whether browsers send it from other sites."),
        KeySpec::optional(
            "max_age",
            Shape::Duration { min: 1, max: 34_560_000 },
            "How long browsers keep it; until they are closed unless written.",
        ),
    ],
};

/// The attributes of a cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cookie {
    path: Box<str>,
    domain: Option<Box<str>>,
    same_site: &'static str,
    max_age: Option<Seconds>,
}

impl Cookie {
    /// As when nothing is written.
    pub(super) fn usual() -> Self {
        Self { path: "/".into(), domain: None, same_site: "Lax", max_age: None }
    }

    pub(super) fn read(section: &Section<'_>, checking: &mut Checking<'_>) -> Option<Self> {
        let before = checking.faults.errors();
        let path = section.text("path")?;
        let is_plain = path.bytes().all(|byte| matches!(byte, 0x21..=0x7e) && byte != b';');
        if !path.starts_with('/') || !is_plain {
            checking.faults.error(
                section.span_of("path"),
                format!("`{path}` is no cookie path; it starts with `/` and holds no `;`, space or control character"),
            );
        }
        let domain = section.text("domain");
        if let Some(domain) = domain.filter(|domain| !is_domain(domain)) {
            checking.faults.error(
                section.span_of("domain"),
                format!("`{domain}` is no domain; write `example.com`, in lower case and without a dot in front"),
            );
        }
        let same_site = match section.text("same_site") {
            Some("strict") => "Strict",
            Some("none") => "None",
            _ => "Lax",
        };
        let cookie = Self { path: path.into(), domain: domain.map(Into::into), same_site, max_age: section.seconds("max_age") };
        (before == checking.faults.errors()).then_some(cookie)
    }

    /// This cookie under `name`, if its prefix allows what is written.
    pub(super) fn hand_to(&self, name: &str, span: &Span, checking: &mut Checking<'_>) -> Option<HandTo> {
        // Browsers compare the prefix without regard to case (RFC 6265bis section 5.7).
        let is_host = name.get(..7).is_some_and(|prefix| prefix.eq_ignore_ascii_case("__Host-"));
        if is_host && (self.domain.is_some() || *self.path != *"/") {
            checking
                .faults
                .error(span, format!("browsers drop a cookie `{name}` that has a `domain` or another `path` than `/`; leave them out"));
            return None;
        }
        let domain = self.domain.as_ref().map_or_else(String::new, |domain| format!("; Domain={domain}"));
        let attributes = format!("; Path={}{domain}; Secure; HttpOnly; SameSite={}", self.path, self.same_site);
        Some(HandTo::Cookie { name: name.into(), attributes: attributes.into(), max_age: self.max_age })
    }
}

/// Whether `name` may name a cookie: a token (RFC 6265 section 4.1.1).
pub(super) fn is_cookie_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}

fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        let plain = label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        plain && !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-')
    };
    domain.len() <= 253 && domain.split('.').all(is_label)
}
