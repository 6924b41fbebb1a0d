//! Tests for what is sent in which order, and for what must come of it.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use super::{Answer, Deck, Expected, Lasting, Maker, Outcome, Shot, Supply};
use crate::domain::{Seconds, Timestamp};

#[test]
fn an_answer_is_right_only_when_it_is_what_must_come() {
    let cases = [
        // expected, status, forwarded, outcome, what the row shows
        (Expected::Passes, 200, Some(true), Outcome::Right, "it reached the upstream"),
        (Expected::Passes, 200, Some(false), Outcome::Wrong, "a good answer that the upstream did not give"),
        (Expected::Passes, 401, Some(false), Outcome::Wrong, "turned away"),
        (Expected::Passes, 404, Some(true), Outcome::Wrong, "the upstream itself did not like it"),
        (Expected::Passes, 503, Some(false), Outcome::Undecided, "nobody could say"),
        (Expected::Passes, 429, None, Outcome::Undecided, "too much for now"),
        (Expected::Passes, 200, None, Outcome::Right, "nothing tells who answered: the status does"),
        (Expected::Passes, 401, None, Outcome::Wrong, "turned away, by its status"),
        (Expected::Refused, 401, Some(false), Outcome::Right, "refused"),
        (Expected::Refused, 200, Some(false), Outcome::Right, "refused in the words of a system that always says 200"),
        (Expected::Refused, 200, Some(true), Outcome::LetThrough, "let through"),
        (Expected::Refused, 500, Some(true), Outcome::LetThrough, "let through, whatever the upstream made of it"),
        (Expected::Refused, 200, None, Outcome::LetThrough, "let through, by its status"),
        (Expected::Refused, 503, Some(false), Outcome::Undecided, "not let through, but not refused either"),
        (Expected::Refused, 429, Some(false), Outcome::Undecided, "nor is that"),
        (Expected::Served, 201, Some(false), Outcome::Right, "the proxy has granted it"),
        (Expected::Served, 200, None, Outcome::Right, "by its status"),
        (Expected::Served, 200, Some(true), Outcome::Wrong, "it was none of the upstream's business"),
        (Expected::Served, 401, Some(false), Outcome::Wrong, "turned away"),
        (Expected::Served, 503, Some(false), Outcome::Undecided, "nobody could say"),
        (Expected::Unserved, 401, Some(false), Outcome::Right, "refused"),
        (Expected::Unserved, 201, Some(false), Outcome::LetThrough, "granted to whom it must not be, by the proxy itself"),
        (Expected::Unserved, 500, Some(true), Outcome::LetThrough, "it reached an upstream"),
        (Expected::Unserved, 503, None, Outcome::Undecided, "not granted, but not refused either"),
        (Expected::Status(403), 403, Some(false), Outcome::Right, "the status named"),
        (Expected::Status(403), 401, None, Outcome::Wrong, "another"),
        (Expected::Status(403), 200, None, Outcome::LetThrough, "a refusal was named, and it went through"),
        (Expected::Status(204), 200, None, Outcome::Wrong, "no refusal was named"),
        (Expected::Status(204), 502, None, Outcome::Undecided, "a fault behind the proxy"),
    ];
    for (expected, status, forwarded, outcome, shows) in cases {
        assert_eq!(expected.compare(Answer { status, forwarded }), outcome, "{shows}");
    }
}

#[test]
fn arms_take_turns_by_weight_and_spread_out() {
    let deck = Deck::dealt(&[((0, 0), 4), ((0, 1), 2), ((1, 0), 2)]).unwrap();
    let turns: Vec<(usize, usize)> = (0..8).filter_map(|turn| deck.turn(turn)).collect();
    for (arm, times) in [((0, 0), 4), ((0, 1), 2), ((1, 0), 2)] {
        assert_eq!(turns.iter().filter(|turn| **turn == arm).count(), times, "each as often as its weight says: {turns:?}");
    }
    assert!(turns.windows(3).all(|three| three.iter().any(|turn| *turn != (0, 0))), "none three times in a row: {turns:?}");
    assert_eq!(deck.turn(0), deck.turn(4), "weights without a common divisor: 2, 1, 1, and then again");
    assert_eq!(Deck::dealt(&[]), None, "nothing to send");
}

/// Makes requests that say whose they are and when they were made.
struct Telling;

impl Maker for Telling {
    fn make(&self, number: u64, now: Timestamp) -> Result<Shot, String> {
        Request::builder().uri(format!("/{number}/{}", now.0)).body(Full::new(Bytes::new())).map_err(|error| error.to_string())
    }
}

#[test]
fn credentials_are_presented_for_as_long_as_they_are_good_and_single_ones_once() {
    let said = |supply: &Supply, now| {
        let drawn = supply.draw(Timestamp(now)).unwrap();
        (drawn.shot.uri().to_string(), drawn.first)
    };
    let pool = Supply::new(Box::new(Telling), Lasting::For(Seconds(10)), 2);
    pool.prepare(Timestamp(100)).unwrap();
    assert_eq!(said(&pool, 100), ("/0/100".to_owned(), true), "the first caller, for the first time");
    assert_eq!(said(&pool, 100), ("/1/100".to_owned(), true), "the second");
    assert_eq!(said(&pool, 109), ("/0/100".to_owned(), false), "the first again, in the last good second");
    assert_eq!(said(&pool, 110), ("/1/110".to_owned(), true), "made anew once it has run out");
    pool.renew();
    assert_eq!(said(&pool, 111), ("/0/111".to_owned(), true), "and when it is asked for");
    let once = Supply::new(Box::new(Telling), Lasting::Once, 2);
    assert_eq!(said(&once, 7), ("/0/7".to_owned(), true), "a single one");
    assert_eq!(said(&once, 7), ("/1/7".to_owned(), true), "another each time");
    assert_eq!(said(&once, 7), ("/2/7".to_owned(), true), "however many callers there are");
}
