//! Failure budgets: who has guessed too often must wait.
//!
//! Two budgets, both refilling evenly over a window: one per address prefix, and one per claimed id *from that prefix*.
//! There is none per id alone, on purpose: whoever knows an id could then spend its budget and lock its owner out.
//! So failures elsewhere never touch a caller. For callers behind the same prefix as a guesser there is a second door: an
//! id that was proven from there while the prefix was failing is, for an hour, held to its own budget and not to the
//! prefix's. What is left is the first call from behind a prefix that is over budget at that very moment: it waits for
//! the next refill, a second or less by default.
//!
//! The caller asks [`Governor::check`] before a credential is judged, and only then: a remembered verdict needs no judging.
//! It reports failures that a guess would look like ([`is_guess`]); a credential that was good once is no guess.
//!
//! Memory is bounded: per table, the entries used least make room. Making room costs a guesser one failure per prefix that it owns
//! (or per id, which its prefix's budget limits), so it cannot wash its own debt away. While nobody fails, a check is one atomic read.
//!
//! Never here: answers to clients, a clock, an id in the clear (a digest is kept).

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aws_lc_rs::digest::{Context, SHA256};
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use crate::domain::{Doubt, Seconds, Timestamp};

/// How much failure is put up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budgets {
    /// Failures per address prefix within `window`.
    pub per_address: u32,
    /// Failures per claimed id from one prefix within `window`.
    pub per_id: u32,
    /// After this long an empty budget is full again; at least a second.
    pub window: Seconds,
    /// How many of each are remembered.
    pub tracked: usize,
}

impl Default for Budgets {
    fn default() -> Self {
        Self { per_address: 100, per_id: 20, window: Seconds(60), tracked: 65_536 }
    }
}

/// Whether `doubt` is what a guess would meet; only that is reported with [`Governor::fail`].
///
/// A credential that was authentic and is too late, too early, withdrawn or meant for someone else was not guessed.
#[must_use]
pub fn is_guess(doubt: &Doubt) -> bool {
    match doubt {
        Doubt::Malformed
        | Doubt::Conflict
        | Doubt::AlgorithmRefused
        | Doubt::KeyUnknown
        | Doubt::SignatureInvalid
        | Doubt::SecretWrong
        | Doubt::ClaimsMalformed => true,
        Doubt::KeyDisabled
        | Doubt::Expired(_)
        | Doubt::NotYetValid
        | Doubt::IssuerMismatch
        | Doubt::AudienceMismatch
        | Doubt::ClaimMissing
        | Doubt::WindowExceeded
        | Doubt::Replayed
        | Doubt::Revoked => false,
    }
}

/// How long a proven id is exempt from its prefix's budget.
const PROVEN: Seconds = Seconds(3_600);

/// Keeps the budgets.
pub struct Governor {
    addresses: Debts<Prefix>,
    pairs: Debts<Pair>,
    /// Until when an id was proven from a prefix.
    proven: Table<Pair>,
    /// No debt of a prefix reaches past this moment, in microseconds.
    quiet_from: AtomicI64,
}

/// An address as far as it says who is there: 32 bits of IPv4, 64 of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Prefix {
    /// All of it.
    V4(u32),
    /// The half that names a network.
    V6(u64),
}

impl Prefix {
    /// The prefix of `address`.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

/// An id claimed from a prefix, as a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Pair([u8; 32]);

impl Pair {
    fn of(prefix: Prefix, id: &str) -> Self {
        let mut context = Context::new(&SHA256);
        match prefix {
            Prefix::V4(bits) => {
                context.update(&[4]);
                context.update(&bits.to_be_bytes());
            }
            Prefix::V6(bits) => {
                context.update(&[6]);
                context.update(&bits.to_be_bytes());
            }
        }
        context.update(id.as_bytes());
        let mut digest = [0; 32];
        digest.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
        Self(digest)
    }
}

/// Moments by key, bounded in number.
type Table<K> = Cache<K, Arc<AtomicI64>, UnitWeighter, ahash::RandomState>;

fn table<K: Eq + std::hash::Hash>(tracked: usize) -> Table<K> {
    Cache::with(tracked, tracked as u64, UnitWeighter, ahash::RandomState::new(), DefaultLifecycle::default())
}

/// One kind of budget. A debt is the moment, in microseconds, at which all failures so far are paid off.
struct Debts<K> {
    table: Table<K>,
    /// What one failure adds, in microseconds.
    cost: i64,
    /// The most that can be owed, in microseconds.
    window: i64,
}

impl<K: Eq + std::hash::Hash + Copy> Debts<K> {
    fn new(failures: u32, window: Seconds, tracked: usize) -> Self {
        let window = i64::from(window.0.max(1)) * 1_000_000;
        Self { table: table(tracked), cost: (window / i64::from(failures.max(1))).max(1), window }
    }

