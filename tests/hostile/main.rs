//! What must not work: one table per class of attack, each row with its verdict.

#[path = "../support/jwt.rs"]
mod jwt;
#[path = "../support/mod.rs"]
mod support;

mod framing;
mod logs;
mod tokens;
