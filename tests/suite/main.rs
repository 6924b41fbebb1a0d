//! The house from outside: what it promises its users, room by room and as a whole.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so where it stands"
)]

#[path = "../support/mod.rs"]
mod support;

mod conf;
mod encrypted;
mod proxying;
mod whole;
