//! Tests for what is counted.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use super::{Event, Tally};
use crate::domain::Timestamp;
use crate::loadtest::lane::{Arm, Expected, Lane, Lasting, Maker, Outcome, Shot, Supply};
use crate::loadtest::mix::Kind;

struct Empty;

impl Maker for Empty {
    fn make(&self, _: u64, _: Timestamp) -> Result<Shot, String> {
        Ok(Request::new(Full::new(Bytes::new())))
    }
}

fn lanes() -> Vec<Lane> {
    let arm = |kind, expected| Arm { kind, expected, weight: 1, supply: Supply::new(Box::new(Empty), Lasting::Once, 1) };
    vec![Lane {
        name: Arc::from("users · user"),
        scheme: Arc::from("jwt"),
        arms: vec![arm(Kind::Good, Expected::Passes), arm(Kind::Forged, Expected::Refused)],
    }]
}

fn event(turn: Option<(usize, usize)>, outcome: Outcome) -> Event {
    let expected = if turn == Some((0, 1)) { Expected::Refused } else { Expected::Passes };
    Event { turn, number: 7, first: false, outcome, expected, status: Some(200), latency: 1_000, at: 0 }
}

#[test]
fn latency_is_counted_where_it_belongs() {
    let mut tally = Tally::fresh(&lanes(), Duration::from_secs(1)).unwrap();
    tally.count(&Event { first: true, ..event(Some((0, 0)), Outcome::Right) });
    tally.count(&event(Some((0, 0)), Outcome::Right));
    tally.count(&event(Some((0, 0)), Outcome::Wrong));
    tally.count(&event(Some((0, 1)), Outcome::Right));
    tally.count(&event(None, Outcome::Right));
    tally.end(Duration::from_secs(1));
    assert_eq!(tally.cold.count(), 1, "a credential's first use is cold");
    assert_eq!(tally.with.count(), 1, "later uses are warm; a wrong verdict is no latency of a good one, a refusal neither");
    assert_eq!(tally.without.count(), 1, "what has no credential is counted apart");
    assert_eq!((tally.counts().all(), tally.errors()), (5, 1));
    assert!((tally.rate() - 5.0).abs() < f64::EPSILON, "five in a second");
}

#[test]
fn the_first_offender_of_each_sort_is_named_the_worst_first() {
    let mut tally = Tally::fresh(&lanes(), Duration::from_secs(1)).unwrap();
    tally.count(&event(Some((0, 0)), Outcome::Wrong));
    tally.count(&Event { number: 3, ..event(Some((0, 1)), Outcome::LetThrough) });
    tally.count(&Event { number: 4, ..event(Some((0, 1)), Outcome::LetThrough) });
    let told: Vec<(Outcome, Kind, u64)> = tally.offenders.iter().map(|each| (each.outcome, each.kind, each.number)).collect();
    assert_eq!(told, [(Outcome::LetThrough, Kind::Forged, 3), (Outcome::Wrong, Kind::Good, 7)]);
}

#[test]
fn slices_follow_the_time_and_their_number_is_bounded() {
    let mut tally = Tally::fresh(&lanes(), Duration::from_secs(40)).unwrap();
    for (seconds, outcome) in [(0, Outcome::Right), (2, Outcome::Failed), (1_000_000, Outcome::Right)] {
        tally.count(&Event { at: seconds * 1_000_000_000, ..event(Some((0, 0)), outcome) });
    }
    tally.end(Duration::from_secs(40));
    assert_eq!(tally.slices.len(), 40, "a second each, and no more than that, however late an answer is");
    let answers: Vec<u64> = tally.slices.iter().map(|slice| slice.answers).collect();
    assert_eq!((answers[0], answers[1], answers[2], answers[39]), (1, 0, 1, 1));
    assert_eq!(tally.slices[2].errors, 1, "where it happened");
    assert_eq!(tally.slices[1].with, None, "nothing was measured there, and nothing is made up");
}
