//! The one place where Pingora's phases meet the gate.
//!
//! A request is judged in `request_filter`, before anything of it goes anywhere. A refusal is answered there and then; an
//! Admission is carried along and is the only thing that later phases obey. There is one implementation of Pingora's
//! trait and nothing is delegated, so that a phase added by a new version is seen here or does nothing.
//!
//! Never here: a decision about a caller; a retry after bytes went to the client; the client's words in a log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, EXPECT};
use http::{HeaderMap, Method};
use pingora::connectors::TransportConnector;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy};
use pingora::{Error, ErrorSource, ErrorType};

use crate::domain::{Clock, Random, Refusal, Seconds, Stopwatch};
use crate::edge::answering::{self, refused};
use crate::edge::body::{Means, NoBody, SessionBody, say_continue};
use crate::edge::forward;
use crate::edge::gather;
use crate::edge::guard_stream::GuardStream;
use crate::edge::held;
use crate::edge::in_force::InForce;
use crate::edge::replay;
use crate::edge::trip::{Asked, Trip};
use crate::edge::unpanicked::unpanicked;
use crate::edge::upstream::handshake::{Handshake, HandshakeConnect};
use crate::edge::upstream::{Place, Upstream, Upstreams};
use crate::edge::view;
use crate::edge::wire::Wire;
use crate::gate::arrival::Arrival;
use crate::gate::contract::Judge;
use crate::gate::verdict::{Admission, Outcome, Record, Verdict};
use crate::telemetry::report::{Ending, Happening, Reporter, UpstreamResult};

/// What a reload replaces as a whole: an Admission counts upstreams in the order of its own conf.
pub struct Serving {
    /// Who judges.
    pub judge: Arc<dyn Judge>,
    /// Where admitted requests go.
    pub upstreams: Arc<Upstreams>,
}

/// What the edge measures and reports with.
#[derive(Clone)]
pub struct Instruments {
    /// Hears of every request and of what happens around them.
    pub reporter: Arc<dyn Reporter>,
    /// When identities end.
    pub clock: Arc<dyn Clock>,
    /// How long things took.
    pub stopwatch: Arc<dyn Stopwatch>,
    /// Ids of requests that are refused before the gate could name them.
    pub random: Arc<dyn Random>,
}

/// Bounds on a request and its connection, as far as they concern the proxy.
#[derive(Debug, Clone, Copy)]
pub struct RequestLimits {
    /// Fields of a head; over HTTP/2 the guard does not see them.
    pub fields: usize,
    /// Bytes of a body that is forwarded; `None` without bound.
    pub body_bytes: Option<u64>,
    /// Silence while a body is read, and what a judged body may take in all.
    pub body_timeout: Duration,
    /// Silence while a response is written to a slow client.
    pub write_timeout: Duration,
    /// Silence on an upgraded connection.
    pub upgraded_idle: Duration,
}

/// What all requests share.
pub struct Shared {
    in_force: ArcSwap<InForce>,
    pub(super) instruments: Instruments,
    /// Makes and keeps the connections over which held replies come.
    held: Arc<TransportConnector>,
    draining: AtomicBool,
}

impl Shared {
    pub(super) fn new(in_force: InForce, instruments: Instruments, held: Arc<TransportConnector>) -> Self {
        Self { in_force: ArcSwap::from_pointee(in_force), instruments, held, draining: AtomicBool::new(false) }
    }

    /// To keep for the length of a request.
    pub(super) fn snapshot(&self) -> Arc<InForce> {
        self.in_force.load_full()
    }

    /// For a look; cheaper than a snapshot, and not to be kept.
    pub(super) fn in_force(&self) -> arc_swap::Guard<Arc<InForce>> {
        self.in_force.load()
    }

    pub(super) fn replace(&self, next: InForce) {
        self.in_force.store(Arc::new(next));
    }

