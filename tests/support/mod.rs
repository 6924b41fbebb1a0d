//! What tests of the running proxy stand on: a client that sends any bytes, an upstream that records what reaches it, a
//! judge with three simple rules, and an edge around them on ports of its own.
//!
//! Each test binary takes this in by path and uses a part of it.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod child;
pub mod detour;
pub mod edge;
pub mod figures;
pub mod identity;
pub mod judge;
pub mod ledger;
pub mod openid;
pub mod raw;
pub mod redis;
pub mod rows;
pub mod upstream;
pub mod whole;
