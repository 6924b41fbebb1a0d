//! What is lost with a server, and what is not: killed with its file, with an old snapshot, with nothing.
//!
//! Attacks: F4, F19 of `docs/security.md`.

use bytes::Bytes;
use countersign::domain::{Burn, Timestamp};
use countersign::state::contract::{Burned, Cursor, Expect, Written};

use crate::state::redis::{NOW, answers, burn, mark, open, put, record, until};
use crate::support::redis::{DURABLE, RedisServer};

/// After a loss, a memory begins this many seconds later.
const AFTER_LOSS: i64 = 6;

fn made(at: i64, number: u64) -> Burn {
    Burn { made: Timestamp(NOW.0 + at), ..mark(number) }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_a_kill() {
    let mut server = RedisServer::start_with(DURABLE);
    let store = open(&server.url()).await;
    for number in 0..50 {
        assert_eq!(burn(&*store, number).await, Ok(Burned::First));
    }
    let version = put(&*store, 1, "value").await;
    store.append(Bytes::from_static(b"entry"), Timestamp(NOW.0 + 60), NOW).await.unwrap();
    let page = store.since(Cursor::default(), NOW).await.unwrap();
    for round in 0..3 {
        server.restart();
        answers(&*store).await;
        for number in 0..50 {
            assert_eq!(burn(&*store, number).await, Ok(Burned::Again), "round {round}");
        }
        assert_eq!(store.read(&record(1), NOW).await.unwrap().unwrap().version, version);
        assert_eq!(store.since(Cursor::default(), NOW).await.unwrap(), page, "the log has the same life");
        assert_eq!(burn(&*store, 1_000 + round).await, Ok(Burned::First), "what was made before and not spent can be");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_lost_everything_says_forgotten_of_what_is_older() {
    let mut server = RedisServer::start();
    let store = open(&server.url()).await;
    assert_eq!(burn(&*store, 1).await, Ok(Burned::First));
    let before = put(&*store, 1, "value").await;
    let read = store.since(Cursor::default(), NOW).await.unwrap().cursor;

    for how in ["restarted", "flushed"] {
        if how == "restarted" {
            server.restart();
        } else {
            assert_eq!(server.ask(&["FLUSHALL"]), "OK");
        }
        answers(&*store).await;
        assert_eq!(burn(&*store, 1).await, Ok(Burned::Forgotten), "{how}: it was spent, and nobody knows");
        let edge = [(AFTER_LOSS - 1, Burned::Forgotten), (AFTER_LOSS, Burned::First), (AFTER_LOSS, Burned::Again)];
        for (at, expected) in edge {
            assert_eq!(store.burn(&made(at, 2), NOW).await, Ok(expected), "{how}: made {at} seconds later");
        }
        assert_eq!(store.read(&record(1), NOW).await, Ok(None), "{how}: a record that is lost is absent");
        let page = store.since(read, NOW).await.unwrap();
        assert_ne!(page.cursor.life, read.life, "{how}: a reader of the log sees that it is another");
    }
    let Ok(Written::Done { version }) = store.write(&record(1), Expect::Absent, Bytes::new(), Timestamp(NOW.0 + 60), NOW).await else {
        panic!("not written")
    };
    assert!(before < version, "a fencing value is not given again, even where the last one was lost");

    let another = open(&server.url()).await;
    assert_eq!(burn(&*another, 1).await, Ok(Burned::Forgotten), "a node that starts later is told the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_file_may_have_an_old_snapshot_and_is_not_believed() {
    let mut server = RedisServer::start();
    let store = open(&server.url()).await;
    assert_eq!(burn(&*store, 1).await, Ok(Burned::First));
    assert_eq!(server.ask(&["SAVE"]), "OK");
    assert_eq!(burn(&*store, 2).await, Ok(Burned::First), "after the snapshot");
    server.restart();
    answers(&*store).await;
    assert_eq!(burn(&*store, 1).await, Ok(Burned::Again), "what the snapshot knows is known");
    assert_eq!(burn(&*store, 2).await, Ok(Burned::Forgotten), "what it does not know may have been spent since");
    assert_eq!(store.burn(&made(AFTER_LOSS, 3), NOW).await, Ok(Burned::First), "what is made from now on can be spent");
    drop(store);

    // The same to a process that has only just started.
    server.restart();
    let store = open(&server.url()).await;
    assert_eq!(burn(&*store, 2).await, Ok(Burned::Forgotten));
    assert_eq!(store.burn(&made(AFTER_LOSS - 1, 4), NOW).await, Ok(Burned::Forgotten));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_took_over_may_lack_the_last_marks_and_is_not_believed() {
    let primary = RedisServer::start_with(DURABLE);
    let replica = RedisServer::start_with(&[DURABLE, &["--replicaof", "127.0.0.1", &primary.port().to_string()]].concat());
    let first = open(&primary.url()).await;
    assert_eq!(burn(&*first, 1).await, Ok(Burned::First));
    until("the replica follows", || async { replica.ask(&["EXISTS", "{countersign}:origin"]) == "1" }).await;
    drop(first);
    drop(primary);
    assert_eq!(replica.ask(&["REPLICAOF", "NO", "ONE"]), "OK");

    let store = open(&replica.url()).await;
    let verdict = burn(&*store, 1).await;
    assert!(matches!(verdict, Ok(Burned::Again | Burned::Forgotten)), "{verdict:?}");
    assert_eq!(burn(&*store, 2).await, Ok(Burned::Forgotten), "the primary may have acknowledged it as its last act");
    assert_eq!(store.burn(&made(AFTER_LOSS, 3), NOW).await, Ok(Burned::First));
}
