//! The one listener of a proxy under load: on loopback, with TLS and HTTP/2 where the first listener of the conf has them.

use serde_json::{Value, json};

use crate::loadtest::fresh::vault::Vault;

/// The listener, and who must be trusted by whoever comes.
#[derive(Debug)]
pub struct Door {
    /// The listener, as a conf has it.
    pub listener: Value,
    /// The certificate it shows, as PEM; it is its own authority.
    pub ca: Option<String>,
    /// Whether HTTP/2 is spoken.
    pub http2: bool,
}

impl Door {
    /// In place of `listeners`, with a certificate made for it.
    ///
    /// # Errors
    ///
    /// No certificate can be made or written.
    pub fn in_place_of(listeners: Option<&Value>, vault: &mut Vault) -> Result<Self, String> {
        let first = listeners.and_then(|listeners| listeners.get(0));
        let http2 = first.and_then(|first| first.get("h2")) != Some(&Value::Bool(false));
        let mut listener = json!({ "address": "127.0.0.1:0", "h2": http2 });
        let mut ca = None;
        if first.is_some_and(|first| first.get("tls").is_some())
            && let Some(members) = listener.as_object_mut()
        {
            let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
            let made = rcgen::generate_simple_self_signed(names).map_err(|error| format!("no certificate: {error}"))?;
            let certificate = vault.file("certificate.pem", &made.cert.pem())?;
            let key = vault.file("certificate.key", &made.signing_key.serialize_pem())?;
            members.insert("tls".to_owned(), json!({ "certificate": certificate, "key": key }));
            ca = Some(made.cert.pem());
        }
        Ok(Self { listener, ca, http2 })
    }
}

#[cfg(test)]
mod tests;
