//! Single-use tickets as a model: three nodes, two tickets, every order of steps there is.
//!
//! Nodes die before and after the store has answered, pause between any two steps and read clocks that disagree; answers of the
//! store are lost, and the store comes back with its memory or without it. The store is the reference one of the library: each
//! state holds what was done to it, and each step does that again to a fresh one. What a node makes of its answer is what the gate
//! makes of it. Attacks F1 to F5, F7, F14 and F17.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use countersign::domain::{Burn, Outage, Timestamp};
use countersign::state::contract::{Burned, StateStore};
use countersign::state::memory::Memory;
use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::support::figures::{proving, tell};

/// When every ticket was made, and when it ends.
const MADE: i64 = 0;
const END: i64 = 2;

/// What is explored.
#[derive(Debug, Clone)]
struct World {
    /// How often each ticket may be presented.
    presented: [u8; 2],
    /// How many marks the store has room for.
    capacity: usize,
    /// How many nodes may die.
    crashes: u8,
    /// How many calls of the store get lost, before or after they happen.
    lost: u8,
    /// How often the store may come back without its memory.
    wiped: u8,
    /// The last moment.
    horizon: i64,
    /// How far the clock of each node is from the right time.
    skew: [i64; 3],
    /// Something that is done wrong on purpose.
    flaw: Option<Flaw>,
}

impl World {
    fn usual() -> Self {
        Self { presented: [3, 1], capacity: 1, crashes: 1, lost: 1, wiped: 0, horizon: 3, skew: [0; 3], flaw: None }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    /// A store that does not answer is taken for one that has said yes.
    OutageAdmits,
    /// A store that has lost its memory does not know that it has.
    NeverForgotten,
    /// A mark is thrown away to make room.
    Evicts,
}

/// Where a request on a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Phase {
    Idle,
    /// It was judged as of this moment, and is about to burn its ticket.
    Burning {
        ticket: usize,
        judged: i64,
    },
    /// The store has said yes, and the request is about to be forwarded.
    Admitted {
        ticket: usize,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    now: i64,
    /// What was done to the store since it began: the ticket and the node's time.
    done: Vec<(usize, i64)>,
    /// When the memory of the store begins.
    born: i64,
    nodes: [Phase; 3],
    tickets: [Ticket; 2],
    crashes: u8,
    lost: u8,
    wiped: u8,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Ticket {
    /// How often it may still be presented.
    left: u8,
    /// How often it was forwarded.
    accepted: u8,
    /// How often the store has answered for it.
    answered: u8,
    /// Whether a fault has spent it: a lost answer, or a death between the mark and the upstream.
    eaten: bool,
    /// Whether the store has answered that it cannot say, or that it is too late.
    unsure: bool,
    /// Whether it was called spent though nobody had spent it in time.
    slandered: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Tick,
    Present {
        node: usize,
        ticket: usize,
    },
    Burn {
        node: usize,
        call: Call,
    },
    Forward(usize),
    Crash(usize),
    /// The store comes back without its memory.
    Wipe,
}

/// What becomes of a call of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Answered,
    LostAfter,
    LostBefore,
}

/// What a future that never waits comes to.
fn now_or_never<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the store in memory does not wait"),
    }
}

impl World {
    /// What the store answers to burning `ticket` at `now`, after everything that was done to it.
    fn burn(&self, state: &State, ticket: usize, now: i64) -> Result<Burned, Outage> {
        let born = if self.flaw == Some(Flaw::NeverForgotten) { MADE } else { state.born };
        let capacity = if self.flaw == Some(Flaw::Evicts) { usize::MAX } else { self.capacity };
        let store = Memory::new(capacity, Timestamp(born));
        // A store that evicts has only the last marks.
        let since = if self.flaw == Some(Flaw::Evicts) { state.done.len().saturating_sub(self.capacity) } else { 0 };
        let done = state.done[since..].iter().copied().chain([(ticket, now)]);
        let mut answer = Err(Outage::State);
        for (ticket, now) in done {
            let burn = Burn { key: [u8::try_from(ticket).unwrap(); 32], made: Timestamp(MADE), until: Timestamp(END) };
            answer = now_or_never(store.burn(&burn, Timestamp(now)));
        }
        answer
    }

