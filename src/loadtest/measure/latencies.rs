//! Latencies in a histogram of high dynamic range: every percentile to three digits, in a fixed amount of memory.

use hdrhistogram::Histogram;

/// Percentiles that are reported, with their names.
pub const PERCENTILES: [(&str, f64); 6] = [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9), ("p99.99", 99.99), ("max", 100.0)];

/// Latencies in nanoseconds.
#[derive(Debug, Clone)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// The longest latency that is told apart from a longer one, in nanoseconds: two minutes.
    const LONGEST: u64 = 120_000_000_000;

    /// None yet.
    ///
    /// # Errors
    ///
    /// The library makes no histogram.
    pub fn fresh() -> Result<Self, String> {
        Histogram::new_with_bounds(1, Self::LONGEST, 3).map(Self).map_err(|error| format!("no histogram: {error}"))
    }

    /// One more, in nanoseconds.
    pub fn record(&mut self, nanos: u64) {
        self.0.saturating_record(nanos);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that `percentile` (0 to 100) of all stay within, in nanoseconds; `None` when there are none.
    #[must_use]
    pub fn at(&self, percentile: f64) -> Option<u64> {
        (!self.0.is_empty()).then(|| self.0.value_at_percentile(percentile))
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.reset();
    }

    /// Takes over what `other` holds.
    pub fn add(&mut self, other: &Self) {
        // Both have the same bounds, so nothing is left out.
        let _ = self.0.add(&other.0);
    }
}

/// `nanos` for people: `840 ns`, `12.3 µs`, `4.56 ms`, `1.20 s`; with its sign.
#[must_use]
pub fn shown(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let size = nanos.unsigned_abs();
    #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
    let as_float = size as f64;
    match size {
        0..1_000 => format!("{sign}{size} ns"),
        1_000..1_000_000 => format!("{sign}{:.1} µs", as_float / 1e3),
        1_000_000..1_000_000_000 => format!("{sign}{:.2} ms", as_float / 1e6),
        _ => format!("{sign}{:.2} s", as_float / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::{Latencies, shown};

    #[test]
    fn percentiles_are_exact_to_three_digits_and_none_is_made_up() {
        let mut latencies = Latencies::fresh().unwrap();
        assert_eq!(latencies.at(50.0), None, "there is no latency of nothing");
        (1..=1_000).for_each(|micros| latencies.record(micros * 1_000));
        for (percentile, micros) in [(50.0, 500_u64), (99.0, 990), (100.0, 1_000)] {
            let actual = latencies.at(percentile).unwrap();
            assert!(actual.abs_diff(micros * 1_000) <= micros, "{percentile}: {actual} is not within a thousandth of {micros} µs");
        }
        latencies.record(u64::MAX);
        assert_eq!(latencies.count(), 1_001, "what is longer than the longest is counted as that");
        latencies.clear();
        assert_eq!(latencies.count(), 0);
    }

    #[test]
    fn latencies_are_shown_in_the_unit_that_fits() {
        let cases =
            [(0, "0 ns"), (999, "999 ns"), (1_000, "1.0 µs"), (-12_345, "-12.3 µs"), (1_000_000, "1.00 ms"), (1_500_000_000, "1.50 s")];
        for (nanos, expected) in cases {
            assert_eq!(shown(nanos), expected);
        }
    }
}
