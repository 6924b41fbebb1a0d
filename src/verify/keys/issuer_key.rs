//! The key that an issuer serves under its own name, as personal data servers of the HAT kind do: `GET https://{iss}/publickey`.
//!
//! Here alone a token says whom we ask, so what it may say is narrow: `iss` is a host name in canonical form below a suffix
//! that the conf allows, asked over https at a public address, without redirects. Keys have no names; each issuer has its
//! own ring, fetched again when it ages and once per window when a signature does not match it. What an issuer does not
//! have is remembered apart from what others have, so that invented issuers push nobody out.
//!
//! Never here: an issuer that is an IP address, a port that is spelled two ways, an empty list that allows everybody.

mod shelf;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use http::header::{ACCEPT, HeaderValue};
use url::Url;

use crate::domain::{Answer, Clock, Event, Observer, Outage, Seconds, Timestamp};
use crate::jose::jwk::parse_pem;
use crate::net::authorities::{Authorities, CA_KEY};
use crate::net::client::{Client, Exchange};
use crate::net::guard::Reach;
use crate::net::single_flight::SingleFlight;
use crate::settings::host::{Suffix, is_canonical};
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape};
use crate::verify::contract::Desk;
use crate::verify::keys::contract::{BuiltKeys, KeyClass, KeyHint, KeySearch, KeySourceEntry, KeySourcePlan, KeyTools, SignatureKeys};
use crate::verify::keys::issuer_key::shelf::{Shelf, Standing};
use crate::verify::keys::remote::MAX_STALE_KEY;
use crate::verify::keys::ring::{Candidates, KeyRing};
use crate::verify::keys::store::{SetFault, Timing};

/// The source's line on the roll-call.
pub static ENTRY: KeySourceEntry = KeySourceEntry {
    name: "issuer_key",
    doc: "The public key that each issuer of an allowed domain serves under its own name (HAT: `GET https://{iss}/publickey`).",
    class: KeyClass::Signature,
    shape: Shape::Section(&SETTINGS),
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the `issuer_key` source",
    doc: "Asks the issuer that a token names for its key, if that issuer is allowed.",
    keys: &[
        KeySpec::required(
            "allow",
            Shape::List { of: &Shape::Text, lone: true, min: 1 },
            "Domains whose hosts may be issuers, such as `hubofallthings.net`; whole labels. Every host below them can make tokens.",
        ),
        KeySpec::default("path", Shape::Text, "publickey", "Where an issuer serves its key, as PEM text."),
        KeySpec::default("refresh", Shape::Duration { min: 60, max: 86_400 }, "1h", "How old a key may be before it is fetched again."),
        MAX_STALE_KEY,
        KeySpec::default(
            "retry",
            Shape::Duration { min: 10, max: 3_600 },
            "30s",
            "How long after an attempt an issuer is not asked again, whatever tokens come.",
        ),
        KeySpec::default(
            "negative_ttl",
            Shape::Duration { min: 10, max: 86_400 },
            "10m",
            "How long it is remembered that an issuer does not exist (404).",
        ),
        KeySpec::default(
            "issuers",
            Shape::Count { min: 1, max: 100_000 },
            "1000",
            "How many issuers' keys are kept, the latest used ones.",
        ),
        CA_KEY,
    ],
};

/// The largest answer that is read, in bytes; a PEM key has less than 2 KiB.
const MAX_PEM: usize = 16 * 1_024;

/// For one answer, connecting included.
const DEADLINE: Duration = Duration::from_secs(5);

/// How long a request waits for a key.
const PATIENCE: Duration = Duration::from_secs(3);

/// Issuers asked at a time.
const FLIGHTS: usize = 64;

/// What a question about a key that did not match starts with; no host name does.
const AGAIN: &str = "again ";

#[derive(Debug)]
struct IssuerKeyPlan {
    allow: Box<[Suffix]>,
    path: Box<str>,
    timing: Timing,
    retry: Seconds,
    negative_ttl: Seconds,
    issuers: usize,
    authorities: Authorities,
}

