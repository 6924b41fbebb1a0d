//! Keys of an OpenID provider, found by its discovery document.
//!
//! The document is asked for under the issuer's own URL and must name exactly that issuer; of everything else it says only
//! `jwks_uri` is used. Where the set turned out to be is remembered for an hour, and found anew when the set is not there.
//!
//! Rules: OpenID Connect Discovery 1.0 sections 4 and 4.3, RFC 8414 section 3.3.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use url::Url;

use crate::domain::{Seconds, Timestamp};
use crate::jose::metadata;
use crate::net::authorities::{CA_KEY, check_url};
use crate::net::client::{Client, Exchange};
use crate::net::discovery::{self, MAX_DOCUMENT};
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape};
use crate::verify::keys::contract::{BuiltKeys, KeyClass, KeySourceEntry, KeySourcePlan, KeyTools};
use crate::verify::keys::remote::{CACHE_FILE_KEY, MAX_STALE_KEY, REFRESH_KEY, Remote};
use crate::verify::keys::store::disk::DiskCopy;
use crate::verify::keys::store::origin::Origin;
use crate::verify::keys::store::{DEADLINE, RemoteStore, SetFault};

/// The source's line on the roll-call.
pub static ENTRY: KeySourceEntry = KeySourceEntry {
    name: "discovery",
    doc: "Public keys of an OpenID provider, found by its discovery document.",
    class: KeyClass::Signature,
    shape: Shape::Section(&SETTINGS),
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the `discovery` source",
    doc: "Finds the JWK Set of an OpenID provider, and keeps it fresh.",
    keys: &[
        KeySpec::required(
            "issuer",
            Shape::Url,
            "The provider, exactly as its tokens and its document write it. Asked under `/.well-known/openid-configuration`.",
        ),
        REFRESH_KEY,
        MAX_STALE_KEY,
        CACHE_FILE_KEY,
        CA_KEY,
    ],
};

/// How long the place of the set is remembered.
const REMEMBERED: Seconds = Seconds(3_600);

#[derive(Debug)]
struct DiscoveryPlan {
    issuer: Box<str>,
    document: Url,
    remote: Remote,
}

/// The plan for the keys of `issuer`, with every setting at its default: for authenticators that name no key store.
///
/// # Errors
///
/// A sentence for the operator: `issuer` is no URL under which keys can be discovered.
pub fn implied(issuer: &str) -> Result<Box<dyn KeySourcePlan>, String> {
    Ok(Box::new(DiscoveryPlan { issuer: issuer.into(), document: document_of(issuer)?, remote: Remote::default() }))
}

fn plan(_name: &str, node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn KeySourcePlan>> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let remote = Remote::read(&section, checking);
    check_url(&section, "issuer", checking)?;
    let issuer = section.text("issuer")?;
    match document_of(issuer) {
        Ok(document) => Some(Box::new(DiscoveryPlan { issuer: issuer.into(), document, remote: remote? })),
        Err(says) => {
            checking.faults.error(section.span_of("issuer"), says);
            None
        }
    }
}

/// Where the document of `issuer` is.
fn document_of(issuer: &str) -> Result<Url, String> {
    discovery::document_of(issuer)
        .ok_or_else(|| format!("`{issuer}` is no issuer under which keys can be discovered: an https URL without query, fragment and user"))
}

impl KeySourcePlan for DiscoveryPlan {
    fn class(&self) -> KeyClass {
        KeyClass::Signature
    }

    fn continuity(&self) -> Option<String> {
        Some(format!("discovery {} {}", self.issuer, self.remote.text()))
    }

    fn build(&self, name: &Arc<str>, tools: &KeyTools) -> Result<BuiltKeys, String> {
        let origin = Discovered { issuer: self.issuer.clone(), document: self.document.clone(), found: Mutex::default() };
        let disk = self.remote.cache_file.clone().map(|path| DiskCopy::new(path, origin.text()));
        let client = self.remote.authorities.client(&tools.client)?;
        Ok(BuiltKeys::Signature(Arc::new(RemoteStore::new(name, Box::new(origin), self.remote.timing, disk, client, tools))))
    }
}

struct Discovered {
    issuer: Box<str>,
    document: Url,
    /// Where the set was, and when that was found. A `Mutex`: touched once per fetch.
    found: Mutex<Option<(Url, Timestamp)>>,
}

#[async_trait]
impl Origin for Discovered {
    async fn locate(&self, client: &Client, now: Timestamp) -> Result<Url, SetFault> {
        if let Some((url, since)) = &*self.found.lock()
            && *since <= now
            && now < since.plus(REMEMBERED)
        {
            return Ok(url.clone());
        }
        let reply = client.fetch(Exchange::get(self.document.clone(), DEADLINE, MAX_DOCUMENT)).await?;
        if reply.status != 200 {
            return Err(SetFault::Discovery("the document's answer does not have status 200"));
        }
        let url = self.read(&reply.body).map_err(SetFault::Discovery)?;
        *self.found.lock() = Some((url.clone(), now));
        Ok(url)
    }

    fn forget(&self) {
        *self.found.lock() = None;
    }

    fn text(&self) -> &str {
        &self.issuer
    }
}

impl Discovered {
    /// The URL of the set, if the document is this issuer's.
    fn read(&self, body: &[u8]) -> Result<Url, &'static str> {
        let url = metadata::url_in(body, &self.issuer, "jwks_uri")?;
        if discovery::may_lead(&self.document, &url) { Ok(url) } else { Err("its `jwks_uri` is not https") }
    }
}

#[cfg(test)]
mod tests;
