//! Stage 4: showing the upstream who is calling. One file per way; this roll-call is the list of them.
//!
//! Never here: a credential of the client's, knowledge of schemes or routes.

pub mod contract;

use crate::countersign::contract::CountersignerEntry;

/// Every countersigner, by the name the conf calls it.
pub const COUNTERSIGNERS: &[&CountersignerEntry] = &[];
