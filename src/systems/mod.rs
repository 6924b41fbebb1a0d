//! The systems whose own clients are served in their own words, one file each, and their roll-call.

pub mod contract;
pub mod gigya;
pub mod hat;
pub mod janrain;
pub mod taptalk;
pub mod telematics;

use crate::systems::contract::SystemEntry;

/// Every system that a rule may name.
pub static SYSTEMS: &[&SystemEntry] = &[&gigya::ENTRY, &hat::ENTRY, &janrain::ENTRY, &taptalk::ENTRY, &telematics::ENTRY];
