//! The parts of a flight by themselves: the breaker, the cell, and what is sealed.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

use crate::domain::{Random, Secret, SpentKey, Timestamp, TokenPair, Value};
use crate::renew::flight::breaker::{Breaker, Caller, Permit, Temper};
use crate::renew::flight::cell::{Board, Boarding, Landed, Seat};
use crate::renew::flight::{pair, record, seal};

struct Fixed(u8);

impl Random for Fixed {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(self.0);
    }
}

fn full_pair() -> TokenPair {
    TokenPair {
        access: Secret::new(b"access".to_vec()),
        refresh: Some(Secret::new(b"refresh".to_vec())),
        access_until: Some(Timestamp(1_800_003_600)),
        refresh_until: Some(Timestamp(i64::MIN)),
        beside: Value::Map(Box::new([
            ("token_type".into(), Value::Text("Bearer".into())),
            ("ids".into(), Value::List(Box::new([Value::Int(-1), Value::Float(0.5), Value::Bool(true), Value::Bool(false), Value::Null]))),
            ("deep".into(), Value::Map(Box::new([("er".into(), Value::empty())]))),
        ])),
    }
}

/// Everything that `pair` says, opened for comparison.
fn opened(pair: &TokenPair) -> (Vec<u8>, Option<Vec<u8>>, Option<Timestamp>, Option<Timestamp>, Value) {
    let refresh = pair.refresh.as_ref().map(|refresh| refresh.expose().to_vec());
    (pair.access.expose().to_vec(), refresh, pair.access_until, pair.refresh_until, pair.beside.clone())
}

const KEY: SpentKey = SpentKey([3; 32]);
const ENDS: Timestamp = Timestamp(1_800_000_030);

#[test]
fn a_pair_comes_back_from_the_store_as_it_was() {
    let bare = TokenPair { refresh: None, access_until: None, refresh_until: None, beside: Value::empty(), ..full_pair() };
    for original in [full_pair(), bare] {
        let refresh = Secret::new(b"spent".to_vec());
        let sealed = seal::seal(&original, &KEY, &refresh, ENDS, &Fixed(1)).unwrap();
        let back = seal::open(&sealed, &KEY, &refresh, ENDS).unwrap();
        assert_eq!(opened(&back), opened(&original));
        assert!(back.access.len() + 32 + 16 < sealed.len(), "salt and tag are there");
        let again = seal::seal(&original, &KEY, &refresh, ENDS, &Fixed(2)).unwrap();
        assert_ne!(sealed[32..], again[32..], "another salt, another key: nothing repeats");
    }
}

#[test]
fn a_sealed_pair_opens_under_its_own_name_end_and_credential_only() {
    let refresh = Secret::new(b"spent".to_vec());
    let sealed = seal::seal(&full_pair(), &KEY, &refresh, ENDS, &Fixed(1)).unwrap();
    let rows = [
        // key, credential, end, opens, what the row shows
        (KEY, "spent", ENDS, true, "as it was sealed"),
        (SpentKey([4; 32]), "spent", ENDS, false, "under another name"),
        (KEY, "spend", ENDS, false, "with another credential"),
        (KEY, "", ENDS, false, "with none"),
        (KEY, "spent", Timestamp(ENDS.0 + 1), false, "a second longer"),
        (KEY, "spent", Timestamp(ENDS.0 - 1), false, "a second shorter"),
    ];
    for (key, credential, ends, opens, shows) in rows {
        let credential = Secret::new(credential.as_bytes().to_vec());
        assert_eq!(seal::open(&sealed, &key, &credential, ends).is_some(), opens, "{shows}");
    }
    for at in 0..sealed.len() {
        let mut changed = sealed.to_vec();
        changed[at] ^= 1;
        assert!(seal::open(&changed, &KEY, &refresh, ENDS).is_none(), "byte {at} was changed");
        assert!(seal::open(&sealed[..at], &KEY, &refresh, ENDS).is_none(), "cut to {at} bytes");
    }
}

#[test]
fn what_cannot_be_kept_is_not_sealed() {
    let deep = (0..9).fold(Value::empty(), |inner, _| Value::Map(Box::new([("in".into(), inner)])));
    let rows = [
        (TokenPair { access: Secret::new(vec![0; 255 * 1024]), ..full_pair() }, true, "a quarter of a megabyte just fits"),
        (TokenPair { access: Secret::new(vec![0; 256 * 1024]), ..full_pair() }, false, "more does not"),
        (TokenPair { beside: deep, ..full_pair() }, false, "nested too deep"),
        (TokenPair { beside: Value::Map(Box::new([("n".into(), Value::Float(f64::NAN))])), ..full_pair() }, false, "no number"),
    ];
    for (pair, fits, shows) in rows {
        let sealed = seal::seal(&pair, &KEY, &Secret::new(b"spent".to_vec()), ENDS, &Fixed(1));
        assert_eq!(sealed.is_some(), fits, "{shows}");
        let whole = sealed.map(|sealed| record::write(&super::protocol::Record::Done { sealed, ends: ENDS }));
        assert!(whole.is_none_or(|whole| record::read(&whole).is_some()), "{shows}: what is sealed can be read as a record");
    }
}

