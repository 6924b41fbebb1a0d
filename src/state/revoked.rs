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

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::domain::{
    By, Clock, Doubt, Event, Identity, Listed, ListedFrom, Observer, Outage, Random, Refusal, Revocation, RevocationId, Seconds, Timestamp,
};
use crate::state::contract::StateStore;
use crate::state::revoked::known::Known;
use crate::state::revoked::record::Record;
use crate::state::revoked::set::{Changed, Set};

mod follow;
mod known;
mod record;
mod set;

/// Who is revoked. One for the whole process: it outlives every conf.
pub struct Revocations {
    /// [`EMPTY`], [`SOME`] or [`UNREAD`]: spares almost every request the rest.
    glance: AtomicU8,
    /// What requests are compared with. Changed by whoever holds `known`: an entry at a time, or replaced whole.
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
    /// Pointers copied for changes of `set`.
    #[cfg(test)]
    copied: std::sync::atomic::AtomicU64,
}

/// Nobody is revoked.
const EMPTY: u8 = 0;
/// Somebody is.
const SOME: u8 = 1;
/// The log has never been read.
const UNREAD: u8 = 2;

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
            #[cfg(test)]
            copied: std::sync::atomic::AtomicU64::new(0),
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
            self.rebuild(&known);
            self.publish(&known);
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
        let revocation = Arc::new(revocation);
        let record = Record::Revoke { id, made: now, revocation: Arc::clone(&revocation) };
        {
            let mut known = self.known.lock();
            let most = if is_family { Self::MOST - Self::KEPT_FREE } else { Self::MOST };
            if most <= known.len() {
                self.sweep(&mut known, now);
                if most <= known.len() {
                    return Revoked::Full;
                }
            }
            if let Some(displaced) = known.put(record.clone(), false) {
                self.take_out(&displaced);
            }
            self.put_in(&revocation, now);
            self.publish(&known);
        }
        self.revise();

        // Should the caller go away here, the entry stays, and is owed.
        if self.append(record.encode(), record.until(), now).await.is_err() {
            return Revoked::Here(id);
        }
        self.known.lock().mark_kept(&record);
        Revoked::Everywhere(id)
    }

    /// Withdraws the revocation called `id`. It counts until the log has taken the withdrawal.
    pub async fn withdraw(&self, id: RevocationId) -> Withdrawn {
        let now = self.clock.now();
        let record = match self.known.lock().told(id) {
            Some(Record::Revoke { revocation, .. }) => Record::Withdraw { id, until: revocation.until },
            Some(Record::Withdraw { .. }) | None => return Withdrawn::Unknown,
        };
        if self.append(record.encode(), record.until(), now).await.is_err() {
            return Withdrawn::Unavailable;
        }
        let mut known = self.known.lock();
        if let Some(withdrawn) = known.put(record, true) {
            self.take_out(&withdrawn);
        }
        self.publish(&known);
        Withdrawn::Done
    }

    /// Up to `most` entries in force, newest first, those after `after` where it is given; whether there are more.
    #[must_use]
    pub fn page(&self, after: Option<ListedFrom>, most: usize) -> (Vec<Listed>, bool) {
        let now = self.clock.now();
        let mut listed: Vec<Listed> = {
            let known = self.known.lock();
            let told = known.all().filter_map(|(id, told)| match &told.record {
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

    /// Puts `entry` where requests look, unless it has ended. Here and below the caller holds `known`, so that one writes at a time.
    fn put_in(&self, entry: &Arc<Revocation>, now: Timestamp) {
        if entry.in_force(now) {
            let changed = self.set.load().insert(entry);
            self.note_change(changed);
        }
    }

    /// Takes `entry` away from where requests look.
    fn take_out(&self, entry: &Arc<Revocation>) {
        let changed = self.set.load().remove(entry);
        self.note_change(changed);
    }

    fn note_change(&self, changed: Changed) {
        #[cfg(test)]
        self.copied.fetch_add(changed.copied as u64, Ordering::Relaxed);
        if let Some(anew) = changed.anew {
            self.set.store(Arc::new(anew));
        }
    }

    /// Forgets what has ended; whether anything had.
    fn sweep(&self, known: &mut Known, now: Timestamp) -> bool {
        let before = known.len();
        known.sweep(now).iter().for_each(|ended| self.take_out(ended));
        known.len() < before
    }

    /// Puts all that is known where requests look, at once.
    fn rebuild(&self, known: &Known) {
        self.set.store(Arc::new(known.set(self.clock.now())));
    }

    /// Tells requests whether there is anything to look for, and observers how much.
    fn publish(&self, known: &Known) {
        let in_force = self.set.load().len();
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

#[cfg(test)]
mod tests;
