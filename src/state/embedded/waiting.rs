//! Wakes those who wait for a record or for the log to change: each for what it waits for, and nobody else.
//!
//! One process has the store to itself, so news travels in memory.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::state::contract::Key;

/// Those who wait.
pub(super) struct Waiting {
    /// What is waited for. A `Mutex`: looked at once per write, changed with every wait.
    records: Mutex<HashMap<Key, Arc<Notify>, ahash::RandomState>>,
    /// The number of the entry appended last.
    log: watch::Sender<u64>,
}

/// Somebody who waits for a record; no longer, once dropped.
pub(super) struct Waiter<'w> {
    waiting: &'w Waiting,
    key: Key,
    bell: Arc<Notify>,
}

impl Waiting {
    /// Nobody yet; the log's last entry has the number `last`.
    pub(super) fn new(last: u64) -> Self {
        Self { records: Mutex::default(), log: watch::Sender::new(last) }
    }

    /// Waits for `key` from now on.
    pub(super) fn on(&self, key: &Key) -> Waiter<'_> {
        let bell = Arc::clone(self.records.lock().entry(*key).or_default());
        Waiter { waiting: self, key: *key, bell }
    }

    /// Tells that the record under `key` has changed.
    pub(super) fn tell(&self, key: &Key) {
        if let Some(bell) = self.records.lock().get(key) {
            bell.notify_waiters();
        }
    }

    /// Tells that the log's last entry has the number `last`.
    pub(super) fn tell_log(&self, last: u64) {
        self.log.send_if_modified(|known| {
            let news = *known < last;
            *known = last.max(*known);
            news
        });
    }

    /// Waits until the log has an entry after number `after`.
    pub(super) async fn on_log(&self, after: u64) {
        // The sender is ours and lives: there is no error to expect.
        let _ = self.log.subscribe().wait_for(|last| after < *last).await;
    }
}

impl Waiter<'_> {
    /// The bell that rings with every change.
    pub(super) fn bell(&self) -> &Notify {
        &self.bell
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut records = self.waiting.records.lock();
        // The map's own and this one: nobody else waits. Others can come only through the lock that is held here.
        if Arc::strong_count(&self.bell) == 2 {
            records.remove(&self.key);
        }
    }
}
