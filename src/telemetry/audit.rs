//! The audit record's way out: a bounded queue and one thread that writes.
//!
//! The request path takes one lock for the length of a push and wakes the writer only when it sleeps. When the queue is
//! full the record is dropped and counted, or, where the operator chose so, requests wait before they begin. Every record is
//! either written whole or counted as dropped, also when the sink fails half-way.
//!
//! Not here: what a record says ([`line`]); a second thread; a retry of what the sink refused; a wait that holds a thread.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;

use crate::telemetry::audit::line::Line;
use crate::telemetry::report::Visit;
use crate::telemetry::sink::push_out;

mod line;

/// What happens to a record when the writer is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// It is dropped and counted; the request goes on.
    #[default]
    Drop,
    /// No request begins before there is room; see [`Audit::turn`].
    Block,
}

/// Takes records and sees to it that they are written.
///
/// Dropping it without [`Audit::close`] lets the writer finish what there is, but does not wait for it.
#[derive(Debug)]
pub struct Audit {
    shared: Arc<Shared>,
    overflow: Overflow,
    /// Requests that wait now for room.
    waiting: Gauge,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// The writer waits here for records.
    filled: Condvar,
    /// Requests that wait for room wait here; told whenever there may be some, and at the end.
    emptied: Notify,
    /// Whoever closes waits here for the writer's end.
    ended: Condvar,
    capacity: usize,
    dropped: Counter,
}

/// Where records are dropped, never longer than the capacity; where requests wait, longer by at most those that had begun
/// when it filled. Nothing is added once closed.
#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Line>,
    /// Taken by the writer and not yet accounted for.
    in_hand: u64,
    writer_sleeps: bool,
    closed: bool,
    /// Closed for so long that what is still in hand has been counted as dropped.
    abandoned: bool,
    writer_gone: bool,
}

impl Audit {
    /// Room for about 10 MB of records at their usual size; at their largest, some 24 MB.
    pub const DEFAULT_CAPACITY: usize = 8192;

    /// How long the writer lets records gather before it writes them together.
    const LINGER: Duration = Duration::from_millis(5);

    /// Starts the writer. `dropped` counts the records that were not written.
    ///
    /// # Errors
    ///
    /// The operating system gave no thread.
    pub fn start(sink: impl Write + Send + 'static, overflow: Overflow, capacity: usize, dropped: Counter) -> io::Result<Self> {
        let capacity = capacity.max(1);
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::default()),
            filled: Condvar::new(),
            emptied: Notify::new(),
            ended: Condvar::new(),
            capacity,
            dropped,
        });
        let writer = Arc::clone(&shared);
        thread::Builder::new().name("audit".to_owned()).spawn(move || {
            let _end = End(&writer);
            writer.write_all(sink);
        })?;
        Ok(Self { shared, overflow, waiting: Gauge::default() })
    }

    /// The same, where `waiting` shows how many requests wait for room.
    #[must_use]
    pub fn showing(mut self, waiting: Gauge) -> Self {
        self.waiting = waiting;
        self
    }

    /// What a request waits for before it begins; `None` when it may begin. Whoever begins is recorded, however it ends, so
    /// nothing is done that could not be written down. Nobody waits once this is closed or the writer has gone.
    ///
    /// The wait holds no thread: as long as the sink stalls, everything but requests goes on.
    #[must_use]
    pub fn turn(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send + '_>>> {
        match self.overflow {
            Overflow::Drop => None,
            Overflow::Block if self.shared.has_room() => None,
            Overflow::Block => Some(Box::pin(self.room())),
        }
    }

    async fn room(&self) {
        let _waiting = Waiting::counted(&self.waiting);
        loop {
            // Made before the look, so that room that comes in between is not missed.
            let emptied = self.shared.emptied.notified();
            if self.shared.has_room() {
                return;
            }
            emptied.await;
        }
    }

    /// Takes the record of `visit`. Quick, also while the sink stalls.
    pub fn record(&self, visit: &Visit<'_>) {
        let line = Line::of(visit);
        let mut queue = self.shared.queue.lock();
        let full = self.overflow == Overflow::Drop && self.shared.capacity <= queue.lines.len();
        if queue.closed || full {
            drop(queue);
            self.shared.dropped.inc();
            return;
        }
        queue.lines.push_back(line);
        // Half full while the writer gathers is reason to write at once.
        let urgent = queue.lines.len() == self.shared.capacity.div_ceil(2);
        let wake = queue.writer_sleeps || urgent;
        queue.writer_sleeps = false;
        drop(queue);
        if wake {
            self.shared.filled.notify_one();
        }
    }

    /// How many records were not written so far.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.get()
    }

    /// Takes no more records and waits until all are written, at most `patience`; what is not written by then is counted
    /// as dropped. Returns whether everything was written in time.
    pub fn close(&self, patience: Duration) -> bool {
        let mut queue = self.shared.queue.lock();
        queue.closed = true;
        self.shared.filled.notify_one();
        self.shared.emptied.notify_waiters();
        while !queue.writer_gone {
            if self.shared.ended.wait_for(&mut queue, patience).timed_out() {
                break;
            }
        }
        if queue.writer_gone {
            return true;
        }
        let waiting = u64::try_from(queue.lines.len()).unwrap_or(u64::MAX);
        let in_hand = if queue.abandoned { 0 } else { queue.in_hand };
        queue.abandoned = true;
        queue.lines.clear();
        self.shared.dropped.inc_by(waiting.saturating_add(in_hand));
        false
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.shared.queue.lock().closed = true;
        self.shared.filled.notify_one();
    }
}

