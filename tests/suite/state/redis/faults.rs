//! What a bad server, or a bad way to it, does to a verdict: what cannot be said is an outage, nothing is honoured twice, and the
//! store comes back by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use countersign::domain::Outage;
use countersign::state::contract::{Burned, StateStore};
use tokio::task::JoinSet;

use crate::state::redis::{NOW, answers, burn, fails, open, open_with, put, record, until};
use crate::support::detour::Detour;
use crate::support::redis::{DURABLE, RedisServer};

const OUT: Result<Burned, Outage> = Err(Outage::State);

/// A store that does not wait long, so that faults show.
async fn impatient(url: &str) -> Arc<dyn StateStore> {
    let store = open_with(&format!("url: '{url}', timeout: 300ms, connect_timeout: 1s"), &[]).await.unwrap();
    answers(&*store).await;
    store
}

/// Asserts that what was spent under number 1 is still so, and that number 2, whose answer was an outage, is not honoured twice.
async fn assert_sound(store: &dyn StateStore, after: &str) {
    let begun = Instant::now();
    answers(store).await;
    println!("after {after}: back in {:?}", begun.elapsed());
    until("1 stays spent", || async {
        let again = burn(store, 1).await;
        assert_ne!(again, Ok(Burned::First), "honoured twice");
        again == Ok(Burned::Again)
    })
    .await;
    let mut honoured = 0;
    until("2 is spent", || async { matches!(burn(store, 2).await, Ok(Burned::Again)) }).await;
    for _ in 0..3 {
        honoured += usize::from(burn(store, 2).await == Ok(Burned::First));
    }
    assert_eq!(honoured, 0, "2 may have been spent once, by then");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_an_outage_and_comes_back() {
    let server = RedisServer::start();
    let store = impatient(&server.url()).await;
    assert_eq!(burn(&*store, 1).await, Ok(Burned::First));
    server.hang();
    assert_eq!(burn(&*store, 2).await, OUT, "no answer");
    fails(&*store).await;
    until("the store has noticed", || async {
        let begun = Instant::now();
        assert_eq!(burn(&*store, 3).await, OUT);
        begun.elapsed() < Duration::from_millis(100)
    })
    .await;
    let begun = Instant::now();
    for number in 100..300 {
        assert_eq!(burn(&*store, number).await, OUT);
        assert_eq!(store.read(&record(1), NOW).await, Err(Outage::State));
    }
    // Waiting for each of the 400 would take two minutes.
    assert!(begun.elapsed() < Duration::from_secs(20), "while it is down every operation fails at once: {:?}", begun.elapsed());
    server.go_on();
    assert_sound(&*store, "SIGSTOP and SIGCONT").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_that_is_slow_or_silent_is_an_outage_and_comes_back() {
    let server = RedisServer::start();
    let way = Detour::to(([127, 0, 0, 1], server.port()).into()).await;
    // With the time-out that every conf has which names none.
    let url = format!("redis://{}/0", way.address);
    let store = open_with(&format!("url: '{url}'"), &[]).await.unwrap();
    answers(&*store).await;
    let patient = open(&url).await;
    until("1 is spent", || async { matches!(burn(&*store, 1).await, Ok(Burned::First | Burned::Again)) }).await;

    way.delay(Duration::from_millis(500));
    // A machine that stands still for half a second sees the answer before it sees that it is late, so each try is of its own.
    let number = AtomicU64::new(1_000);
    until("an answer is slower than the time-out", || async { burn(&*store, number.fetch_add(1, Ordering::SeqCst)).await == OUT }).await;
    let begun = Instant::now();
    assert_eq!(burn(&*patient, 5).await, Ok(Burned::First), "whoever is told to waits for it");
    assert!(Duration::from_millis(500) <= begun.elapsed(), "which takes as long as it takes");
    until("a slow server is not used at all, rather than to spend in vain", || async {
        let begun = Instant::now();
        burn(&*store, 3).await == OUT && begun.elapsed() < Duration::from_millis(100)
    })
    .await;
    way.delay(Duration::ZERO);
    assert_sound(&*store, "500 ms of delay").await;

    way.silence(true);
    assert_eq!(burn(&*store, 4).await, OUT, "the answer is lost");
    way.silence(false);
    answers(&*store).await;
    until("4 has been spent by the burn whose answer was lost", || async {
        let verdict = burn(&*store, 4).await;
        assert_ne!(verdict, Ok(Burned::First), "it ran once already");
        verdict == Ok(Burned::Again)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_in_the_middle_of_an_answer_is_an_outage_and_nothing_is_sent_again() {
    let server = RedisServer::start();
    let way = Detour::to(([127, 0, 0, 1], server.port()).into()).await;
    let store = open(&format!("redis://{}/0", way.address)).await;
    for number in 1..=10_u64 {
        assert_eq!(burn(&*store, 1_000 + number).await, Ok(Burned::First));
        let before = calls(&server);
        // Between nothing and all but the last byte of `$5\r\nfirst\r\n`.
        way.cut_after(i64::try_from(number).unwrap() - 1);
        assert_eq!(burn(&*store, number).await, OUT, "cut after {} bytes", number - 1);
        way.mend();
        answers(&*store).await;
        assert_eq!(burn(&*store, number).await, Ok(Burned::Again), "it was spent, and its answer lost");
        assert_eq!(calls(&server) - before, 2, "one burn and its lost answer, one that asked again: none of our own");
    }
}

/// How many marks the server has been asked for.
fn calls(server: &RedisServer) -> u64 {
    let said = server.ask(&["INFO", "commandstats"]);
    let line = said.lines().find_map(|line| line.strip_prefix("cmdstat_exists:calls="));
    line.and_then(|line| line.split(',').next()?.parse().ok()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_is_an_outage_until_it_does_not() {
    let server = RedisServer::start_with(&["--enable-protected-configs", "yes"]);
    let store = open(&server.url()).await;
    assert_eq!(burn(&*store, 1).await, Ok(Burned::First));
    put(&*store, 1, "value").await;
    let folder = server.folder();

    // It becomes a replica of a primary that is not there.
    assert_eq!(server.ask(&["REPLICAOF", "127.0.0.1", "1"]), "OK");
    assert_eq!(burn(&*store, 2).await, OUT, "a replica takes no writes");
    fails(&*store).await;
    assert_eq!(store.read(&record(1), NOW).await, Err(Outage::State), "nor is it asked for what may be old");
    assert_eq!(server.ask(&["REPLICAOF", "NO", "ONE"]), "OK");
    assert_sound(&*store, "READONLY").await;

    // Its memory is full.
    assert_eq!(server.ask(&["CONFIG", "SET", "maxmemory", "1"]), "OK");
    assert_eq!(burn(&*store, 3).await, OUT, "nothing is thrown away to make room");
    assert!(store.read(&record(1), NOW).await.unwrap().is_some(), "what needs no room is answered");
    assert_eq!(server.ask(&["CONFIG", "SET", "maxmemory", "0"]), "OK");
    assert_eq!(burn(&*store, 3).await, Ok(Burned::First), "it had not been spent");
    assert_sound(&*store, "OOM").await;

    // It cannot write its snapshots.
    assert_eq!(server.ask(&["CONFIG", "SET", "save", "3600 1"]), "OK");
    assert_eq!(server.ask(&["CONFIG", "SET", "dir", "/proc"]), "OK");
    server.ask(&["BGSAVE"]);
    until("the snapshot fails", || async { server.ask(&["INFO", "persistence"]).contains("rdb_last_bgsave_status:err") }).await;
    assert_eq!(burn(&*store, 4).await, OUT, "what it takes it could not keep");
    assert_eq!(server.ask(&["CONFIG", "SET", "dir", &folder]), "OK");
    server.ask(&["BGSAVE"]);
    until("the snapshot succeeds", || async { server.ask(&["INFO", "persistence"]).contains("rdb_last_bgsave_status:ok") }).await;
    assert_sound(&*store, "MISCONF").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_that_were_flushed_are_loaded_again_without_an_outage() {
    let server = RedisServer::start();
    let store = open(&server.url()).await;
    for number in 1..=20 {
        assert_eq!(server.ask(&["SCRIPT", "FLUSH"]), "OK");
        assert_eq!(burn(&*store, number).await, Ok(Burned::First), "nothing had run, so it is sent again");
        assert_eq!(burn(&*store, number).await, Ok(Burned::Again), "and it ran once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_loads_its_data_is_not_asked() {
    // Each key takes this many microseconds to load.
    let mut server = RedisServer::start_with(&[DURABLE, &["--key-load-delay", "10000"]].concat());
    let store = impatient(&server.url()).await;
    for number in 1..=200 {
        assert_eq!(burn(&*store, number).await, Ok(Burned::First));
    }
    server.kill();
    let starting = tokio::task::spawn_blocking(move || {
        server.restart();
        server
    });
    while !starting.is_finished() {
        let verdict = burn(&*store, 1).await;
        assert!(verdict == OUT || verdict == Ok(Burned::Again), "half of its memory is no memory: {verdict:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let _server = starting.await.unwrap();
    answers(&*store).await;
    for number in 1..=200 {
        assert_eq!(burn(&*store, number).await, Ok(Burned::Again), "{number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_called_by_one_attempt_at_a_time() {
    let mut server = RedisServer::start();
    let way = Detour::to(([127, 0, 0, 1], server.port()).into()).await;
    let store = impatient(&format!("redis://{}/0", way.address)).await;
    server.kill();
    fails(&*store).await;
    // A crowd that asks must not become a crowd of connections.
    let mut crowd = JoinSet::new();
    for _ in 0..20 {
        let store = Arc::clone(&store);
        crowd.spawn(async move {
            loop {
                assert_eq!(burn(&*store, 1).await, OUT);
                tokio::task::yield_now().await;
            }
        });
    }
    let before = way.taken();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let attempts = way.taken() - before;
    crowd.abort_all();
    // From 25 ms doubling to half a second: sixteen at most.
    assert!((1..=16).contains(&attempts), "{attempts} attempts in three seconds");
    server.restart();
    answers(&*store).await;
}
