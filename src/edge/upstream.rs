//! The services that requests go to: their servers, taken in turn, and which of them are left alone for a while.
//!
//! Names are resolved in the background, all addresses of a name are kept, and an answer that stays away leaves the last
//! good one in force; a request never waits for DNS. A server that cannot be reached, or breaks off, is passed over for a
//! few seconds unless there is no other.
//!
//! Not here: active health checks; weights; any choice that looks at the caller.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderValue;
use pingora::protocols::l4::socket::SocketAddr as PeerAddress;
use pingora::upstreams::peer::{HttpPeer, PeerOptions, Scheme};
use pingora::utils::tls::{WrappedX509, parse_x509};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub mod handshake;
mod resolve;

/// How a service is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamOptions {
    /// Its name in the conf.
    pub name: Arc<str>,
    /// Its servers, taken in turn. At least one.
    pub servers: Vec<ServerOptions>,
    /// How it is spoken to over TLS; plaintext without.
    pub tls: Option<UpstreamTls>,
    /// Establishing a TCP connection.
    pub connect_timeout: Duration,
    /// Connection and TLS handshake together take at most this and `connect_timeout`.
    pub tls_timeout: Duration,
    /// Silence while a response is awaited or read. Does not hold for upgraded connections.
    pub read_timeout: Duration,
    /// Silence while a request is written.
    pub write_timeout: Duration,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    /// Attempts in all to connect, the first among them.
    pub tries: usize,
    /// Which `Host` it is shown.
    pub host: HostShown,
    /// Requests in flight at most; `None` without bound.
    pub most_in_flight: Option<usize>,
    /// Whether HTTP/2 is offered (over TLS) or spoken (in plaintext).
    pub http2: bool,
}

/// One server of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOptions {
    /// A host name or an IP address, IPv6 without brackets.
    pub host: Box<str>,
    /// The port.
    pub port: u16,
    /// The same as it stands in a `Host` header.
    pub authority: Box<str>,
}

/// TLS towards a service.
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Certificates (DER) that its chain must end in; `None` for the system's.
    pub anchors: Option<Arc<[Box<[u8]>]>>,
    /// The name asked for and verified; `None` for each server's own host.
    pub server_name: Option<Box<str>>,
    /// Whether chain and name are verified.
    pub verify: bool,
}

impl std::fmt::Debug for UpstreamTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { anchors, server_name, verify } = self;
        write!(f, "UpstreamTls({} anchors, {server_name:?}, verify {verify})", anchors.as_ref().map_or(0, |anchors| anchors.len()))
    }
}

/// Which `Host` a service is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostShown {
    /// The client's.
    Preserved,
    /// The server's own authority.
    Own,
}

/// Why the services cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamFault {
    /// There is nothing to send a request to.
    #[error("upstream {0} has no server")]
    Empty(Arc<str>),
    /// A trust anchor that the TLS library cannot read.
    #[error("upstream {0} has a certificate among its anchors that cannot be read")]
    Anchor(Arc<str>),
}

/// All services of a conf, in written order.
#[derive(Debug)]
pub struct Upstreams(Box<[Arc<Upstream>]>);

/// One service.
#[derive(Debug)]
pub struct Upstream {
    options: UpstreamOptions,
    /// What every connection to it has in common; the address and, per server, the TLS name are filled in.
    template: HttpPeer,
    /// Every address of every server, as last resolved.
    addresses: ArcSwap<Vec<Arc<Address>>>,
    next: AtomicUsize,
    in_flight: Option<Arc<Semaphore>>,
}

/// One address of one server.
#[derive(Debug)]
pub struct Address {
    peer: HttpPeer,
    socket: SocketAddr,
    server: usize,
    authority: HeaderValue,
    /// Left alone until then, in microseconds of the stopwatch.
    rests_until: AtomicU64,
}

/// How long a server that failed is left alone.
const REST: Duration = Duration::from_secs(5);

impl Upstreams {
    /// Sets the services up. Those named by address are ready at once; [`Self::resolve`] fetches the others.
    ///
    /// # Errors
    ///
    /// See [`UpstreamFault`].
    pub fn new(options: Vec<UpstreamOptions>) -> Result<Arc<Self>, UpstreamFault> {
        Self::after(&Self(Box::default()), options)
    }

