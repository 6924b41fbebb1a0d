//! Server keys that another service knows: one question per id, `GET url/{id}`.
//!
//! The service answers with the record as it would stand in a file ([`crate::verify::keys::record`]), digests and not
//! secrets, or 404. An answer is kept for a while, a "no" for a shorter while; when the service is out, what was known is
//! used a while longer and what was not known is undecided, never refused. An answer about another id is no answer.
//!
//! Times are checked against the `now` of each request and not by the cache, so what a test sees is what happens. The
//! cache is bounded in number and only makes room; an entry that was pushed out is asked for again.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use http::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use moka::sync::Cache;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use crate::domain::{Answer, Clock, Event, Observer, Outage, Seconds, Timestamp};
use crate::jose::base64url;
use crate::net::authorities::{Authorities, CA_KEY, check_url};
use crate::net::client::{Client, Exchange, FetchFault};
use crate::net::single_flight::SingleFlight;
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape};
use crate::verify::contract::Desk;
use crate::verify::keyholder::is_id;
use crate::verify::keys::contract::{BuiltKeys, KeyClass, KeySourceEntry, KeySourcePlan, KeyTools, ServerKey, ServerKeySearch, ServerKeys};
use crate::verify::keys::digest::{LEAST_PEPPER, Pepper};
use crate::verify::keys::record::parse_record;

/// The source's line on the roll-call.
pub static ENTRY: KeySourceEntry = KeySourceEntry {
    name: "server_key_lookup",
    doc: "Server keys that another service knows, asked for one by one: `GET url/{id}`.",
    class: KeyClass::ServerKeys,
    shape: Shape::Section(&SETTINGS),
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the `server_key_lookup` source",
    doc: "Asks a service about each id, and remembers the answer.",
    keys: &[
        KeySpec::required(
            "url",
            Shape::Url,
            "What to ask, with `{id}` once in path or query; https, or http on loopback. 200 with a record, or 404.",
        ),
        KeySpec::required("pepper", Shape::Secret, "The secret that the digests in the records are made under; at least 16 bytes."),
        KeySpec::optional(
            "headers",
            Shape::Map(&Shape::Secret),
            "Fields to send, each value a secret reference, whole: `Authorization: { env: LOOKUP_TOKEN }` sends the variable as it is.",
        ),
        KeySpec::default(
            "ttl",
            Shape::Duration { min: 1, max: 3_600 },
            "60s",
            "How long an answer holds; a key that is revoked is refused within this time.",
        ),
        KeySpec::default(
            "negative_ttl",
            Shape::Duration { min: 1, max: 600 },
            "5s",
            "How long it holds that there is no such id; a new key works within this time.",
        ),
        KeySpec::default(
            "max_stale",
            Shape::Duration { min: 0, max: 86_400 },
            "10m",
            "How long beyond `ttl` a known record is used while the service does not answer; `0s` for not at all.",
        ),
        KeySpec::default("deadline", Shape::Duration { min: 0, max: 30 }, "2s", "For one answer, connecting included."),
        KeySpec::default("capacity", Shape::Count { min: 100, max: 10_000_000 }, "100000", "Answers remembered at once."),
        CA_KEY,
    ],
};

/// What stands for the id in `url`.
const MARK: &str = "{id}";

/// Everything that could mean something in a URL is escaped; letters, digits and `-_~` are not, nor `.`, which is plain
/// inside a name and dealt with where it is not.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~').remove(b'.');

/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1_024;

/// Different ids asked about at a time.
const FLIGHTS: usize = 256;

/// After a failure nobody is asked for this long; in whole seconds of the clock.
const PAUSE: Seconds = Seconds(1);

struct LookupPlan {
    url: Template,
    pepper: Pepper,
    headers: HeaderMap,
    times: Times,
    capacity: usize,
    authorities: Authorities,
}

#[derive(Debug, Clone, Copy)]
struct Times {
    ttl: Seconds,
    negative_ttl: Seconds,
    max_stale: Seconds,
    deadline: Duration,
}

