//! The only folder that knows the proxy framework, and the only one that writes to clients.

mod login;
pub mod respond;
