//! The conf in force, and how another takes its place.
//!
//! A request takes one snapshot and keeps it to its end: rules, authenticators, keys and upstreams of the same conf. A reload
//! builds the whole next snapshot beside the running one and swaps a pointer, or changes nothing at all.
//!
//! Every key of a conf either takes effect with it or is among what a process is bound to (`Fixed`), and then another value is
//! refused with `needs_restart`: there is none that is taken and passed over.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::assembly::edge as assembly;
use crate::assembly::gate::{Built, Carried, Ground, build, waiting};
use crate::assembly::outbound::Outbound;
use crate::assembly::store::Store;
use crate::config;
use crate::config::load::Sources;
use crate::config::plan::{AuditPlan, Plan};
use crate::domain::Timestamp;
use crate::edge::admin::Admin;
use crate::edge::proxy::{Instruments, Serving};
use crate::edge::server::{Edge, EdgeHandle};
use crate::edge::upstream::Upstreams;
use crate::edge::workers::Workers;
use crate::settings::material::Files;
use crate::settings::{Fault, Faults, Level, Span};
use crate::telemetry::metrics::Metrics;

/// The conf in force.
pub struct Live {
    edge: EdgeHandle,
    admin: Option<Arc<Admin>>,
    /// Held by one reload at a time, for as long as it takes; readiness looks in briefly.
    rest: Mutex<Rest>,
    ground: Ground,
    /// The store under `ground.state`.
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    threads: usize,
    generation: AtomicU64,
}

/// What belongs to the conf in force beside its gate.
struct Rest {
    carried: Carried,
    upstreams: Arc<Upstreams>,
    fixed: Fixed,
    files: Files,
    watch: bool,
    startup_wait: Duration,
    drain_delay: Duration,
}

/// What cannot change while the process runs.
#[derive(Debug, PartialEq, Eq)]
struct Fixed {
    listeners: String,
    admin: String,
    audit: AuditPlan,
    state: String,
    threads: Option<usize>,
}

impl Fixed {
    fn of(plan: &Plan) -> Self {
        let listeners: Vec<String> = plan
            .listeners
            .iter()
            .map(|listener| format!("{} tls={} h2={}", listener.address, listener.tls.is_some(), listener.h2))
            .collect();
        Self {
            listeners: listeners.join("\n"),
            admin: format!("{:?}", plan.admin.as_ref().map(|admin| admin.address)),
            audit: plan.audit.clone(),
            state: plan.state.continuity(),
            threads: plan.threads,
        }
    }

    /// The section that differs, if one does.
    fn changed(&self, next: &Self) -> Option<&'static str> {
        match () {
            () if self.listeners != next.listeners => Some("listeners"),
            () if self.admin != next.admin => Some("admin"),
            () if self.audit != next.audit => Some("audit"),
            () if self.state != next.state => Some("state"),
            () if self.threads != next.threads => Some("threads"),
            () => None,
        }
    }
}

/// Reads and proves the conf at `path`.
///
/// # Errors
///
/// Every fault of the conf, in file order.
pub fn read(path: &Path, sources: &dyn Sources) -> Result<Plan, Faults> {
    let (document, material) = config::load::load(path, sources)?;
    config::check::check(&document, &material)
}

/// An edge that is bound and has a conf in force, and the handle to change it.
pub struct Started {
    /// To be run.
    pub edge: Edge,
    /// To be reloaded.
    pub live: Arc<Live>,
}

impl Live {
    /// Puts the first conf in force and binds its listeners. Must be called inside the runtime that will let connections in.
    ///
    /// # Errors
    ///
    /// A sentence for the operator.
    pub async fn start(
        plan: &Plan,
        ground: Ground,
        store: Arc<Store>,
        instruments: Instruments,
        metrics: Arc<Metrics>,
        admin: Option<Arc<Admin>>,
        workers: &Workers,
    ) -> Result<Started, String> {
        store.open_for(plan).await?;
        let Built { gate, carried } = build(plan, &ground, &Carried::default())?;
        if !ground.revoked.catch_up().await {
            tracing::warn!("the list of revocations cannot be read; until it is, whoever must be proven is answered 503");
        }
        ground.revoked.put_conf(Arc::clone(&plan.revocations.listed), plan.revocations.lasts);
        let upstreams = assembly::upstreams(plan, None)?;
        upstreams.resolve().await;
        let threads = workers.count();
        let options = assembly::options(plan, threads);
        let serving = Serving { judge: Arc::new(gate), upstreams: Arc::clone(&upstreams) };
        let edge = Edge::bind(options, workers, serving, instruments).map_err(|fault| chain(&fault))?;
        metrics.config_reloaded(1, true);
        metrics.connections_capped(plan.limits.connections);
        let rest = Mutex::new(Rest {
            carried,
            upstreams,
            fixed: Fixed::of(plan),
            files: plan.files.clone(),
            watch: plan.watch,
            startup_wait: plan.startup_wait,
            drain_delay: plan.drain_delay,
        });
        let live = Arc::new(Self { edge: edge.handle(), admin, rest, ground, store, metrics, threads, generation: AtomicU64::new(1) });
        Ok(Started { edge, live })
    }

