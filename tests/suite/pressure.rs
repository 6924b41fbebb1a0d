//! The process itself under pressure: a reader that stalls, a house that is full, a machine that allows too little, and a
//! load balancer that needs time to notice that it goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use countersign::assembly::live;
use countersign::assembly::machine::Machine;
use tokio::task::JoinSet;

use crate::scheme_ticket;
use crate::support::child::{Running, binary};
use crate::support::raw::{Client, PATIENCE};
use crate::support::upstream::Upstream;
use crate::support::whole::Folder;

/// A conf with one rule that forwards to `upstream`, and `more`.
fn conf(upstream: &Upstream, more: &str) -> String {
    format!(
        r"
listeners: [{{ address: 127.0.0.1:0 }}]
admin: {{ address: 127.0.0.1:0 }}
upstreams: {{ app: http://{} }}
rules:
  - {{ name: open, match: {{ paths: [/x] }}, authenticate: none, forward: app }}
{more}
",
        upstream.address
    )
}

const GET: &str = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
/// Answered at once, and recorded.
const NOWHERE: &str = "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n";

/// Clients that keep asking, each for the next thing once it has its answer.
struct Load {
    answered: Arc<AtomicUsize>,
    clients: JoinSet<()>,
}

impl Load {
    const CLIENTS: usize = 8;

    /// As many as it takes to fill the queue of records: returns once they all wait for their answer.
    async fn until_stuck(process: &Running) -> Self {
        let answered = Arc::new(AtomicUsize::new(0));
        let mut clients = JoinSet::new();
        for _ in 0..Self::CLIENTS {
            let (answered, address) = (Arc::clone(&answered), process.address);
            clients.spawn(async move {
                let mut client = Client::connect(address).await;
                while client.try_send(NOWHERE).await {
                    let Some(answer) = client.answer_to("GET").await else { return };
                    assert_eq!(answer.status, 404);
                    answered.fetch_add(1, Ordering::SeqCst);
                    if answer.closes() {
                        return;
                    }
                }
            });
        }
        let load = Self { answered, clients };
        process.counts(&format!("countersign_audit_waiting {}\n", Self::CLIENTS)).await;
        load
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stalls_holds_up_requests_and_nothing_else() {
    let upstream = Upstream::start().await;
    let folder = Folder::new();
    let path = folder.write("countersign.yaml", conf(&upstream, "audit: { when_behind: block }\nthreads: 2\ngrace: 10m"));
    let mut process = Running::start(&path).await;
    process.ready().await;
    process.stall_records();
    let mut load = Load::until_stuck(&process).await;
    assert_eq!(process.admin("/livez").await.status, 200, "it lives");
    let mut one_more = Client::connect(process.address).await;
    one_more.send(GET).await;
    process.counts(&format!("countersign_audit_waiting {}\n", Load::CLIENTS + 1)).await;
    assert_eq!(upstream.hits(), 0, "what cannot be recorded is not done");

    process.read_records();
    assert_eq!(one_more.answer().await.status, 200, "it goes on once somebody reads");
    assert_eq!(upstream.hits(), 1);
    process.counts("countersign_audit_waiting 0\n").await;
    process.counts("countersign_audit_dropped_total 0\n").await;

    // Stalled again: told once, it waits for the reader as long as its grace lasts; told twice, it ends.
    process.stall_records();
    process.counts(&format!("countersign_audit_waiting {}\n", Load::CLIENTS)).await;
    process.signal("TERM");
    process.says("draining", 1).await;
    assert_eq!(process.ended(Duration::from_millis(200)).await, None, "the reader may come back");
    process.signal("TERM");
    assert_eq!(process.ended(PATIENCE).await.expect("a second signal ends it").code(), Some(0));
    while load.clients.join_next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_never_comes_back_is_waited_for_within_the_grace() {
    let upstream = Upstream::start().await;
    let folder = Folder::new();
    let path = folder.write("countersign.yaml", conf(&upstream, "audit: { when_behind: block }\nthreads: 1\ngrace: 1s"));
    let mut process = Running::start(&path).await;
    process.ready().await;
    process.stall_records();
    let mut load = Load::until_stuck(&process).await;
    process.signal("TERM");
    assert_eq!(process.ended(PATIENCE).await.expect("it ends by itself").code(), Some(0));
    assert!(process.log().contains("audit records were lost at the end"), "and says what that cost");
    while load.clients.join_next().await.is_some() {}
    assert!(0 < load.answered.load(Ordering::SeqCst), "there was load");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_tell_milliseconds() {
    let upstream = Upstream::start().await;
    let folder = Folder::new();
    let process = Running::start(&folder.write("countersign.yaml", conf(&upstream, ""))).await;
    process.ready().await;
    let times = |records: &str| -> Vec<String> {
        let read = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["time"].as_str().unwrap().to_owned();
        records.lines().map(read).collect()
    };
    let mut asked = 0;
    // Each of a thousand moments is as likely; that ten in a row fall on whole seconds does not happen. A head that is no
    // head is recorded on another way than the rest.
    for request in [GET, NOWHERE, "GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"] {
        for _ in 0..10 {
            process.ask(request).await;
        }
        asked += 10;
        let records = process.recorded(asked).await;
        let times = times(&records);
        let fine = times.iter().skip(asked - 10).filter(|time| !time.ends_with(".000Z")).count();
        assert!(5 < fine, "{request:?}: {times:?}");
        assert!(times.iter().all(|time| time.len() == "2026-09-21T14:13:20.123Z".len()), "{times:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_may_have_no_records_and_still_has_the_counts() {
    let upstream = Upstream::start().await;
    let folder = Folder::new();
    let mut process = Running::start(&folder.write("countersign.yaml", conf(&upstream, "audit: { to: nowhere }"))).await;
    process.ready().await;
    assert_eq!(process.ask(GET).await.status, 200);
    assert_eq!(process.ask(NOWHERE).await.status, 404);
    process.counts("countersign_audit_dropped_total 0\n").await;
    process.counts("countersign_decisions_total{rule=\"open\"").await;
    process.says("nobody will know who was let in", 1).await;
    // All that will ever be written has been, once it has ended.
    process.signal("TERM");
    assert_eq!(process.ended(PATIENCE).await.expect("it drains").code(), Some(0));
    assert_eq!(process.records(), "", "nothing is written");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_taken_until_the_load_balancer_has_noticed() {
    let upstream = Upstream::start().await;
    let folder = Folder::new();
    let path = folder.write("countersign.yaml", conf(&upstream, "drain_delay: 5s\ngrace: 10m"));
    let mut process = Running::start(&path).await;
    process.ready().await;
    let mut kept = Client::connect(process.address).await;
    kept.send(GET).await;
    assert!(!kept.answer().await.closes(), "a connection is used again");
    process.signal("TERM");
    process.says("draining", 1).await;
    assert_eq!(process.admin("/readyz").await.status, 503, "the load balancer is told");
    for request in [GET, NOWHERE] {
        let answer = process.ask(request).await;
        assert!(answer.closes(), "{request:?}: {answer:?}");
    }
    kept.send(GET).await;
    let answer = kept.answer().await;
    assert!(answer.status == 200 && answer.closes(), "who was there already is sent away well: {answer:?}");
    assert_eq!(process.ended(PATIENCE).await.expect("it ends once the delay is over").code(), Some(0));
    assert_eq!(upstream.hits(), 3, "all of it was done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_house_is_told() {
    let upstream = Upstream::start().await;
    let folder = Folder::new();
    let process = Running::start(&folder.write("countersign.yaml", conf(&upstream, "limits: { connections: 3 }"))).await;
    process.ready().await;
    process.counts("countersign_connections_cap 3\n").await;
    let mut inside = Vec::new();
    for _ in 0..3 {
        process.counts("countersign_connections_refused_total{reason=\"total_cap\"} 0\n").await;
        let mut client = Client::connect(process.address).await;
        client.send(GET).await;
        assert_eq!(client.answer().await.status, 200);
        inside.push(client);
    }
    process.counts("countersign_connections_refused_total{reason=\"total_cap\"} 1\n").await;
    process.says("total_cap", 1).await;
    let mut outside = Client::connect(process.address).await;
    outside.send(GET).await;
    assert!(outside.is_silent(Duration::from_millis(200)).await, "the next one waits");
    inside.clear();
    assert_eq!(outside.answer().await.status, 200, "until somebody leaves");
    assert_eq!(process.log().matches("total_cap").count(), 1, "told once, not for every place");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_descriptors_are_told_at_the_start() {
    let upstream = Upstream::start().await;
    let folder = Folder::new();
    // Descriptors, connections, whether it is told.
    for (allowed, connections, told) in [(256, 128, false), (256, 129, true)] {
        let more = format!("limits: {{ connections: {connections}, connections_per_address: {connections} }}");
        let path = folder.write("countersign.yaml", conf(&upstream, &more));
        let process = Running::start_with_descriptors(allowed, &path).await;
        assert_eq!(process.log().contains("RLIMIT_NOFILE"), told, "{allowed} for {connections}: {}", process.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_for_state_that_cannot_be_written_to_is_told() {
    let upstream = Upstream::start().await;
    let folder = Folder::new();
    folder.write("file", "no folder");
    let told = |path: &std::path::Path| {
        let out = binary().args(["check", "-c"]).arg(path).output().unwrap();
        (out.status.code(), String::from_utf8(out.stdout).unwrap())
    };
    let state = |at: &str| format!("state: {{ embedded: {{ path: {at}/countersign.redb }} }}");
    for (at, costs) in [("file/state", true), ("new", false), ("new/deep/down", false), (".", false)] {
        let path = folder.write("countersign.yaml", conf(&upstream, &state(at)));
        let (code, said) = told(&path);
        assert_eq!((code, said.contains("folder of `state`")), (Some(0), costs), "{at}: {said}");
        assert_eq!(said.contains("file`: not a folder): no revocation can be kept"), costs, "{at}: what stands in the way: {said}");
    }
    let path = folder.write("countersign.yaml", conf(&upstream, &state("file/state")));
    let process = Running::start(&path).await;
    process.says("state has no place", 1).await;

    let (name, key) = scheme_ticket::KEY_FILE;
    folder.write(name, key);
    let path = folder.write("countersign.yaml", format!("{}{}\n", scheme_ticket::conf(&upstream), state("file/state")));
    let (code, said) = told(&path);
    assert!(code == Some(0) && said.contains("file`: not a folder): this conf rests on it"), "{said}");
    let out = binary().args(["run", "-c"]).arg(&path).output().unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.code() == Some(1) && said.contains("file/state") && said.contains("names another place"), "{said}");
}

/// What is shipped for deployment keeps its state where the deployment lets it, and is killed later than it ends by itself.
#[test]
fn what_is_shipped_for_deployment_can_run_there() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    let whole = |place: &str, name: &str| -> u64 {
        let text = std::fs::read_to_string(root.join(place)).unwrap();
        let line = text.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_else(|| panic!("{place} lacks {name}"));
        line.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap()
    };
    let rows = [
        ("systemd", "systemd/countersign.service", "TimeoutStopSec="),
        ("compose", "compose/compose.yaml", "stop_grace_period:"),
        ("kubernetes", "kubernetes/countersign.yaml", "terminationGracePeriodSeconds:"),
    ];
    for (place, manifest, kills_after) in rows {
        let plan =
            live::read(&root.join(place).join("conf/countersign.yaml"), &Machine).unwrap_or_else(|faults| panic!("{place}: {faults:?}"));
        assert_eq!(plan.state.folder(), Some(std::path::Path::new("/var/lib/countersign")), "{place}");
        let ends_within = plan.drain_delay + plan.grace + Duration::from_secs(4);
        assert!(ends_within <= Duration::from_secs(whole(manifest, kills_after)), "{place}: {ends_within:?}");
    }
    let manifest = std::fs::read_to_string(root.join("kubernetes/countersign.yaml")).unwrap();
    assert!(manifest.contains("replicas: 1") && manifest.contains("type: Recreate"), "one store, so never two at once");
}
