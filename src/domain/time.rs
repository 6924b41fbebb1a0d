//! Wall-clock time in whole seconds, and how far apart two moments are.
//!
//! All arithmetic saturates: a hostile `exp` near the end of time must not wrap into the past.
//! Nothing here reads a clock; [`Clock`] is handed in.

use std::fmt;

/// A moment, in seconds since the Unix epoch (RFC 7519 `NumericDate`, whole seconds).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

/// A length of time in whole seconds; never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seconds(pub u32);

impl Timestamp {
    /// The last moment that can be written.
    pub const END: Self = Self(i64::MAX);

    /// This moment, `length` later.
    #[must_use]
    pub fn plus(self, length: Seconds) -> Self {
        Self(self.0.saturating_add(i64::from(length.0)))
    }

    /// This moment, `length` earlier.
    #[must_use]
    pub fn minus(self, length: Seconds) -> Self {
        Self(self.0.saturating_sub(i64::from(length.0)))
    }

    /// Whether this moment is less than `length` after `since`. A moment before `since` is not: a clock that was set back
    /// must not keep anything waiting.
    #[must_use]
    pub fn is_within(self, length: Seconds, since: Self) -> bool {
        since <= self && self < since.plus(length)
    }

    /// Seconds from `self` to `later`; zero when `later` is not later.
    #[must_use]
    pub fn until(self, later: Self) -> Seconds {
        let distance = later.0.saturating_sub(self.0).clamp(0, i64::from(u32::MAX));
        Seconds(u32::try_from(distance).unwrap_or(u32::MAX))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Seconds {
    /// The same length for the runtime's timers.
    #[must_use]
    pub fn duration(self) -> std::time::Duration {
        std::time::Duration::from_secs(u64::from(self.0))
    }
}

/// Tells the wall-clock time. One reading is taken per request and passed down.
pub trait Clock: Send + Sync {
    /// The time now. Never goes back by more than the clock of the machine does.
    fn now(&self) -> Timestamp;

    /// The time now in milliseconds since the Unix epoch, for records; a verdict rests on whole seconds.
    fn millis(&self) -> i64 {
        self.now().0.saturating_mul(1000)
    }
}

/// Tells how much time has passed, for telemetry only; a verdict never rests on it.
pub trait Stopwatch: Send + Sync {
    /// Microseconds since some fixed moment; never goes back.
    fn micros(&self) -> u64;

    /// The same in nanoseconds, as finely as it can tell.
    fn nanos(&self) -> u64 {
        self.micros().saturating_mul(1000)
    }
}

/// A clock that stands where it was set; tests move it.
impl Clock for std::sync::atomic::AtomicI64 {
    fn now(&self) -> Timestamp {
        Timestamp(self.load(std::sync::atomic::Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::{Seconds, Timestamp};

    #[test]
    fn sums_saturate_at_both_ends_of_time() {
        assert_eq!(Timestamp::END.plus(Seconds(1)), Timestamp::END, "the end has no after");
        assert_eq!(Timestamp(i64::MIN).minus(Seconds(1)), Timestamp(i64::MIN), "the start has no before");
        assert_eq!(Timestamp(10).until(Timestamp(4)), Seconds(0), "the past is not a negative length");
        assert_eq!(Timestamp(0).until(Timestamp::END), Seconds(u32::MAX), "a far end is capped, not wrapped");
    }
}
