//! The `jwt` scheme: signed tokens of issuers that publish or give us their keys.
//!
//! A token is believed when its form is strict, its algorithm is one that the key is bound to and the authenticator
//! allows, a key of its own issuer made the signature, and every claim that binds it holds. What the header says about
//! keys is never read. Absent on purpose: encrypted tokens, tokens without an end, tokens bound to a key that we do not
//! check (`cnf`).
//!
//! Rules: RFC 7519 section 7.2, RFC 8725 section 3, RFC 6750 section 2.1, RFC 9068 section 4.

pub mod judge;
pub mod settings;

#[cfg(test)]
mod tests;

pub use settings::JWT;
