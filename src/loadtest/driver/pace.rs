//! When each request of an open load is due, and how it is woken on time.
//!
//! A thread of its own keeps the time: timers of the runtime are as coarse as a millisecond, which is more than what is to be
//! measured. Requests that nobody has a connection for wait in a queue, and their latency has begun meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::domain::Stopwatch;
use crate::loadtest::plan::LoadPlan;

/// A request that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    /// Which one.
    pub(super) number: u64,
    /// When it was due, in nanoseconds of the stopwatch.
    pub(super) at: u64,
}

/// Requests that may wait for a connection. More than that and the load is beyond what the proxy, or this machine, can do.
pub(super) const QUEUE: usize = 100_000;

/// When request `number` of a load at `rate` a second is due, in nanoseconds from its start.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers are bounded by the plan, and nanoseconds of an hour are exact in a double"
)]
pub(super) fn due(number: u64, rate: f64) -> u64 {
    (number as f64 * 1e9 / rate) as u64
}

/// Keeps the time for `plan` at `rate` until everything was due or `stop` is set; returns how many found the queue full.
pub(super) fn keep(plan: &LoadPlan, rate: f64, stopwatch: &Arc<dyn Stopwatch>, queue: &mpsc::Sender<Due>, stop: &AtomicBool) -> u64 {
    /// The system wakes us this much late at least.
    const EARLY: u64 = 60_000;
    let start = stopwatch.nanos();
    let end = u64::try_from(plan.duration.as_nanos()).unwrap_or(u64::MAX);
    let mut unsent = 0;
    for number in 0..plan.requests {
        let from_start = due(number, rate);
        if end <= from_start || stop.load(Ordering::Relaxed) {
            break;
        }
        let at = start.saturating_add(from_start);
        loop {
            let now = stopwatch.nanos();
            match at.checked_sub(now) {
                None | Some(0) => break,
                Some(wait) if EARLY < wait => std::thread::sleep(Duration::from_nanos((wait - EARLY).min(50_000_000))),
                Some(_) => std::thread::yield_now(),
            }
            if stop.load(Ordering::Relaxed) {
                return unsent;
            }
        }
        unsent += u64::from(queue.try_send(Due { number, at }).is_err());
    }
    unsent
}

#[cfg(test)]
mod tests {
    use super::due;

    #[test]
    fn requests_are_due_at_a_constant_rate() {
        let cases = [
            // number, rate, nanoseconds, what the row shows
            (0, 1_000.0, 0, "the first at once"),
            (1, 1_000.0, 1_000_000, "a millisecond later"),
            (3_600_000, 1_000.0, 3_600_000_000_000, "no drift over an hour"),
            (1, 3.0, 333_333_333, "a rate that does not divide a second"),
            (3, 3.0, 1_000_000_000, "and still none is lost"),
            (1, 0.5, 2_000_000_000, "less than one a second"),
        ];
        for (number, rate, expected, shows) in cases {
            assert_eq!(due(number, rate), expected, "{shows}");
        }
    }
}
