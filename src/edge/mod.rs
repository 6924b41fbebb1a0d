//! The only folder that knows the proxy framework, and the only one that writes to clients.

pub mod admin;
mod login;
pub mod readiness;
pub mod respond;
