//! What a signed user id proves, and within which time.
//!
//! HMAC-SHA1 under the decoded partner secret over `TIME_UID`, or `TIME_FRIENDUID_UID` for a friendship; compared on the
//! raw 20 bytes in constant time. There is one spelling of each part: a time is decimal seconds, a signature 28 characters of
//! canonical base64, an id visible ASCII. All of it is checked before anything is computed.
//!
//! The base string has no unambiguous end between its parts. So a friendship whose ids hold `_` is refused, the kind is part
//! of the verifier, and the key of a burn is built from the parts and not from the base string.

use std::sync::Arc;

use crate::domain::{Burn, Credential, Doubt, Identity, Seconds, Secret, Timestamp, Value, Verified};
use crate::jose::digest::digest;
use crate::jose::hmac_sha1::{Sha1Key, any_verifies, generation_of, keys_of, read_tag};
use crate::jose::signed_call::read_number;
use crate::jose::signed_uid::is_uid;

/// What was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A user's UID, by Gigya at login.
    User,
    /// A siteUID, by the site, for setUID, notifyLogin and notifyRegistration.
    Site,
    /// That two users are friends, by Gigya.
    Friend,
}

impl Kind {
    /// The kind that the conf calls `word`.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "user" => Some(Self::User),
            "site" => Some(Self::Site),
            "friend" => Some(Self::Friend),
            _ => None,
        }
    }
}

/// What is demanded beside a right signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// What was signed.
    pub kind: Kind,
    /// How far the signed time may lie in the past or the future, both ends included.
    pub window: Seconds,
    /// Whether a user id may hold `_`; never for [`Kind::Friend`].
    pub underscore: bool,
    /// Whether each signature may be used once only.
    pub burn: bool,
}

/// Proves signed user ids under the secrets of one store.
pub struct Prover {
    scheme: &'static str,
    authenticator: Arc<str>,
    store: Box<str>,
    /// Current first; each with its key set up once.
    keys: Box<[Sha1Key]>,
    generation: u64,
    rules: Rules,
}

impl Prover {
    /// A prover for `secrets` of `store`.
    ///
    /// # Errors
    ///
    /// A sentence for the operator when there is no secret, or an empty one.
    pub fn new(scheme: &'static str, authenticator: &Arc<str>, store: &str, secrets: &[Secret], rules: Rules) -> Result<Self, String> {
        let keys = keys_of(secrets).ok_or_else(|| format!("`{store}` holds no secret, or an empty one; anyone could sign"))?;
        let generation = generation_of(secrets);
        Ok(Self { scheme, authenticator: Arc::clone(authenticator), store: store.into(), keys, generation, rules })
    }

    /// The generation of verdicts: changes with the secrets. `None` when each signature is good once only.
    pub fn cache_generation(&self) -> Option<u64> {
        (!self.rules.burn).then_some(self.generation)
    }

    /// Who is proven by the parts id, time, signature and, for friendships, friend's id.
    ///
    /// # Errors
    ///
    /// [`Doubt::Malformed`] for parts that are not spelled as they must be, [`Doubt::SignatureInvalid`] when no secret made the
    /// signature, [`Doubt::WindowExceeded`] for an authentic signature that is too old or too new.
    pub fn judge(&self, credential: &Credential<'_>, now: Timestamp) -> Result<Verified<Arc<Identity>>, Doubt> {
        let (uid, time) = (credential.part(0), credential.part(1));
        let friend = (self.rules.kind == Kind::Friend).then(|| credential.part(3));
        let signed = read_number(time).map(Timestamp).ok_or(Doubt::Malformed)?;
        let signature = read_tag(credential.part(2)).ok_or(Doubt::Malformed)?;
        if !self.accepts_uid(uid) || friend.is_some_and(|friend| !self.accepts_uid(friend)) {
            return Err(Doubt::Malformed);
        }
        let authentic = match friend {
            Some(friend) => any_verifies(&self.keys, &[time, "_", friend, "_", uid], &signature),
            None => any_verifies(&self.keys, &[time, "_", uid], &signature),
        };
        if !authentic {
            return Err(Doubt::SignatureInvalid);
        }
        let (start, end) = (signed.minus(self.rules.window), signed.plus(self.rules.window).plus(Seconds(1)));
        if now < start || end <= now {
            return Err(Doubt::WindowExceeded);
        }
        let issued = ("iat".into(), Value::Int(signed.0));
        let burn = self.rules.burn.then(|| Burn { key: self.burn_key(uid, time, friend), made: signed, until: end });
        Ok(Verified::vouch(Arc::new(Identity {
            subject: uid.into(),
            issuer: self.store.clone(),
            scopes: Box::default(),
            claims: Value::Map(friend.map(|friend| ("friend".into(), friend.into())).into_iter().chain([issued]).collect()).into(),
            expires: Some(end),
            not_before: Some(start),
            scheme: self.scheme,
            authenticator: Arc::clone(&self.authenticator),
            burn,
            also: Vec::new(),
        })))
    }

    fn accepts_uid(&self, uid: &str) -> bool {
        is_uid(uid) && (self.rules.underscore || !uid.contains('_'))
    }

    /// Names what was signed: the same for every authenticator that uses the store for this kind.
    fn burn_key(&self, uid: &str, time: &str, friend: Option<&str>) -> [u8; 32] {
        let kind = match self.rules.kind {
            Kind::User => "user",
            Kind::Site => "site",
            Kind::Friend => "friend",
        };
        let parts = [self.store.as_bytes(), kind.as_bytes(), time.as_bytes(), uid.as_bytes(), friend.unwrap_or("").as_bytes()];
        digest("countersign gigya burn", &parts)
    }
}