    /// A debt as of `now`: never more than can be owed, whatever the clock was when it was made.
    fn bounded(&self, debt: i64, now: i64) -> i64 {
        debt.min(now.saturating_add(self.window))
    }

    /// How long to wait until one more failure fits; `None` when it fits now.
    fn wait(&self, key: &K, now: i64) -> Option<Seconds> {
        let debt = self.table.get(key)?.load(Ordering::Relaxed);
        let over = self.bounded(debt, now).saturating_add(self.cost).saturating_sub(now.saturating_add(self.window));
        if over <= 0 {
            return None;
        }
        let seconds = (over.saturating_add(999_999)) / 1_000_000;
        Some(Seconds(u32::try_from(seconds).unwrap_or(u32::MAX)))
    }

    /// Adds one failure, and returns the new debt.
    fn add(&self, key: K, now: i64) -> i64 {
        let fresh = || Ok::<_, std::convert::Infallible>(Arc::new(AtomicI64::new(now)));
        let Ok(entry) = self.table.get_or_insert_with(&key, fresh);
        let add = |debt: i64| self.bounded(debt.max(now).saturating_add(self.cost), now);
        let before = entry.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |debt| Some(add(debt))).unwrap_or(now);
        add(before)
    }
}

fn micros(now: Timestamp) -> i64 {
    now.0.saturating_mul(1_000_000)
}

impl Governor {
    /// A governor that has seen no failure.
    #[must_use]
    pub fn new(budgets: Budgets) -> Self {
        Self {
            addresses: Debts::new(budgets.per_address, budgets.window, budgets.tracked),
            pairs: Debts::new(budgets.per_id, budgets.window, budgets.tracked),
            proven: table(budgets.tracked),
            quiet_from: AtomicI64::new(i64::MIN),
        }
    }

    /// Whether anyone failed lately. While this is false every check says `None`, so a caller need not work out a claimed id.
    #[must_use]
    pub fn is_busy(&self, now: Timestamp) -> bool {
        micros(now) < self.quiet_from.load(Ordering::Relaxed)
    }

    /// How many address prefixes and how many ids are being kept now.
    #[must_use]
    pub fn tracked(&self) -> (usize, usize) {
        (self.addresses.table.len(), self.pairs.table.len())
    }

    /// How long a caller from `address` who claims to be `claimed_id` must wait before a credential of theirs is judged;
    /// `None` when it may be judged now. Asked before judging, never about a remembered verdict.
    #[must_use]
    pub fn check(&self, address: IpAddr, claimed_id: Option<&str>, now: Timestamp) -> Option<Seconds> {
        if !self.is_busy(now) {
            return None;
        }
        let now = micros(now);
        let prefix = Prefix::of(address);
        let Some(id) = claimed_id else { return self.addresses.wait(&prefix, now) };
        let pair = Pair::of(prefix, id);
        let own = self.pairs.wait(&pair, now);
        let exempt = || self.proven.get(&pair).is_some_and(|until| now < until.load(Ordering::Relaxed));
        match self.addresses.wait(&prefix, now) {
            Some(shared) if !exempt() => Some(own.map_or(shared, |own| own.max(shared))),
            _ => own,
        }
    }

    /// Notes that a credential from `address`, claiming `claimed_id`, was wrong in a way that [`is_guess`].
    pub fn fail(&self, address: IpAddr, claimed_id: Option<&str>, now: Timestamp) {
        let now = micros(now);
        let prefix = Prefix::of(address);
        let mut paid = self.addresses.add(prefix, now);
        if let Some(id) = claimed_id {
            paid = paid.max(self.pairs.add(Pair::of(prefix, id), now));
        }
        self.quiet_from.fetch_max(paid, Ordering::Relaxed);
    }

    /// Notes that `claimed_id` was proven from `address`. Pays nobody's debts.
    ///
    /// Costs one atomic read while nobody fails: only then is there something to be exempt from.
    pub fn succeed(&self, address: IpAddr, claimed_id: &str, now: Timestamp) {
        if !self.is_busy(now) {
            return;
        }
        let prefix = Prefix::of(address);
        if self.addresses.table.peek(&prefix).is_none() {
            return;
        }
        let until = micros(now.plus(PROVEN));
        let fresh = || Ok::<_, std::convert::Infallible>(Arc::new(AtomicI64::new(until)));
        let Ok(entry) = self.proven.get_or_insert_with(&Pair::of(prefix, claimed_id), fresh);
        entry.store(until, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
