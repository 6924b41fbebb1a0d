//! A state store in this process's memory: for one node, and lost with it.
//!
//! Nothing is evicted before its end; what is past its end is swept when room is needed. What was spent before this store was
//! made is not known to it, so whatever was made before is answered `Forgotten`. Rules: `state::contract`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::domain::{Burn, Outage, Timestamp};
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape};
use crate::state::beginning;
use crate::state::contract::{Burned, Cursor, Entry, Expect, Key, Page, StateStore, StoreEntry, StorePlan, StoreTools, Written};

/// This store on the roll-call.
pub const ENTRY: StoreEntry = StoreEntry { name: "memory", doc: SETTINGS.doc, shape: Shape::Section(&SETTINGS), plan };

static SETTINGS: SectionSpec = SectionSpec {
    title: "`memory`",
    doc: "In this process: for one node. Lost when it ends; what was made before the process began cannot be spent then, sessions are gone.",
    keys: &[KeySpec::default(
        "capacity",
        Shape::Count { min: 1, max: 100_000_000 },
        "1000000",
        "Spent credentials remembered at once, about 72 bytes each, and as many records. None is evicted before its end: a full store \
         answers 503.",
    )],
};

/// The settings, proven.
#[derive(Debug)]
struct MemoryPlan {
    capacity: usize,
}

fn plan(node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn StorePlan>> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let capacity = section.count("capacity").and_then(|capacity| usize::try_from(capacity).ok())?;
    Some(Box::new(MemoryPlan { capacity }))
}

#[async_trait]
impl StorePlan for MemoryPlan {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn continuity(&self) -> String {
        format!("memory capacity={}", self.capacity)
    }

    async fn open(&self, tools: &StoreTools) -> Result<Arc<dyn StateStore>, String> {
        let born = beginning::next(tools.clock.as_ref());
        beginning::reached(born, tools.clock.as_ref()).await;
        Ok(Arc::new(Memory::new(self.capacity, born)))
    }
}

/// State in memory, bounded in number.
pub struct Memory {
    /// A `Mutex` and not a reader-writer lock: almost every call writes.
    held: Mutex<Held>,
    /// Woken by every write and every append.
    news: Notify,
    capacity: usize,
}

#[derive(Default)]
struct Held {
    /// Digest of what was spent -> until when the mark must stand.
    spent: HashMap<[u8; 32], Timestamp, ahash::RandomState>,
    records: HashMap<Key, Entry, ahash::RandomState>,
    log: BTreeMap<u64, (Bytes, Timestamp)>,
    /// The version given last.
    version: u64,
    /// The latest `now` ever seen: a clock set back must not revive what was swept.
    latest: Timestamp,
    /// What was made before this moment may have been spent without our knowing.
    born: Timestamp,
}

impl Memory {
    /// A store for at most `capacity` live marks and as many records (72 bytes and the value each, about), whose memory begins
    /// at `born`.
    #[must_use]
    pub fn new(capacity: usize, born: Timestamp) -> Self {
        let held = Held { born, latest: born, ..Held::default() };
        Self { held: Mutex::new(held), news: Notify::new(), capacity }
    }

    /// Waits until `is_news` or the end of `patience`.
    async fn wait(&self, patience: Duration, is_news: impl Fn(&Held) -> bool + Send) {
        let waiting = async {
            loop {
                // Armed before the look, so that what happens between look and wait is not missed.
                let mut armed = std::pin::pin!(self.news.notified());
                armed.as_mut().enable();
                if is_news(&self.held.lock()) {
                    return;
                }
                armed.await;
            }
        };
        // Patience that ran out is an answer like any other.
        tokio::time::timeout(patience, waiting).await.unwrap_or_default();
    }
}

impl Held {
    fn see(&mut self, now: Timestamp) -> Timestamp {
        self.latest = self.latest.max(now);
        self.latest
    }

    fn next(&mut self) -> u64 {
        self.version += 1;
        self.version
    }
}

#[async_trait]
impl StateStore for Memory {
    async fn burn(&self, burn: &Burn, now: Timestamp) -> Result<Burned, Outage> {
        let mut held = self.held.lock();
        let latest = held.see(now);
        if held.spent.contains_key(&burn.key) {
            return Ok(Burned::Again);
        }
        if burn.made < held.born {
            return Ok(Burned::Forgotten);
        }
        // What ended before the latest moment we know of may have been swept: it is no longer spendable.
        if burn.until < latest {
            return Ok(Burned::Again);
        }
        if self.capacity <= held.spent.len() {
            held.spent.retain(|_, until| latest <= *until);
            if self.capacity <= held.spent.len() {
                return Err(Outage::State);
            }
        }
        held.spent.insert(burn.key, burn.until);
        Ok(Burned::First)
    }

