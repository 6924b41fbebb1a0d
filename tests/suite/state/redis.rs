//! The Redis store before a real server: what it promises, and what becomes of it when the server or the way to it is bad.

mod fate;
mod faults;
mod news;
mod once;
mod proof;
mod trust;
mod whole;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::{Duration, Instant};

use bytes::Bytes;
use countersign::ambient::SystemRandom;
use countersign::config::Document;
use countersign::domain::{Burn, Outage, Silent, Timestamp};
use countersign::settings::{Checking, Faults, Material, Names};
use countersign::state::contract::{Burned, Class, Expect, Key, StateStore, StoreTools, Written};
use countersign::state::redis::ENTRY;

/// The moment at which everything happens, unless a row says another. Long past for the machine, whose clock decides nothing.
const NOW: Timestamp = Timestamp(1_700_000_000);

/// How long a server may take to load its file, and a store to come back to it, on a machine that has other things to do. On one
/// at rest a store is back within two seconds.
const RECOVERY: Duration = Duration::from_secs(120);

/// Opens the store with `settings`, which are what stands in the braces of `redis: { … }`, and files at hand.
async fn open_with(settings: &str, files: &[(&str, &str)]) -> Result<Arc<dyn StateStore>, String> {
    // Whoever is first wins; the tests all want the same.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let document = Document::read("c.yaml", format!("redis: {{ {settings} }}").as_bytes()).unwrap();
    let (mut faults, mut material, names) = (Faults::default(), Material::default(), Names::default());
    for (name, text) in files {
        material.files.insert((*name).into(), Ok(text.as_bytes().into()));
    }
    let mut checking = Checking { faults: &mut faults, material: &material, names: &names, allow_inline_secrets: true };
    let plan = (ENTRY.plan)(document.root.get("redis").unwrap(), &mut checking);
    let plan = plan.unwrap_or_else(|| panic!("{:?}", faults.sorted()));
    let clock = Arc::new(AtomicI64::new(NOW.0));
    plan.open(&StoreTools { clock, random: Arc::new(SystemRandom), observer: Arc::new(Silent) }).await
}

/// Opens the store at `url`, and waits until it answers. Its time-out suits a busy machine.
async fn open(url: &str) -> Arc<dyn StateStore> {
    let store = open_with(&format!("url: '{url}', timeout: 5s, connect_timeout: 5s"), &[]).await.unwrap();
    answers(&*store).await;
    store
}

/// Waits until `what` comes true, as long as a store may take to come back.
async fn until<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < RECOVERY, "not within {RECOVERY:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until the store answers.
async fn answers(store: &dyn StateStore) {
    until("the store answers", || async { store.ping().await.is_ok() }).await;
}

/// Waits until the store says that it cannot answer.
async fn fails(store: &dyn StateStore) {
    until("the store fails", || async { store.ping().await.is_err() }).await;
}

/// The mark `number`, of what was made at [`NOW`] and ends an hour later.
fn mark(number: u64) -> Burn {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&number.to_be_bytes());
    Burn { key, made: NOW, until: Timestamp(NOW.0 + 3_600) }
}

/// The record `number`.
fn record(number: u8) -> Key {
    Key { class: Class::Family, digest: [number; 32] }
}

/// Spends the mark `number`, now.
async fn burn(store: &dyn StateStore, number: u64) -> Result<Burned, Outage> {
    store.burn(&mark(number), NOW).await
}

/// Writes the record `number` where there is none; its version.
async fn put(store: &dyn StateStore, number: u8, value: &'static str) -> u64 {
    let written = store.write(&record(number), Expect::Absent, Bytes::from_static(value.as_bytes()), Timestamp(NOW.0 + 60), NOW).await;
    match written {
        Ok(Written::Done { version }) => version,
        other => panic!("{value} was not written: {other:?}"),
    }
}
