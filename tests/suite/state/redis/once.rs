//! Once is once: on one node, on two, over other clocks; and how long things are kept. Attacks: F2, F3, F7 of `docs/security.md`.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use countersign::domain::{Burn, Timestamp};
use countersign::state::contract::{Burned, Cursor, Expect, Written};
use tokio::task::JoinSet;

use crate::state::redis::{NOW, burn, mark, open, put, record};
use crate::support::redis::RedisServer;

/// How many try at once.
const RIVALS: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn of_many_on_two_nodes_exactly_one_spends_and_exactly_one_writes() {
    let server = RedisServer::start();
    let stores = [open(&server.url()).await, open(&server.url()).await];

    for round in 0..5 {
        let mut rivals = JoinSet::new();
        for number in 0..RIVALS {
            let store = Arc::clone(&stores[number % 2]);
            rivals.spawn(async move { burn(&*store, round).await.unwrap() });
        }
        let verdicts = rivals.join_all().await;
        let first = verdicts.iter().filter(|verdict| **verdict == Burned::First).count();
        let again = verdicts.iter().filter(|verdict| **verdict == Burned::Again).count();
        assert_eq!((first, again), (1, RIVALS - 1), "round {round}");
    }

    let mut expected = Expect::Absent;
    let mut versions = BTreeSet::new();
    for round in 0..5 {
        let mut rivals = JoinSet::new();
        for number in 0..RIVALS {
            let store = Arc::clone(&stores[number % 2]);
            let value = Bytes::from(format!("{round} {number}"));
            rivals.spawn(async move { store.write(&record(1), expected, value, Timestamp(NOW.0 + 60), NOW).await.unwrap() });
        }
        let mut done = Vec::new();
        for written in rivals.join_all().await {
            match written {
                Written::Done { version } => done.push(version),
                Written::Conflict(standing) => assert!(standing.is_some(), "who loses sees what stands"),
            }
        }
        let [version] = done[..] else { panic!("round {round}: {} have written", done.len()) };
        assert!(versions.last().is_none_or(|last| *last < version), "versions grow");
        versions.insert(version);
        expected = Expect::Version(version);
        assert_eq!(stores[1].read(&record(1), NOW).await.unwrap().unwrap().version, version, "the other node sees it");
    }
}

#[tokio::test]
async fn a_mark_stands_until_its_time_whatever_the_clocks_say() {
    let server = RedisServer::start();
    let store = open(&server.url()).await;
    let at = |number: u8, made: i64, until: i64| Burn { key: [number; 32], made: Timestamp(NOW.0 + made), until: Timestamp(NOW.0 + until) };
    let cases = [
        // mark, now, expected, what the row shows
        (at(9, -1, 100), 10, Burned::Forgotten, "older than the memory"),
        (at(1, 0, 100), 10, Burned::First, "made in the second in which it begins"),
        (at(1, 0, 100), 10, Burned::Again, "spent"),
        (at(1, 0, 100), 100, Burned::Again, "the last second of the mark"),
        (at(2, 0, 300), 100, Burned::First, "another key"),
        (at(3, 0, 99), 100, Burned::Again, "what has ended cannot be spent any more"),
        (at(4, 0, 100), 100, Burned::First, "the last second in which it can"),
        (at(1, 0, 100), 50, Burned::Again, "clock set back"),
        (at(5, 0, 99), 50, Burned::Again, "clock set back: what has ended stays so"),
        (at(1, -1, 100), 50, Burned::Again, "spent comes before forgotten"),
        (at(6, i64::MAX - NOW.0, i64::MAX - NOW.0), 100, Burned::First, "an end at the end of time"),
        (at(6, i64::MAX - NOW.0, i64::MAX - NOW.0), 100, Burned::Again, "and spent all the same"),
        (Burn { key: [7; 32], made: Timestamp(i64::MIN), until: Timestamp::END }, 100, Burned::Forgotten, "made at the start of time"),
    ];
    for (mark, now, expected, shows) in cases {
        assert_eq!(store.burn(&mark, Timestamp(NOW.0 + now)).await, Ok(expected), "{shows}");
    }
    drop(store);
    let another = open(&server.url()).await;
    assert_eq!(another.burn(&at(8, 0, 99), NOW).await, Ok(Burned::Again), "a clock set back on another node, or after a restart");
    assert_eq!(another.burn(&at(9, -1, 200), NOW).await, Ok(Burned::Forgotten), "the memory of a node that starts later is the same");
}

