//! A state store in a file of this process's own: for one node, and it survives the process and the machine's next start.
//!
//! Writes go through one thread that commits for everybody who waits; reads go past it. What was answered is on disk. Two processes
//! cannot share it, and what is damaged is refused rather than repaired by leaving out. Rules: `state::contract`; the database is
//! redb, always committed in two phases.

mod file;
mod ledger;
mod waiting;
mod witness;
mod writer;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use redb::{Database, ReadTransaction, ReadableDatabase};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::domain::{Burn, Outage, Timestamp};
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape};
use crate::state::beginning;
use crate::state::contract::{Burned, Cursor, Entry, Expect, Key, Page, StateStore, StoreEntry, StorePlan, StoreTools, Written};
use crate::state::embedded::file::Files;
use crate::state::embedded::ledger::{Broken, Done, appended_after, last_appended, record};
use crate::state::embedded::witness::Witness;
use crate::state::embedded::writer::{Act, Order, Shared, Writer};

/// This store on the roll-call.
pub const ENTRY: StoreEntry = StoreEntry { name: "embedded", doc: SETTINGS.doc, shape: Shape::Section(&SETTINGS), plan };

static SETTINGS: SectionSpec = SectionSpec {
    title: "`embedded`",
    doc: "In a file of this process's own: for one node. What was answered survives a killed process and a loss of power.",
    keys: &[
        KeySpec::default(
            "path",
            Shape::Path,
            "state/countersign.redb",
            "The file. Its folder is made if need be, for this user alone; a file `PATH.witness` stands beside it.",
        ),
        KeySpec::default(
            "capacity",
            Shape::Count { min: 1, max: 100_000_000 },
            "1000000",
            "Spent credentials remembered at once, and as many records and revocations. None is evicted before its end: a full store \
             answers 503.",
        ),
        KeySpec::default(
            "timeout",
            Shape::Duration { min: 0, max: 60 },
            "2s",
            "In which the disk must have answered. What needs an answer that does not come is refused with 503.",
        ),
    ],
};

/// The settings, proven.
#[derive(Debug, Clone)]
struct EmbeddedPlan {
    path: PathBuf,
    capacity: u64,
    timeout: Duration,
}

fn plan(node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn StorePlan>> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let path = checking.material.resolve(section.text("path")?);
    let capacity = section.count("capacity").and_then(|capacity| u64::try_from(capacity).ok())?;
    let timeout = section.duration("timeout")?;
    if timeout.is_zero() {
        checking.faults.error(section.span_of("timeout"), "`timeout` must be longer than nothing, such as `2s`");
        return None;
    }
    if path.file_name().is_none() {
        checking.faults.error(section.span_of("path"), "`path` must name a file, such as `state/countersign.redb`");
        return None;
    }
    Some(Box::new(EmbeddedPlan { path, capacity, timeout }))
}

#[async_trait]
impl StorePlan for EmbeddedPlan {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn continuity(&self) -> String {
        format!("embedded path={} capacity={} timeout={:?}", self.path.display(), self.capacity, self.timeout)
    }

    fn is_there(&self) -> bool {
        // A database that was taken away is missed, not passed over.
        self.path.exists() || Witness::path_for(&self.path).exists()
    }

    fn folder(&self) -> Option<&Path> {
        self.path.parent()
    }

    async fn open(&self, tools: &StoreTools) -> Result<Arc<dyn StateStore>, String> {
        let (plan, with) = (self.clone(), tools.clone());
        let (tell, told) = oneshot::channel();
        let work = move || match begin(&plan, &with) {
            Ok((writer, store)) => {
                // Nobody listens any more only when the start was given up; the writer then ends at once.
                let _ = tell.send(Ok(store));
                writer.run();
            }
            Err(why) => {
                let _ = tell.send(Err(why));
            }
        };
        std::thread::Builder::new().name("state".to_owned()).spawn(work).map_err(|error| format!("cannot start its thread: {error}"))?;
        let store = told.await.map_err(|_panicked| format!("`{}` could not be opened", self.path.display()))??;
        if tools.clock.now() < store.born.minus(crate::domain::Seconds(1)) {
            tracing::warn!(
                born = %store.born,
                "the state store was made when the clock stood later than now; single-use credentials made before then are refused"
            );
        }
        beginning::reached(store.born, tools.clock.as_ref()).await;
        Ok(Arc::new(store))
    }
}

/// Opens the store of `plan` and readies its writer. Blocks.
fn begin(plan: &EmbeddedPlan, tools: &StoreTools) -> Result<(Writer, Embedded), String> {
    /// Orders that may wait for the writer. Who finds no room is refused when the time-out has passed.
    const QUEUE: usize = 4_096;
    /// Reads at once; more would only wait for the same disk, and hold threads of the runtime meanwhile.
    const READERS: usize = 32;
    let files = Files::take(&plan.path)?;
    let mut life = [0; 8];
    tools.random.fill(&mut life);
    // 0 is the life of a cursor that has read nothing.
    let life = u64::from_ne_bytes(life).max(1);
    let opened = files.open(life, beginning::next(tools.clock.as_ref()))?;
    let facts = opened.facts;
    let read_last = |database: &Database| last_appended(&database.begin_read().map_err(Broken::because)?);
    let last = read_last(&opened.database).map_err(|why| files.damaged(&why.to_string()))?;
    let (orders, queue) = mpsc::channel(QUEUE);
    let (writer, shared) = Writer::new(files, opened, last, queue, Arc::clone(&tools.observer), plan.capacity);
    let store = Embedded {
        shared,
        orders,
        readers: Arc::new(Semaphore::new(READERS)),
        timeout: plan.timeout,
        life: facts.life,
        born: facts.born,
        latest: AtomicI64::new(i64::MIN),
    };
    Ok((writer, store))
}

