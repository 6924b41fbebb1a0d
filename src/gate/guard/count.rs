//! An exact count over a window that slides, in a value small enough for any store.
//!
//! A count is a list of moments, each with how many there were at it. As long as it is short it is exact. Where it grows long, the two
//! moments that lie closest are taken for the later of the two: whoever is counted waits a little longer then, and never gets more.
//!
//! Pure: bytes and a moment in, bytes or a time to wait out. Who keeps the bytes, and that nobody else changes them meanwhile, is the
//! caller's business.

use crate::domain::{Seconds, Timestamp};

/// So many moments at most, of 12 bytes each.
const MOMENTS: usize = 64;
/// Bytes of one: seconds since 1970 and a number, both big-endian.
const WIDTH: usize = 12;

/// Moments, oldest first, each with how many there were at it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Counted(Vec<(Timestamp, u32)>);

impl Counted {
    /// What [`Self::bytes`] has written; `None` when it has not.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (moments, rest) = bytes.as_chunks::<WIDTH>();
        let read = |moment: &[u8; WIDTH]| {
            let (at, number) = moment.split_first_chunk::<8>()?;
            Some((Timestamp(i64::from_be_bytes(*at)), u32::from_be_bytes(number.try_into().ok()?)))
        };
        let moments: Option<Vec<_>> = moments.iter().map(read).collect();
        moments.filter(|moments| rest.is_empty() && moments.len() <= MOMENTS && moments.is_sorted_by_key(|(at, _)| *at)).map(Self)
    }

    /// The same as bytes.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() * WIDTH);
        for (at, number) in &self.0 {
            bytes.extend_from_slice(&at.0.to_be_bytes());
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    /// Counts one more at `now`, of at most `most` in any `per`.
    ///
    /// What lies in the future counts as now: clocks of nodes differ, and one that is set back must not keep anybody waiting for longer
    /// than `per`.
    ///
    /// # Errors
    ///
    /// Nothing is counted, and there is room for one after so long.
    pub(super) fn take(&mut self, most: u32, per: Seconds, now: Timestamp) -> Result<(), Seconds> {
        self.0.retain(|(at, _)| now < at.plus(per));
        for (at, _) in &mut self.0 {
            *at = (*at).min(now);
        }
        let mut left: u32 = self.0.iter().fold(0, |sum, (_, number)| sum.saturating_add(*number));
        if most <= left {
            // The first moment after which fewer are left.
            for (at, number) in &self.0 {
                left = left.saturating_sub(*number);
                if left < most {
                    return Err(Seconds(now.until(at.plus(per)).0.max(1)));
                }
            }
            // `most` is nothing at all.
            return Err(Seconds(per.0.max(1)));
        }
        match self.0.last_mut().filter(|(at, _)| *at == now) {
            Some((_, number)) => *number = number.saturating_add(1),
            None => self.0.push((now, 1)),
        }
        if MOMENTS < self.0.len() {
            self.thin();
        }
        Ok(())
    }

    /// Takes the two moments that lie closest for the later of the two.
    fn thin(&mut self) {
        let gaps = self.0.windows(2).map(|two| match two {
            [(earlier, _), (later, _)] => later.0.saturating_sub(earlier.0),
            _ => i64::MAX,
        });
        let Some((closest, _)) = gaps.enumerate().min_by_key(|(_, gap)| *gap) else { return };
        let (_, number) = self.0.remove(closest);
        if let Some((_, later)) = self.0.get_mut(closest) {
            *later = later.saturating_add(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Counted, MOMENTS, WIDTH};
    use crate::domain::{Seconds, Timestamp};

    const PER: Seconds = Seconds(60);

    #[test]
    fn no_more_than_so_many_are_let_through_in_any_such_length_of_time() {
        let mut counted = Counted::default();
        let rows = [
            (0, Ok(()), "the first"),
            (10, Ok(()), "the second"),
            (10, Err(Seconds(50)), "one too many, until the first has passed"),
            (59, Err(Seconds(1)), "the last second"),
            (60, Ok(()), "the first has passed"),
            (60, Err(Seconds(10)), "the second has not"),
            (70, Ok(()), "now it has"),
            (5, Err(Seconds(60)), "a clock that was set back keeps nobody waiting for longer than the window"),
            (64, Err(Seconds(56)), "counted from where the clock is now"),
            (120, Ok(()), "and no longer than that"),
        ];
        for (now, expected, shows) in rows {
            // As a store has it: what is refused is not written.
            let mut next = Counted::read(&counted.bytes()).unwrap();
            let taken = next.take(2, PER, Timestamp(now));
            assert_eq!(taken, expected, "{shows}");
            if taken.is_ok() {
                counted = next;
            }
        }
    }

    #[test]
    fn a_count_stays_small_and_never_lets_more_through() {
        let (most, mut counted, mut passed) = (1_000, Counted::default(), Vec::new());
        // Irregular, so that moments are merged unevenly.
        let mut drawn: u32 = 7;
        let mut now = 0;
        for _ in 0..20_000 {
            drawn = drawn.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            now += i64::from(drawn >> 29);
            if counted.take(most, Seconds(3_600), Timestamp(now)).is_ok() {
                passed.push(now);
            }
            assert!(counted.bytes().len() <= MOMENTS * WIDTH, "{} bytes", counted.bytes().len());
        }
        let fullest = passed.iter().enumerate().map(|(first, at)| passed[first..].partition_point(|later| *later < at + 3_600)).max();
        let fullest = fullest.unwrap();
        assert!(fullest <= 1_000, "{fullest} in one hour");
        assert!(900 <= fullest, "and not many fewer: {fullest}");
    }

    #[test]
    fn what_was_written_is_read_and_nothing_else_is() {
        let mut counted = Counted::default();
        for now in [1, 1, 5] {
            counted.take(9, PER, Timestamp(now)).unwrap();
        }
        let bytes = counted.bytes();
        assert_eq!((bytes.len(), Counted::read(&bytes)), (2 * WIDTH, Some(counted.clone())));
        assert_eq!(Counted::read(&[]), Some(Counted::default()), "nothing yet");
        let turned = [&bytes[WIDTH..], &bytes[..WIDTH]].concat();
        let many = [0; (MOMENTS + 1) * WIDTH];
        for (wrong, shows) in [(&bytes[1..], "cut"), (turned.as_slice(), "out of order"), (many.as_slice(), "too long")] {
            assert_eq!(Counted::read(wrong), None, "{shows}");
        }
    }

    #[test]
    fn nothing_at_all_is_never_let_through() {
        assert_eq!(Counted::default().take(0, PER, Timestamp(0)), Err(PER));
    }
}
