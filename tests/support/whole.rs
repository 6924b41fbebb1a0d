//! The whole proxy from a conf text, on ports of its own, under a clock that stands still until it is moved.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use countersign::ambient::{Monotonic, SystemRandom};
use countersign::assembly::live;
use countersign::assembly::machine::Machine;
use countersign::assembly::process::{Process, Tools};
use countersign::assembly::steady::Steady;
use countersign::domain::Clock;
use countersign::edge::workers::Workers;
use countersign::settings::Fault;
use countersign::state::contract::StateStore;
use parking_lot::Mutex;
use tempfile::TempDir;

use crate::support::raw::{Answer, Client};

/// The moment at which everything happens, unless a test moves it.
pub const NOW: i64 = 1_800_000_000;

/// What the proxy wrote for the audit.
#[derive(Clone, Default)]
pub struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A folder with a conf and what it refers to.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Writes a file whole or not at all, so that whoever watches it never reads half of it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let aside = path.with_extension("being-written");
        std::fs::write(&aside, content).unwrap();
        std::fs::rename(&aside, &path).unwrap();
        path
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// A running proxy.
pub struct Whole {
    pub folder: Folder,
    pub clock: Arc<AtomicI64>,
    pub process: Process,
    conf: PathBuf,
    sink: Sink,
}

impl Whole {
    /// Starts the conf `yaml`, in a folder that holds `files`. Listeners are on port 0: see [`Whole::address`].
    pub async fn start(yaml: &str, files: &[(&str, &[u8])]) -> Self {
        let folder = Folder::new();
        for (name, content) in files {
            folder.write(name, content);
        }
        Self::start_in(folder, yaml).await
    }

    pub async fn start_in(folder: Folder, yaml: &str) -> Self {
        Self::start_by(folder, yaml, |clock| clock).await
    }

    /// The same under the clock that a process has, which never runs back.
    pub async fn start_steady(folder: Folder, yaml: &str) -> Self {
        Self::start_by(folder, yaml, |clock| Arc::new(Steady::over(clock).unwrap())).await
    }

    /// The same from `now` on, in place of [`NOW`]: what remembers began to remember then.
    pub async fn start_at(now: i64, folder: Folder, yaml: &str) -> Self {
        Self::begin(None, now, folder, yaml, |clock| clock).await
    }

    /// The same over a state store that is there already, which several may share.
    pub async fn start_over(state: Arc<dyn StateStore>, folder: Folder, yaml: &str) -> Self {
        Self::begin(Some(state), NOW, folder, yaml, |clock| clock).await
    }

    async fn start_by(folder: Folder, yaml: &str, clock_of: impl FnOnce(Arc<dyn Clock>) -> Arc<dyn Clock>) -> Self {
        Self::begin(None, NOW, folder, yaml, clock_of).await
    }

    async fn begin(
        state: Option<Arc<dyn StateStore>>,
        now: i64,
        folder: Folder,
        yaml: &str,
        clock_of: impl FnOnce(Arc<dyn Clock>) -> Arc<dyn Clock>,
    ) -> Self {
        // Whoever is first wins; the tests all want the same.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let conf = folder.write("countersign.yaml", yaml);
        let plan = live::read(&conf, &Machine).unwrap_or_else(|faults| panic!("{}", told(&faults.sorted())));
        let clock = Arc::new(AtomicI64::new(now));
        let tools = Tools {
            clock: clock_of(Arc::clone(&clock) as Arc<dyn Clock>),
            stopwatch: Arc::new(Monotonic::start()),
            random: Arc::new(SystemRandom),
        };
        let sink = Sink::default();
        let audit: Option<Box<dyn Write + Send>> = Some(Box::new(sink.clone()));
        let process = match state {
            None => Process::start(&plan, tools, audit, &Workers::Here(2)).await,
            Some(state) => Process::start_over(state, &plan, tools, audit, &Workers::Here(2)).await,
        };
        let process = process.unwrap();
        Self { folder, clock, process, conf, sink }
    }

    pub fn address(&self) -> SocketAddr {
        self.process.addresses()[0]
    }

    pub fn set_clock(&self, to: i64) {
        self.clock.store(to, Ordering::SeqCst);
    }

    pub async fn client(&self) -> Client {
        Client::connect(self.address()).await
    }

    /// Sends one request on a connection of its own and returns the answer.
    pub async fn ask(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> Answer {
        self.ask_with(method, target, fields, "").await
    }

    /// The same with a body; a length is added when there is one.
    pub async fn ask_with(&self, method: &str, target: &str, fields: &[(&str, &str)], body: &str) -> Answer {
        let mut text = format!("{method} {target} HTTP/1.1\r\n");
        if !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            text.push_str("Host: proxy.test\r\n");
        }
        for (name, value) in fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        text.push_str(body);
        let mut client = self.client().await;
        client.send(text).await;
        client.answer_to(method).await.expect("an answer")
    }

    /// Writes another conf and reloads.
    pub async fn reload(&self, yaml: &str) -> Result<(), String> {
        std::fs::write(&self.conf, yaml).unwrap();
        self.process.reload(&self.conf, &Machine).await.map_err(|faults| told(&faults))
    }

    /// Waits until the process says it is ready.
    pub async fn ready(&self) {
        crate::support::upstream::eventually("readiness", || self.process.readiness().is_ready()).await;
    }

    /// Every audit record so far, once there are at least `count`.
    pub async fn audit(&self, count: usize) -> Vec<serde_json::Value> {
        let lines = || self.sink.0.lock().iter().filter(|byte| **byte == b'\n').count();
        crate::support::upstream::eventually("audit records", || count <= lines()).await;
        let text = String::from_utf8(self.sink.0.lock().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The finer reason of the last request, from its audit record.
    pub async fn reason_of(&self, answer: &Answer) -> String {
        let id = answer.field("x-request-id").map(str::to_owned).or_else(|| {
            let body: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
            body.get("request_id")?.as_str().map(str::to_owned)
        });
        let id = id.unwrap_or_else(|| panic!("the answer names no request id: {answer:?}"));
        self.reason_by(&id).await
    }

    /// The finer reason in the audit record of the request that went by `id`.
    pub async fn reason_by(&self, id: &str) -> String {
        self.record_by(id).await["reason"].as_str().unwrap_or("").to_owned()
    }

    /// The audit record of the request that went by `id`.
    pub async fn record_by(&self, id: &str) -> serde_json::Value {
        let record = || {
            let text = self.written();
            text.lines()
                .rev()
                .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
                .find(|record| record["request_id"] == *id)
        };
        crate::support::upstream::eventually("the audit record", || record().is_some()).await;
        record().unwrap()
    }

    /// Everything the proxy wrote for the audit so far.
    pub fn written(&self) -> String {
        String::from_utf8(self.sink.0.lock().clone()).unwrap()
    }
}

fn told(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