#[test]
fn a_name_has_one_renewer_and_one_credential() {
    let name = |renewer: &str, refresh: &str| seal::name(renewer, &Secret::new(refresh.as_bytes().to_vec())).0;
    assert_eq!(name("login", "secret"), name("login", "secret"), "equal on all nodes");
    for (renewer, refresh) in [("login", "secres"), ("logins", "ecret"), ("logi", "nsecret"), ("", "loginsecret"), ("loginsecret", "")] {
        assert_ne!(name(renewer, refresh), name("login", "secret"), "{renewer} {refresh}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(read) = record::read(&Bytes::from(bytes.clone())) {
            prop_assert_eq!(record::write(&read).to_vec(), bytes.clone(), "bytes have one reading");
        }
        if let Some(read) = pair::read(&bytes) {
            prop_assert_eq!(pair::write(&read).unwrap().to_vec(), bytes.clone(), "bytes have one reading");
        }
        prop_assert!(seal::open(&bytes, &KEY, &Secret::new(b"spent".to_vec()), ENDS).is_none());
    }

    #[test]
    fn a_damaged_pair_is_read_as_itself_or_not_at_all(at in 0_usize..160, to in any::<u8>()) {
        let mut bytes = pair::write(&full_pair()).unwrap().to_vec();
        let at = at % bytes.len();
        bytes[at] = to;
        if let Some(read) = pair::read(&bytes) {
            prop_assert_eq!(pair::write(&read).unwrap().to_vec(), bytes);
        }
    }
}

/// What one step of the breaker's table does.
enum Step {
    /// Somebody asks who has not asked before; whether they may.
    Ask(Result<(), i64>),
    /// The caller of this number asks.
    AskAs(u8, Result<(), i64>),
    /// The exchange asked for as number so many, from 0, ends well.
    Answered(usize),
    /// Or not; when to come again.
    Failed(usize, i64),
    /// Or is not made.
    Dropped(usize),
}

