//! Renewals without races: however many requests bring the same spent credential, on however many nodes, it is exchanged once.
//!
//! In this process there is one flight per spent credential (`cell`), in a task of its own, so it goes on when whoever began it
//! goes away. Between nodes there is one record per spent credential in the state store (`protocol`): a lease while the issuer is
//! asked, then the result, for as long as a request may still come late. The result is sealed under the spent credential
//! itself (`seal`).
//!
//! Deliberately absent: a second exchange for a credential that may be spent, unless the issuer says that it forgives that; a
//! verdict about the new pair; trust in anything that the store returns.
//!
//! What a paused leader may still do: a process that is stopped between its last look at the clock and its request to the issuer
//! (a virtual machine that is moved, a debugger) asks the issuer when it goes on, however late that is. No store can take back
//! what is on its way. Nobody else asks meanwhile, because a lease that has ended without a result counts as an exchange whose
//! answer is lost; and where another node has asked again, because the issuer forgives it, the late result meets another version
//! in the store, is thrown away, and its own waiters get what stands there.
//!
//! Clocks of nodes must agree to within seconds: one that runs ahead takes a lease for ended too early and gives up a renewal
//! that is under way.

mod breaker;
mod cell;
mod memory;
mod pair;
pub mod protocol;
pub mod record;
mod seal;
mod sync;
mod trip;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::{Event, RenewalFailure, Renewed, Seconds, Spent, SpentKey, Timestamp, TokenPair};
use crate::renew::contract::{FlightTools, Renewals, Renewer};
use crate::renew::flight::breaker::{Breaker, Temper};
use crate::renew::flight::cell::{Board, Boarding, Landed, Seat};
use crate::renew::flight::memory::Memory;
use crate::renew::flight::protocol::{Move, Standing, View};
use crate::renew::flight::trip::{Outcome, Trip};

/// How long things may take and are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlightSettings {
    /// How long a request waits for a renewal before it is told to come again.
    pub wait: Duration,
    /// How long one exchange may take; it is broken off then, and its answer is lost.
    pub flight: Seconds,
    /// For how long after its exchange the new pair is given to whoever still brings the spent credential.
    pub grace: Seconds,
    /// For how long a refusal is repeated without asking again.
    pub fatal: Seconds,
    /// How long nobody asks after an exchange that spent nothing. Doubles while it goes on.
    pub transient: Seconds,
    /// The most that it doubles to.
    pub transient_most: Seconds,
    /// After the failures of how many callers in a row nobody asks for a while; and after how many of one caller nobody asks for
    /// that one.
    pub failures: u32,
    /// For how long, at least, a credential that may be spent is not presented again. The life that is left to its access
    /// credential counts when it is longer.
    pub unknown: Seconds,
    /// And at most.
    pub unknown_most: Seconds,
    /// How many renewals may be under way on this node.
    pub capacity: usize,
    /// How many bytes of results this node remembers beside the store.
    pub memory: u64,
}

impl Default for FlightSettings {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(2),
            flight: Seconds(15),
            grace: Seconds(30),
            fatal: Seconds(60),
            transient: Seconds(1),
            transient_most: Seconds(60),
            failures: 3,
            unknown: Seconds(300),
            unknown_most: Seconds(86_400),
            capacity: 4_096,
            memory: 16 << 20,
        }
    }
}

impl FlightSettings {
    /// How long a lease is: an exchange, and what it takes to write before and after it.
    #[must_use]
    pub fn lease(&self) -> Seconds {
        /// The store's own time-outs fit into this.
        const MARGIN: u32 = 5;
        Seconds(self.flight.0.saturating_add(MARGIN))
    }
}

/// The renewals of one renewer on this node.
pub struct Flights {
    deck: Arc<Deck>,
}

/// What all flights of one renewer share.
struct Deck {
    name: Arc<str>,
    renewer: Arc<dyn Renewer>,
    tools: FlightTools,
    settings: FlightSettings,
    board: Board<SpentKey, Outcome>,
    memory: Memory,
    breaker: Arc<Breaker>,
}

impl Flights {
    /// The flights of `renewer`, called `name` in the conf. Nodes that share a store and are to share renewals call it the same.
    #[must_use]
    pub fn new(name: Arc<str>, renewer: Arc<dyn Renewer>, tools: FlightTools, settings: FlightSettings) -> Self {
        let millis = |length: Seconds| i64::from(length.0).saturating_mul(1_000);
        let temper =
            Temper { failures: settings.failures.max(1), pause: millis(settings.transient), longest: millis(settings.transient_most) };
        let doubts = Seconds(settings.lease().0.saturating_add(settings.unknown_most.0)).duration();
        let deck = Deck {
            name,
            renewer,
            tools,
            board: Board::new(settings.capacity),
            memory: Memory::new(settings.memory, doubts),
            breaker: Breaker::new(temper),
            settings,
        };
        Self { deck: Arc::new(deck) }
    }

