//! The house from outside: what it promises its users, room by room and as a whole.

#[path = "../support/mod.rs"]
mod support;

mod conf;
mod encrypted;
mod proxying;
mod whole;
