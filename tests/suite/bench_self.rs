//! `countersign bench --self` over schemes whose issuers are asked about every credential: their stand-ins, and that whoever lets a
//! forged credential through is found out.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use countersign::ambient::{Monotonic, SystemRandom, WallClock};
use countersign::config::document::Document;
use countersign::demo::certificate::Certificate;
use countersign::demo::issuer::DemoIssuer;
use countersign::demo::stand::{self, Stand};
use countersign::domain::Clock;
use countersign::loadtest::driver::connection::Marker;
use countersign::loadtest::driver::run::{Range, Tools};
use countersign::loadtest::fresh::farm::{Farm, Hosts};
use countersign::loadtest::fresh::inquiries::Inquiries;
use countersign::loadtest::fresh::keyring::Holder;
use countersign::loadtest::fresh::lanes::{Lanes, Means};
use countersign::loadtest::fresh::rewrite::rewritten;
use countersign::loadtest::fresh::sections::{Grounds, freshened};
use countersign::loadtest::fresh::sessions::kept;
use countersign::loadtest::fresh::store::DrillStore;
use countersign::loadtest::fresh::vault::Vault;
use countersign::loadtest::lane::Outcome;
use countersign::loadtest::mix::{Kind, Mix};
use countersign::loadtest::target::Target;
use serde_json::Value;

use crate::support::child::binary;
use crate::support::whole::Folder;

/// Confs of `conf/`, and of each the lanes that ask somebody about every credential, or the store, with their schemes.
const ASKING: [(&str, &[(&str, &str)]); 7] = [
    (
        "systems/hat.yaml",
        &[
            ("clients · client", "hat"),
            ("clients · visitor", "hat"),
            ("plug · plugging", "hat"),
            ("hat · other", "hat"),
            ("hat · owner", "hat"),
            ("minting · owner", "hat"),
            ("pages · member", "session"),
        ],
    ),
    ("examples/hat_token.yaml", &[("feed · user", "hat")]),
    ("examples/issuer_key.yaml", &[("all · owner", "jwt")]),
    ("examples/token_check.yaml", &[("all · member", "token_check")]),
    ("examples/server_key_lookup.yaml", &[("all · partner", "server_key")]),
    ("examples/hat_callback.yaml", &[("site · member", "session")]),
    ("demo.yaml", &[("holders · holder", "token_check"), ("site · visitor", "session")]),
];

fn conf(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conf").join(name)
}

