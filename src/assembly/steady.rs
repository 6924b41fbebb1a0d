//! A wall clock that never runs back, so that what has expired stays expired.
//!
//! Whoever can set a machine's clock back (a broken time server, a restored snapshot) could otherwise use every credential
//! again that has ended since. Seconds that were seen are not seen again: until the machine's clock has caught up, time
//! stands still here, and the operator is told once. A clock that was ahead by mistake is believed as long as the process
//! lives; that refuses more than it should, and never less.
//!
//! Never here: a clock of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use crate::domain::{Clock, Timestamp};

/// No machine that runs this has a right clock that says less: 2026-01-01.
pub const EARLIEST: Timestamp = Timestamp(1_767_225_600);

/// Behind by more than this many seconds, the operator is told; less is ordinary slewing.
const NOTICED: i64 = 5;

/// A clock that never runs back.
pub struct Steady {
    inner: Arc<dyn Clock>,
    /// The latest second seen.
    latest: AtomicI64,
    /// The latest millisecond seen, for records.
    latest_millis: AtomicI64,
    told: AtomicBool,
}

impl Steady {
    /// The seconds of `inner`, none of them twice.
    ///
    /// # Errors
    ///
    /// A sentence for the operator when `inner` cannot be right: nothing could be said of any credential's end.
    pub fn over(inner: Arc<dyn Clock>) -> Result<Self, String> {
        let now = inner.now();
        if now < EARLIEST {
            return Err(format!("the machine's clock says {now} seconds since 1970, which is before this program was made; set it"));
        }
        Ok(Self { inner, latest: AtomicI64::new(now.0), latest_millis: AtomicI64::new(i64::MIN), told: AtomicBool::new(false) })
    }
}

impl Clock for Steady {
    fn now(&self) -> Timestamp {
        let now = self.inner.now().0;
        let latest = self.latest.load(Ordering::Relaxed);
        if now == latest {
            return Timestamp(now);
        }
        let latest = self.latest.fetch_max(now, Ordering::Relaxed);
        if latest <= now {
            self.told.store(false, Ordering::Relaxed);
            return Timestamp(now);
        }
        if NOTICED < latest.saturating_sub(now) && !self.told.swap(true, Ordering::Relaxed) {
            tracing::error!(
                seconds = latest.saturating_sub(now),
                "the machine's clock was set back; time stands still until it has caught up"
            );
        }
        Timestamp(latest)
    }

    fn millis(&self) -> i64 {
        // Never before the second that a verdict rests on, either.
        let now = self.inner.millis().max(self.latest.load(Ordering::Relaxed).saturating_mul(1000));
        let latest = self.latest_millis.load(Ordering::Relaxed);
        if now == latest { now } else { self.latest_millis.fetch_max(now, Ordering::Relaxed).max(now) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::{EARLIEST, Steady};
    use crate::domain::{Clock, Timestamp};

    #[test]
    fn a_second_that_was_seen_is_not_seen_again() {
        let machine = Arc::new(AtomicI64::new(EARLIEST.0));
        let steady = Steady::over(Arc::clone(&machine) as Arc<dyn Clock>).unwrap();
        let rows = [
            (0, 0, "the start"),
            (10, 10, "time passes"),
            (9, 10, "a second back"),
            (-3_600, 10, "an hour back"),
            (10, 10, "caught up"),
            (11, 11, "and on"),
            (3_600, 3_600, "an hour ahead is believed"),
            (12, 3_600, "and not taken back"),
        ];
        for (set, expected, shows) in rows {
            machine.store(EARLIEST.0 + set, Ordering::SeqCst);
            assert_eq!(steady.now(), Timestamp(EARLIEST.0 + expected), "{shows}");
        }
    }

    /// A machine that tells milliseconds.
    struct Fine(AtomicI64);

    impl Clock for Fine {
        fn now(&self) -> Timestamp {
            Timestamp(self.millis().div_euclid(1000))
        }

        fn millis(&self) -> i64 {
            self.0.load(Ordering::SeqCst)
        }
    }

    #[test]
    fn a_millisecond_that_was_seen_is_not_seen_again() {
        let start = EARLIEST.0 * 1000;
        let machine = Arc::new(Fine(AtomicI64::new(start)));
        let steady = Steady::over(Arc::clone(&machine) as Arc<dyn Clock>).unwrap();
        let rows = [
            (7, 7, "milliseconds are told"),
            (1_250, 1_250, "time passes"),
            (1_249, 1_250, "a millisecond back"),
            (-3_600_000, 1_250, "an hour back"),
            (1_251, 1_251, "caught up"),
        ];
        for (set, expected, shows) in rows {
            machine.0.store(start + set, Ordering::SeqCst);
            assert_eq!(steady.millis() - start, expected, "{shows}");
        }
        machine.0.store(start + 9_900, Ordering::SeqCst);
        assert_eq!(steady.now(), Timestamp(EARLIEST.0 + 9));
        machine.0.store(start + 8_500, Ordering::SeqCst);
        assert_eq!(steady.millis() - start, 9_000, "nor does a record lie before the second that was judged by");
    }

    #[test]
    fn a_clock_that_cannot_be_right_is_not_started_with() {
        for (says, sound) in [(0, false), (EARLIEST.0 - 1, false), (EARLIEST.0, true)] {
            assert_eq!(Steady::over(Arc::new(AtomicI64::new(says))).is_ok(), sound, "{says}");
        }
    }
}
