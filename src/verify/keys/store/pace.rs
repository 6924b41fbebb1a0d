//! When a remote set may be asked for again. Pure: every moment is handed in.
//!
//! A clock that was set back holds nothing up for longer than the window it was in: a moment in the future counts as past.

use std::collections::{HashMap, VecDeque};

use crate::domain::{Random, Seconds, Timestamp};

/// Unknown names cause at most one fetch per window, for everybody together.
const WINDOW: Seconds = Seconds(30);

/// How long a name that a fresh set did not have is not asked about again.
const DEAD: Seconds = Seconds(60);

/// How many such names are remembered.
const MOST_DEAD: usize = 1_024;

/// The longest pause between failing attempts.
const LONGEST: u32 = 60;

/// What has been tried, and what follows.
#[derive(Default)]
pub(super) struct Pace {
    flown: bool,
    failures: u32,
    /// Not before then, by plan or because of failures; with the moment it was set.
    due: Option<(Timestamp, Timestamp)>,
    /// When an unknown name last caused a fetch.
    looked: Option<Timestamp>,
    /// Names that a fresh set did not have, and since when.
    dead: HashMap<Box<str>, Timestamp, ahash::RandomState>,
    /// The same names, oldest first.
    order: VecDeque<Box<str>>,
}

/// Whether an unknown name is worth a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// No: it was looked for, or the window is used up.
    No,
    /// A fetch is on its way and may bring it.
    Join,
    /// Yes, and this was it for the window.
    Start,
}

impl Pace {
    /// Whether this is the first flight ever.
    pub(super) fn first_flight(&mut self) -> bool {
        !std::mem::replace(&mut self.flown, true)
    }

    /// A good set came at `now`.
    pub(super) fn landed_well(&mut self, now: Timestamp, refresh: Seconds, random: &dyn Random) {
        self.failures = 0;
        // Up to a tenth earlier, so that many nodes do not ask in step; never later, so that a withdrawn key goes in time.
        let early = portion(refresh.0 / 10, random);
        self.due = Some((now.plus(Seconds(refresh.0 - early)), now));
    }

    /// Nothing usable came at `now`.
    pub(super) fn landed_badly(&mut self, now: Timestamp, random: &dyn Random) {
        let pause = 1_u32.checked_shl(self.failures).unwrap_or(LONGEST).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        self.due = Some((now.plus(Seconds(pause + portion(pause / 2, random))), now));
    }

    /// Whether an attempt may be made at `now`.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.due.is_none_or(|(due, set)| due <= now || now < set)
    }

    /// How long the background task has nothing to do, at most `refresh`.
    pub(super) fn due_in(&self, now: Timestamp, refresh: Seconds) -> Seconds {
        match self.due {
            Some((due, set)) if set <= now => now.until(due).min(refresh),
            _ => Seconds(0),
        }
    }

    /// Whether to fetch because of the unknown `name`, given that a fetch is on its way or not.
    pub(super) fn may_look(&mut self, name: &str, flying: bool, now: Timestamp) -> Look {
        if self.dead.get(name).is_some_and(|since| now.is_within(DEAD, *since)) {
            return Look::No;
        }
        if flying {
            return Look::Join;
        }
        if self.looked.is_some_and(|since| now.is_within(WINDOW, since)) {
            return Look::No;
        }
        self.looked = Some(now);
        Look::Start
    }

    /// A fresh set did not have `name`.
    pub(super) fn remember_dead(&mut self, name: &str, now: Timestamp) {
        if self.dead.insert(name.into(), now).is_none() {
            self.order.push_back(name.into());
        }
        while MOST_DEAD < self.order.len() {
            if let Some(oldest) = self.order.pop_front() {
                self.dead.remove(&oldest);
            }
        }
    }
}

/// A random part of `most`, from nothing to all of it.
fn portion(most: u32, random: &dyn Random) -> u32 {
    let mut bytes = [0; 4];
    random.fill(&mut bytes);
    u32::from_be_bytes(bytes) % most.saturating_add(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::{DEAD, Look, MOST_DEAD, Pace, WINDOW};
    use crate::domain::{Random, Seconds, Timestamp};

    /// Random bytes that are all the same.
    struct All(u8);

    impl Random for All {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(self.0);
        }
    }

    fn at(now: i64) -> Timestamp {
        Timestamp(now)
    }

    #[test]
    fn unknown_names_together_look_once_per_window() {
        let window = i64::from(WINDOW.0);
        let mut pace = Pace::default();
        let cases = [
            // name, flying, now, expected, what the row shows
            ("a", false, 100, Look::Start, "the first"),
            ("a", false, 100, Look::No, "the same again"),
            ("b", false, 100 + window - 1, Look::No, "another, in the last second of the window"),
            ("b", true, 100 + 1, Look::Join, "a fetch on its way costs nothing"),
            ("b", false, 100 + window, Look::Start, "another window"),
            ("c", false, 50, Look::Start, "a clock set back does not hold it up"),
        ];
        for (name, flying, now, expected, shows) in cases {
            assert_eq!(pace.may_look(name, flying, at(now)), expected, "{shows}");
        }
    }

    #[test]
    fn dead_names_are_remembered_for_a_while_and_not_without_bound() {
        let dead = i64::from(DEAD.0);
        let mut pace = Pace::default();
        pace.remember_dead("a", at(100));
        assert_eq!(pace.may_look("a", true, at(100 + dead - 1)), Look::No, "the last second of the memory");
        assert_eq!(pace.may_look("a", true, at(100 + dead)), Look::Join, "forgotten");
        for number in 0..3 * MOST_DEAD {
            pace.remember_dead(&number.to_string(), at(200));
        }
        assert_eq!((pace.dead.len(), pace.order.len()), (MOST_DEAD, MOST_DEAD), "bounded");
        assert_eq!(pace.may_look(&(3 * MOST_DEAD - 1).to_string(), true, at(200)), Look::No, "the newest are kept");
        assert_eq!(pace.may_look("0", true, at(200)), Look::Join, "the oldest are not");
    }

    #[test]
    fn failures_slow_down_to_a_minute_and_success_keeps_to_the_plan() {
        let refresh = Seconds(300);
        for (random, low, high) in [(All(0), 1, 60), (All(0xff), 1, 90)] {
            let mut pace = Pace::default();
            assert!(pace.is_due(at(0)) && pace.due_in(at(0), refresh) == Seconds(0), "at once, the first time");
            let mut now = 1_000;
            for attempt in 0..40 {
                pace.landed_badly(at(now), &random);
                let pause = i64::from(pace.due_in(at(now), refresh).0);
                assert!((low..=high).contains(&pause), "attempt {attempt}: {pause}");
                assert!(attempt < 6 || 60 <= pause, "attempt {attempt} has slowed down: {pause}");
                assert!(!pace.is_due(at(now + pause - 1)), "not a second earlier");
                assert!(pace.is_due(at(now + pause)), "then");
                now += pause;
            }
            pace.landed_well(at(now), refresh, &random);
            let wait = pace.due_in(at(now), refresh).0;
            assert!((270..=300).contains(&wait), "up to a tenth early, never late: {wait}");
            assert!(pace.is_due(at(now - 1)), "a clock set back does not hold it up");
            pace.landed_badly(at(now), &random);
            assert_eq!(pace.due_in(at(now), refresh), Seconds(1), "after a success failures start small again");
        }
    }
}
