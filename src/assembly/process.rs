//! One running Countersign: edge, admin, telemetry and background work on the caller's runtime, under a handle.
//!
//! It reads no signal and sets no process state, so the tests and the demo run any number of them; `assembly::service` adds
//! what a process of its own needs.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::assembly::gate::Ground;
use crate::assembly::live::{Live, Started};
use crate::assembly::store::Store;
use crate::config::load::Sources;
use crate::config::plan::{Plan, WhenBehind};
use crate::domain::{Clock, Observer, Random, Stopwatch};
use crate::edge::admin::Admin;
use crate::edge::proxy::Instruments;
use crate::edge::readiness::Readiness;
use crate::edge::server::EdgeHandle;
use crate::edge::workers::Workers;
use crate::gate::contract::Revoker;
use crate::settings::{Fault, Level};
use crate::state::contract::{StateStore, StoreTools};
use crate::state::revoked::Revocations;
use crate::telemetry::audit::{Audit, Overflow};
use crate::telemetry::logs::Outlet;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::recorder::Recorder;
use crate::telemetry::report::Reporter;

/// The machine, as far as a running process needs it.
#[derive(Clone)]
pub struct Tools {
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Elapsed time.
    pub stopwatch: Arc<dyn Stopwatch>,
    /// Unpredictable bytes.
    pub random: Arc<dyn Random>,
}

/// A running Countersign. Dropping it leaves it running to the end of its runtime; [`Process::stop`] drains it.
pub struct Process {
    live: Arc<Live>,
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
    audit: Option<Arc<Audit>>,
    addresses: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
    shutdown: watch::Sender<bool>,
    edge: JoinHandle<()>,
    door: EdgeHandle,
    /// Keeps the list of revocations up to date.
    follower: JoinHandle<()>,
}

impl Process {
    /// Puts `plan` in force and begins to serve. Audit records go to `audit`; none are written without.
    ///
    /// Must be called inside a runtime; connections are served by `workers`.
    ///
    /// # Errors
    ///
    /// A sentence for the operator: a port in use, no CA bundle, no thread.
    pub async fn start(plan: &Plan, tools: Tools, audit: Option<Box<dyn io::Write + Send>>, workers: &Workers) -> Result<Self, String> {
        Self::begin(None, plan, tools, audit, workers).await
    }

