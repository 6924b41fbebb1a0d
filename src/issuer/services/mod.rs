//! What the proxy answers itself, one file per service; this roll-call is the list of them.
//!
//! Never here: a caller whom nobody has proven where the service gives something away.

mod away;
mod begun;
mod form;
pub mod hat_callback;
pub mod hat_dataplug;
pub mod hat_login;
pub mod hat_publickey;
pub mod jwks;
mod oauth;
mod place;
mod reply;
pub mod revoke;
pub mod session_close;
pub mod session_open;
#[cfg(test)]
#[path = "tests/stage.rs"]
mod stage;
mod submission;
mod taptalk;
pub mod taptalk_access_token;
pub mod taptalk_auth_ticket;
pub mod taptalk_refresh;
mod telematics;
pub mod telematics_login;
pub mod telematics_refresh;
pub mod telematics_relay;
pub mod ticket_mint;
pub mod ticket_redeem;
pub mod ticket_revoke;
pub mod token;

#[cfg(test)]
#[path = "tests/house.rs"]
mod house;

use crate::issuer::contract::ServiceEntry;

/// Every service, by the name that stands behind `serve:`.
pub const SERVICES: &[&ServiceEntry] = &[
    &jwks::ENTRY,
    &token::ENTRY,
    &revoke::ENTRY,
    &ticket_mint::ENTRY,
    &ticket_redeem::ENTRY,
    &ticket_revoke::ENTRY,
    &session_open::ENTRY,
    &session_close::ENTRY,
    &taptalk_auth_ticket::ENTRY,
    &taptalk_access_token::ENTRY,
    &taptalk_refresh::ENTRY,
    &hat_login::ENTRY,
    &hat_callback::ENTRY,
    &hat_dataplug::ENTRY,
    &hat_publickey::ENTRY,
    &telematics_login::ENTRY,
    &telematics_refresh::ENTRY,
    &telematics_relay::ENTRY,
];
