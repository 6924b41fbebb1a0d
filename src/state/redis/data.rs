//! The data set of ours in a Redis: what it is called, what is done to it, and when it begins to remember.
//!
//! A Redis that was restarted empty, or flushed, does not know that anything was ever spent. So every operation looks for the
//! beginning of the data set first, and makes one where there is none, in the same atomic act: what was made before is then
//! answered `Forgotten`. Who makes that beginning has met the data set before, unless this process has only just started; so it
//! knows of a loss, and allows for clocks that differ.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use redis::{Script, ScriptInvocation};

use crate::domain::{Random, Seconds, Timestamp};
use crate::state::redis::names::Names;
use crate::state::redis::scripts::Scripts;

/// After a loss, what was made up to this much later counts as made before: one second because a second is the least we tell
/// apart, the others because the clocks of nodes may differ.
const AFTER_LOSS: Seconds = Seconds(6);

/// Our data set.
pub(super) struct DataSet {
    pub(super) names: Names,
    pub(super) scripts: Scripts,
    random: Arc<dyn Random>,
    /// Whether it has been found, or begun, since this process started.
    met: AtomicBool,
    /// The latest `now` ever seen: a clock that is set back moves nothing.
    latest: AtomicI64,
}

impl DataSet {
    pub(super) fn new(names: Names, random: Arc<dyn Random>) -> Self {
        Self { names, scripts: Scripts::new(), random, met: AtomicBool::new(false), latest: AtomicI64::new(i64::MIN) }
    }

    /// The latest of `now` and every moment seen before.
    pub(super) fn see(&self, now: Timestamp) -> Timestamp {
        let before = self.latest.fetch_max(now.0, Ordering::Relaxed);
        Timestamp(before.max(now.0))
    }

    /// The first keys and arguments of `script`, which all operations have in common. Keys and arguments of its own follow.
    pub(super) fn call<'s>(&'s self, script: &'s Script, now: Timestamp) -> ScriptInvocation<'s> {
        let now = self.see(now);
        self.prepared(script, now, now.plus(AFTER_LOSS))
    }

    /// Greets a server: in which start of it we are, and whether a start keeps everything. A data set that this process has not
    /// met, and that is not there, remembers from `first` on.
    pub(super) fn greeting(&self, run: &str, is_durable: bool, now: Timestamp, first: Timestamp) -> ScriptInvocation<'_> {
        let now = self.see(now);
        let begins = if self.has_met() { now.plus(AFTER_LOSS) } else { first };
        let mut call = self.prepared(&self.scripts.greet, now, begins);
        call.arg(run).arg(if is_durable { "1" } else { "0" }).arg(now.plus(AFTER_LOSS).0);
        call
    }

    /// Whether it has been greeted.
    pub(super) fn has_met(&self) -> bool {
        self.met.load(Ordering::Relaxed)
    }

    /// It has been greeted.
    pub(super) fn meet(&self) {
        self.met.store(true, Ordering::Relaxed);
    }

    fn prepared<'s>(&'s self, script: &'s Script, now: Timestamp, begins: Timestamp) -> ScriptInvocation<'s> {
        let mut life = [0; 8];
        self.random.fill(&mut life);
        // 0 is the life of a cursor that has read nothing.
        let life = u64::from_be_bytes(life).max(1);
        let mut call = script.prepare_invoke();
        call.key(self.names.origin()).arg(now.0).arg(life).arg(begins.0);
        call
    }
}