    /// The same in place of `running`. A service of the same name and options goes on as it is, with what is known of its
    /// addresses and how many requests are in flight; one of other options goes on with what these leave as it was.
    ///
    /// # Errors
    ///
    /// See [`UpstreamFault`]. `running` is as before then.
    pub fn after(running: &Self, options: Vec<UpstreamOptions>) -> Result<Arc<Self>, UpstreamFault> {
        let upstreams = options.into_iter().map(|options| match running.0.iter().find(|old| old.options.name == options.name) {
            Some(old) if old.options == options => Ok(Arc::clone(old)),
            Some(old) => Upstream::new(options).map(|upstream| Arc::new(upstream.succeeding(old))),
            None => Upstream::new(options).map(Arc::new),
        });
        Ok(Arc::new(Self(upstreams.collect::<Result<_, _>>()?)))
    }

    /// The service at this place in the conf.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Arc<Upstream>> {
        self.0.get(index)
    }
}

impl Upstream {
    fn new(options: UpstreamOptions) -> Result<Self, UpstreamFault> {
        if options.servers.is_empty() {
            return Err(UpstreamFault::Empty(options.name));
        }
        let unresolved = PeerAddress::Inet(SocketAddr::from(([0, 0, 0, 0], 0)));
        let mut template = HttpPeer {
            _address: unresolved,
            scheme: if options.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP },
            sni: String::new(),
            proxy: None,
            client_cert_key: None,
            // Pooled connections are told apart by this as well, since Pingora's key leaves trust anchors out. The pool outlives
            // a reload, so it says what is trusted and not where in the conf it stands.
            group_key: trust(&options),
            options: peer_options(&options),
        };
        if let Some(tls) = &options.tls {
            template.options.verify_cert = tls.verify;
            template.options.verify_hostname = tls.verify;
            template.options.ca = match &tls.anchors {
                None => None,
                Some(anchors) => Some(read_anchors(anchors).ok_or_else(|| UpstreamFault::Anchor(options.name.clone()))?),
            };
        }
        let in_flight = options.most_in_flight.map(|most| Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))));
        let upstream = Self { options, template, addresses: ArcSwap::default(), next: AtomicUsize::new(0), in_flight };
        upstream.adopt(|server| server.host.parse::<IpAddr>().ok().map(|ip| vec![SocketAddr::new(ip, server.port)]));
        Ok(upstream)
    }

    /// The same in place of `old`: a server that both have keeps its addresses until they are resolved anew, and requests that
    /// `old` has in flight count against the same bound, if it is the same.
    fn succeeding(mut self, old: &Self) -> Self {
        if self.options.most_in_flight == old.options.most_in_flight {
            self.in_flight.clone_from(&old.in_flight);
        }
        let addresses = old.addresses.load();
        self.adopt(|server| {
            let place = old.options.servers.iter().position(|known| known == server)?;
            Some(addresses.iter().filter(|address| address.server == place).map(|address| address.socket).collect())
        });
        self
    }

    /// Its options.
    #[must_use]
    pub fn options(&self) -> &UpstreamOptions {
        &self.options
    }

    /// How many addresses it has now.
    #[must_use]
    pub fn width(&self) -> usize {
        self.addresses.load().len()
    }

    /// Room for one more request; `None` when it has its fill.
    #[must_use]
    pub fn enter(&self) -> Option<Place> {
        match &self.in_flight {
            None => Some(Place(None)),
            Some(semaphore) => semaphore.clone().try_acquire_owned().ok().map(|permit| Place(Some(permit))),
        }
    }

    /// The next address: in turn, not yet tried for this request, and not resting, as far as there is such a one.
    #[must_use]
    pub fn pick(&self, tried: &[SocketAddr], now_micros: u64) -> Option<Arc<Address>> {
        let addresses = self.addresses.load();
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let in_turn = || (0..addresses.len()).filter_map(|step| addresses.get((start.wrapping_add(step)) % addresses.len()));
        let fresh = |address: &&Arc<Address>| !tried.contains(&address.socket);
        let rested = |address: &&Arc<Address>| address.rests_until.load(Ordering::Relaxed) <= now_micros;
        in_turn().find(|address| fresh(address) && rested(address)).or_else(|| in_turn().find(fresh)).or_else(|| in_turn().next()).cloned()
    }

    /// Takes over what was resolved per server; `None` leaves that server's addresses as they are.
    fn adopt(&self, resolved: impl Fn(&ServerOptions) -> Option<Vec<SocketAddr>>) {
        let old = self.addresses.load_full();
        let mut new = Vec::new();
        for (index, server) in self.options.servers.iter().enumerate() {
            let known = old.iter().filter(|address| address.server == index);
            match resolved(server) {
                None => new.extend(known.cloned()),
                Some(sockets) => new.extend(sockets.into_iter().map(|socket| {
                    let same = known.clone().find(|address| address.socket == socket);
                    same.cloned().unwrap_or_else(|| Arc::new(self.address(index, server, socket)))
                })),
            }
        }
        self.addresses.store(Arc::new(new));
    }

    fn address(&self, index: usize, server: &ServerOptions, socket: SocketAddr) -> Address {
        let mut peer = self.template.clone();
        peer._address = PeerAddress::Inet(socket);
        if let Some(tls) = &self.options.tls {
            // Never empty: Pingora verifies nothing when there is no name to ask for.
            peer.sni = tls.server_name.as_deref().unwrap_or(&server.host).to_owned();
        }
        // A name or an address, and a port: always a valid value.
        let authority = HeaderValue::from_str(&server.authority).unwrap_or_else(|_| HeaderValue::from_static(""));
        Address { peer, socket, server: index, authority, rests_until: AtomicU64::new(0) }
    }
}

