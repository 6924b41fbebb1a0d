//! The renewal protocol as a model: three nodes, one spent credential, every order of steps there is.
//!
//! Nodes die, pause between any two steps, and lose answers of the store; the issuer loses answers before and after it has
//! rotated, and goes away. What a node decides is decided by the functions that decide it in the library
//! (`renew::flight::protocol`); the model only carries out what they say, one step at a time. The store is three lines: compare the
//! version, and set.
//!
//! Left out: the breaker (it only makes fewer exchanges), sealing (a pair is a number here), and several requests on one node (the
//! model of the cell has them). Attacks M2, M4 and M5.

mod node;
mod properties;
mod steps;
mod world;

use stateright::{Checker, HasDiscoveries, Model};

use crate::support::figures::{proving, tell};
use world::{Flaw, World};

/// Explores each of `worlds` to its end and compares the number of different states with what it was when this was written:
/// fewer would mean that something is no longer tried.
fn explore(worlds: &[(&str, World, usize)]) {
    for (name, world, least) in worlds {
        let checker = world.clone().checker().threads(2).spawn_bfs().join();
        let (states, depth) = (checker.unique_state_count(), checker.max_depth());
        tell(&format!("renewal model, {name}: {states} different states, {depth} steps deep"));
        checker.assert_properties();
        assert!(least <= &states, "{name}: only {states} states, there were {least}");
    }
}

#[test]
fn no_credential_is_exchanged_twice_in_any_order_of_steps() {
    let strict = World::strict();
    explore(&[
        ("three nodes, a death, a lost write, a lost answer", strict.clone(), 100_000),
        ("a node that flies twice, a lost write, a lost answer", World { flights: [2, 1, 1], crashes: 0, ..strict.clone() }, 156_000),
        ("clocks that disagree by half a lease", World { skew: [0, 1, -1], lost_writes: 0, ..strict.clone() }, 81_000),
    ]);
    if proving() {
        explore(&[
            ("a node that flies twice, a death, a lost write, a lost answer", World { flights: [2, 1, 1], ..strict.clone() }, 1_059_000),
            ("a death, a lost write, two lost answers", World { lost_answers: 2, ..strict }, 239_000),
        ]);
    }
}

#[test]
fn a_credential_is_exchanged_twice_at_most_where_that_is_forgiven() {
    let forgiving = World::forgiving();
    explore(&[
        ("forgiven, a death, a lost answer", World { lost_writes: 0, ..forgiving.clone() }, 109_000),
        ("forgiven, a lost write, a lost answer", World { crashes: 0, ..forgiving.clone() }, 110_000),
    ]);
    if proving() {
        explore(&[
            ("forgiven, a death, a lost write, a lost answer", forgiving.clone(), 750_000),
            ("forgiven, a node that flies twice", World { flights: [2, 1, 1], crashes: 0, ..forgiving }, 1_168_000),
        ]);
    }
}

#[test]
fn the_model_sees_what_it_looks_for() {
    let rows = [
        (Flaw::LapsedLeaseIsForgotten, World::strict(), properties::TWICE, "a lease that ended is taken for none"),
        (Flaw::NoFence, World::forgiving(), properties::NEWEST, "a late write goes through"),
        (Flaw::DoubtfulLeaseIsUsed, World::strict(), properties::TWICE, "a lease that was not acknowledged is taken for one"),
    ];
    for (flaw, world, property, shows) in rows {
        let world = World { flaw: Some(flaw), ..world };
        // As far as the first counterexample; what else would be found behind it does not matter.
        let checker = world.checker().finish_when(HasDiscoveries::AnyOf([property].into())).spawn_bfs().join();
        assert!(checker.discovery(property).is_some(), "{shows}: nothing was found against `{property}`");
    }
}
