//! Readers that stop reading: the audit record and the log of a real process go into pipes that nobody empties.
//!
//! Row O13. A disk that is full is in the queues' own tests (`src/telemetry/audit/tests.rs`, `src/telemetry/logs/queue.rs`).
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use parking_lot::Mutex;

use crate::support::child::{binary, bound};
use crate::support::raw::{Client, PATIENCE};
use crate::support::rows::base64;
use crate::support::upstream::{Upstream, eventually};
use crate::support::whole::Folder;

/// Requests in flight at SIGTERM have so long; there are none here.
const GRACE: Duration = Duration::from_secs(1);

/// A proxy that refuses tokens aloud, and whose reader stops once it has heard where the proxy serves.
struct Unheard {
    child: Child,
    records: Option<ChildStdout>,
    log: Option<BufReader<ChildStderr>>,
    address: SocketAddr,
    admin: SocketAddr,
    folder: Folder,
    conf: String,
    _upstream: Upstream,
}

impl Unheard {
    async fn start() -> Self {
        let upstream = Upstream::start().await;
        let conf = format!(
            r"
listeners: [{{ address: 127.0.0.1:0 }}]
admin: {{ address: 127.0.0.1:0 }}
upstreams: {{ app: http://{} }}
governor: off
grace: {}s
issuers:
  main: {{ issuer: https://proxy.example, signing_key: {{ file: signing.pem }}, audience: app }}
rules:
  - {{ name: open, match: {{ paths: [/open] }}, authenticate: none, forward: app }}
  - {{ name: token, match: {{ paths: [/token], methods: [POST] }}, authenticate: none, serve: {{ token: {{ issuer: main }} }} }}
",
            upstream.address,
            GRACE.as_secs()
        );
        let folder = Folder::new();
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap().to_pkcs8v1().unwrap();
        folder.write("signing.pem", format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", base64(key.as_ref())));
        let path = folder.write("countersign.yaml", &conf);
        let mut command = binary();
        command.args(["run", "--json", "--log", "info", "-c"]).arg(path);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (records, mut log) = (child.stdout.take().unwrap(), BufReader::new(child.stderr.take().unwrap()));
        let mut said = String::new();
        while bound(&said).is_none() {
            assert_ne!(log.read_line(&mut said).unwrap(), 0, "the process does not serve: {said}");
        }
        let (address, admin) = bound(&said).unwrap();
        Self { child, records: Some(records), log: Some(log), address, admin, folder, conf, _upstream: upstream }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success(), "kill -{name}");
    }

    /// The value of a counter.
    async fn counter(&self, name: &str) -> u64 {
        let mut client = Client::connect(self.admin).await;
        client.send("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await;
        let text = client.answer().await.text();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    /// Waits until the counter shows something.
    async fn counts(&self, name: &str) {
        let begun = Instant::now();
        while self.counter(name).await == 0 {
            assert!(begun.elapsed() < PATIENCE, "{name} never counted");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sends `count` requests over a few connections, one after the other on each, and returns how long the middle one of them took.
    async fn ask(&self, count: usize, request: &'static str, status: u16) -> Duration {
        const CLIENTS: usize = 4;
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..CLIENTS {
            let address = self.address;
            asking.spawn(async move {
                let mut client = Client::connect(address).await;
                let mut took = Vec::new();
                for _ in 0..count / CLIENTS {
                    let begun = Instant::now();
                    client.send(request).await;
                    assert_eq!(client.answer().await.status, status);
                    took.push(begun.elapsed());
                }
                took
            });
        }
        let mut took = asking.join_all().await.concat();
        took.sort_unstable();
        took[took.len() / 2]
    }

    /// Reads both pipes from here on.
    fn listen(&mut self) -> [Heard; 2] {
        [Heard::listen(self.records.take().unwrap()), Heard::listen(self.log.take().unwrap())]
    }

    /// Fills both pipes, and the queues in front of them, until lines of each are lost. Returns how many requests were sent.
    async fn fill(&self) -> usize {
        // Each fault of a conf is a line in the log.
        let broken: String = (0..10_000).map(|n| format!("unknown_{n}: 1\n")).collect();
        self.folder.write("countersign.yaml", format!("{}{broken}", self.conf));
        self.signal("HUP");
        self.counts("countersign_log_dropped_total").await;
        self.folder.write("countersign.yaml", &self.conf);
        let mut sent = 0;
        while self.counter("countersign_audit_dropped_total").await == 0 {
            self.ask(1_000, OPEN, 200).await;
            sent += 1_000;
            assert!(sent < 100_000, "records go somewhere although nobody reads");
        }
        sent
    }

    async fn ended(&mut self, patience: Duration) -> Option<ExitStatus> {
        let begun = Instant::now();
        while begun.elapsed() < patience {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        None
    }
}

impl Drop for Unheard {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const OPEN: &str = "GET /open HTTP/1.1\r\nHost: a\r\n\r\n";
/// Refused, and said so in the log.
const TOKEN: &str = "POST /token HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 41\r\n\r\n\
                     grant_type=refresh_token&refresh_token=no";

/// What a thread has read.
#[derive(Clone)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    fn listen(mut from: impl Read + Send + 'static) -> Self {
        let heard = Self(Arc::default());
        let into = heard.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 65_536];
            while let Ok(some @ 1..) = from.read(&mut bytes) {
                into.0.lock().extend_from_slice(&bytes[..some]);
            }
        });
        heard
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).unwrap()
    }

    /// The number under `name` in the newest line that has one.
    fn told(&self, name: &str) -> Option<u64> {
        let text = self.text();
        text.lines().rev().find_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()?.get(name)?.as_u64())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o13_requests_go_on_while_nobody_reads_and_what_was_lost_is_counted_and_told() {
    const MORE: usize = 400;
    let mut proxy = Unheard::start().await;
    let usual = [proxy.ask(MORE, OPEN, 200).await, proxy.ask(MORE, TOKEN, 400).await];
    let sent = proxy.fill().await;

    let stalled = [proxy.ask(MORE, OPEN, 200).await, proxy.ask(MORE, TOKEN, 400).await];
    for (usual, stalled) in usual.into_iter().zip(stalled) {
        assert!(stalled < usual * 5 + Duration::from_millis(5), "a request took {usual:?}, and {stalled:?} while nobody reads");
    }
    let (records_lost, lines_lost) =
        (proxy.counter("countersign_audit_dropped_total").await, proxy.counter("countersign_log_dropped_total").await);
    let most = u64::try_from(MORE).unwrap();
    assert!(most * 2 <= records_lost && most <= lines_lost, "nothing is written any more: {records_lost} and {lines_lost} are lost");

    // The readers are back.
    let [records, log] = proxy.listen();
    eventually("the log to say what it lacks", || log.told("lines").is_some()).await;
    eventually("the log to say how many records are lost", || log.told("records").is_some()).await;
    let (records_lost, lines_lost) =
        (proxy.counter("countersign_audit_dropped_total").await, proxy.counter("countersign_log_dropped_total").await);
    assert_eq!((log.told("records"), log.told("lines")), (Some(records_lost), Some(lines_lost)), "what is told is what is counted");

    proxy.ask(4, OPEN, 200).await;
    proxy.signal("TERM");
    assert_eq!(proxy.ended(GRACE + PATIENCE).await.and_then(|status| status.code()), Some(0));
    let all = u64::try_from(2 * MORE + sent + 2 * MORE + 4).unwrap();
    let written = || u64::try_from(records.text().lines().count()).unwrap();
    eventually("every record", || written() + records_lost == all).await;
    for line in records.text().lines().chain(log.text().lines()) {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("every line is whole: {error}: {line}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o13_a_process_ends_in_time_although_nobody_reads() {
    /// What the last records and the last lines may take at the end, and some for a busy machine.
    const LAST: Duration = Duration::from_secs(8);
    let mut proxy = Unheard::start().await;
    proxy.fill().await;
    proxy.signal("TERM");
    let ended = proxy.ended(GRACE + LAST).await;
    assert_eq!(ended.and_then(|status| status.code()), Some(0), "it ends, and ends well");
    let log = Heard::listen(proxy.log.take().unwrap());
    eventually("the log that was in the pipe", || log.text().contains("conf refused")).await;
}