    /// The same over a state store that is open already, such as one that several of them share.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub async fn start_over(
        state: Arc<dyn StateStore>,
        plan: &Plan,
        tools: Tools,
        audit: Option<Box<dyn io::Write + Send>>,
        workers: &Workers,
    ) -> Result<Self, String> {
        Self::begin(Some(state), plan, tools, audit, workers).await
    }

    async fn begin(
        state: Option<Arc<dyn StateStore>>,
        plan: &Plan,
        tools: Tools,
        audit: Option<Box<dyn io::Write + Send>>,
        workers: &Workers,
    ) -> Result<Self, String> {
        let metrics = Arc::new(Metrics::new(Arc::clone(&tools.clock)));
        let overflow = match plan.audit.when_behind {
            WhenBehind::Drop => Overflow::Drop,
            WhenBehind::Block => Overflow::Block,
        };
        let audit = audit
            .map(|sink| Audit::start(sink, overflow, Audit::DEFAULT_CAPACITY, metrics.audit_dropped()))
            .transpose()
            .map_err(|error| format!("cannot start the audit writer: {error}"))?
            .map(|audit| Arc::new(audit.showing(metrics.audit_waiting())));
        let reporter: Arc<dyn Reporter> = Arc::new(Recorder::new(Arc::clone(&metrics), audit.clone()));
        let observer: Arc<dyn Observer> = Arc::clone(&metrics) as Arc<dyn Observer>;
        let tooling = StoreTools { clock: Arc::clone(&tools.clock), random: Arc::clone(&tools.random), observer: Arc::clone(&observer) };
        let store = Arc::new(match state {
            Some(open) => Store::over(open, tooling),
            None => Store::new(tooling),
        });
        let state = Arc::clone(&store) as Arc<dyn StateStore>;
        let revoked = Revocations::new(Arc::clone(&state), Arc::clone(&tools.clock), Arc::clone(&tools.random), Arc::clone(&observer));
        let revoked = Arc::new(revoked);
        let ground = Ground {
            clock: Arc::clone(&tools.clock),
            stopwatch: Arc::clone(&tools.stopwatch),
            random: Arc::clone(&tools.random),
            observer,
            state,
            revoked: Arc::clone(&revoked),
        };
        let stopwatch = Arc::clone(&tools.stopwatch);
        let instruments = Instruments { reporter, clock: Arc::clone(&tools.clock), stopwatch, random: tools.random };
        let readiness = Arc::new(Readiness::starting());
        let served = plan.admin.as_ref().map(|admin| {
            let served = Admin::new(admin.address, admin.token.as_ref(), Arc::clone(&readiness), Arc::clone(&metrics));
            Arc::new(served.with_revoker(Arc::clone(&revoked) as Arc<dyn Revoker>))
        });
        let Started { edge, live } = Live::start(plan, ground, store, instruments, Arc::clone(&metrics), served.clone(), workers).await?;

        let (shutdown, watching) = watch::channel(false);
        let admin = match plan.admin.as_ref().zip(served) {
            None => None,
            Some((admin, served)) => {
                let listener = TcpListener::bind(admin.address)
                    .await
                    .map_err(|error| format!("cannot listen on {} (admin): {error}", admin.address))?;
                let address = listener.local_addr().map_err(|error| error.to_string())?;
                // It outlives the edge: `/readyz` says "draining" to the end.
                tokio::spawn(served.serve(listener, std::future::pending()));
                Some(address)
            }
        };
        let addresses = edge.addresses();
        let door = edge.handle();
        let edge = tokio::spawn(edge.run(watching));
        let follower = tokio::spawn(Arc::clone(&revoked).follow());
        tokio::spawn(become_ready(Arc::clone(&live), Arc::clone(&readiness), revoked, tools.clock, tools.stopwatch));
        Ok(Self { live, readiness, metrics, audit, addresses, admin, shutdown, edge, door, follower })
    }

    /// Where clients come in, in the order of the conf's listeners.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where operators look in.
    #[must_use]
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// The conf in force.
    #[must_use]
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// What `/readyz` tells.
    #[must_use]
    pub fn readiness(&self) -> &Arc<Readiness> {
        &self.readiness
    }

    /// Counts the lines that `log` loses.
    pub fn count_log(&self, log: &Outlet) {
        log.count_in(self.metrics.log_dropped());
    }

    /// All metrics, as text.
    #[must_use]
    pub fn exposition(&self) -> String {
        self.metrics.exposition()
    }

    /// Reads the conf again and puts it in force, or changes nothing; says which in the log.
    ///
    /// # Errors
    ///
    /// The faults, when it was not put in force.
    pub async fn reload(&self, path: &Path, sources: &dyn Sources) -> Result<(), Vec<Fault>> {
        match self.live.reload(path, sources).await {
            Ok(plan) => {
                for warning in &plan.warnings {
                    tracing::warn!(at = %warning.span, says = %warning.says, "conf warning");
                }
                tracing::info!(generation = self.live.generation(), "conf put in force");
                Ok(())
            }
            Err(faults) => {
                for fault in faults.iter().filter(|fault| fault.level == Level::Error) {
                    tracing::error!(at = %fault.span, says = %fault.says, "conf refused");
                }
                tracing::error!(generation = self.live.generation(), "reload changed nothing; the conf of this generation stays in force");
                Err(faults)
            }
        }
    }

    /// Says "draining" on `/readyz` and lets every answer close its connection; after `drain_delay` takes no more connections,
    /// lets requests in flight finish within the grace period, writes the last audit records, and returns.
    pub async fn stop(self) {
        /// How long the last audit records may take to be written.
        const LAST_RECORDS: Duration = Duration::from_secs(2);
        self.readiness.drain();
        self.door.part();
        tokio::time::sleep(self.live.drain_delay()).await;
        // Nobody listens only when the edge has ended by itself.
        let _ = self.shutdown.send(true);
        if tokio::time::timeout(self.live.grace() + LAST_RECORDS, self.edge).await.is_err() {
            tracing::warn!("the edge did not end within its grace period");
        }
        self.follower.abort();
        if let Some(audit) = self.audit {
            let written = tokio::task::spawn_blocking(move || audit.close(LAST_RECORDS)).await;
            if !matches!(written, Ok(true)) {
                tracing::warn!("audit records were lost at the end");
            }
        }
    }
}

/// What `/readyz` calls the list of revocations while it was never read.
const REVOCATIONS: &str = "revocations";

/// Waits for the list of revocations and for the key sets that the conf in force needs, at most for its `startup_wait`; then the
/// process is ready, and only the rules that lack keys answer 503.
async fn become_ready(
    live: Arc<Live>,
    readiness: Arc<Readiness>,
    revoked: Arc<Revocations>,
    clock: Arc<dyn Clock>,
    stopwatch: Arc<dyn Stopwatch>,
) {
    const LOOK: Duration = Duration::from_millis(50);
    let named = |name: &str| format!("keys/{name}");
    let began = stopwatch.micros();
    let mut lacked: Vec<Arc<str>> = Vec::new();
    loop {
        if revoked.is_read() {
            readiness.have(REVOCATIONS);
        } else {
            readiness.lack(REVOCATIONS);
        }
        let lacking = live.waiting_for(clock.now());
        for name in &lacked {
            if !lacking.contains(name) {
                readiness.have(&named(name));
            }
        }
        for name in &lacking {
            readiness.lack(&named(name));
        }
        if lacking.is_empty() && revoked.is_read() {
            break;
        }
        if live.startup_wait() <= Duration::from_micros(stopwatch.micros().saturating_sub(began)) {
            let mut lacking: Vec<String> = lacking.iter().map(|name| named(name)).collect();
            lacking.extend((!revoked.is_read()).then(|| REVOCATIONS.to_owned()));
            tracing::warn!(lacking = lacking.join(" "), "ready without all keys; rules that need them answer 503");
            break;
        }
        lacked = lacking;
        tokio::time::sleep(LOOK).await;
    }
    readiness.serve();
    while !revoked.is_read() {
        tokio::time::sleep(LOOK).await;
    }
    readiness.have(REVOCATIONS);
}
