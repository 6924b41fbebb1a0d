//! The store itself: each operation of the contract as one script, and how its answer is read.
//!
//! An answer that does not come, or that is not understood, is an outage. Nothing is asked twice, but for a server that says it
//! does not know the script: then nothing has run.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use redis::{FromRedisValue, ScriptInvocation};
use tokio::task::AbortHandle;

use crate::domain::{Burn, Outage, Timestamp};
use crate::state::contract::{Burned, Cursor, Entry, Expect, Key, Page, StateStore, StoreTools, Written};
use crate::state::redis::data::DataSet;
use crate::state::redis::link::{Keeper, Link, Standing};
use crate::state::redis::names::{LOG, topic};
use crate::state::redis::news::{News, Subscriber};
use crate::state::redis::plan::RedisPlan;
use crate::state::redis::stored;

/// State in Redis.
pub struct Redis {
    data: Arc<DataSet>,
    link: Link,
    news: Arc<News>,
    timeout: Duration,
    /// Ended when the store is dropped.
    background: [AbortHandle; 2],
}

impl Redis {
    /// Starts to keep a connection, and waits for the outcome of the first attempt.
    ///
    /// # Errors
    ///
    /// The server answers and cannot be used, and that will not pass. A server that does not answer yet is no error.
    pub(super) async fn open(plan: &RedisPlan, tools: &StoreTools) -> Result<Self, String> {
        let data = Arc::new(DataSet::new(plan.names.clone(), Arc::clone(&tools.random)));
        let keeper = Keeper {
            dialer: plan.dialer.clone(),
            strict: plan.strict,
            address: plan.dialer.client.get_connection_info().addr().to_string().into(),
            data: Arc::clone(&data),
            clock: Arc::clone(&tools.clock),
            random: Arc::clone(&tools.random),
            observer: Arc::clone(&tools.observer),
        };
        let address = keeper.address.clone();
        let (link, kept) = keeper.start();
        let news = Arc::new(News::default());
        let subscriber = Subscriber {
            dialer: plan.dialer.clone(),
            channel: plan.names.news(),
            news: Arc::clone(&news),
            standing: link.standing.clone(),
            random: Arc::clone(&tools.random),
        };
        let background = [tokio::spawn(kept).abort_handle(), tokio::spawn(subscriber.keep()).abort_handle()];
        let mut standing = link.standing.clone();
        let store = Self { data, link, news, timeout: plan.dialer.timeout, background };

        // Every attempt ends by itself; the task that makes them outlives this wait.
        let first = standing.wait_for(|standing| !matches!(standing, Standing::Trying)).await;
        match first.as_deref() {
            Ok(Standing::Down(trouble)) if trouble.is_lasting() => Err(format!("{address}: {trouble}")),
            Ok(_) => {
                drop(first);
                Ok(store)
            }
            Err(_ended) => Err(format!("{address}: the task that keeps the connection has ended")),
        }
    }

    /// Runs one operation.
    async fn run<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> Result<T, Outage> {
        let mut connection = self.link.connection()?;
        let asked = tokio::time::timeout(self.timeout, Box::pin(call.invoke_async(&mut connection))).await;
        self.answered(asked)
    }

    /// Asks for something that changes nothing.
    async fn peek<T: FromRedisValue>(&self, ask: &redis::Cmd) -> Result<T, Outage> {
        let mut connection = self.link.connection()?;
        let asked = tokio::time::timeout(self.timeout, ask.query_async(&mut connection)).await;
        self.answered(asked)
    }

    fn answered<T>(&self, asked: Result<Result<T, redis::RedisError>, tokio::time::error::Elapsed>) -> Result<T, Outage> {
        match asked {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                self.link.complain(Some(&error));
                Err(Outage::State)
            }
            Err(_elapsed) => {
                self.link.complain(None);
                Err(Outage::State)
            }
        }
    }

    /// Waits for news of `topic`, for `has_moved` to say so, or for the end of `patience`.
    async fn wait<F: Future<Output = Result<bool, Outage>>>(&self, topic: String, patience: Duration, has_moved: impl Fn() -> F) {
        let seat = self.news.seat(topic);
        let waiting = async {
            loop {
                // Armed before the look, so that what happens between look and wait is not missed.
                let mut armed = std::pin::pin!(seat.notify.notified());
                armed.as_mut().enable();
                // Where the store does not answer, nothing is known to have moved.
                if has_moved().await.unwrap_or(false) || tokio::time::timeout(self.news.pause(), armed).await.is_ok() {
                    return;
                }
            }
        };
        // Patience that ran out is an answer like any other.
        tokio::time::timeout(patience, waiting).await.unwrap_or_default();
    }

    /// The version of the record called `name`, past its end or not; 0 when there is none.
    async fn version(&self, name: &str) -> Result<u64, Outage> {
        // More than the digits of any version.
        const DIGITS: usize = 24;
        let start: Vec<u8> = self.peek(redis::cmd("GETRANGE").arg(name).arg(0).arg(DIGITS)).await?;
        if start.is_empty() { Ok(0) } else { stored::version(&start).ok_or(Outage::State) }
    }

    /// Whether the log holds something after `cursor`.
    async fn grown(&self, cursor: Cursor) -> Result<bool, Outage> {
        let life: Option<u64> = self.peek(redis::cmd("HGET").arg(self.data.names.origin()).arg("life")).await?;
        let newest: Vec<Vec<u8>> = self.peek(redis::cmd("ZREVRANGE").arg(self.data.names.log()).arg(0).arg(0)).await?;
        let Some(newest) = newest.first() else { return Ok(false) };
        let newest = stored::version(newest).ok_or(Outage::State)?;
        Ok(life != Some(cursor.life) || cursor.last < newest)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        for task in &self.background {
            task.abort();
        }
    }
}

