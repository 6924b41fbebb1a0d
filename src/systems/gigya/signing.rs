//! Signing on behalf of the app, so that the partner secret is known to the proxy alone.
//!
//! Two things are signed: a user id, for calls of the setUID family, and whole requests. Whose id is signed is decided by the conf: the
//! proven caller's own, or, for servers that are trusted with all of them, the one in the call. What a client brought to prove the
//! request itself is taken off first. Signed calls go out as forms of POST: a query would carry the signature into every log.
//!
//! Never here: a signature handed to the client; a user id signed for somebody who has not proven to be that user.

use std::borrow::Cow;

use crate::domain::{Breach, Identity, Timestamp};
use crate::jose::hmac_sha1::Sha1Key;
use crate::jose::signed_call::{Parameters, PublicBase, base_string};
use crate::jose::signed_uid;
use crate::systems::gigya::errors::{INVALID_VALUE, MISSING_PARAMETER, PERMISSION_DENIED, SERVER_ERROR, UNAUTHORIZED_USER};
use crate::systems::gigya::rules::{breach, check_site_uid};

/// Whose user id is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The proven caller's own; a call that names another is refused.
    Subject,
    /// The one in the call, whichever it is: the caller is a server of the site.
    Parameter,
}

impl Whose {
    /// The words of the conf.
    pub const WORDS: &'static [&'static str] = &["subject", "parameter"];

    /// The one that the conf calls `word`.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "subject" => Some(Self::Subject),
            "parameter" => Some(Self::Parameter),
            _ => None,
        }
    }
}

/// Signs user ids.
#[derive(Debug, Clone)]
pub struct UidSigner {
    /// The partner secret.
    pub key: Sha1Key,
    /// Whose.
    pub whose: Whose,
}

impl UidSigner {
    /// Sets `siteUID`, `UIDTimestamp` and `UIDSig`.
    ///
    /// # Errors
    ///
    /// The breach: nobody has proven anything, the call is about somebody else, or the id is none.
    pub fn sign(&self, parameters: &mut Parameters<'_>, identity: Option<&Identity>, now: Timestamp) -> Result<(), Breach> {
        let Some(identity) = identity else { return Err(breach(UNAUTHORIZED_USER, "siteUID", "nobody has proven to be a user")) };
        let asked = parameters.get("siteUID").filter(|uid| !uid.is_empty());
        let site_uid: Box<str> = match (self.whose, asked) {
            (Whose::Subject, Some(asked)) if asked != &*identity.subject => {
                return Err(breach(PERMISSION_DENIED, "siteUID", "of somebody else"));
            }
            (Whose::Subject, _) => identity.subject.clone(),
            (Whose::Parameter, Some(asked)) => asked.into(),
            // Without it these calls link nobody, and need no signature.
            (Whose::Parameter, None) => return Ok(()),
        };
        check_site_uid(&site_uid, parameters)?;
        let signature = signed_uid::sign(&self.key, now, &site_uid);
        let signature = signature.ok_or_else(|| breach(INVALID_VALUE, "siteUID", "cannot be signed"))?;
        parameters.set("siteUID", String::from(site_uid));
        parameters.set("UIDTimestamp", now.to_string());
        parameters.set("UIDSig", signature);
        Ok(())
    }
}

/// Signs whole requests.
#[derive(Debug, Clone)]
pub struct RequestSigner {
    /// The secret of the site, or of the user key.
    pub key: Sha1Key,
    /// The site.
    pub api_key: Box<str>,
    /// Who signs; `None` for the site itself.
    pub user_key: Option<Box<str>>,
    /// Where the upstream believes to be asked.
    pub base: PublicBase,
}

/// What a client may not say about how a request is proven.
const PROOFS: [&str; 7] = ["sig", "secret", "nonce", "timestamp", "userKey", "apiKey", "oauth_token"];

impl RequestSigner {
    /// Signs the call to `path` and sets what proves it. `nonce` must be used for no other.
    ///
    /// # Errors
    ///
    /// The breach, when the call names another site.
    pub fn sign(&self, parameters: &mut Parameters<'_>, path: &str, nonce: String, now: Timestamp) -> Result<(), Breach> {
        if now.0 < 0 {
            return Err(breach(SERVER_ERROR, "", "the time here is not set"));
        }
        if parameters.get("apiKey").is_some_and(|asked| *asked != *self.api_key) {
            return Err(breach(PERMISSION_DENIED, "apiKey", "of another site"));
        }
        for proof in PROOFS {
            parameters.remove(proof);
        }
        parameters.set("apiKey", String::from(self.api_key.clone()));
        if let Some(user_key) = &self.user_key {
            parameters.set("userKey", String::from(user_key.clone()));
        }
        parameters.set("timestamp", now.to_string());
        parameters.set("nonce", nonce);
        let base = base_string("POST", &self.base.url_of(path), parameters, "sig");
        parameters.set("sig", self.key.sign_text(&[&base]));
        Ok(())
    }
}

/// What is signed at a rule.
#[derive(Debug, Clone, Default)]
pub struct Signing {
    /// User ids, at calls of the setUID family.
    pub uid: Option<UidSigner>,
    /// Every call.
    pub request: Option<RequestSigner>,
}

/// The names of `query`, to be taken out of it once its parameters stand in the body.
///
/// # Errors
///
/// The breach, when it cannot be read.
pub fn names_of(query: &str) -> Result<Vec<Cow<'static, str>>, Breach> {
    let mut parameters = Parameters::new();
    parameters.read(query).map_err(|_| breach(MISSING_PARAMETER, "", "the query cannot be read"))?;
    Ok(parameters.iter().map(|(name, _)| Cow::Owned(name.to_owned())).collect())
}
