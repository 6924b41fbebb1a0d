//! The standards we speak, one file each: their examples and their MUSTs, row by row.
//!
//! What we deliberately refuse although a standard allows it is in the tables too, with the reason; what no test here tries is listed in `left_out.rs`.
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

mod left_out;
mod other_implementations;
mod rfc6749_refresh;
mod rfc6750;
mod rfc7009;
mod rfc7515;
mod rfc7517;
mod rfc7519;
mod rfc9110;
