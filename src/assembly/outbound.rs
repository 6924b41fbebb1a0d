//! The client for outbound questions, kept over reloads for as long as the conf says the same of it.
//!
//! A new client would ask over new connections: every reload would cost a handshake with each issuer, at the moment when all
//! requests ask. The machine's own authorities are read when a client is made, so new ones count from the next change of the
//! section `outbound` or the next start.
//!
//! Key stores and desks that outlive a reload go on with the client they were built with. Where the section has changed, that
//! client takes over the new settings as well ([`Outbound::lead`]).

use std::sync::Arc;

use base64::Engine;

use crate::config::plan::Plan;
use crate::net::client::{Client, ClientSettings, Family};

/// A client, and what it was made of.
#[derive(Clone)]
pub struct Outbound {
    client: Arc<Client>,
    settings: ClientSettings,
    /// Clients of confs before, which somebody may still ask with.
    earlier: Vec<Family>,
}

impl Outbound {
    /// The client that `plan` asks for: the one of `running` when that is the same, else a new one.
    ///
    /// # Errors
    ///
    /// A sentence for the operator: no CA bundle on this machine.
    pub fn of(plan: &Plan, running: Option<&Self>) -> Result<Self, String> {
        let settings = settings(plan);
        if let Some(running) = running
            && running.settings == settings
        {
            return Ok(running.clone());
        }
        let client = Arc::new(Client::new(settings.clone())?);
        let mut earlier = running.map_or_else(Vec::new, |running| running.earlier.clone());
        earlier.extend(running.map(|running| running.client.family()));
        Ok(Self { client, settings, earlier })
    }

    /// Has all earlier clients that are still in use go by the settings of this one: its conf is in force from now on.
    pub fn lead(&mut self) {
        self.earlier.retain(|family| family.follow(&self.settings));
    }

    /// The client.
    #[must_use]
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }
}

fn settings(plan: &Plan) -> ClientSettings {
    let ca = plan.outbound.ca.as_ref().map(|anchors| anchors.iter().map(|der| pem(der)).collect::<String>().into_bytes());
    let resolve = plan.outbound.resolve.iter().map(|(host, address)| (host.to_string(), *address)).collect();
    ClientSettings { ca, resolve, ..ClientSettings::default() }
}

/// A certificate as PEM (RFC 7468 section 5).
fn pem(der: &[u8]) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", base64::engine::general_purpose::STANDARD.encode(der))
}
