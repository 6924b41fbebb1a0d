//! Who waits for which news, and the connection that brings them.
//!
//! News come on one channel, as the name of what has changed. They are hints: one may be lost with the connection, so whoever
//! waits also looks for itself, now and then while the connection stands and often while it does not.
//!
//! Never here: what the news mean; the waiter reads the store.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use redis::{FromRedisValue, PushInfo, PushKind};
use tokio::sync::{Notify, watch};

use crate::domain::Random;
use crate::state::redis::backoff::Backoff;
use crate::state::redis::dial::{Dialer, trouble};
use crate::state::redis::link::Standing;
use crate::state::redis::server::Trouble;

/// Everyone who waits.
#[derive(Default)]
pub(super) struct News {
    /// By the name of what they wait for. A name is here exactly while somebody waits for it.
    waiting: Mutex<HashMap<String, Bench, ahash::RandomState>>,
    /// Whether news come in.
    flowing: AtomicBool,
}

/// Those who wait for one thing.
#[derive(Default)]
struct Bench {
    notify: Arc<Notify>,
    seats: usize,
}

/// A place among those who wait; given up when dropped.
pub(super) struct Seat {
    news: Arc<News>,
    topic: String,
    pub(super) notify: Arc<Notify>,
}

impl News {
    /// A place among those who wait for `topic`.
    pub(super) fn seat(self: &Arc<Self>, topic: String) -> Seat {
        let mut waiting = self.waiting.lock();
        let bench = waiting.entry(topic.clone()).or_default();
        bench.seats += 1;
        Seat { news: Arc::clone(self), topic, notify: Arc::clone(&bench.notify) }
    }

    /// Wakes those who wait for `topic`.
    pub(super) fn tell(&self, topic: &str) {
        if let Some(bench) = self.waiting.lock().get(topic) {
            bench.notify.notify_waiters();
        }
    }

    /// Wakes everyone: something may have been missed.
    fn tell_all(&self) {
        for bench in self.waiting.lock().values() {
            bench.notify.notify_waiters();
        }
    }

    /// How long to wait for news before looking for oneself.
    pub(super) fn pause(&self) -> Duration {
        if self.flowing.load(Ordering::Relaxed) { Duration::from_secs(1) } else { Duration::from_millis(100) }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut waiting = self.news.waiting.lock();
        if let Some(bench) = waiting.get_mut(&self.topic) {
            bench.seats = bench.seats.saturating_sub(1);
            if bench.seats == 0 {
                waiting.remove(&self.topic);
            }
        }
    }
}

/// Keeps the connection on which news come in, while the other one stands.
pub(super) struct Subscriber {
    pub(super) dialer: Dialer,
    pub(super) channel: String,
    pub(super) news: Arc<News>,
    pub(super) standing: watch::Receiver<Standing>,
    pub(super) random: Arc<dyn Random>,
}

impl Subscriber {
    pub(super) async fn keep(mut self) {
        let mut backoff = Backoff::default();
        let mut known = None;
        loop {
            let mut main = self.standing.clone();
            if main.wait_for(|standing| matches!(standing, Standing::Up(_))).await.is_err() {
                return;
            }
            let fallen = async { main.wait_for(|standing| !matches!(standing, Standing::Up(_))).await.map(drop) };
            let trouble = tokio::select! {
                trouble = self.listen(&mut backoff) => trouble,
                // Its own troubles are told where they belong.
                _fallen = fallen => continue,
            };
            self.news.flowing.store(false, Ordering::Relaxed);
            if known.as_ref() != Some(&trouble) {
                tracing::warn!(channel = self.channel, %trouble, "state store brings no news; waiters look for themselves");
            }
            let pause = if trouble.is_lasting() { LASTING } else { backoff.next(self.random.as_ref()) };
            known = Some(trouble);
            tokio::time::sleep(pause).await;
        }
    }

    /// Connects, and listens until the connection ends.
    async fn listen(&mut self, backoff: &mut Backoff) -> Trouble {
        let _silent = Flow(&self.news);
        let ended = Arc::new(Notify::new());
        let (news, sign) = (Arc::clone(&self.news), Arc::clone(&ended));
        let dialed = self.dialer.dial(move |info| match info.kind {
            PushKind::Message => {
                if let Some(topic) = told(info) {
                    news.tell(&topic);
                }
            }
            PushKind::Disconnection => sign.notify_one(),
            _ => {}
        });
        let mut connection = match dialed.await {
            Ok(connection) => connection,
            Err(trouble) => return trouble,
        };
        if let Err(error) = connection.subscribe(self.channel.as_str()).await {
            return trouble(&error, self.dialer.timeout);
        }
        backoff.reset();
        self.news.flowing.store(true, Ordering::Relaxed);
        self.news.tell_all();
        while tokio::time::timeout(PROOF, ended.notified()).await.is_err() {
            if let Err(error) = redis::cmd("PING").exec_async(&mut connection).await {
                return trouble(&error, self.dialer.timeout);
            }
        }
        Trouble::Unreachable("it was closed".to_owned())
    }
}

/// How long to wait where somebody must change the server first, such as its access rules.
const LASTING: Duration = Duration::from_secs(30);

/// How often the connection is asked whether it still stands.
const PROOF: Duration = Duration::from_secs(5);

/// News come in no longer when this is dropped, for whatever reason.
struct Flow<'n>(&'n News);

impl Drop for Flow<'_> {
    fn drop(&mut self) {
        self.0.flowing.store(false, Ordering::Relaxed);
    }
}

/// What a message on the channel says: `[channel, text]`.
fn told(info: PushInfo) -> Option<String> {
    let text = info.data.into_iter().nth(1)?;
    String::from_redis_value(text).ok()
}
