//! One node of the model: where its flight stands, and what it remembers.

use countersign::renew::flight::protocol::{Holder, Lease, Record};
use countersign::state::contract::Expect;

/// Where the flight of a node stands. Between any two of these a node may be paused, and in any of them it may die.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Nobody flies here.
    Idle,
    /// It is about to take the lease.
    Taking { expect: Expect, attempt: u8, role: Role },
    /// It waits for a change.
    Following { version: u64, ends: i64, role: Role },
    /// It has the lease and is about to look at the clock.
    Leading { lease: Lease, version: u64 },
    /// It has looked and is about to ask the issuer.
    Asking { lease: Lease, version: u64 },
    /// The answer was lost; it is about to take a lease for asking once more.
    Again { lease: Lease, version: u64, attempt: u8 },
    /// It has a result and is about to write it.
    Finishing { record: Record, lease: Lease, version: u64, told: Told, rewrite: bool },
    /// Its waiters have been told; the store has not taken the result yet.
    Persisting { record: Record, lease: Lease, version: u64, rewrite: bool },
}

/// What a flight may still do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    Open,
    Spectator,
}

/// What the waiters of a flight are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Told {
    /// The pair with this number.
    Pair(u8),
    Fatal,
    Transient,
    Unknown,
    Pending,
    StateUnavailable,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Node {
    pub phase: Phase,
    /// How many flights it may still begin.
    pub flights: u8,
    /// What it remembers beside the store.
    pub known: Option<Record>,
    /// A lease it never learnt that it had.
    pub disowned: Option<Holder>,
    /// What its waiters were told, in order.
    pub told: Vec<Told>,
}

impl Node {
    pub fn new(flights: u8) -> Self {
        Self { phase: Phase::Idle, flights, known: None, disowned: None, told: Vec::new() }
    }

    /// Ends the flight.
    pub fn tell(&mut self, told: Told) {
        self.told.push(told);
        self.phase = Phase::Idle;
    }

    /// Whether it holds a lease, or what has come of one.
    pub fn leads(&self) -> bool {
        !matches!(self.phase, Phase::Idle | Phase::Taking { .. } | Phase::Following { .. })
    }

    /// The pairs that were handed out here.
    pub fn pairs(&self) -> impl Iterator<Item = u8> {
        self.told.iter().filter_map(|told| match told {
            Told::Pair(number) => Some(*number),
            _ => None,
        })
    }
}