    async fn read(&self, key: &Key, now: Timestamp) -> Result<Option<Entry>, Outage> {
        let mut held = self.held.lock();
        let latest = held.see(now);
        Ok(held.records.get(key).filter(|entry| latest < entry.until).cloned())
    }

    async fn write(&self, key: &Key, expect: Expect, value: Bytes, until: Timestamp, now: Timestamp) -> Result<Written, Outage> {
        let version = {
            let mut held = self.held.lock();
            let latest = held.see(now);
            let standing = held.records.get(key).filter(|entry| latest < entry.until).cloned();
            let as_expected = match expect {
                Expect::Absent => standing.is_none(),
                Expect::Version(version) => standing.as_ref().is_some_and(|entry| entry.version == version),
            };
            if !as_expected {
                return Ok(Written::Conflict(standing));
            }
            if self.capacity <= held.records.len() && !held.records.contains_key(key) {
                held.records.retain(|_, entry| latest < entry.until);
                if self.capacity <= held.records.len() {
                    return Err(Outage::State);
                }
            }
            let version = held.next();
            held.records.insert(*key, Entry { value, version, until });
            version
        };
        self.news.notify_waiters();
        Ok(Written::Done { version })
    }

    async fn remove(&self, key: &Key, now: Timestamp) -> Result<bool, Outage> {
        let removed = {
            let mut held = self.held.lock();
            let latest = held.see(now);
            held.records.remove(key).is_some_and(|entry| latest < entry.until)
        };
        self.news.notify_waiters();
        Ok(removed)
    }

    async fn changed(&self, key: &Key, version: u64, patience: Duration) {
        self.wait(patience, |held| held.records.get(key).map_or(0, |entry| entry.version) != version).await;
    }

    async fn append(&self, value: Bytes, until: Timestamp, now: Timestamp) -> Result<(), Outage> {
        {
            let mut held = self.held.lock();
            let latest = held.see(now);
            if self.capacity <= held.log.len() {
                held.log.retain(|_, (_, until)| latest < *until);
                if self.capacity <= held.log.len() {
                    return Err(Outage::State);
                }
            }
            let number = held.next();
            held.log.insert(number, (value, until));
        }
        self.news.notify_waiters();
        Ok(())
    }

    async fn since(&self, cursor: Cursor, now: Timestamp) -> Result<Page, Outage> {
        let mut held = self.held.lock();
        let latest = held.see(now);
        let after = read_to(cursor);
        let new = held.log.range(after.saturating_add(1)..);
        let entries = new.filter(|(_, (_, until))| latest < *until).map(|(_, entry)| entry.clone()).collect();
        let last = held.log.last_key_value().map_or(after, |(number, _)| (*number).max(after));
        Ok(Page { entries, cursor: Cursor { life: LIFE, last } })
    }

    async fn appended(&self, cursor: Cursor, patience: Duration) {
        let after = read_to(cursor);
        self.wait(patience, |held| held.log.last_key_value().is_some_and(|(number, _)| after < *number)).await;
    }

    async fn ping(&self) -> Result<(), Outage> {
        Ok(())
    }
}

/// The one life that a log in memory has.
const LIFE: u64 = 1;

/// The number that `cursor` has read to in this life.
fn read_to(cursor: Cursor) -> u64 {
    if cursor.life == LIFE { cursor.last } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::Memory;
    use crate::domain::{Burn, Outage, Timestamp};
    use crate::state::contract::{Burned, StateStore};

    #[tokio::test]
    async fn a_mark_stands_until_its_time_and_is_never_evicted() {
        let store = Memory::new(2, Timestamp(5));
        let cases = [
            // key, made, until, now, expected, what the row shows
            (9, 4, 100, 10, Ok(Burned::Forgotten), "older than the store's memory"),
            (1, 5, 100, 10, Ok(Burned::First), "unspent"),
            (1, 5, 100, 10, Ok(Burned::Again), "spent"),
            (1, 5, 100, 100, Ok(Burned::Again), "the last second of the mark"),
            (2, 5, 300, 100, Ok(Burned::First), "another key"),
            (3, 5, 300, 100, Err(Outage::State), "full: refuse, do not evict"),
            (3, 5, 300, 101, Ok(Burned::First), "a mark past its time makes room"),
            (1, 5, 100, 50, Ok(Burned::Again), "clock set back: a swept mark does not revive"),
        ];
        for (key, made, until, now, expected, shows) in cases {
            let burn = Burn { key: [key; 32], made: Timestamp(made), until: Timestamp(until) };
            assert_eq!(store.burn(&burn, Timestamp(now)).await, expected, "{shows}");
        }
    }
}
