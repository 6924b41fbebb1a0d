//! Who is revoked, at hand for every request: a list in memory, kept the same on all nodes by the log of the state store.
//!
//! A request asks [`Revocations::check`], which waits for nothing, allocates nothing, and is one look at one word while nothing
//! is revoked. Told by an operator, a node obeys first and passes on afterwards; what it could not pass on it tries again until
//! the store takes it ([`follow`](Revocations::follow)). A withdrawal goes the other way: it counts once it is in the log.
//!
//! The list is a union. Every entry has a name drawn at random; a withdrawal of that name ends it for good, in whatever order the
//! two arrive, so what several nodes write twice, or write again after the log was lost, adds up to the same list.
//!
//! Never here: a list that was never read taken for an empty one. Until the log has been read once, who is revoked is not known,
//! and whoever asks is told so.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::domain::revocation::Digits;
use crate::domain::{
    By, Clock, Doubt, Event, Identity, Listed, ListedFrom, Observer, Outage, Random, Refusal, Revocation, RevocationId, Seconds, Timestamp,
};
use crate::state::contract::{Cursor, StateStore};
use crate::state::revoked::record::Record;

mod follow;
mod record;

/// Who is revoked. One for the whole process: it outlives every conf.
pub struct Revocations {
    /// [`EMPTY`], [`SOME`] or [`UNREAD`]: spares almost every request the rest.
    glance: AtomicU8,
    /// What requests are compared with. Replaced whole, by whoever holds `known`.
    set: ArcSwap<Set>,
    /// What `set` is made from. A `Mutex`: it is looked at by writers and operators only.
    known: Mutex<Known>,
    /// Counts the changes that took something away, for whoever keeps connections open.
    revisions: watch::Sender<u64>,
    /// Seconds that a revocation counts unless it says so itself.
    lasts: AtomicU32,
    store: Arc<dyn StateStore>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    observer: Arc<dyn Observer>,
}

/// Nobody is revoked.
const EMPTY: u8 = 0;
/// Somebody is.
const SOME: u8 = 1;
/// The log has never been read.
const UNREAD: u8 = 2;

/// The entries, by what they go by and its value.
#[derive(Default)]
struct Set([HashMap<Box<str>, Vec<Arc<Revocation>>, ahash::RandomState>; By::ALL.len()]);

/// Everything that is known.
#[derive(Default)]
struct Known {
    /// What operators have said, to this node or another.
    told: HashMap<RevocationId, Told, ahash::RandomState>,
    /// What the file of the conf says, with its lines.
    file: Arc<[(usize, Arc<Revocation>)]>,
    /// How far the log has been read.
    cursor: Cursor,
    /// When that was; `None` as long as it never was.
    read: Option<Timestamp>,
    /// When the log was last read from its beginning.
    whole: Option<Timestamp>,
}

/// One thing that an operator said.
struct Told {
    record: Record,
    /// Whether it is in the log. What is not, this node still owes to the others.
    kept: bool,
}

/// What became of a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoked {
    /// It is in force here, and in the log for every node.
    Everywhere(RevocationId),
    /// It is in force here; the store did not take it, and is asked again until it does.
    Here(RevocationId),
    /// It was not taken: this node has as many entries as it may have.
    Full,
}

/// What became of a withdrawal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withdrawn {
    /// The revocation no longer counts, on this node, and within a moment on all others.
    Done,
    /// There is no such revocation.
    Unknown,
    /// The store did not take it: the revocation still counts.
    Unavailable,
}

impl Revocations {
    /// As many entries as operators may have in force at once.
    pub const MOST: usize = 100_000;
    /// How many of them are kept free of families: anyone who logs in and spends a refresh token twice adds one, and operators must
    /// find room all the same.
    const KEPT_FREE: usize = 10_000;
    /// How long a revocation counts unless conf or operator say otherwise: 30 days.
    pub const LASTS: Seconds = Seconds(30 * 86_400);

    /// An unread list over the log of `store`.
    #[must_use]
    pub fn new(store: Arc<dyn StateStore>, clock: Arc<dyn Clock>, random: Arc<dyn Random>, observer: Arc<dyn Observer>) -> Self {
        Self {
            glance: AtomicU8::new(UNREAD),
            set: ArcSwap::default(),
            known: Mutex::default(),
            revisions: watch::channel(0).0,
            lasts: AtomicU32::new(Self::LASTS.0),
            store,
            clock,
            random,
            observer,
        }
    }

