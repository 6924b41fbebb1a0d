//! The contract of state stores, clause by clause, over every store there is.
//!
//! A clause knows a store only by its trait. A store joins by a [`Kind`] of its own in [`KINDS`]; nothing else changes.
//! Rules: `src/state/contract.rs`.

mod lasting;
mod log;
mod marks;
mod records;

use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use countersign::domain::{Burn, Clock, Random, Silent, Timestamp};
use countersign::state::STORES;
use countersign::state::contract::{Class, Key, StateStore, StoreTools};
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::stage::{NOW, prove};
use crate::support::redis::{DURABLE, RedisServer};

/// Every kind of store that must keep the contract.
const KINDS: &[&dyn Kind] = &[&Memory, &Embedded, &Redis];

/// Every clause.
const CLAUSES: &[(&str, Clause)] = &[
    ("a key is spent once", |stage| Box::pin(marks::a_key_is_spent_once(stage))),
    ("of any number at once one is first", |stage| Box::pin(marks::of_any_number_at_once_one_is_first(stage))),
    ("a mark outlives its sweeping", |stage| Box::pin(marks::a_clock_set_back_revives_nothing(stage))),
    ("a full store refuses and forgets nothing", |stage| Box::pin(marks::a_full_store_refuses_and_forgets_nothing(stage))),
    ("a caller who goes away spends at most once", |stage| Box::pin(marks::a_caller_who_goes_away_spends_at_most_once(stage))),
    ("a record is as it was written", |stage| Box::pin(records::a_record_is_as_it_was_written(stage))),
    ("a write compares before it sets", |stage| Box::pin(records::a_write_compares_before_it_sets(stage))),
    ("a record ends when it says", |stage| Box::pin(records::a_record_ends_when_it_says(stage))),
    ("versions only grow", |stage| Box::pin(records::versions_only_grow(stage))),
    ("of any number of equal writes one is done", |stage| Box::pin(records::of_any_number_of_equal_writes_one_is_done(stage))),
    ("a full store takes no more records", |stage| Box::pin(records::a_full_store_takes_no_more_records(stage))),
    ("who waits for a record is woken", |stage| Box::pin(records::who_waits_is_woken(stage))),
    ("patience ends", |stage| Box::pin(records::patience_ends(stage))),
    ("the log is read on from a cursor", |stage| Box::pin(log::the_log_is_read_on_from_a_cursor(stage))),
    ("an entry ends when it says", |stage| Box::pin(log::an_entry_ends_when_it_says(stage))),
    ("a cursor of another life reads everything", |stage| Box::pin(log::a_cursor_of_another_life_reads_everything(stage))),
    ("who waits for the log is woken", |stage| Box::pin(log::who_waits_is_woken(stage))),
    ("a full log takes no more", |stage| Box::pin(log::a_full_log_takes_no_more(stage))),
    ("a store answers", |stage| Box::pin(lasting::a_store_answers(stage))),
    ("what was answered outlives the store", |stage| Box::pin(lasting::what_was_answered_outlives_the_store(stage))),
    ("a store that lost its memory knows", |stage| Box::pin(lasting::a_store_that_lost_its_memory_knows(stage))),
];

type Clause = fn(Stage) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// A kind of store.
#[async_trait]
pub trait Kind: Sync {
    /// Its name on the roll-call.
    fn name(&self) -> &'static str;

    /// Whether what it answered outlives it.
    fn lasts(&self) -> bool;

    /// Whether it keeps at most as many marks, records and entries of the log as it is told.
    fn counts(&self) -> bool;

    /// A place for a store of at most `capacity` marks, records and entries of the log, in which nothing was ever remembered.
    async fn home(&self, capacity: usize) -> Box<dyn Home>;
}

/// The place of one store.
#[async_trait]
pub trait Home: Send + Sync {
    /// Opens the store, as a process does when it starts. The one opened before has been dropped.
    async fn open(&self, clock: Arc<dyn Clock>) -> Arc<dyn StateStore>;
}

/// What a clause is played on.
#[derive(Clone, Copy)]
pub struct Stage {
    pub kind: &'static dyn Kind,
}

/// An open store, and where it lives.
pub struct Opened {
    pub home: Box<dyn Home>,
    pub store: Arc<dyn StateStore>,
}

impl Stage {
    /// A store that begins [`NOW`], with room for all that a clause needs.
    pub async fn store(self) -> Opened {
        self.store_of(10_000).await
    }

    pub async fn store_of(self, capacity: usize) -> Opened {
        let home = self.kind.home(capacity).await;
        let store = home.open(clock(NOW)).await;
        Opened { home, store }
    }
}

impl Opened {
    /// The store as the next process finds it that starts `now` seconds after [`NOW`].
    pub async fn again(self, now: i64) -> Self {
        let Self { home, store } = self;
        drop(store);
        let store = home.open(clock(NOW + now)).await;
        Self { home, store }
    }
}

impl Deref for Opened {
    type Target = dyn StateStore;

    fn deref(&self) -> &Self::Target {
        self.store.as_ref()
    }
}

/// A clock that stands at `now`.
pub fn clock(now: i64) -> Arc<dyn Clock> {
    Arc::new(AtomicI64::new(now))
}

