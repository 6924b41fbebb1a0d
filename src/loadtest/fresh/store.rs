//! A state store that stops answering when a drill says so: in memory, or before another one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::domain::{Burn, Outage, Seconds, Timestamp};
use crate::state::contract::{Burned, Cursor, Entry, Expect, Key, Page, StateStore, Written};
use crate::state::memory::Memory;

/// The store of a proxy under load.
pub struct DrillStore {
    inner: Arc<dyn StateStore>,
    down: AtomicBool,
}

impl DrillStore {
    /// How much it remembers at once: every single-use credential of a long load.
    pub const CAPACITY: usize = 4_000_000;

    /// How long it has been there, as far as it says: what was made before a store was is refused, since it may have been spent.
    pub const AGE: Seconds = Seconds(3_600);

    /// An empty one that is there, and says that it was long before `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self::before(Arc::new(Memory::new(Self::CAPACITY, now.minus(Self::AGE))))
    }

    /// Before `inner`, which is there for good.
    #[must_use]
    pub fn before(inner: Arc<dyn StateStore>) -> Self {
        Self { inner, down: AtomicBool::new(false) }
    }

    /// Whether it is away from now on.
    pub fn be_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }

    fn there(&self) -> Result<&dyn StateStore, Outage> {
        if self.down.load(Ordering::Relaxed) { Err(Outage::State) } else { Ok(&*self.inner) }
    }
}

#[async_trait]
impl StateStore for DrillStore {
    async fn burn(&self, burn: &Burn, now: Timestamp) -> Result<Burned, Outage> {
        self.there()?.burn(burn, now).await
    }

    async fn read(&self, key: &Key, now: Timestamp) -> Result<Option<Entry>, Outage> {
        self.there()?.read(key, now).await
    }

    async fn write(&self, key: &Key, expect: Expect, value: Bytes, until: Timestamp, now: Timestamp) -> Result<Written, Outage> {
        self.there()?.write(key, expect, value, until, now).await
    }

    async fn remove(&self, key: &Key, now: Timestamp) -> Result<bool, Outage> {
        self.there()?.remove(key, now).await
    }

    async fn changed(&self, key: &Key, version: u64, patience: Duration) {
        self.inner.changed(key, version, patience).await;
    }

    async fn append(&self, value: Bytes, until: Timestamp, now: Timestamp) -> Result<(), Outage> {
        self.there()?.append(value, until, now).await
    }

    async fn since(&self, cursor: Cursor, now: Timestamp) -> Result<Page, Outage> {
        self.there()?.since(cursor, now).await
    }

    async fn appended(&self, cursor: Cursor, patience: Duration) {
        self.inner.appended(cursor, patience).await;
    }

    async fn ping(&self) -> Result<(), Outage> {
        self.there()?.ping().await
    }
}