    /// Where nobody can tell the nodes apart, neither does the model.
    fn canonical(&self, mut state: State) -> State {
        if self.skew == [0; 3] {
            state.nodes.sort_unstable();
        }
        state
    }
}

impl State {
    /// Whether nothing can happen any more but time.
    fn is_over(&self, world: &World) -> bool {
        self.now == world.horizon && self.nodes == [Phase::Idle; 3] && self.tickets.iter().all(|ticket| ticket.left == 0)
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            now: 0,
            done: Vec::new(),
            born: MADE,
            nodes: [Phase::Idle; 3],
            tickets: self.presented.map(|left| Ticket { left, ..Ticket::default() }),
            crashes: self.crashes,
            lost: self.lost,
            wiped: self.wiped,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.now < self.horizon {
            actions.push(Action::Tick);
        }
        if 0 < state.wiped && !state.done.is_empty() {
            actions.push(Action::Wipe);
        }
        for (node, phase) in state.nodes.iter().enumerate() {
            match phase {
                Phase::Idle => {
                    let presentable = state.tickets.iter().enumerate().filter(|(_, ticket)| 0 < ticket.left);
                    actions.extend(presentable.map(|(ticket, _)| Action::Present { node, ticket }));
                    continue;
                }
                Phase::Burning { .. } => {
                    actions.push(Action::Burn { node, call: Call::Answered });
                    if 0 < state.lost {
                        actions.extend([Call::LostAfter, Call::LostBefore].map(|call| Action::Burn { node, call }));
                    }
                }
                Phase::Admitted { .. } => actions.push(Action::Forward(node)),
            }
            if 0 < state.crashes {
                actions.push(Action::Crash(node));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Tick => state.now += 1,
            Action::Wipe => {
                state.wiped -= 1;
                state.done.clear();
                // Its memory begins where it comes back; what is made in the same moment is not older.
                state.born = state.now + 1;
            }
            Action::Present { node, ticket } => {
                state.tickets[ticket].left -= 1;
                let judged = state.now + self.skew[node];
                // Verified first: one that has ended costs the store nothing.
                if (MADE..END).contains(&judged) {
                    state.nodes[node] = Phase::Burning { ticket, judged };
                }
            }
            Action::Burn { node, call } => {
                let Phase::Burning { ticket, judged } = last.nodes[node] else { return None };
                state.nodes[node] = Phase::Idle;
                if call != Call::Answered {
                    state.lost -= 1;
                }
                let burned = if call == Call::LostBefore { Err(Outage::State) } else { self.burn(last, ticket, judged) };
                let spent_here = last.done.iter().any(|(done, _)| *done == ticket);
                if call != Call::LostBefore {
                    state.done.push((ticket, judged));
                }
                let entry = &mut state.tickets[ticket];
                if call == Call::LostAfter && burned == Ok(Burned::First) {
                    entry.eaten = true;
                }
                let told = if call == Call::Answered { burned } else { Err(Outage::State) };
                match told {
                    Ok(Burned::First) => {
                        entry.answered += 1;
                        state.nodes[node] = Phase::Admitted { ticket };
                    }
                    Ok(Burned::Again) => {
                        entry.answered += 1;
                        entry.slandered |= !spent_here;
                    }
                    Ok(Burned::Forgotten) => entry.unsure = true,
                    Err(_) if self.flaw == Some(Flaw::OutageAdmits) => state.nodes[node] = Phase::Admitted { ticket },
                    Err(_) => entry.unsure |= call == Call::Answered,
                }
            }
            Action::Forward(node) => {
                let Phase::Admitted { ticket } = last.nodes[node] else { return None };
                state.nodes[node] = Phase::Idle;
                state.tickets[ticket].accepted += 1;
            }
            Action::Crash(node) => {
                state.crashes -= 1;
                if let Phase::Admitted { ticket } = last.nodes[node] {
                    state.tickets[ticket].eaten = true;
                }
                state.nodes[node] = Phase::Idle;
            }
        }
        Some(self.canonical(state))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(ONCE, |_, state: &State| state.tickets.iter().all(|ticket| ticket.accepted <= 1)),
            Property::always("no ticket is called spent that nobody has spent", |_, state: &State| {
                state.tickets.iter().all(|ticket| !ticket.slandered)
            }),
            Property::eventually(
                "a good ticket for which the store answers is accepted, unless a fault has spent it",
                |world: &World, state| {
                    let settled = |ticket: &Ticket| ticket.answered == 0 || ticket.accepted == 1 || ticket.eaten || ticket.unsure;
                    state.is_over(world) && state.tickets.iter().all(settled)
                },
            ),
            Property::sometimes("both tickets are accepted, whatever fails", |world: &World, state: &State| {
                let full = world.capacity < 2;
                state.tickets.iter().filter(|ticket| ticket.accepted == 1).count() == if full { 1 } else { 2 }
            }),
        ];
        if 0 < self.lost {
            properties.push(Property::sometimes("a lost answer costs the ticket", |_, state: &State| {
                state.tickets.iter().any(|ticket| ticket.eaten && ticket.left == 0 && ticket.accepted == 0)
            }));
            properties.push(Property::sometimes(
                "after a call that never came the ticket is still good",
                |world: &World, state: &State| {
                    state.lost < world.lost && state.tickets.iter().any(|ticket| ticket.accepted == 1 && !ticket.eaten)
                },
            ));
        }
        if 0 < self.wiped {
            properties.push(Property::sometimes("a store without its memory does not say yes", |_, state: &State| {
                state.tickets.iter().any(|ticket| ticket.accepted == 1 && ticket.unsure)
            }));
        }
        properties
    }
}