#[async_trait]
impl StateStore for Redis {
    async fn burn(&self, burn: &Burn, now: Timestamp) -> Result<Burned, Outage> {
        let mut call = self.data.call(&self.data.scripts.burn, now);
        call.key(self.data.names.spent(&burn.key)).arg(burn.made.0).arg(burn.until.0);
        let answer: String = self.run(&call).await?;
        match answer.as_str() {
            "first" => Ok(Burned::First),
            "again" => Ok(Burned::Again),
            "forgotten" => Ok(Burned::Forgotten),
            _ => Err(Outage::State),
        }
    }

    async fn read(&self, key: &Key, now: Timestamp) -> Result<Option<Entry>, Outage> {
        let mut call = self.data.call(&self.data.scripts.read, now);
        call.key(self.data.names.record(&topic(key)));
        let record: Option<Bytes> = self.run(&call).await?;
        record.map(|record| stored::entry(record).ok_or(Outage::State)).transpose()
    }

    async fn write(&self, key: &Key, expect: Expect, value: Bytes, until: Timestamp, now: Timestamp) -> Result<Written, Outage> {
        let topic = topic(key);
        let expected = match expect {
            Expect::Absent => String::new(),
            Expect::Version(version) => version.to_string(),
        };
        let mut call = self.data.call(&self.data.scripts.write, now);
        call.key(self.data.names.record(&topic)).arg(expected).arg(until.0).arg(value.as_ref()).arg(self.data.names.news()).arg(&topic);
        let answer: Vec<Bytes> = self.run(&call).await?;
        let mut parts = answer.into_iter();
        match (parts.next().as_deref(), parts.next()) {
            (Some(b"done"), Some(version)) => {
                let version = stored::version(&version).ok_or(Outage::State)?;
                self.news.tell(&topic);
                Ok(Written::Done { version })
            }
            (Some(b"conflict"), None) => Ok(Written::Conflict(None)),
            (Some(b"conflict"), Some(record)) => Ok(Written::Conflict(Some(stored::entry(record).ok_or(Outage::State)?))),
            _ => Err(Outage::State),
        }
    }

    async fn remove(&self, key: &Key, now: Timestamp) -> Result<bool, Outage> {
        let topic = topic(key);
        let mut call = self.data.call(&self.data.scripts.remove, now);
        call.key(self.data.names.record(&topic)).arg(self.data.names.news()).arg(&topic);
        let removed: u8 = self.run(&call).await?;
        self.news.tell(&topic);
        Ok(removed == 1)
    }

    async fn changed(&self, key: &Key, version: u64, patience: Duration) {
        let topic = topic(key);
        let name = self.data.names.record(&topic);
        self.wait(topic, patience, || async { Ok(self.version(&name).await? != version) }).await;
    }

    async fn append(&self, value: Bytes, until: Timestamp, now: Timestamp) -> Result<(), Outage> {
        let mut call = self.data.call(&self.data.scripts.append, now);
        call.key(self.data.names.log()).key(self.data.names.log_ends());
        call.arg(until.0).arg(value.as_ref()).arg(self.data.names.news()).arg(LOG);
        let _number: u64 = self.run(&call).await?;
        self.news.tell(LOG);
        Ok(())
    }

    async fn since(&self, cursor: Cursor, now: Timestamp) -> Result<Page, Outage> {
        let mut entries = Vec::new();
        let mut reached = cursor;
        loop {
            let mut call = self.data.call(&self.data.scripts.since, now);
            call.key(self.data.names.log()).arg(reached.life).arg(reached.last).arg(PIECE);
            let answer: Vec<Bytes> = self.run(&call).await?;
            let mut parts = answer.into_iter();
            let life = parts.next().as_deref().and_then(stored::version).ok_or(Outage::State)?;
            if life != reached.life {
                // It began anew between two pieces: only what it holds now counts.
                entries.clear();
                reached = Cursor { life, last: 0 };
            }
            let count = parts.len();
            for part in parts {
                let Entry { value, version: number, until } = stored::entry(part).ok_or(Outage::State)?;
                reached.last = number;
                if self.data.see(now) < until {
                    entries.push((value, until));
                }
            }
            if count < PIECE {
                return Ok(Page { entries, cursor: reached });
            }
        }
    }

    async fn appended(&self, cursor: Cursor, patience: Duration) {
        self.wait(LOG.to_owned(), patience, || self.grown(cursor)).await;
    }

    async fn ping(&self) -> Result<(), Outage> {
        let answer: String = self.peek(&redis::cmd("PING")).await?;
        if answer == "PONG" { Ok(()) } else { Err(Outage::State) }
    }
}

/// Entries of the log that are asked for at once, so that no answer keeps others waiting for long.
const PIECE: usize = 1000;
