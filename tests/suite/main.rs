//! The house from outside: what it promises its users, room by room and as a whole.
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
#[path = "../support/stage.rs"]
mod stage;
#[path = "../support/mod.rs"]
mod support;

mod answers;
mod bench;
mod bench_self;
mod cli;
mod cli_ticket;
mod conf;
mod crew;
mod encrypted;
mod flight;
mod held;
mod lifecycle;
mod models_burn;
mod models_cell;
mod models_renewal;
mod oidc;
mod oidc_renewal;
mod oidc_storm;
mod pressure;
mod proxying;
mod reload;
mod renewal;
mod replay;
mod revocation;
mod scheme_gigya;
mod scheme_introspection;
mod scheme_jwt;
mod scheme_key_pair;
mod scheme_server_key;
mod scheme_ticket;
mod scheme_token_check;
mod secrets;
mod state;
mod ticket_services;
mod tree;
mod upstream_http2;
mod verify;
mod whole;
