//! What we make ourselves, and the endpoints that hand it out.
//!
//! Never here: judging what a client presents (that is `verify`), a credential in the clear in a store, a clock or a source
//! of randomness that was not handed in.

pub mod contract;
pub mod gatherer;
pub mod pairs;
pub mod services;
pub mod session;
pub mod ticket;

pub use crate::issuer::services::SERVICES;