/// A URL with a place for the id.
#[derive(Debug, Clone)]
struct Template {
    before: Box<str>,
    after: Box<str>,
}

fn plan(_name: &str, node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn KeySourcePlan>> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let before = checking.faults.errors();
    let url = check_url(&section, "url", checking).and_then(|_| match Template::read(section.text("url")?) {
        Ok(template) => Some(template),
        Err(says) => {
            checking.faults.error(section.span_of("url"), says);
            None
        }
    });
    let pepper = section.node("pepper").and_then(|node| {
        let secret = checking.secret(node)?;
        let pepper = Pepper::new(&secret);
        if pepper.is_none() {
            checking.faults.error(&node.span, format!("a pepper has at least {LEAST_PEPPER} bytes; this one has {}", secret.len()));
        }
        pepper
    });
    let headers = plan_headers(&section, checking);
    let authorities = Authorities::read(&section, checking);
    let deadline = section.duration("deadline")?;
    if deadline.is_zero() {
        checking.faults.error(section.span_of("deadline"), "a `deadline` of nothing is never met");
    }
    if before != checking.faults.errors() {
        return None;
    }
    Some(Box::new(LookupPlan {
        url: url?,
        pepper: pepper?,
        headers,
        times: Times {
            ttl: section.seconds("ttl")?,
            negative_ttl: section.seconds("negative_ttl")?,
            max_stale: section.seconds("max_stale")?,
            deadline,
        },
        capacity: section.count("capacity").and_then(|count| usize::try_from(count).ok())?,
        authorities: authorities?,
    }))
}

fn plan_headers(section: &Section<'_>, checking: &mut Checking<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    for entry in section.node("headers").and_then(Node::as_map).unwrap_or_default() {
        let Ok(name) = HeaderName::from_bytes(entry.key.as_bytes()) else {
            checking.faults.error(&entry.span, format!("`{}` is not a header field name (RFC 9110 section 5.1)", entry.key));
            continue;
        };
        let Some(secret) = checking.secret(&entry.node) else { continue };
        match HeaderValue::from_bytes(secret.expose()) {
            Ok(mut value) => {
                value.set_sensitive(true);
                headers.insert(name, value);
            }
            Err(_) => checking.faults.error(&entry.node.span, "this secret cannot stand in a header field: it has control characters"),
        }
    }
    headers
}

impl Template {
    fn read(written: &str) -> Result<Self, String> {
        let fault = || format!("`url` must name `{MARK}` exactly once, in its path or query: `https://keys.example/v1/{MARK}`");
        let (before, after) = written.split_once(MARK).ok_or_else(fault)?;
        let template = Self { before: before.into(), after: after.into() };
        let origin = |url: Url| url.origin().is_tuple().then(|| url.origin().ascii_serialization());
        // The id must not be able to change whom we ask.
        let [one, other] = ["a", "b.example"].map(|id| template.fill(id).and_then(origin));
        if after.contains(MARK)
            || one.is_none()
            || one != other
            || !template.fill("mark").is_some_and(|url| url[url::Position::BeforePath..].contains("mark"))
        {
            return Err(fault());
        }
        Ok(template)
    }

    /// The URL that asks about `id`; `None` for an id that cannot stand in one as itself.
    fn fill(&self, id: &str) -> Option<Url> {
        // Dot segments are taken out of every URL, escaped or not: they would ask about something else.
        if matches!(id, "." | "..") {
            return None;
        }
        Url::parse(&format!("{}{}{}", self.before, utf8_percent_encode(id, ESCAPED), self.after)).ok()
    }
}

impl KeySourcePlan for LookupPlan {
    fn class(&self) -> KeyClass {
        KeyClass::ServerKeys
    }

