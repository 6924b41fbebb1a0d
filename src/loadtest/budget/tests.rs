//! Tests for budgets: how they are read, and that both sides of a bound are told apart.

use std::time::Duration;

use super::Budget;
use crate::loadtest::lane::{Expected, Outcome};
use crate::loadtest::measure::tally::{Event, Tally};

#[test]
fn a_budget_is_read_whole_or_refused_with_what_would_be_right() {
    let cases = [
        // text, part of the reason if there is one, what the row shows
        ("p99_added<200us,errors==0", None, "as in the manual"),
        (" p99.9 <= 1.5 ms , rate >= 1000 ", None, "spaces are no matter, nor is the point of a percentile"),
        ("p999_cold_added<2ms", None, "a cold one"),
        ("p9999_bare<1s,max<10s", None, "the far end"),
        ("let_through==0,wrong==0,undecided==0,failed==0,unsent==0,requests>1", None, "every count"),
        ("p99_ratio<2,p50_cold_ratio<=3.5", None, "as a multiple of what it takes without"),
        ("p99_ratio<2ms", Some("a ratio has no unit"), "a multiple is not measured in time"),
        ("rate_ratio<2", Some("no figure `rate_ratio`"), "there is no rate without"),
        ("", Some("no condition"), "no text"),
        ("p99_added", Some("no condition"), "no comparison"),
        ("p99_added=200us", Some("one of < <= > >= =="), "one sign is not two"),
        ("p99_added<", Some("no number"), "no bound"),
        ("p99_added<fast", Some("no number"), "no number"),
        ("p99_added<nanus", Some("no number"), "what a number may be called is none"),
        ("p99_added<200", Some("has a unit"), "no unit: nobody knows which"),
        ("p99_added<200m", Some("ns, us, ms or s"), "another unit"),
        ("errors<1ms", Some("has no unit"), "errors are not measured in time"),
        ("p98_added<1ms", Some("no figure `p98_added`"), "a percentile nobody counts"),
        ("p99_more<1ms", Some("known: p50"), "and what there is instead"),
        ("errors==0,,", Some("no condition"), "an empty condition"),
    ];
    for (text, expected, shows) in cases {
        match (text.parse::<Budget>(), expected) {
            (Ok(_), None) => {}
            (Err(why), Some(part)) => assert!(why.contains(part), "{shows}: {why}"),
            (other, _) => panic!("{shows}: {other:?}"),
        }
    }
}

#[test]
fn conditions_hold_on_one_side_of_their_bound_and_what_was_not_measured_holds_never() {
    let mut tally = Tally::fresh(&[], Duration::from_secs(1)).unwrap();
    let event = Event {
        turn: None,
        number: 0,
        first: false,
        outcome: Outcome::Right,
        expected: Expected::Passes,
        status: Some(200),
        latency: 0,
        at: 0,
    };
    (0..100).for_each(|_| tally.count(&event));
    tally.count(&Event { outcome: Outcome::Failed, status: None, ..event });
    tally.unsent = 2;
    (0..100).for_each(|_| tally.with.record(1_000_000));
    (0..100).for_each(|_| tally.without.record(600_000));
    tally.end(Duration::from_secs(1));
    let cases = [
        // condition, whether it holds, what the row shows
        ("p99_added<500us", true, "400 µs are less"),
        ("p99_added<300us", false, "and not less"),
        ("p99<=1.1ms", true, "a latency by itself"),
        ("p99_bare>700us", false, "without a credential"),
        ("p99_cold<1s", false, "nothing cold was measured"),
        ("p50_cold_added<1s", false, "so nothing can be said of what it adds"),
        ("p99_ratio<1.7", true, "five thirds"),
        ("p99_ratio<1.6", false, "and not less"),
        ("p99_cold_ratio<100", false, "nothing cold was measured here either"),
        ("errors==3", true, "one that failed and two that were never sent"),
        ("errors<3", false, "the bound itself is not less"),
        ("errors<=3", true, "but at most"),
        ("failed==1,unsent==2", true, "each by itself"),
        ("let_through==0", true, "nobody was"),
        ("requests>=101", true, "as many as there were"),
        ("rate>101", false, "not more than that a second"),
    ];
    for (text, expected, shows) in cases {
        let held = text.parse::<Budget>().unwrap().hold(&tally);
        assert_eq!(held.iter().all(|held| held.holds), expected, "{shows}: {held:?}");
    }
}
