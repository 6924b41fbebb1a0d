//! One client connection from its first byte to its last.
//!
//! Over HTTP/1 the keep-alive loop is ours: each turn is begun by the guard and then given to Pingora. Over HTTP/2 each
//! stream is a task of its own, so that it can be cut by itself. What a connection may not do is decided elsewhere; what
//! happens to it when it does, here.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use http::HeaderMap;
use pingora::apps::HttpServerApp;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{self, H2Accept, HttpSession};
use pingora::protocols::{Digest, Stream};
use pingora::proxy::HttpProxy;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::edge::guard_stream::{GuardStream, HeadRules, Patience, Turn};
use crate::edge::head::{self, Head, HeadFault, HeadLimits};
use crate::edge::patient::{Patient, WritePatience};
use crate::edge::proxy::{Instruments, Proxy, Shared};
use crate::edge::socket::{Carrier, ClientSocket};
use crate::edge::tls::{Agreed, Handshaker};
use crate::edge::wire::{Connection, Wire};
use crate::gate::hygiene;
use crate::gate::verdict::Record;
use crate::telemetry::report::{Ending, Happening, Visit};

/// What every connection needs; one for each set of connections that is served by itself.
pub(super) struct Hall {
    pub(super) proxy: Arc<HttpProxy<Proxy>>,
    pub(super) shared: Arc<Shared>,
    /// Where its connections are served.
    pub(super) worker: Handle,
    /// How many connections are in it.
    pub(super) open: AtomicUsize,
}

impl Hall {
    /// The bounds in force for connections, and how long a client may take no byte of an answer.
    fn limits(&self) -> (ConnectionLimits, Duration) {
        let now = self.shared.in_force();
        (now.bounds.connection, now.bounds.request.write_timeout)
    }
}

impl HeadRules for Hall {
    fn patience(&self) -> Patience {
        let ConnectionLimits { head, head_timeout, .. } = self.shared.in_force().bounds.connection;
        Patience { limits: head, head: head_timeout }
    }

    fn read(&self, head: &[u8]) -> Result<Head, HeadFault> {
        head::read(head, &self.shared.in_force().bounds.protected)
    }
}

/// Bounds on a client connection.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// How large a head may be.
    pub head: HeadLimits,
    /// Within this a head must be complete, a TLS handshake as well.
    pub head_timeout: Duration,
    /// How long a connection may idle between requests.
    pub keepalive_idle: Duration,
    /// Requests per connection; `None` without bound.
    pub keepalive_requests: Option<u32>,
}

/// What is thrown away at most of what a refused client still sends, and for how long.
const LINGER_MOST: usize = 256 * 1024;
const LINGER_PATIENCE: Duration = Duration::from_secs(2);
/// Malformed streams of one HTTP/2 connection, as Pingora's own loop counts them.
const MALFORMED_STREAMS: usize = 32;
/// Streams of one HTTP/2 connection at once; windows of one stream and of all.
const STREAMS: u32 = 100;
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Serves one connection until it ends.
pub(super) async fn serve(
    hall: Arc<Hall>,
    socket: TcpStream,
    peer: std::net::SocketAddr,
    handshaker: Option<Handshaker>,
    http2: bool,
    shutdown: watch::Receiver<bool>,
) {
    let (limits, write_timeout) = hall.limits();
    // Small answers leave at once; without it they might wait for the client's acknowledgement.
    let _ = socket.set_nodelay(true);
    let patience = WritePatience::new(write_timeout);
    let socket = Patient::new(socket, patience.clone());
    let (carrier, connection, preface): (Box<dyn Carrier>, _, _) = match handshaker {
        None => (Box::new(socket), Connection { peer, tls: false, server_name: None, http2: false }, http2),
        Some(handshaker) => match handshaker.shake(socket, limits.head_timeout).await {
            None => {
                hall.shared.instruments.reporter.happened(Happening::ConnectionRefused { why: "handshake" });
                return;
            }
            Some(Agreed { stream, server_name, http2 }) => (Box::new(stream), Connection { peer, tls: true, server_name, http2 }, false),
        },
    };
    let http2 = connection.http2;
    let wire = Wire::new(Arc::new(connection));
    let socket = ClientSocket::new(carrier);
    let mut guard = Box::new(GuardStream::new(socket.clone(), wire));
    if http2 {
        guard.pass_everything();
        serve_http2(&hall, guard, shutdown).await;
    } else {
        serve_http1(&hall, guard, (&socket, &patience), preface, shutdown).await;
    }
    socket.close(LINGER_MOST, LINGER_PATIENCE).await;
}