/// The one thing that must never be.
const ONCE: &str = "no ticket is accepted twice";

#[test]
fn no_ticket_is_accepted_twice_in_any_order_of_steps() {
    let usual = World::usual();
    let mut worlds = vec![
        ("a full store, a death, a lost call", usual.clone(), 12_000),
        (
            "room for both, two deaths, two lost calls",
            World { capacity: 8, presented: [3, 2], crashes: 2, lost: 2, ..usual.clone() },
            284_000,
        ),
        ("a store that loses its memory", World { capacity: 8, wiped: 1, ..usual.clone() }, 47_000),
        ("clocks that disagree by half a life", World { capacity: 8, skew: [0, 1, -1], ..usual.clone() }, 50_000),
    ];
    if proving() {
        worlds.push((
            "everything at once",
            World { capacity: 2, presented: [4, 2], crashes: 2, lost: 2, wiped: 1, skew: [0, 1, -1], ..usual },
            5_500_000,
        ));
    }
    for (name, world, least) in worlds {
        let checker = world.checker().threads(2).spawn_bfs().join();
        let (states, depth) = (checker.unique_state_count(), checker.max_depth());
        tell(&format!("ticket model, {name}: {states} different states, {depth} steps deep"));
        checker.assert_properties();
        assert!(least <= states, "{name}: only {states} states, there were {least}");
    }
}

#[test]
fn the_model_sees_what_it_looks_for() {
    let rows = [
        (Flaw::OutageAdmits, World::usual(), "an outage that admits"),
        (Flaw::NeverForgotten, World { wiped: 1, ..World::usual() }, "a store that does not know what it has forgotten"),
        (Flaw::Evicts, World { presented: [2, 1], ..World::usual() }, "a mark that makes room for another"),
    ];
    for (flaw, world, shows) in rows {
        let world = World { flaw: Some(flaw), ..world };
        let checker = world.checker().finish_when(HasDiscoveries::AnyOf([ONCE].into())).spawn_bfs().join();
        assert!(checker.discovery(ONCE).is_some(), "{shows}: nothing was found");
    }
}