/// A moment `seconds` after [`NOW`].
pub fn at(seconds: i64) -> Timestamp {
    Timestamp(NOW + seconds)
}

/// The spending of credential number `number`, made at `made` and good until `until`, both counted from [`NOW`].
pub fn burn(number: u64, made: i64, until: i64) -> Burn {
    Burn { key: digest(number), made: at(made), until: at(until) }
}

/// The session number `number`.
pub fn session(number: u64) -> Key {
    Key { class: Class::Session, digest: digest(number) }
}

fn digest(number: u64) -> [u8; 32] {
    let bytes = number.to_be_bytes();
    std::array::from_fn(|place| bytes[place % 8] ^ u8::try_from(place).unwrap())
}

/// Long enough for anything that is going to happen; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What `work` comes to; it must come to something in time.
pub async fn soon<T>(shows: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("{shows}: nothing happened"))
}

/// What a store is opened with by a process that starts when `clock` says.
pub fn tools(clock: Arc<dyn Clock>) -> StoreTools {
    StoreTools { clock, random: Arc::new(Dice::default()), observer: Arc::new(Silent) }
}

/// Bytes that differ from call to call.
#[derive(Default)]
struct Dice(AtomicU8);

impl Random for Dice {
    fn fill(&self, buffer: &mut [u8]) {
        /// One throw for all dice: two stores must not have the same life.
        static THROWS: AtomicU8 = AtomicU8::new(1);
        buffer.fill_with(|| self.0.fetch_add(1, Ordering::Relaxed));
        if let Some(first) = buffer.first_mut() {
            *first = THROWS.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Opens the store called `name` on the roll-call with `settings`.
///
/// # Errors
///
/// What the operator is told.
pub async fn open(name: &str, settings: &Json, clock: Arc<dyn Clock>) -> Result<Arc<dyn StateStore>, String> {
    let entry = STORES.iter().find(|entry| entry.name == name).expect("it is on the roll-call");
    prove(entry.plan, settings).expect("sound settings").open(&tools(clock)).await
}

struct Memory;

#[async_trait]
impl Kind for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn lasts(&self) -> bool {
        false
    }

    fn counts(&self) -> bool {
        true
    }

    async fn home(&self, capacity: usize) -> Box<dyn Home> {
        Box::new(Nowhere(capacity))
    }
}

struct Nowhere(usize);

#[async_trait]
impl Home for Nowhere {
    async fn open(&self, clock: Arc<dyn Clock>) -> Arc<dyn StateStore> {
        open("memory", &json!({ "capacity": self.0 }), clock).await.unwrap()
    }
}

struct Embedded;

#[async_trait]
impl Kind for Embedded {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn lasts(&self) -> bool {
        true
    }

    fn counts(&self) -> bool {
        true
    }

    async fn home(&self, capacity: usize) -> Box<dyn Home> {
        Box::new(Folder { folder: tempfile::tempdir().unwrap(), capacity })
    }
}

struct Folder {
    folder: TempDir,
    capacity: usize,
}

#[async_trait]
impl Home for Folder {
    async fn open(&self, clock: Arc<dyn Clock>) -> Arc<dyn StateStore> {
        let path = self.folder.path().join("state/store.redb");
        let settings = json!({ "path": path.to_str().unwrap(), "capacity": self.capacity, "timeout": "20s" });
        open("embedded", &settings, clock).await.unwrap()
    }
}

struct Redis;

#[async_trait]
impl Kind for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn lasts(&self) -> bool {
        true
    }

    /// What it holds is bounded by the server's memory, not by a number.
    fn counts(&self) -> bool {
        false
    }

    async fn home(&self, _capacity: usize) -> Box<dyn Home> {
        Box::new(Server(Mutex::new(RedisServer::start_with(DURABLE))))
    }
}

struct Server(Mutex<RedisServer>);

#[async_trait]
impl Home for Server {
    async fn open(&self, clock: Arc<dyn Clock>) -> Arc<dyn StateStore> {
        let url = {
            let mut server = self.0.lock();
            // Whatever was answered must have been written down.
            server.restart();
            server.url()
        };
        open("redis", &json!({ "url": url, "strict": true, "timeout": "20s", "connect_timeout": "20s" }), clock).await.unwrap()
    }
}

/// Plays every clause on the kind called `name`.
async fn keeps_the_contract(name: &str) {
    let kind = *KINDS.iter().find(|kind| kind.name() == name).expect("a kind of that name");
    for (shows, clause) in CLAUSES {
        println!("{name}: {shows}");
        clause(Stage { kind }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_keeps_the_contract() {
    keeps_the_contract("memory").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_keeps_the_contract() {
    keeps_the_contract("embedded").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_keeps_the_contract() {
    keeps_the_contract("redis").await;
}

#[test]
fn every_store_on_the_roll_call_is_held_to_the_contract() {
    let listed: Vec<&str> = STORES.iter().map(|entry| entry.name).collect();
    for name in &listed {
        assert!(KINDS.iter().any(|kind| kind.name() == *name), "`{name}` is on the roll-call, and no `Kind` plays the contract on it");
    }
    assert_eq!(listed.len(), KINDS.len(), "a kind of no store on the roll-call: {listed:?}");
}
