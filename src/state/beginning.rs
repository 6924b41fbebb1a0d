//! From which moment on a new store remembers.
//!
//! Credentials say in whole seconds when they were made. One that was made in the very second in which a store begins could have
//! been spent just before, where nobody remembers it any more. So a memory begins with a whole second, and a store is handed out
//! once that second has come.

use std::time::Duration;

use crate::domain::{Clock, Timestamp};

const MILLIS: i64 = 1_000;

/// The first whole second that begins now or later.
pub(super) fn next(clock: &dyn Clock) -> Timestamp {
    let millis = clock.millis();
    let begun = millis.div_euclid(MILLIS);
    Timestamp(if millis.rem_euclid(MILLIS) == 0 { begun } else { begun.saturating_add(1) })
}

/// Waits until `born` has come; a second at most, whatever the clock says.
pub(super) async fn reached(born: Timestamp, clock: &dyn Clock) {
    let ahead = born.0.saturating_mul(MILLIS).saturating_sub(clock.millis()).clamp(0, MILLIS);
    if let Ok(ahead @ 1..) = u64::try_from(ahead) {
        tokio::time::sleep(Duration::from_millis(ahead)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::next;
    use crate::domain::{Clock, Timestamp};

    struct At(i64);

    impl Clock for At {
        fn now(&self) -> Timestamp {
            Timestamp(self.0.div_euclid(1_000))
        }

        fn millis(&self) -> i64 {
            self.0
        }
    }

    #[test]
    fn a_memory_begins_with_a_whole_second() {
        let cases = [
            // milliseconds, begins, what the row shows
            (7_000, 7, "a second that begins this moment counts whole"),
            (7_001, 8, "of one that has begun, a part is unknown"),
            (7_999, 8, "to its last millisecond"),
            (-1, 0, "before 1970 as well"),
        ];
        for (millis, begins, shows) in cases {
            assert_eq!(next(&At(millis)), Timestamp(begins), "{shows}");
        }
    }
}
