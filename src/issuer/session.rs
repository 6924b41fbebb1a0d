//! Sessions are opened, given a new pair, and ended here; they are found and judged in `verify`.
//!
//! An id is made anew at every login and never taken from a request. A change is a compare-and-set on the record, so a session that
//! is ended while it is renewed stays ended, and a pair that somebody else has renewed in the meantime is not overwritten.
//!
//! A pair is in one session at a time: two that spend the same refresh credential are a theft to an issuer that rotates, and both
//! are over. Which session has it stands under a digest of the refresh credential, for as long as that session does.
//!
//! Never here: an id in a log or a fault; a session that is opened by another session.

pub mod cookie;
pub mod origin;

use std::sync::Arc;

use bytes::Bytes;

use crate::domain::{Event, Identity, Observer, Outage, Random, Timestamp, TokenPair};
use crate::jose::session::{KeptPair, Reference, Session, SessionTerms, TooLarge};
use crate::state::contract::{Class, Entry, Expect, Key, StateStore, Written};

/// How often a record that changed under our hands is looked at again.
const LOOKS: usize = 4;

/// Opens and ends the sessions of one authenticator.
pub struct Sessions {
    terms: Arc<SessionTerms>,
    state: Arc<dyn StateStore>,
    random: Arc<dyn Random>,
    observer: Arc<dyn Observer>,
}

/// Why a session was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenFault {
    /// What was proven is too much for a record.
    #[error("the session is too large to be kept")]
    TooLarge,
    /// The pair that it was to keep is in a session that stands.
    #[error("the pair is in another session")]
    Taken,
    /// The state store did not answer; the session may be there, and nobody knows its id.
    #[error("the state store did not answer")]
    Store,
}

impl From<TooLarge> for OpenFault {
    fn from(_fault: TooLarge) -> Self {
        Self::TooLarge
    }
}

impl From<Outage> for OpenFault {
    fn from(_outage: Outage) -> Self {
        Self::Store
    }
}

/// What became of a pair that was to be kept.
#[derive(Debug)]
pub enum Kept {
    /// It is in the record now.
    Done,
    /// The record holds another than the one that was spent: somebody was quicker, and this is theirs.
    Superseded(KeptPair),
    /// The session is over, and what was to be kept belongs to nobody.
    Over,
}

/// A session that is not over, as recorded.
pub struct Recorded {
    version: u64,
    session: Session,
}

impl Recorded {
    /// What it keeps.
    #[must_use]
    pub fn pair(&self) -> Option<&KeptPair> {
        self.session.pair.as_ref()
    }

    /// The same where it keeps a pair.
    #[must_use]
    pub fn standing(self) -> Option<Standing> {
        let pair = self.session.pair.clone()?;
        Some(Standing { pair, version: self.version, session: self.session })
    }
}

/// A session with a pair, as it stands.
#[derive(Clone)]
pub struct Standing {
    /// The pair.
    pub pair: KeptPair,
    version: u64,
    session: Session,
}

impl Sessions {
    /// The sessions of `terms`, kept in `state`.
    #[must_use]
    pub fn new(terms: Arc<SessionTerms>, state: Arc<dyn StateStore>, random: Arc<dyn Random>, observer: Arc<dyn Observer>) -> Self {
        Self { terms, state, random, observer }
    }

    /// What they have in common.
    #[must_use]
    pub fn terms(&self) -> &SessionTerms {
        &self.terms
    }

    /// Opens a session for `identity` at `host`, under an id that nobody has seen before. `pair` is kept for it, and for no other.
    ///
    /// # Errors
    ///
    /// [`OpenFault`].
    pub async fn open(
        &self,
        host: &str,
        identity: &Identity,
        pair: Option<KeptPair>,
        now: Timestamp,
    ) -> Result<(Reference, Session), OpenFault> {
        let session = Session {
            subject: identity.subject.clone(),
            issuer: identity.issuer.clone(),
            scopes: identity.scopes.clone(),
            claims: identity.claims.to_value(),
            opened: now,
            ends: now.plus(self.terms.life),
            seen: now,
            pair,
        };
        let vacancy = match &session.pair {
            Some(pair) => Some(self.vacancy(pair, now).await?.ok_or(OpenFault::Taken)?),
            None => None,
        };
        let reference = self.terms.draw(host, self.random.as_ref()).ok_or(TooLarge)?;
        let record = self.terms.seal(&reference, &session, self.random.as_ref())?;
        match self.write(&reference, Expect::Absent, record, session.until(self.terms.idle), now).await? {
            Written::Done { .. } if !self.claim(&reference, &session, vacancy, now).await? => {
                // Nobody was told its id, so it is over even where this fails.
                let _ = self.close(&reference, now).await;
                Err(OpenFault::Taken)
            }
            Written::Done { .. } => Ok((reference, session)),
            // 256 random bits that are taken: the randomness is broken, and nothing may rest on it.
            Written::Conflict(_) => Err(OpenFault::Store),
        }
    }

    /// Whether `pair` is in a session that stands.
    ///
    /// # Errors
    ///
    /// [`Outage::State`].
    pub async fn holds(&self, pair: &KeptPair, now: Timestamp) -> Result<bool, Outage> {
        self.vacancy(pair, now).await.map(|vacancy| vacancy.is_none())
    }

