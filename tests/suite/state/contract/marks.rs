//! What a store must keep about what was spent. Attack F2: one credential, many at once.

use std::sync::Arc;

use countersign::domain::Outage;
use countersign::state::contract::Burned;
use tokio::task::JoinSet;

use crate::state::contract::{Stage, at, burn, soon};

pub async fn a_key_is_spent_once(stage: Stage) {
    let store = stage.store().await;
    let rows = [
        // number, made, until, now, expected, what the row shows
        (9, -1, 100, 10, Burned::Forgotten, "made a second before the store's memory begins"),
        (9, -1, 100, 10, Burned::Forgotten, "and it stays so"),
        (1, 0, 100, 10, Burned::First, "made in the first second that is remembered"),
        (1, 0, 100, 10, Burned::Again, "spent"),
        (1, 5, 900, 10, Burned::Again, "spent, whatever else is said of it"),
        (1, 0, 100, 99, Burned::Again, "the second before the mark's end"),
        (1, 0, 100, 100, Burned::Again, "the last second of the mark"),
        (2, 0, 100, 100, Burned::First, "another one in the last second of its time"),
        (3, 0, 99, 100, Burned::Again, "one that has ended is no longer spendable"),
        (4, 0, i64::MAX / 4, 100, Burned::First, "one that never ends"),
        (4, 0, i64::MAX / 4, 100, Burned::Again, "nor is it forgotten"),
        (1, 0, 100, 101, Burned::Again, "long after"),
    ];
    for (number, made, until, now, expected, shows) in rows {
        assert_eq!(store.burn(&burn(number, made, until), at(now)).await, Ok(expected), "{shows}");
    }
}

pub async fn of_any_number_at_once_one_is_first(stage: Stage) {
    const KEYS: u64 = 20;
    const EACH: usize = 40;
    let opened = stage.store().await;
    let mut tasks = JoinSet::new();
    for round in 0..EACH {
        for number in 0..KEYS {
            let store = Arc::clone(&opened.store);
            // Callers need not agree on the time, nor on the end.
            let (until, now) = (100 + i64::try_from(round).unwrap(), i64::try_from(round % 3).unwrap());
            tasks.spawn(async move { (number, store.burn(&burn(number, 0, until), at(now)).await) });
        }
    }
    let mut first = vec![0; usize::try_from(KEYS).unwrap()];
    let outcomes = soon("all are answered", tasks.join_all()).await;
    for (number, outcome) in outcomes {
        match outcome {
            Ok(Burned::First) => first[usize::try_from(number).unwrap()] += 1,
            other => assert_eq!(other, Ok(Burned::Again)),
        }
    }
    assert!(first.iter().all(|count| *count == 1), "each key exactly once: {first:?}");
}

pub async fn a_clock_set_back_revives_nothing(stage: Stage) {
    let store = stage.store().await;
    for number in 0..300 {
        assert_eq!(store.burn(&burn(number, 0, 100), at(10)).await, Ok(Burned::First), "{number}");
    }
    // Enough of the present for a store to find that all of the past is over, and to throw it away.
    for number in 1_000..1_300 {
        assert_eq!(store.burn(&burn(number, 101, 900), at(101)).await, Ok(Burned::First), "{number}");
    }
    for now in [10, 50, 100] {
        for number in 0..300 {
            assert_eq!(store.burn(&burn(number, 0, 100), at(now)).await, Ok(Burned::Again), "{number} with the clock back at {now}");
        }
    }
}

pub async fn a_full_store_refuses_and_forgets_nothing(stage: Stage) {
    if !stage.kind.counts() {
        return;
    }
    let store = stage.store_of(3).await;
    let rows = [
        // number, made, until, now, expected, what the row shows
        (1, 0, 50, 10, Ok(Burned::First), "room for three"),
        (2, 0, 60, 10, Ok(Burned::First), "two"),
        (3, 0, 70, 10, Ok(Burned::First), "three"),
        (4, 0, 80, 10, Err(Outage::State), "full"),
        (1, 0, 50, 50, Ok(Burned::Again), "and nothing made room for it"),
        (4, 0, 80, 50, Err(Outage::State), "full through the last second of the first mark"),
        (4, 0, 80, 51, Ok(Burned::First), "whose end makes room"),
        (5, 0, 80, 51, Err(Outage::State), "for one"),
        (2, 0, 60, 51, Ok(Burned::Again), "the others stand"),
        (3, 0, 70, 51, Ok(Burned::Again), "all of them"),
        (1, 0, 50, 20, Ok(Burned::Again), "what made room does not come back, even if the clock does"),
        (5, 0, 900, 500, Ok(Burned::First), "after all of their ends"),
        (6, 0, 900, 500, Ok(Burned::First), "there is room"),
        (7, 0, 900, 500, Ok(Burned::First), "for three"),
        (8, 0, 900, 500, Err(Outage::State), "again"),
    ];
    for (number, made, until, now, expected, shows) in rows {
        assert_eq!(store.burn(&burn(number, made, until), at(now)).await, expected, "{shows}");
    }
}

pub async fn a_caller_who_goes_away_spends_at_most_once(stage: Stage) {
    let opened = stage.store().await;
    for number in 0..100 {
        let store = Arc::clone(&opened.store);
        let gone = tokio::spawn(async move { store.burn(&burn(number, 0, 100), at(1)).await });
        if number % 2 == 0 {
            tokio::task::yield_now().await;
        }
        gone.abort();
        let first = matches!(gone.await, Ok(Ok(Burned::First)));
        let mut firsts = usize::from(first);
        for _ in 0..3 {
            match opened.burn(&burn(number, 0, 100), at(1)).await {
                Ok(Burned::First) => firsts += 1,
                other => assert_eq!(other, Ok(Burned::Again)),
            }
        }
        assert!(firsts <= 1, "{number} was spent {firsts} times");
    }
}
