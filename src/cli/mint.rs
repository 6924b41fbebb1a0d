//! `countersign mint`: a credential to try with curl.
//!
//! Without `--json` each prints what curl wants, ready to paste: header lines for `-H`, or a query string.

mod gigya;
mod jwt;
mod pair;
mod ticket;

use clap::Subcommand;

use crate::cli::{Done, print_json};

/// Makes a credential to try with curl.
#[derive(Debug, Subcommand)]
pub enum Mint {
    /// Signs a JSON Web Token with a private key.
    Jwt(jwt::MintJwt),
    /// Writes an id and a secret as a `Server-Key` header.
    ServerKey(pair::MintServerKey),
    /// Writes an id and a secret as `InstanceId` and `InstanceKey` headers.
    InstanceKey(pair::MintInstanceKey),
    /// Signs a user id with a Gigya partner secret.
    Gigya(gigya::MintGigya),
    /// Seals a ticket.
    Ticket(ticket::MintTicket),
}

impl Mint {
    /// Makes it and prints it.
    pub(super) fn run(&self) -> Done {
        match self {
            Self::Jwt(mint) => mint.run(),
            Self::ServerKey(mint) => mint.run(),
            Self::InstanceKey(mint) => mint.run(),
            Self::Gigya(mint) => mint.run(),
            Self::Ticket(mint) => mint.run(),
        }
    }
}

/// Prints header fields: `Name: value` lines, or a JSON object.
fn print_headers(fields: &[(&str, String)], json: bool) {
    if json {
        print_json(&fields.iter().map(|(name, value)| (*name, serde_json::Value::from(value.as_str()))).collect());
    } else {
        for (name, value) in fields {
            say!("{name}: {value}");
        }
    }
}
