//! What is known of each issuer: its ring, how old it is, and when it was last asked. Every moment is handed in.
//!
//! Issuers that have a key and issuers that have none are kept apart, each bounded: names that attackers invent push each
//! other out and nobody else.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::domain::{Seconds, Timestamp};
use crate::verify::keys::ring::KeyRing;
use crate::verify::keys::store::Timing;

/// Issuers without a key that are remembered.
const MOST_GONE: usize = 1_024;

/// What is known of every issuer.
pub(super) struct Shelf {
    timing: Timing,
    retry: Seconds,
    negative_ttl: Seconds,
    capacity: usize,
    /// A `Mutex`: a look-up marks its issuer as used.
    books: Mutex<Books>,
    /// Changes whenever a key that was served is replaced or withdrawn.
    generation: AtomicU64,
}

#[derive(Default)]
struct Books {
    held: HashMap<Box<str>, Held, ahash::RandomState>,
    /// Issuers that have no key or did not answer, and until when they are not asked again.
    gone: HashMap<Box<str>, Gone, ahash::RandomState>,
    /// Counts uses, so that the one not used for longest can be told.
    uses: u64,
}

struct Held {
    ring: Arc<KeyRing>,
    generation: u64,
    fetched: Timestamp,
    /// The last attempt, good or bad.
    tried: Timestamp,
    used: u64,
}

#[derive(Clone, Copy)]
struct Gone {
    since: Timestamp,
    /// Whether the issuer itself said so.
    told: bool,
}

/// What is known of one issuer.
pub(super) enum Standing {
    /// Its ring, young.
    Fresh(Arc<KeyRing>),
    /// Its ring, which should be fetched again and may still be used.
    Aged(Arc<KeyRing>),
    /// It said that it has none.
    Gone,
    /// Nothing that may be used.
    Unheard,
}

impl Shelf {
    /// An empty shelf for `capacity` issuers; its generations count from `first`.
    pub(super) fn new(capacity: usize, timing: Timing, retry: Seconds, negative_ttl: Seconds, first: u64) -> Self {
        Self { timing, retry, negative_ttl, capacity, books: Mutex::default(), generation: AtomicU64::new(first) }
    }

    /// What is known of `issuer` at `now`.
    pub(super) fn standing(&self, issuer: &str, now: Timestamp) -> Standing {
        let mut books = self.books.lock();
        books.uses += 1;
        let uses = books.uses;
        if let Some(held) = books.held.get_mut(issuer)
            && now < held.fetched.plus(self.timing.max_stale)
        {
            held.used = uses;
            let ring = Arc::clone(&held.ring);
            return if now < held.fetched.plus(self.timing.refresh) { Standing::Fresh(ring) } else { Standing::Aged(ring) };
        }
        match books.gone.get(issuer) {
            Some(gone) if gone.told && now.is_within(self.negative_ttl, gone.since) => Standing::Gone,
            _ => Standing::Unheard,
        }
    }

    /// Whether `issuer`, whose key is missing or aged, may be asked at `now`.
    pub(super) fn may_ask(&self, issuer: &str, now: Timestamp) -> bool {
        let books = self.books.lock();
        let resting = books.held.get(issuer).is_some_and(|held| {
            // A key that was fetched and has aged since is due, whatever `retry` says.
            held.fetched != held.tried && now.is_within(self.retry, held.tried) || now.is_within(self.timing.refresh, held.fetched)
        });
        let silent = books.gone.get(issuer).is_some_and(|gone| {
            let pause = if gone.told { self.negative_ttl } else { self.retry };
            now.is_within(pause, gone.since)
        });
        !resting && !silent
    }

    /// Whether `issuer`, whose key did not match, may be asked at `now` although the key is young.
    pub(super) fn may_look_again(&self, issuer: &str, now: Timestamp) -> bool {
        let mut books = self.books.lock();
        match books.held.get_mut(issuer) {
            Some(held) if now.is_within(self.retry, held.tried) => false,
            Some(held) => {
                held.tried = now;
                true
            }
            None => false,
        }
    }

