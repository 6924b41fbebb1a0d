//! The proxy as its users meet it, stage by stage.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test stops where it must not go on, and its helpers are tests too"
)]

#[path = "../support/mod.rs"]
mod support;

mod encrypted;
mod proxying;
