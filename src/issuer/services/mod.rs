//! What the proxy answers itself, one file per service; this roll-call is the list of them.
//!
//! Never here: a caller whom nobody has proven where the service gives something away.

pub mod jwks;

use crate::issuer::contract::ServiceEntry;

/// Every service, by the name that stands behind `serve:`.
pub const SERVICES: &[&ServiceEntry] = &[&jwks::ENTRY];
