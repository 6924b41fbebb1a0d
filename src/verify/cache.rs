//! Verdicts on credentials that were verified a moment ago.
//!
//! An entry is found by the SHA-256 of the authenticator (itself a digest of its plan, not its name) and the whole credential, part by
//! part with lengths, so no two credentials, and no two authenticators, ever share one, and no credential stays in memory. Nothing about
//! that is secret, and nothing has to be drawn for it: a fault in a key would let one caller pass for another. Which place in
//! the table a digest leads to is a keyed hash of it, so that nobody can aim at one.
//!
//! An entry is good while the generation of the keys it rests on is the current one, until the credential's own end, and for
//! `max_age` at most. Nothing that may be used once only is ever kept. Bounded by weight.
//!
//! Never here: an error or a doubt (only what was proven), a clock. Times are checked by the caller with [`check_times`] on
//! every hit, since a hit is not a verdict on the time.

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256, digest};
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use crate::domain::{Credential, Doubt, Identity, Seconds, Timestamp, Verified};

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
        let mut message = (name.len() as u64).to_be_bytes().to_vec();
        message.extend(name.as_bytes());
        message.extend(plan.as_bytes());
        let mut key = [0; 32];
        key.iter_mut().zip(digest(&SHA256, &message).as_ref()).for_each(|(to, from)| *to = *from);
        Self(key)
    }
}

/// Remembered verdicts.
pub struct CredentialCache {
    entries: Cache<Key, Entry, ByBytes, ahash::RandomState>,
    max_age: Seconds,
}

/// What an entry is about: all of a credential, and who judged it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key([u8; 32]);

impl Key {
    fn of(authenticator: &AuthenticatorKey, credential: &Credential<'_>) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&authenticator.0);
        for part in &credential.parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut key = [0; 32];
        key.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
        Self(key)
    }
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

impl Weighter<Key, Entry> for ByBytes {
    fn weight(&self, _key: &Key, entry: &Entry) -> u64 {
        u64::from(entry.weight)
    }
}

impl CredentialCache {
    /// An empty cache.
    #[must_use]
    pub fn new(plan: CachePlan) -> Self {
        /// What an entry takes, roughly; only the first allocation depends on it.
        const USUAL: u64 = 768;
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
        let entry = self.entries.get(&Key::of(authenticator, credential))?;
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
        self.entries.insert(Key::of(authenticator, credential), entry);
    }

    /// Forgets the verdict on one credential.
    pub fn forget(&self, authenticator: &AuthenticatorKey, credential: &Credential<'_>) {
        self.entries.remove(&Key::of(authenticator, credential));
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

/// How many bytes an entry takes, about.
fn weigh(identity: &Identity) -> u32 {
    /// A place in the cache: what stands in it, its links and its share of the index, and that of places which stand empty.
    const PLACE: usize = (size_of::<Key>() + size_of::<Entry>() + 32) * 3 / 2;
    u32::try_from(PLACE + held(identity)).unwrap_or(u32::MAX)
}

/// How many bytes a shared identity takes, about.
pub(crate) fn held(identity: &Identity) -> usize {
    /// Both counts of whoever shares it.
    const SHARED: usize = 2 * size_of::<usize>();
    let scopes: usize = identity.scopes.iter().map(|scope| room(scope.len())).sum();
    let also: usize = identity.also.iter().map(|(_, other)| held(other)).sum();
    room(SHARED + size_of::<Identity>())
        + room(identity.subject.len())
        + room(identity.issuer.len())
        + room(identity.claims.held())
        + room(size_of_val(&*identity.scopes))
        + scopes
        + room(size_of_val(&*identity.also))
        + also
}

/// What a piece of memory of `bytes` takes: allocators round up, by an eighth at most, and keep small ones in steps.
fn room(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { bytes + bytes / 16 + 12 }
}

#[cfg(test)]
mod tests;