/// State in a file. The writer ends, and lets go of the file, when this is dropped.
struct Embedded {
    shared: Arc<Shared>,
    orders: mpsc::Sender<Order>,
    readers: Arc<Semaphore>,
    timeout: Duration,
    life: u64,
    born: Timestamp,
    /// The latest `now` that any caller has spoken of: what was past its end then stays so.
    latest: AtomicI64,
}

/// The largest value that is stored. A record is a sealed session or a renewal's result, of some KiB.
const LARGEST: usize = 1 << 20;

impl Embedded {
    fn see(&self, now: Timestamp) -> Timestamp {
        Timestamp(self.latest.fetch_max(now.0, Ordering::SeqCst).max(now.0))
    }

    /// Has the writer do `act`.
    async fn order(&self, act: Act, now: Timestamp) -> Result<Done, Outage> {
        if self.shared.broken.load(Ordering::SeqCst) {
            return Err(Outage::State);
        }
        let now = self.see(now);
        let answered = async {
            let (reply, answer) = oneshot::channel();
            self.orders.send(Order { act, now, reply }).await.map_err(|_closed| Outage::State)?;
            answer.await.map_err(|_dropped| Outage::State)
        };
        self.in_time(answered).await
    }

    /// Reads in a snapshot of what has been committed.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&ReadTransaction) -> Result<T, Broken> + Send + 'static,
    ) -> Result<T, Outage> {
        let read = async {
            let permit = Arc::clone(&self.readers).acquire_owned().await.map_err(|_closed| Outage::State)?;
            let database = self.shared.database.read().clone().ok_or(Outage::State)?;
            // On a thread that may block: the pages may have to come from the disk.
            let work = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                database.begin_read().map_err(Broken::because).and_then(|transaction| look(&transaction))
            });
            match work.await {
                Ok(Ok(found)) => Ok(found),
                Ok(Err(why)) => {
                    tracing::warn!(%why, "state store could not be read");
                    Err(Outage::State)
                }
                Err(_panicked) => Err(Outage::State),
            }
        };
        self.in_time(read).await
    }

    async fn in_time<T>(&self, answered: impl Future<Output = Result<T, Outage>>) -> Result<T, Outage> {
        tokio::time::timeout(self.timeout, answered).await.unwrap_or(Err(Outage::State))
    }

    /// The number that `cursor` has read to in this life.
    fn read_to(&self, cursor: Cursor) -> u64 {
        if cursor.life == self.life { cursor.last } else { 0 }
    }
}

#[async_trait]
impl StateStore for Embedded {
    async fn burn(&self, burn: &Burn, now: Timestamp) -> Result<Burned, Outage> {
        match self.order(Act::Burn(burn.clone()), now).await? {
            Done::Burned(burned) => Ok(burned),
            _ => Err(Outage::State),
        }
    }

    async fn read(&self, key: &Key, now: Timestamp) -> Result<Option<Entry>, Outage> {
        let (key, latest) = (*key, self.see(now));
        let stored = self.look(move |transaction| record(transaction, &key)).await?;
        Ok(stored.filter(|entry| latest < entry.until))
    }

    async fn write(&self, key: &Key, expect: Expect, value: Bytes, until: Timestamp, now: Timestamp) -> Result<Written, Outage> {
        if LARGEST < value.len() {
            return Err(Outage::State);
        }
        match self.order(Act::Write { key: *key, expect, value, until }, now).await? {
            Done::Written(written) => Ok(written),
            _ => Err(Outage::State),
        }
    }

    async fn remove(&self, key: &Key, now: Timestamp) -> Result<bool, Outage> {
        match self.order(Act::Remove(*key), now).await? {
            Done::Removed(removed) => Ok(removed),
            _ => Err(Outage::State),
        }
    }

    async fn changed(&self, key: &Key, version: u64, patience: Duration) {
        let waiter = self.shared.waiting.on(key);
        let waiting = async {
            loop {
                // Armed before the look, so that what happens between look and wait is not missed.
                let mut armed = std::pin::pin!(waiter.bell().notified());
                armed.as_mut().enable();
                let key = *key;
                match self.look(move |transaction| record(transaction, &key)).await {
                    Ok(stored) if stored.as_ref().map_or(0, |entry| entry.version) == version => armed.await,
                    // Changed; or it cannot be said, and the caller will hear of that when it reads.
                    Ok(_) | Err(_) => return,
                }
            }
        };
        // Patience that ran out is an answer like any other.
        tokio::time::timeout(patience, waiting).await.unwrap_or_default();
    }

    async fn append(&self, value: Bytes, until: Timestamp, now: Timestamp) -> Result<(), Outage> {
        if LARGEST < value.len() {
            return Err(Outage::State);
        }
        match self.order(Act::Append { value, until }, now).await? {
            Done::Appended => Ok(()),
            _ => Err(Outage::State),
        }
    }

    async fn since(&self, cursor: Cursor, now: Timestamp) -> Result<Page, Outage> {
        let (after, latest) = (self.read_to(cursor), self.see(now));
        let (entries, last) = self.look(move |transaction| appended_after(transaction, after, latest)).await?;
        Ok(Page { entries, cursor: Cursor { life: self.life, last } })
    }

    async fn appended(&self, cursor: Cursor, patience: Duration) {
        tokio::time::timeout(patience, self.shared.waiting.on_log(self.read_to(cursor))).await.unwrap_or_default();
    }

    async fn ping(&self) -> Result<(), Outage> {
        match self.order(Act::Answer, Timestamp(i64::MIN)).await? {
            Done::Alive => Ok(()),
            _ => Err(Outage::State),
        }
    }
}
