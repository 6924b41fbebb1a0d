//! The systems from outside: what their own clients send and expect, through the running proxy, against stand-ins of their servers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test that cannot go on must stop, and say where"
)]
#![allow(clippy::type_complexity, clippy::too_many_lines, reason = "rows of tables are written out")]

#[path = "../support/loopback.rs"]
mod loopback;
#[path = "../support/mod.rs"]
mod support;

mod gigya;
mod hat;
mod janrain;
mod pitfalls;
mod process;
mod secrets;
mod taptalk;
mod telematics;
mod vectors;
mod wire;
