//! The real binary as a process of its own, with everything it says.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::support::raw::{Answer, Client, PATIENCE};
use crate::support::upstream::eventually;

/// Text that a thread keeps reading, unless it is held.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<String>>, Arc<(Mutex<bool>, Condvar)>);

impl Said {
    fn listen(&self, from: impl Read + Send + 'static) {
        let said = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                let mut text = said.0.lock();
                text.push_str(&line);
                text.push('\n');
                drop(text);
                let (held, released) = &*said.1;
                released.wait_while(&mut held.lock(), |held| *held);
            }
        });
    }

    fn hold(&self, hold: bool) {
        let (held, released) = &*self.1;
        *held.lock() = hold;
        released.notify_all();
    }

    fn text(&self) -> String {
        self.0.lock().clone()
    }
}

/// A running `countersign run`; killed when dropped.
pub struct Running {
    child: Child,
    records: Said,
    log: Said,
    pub address: SocketAddr,
    pub admin: SocketAddr,
}

/// The binary under test.
pub fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_countersign"))
}

impl Running {
    /// Runs the conf at `conf`, which has one listener and an admin on port 0, and waits until both are bound.
    pub async fn start(conf: &Path) -> Self {
        let mut command = binary();
        command.args(["run", "--json", "--log", "debug", "-c"]).arg(conf);
        Self::begin(command).await
    }

    /// The same with `limit` file descriptors.
    pub async fn start_with_descriptors(limit: usize, conf: &Path) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {limit} && exec \"$@\""), "sh"]).arg(binary().get_program());
        command.args(["run", "--json", "--log", "debug", "-c"]).arg(conf);
        Self::begin(command).await
    }

    async fn begin(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let (records, log) = (Said::default(), Said::default());
        records.listen(child.stdout.take().unwrap());
        log.listen(child.stderr.take().unwrap());
        let begun = std::time::Instant::now();
        while bound(&log.text()).is_none() {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none() && begun.elapsed() < PATIENCE, "the process does not serve ({ended:?}); it says {}", log.text());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let (address, admin) = bound(&log.text()).unwrap();
        Self { child, records, log, address, admin }
    }

    /// Everything on standard output.
    pub fn records(&self) -> String {
        self.records.text()
    }

    /// Waits until there are `count` audit records on standard output, and returns them. A request is recorded after it was
    /// answered, and what a process wrote last is read after it has ended.
    pub async fn recorded(&self, count: usize) -> String {
        eventually("the records", || count <= self.records().lines().count()).await;
        self.records()
    }

    /// From now on nobody reads standard output.
    pub fn stall_records(&self) {
        self.records.hold(true);
    }

    /// From now on it is read again.
    pub fn read_records(&self) {
        self.records.hold(false);
    }

    /// Everything on standard error.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Sends a signal by its short name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success(), "kill -{name}");
    }

    /// Waits for the end, at most `patience`.
    pub async fn ended(&mut self, patience: Duration) -> Option<ExitStatus> {
        let begun = std::time::Instant::now();
        while begun.elapsed() < patience {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        None
    }

    pub async fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut client = Client::connect(self.address).await;
        client.send(request).await;
        client.answer().await
    }

    /// `GET path` of the admin listener.
    pub async fn admin(&self, path: &str) -> Answer {
        let mut client = Client::connect(self.admin).await;
        client.send(format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")).await;
        client.answer().await
    }

    /// Waits until `/metrics` holds `text`: a request is counted after it was answered.
    pub async fn counts(&self, text: &str) {
        let begun = std::time::Instant::now();
        while !self.admin("/metrics").await.text().contains(text) {
            assert!(begun.elapsed() < PATIENCE, "never counted: {text}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until `/readyz` says yes.
    pub async fn ready(&self) {
        let begun = std::time::Instant::now();
        while self.admin("/readyz").await.status != 200 {
            assert!(begun.elapsed() < PATIENCE, "never ready: {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until the log says `text` at least `times` times.
    pub async fn says(&self, text: &str, times: usize) {
        eventually(text, || times <= self.log().matches(text).count()).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The addresses in the line that says where it serves.
pub fn bound(log: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line = log.lines().find(|line| line.contains("\"addresses\""))?;
    let said: serde_json::Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| find(&said, name).and_then(|value| value.split(' ').next()?.parse().ok());
    Some((text("addresses")?, text("admin")?))
}

/// The text under `name`, wherever the log's form puts it.
fn find(said: &serde_json::Value, name: &str) -> Option<String> {
    let members = said.as_object()?;
    members.get(name).and_then(|value| value.as_str()).map(str::to_owned).or_else(|| members.values().find_map(|inner| find(inner, name)))
}
