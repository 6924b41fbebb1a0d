//! A short-lived signed statement of who is calling, for upstreams that check signatures instead of trusting fields.
//!
//! A JWT under our own key: `iss` and `aud` as configured, `sub` and `sub_iss` (a subject is unique only together with its
//! issuer), `scope`, `scheme`, `iat`, `exp`, `jti`, and the claims the conf names. It lives a minute by default, five at
//! most, and never longer than the credential it speaks for. The header names the key (`kid`), and `serve: jwks` publishes it.
//!
//! Deliberately absent: symmetric keys (an upstream that can check could then also sign), reuse of one statement for several
//! requests, and any claim that the identity does not carry.
//!
//! Rules: RFC 7519, RFC 8725 (section 3.11: the `typ` tells these tokens from all others), RFC 9068 section 2.2 for `scope`.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value as Json, json};

use crate::countersign::contract::{CountersignTools, Countersigner, CountersignerEntry, CountersignerPlan};
use crate::countersign::firewall::reserved;
use crate::domain::{Identity, Random, Refusal, RequestView, Seconds, Timestamp};
use crate::jose::algorithm::Family;
use crate::jose::base64url;
use crate::jose::json;
use crate::jose::mint::{MintFault, SigningKey};
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape};

/// The line on the roll-call.
pub const ENTRY: CountersignerEntry = CountersignerEntry {
    name: "assertion",
    doc: "A short-lived JWT under our own key that says who is calling.",
    shape: Shape::Section(&SETTINGS),
    plan,
};

/// The `typ` of our statements.
pub const TYPE: &str = "assertion+jwt";

static SETTINGS: SectionSpec = SectionSpec {
    title: "an `assertion`",
    doc: "A short-lived JWT under our own key that says who is calling.",
    keys: &[
        KeySpec::required(
            "key",
            Shape::Secret,
            "The private key, as PEM (PKCS#8, or PKCS#1/SEC1): Ed25519, P-256/384/521, or RSA from 2048 bits.",
        ),
        KeySpec::required("issuer", Shape::Text, "The `iss` of the statement: this proxy's own name, such as its public URL."),
        KeySpec::required("audience", Shape::Text, "The `aud` of the statement: the upstream it is meant for, and no other."),
        KeySpec::default("header", Shape::HeaderName, "X-Auth-Assertion", "The field that carries it."),
        KeySpec::default("life", Shape::Duration { min: 5, max: 300 }, "60s", "How long a statement is good for."),
        KeySpec::optional(
            "claims",
            Shape::List { of: &Shape::Text, lone: true, min: 1 },
            "Names of claims to copy from the identity, where it has them.",
        ),
    ],
};

/// Names that a copied claim must not have: they are ours to say.
const OURS: [&str; 11] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sub_iss", "scope", "scheme", "cnf"];

/// The settings, proven.
#[derive(Clone)]
struct AssertionPlan {
    key: Arc<SigningKey>,
    issuer: Box<str>,
    audience: Box<str>,
    header: HeaderName,
    life: Seconds,
    claims: Box<[Box<str>]>,
}

impl std::fmt::Debug for AssertionPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AssertionPlan({} in {}, {}, {} s)", self.audience, self.header, self.key.algorithm().name(), self.life.0)
    }
}

fn plan(node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn CountersignerPlan>> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let before = checking.faults.errors();

    let key = read_key(&section, checking);
    let header = section.header("header")?;
    if let Some(why) = reserved(&header) {
        checking.faults.error(
            section.span_of("header"),
            format!("`{header}` cannot carry an assertion: {why}; choose a name such as `X-Auth-Assertion`"),
        );
    }
    let claims = section.texts("claims");
    if let Some(name) = claims.iter().find(|name| OURS.contains(name)) {
        checking.faults.error(section.span_of("claims"), format!("`{name}` is a claim that the assertion itself makes; leave it out"));
    }
    let plan = AssertionPlan {
        key: Arc::new(key?),
        issuer: section.text("issuer")?.into(),
        audience: section.text("audience")?.into(),
        header,
        life: section.seconds("life")?,
        claims: claims.into_iter().map(Into::into).collect(),
    };
    (checking.faults.errors() == before).then(|| Box::new(plan) as Box<dyn CountersignerPlan>)
}

