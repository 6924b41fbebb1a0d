//! What the proxy and the connection beneath it tell one another.
//!
//! The proxy sees requests, the guard sees bytes. Through a [`Wire`] the proxy learns who is at the other end, and can
//! have the connection (over HTTP/2: the stream) opened for an upgraded protocol, ended when the identity ends or is no longer
//! good, or not used again. One wire per connection over HTTP/1, one per stream over HTTP/2.
//!
//! Never here: a verdict. An end that was set, and an identity it is held for, are those of one request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::task::Waker;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::domain::{Clock, Identity, Timestamp};
use crate::gate::contract::Judge;

/// Resolves when the judge may have changed its mind; never where it does not.
async fn revised(revisions: Option<&mut watch::Receiver<u64>>) {
    if let Some(revisions) = revisions
        && revisions.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// How often a deadline is compared with the clock, which may be set while we wait.
const RECHECK: Duration = Duration::from_secs(1);

/// What is known of a connection from its start.
#[derive(Debug)]
pub struct Connection {
    /// The address at the other end.
    pub peer: SocketAddr,
    /// Whether it is TLS.
    pub tls: bool,
    /// The server name of the TLS handshake, lower case.
    pub server_name: Option<Box<str>>,
    /// Whether HTTP/2 is spoken.
    pub http2: bool,
}

/// On whose behalf a connection is open, and who may say that it no longer is.
#[derive(Clone)]
struct Holder {
    identity: Arc<Identity>,
    judge: Arc<dyn Judge>,
}

impl std::fmt::Debug for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Holder({})", self.identity.authenticator)
    }
}

/// What the proxy and the connection tell one another.
#[derive(Debug)]
pub struct Wire {
    /// What is known from the start.
    pub connection: Arc<Connection>,
    /// [`i64::MAX`] for never.
    cut_at: AtomicI64,
    /// On whose behalf it is open, where that may come to an end before its time. Held for the length of a clone only.
    holder: Mutex<Option<Holder>>,
    /// Whether that happened.
    withdrawn: AtomicBool,
    /// Told when `cut_at` or `holder` was set.
    cut_changed: Notify,
    opened: AtomicBool,
    last: AtomicBool,
    /// The request under way has reached our side of Pingora, and will be reported there.
    seen: AtomicBool,
    /// Whoever waits to read while what follows the message is withheld. Held for the length of a swap only.
    reader: Mutex<Option<Waker>>,
    /// The rule of framing that the body broke. Set once, read after the fact.
    broken: Mutex<Option<&'static str>>,
}

impl Wire {
    /// A wire over this connection.
    #[must_use]
    pub fn new(connection: Arc<Connection>) -> Arc<Self> {
        Arc::new(Self {
            connection,
            cut_at: AtomicI64::new(i64::MAX),
            holder: Mutex::new(None),
            withdrawn: AtomicBool::new(false),
            cut_changed: Notify::new(),
            opened: AtomicBool::new(false),
            last: AtomicBool::new(false),
            seen: AtomicBool::new(false),
            reader: Mutex::new(None),
            broken: Mutex::new(None),
        })
    }

    /// From now on bytes pass in both directions, unread: the protocol was switched.
    pub fn open(&self) {
        self.opened.store(true, Ordering::Release);
        if let Some(waker) = self.reader.lock().take() {
            waker.wake();
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.opened.load(Ordering::Acquire)
    }

    /// The request under way is the last that this connection may carry.
    pub(super) fn make_last(&self) {
        self.last.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_last(&self) -> bool {
        self.last.load(Ordering::Relaxed)
    }

    pub(super) fn note_seen(&self) {
        self.seen.store(true, Ordering::Relaxed);
    }

    /// Whether the request was seen since this was last asked.
    pub(super) fn take_seen(&self) -> bool {
        self.seen.swap(false, Ordering::Relaxed)
    }

    /// Remembers who waits to read.
    pub(super) fn park(&self, waker: &Waker) {
        let mut reader = self.reader.lock();
        match reader.as_mut() {
            Some(parked) => parked.clone_from(waker),
            None => *reader = Some(waker.clone()),
        }
    }

    /// Ends it at `moment`, or earlier where an earlier end was set before.
    pub fn cut_at(&self, moment: Timestamp) {
        self.cut_at.fetch_min(moment.0, Ordering::AcqRel);
        self.cut_changed.notify_one();
    }

    /// Ends it as soon as `judge` no longer finds `identity` good, on whose behalf it is open.
    pub fn hold(&self, identity: Arc<Identity>, judge: Arc<dyn Judge>) {
        *self.holder.lock() = Some(Holder { identity, judge });
        self.cut_changed.notify_one();
    }

    /// Forgets the end that was set and for whom: the request they were set for is over, and the next on this connection may be
    /// somebody else's.
    pub(super) fn forget_end(&self) {
        self.cut_at.store(i64::MAX, Ordering::Release);
        *self.holder.lock() = None;
        self.withdrawn.store(false, Ordering::Release);
    }

    /// Whether it was ended because the identity was no longer good.
    pub(super) fn was_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::Acquire)
    }

    /// Resolves when the end has come, or the identity is no longer good; never where neither was set.
    pub async fn ended(&self, clock: &dyn Clock) {
        loop {
            let holder = self.holder.lock().clone();
            // Listened to before the judge is asked: what changes between question and wait is not missed.
            let mut revisions = holder.as_ref().and_then(|holder| holder.judge.revisions());
            if holder.is_some_and(|holder| !holder.judge.still_good(&holder.identity)) {
                self.withdrawn.store(true, Ordering::Release);
                return;
            }
            let end = Timestamp(self.cut_at.load(Ordering::Acquire));
            // Nearly always without an end, and then without a look at the clock.
            let left = if end == Timestamp::END { Duration::MAX } else { clock.now().until(end).duration() };
            if left.is_zero() {
                return;
            }
            // A shorter end may be set meanwhile; the next round reads it.
            tokio::select! {
                () = tokio::time::sleep(left.min(RECHECK)), if end != Timestamp::END => {}
                () = self.cut_changed.notified() => {}
                () = revised(revisions.as_mut()) => {}
            }
        }
    }

    /// Whether its end has come.
    #[must_use]
    pub fn is_over(&self, clock: &dyn Clock) -> bool {
        Timestamp(self.cut_at.load(Ordering::Acquire)) <= clock.now()
    }

    pub(super) fn note_broken(&self, why: &'static str) {
        self.broken.lock().get_or_insert(why);
    }

    /// The rule of framing that the body of the current message broke.
    #[must_use]
    pub fn broken(&self) -> Option<&'static str> {
        *self.broken.lock()
    }
}
