//! Waiting: a change is heard of on other nodes, with the news connection and without it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use countersign::domain::Timestamp;
use countersign::state::contract::{Cursor, Expect, StateStore};

use crate::state::redis::{NOW, RECOVERY, open, open_with, put, record, until};
use crate::support::redis::RedisServer;

/// Longer than any of these waits may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until as many nodes as `count` hear of news.
async fn heard_by(server: &RedisServer, count: usize) {
    let listening = || server.ask(&["EVAL", "return redis.call('PUBSUB', 'NUMSUB', '{countersign}:news')[2]", "0"]);
    until("every node listens", || async { listening() == count.to_string() }).await;
}

/// Waits for a change on one node that is made on the other, and asserts that it was heard of.
async fn assert_heard(waiter: &Arc<dyn StateStore>, writer: &Arc<dyn StateStore>, number: u8) {
    let waits = |version: u64| {
        let waiter = Arc::clone(waiter);
        tokio::spawn(async move {
            let begun = Instant::now();
            waiter.changed(&record(number), version, PATIENCE).await;
            begun.elapsed()
        })
    };
    let waiting = waits(0);
    let version = put(&**writer, number, "first").await;
    assert!(waiting.await.unwrap() < PATIENCE, "a record that appears");
    let waiting = waits(version);
    let expect = Expect::Version(version);
    writer.write(&record(number), expect, Bytes::from_static(b"second"), Timestamp(NOW.0 + 60), NOW).await.unwrap();
    assert!(waiting.await.unwrap() < PATIENCE, "one that changes");
    let version = waiter.read(&record(number), NOW).await.unwrap().unwrap().version;
    let waiting = waits(version);
    writer.remove(&record(number), NOW).await.unwrap();
    assert!(waiting.await.unwrap() < PATIENCE, "one that goes");

    let cursor = waiter.since(Cursor::default(), NOW).await.unwrap().cursor;
    let waits = Arc::clone(waiter);
    let waiting = tokio::spawn(async move {
        let begun = Instant::now();
        waits.appended(cursor, PATIENCE).await;
        begun.elapsed()
    });
    writer.append(Bytes::from_static(b"entry"), Timestamp(NOW.0 + 60), NOW).await.unwrap();
    assert!(waiting.await.unwrap() < PATIENCE, "an entry of the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_on_one_node_wakes_who_waits_on_another() {
    let server = RedisServer::start();
    let (one, other) = (open(&server.url()).await, open(&server.url()).await);
    heard_by(&server, 2).await;
    assert_heard(&one, &other, 1).await;
    assert_heard(&one, &one, 2).await;

    // Who looked for itself, once a second, would take fifteen seconds on the average.
    let begun = Instant::now();
    for number in 100..130 {
        let waiter = Arc::clone(&one);
        let waiting = tokio::spawn(async move { waiter.changed(&record(number), 0, PATIENCE).await });
        put(&*other, number, "news").await;
        waiting.await.unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "news are told, not looked for: {:?}", begun.elapsed());

    // The news connections are lost, and come back by themselves.
    server.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    assert_heard(&one, &other, 3).await;
    heard_by(&server, 2).await;
    assert_heard(&one, &other, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_may_not_listen_looks_for_itself() {
    let server = RedisServer::start();
    server.ask(&["ACL", "SETUSER", "deaf", "on", ">password", "~*", "+@all", "-subscribe", "resetchannels", "&*"]);
    let deaf = open_with(&format!("url: '{}', username: deaf, password: password, timeout: 5s", server.url()), &[]).await.unwrap();
    let other = open(&server.url()).await;
    heard_by(&server, 1).await;
    assert_heard(&deaf, &other, 1).await;
}

#[tokio::test]
async fn a_wait_ends_with_its_patience_and_at_once_when_there_is_nothing_to_wait_for() {
    let server = RedisServer::start();
    let store = open(&server.url()).await;
    let version = put(&*store, 1, "value").await;
    store.append(Bytes::from_static(b"entry"), Timestamp(NOW.0 + 60), NOW).await.unwrap();
    let read = store.since(Cursor::default(), NOW).await.unwrap().cursor;

    let begun = Instant::now();
    store.changed(&record(1), version, Duration::from_millis(50)).await;
    store.changed(&record(2), 0, Duration::from_millis(50)).await;
    store.appended(read, Duration::from_millis(50)).await;
    assert!(Duration::from_millis(150) <= begun.elapsed(), "there was nothing to be woken by");

    store.changed(&record(1), 0, PATIENCE).await;
    store.changed(&record(1), version + 1, PATIENCE).await;
    store.changed(&record(2), version, PATIENCE).await;
    store.appended(Cursor::default(), PATIENCE).await;
    assert!(begun.elapsed() < RECOVERY, "what has happened already is not waited for");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_on_when_a_store_is_dropped() {
    let server = RedisServer::start();
    let before = server.ask(&["INFO", "clients"]);
    let store = open(&server.url()).await;
    heard_by(&server, 1).await;
    let clients = || {
        let said = server.ask(&["INFO", "clients"]);
        said.lines().find_map(|line| line.strip_prefix("connected_clients:")).map(|count| count.trim().to_owned())
    };
    assert_eq!(clients().as_deref(), Some("3"), "one to ask, one to listen, and this one; before: {before}");
    drop(store);
    until("the connections are closed", || async { clients().as_deref() == Some("1") }).await;
}