#[tokio::test]
async fn a_record_is_written_read_and_removed_as_the_contract_says() {
    let server = RedisServer::start();
    let store = open(&server.url()).await;
    let key = record(1);
    let write = |expect, value: &'static [u8], until: i64, now: i64| {
        store.write(&key, expect, Bytes::from_static(value), Timestamp(NOW.0 + until), Timestamp(NOW.0 + now))
    };
    let read = |now: i64| store.read(&key, Timestamp(NOW.0 + now));

    assert_eq!(read(0).await, Ok(None), "nothing yet");
    assert_eq!(write(Expect::Version(7), b"x", 60, 0).await, Ok(Written::Conflict(None)), "no record has that version");
    let Ok(Written::Done { version: first }) = write(Expect::Absent, b"a:\0\xff\r\n", 60, 0).await else { panic!("not written") };
    let standing = read(59).await.unwrap().unwrap();
    assert_eq!(
        (standing.value.as_ref(), standing.version, standing.until),
        (&b"a:\0\xff\r\n"[..], first, Timestamp(NOW.0 + 60)),
        "any bytes"
    );
    assert_eq!(write(Expect::Absent, b"x", 60, 0).await, Ok(Written::Conflict(Some(standing.clone()))), "it is there");
    assert_eq!(write(Expect::Version(first + 1), b"x", 60, 0).await, Ok(Written::Conflict(Some(standing))), "and of another version");
    let Ok(Written::Done { version: second }) = write(Expect::Version(first), b"", 70, 59).await else { panic!("not written") };
    assert!(first < second, "versions grow");
    assert_eq!(read(69).await.unwrap().unwrap().value.as_ref(), b"", "an empty value is a value");
    assert_eq!(read(70).await, Ok(None), "at its end it is absent");
    assert_eq!(read(69).await, Ok(None), "and stays so when a clock is set back");
    assert_eq!(write(Expect::Version(second), b"x", 90, 70).await, Ok(Written::Conflict(None)), "what has ended has no version");
    let Ok(Written::Done { version: third }) = write(Expect::Absent, b"c", 90, 70).await else { panic!("not written") };
    assert!(second < third, "versions grow over the end of a record");
    assert_eq!(store.remove(&record(1), Timestamp(NOW.0 + 70)).await, Ok(true));
    assert_eq!(store.remove(&record(1), Timestamp(NOW.0 + 70)).await, Ok(false), "it is gone");
    let Ok(Written::Done { version: fourth }) = write(Expect::Absent, b"d", 90, 70).await else { panic!("not written") };
    assert!(third < fourth, "versions grow over a removal: a fencing value is never given twice");
    assert_eq!(store.remove(&record(1), Timestamp(NOW.0 + 90)).await, Ok(false), "what has ended was not there");
}

#[tokio::test]
async fn what_is_kept_outlives_its_end_by_minutes_and_is_thrown_away_by_the_server() {
    let server = RedisServer::start();
    let store = open(&server.url()).await;
    burn(&*store, 1).await.unwrap();
    put(&*store, 1, "value").await;
    let names = server.ask(&["KEYS", "*"]);
    assert!(names.contains("spent:") && names.contains("family:"), "{names}");
    let left = |kind: &str| {
        let script = format!("return redis.call('TTL', redis.call('KEYS', '{{countersign}}:{kind}:*')[1])");
        server.ask(&["EVAL", &script, "0"]).parse::<i64>().unwrap()
    };
    let (spent, kept) = (left("spent"), left("family"));
    // A slow machine may have used up some of it.
    assert!((3_600 + 500..=3_600 + 600).contains(&spent), "a mark of an hour is kept for ten minutes more: {spent}");
    assert!((60 + 500..=60 + 600).contains(&kept), "a record of a minute as well: {kept}");

    store.burn(&Burn { until: Timestamp::END, ..mark(2) }, NOW).await.unwrap();
    assert_eq!(store.burn(&Burn { until: Timestamp::END, ..mark(2) }, NOW).await, Ok(Burned::Again), "one without end is kept");
}

