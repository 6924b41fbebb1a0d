//! The conf in force, and how another takes its place.
//!
//! A request takes one snapshot and keeps it to its end: rules, authenticators, keys and upstreams of the same conf. A reload
//! builds the whole next snapshot beside the running one and swaps a pointer, or changes nothing at all.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use parking_lot::Mutex;

use crate::assembly::gate::{Built, Ground, Kept, build, waiting};
use crate::config;
use crate::config::load::Sources;
use crate::config::plan::Plan;
use crate::domain::Timestamp;
use crate::edge::upstream::Upstreams;
use crate::gate::arrival::{Arrival, BodySource};
use crate::gate::contract::Judge;
use crate::gate::rule::Gate;
use crate::gate::verdict::Verdict;
use crate::settings::{Fault, Faults, Level, Span};
use crate::telemetry::metrics::Metrics;

/// The conf in force.
pub struct Live {
    /// Swapped whole; see [`Live::put_in_force`].
    current: ArcSwap<Gate>,
    /// A `Mutex`: only reloads and readiness look here.
    rest: Mutex<Rest>,
    ground: Ground,
    metrics: Arc<Metrics>,
    generation: AtomicU64,
}

/// What belongs to the conf in force beside its gate.
struct Rest {
    kept: Vec<Kept>,
    upstreams: Arc<Upstreams>,
    fixed: Fixed,
    files: Vec<PathBuf>,
}

/// What cannot change while the process runs.
#[derive(Debug, PartialEq, Eq)]
struct Fixed {
    listeners: String,
    admin: String,
    state: String,
    threads: String,
}

impl Fixed {
    fn of(plan: &Plan) -> Self {
        let listeners: Vec<String> =
            plan.listeners.iter().map(|listener| format!("{} tls={} h2={}", listener.address, listener.tls.is_some(), listener.h2)).collect();
        Self {
            listeners: listeners.join("\n"),
            admin: format!("{:?}", plan.admin.as_ref().map(|admin| admin.address)),
            state: format!("{:?}", plan.state),
            threads: format!("{:?}", plan.threads),
        }
    }

    /// The section that differs, if one does.
    fn changed(&self, next: &Self) -> Option<&'static str> {
        match () {
            () if self.listeners != next.listeners => Some("listeners"),
            () if self.admin != next.admin => Some("admin"),
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

impl Live {
    /// Puts the first conf in force. Must be called inside the runtime that will serve.
    ///
    /// # Errors
    ///
    /// A sentence for the operator.
    pub fn start(plan: &Plan, ground: Ground, metrics: Arc<Metrics>) -> Result<Arc<Self>, String> {
        let Built { gate, kept, upstreams } = build(plan, &ground, &[])?;
        metrics.config_reloaded(1, true);
        Ok(Arc::new(Self {
            current: ArcSwap::from_pointee(gate),
            rest: Mutex::new(Rest { kept, upstreams, fixed: Fixed::of(plan), files: plan.files.clone() }),
            ground,
            metrics,
            generation: AtomicU64::new(1),
        }))
    }

    /// Reads the conf again and puts it in force, or leaves everything as it is and returns why.
    ///
    /// # Errors
    ///
    /// The faults of the conf; `needs_restart` where it differs in what cannot change while the process runs.
    pub fn reload(&self, path: &Path, sources: &dyn Sources) -> Result<Plan, Vec<Fault>> {
        let outcome = read(path, sources).map_err(|faults| faults.sorted()).and_then(|plan| self.put_in_force(&plan).map(|()| plan));
        let generation = if outcome.is_ok() { self.generation.fetch_add(1, Ordering::SeqCst) + 1 } else { self.generation() };
        self.metrics.config_reloaded(generation, outcome.is_ok());
        outcome
    }

    fn put_in_force(&self, plan: &Plan) -> Result<(), Vec<Fault>> {
        let whole = |says: String| {
            let span = Span { file: plan.origin.display().to_string().into(), line: 1, column: 1 };
            vec![Fault { level: Level::Error, span, says }]
        };
        let mut rest = self.rest.lock();
        let fixed = Fixed::of(plan);
        if let Some(section) = rest.fixed.changed(&fixed) {
            return Err(whole(format!("needs_restart: `{section}` cannot change while the process runs; restart it to put this conf in force")));
        }
        let Built { gate, kept, upstreams } = build(plan, &self.ground, &rest.kept).map_err(whole)?;
        *rest = Rest { kept, upstreams, fixed, files: plan.files.clone() };
        // The old gate goes when the last request that holds it has ended.
        self.current.store(Arc::new(gate));
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
        waiting(&self.rest.lock().kept, now)
    }

    /// The upstreams of the conf in force.
    #[must_use]
    pub fn upstreams(&self) -> Arc<Upstreams> {
        Arc::clone(&self.rest.lock().upstreams)
    }

    /// Files whose change should lead to a reload.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.rest.lock().files.clone()
    }
}

#[async_trait]
impl Judge for Live {
    async fn judge(&self, arrival: &Arrival<'_>, body: &mut dyn BodySource) -> Verdict {
        let gate = self.current.load_full();
        gate.admit(arrival, body).await
    }
}
