//! Where keys come from. One file per source; this roll-call is the list of them.
//!
//! Never here: a fetch on the request path, a key that a token brought, an older set preferred to a newer one.

pub mod contract;
pub mod digest;
mod fixed;
pub mod record;
pub mod remote;
pub mod ring;
pub mod secrets;
pub mod store;
#[cfg(test)]
pub(crate) mod testing;

pub mod discovery;
pub mod gigya_secret;
pub mod issued;
pub mod issuer_key;
pub mod janrain_clients;
pub mod jwks_url;
pub mod mac;
pub mod pinned;
pub mod server_key_lookup;
pub mod server_keys;

use crate::verify::keys::contract::KeySourceEntry;

/// Every key source, by the name the conf calls it.
pub const KEY_SOURCES: &[&KeySourceEntry] = &[
    &jwks_url::ENTRY,
    &discovery::ENTRY,
    &issuer_key::ENTRY,
    &pinned::ENTRY,
    &issued::ENTRY,
    &server_keys::ENTRY,
    &server_key_lookup::ENTRY,
    &mac::ENTRY,
    &gigya_secret::ENTRY,
    &janrain_clients::ENTRY,
];
