//! A statement is short-lived, says whose it is and for whom, and can be checked with the published key.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::{ENTRY, TYPE};
use crate::countersign::contract::CountersignTools;
use crate::countersign::stage::{Counting, NOW, identity, list, map, plan, sign};
use crate::domain::{Identity, Refusal, Seconds, Value};
use crate::jose::base64url;
use crate::settings::Level;

const SETTINGS: &str = "{ key: { env: KEY }, issuer: 'https://proxy.example', audience: app, claims: [email, groups, absent] }";

fn part(text: &str) -> Json {
    serde_json::from_slice(&base64url::decode(text).unwrap()).unwrap()
}

/// Header and claims of the one token that is added, its signature checked with the published key by another library.
fn read(settings: &str, identity: &Identity) -> (Json, Json) {
    let (plan, faults) = plan(&ENTRY, settings);
    let plan = plan.unwrap_or_else(|| panic!("{faults:?}"));
    let fields = sign(plan.as_ref(), Some(identity)).unwrap();
    let [(name, token)] = fields.as_slice() else { panic!("{fields:?}") };
    assert_eq!(name, "x-auth-assertion");

    let signer = plan.build(&CountersignTools { random: Arc::new(Counting(1.into())) }).unwrap();
    let published: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&signer.public_keys().unwrap()).unwrap();
    let [jwk] = published.keys.as_slice() else { panic!("one key is published") };
    let mut parts = token.split('.');
    let (header, claims) = (part(parts.next().unwrap()), part(parts.next().unwrap()));
    assert_eq!(header["kid"].as_str(), jwk.common.key_id.as_deref(), "the header names the published key");
    let key = jsonwebtoken::DecodingKey::from_jwk(jwk).unwrap();
    let (message, signature) = token.rsplit_once('.').unwrap();
    assert!(
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key, jsonwebtoken::Algorithm::EdDSA).unwrap(),
        "the signature holds"
    );
    assert!(
        !jsonwebtoken::crypto::verify(signature, &message.as_bytes()[1..], &key, jsonwebtoken::Algorithm::EdDSA).unwrap_or(false),
        "and only for this message"
    );
    (header, claims)
}

#[test]
fn a_statement_says_who_for_whom_and_for_how_long() {
    let who =
        identity("alice", &["a:read", "b"], map(&[("email", "a@b.example".into()), ("groups", list(&["x"])), ("secret", "no".into())]));
    let (header, claims) = read(SETTINGS, &who);
    assert_eq!((header["alg"].as_str(), header["typ"].as_str()), (Some("EdDSA"), Some(TYPE)), "and what it is");
    let expected = json!({
        "iss": "https://proxy.example", "aud": "app", "sub": "alice", "sub_iss": "https://id.example", "scope": "a:read b", "scheme": "jwt",
        "iat": NOW.0, "exp": NOW.0 + 60, "jti": base64url::encode(&[1; 16]), "email": "a@b.example", "groups": ["x"],
    });
    assert_eq!(claims, expected, "named claims are copied, absent and unnamed ones are not");
}

#[test]
fn a_statement_does_not_outlive_the_credential_it_speaks_for() {
    let cases = [
        (None, 60, "no end of its own"),
        (Some(30), 30, "an end before ours"),
        (Some(60), 60, "the same end"),
        (Some(61), 60, "an end after ours"),
    ];
    for (left, life, shows) in cases {
        let mut who = identity("alice", &[], Value::empty());
        who.expires = left.map(|seconds| NOW.plus(Seconds(seconds)));
        let (_, claims) = read(SETTINGS, &who);
        assert_eq!(claims["exp"], NOW.0 + life, "{shows}");
        assert_eq!(claims.get("scope"), None, "no scopes, no claim");
    }
}

#[test]
fn nobody_is_not_asserted_and_what_cannot_be_said_is_refused() {
    let (plan, _) = plan(&ENTRY, SETTINGS);
    let plan = plan.unwrap();
    assert_eq!(sign(plan.as_ref(), None), Ok(Vec::new()), "a public route");
    let cases = [
        (identity("a", &["x y"], Value::empty()), "one scope that reads as two"),
        (identity("a", &[""], Value::empty()), "an empty scope"),
        (identity("a", &[], map(&[("email", Value::Float(f64::INFINITY))])), "a number that JSON cannot say"),
        (identity("a", &[], map(&[("email", "x".repeat(9000).as_str().into())])), "a statement too long to read"),
    ];
    for (who, shows) in cases {
        assert_eq!(sign(plan.as_ref(), Some(&who)), Err(Refusal::PolicyDenied), "{shows}");
    }
    assert!(!format!("{plan:?}").contains("MC4C"), "the key is not shown");
}

#[test]
fn settings_that_would_prove_nothing_are_faults() {
    let cases = [
        ("{ key: { env: SECRET }, issuer: p, audience: a }", Level::Error, "PEM"),
        ("{ key: { env: NOT_SET }, issuer: p, audience: a }", Level::Error, "is not set"),
        ("{ key: { env: KEY }, issuer: p }", Level::Error, "needs `audience`"),
        ("{ key: { env: KEY }, audience: a }", Level::Error, "needs `issuer`"),
        ("{ key: { env: KEY }, issuer: p, audience: a, life: 301s }", Level::Error, "between 5s and 300s"),
        ("{ key: { env: KEY }, issuer: p, audience: a, claims: [sub] }", Level::Error, "the assertion itself makes"),
        ("{ key: { env: KEY }, issuer: p, audience: a, header: Cookie }", Level::Error, "cannot carry an assertion"),
        ("{ key: { env: KEY }, issuer: p, audience: a, claims: [] }", Level::Error, "at least 1"),
    ];
    for (yaml, level, says) in cases {
        let (plan, faults) = plan(&ENTRY, yaml);
        assert!(faults.iter().any(|(at, text)| *at == level && text.contains(says)), "{yaml}: {faults:?}");
        assert!(plan.is_none(), "{yaml}");
    }
    for life in ["5s", "300s"] {
        assert!(plan(&ENTRY, &format!("{{ key: {{ env: KEY }}, issuer: p, audience: a, life: {life} }}")).0.is_some(), "{life}");
    }
}
