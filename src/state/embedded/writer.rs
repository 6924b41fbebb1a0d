//! The one thread that writes: takes what is queued, does all of it in one transaction, commits once, and answers everybody.
//!
//! An answer is given after the commit that holds it, never before, also when it is only "already spent": that may have been
//! said of a mark in the same transaction. What fails, fails for the whole transaction; the database is then closed and opened
//! anew until that succeeds, and whoever asks in the meantime is told at once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::RwLock;
use redb::Database;
use tokio::sync::{mpsc, oneshot};

use crate::domain::{Burn, Event, Observer, Timestamp};
use crate::state::contract::{Expect, Key, Written};
use crate::state::embedded::file::{Files, Opened, begin};
use crate::state::embedded::ledger::{Broken, Done, Facts, Ledger};
use crate::state::embedded::waiting::Waiting;

/// Something to be done.
pub(super) enum Act {
    Burn(Burn),
    Write {
        key: Key,
        expect: Expect,
        value: Bytes,
        until: Timestamp,
    },
    Remove(Key),
    Append {
        value: Bytes,
        until: Timestamp,
    },
    /// Nothing; shows that the writer is there.
    Answer,
}

/// Something to be done, and who wants to know what came of it.
pub(super) struct Order {
    pub(super) act: Act,
    pub(super) now: Timestamp,
    /// Dropped without an answer when the store cannot say.
    pub(super) reply: oneshot::Sender<Done>,
}

/// What the writer shares with those who read.
pub(super) struct Shared {
    /// `None` while it cannot be used. Readers take a handle and let go of it soon.
    pub(super) database: RwLock<Option<Arc<Database>>>,
    /// Whether orders are refused at once.
    pub(super) broken: AtomicBool,
    pub(super) waiting: Waiting,
}

/// The thread's own.
pub(super) struct Writer {
    files: Files,
    shared: Arc<Shared>,
    orders: mpsc::Receiver<Order>,
    observer: Arc<dyn Observer>,
    capacity: u64,
    /// The latest `now` ever seen: a clock set back must not revive what was swept.
    latest: Timestamp,
}

/// Orders that may share a commit. More would make the first of them wait long.
const BATCH: usize = 1_024;

impl Writer {
    /// A writer of `opened`, and what it shares.
    pub(super) fn new(
        files: Files,
        opened: Opened,
        last_appended: u64,
        orders: mpsc::Receiver<Order>,
        observer: Arc<dyn Observer>,
        capacity: u64,
    ) -> (Self, Arc<Shared>) {
        let shared = Arc::new(Shared {
            database: RwLock::new(Some(Arc::new(opened.database))),
            broken: AtomicBool::new(false),
            waiting: Waiting::new(last_appended),
        });
        let writer = Self { files, shared: Arc::clone(&shared), orders, observer, capacity, latest: Timestamp(i64::MIN) };
        (writer, shared)
    }

