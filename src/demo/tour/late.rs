//! A clock that is behind until it is let catch up: what is given meanwhile has run out a moment later.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::domain::{Clock, Seconds, Timestamp};

/// A clock behind another one. It never goes back.
pub struct LateClock {
    right: Arc<dyn Clock>,
    /// In seconds; it only ever becomes less.
    behind: AtomicU32,
}

impl LateClock {
    /// A clock that is `behind` the `right` one.
    #[must_use]
    pub fn new(right: Arc<dyn Clock>, behind: Seconds) -> Self {
        Self { right, behind: AtomicU32::new(behind.0) }
    }

    /// Lets `length` go by at once; past the right time it does not get.
    pub fn pass(&self, length: Seconds) {
        let less = |behind: u32| Some(behind.saturating_sub(length.0));
        let _ = self.behind.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
    }

    /// Tells the right time from now on.
    pub fn catch_up(&self) {
        self.behind.store(0, Ordering::SeqCst);
    }
}

impl Clock for LateClock {
    fn now(&self) -> Timestamp {
        self.right.now().minus(Seconds(self.behind.load(Ordering::SeqCst)))
    }

    fn millis(&self) -> i64 {
        self.right.millis().saturating_sub(i64::from(self.behind.load(Ordering::SeqCst)).saturating_mul(1_000))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicI64;

    use super::LateClock;
    use crate::domain::{Clock, Seconds, Timestamp};

    #[test]
    fn it_is_behind_until_it_has_caught_up() {
        let clock = LateClock::new(Arc::new(AtomicI64::new(1_000)), Seconds(600));
        assert_eq!((clock.now(), clock.millis()), (Timestamp(400), 400_000), "behind in seconds and in milliseconds");
        clock.pass(Seconds(200));
        assert_eq!(clock.now(), Timestamp(600), "less so after a while");
        clock.catch_up();
        assert_eq!(clock.now(), Timestamp(1_000), "and then right");
        clock.pass(Seconds(200));
        assert_eq!(clock.now(), Timestamp(1_000), "never ahead");
    }
}
