//! What every stage stands on: time, randomness, loopback, and the shipped conf with our addresses in it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use crate::demo::credentials::{CredentialFault, Credentials, key_line};
use crate::demo::tour::contract::Stumble;
use crate::demo::tour::late::LateClock;
use crate::demo::upstream::DemoUpstream;
use crate::domain::{Clock, Random, Seconds};

/// Any free port on loopback.
pub const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Time and randomness, handed in.
pub struct Ground {
    /// The right time.
    pub clock: Arc<dyn Clock>,
    /// Where secrets come from.
    pub random: Arc<dyn Random>,
}

impl Ground {
    /// A clock that is `behind` the right one.
    #[must_use]
    pub fn late(&self, behind: Seconds) -> Arc<LateClock> {
        Arc::new(LateClock::new(Arc::clone(&self.clock), behind))
    }

    /// A text that nobody else knows: 43 characters of the URL alphabet.
    #[must_use]
    pub fn secret(&self) -> String {
        Credentials::opaque(&*self.random)
    }
}

/// A back end of ours, with a key that was made a moment ago.
pub struct Backend {
    /// Its id.
    pub id: &'static str,
    /// Its secret.
    pub secret: String,
    pepper: String,
}

impl Backend {
    /// A back end called `id`.
    #[must_use]
    pub fn new(id: &'static str, ground: &Ground) -> Self {
        Self { id, secret: ground.secret(), pepper: ground.secret() }
    }

    /// The files that let it in.
    ///
    /// # Errors
    ///
    /// The pepper is too short; never for one of ours.
    pub fn files(&self) -> Result<[(&'static str, String); 2], CredentialFault> {
        let line = key_line(&self.pepper, self.id, &self.secret, &[])?;
        Ok([("keys/demo-server-keys.jsonl", line), ("keys/demo-pepper.txt", self.pepper.clone())])
    }
}

/// A shipped conf, being fitted into the demo.
pub struct Fitted(String);

impl Fitted {
    /// `shipped` with ports of our own, `app` behind it, files beside it, and a state that leaves nothing behind.
    ///
    /// # Errors
    ///
    /// [`Stumble::Conf`] when it reads otherwise than expected.
    pub fn new(shipped: &str, app: &DemoUpstream) -> Result<Self, Stumble> {
        let fitted = Self(shipped.to_owned())
            .put("listeners: [{ address: 127.0.0.1:8080 }]", "listeners: [{ address: 127.0.0.1:0 }]")?
            .put("admin: { address: 127.0.0.1:9901 }", "admin: { address: 127.0.0.1:0 }\nstate: { memory: {} }")?
            .put("http://127.0.0.1:9000", &app.origin())?;
        // A conf in a folder of confs refers to a folder beside that; ours has its own.
        fitted.put("../keys/", "keys/")
    }

    /// The same with `new` wherever `old` stands.
    ///
    /// # Errors
    ///
    /// [`Stumble::Conf`] when it stands nowhere.
    pub fn put(self, old: &str, new: &str) -> Result<Self, Stumble> {
        if !self.0.contains(old) {
            return Err(Stumble::Conf(old.to_owned()));
        }
        Ok(Self(self.0.replace(old, new)))
    }

    /// The text.
    #[must_use]
    pub fn text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::{ANY_PORT, Fitted};
    use crate::demo::tour::contract::Stumble;
    use crate::demo::upstream::DemoUpstream;

    #[tokio::test]
    async fn a_conf_that_reads_otherwise_is_not_run_as_if_it_did_not() {
        let app = DemoUpstream::start(ANY_PORT).await.unwrap();
        let shipped = "listeners: [{ address: 127.0.0.1:8080 }]\nadmin: { address: 127.0.0.1:9901 }\n\
                       upstreams: { app: http://127.0.0.1:9000 }\nkey: ../keys/a\nvendor: https://vendor.example\n";
        let fitted = Fitted::new(shipped, &app).and_then(|conf| conf.put("https://vendor.example", "http://127.0.0.1:1")).unwrap().text();
        assert!(fitted.contains(&app.origin()) && fitted.contains("\nkey: keys/a\nvendor: http://127.0.0.1:1\n"), "{fitted}");
        for gone in ["8080", "9901", "9000", "vendor.example", "../"] {
            assert!(!fitted.contains(gone), "{gone} is left in {fitted}");
        }
        let other = Fitted::new(&shipped.replace("9000", "9001"), &app).err();
        assert!(matches!(other, Some(Stumble::Conf(what)) if what == "http://127.0.0.1:9000"), "what is not found is named");
    }
}
