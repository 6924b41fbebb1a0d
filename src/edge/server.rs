//! The edge as a whole: its listeners, who is let in, and how it comes to an end.
//!
//! It runs on whatever runtime it is started on, connections on the workers it is given, under the caller's word when to
//! drain; it reads no signal and sets no process state, so any number can run in one process, each on a port of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::HeaderName;
use pingora::apps::HttpServerApp;
use pingora::connectors::{ConnectorOptions, TransportConnector};
use pingora::proxy::HttpProxy;
use pingora::server::configuration::ServerConf;
use rustls::sign::CertifiedKey;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::edge::connection::{self, ConnectionLimits, Hall, drained, note_panic};
use crate::edge::doorman::Doorman;
use crate::edge::head::HeadLimits;
use crate::edge::in_force::InForce;
use crate::edge::proxy::{Instruments, Proxy, RequestLimits, Serving, Shared};
use crate::edge::tls::{Certificate, Handshaker};
use crate::edge::workers::Workers;
use crate::telemetry::report::Happening;

/// How the edge is set up.
#[derive(Debug, Clone)]
pub struct EdgeOptions {
    /// Where clients come in.
    pub listeners: Vec<ListenerOptions>,
    /// Bounds on a connection.
    pub connection: ConnectionLimits,
    /// Bounds on a request.
    pub request: RequestLimits,
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one address.
    pub connections_per_address: usize,
    /// Names that no client may have removed by nominating them: what we emit, where credentials stand.
    pub protected: Vec<HeaderName>,
    /// Idle upstream connections kept, per thread.
    pub upstream_pool: usize,
    /// How long requests in flight may take to finish once it drains.
    pub grace: Duration,
}

/// One address that clients connect to.
#[derive(Debug, Clone)]
pub struct ListenerOptions {
    /// Where to listen; port 0 for any.
    pub address: SocketAddr,
    /// Plaintext without.
    pub certificate: Option<Certificate>,
    /// Whether HTTP/2 is spoken: by ALPN over TLS, with prior knowledge in plaintext.
    pub http2: bool,
}

impl Default for EdgeOptions {
    fn default() -> Self {
        Self {
            listeners: Vec::new(),
            connection: ConnectionLimits {
                head: HeadLimits { bytes: 32 * 1024, fields: 100 },
                head_timeout: Duration::from_secs(10),
                keepalive_idle: Duration::from_secs(60),
                keepalive_requests: Some(10_000),
            },
            request: RequestLimits {
                fields: 100,
                body_bytes: None,
                body_timeout: Duration::from_secs(60),
                write_timeout: Duration::from_secs(60),
                upgraded_idle: Duration::from_secs(3600),
            },
            connections: 20_000,
            connections_per_address: 1_000,
            protected: Vec::new(),
            upstream_pool: 256,
            grace: Duration::from_secs(20),
        }
    }
}

/// Why the edge cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EdgeFault {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The TLS library refuses the certificate.
    #[error("cannot serve TLS on {address}")]
    Tls {
        /// Where.
        address: SocketAddr,
        /// What the library says.
        #[source]
        source: rustls::Error,
    },
    /// The system's certificates, needed for TLS to upstreams, cannot be read.
    #[error("cannot read the certificates of the system (is a CA bundle installed?)")]
    SystemCertificates,
}

/// The edge, bound and not yet serving.
pub struct Edge {
    /// At least one.
    halls: Arc<[Arc<Hall>]>,
    shared: Arc<Shared>,
    doors: Vec<Door>,
    doorman: Arc<Doorman>,
    certificates: Arc<[Option<Certificate>]>,
}

struct Door {
    listener: TcpListener,
    handshaker: Option<Handshaker>,
    http2: bool,
}

/// Changes what a running edge serves, and what it holds its clients to.
#[derive(Clone)]
pub struct EdgeHandle {
    shared: Arc<Shared>,
    doorman: Arc<Doorman>,
    /// In the order of the listeners; plaintext has none.
    certificates: Arc<[Option<Certificate>]>,
}

