//! What a store must keep about records: sessions, renewals, families.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use countersign::domain::{Outage, Timestamp};
use countersign::state::contract::{Class, Entry, Expect, Key, StateStore, Written};
use tokio::task::JoinSet;

use crate::state::contract::{PATIENCE, Stage, at, session, soon};

const VALUE: Bytes = Bytes::from_static(b"value");
const OTHER: Bytes = Bytes::from_static(b"other");

/// Writes, and returns the version.
async fn done(store: &dyn StateStore, key: &Key, expect: Expect, value: Bytes, until: Timestamp, now: Timestamp) -> u64 {
    match store.write(key, expect, value, until, now).await {
        Ok(Written::Done { version }) => version,
        other => panic!("not written: {other:?}"),
    }
}

pub async fn a_record_is_as_it_was_written(stage: Stage) {
    let store = stage.store().await;
    let every: Bytes = (0..=255).cycle().take(64 << 10).collect::<Vec<u8>>().into();
    let values = [
        // value, what the row shows
        (Bytes::new(), "nothing at all"),
        (VALUE, "text"),
        (Bytes::from_static(b"a\0b\r\n\xff\xfe"), "bytes that are no text"),
        (every, "every byte, and many of them"),
    ];
    for (number, (value, shows)) in (0..).zip(values) {
        let key = session(number);
        assert_eq!(store.read(&key, at(0)).await, Ok(None), "{shows}: not there yet");
        let version = done(&*store, &key, Expect::Absent, value.clone(), at(10), at(0)).await;
        assert_eq!(store.read(&key, at(0)).await, Ok(Some(Entry { value, version, until: at(10) })), "{shows}");
    }
    for class in Class::ALL {
        let key = Key { class: *class, digest: session(77).digest };
        let value = Bytes::from_static(class.as_str().as_bytes());
        done(&*store, &key, Expect::Absent, value, at(10), at(0)).await;
    }
    for class in Class::ALL {
        let key = Key { class: *class, digest: session(77).digest };
        let value = store.read(&key, at(0)).await.unwrap().unwrap().value;
        assert_eq!(value, class.as_str(), "classes share digests, not records");
    }
}

pub async fn a_write_compares_before_it_sets(stage: Stage) {
    let store = stage.store().await;
    let key = session(1);
    let write = async |expect, value| store.write(&key, expect, value, at(10), at(0)).await.unwrap();

    for version in [0, 1, u64::MAX] {
        assert_eq!(write(Expect::Version(version), VALUE).await, Written::Conflict(None), "version {version} of what is not there");
    }
    let version = done(&*store, &key, Expect::Absent, VALUE, at(10), at(0)).await;
    let standing = Entry { value: VALUE, version, until: at(10) };
    assert_eq!(write(Expect::Absent, OTHER).await, Written::Conflict(Some(standing.clone())), "it is there, and this is how");
    for wrong in [0, version - 1, version + 1, u64::MAX] {
        assert_eq!(write(Expect::Version(wrong), OTHER).await, Written::Conflict(Some(standing.clone())), "{wrong} is not {version}");
    }
    assert_eq!(store.read(&key, at(0)).await, Ok(Some(standing)), "what is refused changes nothing");

    let next = done(&*store, &key, Expect::Version(version), OTHER, at(20), at(0)).await;
    assert_eq!(store.read(&key, at(0)).await, Ok(Some(Entry { value: OTHER, version: next, until: at(20) })), "all of it is replaced");
    assert!(matches!(write(Expect::Version(version), VALUE).await, Written::Conflict(Some(_))), "the version before is gone");

    assert_eq!(store.remove(&key, at(0)).await, Ok(true), "it was there");
    assert_eq!(store.remove(&key, at(0)).await, Ok(false), "it is no longer");
    assert_eq!(store.read(&key, at(0)).await, Ok(None));
    assert_eq!(write(Expect::Version(next), VALUE).await, Written::Conflict(None), "what was removed has no version");
    assert!(matches!(write(Expect::Absent, VALUE).await, Written::Done { .. }), "and can be made anew");
}

