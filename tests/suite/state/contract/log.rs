//! What a store must keep about its log.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use countersign::domain::Outage;
use countersign::state::contract::{Cursor, StateStore};
use tokio::task::JoinSet;

use crate::state::contract::{PATIENCE, Stage, at, soon};

fn value(number: usize) -> Bytes {
    Bytes::from(format!("entry {number}"))
}

async fn append(store: &dyn StateStore, number: usize, until: i64) {
    store.append(value(number), at(until), at(0)).await.unwrap();
}

pub async fn the_log_is_read_on_from_a_cursor(stage: Stage) {
    let opened = stage.store().await;
    let empty = opened.since(Cursor::default(), at(0)).await.unwrap();
    assert_eq!(empty.entries, [], "nothing yet");

    for number in 0..5 {
        append(&*opened, number, 100).await;
    }
    for from in [Cursor::default(), empty.cursor] {
        let page = opened.since(from, at(0)).await.unwrap();
        let expected: Vec<_> = (0..5).map(|number| (value(number), at(100))).collect();
        assert_eq!(page.entries, expected, "oldest first, from {from:?}");
        let more = opened.since(page.cursor, at(0)).await.unwrap();
        assert_eq!((more.entries, more.cursor), (Vec::new(), page.cursor), "nothing new, and the cursor stays");
    }

    // Many append at once; whoever reads along misses nothing and reads nothing twice.
    const WRITERS: usize = 10;
    const EACH: usize = 20;
    let mut cursor = opened.since(Cursor::default(), at(0)).await.unwrap().cursor;
    let mut tasks = JoinSet::new();
    for writer in 0..WRITERS {
        let store = Arc::clone(&opened.store);
        tasks.spawn(async move {
            for number in 0..EACH {
                append(&*store, 1_000 + writer * EACH + number, 100).await;
            }
        });
    }
    let mut read = Vec::new();
    soon("everything is read", async {
        while read.len() < WRITERS * EACH {
            opened.appended(cursor, PATIENCE).await;
            let page = opened.since(cursor, at(0)).await.unwrap();
            assert_eq!(page.cursor.life, cursor.life, "one life");
            cursor = page.cursor;
            read.extend(page.entries.into_iter().map(|(value, _)| value));
        }
    })
    .await;
    soon("all have written", tasks.join_all()).await;
    read.sort();
    let mut expected: Vec<_> = (0..WRITERS * EACH).map(|number| value(1_000 + number)).collect();
    expected.sort();
    assert_eq!(read, expected, "each exactly once");
}

pub async fn an_entry_ends_when_it_says(stage: Stage) {
    let store = stage.store().await;
    for (number, until) in [(1, 50), (2, 100), (3, 70)] {
        append(&*store, number, until).await;
    }
    let rows = [
        // now, entries, what the row shows
        (49, vec![1, 2, 3], "all hold"),
        (50, vec![2, 3], "the end itself is too late"),
        (69, vec![2, 3], "the last second of another"),
        (70, vec![2], "in whatever order they end"),
        (100, vec![], "none"),
    ];
    let mut cursor = Cursor::default();
    for (now, numbers, shows) in rows {
        let page = store.since(Cursor::default(), at(now)).await.unwrap();
        let read: Vec<_> = page.entries.into_iter().map(|(value, _)| value).collect();
        assert_eq!(read, numbers.into_iter().map(value).collect::<Vec<_>>(), "{shows}");
        cursor = page.cursor;
    }
    store.append(value(4), at(200), at(100)).await.unwrap();
    let page = store.since(cursor, at(100)).await.unwrap();
    assert_eq!(page.entries, [(value(4), at(200))], "what comes after the ended ones is found");
}

pub async fn a_cursor_of_another_life_reads_everything(stage: Stage) {
    let store = stage.store().await;
    append(&*store, 1, 100).await;
    append(&*store, 2, 100).await;
    let here = store.since(Cursor::default(), at(0)).await.unwrap().cursor;
    assert_ne!(here.life, Cursor::default().life, "a life that has begun can be told from none");
    for last in [0, here.last, u64::MAX] {
        let foreign = Cursor { life: here.life ^ 1, last };
        let page = store.since(foreign, at(0)).await.unwrap();
        assert_eq!(page.entries.len(), 2, "everything, from {foreign:?}");
        assert_eq!(page.cursor, here, "and from here on in this life");
        soon("there is something to read", store.appended(foreign, PATIENCE * 2)).await;
    }
}

pub async fn who_waits_is_woken(stage: Stage) {
    let opened = stage.store().await;
    let mut cursor = opened.since(Cursor::default(), at(0)).await.unwrap().cursor;
    for round in 0..30 {
        let waits = || {
            let store = Arc::clone(&opened.store);
            tokio::spawn(async move { store.appended(cursor, PATIENCE * 2).await })
        };
        let (first, second) = (waits(), waits());
        if round % 2 == 0 {
            tokio::task::yield_now().await;
        }
        append(&*opened, round, 100).await;
        soon("both learn of it", async { (first.await.unwrap(), second.await.unwrap()) }).await;
        soon("who has not read it is told at once", opened.appended(cursor, PATIENCE * 2)).await;
        let page = opened.since(cursor, at(0)).await.unwrap();
        assert_eq!(page.entries, [(value(round), at(100))]);
        cursor = page.cursor;
    }
    soon("nothing comes", opened.appended(cursor, Duration::from_millis(5))).await;
}

pub async fn a_full_log_takes_no_more(stage: Stage) {
    if !stage.kind.counts() {
        return;
    }
    let store = stage.store_of(2).await;
    let append = async |number, until, now| store.append(value(number), at(until), at(now)).await;
    assert_eq!(append(1, 50, 0).await, Ok(()));
    assert_eq!(append(2, 90, 0).await, Ok(()));
    assert_eq!(append(3, 90, 49).await, Err(Outage::State), "full: what holds is not pushed out");
    assert_eq!(append(3, 90, 50).await, Ok(()), "one that has ended makes room");
    let page = store.since(Cursor::default(), at(50)).await.unwrap();
    let read: Vec<_> = page.entries.into_iter().map(|(value, _)| value).collect();
    assert_eq!(read, [value(2), value(3)]);
}