impl EdgeHandle {
    /// From the next request on, `serving` judges and is served, and the bounds of `options` hold: those on a request for the
    /// next one, those on a head for the next one, those on a connection for the next wait or, over HTTP/2, the next
    /// connection. Who is connected stays, also beyond a number of connections that is now lower.
    ///
    /// Listeners, threads and the pool of upstream connections stay as they were bound; their options are not looked at.
    pub fn replace(&self, options: &EdgeOptions, serving: Serving) {
        self.shared.replace(InForce::new(options, serving));
        self.doorman.allow(places(options, self.certificates.len()), options.connections_per_address);
    }

    /// How long requests in flight would be given to finish now.
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.shared.in_force().bounds.grace
    }

    /// From the next answer on, no connection is used again. New ones are still taken.
    pub fn part(&self) {
        self.shared.drain();
    }

    /// From the next handshake on, the listener at this place shows this certificate. False where there is no such
    /// listener, or it is plaintext.
    #[must_use]
    pub fn replace_certificate(&self, listener: usize, certified: Arc<CertifiedKey>) -> bool {
        let certificate = self.certificates.get(listener).and_then(Option::as_ref);
        certificate.map(|certificate| certificate.replace(certified)).is_some()
    }
}

impl Edge {
    /// Binds every listener. Connections queue from here on and are served by [`Self::run`], on `workers`.
    ///
    /// # Errors
    ///
    /// See [`EdgeFault`]. Nothing stays bound then.
    pub fn bind(options: EdgeOptions, workers: &Workers, serving: Serving, instruments: Instruments) -> Result<Self, EdgeFault> {
        let doors = options.listeners.iter().map(open_door).collect::<Result<_, _>>()?;
        let conf = ServerConf {
            threads: workers.count(),
            upstream_keepalive_pool_size: options.upstream_pool,
            // How often is decided per upstream and by what was sent; this only has to be out of the way.
            max_retries: 16,
            ..ServerConf::default()
        };
        // Pingora panics where it cannot read the system's certificates.
        let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let held = Arc::new(TransportConnector::new(Some(ConnectorOptions::from_server_conf(&conf))));
            let shared = Arc::new(Shared::new(InForce::new(&options, serving), instruments, held));
            let conf = Arc::new(conf);
            // Each with a pool of upstream connections of its own: one that is used again stays on its thread.
            let hall = |worker| {
                let mut proxy = HttpProxy::new(Proxy(shared.clone()), conf.clone());
                proxy.handle_init_modules();
                Arc::new(Hall { proxy: Arc::new(proxy), shared: shared.clone(), worker, open: AtomicUsize::new(0) })
            };
            let halls: Arc<[Arc<Hall>]> = workers.runtimes().into_iter().map(hall).collect();
            (halls, shared)
        }));
        let (halls, shared) = made.map_err(|_panic| EdgeFault::SystemCertificates)?;
        let doorman = Doorman::new(places(&options, options.listeners.len()), options.connections_per_address);
        let certificates = options.listeners.into_iter().map(|listener| listener.certificate).collect();
        Ok(Self { halls, shared, doors, doorman, certificates })
    }

    /// Where it listens, in the order of its listeners.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.doors.iter().filter_map(|door| door.listener.local_addr().ok()).collect()
    }

    /// To change what it serves while it runs.
    #[must_use]
    pub fn handle(&self) -> EdgeHandle {
        EdgeHandle { shared: self.shared.clone(), doorman: self.doorman.clone(), certificates: self.certificates.clone() }
    }

    /// Serves until `shutdown` says so; then takes no more connections, closes idle ones, lets requests in flight finish
    /// within the grace period, cuts the rest, and returns.
    pub async fn run(self, mut shutdown: watch::Receiver<bool>) {
        let mut doors = JoinSet::new();
        for door in self.doors {
            doors.spawn(keep_door(door, self.halls.clone(), self.shared.clone(), self.doorman.clone(), shutdown.clone()));
        }
        drained(&mut shutdown).await;
        self.shared.drain();
        for hall in self.halls.iter() {
            hall.proxy.http_cleanup().await;
        }
        while doors.join_next().await.is_some() {}
    }
}