    /// Reads the conf again and puts it in force, or leaves everything as it is and returns why.
    ///
    /// # Errors
    ///
    /// The faults of the conf; `needs_restart` where it differs in what cannot change while the process runs.
    pub async fn reload(&self, path: &Path, sources: &dyn Sources) -> Result<Plan, Vec<Fault>> {
        let outcome = match read(path, sources) {
            Ok(plan) => self.put_in_force(&plan).await.map(|()| plan),
            Err(faults) => Err(faults.sorted()),
        };
        let generation = if outcome.is_ok() { self.generation.fetch_add(1, Ordering::SeqCst) + 1 } else { self.generation() };
        self.metrics.config_reloaded(generation, outcome.is_ok());
        outcome
    }

    async fn put_in_force(&self, plan: &Plan) -> Result<(), Vec<Fault>> {
        let whole = |says: String| {
            let span = Span { file: plan.origin.display().to_string().into(), line: 1, column: 1 };
            vec![Fault { level: Level::Error, span, says }]
        };
        let fixed = Fixed::of(plan);
        let (changed, running) = {
            let rest = self.rest.lock();
            (rest.fixed.changed(&fixed), Arc::clone(&rest.upstreams))
        };
        if let Some(section) = changed {
            return Err(whole(format!(
                "needs_restart: `{section}` cannot change while the process runs; restart it to put this conf in force"
            )));
        }
        let upstreams = assembly::upstreams(plan, Some(&running)).map_err(whole)?;
        upstreams.resolve().await;
        // What needed no store so far may do so now; its settings are those of the start.
        self.store.open_for(plan).await.map_err(whole)?;
        // Who is revoked there already is refused from the first request on.
        self.ground.revoked.catch_up().await;

        let mut rest = self.rest.lock();
        let Built { gate, mut carried } = build(plan, &self.ground, &rest.carried).map_err(whole)?;
        // Nothing fails from here on.
        carried.outbound.iter_mut().for_each(Outbound::lead);
        self.ground.revoked.put_conf(Arc::clone(&plan.revocations.listed), plan.revocations.lasts);
        *rest = Rest {
            carried,
            upstreams: Arc::clone(&upstreams),
            fixed,
            files: plan.files.clone(),
            watch: plan.watch,
            startup_wait: plan.startup_wait,
            drain_delay: plan.drain_delay,
        };
        if let (Some(running), Some(written)) = (&self.admin, &plan.admin) {
            running.ask_for(written.token.as_ref());
        }
        for (position, listener) in plan.listeners.iter().enumerate() {
            if let Some(tls) = &listener.tls {
                // There is such a listener, or `needs_restart` would have been said above.
                let _ = self.edge.replace_certificate(position, Arc::clone(&tls.certified));
            }
        }
        self.metrics.connections_capped(plan.limits.connections);
        // The old gate goes when the last request that holds it has ended.
        self.edge.replace(&assembly::options(plan, self.threads), Serving { judge: Arc::new(gate), upstreams });
        Ok(())
    }

    /// How many confs have been in force, this one included.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Key stores that have nothing to verify with yet.
    #[must_use]
    pub fn waiting_for(&self, now: Timestamp) -> Vec<Arc<str>> {
        waiting(&self.rest.lock().carried.kept, now)
    }

    /// How long `/readyz` waits for key sets at the start.
    #[must_use]
    pub fn startup_wait(&self) -> Duration {
        self.rest.lock().startup_wait
    }

    /// How long new connections are still taken once the process drains.
    #[must_use]
    pub fn drain_delay(&self) -> Duration {
        self.rest.lock().drain_delay
    }

    /// How long requests in flight may take to finish once the process drains.
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.edge.grace()
    }

    /// Whether a change of the conf file itself triggers a reload.
    #[must_use]
    pub fn watches_conf(&self) -> bool {
        self.rest.lock().watch
    }

    /// The files that the conf in force was read from, by what was in them.
    #[must_use]
    pub fn files(&self) -> Files {
        self.rest.lock().files.clone()
    }
}

/// What went wrong, and what it went wrong from, in one line.
fn chain(fault: &dyn std::error::Error) -> String {
    let mut text = fault.to_string();
    let mut source = fault.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}
