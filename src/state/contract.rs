//! What a state store must do for us: remember, exactly once, what must not be forgotten or done twice.
//!
//! A store knows keys and bytes. What is in the bytes (a session, a lease, a family of refresh tokens) is the business of
//! whoever writes them; whatever is secret is sealed before it comes here. Everything that two nodes could do at once rests on
//! one primitive, [`StateStore::write`]: compare the version, and set.
//!
//! Time is the caller's: `now` decides what is past its end, so that all nodes and all tests mean the same thing by it. A store
//! may use a clock of its own only to throw away what is long past its end.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::domain::{Burn, Clock, Observer, Outage, Random, Timestamp};
use crate::settings::{Checking, Node, Shape};

/// One line of the roll-call `state::STORES`.
pub struct StoreEntry {
    /// The key that names the store in the conf.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub doc: &'static str,
    /// What may stand under that key.
    pub shape: Shape,
    /// Proves the settings, or notes every fault and returns `None`; what works but is probably not meant is noted as a
    /// warning. The form has been proven against `shape` already. Pure.
    pub plan: fn(&Node, &mut Checking<'_>) -> Option<Box<dyn StorePlan>>,
}

/// The settings of a store, proven.
#[async_trait]
pub trait StorePlan: Debug + Send + Sync {
    /// The store's name on the roll-call.
    fn name(&self) -> &'static str;

    /// A text that is equal exactly when a reload may go on with the store that is open. Nothing secret: it stands in messages.
    fn continuity(&self) -> String;

    /// Whether there is something in it already, or may be, which a process that has no use for the store so far must know of.
    fn is_there(&self) -> bool {
        false
    }

    /// The folder that it must be able to make files in, if it is kept in one.
    fn folder(&self) -> Option<&Path> {
        None
    }

    /// Opens the store. Whatever it runs in the background ends when the last handle on it is dropped.
    ///
    /// # Errors
    ///
    /// A sentence for the operator that names what could not be opened, and what is lost by the ways out.
    async fn open(&self, tools: &StoreTools) -> Result<Arc<dyn StateStore>, String>;
}

/// What stores are opened with.
#[derive(Clone)]
pub struct StoreTools {
    /// The wall clock: for the moment from which a new store remembers, and for throwing away what is long past its end.
    pub clock: Arc<dyn Clock>,
    /// Unpredictable bytes, for jitter and for telling one life of a store from another.
    pub random: Arc<dyn Random>,
    /// Who hears of what a store does by itself, such as recovering. What it answers is reported by whoever asks.
    pub observer: Arc<dyn Observer>,
}

/// What became of an attempt to spend something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Burned {
    /// It was unspent, and is spent now.
    First,
    /// It had been spent before.
    Again,
    /// It is older than the store's memory: nobody can say that it was not spent.
    Forgotten,
}

/// What a record is, so that no two kinds share a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// A renewal under way, or its result.
    Renewal,
    /// A session of ours.
    Session,
    /// A family of refresh tokens of ours.
    Family,
    /// That a request was made which a later one depends on.
    Note,
    /// How often something was done of late.
    Count,
}

impl Class {
    /// Every class there is.
    pub const ALL: &'static [Self] = &[Self::Renewal, Self::Session, Self::Family, Self::Note, Self::Count];

    /// Its name in keys and metrics; never changes, since stores outlive releases.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Renewal => "renewal",
            Self::Session => "session",
            Self::Family => "family",
            Self::Note => "note",
            Self::Count => "count",
        }
    }
}

/// Names a record: its class, and a 256-bit digest of what it belongs to. Never a credential itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// What it is.
    pub class: Class,
    /// What it belongs to.
    pub digest: [u8; 32],
}

/// A record as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What was written.
    pub value: Bytes,
    /// Larger than every version that this store has given before, to whatever key: a fencing value.
    pub version: u64,
    /// From this moment on the record is absent.
    pub until: Timestamp,
}

