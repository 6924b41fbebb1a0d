//! What a store must keep over its own end, or must know that it has lost. Attack F4: a restart between two uses.

use bytes::Bytes;
use countersign::state::contract::{Burned, Cursor, Expect, StateStore, Written};

use crate::state::contract::{Opened, Stage, at, burn, session};

pub async fn a_store_answers(stage: Stage) {
    assert_eq!(stage.store().await.ping().await, Ok(()));
}

async fn write(store: &dyn StateStore, number: u64, expect: Expect, now: i64) -> u64 {
    match store.write(&session(number), expect, Bytes::from_static(b"value"), at(900), at(now)).await.unwrap() {
        Written::Done { version } => version,
        other => panic!("not written: {other:?}"),
    }
}

pub async fn what_was_answered_outlives_the_store(stage: Stage) {
    if !stage.kind.lasts() {
        return;
    }
    let mut opened: Opened = stage.store().await;
    let mut version = 0;
    let mut cursor = Cursor::default();
    for round in 0..4_u64 {
        let now = i64::try_from(round).unwrap() * 100;
        for number in 0..20 {
            let spent = burn(round * 100 + number, now, 900);
            assert_eq!(opened.burn(&spent, at(now)).await, Ok(Burned::First), "{number} of {round}");
        }
        let written = write(&*opened, round, Expect::Absent, now).await;
        assert!(version < written, "versions grow over the end of a store: {written} after {version}");
        version = written;
        opened.append(Bytes::from(round.to_string()), at(900), at(now)).await.unwrap();
        let page = opened.since(cursor, at(now)).await.unwrap();
        assert_eq!(page.entries.len(), 1, "a cursor is good over the end of a store");
        assert!(round == 0 || page.cursor.life == cursor.life, "the life is the same");
        cursor = page.cursor;
        // Removed last, and so the last thing that a store does.
        write(&*opened, 1_000 + round, Expect::Absent, now).await;
        assert_eq!(opened.remove(&session(1_000 + round), at(now)).await, Ok(true));

        opened = opened.again(now + 50).await;
        for earlier in 0..=round {
            for number in 0..20 {
                let spent = burn(earlier * 100 + number, now, 900);
                assert_eq!(opened.burn(&spent, at(now + 50)).await, Ok(Burned::Again), "{number} of {earlier} after {round}");
            }
            assert!(opened.read(&session(earlier), at(now + 50)).await.unwrap().is_some(), "record {earlier} after {round}");
            assert_eq!(opened.read(&session(1_000 + earlier), at(now + 50)).await, Ok(None), "what was removed stays so");
        }
        let unspent = burn(round * 100 + 99, now, 900);
        assert_eq!(opened.burn(&unspent, at(now + 50)).await, Ok(Burned::First), "made before this start, and after the memory begins");
        let all = opened.since(Cursor::default(), at(now + 50)).await.unwrap().entries;
        assert_eq!(all.len(), usize::try_from(round).unwrap() + 1, "the whole log");
    }
    let opened = opened.again(1_000).await;
    assert_eq!(opened.burn(&burn(0, 0, 900), at(100)).await, Ok(Burned::Again), "also when the clock was set back over its end");
    assert_eq!(opened.burn(&burn(7_777, -1, 900), at(100)).await, Ok(Burned::Forgotten), "the memory begins when it began");
}

pub async fn a_store_that_lost_its_memory_knows(stage: Stage) {
    if stage.kind.lasts() {
        return;
    }
    let opened = stage.store().await;
    assert_eq!(opened.burn(&burn(1, 0, 900), at(10)).await, Ok(Burned::First));
    let opened = opened.again(100).await;
    let rows = [
        // number, made, expected, what the row shows
        (1, 0, Burned::Forgotten, "spent before"),
        (2, 99, Burned::Forgotten, "made before: nobody knows"),
        (3, 100, Burned::First, "made since"),
    ];
    for (number, made, expected, shows) in rows {
        assert_eq!(opened.burn(&burn(number, made, 900), at(100)).await, Ok(expected), "{shows}");
    }
}