#[test]
fn a_breaker_opens_after_failures_in_a_row_and_lets_one_probe_through_at_a_time() {
    use Step::{Answered, Ask, AskAs, Dropped, Failed};
    // Without chance a pause is as long as it may be.
    let temper = Temper { failures: 3, pause: 1_000, longest: 5_000 };
    let rows: Vec<(&str, Vec<(i64, Step)>)> = vec![
        (
            "two failures and an answer do not open it, three in a row do",
            vec![
                (0, Ask(Ok(()))),
                (0, Failed(0, 1_000)),
                (1, Ask(Ok(()))),
                (1, Failed(1, 1_000)),
                (2, Ask(Ok(()))),
                (2, Answered(2)),
                (3, Ask(Ok(()))),
                (3, Failed(3, 1_000)),
                (4, Ask(Ok(()))),
                (4, Failed(4, 1_000)),
                (5, Ask(Ok(()))),
                (5, Failed(5, 1_000)),
                (6, Ask(Err(999))),
                (1_004, Ask(Err(1))),
                (1_005, Ask(Ok(()))),
                (1_005, Ask(Err(1_000))),
            ],
        ),
        (
            "each failed probe doubles the pause, up to the longest; an answer closes it",
            vec![
                (0, Ask(Ok(()))),
                (0, Ask(Ok(()))),
                (0, Ask(Ok(()))),
                (0, Failed(0, 1_000)),
                (0, Failed(1, 1_000)),
                (0, Failed(2, 1_000)),
                (1_000, Ask(Ok(()))),
                (1_000, Failed(3, 2_000)),
                (2_999, Ask(Err(1))),
                (3_000, Ask(Ok(()))),
                (3_000, Failed(4, 4_000)),
                (7_000, Ask(Ok(()))),
                (7_000, Failed(5, 5_000)),
                (12_000, Ask(Ok(()))),
                (12_000, Failed(6, 5_000)),
                (17_000, Ask(Ok(()))),
                (17_500, Answered(7)),
                (17_500, Ask(Ok(()))),
                (17_500, Failed(8, 1_000)),
                (17_500, Ask(Ok(()))),
            ],
        ),
        (
            "what was begun before it opened does not open it further, and what is not made frees the probe",
            vec![
                (0, Ask(Ok(()))),
                (0, Ask(Ok(()))),
                (0, Ask(Ok(()))),
                (0, Ask(Ok(()))),
                (0, Failed(0, 1_000)),
                (0, Failed(1, 1_000)),
                (0, Failed(2, 1_000)),
                (400, Failed(3, 600)),
                (1_000, Ask(Ok(()))),
                (1_000, Ask(Err(1_000))),
                (1_001, Dropped(4)),
                (1_001, Ask(Ok(()))),
            ],
        ),
        (
            "a late answer to what was begun before closes it, and the probe on its way cannot open it again by itself",
            vec![
                (0, Ask(Ok(()))),
                (0, Ask(Ok(()))),
                (0, Ask(Ok(()))),
                (0, Ask(Ok(()))),
                (0, Failed(0, 1_000)),
                (0, Failed(1, 1_000)),
                (0, Failed(2, 1_000)),
                (1_000, Ask(Ok(()))),
                (1_001, Answered(3)),
                (1_002, Failed(4, 1_000)),
                (1_002, Ask(Ok(()))),
            ],
        ),
        (
            "a clock that is set back does not keep it open",
            vec![
                (9_000_000, Ask(Ok(()))),
                (9_000_000, Ask(Ok(()))),
                (9_000_000, Ask(Ok(()))),
                (9_000_000, Failed(0, 1_000)),
                (9_000_000, Failed(1, 1_000)),
                (9_000_000, Failed(2, 1_000)),
                (0, Ask(Err(5_000))),
                (5_000, Ask(Ok(()))),
            ],
        ),
    ];
    let rows = rows.into_iter().chain([
        (
            "one caller who fails again and again is stopped, and nobody else is",
            vec![
                (0, AskAs(1, Ok(()))),
                (0, Failed(0, 1_000)),
                (1, AskAs(1, Ok(()))),
                (1, Failed(1, 1_000)),
                (2, AskAs(1, Ok(()))),
                (2, Failed(2, 1_000)),
                (3, AskAs(1, Err(999))),
                (3, AskAs(2, Ok(()))),
                (1_001, AskAs(1, Err(1))),
                (1_002, AskAs(1, Ok(()))),
                (1_002, AskAs(1, Err(1_000))),
                (1_002, Failed(4, 2_000)),
                (3_001, AskAs(1, Err(1))),
                (3_001, AskAs(3, Ok(()))),
                (3_002, AskAs(1, Ok(()))),
                (3_002, Failed(6, 4_000)),
                (7_002, AskAs(1, Ok(()))),
                (7_002, Failed(7, 5_000)),
                (12_001, AskAs(1, Err(1))),
                (12_002, AskAs(1, Ok(()))),
                (12_002, Answered(8)),
                (12_003, AskAs(1, Ok(()))),
                (12_003, Failed(9, 1_000)),
                (12_004, AskAs(1, Ok(()))),
            ],
        ),
        (
            "two callers who take turns count as two",
            vec![
                (0, AskAs(1, Ok(()))),
                (0, Failed(0, 1_000)),
                (0, AskAs(2, Ok(()))),
                (0, Failed(1, 1_000)),
                (1, AskAs(1, Ok(()))),
                (1, Failed(2, 1_000)),
                (1, AskAs(2, Ok(()))),
                (1, Failed(3, 1_000)),
                (2, AskAs(3, Ok(()))),
                (2, Failed(4, 1_000)),
                (3, AskAs(4, Err(999))),
            ],
        ),
        (
            "whoever has failed the exchange that decides does not decide next",
            vec![
                (0, Ask(Ok(()))),
                (0, Ask(Ok(()))),
                (0, AskAs(9, Ok(()))),
                (0, Failed(0, 1_000)),
                (0, Failed(1, 1_000)),
                (0, Failed(2, 1_000)),
                (1_000, AskAs(9, Ok(()))),
                (1_000, Failed(3, 2_000)),
                (3_000, AskAs(9, Err(2_000))),
                (3_000, AskAs(8, Ok(()))),
                (3_001, Answered(4)),
                (3_002, AskAs(7, Ok(()))),
                (4_999, AskAs(9, Err(1))),
                (5_000, AskAs(9, Ok(()))),
            ],
        ),
        (
            "a clock that is set back does not stop a caller for good",
            vec![
                (9_000_000, AskAs(1, Ok(()))),
                (9_000_000, Failed(0, 1_000)),
                (9_000_000, AskAs(1, Ok(()))),
                (9_000_000, Failed(1, 1_000)),
                (9_000_000, AskAs(1, Ok(()))),
                (9_000_000, Failed(2, 1_000)),
                (0, AskAs(1, Err(10_000))),
                (10_000, AskAs(1, Ok(()))),
            ],
        ),
    ]);
    for (shows, steps) in rows {
        let breaker = Breaker::new(temper);
        let mut permits: Vec<Option<Permit>> = Vec::new();
        for (now, step) in steps {
            match step {
                Ask(expected) | AskAs(_, expected) => {
                    let mut caller = [0; 32];
                    caller[0] = if let AskAs(caller, _) = step { caller } else { 100 + u8::try_from(permits.len()).unwrap() };
                    let permit = breaker.permit(Caller(caller), now);
                    assert_eq!(permit.as_ref().map(|_| ()).map_err(|wait| *wait), expected, "{shows}, at {now}");
                    permits.extend(permit.ok().map(Some));
                }
                Answered(number) => permits[number].take().unwrap().answered(),
                Failed(number, pause) => {
                    assert_eq!(permits[number].take().unwrap().failed(now, 0), pause, "{shows}, at {now}");
                }
                Dropped(number) => drop(permits[number].take()),
            }
        }
    }
}

