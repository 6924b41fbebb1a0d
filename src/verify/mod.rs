//! Stage 2: judging credentials. One file per scheme; this roll-call is the list of them.
//!
//! Never here: I/O on the request path, knowledge of rules, upstreams or how refusals are written.

pub mod body;
pub mod cache;
pub mod contract;
pub mod governor;
pub mod inquiry;
pub mod jwt;
pub mod keyholder;
pub mod keys;
pub mod lasting;
pub mod presented;

pub mod gigya;
pub mod gigya_request;
pub mod gigya_session;
pub mod hat;
pub mod introspection;
pub mod janrain_signature;
pub mod key_pair;
pub mod server_key;
pub mod session;
pub mod ticket;
pub mod token_check;

use crate::verify::contract::SchemeEntry;

/// Every scheme, by the name the conf calls it.
pub const SCHEMES: &[&SchemeEntry] = &[
    &server_key::ENTRY,
    &key_pair::ENTRY,
    &jwt::JWT,
    &gigya::ENTRY,
    &gigya_session::ENTRY,
    &gigya_request::ENTRY,
    &janrain_signature::ENTRY,
    &hat::ENTRY,
    &ticket::ENTRY,
    &introspection::ENTRY,
    &token_check::ENTRY,
    &session::ENTRY,
];
