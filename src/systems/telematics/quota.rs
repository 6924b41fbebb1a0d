//! How many calls of one kind a caller may make: an exact count over a window that slides.
//!
//! A count cannot be said as something to be remembered or spent once, so it is kept here, in memory: per node, from one load of
//! the conf to the next. That is enough to keep a vendor's own quota from being burnt by one caller, and no accounting. The moment
//! is handed in with each call.
//!
//! What is counted is a call that everything else has let through. Bounded: beyond [`MAX_KEPT`] moments in all windows together,
//! new ones are refused until old ones have passed, since a count that forgets is none.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;

use crate::domain::{Seconds, Timestamp};

/// So many moments are kept at most, of all callers together: some 2 MB.
pub(crate) const MAX_KEPT: usize = 100_000;

/// At most `most` calls in any `per`, for each caller.
#[derive(Debug)]
pub(crate) struct Quota {
    most: usize,
    per: Seconds,
    /// `kept` is the number of moments in all windows; no window is empty.
    calls: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    kept: usize,
    windows: HashMap<[u8; 32], VecDeque<Timestamp>>,
}

impl Quota {
    /// At most `most` calls, at least one, in any `per`.
    pub(crate) fn new(most: usize, per: Seconds) -> Self {
        Self { most: most.max(1), per, calls: Mutex::default() }
    }

    /// Counts a call of `caller`, a digest.
    ///
    /// # Errors
    ///
    /// Nothing is counted, and the call may be made again after so long.
    pub(crate) fn take(&self, caller: [u8; 32], now: Timestamp) -> Result<(), Seconds> {
        let mut calls = self.calls.lock();
        calls.forget(&caller, self.per, now);
        if let Some(window) = calls.windows.get(&caller)
            && self.most <= window.len()
        {
            let first = window.front().map_or(now, |first| first.plus(self.per));
            return Err(Seconds(now.until(first).0.max(1)));
        }
        if MAX_KEPT <= calls.kept {
            let callers: Vec<[u8; 32]> = calls.windows.keys().copied().collect();
            callers.iter().for_each(|caller| calls.forget(caller, self.per, now));
            if MAX_KEPT <= calls.kept {
                return Err(Seconds(self.per.0.clamp(1, 60)));
            }
        }
        calls.kept = calls.kept.saturating_add(1);
        calls.windows.entry(caller).or_default().push_back(now);
        Ok(())
    }
}

impl Calls {
    /// Forgets the oldest moments of `caller`, as far as they are outside the window that ends `now`. One that a clock set back has
    /// left in the future is outside as well: it must not keep anyone waiting.
    fn forget(&mut self, caller: &[u8; 32], per: Seconds, now: Timestamp) {
        let Some(window) = self.windows.get_mut(caller) else { return };
        while window.front().is_some_and(|moment| !now.is_within(per, *moment)) {
            window.pop_front();
            self.kept = self.kept.saturating_sub(1);
        }
        if window.is_empty() {
            self.windows.remove(caller);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_KEPT, Quota};
    use crate::domain::{Seconds, Timestamp};

    #[test]
    fn no_window_holds_more_than_the_quota() {
        let quota = Quota::new(2, Seconds(60));
        let rows = [
            (0, Ok(()), "the first"),
            (10, Ok(()), "the second"),
            (10, Err(Seconds(50)), "one too many, until the first has passed"),
            (59, Err(Seconds(1)), "the last second"),
            (60, Ok(()), "the first has passed"),
            (60, Err(Seconds(10)), "the second has not"),
            (70, Ok(()), "now it has"),
            (5, Ok(()), "a clock that was set back keeps nobody waiting"),
        ];
        for (now, expected, shows) in rows {
            assert_eq!(quota.take([1; 32], Timestamp(now)), expected, "{shows}");
        }
    }

    #[test]
    fn one_caller_does_not_use_up_what_is_anothers() {
        let quota = Quota::new(1, Seconds(60));
        assert_eq!(quota.take([1; 32], Timestamp(0)), Ok(()));
        assert_eq!(quota.take([1; 32], Timestamp(0)), Err(Seconds(60)));
        assert_eq!(quota.take([2; 32], Timestamp(0)), Ok(()));
    }

    #[test]
    fn a_full_count_refuses_until_what_it_holds_has_passed() {
        let quota = Quota::new(MAX_KEPT, Seconds(60));
        for _ in 0..MAX_KEPT {
            assert_eq!(quota.take([1; 32], Timestamp(0)), Ok(()));
        }
        assert_eq!(quota.take([2; 32], Timestamp(59)), Err(Seconds(60)), "there is no room, and nobody is let through uncounted");
        assert_eq!(quota.take([2; 32], Timestamp(60)), Ok(()), "now there is");
    }
}
