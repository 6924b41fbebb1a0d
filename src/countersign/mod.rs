//! Stage 4: showing the upstream who is calling. One file per way; this roll-call is the list of them.
//!
//! Never here: a credential of the client's, knowledge of schemes or routes.

pub mod assertion;
pub mod contract;
pub mod firewall;
pub mod gigya_signature;
pub mod hat_token;
pub mod identity_headers;
#[cfg(test)]
#[path = "tests/stage.rs"]
mod stage;
pub mod upstream_credential;

use crate::countersign::contract::CountersignerEntry;

/// Every countersigner, by the name the conf calls it.
pub const COUNTERSIGNERS: &[&CountersignerEntry] =
    &[&identity_headers::ENTRY, &assertion::ENTRY, &upstream_credential::ENTRY, &hat_token::ENTRY, &gigya_signature::ENTRY];
