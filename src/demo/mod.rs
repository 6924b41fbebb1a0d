//! Stand-ins for everything around the proxy: a service behind it, an issuer beside it, vendors' servers, credentials in front of it.
//!
//! `countersign demo` shows them to people; the tests use the same ones. They are real servers on loopback that speak
//! real protocols with fresh keys, and they break on demand.
//!
//! Never here: a verdict; anything the proxy itself would use; a key or token that outlives the process.

pub mod certificate;
pub mod credentials;
pub mod issuer;
pub mod performance;
pub mod script;
pub mod stand;
pub mod systems;
pub mod tour;
pub mod trail;
pub mod upstream;