    /// From now on no connection is used again after its answer.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}

/// The one implementation of Pingora's phases.
pub struct Proxy(pub(super) Arc<Shared>);

/// Below this many bytes a second on average, over an announced body, a client is too slow to be waited for.
const SLOWEST_BODY: u64 = 64;
/// What is given when an upstream has its fill.
const COME_AGAIN: Seconds = Seconds(1);

impl Proxy {
    /// Judges, whatever happens: a judge that panics has refused.
    async fn judge(&self, session: &mut Session, trip: &mut Trip, wire: &Wire, expects_continue: &mut bool) -> Verdict {
        let serving = Arc::clone(&trip.serving);
        let upstreams = &serving.upstreams;
        let verdict = if session.is_body_empty() {
            let arrival = view::arrival(session.req_header(), &wire.connection);
            let mut means = Means { body: NoBody, upstreams, place: &mut trip.place };
            unpanicked(serving.judge.judge(&arrival, &mut means)).await
        } else {
            self.judge_with_body(session, &serving, &mut trip.place, wire, expects_continue).await
        };
        verdict.unwrap_or_else(|| {
            self.0.instruments.reporter.happened(Happening::Panicked);
            Verdict { outcome: Outcome::Refuse(Box::new(refused(Refusal::Internal))), record: Record::default(), hand_back: Vec::new() }
        })
    }

    /// The judge looks at the head while it may have the body read, which takes the session as a whole. So the head is
    /// taken out for that long; nothing that reads a body looks at it, since its framing has been set up by now.
    async fn judge_with_body(
        &self,
        session: &mut Session,
        serving: &InForce,
        place: &mut Option<Place>,
        wire: &Wire,
        expects_continue: &mut bool,
    ) -> Option<Verdict> {
        let placeholder = RequestHeader::build("POST", b"/", Some(0)).ok()?;
        let request = std::mem::replace(session.req_header_mut(), placeholder);
        let arrival: Arrival<'_> = view::arrival(&request, &wire.connection);
        let announced = announced_length(&request);
        let patience = serving.bounds.request.body_timeout;
        let body = SessionBody { session, announced, expects_continue: *expects_continue, patience };
        let mut means = Means { body, upstreams: &serving.upstreams, place };
        let verdict = unpanicked(serving.judge.judge(&arrival, &mut means)).await;
        *expects_continue = means.body.expects_continue;
        *session.req_header_mut() = request;
        verdict
    }

    /// What the edge itself does not let through to the judge, because no rule could make it right.
    fn refuse_at_the_door(limits: &RequestLimits, session: &Session) -> Option<Refusal> {
        let request = session.req_header();
        if matches!(request.method.as_str(), "TRACE" | "TRACK" | "CONNECT") {
            return Some(Refusal::MethodRefused { allow: "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS".into() });
        }
        if limits.fields < request.headers.len() {
            return Some(Refusal::HeaderTooLarge);
        }
        let too_large = |most: u64| announced_length(request).is_some_and(|announced| most < announced);
        limits.body_bytes.is_some_and(too_large).then_some(Refusal::BodyTooLarge)
    }

