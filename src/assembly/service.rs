//! A process of its own: its runtime, its signals, its watch on files.
//!
//! SIGHUP reloads. SIGTERM and SIGINT drain and end. A second one ends at once.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::ambient::{self, Monotonic, SystemRandom, WallClock};
use crate::assembly::crew::Crew;
use crate::assembly::machine::{MAX_FILE, Machine};
use crate::assembly::process::{Process, Tools};
use crate::assembly::steady::Steady;
use crate::assembly::store;
use crate::config::plan::{AuditSink, Plan};
use crate::edge::workers::Workers;
use crate::settings::material::{Files, mark};
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

/// Tells when keys, certificates or (where wanted) the conf itself have changed on disk.
///
/// Folders are watched, not files: editors and volume mounts replace files by renaming. What counts is the content, and that
/// it differs from what the conf in force was read from: also what changed while that was read, or before anybody watched, is
/// told. A change is told once two readings in a row agree, so that a half-written file is not taken for a whole one.
struct FileWatch {
    conf: PathBuf,
    watcher: Option<notify::RecommendedWatcher>,
    stir: mpsc::Sender<()>,
    events: mpsc::Receiver<()>,
    seen: Files,
}

impl FileWatch {
    fn new(conf: &Path) -> Self {
        let (stir, events) = mpsc::channel(1);
        let sender = stir.clone();
        // One waiting event is as good as many.
        let watcher = notify::recommended_watcher(move |_event| {
            let _ = sender.try_send(());
        });
        let watcher = watcher.map_err(|error| tracing::warn!(%error, "files are not watched; reload with SIGHUP")).ok();
        Self { conf: conf.to_path_buf(), watcher, stir, events, seen: Files::new() }
    }

    /// From now on these files are the ones that count, the conf itself only where its changes are wanted too, and this is what
    /// was in them.
    fn look_at(&mut self, mut files: Files, with_conf: bool) {
        if !with_conf {
            files.remove(&self.conf);
        }
        let folders: BTreeSet<PathBuf> = files
            .keys()
            .filter_map(|file| file.parent())
            .map(|folder| if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_path_buf() })
            .collect();
        if let Some(watcher) = &mut self.watcher {
            for folder in folders {
                if let Err(error) = watcher.watch(&folder, RecursiveMode::NonRecursive) {
                    tracing::warn!(folder = %folder.display(), %error, "folder is not watched; reload with SIGHUP");
                }
            }
        }
        self.seen = files;
        // What changed since it was read, nobody may have told: one look from here on.
        let _ = self.stir.try_send(());
    }

    /// Waits until the content of a file that counts has changed and settled.
    async fn changed(&mut self) {
        /// Between two readings that must agree.
        const SETTLE: Duration = Duration::from_millis(250);
        loop {
            if self.events.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
            let mut last = self.read();
            loop {
                tokio::time::sleep(SETTLE).await;
                let next = self.read();
                if next == last {
                    break;
                }
                last = next;
            }
            if last != self.seen {
                self.seen = last;
                return;
            }
        }
    }

    fn read(&self) -> Files {
        let read = |path: &PathBuf| crate::ambient::read_file(path, MAX_FILE).ok().and_then(|content| mark(&content));
        self.seen.keys().map(|path| (path.clone(), read(path))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::FileWatch;
    use crate::settings::material::{Files, mark};

    /// Whether a change of what is in `folder` is told, when `a` was read as `read_a` and `conf` as `read_conf`.
    async fn tells(folder: &Path, with_conf: bool, read_a: &[u8], read_conf: &[u8]) -> bool {
        let files: Files = [(folder.join("a"), mark(read_a)), (folder.join("conf"), mark(read_conf))].into();
        let mut watch = FileWatch::new(&folder.join("conf"));
        watch.look_at(files, with_conf);
        tokio::time::timeout(Duration::from_secs(5), watch.changed()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn what_changed_before_anybody_watched_is_told() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "conf"] {
            std::fs::write(folder.path().join(name), "new").unwrap();
        }
        let rows: [(bool, &[u8], &[u8], bool, &str); 5] = [
            (true, b"new", b"new", false, "nothing has changed"),
            (true, b"old", b"new", true, "a key file has, since it was read"),
            (true, b"new", b"old", true, "the conf has"),
            (false, b"new", b"old", false, "the conf has, which is not watched"),
            (false, b"old", b"old", true, "both have"),
        ];
        for (with_conf, read_a, read_conf, told, shows) in rows {
            assert_eq!(tells(folder.path(), with_conf, read_a, read_conf).await, told, "{shows}");
        }
        std::fs::remove_file(folder.path().join("a")).unwrap();
        assert!(tells(folder.path(), true, b"new", b"new").await, "a file that is gone has changed");
    }

    #[tokio::test]
    async fn a_change_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        std::fs::write(&file, "one").unwrap();
        let mut watch = FileWatch::new(&folder.path().join("conf"));
        watch.look_at([(file.clone(), mark(b"one"))].into(), false);
        std::fs::write(&file, "two").unwrap();
        let patience = Duration::from_secs(30);
        tokio::time::timeout(patience, watch.changed()).await.expect("told");
        watch.look_at([(file.clone(), mark(b"two"))].into(), false);
        std::fs::write(&file, "two").unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(700), watch.changed()).await.is_err(), "written again, the same");
    }
}
