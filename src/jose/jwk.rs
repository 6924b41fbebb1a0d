//! Key sets: JWKS documents, single JWKs, and PEM text, read into keys that are ready to verify.
//!
//! One bad key never spoils a set: it is left out and the reason is told. What is not a key set at all is an error, so
//! that a page of HTML never replaces a good set. Of two keys with one `kid` both stay and both are tried.
//!
//! Absent on purpose: certificates inside a JWK (`x5c`, `x5u`), private keys, encryption keys.
//!
//! Rules: RFC 7517 sections 4 and 5, RFC 7518 section 6, RFC 8037 section 2.

use std::sync::Arc;

use crate::domain::{Secret, Value};
use crate::jose::algorithm::{Algorithm, Family};
use crate::jose::base64url;
use crate::jose::compact::MAX_KID;
use crate::jose::json;
use crate::jose::key::{Curve, VerifyingKey};
use crate::jose::pem;

/// The largest key set that is read, in bytes.
pub const MAX_SET: usize = 512 * 1_024;

/// The most keys that a set may list, usable or not.
pub const MAX_KEYS: usize = 100;

/// How a set came to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Somebody serves it. Symmetric keys in it are left out: what is served is not secret.
    Remote,
    /// It stands in a file of ours. Symmetric keys are taken.
    Pinned,
}

/// What a set held.
#[derive(Debug)]
pub struct KeySetParsed {
    /// Usable keys in the order of the set; at least one. Two may share a `kid`.
    pub keys: Vec<Arc<VerifyingKey>>,
    /// For each key that was left out, why.
    pub skipped: Vec<&'static str>,
}