    async fn admit(
        &self,
        session: &mut Session,
        trip: &mut Trip,
        admission: Box<Admission>,
        expects_continue: bool,
    ) -> Result<(), Refusal> {
        let upstream: &Arc<Upstream> = trip.serving.upstreams.get(admission.upstream).ok_or(Refusal::Internal)?;
        if trip.place.is_none() {
            trip.place = Some(upstream.enter().ok_or(Refusal::Undecidable { retry_after: COME_AGAIN })?);
        }
        trip.upstream = Some(upstream.clone());
        trip.admission = Some(admission);
        trip.ending = Ending::Admitted;
        // A body that does not say where it ends may go on for as long as an answer that does not.
        if !session.is_body_empty() && announced_length(session.req_header()).is_none() {
            trip.hold();
        }
        if expects_continue {
            say_continue(session).await.map_err(|_gone| Refusal::HeadMalformed)?;
        }
        Ok(())
    }
}

/// `Content-Length`, which the guard (over HTTP/2: Pingora) has checked.
fn announced_length(request: &RequestHeader) -> Option<u64> {
    request.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The wire beneath a session. Without one there is nothing known of the client, and the request is refused.
fn wire_of(session: &Session) -> Option<Arc<Wire>> {
    if session.as_http2().is_some() {
        return session.req_header().extensions.get::<Arc<Wire>>().cloned();
    }
    guard_of(session).map(|guard| guard.wire().clone())
}

fn guard_of(session: &Session) -> Option<&GuardStream> {
    (**session.stream()?).as_any().downcast_ref::<GuardStream>()
}

/// Whether the client asks for a WebSocket; other protocols are not switched to.
fn websocket_is_asked_for(session: &Session) -> bool {
    guard_of(session).is_some_and(|guard| guard.head().websocket)
}

/// A handshake has a connection of its own, over HTTP/1.1, that may be silent for long.
fn prepare_handshake(peer: &mut HttpPeer, idle: Duration) -> Arc<Handshake> {
    let handshake = Arc::new(Handshake::default());
    let patience = peer.options.connection_timeout.unwrap_or(idle);
    peer.options.custom_l4 = Some(Arc::new(HandshakeConnect { handshake: handshake.clone(), patience }));
    peer.options.read_timeout = Some(idle);
    peer.options.set_http_version(1, 1);
    // Apart from every pooled connection: upstreams are counted from zero.
    peer.group_key = !peer.group_key;
    handshake
}

/// Whether the client waits for `100 Continue`; an expectation we do not know is an error.
fn expects_continue(session: &mut Session) -> Result<bool, Refusal> {
    if let Some(guard) = guard_of(session) {
        return Ok(guard.head().expects_continue);
    }
    let known = match session.req_header().headers.get(EXPECT) {
        None => return Ok(false),
        Some(value) => value.as_bytes().eq_ignore_ascii_case(b"100-continue"),
    };
    if known { Ok(!session.is_body_empty()) } else { Err(Refusal::HeadMalformed) }
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Box<Trip>;

    fn new_ctx(&self) -> Self::CTX {
        Box::new(Trip::new(self.0.clone()))
    }

    /// None: each would cost a request, and nothing here speaks to a client but us.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, trip: &mut Self::CTX) -> pingora::Result<bool> {
        let limits = trip.serving.bounds.request;
        session.set_read_timeout(Some(limits.body_timeout));
        session.set_write_timeout(Some(limits.write_timeout));
        session.set_total_drain_timeout(Some(answering::DRAIN_PATIENCE));

        let request = session.req_header();
        let target = String::from_utf8_lossy(request.raw_path());
        trip.asked = Some(Asked {
            method: request.method.as_str().into(),
            host: view::host_of(request).into(),
            path: view::path_of(&target).into(),
        });
        drop(target);

        let Some(wire) = wire_of(session) else {
            answering::refuse(session, trip, &refused(Refusal::Internal)).await;
            return Ok(true);
        };
        wire.note_seen();
        trip.wire = Some(wire.clone());
        if wire.is_last() || self.0.is_draining() {
            session.set_keepalive(None);
        }
        let expected = expects_continue(session);
        if let Some(refusal) = Self::refuse_at_the_door(&limits, session).or(expected.as_ref().err().cloned()) {
            answering::refuse(session, trip, &refused(refusal)).await;
            return Ok(true);
        }
        let mut expected = expected.unwrap_or(false);

        let Verdict { outcome, record, hand_back } = self.judge(session, trip, &wire, &mut expected).await;
        trip.record = record;
        trip.hand_back = hand_back;
        match outcome {
            Outcome::Refuse(refused) => answering::refuse(session, trip, &refused).await,
            Outcome::Serve(served) => answering::serve(session, trip, served).await,
            Outcome::Admit(admission) => match self.admit(session, trip, admission, expected).await {
                Ok(()) => {
                    forward::forget_spelling(session.req_header_mut());
                    return Ok(false);
                }
                Err(refusal) => answering::refuse(session, trip, &refused(refusal)).await,
            },
        }
        Ok(true)
    }

    async fn upstream_peer(&self, session: &mut Session, trip: &mut Self::CTX) -> pingora::Result<Box<HttpPeer>> {
        let now = self.0.instruments.stopwatch.micros();
        let address = trip.upstream.as_ref().and_then(|upstream| upstream.pick(&trip.tried, now));
        let Some(address) = address else {
            return Err(Error::explain(ErrorType::ConnectNoRoute, "no address").into_up());
        };
        let mut peer = Box::new(address.peer().clone());
        if guard_of(session).is_some_and(|guard| !guard.head().hop_by_hop) {
            // There is nothing to take off; Pingora would look for each such name.
            peer.options.http_upstream_request_policy = HttpUpstreamRequestPolicy::preserve();
        }
        if websocket_is_asked_for(session) {
            trip.handshake = Some(prepare_handshake(&mut peer, trip.serving.bounds.request.upgraded_idle));
        } else if let Some(admission) = &trip.admission {
            // Pingora ends a request without a body at its head over HTTP/2, and would leave ours out.
            if session.is_body_empty() && admission.body.as_ref().is_some_and(|ours| !ours.is_empty()) {
                peer.options.set_http_version(1, 1);
            }
            trip.held = admission.held.as_ref().map(|_system| held::hold(&mut peer, &self.0.held, is_head(session)));
        }
        trip.begin_attempt(address, now);
        Ok(peer)
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        trip: &mut Self::CTX,
    ) -> pingora::Result<()> {
        let (Some(admission), Some(upstream), Some(address)) = (&trip.admission, &trip.upstream, trip.address()) else {
            return Err(Error::explain(ErrorType::InternalError, "nothing is forwarded without an admission"));
        };
        forward::apply(admission, upstream, address, session.req_header().version, request)
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        trip: &mut Self::CTX,
    ) -> pingora::Result<()> {
        if session.was_upgraded() {
            return Ok(());
        }
        // Pingora writes it as a chunk, which ends the body, and then ends the body: what is too much would begin the next request on
        // the connection. HTTP/2 may end with an empty frame.
        if end_of_stream && body.as_ref().is_some_and(Bytes::is_empty) {
            *body = None;
        }
        trip.body_bytes += body.as_ref().map_or(0, |piece| piece.len() as u64);
        let limits = trip.serving.bounds.request;
        if limits.body_bytes.is_some_and(|most| most < trip.body_bytes) {
            trip.given_up = Some(Refusal::BodyTooLarge);
            return Err(Error::explain(ErrorType::InvalidHTTPHeader, "body too large").into_down());
        }
        let seconds = trip.elapsed_micros() / 1_000_000;
        let is_slow = limits.body_timeout.as_secs() < seconds && trip.body_bytes < seconds.saturating_mul(SLOWEST_BODY);
        if is_slow && announced_length(session.req_header()).is_some_and(|announced| trip.body_bytes < announced) {
            return Err(Error::explain(ErrorType::ReadTimedout, "body too slow").into_down());
        }
        if let Some(ours) = trip.admission.as_ref().and_then(|admission| admission.body.as_ref()) {
            // Nothing is not the end, as Pingora has it: the end is no bytes at all.
            *body = if end_of_stream { Some(ours.clone()).filter(|ours| !ours.is_empty()) } else { Some(Bytes::new()) };
        }
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        trip: &mut Self::CTX,
    ) -> pingora::Result<()> {
        let status = response.status;
        if status.is_informational() && status != http::StatusCode::SWITCHING_PROTOCOLS {
            return Ok(());
        }
        // Pingora lets it pass as long as neither side asked for it; the guard would then let everything pass.
        if status == http::StatusCode::SWITCHING_PROTOCOLS && trip.handshake.is_none() {
            return Err(Error::explain(ErrorType::InvalidHTTPHeader, "switch of protocols that nobody asked for").into_up());
        }
        if let Some(handshake) = &trip.handshake {
            let bodiless = matches!(status.as_u16(), 204 | 304) || response.headers.get(CONTENT_LENGTH).is_some_and(|length| length == "0");
            match status {
                http::StatusCode::SWITCHING_PROTOCOLS => handshake.switch(),
                _ if bodiless => handshake.end(),
                _ => {}
            }
        }
        trip.upstream_status = Some(status.as_u16());
        trip.end_attempt(if status.is_server_error() { UpstreamResult::ServerError } else { UpstreamResult::Answered });
        if held::has_run_out(session, trip, response) {
            replay::renew(session, trip).await?;
        }
        gather::gather(session, response, trip).await?;
        gather::hand_on(session, response, trip)?;
        Ok(())
    }

    fn upstream_response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        trip: &mut Self::CTX,
    ) -> pingora::Result<Option<Duration>> {
        gather::replace(trip, body, end_of_stream);
        if let Some(handshake) = &trip.handshake
            && end_of_stream
            && !session.was_upgraded()
        {
            handshake.end();
        }
        Ok(None)
    }

