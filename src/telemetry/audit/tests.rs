//! That each audit record is written whole or counted, whatever the sink does.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::task::JoinSet;

use super::{Audit, Overflow};
use crate::gate::verdict::Record;
use crate::telemetry::report::{Ending, Visit};

const PATIENCE: Duration = Duration::from_secs(20);

fn record(audit: &Audit, id: &str) {
    let record = Record { request_id: id.into(), ..Record::default() };
    audit.record(&Visit {
        record: &record,
        ending: Ending::Served,
        arrived_millis: 0,
        status: 200,
        upstream_status: None,
        renewed: false,
        duration_micros: 1,
        upstream_micros: None,
        method: "GET",
        host: "h",
        path: "/",
    });
}

/// The ids of the records in `text`, in order; lines that are no record are left out.
fn ids(text: &[u8]) -> Vec<String> {
    text.split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok())
        .filter_map(|read| Some(read.get("request_id")?.as_str()?.to_owned()))
        .collect()
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A sink that says when it is asked, and takes nothing until it is told to.
struct Stalled {
    asked: Sender<()>,
    go: Receiver<()>,
    memory: Memory,
}

fn stalled() -> (Stalled, Receiver<()>, Sender<()>, Memory) {
    let (asked, was_asked) = channel();
    let (go, may_go) = channel();
    let memory = Memory::default();
    (Stalled { asked, go: may_go, memory: memory.clone() }, was_asked, go, memory)
}

