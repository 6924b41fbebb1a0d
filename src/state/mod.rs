//! What must be remembered between requests. The roll-call of stores is `config`'s to read.
//!
//! Never here: credentials in the clear; anything that may be evicted to make room.

pub mod contract;
pub mod memory;
pub mod revoked;
