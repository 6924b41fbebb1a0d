//! The proxy as its users meet it, stage by stage.

#[path = "../support/mod.rs"]
mod support;

mod encrypted;
mod proxying;
