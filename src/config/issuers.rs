//! The section `issuers`: who gives token pairs in this proxy's own name.
//!
//! A key that signs is read once, here, and never leaves the proxy; what others verify with is its public half, which `serve: jwks`
//! publishes and a key store of the kind `issued` uses.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::plan::IssuerPlan;
use crate::config::root::{Root, fault_of_name, opened};
use crate::issuer::pairs::access::OURS;
use crate::issuer::pairs::{Terms, verifying_keys};
use crate::jose::algorithm::Algorithm;
use crate::jose::mint::{MintFault, SigningKey};
use crate::settings::{Checking, Entry, KeySpec, Node, Section, SectionSpec, Shape, Span};

/// The shape of `issuers`.
pub(super) const ISSUERS: Shape = Shape::Map(&Shape::Section(&ISSUER));

const TEXTS: Shape = Shape::List { of: &Shape::Text, lone: true, min: 1 };
const YEAR: u32 = 365 * 86_400;

static ISSUER: SectionSpec = SectionSpec {
    title: "an issuer",
    doc: "Gives token pairs: an access token (a JWT of type `at+jwt`) and a refresh token that buys the next pair, once.",
    keys: &[
        KeySpec::required("issuer", Shape::Text, "`iss` of its access tokens: this proxy's own name, such as its public URL."),
        KeySpec::required(
            "signing_key",
            Shape::List { of: &Shape::Secret, lone: true, min: 1 },
            "The private key, as PEM (Ed25519, P-256/384/521, or RSA from 2048 bits), or several: the first signs, all are published. Put a \
             new key in front, and take the old one out once its last access token has expired.",
        ),
        KeySpec::optional(
            "algorithm",
            Shape::OneOf(&["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]),
            "What it signs with. Without it, what the key is for; RS256 with an RSA key.",
        ),
        KeySpec::required("audience", TEXTS, "`aud` of its access tokens: the services they are meant for."),
        KeySpec::default(
            "access_life",
            Shape::Duration { min: 10, max: 86_400 },
            "15m",
            "How long an access token lives. One that was taken back may still be accepted elsewhere for that long.",
        ),
        KeySpec::default(
            "refresh_life",
            Shape::Duration { min: 60, max: YEAR },
            "30d",
            "How long a login lasts, from its first pair to the end of its last, however often it is renewed.",
        ),
        KeySpec::default(
            "grace",
            Shape::Duration { min: 0, max: 300 },
            "30s",
            "For so long a spent refresh token is answered with the very pair it was spent for, so that a lost answer or two requests at \
             once end no login. Spent tokens that come later revoke the whole login. `0s` forgives nothing.",
        ),
        KeySpec::optional(
            "client_id",
            Shape::Text,
            "`client_id` of tokens that were given to no client in particular. Default: the name of this issuer.",
        ),
        KeySpec::optional("claims", TEXTS, "Names of claims that access tokens take over from what the login proved, where it has them."),
    ],
};

/// Proves `issuers`, in written order; `None` stands for one at fault.
pub(super) fn issuers(root: &Root<'_>, checking: &mut Checking<'_>) -> Vec<Option<IssuerPlan>> {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    let mut plans = Vec::new();
    for entry in root.entries("issuers") {
        let written = entry.node.get("issuer").and_then(Node::as_text);
        if let Some(first) = written.and_then(|issuer| seen.insert(issuer, &entry.key)) {
            let says = format!("`{first}` issues under this name already; nobody could tell their tokens apart");
            checking.faults.error(entry.node.get("issuer").map_or(&entry.span, |node| &node.span), says);
        }
        plans.push(issuer(entry, checking));
    }
    plans
}

fn issuer(entry: &Entry, checking: &mut Checking<'_>) -> Option<IssuerPlan> {
    if let Some(fault) = fault_of_name(&entry.key) {
        checking.faults.error(&entry.span, fault);
        return None;
    }
    let section = opened(&ISSUER, &entry.node)?;
    let before = checking.faults.errors();
    let keys = signing_keys(&section, checking);
    let texts = |key: &str| -> Box<[Box<str>]> { section.texts(key).into_iter().map(Box::from).collect() };
    let terms = Terms {
        name: Arc::from(entry.key.as_str()),
        issuer: section.text("issuer")?.into(),
        audience: texts("audience"),
        access_life: section.seconds("access_life")?,
        refresh_life: section.seconds("refresh_life")?,
        grace: section.seconds("grace")?,
        client_id: section.text("client_id").unwrap_or(&entry.key).into(),
        claims: texts("claims"),
    };
    prove_terms(&terms, &section, checking);
    let plan = IssuerPlan { terms, keys: keys.into() };
    (checking.faults.errors() == before).then_some(plan)
}

fn prove_terms(terms: &Terms, section: &Section<'_>, checking: &mut Checking<'_>) {
    for (key, texts) in [("issuer", std::slice::from_ref(&terms.issuer)), ("audience", &terms.audience)] {
        if texts.iter().any(|text| text.chars().any(char::is_control)) {
            checking.faults.error(section.span_of(key), format!("`{key}` holds a control character; nobody could compare it"));
        }
    }
    if terms.refresh_life < terms.access_life {
        let says = "an access token would outlive its login; `access_life` is at most `refresh_life`";
        checking.faults.error(section.span_of("access_life"), says);
    }
    if terms.access_life <= terms.grace {
        let says = "what a spent refresh token is answered with would have expired by then; `grace` is less than `access_life`";
        checking.faults.error(section.span_of("grace"), says);
    }
    if terms.grace.0 == 0 {
        let says = "with no grace, two requests that renew at once, or one answer that is lost, end the login; `30s` forgives them";
        checking.faults.warn(section.span_of("grace"), says);
    }
    for item in section.items("claims") {
        if let Some(name) = item.as_text().filter(|name| OURS.contains(name)) {
            checking.faults.error(&item.span, format!("`{name}` is a claim that the token itself makes; leave it out"));
        }
    }
}

fn signing_keys(section: &Section<'_>, checking: &mut Checking<'_>) -> Vec<SigningKey> {
    let algorithm = section.text("algorithm").and_then(Algorithm::named);
    let mut keys: Vec<SigningKey> = Vec::new();
    for reference in section.items("signing_key") {
        let Some(secret) = checking.secret(reference) else { continue };
        let read = std::str::from_utf8(secret.expose())
            .map_err(|_| MintFault::Key("it is not text"))
            .and_then(|text| SigningKey::from_pem(text, algorithm));
        match read {
            Ok(key) if keys.iter().any(|known| known.kid() == key.kid()) => {
                checking.faults.error(&reference.span, "this key stands in the list already; name each key once");
            }
            Ok(key) => keys.push(key),
            Err(fault) => tell(fault, &reference.span, checking),
        }
    }
    if let Err(says) = verifying_keys(&keys) {
        checking.faults.error(section.span_of("signing_key"), says);
    }
    keys
}

fn tell(fault: MintFault, at: &Span, checking: &mut Checking<'_>) {
    let says = format!("{fault}; write a reference to a PEM file, as made by `openssl genpkey -algorithm ed25519`");
    checking.faults.error(at, says);
}
