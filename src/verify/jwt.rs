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

use crate::settings::{Checking, Node, Shape};
use crate::verify::contract::{SchemeEntry, SchemePlan};

/// What the scheme is called, in the conf and in identities.
pub const NAME: &str = "jwt";

/// The line of the roll-call.
pub const JWT: SchemeEntry = SchemeEntry {
    name: NAME,
    doc: "A signed JSON Web Token from an issuer whose keys we know or discover.",
    shape: Shape::Section(&settings::SECTION),
    plan,
};

fn plan(node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn SchemePlan>> {
    settings::prove(node, checking).map(|plan| Box::new(plan) as Box<dyn SchemePlan>)
}

#[cfg(test)]
mod tests;