/// Why a document gives no keys at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwkFault {
    /// Larger than [`MAX_SET`].
    #[error("the key set is larger than 512 KiB")]
    TooLarge,
    /// More than [`MAX_KEYS`] keys.
    #[error("the key set lists more than 100 keys")]
    TooMany,
    /// Not JSON with one reading, or nested too deeply.
    #[error("the key set is not well-formed JSON")]
    NotJson,
    /// JSON, but without a list `keys`.
    #[error("this is JSON but no key set")]
    NotASet,
    /// Neither PEM nor JSON text.
    #[error("the PEM text is ill-formed: {0}")]
    Pem(&'static str),
    /// The set is empty.
    #[error("the key set is empty")]
    Empty,
    /// Every key was left out; why the first one was.
    #[error("no key of the set is usable; the first was left out: {0}")]
    NoneUsable(&'static str),
}

/// Reads a JWK Set (RFC 7517 section 5).
///
/// # Errors
///
/// See [`JwkFault`]. Single bad keys are not an error as long as one good key remains.
pub fn parse_set(bytes: &[u8], trust: Trust) -> Result<KeySetParsed, JwkFault> {
    collect(list_of(&read(bytes)?)?.iter().map(|jwk| parse_jwk(jwk, trust)))
}

/// Reads what an operator pins: a JWK Set, a single JWK, or PEM text with public keys or certificates.
///
/// # Errors
///
/// See [`JwkFault`].
pub fn parse_pinned(bytes: &[u8]) -> Result<KeySetParsed, JwkFault> {
    if pem::looks_like_pem(bytes) {
        return parse_pem(bytes);
    }
    let document = read(bytes)?;
    if document.member("keys").is_none() && document.member("kty").is_some() {
        return collect(std::iter::once(parse_jwk(&document, Trust::Pinned)));
    }
    collect(list_of(&document)?.iter().map(|jwk| parse_jwk(jwk, Trust::Pinned)))
}

/// Reads PEM text: `PUBLIC KEY`, `RSA PUBLIC KEY` and `CERTIFICATE` blocks. Such keys have no `kid`.
///
/// # Errors
///
/// See [`JwkFault`].
pub fn parse_pem(bytes: &[u8]) -> Result<KeySetParsed, JwkFault> {
    if MAX_SET < bytes.len() {
        return Err(JwkFault::TooLarge);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| JwkFault::Pem("it is not UTF-8"))?;
    let blocks = pem::blocks(text).map_err(JwkFault::Pem)?;
    if MAX_KEYS < blocks.len() {
        return Err(JwkFault::TooMany);
    }
    collect(blocks.iter().map(|block| VerifyingKey::from_der(block.label, &block.der, None)))
}

fn read(bytes: &[u8]) -> Result<Value, JwkFault> {
    if MAX_SET < bytes.len() {
        return Err(JwkFault::TooLarge);
    }
    json::parse(bytes).map_err(|_| JwkFault::NotJson)
}

fn list_of(document: &Value) -> Result<&[Value], JwkFault> {
    let list = document.member("keys").and_then(Value::as_list).ok_or(JwkFault::NotASet)?;
    if MAX_KEYS < list.len() { Err(JwkFault::TooMany) } else { Ok(list) }
}

fn collect(outcomes: impl Iterator<Item = Result<VerifyingKey, &'static str>>) -> Result<KeySetParsed, JwkFault> {
    let mut set = KeySetParsed { keys: Vec::new(), skipped: Vec::new() };
    for outcome in outcomes {
        match outcome {
            Ok(key) => set.keys.push(Arc::new(key)),
            Err(why) => set.skipped.push(why),
        }
    }
    match (set.keys.is_empty(), set.skipped.first()) {
        (false, _) => Ok(set),
        (true, Some(why)) => Err(JwkFault::NoneUsable(why)),
        (true, None) => Err(JwkFault::Empty),
    }
}

/// Reads one JWK.
///
/// # Errors
///
/// Why the key is left out.
pub fn parse_jwk(jwk: &Value, trust: Trust) -> Result<VerifyingKey, &'static str> {
    /// Members that belong to private keys (RFC 7518 section 6.3.2, RFC 8037 section 2).
    const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "oth"];

    if !matches!(jwk, Value::Map(_)) {
        return Err("a key of the set is not an object");
    }
    let kind = text(jwk, "kty")?.ok_or("a key without `kty`")?;
    if PRIVATE.iter().any(|name| jwk.member(name).is_some()) {
        return Err("a private key is in the set; whoever published it should replace it");
    }
    if kind != "oct" && jwk.member("k").is_some() {
        return Err("a public key carries a symmetric secret `k`");
    }
    if text(jwk, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Err("a key whose `use` is not `sig`");
    }
    check_operations(jwk)?;
    let bound = match text(jwk, "alg")? {
        None => None,
        Some(name) => Some(Algorithm::named(name).ok_or("a key whose `alg` is not one we verify with")?),
    };
    let kid = text(jwk, "kid")?;
    if kid.is_some_and(|kid| MAX_KID < kid.len()) {
        return Err("a key whose `kid` is longer than 256 bytes");
    }
    let key = match kind {
        "RSA" => VerifyingKey::rsa(&bytes(jwk, "n")?, &bytes(jwk, "e")?, bound),
        "EC" => {
            let curve = text(jwk, "crv")?.and_then(Curve::named).ok_or("an EC key on a curve we do not know")?;
            VerifyingKey::ec(curve, &bytes(jwk, "x")?, &bytes(jwk, "y")?, bound)
        }
        "OKP" => match text(jwk, "crv")? {
            Some("Ed25519") => VerifyingKey::ed25519(&bytes(jwk, "x")?, bound),
            _ => Err("an OKP key that is not Ed25519"),
        },
        "oct" => match trust {
            Trust::Pinned => VerifyingKey::hmac(&Secret::new(bytes(jwk, "k")?), bound),
            Trust::Remote => Err("a symmetric key in a set that is served to others is no secret"),
        },
        _ => Err("a key of a kind we do not know"),
    }?;
    debug_assert!(trust == Trust::Pinned || key.algorithms().all(|algorithm| algorithm.family() != Family::Hmac));
    Ok(key.with_kid(kid))
}

/// `key_ops`, where it stands, must list `verify` among texts that are distinct (RFC 7517 section 4.3). A pinned
/// symmetric key may say `sign` as well.
fn check_operations(jwk: &Value) -> Result<(), &'static str> {
    let Some(operations) = jwk.member("key_ops") else { return Ok(()) };
    let list = operations.as_list().ok_or("a key whose `key_ops` is not a list")?;
    if list.iter().any(|operation| operation.as_text().is_none()) {
        return Err("a key whose `key_ops` holds something that is not text");
    }
    if list.iter().enumerate().any(|(index, operation)| list.iter().take(index).any(|earlier| earlier == operation)) {
        return Err("a key whose `key_ops` names an operation twice");
    }
    if list.iter().any(|operation| operation.as_text() == Some("verify")) { Ok(()) } else { Err("a key whose `key_ops` lacks `verify`") }
}

/// The text under `name`, if the member is there.
fn text<'j>(jwk: &'j Value, name: &str) -> Result<Option<&'j str>, &'static str> {
    match jwk.member(name) {
        None => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text)),
        Some(_) => Err("a key with a member of the wrong type"),
    }
}

/// The bytes under `name`, base64url.
fn bytes(jwk: &Value, name: &str) -> Result<Vec<u8>, &'static str> {
    let text = text(jwk, name)?.ok_or("a key lacks one of its parameters")?;
    base64url::decode(text).ok_or("a key parameter is not base64url")
}

#[cfg(test)]
mod tests;
