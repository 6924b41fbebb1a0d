//! A set of keys that somebody else serves, kept at hand.
//!
//! Look-ups read a snapshot. A background task fetches the set before it ages; a request causes a fetch only when there is
//! no usable set or a `kid` is unknown, and then everybody together at most once per window. Only a good answer replaces a
//! set: whatever else comes back, the last good set stays for [`Timing::max_stale`], and then there is none.
//!
//! Never here: a built-in key, a set that is used beyond its bound, a wait without end.

pub mod disk;
pub mod origin;
mod pace;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use bytes::Bytes;
use http::header::{ACCEPT, ETAG, HeaderValue, IF_NONE_MATCH};
use parking_lot::Mutex;
use url::Url;

use crate::domain::{Answer, Clock, Event, Observer, Outage, Random, Seconds, Timestamp};
use crate::jose::jwk::{JwkFault, MAX_SET, Trust, parse_set};
use crate::net::client::{Client, Exchange, FetchFault};
use crate::net::single_flight::{FlightFault, Seat, SingleFlight};
use crate::verify::contract::Desk;
use crate::verify::keys::contract::{KeyHint, KeySearch, KeyTools, SignatureKeys};
use crate::verify::keys::ring::{Candidates, KeyRing};
use crate::verify::keys::store::disk::DiskCopy;
use crate::verify::keys::store::origin::Origin;
use crate::verify::keys::store::pace::{Look, Pace};

/// When a set is fetched and how long it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How old a set is when it is fetched again.
    pub refresh: Seconds,
    /// From this age on a set that could not be fetched again is not used any more.
    pub max_stale: Seconds,
}

/// The largest set that is read, in bytes.
pub const MAX_BYTES: usize = MAX_SET;

/// For one answer, connecting included.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// How long a request waits for a set; after that it is decided by what there is.
const PATIENCE: Duration = Duration::from_secs(1);

/// The longest sleep of the background task: a clock that jumps is noticed by then.
const NAP: Seconds = Seconds(30);

/// The longest `ETag` that is sent back, in bytes.
const MAX_ETAG: usize = 256;

