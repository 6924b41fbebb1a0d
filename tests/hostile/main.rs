//! What must not work: one table per class of attack, each row with its verdict.

#[path = "../support/stage.rs"]
mod stage;

mod gigya;
mod server_key;
mod ticket;