    /// Lets `identity` pass, proven a moment ago or remembered, unless it is revoked as of `now`.
    ///
    /// # Errors
    ///
    /// [`Doubt::Revoked`] when it is; [`Refusal::StateUnavailable`] while nobody can say, because the log was never read.
    #[inline]
    pub fn check(&self, identity: &Identity, now: Timestamp) -> Result<(), Refusal> {
        match self.glance.load(Ordering::Acquire) {
            EMPTY => Ok(()),
            _ if self.covers(identity, now) => Err(Doubt::Revoked.into()),
            SOME => Ok(()),
            _ => Err(Outage::State.refusal()),
        }
    }

    /// Whether `identity` is known to be revoked as of `now`.
    #[must_use]
    pub fn covers(&self, identity: &Identity, now: Timestamp) -> bool {
        self.set.load().covers(identity, now)
    }

    /// Whether the log has been read once.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.glance.load(Ordering::Acquire) != UNREAD
    }

    /// Changes whenever something was taken away from somebody.
    #[must_use]
    pub fn revisions(&self) -> watch::Receiver<u64> {
        self.revisions.subscribe()
    }

    /// The moment now, by the clock that ends revocations.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// How long a revocation counts that does not say so itself.
    #[must_use]
    pub fn lasts(&self) -> Seconds {
        Seconds(self.lasts.load(Ordering::Relaxed))
    }

    /// From now on the conf says this: the entries of its file, each with its line, and how long a revocation counts that does
    /// not say so itself.
    pub fn put_conf(&self, listed: Arc<[(usize, Arc<Revocation>)]>, lasts: Seconds) {
        self.lasts.store(lasts.0, Ordering::Relaxed);
        let mut known = self.known.lock();
        if known.file != listed {
            known.file = listed;
            self.publish(&mut known);
            self.revise();
        }
    }

    /// Revokes: in force here when this returns, whatever it returns but [`Revoked::Full`].
    pub async fn revoke(&self, revocation: Revocation) -> Revoked {
        let now = self.clock.now();
        let mut id = [0; 16];
        self.random.fill(&mut id);
        let id = RevocationId(id);
        let is_family = revocation.by == By::Family;
        let record = Record::Revoke { id, made: now, revocation: Arc::new(revocation) };
        let (bytes, until) = (record.encode(), record.until());
        {
            let mut known = self.known.lock();
            let most = if is_family { Self::MOST - Self::KEPT_FREE } else { Self::MOST };
            if most <= known.told.len() {
                known.sweep(now);
                if most <= known.told.len() {
                    return Revoked::Full;
                }
            }
            known.told.insert(id, Told { record, kept: false });
            self.publish(&mut known);
        }
        self.revise();

        // Should the caller go away here, the entry stays, and is owed.
        if self.append(bytes, until, now).await.is_err() {
            return Revoked::Here(id);
        }
        if let Some(told) = self.known.lock().told.get_mut(&id) {
            told.kept = true;
        }
        Revoked::Everywhere(id)
    }

    /// Withdraws the revocation called `id`. It counts until the log has taken the withdrawal.
    pub async fn withdraw(&self, id: RevocationId) -> Withdrawn {
        let now = self.clock.now();
        let record = match self.known.lock().told.get(&id).map(|told| &told.record) {
            Some(Record::Revoke { revocation, .. }) => Record::Withdraw { id, until: revocation.until },
            Some(Record::Withdraw { .. }) | None => return Withdrawn::Unknown,
        };
        if self.append(record.encode(), record.until(), now).await.is_err() {
            return Withdrawn::Unavailable;
        }
        let mut known = self.known.lock();
        known.told.insert(id, Told { record, kept: true });
        self.publish(&mut known);
        Withdrawn::Done
    }

    /// Up to `most` entries in force, newest first, those after `after` where it is given; whether there are more.
    #[must_use]
    pub fn page(&self, after: Option<ListedFrom>, most: usize) -> (Vec<Listed>, bool) {
        let now = self.clock.now();
        let mut listed: Vec<Listed> = {
            let known = self.known.lock();
            let told = known.told.iter().filter_map(|(id, told)| match &told.record {
                Record::Revoke { made, revocation, .. } => {
                    Some((ListedFrom::Log { made: *made, id: *id, kept: told.kept }, Arc::clone(revocation)))
                }
                Record::Withdraw { .. } => None,
            });
            let file = known.file.iter().map(|(line, revocation)| (ListedFrom::File { line: *line }, Arc::clone(revocation)));
            let all = told.chain(file).map(|(from, revocation)| Listed { from, revocation });
            all.filter(|listed| listed.revocation.in_force(now) && after.is_none_or(|after| listed.from < after)).collect()
        };
        listed.sort_unstable_by_key(|listed| std::cmp::Reverse(listed.from));
        let more = most < listed.len();
        listed.truncate(most);
        (listed, more)
    }

    async fn append(&self, bytes: bytes::Bytes, until: Timestamp, now: Timestamp) -> Result<(), Outage> {
        let appended = self.store.append(bytes, until, now).await;
        self.observer.note(Event::State { operation: "log_append", ok: appended.is_ok() });
        appended
    }

    /// Puts what is known where requests look. The caller holds `known`, so no older list can overtake a newer one.
    fn publish(&self, known: &mut Known) {
        let now = self.clock.now();
        let set = known.set(now);
        let in_force = set.len();
        self.set.store(Arc::new(set));
        let glance = match known.read {
            None => UNREAD,
            Some(_) if in_force == 0 => EMPTY,
            Some(_) => SOME,
        };
        self.glance.store(glance, Ordering::Release);
        self.observer.note(Event::Revocations { in_force, read: known.read });
    }

    /// Wakes whoever keeps connections open.
    fn revise(&self) {
        self.revisions.send_modify(|revision| *revision = revision.wrapping_add(1));
    }
}

