//! Keys that the operator wrote down: public keys in files, or a shared HMAC secret.
//!
//! They are parsed when the conf is checked and change with a reload only. A secret that anybody may know is refused, and a
//! secret never comes out of a file of public keys unless that file says `oct` itself.
//!
//! Rules: RFC 7517, RFC 7518 section 3.2, RFC 7468.

use std::sync::Arc;

use crate::jose::algorithm::Algorithm;
use crate::jose::jwk::parse_pinned;
use crate::jose::key::VerifyingKey;
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape};
use crate::verify::keys::contract::{BuiltKeys, KeyClass, KeySourceEntry, KeySourcePlan, KeyTools};
use crate::verify::keys::fixed::Fixed;

/// The source's line on the roll-call.
pub static ENTRY: KeySourceEntry = KeySourceEntry {
    name: "pinned",
    doc: "Keys written down: public keys in PEM, JWK or JWKS files, or a shared HMAC secret.",
    class: KeyClass::Signature,
    shape: Shape::Section(&SETTINGS),
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the `pinned` source",
    doc: "Keys that verify tokens without asking anybody.",
    keys: &[
        KeySpec::optional(
            "file",
            Shape::List { of: &Shape::File, lone: true, min: 1 },
            "PEM (public keys, certificates), a JWK, or a JWK Set; one file or several. Read again on reload.",
        ),
        KeySpec::optional(
            "hmac",
            Shape::Secret,
            "A secret shared with the issuer, for HS256, HS384 or HS512; as long as the hash at least.",
        ),
        KeySpec::optional(
            "hmac_algorithm",
            Shape::OneOf(&["HS256", "HS384", "HS512"]),
            "The one algorithm the secret is for. Without it: every one that the secret is long enough for.",
        ),
        KeySpec::optional(
            "hmac_kid",
            Shape::Text,
            "The `kid` that tokens name the secret by. Without it the secret is tried whatever they name.",
        ),
    ],
};

struct PinnedPlan {
    keys: Vec<Arc<VerifyingKey>>,
}

fn plan(_name: &str, node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn KeySourcePlan>> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let before = checking.faults.errors();
    let mut plan = PinnedPlan { keys: Vec::new() };
    for file in section.items("file") {
        read_file(file, &mut plan, checking);
    }
    match section.node("hmac") {
        Some(hmac) => {
            plan.keys.extend(read_secret(&section, hmac, checking));
        }
        None => {
            for key in ["hmac_algorithm", "hmac_kid"] {
                if section.node(key).is_some() {
                    checking.faults.error(section.span_of(key), format!("`{key}` says something about `hmac`, which is not written"));
                }
            }
        }
    }
    if before == checking.faults.errors() && plan.keys.is_empty() {
        checking.faults.error(section.span(), "the `pinned` source pins nothing; write `file` or `hmac`");
    }
    (before == checking.faults.errors()).then(|| Box::new(plan) as Box<dyn KeySourcePlan>)
}

fn read_file(node: &Node, plan: &mut PinnedPlan, checking: &mut Checking<'_>) {
    let path = node.as_text().unwrap_or_default();
    let parsed = match checking.material.file(path) {
        Ok(content) => parse_pinned(content).map_err(|fault| format!("`{path}`: {fault}")),
        Err(why) => Err(why),
    };
    match parsed {
        Ok(set) => {
            for why in set.skipped {
                checking.faults.warn(&node.span, format!("a key of `{path}` is left out: {why}"));
            }
            plan.keys.extend(set.keys);
        }
        Err(says) => checking.faults.error(&node.span, says),
    }
}

fn read_secret(section: &Section<'_>, node: &Node, checking: &mut Checking<'_>) -> Option<Arc<VerifyingKey>> {
    let secret = checking.secret(node)?;
    let bound = section.text("hmac_algorithm").and_then(Algorithm::named);
    match VerifyingKey::hmac(&secret, bound) {
        Ok(key) => Some(Arc::new(key.with_kid(section.text("hmac_kid")))),
        Err(says) => {
            checking.faults.error(&node.span, says);
            None
        }
    }
}

impl KeySourcePlan for PinnedPlan {
    fn class(&self) -> KeyClass {
        KeyClass::Signature
    }

    fn algorithms(&self) -> Option<Vec<Algorithm>> {
        Some(self.keys.iter().flat_map(|key| key.algorithms()).collect())
    }

    fn continuity(&self) -> Option<String> {
        None
    }

    fn build(&self, _name: &Arc<str>, _tools: &KeyTools) -> Result<BuiltKeys, String> {
        Ok(BuiltKeys::Signature(Fixed::over(self.keys.clone())))
    }
}

impl std::fmt::Debug for PinnedPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PinnedPlan").field("keys", &self.keys.len()).finish()
    }
}

#[cfg(test)]
mod tests;
