//! Reloads within a process, and the process itself: signals, watched files, exit codes, the admin listener.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::scheme_ticket;
use crate::support::child::{Running, binary};
use crate::support::raw::{Client, PATIENCE};
use crate::support::rows::{PEPPER, base64, row, server_key};
use crate::support::upstream::{Reply, Upstream, ok};
use crate::support::whole::{Folder, Whole};

/// A conf with one rule for `path`.
fn conf(upstream: &Upstream, path: &str) -> String {
    format!(
        r"
listeners: [{{ address: 127.0.0.1:0 }}]
admin: {{ address: 127.0.0.1:0 }}
upstreams: {{ app: http://{} }}
rules:
  - {{ name: open, match: {{ paths: [{path}] }}, authenticate: none, forward: app }}
",
        upstream.address
    )
}

/// The value of the one sample of `name`.
fn metric(exposition: &str, name: &str) -> String {
    let line = exposition.lines().find(|line| line.starts_with(name) && !line.starts_with('#')).unwrap_or_else(|| panic!("no {name}"));
    line.rsplit(' ').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_conf_takes_over_and_a_bad_one_changes_nothing() {
    let upstream = Upstream::start().await;
    let whole = Whole::start(&conf(&upstream, "/old"), &[]).await;
    let status = async |path: &str| whole.ask("GET", path, &[]).await.status;
    assert_eq!((status("/old").await, status("/new").await), (200, 404));

    whole.reload(&conf(&upstream, "/new")).await.unwrap();
    assert_eq!((status("/old").await, status("/new").await), (404, 200), "the new conf is in force");
    assert_eq!(metric(&whole.process.exposition(), "countersign_config_generation"), "2");
    assert_eq!(metric(&whole.process.exposition(), "countersign_config_last_reload_success"), "1");

    let refused = [
        (conf(&upstream, "/old").replace("paths", "path"), "path", "an unknown key"),
        (conf(&upstream, "/old").replace("forward: app", "forward: nowhere"), "nowhere", "an unknown name"),
        ("rules: [".to_owned(), "", "not YAML"),
        (String::new(), "", "nothing"),
        (conf(&upstream, "/old").replacen("127.0.0.1:0", "127.0.0.2:0", 1), "needs_restart", "another listener"),
        (conf(&upstream, "/old").replace("admin: { address: 127.0.0.1:0 }", ""), "needs_restart", "no admin"),
        (format!("{}\nthreads: 7\n", conf(&upstream, "/old")), "needs_restart", "other threads"),
        (format!("{}\nstate: {{ memory: {{ capacity: 2000 }} }}\n", conf(&upstream, "/old")), "needs_restart", "another state"),
    ];
    for (yaml, says, shows) in refused {
        let fault = whole.reload(&yaml).await.expect_err(shows);
        assert!(fault.contains(says) && fault.contains("countersign.yaml:"), "{shows}: {fault}");
        assert_eq!((status("/old").await, status("/new").await), (404, 200), "{shows}: nothing changed");
        assert_eq!(metric(&whole.process.exposition(), "countersign_config_generation"), "2", "{shows}");
        assert_eq!(metric(&whole.process.exposition(), "countersign_config_last_reload_success"), "0", "{shows}");
    }
    whole.reload(&conf(&upstream, "/old")).await.unwrap();
    assert_eq!((status("/old").await, status("/new").await), (200, 404), "and the next good one takes over");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_ends_under_the_conf_it_began_under() {
    let (events, receiver) = mpsc::channel::<Bytes>(8);
    let receiver = Mutex::new(Some(receiver));
    let upstream = Upstream::scripted(move |_| receiver.lock().take().map_or_else(|| ok("later"), Reply::Stream)).await;
    let whole = Whole::start(&conf(&upstream, "/old"), &[]).await;
    let mut client = whole.client().await;
    client.send("GET /old HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.head().await.unwrap().status, 200);
    events.send("one".into()).await.unwrap();
    assert_eq!(client.chunk().await.unwrap(), "one");

    whole.reload(&conf(&upstream, "/new")).await.unwrap();
    events.send("two".into()).await.unwrap();
    assert_eq!(client.chunk().await.unwrap(), "two", "it goes on");
    drop(events);
    assert_eq!(client.chunk().await, None, "and ends well");
    client.send("GET /old HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 404, "the next on the same connection is judged anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_reloads_under_load_fail_no_request() {
    let upstream = Upstream::start().await;
    let lines = server_key("acme", "s3cret", "");
    let yaml = format!(
        r"
listeners: [{{ address: 127.0.0.1:0 }}]
upstreams: {{ app: http://{} }}
keys: {{ partners: {{ server_keys: {{ file: partners.jsonl, pepper: {{ file: pepper }} }} }} }}
authenticators: {{ partner: {{ server_key: {{ keys: partners }} }} }}
rules:
  - {{ name: open, match: {{ paths: [/**] }}, authenticate: partner, forward: app }}
",
        upstream.address
    );
    let broken = yaml.replace("forward: app", "forward: nowhere");
    let whole = Arc::new(Whole::start(&yaml, &[("partners.jsonl", lines.as_bytes()), ("pepper", PEPPER)]).await);
    whole.ready().await;
    let (done, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut load = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (done, served, address) = (Arc::clone(&done), Arc::clone(&served), whole.address());
        load.spawn(async move {
            let request = format!("GET /x HTTP/1.1\r\nHost: a\r\nServer-Key: {}\r\n\r\n", base64("acme:s3cret"));
            let mut client = Client::connect(address).await;
            while !done.load(Ordering::Relaxed) {
                client.send(&request).await;
                assert_eq!(client.answer().await.status, 200);
                served.fetch_add(1, Ordering::Relaxed);
                // Leaves the machine to the reloads; nothing depends on how long.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
    }
    for round in 0..200 {
        let good = round % 2 == 0;
        let before = served.load(Ordering::Relaxed);
        assert_eq!(whole.reload(if good { &yaml } else { &broken }).await.is_ok(), good, "round {round}");
        if round % 20 == 0 {
            crate::support::upstream::eventually("load between reloads", || before + 4 < served.load(Ordering::Relaxed)).await;
        }
    }
    done.store(true, Ordering::Relaxed);
    while let Some(ended) = load.join_next().await {
        ended.unwrap();
    }
    assert!(40 < served.load(Ordering::Relaxed), "there was load: {}", served.load(Ordering::Relaxed));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_an_issuer_outlive_a_reload_that_does_not_concern_them() {
    const RELOADS: usize = 10;
    let upstream = Upstream::start().await;
    let issuer = Upstream::scripted(|_| ok(r#"{"active":true,"sub":"anna"}"#)).await;
    let yaml = |rule: &str, outbound: &str| {
        format!(
            r#"
listeners: [{{ address: 127.0.0.1:0 }}]
outbound: {{ resolve: {{ {outbound} }} }}
upstreams: {{ app: http://{} }}
authenticators:
  opaque: {{ introspection: {{ endpoint: "http://{}/ask", client_id: us, client_secret: {{ file: secret }}, issuer: "https://id.example" }} }}
rules:
  - {{ name: {rule}, match: {{ paths: [/**] }}, authenticate: opaque, forward: app }}
"#,
            upstream.address, issuer.address
        )
    };
    let same = "other.example: 127.0.0.1:9";
    let whole = Whole::start(&yaml("first", same), &[("secret", b"0123456789abcdef")]).await;
    let ask = async |number: usize| {
        let token = format!("Bearer opaque-token-{number:016}");
        assert_eq!(whole.ask("GET", "/x", &[("Authorization", &token)]).await.status, 200, "{number}");
        assert_eq!(issuer.hits(), number + 1, "each token is asked about");
    };
    for number in 0..RELOADS {
        ask(number).await;
        whole.reload(&yaml(&format!("rule-{number}"), same)).await.unwrap();
    }
    // Not exactly one: a connection may still be on its way back when the next question needs one.
    let kept = issuer.connections();
    assert!(kept <= RELOADS / 3, "{kept} connections for {RELOADS} questions with a reload after each");
    for number in RELOADS..2 * RELOADS {
        whole.reload(&yaml("first", &format!("other-{number}.example: 127.0.0.1:9"))).await.unwrap();
        ask(number).await;
    }
    assert_eq!(issuer.connections(), kept + RELOADS, "another `outbound` is another client, with connections of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_ticket_stays_spent_across_a_reload() {
    let upstream = Upstream::start().await;
    let yaml = scheme_ticket::conf(&upstream);
    let whole = Whole::start(&yaml, &[scheme_ticket::KEY_FILE]).await;
    whole.ready().await;
    let (spent, fresh) = (scheme_ticket::single_use(), scheme_ticket::single_use());
    row("spent", "/once/x").bearer(&spent).passes("anna").run(&whole, &upstream).await;
    whole.reload(&yaml.replace("name: pass", "name: renamed")).await.unwrap();
    row("still spent", "/once/x").bearer(&spent).refused(401, "replayed").run(&whole, &upstream).await;
    row("others are not", "/once/x").bearer(&fresh).passes("anna").run(&whole, &upstream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_reloads_drains_and_ends_when_it_is_told_to() {
    let (events, receiver) = mpsc::channel::<Bytes>(8);
    let receiver = Mutex::new(Some(receiver));
    let upstream = Upstream::scripted(move |seen| match seen.target() {
        "/slow" => receiver.lock().take().map_or_else(|| ok("later"), Reply::Stream),
        _ => ok("ok"),
    })
    .await;
    let folder = Folder::new();
    let path = folder.write("countersign.yaml", conf(&upstream, "/old"));
    let mut process = Running::start(&path).await;
    process.ready().await;
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(process.ask(get("/old")).await.status, 200);
    assert_eq!(process.admin("/livez").await.status, 200);
    process.counts("countersign_decisions_total{").await;
    assert_eq!(process.admin("/other").await.status, 404);
    for (extra, shows) in [(None, "ready"), (Some("--live"), "alive")] {
        let out = binary().args(["health", "--address", &process.admin.to_string()]).args(extra).output().unwrap();
        assert_eq!((out.status.code(), String::from_utf8_lossy(&out.stdout).trim()), (Some(0), shows));
    }

    folder.write("countersign.yaml", conf(&upstream, "/new, /slow"));
    process.signal("HUP");
    process.says("conf put in force", 1).await;
    assert_eq!((process.ask(get("/old")).await.status, process.ask(get("/new")).await.status), (404, 200), "SIGHUP reloads");
    folder.write("countersign.yaml", "rules: 7\n");
    process.signal("HUP");
    process.says("reload changed nothing", 1).await;
    assert_eq!(process.ask(get("/new")).await.status, 200, "a broken conf changes nothing");
    assert_eq!(metric(&process.admin("/metrics").await.text(), "countersign_config_last_reload_success"), "0");

    let mut client = Client::connect(process.address).await;
    client.send(get("/slow")).await;
    assert_eq!(client.head().await.unwrap().status, 200);
    process.signal("TERM");
    process.says("draining", 1).await;
    assert_eq!(process.admin("/readyz").await.status, 503, "the load balancer is told");
    assert_eq!(process.ended(Duration::from_millis(200)).await, None, "what is in flight may end");
    events.send("last".into()).await.unwrap();
    assert_eq!(client.chunk().await.unwrap(), "last");
    drop(events);
    assert_eq!(client.chunk().await, None);
    let status = process.ended(PATIENCE).await.expect("it ends by itself");
    assert_eq!(status.code(), Some(0));
    let records = process.recorded(5).await;
    assert_eq!(records.lines().count(), 5, "every request is in the record: {records}");
    let out = binary().args(["health", "--address", &process.admin.to_string()]).output().unwrap();
    assert_eq!(out.status.code(), Some(1), "nobody answers any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_end_in_time_is_cut_off() {
    let upstream = Upstream::scripted(|_| Reply::Silence).await;
    let folder = Folder::new();
    let path = folder.write("countersign.yaml", format!("{}grace: 1s\n", conf(&upstream, "/x")));
    let mut process = Running::start(&path).await;
    process.ready().await;
    let mut client = Client::connect(process.address).await;
    client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n").await;
    crate::support::upstream::eventually("the request is in flight", || upstream.hits() == 1).await;
    process.signal("TERM");
    assert_eq!(process.ended(PATIENCE).await.expect("it ends within its grace").code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_file_that_changes_is_read_again() {
    let upstream = Upstream::start().await;
    let folder = Folder::new();
    folder.write("partners.jsonl", server_key("acme", "s3cret", ""));
    folder.write("pepper", PEPPER);
    let path = folder.write(
        "countersign.yaml",
        format!(
            r"
listeners: [{{ address: 127.0.0.1:0 }}]
admin: {{ address: 127.0.0.1:0 }}
upstreams: {{ app: http://{} }}
keys: {{ partners: {{ server_keys: {{ file: partners.jsonl, pepper: {{ file: pepper }} }} }} }}
authenticators: {{ partner: {{ server_key: {{ keys: partners }} }} }}
rules:
  - {{ name: partner, match: {{ paths: [/**] }}, authenticate: partner, forward: app }}
",
            upstream.address
        ),
    );
    let process = Running::start(&path).await;
    process.ready().await;
    let with = |key: &str| format!("GET /x HTTP/1.1\r\nHost: a\r\nServer-Key: {}\r\n\r\n", base64(key));
    assert_eq!((process.ask(with("acme:s3cret")).await.status, process.ask(with("berta:other")).await.status), (200, 401));

    folder.write("partners.jsonl", server_key("berta", "other", ""));
    process.says("conf put in force", 1).await;
    assert_eq!((process.ask(with("acme:s3cret")).await.status, process.ask(with("berta:other")).await.status), (401, 200), "another file");

    let mut file = std::fs::OpenOptions::new().append(true).open(folder.path().join("partners.jsonl")).unwrap();
    std::io::Write::write_all(&mut file, b"\ngarbage\n").unwrap();
    process.says("reload changed nothing", 1).await;
    assert_eq!(process.ask(with("berta:other")).await.status, 200, "garbage in a key file changes nothing, though it was written in place");
}

#[test]
fn a_conf_that_cannot_be_used_is_told_with_its_place() {
    let folder = Folder::new();
    let path = folder.write(
        "bad.yaml",
        "listeners: [{ address: 127.0.0.1:0 }]\nupstreams: { app: http://127.0.0.1:9 }\nrules:\n  - { name: a, mtach: {} }\n",
    );
    for verb in ["run", "check"] {
        let out = binary().arg(verb).arg("-c").arg(&path).output().unwrap();
        assert_eq!(out.status.code(), Some(1), "{verb}");
        let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(said.contains("bad.yaml:4:") && said.contains("mtach"), "{verb}: {said}");
    }
    assert_eq!(binary().args(["run", "-c", "/nowhere/to/be/found.yaml"]).output().unwrap().status.code(), Some(1), "no conf");
    assert_eq!(binary().arg("run").output().unwrap().status.code(), Some(2), "usage");
    assert_eq!(binary().arg("walk").output().unwrap().status.code(), Some(2), "no such verb");
    assert_eq!(binary().arg("version").output().unwrap().status.code(), Some(0));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let conf = format!(
        "listeners: [{{ address: {} }}]\nupstreams: {{ app: http://127.0.0.1:9 }}\nrules:\n  - {{ name: a, match: {{ paths: [/] }}, authenticate: none, forward: app }}\n",
        taken.local_addr().unwrap()
    );
    let path = folder.write("taken.yaml", conf);
    let out = binary().arg("run").arg("-c").arg(&path).output().unwrap();
    assert_eq!(out.status.code(), Some(1), "a port in use");
    assert!(String::from_utf8_lossy(&out.stderr).contains(&taken.local_addr().unwrap().to_string()), "which is named");
}