    /// Writes until nobody can order any more.
    pub(super) fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        while 0 < self.orders.blocking_recv_many(&mut batch, BATCH) {
            if let Err(why) = self.serve(&mut batch) {
                // Dropping an order tells who waits for it.
                batch.clear();
                self.recover(&why);
            }
        }
        self.shared.database.write().take();
    }

    /// Does everything in `batch` and answers, or does nothing.
    fn serve(&mut self, batch: &mut Vec<Order>) -> Result<(), Broken> {
        let database = self.shared.database.read().clone().ok_or_else(|| Broken("it is closed".to_owned()))?;
        self.latest = batch.iter().map(|order| order.now).fold(self.latest, Timestamp::max);
        let (latest, capacity) = (self.latest, self.capacity);
        // A database that fails in an unforeseen way is one that failed.
        let outcome = catch_unwind(AssertUnwindSafe(|| perform(&database, &self.files, batch, latest, capacity)));
        let (outcomes, last) = outcome.map_err(|_panic| Broken("the database gave up".to_owned()))??;
        for (order, done) in batch.drain(..).zip(outcomes) {
            match (&order.act, &done) {
                (Act::Write { key, .. }, Done::Written(Written::Done { .. })) | (Act::Remove(key), _) => self.shared.waiting.tell(key),
                (Act::Append { .. }, Done::Appended) => self.shared.waiting.tell_log(last),
                _ => {}
            }
            // Whoever no longer waits has been told of an outage; the act stands.
            let _ = order.reply.send(done);
        }
        Ok(())
    }

    /// Closes the database and opens it again, as often as it takes.
    fn recover(&mut self, why: &Broken) {
        const FIRST: Duration = Duration::from_millis(100);
        const LONGEST: Duration = Duration::from_secs(2);
        tracing::error!(%why, "state store failed; what needs it is refused until it can be written to again");
        self.shared.broken.store(true, Ordering::SeqCst);
        self.shared.database.write().take();
        let mut pause = FIRST;
        loop {
            // Nothing is added while it is marked as broken, but for what was under way.
            while self.orders.try_recv().is_ok() {}
            if self.orders.is_closed() {
                return;
            }
            std::thread::sleep(pause);
            pause = LONGEST.min(pause * 2);
            let outcome = catch_unwind(AssertUnwindSafe(|| self.try_again()));
            let outcome = outcome.unwrap_or_else(|_panic| Err("the database gave up".to_owned()));
            self.observer.note(Event::State { operation: "reopen", ok: outcome.is_ok() });
            match outcome {
                Ok(database) => {
                    *self.shared.database.write() = Some(Arc::new(database));
                    self.shared.broken.store(false, Ordering::SeqCst);
                    tracing::info!("state store recovered");
                    return;
                }
                Err(why) => tracing::debug!(why, "state store still fails"),
            }
        }
    }

    /// Opens the database and commits once, to see that it can.
    fn try_again(&self) -> Result<Database, String> {
        let opened = self.files.reopen()?;
        let transaction = begin(&opened.database).map_err(|why| why.to_string())?;
        let mut ledger = Ledger::open(&transaction, self.capacity).map_err(|why| why.to_string())?;
        ledger.touch();
        let facts = ledger.close().map_err(|why| why.to_string())?;
        transaction.commit().map_err(|why| why.to_string())?;
        self.files.acknowledge(&facts).map_err(|why| why.to_string())?;
        Ok(opened.database)
    }
}

/// Does everything in `batch` in one transaction. What came of each, and the number of the log's last entry.
fn perform(database: &Database, files: &Files, batch: &[Order], latest: Timestamp, capacity: u64) -> Result<(Vec<Done>, u64), Broken> {
    /// Rows swept with every commit, beside one for each that may have been added: so the past shrinks whenever anything is done.
    const SWEPT: usize = 64;
    let transaction = begin(database)?;
    let mut ledger = Ledger::open(&transaction, capacity)?;
    let outcomes = batch.iter().map(|order| apply(&mut ledger, &order.act, latest)).collect::<Result<Vec<_>, _>>()?;
    if !ledger.changed() {
        drop(ledger);
        transaction.abort().map_err(Broken::because)?;
        return Ok((outcomes, 0));
    }
    ledger.sweep(latest, SWEPT + batch.len())?;
    let last = ledger.last_appended()?;
    let facts: Facts = ledger.close()?;
    transaction.commit().map_err(Broken::because)?;
    files.acknowledge(&facts)?;
    Ok((outcomes, last))
}

fn apply(ledger: &mut Ledger<'_>, act: &Act, latest: Timestamp) -> Result<Done, Broken> {
    match act {
        Act::Burn(burn) => ledger.burn(burn, latest),
        Act::Write { key, expect, value, until } => ledger.write(key, *expect, value, *until, latest),
        Act::Remove(key) => ledger.remove(key, latest),
        Act::Append { value, until } => ledger.append(value, *until, latest),
        Act::Answer => Ok(Done::Alive),
    }
}
