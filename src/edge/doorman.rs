//! How many connections there may be at once, in all and from one address.
//!
//! At the total, nobody is accepted until somebody leaves: waiting clients stay in the kernel's queue. Past its own share,
//! an address is turned away at once. Memory is bounded by the total: an address is known only while it is connected.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Counts connections.
#[derive(Debug)]
pub struct Doorman {
    total: Arc<Semaphore>,
    /// Held for a few additions, never across a wait.
    places: Mutex<Places>,
    most_per_address: AtomicUsize,
    /// Only addresses with a connection are in it. Held for one look-up at a time, never across a wait.
    present: Mutex<HashMap<IpAddr, usize, ahash::RandomState>>,
    /// When the operator may be told next that all places are taken, in microseconds.
    quiet_until: AtomicU64,
}

/// What `total` amounts to.
#[derive(Debug)]
struct Places {
    /// How many places there are, taken ones included, once whoever is too many has left.
    wanted: usize,
    /// How many taken places nobody gets when they are left.
    owed: usize,
}

/// Room for one connection, until dropped.
#[derive(Debug)]
pub struct Place {
    doorman: Arc<Doorman>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.doorman.places.lock();
        if let Some(owed) = places.owed.checked_sub(1)
            && let Some(permit) = self.permit.take()
        {
            places.owed = owed;
            permit.forget();
        }
    }
}

/// One connection that was let in, until dropped.
#[derive(Debug)]
pub struct Entry {
    place: Place,
    address: IpAddr,
}

impl Doorman {
    /// More are never let in, whatever is asked for.
    const MOST: usize = 1 << 28;

    /// At most `most` in all and `most_per_address` from one address; over IPv6, from one /64.
    #[must_use]
    pub fn new(most: usize, most_per_address: usize) -> Arc<Self> {
        let wanted = most.min(Self::MOST);
        Arc::new(Self {
            total: Arc::new(Semaphore::new(wanted)),
            places: Mutex::new(Places { wanted, owed: 0 }),
            most_per_address: AtomicUsize::new(most_per_address),
            present: Mutex::default(),
            quiet_until: AtomicU64::new(0),
        })
    }

    /// Room for one more, if there is some now.
    #[must_use]
    pub fn place(self: &Arc<Self>) -> Option<Place> {
        self.total.clone().try_acquire_owned().ok().map(|permit| self.taken(permit))
    }

    fn taken(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Place {
        Place { doorman: Arc::clone(self), permit: Some(permit) }
    }

    /// Tells the operator that all places are taken, at most once in a while. Returns whether it did.
    pub fn say_full(&self, now_micros: u64) -> bool {
        /// Whoever is at the total may come and go a thousand times a second.
        const QUIET_MICROS: u64 = 10_000_000;
        let next = now_micros.saturating_add(QUIET_MICROS);
        let quiet = |until: u64| (until <= now_micros).then_some(next);
        let told = self.quiet_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, quiet).is_ok();
        if told {
            tracing::warn!(reason = "total_cap", "as many client connections are open as `limits.connections` allows; the next ones wait");
        }
        told
    }

    /// From now on at most so many. Nobody is sent away: beyond a lower number, nobody is let in until enough have left.
    pub fn allow(&self, most: usize, most_per_address: usize) {
        self.most_per_address.store(most_per_address, Ordering::Relaxed);
        let mut places = self.places.lock();
        let wanted = most.min(Self::MOST);
        let (more, fewer) = (wanted.saturating_sub(places.wanted), places.wanted.saturating_sub(wanted));
        // Places that were to go with whoever has them stay, before new ones are made.
        let kept = places.owed.min(more);
        self.total.add_permits(more - kept);
        // Free places go at once, and taken ones when they are left: whoever comes after this counts against the new number.
        let gone = self.total.forget_permits(fewer);
        *places = Places { wanted, owed: places.owed - kept + (fewer - gone) };
    }

    /// Waits until there is room for one more.
    pub async fn room(self: &Arc<Self>) -> Option<Place> {
        self.total.clone().acquire_owned().await.ok().map(|permit| self.taken(permit))
    }

    /// Lets a connection from `address` in; `None` when that address has its share.
    #[must_use]
    pub fn enter(&self, address: IpAddr, place: Place) -> Option<Entry> {
        let address = household(address);
        let mut present = self.present.lock();
        let count = present.entry(address).or_default();
        if self.most_per_address.load(Ordering::Relaxed) <= *count {
            if *count == 0 {
                present.remove(&address);
            }
            return None;
        }
        *count += 1;
        Some(Entry { place, address })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut present = self.place.doorman.present.lock();
        if let Some(count) = present.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                present.remove(&self.address);
            }
        }
    }
}

