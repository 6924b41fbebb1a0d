//! Verdicts on credentials that were verified a moment ago.
//!
//! An entry is found by a 256-bit digest over the authenticator (its plan, not its name) and every part of the credential,
//! each with its length before it; so no two credentials, and no two authenticators, ever share one. It is good while the
//! generation of the keys it rests on is the current one, until the credential's own end, and for `max_age` at most. A digest
//! is kept, not the credential. Nothing that may be used once only is ever kept.
//!
//! Bounded by weight. Never here: an error or a doubt (only what was proven), a clock. Times are checked by the caller
//! with [`check_times`] on every hit, since a hit is not a verdict on the time.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use crate::domain::{Credential, Doubt, Identity, Seconds, Timestamp, Value, Verified};

/// The bounds of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachePlan {
    /// The longest that a verdict is remembered.
    pub max_age: Seconds,
    /// How many bytes the verdicts may take, about.
    pub size: u64,
}

impl Default for CachePlan {
    fn default() -> Self {
        Self { max_age: Seconds(300), size: 64 << 20 }
    }
}

/// Tells authenticators apart: a digest over an authenticator's name and everything in its plan that a verdict rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AuthenticatorKey([u8; 32]);

impl AuthenticatorKey {
    /// The key of the authenticator called `name` with a plan described by `plan`, a text that differs when plans differ.
    #[must_use]
    pub fn of(name: &str, plan: &str) -> Self {
        Self(digest_of(&[0; 32], &[name, plan]))
    }
}

/// Remembered verdicts.
pub struct CredentialCache {
    entries: Cache<[u8; 32], Entry, ByBytes, ahash::RandomState>,
    max_age: Seconds,
}

#[derive(Clone)]
struct Entry {
    identity: Verified<Arc<Identity>>,
    generation: u64,
    /// From then on it is forgotten.
    until: Timestamp,
    weight: u32,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<[u8; 32], Entry> for ByBytes {
    fn weight(&self, _key: &[u8; 32], entry: &Entry) -> u64 {
        u64::from(entry.weight)
    }
}

impl CredentialCache {
    /// An empty cache.
    #[must_use]
    pub fn new(plan: CachePlan) -> Self {
        /// What an entry takes, roughly; only the first allocation depends on it.
        const USUAL: u64 = 1_024;
        let estimated = usize::try_from(plan.size / USUAL).unwrap_or(usize::MAX).clamp(16, 1 << 20);
        let entries = Cache::with(estimated, plan.size, ByBytes, ahash::RandomState::new(), DefaultLifecycle::default());
        Self { entries, max_age: plan.max_age }
    }

    /// What `authenticator` has proven about `credential` under `generation`, if that is remembered as of `now`.
    ///
    /// The identity's own times must still be checked: [`check_times`].
    #[must_use]
    pub fn get(
        &self,
        authenticator: &AuthenticatorKey,
        credential: &Credential<'_>,
        generation: u64,
        now: Timestamp,
    ) -> Option<Verified<Arc<Identity>>> {
        let entry = self.entries.get(&key(authenticator, credential))?;
        (entry.generation == generation && now < entry.until).then_some(entry.identity)
    }

    /// Remembers that `authenticator` has proven `identity` from `credential` under `generation`.
    ///
    /// It is forgotten after `max_age`, or after the cache's own where that is less. Does nothing when the credential is for one
    /// use, or has no time left.
    pub fn insert(
        &self,
        authenticator: &AuthenticatorKey,
        credential: &Credential<'_>,
        generation: u64,
        identity: &Verified<Arc<Identity>>,
        now: Timestamp,
        max_age: Seconds,
    ) {
        let known = identity.get();
        let oldest = now.plus(self.max_age.min(max_age));
        let until = known.expires.map_or(oldest, |end| end.min(oldest));
        if known.burn.is_some() || until <= now {
            return;
        }
        let entry = Entry { identity: identity.clone(), generation, until, weight: weigh(known) };
        self.entries.insert(key(authenticator, credential), entry);
    }

    /// Forgets the verdict on one credential.
    pub fn forget(&self, authenticator: &AuthenticatorKey, credential: &Credential<'_>) {
        self.entries.remove(&key(authenticator, credential));
    }

    /// Forgets every verdict whose identity is `withdrawn`; for revocations. Looks at all of them.
    pub fn forget_where(&self, withdrawn: impl Fn(&Identity) -> bool) {
        self.entries.retain(|_, entry| !withdrawn(entry.identity.get()));
    }

    /// Forgets everything.
    pub fn invalidate_all(&self) {
        self.entries.clear();
    }

    /// How many verdicts are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Checks the times of a remembered identity, whose leeway is included in them.
///
/// # Errors
///
/// [`Doubt::Expired`] from `expires` onward, [`Doubt::NotYetValid`] before `not_before`.
pub fn check_times(identity: &Verified<Arc<Identity>>, now: Timestamp) -> Result<(), Doubt> {
    let known = identity.get();
    if known.expires.is_some_and(|end| end <= now) {
        return Err(Doubt::Expired(Some(Box::new(identity.clone()))));
    }
    if known.not_before.is_some_and(|start| now < start) {
        return Err(Doubt::NotYetValid);
    }
    Ok(())
}

fn key(authenticator: &AuthenticatorKey, credential: &Credential<'_>) -> [u8; 32] {
    digest_of(&authenticator.0, &credential.parts)
}

/// SHA-256 over `first`, the number of texts, and each text with its length before it.
fn digest_of<T: AsRef<str>>(first: &[u8; 32], texts: &[T]) -> [u8; 32] {
    let length: usize = texts.iter().map(|text| text.as_ref().len() + size_of::<u64>()).sum();
    let mut message = Vec::with_capacity(first.len() + size_of::<u64>() + length);
    message.extend(first);
    message.extend((texts.len() as u64).to_be_bytes());
    for text in texts {
        message.extend((text.as_ref().len() as u64).to_be_bytes());
        message.extend(text.as_ref().as_bytes());
    }
    let mut key = [0; 32];
    key.iter_mut().zip(digest(&SHA256, &message).as_ref()).for_each(|(to, from)| *to = *from);
    key
}

/// How many bytes an entry takes, about.
fn weigh(identity: &Identity) -> u32 {
    /// Key, entry, the identity itself, and what the allocator and the cache add.
    const FIXED: usize = 512;
    let scopes: usize = identity.scopes.iter().map(|scope| scope.len() + 32).sum();
    let also: usize = identity.also.iter().map(|(_, other)| FIXED + weigh_value(&other.claims)).sum();
    let bytes = FIXED + identity.subject.len() + identity.issuer.len() + scopes + also + weigh_value(&identity.claims);
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn weigh_value(value: &Value) -> usize {
    let inside: usize = match value {
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
        Value::Text(text) => text.len(),
        Value::List(items) => items.iter().map(weigh_value).sum(),
        Value::Map(members) => members.iter().map(|(name, member)| name.len() + 32 + weigh_value(member)).sum(),
    };
    inside + size_of::<Value>()
}

#[cfg(test)]
mod tests;
