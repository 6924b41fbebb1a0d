//! Conformance: the examples of the RFCs, word for word, and the verdicts of other implementations.
//!
//! One file per RFC. What we deliberately refuse although an RFC allows it is in the tables too, with the reason.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must stop, and say where"
)]
#![allow(clippy::type_complexity, clippy::too_many_lines, reason = "rows of tables are written out")]

#[path = "../support/jwt.rs"]
mod jwt;

mod other_implementations;
mod rfc6750;
mod rfc7515;
mod rfc7517;
mod rfc7519;
