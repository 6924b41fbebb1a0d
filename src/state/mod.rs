//! What must be remembered between requests. One file per store; this roll-call is the list of them.
//!
//! Never here: credentials in the clear; anything that may be evicted to make room.

mod beginning;
pub mod contract;

pub mod embedded;
pub mod memory;
pub mod redis;
pub mod revoked;
#[cfg(test)]
pub(crate) mod testing;

use crate::state::contract::StoreEntry;

/// Every state store, by the name the conf calls it.
pub const STORES: &[&StoreEntry] = &[&embedded::ENTRY, &memory::ENTRY, &redis::ENTRY];

/// What is opened when the conf says nothing.
pub const DEFAULT: &StoreEntry = &embedded::ENTRY;
