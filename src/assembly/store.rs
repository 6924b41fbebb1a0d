//! The state store of a process: opened once, when the first conf that needs it is put in force.
//!
//! It outlives every conf: a reload must not make a ticket good again. Before it is open, whatever asks is told of an outage.
//! Never here: a second store beside the first; a store of other settings than those the process began with (`assembly::live`
//! refuses such a conf).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::OnceCell;

use crate::config::plan::Plan;
use crate::domain::{Burn, Outage, Timestamp};
use crate::state::contract::{Burned, Cursor, Entry, Expect, Key, Page, StateStore, StoreTools, Written};

/// Whether anything in `plan` rests on the state store.
#[must_use]
pub fn needed(plan: &Plan) -> bool {
    plan.authenticators.iter().any(|authenticator| authenticator.scheme.remembers())
}

/// The state store, open or not yet.
pub struct Store {
    tools: StoreTools,
    open: OnceCell<Arc<dyn StateStore>>,
}

impl Store {
    /// A store that is not open yet.
    #[must_use]
    pub fn new(tools: StoreTools) -> Self {
        Self { tools, open: OnceCell::new() }
    }

    /// Opens the store of `plan` when something in `plan` needs it and it is not open yet.
    ///
    /// # Errors
    ///
    /// A sentence for the operator. Nothing is open then, and the next conf that needs it tries again.
    pub async fn open_for(&self, plan: &Plan) -> Result<(), String> {
        if needed(plan) {
            let opening = || async { plan.state.open(&self.tools).await.map_err(|why| format!("state `{}`: {why}", plan.state.name())) };
            self.open.get_or_try_init(opening).await?;
        }
        Ok(())
    }

    fn opened(&self) -> Result<&Arc<dyn StateStore>, Outage> {
        self.open.get().ok_or(Outage::State)
    }
}

#[async_trait]
impl StateStore for Store {
    async fn burn(&self, burn: &Burn, now: Timestamp) -> Result<Burned, Outage> {
        self.opened()?.burn(burn, now).await
    }

    async fn read(&self, key: &Key, now: Timestamp) -> Result<Option<Entry>, Outage> {
        self.opened()?.read(key, now).await
    }

    async fn write(&self, key: &Key, expect: Expect, value: Bytes, until: Timestamp, now: Timestamp) -> Result<Written, Outage> {
        self.opened()?.write(key, expect, value, until, now).await
    }

    async fn remove(&self, key: &Key, now: Timestamp) -> Result<bool, Outage> {
        self.opened()?.remove(key, now).await
    }

    async fn changed(&self, key: &Key, version: u64, patience: Duration) {
        match self.opened() {
            Ok(store) => store.changed(key, version, patience).await,
            Err(_outage) => tokio::time::sleep(patience).await,
        }
    }

    async fn append(&self, value: Bytes, until: Timestamp, now: Timestamp) -> Result<(), Outage> {
        self.opened()?.append(value, until, now).await
    }

    async fn since(&self, cursor: Cursor, now: Timestamp) -> Result<Page, Outage> {
        self.opened()?.since(cursor, now).await
    }

    async fn appended(&self, cursor: Cursor, patience: Duration) {
        match self.opened() {
            Ok(store) => store.appended(cursor, patience).await,
            Err(_outage) => tokio::time::sleep(patience).await,
        }
    }

    async fn ping(&self) -> Result<(), Outage> {
        self.opened()?.ping().await
    }
}
