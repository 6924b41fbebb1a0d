//! What must not work: one table per class of attack, each row with its verdict.

#[path = "../support/jwt.rs"]
mod jwt;
#[path = "../support/stage.rs"]
mod stage;
#[path = "../support/mod.rs"]
mod support;

mod framing;
mod gigya;
mod headers;
mod house;
mod logs;
mod paths;
mod server_key;
mod ticket;
mod tokens;
