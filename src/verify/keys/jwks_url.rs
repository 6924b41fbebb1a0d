//! Keys that an issuer serves as a JWK Set at a fixed URL.
//!
//! The URL stands in the conf and nowhere else: nothing in a token can change what is asked. How the set is kept fresh:
//! [`crate::verify::keys::store`]. Rules: RFC 7517 section 5.

use std::sync::Arc;

use url::Url;

use crate::net::authorities::{CA_KEY, check_url};
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape};
use crate::verify::keys::contract::{BuiltKeys, KeyClass, KeySourceEntry, KeySourcePlan, KeyTools};
use crate::verify::keys::remote::{CACHE_FILE_KEY, MAX_STALE_KEY, REFRESH_KEY, Remote};
use crate::verify::keys::store::RemoteStore;
use crate::verify::keys::store::disk::DiskCopy;
use crate::verify::keys::store::origin::{Fixed, Origin};

/// The source's line on the roll-call.
pub static ENTRY: KeySourceEntry = KeySourceEntry {
    name: "jwks_url",
    doc: "Public keys that an issuer serves as a JWK Set at a fixed URL.",
    class: KeyClass::Signature,
    shape: Shape::Section(&SETTINGS),
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the `jwks_url` source",
    doc: "A JWK Set at a fixed URL, fetched in the background.",
    keys: &[
        KeySpec::required("url", Shape::Url, "Where the set is served; https, or http on loopback. Redirects are not followed."),
        REFRESH_KEY,
        MAX_STALE_KEY,
        CACHE_FILE_KEY,
        CA_KEY,
    ],
};

#[derive(Debug)]
struct JwksUrlPlan {
    url: Url,
    remote: Remote,
}

fn plan(_name: &str, node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn KeySourcePlan>> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let url = check_url(&section, "url", checking);
    let remote = Remote::read(&section, checking);
    Some(Box::new(JwksUrlPlan { url: url?, remote: remote? }))
}

impl KeySourcePlan for JwksUrlPlan {
    fn class(&self) -> KeyClass {
        KeyClass::Signature
    }

    fn continuity(&self) -> Option<String> {
        Some(format!("jwks_url {} {}", self.url, self.remote.text()))
    }

    fn build(&self, name: &Arc<str>, tools: &KeyTools) -> Result<BuiltKeys, String> {
        let origin = Fixed(self.url.clone());
        let disk = self.remote.cache_file.clone().map(|path| DiskCopy::new(path, origin.text()));
        let client = self.remote.authorities.client(&tools.client)?;
        Ok(BuiltKeys::Signature(Arc::new(RemoteStore::new(name, Box::new(origin), self.remote.timing, disk, client, tools))))
    }
}

#[cfg(test)]
mod tests;
