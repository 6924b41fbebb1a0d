//! Counts changes, so that what is remembered of a record is not used after the record was changed on this node.
//!
//! Records share counters (256 of them, by the first byte of their digest): a change makes a few others be read once more and
//! needs no memory of its own. What other nodes change is not counted here.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// How often records were changed.
pub struct Epochs([AtomicU64; 256]);

impl Default for Epochs {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; 256])
    }
}

impl fmt::Debug for Epochs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Part of a plan, whose text must not depend on what happens later.
        f.write_str("Epochs")
    }
}

impl Epochs {
    /// The count that stands for `record`. To be taken before the record is read.
    #[must_use]
    pub fn of(&self, record: &[u8; 32]) -> u64 {
        self.counter(record).map_or(0, |counter| counter.load(Ordering::SeqCst))
    }

    /// Notes that `record` is not any more what it was.
    pub fn advance(&self, record: &[u8; 32]) {
        if let Some(counter) = self.counter(record) {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn counter(&self, record: &[u8; 32]) -> Option<&AtomicU64> {
        self.0.get(usize::from(*record.first()?))
    }
}
