//! What this node remembers of renewals, beside the store.
//!
//! Records as they were written to the store, so that a storm that comes late costs no question to it, and so that a result
//! that the store did not take is not lost here. Pairs stay sealed. It is a memory of results only: who may exchange is decided
//! in the store, and what is forgotten here is asked for there.

use std::time::{Duration, Instant};

use moka::Expiry;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::domain::{SpentKey, Timestamp};
use crate::renew::flight::protocol::{Holder, Record};

pub(super) struct Memory {
    /// Bounded by bytes.
    records: Cache<SpentKey, Kept>,
    /// Leases that were asked for without an answer, and under which nothing was exchanged. Bounded by number.
    disowned: Cache<SpentKey, Holder>,
}

#[derive(Clone)]
struct Kept {
    record: Record,
    /// How long it is of use; the record says itself when it ends, this only makes room.
    life: Duration,
}

struct OwnLife;

impl Expiry<SpentKey, Kept> for OwnLife {
    fn expire_after_create(&self, _key: &SpentKey, kept: &Kept, _created: Instant) -> Option<Duration> {
        Some(kept.life)
    }

    fn expire_after_update(&self, _key: &SpentKey, kept: &Kept, _updated: Instant, _left: Option<Duration>) -> Option<Duration> {
        Some(kept.life)
    }
}

impl Memory {
    /// At most `bytes` of records, and doubts about leases for as long as `doubts` says.
    pub(super) fn new(bytes: u64, doubts: Duration) -> Self {
        /// What an entry takes beside its pair.
        const EACH: usize = 256;
        const DOUBTS: u64 = 10_000;
        let weigh = |_: &SpentKey, kept: &Kept| {
            let sealed = if let Record::Done { sealed, .. } = &kept.record { sealed.len() } else { 0 };
            u32::try_from(sealed.saturating_add(EACH)).unwrap_or(u32::MAX)
        };
        let records =
            Cache::builder().max_capacity(bytes).weigher(weigh).eviction_policy(EvictionPolicy::lru()).expire_after(OwnLife).build();
        Self { records, disowned: Cache::builder().max_capacity(DOUBTS).time_to_live(doubts).build() }
    }

    /// Remembers `record` under `key` until `until`.
    pub(super) fn keep(&self, key: SpentKey, record: Record, until: Timestamp, now: Timestamp) {
        self.records.insert(key, Kept { record, life: now.until(until).duration() });
    }

    pub(super) fn recall(&self, key: &SpentKey) -> Option<Record> {
        self.records.get(key).map(|kept| kept.record)
    }

    pub(super) fn forget(&self, key: &SpentKey) {
        self.records.invalidate(key);
    }

    /// Notes that nothing was, and nothing will be, exchanged under the lease of `holder`.
    pub(super) fn disown(&self, key: SpentKey, holder: Holder) {
        self.disowned.insert(key, holder);
    }

    pub(super) fn disowned(&self, key: &SpentKey) -> Option<Holder> {
        self.disowned.get(key)
    }
}
