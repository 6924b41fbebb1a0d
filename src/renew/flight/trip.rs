//! One flight from beginning to end: looks, takes the lease, asks the issuer, writes what came of it.
//!
//! What to do at each step is said by `protocol`; here it is done. The store is asked with what was seen last, never blindly:
//! every write expects a version, so the one that is tried again after an outage can only find that it had happened.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::domain::{Event, Outage, RenewalFailure, Seconds, Spent, SpentKey, Timestamp, TokenPair};
use crate::renew::contract::RenewError;
use crate::renew::flight::breaker::{Caller, Permit};
use crate::renew::flight::cell::Pilot;
use crate::renew::flight::protocol::{self, Ended, Holder, Landing, Late, Lease, Move, Record, Standing, Terms};
use crate::renew::flight::{Deck, is_stale, name_of, record, seal};
use crate::state::contract::{Class, Entry, Expect, Key, Written};

/// What a flight brings to its waiters.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub(super) result: Result<Arc<TokenPair>, RenewalFailure>,
    /// Whether this flight has settled it, and not one before it or on another node.
    pub(super) own: bool,
}

impl Outcome {
    fn own(result: Result<Arc<TokenPair>, RenewalFailure>) -> Self {
        Self { result, own: true }
    }

    fn of_another(result: Result<Arc<TokenPair>, RenewalFailure>) -> Self {
        Self { result, own: false }
    }
}

/// One flight.
pub(super) struct Trip {
    deck: Arc<Deck>,
    key: SpentKey,
    spent: Spent,
}

/// What this flight may still do when the record lets it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Ask the issuer.
    Open,
    /// Nothing: it has asked, and its result was thrown away.
    Spectator,
}

/// A lease that was taken.
struct Taken {
    lease: Lease,
    version: u64,
}

/// What an attempt to take a lease came to.
enum Taking {
    Taken(Taken),
    Conflict(Standing),
    Outage,
}

/// An exchange that has ended.
struct Exchange {
    ended: Ended,
    /// The pair, when it has brought one.
    pair: Option<TokenPair>,
    /// When it ended: the pair is sealed for the grace that begins here.
    at: Timestamp,
    terms: Terms,
}

/// What became of writing a result.
enum Completion {
    /// It stands.
    Written,
    /// The store does not answer.
    Outage,
    /// Something else stands there, and counts.
    ThrownAway(Standing),
}

impl Trip {
    pub(super) fn new(deck: Arc<Deck>, key: SpentKey, spent: Spent) -> Self {
        Self { deck, key, spent }
    }

    /// Flies, and lands whatever comes of it.
    pub(super) async fn fly(self, pilot: Pilot<SpentKey, Outcome>) {
        // Whoever came between the landing of a flight and this one finds here what it has left.
        if let Some(known) = self.deck.recall(&self.key, &self.spent, self.now()) {
            return pilot.land(Outcome::of_another(known.map(Arc::new)));
        }
        // While the issuer is well, most keys are new: the lease is asked for without a look, and a conflict is the look.
        let seen = if self.deck.breaker.is_closed() { Ok(Standing::Absent) } else { self.look().await };
        let outcome = match seen {
            Ok(standing) => match self.settle(standing, Role::Open).await {
                Settled::Outcome(outcome) => outcome,
                Settled::Leading(taken, permit) => return self.lead(taken, permit, pilot).await,
            },
            Err(_outage) => Outcome::own(Err(RenewalFailure::StateUnavailable)),
        };
        self.land(pilot, outcome);
    }

    fn land(&self, pilot: Pilot<SpentKey, Outcome>, outcome: Outcome) {
        if outcome.own {
            self.deck.note(name_of(&outcome.result), false);
        }
        pilot.land(outcome);
    }

    fn now(&self) -> Timestamp {
        self.deck.tools.clock.now()
    }

    /// The right to ask the issuer for this caller, or for how many milliseconds there is none.
    fn permit(&self) -> Result<Permit, i64> {
        self.deck.breaker.permit(Caller::of(&self.spent.identity), self.deck.tools.clock.millis())
    }

    fn store_key(&self) -> Key {
        Key { class: Class::Renewal, digest: self.key.0 }
    }

