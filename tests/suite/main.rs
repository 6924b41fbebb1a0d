//! The house from outside: what it promises its users, room by room and as a whole.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test stops where it must not go on, and its helpers are tests too"
)]

#[path = "../support/stage.rs"]
mod stage;
#[path = "../support/mod.rs"]
mod support;

mod conf;
mod encrypted;
mod proxying;
mod verify;
mod whole;