    async fn response_filter(&self, session: &mut Session, response: &mut ResponseHeader, trip: &mut Self::CTX) -> pingora::Result<()> {
        let Some(admission) = &trip.admission else {
            return Err(Error::explain(ErrorType::InternalError, "nothing is answered without an admission"));
        };
        forward::clean_response(admission, response);
        let switched = response.status == http::StatusCode::SWITCHING_PROTOCOLS;
        if response.status.is_informational() && !switched {
            return Ok(());
        }
        forward::hand_back(&trip.hand_back, response)?;
        trip.status = response.status.as_u16();
        // What follows a handshake that failed was meant for another protocol.
        if self.0.is_draining() || session.is_upgrade_req() {
            session.set_keepalive(None);
        }
        let Some(wire) = &trip.wire else { return Ok(()) };
        if switched {
            session.set_read_timeout(Some(trip.serving.bounds.request.upgraded_idle));
            wire.open();
        }
        // An answer of known length ends by itself.
        if switched || !response.headers.contains_key(CONTENT_LENGTH) {
            if let Some(end) = admission.cut_at {
                wire.cut_at(end);
            }
            trip.hold();
        }
        Ok(())
    }

    fn upstream_response_trailer_filter(
        &self,
        _session: &mut Session,
        trailers: &mut HeaderMap,
        trip: &mut Self::CTX,
    ) -> pingora::Result<()> {
        match &trip.admission {
            Some(admission) => forward::clean_trailers(admission, trailers),
            None => trailers.clear(),
        }
        Ok(())
    }

