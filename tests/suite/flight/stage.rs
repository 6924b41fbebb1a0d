//! The stage of these tests: an issuer that does as told and counts, a store that fails as told, a clock that goes with the
//! runtime's, and an observer that writes everything down.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use countersign::domain::{
    Burn, Claims, Clock, Event, Identity, Observer, Outage, Random, RenewalFailure, Renewed, Secret, Spent, Timestamp, TokenPair, Value,
};
use countersign::renew::contract::{FlightTools, RenewError, Renewals, Renewer};
use countersign::renew::flight::protocol::Record;
use countersign::renew::flight::{FlightSettings, Flights, record};
use countersign::state::contract::{Burned, Class, Cursor, Entry, Expect, Key, Page, StateStore, Written};
use countersign::state::memory::Memory;
use parking_lot::Mutex;
use tokio::time::Instant;

pub const NOW: i64 = 1_800_000_000;
pub const RENEWER: &str = "login";

/// Goes with the runtime's time, and can run ahead of it.
pub struct Ticking {
    origin: Instant,
    base: AtomicI64,
}

impl Ticking {
    pub fn from(base: i64) -> Arc<Self> {
        Arc::new(Self { origin: Instant::now(), base: AtomicI64::new(base) })
    }
}

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp(self.millis().div_euclid(1_000))
    }

    fn millis(&self) -> i64 {
        self.base.load(Ordering::SeqCst) * 1_000 + i64::try_from(self.origin.elapsed().as_millis()).unwrap()
    }
}

/// Counts up; no two fillings are equal.
#[derive(Default)]
pub struct Counting(AtomicUsize);

impl Random for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        let mut number = self.0.fetch_add(1, Ordering::SeqCst) as u64;
        for byte in buffer {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (number >> 56) as u8;
        }
    }
}

