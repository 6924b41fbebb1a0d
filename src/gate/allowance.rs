//! How much the callers of guarded rules may have remembered at once.
//!
//! What a guard asks to be remembered (`Pass::notes`, `burns`, `counts`) is often asked for by callers whom nobody has proven, and it
//! stands in the same store as sessions, renewals and spent credentials. So it has a budget of its own, of all callers together and of
//! each client network: who has used theirs up is refused, and nobody else is. Nothing is ever forgotten to make room.
//!
//! Kept in this process, from one conf to the next; several nodes have so many budgets. What is remembered counts to its end, also
//! where it was asked for and forgotten before: a count that is too high refuses, one that is too low would not protect.

use std::collections::BTreeMap;
use std::net::IpAddr;

use parking_lot::Mutex;

use crate::domain::{Seconds, Timestamp};
use crate::verify::governor::Prefix;

/// How much may be remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// For all callers together.
    pub most: usize,
    /// For each client network: IPv4 /32, IPv6 /64.
    pub per_address: usize,
}

/// Keeps count of what is remembered.
#[derive(Debug, Default)]
pub struct Allowance {
    /// Held for one look at a time, never across a wait.
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// The sum of all in `ends`.
    all: usize,
    /// How many of each network; none is zero, and each is the sum of that network's in `ends`.
    shares: BTreeMap<Prefix, usize>,
    /// When how many of whose end.
    ends: BTreeMap<(Timestamp, Prefix), usize>,
}

/// A budget that is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedUp {
    /// Whose: `notes_address` or `notes`, as metrics name them.
    pub budget: &'static str,
    /// When to come again.
    pub retry_after: Seconds,
}

impl Allowance {
    /// The longest that anyone is told to wait; there may be room before.
    const WAIT: Seconds = Seconds(60);

    /// Takes room for as many as there are `ends`, for a caller from `address`: each counts until its end. All or none.
    ///
    /// # Errors
    ///
    /// [`UsedUp`], and nothing is taken.
    pub fn take(&self, address: IpAddr, ends: &[Timestamp], allowed: Allowed, now: Timestamp) -> Result<(), UsedUp> {
        let prefix = Prefix::of(address);
        let mut held = self.held.lock();
        held.forget(now);
        let share = held.shares.get(&prefix).copied().unwrap_or_default();
        let budget = if allowed.per_address < share.saturating_add(ends.len()) {
            "notes_address"
        } else if allowed.most < held.all.saturating_add(ends.len()) {
            "notes"
        } else {
            for end in ends.iter().filter(|end| now < **end) {
                held.add(prefix, *end);
            }
            return Ok(());
        };
        let next = held.ends.keys().next().map_or(now, |(end, _)| *end);
        Err(UsedUp { budget, retry_after: Seconds(now.until(next).0.clamp(1, Self::WAIT.0)) })
    }

    /// Gives room back that was taken for `ends` and not needed.
    pub fn give_back(&self, address: IpAddr, ends: &[Timestamp]) {
        if ends.is_empty() {
            return;
        }
        let prefix = Prefix::of(address);
        let mut held = self.held.lock();
        for end in ends {
            held.let_go(prefix, *end);
        }
    }

    /// How many are remembered, of all callers together, as of the last time that anyone asked for more.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.lock().all
    }
}

impl Held {
    fn add(&mut self, prefix: Prefix, end: Timestamp) {
        self.all += 1;
        *self.shares.entry(prefix).or_default() += 1;
        *self.ends.entry((end, prefix)).or_default() += 1;
    }

    /// Lets go of one that ends at `end`, if there is one.
    fn let_go(&mut self, prefix: Prefix, end: Timestamp) {
        let Some(number) = self.ends.get_mut(&(end, prefix)) else { return };
        *number = number.saturating_sub(1);
        if *number == 0 {
            self.ends.remove(&(end, prefix));
        }
        self.shrink(prefix, 1);
    }

    /// Lets go of what has ended by `now`.
    fn forget(&mut self, now: Timestamp) {
        while let Some(first) = self.ends.first_entry().filter(|first| first.key().0 <= now) {
            let ((_, prefix), gone) = first.remove_entry();
            self.shrink(prefix, gone);
        }
    }

