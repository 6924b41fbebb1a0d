//! What the signature of an API client proves, and within which time; and how little a bare id does.
//!
//! HMAC-SHA1 under the secret's own bytes, compared on the raw 20 bytes in constant time. A request has up to two signed texts
//! ([`texts`]); either is right. An id that nobody holds costs what a wrong signature costs. That a client is switched off, or
//! that its date is too old, is said only to whoever has signed rightly.

use std::sync::Arc;

use crate::domain::{Burn, Claims, Credential, Doubt, Identity, RequestView, Seconds, Secret, Timestamp, Value, Verified};
use crate::jose::digest::digest;
use crate::jose::form::Pair;
use crate::jose::hmac_sha1::{Sha1Key, any_verifies, keys_of, read_tag};
use crate::jose::janrain::{read_date, texts};
use crate::verify::keyholder::{in_force, serves_host};
use crate::verify::keys::contract::{ServerKey, ServerKeySearch, ServerKeys};

/// The feature that counts of a client that is only named.
const PUBLIC_FEATURE: &str = "login_client";

/// What is demanded beside a right signature.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// How far the date may lie in the past or the future, both ends included.
    pub(super) window: Seconds,
    /// What stands in front of the signed path; empty for nothing.
    pub(super) mount: Box<str>,
    /// Whether each signature is taken once only.
    pub(super) burn: bool,
}

/// Proves API clients of one store.
pub(super) struct Prover {
    scheme: &'static str,
    authenticator: Arc<str>,
    store: Box<str>,
    clients: Arc<dyn ServerKeys>,
    /// Stands in for the secret of a client that there is not.
    nobody: Option<Sha1Key>,
    rules: Rules,
}

impl Prover {
    /// A prover over `clients`, the store called `store`.
    pub(super) fn new(scheme: &'static str, authenticator: &Arc<str>, store: &str, clients: Arc<dyn ServerKeys>, rules: Rules) -> Self {
        let nobody = Sha1Key::new(&Secret::new(vec![0; 32]));
        Self { scheme, authenticator: Arc::clone(authenticator), store: store.into(), clients, nobody, rules }
    }

    /// Who has signed this request with these parameters.
    ///
    /// # Errors
    ///
    /// [`Doubt::Malformed`] for a date or signature that is not spelled as it must be, or a path outside the mount;
    /// [`Doubt::SignatureInvalid`] when no live secret of the client made the signature, or the client is not good for this
    /// host; for an authentic signature [`Doubt::KeyDisabled`] and [`Doubt::WindowExceeded`].
    pub(super) fn judge(
        &self,
        credential: &Credential<'_>,
        pairs: &[Pair<'_>],
        request: &RequestView<'_>,
        now: Timestamp,
    ) -> Result<Verified<Arc<Identity>>, Doubt> {
        let (id, signature, date) = (credential.part(1), credential.part(2), credential.part(3));
        let signed = read_date(date).ok_or(Doubt::Malformed)?;
        let tag = read_tag(signature).ok_or(Doubt::Malformed)?;
        // As the client saw it: before anything was decoded.
        let path = request.raw_target.split(['?', '#']).next().unwrap_or_default();
        let path = path.strip_prefix(&*self.rules.mount).filter(|path| path.starts_with('/')).ok_or(Doubt::Malformed)?;
        let record = self.record(id, now);
        let secrets = self.clients.secrets(id).and_then(|secrets| keys_of(&secrets));
        let keys = match (&secrets, &self.nobody) {
            (Some(keys), _) => &**keys,
            (None, Some(nobody)) => std::slice::from_ref(nobody),
            (None, None) => return Err(Doubt::SignatureInvalid),
        };
        let authentic = texts(path, date, pairs).iter().fold(false, |found, text| found | any_verifies(keys, &[text], &tag));
        let record = record.filter(|record| authentic && secrets.is_some() && serves_host(record, request.host));
        let record = record.ok_or(Doubt::SignatureInvalid)?;
        if !in_force(&record, now) {
            return Err(Doubt::KeyDisabled);
        }
        let (start, end) = (signed.minus(self.rules.window), signed.plus(self.rules.window).plus(Seconds(1)));
        if now < start || end <= now {
            return Err(Doubt::WindowExceeded);
        }
        let key = || digest("countersign janrain burn", &[id.as_bytes(), date.as_bytes(), path.as_bytes(), &tag]);
        let burn = self.rules.burn.then(|| Burn { key: key(), made: signed, until: end });
        let claims = Value::Map([("iat".into(), Value::Int(signed.0))].into()).into();
        let expires = record.expires.map_or(end, |bound| bound.min(end));
        let identity = Identity { claims, expires: Some(expires), not_before: Some(start), burn, ..self.identity(&record) };
        Ok(Verified::vouch(Arc::new(identity)))
    }

    /// The client called `id`, by its name alone: that there is such a client, and that it is in force, is all that is proven.
    /// Of its features only the one that takes no secret is its own.
    ///
    /// # Errors
    ///
    /// [`Doubt::SecretWrong`] when there is none, or none for this host; [`Doubt::KeyDisabled`] when it is not in force.
    pub(super) fn named(&self, id: &str, host: &str, now: Timestamp) -> Result<Verified<Arc<Identity>>, Doubt> {
        let record = self.record(id, now).filter(|record| serves_host(record, host)).ok_or(Doubt::SecretWrong)?;
        if !in_force(&record, now) {
            return Err(Doubt::KeyDisabled);
        }
        let scopes = record.scopes.iter().filter(|feature| ***feature == *PUBLIC_FEATURE).cloned().collect();
        let claims = Value::Map([("public".into(), Value::Bool(true))].into()).into();
        Ok(Verified::vouch(Arc::new(Identity { scopes, claims, ..self.identity(&record) })))
    }

    fn record(&self, id: &str, now: Timestamp) -> Option<Arc<ServerKey>> {
        match self.clients.find(id, now) {
            // A store that answers with somebody else's record has answered nothing.
            ServerKeySearch::Known(record) => Some(record).filter(|record| *record.id == *id),
            ServerKeySearch::Unknown | ServerKeySearch::Ask => None,
        }
    }

    fn identity(&self, record: &ServerKey) -> Identity {
        Identity {
            subject: record.id.clone(),
            issuer: self.store.clone(),
            scopes: record.scopes.clone(),
            claims: Claims::empty(),
            expires: record.expires,
            not_before: record.not_before,
            scheme: self.scheme,
            authenticator: Arc::clone(&self.authenticator),
            burn: None,
            also: Vec::new(),
        }
    }
}