impl Write for Stalled {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.asked.send(());
        // A sender that has gone means: from now on without asking.
        let _ = self.go.recv();
        self.memory.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A sink that does as the script says, call by call; afterwards it takes everything.
struct Scripted {
    script: std::vec::IntoIter<io::Result<usize>>,
    memory: Memory,
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let most = self.script.next().unwrap_or(Ok(usize::MAX))?;
        self.memory.write(bytes.get(..most.min(bytes.len())).unwrap())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_is_recorded_is_written_in_order_and_flushed_at_the_end() {
    let memory = Memory::default();
    let audit = Audit::start(memory.clone(), Overflow::Drop, 1000, Counter::default()).unwrap();
    let expected: Vec<String> = (0..500).map(|n| format!("r-{n}")).collect();
    for id in &expected {
        record(&audit, id);
    }
    assert!(audit.close(PATIENCE), "everything was written in time");
    assert_eq!(ids(&memory.0.lock()), expected, "each once, in order");
    assert_eq!(audit.dropped(), 0);
    record(&audit, "late");
    assert_eq!(audit.dropped(), 1, "what comes after the end is counted");
    assert!(audit.close(PATIENCE), "closing twice is no harm");
    assert_eq!(ids(&memory.0.lock()).len(), 500, "and is not written");
}

#[test]
fn a_full_queue_drops_and_counts_exactly_and_never_makes_a_request_wait() {
    for (capacity, extra) in [(1, 0), (1, 1), (4, 3), (64, 1000)] {
        let (sink, asked, go, memory) = stalled();
        let audit = Audit::start(sink, Overflow::Drop, capacity, Counter::default()).unwrap();
        record(&audit, "in hand");
        asked.recv().unwrap();
        // From here on the writer stands in `write` with one record in hand, and the queue is empty (O13).
        for n in 0..capacity + extra {
            record(&audit, &format!("r-{n}"));
        }
        assert_eq!(audit.dropped(), extra as u64, "capacity {capacity}: the first {extra} beyond it");
        drop(go);
        assert!(audit.close(PATIENCE));
        assert_eq!(audit.dropped(), extra as u64, "nothing more is lost on the way out");
        let expected: Vec<String> = std::iter::once("in hand".to_owned()).chain((0..capacity).map(|n| format!("r-{n}"))).collect();
        assert_eq!(ids(&memory.0.lock()), expected, "capacity {capacity}: the oldest are kept");
    }
}

/// A request: waits for its turn, then is recorded.
async fn visited(audit: &Audit, id: &str) {
    if let Some(turn) = audit.turn() {
        turn.await;
    }
    record(audit, id);
}

#[tokio::test(start_paused = true)]
async fn where_requests_wait_nothing_is_lost_and_no_thread_is_held() {
    let (sink, asked, go, memory) = stalled();
    let waiting = Gauge::default();
    let audit = Audit::start(sink, Overflow::Block, 2, Counter::default()).unwrap().showing(waiting.clone());
    visited(&audit, "in hand").await;
    asked.recv().unwrap();
    let audit = Arc::new(audit);
    let mut begun = JoinSet::new();
    for n in 0..20 {
        let audit = Arc::clone(&audit);
        begun.spawn(async move { visited(&audit, &format!("r-{n}")).await });
    }
    // All of them on this one thread, which a single held thread would be.
    while waiting.get() < 18 {
        tokio::task::yield_now().await;
    }
    let mut passed = 0;
    while begun.try_join_next().is_some() {
        passed += 1;
    }
    assert_eq!((passed, waiting.get()), (2, 18), "as many get past as there is room for");

    record(&audit, "had begun");
    assert_eq!(audit.dropped(), 0, "what had begun when the queue filled is recorded all the same");

    let given_up = tokio::time::timeout(Duration::from_secs(1), visited(&audit, "cut")).await;
    assert!(given_up.is_err() && waiting.get() == 18, "whoever gives up waiting is no longer counted");

    drop(go);
    while let Some(request) = begun.join_next().await {
        request.unwrap();
    }
    assert!(audit.close(PATIENCE));
    assert_eq!((ids(&memory.0.lock()).len(), audit.dropped(), waiting.get()), (22, 0, 0), "all are written, none dropped");
}

#[tokio::test]
async fn those_who_wait_for_room_are_let_go_at_the_end() {
    let (sink, asked, go, _memory) = stalled();
    let audit = Arc::new(Audit::start(sink, Overflow::Block, 1, Counter::default()).unwrap());
    visited(&audit, "in hand").await;
    asked.recv().unwrap();
    visited(&audit, "queued").await;
    let turn = audit.turn().expect("there is no room");
    assert!(!audit.close(Duration::ZERO), "the sink stands still");
    turn.await;
    record(&audit, "waiting");
    assert!(audit.turn().is_none(), "nobody waits after the end");
    assert_eq!(audit.dropped(), 3, "in hand, queued and waiting are all counted");
    drop(go);
    assert!(audit.close(PATIENCE), "the writer ends once the sink moves");
    assert_eq!(audit.dropped(), 3, "none is counted twice");
}

#[test]
fn where_records_are_dropped_nobody_waits() {
    let (sink, asked, go, _memory) = stalled();
    let audit = Audit::start(sink, Overflow::Drop, 1, Counter::default()).unwrap();
    record(&audit, "in hand");
    asked.recv().unwrap();
    for id in ["queued", "dropped"] {
        assert!(audit.turn().is_none(), "{id}");
        record(&audit, id);
    }
    assert_eq!(audit.dropped(), 1);
    drop(go);
}

#[test]
fn a_sink_that_fails_half_way_loses_only_what_it_did_not_take() {
    let one = {
        let memory = Memory::default();
        let audit = Audit::start(memory.clone(), Overflow::Drop, 8, Counter::default()).unwrap();
        record(&audit, "r-0");
        assert!(audit.close(PATIENCE));
        memory.0.lock().len()
    };
    let full = || Err(io::Error::from(io::ErrorKind::StorageFull));
    // What the sink does, which records are whole, how many are lost, what the row shows.
    type Row = (Vec<io::Result<usize>>, &'static [&'static str], u64, &'static str);
    let rows: [Row; 8] = [
        (vec![full()], &["r-1"], 1, "nothing taken: the record is lost"),
        (vec![Ok(10), full()], &["r-1"], 1, "a piece taken: the record is lost, the next stands on a line of its own"),
        (vec![Ok(one - 1), full()], &["r-0", "r-1"], 0, "all but the line break taken: the record is whole"),
        (vec![Ok(one), full()], &["r-0"], 1, "the first whole, the second refused"),
        (vec![Ok(10), Ok(20), Ok(5)], &["r-0", "r-1"], 0, "piece by piece is not a failure"),
        (vec![Err(io::ErrorKind::Interrupted.into()), Ok(3)], &["r-0", "r-1"], 0, "a signal is not a failure"),
        (vec![Err(io::ErrorKind::WouldBlock.into()), Ok(3)], &["r-0", "r-1"], 0, "nor is a full pipe"),
        (vec![Ok(10), full(), full(), full()], &[], 2, "a disk that stays full loses all, and the count says so"),
    ];
    for (script, expected, lost, shows) in rows {
        let memory = Memory::default();
        let sink = Scripted { script: script.into_iter(), memory: memory.clone() };
        // The script speaks of two separate writes, so the writer has to be done with the first record before the second.
        let dropped = Counter::default();
        let (asked, was_asked) = channel();
        let audit = Audit::start(Announced { sink, asked }, Overflow::Drop, 8, dropped.clone()).unwrap();
        record(&audit, "r-0");
        was_asked.recv().unwrap();
        record(&audit, "r-1");
        assert!(audit.close(PATIENCE), "{shows}");
        let text = memory.0.lock().clone();
        assert_eq!((ids(&text), dropped.get()), (expected.iter().map(ToString::to_string).collect(), lost), "{shows}");
    }
}

/// Announces the first write, so that a test knows that a batch has been taken.
struct Announced {
    sink: Scripted,
    asked: Sender<()>,
}

impl Write for Announced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.asked.send(());
        self.sink.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_sink_that_panics_is_the_end_of_the_writer_and_everything_is_counted() {
    struct Broken;
    impl Write for Broken {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            panic!("this sink is meant to fail");
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let audit = Audit::start(Broken, Overflow::Block, 2, Counter::default()).unwrap();
    for n in 0..10 {
        visited(&audit, &format!("r-{n}")).await;
    }
    assert!(audit.close(PATIENCE), "the writer has gone, so there is nothing to wait for");
    assert_eq!(audit.dropped(), 10, "nobody waits for a writer that has gone, and every record is counted");
}
