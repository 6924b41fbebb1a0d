//! What must hold in every state of the model, and what must be possible.

use countersign::renew::flight::protocol::{FORGIVEN, Record};
use stateright::Property;

use super::node::{Node, Phase, Told};
use super::world::{Entry, State, World};

/// At most one exchange reaches the issuer, two where it forgives that; no session is ended as stolen.
pub const TWICE: &str = "no more exchanges than the issuer forgives";
/// Of all pairs, the one that lives is the one that is handed out.
pub const NEWEST: &str = "the store hands out the pair that lives, unless a leader asked after its lease";

/// Everything that must hold, and everything that must be possible.
pub fn all(world: &World) -> Vec<Property<World>> {
    let mut properties = vec![
        Property::always(TWICE, |world: &World, state: &State| {
            state.issuer.reached <= if world.forgives { FORGIVEN } else { 1 } && !state.issuer.revoked
        }),
        Property::always(NEWEST, |world: &World, state: &State| match &state.store {
            Some(Entry { record: Record::Done { sealed, .. }, .. }) => {
                State::number(sealed) == state.issuer.issued || (world.forgives && state.issuer.asked_late)
            }
            _ => true,
        }),
        Property::always("whoever is given a pair is given the same, where nothing is forgiven", |world: &World, state: &State| {
            let mut pairs = state.nodes.iter().flat_map(Node::pairs);
            let first = pairs.next();
            world.forgives || pairs.all(|pair| Some(pair) == first)
        }),
        Property::always("nobody is refused by an issuer that has not refused", |world: &World, state: &State| {
            let refused = state.nodes.iter().any(|node| node.told.contains(&Told::Fatal));
            world.forgives || !refused
        }),
        Property::eventually("every flight ends", |_, state: &State| {
            state.nodes.iter().all(|node| node.phase == Phase::Idle && node.flights == 0)
        }),
        Property::sometimes("a pair is handed out on every node", |_, state: &State| {
            state.nodes.iter().all(|node| 0 < node.pairs().count())
        }),
    ];
    if 0 < world.crashes {
        properties.push(Property::sometimes("a leader dies and the result is unknown", |world: &World, state: &State| {
            state.crashes < world.crashes && state.nodes.iter().any(|node| node.told.contains(&Told::Unknown))
        }));
    }
    if 0 < world.lost_writes {
        properties.push(Property::sometimes("a pair is handed out though the store did not take it", |_, state: &State| {
            state.nodes.iter().any(|node| matches!(node.phase, Phase::Persisting { .. }) && 0 < node.pairs().count())
        }));
    }
    if 0 < world.lost_writes && world.flights.contains(&2) {
        properties.push(Property::sometimes("a lease that was not acknowledged is taken up, and brings the pair", |_, state: &State| {
            state.nodes.iter().any(|node| node.told == [Told::StateUnavailable, Told::Pair(1)]) && state.version == 3
        }));
    }
    if world.forgives {
        properties.push(Property::sometimes("a second exchange brings what the first one lost", |_, state: &State| {
            state.issuer.issued == 2 && state.nodes.iter().flat_map(Node::pairs).any(|pair| pair == 2)
        }));
        properties.push(Property::sometimes("a late result is thrown away, and its waiters get the other one", |_, state: &State| {
            state.thrown_away && state.nodes.iter().all(|node| node.told == [Told::Pair(2)])
        }));
    }
    properties
}