#[tokio::test]
async fn the_log_is_read_by_every_node_from_where_it_stopped() {
    let server = RedisServer::start();
    let (writer, reader) = (open(&server.url()).await, open(&server.url()).await);
    let append = |value: String, until: i64| writer.append(Bytes::from(value), Timestamp(NOW.0 + until), NOW);

    let start = reader.since(Cursor::default(), NOW).await.unwrap();
    assert!(start.entries.is_empty() && start.cursor.life != 0, "an empty log has a life: {start:?}");
    append("one".into(), 100).await.unwrap();
    append("ends".into(), 10).await.unwrap();
    append("two:\0".into(), 100).await.unwrap();
    let at = Timestamp(NOW.0 + 10);
    let page = reader.since(start.cursor, at).await.unwrap();
    let values: Vec<&[u8]> = page.entries.iter().map(|(value, _)| value.as_ref()).collect();
    assert_eq!(values, [&b"one"[..], b"two:\0"], "in order, without what has ended");
    assert_eq!(page.entries[0].1, Timestamp(NOW.0 + 100), "with its end");
    assert_eq!(reader.since(page.cursor, at).await.unwrap().entries, [], "nothing twice");
    assert_eq!(reader.since(start.cursor, at).await.unwrap(), page, "nor is anything used up");
    let elsewhere = Cursor { life: page.cursor.life ^ 1, last: u64::MAX };
    assert_eq!(reader.since(elsewhere, at).await.unwrap(), page, "who comes from another life reads all of this one");

    // More than one answer holds.
    for number in 0..2_500 {
        append(number.to_string(), 100).await.unwrap();
    }
    let rest = reader.since(page.cursor, at).await.unwrap();
    let values: Vec<String> = rest.entries.iter().map(|(value, _)| String::from_utf8(value.to_vec()).unwrap()).collect();
    assert_eq!(values, (0..2_500).map(|number| number.to_string()).collect::<Vec<_>>(), "in order, over several answers");
    assert_eq!(reader.since(rest.cursor, at).await.unwrap().entries, []);
}

#[tokio::test]
async fn the_log_is_no_longer_than_what_holds_and_a_little() {
    let server = RedisServer::start();
    let store = open(&server.url()).await;
    for number in 0..300_i64 {
        // Each holds for a minute; a minute passes between two.
        let now = Timestamp(NOW.0 + number * 60);
        store.append(Bytes::from(number.to_string()), Timestamp(now.0 + 60), now).await.unwrap();
    }
    let length: i64 = server.ask(&["ZCARD", "{countersign}:log"]).parse().unwrap();
    let ends: i64 = server.ask(&["ZCARD", "{countersign}:log:ends"]).parse().unwrap();
    assert!(length <= 13, "eleven minutes of it at most: {length}");
    assert_eq!(length, ends, "both halves are cleared");
}

#[tokio::test]
async fn another_prefix_is_another_store() {
    let server = RedisServer::start();
    let one = open(&server.url()).await;
    let other = crate::state::redis::open_with(&format!("url: '{}', prefix: other, timeout: 5s", server.url()), &[]).await.unwrap();
    assert_eq!(burn(&*one, 1).await, Ok(Burned::First));
    assert_eq!(burn(&*other, 1).await, Ok(Burned::First), "nothing of one is seen by the other");
    put(&*one, 1, "one").await;
    assert_eq!(other.read(&record(1), NOW).await, Ok(None));
}
