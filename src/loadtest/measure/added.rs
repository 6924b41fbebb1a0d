//! What authenticating adds: the difference between two latencies of one run, and how far that difference is to be trusted.
//!
//! Requests with and without a credential take turns on the same connections, so whatever else happens to the machine happens
//! to both. The same difference taken slice by slice shows its spread: where that is wider than the difference, nothing was
//! measured but noise.

use crate::loadtest::measure::latencies::{Latencies, PERCENTILES};
use crate::loadtest::measure::tally::{Slice, Tally};

/// What is added at one percentile, in nanoseconds; negative where noise hides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// The percentile's name.
    pub name: &'static str,
    /// With a credential that was seen before.
    pub with: i64,
    /// Without one.
    pub without: i64,
    /// The difference.
    pub added: i64,
}

impl Added {
    /// How many times as long it takes with a credential; `None` where it takes no time without one.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "latencies are far below what a double holds exactly")]
    pub fn ratio(&self) -> Option<f64> {
        (0 < self.without).then(|| self.with as f64 / self.without as f64)
    }
}

/// The same difference, slice by slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// The percentile's name.
    pub name: &'static str,
    /// Slices in which both were measured.
    pub slices: usize,
    /// A quarter of them had less.
    pub low: i64,
    /// Half of them.
    pub median: i64,
    /// Three quarters.
    pub high: i64,
}

/// What is added at each percentile; empty where one of the two was not measured.
#[must_use]
pub fn added(with: &Latencies, without: &Latencies) -> Vec<Added> {
    let signed = |nanos: u64| i64::try_from(nanos).unwrap_or(i64::MAX);
    PERCENTILES
        .into_iter()
        .filter_map(|(name, percentile)| {
            let (with, without) = (signed(with.at(percentile)?), signed(without.at(percentile)?));
            Some(Added { name, with, without, added: with.saturating_sub(without) })
        })
        .collect()
}

/// The spread of p50 and p99 over the slices of `tally`; empty with less than two of them.
#[must_use]
pub fn spread(tally: &Tally) -> Vec<Spread> {
    let p50 = |both: (u64, u64)| both.0;
    let p99 = |both: (u64, u64)| both.1;
    [quartiles("p50", &tally.slices, p50), quartiles("p99", &tally.slices, p99)].into_iter().flatten().collect()
}

fn quartiles(name: &'static str, slices: &[Slice], of: fn((u64, u64)) -> u64) -> Option<Spread> {
    let signed = |nanos: u64| i64::try_from(nanos).unwrap_or(i64::MAX);
    let mut differences: Vec<i64> =
        slices.iter().filter_map(|slice| Some(signed(of(slice.with?)).saturating_sub(signed(of(slice.without?))))).collect();
    differences.sort_unstable();
    let at = |quarter: usize| differences.get((differences.len() - 1) * quarter / 4).copied();
    match differences.len() {
        0 | 1 => None,
        slices => Some(Spread { name, slices, low: at(1)?, median: at(2)?, high: at(3)? }),
    }
}

#[cfg(test)]
mod tests {
    use super::{Added, added, quartiles};
    use crate::loadtest::measure::latencies::Latencies;
    use crate::loadtest::measure::tally::Slice;

    #[test]
    fn what_is_added_is_the_difference_at_each_percentile() {
        let (mut with, mut without) = (Latencies::fresh().unwrap(), Latencies::fresh().unwrap());
        assert!(added(&with, &without).is_empty(), "nothing was measured");
        (0..1_000).for_each(|_| without.record(100_000));
        assert!(added(&with, &without).is_empty(), "one of the two was not");
        (0..1_000).for_each(|_| with.record(130_000));
        let p99 = added(&with, &without).into_iter().find(|added| added.name == "p99").unwrap();
        assert!((29_700..30_300).contains(&p99.added), "thirty microseconds: {p99:?}");
        let ratio = p99.ratio().unwrap();
        assert!((1.29..1.31).contains(&ratio), "a third longer: {ratio}");
        assert_eq!(Added { without: 0, ..p99 }.ratio(), None, "nothing is a multiple of nothing");
        let less = added(&without, &with);
        assert!(less.iter().all(|added| added.added < 0), "a difference may be negative, and is told as it is: {less:?}");
    }

    #[test]
    fn the_spread_is_told_over_slices_that_have_both() {
        let slice = |with: Option<u64>, without: u64| Slice {
            with: with.map(|with| (with, with)),
            without: Some((without, without)),
            ..Slice::default()
        };
        let slices: Vec<Slice> = (1..=5).map(|more| slice(Some(100 + more), 100)).chain([slice(None, 100)]).collect();
        let spread = quartiles("p50", &slices, |both| both.0).unwrap();
        assert_eq!((spread.slices, spread.low, spread.median, spread.high), (5, 2, 3, 4), "quartiles of 1 to 5");
        assert_eq!(quartiles("p50", &slices[..1], |both| both.0), None, "one slice has no spread");
    }
}