async fn serve_http1(
    hall: &Arc<Hall>,
    mut guard: Box<GuardStream>,
    (socket, patience): (&ClientSocket, &WritePatience),
    mut preface: bool,
    mut shutdown: watch::Receiver<bool>,
) {
    let wire = guard.wire().clone();
    // The first request is owed at once; what is idle has been served before.
    let mut idle = hall.patience().head;
    let mut turns = 0_u32;
    loop {
        let turn = tokio::select! {
            biased;
            turn = guard.next_head(idle, hall.as_ref(), preface) => turn,
            () = drained(&mut shutdown) => Turn::Over,
        };
        if !matches!(turn, Turn::Over) {
            wait_for_turn(hall).await;
        }
        match turn {
            Turn::Request => {}
            Turn::Over => return,
            Turn::Refused(fault) => {
                let request_id = note_refused(hall, &wire.connection, fault);
                guard.answer_and_finish(&bare_answer(fault, &request_id), hall.patience().head).await;
                return;
            }
            Turn::Preface => return serve_http2(hall, guard, shutdown).await,
        }
        preface = false;
        let (limits, write_timeout) = hall.limits();
        idle = limits.keepalive_idle;
        patience.set(write_timeout);
        turns = turns.saturating_add(1);
        if limits.keepalive_requests.is_some_and(|most| most <= turns) {
            wire.make_last();
        }
        let session = ServerSession::new_http1(guard);
        let served = tokio::select! {
            served = socket.turn(hall.proxy.process_new_http(session, &shutdown)) => served,
            () = wire.ended(hall.shared.instruments.clock.as_ref()) => None,
        };
        if !wire.take_seen() {
            note_refused(hall, &wire.connection, HeadFault::malformed("unseen"));
        }
        wire.forget_end();
        let Some(stream) = served.map(|served| served.consume().0) else { return };
        match stream.into_any().downcast::<GuardStream>() {
            Ok(same) => guard = same,
            Err(_other) => return,
        }
    }
}

