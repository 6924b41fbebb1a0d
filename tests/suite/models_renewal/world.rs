//! The world of the model: store, issuer, time and nodes, and everything that can happen next.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use countersign::domain::{Seconds, Timestamp};
use countersign::renew::flight::protocol::{self, Ended, Record, Standing, Terms};
use countersign::state::contract::Expect;
use stateright::{Model, Property};

use super::node::{Node, Phase, Told};
use super::properties;

pub const FLIGHT: Seconds = Seconds(1);
pub const LEASE: Seconds = Seconds(2);
/// Longer than the model lasts: what comes after an end is a new beginning, and the issuer's business.
pub const TERMS: Terms = Terms { grace: Seconds(20), fatal: Seconds(20), transient: Seconds(1), unknown: Seconds(20) };

/// What is explored.
#[derive(Debug, Clone)]
pub struct World {
    /// Whether the issuer forgives that a spent credential comes again.
    pub forgives: bool,
    /// How many flights each node may begin, deaths not counted.
    pub flights: [u8; 3],
    /// How many nodes may die.
    pub crashes: u8,
    /// How many writes may get lost, before or after they happen.
    pub lost_writes: u8,
    /// How many times the issuer may be away or lose an answer.
    pub lost_answers: u8,
    /// The last moment.
    pub horizon: i64,
    /// How far the clock of each node is from the right time.
    pub skew: [i64; 3],
    /// Something that is done wrong on purpose.
    pub flaw: Option<Flaw>,
}

/// Something that is done wrong on purpose, to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// A lease that has ended is taken for none.
    LapsedLeaseIsForgotten,
    /// A result is written whatever stands there.
    NoFence,
    /// The issuer is asked though the store has not acknowledged the lease.
    DoubtfulLeaseIsUsed,
}

impl World {
    pub fn strict() -> Self {
        Self { forgives: false, flights: [1; 3], crashes: 1, lost_writes: 1, lost_answers: 1, horizon: 3, skew: [0; 3], flaw: None }
    }

    pub fn forgiving() -> Self {
        Self { forgives: true, ..Self::strict() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub now: i64,
    pub store: Option<Entry>,
    /// The version given last.
    pub version: u64,
    /// Leases made so far, to tell them apart.
    pub leases: u8,
    pub issuer: Issuer,
    pub nodes: [Node; 3],
    pub crashes: u8,
    pub lost_writes: u8,
    pub lost_answers: u8,
    /// Whether a result was thrown away because another one counts.
    pub thrown_away: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    pub record: Record,
    pub version: u64,
    pub until: Timestamp,
}

/// The issuer's side of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Issuer {
    /// How many exchanges have spent the credential, or found it spent.
    pub reached: u8,
    /// How many pairs it has issued; the last one is the one that lives.
    pub issued: u8,
    /// Whether it has taken a repeat for theft and ended the session.
    pub revoked: bool,
    /// Whether it was asked under a lease that was over.
    pub asked_late: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Tick,
    Begin(usize),
    Crash(usize),
    /// The node does what comes next; where the store is asked, the answer comes.
    Go(usize),
    /// The store is asked to write, and the answer does not come.
    Unanswered(usize, Happened),
    /// The issuer is asked.
    Ask(usize, Answer),
    /// Whoever follows has waited long enough.
    GiveUp(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    Yes,
    No,
}

/// What the issuer does, and what of it arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It answers.
    Arrives,
    /// It has rotated, and its answer is lost.
    Lost,
    /// It never got the request, and nobody can tell.
    Swallowed,
    /// It is not there.
    Unreached,
}

impl State {
    pub fn at(&self, world: &World, node: usize) -> Timestamp {
        Timestamp(self.now + world.skew[node])
    }

    pub fn look(&self, now: Timestamp) -> Standing {
        match &self.store {
            Some(entry) if now < entry.until => Standing::Recorded(entry.record.clone(), entry.version),
            _ => Standing::Absent,
        }
    }

    /// Compares the version, and sets. The new version, or what stands there.
    pub fn write(&mut self, world: &World, expect: Expect, record: Record, now: Timestamp) -> Result<u64, Standing> {
        let standing = self.look(now);
        let as_expected = match (expect, &standing) {
            (Expect::Absent, Standing::Absent) => true,
            (Expect::Version(expected), Standing::Recorded(_, version)) => expected == *version,
            _ => false,
        };
        let unfenced = world.flaw == Some(Flaw::NoFence) && !matches!(record, Record::Leased(_));
        if !as_expected && !unfenced {
            return Err(standing);
        }
        self.version += 1;
        let until = protocol::kept_until(&record, TERMS.unknown);
        self.store = Some(Entry { record, version: self.version, until });
        Ok(self.version)
    }

