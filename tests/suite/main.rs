//! The house from outside: what it promises its users, room by room and as a whole.

#[path = "../support/stage.rs"]
mod stage;
#[path = "../support/mod.rs"]
mod support;

mod conf;
mod encrypted;
mod proxying;
mod verify;
mod whole;