/// What one client can be expected to hold: an IPv4 address, an IPv6 /64.
fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::task::{Context, Waker};

    use super::Doorman;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn an_address_has_its_share_and_no_more() {
        let doorman = Doorman::new(100, 2);
        let rows = [
            ("10.0.0.1", true, "the first"),
            ("10.0.0.1", true, "the second"),
            ("10.0.0.1", false, "the third is one too many"),
            ("::ffff:10.0.0.1", false, "the same address in another dress"),
            ("10.0.0.2", true, "another address has a share of its own"),
            ("2001:db8::1", true, "IPv6"),
            ("2001:db8::ffff", true, "the same network"),
            ("2001:db8:0:0:1::", false, "a whole /64 counts as one"),
            ("2001:db8:0:1::1", true, "the next network"),
        ];
        let mut entries = Vec::new();
        for (from, expected, shows) in rows {
            let permit = doorman.room().await.unwrap();
            let entry = doorman.enter(address(from), permit);
            assert_eq!(entry.is_some(), expected, "{shows}");
            entries.extend(entry);
        }
        entries.clear();
        assert!(doorman.present.lock().is_empty(), "nobody is remembered who has left");
        assert_eq!(doorman.total.available_permits(), 100, "and all room is given back");
    }

    #[test]
    fn the_operator_is_told_of_a_full_house_once_in_a_while() {
        let doorman = Doorman::new(1, 10);
        let second = 1_000_000;
        let rows = [
            (0, true, "at once"),
            (1, false, "not again at once"),
            (10 * second - 1, false, "nor soon"),
            (10 * second, true, "after ten seconds"),
            (11 * second, false, "and then not for another ten"),
        ];
        for (now, told, shows) in rows {
            assert_eq!(doorman.say_full(now), told, "{shows}");
        }
    }

    #[tokio::test]
    async fn at_the_total_the_next_one_waits() {
        let doorman = Doorman::new(1, 10);
        let first = doorman.enter(address("10.0.0.1"), doorman.room().await.unwrap());
        assert!(first.is_some());
        assert!(doorman.place().is_none(), "there is no room");
        drop(first);
        assert!(doorman.place().is_some(), "until the first has left");
    }

    #[test]
    fn another_total_counts_from_the_moment_it_is_said() {
        // Places before, taken ones, totals said one after the other, free places then, and once all are left.
        let rows: &[(usize, usize, &[usize], usize, usize, &str)] = &[
            (4, 0, &[1], 1, 1, "free places go at once"),
            (4, 2, &[3], 1, 3, "beside taken ones"),
            (4, 2, &[2], 0, 2, "all free ones"),
            (4, 3, &[1], 0, 1, "and taken ones are left to whoever has them"),
            (1, 1, &[4], 3, 4, "a higher number counts at once"),
            (4, 4, &[1, 3], 0, 3, "what was to go stays, as far as it may again"),
            (4, 4, &[1, 6], 2, 6, "and only what is missing is made"),
            (4, 3, &[2, 1], 0, 1, "lower and lower"),
        ];
        for (before, taken, said, free, at_last, shows) in rows {
            let doorman = Doorman::new(*before, 10);
            let held: Vec<_> = (0..*taken).map(|_| doorman.place().unwrap()).collect();
            for most in *said {
                doorman.allow(*most, 10);
            }
            assert_eq!(doorman.total.available_permits(), *free, "{shows}");
            drop(held);
            assert_eq!(doorman.total.available_permits(), *at_last, "{shows}: nobody is there any more");
        }
    }

    #[tokio::test]
    async fn whoever_waited_before_a_lower_total_waits_for_it_as_well() {
        let doorman = Doorman::new(2, 10);
        let (first, second) = (doorman.place().unwrap(), doorman.place().unwrap());
        let mut waiting = Box::pin(doorman.room());
        let mut context = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending(), "there is no room");
        doorman.allow(1, 10);
        drop(first);
        assert!(waiting.as_mut().poll(&mut context).is_pending(), "one has left, and one is as many as there may be");
        drop(second);
        assert!(waiting.as_mut().poll(&mut context).is_ready());
    }
}
