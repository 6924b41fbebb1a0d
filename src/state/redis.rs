//! A state store in Redis or Valkey, for several nodes that share it.
//!
//! Every operation is one script and so one atomic act. Everything is asked over one connection, which comes back by itself; while
//! it is down every operation fails at once. What was acknowledged is as durable as the server is set to make it; a server that
//! has lost what it knew, or may have, is noticed, and what was made before is answered `Forgotten`.
//!
//! Never here: Sentinel and Cluster; an answer of a replica; an operation that is sent again because no answer came.
//!
//! Rules: `state::contract`. Source: the Redis documentation on scripting, persistence and `INFO`.

mod backoff;
mod data;
mod dial;
mod link;
mod names;
mod news;
mod plan;
mod scripts;
mod server;
mod settings;
mod store;
mod stored;
#[cfg(test)]
mod tests;

use crate::settings::{Checking, Node, Shape};
use crate::state::contract::{StoreEntry, StorePlan};

pub use store::Redis;

/// This store on the roll-call.
pub const ENTRY: StoreEntry = StoreEntry { name: "redis", doc: settings::SETTINGS.doc, shape: Shape::Section(&settings::SETTINGS), plan };

fn plan(node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn StorePlan>> {
    Some(Box::new(settings::plan(node, checking)?))
}
