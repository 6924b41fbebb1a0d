//! Stage 2b: a credential that has run out becomes a fresh one. One file per renewer; this roll-call is the list of them.
//!
//! Never here: a verdict about anybody; a renewal that was begun by a credential which nobody has proven; a second exchange
//! for a credential that may be spent.

pub mod contract;
pub mod endpoint;
pub mod fitting;
pub mod flight;
pub mod handling;
pub mod hat;
pub mod http;
pub mod local;
pub mod oauth2;
pub mod relayed;
pub mod session;

#[cfg(test)]
#[path = "tests/stage.rs"]
mod stage;

use crate::renew::contract::RenewerEntry;

/// Every renewer, by the name the conf calls it.
pub const RENEWERS: &[&RenewerEntry] = &[&oauth2::ENTRY, &http::ENTRY, &local::ENTRY, &hat::ENTRY];
