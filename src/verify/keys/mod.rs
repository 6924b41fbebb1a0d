//! Where keys come from. One file per source; this roll-call is the list of them.
//!
//! Never here: a fetch on the request path, a key that a token brought, an older set preferred to a newer one.

pub mod contract;
pub mod digest;
pub mod record;
pub mod secrets;
#[cfg(test)]
pub(crate) mod testing;

pub mod gigya_secret;
pub mod mac;
pub mod server_keys;

use crate::verify::keys::contract::KeySourceEntry;

/// Every key source, by the name the conf calls it.
pub const KEY_SOURCES: &[&KeySourceEntry] = &[&server_keys::ENTRY, &mac::ENTRY, &gigya_secret::ENTRY];
