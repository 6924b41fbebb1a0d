//! Reads the records of sessions, notes that they are used, and remembers them for a moment.
//!
//! However many requests of a session come at once, the store is asked once, and a session that is used all the time costs one
//! read a second and one write a minute. What was read is dropped as soon as the record is changed on this node. Ids that lead to
//! nothing any more are remembered apart from those that lead somewhere, so that they push none of these out; invented ones never
//! come here.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use quick_cache::sync::Cache;

use crate::domain::{Answer, Event, Observer, Outage, Random, Seconds, Timestamp, Verified};
use crate::jose::base64url;
use crate::jose::session::{Reference, Session, SessionTerms};
use crate::net::single_flight::SingleFlight;
use crate::state::contract::{Class, Entry, Expect, Key, StateStore, Written};
use crate::verify::contract::Desk;

/// That a session was seen is written at most so often.
const TOUCH: Seconds = Seconds(60);

/// Different sessions asked about at a time.
const FLIGHTS: usize = 1_024;

/// Sessions that are remembered.
const LIVE: usize = 16_384;

/// Ids that lead to nothing and are remembered.
const OVER: usize = 16_384;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// The record, as it was a moment ago at most.
    Remembered,
    /// The record as it stands in the store now.
    Anew,
}

impl Asked {
    /// As a question for the desk. As secret as the id.
    #[must_use]
    pub fn about(self, reference: &Reference) -> Arc<str> {
        let text = reference.text();
        match self {
            Self::Remembered => Arc::from([".", text.as_str()].concat()),
            Self::Anew => Arc::from(["!", text.as_str()].concat()),
        }
    }

    fn read(about: &str, terms: &SessionTerms) -> Option<(Self, Reference)> {
        let (asked, rest) = match about.split_at_checked(1)? {
            (".", rest) => (Self::Remembered, rest),
            ("!", rest) => (Self::Anew, rest),
            _ => return None,
        };
        Some((asked, terms.read(rest)?))
    }
}

/// What is known of an id.
#[derive(Debug, Clone)]
pub enum Seen {
    /// A session, as recorded.
    Live(Arc<Verified<Session>>),
    /// There is none: it is over.
    Over,
}

/// The desk that answers with [`Seen`].
pub struct SessionDesk {
    inner: Arc<Inner>,
}

struct Inner {
    terms: Arc<SessionTerms>,
    remember: Seconds,
    state: Arc<dyn StateStore>,
    random: Arc<dyn Random>,
    observer: Arc<dyn Observer>,
    live: Cache<[u8; 32], Known>,
    over: Cache<[u8; 32], Known>,
    flights: SingleFlight<Result<Arc<Seen>, Outage>>,
}

#[derive(Clone)]
struct Known {
    seen: Arc<Seen>,
    /// When the store was asked.
    asked: Timestamp,
    /// The record's epoch before it was read.
    epoch: u64,
}

impl SessionDesk {
    /// A desk for the sessions of `terms`.
    #[must_use]
    pub fn new(
        terms: &Arc<SessionTerms>,
        remember: Seconds,
        state: &Arc<dyn StateStore>,
        random: &Arc<dyn Random>,
        observer: &Arc<dyn Observer>,
    ) -> Self {
        let inner = Inner {
            terms: Arc::clone(terms),
            remember,
            state: Arc::clone(state),
            random: Arc::clone(random),
            observer: Arc::clone(observer),
            live: Cache::new(LIVE),
            over: Cache::new(OVER),
            flights: SingleFlight::new(FLIGHTS),
        };
        Self { inner: Arc::new(inner) }
    }

    /// What is remembered of `reference` and still holds at `now`. The next look may find another record: one judgement looks once.
    #[must_use]
    pub fn recall(&self, reference: &Reference, now: Timestamp) -> Option<Arc<Seen>> {
        self.inner.recall(&self.inner.terms.record_of(reference), now)
    }
}

impl Inner {
    fn recall(&self, record: &[u8; 32], now: Timestamp) -> Option<Arc<Seen>> {
        let known = self.live.get(record).or_else(|| self.over.get(record))?;
        let holds = now.is_within(self.remember, known.asked) && known.epoch == self.terms.epochs.of(record);
        holds.then_some(known.seen)
    }

    async fn ask(self: Arc<Self>, reference: Reference, record: [u8; 32], now: Timestamp) -> Result<Arc<Seen>, Outage> {
        let epoch = self.terms.epochs.of(&record);
        let key = Key { class: Class::Session, digest: record };
        let read = self.state.read(&key, now).await;
        self.observer.note(Event::State { operation: "read", ok: read.is_ok() });
        let seen = match read? {
            None => Seen::Over,
            Some(entry) => self.look(&reference, &key, entry, now).await,
        };
        let seen = Arc::new(seen);
        let (remembered, other) = if matches!(*seen, Seen::Live(_)) { (&self.live, &self.over) } else { (&self.over, &self.live) };
        other.remove(&record);
        remembered.insert(record, Known { seen: Arc::clone(&seen), asked: now, epoch });
        Ok(seen)
    }

    async fn look(&self, reference: &Reference, key: &Key, entry: Entry, now: Timestamp) -> Seen {
        let Some(session) = self.terms.open(reference, &entry.value) else {
            // Sealed with a key that is gone, or damaged: nobody can say whose it was.
            tracing::warn!(authenticator = %self.terms.name, "a session's record could not be opened; the session is over");
            return Seen::Over;
        };
        if session.get().until(self.terms.idle) <= now {
            return Seen::Over;
        }
        if self.terms.idle != Seconds(0) && session.get().seen.plus(TOUCH) <= now {
            self.touch(reference, key, &entry, session.get(), now).await;
        }
        Seen::Live(Arc::new(session))
    }

    /// Notes that the session is used. When that fails it may end early; when somebody else was quicker, they have noted it or ended it.
    async fn touch(&self, reference: &Reference, key: &Key, entry: &Entry, session: &Session, now: Timestamp) {
        let touched = Session { seen: now, ..session.clone() };
        let until = touched.until(self.terms.idle);
        let Ok(record) = self.terms.seal(reference, &touched, self.random.as_ref()) else { return };
        let written = self.state.write(key, Expect::Version(entry.version), Bytes::from(record), until, now).await;
        self.observer.note(Event::State { operation: "write", ok: written.is_ok() });
        if let Ok(Written::Conflict(_)) = written {
            tracing::debug!(authenticator = %self.terms.name, "a session was changed while it was noted as used");
        }
    }
}

#[async_trait]
impl Desk for SessionDesk {
    async fn answer(&self, about: &str, now: Timestamp) -> Result<Answer, Outage> {
        let inner = &self.inner;
        let (asked, reference) = Asked::read(about, &inner.terms).ok_or(Outage::Other)?;
        let record = inner.terms.record_of(&reference);
        if asked == Asked::Remembered
            && let Some(seen) = inner.recall(&record, now)
        {
            return Ok(seen);
        }
        // A flight that was on its way before the record was changed may bring what it was: those that ask anew board their own.
        let epoch = inner.terms.epochs.of(&record);
        let name = format!("{epoch}{}{}", if asked == Asked::Anew { '!' } else { '.' }, base64url::encode(&record));
        let work = || Arc::clone(inner).ask(reference, record, now);
        let seen = inner.flights.join(&name, work).await.unwrap_or(Err(Outage::State))?;
        Ok(seen)
    }
}