    fn fail_to_connect(&self, _session: &mut Session, _peer: &HttpPeer, trip: &mut Self::CTX, mut error: Box<Error>) -> Box<Error> {
        let late = matches!(error.etype(), ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout);
        trip.end_attempt(if late { UpstreamResult::TimedOut } else { UpstreamResult::Unreachable });
        // Nothing has been sent: whatever the method, another server may be asked.
        let tries = trip.upstream.as_ref().map_or(0, |upstream| upstream.options().tries);
        error.set_retry(trip.attempts < tries);
        error
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        trip: &mut Self::CTX,
        client_reused: bool,
    ) -> Box<Error> {
        if replay::is_asked_for(&error) {
            error.set_retry(!session.as_ref().retry_buffer_truncated());
            return error;
        }
        let held = trip.held.take();
        let client_reused = client_reused || held.as_ref().is_some_and(|held| held.was_reused());
        if *error.esource() == ErrorSource::Upstream {
            let silent = held.is_some_and(|held| held.was_late());
            if silent {
                trip.given_up = Some(Refusal::UpstreamTimeout);
            }
            let late = silent || matches!(error.etype(), ErrorType::ReadTimedout | ErrorType::WriteTimedout);
            // A pooled connection that the upstream closed while it lay idle says nothing about the server.
            if !client_reused || late {
                trip.end_attempt(if late { UpstreamResult::TimedOut } else { UpstreamResult::Broken });
            }
        }
        let tries = trip.upstream.as_ref().map_or(0, |upstream| upstream.options().tries);
        let repeatable = session.req_header().method.is_idempotent() && !session.as_ref().retry_buffer_truncated();
        if repeatable && trip.attempts < tries {
            error.retry.decide_reuse(client_reused);
        } else {
            error.set_retry(false);
        }
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, trip: &mut Self::CTX) -> FailToProxy {
        let refusal = answering::refusal_of(error, trip);
        if let Some(refusal) = &refusal {
            trip.record.reason.get_or_insert(refusal.reason());
        }
        let begun = session.response_written().is_some_and(|written| !written.status.is_informational());
        session.set_keepalive(None);
        match refusal {
            Some(refusal) if !begun => {
                let late = *error.esource() == ErrorSource::Downstream && *error.etype() == ErrorType::ReadTimedout;
                let told = trip.refused.take().map_or_else(|| refused(refusal), |told| *told);
                answering::give_up(session, trip, &told, late.then_some(408)).await;
            }
            _ => {}
        }
        FailToProxy { error_code: trip.status, can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, _error: Option<&Error>, trip: &mut Self::CTX) {
        if let Some(written) = session.response_written() {
            trip.status = written.status.as_u16();
        }
        trip.report();
    }

    /// Pingora's own line would hold the query and is not needed: every request is reported.
    fn request_summary(&self, session: &Session, _trip: &Self::CTX) -> String {
        session.req_header().method.as_str().to_owned()
    }

    fn suppress_error_log(&self, _session: &Session, _trip: &Self::CTX, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(&self, _session: &Session, _trip: &Self::CTX, _error: &Error, _what: ProxyWarnLogContext) -> bool {
        true
    }
}

/// Whether a method has no body in its answer.
pub(super) fn is_head(session: &Session) -> bool {
    session.req_header().method == Method::HEAD
}