    /// Follows the record until it settles the matter or the lease is ours.
    async fn settle(&self, standing: Standing, role: Role) -> Settled {
        /// Between two looks when a wait ended early and nothing had changed.
        const PAUSE: Duration = Duration::from_millis(50);
        /// Somebody was quicker, as often as no protocol explains; the request may come again.
        const MOST: usize = 16;
        const PENDING: RenewalFailure = RenewalFailure::Pending { retry_after: Seconds(1) };

        // Two leases at most follow one another, whatever the clocks of their holders say.
        let mut patience = pin!(tokio::time::sleep(self.deck.settings.lease().duration().saturating_mul(2)));
        let mut standing = standing;
        let mut conflicts = 0;
        let mut seen = None;
        while conflicts < MOST {
            let lead = match protocol::next(&standing, &self.deck.view(&self.key, self.now())) {
                Move::Stop(failure) => return Settled::of_another(Err(failure)),
                Move::Take { sealed, ends, version } => match seal::open(&sealed, &self.key, &self.spent.refresh, ends) {
                    Some(pair) if !is_stale(&pair, &self.spent, self.now()) => {
                        self.keep(Record::Done { sealed, ends });
                        return Settled::of_another(Ok(Arc::new(pair)));
                    }
                    Some(_stale) => protocol::beyond(version),
                    // Sealed by another release, or tampered with.
                    None => return Settled::of_another(Err(RenewalFailure::Unknown)),
                },
                Move::Follow { version, ends } => {
                    if seen.replace(version) == Some(version) {
                        tokio::time::sleep(PAUSE).await;
                    }
                    let (key, longest) = (self.store_key(), self.now().until(ends).duration());
                    tokio::select! {
                        () = self.deck.tools.state.changed(&key, version, longest) => {}
                        () = patience.as_mut() => return Settled::of_another(Err(PENDING)),
                    }
                    match self.look().await {
                        Ok(now) => standing = now,
                        Err(_outage) => return Settled::of_another(Err(RenewalFailure::StateUnavailable)),
                    }
                    continue;
                }
                lead @ Move::Lead { .. } => lead,
            };
            match self.take(lead, role).await {
                Ok(settled) => return settled,
                Err(other) => standing = other,
            }
            conflicts += 1;
        }
        Settled::of_another(Err(PENDING))
    }

    /// Takes the lease that `lead` speaks of; what stands there instead, when somebody else was quicker.
    async fn take(&self, lead: Move, role: Role) -> Result<Settled, Standing> {
        let Move::Lead { expect, attempt } = lead else { return Ok(Settled::of_another(Err(RenewalFailure::Unknown))) };
        if role == Role::Spectator {
            return Ok(Settled::of_another(Err(RenewalFailure::Unknown)));
        }
        let permit = match self.permit() {
            Ok(permit) => permit,
            Err(millis) => return Ok(Settled::own(Err(RenewalFailure::Transient { retry_after: seconds(millis) }))),
        };
        match self.lease(expect, attempt).await {
            Taking::Taken(taken) => Ok(Settled::Leading(taken, permit)),
            Taking::Conflict(standing) => Err(standing),
            Taking::Outage => Ok(Settled::own(Err(RenewalFailure::StateUnavailable))),
        }
    }

    async fn lease(&self, expect: Expect, attempt: u8) -> Taking {
        let mut holder = [0; 16];
        self.deck.tools.random.fill(&mut holder);
        let lease = Lease { holder: Holder(holder), attempt, ends: self.now().plus(self.deck.settings.lease()) };
        match self.write("renewal_lease", expect, &Record::Leased(lease)).await {
            Ok(Written::Done { version }) => Taking::Taken(Taken { lease, version }),
            Ok(Written::Conflict(entry)) => Taking::Conflict(standing(entry)),
            Err(_outage) => {
                // It may stand there all the same. Nobody asks the issuer under it, which nobody but this node knows.
                self.deck.memory.disown(self.key, lease.holder);
                Taking::Outage
            }
        }
    }