/// Room for one request at a service, until dropped.
#[derive(Debug)]
pub struct Place(#[expect(dead_code, reason = "held for what its drop gives back")] Option<OwnedSemaphorePermit>);

impl Address {
    /// What Pingora connects to.
    #[must_use]
    pub fn peer(&self) -> &HttpPeer {
        &self.peer
    }

    /// The address itself.
    #[must_use]
    pub fn socket(&self) -> SocketAddr {
        self.socket
    }

    /// The server's own authority.
    #[must_use]
    pub fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// Leaves it alone for a while.
    pub fn rest(&self, now_micros: u64) {
        let rest = u64::try_from(REST.as_micros()).unwrap_or(u64::MAX);
        self.rests_until.store(now_micros.saturating_add(rest), Ordering::Relaxed);
    }

    /// It answered: it is taken in turn again.
    pub fn wake(&self) {
        if self.rests_until.load(Ordering::Relaxed) != 0 {
            self.rests_until.store(0, Ordering::Relaxed);
        }
    }
}

/// Equal for services whose connections may be shared: the same name, trusted in the same way.
fn trust(options: &UpstreamOptions) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    options.name.hash(&mut hasher);
    if let Some(tls) = &options.tls {
        (&tls.server_name, tls.verify, &tls.anchors).hash(&mut hasher);
    }
    hasher.finish()
}

fn peer_options(options: &UpstreamOptions) -> PeerOptions {
    let mut peer = PeerOptions::new();
    peer.connection_timeout = Some(options.connect_timeout);
    peer.total_connection_timeout = Some(match &options.tls {
        None => options.connect_timeout,
        Some(_) => options.connect_timeout.saturating_add(options.tls_timeout),
    });
    peer.read_timeout = Some(options.read_timeout);
    peer.write_timeout = Some(options.write_timeout);
    peer.idle_timeout = Some(options.idle_timeout);
    peer.max_h2_streams = 100;
    match (options.http2, options.tls.is_some()) {
        (true, true) => peer.set_http_version(2, 1),
        (true, false) => peer.set_http_version(2, 2),
        (false, _) => {}
    }
    peer
}

/// The anchors as Pingora wants them. Its reader panics where ours returns, so each is tried first.
fn read_anchors(anchors: &[Box<[u8]>]) -> Option<Arc<[WrappedX509]>> {
    let mut store = rustls::RootCertStore::empty();
    let wrapped = anchors.iter().map(|der| {
        store.add(rustls::pki_types::CertificateDer::from(der.to_vec())).ok()?;
        std::panic::catch_unwind(|| WrappedX509::new(der.to_vec(), parse_x509)).ok()
    });
    wrapped.collect::<Option<Vec<_>>>().map(Arc::from)
}

#[cfg(test)]
mod tests;
