//! A credential of ours for the upstream, added to what is forwarded.
//!
//! The secret is read once, when the conf is; the field that carries it is marked sensitive, so that it is neither
//! printed nor indexed by HTTP/2 compression. Clients never see it, and never supply it: it replaces whatever stood
//! under its name.
//!
//! Deliberately absent: credentials that depend on the caller (see `assertion`), and renewal of what is added here.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use zeroize::Zeroizing;

use crate::countersign::contract::{CountersignTools, Countersigner, CountersignerEntry, CountersignerPlan};
use crate::countersign::firewall::reserved;
use crate::domain::{Identity, Refusal, RequestView, Secret, Timestamp};
use crate::settings::{Checking, Choice, KeySpec, Node, Section, SectionSpec, Shape, Span};

/// The line on the roll-call.
pub const ENTRY: CountersignerEntry = CountersignerEntry {
    name: "upstream_credential",
    doc: "A credential of our own that the upstream asks for.",
    shape: Shape::Kind { what: "upstream credential", kinds, beside: &[] },
    plan,
};

fn kinds() -> Vec<Choice> {
    vec![
        Choice { name: "bearer", shape: Shape::Secret, doc: "`Authorization: Bearer` with this token." },
        Choice { name: "basic", shape: Shape::Section(&BASIC), doc: "`Authorization: Basic` with this user and password (RFC 7617)." },
        Choice { name: "server_key", shape: Shape::Section(&SERVER_KEY), doc: "`Server-Key` with base64 of `id:secret`." },
        Choice { name: "header", shape: Shape::Section(&HEADER), doc: "Any header field." },
    ]
}

static BASIC: SectionSpec = SectionSpec {
    title: "`basic`",
    doc: "User and password.",
    keys: &[
        KeySpec::required("user", Shape::Text, "The user; holds no `:`."),
        KeySpec::required("password", Shape::Secret, "The password."),
    ],
};

static SERVER_KEY: SectionSpec = SectionSpec {
    title: "`server_key`",
    doc: "A server key of the upstream's.",
    keys: &[
        KeySpec::required("id", Shape::Text, "The key's id; holds no `:`."),
        KeySpec::required("secret", Shape::Secret, "The key's secret."),
        KeySpec::default("header", Shape::HeaderName, "Server-Key", "The field that carries it."),
    ],
};

static HEADER: SectionSpec = SectionSpec {
    title: "`header`",
    doc: "A header field with a secret value.",
    keys: &[
        KeySpec::required("name", Shape::HeaderName, "The field's name."),
        KeySpec::required("value", Shape::Secret, "The secret."),
        KeySpec::optional("prefix", Shape::Text, "Text in front of the secret, its trailing space included: `\"Token \"`."),
    ],
};

/// The field that is added, proven.
#[derive(Clone)]
struct UpstreamCredential {
    name: HeaderName,
    /// Sensitive.
    value: HeaderValue,
}

impl std::fmt::Debug for UpstreamCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "UpstreamCredential({}, {} bytes)", self.name, self.value.len())
    }
}

fn plan(node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn CountersignerPlan>> {
    let kind = node.sole_entry()?;
    let (name, text) = match kind.key.as_str() {
        "bearer" => {
            let token = checking.secret(&kind.node)?;
            (AUTHORIZATION, prefixed("Bearer ", &token))
        }
        "basic" => {
            let section = Section::open(&BASIC, &kind.node, checking.faults)?;
            let pair = pair(section.text("user")?, section.node("password")?, section.span_of("user"), checking)?;
            (AUTHORIZATION, prefixed("Basic ", &pair))
        }
        "server_key" => {
            let section = Section::open(&SERVER_KEY, &kind.node, checking.faults)?;
            let name = allowed(section.header("header")?, section.span_of("header"), checking)?;
            let pair = pair(section.text("id")?, section.node("secret")?, section.span_of("id"), checking)?;
            (name, prefixed("", &pair))
        }
        _ => {
            let section = Section::open(&HEADER, &kind.node, checking.faults)?;
            let name = allowed(section.header("name")?, section.span_of("name"), checking)?;
            let value = checking.secret(section.node("value")?)?;
            (name, prefixed(section.text("prefix").unwrap_or_default(), &value))
        }
    };
    let is_plain = text.iter().all(|byte| matches!(byte, 0x20..=0x7e));
    let is_trimmed = text.trim_ascii().len() == text.len();
    let value = HeaderValue::from_bytes(&text).ok().filter(|_| is_plain && is_trimmed);
    let Some(mut value) = value else {
        checking.faults.error(
            &kind.node.span,
            "this secret holds characters that a header field cannot carry (line breaks, controls, spaces at an end)",
        );
        return None;
    };
    value.set_sensitive(true);
    Some(Box::new(UpstreamCredential { name, value }))
}

/// base64 of `id:secret`.
fn pair(id: &str, secret: &Node, id_span: &Span, checking: &mut Checking<'_>) -> Option<Secret> {
    if id.contains(':') || id.bytes().any(|byte| byte.is_ascii_control()) {
        checking.faults.error(id_span, "this must not hold `:` or control characters: what comes after the first `:` is the secret");
        return None;
    }
    let secret = checking.secret(secret)?;
    let mut pair = Zeroizing::new(Vec::with_capacity(id.len() + 1 + secret.len()));
    pair.extend_from_slice(id.as_bytes());
    pair.push(b':');
    pair.extend_from_slice(secret.expose());
    Some(Secret::new(STANDARD.encode(&*pair).into_bytes()))
}

fn prefixed(prefix: &str, secret: &Secret) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(Vec::with_capacity(prefix.len() + secret.len()));
    text.extend_from_slice(prefix.as_bytes());
    text.extend_from_slice(secret.expose());
    text
}

fn allowed(name: HeaderName, span: &Span, checking: &mut Checking<'_>) -> Option<HeaderName> {
    // `Authorization` is reserved for identity headers, not for credentials.
    match reserved(&name) {
        Some(why) if name != AUTHORIZATION => {
            checking.faults.error(span, format!("`{name}` cannot carry a credential: {why}"));
            None
        }
        _ => Some(name),
    }
}

impl CountersignerPlan for UpstreamCredential {
    /// Fields in which clients present credentials of their own are not named: a route without this countersigner may
    /// well pass them on. Where it is used, its field replaces the client's.
    fn names(&self) -> Vec<HeaderName> {
        let is_presented_by_clients = self.name == AUTHORIZATION || self.name.as_str() == "server-key";
        if is_presented_by_clients { Vec::new() } else { vec![self.name.clone()] }
    }

    fn is_credential(&self) -> bool {
        true
    }

    fn build(&self, _tools: &CountersignTools) -> Result<Arc<dyn Countersigner>, String> {
        Ok(Arc::new(self.clone()))
    }
}

impl Countersigner for UpstreamCredential {
    fn sign(
        &self,
        _identity: Option<&Identity>,
        _request: &RequestView<'_>,
        _now: Timestamp,
        out: &mut Vec<(HeaderName, HeaderValue)>,
    ) -> Result<(), Refusal> {
        out.push((self.name.clone(), self.value.clone()));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