    /// Asks the issuer under the lease, writes the result and lands it.
    async fn lead(self, taken: Taken, permit: Permit, pilot: Pilot<SpentKey, Outcome>) {
        let Taken { mut lease, mut version } = taken;
        let mut permit = permit;
        let forgives = self.deck.renewer.forgives_repeats();
        loop {
            let exchange = self.exchange(&lease, permit).await;
            if exchange.ended == Ended::Unreached {
                self.deck.memory.disown(self.key, lease.holder);
            }
            let unknown = exchange.terms.unknown;
            match protocol::landing(exchange.ended, lease.attempt, forgives, exchange.at, &exchange.terms) {
                Landing::Write { record, failure } => {
                    let result = match (failure, exchange.pair) {
                        (None, Some(pair)) => Ok(Arc::new(pair)),
                        (None, None) => Err(RenewalFailure::Unknown),
                        (Some(failure), _) => Err(failure),
                    };
                    return self.finish(&record, &lease, version, result, pilot).await;
                }
                Landing::Again { attempt } => {
                    let again = self.permit();
                    let taking = match &again {
                        Ok(_permit) => self.lease(Expect::Version(version), attempt).await,
                        Err(_millis) => Taking::Outage,
                    };
                    match (taking, again) {
                        (Taking::Taken(taken), Ok(next)) => {
                            Taken { lease, version } = taken;
                            permit = next;
                        }
                        (Taking::Conflict(standing), _) => {
                            let outcome = self.watch(standing).await;
                            return self.land(pilot, outcome);
                        }
                        // No second chance now. The first one remains lost, and whoever comes later may take it.
                        _ => {
                            let record = Record::Lost { attempt: lease.attempt, ends: self.now().plus(unknown) };
                            return self.finish(&record, &lease, version, Err(RenewalFailure::Unknown), pilot).await;
                        }
                    }
                }
            }
        }
    }

    /// One exchange under `lease`, if there is still time for it. It ends within the time of a flight, whatever the renewer does.
    async fn exchange(&self, lease: &Lease, permit: Permit) -> Exchange {
        let settings = &self.deck.settings;
        let asked = self.now();
        if !protocol::in_time(lease, asked, settings.flight) {
            // Taking the lease took so long that the exchange could outlast it. Nobody was asked.
            return Exchange { ended: Ended::Unreached, pair: None, at: asked, terms: self.terms() };
        }
        // In a task of its own, so that a panic in it is a lost answer; the set takes it down together with this flight.
        let mut task = JoinSet::new();
        let (renewer, spent) = (Arc::clone(&self.deck.renewer), self.spent.clone());
        task.spawn(async move { renewer.renew(&spent, asked).await });
        let answer = tokio::time::timeout(settings.flight.duration(), task.join_next()).await;
        let at = self.now();
        let mut terms = self.terms();
        let (ended, pair) = match answer {
            Ok(Some(Ok(Ok(pair)))) if !pair.access.is_empty() => {
                match seal::seal(&pair, &self.key, &self.spent.refresh, at.plus(terms.grace), self.deck.tools.random.as_ref()) {
                    Some(sealed) => (Ended::Renewed(sealed), Some(pair)),
                    None => (Ended::Lost, None),
                }
            }
            Ok(Some(Ok(Err(RenewError::Rejected { .. } | RenewError::Unaccepted { .. })))) => (Ended::Rejected, None),
            Ok(Some(Ok(Err(RenewError::Unreached { .. })))) => (Ended::Unreached, None),
            // No usable answer, a panic, or too late.
            Ok(_) | Err(_) => (Ended::Lost, None),
        };
        match ended {
            Ended::Renewed(_) | Ended::Rejected => permit.answered(),
            Ended::Unreached | Ended::Lost => {
                let mut chance = [0; 4];
                self.deck.tools.random.fill(&mut chance);
                terms.transient = seconds(permit.failed(self.deck.tools.clock.millis(), u32::from_be_bytes(chance)));
            }
        }
        Exchange { ended, pair, at, terms }
    }

    /// For how long results are remembered from now on.
    fn terms(&self) -> Terms {
        let settings = &self.deck.settings;
        Terms { grace: settings.grace, fatal: settings.fatal, transient: settings.transient, unknown: self.unknown() }
    }

    /// For how long it is remembered that nobody knows: while the access credential lives, within bounds.
    fn unknown(&self) -> Seconds {
        let settings = &self.deck.settings;
        let left = self.spent.identity.expires.map_or(Seconds(0), |expires| self.now().until(expires));
        left.min(settings.unknown_most).max(settings.unknown)
    }

