//! Renewals without races, from outside: scripted issuers, stores that fail, several nodes, storms.
//!
//! Time is the runtime's, and stands still until everybody waits for it; a node is one `Flights` over a store that it shares.

mod failures;
pub(crate) mod outcomes;
mod stage;
mod storms;
