//! The state store of a process: opened once, when the first conf that needs it is put in force, or when the first operator
//! revokes.
//!
//! It outlives every conf: a reload must not make a ticket good again. Before it is open its log is known to be empty, and
//! whatever else asks is told of an outage.
//! Never here: a second store beside the first; a store of other settings than those the process began with (`assembly::live`
//! refuses such a conf).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::OnceCell;

use crate::ambient;
use crate::config::plan::{ActionPlan, AuthenticatorPlan, Plan};
use crate::domain::{Burn, Event, Outage, Timestamp};
use crate::state::contract::{Burned, Cursor, Entry, Expect, Key, Page, StateStore, StorePlan, StoreTools, Written};

/// Whether anything in `plan` rests on the state store.
#[must_use]
pub fn needed(plan: &Plan) -> bool {
    let served = plan.rules.iter().any(|rule| match &rule.action {
        ActionPlan::Serve(service) => service.remembers(),
        ActionPlan::Forward(_) => false,
    });
    let remembers = |authenticator: &AuthenticatorPlan| authenticator.scheme.remembers() || authenticator.renewal.is_some();
    let noted = plan.rules.iter().any(|rule| rule.harvest.is_some() || rule.system.as_ref().is_some_and(|system| system.remembers()));
    // What is there already may hold revocations.
    served || noted || plan.authenticators.iter().any(remembers) || plan.state.is_there()
}

/// Why nothing could be kept where `plan` wants it kept, in a sentence for the operator; `None` when it could, as far as that can
/// be told without trying.
#[must_use]
pub fn obstacle(plan: &Plan) -> Option<String> {
    let why = ambient::may_fill(plan.state.folder()?).err()?;
    let costs = if needed(plan) { "this conf rests on it and cannot be started" } else { "no revocation can be kept, and none is taken" };
    Some(format!(
        "the folder of `state` cannot be written to ({why}): {costs}; `state: {{ embedded: {{ path: ... }} }}` names another place"
    ))
}

/// The state store, open or not yet.
pub struct Store {
    tools: StoreTools,
    /// How it is opened, as the conf of the start says.
    plan: OnceLock<Arc<dyn StorePlan>>,
    open: OnceCell<Arc<dyn StateStore>>,
}

impl Store {
    /// A store that is not open yet.
    #[must_use]
    pub fn new(tools: StoreTools) -> Self {
        Self { tools, plan: OnceLock::new(), open: OnceCell::new() }
    }

    /// One that is open already.
    #[must_use]
    pub fn over(open: Arc<dyn StateStore>, tools: StoreTools) -> Self {
        Self { tools, plan: OnceLock::new(), open: OnceCell::new_with(Some(open)) }
    }

    /// Opens the store of `plan` when something in `plan` needs it and it is not open yet.
    ///
    /// # Errors
    ///
    /// A sentence for the operator. Nothing is open then, and the next conf that needs it tries again.
    pub async fn open_for(&self, plan: &Plan) -> Result<(), String> {
        // A later conf has the same settings of the store, or is not put in force.
        let _ = self.plan.set(Arc::clone(&plan.state));
        if needed(plan) {
            self.begin().await?;
        }
        Ok(())
    }

    async fn begin(&self) -> Result<&Arc<dyn StateStore>, String> {
        let opening = || async {
            let plan = self.plan.get().ok_or_else(|| "no conf has been put in force".to_owned())?;
            plan.open(&self.tools).await.map_err(|why| format!("state `{}`: {why}", plan.name()))
        };
        self.open.get_or_try_init(opening).await
    }

    fn opened(&self) -> Result<&Arc<dyn StateStore>, Outage> {
        self.open.get().ok_or(Outage::State)
    }

    /// Reports that `operation` was answered, or was not. The gate reports its burns itself.
    fn noted<T>(&self, operation: &'static str, answer: Result<T, Outage>) -> Result<T, Outage> {
        self.tools.observer.note(Event::State { operation, ok: answer.is_ok() });
        answer
    }
}

#[async_trait]
impl StateStore for Store {
    async fn burn(&self, burn: &Burn, now: Timestamp) -> Result<Burned, Outage> {
        self.opened()?.burn(burn, now).await
    }

    async fn read(&self, key: &Key, now: Timestamp) -> Result<Option<Entry>, Outage> {
        self.noted("read", self.opened()?.read(key, now).await)
    }

    async fn write(&self, key: &Key, expect: Expect, value: Bytes, until: Timestamp, now: Timestamp) -> Result<Written, Outage> {
        self.noted("write", self.opened()?.write(key, expect, value, until, now).await)
    }

    async fn remove(&self, key: &Key, now: Timestamp) -> Result<bool, Outage> {
        self.noted("remove", self.opened()?.remove(key, now).await)
    }

    async fn changed(&self, key: &Key, version: u64, patience: Duration) {
        match self.opened() {
            Ok(store) => store.changed(key, version, patience).await,
            Err(_outage) => tokio::time::sleep(patience).await,
        }
    }

    async fn append(&self, value: Bytes, until: Timestamp, now: Timestamp) -> Result<(), Outage> {
        // What is appended must outlive the process, whether the conf has use for the store or not.
        let store = match self.begin().await {
            Ok(store) => store,
            Err(why) => {
                tracing::error!(%why, "the state store cannot be opened");
                return self.noted("append", Err(Outage::State));
            }
        };
        self.noted("append", store.append(value, until, now).await)
    }

    async fn since(&self, cursor: Cursor, now: Timestamp) -> Result<Page, Outage> {
        match self.open.get() {
            Some(store) => self.noted("since", store.since(cursor, now).await),
            None => Ok(Page { entries: Vec::new(), cursor: Cursor::default() }),
        }
    }

    async fn appended(&self, cursor: Cursor, patience: Duration) {
        match self.opened() {
            Ok(store) => store.appended(cursor, patience).await,
            Err(_outage) => tokio::time::sleep(patience).await,
        }
    }

    async fn ping(&self) -> Result<(), Outage> {
        self.noted("ping", self.opened()?.ping().await)
    }
}
