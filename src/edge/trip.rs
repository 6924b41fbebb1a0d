//! One request on its way through the edge, from its head to its record.
//!
//! Pingora carries it from phase to phase. Whatever happens, it is reported exactly once: by the last phase, or, where
//! that is never reached (the connection was cut, a phase panicked, the client vanished), when it is dropped.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use crate::domain::{Reason, Refusal};
use crate::edge::held::HeldReply;
use crate::edge::in_force::InForce;
use crate::edge::proxy::Shared;
use crate::edge::upstream::handshake::Handshake;
use crate::edge::upstream::{Address, Place, Upstream};
use crate::edge::wire::Wire;
use crate::gate::verdict::{Admission, Record, Refused};
use crate::telemetry::report::{Ending, Happening, UpstreamResult, Visit};

/// One request on its way.
pub struct Trip {
    pub(super) shared: Arc<Shared>,
    /// The gate, the upstreams and the bounds as they were when it arrived.
    pub(super) serving: Arc<InForce>,
    pub(super) wire: Option<Arc<Wire>>,
    started_micros: u64,
    arrived_millis: i64,
    /// Method, host and path, for a report that has no session to look at.
    pub(super) asked: Option<Asked>,
    pub(super) record: Record,
    pub(super) ending: Ending,
    pub(super) admission: Option<Box<Admission>>,
    /// The status the client was sent.
    pub(super) status: u16,
    pub(super) upstream_status: Option<u16>,
    pub(super) upstream_micros: Option<u32>,
    pub(super) upstream: Option<Arc<Upstream>>,
    pub(super) place: Option<Place>,
    /// The WebSocket handshake under way.
    pub(super) handshake: Option<Arc<Handshake>>,
    /// The reply that is held in this attempt.
    pub(super) held: Option<Arc<HeldReply>>,
    pub(super) attempts: usize,
    pub(super) tried: Vec<SocketAddr>,
    attempt: Option<Attempt>,
    /// Why forwarding was given up, where Pingora's error does not say it.
    pub(super) given_up: Option<Refusal>,
    /// What the client is told of it, where its rule has a part in that.
    pub(super) refused: Option<Box<Refused>>,
    /// Bytes of the body seen in this attempt.
    pub(super) body_bytes: u64,
    /// Fields that hand a fresh pair to the client.
    pub(super) hand_back: Vec<(HeaderName, HeaderValue)>,
    /// What the client sees in place of the reply's body, until it was given on.
    pub(super) rest: Option<Bytes>,
    /// Whether its one more try after a credential had run out has been used.
    pub(super) replayed: bool,
    reported: bool,
}

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    pub(super) method: Box<str>,
    pub(super) host: Box<str>,
    pub(super) path: Box<str>,
}

struct Attempt {
    address: Arc<Address>,
    started_micros: u64,
}

impl Trip {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            serving: shared.snapshot(),
            wire: None,
            started_micros: shared.instruments.stopwatch.micros(),
            arrived_millis: shared.instruments.clock.millis(),
            asked: None,
            record: Record::default(),
            ending: Ending::Refused,
            admission: None,
            status: 0,
            upstream_status: None,
            upstream_micros: None,
            upstream: None,
            place: None,
            handshake: None,
            held: None,
            attempts: 0,
            tried: Vec::new(),
            attempt: None,
            given_up: None,
            refused: None,
            body_bytes: 0,
            hand_back: Vec::new(),
            rest: None,
            replayed: false,
            reported: false,
            shared,
        }
    }

    /// What is open in its name is from now on ended when whoever asked for it is no longer good.
    pub(super) fn hold(&self) {
        if let (Some(wire), Some(identity)) = (&self.wire, &self.record.identity) {
            wire.hold(Arc::clone(identity), Arc::clone(&self.serving.judge));
        }
    }

    /// Microseconds since its head was read.
    pub(super) fn elapsed_micros(&self) -> u64 {
        self.shared.instruments.stopwatch.micros().saturating_sub(self.started_micros)
    }

    /// An attempt at `address` begins, at `started_micros`.
    pub(super) fn begin_attempt(&mut self, address: Arc<Address>, started_micros: u64) {
        self.attempts += 1;
        self.body_bytes = 0;
        self.tried.push(address.socket());
        self.attempt = Some(Attempt { address, started_micros });
    }

    /// The address of the attempt under way.
    pub(super) fn address(&self) -> Option<&Arc<Address>> {
        self.attempt.as_ref().map(|attempt| &attempt.address)
    }

    /// The attempt under way has ended; told once per attempt.
    pub(super) fn end_attempt(&mut self, result: UpstreamResult) {
        let Some(Attempt { address, started_micros }) = self.attempt.take() else { return };
        let now = self.shared.instruments.stopwatch.micros();
        match result {
            UpstreamResult::Answered | UpstreamResult::ServerError => address.wake(),
            UpstreamResult::Unreachable | UpstreamResult::TimedOut | UpstreamResult::Broken => address.rest(now),
        }
        let micros = u32::try_from(now.saturating_sub(started_micros)).unwrap_or(u32::MAX);
        self.upstream_micros = Some(self.upstream_micros.unwrap_or(0).saturating_add(micros));
        if let Some(upstream) = &self.upstream {
            self.shared.instruments.reporter.happened(Happening::UpstreamTried { upstream: &upstream.options().name, result, micros });
        }
    }

    /// Reports it. Only the first call counts.
    pub(super) fn report(&mut self) {
        if std::mem::replace(&mut self.reported, true) {
            return;
        }
        let asked = self.asked.as_ref();
        self.shared.instruments.reporter.visited(&Visit {
            record: &self.record,
            ending: self.ending,
            arrived_millis: self.arrived_millis,
            status: self.status,
            upstream_status: self.upstream_status,
            renewed: self.record.renewed,
            duration_micros: self.elapsed_micros(),
            upstream_micros: self.upstream_micros,
            method: asked.map_or("", |asked| &asked.method),
            host: asked.map_or("", |asked| &asked.host),
            path: asked.map_or("", |asked| &asked.path),
        });
    }
}

impl Drop for Trip {
    fn drop(&mut self) {
        if std::thread::panicking() && !self.reported {
            self.record.reason.get_or_insert(Reason::Internal);
        }
        if self.wire.as_ref().is_some_and(|wire| wire.was_withdrawn()) {
            self.record.reason.get_or_insert(Reason::Revoked);
        }
        self.report();
    }
}
