//! The systems end to end: the proxy as it is shipped, the vendors' stand-ins behind it, and clients that send what the vendors' own send.
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

mod hat;