async fn bench(folder: &Path, arguments: Vec<String>) -> Output {
    let mut command = binary();
    command.arg("bench").args(arguments).current_dir(folder);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_must_be_asked_about_credentials_has_a_stand_in() {
    let folder = Folder::new();
    for (name, wanted) in ASKING {
        let path = conf(name);
        let base = ["--self", "-c", path.to_str().unwrap(), "--requests", "600", "--warmup", "0s", "--callers", "3", "--connections", "4"];
        let more = ["--mix", "good=1,expired=1,forged=1,absent=1", "--duration", "60s", "--json"];
        let output = bench(folder.path(), base.iter().chain(&more).map(|part| (*part).to_owned()).collect()).await;
        assert_eq!(output.status.code(), Some(0), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["result"]["errors"], 0, "{name}");
        let lanes = report["result"]["lanes"].as_array().unwrap();
        for (lane, scheme) in wanted {
            let found = lanes.iter().find(|each| each["name"] == *lane);
            let found = found.unwrap_or_else(|| panic!("{name}: `{lane}` is missing: {}", report["left_out"]));
            assert_eq!(found["scheme"], *scheme, "{name}: {lane}");
            let sent: BTreeSet<&str> = found["kinds"].as_array().unwrap().iter().map(|kind| kind["kind"].as_str().unwrap()).collect();
            assert_eq!(sent, ["absent", "expired", "forged", "good"].into(), "{name}: {lane}");
            for kind in found["kinds"].as_array().unwrap() {
                assert!(kind["verdicts"]["right"].as_u64() > Some(0), "{name}: each kind was sent: {kind}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_build_is_trained_on_is_a_conf_whose_every_way_in_is_loaded() {
    let (folder, path) = (Folder::new(), Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/training.yaml"));
    let arguments = ["--self", "-c", path.to_str().unwrap(), "--requests", "600", "--warmup", "0s", "--callers", "3", "--json"];
    let output = bench(folder.path(), arguments.map(str::to_owned).to_vec()).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let lanes: BTreeSet<&str> = report["result"]["lanes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|lane| lane["name"].as_str().unwrap().split(' ').next().unwrap())
        .collect();
    assert_eq!(lanes, ["es256", "es256-cold", "gigya", "partner", "rs256", "rs256-cold", "ticket"].into());
}

/// A conf as it is put under load, and somebody in place of the proxy who forwards whatever comes, or what is said to be good.
struct Gullible {
    range: Range,
    _stands: (Stand, Inquiries, Option<Farm>, Arc<DemoIssuer>, Folder),
}

impl Gullible {
    async fn with(name: &str) -> Self {
        let folder = Folder::new();
        let path = conf(name);
        let document = Document::read(name, &std::fs::read(&path).unwrap()).unwrap_or_else(|_| panic!("{name} is no conf"));
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let issuer = Arc::new(DemoIssuer::start(any).await.unwrap());
        let inquiries = Inquiries::start(any).await.unwrap();
        let random = Arc::new(SystemRandom);
        let mut vault = Vault::new(folder.path(), random.clone());
        let tree = rewritten(&document.root, path.parent().unwrap(), "http://127.0.0.1:9", &mut vault).unwrap();
        let hosts = Some(Hosts::of(&tree)).filter(|hosts| !hosts.is_empty());
        let farm = match hosts {
            Some(hosts) => Some(Farm::start(hosts, any, Arc::new(WallClock)).await.unwrap()),
            None => None,
        };
        let mut grounds = Grounds {
            upstream: "http://127.0.0.1:9",
            issuer: &issuer,
            inquiries: &inquiries,
            farm: farm.as_ref(),
            vault: &mut vault,
            now: WallClock.now(),
            disk: false,
            threads: None,
        };
        let mut fresh = freshened(tree, &mut grounds).unwrap();
        let marker = Marker { name: "x-behind".parse().unwrap(), value: "yes".parse().unwrap() };
        let mark = marker.clone();
        let proxy = Stand::listen(any, move |_| {
            let mut answer = stand::plain(200, "text/plain", "");
            answer.headers_mut().insert(mark.name.clone(), mark.value.clone());
            std::future::ready(Some(answer))
        })
        .await
        .unwrap();
        let target = Target::at(proxy.address());
        let mut means = Means {
            keyring: std::mem::take(&mut fresh.keyring),
            issuer: Some(Arc::clone(&issuer)),
            scopes: fresh.scopes,
            claims: Vec::new(),
            callers: 3,
            mix: Mix::default(),
            authority: target.authority.clone(),
            headers: Vec::new(),
            random,
        };
        let now = WallClock.now();
        let sessions = kept(&fresh.conf, &means, Vec::new(), &DrillStore::new(now), (3, now)).await.unwrap();
        for (name, cookies) in sessions.cookies {
            means.keyring.hold(&name, Holder::Sessions(Arc::new(cookies)));
        }
        let lanes = Lanes::of(&fresh.conf, &means, &[]).lanes;
        let range = Range { target, lanes, bare: None, marker: Some(marker) };
        Self { range, _stands: (proxy, inquiries, farm, issuer, folder) }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_forwards_what_must_be_refused_is_found_out_in_every_lane() {
    let tools = Tools { clock: Arc::new(WallClock), stopwatch: Arc::new(Monotonic::start()) };
    for (name, wanted) in ASKING {
        let gullible = Gullible::with(name).await;
        for (lane, _) in wanted {
            let index = gullible.range.lanes.iter().position(|each| *each.name == **lane);
            let index = index.unwrap_or_else(|| panic!("{name}: there is no lane `{lane}`"));
            for (arm, held) in gullible.range.lanes[index].arms.iter().enumerate() {
                let proof = gullible.range.prove(index, arm, Duration::from_secs(10), &tools).await.unwrap();
                let expected = if held.kind == Kind::Good { Outcome::Right } else { Outcome::LetThrough };
                assert_eq!(proof.outcome, expected, "{name}: {lane}: {}", held.kind.name());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_proxy_grants_itself_and_keeps_on_disk_is_put_under_load() {
    let folder = Folder::new();
    let path = conf("demo.yaml");
    let base =
        ["--self", "-c", path.to_str().unwrap(), "--disk", "--requests", "200", "--mix", "good=2,expired=1,forged=1,replayed=1,absent=1"];
    let rules = ["60s", "--rule", "tickets", "--rule", "login", "--rule", "downloads", "--rule", "site"];
    let output = bench(folder.path(), base.iter().chain(&SHORT).chain(&rules).map(|part| (*part).to_owned()).collect()).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["result"]["errors"], &report["result"]["verdicts"]["right"]), (&0.into(), &200.into()));
    assert!(report["notes"].to_string().contains("state is kept on disk"), "{}", report["notes"]);
    let good = |lane: &str| {
        let lanes = report["result"]["lanes"].as_array().unwrap();
        let found = lanes.iter().find(|each| each["name"] == lane).unwrap_or_else(|| panic!("`{lane}` is missing: {}", report["left_out"]));
        let kinds = found["kinds"].as_array().unwrap();
        kinds.iter().find(|kind| kind["kind"] == "good").unwrap()["statuses"].as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(good("tickets · partner"), ["201"], "a ticket each");
    assert_eq!(good("login · user"), ["204"], "a session each");
    assert_eq!(good("downloads · pass"), ["200"], "what was spent is remembered on disk");
    let forwarded: u64 = ["downloads · pass", "site · visitor"]
        .iter()
        .map(|lane| {
            let lanes = report["result"]["lanes"].as_array().unwrap();
            let found = lanes.iter().find(|each| each["name"] == *lane).unwrap();
            found["kinds"].as_array().unwrap().iter().find(|kind| kind["kind"] == "good").unwrap()["verdicts"]["right"].as_u64().unwrap()
        })
        .sum();
    let samples = |side: &str| report["result"]["with"][side]["samples"].as_u64().unwrap();
    assert_eq!(samples("warm") + samples("cold"), forwarded, "what is served is not held against what is forwarded");
}

/// What every short run on the demo's conf begins with.
const SHORT: [&str; 8] = ["--warmup", "0s", "--callers", "3", "--connections", "4", "--json", "--duration"];

#[tokio::test(flavor = "multi_thread")]
async fn half_of_saturation_is_found_and_what_authenticating_costs_there_is_a_ratio() {
    let folder = Folder::new();
    let path = conf("demo.yaml");
    let base = ["--self", "-c", path.to_str().unwrap(), "--rule", "users", "--rate", "half", "--html", "report.html"];
    let budget = ["2s", "--budget", "p99_ratio>0,p50_ratio<1000,p99_cold_ratio>0,errors==0"];
    let output = bench(folder.path(), base.iter().chain(&SHORT).chain(&budget).map(|part| (*part).to_owned()).collect()).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (saturation, rate) = (report["saturation"]["rate"].as_f64().unwrap(), report["plan"]["rate"].as_f64().unwrap());
    assert_eq!(report["plan"]["pace"], "open", "latency counts from the moment a request was due");
    assert!((saturation / 2.0 - rate).abs() < 1e-6, "{rate} is half of {saturation}");
    let result = &report["result"];
    assert!(result["rate"].as_f64().unwrap() < saturation * 0.75, "and half of it is what was sent: {}", result["rate"]);
    let (with, without) = (&result["with"]["warm"]["p99"], &result["without"]["latency"]["p99"]);
    let expected = with.as_f64().unwrap() / without.as_f64().unwrap();
    assert!((result["ratio"]["warm"]["p99"].as_f64().unwrap() - expected).abs() < 1e-9, "{with} by {without}");
    assert_eq!(result["with"]["cold"]["samples"], 3, "everyone has come anew since saturation was sought");
    let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(page.contains("Saturation: ") && page.contains("with / without, warm"), "the page tells both");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_let_through_while_saturation_is_sought_fails_the_test() {
    let folder = Folder::new();
    folder.write(
        "requests.jsonl",
        "{\"target\":\"/a\",\"headers\":{\"x-key\":\"good\"}}\n{\"kind\":\"forged\",\"target\":\"/a\",\"headers\":{\"x-key\":\"bad\"}}\n",
    );
    let asked = Arc::new(AtomicUsize::new(0));
    let nodding = move |request: http::Request<bytes::Bytes>| {
        // Tired for a moment, soon after the beginning.
        let tired = (20..30).contains(&asked.fetch_add(1, Ordering::SeqCst));
        let good = request.headers().get("x-key").is_some_and(|key| key == "good");
        std::future::ready(Some(stand::plain(if good || tired { 200 } else { 401 }, "text/plain", "")))
    };
    let proxy = Stand::listen("127.0.0.1:0".parse().unwrap(), nodding).await.unwrap();
    let url = proxy.origin();
    let base = ["--url", &url, "--credentials", "requests.jsonl", "--mix", "good=1,forged=1", "--rate", "half"];
    let output = bench(folder.path(), base.iter().chain(&SHORT).chain(&["1s"]).map(|part| (*part).to_owned()).collect()).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("let through while saturation was sought") && said.contains("forged"), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["result"]["verdicts"]["let_through"], 0, "although the load itself was as it must be");
}

#[tokio::test(flavor = "multi_thread")]
async fn load_comes_as_the_first_listener_takes_it() {
    const TLS: &str = "listeners: [{ address: 127.0.0.1:8443, tls: { certificate: own.pem, key: own.key } }]";
    let folder = Folder::new();
    let demo = std::fs::read_to_string(conf("demo.yaml")).unwrap();
    let plain = "listeners: [{ address: 127.0.0.1:8080 }]";
    assert!(demo.contains(plain));
    let old = plain.replace(" }]", ", h2: false }]");
    let cases = [
        // listeners, arguments, protocol or part of the reason, what the row shows
        (TLS, vec![], Ok("HTTP/1.1 over TLS"), "a certificate that is not there is not read, and TLS is spoken"),
        (TLS, vec!["--http2"], Ok("HTTP/2 over TLS"), "by ALPN"),
        (plain, vec!["--http2"], Ok("HTTP/2 in plaintext"), "with prior knowledge"),
        (&old, vec!["--http2"], Err("h2: false"), "a listener that speaks none"),
    ];
    for (listeners, more, expected, shows) in cases {
        let path = folder.write("countersign.yaml", demo.replace(plain, listeners));
        let base = ["--self", "-c", path.to_str().unwrap(), "--requests", "300", "--mix", "good=1,expired=1,forged=1,replayed=1,absent=1"];
        let output =
            bench(folder.path(), base.iter().chain(&SHORT).chain(&["60s"]).chain(&more).map(|part| (*part).to_owned()).collect()).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        match expected {
            Err(part) => assert!(output.status.code() == Some(1) && said.contains(part), "{shows}: {said}"),
            Ok(protocol) => {
                assert_eq!(output.status.code(), Some(0), "{shows}: {said}");
                let report: Value = serde_json::from_slice(&output.stdout).unwrap();
                assert!(report["conf"]["protocol"].as_str().unwrap().starts_with(protocol), "{shows}: {}", report["conf"]);
                let counts = (&report["result"]["errors"], &report["result"]["verdicts"]["right"], &report["result"]["connections_opened"]);
                assert_eq!(counts, (&0.into(), &300.into(), &4.into()), "{shows}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_over_tls_is_believed_by_its_certificate_alone() {
    let folder = Folder::new();
    folder.write("requests.jsonl", "{\"target\":\"/a\"}\n");
    let (certificate, other) = (Certificate::fresh(&["127.0.0.1"]).unwrap(), Certificate::fresh(&["127.0.0.1"]).unwrap());
    folder.write("own.pem", &certificate.pem);
    folder.write("other.pem", &other.pem);
    let answer = |_| std::future::ready(Some(stand::plain(200, "text/plain", "")));
    let proxy = Stand::listen_tls("127.0.0.1:0".parse().unwrap(), certificate.config, answer).await.unwrap();
    let url = format!("https://{}", proxy.address());
    for (ca, code, shows) in [("own.pem", 0, "its own"), ("other.pem", 1, "another of the same name")] {
        let base = ["--url", &url, "--ca", ca, "--credentials", "requests.jsonl", "--mix", "good=1", "--requests", "50"];
        let output = bench(folder.path(), base.iter().chain(&SHORT).chain(&["1s"]).map(|part| (*part).to_owned()).collect()).await;
        assert_eq!(output.status.code(), Some(code), "{shows}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