    /// How many renewals are under way on this node.
    #[must_use]
    pub fn flying(&self) -> usize {
        self.deck.board.flying()
    }

    /// Waits for `seat`, as long as a request waits.
    async fn wait(&self, seat: Seat<Outcome>, first: bool) -> Result<(Arc<TokenPair>, bool), RenewalFailure> {
        let settings = &self.deck.settings;
        let Ok(landed) = tokio::time::timeout(settings.wait, seat).await else {
            let seconds = u32::try_from(settings.wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX);
            if !first {
                self.deck.note(RenewalFailure::Pending { retry_after: Seconds(0) }.as_str(), true);
            }
            return Err(RenewalFailure::Pending { retry_after: Seconds(seconds.max(1)) });
        };
        let outcome = match landed {
            Landed::Brought(outcome) => outcome,
            // Its task broke off, perhaps after the issuer was asked.
            Landed::Lost => {
                self.deck.note(RenewalFailure::Unknown.as_str(), !first);
                return Err(RenewalFailure::Unknown);
            }
        };
        let coalesced = !(first && outcome.own);
        if coalesced {
            self.deck.note(name_of(&outcome.result), true);
        }
        outcome.result.map(|pair| (pair, coalesced))
    }
}

#[async_trait]
impl Renewals for Flights {
    fn key(&self, spent: &Spent) -> SpentKey {
        seal::name(&self.deck.name, &spent.refresh)
    }

    async fn renew(&self, spent: &Spent, now: Timestamp) -> Result<Renewed, RenewalFailure> {
        /// A flight that others began may bring just what this request has brought; the next one is its own.
        const ROUNDS: usize = 2;
        const SOON: Seconds = Seconds(1);
        let key = self.key(spent);
        for _ in 0..ROUNDS {
            if let Some(known) = self.deck.recall(&key, spent, now) {
                self.deck.note(name_of(&known), true);
                return known.map(|pair| Renewed { pair, coalesced: true });
            }
            let (seat, first) = match self.deck.board.board(&key) {
                Boarding::First(pilot, seat) => {
                    let trip = Trip::new(Arc::clone(&self.deck), key, spent.clone());
                    tokio::spawn(trip.fly(pilot));
                    (seat, true)
                }
                Boarding::Joined(seat) => (seat, false),
                Boarding::Crowded => {
                    let failure = RenewalFailure::Transient { retry_after: SOON };
                    self.deck.note(failure.as_str(), false);
                    return Err(failure);
                }
            };
            let (pair, coalesced) = self.wait(seat, first).await?;
            // What an exchange for this very request has brought is its answer, whatever it is.
            if !coalesced || !is_stale(&pair, spent, now) {
                return Ok(Renewed { pair: TokenPair::clone(&pair), coalesced });
            }
        }
        Err(RenewalFailure::Transient { retry_after: SOON })
    }
}

impl Deck {
    /// What this node remembers about `spent`, if that settles it.
    fn recall(&self, key: &SpentKey, spent: &Spent, now: Timestamp) -> Option<Result<TokenPair, RenewalFailure>> {
        let standing = Standing::Recorded(self.memory.recall(key)?, 0);
        match protocol::next(&standing, &self.view(key, now)) {
            Move::Stop(failure) => Some(Err(failure)),
            Move::Take { sealed, ends, .. } => {
                let pair = seal::open(&sealed, key, &spent.refresh, ends)?;
                (!is_stale(&pair, spent, now)).then_some(Ok(pair))
            }
            Move::Lead { .. } | Move::Follow { .. } => None,
        }
    }

    fn view(&self, key: &SpentKey, now: Timestamp) -> View {
        View { now, forgives: self.renewer.forgives_repeats(), disowned: self.memory.disowned(key) }
    }

    /// Reports one request or one flight of its own.
    fn note(&self, result: &'static str, coalesced: bool) {
        self.tools.observer.note(Event::Renewal { renewer: &self.name, result, coalesced });
    }
}

/// Whether an earlier result is of no use to whoever brings `spent`, and the issuer may be asked again: it does not rotate, and
/// the result has run out since, or is what they have brought. What is spent for good is never asked for again.
fn is_stale(pair: &TokenPair, spent: &Spent, now: Timestamp) -> bool {
    let rotated = pair.refresh.as_ref().is_some_and(|refresh| refresh.expose() != spent.refresh.expose());
    let over = pair.access_until.is_some_and(|until| until <= now);
    let same = pair.access.expose() == spent.access.expose();
    !rotated && (over || same)
}

/// The name of a result in records and metrics.
fn name_of<T>(result: &Result<T, RenewalFailure>) -> &'static str {
    match result {
        Ok(_) => "renewed",
        Err(failure) => failure.as_str(),
    }
}

#[cfg(test)]
mod tests;
