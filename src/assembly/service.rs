//! A process of its own: its runtime, its signals.
//!
//! SIGHUP reloads. SIGTERM and SIGINT drain and end. A second one ends at once.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::ambient::{self, Monotonic, SystemRandom, WallClock};
use crate::assembly::crew::Crew;
use crate::assembly::machine::Machine;
use crate::assembly::process::{Process, Tools};
use crate::assembly::steady::Steady;
use crate::assembly::store;
use crate::assembly::watch::FileWatch;
use crate::config::plan::{AuditSink, Plan};
use crate::edge::workers::Workers;
use crate::telemetry::logs::Outlet;
use crate::telemetry::sink;

/// The tools of a real process: its clock never runs back.
///
/// # Errors
///
/// A sentence for the operator, when the machine's clock cannot be right.
pub fn tools() -> Result<Tools, String> {
    let clock = Arc::new(Steady::over(Arc::new(WallClock))?);
    Ok(Tools { clock, stopwatch: Arc::new(Monotonic::start()), random: Arc::new(SystemRandom) })
}

/// How many threads serve: what the conf says, or one per processor.
#[must_use]
pub fn threads(plan: &Plan) -> usize {
    plan.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
}

/// Serves the conf at `path`, proven as `plan`, until it is told to end. Lines that `log` loses are counted in its metrics.
///
/// # Errors
///
/// A sentence for the operator, when it cannot begin.
pub fn run(path: &Path, plan: &Plan, log: &Outlet) -> Result<(), String> {
    let threads = threads(plan);
    let crew = Crew::start(threads)?;
    house()?.block_on(serve(path, plan, &crew.workers(), log))
}

/// The runtime of everything but connections.
///
/// # Errors
///
/// A sentence for the operator, when the system gives no thread.
pub fn house() -> Result<Runtime, String> {
    let built = Builder::new_multi_thread().worker_threads(1).thread_name("countersign").enable_all().build();
    built.map_err(|error| format!("cannot start threads: {error}"))
}

/// Where audit records go; `None` where the operator wants none.
fn records(to: AuditSink) -> Result<Option<Box<dyn Write + Send>>, String> {
    match to {
        AuditSink::Nowhere => Ok(None),
        AuditSink::Stdout => {
            let sink = sink::standard_output().map_err(|error| format!("cannot write audit records to standard output: {error}"))?;
            Ok(Some(Box::new(sink)))
        }
    }
}

async fn serve(path: &Path, plan: &Plan, workers: &Workers, log: &Outlet) -> Result<(), String> {
    let cannot = |error: std::io::Error| format!("cannot listen for signals: {error}");
    let mut hangup = signal(SignalKind::hangup()).map_err(cannot)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;

    let process = Process::start(plan, tools()?, records(plan.audit.to)?, workers).await?;
    process.count_log(log);
    for warning in &plan.warnings {
        tracing::warn!(at = %warning.span, says = %warning.says, "conf warning");
    }
    if let Some(why) = store::obstacle(plan) {
        tracing::warn!(%why, "state has no place");
    }
    // One descriptor for a client and one for its upstream; the house itself needs fewer than this leaves over.
    let needed = u64::try_from(plan.limits.connections).unwrap_or(u64::MAX).saturating_mul(2);
    if let Some(allowed) = ambient::descriptors().filter(|allowed| *allowed < needed) {
        tracing::warn!(
            allowed,
            needed,
            "fewer file descriptors (RLIMIT_NOFILE) than two for each of `limits.connections`; raise the one or lower the other"
        );
    }
    let addresses: Vec<String> = process.addresses().iter().map(ToString::to_string).collect();
    tracing::info!(
        addresses = addresses.join(" "),
        admin = process.admin().map(|admin| admin.to_string()),
        threads = workers.count(),
        "serving"
    );

    let mut watch = FileWatch::new(path);
    watch.look_at(process.live().files(), process.live().watches_conf());
    loop {
        let why = tokio::select! {
            _ = hangup.recv() => "SIGHUP",
            () = watch.changed() => "a watched file changed",
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        };
        tracing::info!(why, "reloading");
        if process.reload(path, &Machine).await.is_ok() {
            watch.look_at(process.live().files(), process.live().watches_conf());
        }
    }
    // Said in the log only once `/readyz` says so too: whoever reads the one may ask the other.
    process.readiness().drain();
    tracing::info!(delay = ?process.live().drain_delay(), grace = ?process.live().grace(), "draining");
    tokio::select! {
        () = process.stop() => tracing::info!("ended"),
        _ = terminate.recv() => tracing::warn!("ended at once"),
        _ = interrupt.recv() => tracing::warn!("ended at once"),
    }
    Ok(())
}
