//! Access tokens: signed, short-lived, and of a kind of their own.
//!
//! A JWT of type `at+jwt` with everything RFC 9068 requires (`iss`, `sub`, `aud`, `exp`, `iat`, `jti`, `client_id`), `scope` where
//! scopes were granted, `fam` (the handle of the family, so that all tokens of a login can be taken back at once), and the claims
//! the conf names. What comes back is read by the same strict reader as everybody's tokens.
//!
//! Rules: RFC 9068 sections 2.1 and 2.2, RFC 8725 section 3.11.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use crate::domain::{Claim, Random, Secret, Timestamp, Value};
use crate::issuer::pairs::family::Live;
use crate::issuer::pairs::refresh::Handle;
use crate::issuer::pairs::{PairFault, Terms};
use crate::jose::base64url;
use crate::jose::claims::Registered;
use crate::jose::compact::{Compact, media_type};
use crate::jose::json;
use crate::jose::key::VerifyingKey;
use crate::jose::mint::SigningKey;

/// The `typ` of access tokens.
pub const TYPE: &str = "at+jwt";

/// Claims that a token itself makes, and nobody may set.
pub const OURS: [&str; 12] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "fam", "cnf", "sid"];

/// A fresh access token of `family`, with `scopes`, and when it ends.
pub(super) fn make(
    terms: &Terms,
    key: &SigningKey,
    family: &Live,
    handle: &Handle,
    scopes: &[Box<str>],
    now: Timestamp,
    random: &dyn Random,
) -> Result<(Secret, Timestamp), PairFault> {
    let mut id = [0; 16];
    random.fill(&mut id);
    let until = now.plus(terms.access_life).min(family.ends);
    let mut claims = Map::new();
    if let Value::Map(members) = &family.claims {
        for (name, value) in members {
            claims.insert(name.to_string(), json::written(value).ok_or(PairFault::TooLarge)?);
        }
    }
    let client = family.client.as_ref().map_or(&*terms.client_id, |client| &*client.name);
    let own = [
        ("iss", json!(terms.issuer)),
        ("sub", json!(family.subject)),
        ("aud", audience(&terms.audience)),
        ("client_id", json!(client)),
        ("iat", json!(now.0)),
        ("exp", json!(until.0)),
        ("jti", json!(base64url::encode(&id))),
        ("fam", json!(handle.text())),
    ];
    claims.extend(own.map(|(name, value)| (name.to_owned(), value)));
    if !scopes.is_empty() {
        claims.insert("scope".to_owned(), Json::String(scopes.join(" ")));
    }
    let token = key.sign_compact(&[("typ", TYPE)], &Json::Object(claims)).map_err(PairFault::from)?;
    Ok((Secret::new(token.into_bytes()), until))
}

fn audience(names: &[Box<str>]) -> Json {
    match names {
        [one] => json!(one),
        several => json!(several),
    }
}

/// The family of `token`, when it is an access token of ours: authentic, of the right kind, and alive at `now`.
pub(super) fn family_of(terms: &Terms, keys: &[Arc<VerifyingKey>], token: &str, now: Timestamp) -> Option<Handle> {
    let compact = Compact::parse(token).ok()?;
    let algorithm = compact.header().algorithm?;
    compact.header().kind.as_deref().filter(|kind| media_type(kind).eq_ignore_ascii_case(TYPE))?;
    let kid = compact.header().kid.clone();
    let fitting: Vec<_> = keys.iter().filter(|key| kid.is_none() || key.kid() == kid.as_deref()).cloned().collect();
    let claims = compact.prove(algorithm, &fitting)?;
    let registered = Registered::read(&claims).ok()?;
    registered.issuer.filter(|issuer| **issuer == *terms.issuer)?;
    registered.lifetime.expires.filter(|end| now < *end)?;
    claims.get().member("fam").and_then(Claim::as_text).and_then(Handle::parse)
}
