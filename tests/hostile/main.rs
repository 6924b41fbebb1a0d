//! What must not work: one table per class of attack, each row with its verdict.
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

#[path = "../support/jwt.rs"]
mod jwt;
#[path = "../support/loopback.rs"]
mod loopback;
#[path = "../support/stage.rs"]
mod stage;
#[path = "../support/mod.rs"]
mod support;

mod echoes;
mod framing;
mod gigya;
mod headers;
mod house;
mod keys;
mod logins;
mod logs;
mod paths;
mod server_key;
mod stalled;
mod ticket;
mod tokens;
mod whole_conf;
mod whole_cost;
mod whole_gate;
mod whole_http2;
mod whole_once;
mod whole_ticket;
