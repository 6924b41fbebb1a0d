//! Which key store of a rewritten conf vouches for what: the other half of its keys, so that credentials can be made for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::demo::issuer::DemoIssuer;
use crate::jose::algorithm::Algorithm;
use crate::jose::mint::SigningKey;
use crate::loadtest::fresh::checks::Checks;

/// Callers that every store of pairs knows; load takes turns among them.
pub const CALLERS: u64 = 100;

/// Signs tokens that a key store verifies.
#[derive(Clone)]
pub enum Signer {
    /// A key of its own.
    Key(Arc<SigningKey>),
    /// Whatever the issuer signs with at the time, under this algorithm.
    Issuer(Arc<DemoIssuer>, Algorithm),
}

impl Signer {
    /// The key it signs with now.
    #[must_use]
    pub fn key(&self) -> Option<Arc<SigningKey>> {
        match self {
            Self::Key(key) => Some(Arc::clone(key)),
            Self::Issuer(issuer, algorithm) => issuer.key(*algorithm),
        }
    }

    /// A compact token over `claims`.
    ///
    /// # Errors
    ///
    /// It could not be signed.
    pub fn sign(&self, extras: &[(&str, &str)], claims: &Value) -> Result<String, String> {
        let key = self.key().ok_or("there is no key to sign with")?;
        key.sign_compact(extras, claims).map_err(|fault| fault.to_string())
    }
}

/// The other half of one key store.
#[derive(Clone)]
pub enum Holder {
    /// It verifies what these sign, each under its own algorithm.
    Signers(Vec<(Algorithm, Signer)>),
    /// It knows these pairs of id and secret: as many as [`CALLERS`], and one that has run out.
    Pairs(Arc<Pairs>),
    /// It holds this symmetric key, as text.
    Text(Arc<str>),
    /// It knows these sessions.
    Sessions(Arc<Cookies>),
    /// It believes these HATs: each a name and its key.
    Hats(Arc<[(String, Arc<SigningKey>)]>),
    /// It asks this endpoint.
    Checks(Arc<Checks>),
}

/// Cookies of sessions: a name and a value each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cookies {
    /// Good ones.
    pub good: Vec<(String, String)>,
    /// Ones that have ended.
    pub expired: Vec<(String, String)>,
}

/// Pairs of id and secret.
pub struct Pairs {
    /// Good ones.
    pub good: Vec<(String, String)>,
    /// One that was good once.
    pub expired: (String, String),
}

/// The other half of every key store, by name.
#[derive(Clone, Default)]
pub struct Keyring(BTreeMap<String, Holder>);

impl Keyring {
    /// Adds one.
    pub fn hold(&mut self, store: &str, holder: Holder) {
        self.0.insert(store.to_owned(), holder);
    }

    /// Who signs for `store` under one of `allowed`; under any that the store knows when that is empty.
    #[must_use]
    pub fn signer(&self, store: &str, allowed: &[Algorithm]) -> Option<Signer> {
        match self.0.get(store) {
            Some(Holder::Signers(signers)) => {
                signers.iter().find(|(algorithm, _)| allowed.is_empty() || allowed.contains(algorithm)).map(|(_, signer)| signer.clone())
            }
            _ => None,
        }
    }

    /// Who is known to `store` by id and secret.
    #[must_use]
    pub fn pairs(&self, store: &str) -> Option<Arc<Pairs>> {
        match self.0.get(store) {
            Some(Holder::Pairs(pairs)) => Some(Arc::clone(pairs)),
            _ => None,
        }
    }

    /// The symmetric key of `store`.
    #[must_use]
    pub fn text(&self, store: &str) -> Option<Arc<str>> {
        match self.0.get(store) {
            Some(Holder::Text(text)) => Some(Arc::clone(text)),
            _ => None,
        }
    }

    /// The HATs that the authenticator `name` believes.
    #[must_use]
    pub fn hats(&self, name: &str) -> Option<Arc<[(String, Arc<SigningKey>)]>> {
        match self.0.get(name) {
            Some(Holder::Hats(hats)) => Some(Arc::clone(hats)),
            _ => None,
        }
    }

    /// The endpoint that the authenticator `name` asks.
    #[must_use]
    pub fn checks(&self, name: &str) -> Option<Arc<Checks>> {
        match self.0.get(name) {
            Some(Holder::Checks(checks)) => Some(Arc::clone(checks)),
            _ => None,
        }
    }

    /// The sessions of the authenticator `name`.
    #[must_use]
    pub fn sessions(&self, name: &str) -> Option<Arc<Cookies>> {
        match self.0.get(name) {
            Some(Holder::Sessions(sessions)) => Some(Arc::clone(sessions)),
            _ => None,
        }
    }
}