    fn continuity(&self) -> Option<String> {
        let Self { url: Template { before, after }, pepper, headers, times, capacity, authorities } = self;
        let mut fields = Vec::new();
        for (name, value) in headers {
            for part in [name.as_str().as_bytes(), value.as_bytes()] {
                fields.extend_from_slice(&part.len().to_be_bytes());
                fields.extend_from_slice(part);
            }
        }
        // Tells the pepper from others as well, and reveals neither.
        let secrets = base64url::encode(&pepper.digest("continuity", &fields));
        Some(format!("server_key_lookup {before:?} {after:?} {times:?} {capacity} {secrets} {}", authorities.text()))
    }

    fn build(&self, name: &Arc<str>, tools: &KeyTools) -> Result<BuiltKeys, String> {
        let inner = Inner {
            name: Arc::clone(name),
            url: self.url.clone(),
            headers: self.headers.clone(),
            times: self.times,
            client: self.authorities.client(&tools.client)?,
            clock: Arc::clone(&tools.clock),
            observer: Arc::clone(&tools.observer),
            known: held(self.capacity, self.times.ttl.0.saturating_add(self.times.max_stale.0)),
            nobody: held((self.capacity / 10).max(100), self.times.negative_ttl.0),
            flights: SingleFlight::new(FLIGHTS),
            failed: AtomicI64::new(i64::MIN),
            generation: AtomicU64::new(0),
        };
        Ok(BuiltKeys::ServerKeys(Arc::new(Lookup { pepper: self.pepper.clone(), inner: Arc::new(inner) })))
    }
}

impl std::fmt::Debug for LookupPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&HeaderName> = self.headers.keys().collect();
        f.debug_struct("LookupPlan").field("url", &self.url).field("headers", &names).field("times", &self.times).finish_non_exhaustive()
    }
}

/// At most `capacity` answers, each for `seconds` at most. Whether one may still be used is decided by the request's `now`; this
/// only sees to it that none outlives its use in memory.
fn held<V: Clone + Send + Sync + 'static>(capacity: usize, seconds: u32) -> Cache<Box<str>, V> {
    Cache::builder().max_capacity(capacity as u64).time_to_live(Seconds(seconds).duration()).build()
}

struct Lookup {
    pepper: Pepper,
    inner: Arc<Inner>,
}

struct Inner {
    name: Arc<str>,
    url: Template,
    headers: HeaderMap,
    times: Times,
    client: Arc<Client>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    known: Cache<Box<str>, Known>,
    /// Ids that nobody has, and when that was said. Apart from the known, so that invented ids push no real one out.
    nobody: Cache<Box<str>, Timestamp>,
    flights: SingleFlight<Result<Option<Arc<ServerKey>>, Outage>>,
    /// When the service last failed to answer.
    failed: AtomicI64,
    generation: AtomicU64,
}

#[derive(Clone)]
struct Known {
    record: Arc<ServerKey>,
    asked: Timestamp,
}

/// Why the service gave no usable answer. Said to the operator.
#[derive(Debug, thiserror::Error)]
enum LookupFault {
    #[error(transparent)]
    Fetch(#[from] FetchFault),
    #[error("the answer has status {0}")]
    Status(u16),
    #[error("the answer is no record: {0}")]
    Record(String),
    #[error("the answer is about another id")]
    OtherId,
}

impl Inner {
    /// The record of `id` at `now`, when what is remembered says so.
    fn recall(&self, id: &str, now: Timestamp) -> Option<Option<Arc<ServerKey>>> {
        if let Some(known) = self.known.get(id)
            && now.is_within(self.times.ttl, known.asked)
        {
            return Some(Some(known.record));
        }
        self.nobody.get(id).filter(|asked| now.is_within(self.times.negative_ttl, *asked)).map(|_| None)
    }

    /// The record of `id`, when the service is out and what was known may still be used.
    fn recall_stale(&self, id: &str, now: Timestamp) -> Option<Arc<ServerKey>> {
        let Seconds(ttl) = self.times.ttl;
        let Seconds(stale) = self.times.max_stale;
        self.known.get(id).filter(|known| now.is_within(Seconds(ttl.saturating_add(stale)), known.asked)).map(|known| known.record)
    }