/// Why there is no newer set. Said to the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetFault {
    /// There is no answer.
    #[error(transparent)]
    Fetch(#[from] FetchFault),
    /// The answer is no set; a redirect is not one either.
    #[error("the answer has status {0}")]
    Status(u16),
    /// The answer has no usable key.
    #[error(transparent)]
    Keys(#[from] JwkFault),
    /// Discovery does not lead to a set.
    #[error("discovery: {0}")]
    Discovery(&'static str),
}

/// A store that keeps a remote set fresh.
pub struct RemoteStore {
    inner: Arc<Inner>,
}

struct Inner {
    name: Arc<str>,
    origin: Box<dyn Origin>,
    timing: Timing,
    disk: Option<DiskCopy>,
    client: Arc<Client>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    observer: Arc<dyn Observer>,
    /// Written by a flight only, of which there is one at a time. An `ArcSwap`: every request reads it.
    snapshot: ArcSwapOption<Snapshot>,
    /// A `Mutex`: every call that reaches it may write.
    pace: Mutex<Pace>,
    /// A flight tells whether it brought a good set.
    flights: SingleFlight<bool>,
}

/// A good set.
struct Snapshot {
    ring: KeyRing,
    generation: u64,
    /// When the source last said that this is the set.
    fetched: Timestamp,
    etag: Option<(Url, HeaderValue)>,
    /// The set as it came, for the copy on disk; empty when there is to be none.
    body: Bytes,
}

/// The one flight of a store.
const FLIGHT: &str = "set";

impl RemoteStore {
    /// A store called `name` of the set that `origin` leads to; empty until it is run or asked.
    #[must_use]
    pub fn new(
        name: &Arc<str>,
        origin: Box<dyn Origin>,
        timing: Timing,
        disk: Option<DiskCopy>,
        client: Arc<Client>,
        tools: &KeyTools,
    ) -> Self {
        let inner = Inner {
            name: Arc::clone(name),
            origin,
            timing,
            disk,
            client,
            clock: Arc::clone(&tools.clock),
            random: Arc::clone(&tools.random),
            observer: Arc::clone(&tools.observer),
            snapshot: ArcSwapOption::empty(),
            pace: Mutex::default(),
            flights: SingleFlight::new(1),
        };
        Self { inner: Arc::new(inner) }
    }
}

impl Inner {
    /// The set in force at `now`.
    fn usable(&self, now: Timestamp) -> Option<Arc<Snapshot>> {
        self.snapshot.load_full().filter(|snapshot| now < snapshot.fetched.plus(self.timing.max_stale))
    }

    fn board(self: &Arc<Self>) -> Result<Seat<bool>, FlightFault> {
        self.flights.board(FLIGHT, || Arc::clone(self).fly())
    }

    /// One attempt to get a newer set. Never fails: what went wrong is noted, and what is in force stays in force.
    /// Tells whether the source confirmed a set.
    async fn fly(self: Arc<Self>) -> bool {
        let now = self.clock.now();
        if self.pace.lock().first_flight() {
            self.load_copy(now).await;
        }
        let outcome = self.fetch(now).await;
        let now = self.clock.now();
        let in_force = self.usable(now);
        self.observer.note(Event::KeyFetch {
            store: &self.name,
            ok: outcome.is_ok(),
            keys: in_force.as_ref().map_or(0, |snapshot| snapshot.ring.len()),
            fetched: self.snapshot.load().as_ref().map(|snapshot| snapshot.fetched),
        });
        match outcome {
            Ok(()) => {
                self.pace.lock().landed_well(now, self.timing.refresh, &*self.random);
                self.save_copy().await;
                true
            }
            Err(fault) => {
                self.origin.forget();
                self.pace.lock().landed_badly(now, &*self.random);
                tracing::warn!(store = %self.name, %fault, in_force = in_force.is_some(), "key set was not fetched");
                false
            }
        }
    }

    async fn fetch(&self, now: Timestamp) -> Result<(), SetFault> {
        let url = self.origin.locate(&self.client, now).await?;
        let known = self.snapshot.load_full();
        let mut exchange = Exchange::get(url.clone(), DEADLINE, MAX_BYTES);
        exchange.headers.insert(ACCEPT, HeaderValue::from_static("application/jwk-set+json, application/json"));
        let tag = known.as_ref().and_then(|snapshot| snapshot.etag.as_ref()).filter(|(from, _)| *from == url);
        if let Some((_, tag)) = tag {
            exchange.headers.insert(IF_NONE_MATCH, tag.clone());
        }
        let conditional = tag.is_some();
        let reply = self.client.fetch(exchange).await?;
        match (reply.status, known) {
            (304, Some(known)) if conditional => {
                let Snapshot { generation, etag, body, .. } = &*known;
                let ring = known.ring.clone();
                self.replace(Snapshot { ring, generation: *generation, fetched: now, etag: etag.clone(), body: body.clone() });
                Ok(())
            }
            (200, known) => {
                let tag = reply.headers.get(ETAG).filter(|tag| tag.len() <= MAX_ETAG);
                self.install(reply.body, now, tag.map(|tag| (url, tag.clone())), known.as_deref())
            }
            (status, _) => Err(SetFault::Status(status)),
        }
    }

    /// Puts the set that `body` holds into force, or leaves everything as it is.
    fn install(&self, body: Bytes, fetched: Timestamp, etag: Option<(Url, HeaderValue)>, known: Option<&Snapshot>) -> Result<(), SetFault> {
        let parsed = parse_set(&body, Trust::Remote)?;
        for why in parsed.skipped {
            self.observer.note(Event::KeySkipped { store: &self.name, why });
        }
        let ring = KeyRing::new(parsed.keys);
        let generation = ring.generation(known.map(|known| (&known.ring, known.generation)));
        let body = if self.disk.is_some() { body } else { Bytes::new() };
        self.replace(Snapshot { ring, generation, fetched, etag, body });
        Ok(())
    }

    fn replace(&self, snapshot: Snapshot) {
        self.snapshot.store(Some(Arc::new(snapshot)));
    }

    /// Starts from the copy on disk, when there is one that is not too old.
    async fn load_copy(&self, now: Timestamp) {
        let (Some(disk), None) = (&self.disk, self.snapshot.load_full()) else { return };
        let Some((body, fetched)) = disk.load(now, self.timing.max_stale).await else { return };
        match self.install(body, fetched, None, None) {
            Ok(()) => tracing::info!(store = %self.name, %fetched, "key set was taken from its copy on disk"),
            Err(fault) => tracing::warn!(store = %self.name, %fault, "copy of the key set on disk was not usable"),
        }
    }

    async fn save_copy(&self) {
        let (Some(disk), Some(snapshot)) = (&self.disk, self.snapshot.load_full()) else { return };
        if let Err(error) = disk.save(&snapshot.body, snapshot.fetched).await {
            tracing::warn!(store = %self.name, %error, "copy of the key set was not written");
        }
    }

    /// Waits for a set that knows `kid`, as long as a request may.
    async fn look_again(self: &Arc<Self>, kid: &str, now: Timestamp) {
        let seat = {
            let mut pace = self.pace.lock();
            match pace.may_look(kid, self.flights.is_flying(FLIGHT), now) {
                Look::No => return,
                // Boarded under the lock: whoever comes next finds the flight on its way and takes a seat.
                Look::Join | Look::Start => self.board(),
            }
        };
        let Ok(seat) = seat else { return };
        let confirmed = matches!(tokio::time::timeout(PATIENCE, seat.landed()).await, Ok(Ok(true)));
        // Only a set that was just confirmed can say that a name is unknown.
        if confirmed && !self.snapshot.load().as_ref().is_some_and(|known| known.ring.names(kid)) {
            self.pace.lock().remember_dead(kid, now);
        }
    }

    /// Waits for a first set, or one in place of an outlived one, as long as a request may.
    async fn await_set(self: &Arc<Self>, now: Timestamp) {
        let seat = {
            let pace = self.pace.lock();
            if !self.flights.is_flying(FLIGHT) && !pace.is_due(now) {
                return;
            }
            self.board()
        };
        if let Ok(seat) = seat {
            let _ = tokio::time::timeout(PATIENCE, seat.landed()).await;
        }
    }
}

#[async_trait]
impl Desk for RemoteStore {
    async fn answer(&self, about: &str, now: Timestamp) -> Result<Answer, Outage> {
        if self.inner.usable(now).is_some() {
            self.inner.look_again(about, now).await;
        } else {
            self.inner.await_set(now).await;
            // By the time of the request, as everything else about it; a set that came meanwhile is younger.
            self.inner.usable(now).ok_or(Outage::Keys)?;
        }
        // The snapshot is the answer; this says that it is worth another look.
        Ok(Arc::new(()))
    }
}

#[async_trait]
impl SignatureKeys for RemoteStore {
    fn find(&self, hint: &KeyHint<'_>, now: Timestamp) -> KeySearch {
        let about = || Arc::from(hint.kid.unwrap_or_default());
        match self.inner.usable(now) {
            None => KeySearch::Unavailable(about()),
            Some(snapshot) => match snapshot.ring.candidates(hint.kid, hint.algorithm) {
                Candidates::Keys(keys) => KeySearch::Keys(keys),
                Candidates::Unfit => KeySearch::Never,
                Candidates::None => KeySearch::Unknown(about()),
            },
        }
    }

    fn generation(&self) -> u64 {
        self.inner.snapshot.load().as_ref().map_or(0, |snapshot| snapshot.generation)
    }

    fn ready(&self, now: Timestamp) -> bool {
        self.inner.usable(now).is_some()
    }

    fn second_look(&self, hint: &KeyHint<'_>) -> Option<Arc<str>> {
        // A key that has a name is replaced under a new one; only a nameless one changes unseen.
        hint.kid.is_none().then(|| Arc::from(""))
    }

    async fn run(&self) {
        let inner = &self.inner;
        loop {
            let wait = inner.pace.lock().due_in(inner.clock.now(), inner.timing.refresh);
            if wait == Seconds(0)
                && let Ok(seat) = inner.board()
            {
                // A flight that broke off has not moved the pace; the sleep below keeps this from spinning.
                let _ = seat.landed().await;
            }
            tokio::time::sleep(wait.clamp(Seconds(1), NAP).duration()).await;
        }
    }

    fn desk(self: Arc<Self>) -> Arc<dyn Desk> {
        self
    }
}

#[cfg(test)]
mod tests;