    /// Ends the session of `reference`; whether there was one.
    ///
    /// # Errors
    ///
    /// [`Outage::State`]: it may still be there.
    pub async fn close(&self, reference: &Reference, now: Timestamp) -> Result<bool, Outage> {
        let key = self.key(reference);
        let removed = self.state.remove(&key, now).await;
        self.observer.note(Event::State { operation: "remove", ok: removed.is_ok() });
        // Also when nobody answered: it may be gone.
        self.terms.epochs.advance(&key.digest);
        removed
    }

    /// The session of `reference`, when it is there and not over.
    ///
    /// # Errors
    ///
    /// [`Outage::State`].
    pub async fn recorded(&self, reference: &Reference, now: Timestamp) -> Result<Option<Recorded>, Outage> {
        let Some(entry) = self.read(&self.key(reference), now).await? else { return Ok(None) };
        let session = self.terms.open(reference, &entry.value).map(crate::domain::Verified::into_inner);
        let session = session.filter(|session| now < session.until(self.terms.idle));
        Ok(session.map(|session| Recorded { version: entry.version, session }))
    }

    /// The same, when it keeps a pair.
    ///
    /// # Errors
    ///
    /// [`Outage::State`].
    pub async fn standing(&self, reference: &Reference, now: Timestamp) -> Result<Option<Standing>, Outage> {
        Ok(self.recorded(reference, now).await?.and_then(Recorded::standing))
    }

    /// Puts `fresh` where `standing` still is, in place of the pair that was spent for it.
    ///
    /// # Errors
    ///
    /// [`OpenFault`]: nobody knows whether it is kept.
    pub async fn keep(&self, reference: &Reference, standing: Standing, fresh: &TokenPair, now: Timestamp) -> Result<Kept, OpenFault> {
        let spent = standing.pair.clone();
        let pair = KeptPair {
            access: fresh.access.clone(),
            refresh: fresh.refresh.clone().unwrap_or_else(|| spent.refresh.clone()),
            access_until: fresh.access_until,
            refresh_until: fresh.refresh_until.or(spent.refresh_until.filter(|_| fresh.refresh.is_none())),
        };
        let mut standing = standing;
        for _ in 0..LOOKS {
            // Whoever asks for a renewal is using the session.
            let session = Session { pair: Some(pair.clone()), seen: standing.session.seen.max(now), ..standing.session };
            let record = self.terms.seal(reference, &session, self.random.as_ref())?;
            let written = self.write(reference, Expect::Version(standing.version), record, session.until(self.terms.idle), now).await?;
            if matches!(written, Written::Done { .. }) {
                return Ok(Kept::Done);
            }
            standing = match self.standing(reference, now).await? {
                None => return Ok(Kept::Over),
                // Written by an attempt of ours whose answer was lost, or by another of the same renewal.
                Some(found) if found.pair == pair => return Ok(Kept::Done),
                Some(found) if found.pair != spent => return Ok(Kept::Superseded(found.pair)),
                // Noted as used in the meantime, and otherwise as it was.
                Some(found) => found,
            };
        }
        Err(OpenFault::Store)
    }

    /// How the claim on `pair` must be found by who takes it; `None` while a session that stands has it.
    async fn vacancy(&self, pair: &KeptPair, now: Timestamp) -> Result<Option<Expect>, Outage> {
        let Some(claim) = self.read(&claim_on(pair), now).await? else { return Ok(Some(Expect::Absent)) };
        // It was made once the session was there. What names none is not ours to pass over.
        let Ok(digest) = <[u8; 32]>::try_from(&*claim.value) else { return Ok(None) };
        let holder = self.read(&Key { class: Class::Session, digest }, now).await?;
        Ok(holder.is_none().then_some(Expect::Version(claim.version)))
    }

    /// Says that what `session` keeps is in the session of `reference`, if it still is as `vacancy` says; whether it is now.
    async fn claim(&self, reference: &Reference, session: &Session, vacancy: Option<Expect>, now: Timestamp) -> Result<bool, Outage> {
        let Some((pair, expect)) = session.pair.as_ref().zip(vacancy) else { return Ok(true) };
        let holder = Bytes::copy_from_slice(&self.terms.record_of(reference));
        let written = self.state.write(&claim_on(pair), expect, holder, session.ends, now).await;
        self.observer.note(Event::State { operation: "write", ok: written.is_ok() });
        Ok(matches!(written?, Written::Done { .. }))
    }

    async fn read(&self, key: &Key, now: Timestamp) -> Result<Option<Entry>, Outage> {
        let read = self.state.read(key, now).await;
        self.observer.note(Event::State { operation: "read", ok: read.is_ok() });
        read
    }

    async fn write(
        &self,
        reference: &Reference,
        expect: Expect,
        record: Vec<u8>,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Written, Outage> {
        let key = self.key(reference);
        let written = self.state.write(&key, expect, Bytes::from(record), until, now).await;
        self.observer.note(Event::State { operation: "write", ok: written.is_ok() });
        self.terms.epochs.advance(&key.digest);
        written
    }

    fn key(&self, reference: &Reference) -> Key {
        Key { class: Class::Session, digest: self.terms.record_of(reference) }
    }
}

/// Where it stands which session has `pair`. The same for the sessions of every authenticator: the issuer does not tell them apart.
fn claim_on(pair: &KeptPair) -> Key {
    Key { class: Class::Session, digest: pair.claim() }
}

#[cfg(test)]
mod tests;
