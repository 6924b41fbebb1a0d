//! `countersign bench` as it is typed: what it finds out, what it says, and how it ends.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use countersign::demo::stand::{self, Stand};
use serde_json::Value;

use crate::support::child::binary;
use crate::support::whole::Folder;

const SECRET: &str = "a-credential-that-nobody-may-see";

/// Runs `countersign bench` with `arguments` in `folder`.
async fn bench(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = binary();
    command.arg("bench").args(arguments).current_dir(folder);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn printed(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("not JSON; {}", complained(output)))
}

fn complained(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A proxy that refuses what is not called good, until it has been asked `patience` times; then it lets everyone in.
async fn gullible(patience: usize) -> Stand {
    let asked = Arc::new(AtomicUsize::new(0));
    let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Stand::listen(address, move |request| {
        let tired = patience <= asked.fetch_add(1, Ordering::SeqCst);
        let good = request.headers().get("authorization").is_some_and(|value| value.as_bytes() == b"Bearer good");
        std::future::ready(Some(stand::plain(if good || tired { 200 } else { 401 }, "text/plain", "")))
    })
    .await
    .unwrap()
}

/// Two requests: a good credential and a forged one.
fn requests(folder: &Folder) {
    let lines = format!(
        "{{\"lane\":\"users\",\"target\":\"/a\",\"headers\":{{\"authorization\":\"Bearer good\"}}}}\n\
         {{\"lane\":\"users\",\"kind\":\"forged\",\"target\":\"/a\",\"headers\":{{\"authorization\":\"Bearer {SECRET}\"}}}}\n"
    );
    folder.write("requests.jsonl", lines);
}

/// What every short load against a stand-in is started with.
fn short<'a>(url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let base = ["--url", url, "--credentials", "requests.jsonl", "--connections", "2", "--requests", "200", "--mix", "good=1,forged=1"];
    base.iter().copied().chain(more.iter().copied()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conf_is_put_under_load_with_keys_of_its_own_and_every_verdict_is_right() {
    let folder = Folder::new();
    let conf = root().join("conf/demo.yaml");
    let arguments = [
        "--self",
        "-c",
        conf.to_str().unwrap(),
        "--requests",
        "700",
        "--duration",
        "60s",
        "--warmup",
        "0s",
        "--connections",
        "4",
        "--callers",
        "3",
        "--mix",
        "good=2,expired=1,forged=1,replayed=1,absent=1",
        "--budget",
        "errors==0,let_through==0,requests==700,p99_added<60s",
        "--html",
        "report.html",
        "--json",
    ];
    let output = bench(folder.path(), &arguments).await;
    assert_eq!(output.status.code(), Some(0), "{}", complained(&output));
    let report = printed(&output);
    assert_eq!(report["passed"], true);
    let lanes = report["result"]["lanes"].as_array().unwrap();
    let schemes: BTreeSet<&str> = lanes.iter().map(|lane| lane["scheme"].as_str().unwrap()).collect();
    let expected = ["gigya", "introspection", "jwt", "jwt+server_key", "key_pair", "server_key", "session", "ticket", "token_check"];
    assert_eq!(schemes, expected.into(), "every scheme of the conf: {:?}", report["left_out"]);
    for lane in lanes {
        for kind in lane["kinds"].as_array().unwrap() {
            let verdicts = &kind["verdicts"];
            assert!(verdicts["right"].as_u64() > Some(0), "each kind was sent: {lane}");
            for wrong in ["let_through", "wrong", "undecided", "failed"] {
                assert_eq!(verdicts[wrong], 0, "{wrong}: {lane}");
            }
        }
    }
    let tickets = lanes.iter().find(|lane| lane["scheme"] == "ticket").unwrap();
    let kinds: Vec<&str> = tickets["kinds"].as_array().unwrap().iter().map(|kind| kind["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["good", "expired", "forged", "replayed", "absent"], "a ticket for one use is replayed too");
    let (with, without) = (&report["result"]["verdicts"], &report["result"]["without"]["verdicts"]);
    assert_eq!((with["right"].as_u64(), without["right"].as_u64()), (Some(700), Some(350)), "one of each pair goes without authentication");
    assert!(report["result"]["added"]["warm"]["p99"].is_i64(), "a measured difference: {}", report["result"]["added"]);
    assert_page(&std::fs::read_to_string(folder.path().join("report.html")).unwrap());
}

/// Holds `page` against what a page must be: well formed, without anything that runs or is fetched.
fn assert_page(page: &str) {
    for forbidden in ["<script", "javascript:", "src=", "href=", "url(", "@import", "onload", "onclick", "<iframe", "<link"] {
        assert!(!page.to_lowercase().contains(forbidden), "`{forbidden}` in a page that must be readable by itself");
    }
    assert!(page.starts_with("<!doctype html>") && page.contains("<svg") && page.contains("default-src 'none'"));
    let mut open: Vec<&str> = Vec::new();
    for tag in page.split('<').skip(2).map(|rest| rest.split('>').next().unwrap()) {
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed), "closed in the order of opening");
        } else if !tag.ends_with('/') && name != "meta" {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<&str>::new(), "everything is closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_credential_that_gets_through_fails_loudly_and_without_showing_it() {
    let folder = Folder::new();
    requests(&folder);
    let cases = [
        // requests before the proxy lets everyone in, whether the load had begun, what the row shows
        (0, false, "from the first request: the load is not even begun"),
        (50, true, "in the middle of the load"),
    ];
    for (patience, begun, shows) in cases {
        let proxy = gullible(patience).await;
        let output = bench(folder.path(), &short(&proxy.origin(), &["--json"])).await;
        let said = complained(&output);
        assert_eq!(output.status.code(), Some(1), "{shows}: {said}");
        assert!(said.contains("forged") && said.contains("users"), "{shows}: who it was is named: {said}");
        assert!(!said.contains(SECRET) && !String::from_utf8_lossy(&output.stdout).contains(SECRET), "{shows}: but not what they brought");
        assert_eq!(!output.stdout.is_empty(), begun, "{shows}");
        if begun {
            let report = printed(&output);
            assert_eq!(report["passed"], false, "{shows}");
            assert!(report["result"]["verdicts"]["let_through"].as_u64() > Some(0), "{shows}");
            assert_eq!(report["result"]["offenders"][0]["outcome"], "let_through", "{shows}: the worst first");
        }
    }
    let honest = gullible(usize::MAX).await;
    let output = bench(folder.path(), &short(&honest.origin(), &[])).await;
    assert_eq!(output.status.code(), Some(0), "and a proxy that refuses it passes: {}", complained(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_arguments_is_said_and_nothing_is_sent() {
    let folder = Folder::new();
    requests(&folder);
    folder.write("empty.jsonl", "");
    let asked = gullible(usize::MAX).await;
    let url = asked.origin();
    let demo = root().join("conf/demo.yaml");
    let demo = demo.to_str().unwrap();
    let taken = asked.address().to_string();
    let cases: [(Vec<&str>, i32, &str, &str); 28] = [
        // arguments, exit code, part of what is said, what the row shows
        (vec![], 2, "--self", "neither a conf nor a proxy"),
        (vec!["--self"], 2, "--conf", "no conf"),
        (vec!["--self", "-c", demo, "--url", &url], 2, "cannot be used with", "both"),
        (vec!["--self", "-c", "absent.yaml"], 1, "absent.yaml", "a conf that is not there"),
        (vec!["--self", "-c", demo, "--budget", "p99<fast"], 2, "no number", "a budget that is none"),
        (vec!["--self", "-c", demo, "--budget", "p98_added<1ms"], 2, "known: p50", "a figure that is none"),
        (vec!["--self", "-c", demo, "--mix", "bad=1"], 2, "known: good", "a kind that is none"),
        (vec!["--self", "-c", demo, "--drill", "earthquake"], 2, "key-rotation", "a drill that is none"),
        (vec!["--self", "-c", demo, "--connections", "0"], 1, "1 to 1000", "no connection"),
        (vec!["--self", "-c", demo, "--rate", "0"], 1, "more than 0", "no rate"),
        (vec!["--self", "-c", demo, "--duration", "2h"], 1, "3600s", "too long"),
        (vec!["--self", "-c", demo, "--rule", "nothing"], 1, "no rule of this name", "a rule that is none"),
        (vec!["--self", "-c", demo, "--rule", "health"], 1, "asks for no credential", "a rule that cannot be put under load"),
        (vec!["--url", &url], 1, "--credentials", "nothing to present"),
        (vec!["--url", &url, "--credentials", "absent.jsonl"], 1, "absent.jsonl", "requests that are not there"),
        (vec!["--url", &url, "--credentials", "empty.jsonl"], 1, "no request", "and none at all"),
        (vec!["--url", "http://192.0.2.1", "--credentials", "requests.jsonl"], 1, "--yes-remote", "another machine"),
        (vec!["--url", "https://127.0.0.1", "--credentials", "requests.jsonl"], 1, "trusted by", "TLS, and nobody to trust"),
        (vec!["--url", &url, "--credentials", "requests.jsonl", "--ca", "requests.jsonl"], 1, "trusted by", "whom to trust, and no TLS"),
        (vec!["--self", "-c", demo, "--rate", "most"], 2, "half", "a rate that is none"),
        (short(&url, &["--budget", "p99_added<1s"]), 1, "--bare", "a budget on what is not measured"),
        (short(&url, &["--drill", "reload"]), 2, "--self", "a drill with somebody else's proxy"),
        (short(&url, &["--service", &taken]), 1, "cannot be the service behind", "a service at an address that is taken"),
        (short(&url, &["--service", "127.0.0.1:0"]), 1, "does not pass: status 200", "a service that the proxy does not forward to"),
        (short(&url, &["--service", "127.0.0.1:0", "--marker", "a=b"]), 2, "cannot be used with", "marks of two services"),
        (vec!["--self", "-c", demo, "--credentials", "requests.jsonl"], 2, "cannot be used with", "requests of one's own besides ours"),
        (vec!["--self", "-c", demo, "--bare", "/health"], 2, "cannot be used with", "a path of one's own besides ours"),
        (vec!["--self", "-c", demo, "--service", "127.0.0.1:0"], 2, "cannot be used with", "a service of one's own besides ours"),
    ];
    for (arguments, code, part, shows) in cases {
        let output = bench(folder.path(), &arguments).await;
        assert_eq!(output.status.code(), Some(code), "{shows}: {}", complained(&output));
        assert!(complained(&output).contains(part), "{shows}: {}", complained(&output));
        assert!(output.stdout.is_empty(), "{shows}: no report of nothing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_decides_how_it_ends() {
    let folder = Folder::new();
    requests(&folder);
    let proxy = gullible(usize::MAX).await;
    let cases = [
        ("errors==0,requests==200", 0, "a budget that is met"),
        ("errors==0,requests<200", 1, "one condition that is not"),
        ("p50<0ns", 1, "what cannot be met"),
    ];
    for (budget, code, shows) in cases {
        let output = bench(folder.path(), &short(&proxy.origin(), &["--budget", budget])).await;
        assert_eq!(output.status.code(), Some(code), "{shows}: {}", complained(&output));
        assert_eq!(complained(&output).contains("over budget"), code == 1, "{shows}");
    }
}

/// The dotted paths of every member of `value`; of a list, those of its first item.
fn members(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(all) => {
            for (name, value) in all {
                let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                found.insert(path.clone());
                members(value, &path, found);
            }
        }
        Value::Array(items) => items.iter().take(1).for_each(|item| members(item, &format!("{at}[]"), found)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_of_its_json_is_stable() {
    let folder = Folder::new();
    requests(&folder);
    let proxy = gullible(usize::MAX).await;
    let output = bench(folder.path(), &short(&proxy.origin(), &["--json"])).await;
    let report = printed(&output);
    assert_eq!(report["schema"], "countersign-bench/1");
    let mut found = BTreeSet::new();
    members(&report, "", &mut found);
    let promised = [
        "schema",
        "version",
        "subject",
        "passed",
        "failures",
        "conf",
        "machine.cpus",
        "machine.build",
        "plan.pace",
        "plan.rate",
        "plan.connections",
        "plan.duration_ns",
        "plan.requests",
        "plan.compares",
        "plan.mix",
        "notes",
        "left_out",
        "drills",
        "budget",
        "result.elapsed_ns",
        "result.rate",
        "result.errors",
        "result.unsent",
        "result.connections_opened",
        "result.verdicts.right",
        "result.verdicts.let_through",
        "result.verdicts.wrong",
        "result.verdicts.undecided",
        "result.verdicts.failed",
        "result.with.warm.samples",
        "result.with.warm.p50",
        "result.with.warm.p90",
        "result.with.warm.p99",
        "result.with.warm.p99.9",
        "result.with.warm.p99.99",
        "result.with.warm.max",
        "result.with.cold.p99",
        "result.without.verdicts.right",
        "result.without.latency.p99",
        "result.added.warm",
        "result.added.cold",
        "result.spread",
        "result.slice_ns",
        "result.slices[].answers",
        "result.slices[].errors",
        "result.slices[].with",
        "result.slices[].without",
        "result.offenders",
        "result.lanes[].name",
        "result.lanes[].scheme",
        "result.lanes[].kinds[].kind",
        "result.lanes[].kinds[].verdicts.right",
        "result.lanes[].kinds[].statuses.200",
        "result.lanes[].kinds[].warm.p99",
        "result.lanes[].kinds[].cold.p99",
    ];
    let missing: Vec<&str> = promised.into_iter().filter(|path| !found.contains(*path)).collect();
    assert_eq!(missing, Vec::<&str>::new(), "whoever reads it relies on these");
}

/// A service that stands still once, for a second.
async fn stalling() -> Stand {
    let asked = Arc::new(AtomicUsize::new(0));
    let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Stand::listen(address, move |_| {
        let stalls = asked.fetch_add(1, Ordering::SeqCst) == 20;
        async move {
            if stalls {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Some(stand::plain(200, "text/plain", ""))
        }
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_load_charges_a_standstill_to_everyone_who_waited_for_it() {
    let folder = Folder::new();
    folder.write("requests.jsonl", "{\"target\":\"/a\"}\n");
    let arguments = |pace: &'static [&'static str], url: String| {
        let base = ["--url", &url, "--credentials", "requests.jsonl", "--connections", "1", "--json"].map(str::to_owned);
        base.into_iter().chain(pace.iter().map(|part| (*part).to_owned())).collect::<Vec<String>>()
    };
    let p90 = |report: &Value| Duration::from_nanos(report["result"]["with"]["warm"]["p90"].as_u64().unwrap());
    let run = async |pace| {
        let proxy = stalling().await;
        let arguments = arguments(pace, proxy.origin());
        printed(&bench(folder.path(), &arguments.iter().map(String::as_str).collect::<Vec<_>>()).await)
    };
    let open = run(&["--rate", "50", "--duration", "3s"]).await;
    assert_eq!(open["result"]["verdicts"]["right"], 150, "three seconds at fifty a second, none left out");
    // Fifty of the hundred and fifty were due while it stood still.
    assert!(Duration::from_millis(500) < p90(&open), "whoever was due meanwhile has waited: {:?}", p90(&open));
    let closed = run(&["--requests", "150", "--duration", "60s"]).await;
    assert!(p90(&closed) < Duration::from_millis(500), "a closed load does not know of them: {:?}", p90(&closed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_proxy_is_measured_with_a_key_that_was_handed_in() {
    use countersign::jose::algorithm::Algorithm;
    use countersign::jose::mint::SigningKey;

    let folder = Folder::new();
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    folder.write("issuer.pem", key.private_pem().unwrap().expose());
    folder.write("issuer.pub", key.public_pem().unwrap());
    // Free again at once: nothing stands behind the proxy but the load test itself.
    let service = gullible(0).await.address().to_string();
    let conf = format!(
        "listeners: [{{ address: 127.0.0.1:0 }}]\nadmin: {{ address: 127.0.0.1:0 }}\nupstreams: {{ app: 'http://{service}' }}\n\
         keys: {{ issuer: {{ pinned: {{ file: issuer.pub }} }} }}\n\
         authenticators: {{ user: {{ jwt: {{ issuer: https://id.example, audience: app, keys: issuer }} }} }}\n\
         governor: off\nstate: {{ memory: {{}} }}\n\
         rules:\n  - {{ name: open, match: {{ paths: [/open] }}, authenticate: none, forward: app }}\n\
         \x20 - {{ name: users, match: {{ paths: [/api/**] }}, authenticate: user, scopes: [read], forward: app }}\n",
    );
    let path = folder.write("countersign.yaml", conf);
    let running = crate::support::child::Running::start(&path).await;
    let url = format!("http://{}", running.address);
    let arguments = [
        "--url",
        &url,
        "-c",
        "countersign.yaml",
        "--signing-key",
        "user=issuer.pem",
        "--bare",
        "/open",
        "--service",
        &service,
        "--requests",
        "200",
        "--warmup",
        "0s",
        "--callers",
        "5",
        "--connections",
        "2",
        "--budget",
        "errors==0,p50_added<60s",
        "--json",
    ];
    let output = bench(folder.path(), &arguments).await;
    assert_eq!(output.status.code(), Some(0), "{}", complained(&output));
    let report = printed(&output);
    let kinds = report["result"]["lanes"][0]["kinds"].as_array().unwrap();
    assert_eq!(kinds.len(), 4, "good, expired, forged and absent: {kinds:?}");
    assert_eq!(report["result"]["verdicts"]["right"], 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_confs_of_the_systems_are_put_under_load_in_their_own_words() {
    let folder = Folder::new();
    let cases = [
        // system, lanes that must be among what was sent
        ("gigya", vec!["visits · visit", "tokens · id-token", "pages · member", "on-behalf · backend"]),
        ("janrain", vec!["clients · signed", "clients · basic"]),
        ("taptalk", vec!["backends · server", "chat · user"]),
        ("telematics", vec!["app · user", "registrations · backend", "registrations · account", "phones · user"]),
    ];
    for (system, wanted) in cases {
        let conf = root().join(format!("conf/systems/{system}.yaml"));
        let mut arguments = vec!["--self", "-c", conf.to_str().unwrap(), "--requests", "400", "--warmup", "0s", "--callers", "3"];
        arguments.extend(["--connections", "4", "--mix", "good=1,expired=1,forged=1,replayed=1,absent=1", "--duration", "60s", "--json"]);
        let output = bench(folder.path(), &arguments).await;
        assert_eq!(output.status.code(), Some(0), "{system}: {}", complained(&output));
        let report = printed(&output);
        let lanes: BTreeSet<&str> =
            report["result"]["lanes"].as_array().unwrap().iter().map(|lane| lane["name"].as_str().unwrap()).collect();
        for lane in wanted {
            assert!(lanes.contains(lane), "{system}: `{lane}` is missing: {:?}", report["left_out"]);
        }
        assert_eq!(report["result"]["errors"], 0, "{system}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_under_load_is_noticed_by_those_alone_who_need_it() {
    let folder = Folder::new();
    let conf = root().join("conf/demo.yaml");
    let mut arguments =
        vec!["--self", "-c", conf.to_str().unwrap(), "--requests", "200", "--warmup", "0s", "--callers", "3", "--connections", "4"];
    arguments.extend(["--drill", "store-down", "--drill", "reload", "--drill", "key-rotation", "--drill", "refresh-storm", "--json"]);
    let output = bench(folder.path(), &arguments).await;
    assert_eq!(output.status.code(), Some(0), "{}", complained(&output));
    let report = printed(&output);
    let drills = report["drills"].as_array().unwrap();
    for drill in drills {
        assert_eq!(drill["held"], true, "{}: {}", drill["name"], drill["faults"]);
        assert_eq!(drill["result"]["verdicts"]["let_through"], 0, "{}", drill["name"]);
    }
    let undecided = |name: &str| {
        let drill = drills.iter().find(|drill| drill["name"] == name).unwrap();
        drill["result"]["verdicts"]["undecided"].as_u64().unwrap()
    };
    assert!(0 < undecided("store-down"), "tickets for one use need the store, and it was away");
    assert_eq!((undecided("reload"), undecided("refresh-storm")), (0, 0), "nothing was missing in these");
}