/// Says that the writer has gone, however it went.
struct End<'s>(&'s Shared);

impl Drop for End<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.queue.lock();
        queue.closed = true;
        queue.writer_gone = true;
        let waiting = u64::try_from(queue.lines.len()).unwrap_or(u64::MAX);
        let in_hand = if queue.abandoned { 0 } else { queue.in_hand };
        queue.lines.clear();
        queue.in_hand = 0;
        self.0.dropped.inc_by(waiting.saturating_add(in_hand));
        self.0.emptied.notify_waiters();
        self.0.ended.notify_all();
    }
}

/// One request that waits, counted for as long as it does.
struct Waiting<'w>(&'w Gauge);

impl<'w> Waiting<'w> {
    fn counted(waiting: &'w Gauge) -> Self {
        waiting.inc();
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Shared {
    /// Whether a request may begin; at the end everybody may, since nobody would come to make room.
    fn has_room(&self) -> bool {
        let queue = self.queue.lock();
        queue.closed || queue.lines.len() < self.capacity
    }

    /// The writer's whole life.
    fn write_all(&self, mut sink: impl Write) {
        let mut taken = VecDeque::with_capacity(self.capacity.min(1024));
        let mut text = String::new();
        let mut broken_line = false;
        let (mut lost, mut told) = (0, 0);
        while self.take(&mut taken) {
            text.clear();
            if broken_line {
                text.push('\n');
            }
            let lead = text.len();
            for line in &taken {
                line.write(&mut text);
            }
            let count = u64::try_from(taken.len()).unwrap_or(u64::MAX);
            taken.clear();

            let accepted = push_out(&mut sink, text.as_bytes());
            let records = text.as_bytes().get(lead..accepted).unwrap_or_default();
            // A record that lacks only its line break is whole: the break comes with the next.
            let whole = lead < accepted && text.as_bytes().get(accepted) == Some(&b'\n');
            let written = memchr::memchr_iter(b'\n', records).count() + usize::from(whole);
            // What was cut off is closed by a line break before the next record, so that only it is lost.
            broken_line = match accepted {
                0 => broken_line,
                some => text.as_bytes().get(some - 1) != Some(&b'\n'),
            };
            self.account(count.saturating_sub(u64::try_from(written).unwrap_or(u64::MAX)));
            // Told once none was lost for the length of a write: before that it would only be told again.
            let since = std::mem::replace(&mut lost, self.dropped.get());
            if since == lost && told < lost {
                told = lost;
                tracing::error!(records = lost, "audit records were lost since the start; their reader is back");
            }
            shrink(&mut text);
        }
    }

    /// Waits for records and takes all there are; `false` once closed and empty.
    fn take(&self, into: &mut VecDeque<Line>) -> bool {
        let mut queue = self.queue.lock();
        while queue.lines.is_empty() {
            if queue.closed {
                return false;
            }
            queue.writer_sleeps = true;
            self.filled.wait(&mut queue);
        }
        queue.writer_sleeps = false;
        if !queue.closed && queue.lines.len() < self.capacity.div_ceil(2) {
            self.filled.wait_for(&mut queue, Audit::LINGER);
        }
        std::mem::swap(&mut queue.lines, into);
        queue.in_hand = u64::try_from(into.len()).unwrap_or(u64::MAX);
        drop(queue);
        self.emptied.notify_waiters();
        !into.is_empty()
    }

    /// Notes that the records in hand are dealt with, `lost` of them unwritten.
    fn account(&self, lost: u64) {
        let mut queue = self.queue.lock();
        queue.in_hand = 0;
        if !queue.abandoned {
            self.dropped.inc_by(lost);
        }
    }
}

/// Gives memory back after a burst.
fn shrink(text: &mut String) {
    const KEEP: usize = 256 * 1024;
    if KEEP < text.capacity() {
        text.clear();
        text.shrink_to(KEEP);
    }
}

#[cfg(test)]
mod tests;