#[test]
fn callers_who_fail_are_remembered_within_a_bound() {
    let breaker = Breaker::new(Temper { failures: 3, pause: 1_000, longest: 5_000 });
    let caller = |number: u32| {
        let mut name = [0; 32];
        name[..4].copy_from_slice(&number.to_be_bytes());
        Caller(name)
    };
    let fail = |number, now| breaker.permit(caller(number), now).map(|permit| permit.failed(now, 0));
    for _ in 0..3 {
        fail(0, 0).unwrap();
    }
    for number in 1..=5_000 {
        fail(number, 0).unwrap();
        breaker.permit(caller(0xffff), 0).unwrap().answered();
        assert_eq!(fail(0, 0), Err(1_000), "who is stopped stays so, however many others fail: {number}");
    }
    assert!(breaker.remembered() <= 1_024, "{}", breaker.remembered());
}

#[test]
fn a_pause_is_jittered_between_half_and_whole() {
    let mut seen = Vec::new();
    for chance in (0..=u32::MAX).step_by(65_537 * 97) {
        let breaker = Breaker::new(Temper { failures: 1, pause: 1_000, longest: 60_000 });
        seen.push(breaker.permit(Caller([1; 32]), 0).unwrap().failed(0, chance));
    }
    assert!(seen.iter().all(|pause| (500..=1_000).contains(pause)), "{seen:?}");
    assert!(seen.iter().any(|pause| *pause < 600) && seen.iter().any(|pause| 900 < *pause), "all of the range is used: {seen:?}");
}

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn first(board: &Board<u8, u8>, key: u8) -> (super::cell::Pilot<u8, u8>, Seat<u8>) {
    match board.board(&key) {
        Boarding::First(pilot, seat) => (pilot, seat),
        Boarding::Joined(_) | Boarding::Crowded => panic!("somebody is flying"),
    }
}

#[test]
fn a_seat_is_woken_once_and_a_pilot_that_goes_away_leaves_nobody_waiting() {
    for landing in [true, false] {
        let board: Board<u8, u8> = Board::new(2);
        let (pilot, own) = first(&board, 1);
        let Boarding::Joined(other) = board.board(&1) else { panic!("a seat") };
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        let (mut own, mut other) = (pin!(own), Box::pin(other));
        for seat in [own.as_mut(), other.as_mut()] {
            assert_eq!(seat.poll(&mut context), Poll::Pending);
        }
        drop(other);
        let expected = if landing {
            pilot.land(7);
            Landed::Brought(7)
        } else {
            drop(pilot);
            Landed::Lost
        };
        assert_eq!(woken.0.load(Ordering::SeqCst), 1, "who has gone away is not woken");
        assert_eq!(own.as_mut().poll(&mut context), Poll::Ready(expected));
        assert_eq!(board.flying(), 0, "the key is free");
        first(&board, 1);
    }
}

#[test]
fn a_board_holds_as_many_flights_as_it_may_and_any_number_of_seats() {
    let board: Board<u8, u8> = Board::new(1);
    let (pilot, _seat) = first(&board, 1);
    assert!(matches!(board.board(&2), Boarding::Crowded), "one more flight");
    assert!(matches!(board.board(&1), Boarding::Joined(_)), "one more seat");
    pilot.land(1);
    first(&board, 2);
}

#[test]
fn whoever_boards_after_a_landing_flies_anew() {
    let board: Board<u8, u8> = Board::new(1);
    let (pilot, seat) = first(&board, 1);
    pilot.land(7);
    let (_next, _own) = first(&board, 1);
    let mut seat: Pin<Box<Seat<u8>>> = Box::pin(seat);
    assert_eq!(
        seat.as_mut().poll(&mut Context::from_waker(Waker::noop())),
        Poll::Ready(Landed::Brought(7)),
        "its own seat is not the next one's"
    );
}