fn plan(_name: &str, node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn KeySourcePlan>> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let before = checking.faults.errors();
    let mut allow = Vec::new();
    for suffix in section.items("allow") {
        match Suffix::read(suffix.as_text().unwrap_or_default()) {
            Ok(suffix) => allow.push(suffix),
            Err(says) => checking.faults.error(&suffix.span, says),
        }
    }
    let path = section.text("path")?.trim_start_matches('/');
    if path.is_empty() || !path.split('/').all(is_segment) {
        checking.faults.error(section.span_of("path"), "`path` is a plain path such as `publickey`, without query and dots");
    }
    let timing = Timing { refresh: section.seconds("refresh")?, max_stale: section.seconds("max_stale")? };
    if timing.max_stale < timing.refresh {
        checking.faults.error(section.span_of("max_stale"), "`max_stale` is shorter than `refresh`; make it longer");
    }
    let authorities = Authorities::read(&section, checking);
    if before != checking.faults.errors() {
        return None;
    }
    Some(Box::new(IssuerKeyPlan {
        allow: allow.into(),
        path: path.into(),
        timing,
        retry: section.seconds("retry")?,
        negative_ttl: section.seconds("negative_ttl")?,
        issuers: section.count("issuers").and_then(|count| usize::try_from(count).ok())?,
        authorities: authorities?,
    }))
}

fn is_segment(segment: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    !segment.is_empty() && segment.bytes().all(plain) && !segment.bytes().all(|byte| byte == b'.')
}

impl KeySourcePlan for IssuerKeyPlan {
    fn class(&self) -> KeyClass {
        KeyClass::Signature
    }

    fn keeps_issuers_apart(&self) -> bool {
        true
    }

    fn continuity(&self) -> Option<String> {
        let Self { allow, path, timing, retry, negative_ttl, issuers, authorities } = self;
        Some(format!("issuer_key {allow:?} {path} {timing:?} {retry:?} {negative_ttl:?} {issuers} {}", authorities.text()))
    }

    fn build(&self, name: &Arc<str>, tools: &KeyTools) -> Result<BuiltKeys, String> {
        let inner = Inner {
            name: Arc::clone(name),
            allow: self.allow.clone(),
            path: self.path.clone(),
            client: self.authorities.client(&tools.client)?,
            clock: Arc::clone(&tools.clock),
            observer: Arc::clone(&tools.observer),
            shelf: Shelf::new(self.issuers, self.timing, self.retry, self.negative_ttl, self.first_generation()),
            flights: SingleFlight::new(FLIGHTS),
        };
        Ok(BuiltKeys::Signature(Arc::new(IssuerKeys { inner: Arc::new(inner) })))
    }
}

impl IssuerKeyPlan {
    /// Where counting starts: elsewhere for every other conf, so that no verdict made under one stands under another.
    fn first_generation(&self) -> u64 {
        let text = self.continuity().unwrap_or_default();
        digest(&SHA256, text.as_bytes()).as_ref().first_chunk().copied().map_or(0, u64::from_be_bytes)
    }
}

/// The store: a ring per issuer.
struct IssuerKeys {
    inner: Arc<Inner>,
}

struct Inner {
    name: Arc<str>,
    allow: Box<[Suffix]>,
    path: Box<str>,
    client: Arc<Client>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    shelf: Shelf,
    flights: SingleFlight<()>,
}

impl Inner {
    /// Whether a token may name `issuer` at all.
    fn allows(&self, issuer: &str) -> bool {
        is_canonical(issuer) && self.allow.iter().any(|suffix| suffix.covers(issuer))
    }

    /// One attempt to get the key of `issuer`. What comes of it is put on the shelf.
    async fn fly(self: Arc<Self>, issuer: Box<str>) {
        let outcome = self.fetch(&issuer).await;
        let now = self.clock.now();
        let ok = matches!(outcome, Ok(Some(_)));
        match outcome {
            Ok(ring) => self.shelf.put(&issuer, ring, now),
            Err(fault) => {
                tracing::warn!(store = %self.name, %issuer, %fault, "key of an issuer was not fetched");
                self.shelf.failed(&issuer, now);
            }
        }
        let (keys, fetched) = (self.shelf.len(), ok.then_some(now));
        self.observer.note(Event::KeyFetch { store: &self.name, ok, keys, fetched });
    }

