//! The only folder that knows the proxy framework, and the only one that writes to clients.

pub mod admin;
pub mod framework;
mod login;
pub mod readiness;
pub mod respond;