    /// Notes what `issuer` answered at `now`: its ring, or that it has none.
    pub(super) fn put(&self, issuer: &str, ring: Option<KeyRing>, now: Timestamp) {
        let mut books = self.books.lock();
        books.uses += 1;
        let used = books.uses;
        let known = books.held.remove(issuer);
        let Some(ring) = ring else {
            if known.is_some() {
                self.generation.fetch_add(1, Ordering::SeqCst);
            }
            books.remember_gone(issuer, Gone { since: now, told: true });
            return;
        };
        let generation = ring.generation(known.as_ref().map(|held| (&*held.ring, held.generation)));
        if known.is_some_and(|held| held.generation != generation) {
            self.generation.fetch_add(1, Ordering::SeqCst);
        }
        books.gone.remove(issuer);
        if self.capacity <= books.held.len() {
            let least = books.held.iter().min_by_key(|(_, held)| held.used).map(|(issuer, _)| issuer.clone());
            if let Some(least) = least {
                books.held.remove(&least);
                // What comes back for it later is not compared with what was thrown away here.
                self.generation.fetch_add(1, Ordering::SeqCst);
            }
        }
        books.held.insert(issuer.into(), Held { ring: Arc::new(ring), generation, fetched: now, tried: now, used });
    }

    /// Notes that `issuer` gave no usable answer at `now`; what is held stays.
    pub(super) fn failed(&self, issuer: &str, now: Timestamp) {
        let mut books = self.books.lock();
        match books.held.get_mut(issuer) {
            Some(held) => held.tried = now,
            None => books.remember_gone(issuer, Gone { since: now, told: false }),
        }
    }

    /// How many issuers' keys are held.
    pub(super) fn len(&self) -> usize {
        self.books.lock().held.len()
    }

    /// Changes whenever a key that was served is replaced or withdrawn.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }
}

impl Books {
    fn remember_gone(&mut self, issuer: &str, gone: Gone) {
        if MOST_GONE <= self.gone.len() && !self.gone.contains_key(issuer) {
            let oldest = self.gone.iter().min_by_key(|(_, gone)| gone.since).map(|(issuer, _)| issuer.clone());
            if let Some(oldest) = oldest {
                self.gone.remove(&oldest);
            }
        }
        self.gone.insert(issuer.into(), gone);
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_GONE, Shelf, Standing};
    use crate::domain::{Seconds, Timestamp};
    use crate::jose::jwk::parse_pem;
    use crate::verify::keys::ring::KeyRing;
    use crate::verify::keys::store::Timing;
    use crate::verify::keys::testing::IssuerKey;

    fn ring(key: &IssuerKey) -> Option<KeyRing> {
        Some(KeyRing::new(parse_pem(key.pem().as_bytes()).unwrap().keys))
    }

    #[test]
    fn room_is_bounded_and_the_least_used_makes_it() {
        let timing = Timing { refresh: Seconds(100), max_stale: Seconds(1_000) };
        let shelf = Shelf::new(2, timing, Seconds(30), Seconds(600), 7);
        let (key, now) = (IssuerKey::nameless(), Timestamp(0));
        let held = |issuer: &str| matches!(shelf.standing(issuer, now), Standing::Fresh(_));
        shelf.put("a", ring(&key), now);
        shelf.put("b", ring(&key), now);
        assert_eq!(shelf.generation(), 7, "new issuers void no verdict");
        assert!(held("a"), "and this was a use");
        shelf.put("c", ring(&key), now);
        assert_eq!((held("a"), held("b"), held("c")), (true, false, true), "the one not used for longest goes");
        assert_ne!(shelf.generation(), 7, "what it served is not known any more");
        assert_eq!(shelf.len(), 2);

        for number in 0..2 * MOST_GONE {
            shelf.put(&format!("gone-{number}"), None, Timestamp(i64::try_from(number).unwrap()));
        }
        let now = Timestamp(i64::try_from(2 * MOST_GONE - 1).unwrap());
        assert!(matches!(shelf.standing(&format!("gone-{}", 2 * MOST_GONE - 1), now), Standing::Gone), "the latest is remembered");
        assert!(matches!(shelf.standing("gone-0", now), Standing::Unheard), "the first is not");
        assert_eq!(shelf.len(), 2, "and nobody who has a key was pushed out");
    }
}