    async fn ask(self: Arc<Self>, id: Box<str>) -> Result<Option<Arc<ServerKey>>, Outage> {
        let outcome = self.fetch(&id).await;
        let now = self.clock.now();
        self.observer.note(Event::KeyFetch {
            store: &self.name,
            ok: outcome.is_ok(),
            keys: usize::try_from(self.known.entry_count()).unwrap_or(usize::MAX),
            fetched: Some(now),
        });
        match outcome {
            Ok(Some(record)) => {
                let record = Arc::new(record);
                if self.known.get(&*id).is_some_and(|known| !same(&known.record, &record)) {
                    self.generation.fetch_add(1, Ordering::SeqCst);
                }
                self.nobody.remove(&*id);
                self.known.insert(id, Known { record: Arc::clone(&record), asked: now });
                Ok(Some(record))
            }
            Ok(None) => {
                if self.known.remove(&*id).is_some() {
                    self.generation.fetch_add(1, Ordering::SeqCst);
                }
                self.nobody.insert(id, now);
                Ok(None)
            }
            Err(fault) => {
                tracing::warn!(store = %self.name, %fault, "server key was not looked up");
                self.failed.store(now.0, Ordering::SeqCst);
                Err(Outage::Keys)
            }
        }
    }

    async fn fetch(&self, id: &str) -> Result<Option<ServerKey>, LookupFault> {
        let Some(url) = self.url.fill(id) else { return Ok(None) };
        let exchange = Exchange { headers: self.headers.clone(), ..Exchange::get(url, self.times.deadline, MAX_ANSWER) };
        let reply = self.client.fetch(exchange).await?;
        match reply.status {
            200 => {
                let record = parse_record(&reply.body).map_err(LookupFault::Record)?;
                if *record.id == *id { Ok(Some(record)) } else { Err(LookupFault::OtherId) }
            }
            404 => Ok(None),
            status => Err(LookupFault::Status(status)),
        }
    }
}

#[async_trait]
impl Desk for Lookup {
    async fn answer(&self, about: &str, now: Timestamp) -> Result<Answer, Outage> {
        let inner = &self.inner;
        let found = if !is_id(about) {
            Ok(None)
        } else if let Some(recalled) = inner.recall(about, now) {
            Ok(recalled)
        } else if now.is_within(PAUSE, Timestamp(inner.failed.load(Ordering::SeqCst))) {
            Err(Outage::Keys)
        } else {
            let flight = inner.flights.join(about, || Arc::clone(inner).ask(about.into())).await;
            flight.unwrap_or(Err(Outage::Keys))
        };
        let record = match found {
            Ok(record) => record,
            Err(outage) => Some(inner.recall_stale(about, now).ok_or(outage)?),
        };
        Ok(Arc::new(record))
    }
}

impl ServerKeys for Lookup {
    fn find(&self, id: &str, now: Timestamp) -> ServerKeySearch {
        match self.inner.recall(id, now) {
            Some(Some(record)) => ServerKeySearch::Known(record),
            Some(None) => ServerKeySearch::Unknown,
            None if is_id(id) => ServerKeySearch::Ask,
            None => ServerKeySearch::Unknown,
        }
    }

    fn digest(&self, id: &str, secret: &[u8]) -> [u8; 32] {
        self.pepper.digest(id, secret)
    }

    fn generation(&self) -> u64 {
        self.inner.generation.load(Ordering::SeqCst)
    }

    fn desk(self: Arc<Self>) -> Arc<dyn Desk> {
        self
    }
}

fn same(one: &ServerKey, other: &ServerKey) -> bool {
    one.digests == other.digests
        && (one.not_before, one.expires, one.disabled) == (other.not_before, other.expires, other.disabled)
        && one.scopes == other.scopes
        && one.hosts == other.hosts
}

#[cfg(test)]
mod tests;
