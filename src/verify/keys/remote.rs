//! The settings that all remote sources of keys share.

use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};

use crate::domain::Seconds;
use crate::jose::base64url;
use crate::net::client::{Client, ClientSettings};
use crate::net::guard::plaintext_allowed;
use crate::settings::{Checking, KeySpec, Section, Shape};
use crate::verify::keys::contract::{KeyTools, MAX_STALE};
use crate::verify::keys::store::Timing;

/// How old a set may be before it is fetched again.
pub const REFRESH_KEY: KeySpec = KeySpec::default(
    "refresh",
    Shape::Duration { min: 10, max: 3_600 },
    "5m",
    "How old a set may be before it is fetched again; a key that the issuer withdraws is believed that much longer.",
);

/// How long a set lasts that cannot be fetched again.
pub const MAX_STALE_KEY: KeySpec = KeySpec::default(
    "max_stale",
    Shape::Duration { min: 10, max: 30 * 86_400 },
    "24h",
    "How long the last good set is used when no newer one can be fetched; after that, what needs it is answered 503.",
);

/// Where a copy is kept.
pub const CACHE_FILE_KEY: KeySpec = KeySpec::optional(
    "cache_file",
    Shape::Path,
    "A file in which the last good set is kept, so that a start during an outage of the issuer works. Whoever may write it decides \
     whose tokens are believed.",
);

/// Which authorities are trusted.
pub const CA_KEY: KeySpec =
    KeySpec::optional("ca", Shape::File, "A PEM bundle of the authorities to trust here, in place of the machine's own.");

/// What the shared settings say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// When the set is fetched, and how long it lasts.
    pub timing: Timing,
    /// Where a copy is kept.
    pub cache_file: Option<PathBuf>,
    /// Which authorities are trusted.
    pub authorities: Authorities,
}

/// The authorities to trust, and the file they come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authorities(Option<(PathBuf, Arc<[u8]>)>);

impl Default for Remote {
    /// As when none of the keys is written.
    fn default() -> Self {
        const REFRESH: Seconds = Seconds(300);
        Self { timing: Timing { refresh: REFRESH, max_stale: MAX_STALE }, cache_file: None, authorities: Authorities::default() }
    }
}

impl Remote {
    /// Reads the shared settings of `section`, which must have them all.
    pub fn read(section: &Section<'_>, checking: &mut Checking<'_>) -> Option<Self> {
        let authorities = Authorities::read(section, checking)?;
        let timing = Timing { refresh: section.seconds("refresh")?, max_stale: section.seconds("max_stale")? };
        if timing.max_stale < timing.refresh {
            checking.faults.error(
                section.span_of("max_stale"),
                "`max_stale` is shorter than `refresh`, so there would be no keys between two fetches; make it longer",
            );
            return None;
        }
        let cache_file = section.text("cache_file").map(|path| checking.material.resolve(path));
        Some(Self { timing, cache_file, authorities })
    }

    /// A text that is equal exactly when these settings are.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{:?} {:?} {}", self.timing, self.cache_file, self.authorities.text())
    }
}

impl Authorities {
    /// Reads the key `ca` of `section`; notes a fault and returns `None` when the bundle is none.
    pub fn read(section: &Section<'_>, checking: &mut Checking<'_>) -> Option<Self> {
        let Some(path) = section.text("ca") else { return Some(Self(None)) };
        let read = checking.material.file(path).and_then(|pem| {
            let settings = ClientSettings { ca: Some(pem.to_vec()), ..ClientSettings::default() };
            Client::new(settings).map(|_| Arc::from(pem))
        });
        match read {
            Ok(pem) => Some(Self(Some((checking.material.resolve(path), pem)))),
            Err(says) => {
                checking.faults.error(section.span_of("ca"), says);
                None
            }
        }
    }

    /// The client that trusts them.
    ///
    /// # Errors
    ///
    /// A sentence for the operator.
    pub fn client(&self, tools: &KeyTools) -> Result<Arc<Client>, String> {
        match &self.0 {
            None => Ok(Arc::clone(&tools.client)),
            Some((_, pem)) => tools.client.trusting(pem).map(Arc::new),
        }
    }

    /// The file they come from.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        self.0.as_ref().map(|(path, _)| path.clone())
    }

    fn text(&self) -> String {
        self.0.as_ref().map_or_else(String::new, |(_, pem)| base64url::encode(digest(&SHA256, pem).as_ref()))
    }
}

/// Checks that the URL under `key` may be asked, which the guard alone can say for names, later.
pub fn check_url(section: &Section<'_>, key: &str, checking: &mut Checking<'_>) -> Option<url::Url> {
    let url = section.url(key)?;
    let says = if !plaintext_allowed(&url) {
        "keys and secrets travel over https only (http is for loopback), else whoever sits on the way decides who is believed"
    } else if !crate::net::guard::permits_literal(&url, crate::net::guard::Reach::Configured) {
        "this address is never called: link-local, metadata, multicast and unspecified addresses serve no keys"
    } else if url.fragment().is_some() {
        "a fragment is never sent; leave out what follows `#`"
    } else {
        return Some(url);
    };
    checking.faults.error(section.span_of(key), format!("`{key}`: {says}"));
    None
}