/// Everything that was reported.
#[derive(Default)]
pub struct Heard {
    renewals: Mutex<Vec<(String, &'static str, bool)>>,
    state: Mutex<Vec<(&'static str, bool)>>,
}

impl Observer for Heard {
    fn note(&self, event: Event<'_>) {
        match event {
            Event::Renewal { renewer, result, coalesced } => self.renewals.lock().push((renewer.to_owned(), result, coalesced)),
            Event::State { operation, ok } => self.state.lock().push((operation, ok)),
            _ => {}
        }
    }
}

impl Heard {
    /// How often a renewal ended with `result`, of its own or coalesced.
    pub fn renewals(&self, result: &str, coalesced: bool) -> usize {
        self.renewals.lock().iter().filter(|heard| **heard == (RENEWER.to_owned(), same(heard.1, result), coalesced)).count()
    }

    pub fn all_renewals(&self) -> usize {
        self.renewals.lock().len()
    }

    pub fn failed_store_calls(&self) -> usize {
        self.state.lock().iter().filter(|(_, ok)| !ok).count()
    }
}

/// `heard` when it is `asked`, and something else otherwise.
fn same(heard: &'static str, asked: &str) -> &'static str {
    if heard == asked { heard } else { "another" }
}

/// What the issuer does with one exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// A new pair.
    Renew,
    /// A new pair after so long.
    RenewAfter(Duration),
    /// The same refresh credential stays good.
    RenewOnly,
    /// A pair that nobody can keep.
    RenewEndless,
    /// A pair without an access credential.
    RenewNothing,
    /// No.
    Reject,
    /// It is not there.
    Unreached,
    /// It has rotated, and the answer is lost.
    Lose,
    /// It takes forever.
    Hang,
    /// The renewer breaks.
    Panic,
}

/// An issuer with rotation: what was spent once is refused ever after.
pub struct Issuer {
    script: Mutex<VecDeque<Act>>,
    ever_after: Mutex<Act>,
    spent: Mutex<Vec<Vec<u8>>>,
    asked: AtomicUsize,
    forgives: bool,
}

impl Issuer {
    /// Does one act after another, then renews.
    pub fn new(script: &[Act]) -> Arc<Self> {
        Self::with(script, false)
    }

    pub fn forgiving(script: &[Act]) -> Arc<Self> {
        Self::with(script, true)
    }

    pub fn with(script: &[Act], forgives: bool) -> Arc<Self> {
        Arc::new(Self {
            script: Mutex::new(script.iter().copied().collect()),
            ever_after: Mutex::new(Act::Renew),
            spent: Mutex::default(),
            asked: AtomicUsize::new(0),
            forgives,
        })
    }

    /// What it does once its script is over.
    pub fn ever_after(&self, act: Act) {
        *self.ever_after.lock() = act;
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn pair(number: usize, spent: &Spent) -> TokenPair {
        TokenPair {
            access: Secret::new(format!("access-{number}-{}", spent.identity.subject).into_bytes()),
            refresh: Some(Secret::new(format!("refresh-{number}").into_bytes())),
            access_until: Some(Timestamp(NOW + 3_600)),
            refresh_until: None,
            beside: Value::Map(Box::new([
                ("token_type".into(), "Bearer".into()),
                ("nested".into(), Value::List(Box::new([Value::Int(1)]))),
            ])),
        }
    }
}

#[async_trait]
impl Renewer for Issuer {
    async fn renew(&self, spent: &Spent, _now: Timestamp) -> Result<TokenPair, RenewError> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let act = self.script.lock().pop_front().unwrap_or_else(|| *self.ever_after.lock());
        match act {
            Act::Unreached => return Err(RenewError::Unreached { why: "connection refused" }),
            Act::Hang => return std::future::pending().await,
            Act::Panic => panic!("the renewer breaks, as it was told"),
            Act::Reject => return Err(RenewError::Rejected { code: "invalid_grant" }),
            Act::RenewAfter(time) => tokio::time::sleep(time).await,
            _ => {}
        }
        let known = self.spent.lock().contains(&spent.refresh.expose().to_vec());
        if known && !self.forgives {
            return Err(RenewError::Rejected { code: "invalid_grant" });
        }
        let mut pair = Self::pair(number, spent);
        match act {
            Act::RenewOnly => pair.refresh = None,
            _ => self.spent.lock().push(spent.refresh.expose().to_vec()),
        }
        match act {
            Act::Lose => return Err(RenewError::Lost { why: "connection reset" }),
            Act::RenewNothing => pair.access = Secret::new(Vec::new()),
            Act::RenewEndless => pair.access = Secret::new(vec![b'a'; 300 * 1024]),
            _ => {}
        }
        Ok(pair)
    }

    fn forgives_repeats(&self) -> bool {
        self.forgives
    }
}

/// What goes wrong with a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It does not happen.
    Down,
    /// It happens, and nobody is told.
    Unacknowledged,
}

/// A store that fails as told, and counts what it is asked.
pub struct Shaky {
    pub inner: Memory,
    /// How long taking a lease takes.
    pub slow_lease: Mutex<Duration>,
    /// Which operations fail from now on; the number says how many, `usize::MAX` all.
    faults: Mutex<Vec<(&'static str, Fault, usize)>>,
    pub reads: AtomicUsize,
    pub writes: AtomicUsize,
}

impl Shaky {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: Memory::new(100_000, Timestamp(0)),
            slow_lease: Mutex::default(),
            faults: Mutex::default(),
            reads: AtomicUsize::new(0),
            writes: AtomicUsize::new(0),
        })
    }

    /// Lets `times` calls of `operation` (`read`, `lease`, `complete`) fail.
    pub fn fail(&self, operation: &'static str, fault: Fault, times: usize) {
        self.faults.lock().push((operation, fault, times));
    }

    pub fn heal(&self) {
        self.faults.lock().clear();
    }

    fn fault(&self, operation: &str) -> Option<Fault> {
        let mut faults = self.faults.lock();
        let (_, fault, times) = faults.iter_mut().find(|(name, _, times)| *name == operation && 0 < *times)?;
        *times -= 1;
        Some(*fault)
    }
}

#[async_trait]
impl StateStore for Shaky {
    async fn burn(&self, burn: &Burn, now: Timestamp) -> Result<Burned, Outage> {
        self.inner.burn(burn, now).await
    }

