//! An edge around a judge and some upstreams, on ports of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use countersign::ambient::{Monotonic, SystemRandom};
use countersign::edge::proxy::{Instruments, Serving};
use countersign::edge::server::{Edge, EdgeHandle, EdgeOptions, ListenerOptions};
use countersign::edge::upstream::{HostShown, ServerOptions, UpstreamOptions, Upstreams};
use countersign::edge::workers::Workers;
use countersign::gate::contract::Judge;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::judge::Gatekeeper;
use crate::support::ledger::Ledger;
use crate::support::raw::{Client, PATIENCE};
use crate::support::upstream::Upstream;

/// A running edge.
pub struct Running {
    pub address: SocketAddr,
    pub ledger: Arc<Ledger>,
    /// The wall clock that identities end by.
    pub clock: Arc<AtomicI64>,
    pub gatekeeper: Arc<Gatekeeper>,
    pub handle: EdgeHandle,
    shutdown: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    pub async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// Has it drain, and waits until it is done.
    pub async fn drain(self) {
        self.begin_drain();
        self.task.await.unwrap();
    }

    pub fn begin_drain(&self) {
        self.shutdown.send_replace(true);
    }
}

/// How a service at these addresses is reached: patient enough for tests, and no more.
pub fn service(addresses: &[SocketAddr]) -> UpstreamOptions {
    let server = |address: &SocketAddr| ServerOptions {
        host: address.ip().to_string().into(),
        port: address.port(),
        authority: address.to_string().into(),
    };
    UpstreamOptions {
        name: "app".into(),
        servers: addresses.iter().map(server).collect(),
        tls: None,
        connect_timeout: Duration::from_secs(5),
        tls_timeout: Duration::from_secs(5),
        read_timeout: PATIENCE,
        write_timeout: PATIENCE,
        idle_timeout: Duration::from_secs(50),
        tries: 3,
        host: HostShown::Preserved,
        most_in_flight: None,
        http2: false,
    }
}

/// One plaintext listener on any port.
pub fn options() -> EdgeOptions {
    let listener = ListenerOptions { address: "127.0.0.1:0".parse().unwrap(), certificate: None, http2: false };
    EdgeOptions { listeners: vec![listener], grace: Duration::from_secs(5), ..EdgeOptions::default() }
}

/// An edge before one upstream.
pub async fn before(upstream: &Upstream) -> Running {
    start(options(), vec![service(&[upstream.address])]).await
}

pub async fn start(options: EdgeOptions, services: Vec<UpstreamOptions>) -> Running {
    start_with(options, services, Arc::new(Gatekeeper::default())).await
}

pub async fn start_with(options: EdgeOptions, services: Vec<UpstreamOptions>, gatekeeper: Arc<Gatekeeper>) -> Running {
    // Two TLS libraries' providers are in the tree; without a choice some clients panic.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let upstreams = Upstreams::new(services).unwrap();
    let _ = upstreams.resolve().await;
    let ledger = Arc::new(Ledger::default());
    let clock = Arc::new(AtomicI64::new(1_000_000));
    let instruments = Instruments {
        reporter: ledger.clone(),
        clock: clock.clone(),
        stopwatch: Arc::new(Monotonic::start()),
        random: Arc::new(SystemRandom),
    };
    let judge: Arc<dyn Judge> = gatekeeper.clone();
    let edge = Edge::bind(options, &Workers::Here(1), Serving { judge, upstreams }, instruments).unwrap();
    let address = edge.addresses()[0];
    let handle = edge.handle();
    let (shutdown, watched) = watch::channel(false);
    let task = tokio::spawn(edge.run(watched));
    Running { address, ledger, clock, gatekeeper, handle, shutdown, task }
}