    /// Writes `record` and lands `result`; or follows what stands there instead.
    async fn finish(
        &self,
        record: &Record,
        lease: &Lease,
        version: u64,
        result: Result<Arc<TokenPair>, RenewalFailure>,
        pilot: Pilot<SpentKey, Outcome>,
    ) {
        match self.complete(record, lease, version).await {
            Completion::Written => {
                self.keep(record.clone());
                self.land(pilot, Outcome::own(result));
            }
            Completion::ThrownAway(standing) => {
                let outcome = self.watch(standing).await;
                self.land(pilot, outcome);
            }
            Completion::Outage => {
                // The client must not lose what the issuer has given: it is handed out here, now and while it is remembered,
                // and the other nodes get it as soon as the store answers.
                self.keep(record.clone());
                self.land(pilot, Outcome::own(result));
                self.persist(record, lease, version).await;
            }
        }
    }

    /// Writes `record` in place of the lease.
    async fn complete(&self, record: &Record, lease: &Lease, version: u64) -> Completion {
        let mut expect = Expect::Version(version);
        loop {
            let standing = match self.write("renewal_complete", expect, record).await {
                Ok(Written::Done { .. }) => return Completion::Written,
                Ok(Written::Conflict(entry)) => standing(entry),
                Err(_outage) => return Completion::Outage,
            };
            match protocol::late(record, lease, &standing, self.now()) {
                Late::Written => return Completion::Written,
                Late::Rewrite if expect != Expect::Absent => expect = Expect::Absent,
                Late::Rewrite | Late::ThrownAway => return Completion::ThrownAway(standing),
            }
        }
    }

    /// Goes on trying to write `record` while the lease lasts, after everybody here has been told.
    async fn persist(&self, record: &Record, lease: &Lease, version: u64) {
        const FIRST: Duration = Duration::from_millis(250);
        let mut pause = FIRST;
        while self.now() < lease.ends {
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2);
            match self.complete(record, lease, version).await {
                Completion::Written => return,
                // Another result counts now, for whoever comes from now on.
                Completion::ThrownAway(_) => return self.deck.memory.forget(&self.key),
                Completion::Outage => {}
            }
        }
    }

    /// What the record comes to, for a flight whose own result is thrown away.
    async fn watch(&self, standing: Standing) -> Outcome {
        match self.settle(standing, Role::Spectator).await {
            Settled::Outcome(outcome) => outcome,
            Settled::Leading(..) => Outcome::of_another(Err(RenewalFailure::Unknown)),
        }
    }

    fn keep(&self, record: Record) {
        let now = self.now();
        let until = match &record {
            Record::Leased(_) => return,
            Record::Done { ends, .. } | Record::Failed { ends, .. } | Record::Lost { ends, .. } => *ends,
        };
        self.deck.memory.keep(self.key, record, until, now);
    }

    async fn look(&self) -> Result<Standing, Outage> {
        let read = self.deck.tools.state.read(&self.store_key(), self.now()).await;
        self.deck.tools.observer.note(Event::State { operation: "renewal_read", ok: read.is_ok() });
        read.map(standing)
    }

    async fn write(&self, operation: &'static str, expect: Expect, record: &Record) -> Result<Written, Outage> {
        let until = protocol::kept_until(record, self.unknown());
        let written = self.deck.tools.state.write(&self.store_key(), expect, record::write(record), until, self.now()).await;
        self.deck.tools.observer.note(Event::State { operation, ok: written.is_ok() });
        written
    }
}

/// Where following a record ends.
enum Settled {
    Outcome(Outcome),
    /// The lease is ours.
    Leading(Taken, Permit),
}

impl Settled {
    fn own(result: Result<Arc<TokenPair>, RenewalFailure>) -> Self {
        Self::Outcome(Outcome::own(result))
    }

    fn of_another(result: Result<Arc<TokenPair>, RenewalFailure>) -> Self {
        Self::Outcome(Outcome::of_another(result))
    }
}

/// What `entry` says.
fn standing(entry: Option<Entry>) -> Standing {
    match entry {
        None => Standing::Absent,
        Some(entry) => match record::read(&entry.value) {
            Some(record) => Standing::Recorded(record, entry.version),
            None => Standing::Unreadable,
        },
    }
}

/// `millis` in whole seconds, rounded up, and one at least.
fn seconds(millis: i64) -> Seconds {
    Seconds(u32::try_from(millis.max(1).saturating_add(999) / 1_000).unwrap_or(u32::MAX))
}