    async fn read(&self, key: &Key, now: Timestamp) -> Result<Option<Entry>, Outage> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        match self.fault("read") {
            Some(_) => Err(Outage::State),
            None => self.inner.read(key, now).await,
        }
    }

    async fn write(&self, key: &Key, expect: Expect, value: Bytes, until: Timestamp, now: Timestamp) -> Result<Written, Outage> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        let operation = if matches!(record::read(&value), Some(Record::Leased(_))) { "lease" } else { "complete" };
        let slow = *self.slow_lease.lock();
        if operation == "lease" && !slow.is_zero() {
            tokio::time::sleep(slow).await;
        }
        match self.fault(operation) {
            Some(Fault::Down) => Err(Outage::State),
            Some(Fault::Unacknowledged) => {
                self.inner.write(key, expect, value, until, now).await?;
                Err(Outage::State)
            }
            None => self.inner.write(key, expect, value, until, now).await,
        }
    }

    async fn remove(&self, key: &Key, now: Timestamp) -> Result<bool, Outage> {
        self.inner.remove(key, now).await
    }

    async fn changed(&self, key: &Key, version: u64, patience: Duration) {
        self.inner.changed(key, version, patience).await;
    }

    async fn append(&self, value: Bytes, until: Timestamp, now: Timestamp) -> Result<(), Outage> {
        self.inner.append(value, until, now).await
    }

    async fn since(&self, cursor: Cursor, now: Timestamp) -> Result<Page, Outage> {
        self.inner.since(cursor, now).await
    }

    async fn appended(&self, cursor: Cursor, patience: Duration) {
        self.inner.appended(cursor, patience).await;
    }

    async fn ping(&self) -> Result<(), Outage> {
        self.inner.ping().await
    }
}

/// One node: its flights, and what it has reported.
pub struct Node {
    pub flights: Arc<Flights>,
    pub heard: Arc<Heard>,
    pub clock: Arc<dyn Clock>,
    pub store: Arc<Shaky>,
}

impl Node {
    pub fn new(issuer: &Arc<Issuer>, store: &Arc<Shaky>, clock: &Arc<impl Clock + 'static>) -> Self {
        Self::with(issuer, store, clock, FlightSettings::default())
    }

    pub fn with(issuer: &Arc<Issuer>, store: &Arc<Shaky>, clock: &Arc<impl Clock + 'static>, settings: FlightSettings) -> Self {
        let heard = Arc::new(Heard::default());
        let tools = FlightTools {
            state: Arc::clone(store) as Arc<dyn StateStore>,
            clock: Arc::clone(clock) as Arc<dyn Clock>,
            random: Arc::new(Counting::default()),
            observer: Arc::clone(&heard) as Arc<dyn Observer>,
        };
        let flights = Flights::new(RENEWER.into(), Arc::clone(issuer) as Arc<dyn Renewer>, tools, settings);
        Self { flights: Arc::new(flights), heard, clock: Arc::clone(clock) as Arc<dyn Clock>, store: Arc::clone(store) }
    }

    pub async fn renew(&self, spent: &Spent) -> Result<Renewed, RenewalFailure> {
        self.flights.renew(spent, self.clock.now()).await
    }

    /// The access credential that `spent` is renewed to, or the failure's name.
    pub async fn ask(&self, spent: &Spent) -> String {
        match self.renew(spent).await {
            Ok(renewed) => shown(&renewed.pair),
            Err(failure) => failure.as_str().to_owned(),
        }
    }

    /// What stands in the store for `spent`.
    pub async fn record(&self, spent: &Spent) -> Option<Record> {
        let entry = self.store.inner.read(&self.key(spent), self.clock.now()).await.unwrap()?;
        Some(record::read(&entry.value).expect("a record of ours"))
    }

    pub fn key(&self, spent: &Spent) -> Key {
        Key { class: Class::Renewal, digest: self.flights.key(spent).0 }
    }

    /// Waits until the issuer has been asked `times`.
    pub async fn until_asked(issuer: &Issuer, times: usize) {
        while issuer.asked() < times {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// The access credential of `pair`, as text.
pub fn shown(pair: &TokenPair) -> String {
    String::from_utf8(pair.access.expose().to_vec()).unwrap()
}

/// What the number `number` among the clients brings.
pub fn spent(number: usize) -> Spent {
    spent_until(number, NOW - 10)
}

/// The same, when its access credential ends at `expires`.
pub fn spent_until(number: usize, expires: i64) -> Spent {
    Spent {
        refresh: Secret::new(format!("refresh-of-{number}").into_bytes()),
        access: Secret::new(format!("access-of-{number}").into_bytes()),
        identity: Arc::new(Identity {
            subject: format!("user{number}").into(),
            issuer: "https://id.example".into(),
            scopes: Box::default(),
            claims: Claims::empty(),
            expires: Some(Timestamp(expires)),
            not_before: None,
            scheme: "jwt",
            authenticator: "user".into(),
            burn: None,
            also: Vec::new(),
        }),
    }
}

/// Lets so much time pass.
pub async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}