pub async fn a_record_ends_when_it_says(stage: Stage) {
    let store = stage.store().await;
    let (key, until) = (session(1), at(100));
    let version = done(&*store, &key, Expect::Absent, VALUE, until, at(0)).await;
    let there = async |now| store.read(&key, at(now)).await.unwrap().is_some();
    assert!(there(99).await, "the last second");
    assert!(!there(100).await, "the end itself is too late");
    assert_eq!(
        store.write(&key, Expect::Version(version), OTHER, at(200), at(100)).await,
        Ok(Written::Conflict(None)),
        "it has no version"
    );
    assert_eq!(store.remove(&key, at(100)).await, Ok(false), "and is not there to be removed");

    let other = session(2);
    let first = done(&*store, &other, Expect::Absent, VALUE, at(150), at(100)).await;
    let second = done(&*store, &other, Expect::Absent, OTHER, at(250), at(150)).await;
    assert!(first < second, "what has ended can be made anew, and is not taken for the old one");
    let longer = done(&*store, &other, Expect::Version(second), VALUE, at(350), at(249)).await;
    assert!(store.read(&other, at(349)).await.unwrap().is_some(), "a record lives on when it is written with another end");
    done(&*store, &other, Expect::Version(longer), VALUE, at(351), at(349)).await;
    assert_eq!(store.read(&other, at(351)).await, Ok(None), "or ends sooner");

    let past = session(3);
    done(&*store, &past, Expect::Absent, VALUE, at(351), at(351)).await;
    assert_eq!(store.read(&past, at(351)).await, Ok(None), "what ends at once was never there");
    let always = session(4);
    done(&*store, &always, Expect::Absent, VALUE, Timestamp(i64::MAX / 4), at(351)).await;
    assert!(store.read(&always, at(1_000_000)).await.unwrap().is_some(), "what never ends is there");
}

pub async fn versions_only_grow(stage: Stage) {
    let store = stage.store().await;
    let mut last = 0;
    for round in 0..30 {
        let key = session(round % 3);
        let expect = store.read(&key, at(0)).await.unwrap().map_or(Expect::Absent, |entry| Expect::Version(entry.version));
        let version = done(&*store, &key, expect, VALUE, at(10), at(0)).await;
        assert!(last < version, "round {round}: {version} after {last}, whatever the key");
        last = version;
        if round % 5 == 4 {
            store.remove(&key, at(0)).await.unwrap();
        }
    }
}

pub async fn of_any_number_of_equal_writes_one_is_done(stage: Stage) {
    const WRITERS: u64 = 24;
    const ROUNDS: u64 = 8;
    let opened = stage.store().await;
    let key = session(1);
    for round in 0..ROUNDS {
        let expect = opened.read(&key, at(0)).await.unwrap().map_or(Expect::Absent, |entry| Expect::Version(entry.version));
        let mut tasks = JoinSet::new();
        for writer in 0..WRITERS {
            let store = Arc::clone(&opened.store);
            let value = Bytes::from(format!("{round} by {writer}"));
            tasks.spawn(async move { (value.clone(), store.write(&key, expect, value, at(10), at(0)).await.unwrap()) });
        }
        let outcomes = soon("all are answered", tasks.join_all()).await;
        let winners: Vec<_> =
            outcomes.iter().filter_map(|(value, written)| matches!(written, Written::Done { .. }).then_some(value)).collect();
        assert_eq!(winners.len(), 1, "round {round}: {outcomes:?}");
        let standing = opened.read(&key, at(0)).await.unwrap().unwrap();
        assert_eq!(&standing.value, winners[0], "what stands is what the winner wrote");
        for (_, written) in &outcomes {
            if let Written::Conflict(seen) = written {
                assert_eq!(seen.as_ref(), Some(&standing), "the others are shown what the winner wrote");
            }
        }
    }

    // The same as it is used: read, change, write, and again when somebody was quicker. Nothing is lost.
    let counter = session(2);
    let mut tasks = JoinSet::new();
    for _ in 0..WRITERS {
        let store = Arc::clone(&opened.store);
        tasks.spawn(async move {
            for _ in 0..ROUNDS {
                loop {
                    let standing = store.read(&counter, at(0)).await.unwrap();
                    let (expect, count) = match &standing {
                        None => (Expect::Absent, 0),
                        Some(entry) => (Expect::Version(entry.version), std::str::from_utf8(&entry.value).unwrap().parse::<u64>().unwrap()),
                    };
                    let value = Bytes::from((count + 1).to_string());
                    if let Written::Done { .. } = store.write(&counter, expect, value, at(10), at(0)).await.unwrap() {
                        break;
                    }
                }
            }
        });
    }
    soon("everybody has counted", tasks.join_all()).await;
    let counted = opened.read(&counter, at(0)).await.unwrap().unwrap().value;
    assert_eq!(counted, (WRITERS * ROUNDS).to_string(), "no count is lost");
}

