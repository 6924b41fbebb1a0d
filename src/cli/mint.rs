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
pub(crate) enum Mint {
    Jwt(jwt::MintJwt),
    ServerKey(pair::MintServerKey),
    InstanceKey(pair::MintInstanceKey),
    Gigya(gigya::MintGigya),
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