    fn shrink(&mut self, prefix: Prefix, gone: usize) {
        self.all = self.all.saturating_sub(gone);
        if let Some(share) = self.shares.get_mut(&prefix) {
            *share = share.saturating_sub(gone);
            if *share == 0 {
                self.shares.remove(&prefix);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{Allowance, Allowed, UsedUp};
    use crate::domain::{Seconds, Timestamp};

    fn from(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    const ALLOWED: Allowed = Allowed { most: 5, per_address: 2 };

    #[test]
    fn each_network_has_its_share_and_all_together_have_the_whole() {
        let allowance = Allowance::default();
        let used_up = |budget, seconds| Err(UsedUp { budget, retry_after: Seconds(seconds) });
        let rows = [
            ("192.0.2.1", 10, vec![20, 30], Ok(()), "its share"),
            ("192.0.2.1", 10, vec![20], used_up("notes_address", 10), "one more than its share"),
            ("::ffff:192.0.2.1", 10, vec![20], used_up("notes_address", 10), "the same address in another dress"),
            ("192.0.2.2", 10, vec![20, 20, 20], used_up("notes_address", 10), "all or none"),
            ("192.0.2.2", 10, vec![20, 20], Ok(()), "somebody else has their own share"),
            ("2001:db8::1", 10, vec![500], Ok(()), "the last of the whole"),
            ("2001:db8:0:1::1", 10, vec![500], used_up("notes", 10), "there is no more for anyone"),
            ("192.0.2.1", 19, vec![40], used_up("notes_address", 1), "the last second of the first"),
            ("192.0.2.1", 20, vec![400], Ok(()), "its end makes room"),
            ("192.0.2.1", 20, vec![400], used_up("notes_address", 10), "for as many as have ended"),
            ("2001:db8:0:1::1", 20, vec![500, 500], Ok(()), "the whole has room again as well"),
            ("2001:db8:0:1::2", 20, vec![500], used_up("notes_address", 10), "a whole /64 is one"),
            ("192.0.2.9", 30, vec![500], Ok(()), "the second of the first has ended too"),
            ("192.0.2.9", 31, vec![500], used_up("notes", 60), "nobody is told to wait for long"),
        ];
        for (address, now, ends, expected, shows) in rows {
            let ends: Vec<Timestamp> = ends.into_iter().map(Timestamp).collect();
            assert_eq!(allowance.take(from(address), &ends, ALLOWED, Timestamp(now)), expected, "{shows}");
        }
        assert_eq!(allowance.held(), 5);
        allowance.take(from("192.0.2.1"), &[], ALLOWED, Timestamp(500)).unwrap();
        assert_eq!((allowance.held(), allowance.held.lock().shares.len()), (0, 0), "nothing is kept past its end, nor is anybody");
    }

    #[test]
    fn what_has_ended_already_takes_no_room() {
        let allowance = Allowance::default();
        let ends = [Timestamp(9), Timestamp(10)];
        for _ in 0..10 {
            assert_eq!(allowance.take(from("192.0.2.1"), &ends, ALLOWED, Timestamp(10)), Ok(()));
        }
        assert_eq!(allowance.held(), 0);
    }

    #[test]
    fn room_that_was_not_needed_is_given_back_and_no_more_than_that() {
        let allowance = Allowance::default();
        let (one, other) = (from("192.0.2.1"), from("192.0.2.2"));
        assert_eq!(allowance.take(one, &[Timestamp(20), Timestamp(30)], ALLOWED, Timestamp(10)), Ok(()));
        allowance.give_back(other, &[Timestamp(20)]);
        allowance.give_back(one, &[Timestamp(21)]);
        assert_eq!(allowance.held(), 2, "nobody gives back what they have not taken");
        allowance.give_back(one, &[Timestamp(20), Timestamp(20)]);
        assert_eq!(allowance.held(), 1, "nor twice");
        assert_eq!(allowance.take(one, &[Timestamp(40)], ALLOWED, Timestamp(10)), Ok(()));
        assert!(allowance.take(one, &[Timestamp(40)], ALLOWED, Timestamp(10)).is_err());
    }

    #[test]
    fn a_clock_that_is_set_back_frees_nothing() {
        let allowance = Allowance::default();
        assert_eq!(allowance.take(from("192.0.2.1"), &[Timestamp(100), Timestamp(100)], ALLOWED, Timestamp(90)), Ok(()));
        assert!(allowance.take(from("192.0.2.1"), &[Timestamp(60)], ALLOWED, Timestamp(50)).is_err());
    }

    #[test]
    fn a_lower_limit_holds_at_once() {
        let allowance = Allowance::default();
        assert_eq!(allowance.take(from("192.0.2.1"), &[Timestamp(100), Timestamp(100)], ALLOWED, Timestamp(0)), Ok(()));
        let fewer = Allowed { most: 5, per_address: 1 };
        assert!(allowance.take(from("192.0.2.1"), &[Timestamp(100)], fewer, Timestamp(0)).is_err());
        assert_eq!(allowance.take(from("192.0.2.2"), &[Timestamp(100)], fewer, Timestamp(0)), Ok(()));
    }
}