async fn serve_http2(hall: &Arc<Hall>, guard: Box<GuardStream>, mut shutdown: watch::Receiver<bool>) {
    let connection = guard.wire().connection.clone();
    // Prior knowledge in plaintext: the connection was opened before it was known to be HTTP/2.
    let connection = Arc::new(Connection { http2: true, server_name: connection.server_name.clone(), ..*connection });
    let (limits, _) = hall.limits();
    let mut options = server::default_h2_options();
    options
        .max_header_list_size(u32::try_from(limits.head.bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let stream: Stream = guard;
    let handshake = server::handshake(stream, Some(options));
    let Ok(Ok(mut accepted)) = tokio::time::timeout(limits.head_timeout, handshake).await else { return };

    let digest = Arc::new(Digest::default());
    let mut streams = JoinSet::new();
    let mut malformed = 0_usize;
    let mut draining = false;
    loop {
        let next = tokio::select! {
            biased;
            () = drained(&mut shutdown), if !draining => {
                // Tells the client to open no more streams; those under way are finished.
                accepted.graceful_shutdown();
                draining = true;
                continue;
            }
            Some(ended) = streams.join_next(), if !streams.is_empty() => {
                note_panic(&hall.shared, ended);
                continue;
            }
            next = HttpSession::from_h2_conn(&mut accepted, digest.clone()) => next,
            () = tokio::time::sleep(hall.limits().0.keepalive_idle), if streams.is_empty() => return,
        };
        if matches!(next, Ok(Some(_))) {
            // Here and not in the stream's task: a client could open and reset any number of streams that wait.
            wait_for_turn(hall).await;
        }
        match next {
            Ok(Some(H2Accept::Session(session))) => {
                streams.spawn(serve_stream(hall.clone(), session, connection.clone(), shutdown.clone()));
            }
            Ok(Some(H2Accept::Rejected)) => {
                note_refused(hall, &connection, HeadFault::malformed("http2_stream"));
                malformed += 1;
                if MALFORMED_STREAMS <= malformed {
                    return;
                }
            }
            // The client has gone; nobody waits for what is still under way.
            Ok(None) | Err(_) => return,
        }
    }
}

async fn serve_stream(hall: Arc<Hall>, mut session: HttpSession, connection: Arc<Connection>, shutdown: watch::Receiver<bool>) {
    let wire = Wire::new(connection);
    session.req_header_mut().extensions_mut().insert(wire.clone());
    let session = ServerSession::new_http2(session);
    tokio::select! {
        _ = hall.proxy.process_new_http(session, &shutdown) => {}
        () = wire.ended(hall.shared.instruments.clock.as_ref()) => {}
    }
    if !wire.take_seen() {
        note_refused(&hall, &wire.connection, HeadFault::malformed("unseen"));
    }
}

/// Waits until a request may begin, where the operator wants none without its record.
async fn wait_for_turn(hall: &Hall) {
    if let Some(turn) = hall.shared.instruments.reporter.turn() {
        turn.await;
    }
}

/// Counts and records a request that was refused before our side of Pingora saw it: by the guard, or (`unseen`) by a rule
/// of Pingora's own, which shows nobody that it did. Returns the id it is recorded under, which is always a new one: what
/// the head said of itself is not believed.
fn note_refused(hall: &Hall, connection: &Connection, fault: HeadFault) -> Arc<str> {
    let Instruments { reporter, clock, random, .. } = &hall.shared.instruments;
    let request_id = hygiene::request_id(&HeaderMap::new(), random.as_ref());
    reporter.happened(Happening::HeadRefused { why: fault.why });
    let record =
        Record { request_id: Arc::clone(&request_id), reason: Some(fault.reason), client: Some(connection.peer.ip()), ..Record::default() };
    reporter.visited(&Visit {
        record: &record,
        ending: Ending::Refused,
        arrived_millis: clock.millis(),
        status: fault.status,
        upstream_status: None,
        renewed: false,
        duration_micros: 0,
        upstream_micros: None,
        method: "",
        host: "",
        path: "",
    });
    request_id
}

/// Counts a task that panicked: the panic cost it, and nothing else.
pub(super) fn note_panic(shared: &Shared, ended: Result<(), tokio::task::JoinError>) {
    if ended.is_err_and(|error| error.is_panic()) {
        shared.instruments.reporter.happened(Happening::Panicked);
    }
}

/// Resolves once the process drains.
pub(super) async fn drained(shutdown: &mut watch::Receiver<bool>) {
    // An error means that nobody is left who could say so, which is as good as having said it.
    let _ = shutdown.wait_for(|draining| *draining).await;
}

/// The answer to a head that nothing could be read from: no dialect, nothing of the client's.
fn bare_answer(fault: HeadFault, request_id: &str) -> Vec<u8> {
    let HeadFault { status, reason, .. } = fault;
    let phrase = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("");
    let body = format!(
        r#"{{"type":"urn:countersign:problem:request_refused","title":"The request cannot be accepted","status":{status},"reason":"request_refused","request_id":"{request_id}"}}"#
    );
    let allow = if reason == crate::domain::Reason::MethodRefused { "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n" } else { "" };
    format!(
        "HTTP/1.1 {status} {phrase}\r\nContent-Type: application/problem+json\r\nContent-Length: {}\r\nCache-Control: no-store\r\nX-Request-Id: {request_id}\r\n{allow}Connection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