/// What a record must be for a write to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expect {
    /// Absent, or past its end.
    Absent,
    /// Of exactly this version, and not past its end.
    Version(u64),
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It happened.
    Done {
        /// The version that the record has now.
        version: u64,
    },
    /// It did not: the record was not as expected. This is how it stands; `None` when it is absent.
    Conflict(Option<Entry>),
}

/// How far a reader of the log has come. The start is [`Cursor::default`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Which life of the log: one that was lost and began anew has another.
    pub life: u64,
    /// The last entry read, in this life.
    pub last: u64,
}

/// A piece of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// What was appended since, oldest first, and until when each holds. Entries past their end are left out.
    pub entries: Vec<(Bytes, Timestamp)>,
    /// Where to read on. When `cursor.life` differs from the one that was asked with, the log was lost, and this is all of the
    /// new one.
    pub cursor: Cursor,
}

/// Remembers.
///
/// Every operation answers within the store's own time-out, and recovers by itself when what it rests on comes back.
///
/// # Security
///
/// - `burn` is one atomic act: of any number of concurrent calls with equal keys, on all nodes, exactly one returns
///   [`Burned::First`]. A mark is kept at least until `until` and is never evicted to make room: a full store answers
///   [`Outage::State`]. A wrong `First` lets a credential be used twice.
/// - What was acknowledged (`First`, `Done`) survives the process, and for durable stores the machine's next start. A store that
///   has lost its memory knows when its memory begins, and answers [`Burned::Forgotten`] for what is older.
/// - An operation that ends in an [`Outage`] may have happened or not. The caller refuses; it never tries again blindly.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// Spends `burn.key`, once.
    ///
    /// # Errors
    ///
    /// [`Outage::State`] when the store cannot say; the caller must then refuse.
    async fn burn(&self, burn: &Burn, now: Timestamp) -> Result<Burned, Outage>;

    /// The record under `key`; `None` when it is absent or past its end (`until <= now`).
    ///
    /// # Errors
    ///
    /// [`Outage::State`] when the store cannot say.
    async fn read(&self, key: &Key, now: Timestamp) -> Result<Option<Entry>, Outage>;

    /// Sets the record under `key` if it is as expected; one atomic act on all nodes.
    ///
    /// # Errors
    ///
    /// [`Outage::State`] when the store is full or does not answer; the write may then have happened all the same.
    async fn write(&self, key: &Key, expect: Expect, value: Bytes, until: Timestamp, now: Timestamp) -> Result<Written, Outage>;

    /// Removes the record under `key`, whatever its version; whether there was one.
    ///
    /// # Errors
    ///
    /// [`Outage::State`] when the store does not answer.
    async fn remove(&self, key: &Key, now: Timestamp) -> Result<bool, Outage>;

    /// Waits until the record under `key` is no longer of `version` (0: until there is one), or `patience` is over, whichever is first. It may
    /// return early for no reason; the caller reads the record and decides.
    async fn changed(&self, key: &Key, version: u64, patience: Duration);

    /// Appends `value` to the one log of the store, to be kept until `until`.
    ///
    /// # Errors
    ///
    /// [`Outage::State`] when the store is full or does not answer.
    async fn append(&self, value: Bytes, until: Timestamp, now: Timestamp) -> Result<(), Outage>;

    /// What was appended after `cursor`, by any node.
    ///
    /// # Errors
    ///
    /// [`Outage::State`] when the store does not answer.
    async fn since(&self, cursor: Cursor, now: Timestamp) -> Result<Page, Outage>;

    /// Waits until something was appended after `cursor`, or `patience` is over; may return early.
    async fn appended(&self, cursor: Cursor, patience: Duration);

    /// Whether the store answers now; for `/readyz` and metrics.
    ///
    /// # Errors
    ///
    /// [`Outage::State`] when it does not.
    async fn ping(&self) -> Result<(), Outage>;
}
