//! A stage for services that rest on a state store: a store that can be told to fail, and requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::domain::{Burn, Clock, Identity, Outage, Random, RequestView, Seconds, Secret, Silent, Target, Timestamp, Value};
use crate::issuer::contract::Call;
use crate::issuer::ticket::{Mint, Minted, TicketOrder, press};
use crate::jose::ticket::{Bindings, TicketKey, TicketTerms};
use crate::state::contract::{Burned, Cursor, Entry, Expect, Key, Page, StateStore, Written};
use crate::state::memory::Memory;
use crate::state::revoked::Revocations;

pub(in crate::issuer::services) const NOW: Timestamp = Timestamp(1_800_000_000);

/// Bytes that never repeat.
#[derive(Default)]
pub(in crate::issuer::services) struct Counting(AtomicU32);

impl Random for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        let number = self.0.fetch_add(1, Ordering::SeqCst).to_be_bytes();
        buffer.iter_mut().zip(number.into_iter().cycle()).for_each(|(to, from)| *to = from);
    }
}

/// Remembers, unless it is told not to.
pub(in crate::issuer::services) struct Shaky {
    inner: Memory,
    pub(in crate::issuer::services) burns_fail: AtomicBool,
    pub(in crate::issuer::services) writes_fail: AtomicBool,
    pub(in crate::issuer::services) appends_fail: AtomicBool,
}

impl Shaky {
    pub(in crate::issuer::services) fn new() -> Self {
        let no = || AtomicBool::new(false);
        Self { inner: Memory::new(100, Timestamp(0)), burns_fail: no(), writes_fail: no(), appends_fail: no() }
    }
}

fn unless(fails: &AtomicBool) -> Result<(), Outage> {
    if fails.load(Ordering::SeqCst) { Err(Outage::State) } else { Ok(()) }
}

#[async_trait]
impl StateStore for Shaky {
    async fn burn(&self, burn: &Burn, now: Timestamp) -> Result<Burned, Outage> {
        unless(&self.burns_fail)?;
        self.inner.burn(burn, now).await
    }

    async fn read(&self, key: &Key, now: Timestamp) -> Result<Option<Entry>, Outage> {
        self.inner.read(key, now).await
    }

    async fn write(&self, key: &Key, expect: Expect, value: Bytes, until: Timestamp, now: Timestamp) -> Result<Written, Outage> {
        unless(&self.writes_fail)?;
        self.inner.write(key, expect, value, until, now).await
    }

    async fn remove(&self, key: &Key, now: Timestamp) -> Result<bool, Outage> {
        self.inner.remove(key, now).await
    }

    async fn changed(&self, key: &Key, version: u64, patience: Duration) {
        self.inner.changed(key, version, patience).await;
    }

    async fn append(&self, value: Bytes, until: Timestamp, now: Timestamp) -> Result<(), Outage> {
        unless(&self.appends_fail)?;
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

/// The terms of an authenticator `pass` with one key.
pub(in crate::issuer::services) fn terms() -> TicketTerms {
    TicketTerms {
        name: "pass".into(),
        keys: Box::new([key()]),
        issuer: "us".into(),
        audience: "app".into(),
        single_use: false,
        max_life: Seconds(3_600),
        leeway: Seconds(10),
        device: HeaderName::from_static("device-identifier"),
    }
}

fn key() -> TicketKey {
    TicketKey::new([1; 4], &Secret::new(vec![1; 32]))
}

/// A ticket for `subject` that [`terms`] take for ten minutes.
pub(in crate::issuer::services) fn ticket(subject: &str, single_use: bool, random: &dyn Random) -> Minted {
    let mint = Mint { key: key(), issuer: "us".into(), audience: "app".into(), max_life: Seconds(3_600) };
    let order = TicketOrder {
        subject: subject.into(),
        life: Some(Seconds(600)),
        scopes: Box::default(),
        single_use,
        bindings: Bindings::default(),
        claims: Value::empty(),
    };
    press(&mint, order, NOW, random).unwrap_or_else(|fault| panic!("{fault}"))
}

/// A list of revocations over `store`; it has not been read yet.
pub(in crate::issuer::services) fn revocations(store: &Arc<dyn StateStore>) -> Arc<Revocations> {
    let clock: Arc<dyn Clock> = Arc::new(AtomicI64::new(NOW.0));
    Arc::new(Revocations::new(Arc::clone(store), clock, Arc::new(Counting::default()), Arc::new(Silent)))
}

/// Calls `ask` with a POST of the JSON `body` by `identity` at `now`.
pub(in crate::issuer::services) async fn posted<T>(
    body: &serde_json::Value,
    identity: Option<&Arc<Identity>>,
    now: Timestamp,
    ask: impl AsyncFnOnce(&Call<'_>) -> T,
) -> T {
    let target = Target { path: "/".into(), query: None };
    let mut headers = HeaderMap::new();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let request = RequestView {
        method: "POST",
        raw_target: "/",
        target: &target,
        host: "",
        headers: &headers,
        client: std::net::Ipv4Addr::LOCALHOST.into(),
        secure: true,
        request_id: "r",
    };
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    ask(&Call { request: &request, identity, body, now }).await
}