fn read_key(section: &Section<'_>, checking: &mut Checking<'_>) -> Option<SigningKey> {
    let secret = checking.secret(section.node("key")?)?;
    let span = section.span_of("key");
    let key = std::str::from_utf8(secret.expose())
        .map_err(|_| MintFault::Key("it is not text"))
        .and_then(|text| SigningKey::from_pem(text, None));
    match key {
        Ok(key) => {
            if key.algorithm().family() == Family::Rsa {
                checking
                    .faults
                    .warn(span, "signing with RSA costs about a millisecond a request; an Ed25519 or P-256 key costs a fiftieth of that");
            }
            Some(key)
        }
        Err(fault) => {
            checking
                .faults
                .error(span, format!("{fault}; write a reference to a PEM file, as made by `openssl genpkey -algorithm ed25519`"));
            None
        }
    }
}

impl CountersignerPlan for AssertionPlan {
    fn names(&self) -> Vec<HeaderName> {
        vec![self.header.clone()]
    }

    fn signs(&self) -> bool {
        true
    }

    fn build(&self, tools: &CountersignTools) -> Result<Arc<dyn Countersigner>, String> {
        Ok(Arc::new(Assertion { plan: self.clone(), random: Arc::clone(&tools.random) }))
    }
}

/// Signs one statement per request.
struct Assertion {
    plan: AssertionPlan,
    random: Arc<dyn Random>,
}

impl Assertion {
    /// What is said about `identity` as of `now`.
    fn statement(&self, identity: &Identity, now: Timestamp) -> Result<Json, Refusal> {
        let plan = &self.plan;
        let mut nonce = [0_u8; 16];
        self.random.fill(&mut nonce);
        let end = now.plus(plan.life);
        let end = identity.expires.map_or(end, |expires| expires.min(end));

        let mut claims = Map::new();
        for name in &plan.claims {
            if let Some(value) = identity.claims.member(name) {
                claims.insert(name.to_string(), json::written(&value.to_value()).ok_or(Refusal::PolicyDenied)?);
            }
        }
        let own = [
            ("iss", json!(plan.issuer)),
            ("sub", json!(identity.subject)),
            ("sub_iss", json!(identity.issuer)),
            ("aud", json!(plan.audience)),
            ("iat", json!(now.0)),
            ("exp", json!(end.0)),
            ("jti", json!(base64url::encode(&nonce))),
            ("scheme", json!(identity.scheme)),
        ];
        claims.extend(own.map(|(name, value)| (name.to_owned(), value)));
        if !identity.scopes.is_empty() {
            // One scope that holds a space would read as two: RFC 6749 section 3.3 has none in a scope.
            if identity.scopes.iter().any(|scope| scope.is_empty() || scope.contains(' ')) {
                return Err(Refusal::PolicyDenied);
            }
            claims.insert("scope".to_owned(), Json::String(identity.scopes.join(" ")));
        }
        Ok(Json::Object(claims))
    }
}

impl Countersigner for Assertion {
    fn sign(
        &self,
        identity: Option<&Identity>,
        _request: &RequestView<'_>,
        now: Timestamp,
        out: &mut Vec<(HeaderName, HeaderValue)>,
    ) -> Result<(), Refusal> {
        let Some(identity) = identity else { return Ok(()) };
        let statement = self.statement(identity, now)?;
        let token = self.plan.key.sign_compact(&[("typ", TYPE)], &statement).map_err(|fault| match fault {
            MintFault::TooLong => Refusal::PolicyDenied,
            MintFault::Key(_) | MintFault::Algorithm(_) | MintFault::Header | MintFault::Claims | MintFault::Library => Refusal::Internal,
        })?;
        let mut value = HeaderValue::try_from(token).map_err(|_| Refusal::Internal)?;
        value.set_sensitive(true);
        out.push((self.plan.header.clone(), value));
        Ok(())
    }

    fn public_keys(&self) -> Option<String> {
        let key = self.plan.key.public_jwk()?;
        Some(json!({ "keys": [key] }).to_string())
    }
}

#[cfg(test)]
mod tests;
