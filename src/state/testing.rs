//! What tests of whatever rests on a store share: one that fails when it is told to and counts what it is asked, and bytes that
//! never come twice.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use crate::domain::{Burn, Clock, Outage, Random, Silent, Timestamp};
use crate::state::contract::{Burned, Cursor, Entry, Expect, Key, Page, StateStore, Written};
use crate::state::revoked::Revocations;

/// Never the same bytes twice.
pub(crate) struct Counting(AtomicU64);

impl Counting {
    /// Its bytes are not those of any other.
    pub(crate) fn apart() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(AtomicU64::new(NEXT.fetch_add(1, Ordering::SeqCst) << 32))
    }
}

impl Random for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let number = self.0.fetch_add(1, Ordering::SeqCst) + 1;
            chunk.copy_from_slice(&number.to_be_bytes()[..chunk.len()]);
        }
    }
}

/// A list of the revoked over `store`, read, under `clock`.
pub(crate) fn revocations(store: &Arc<dyn StateStore>, clock: Arc<dyn Clock>) -> Arc<Revocations> {
    let revoked = Revocations::new(Arc::clone(store), clock, Arc::new(Counting::apart()), Arc::new(Silent));
    let mut reading = Box::pin(revoked.catch_up());
    // A store in memory answers at once.
    let read = reading.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
    assert_eq!(read, std::task::Poll::Ready(true), "the log was read");
    drop(reading);
    Arc::new(revoked)
}

/// A store over another one that fails when it is told to, and counts what it is asked.
pub(crate) struct Failing {
    inner: Arc<dyn StateStore>,
    fault: Mutex<Option<Fault>>,
    reads: AtomicUsize,
    writes: AtomicUsize,
}

/// What fails.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    Read,
    /// The write does not happen.
    Write,
    /// The write happens, and its answer is lost.
    LostWrite,
    Remove,
}

impl Failing {
    pub(crate) fn over(inner: Arc<dyn StateStore>) -> Arc<Self> {
        Arc::new(Self { inner, fault: Mutex::new(None), reads: AtomicUsize::new(0), writes: AtomicUsize::new(0) })
    }

    /// From now on `fault` happens, or nothing does.
    pub(crate) fn fail(&self, fault: Option<Fault>) {
        *self.fault.lock() = fault;
    }

    /// How often it was read and written so far.
    pub(crate) fn asked(&self) -> (usize, usize) {
        (self.reads.load(Ordering::SeqCst), self.writes.load(Ordering::SeqCst))
    }

    fn fails(&self, fault: Fault) -> bool {
        *self.fault.lock() == Some(fault)
    }
}

#[async_trait]
impl StateStore for Failing {
    async fn burn(&self, burn: &Burn, now: Timestamp) -> Result<Burned, Outage> {
        self.inner.burn(burn, now).await
    }

    async fn read(&self, key: &Key, now: Timestamp) -> Result<Option<Entry>, Outage> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        // Whoever asks meanwhile has the time to.
        tokio::task::yield_now().await;
        if self.fails(Fault::Read) { Err(Outage::State) } else { self.inner.read(key, now).await }
    }

    async fn write(&self, key: &Key, expect: Expect, value: Bytes, until: Timestamp, now: Timestamp) -> Result<Written, Outage> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        if self.fails(Fault::Write) {
            return Err(Outage::State);
        }
        let written = self.inner.write(key, expect, value, until, now).await;
        if self.fails(Fault::LostWrite) { Err(Outage::State) } else { written }
    }

    async fn remove(&self, key: &Key, now: Timestamp) -> Result<bool, Outage> {
        if self.fails(Fault::Remove) { Err(Outage::State) } else { self.inner.remove(key, now).await }
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
