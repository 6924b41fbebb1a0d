//! A state store in this process's memory: for one node, and lost with it.
//!
//! Marks are swept once their time is over; nothing is evicted earlier. Rules: `state::contract`.

use std::collections::HashMap;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::domain::{Burn, Outage, Timestamp};
use crate::state::contract::{Burned, StateStore};

/// Spent marks in memory, bounded in number.
pub struct Memory {
    /// A `Mutex` and not a reader-writer lock: every call writes.
    spent: Mutex<Spent>,
    capacity: usize,
}

#[derive(Default)]
struct Spent {
    /// Digest of what was spent -> until when the mark must stand.
    until: HashMap<[u8; 32], Timestamp, ahash::RandomState>,
    /// The latest `now` ever seen: a clock set back must not revive a mark that was swept.
    latest: Timestamp,
}

impl Memory {
    /// A store for at most `capacity` live marks (72 bytes each, about).
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { spent: Mutex::default(), capacity }
    }
}

#[async_trait]
impl StateStore for Memory {
    async fn burn(&self, burn: &Burn, now: Timestamp) -> Result<Burned, Outage> {
        let mut spent = self.spent.lock();
        if spent.latest < now {
            spent.latest = now;
        }
        // What ended before the latest moment we know of may have been swept: it is no longer spendable.
        if burn.until < spent.latest || spent.until.contains_key(&burn.key) {
            return Ok(Burned::Again);
        }
        if self.capacity <= spent.until.len() {
            let latest = spent.latest;
            spent.until.retain(|_, until| latest <= *until);
            if self.capacity <= spent.until.len() {
                return Err(Outage::State);
            }
        }
        spent.until.insert(burn.key, burn.until);
        Ok(Burned::First)
    }
}

#[cfg(test)]
mod tests {
    use super::Memory;
    use crate::domain::{Burn, Outage, Timestamp};
    use crate::state::contract::{Burned, StateStore};

    fn burn(key: u8, until: i64) -> Burn {
        Burn { key: [key; 32], until: Timestamp(until) }
    }

    #[tokio::test]
    async fn a_mark_stands_until_its_time_and_is_never_evicted() {
        let store = Memory::new(2);
        let cases = [
            // key, until, now, expected, what the row shows
            (1, 100, 10, Ok(Burned::First), "unspent"),
            (1, 100, 10, Ok(Burned::Again), "spent"),
            (1, 100, 100, Ok(Burned::Again), "the last second of the mark"),
            (2, 300, 100, Ok(Burned::First), "another key"),
            (3, 300, 100, Err(Outage::State), "full: refuse, do not evict"),
            (3, 300, 101, Ok(Burned::First), "a mark past its time makes room"),
            (1, 100, 50, Ok(Burned::Again), "clock set back: a swept mark does not revive"),
        ];
        for (key, until, now, expected, shows) in cases {
            assert_eq!(store.burn(&burn(key, until), Timestamp(now)).await, expected, "{shows}");
        }
    }
}