pub async fn a_full_store_takes_no_more_records(stage: Stage) {
    if !stage.kind.counts() {
        return;
    }
    let store = stage.store_of(2).await;
    let write = async |number, until, now| store.write(&session(number), Expect::Absent, VALUE, at(until), at(now)).await;
    let first = done(&*store, &session(1), Expect::Absent, VALUE, at(50), at(0)).await;
    done(&*store, &session(2), Expect::Absent, VALUE, at(90), at(0)).await;
    assert_eq!(write(3, 90, 0).await, Err(Outage::State), "full");
    done(&*store, &session(1), Expect::Version(first), OTHER, at(60), at(0)).await;
    assert_eq!(write(3, 90, 59).await, Err(Outage::State), "what is there can be changed, and takes no more room than before");
    assert!(matches!(write(3, 90, 60).await, Ok(Written::Done { .. })), "one that has ended makes room");
    assert_eq!(store.read(&session(2), at(60)).await.unwrap().map(|entry| entry.value), Some(VALUE), "one that has not does not");
    assert_eq!(write(4, 90, 60).await, Err(Outage::State), "full again");
    assert_eq!(store.remove(&session(2), at(60)).await, Ok(true));
    assert!(matches!(write(4, 90, 60).await, Ok(Written::Done { .. })), "one that was removed makes room");
}

pub async fn who_waits_is_woken(stage: Stage) {
    let opened = stage.store().await;
    for round in 0..30 {
        let key = session(round);
        let waits = |version| {
            let store = Arc::clone(&opened.store);
            tokio::spawn(async move { store.changed(&key, version, PATIENCE * 2).await })
        };
        // Who comes first, the one who waits or the news, is left to chance.
        let (first, second) = (waits(0), waits(0));
        let version = done(&*opened, &key, Expect::Absent, VALUE, at(10), at(0)).await;
        soon("both learn that it is there", async { (first.await.unwrap(), second.await.unwrap()) }).await;
        soon("who knows less is told at once", opened.changed(&key, 0, PATIENCE * 2)).await;

        let waiting = waits(version);
        if round % 2 == 0 {
            tokio::task::yield_now().await;
        }
        let next = done(&*opened, &key, Expect::Version(version), OTHER, at(10), at(0)).await;
        soon("of another version", waiting).await.unwrap();

        let waiting = waits(next);
        assert_eq!(opened.remove(&key, at(0)).await, Ok(true));
        soon("of its end", waiting).await.unwrap();
    }
}

pub async fn patience_ends(stage: Stage) {
    let store = stage.store().await;
    let key = session(1);
    let version = done(&*store, &key, Expect::Absent, VALUE, at(10), at(0)).await;
    soon("nothing changes", store.changed(&key, version, Duration::from_millis(5))).await;
    soon("nothing comes", store.changed(&session(2), 0, Duration::from_millis(5))).await;
    soon("no patience at all", store.changed(&key, version, Duration::ZERO)).await;

    // It may return early for no reason; who waits in a loop must not burn a processor by that.
    let begun = Instant::now();
    let mut returns = 0;
    while begun.elapsed() < Duration::from_millis(200) {
        store.changed(&key, version, Duration::from_millis(200)).await;
        returns += 1;
    }
    assert!(returns < 50, "{returns} returns in 200 ms in which nothing changed");
}