    /// The key of `issuer`; `None` when it says that it does not exist.
    async fn fetch(&self, issuer: &str) -> Result<Option<KeyRing>, SetFault> {
        // Checked again here, next to the use: nothing but a canonical, allowed host becomes part of a URL.
        let url = Some(format!("https://{issuer}/{}", self.path)).filter(|_| self.allows(issuer)).and_then(|url| Url::parse(&url).ok());
        let Some(url) = url else { return Ok(None) };
        let mut exchange = Exchange { reach: Reach::FromToken, ..Exchange::get(url, DEADLINE, MAX_PEM) };
        exchange.headers.insert(ACCEPT, HeaderValue::from_static("application/x-pem-file, text/plain, */*"));
        let reply = self.client.fetch(exchange).await?;
        match reply.status {
            200 => {
                let parsed = parse_pem(&reply.body)?;
                for why in parsed.skipped {
                    self.observer.note(Event::KeySkipped { store: &self.name, why });
                }
                Ok(Some(KeyRing::new(parsed.keys)))
            }
            404 => Ok(None),
            status => Err(SetFault::Status(status)),
        }
    }
}

#[async_trait]
impl Desk for IssuerKeys {
    async fn answer(&self, about: &str, now: Timestamp) -> Result<Answer, Outage> {
        let inner = &self.inner;
        let (issuer, again) = about.strip_prefix(AGAIN).map_or((about, false), |issuer| (issuer, true));
        if !inner.allows(issuer) {
            return Ok(Arc::new(()));
        }
        let worthwhile = if again { inner.shelf.may_look_again(issuer, now) } else { inner.shelf.may_ask(issuer, now) };
        if worthwhile || inner.flights.is_flying(issuer) {
            let flight = inner.flights.join(issuer, || Arc::clone(inner).fly(issuer.into()));
            let _ = tokio::time::timeout(PATIENCE, flight).await;
        }
        match inner.shelf.standing(issuer, now) {
            Standing::Unheard => Err(Outage::Keys),
            Standing::Fresh(_) | Standing::Aged(_) | Standing::Gone => Ok(Arc::new(())),
        }
    }
}

#[async_trait]
impl SignatureKeys for IssuerKeys {
    fn find(&self, hint: &KeyHint<'_>, now: Timestamp) -> KeySearch {
        let inner = &self.inner;
        if !inner.allows(hint.issuer) {
            return KeySearch::Never;
        }
        let ring = match inner.shelf.standing(hint.issuer, now) {
            Standing::Fresh(ring) => ring,
            Standing::Aged(ring) if !inner.shelf.may_ask(hint.issuer, now) => ring,
            Standing::Aged(_) | Standing::Unheard => return KeySearch::Unavailable(hint.issuer.into()),
            Standing::Gone => return KeySearch::Never,
        };
        // An issuer of this kind names no key; what a token says about it is not looked at.
        match ring.candidates(None, hint.algorithm) {
            Candidates::Keys(keys) => KeySearch::Keys(keys),
            Candidates::Unfit | Candidates::None => KeySearch::Never,
        }
    }

    fn generation(&self) -> u64 {
        self.inner.shelf.generation()
    }

    fn ready(&self, _now: Timestamp) -> bool {
        // Whose key will be needed is known when a token names its issuer.
        true
    }

    fn second_look(&self, hint: &KeyHint<'_>) -> Option<Arc<str>> {
        self.inner.allows(hint.issuer).then(|| format!("{AGAIN}{}", hint.issuer).into())
    }

    async fn run(&self) {}

    fn desk(self: Arc<Self>) -> Arc<dyn Desk> {
        self
    }
}

#[cfg(test)]
mod tests;
