//! The log's way out: a bounded queue and one thread that writes, so that nobody who logs ever waits for who reads.
//!
//! A line is written whole or counted as lost. Once the reader is back, the log itself says how many it lacks.
//!
//! Not here: a wait for room (what is worth waiting for is an audit record); what a line says.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use prometheus_client::metrics::counter::Counter;

use crate::telemetry::sink::push_out;

/// The way into the queue: one `write` is one line, and never waits.
pub(super) struct Inlet(Arc<Shared>);

/// The queue's other end, held by whoever ends the process.
///
/// Dropping it writes what there is, for [`Outlet::PATIENCE`] at most.
#[derive(Debug)]
pub struct Outlet(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// The writer waits here for lines.
    filled: Condvar,
    /// Whoever closes waits here for the writer's end.
    ended: Condvar,
    capacity: usize,
}

/// Never longer than the capacity; nothing is added once closed.
#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<String>,
    /// Lines that were not written.
    lost: u64,
    /// Where they are counted as well, once there is such a place.
    counted: Option<Counter>,
    closed: bool,
    writer_gone: bool,
}

impl Queue {
    fn lose(&mut self, lines: usize) {
        let lines = u64::try_from(lines).unwrap_or(u64::MAX);
        self.lost = self.lost.saturating_add(lines);
        if let Some(counter) = &self.counted {
            counter.inc_by(lines);
        }
    }
}

/// Lines that wait: enough for a start with thousands of warnings, a few hundred kilobytes at their usual length.
pub(super) const CAPACITY: usize = 4096;

/// Starts the writer over `sink`. `tell` is called on the writer's thread, with the number of lines lost since the start, when
/// lines are written again after some were lost.
///
/// # Errors
///
/// The operating system gave no thread.
pub(super) fn start(sink: impl Write + Send + 'static, capacity: usize, tell: fn(u64)) -> io::Result<(Inlet, Outlet)> {
    let shared = Arc::new(Shared { queue: Mutex::default(), filled: Condvar::new(), ended: Condvar::new(), capacity: capacity.max(1) });
    let writer = Arc::clone(&shared);
    thread::Builder::new().name("log".to_owned()).spawn(move || {
        let _end = End(&writer);
        writer.write_all(sink, tell);
    })?;
    Ok((Inlet(Arc::clone(&shared)), Outlet(shared)))
}

impl Write for Inlet {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut queue = self.0.queue.lock();
        if queue.closed || self.0.capacity <= queue.lines.len() {
            queue.lose(1);
        } else {
            queue.lines.push_back(String::from_utf8_lossy(line).into_owned());
            self.0.filled.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Outlet {
    /// How long the last lines may take to be written.
    pub const PATIENCE: Duration = Duration::from_secs(1);

    /// From now on `counter` holds what is lost, and what was lost so far.
    pub fn count_in(&self, counter: Counter) {
        let mut queue = self.0.queue.lock();
        counter.inc_by(queue.lost);
        queue.counted = Some(counter);
    }

    /// Takes no more lines and waits until all are written, at most `patience`. Returns whether they were.
    fn close(&self, patience: Duration) -> bool {
        let mut queue = self.0.queue.lock();
        queue.closed = true;
        self.0.filled.notify_one();
        while !queue.writer_gone {
            if self.0.ended.wait_for(&mut queue, patience).timed_out() {
                break;
            }
        }
        queue.writer_gone
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.close(Self::PATIENCE);
    }
}

/// Says that the writer has gone, however it went.
struct End<'s>(&'s Shared);

impl Drop for End<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.queue.lock();
        queue.closed = true;
        queue.writer_gone = true;
        self.0.ended.notify_all();
    }
}

impl Shared {
    /// The writer's whole life.
    fn write_all(&self, mut sink: impl Write, tell: fn(u64)) {
        let (mut lost, mut told) = (0, 0);
        let mut broken_line = false;
        while let Some(line) = self.take() {
            let text = if broken_line { format!("\n{line}") } else { line };
            let written = push_out(&mut sink, text.as_bytes());
            // What was cut off is closed by a line break before the next line.
            broken_line = match written {
                0 => broken_line,
                some => some < text.len(),
            };
            let mut queue = self.queue.lock();
            if written < text.len() {
                queue.lose(1);
            }
            // Told once none was lost for the length of a write: whoever reads too slowly is not given more to read.
            let since = std::mem::replace(&mut lost, queue.lost);
            let due = since == lost && told < lost && !queue.closed;
            drop(queue);
            if due {
                told = lost;
                tell(lost);
            }
        }
    }

    /// Waits for a line; `None` once closed and empty.
    fn take(&self) -> Option<String> {
        let mut queue = self.queue.lock();
        loop {
            if let Some(line) = queue.lines.pop_front() {
                return Some(line);
            }
            if queue.closed {
                return None;
            }
            self.filled.wait(&mut queue);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    use parking_lot::Mutex;
    use prometheus_client::metrics::counter::Counter;

    use super::start;

    /// A sink that says when it is asked, and does what it is told: take the line, or fail half-way.
    struct Asked {
        asked: Sender<()>,
        may: Receiver<bool>,
        taken: Arc<Mutex<String>>,
    }

    impl Write for Asked {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.asked.send(());
            if !self.may.recv().unwrap_or(true) {
                return Err(io::Error::other("the disk is full"));
            }
            self.taken.lock().push_str(&String::from_utf8_lossy(bytes));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn who_logs_never_waits_and_every_lost_line_is_counted() {
        let (asked, was_asked) = channel();
        let (go, may) = channel();
        let taken = Arc::new(Mutex::new(String::new()));
        let (mut inlet, outlet) = start(Asked { asked, may, taken: Arc::clone(&taken) }, 3, |_lost| {}).unwrap();
        let counter = Counter::default();

        inlet.write_all(b"first\n").unwrap();
        was_asked.recv().unwrap();
        // The sink stands still from here on.
        for n in 0..10 {
            inlet.write_all(format!("{n}\n").as_bytes()).unwrap();
        }
        outlet.count_in(counter.clone());
        assert_eq!(counter.get(), 7, "O13: three wait, what was lost before somebody counted is counted too");
        inlet.write_all(b"11\n").unwrap();
        assert_eq!(counter.get(), 8);

        go.send(true).unwrap();
        go.send(false).unwrap();
        drop(go);
        assert!(outlet.close(Duration::from_secs(20)));
        assert_eq!(*taken.lock(), "first\n1\n2\n", "in order, and what failed whole leaves no trace");
        assert_eq!(counter.get(), 9, "what the sink refused is lost as well");
    }

    #[test]
    fn a_process_ends_although_nobody_reads() {
        let (asked, was_asked) = channel();
        let (_go, may) = channel();
        let (mut inlet, outlet) = start(Asked { asked, may, taken: Arc::default() }, 3, |_lost| {}).unwrap();
        inlet.write_all(b"first\n").unwrap();
        was_asked.recv().unwrap();
        assert!(!outlet.close(Duration::from_millis(1)), "O13: it is told that not all was written, and does not wait on");
    }
}
