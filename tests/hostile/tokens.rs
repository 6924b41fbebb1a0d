//! Attacks on signed tokens: structure and algorithm (A), signatures and keys (B 1 to 23), claims (C), encoding (D).
//!
//! Every table also holds rows that must pass: a table of refusals only proves that we refuse. Refused tokens are shown
//! to the whole authenticator and, past its finding, to its judgement alone.

mod claims;
mod encoding;
mod keys;
mod structure;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use countersign::jose::algorithm::Algorithm;
use countersign::jose::key::VerifyingKey;
use countersign::jose::mint::SigningKey;
use serde_json::{Value as Json, json};

use crate::jwt::{Bench, NOW, Set, bench, claims, fresh, settings};

/// One attack: its number, what it shows, the token, and the reason it must be refused for; `Ok(())` must pass.
type Row = (&'static str, String, String, Result<(), &'static str>);

/// Passes every row to `bench` and collects what went otherwise.
fn check(bench: &Bench, rows: &[Row]) {
    let mut wrong = Vec::new();
    for (id, shows, token, expected) in rows {
        let actual = bench.on(token).map(|_| ());
        if actual.as_ref().map_err(String::as_str) != expected.as_ref().map_err(|reason| *reason) {
            wrong.push(format!("{id} {shows}: expected {expected:?}, got {actual:?}"));
        }
        if expected.is_err() && bench.verify_only(token, NOW).is_ok() {
            wrong.push(format!("{id} {shows}: the judgement alone accepts it"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Asserts that the rows speak of every number from 1 to `last` of `class`, apart from those shown elsewhere.
fn complete(class: &str, last: u32, rows: impl IntoIterator<Item = &'static str>, elsewhere: &[(&'static str, &str)]) {
    let shown: BTreeSet<&str> = rows.into_iter().chain(elsewhere.iter().map(|(id, _)| *id)).collect();
    let missing: Vec<String> = (1..=last).map(|number| format!("{class}{number}")).filter(|id| !shown.contains(id.as_str())).collect();
    assert!(missing.is_empty(), "attacks without a row: {missing:?}");
}

/// The keys all tables share; making an RSA key takes a while.
struct Keys {
    rsa: SigningKey,
    rsa_public: Arc<VerifyingKey>,
    ec: SigningKey,
    ec_public: Arc<VerifyingKey>,
    ed: SigningKey,
    ed_public: Arc<VerifyingKey>,
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let named = |algorithm, kid: &str| {
            let key = fresh(algorithm).0.with_kid(Some(kid));
            let public = Arc::new(key.verifying_key().unwrap());
            (key, public)
        };
        let (rsa, rsa_public) = named(Algorithm::Rs256, "rsa");
        let (ec, ec_public) = named(Algorithm::Es256, "ec");
        let (ed, ed_public) = named(Algorithm::EdDsa, "ed");
        Keys { rsa, rsa_public, ec, ec_public, ed, ed_public }
    })
}

/// The usual authenticator over all shared keys, with changed settings.
fn usual(changes: Json) -> Bench {
    let keys = keys();
    let set = Set::of(vec![Arc::clone(&keys.rsa_public), Arc::clone(&keys.ec_public), Arc::clone(&keys.ed_public)]);
    bench(&settings(changes), &[("set", set)])
}

/// A good token, for its parts.
fn good() -> String {
    keys().ec.sign_compact(&[], &claims(json!({}))).unwrap()
}