/// Places for the connections of `options`. A door that waits for its next client holds one for it; all but one of these are
/// not connections.
fn places(options: &EdgeOptions, doors: usize) -> usize {
    options.connections.saturating_add(doors.saturating_sub(1))
}

fn open_door(options: &ListenerOptions) -> Result<Door, EdgeFault> {
    /// Connections the kernel keeps for us while we are busy.
    const QUEUE: u32 = 4096;
    let ListenerOptions { address, certificate, http2 } = options;
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(*address)?;
        socket.listen(QUEUE)
    };
    let listener = listen().map_err(|source| EdgeFault::Listen { address: *address, source })?;
    let handshaker = match certificate {
        None => None,
        Some(certificate) => {
            Some(Handshaker::new(certificate.clone(), *http2).map_err(|source| EdgeFault::Tls { address: *address, source })?)
        }
    };
    Ok(Door { listener, handshaker, http2: *http2 })
}

/// Lets connections in at one door until the edge drains, and sees them out.
async fn keep_door(door: Door, halls: Arc<[Arc<Hall>]>, shared: Arc<Shared>, doorman: Arc<Doorman>, mut shutdown: watch::Receiver<bool>) {
    /// After a failure that is the machine's (no more file descriptors), before it is tried again.
    const BREATHER: Duration = Duration::from_millis(50);
    let reporter = shared.instruments.reporter.clone();
    let stopwatch = shared.instruments.stopwatch.clone();
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            let permit = match doorman.place() {
                Some(permit) => Some(permit),
                None => {
                    reporter.happened(Happening::ConnectionRefused { why: "total_cap" });
                    doorman.say_full(stopwatch.micros());
                    doorman.room().await
                }
            };
            (permit, door.listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            biased;
            () = drained(&mut shutdown) => break,
            accepted = accepted => accepted,
        };
        while let Some(ended) = connections.try_join_next() {
            note_panic(&shared, ended);
        }
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(BREATHER).await;
                continue;
            }
        };
        let Some(entry) = permit.and_then(|permit| doorman.enter(peer.ip(), permit)) else {
            reporter.happened(Happening::ConnectionRefused { why: "source_cap" });
            continue;
        };
        let Some(hall) = halls.iter().min_by_key(|hall| hall.open.load(Ordering::Relaxed)) else { continue };
        let (hall, open, handshaker, shutdown) = (hall.clone(), Open::new(hall), door.handshaker.clone(), shutdown.clone());
        let worker = hall.worker.clone();
        // Events of a socket are told to the runtime it was registered with.
        let socket = socket.into_std();
        let serve = async move {
            match socket.and_then(TcpStream::from_std) {
                Ok(socket) => connection::serve(hall, socket, peer, handshaker, door.http2, shutdown).await,
                Err(error) => tracing::warn!(%error, "connection not served"),
            }
            drop((entry, open));
        };
        connections.spawn_on(serve, &worker);
    }
    drop(door.listener);
    let all = async { while connections.join_next().await.is_some() {} };
    let grace = shared.in_force().bounds.grace;
    if tokio::time::timeout(grace, all).await.is_err() {
        tracing::warn!(cut = connections.len(), "connections cut at the end of the grace period");
        connections.shutdown().await;
    }
}

/// Reports a connection's beginning, and its end however it comes.
struct Open(Arc<Hall>);

impl Open {
    fn new(hall: &Arc<Hall>) -> Self {
        hall.open.fetch_add(1, Ordering::Relaxed);
        hall.shared.instruments.reporter.happened(Happening::ConnectionOpened);
        Self(hall.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.shared.instruments.reporter.happened(Happening::ConnectionClosed);
    }
}
