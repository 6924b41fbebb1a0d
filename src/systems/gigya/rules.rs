//! What Gigya's own endpoints ask of their parameters, beyond who is calling.
//!
//! The setUID family links a user of the site to a login: as soon as a `siteUID` stands there, it must be an id (ASCII, at most 252
//! characters, not the Gigya UID it replaces), with its time and signature. Everywhere: an API key of ours, no secret over plain http,
//! a callback that is a name, a `cid` of at most 100 characters.
//!
//! Never here: a credential believed that was not proven, and the signature that should have stood there.
//!
//! Source: the vendor's page on `socialize.notifyRegistration`.

use std::borrow::Cow;

use crate::domain::{Breach, Identity, Seconds, Timestamp};
use crate::jose::hmac_sha1::{Sha1Key, any_verifies, read_tag};
use crate::jose::signed_call::{Parameters, read_number};
use crate::jose::signed_uid::is_uid;
use crate::systems::gigya::envelope::is_callback;
use crate::systems::gigya::errors::{
    ErrorCode, INVALID_API_KEY, INVALID_SIGNATURE, INVALID_TOKEN, INVALID_VALUE, MISSING_PARAMETER, SECRET_OVER_HTTP, SIGNATURE_TIMESTAMP,
    UNAUTHORIZED_USER,
};

/// The longest `cid`, in characters.
const MAX_CID: usize = 100;

/// Methods that take a `siteUID`, without their namespace.
const LINKING: [&str; 3] = ["setUID", "notifyLogin", "notifyRegistration"];

/// The beginning of the issuer of id tokens; the API key and a `/` follow.
pub(super) const ISSUER: &str = "https://fidm.gigya.com/jwt/";

/// A breach of `code` about `field`.
pub fn breach(code: ErrorCode, field: &'static str, says: &'static str) -> Breach {
    Breach { code: Cow::Owned(code.number.to_string()), field: Cow::Borrowed(field), says: Cow::Borrowed(says) }
}

/// Whether `path` names a method that links a user of the site.
#[must_use]
pub fn links(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    last.split_once('.').is_some_and(|(_, name)| LINKING.contains(&name))
}

/// What proves `UIDSig`, where the conf gives it to the guard.
#[derive(Debug, Clone)]
pub struct SiteProof {
    /// Current first.
    pub keys: Box<[Sha1Key]>,
    /// How far the signed time may lie in the past or the future, both ends included.
    pub window: Seconds,
}

/// What holds for every method.
///
/// # Errors
///
/// The breach.
pub fn check_call(parameters: &Parameters<'_>, secure: bool, api_keys: &[Box<str>]) -> Result<(), Breach> {
    if let Some(api_key) = parameters.get("apiKey")
        && !api_keys.is_empty()
        && !api_keys.iter().any(|known| **known == *api_key)
    {
        return Err(breach(INVALID_API_KEY, "apiKey", "this site is not served here"));
    }
    if parameters.get("secret").is_some() && !secure {
        return Err(breach(SECRET_OVER_HTTP, "secret", "a secret is sent over https only"));
    }
    let scripted = parameters.get("format").is_some_and(|format| format.eq_ignore_ascii_case("jsonp"));
    if scripted && !parameters.get("callback").is_some_and(is_callback) {
        return Err(breach(INVALID_VALUE, "callback", "the name of a function is required"));
    }
    if parameters.get("cid").is_some_and(|cid| MAX_CID < cid.chars().count()) {
        return Err(breach(INVALID_VALUE, "cid", "at most 100 characters"));
    }
    Ok(())
}

/// What a `siteUID` may be: an id, and not the Gigya UID that it replaces.
///
/// # Errors
///
/// The breach.
pub fn check_site_uid(site_uid: &str, parameters: &Parameters<'_>) -> Result<(), Breach> {
    if !is_uid(site_uid) {
        return Err(breach(INVALID_VALUE, "siteUID", "ASCII characters only, at most 252 of them"));
    }
    if parameters.get("UID") == Some(site_uid) {
        return Err(breach(INVALID_VALUE, "siteUID", "must be different from the Gigya UID"));
    }
    Ok(())
}

/// What a linking call must bring as soon as it names a `siteUID`, where nobody signs on its behalf.
///
/// With a `proof` the signature is judged here. Without one the caller must be known: a server by its request, or the very user by the
/// signed id.
///
/// # Errors
///
/// The breach.
pub fn check_link(
    parameters: &Parameters<'_>,
    proof: Option<&SiteProof>,
    identity: Option<&Identity>,
    now: Timestamp,
) -> Result<(), Breach> {
    let Some(site_uid) = parameters.get("siteUID") else { return Ok(()) };
    check_site_uid(site_uid, parameters)?;
    let required = |name: &'static str| {
        let value = parameters.get(name).filter(|value| !value.is_empty());
        value.ok_or_else(|| breach(MISSING_PARAMETER, name, "required together with siteUID"))
    };
    let (written, signature) = (required("UIDTimestamp")?, required("UIDSig")?);
    let signed = read_number(written).map(Timestamp);
    let signed = signed.ok_or_else(|| breach(INVALID_VALUE, "UIDTimestamp", "decimal seconds since 1970"))?;
    let tag = read_tag(signature).ok_or_else(|| breach(INVALID_SIGNATURE, "UIDSig", "not a signature"))?;
    match (proof, identity) {
        (Some(proof), _) => {
            if !any_verifies(&proof.keys, &[written, "_", site_uid], &tag) {
                return Err(breach(INVALID_SIGNATURE, "UIDSig", "not a signature"));
            }
            if now < signed.minus(proof.window) || signed.plus(proof.window) < now {
                return Err(breach(SIGNATURE_TIMESTAMP, "UIDTimestamp", "too far from the time here"));
            }
            Ok(())
        }
        (None, None) => Err(breach(UNAUTHORIZED_USER, "UIDSig", "nobody has proven this siteUID")),
        (None, Some(identity)) if identity.scheme == "gigya" && *identity.subject != *site_uid => {
            Err(breach(INVALID_SIGNATURE, "UIDSig", "not a signature"))
        }
        (None, Some(_)) => Ok(()),
    }
}

/// That an id token of Gigya's says the same site twice, where it says it twice: in its issuer, and as `apiKey`.
///
/// # Errors
///
/// The breach.
pub fn check_site_of(identity: &Identity) -> Result<(), Breach> {
    let Some(site) = identity.issuer.strip_prefix(ISSUER).and_then(|rest| rest.strip_suffix('/')) else { return Ok(()) };
    match identity.claims.member("apiKey") {
        None => Ok(()),
        Some(claimed) if identity.scheme != "jwt" || claimed.as_text() == Some(site) => Ok(()),
        Some(_) => Err(breach(INVALID_TOKEN, "id_token", "of another site")),
    }
}
