//! `mint ticket`: a sealed ticket, as another node of ours would make it.

use std::net::IpAddr;

use crate::ambient::{SystemRandom, WallClock};
use crate::cli::length::Length;
use crate::cli::mint::print_headers;
use crate::cli::secret_source::{FORM, SecretSource};
use crate::cli::{Done, Failure};
use crate::domain::{Clock, Value};
use crate::issuer::ticket::{Mint, TicketOrder, mint};
use crate::jose::ticket::{Bindings, TicketKey};
use crate::verify::keys::mac::key_of;

/// Seals a ticket with a `mac` key that the proxy holds too.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Try it:\n  curl -H \"$(countersign mint ticket --key file:ticket.key --audience pass --subject anna --single-use)\" http://127.0.0.1:8080/download/a"
)]
pub struct MintTicket {
    /// Where the key is.
    #[arg(long, value_name = FORM)]
    key: SecretSource,
    /// Whom it is for: the `audience` of the authenticator, which is its name unless written.
    #[arg(long)]
    audience: String,
    /// Who it is from: the `issuer` of the authenticator.
    #[arg(long, default_value = "countersign")]
    issuer: String,
    /// Who will present it.
    #[arg(long)]
    subject: String,
    /// How long it is good: 30s, 5m, 1h.
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    expires_in: Length,
    /// Good for one use only.
    #[arg(long)]
    single_use: bool,
    /// What its bearer may do; more than once for several.
    #[arg(long)]
    scope: Vec<String>,
    /// Good for this path and everything below it only.
    #[arg(long)]
    path: Option<String>,
    /// Good for this method only; more than once for several.
    #[arg(long)]
    method: Vec<String>,
    /// Good for this host only.
    #[arg(long)]
    host: Option<String>,
    /// Good from this address only.
    #[arg(long)]
    address: Option<IpAddr>,
    /// Good for this device only, as its device header says.
    #[arg(long)]
    device: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl MintTicket {
    pub(super) fn run(&self) -> Done {
        let key = key_of(self.key.read()?).map_err(Failure::new)?;
        let press = Mint {
            key: TicketKey::new(key.id, &key.secret),
            issuer: self.issuer.as_str().into(),
            audience: self.audience.as_str().into(),
            max_life: self.expires_in.seconds(),
        };
        let order = TicketOrder {
            subject: self.subject.as_str().into(),
            life: Some(self.expires_in.seconds()),
            scopes: self.scope.iter().map(|scope| scope.as_str().into()).collect(),
            single_use: self.single_use,
            bindings: Bindings {
                address: self.address,
                device: self.device.as_deref().map(Into::into),
                host: self.host.as_deref().map(Into::into),
                methods: self.method.iter().map(|method| method.as_str().into()).collect(),
                path: self.path.as_deref().map(Into::into),
            },
            claims: Value::empty(),
        };
        let ticket = mint(&press, order, WallClock.now(), &SystemRandom).map_err(|fault| Failure::new(fault.to_string()))?;
        print_headers(&[("Ticket", ticket)], self.json);
        Ok(())
    }
}
