//! How long to wait before the next attempt to connect.
//!
//! The wait doubles from attempt to attempt up to half a second, and the later half of it is left to chance: many nodes that
//! lost one server do not come back to it in step, and none is away for long once it answers.

use std::time::Duration;

use crate::domain::Random;

/// The first wait at most.
const FIRST: Duration = Duration::from_millis(50);
/// Any wait at most.
const LONGEST: Duration = Duration::from_millis(500);

/// Attempts in a row that have failed.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failed: u32,
}

impl Backoff {
    /// An attempt has succeeded.
    pub(super) fn reset(&mut self) {
        self.failed = 0;
    }

    /// How long to wait before the next attempt.
    pub(super) fn next(&mut self, random: &dyn Random) -> Duration {
        let whole = FIRST.saturating_mul(2_u32.saturating_pow(self.failed)).min(LONGEST);
        self.failed = self.failed.saturating_add(1);
        let mut chance = [0; 2];
        random.fill(&mut chance);
        let half = whole / 2;
        half + half * u32::from(u16::from_be_bytes(chance)) / u32::from(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::Backoff;
    use crate::domain::Random;

    struct Always(u8);

    impl Random for Always {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(self.0);
        }
    }

    #[test]
    fn waits_double_up_to_half_a_second_and_half_of_each_is_chance() {
        let (mut least, mut most) = (Backoff::default(), Backoff::default());
        let expected = [(25, 50), (50, 100), (100, 200), (200, 400), (250, 500), (250, 500)];
        for (low, high) in expected {
            assert_eq!(least.next(&Always(0)).as_millis(), low, "no luck");
            assert_eq!(most.next(&Always(0xff)).as_millis(), high, "all luck");
        }
        let mut long = Backoff { failed: u32::MAX };
        assert_eq!(long.next(&Always(0xff)).as_millis(), 500, "after years");
        long.reset();
        assert_eq!(long.next(&Always(0xff)).as_millis(), 50, "after a success");
    }
}