impl Set {
    fn covers(&self, identity: &Identity, now: Timestamp) -> bool {
        let own = By::ALL.into_iter().zip(&self.0).any(|(by, entries)| {
            let mut digits = Digits::default();
            !entries.is_empty()
                && by
                    .of(identity, &mut digits)
                    .and_then(|value| entries.get(value))
                    .is_some_and(|entries| entries.iter().any(|entry| entry.reaches(identity, now)))
        });
        own || identity.also.iter().any(|(_, other)| self.covers(other, now))
    }

    fn insert(&mut self, revocation: &Arc<Revocation>) {
        for (by, entries) in By::ALL.into_iter().zip(&mut self.0) {
            if by == revocation.by {
                entries.entry(revocation.value.clone()).or_default().push(Arc::clone(revocation));
            }
        }
    }

    fn len(&self) -> usize {
        self.0.iter().flat_map(HashMap::values).map(Vec::len).sum()
    }
}

impl Known {
    /// Forgets what is past its end.
    fn sweep(&mut self, now: Timestamp) -> bool {
        let before = self.told.len();
        self.told.retain(|_, told| now < told.record.until());
        self.told.len() < before
    }

    /// What counts as of `now`.
    fn set(&self, now: Timestamp) -> Set {
        let mut set = Set::default();
        let told = self.told.values().filter_map(|told| match &told.record {
            Record::Revoke { revocation, .. } => Some(revocation),
            Record::Withdraw { .. } => None,
        });
        told.chain(self.file.iter().map(|(_, revocation)| revocation))
            .filter(|entry| entry.in_force(now))
            .for_each(|entry| set.insert(entry));
        set
    }

    /// Takes in what stands in the log; whether that takes something away from somebody.
    fn take_in(&mut self, record: Record) -> Change {
        use std::collections::hash_map::Entry;
        match self.told.entry(record.id()) {
            Entry::Vacant(free) => {
                let change = if record.revokes() { Change::More } else { Change::Same };
                free.insert(Told { record, kept: true });
                change
            }
            Entry::Occupied(mut held) => match (held.get().record.revokes(), record.revokes()) {
                (true, false) => {
                    held.insert(Told { record, kept: true });
                    Change::Less
                }
                // The log does not know yet that it was withdrawn.
                (false, true) => Change::Same,
                _ => {
                    held.get_mut().kept = true;
                    Change::Same
                }
            },
        }
    }
}

/// What an entry of the log did to the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    Same,
    Less,
    More,
}

#[cfg(test)]
mod tests;
