//! What must not work: one table per class of attack, each row with its verdict.

#[path = "../support/jwt.rs"]
mod jwt;

mod tokens;
