//! A histogram of durations that costs two atomic additions an observation.
//!
//! The library's own takes a lock and searches its bounds one by one; several observations a request would show.
//! Bounds are fixed: 1, 2 and 5 of each power of ten from 1 µs to 10 s.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Upper bounds in microseconds, each included; beyond the last is `+Inf`.
pub const BOUNDS_MICROS: [u64; 22] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000,
    5_000_000, 10_000_000,
];

/// Durations observed so far. Clones share what they count.
#[derive(Debug, Clone, Default)]
pub struct Durations(Arc<Buckets>);

#[derive(Debug, Default)]
struct Buckets {
    within: [AtomicU64; BOUNDS_MICROS.len()],
    beyond: AtomicU64,
    sum_micros: AtomicU64,
}

impl Durations {
    /// Takes note of one duration.
    pub fn observe_micros(&self, micros: u64) {
        let at = BOUNDS_MICROS.partition_point(|bound| *bound < micros);
        self.0.within.get(at).unwrap_or(&self.0.beyond).fetch_add(1, Ordering::Relaxed);
        self.0.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }
}

impl TypedMetric for Durations {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), fmt::Error> {
        let bounds = BOUNDS_MICROS.into_iter().map(seconds).chain([f64::INFINITY]);
        let counts = self.0.within.iter().chain([&self.0.beyond]).map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        // The count is taken from the very buckets that are shown, so that the two agree while others observe.
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = seconds(self.0.sum_micros.load(Ordering::Relaxed));
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

/// Microseconds as seconds; exact enough for 285 years of them.
#[allow(clippy::cast_precision_loss, reason = "a sum of durations is read by people and rates, not compared for equality")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1_000_000.0
}
