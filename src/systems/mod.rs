//! The systems whose own clients are served in their own words, one file each, and their roll-call.

pub mod contract;

pub mod gigya;

use crate::systems::contract::SystemEntry;

/// Every system that a rule may name.
pub static SYSTEMS: &[&SystemEntry] = &[&gigya::ENTRY];
