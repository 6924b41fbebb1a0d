//! Keeps the list of one node and the log that all nodes share the same.
//!
//! What others append is taken in; what the log lacks of ours is appended. The log is read to its end on start, whenever it tells
//! of news, twice a second otherwise, and from its beginning every minute or when it has begun another life: then whatever
//! it no longer holds is written anew, by whoever still knows. While the store does not answer, the last known list stays in
//! force.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Revocations;
use crate::domain::{Event, Outage, Seconds, Timestamp};
use crate::state::contract::Cursor;
use crate::state::revoked::known::Change;
use crate::state::revoked::record::Record;

/// How long news is waited for before the log is read all the same.
const PATIENCE: Duration = Duration::from_millis(500);
/// After a failure, at first; twice as long after each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// At most. A random part of up to half is added, so that nodes do not come back all at once.
const LONGEST_PAUSE: Duration = Duration::from_millis(800);
/// How often the log is read from its beginning: a store that lost its last moment without knowing it is found out.
const WHOLE: Seconds = Seconds(60);
/// Pieces of the log read at a time, and entries appended, before anything else is done.
const MOST_PAGES: usize = 10_000;
const MOST_OWED: usize = 256;
/// Nodes that find the same log lost do not all write at once: some wait for this many rounds less than others.
const MOST_ROUNDS: u8 = 4;
/// Rounds without another attempt after a store that can be read (it is full, say) has not taken an entry.
const AFTER_REFUSAL: u8 = 4;

/// The log as far as it was read.
struct Reading {
    entries: Vec<(Bytes, Timestamp)>,
    cursor: Cursor,
    /// Whether these are all entries there are.
    whole: bool,
}

impl Revocations {
    /// Reads the log to its end; whether the store answered.
    pub async fn catch_up(&self) -> bool {
        let now = self.clock.now();
        let from = {
            let known = self.known.lock();
            let due = known.whole.is_none_or(|last| !now.is_within(WHOLE, last));
            if due { Cursor::default() } else { known.cursor }
        };
        let read = self.read(from, now).await;
        self.observer.note(Event::State { operation: "log_read", ok: read.is_ok() });
        match read {
            Ok(reading) => {
                self.absorb(reading, now);
                true
            }
            Err(_outage) => false,
        }
    }

    /// Follows the log for as long as it is polled.
    pub async fn follow(self: Arc<Self>) {
        let mut pause = FIRST_PAUSE;
        let mut rounds = 0;
        loop {
            let before = self.whole_read();
            if !self.catch_up().await {
                tokio::time::sleep(pause + pause.mul_f64(0.5 * f64::from(self.draw()) / 255.0)).await;
                pause = LONGEST_PAUSE.min(pause * 2);
                continue;
            }
            pause = FIRST_PAUSE;
            if self.whole_read() != before {
                rounds = self.draw() % MOST_ROUNDS;
            }
            if 0 < rounds {
                rounds -= 1;
            } else if !self.pay().await {
                rounds = AFTER_REFUSAL + self.draw() % MOST_ROUNDS;
            }
            let cursor = self.known.lock().cursor;
            self.store.appended(cursor, PATIENCE).await;
        }
    }

    async fn read(&self, from: Cursor, now: Timestamp) -> Result<Reading, Outage> {
        let mut reading = Reading { entries: Vec::new(), cursor: from, whole: from == Cursor::default() };
        for _ in 0..MOST_PAGES {
            let page = self.store.since(reading.cursor, now).await?;
            reading.whole |= page.cursor.life != reading.cursor.life;
            let ended = page.entries.is_empty() || page.cursor == reading.cursor;
            reading.entries.extend(page.entries);
            reading.cursor = page.cursor;
            if ended {
                break;
            }
        }
        Ok(reading)
    }

    /// Takes in what was read as of `now`.
    fn absorb(&self, reading: Reading, now: Timestamp) {
        let mut known = self.known.lock();
        let first = known.read.is_none();
        let mut changed = self.sweep(&mut known, now);
        if reading.whole {
            // What stands in it is marked again below; the rest is owed.
            known.owe_all();
            known.whole = Some(now);
        }
        let mut more = false;
        for (bytes, until) in reading.entries {
            if until <= now {
                continue;
            }
            let Some(record) = Record::decode(&bytes) else {
                tracing::error!(bytes = bytes.len(), "entry of the log of revocations not understood, and not in force on this node");
                self.observer.note(Event::RevocationUnreadable);
                continue;
            };
            match known.take_in(record) {
                Change::Same => continue,
                Change::Less(withdrawn) => self.take_out(&withdrawn),
                Change::More(added) => {
                    more = true;
                    self.put_in(&added, now);
                }
            }
            changed = true;
        }
        known.cursor = reading.cursor;
        known.read = Some(now);
        if reading.whole {
            // Entries of the file end, too, and nobody looks for that in between.
            self.rebuild(&known);
            changed = true;
        }
        if first || changed {
            self.publish(&known);
        } else {
            self.observer.note(Event::Revocations { in_force: self.set.load().len(), read: known.read });
        }
        drop(known);
        if more {
            self.revise();
        }
    }

    /// Appends what the log lacks of ours; false when the store does not take it.
    pub(super) async fn pay(&self) -> bool {
        let now = self.clock.now();
        let owed = self.known.lock().owed(MOST_OWED, now);
        for record in owed {
            if self.append(record.encode(), record.until(), now).await.is_err() {
                return false;
            }
            self.known.lock().mark_kept(&record);
        }
        true
    }

    fn whole_read(&self) -> Option<(Timestamp, u64)> {
        let known = self.known.lock();
        known.whole.map(|when| (when, known.cursor.life))
    }

    fn draw(&self) -> u8 {
        let mut byte = [0];
        self.random.fill(&mut byte);
        let [byte] = byte;
        byte
    }
}