    /// The number of the pair in `record`.
    pub fn number(sealed: &Bytes) -> u8 {
        sealed[0]
    }

    /// Spends the credential; how the exchange ends for whoever asked.
    pub fn exchange(&mut self, world: &World, answer: Answer) -> Ended {
        match answer {
            Answer::Unreached => return Ended::Unreached,
            Answer::Swallowed => return Ended::Lost,
            Answer::Arrives | Answer::Lost => {}
        }
        let again = 0 < self.issuer.reached;
        self.issuer.reached += 1;
        if again && !world.forgives {
            self.issuer.revoked = true;
            return Ended::Rejected;
        }
        self.issuer.issued += 1;
        match answer {
            Answer::Arrives => Ended::Renewed(Bytes::from(vec![self.issuer.issued])),
            _ => Ended::Lost,
        }
    }

    /// The same, as seen by somebody who cannot tell the nodes apart. What may happen next does not depend on which is which.
    fn canonical(mut self, world: &World) -> Self {
        if world.skew == [0; 3] {
            self.nodes.sort_by_cached_key(|node| {
                let mut hasher = DefaultHasher::new();
                node.hash(&mut hasher);
                hasher.finish()
            });
        }
        self
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![
            State {
                now: 0,
                store: None,
                version: 0,
                leases: 0,
                issuer: Issuer::default(),
                nodes: self.flights.map(Node::new),
                crashes: self.crashes,
                lost_writes: self.lost_writes,
                lost_answers: self.lost_answers,
                thrown_away: false,
            }
            .canonical(self),
        ]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.now < self.horizon {
            actions.push(Action::Tick);
        }
        for (number, node) in state.nodes.iter().enumerate() {
            match &node.phase {
                Phase::Idle => {
                    if 0 < node.flights {
                        actions.push(Action::Begin(number));
                    }
                }
                Phase::Asking { .. } => {
                    actions.push(Action::Ask(number, Answer::Arrives));
                    if 0 < state.lost_answers {
                        actions.extend([Answer::Lost, Answer::Swallowed, Answer::Unreached].map(|answer| Action::Ask(number, answer)));
                    }
                }
                Phase::Following { .. } => {
                    actions.push(Action::Go(number));
                    if state.now == self.horizon {
                        actions.push(Action::GiveUp(number));
                    }
                }
                _ => {
                    actions.push(Action::Go(number));
                    if 0 < state.lost_writes {
                        actions.extend([Happened::Yes, Happened::No].map(|happened| Action::Unanswered(number, happened)));
                    }
                }
            }
            // A node that neither leads nor remembers anything loses nothing.
            if 0 < state.crashes && (node.leads() || node.known.is_some() || node.disowned.is_some()) {
                actions.push(Action::Crash(number));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Tick => state.now += 1,
            Action::Begin(node) => {
                state.nodes[node].flights -= 1;
                self.begin(&mut state, node);
            }
            Action::Crash(node) => {
                state.crashes -= 1;
                let told = std::mem::take(&mut state.nodes[node].told);
                // The next process on this node has a flight of its own, and nothing of what the last one knew.
                let flights = state.nodes[node].flights + 1;
                state.nodes[node] = Node { told, ..Node::new(flights) };
            }
            Action::Go(node) => {
                let phase = last.nodes[node].phase.clone();
                self.step(&mut state, node, phase, None)?;
            }
            Action::Unanswered(node, happened) => {
                state.lost_writes -= 1;
                let phase = last.nodes[node].phase.clone();
                self.step(&mut state, node, phase, Some(happened))?;
            }
            Action::Ask(node, answer) => {
                let Phase::Asking { lease, version } = last.nodes[node].phase else { return None };
                if answer != Answer::Arrives {
                    state.lost_answers -= 1;
                }
                state.issuer.asked_late |= lease.ends <= state.at(self, node);
                let ended = state.exchange(self, answer);
                self.ended(&mut state, node, ended, &lease, version);
            }
            Action::GiveUp(node) => state.nodes[node].tell(Told::Pending),
        }
        Some(state.canonical(self))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(self)
    }
}
