//! The settings that whoever asks another machine shares: where to, and whose certificates to believe.
//!
//! Nothing here opens a socket: a URL is judged as far as its text goes, and by [`crate::net::guard`] again when it is called.

use std::fmt::Write;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use url::Url;

use crate::net::client::{Client, ClientSettings};
use crate::net::guard::{Reach, permits_literal, plaintext_allowed};
use crate::settings::{Checking, KeySpec, Section, Shape};

/// Which authorities are trusted.
pub const CA_KEY: KeySpec =
    KeySpec::optional("ca", Shape::File, "A PEM bundle of the authorities to trust here, in place of the machine's own.");

/// The authorities to trust, as the bundle that holds them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authorities(Option<Arc<[u8]>>);

impl Authorities {
    /// Reads the key `ca` of `section`; notes a fault and returns `None` when the bundle is none.
    pub fn read(section: &Section<'_>, checking: &mut Checking<'_>) -> Option<Self> {
        let Some(path) = section.text("ca") else { return Some(Self(None)) };
        let read = checking.material.file(path).and_then(|pem| {
            let settings = ClientSettings { ca: Some(pem.to_vec()), ..ClientSettings::default() };
            Client::new(settings).map(|_| Arc::from(pem))
        });
        match read {
            Ok(pem) => Some(Self(Some(pem))),
            Err(says) => {
                checking.faults.error(section.span_of("ca"), says);
                None
            }
        }
    }

    /// The client that trusts them: `usual` where nothing was said.
    ///
    /// # Errors
    ///
    /// A sentence for the operator.
    pub fn client(&self, usual: &Arc<Client>) -> Result<Arc<Client>, String> {
        match &self.0 {
            None => Ok(Arc::clone(usual)),
            Some(pem) => usual.trusting(pem).map(Arc::new),
        }
    }

    /// A text that is equal exactly when they are.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for byte in self.0.iter().flat_map(|pem| digest(&SHA256, pem).as_ref().to_vec()) {
            // Writing into a String does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

/// Checks that the URL under `key` may be asked, which the guard alone can say for names, later.
pub fn check_url(section: &Section<'_>, key: &str, checking: &mut Checking<'_>) -> Option<Url> {
    let url = section.url(key)?;
    let says = if !plaintext_allowed(&url) {
        "keys and secrets travel over https only (http is for loopback), else whoever sits on the way decides who is believed"
    } else if !permits_literal(&url, Reach::Configured) {
        "this address is never called: link-local, metadata, multicast and unspecified addresses serve no keys"
    } else if url.fragment().is_some() {
        "a fragment is never sent; leave out what follows `#`"
    } else {
        return Some(url);
    };
    checking.faults.error(section.span_of(key), format!("`{key}`: {says}"));
    None
}
