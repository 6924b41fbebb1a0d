//! Revocation through the running proxy: at once where it was told, within a second elsewhere, and what is open is cut.

mod redis;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use countersign::assembly::live;
use countersign::assembly::machine::Machine;
use countersign::demo::credentials::claims;
use countersign::domain::revocation::KEYED_SCHEMES;
use countersign::domain::{Burn, Outage, Timestamp};
use countersign::jose::algorithm::Algorithm;
use countersign::jose::mint::SigningKey;
use countersign::state::contract::{Burned, Cursor, Entry, Expect, Key, Page, StateStore, Written};
use countersign::state::memory::Memory;
use countersign::verify::SCHEMES;
use countersign::verify::keys::contract::KeyClass;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::child::{Running, binary};
use crate::support::raw::{Answer, Client};
use crate::support::rows::{PEPPER, base64, server_key};
use crate::support::upstream::{Reply, Upstream, eventually, ok};
use crate::support::whole::{Folder, NOW, Whole};

const ISSUER: &str = "https://id.example";
const TOKEN: &str = "an-admin-token-of-the-tests";
const UPGRADE: &str =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
/// In which every node that shares a store has heard: a second, and what a busy machine may take.
const HEARD: Duration = Duration::from_secs(5);

fn conf(upstream: &Upstream) -> String {
    format!(
        r"
listeners: [{{ address: 127.0.0.1:0 }}]
admin: {{ address: 127.0.0.1:0, token: {{ file: token }} }}
governor: off
upstreams: {{ app: http://{} }}
keys:
  issuer: {{ pinned: {{ file: issuer }} }}
  partners: {{ server_keys: {{ file: partners.jsonl, pepper: {{ file: pepper }} }} }}
authenticators:
  user: {{ jwt: {{ issuer: {ISSUER}, audience: app, keys: issuer }} }}
  partner: {{ server_key: {{ keys: partners }} }}
revocations: {{ file: revoked.jsonl }}
rules:
  - {{ name: open, match: {{ paths: [/open] }}, authenticate: {{ optional: user }}, forward: app }}
  - {{ name: both, match: {{ paths: [/both] }}, authenticate: {{ all: [user, partner] }}, forward: app }}
  - {{ name: all, match: {{ paths: [/**] }}, authenticate: {{ any: [user, partner] }}, forward: app }}
",
        upstream.address
    )
}

/// Somebody who signs tokens, and the folder of a proxy that believes them.
struct Issuer(SigningKey);

impl Issuer {
    fn new() -> Self {
        Self(SigningKey::generate(Algorithm::EdDsa).unwrap())
    }

    /// A token with these claims beside the usual ones, for `anna`.
    fn token(&self, beside: &Value) -> String {
        let mut all = claims(ISSUER, Timestamp(NOW));
        all.as_object_mut().unwrap().extend(beside.as_object().unwrap().clone());
        format!("Bearer {}", self.0.sign_compact(&[], &all).unwrap())
    }

    fn folder(&self) -> Folder {
        let folder = Folder::new();
        folder.write("issuer", self.0.public_jwk().unwrap().to_string());
        folder.write("partners.jsonl", server_key("acme", "s3cret", "") + &server_key("other", "s3cret", ""));
        folder.write("pepper", PEPPER);
        folder.write("token", TOKEN);
        folder.write("revoked.jsonl", "");
        folder
    }
}

/// Asks the admin listener of `whole`.
async fn admin(whole: &Whole, method: &str, target: &str, body: &Value) -> (u16, Value) {
    let mut client = Client::connect(whole.process.admin().unwrap()).await;
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    client.send(head).await;
    let answer = client.answer().await;
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

async fn revoke(whole: &Whole, what: Value) -> String {
    let (status, told) = admin(whole, "POST", "/revocations", &what).await;
    assert_eq!((status, &told["everywhere"]), (201, &json!(true)), "{told}");
    told["id"].as_str().unwrap().to_owned()
}

async fn ask(whole: &Whole, target: &str, credential: (&str, &str)) -> Answer {
    whole.ask("GET", target, &[credential]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_revoked_is_refused_at_the_very_next_request() {
    let upstream = Upstream::start().await;
    let issuer = Issuer::new();
    let whole = Whole::start_in(issuer.folder(), &conf(&upstream)).await;
    whole.ready().await;
    let bearer = |beside: Value| ("Authorization", issuer.token(&beside));
    let key = |id: &str| ("Server-Key", base64(format!("{id}:s3cret")));
    let rows = [
        // what is revoked, whose credential, whose other one stays good, what the row shows
        (json!({ "subject": "s-1" }), bearer(json!({ "sub": "s-1" })), bearer(json!({ "sub": "s-10" })), "a subject"),
        (json!({ "subject": "s-2", "issuer": ISSUER }), bearer(json!({ "sub": "s-2" })), bearer(json!({ "sub": "s-3" })), "of an issuer"),
        (json!({ "token": "t-1" }), bearer(json!({ "jti": "t-1" })), bearer(json!({ "jti": "t-2" })), "one token"),
        (json!({ "session": "e-1" }), bearer(json!({ "sid": "e-1" })), bearer(json!({ "sid": "e-2" })), "one session"),
        (json!({ "family": "f-1" }), bearer(json!({ "fam": "f-1" })), bearer(json!({ "fam": "f-2" })), "one family"),
        (json!({ "key": "acme" }), key("acme"), key("other"), "E11 one key"),
        (
            json!({ "subject": "s-4", "issued_before": NOW - 5 }),
            bearer(json!({ "sub": "s-4", "iat": NOW - 6 })),
            bearer(json!({ "sub": "s-4", "iat": NOW - 5 })),
            "what was issued before; a new login works",
        ),
        (
            json!({ "subject": "s-5", "issued_before": "now" }),
            bearer(json!({ "sub": "s-5", "iat": NOW })),
            bearer(json!({ "sub": "s-5", "iat": NOW + 1 })),
            "what was issued this very second is as old as it gets",
        ),
    ];
    for (what, mine, other, shows) in rows {
        let mine = (mine.0, mine.1.as_str());
        let other = (other.0, other.1.as_str());
        for attempt in 0..2 {
            assert_eq!(ask(&whole, "/x", mine).await.status, 200, "{shows}: good before, and remembered ({attempt})");
        }
        let id = revoke(&whole, what).await;
        let hits = upstream.hits();
        let refused = ask(&whole, "/x", mine).await;
        assert_eq!(refused.status, 401, "{shows}");
        assert_eq!(whole.reason_of(&refused).await, "revoked", "{shows}");
        assert!(!refused.text().contains("revoked"), "N1, {shows}: the client hears what any forger hears: {}", refused.text());
        assert_eq!(upstream.hits(), hits, "{shows}: nothing reached the upstream");
        assert_eq!(ask(&whole, "/x", other).await.status, 200, "{shows}: nobody else is refused");
        if mine.0 == "Authorization" {
            assert_eq!(ask(&whole, "/open", mine).await.status, 401, "{shows}: revoked is not absent");
        }

        assert_eq!(admin(&whole, "DELETE", &format!("/revocations/{id}"), &Value::Null).await.0, 200);
        assert_eq!(ask(&whole, "/x", mine).await.status, 200, "{shows}: withdrawn");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stands_beside_the_caller_may_be_the_one_who_is_revoked() {
    let upstream = Upstream::start().await;
    let issuer = Issuer::new();
    let whole = Whole::start_in(issuer.folder(), &conf(&upstream)).await;
    let (token, key) = (issuer.token(&json!({})), base64("acme:s3cret"));
    let both = [("Authorization", token.as_str()), ("Server-Key", key.as_str())];
    assert_eq!(whole.ask("GET", "/both", &both).await.status, 200);
    revoke(&whole, json!({ "key": "acme" })).await;
    assert_eq!(whole.reason_of(&whole.ask("GET", "/both", &both).await).await, "revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_ends_when_it_says_so() {
    let upstream = Upstream::start().await;
    let issuer = Issuer::new();
    let whole = Whole::start_in(issuer.folder(), &conf(&upstream)).await;
    let key = base64("acme:s3cret");
    revoke(&whole, json!({ "key": "acme", "for": "100s" })).await;
    for (now, status) in [(NOW, 401), (NOW + 99, 401), (NOW + 100, 200)] {
        whole.set_clock(now);
        assert_eq!(ask(&whole, "/x", ("Server-Key", &key)).await.status, status, "{now}");
    }
}

/// An upstream that echoes on `/ws` and streams on `/events`, and the source of the events.
async fn open_ended() -> (Upstream, mpsc::Sender<Bytes>) {
    let (events, receiver) = mpsc::channel(8);
    let receiver = Mutex::new(Some(receiver));
    let upstream = Upstream::scripted(move |record| match record.target() {
        "/ws" => Reply::Echo,
        "/events" => receiver.lock().take().map_or_else(|| ok("once only"), Reply::Stream),
        _ => ok("ok"),
    })
    .await;
    (upstream, events)
}

/// An open tunnel with this credential.
async fn tunnel(whole: &Whole, (name, value): (&str, &str)) -> Client {
    let mut client = whole.client().await;
    client.send(format!("GET /ws HTTP/1.1\r\nHost: a\r\n{name}: {value}\r\n{UPGRADE}\r\n")).await;
    assert_eq!(client.answer().await.status, 101);
    assert!(echoes(&mut client).await);
    client
}

async fn echoes(client: &mut Client) -> bool {
    client.try_send("ping").await && &client.take(4).await[..] == b"ping"
}

/// Whether the other side closes soon, and says nothing more.
async fn is_cut(client: &mut Client) -> bool {
    tokio::time::timeout(HEARD, client.is_closed()).await.unwrap_or(false)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_is_cut_and_what_is_anothers_is_not() {
    let (upstream, events) = open_ended().await;
    let issuer = Issuer::new();
    let whole = Whole::start_in(issuer.folder(), &conf(&upstream)).await;
    // A server key has no end of its own.
    let (acme, other) = (base64("acme:s3cret"), base64("other:s3cret"));
    let (anna, berta) = (issuer.token(&json!({ "sub": "anna" })), issuer.token(&json!({ "sub": "berta" })));
    let mut of_acme = tunnel(&whole, ("Server-Key", &acme)).await;
    let mut of_other = tunnel(&whole, ("Server-Key", &other)).await;
    let mut of_anna = tunnel(&whole, ("Authorization", &anna)).await;
    let mut of_berta = tunnel(&whole, ("Authorization", &berta)).await;
    let mut streaming = whole.client().await;
    streaming.send(format!("GET /events HTTP/1.1\r\nHost: a\r\nServer-Key: {acme}\r\n\r\n")).await;
    assert_eq!(streaming.head().await.unwrap().status, 200);
    events.send("one".into()).await.unwrap();
    assert_eq!(streaming.chunk().await.unwrap(), "one");
    let mut sending = upload(&whole, &upstream, &acme).await;

    revoke(&whole, json!({ "key": "acme" })).await;
    assert!(is_cut(&mut of_acme).await, "a tunnel");
    assert!(tokio::time::timeout(HEARD, streaming.rest()).await.is_ok_and(|rest| rest.is_empty()), "an answer without an end");
    assert!(is_cut(&mut sending).await, "a request without an end");
    assert!(echoes(&mut of_other).await && echoes(&mut of_anna).await && echoes(&mut of_berta).await, "nobody else's");
    eventually("those that were cut are recorded as such", || whole.written().matches("\"reason\":\"revoked\"").count() == 3).await;

    revoke(&whole, json!({ "subject": "anna", "issued_before": "now" })).await;
    assert!(is_cut(&mut of_anna).await, "a tunnel of somebody with an end of their own");
    assert!(echoes(&mut of_other).await && echoes(&mut of_berta).await, "nobody else's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_used_again_is_the_next_ones() {
    let (upstream, events) = open_ended().await;
    let issuer = Issuer::new();
    let whole = Whole::start_in(issuer.folder(), &conf(&upstream)).await;
    let (acme, other) = (base64("acme:s3cret"), base64("other:s3cret"));
    let mut client = whole.client().await;
    client.send(format!("GET /events HTTP/1.1\r\nHost: a\r\nServer-Key: {acme}\r\n\r\n")).await;
    assert_eq!(client.head().await.unwrap().status, 200);
    drop(events);
    assert_eq!(client.chunk().await, None, "the stream has ended by itself");
    client.send(format!("GET /ws HTTP/1.1\r\nHost: a\r\nServer-Key: {other}\r\n{UPGRADE}\r\n")).await;
    assert_eq!(client.answer().await.status, 101);
    revoke(&whole, json!({ "key": "acme" })).await;
    assert!(echoes(&mut client).await, "whoever had it before is no longer held against it");
    revoke(&whole, json!({ "key": "other" })).await;
    assert!(is_cut(&mut client).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_share_a_store_agree_within_a_second() {
    let (upstream, _events) = open_ended().await;
    let issuer = Issuer::new();
    let state = Arc::new(Memory::new(1_000, Timestamp(NOW)));
    let here = Whole::start_over(state.clone(), issuer.folder(), &conf(&upstream)).await;
    let there = Whole::start_over(state.clone(), issuer.folder(), &conf(&upstream)).await;
    let (acme, other) = (base64("acme:s3cret"), base64("other:s3cret"));
    let token = issuer.token(&json!({ "jti": "t-1" }));
    assert_eq!(ask(&there, "/x", ("Authorization", &token)).await.status, 200, "and remembered");
    let mut of_acme = tunnel(&there, ("Server-Key", &acme)).await;
    let mut of_other = tunnel(&there, ("Server-Key", &other)).await;

    revoke(&here, json!({ "key": "acme" })).await;
    let id = revoke(&here, json!({ "token": "t-1" })).await;
    assert!(is_cut(&mut of_acme).await, "cut on the other node");
    assert!(echoes(&mut of_other).await);
    let refused = async || {
        while ask(&there, "/x", ("Authorization", &token)).await.status == 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HEARD, refused()).await.expect("refused on the other node");
    assert_eq!(ask(&there, "/x", ("Server-Key", &acme)).await.status, 401);

    let (_, listed) = admin(&there, "GET", "/revocations", &Value::Null).await;
    assert_eq!(listed["revocations"].as_array().unwrap().len(), 2, "any node lists them: {listed}");
    let late = Whole::start_over(state, issuer.folder(), &conf(&upstream)).await;
    assert_eq!(ask(&late, "/x", ("Authorization", &token)).await.status, 401, "a node that starts later knows from its first request");
    assert_eq!(admin(&late, "DELETE", &format!("/revocations/{id}"), &Value::Null).await.0, 200, "and may withdraw");
    let admitted = async || {
        while ask(&here, "/x", ("Authorization", &token)).await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HEARD, admitted()).await.expect("withdrawn on the first");
    here.process.stop().await;
    assert_eq!(ask(&there, "/x", ("Authorization", &token)).await.status, 200, "one that ends leaves the other alone");
}

/// A store that can be switched off.
struct Switched {
    inner: Memory,
    off: AtomicBool,
}

impl Switched {
    fn new(off: bool) -> Arc<Self> {
        Arc::new(Self { inner: Memory::new(1_000, Timestamp(NOW)), off: AtomicBool::new(off) })
    }

    fn switch(&self, off: bool) {
        self.off.store(off, Ordering::SeqCst);
    }

    fn on(&self) -> Result<&Memory, Outage> {
        if self.off.load(Ordering::SeqCst) { Err(Outage::State) } else { Ok(&self.inner) }
    }
}

#[async_trait]
impl StateStore for Switched {
    async fn burn(&self, burn: &Burn, now: Timestamp) -> Result<Burned, Outage> {
        self.on()?.burn(burn, now).await
    }

    async fn read(&self, key: &Key, now: Timestamp) -> Result<Option<Entry>, Outage> {
        self.on()?.read(key, now).await
    }

    async fn write(&self, key: &Key, expect: Expect, value: Bytes, until: Timestamp, now: Timestamp) -> Result<Written, Outage> {
        self.on()?.write(key, expect, value, until, now).await
    }

    async fn remove(&self, key: &Key, now: Timestamp) -> Result<bool, Outage> {
        self.on()?.remove(key, now).await
    }

    async fn changed(&self, key: &Key, version: u64, patience: Duration) {
        self.inner.changed(key, version, patience).await;
    }

    async fn append(&self, value: Bytes, until: Timestamp, now: Timestamp) -> Result<(), Outage> {
        self.on()?.append(value, until, now).await
    }

    async fn since(&self, cursor: Cursor, now: Timestamp) -> Result<Page, Outage> {
        self.on()?.since(cursor, now).await
    }

    async fn appended(&self, cursor: Cursor, patience: Duration) {
        self.inner.appended(cursor, patience).await;
    }

    async fn ping(&self) -> Result<(), Outage> {
        self.on().map(|_| ())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_cannot_know_who_is_revoked_believes_nobody_until_it_can() {
    let upstream = Upstream::start().await;
    let issuer = Issuer::new();
    let store = Switched::new(true);
    let whole = Whole::start_over(store.clone(), issuer.folder(), &conf(&upstream)).await;
    let key = base64("acme:s3cret");
    let refused = ask(&whole, "/x", ("Server-Key", &key)).await;
    assert_eq!((refused.status, refused.field("retry-after").is_some()), (503, true));
    assert_eq!(whole.reason_of(&refused).await, "state_unavailable");
    assert_eq!(ask(&whole, "/open", ("X", "y")).await.status, 200, "whoever brings nothing is nobody's to revoke");
    assert_eq!(ask(&whole, "/x", ("Server-Key", &base64("acme:wrong"))).await.status, 401, "what is wrong is wrong without a list");
    eventually("it is told", || whole.process.readiness().missing().iter().any(|what| &**what == "revocations")).await;

    store.switch(false);
    eventually("the list is read", || whole.process.readiness().missing().is_empty()).await;
    assert_eq!(ask(&whole, "/x", ("Server-Key", &key)).await.status, 200);
    store.switch(true);
    assert_eq!(ask(&whole, "/x", ("Server-Key", &key)).await.status, 200, "an outage later on refuses nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_an_outage_the_node_that_is_told_obeys_and_says_that_it_is_alone() {
    let upstream = Upstream::start().await;
    let issuer = Issuer::new();
    let store = Switched::new(false);
    let here = Whole::start_over(store.clone(), issuer.folder(), &conf(&upstream)).await;
    let there = Whole::start_over(store.clone(), issuer.folder(), &conf(&upstream)).await;
    let key = base64("acme:s3cret");
    store.switch(true);
    let (status, told) = admin(&here, "POST", "/revocations", &json!({ "key": "acme" })).await;
    assert_eq!((status, &told["everywhere"]), (503, &json!(false)), "{told}");
    assert_eq!(ask(&here, "/x", ("Server-Key", &key)).await.status, 401, "in force where it was told");
    assert_eq!(ask(&there, "/x", ("Server-Key", &key)).await.status, 200, "the others cannot know");

    let (address, token) = (here.process.admin().unwrap().to_string(), format!("file:{}", here.folder.path().join("token").display()));
    let command = |arguments: &[&str]| {
        let mut command = binary();
        command.arg("revoke").args(arguments).args(["--address", &address, "--token", &token]);
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    let output = command(&["subject", "anna"]).await.unwrap();
    assert_eq!(output.status.code(), Some(1), "no success that is only half of one");
    assert!(String::from_utf8_lossy(&output.stderr).contains("on this node only"));
    let listed = String::from_utf8(command(&["--list"]).await.unwrap().stdout).unwrap();
    assert_eq!(listed.matches("on this node only").count(), 2, "{listed}");

    store.switch(false);
    let heard = async {
        while ask(&there, "/x", ("Server-Key", &key)).await.status == 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HEARD, heard).await.expect("passed on once the store answers");
    let paid = async {
        while admin(&here, "GET", "/revocations", &Value::Null).await.1.to_string().contains("\"everywhere\":false") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HEARD, paid).await.expect("nothing is owed any more");
}

/// A request over HTTP/2 with this server key.
fn streamed(target: &str, key: &str) -> http::Request<()> {
    http::Request::builder().uri(format!("http://app.example{target}")).header("server-key", key).body(()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http2_a_stream_is_cut_and_its_siblings_are_not() {
    let (upstream, events) = open_ended().await;
    let issuer = Issuer::new();
    let whole = Whole::start_in(issuer.folder(), &conf(&upstream)).await;
    let (acme, other) = (base64("acme:s3cret"), base64("other:s3cret"));
    let socket = tokio::net::TcpStream::connect(whole.address()).await.unwrap();
    let (mut client, connection) = h2::client::handshake(socket).await.unwrap();
    let driving = tokio::spawn(connection);
    let (response, _) = client.send_request(streamed("/events", &acme), true).unwrap();
    let mut body = response.await.unwrap().into_body();
    events.send("one".into()).await.unwrap();
    assert_eq!(body.data().await.unwrap().unwrap(), "one");

    revoke(&whole, json!({ "key": "acme" })).await;
    let end = tokio::time::timeout(HEARD, body.data()).await.expect("cut");
    assert!(!matches!(end, Some(Ok(_))), "with nothing more on it");
    let (response, _) = client.send_request(streamed("/x", &other), true).unwrap();
    assert_eq!(response.await.unwrap().status(), 200, "on the same connection");
    let (response, _) = client.send_request(streamed("/x", &acme), true).unwrap();
    assert_eq!(response.await.unwrap().status(), 401);
    driving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_counts_from_its_reload_and_a_bad_one_changes_nothing() {
    let upstream = Upstream::start().await;
    let issuer = Issuer::new();
    let yaml = conf(&upstream);
    let whole = Whole::start_in(issuer.folder(), &yaml).await;
    let (acme, other) = (base64("acme:s3cret"), base64("other:s3cret"));
    let status = async |key: &str| ask(&whole, "/x", ("Server-Key", key)).await.status;
    let mut open = upload(&whole, &upstream, &acme).await;
    assert_eq!((status(&acme).await, status(&other).await), (200, 200), "an empty file revokes nobody");

    whole.folder.write("revoked.jsonl", "{\"key\":\"acme\",\"reason\":\"leaked\"}\n");
    whole.reload(&yaml).await.unwrap();
    assert_eq!((status(&acme).await, status(&other).await), (401, 200), "from the reload on");
    assert!(is_cut(&mut open).await, "and what is open ends");

    for (content, says) in [("{\"key\":\"other\"}\n{\"kee\":\"x\"}\n", "line 2: unknown field"), ("x", "line 1: ")] {
        whole.folder.write("revoked.jsonl", content);
        let fault = whole.reload(&yaml).await.unwrap_err();
        assert!(fault.contains(says) && fault.contains("revoked.jsonl") && fault.contains("countersign.yaml:"), "{fault}");
        assert_eq!((status(&acme).await, status(&other).await), (401, 200), "the last good list stays in force");
    }
    std::fs::remove_file(whole.folder.path().join("revoked.jsonl")).unwrap();
    assert!(whole.reload(&yaml).await.is_err(), "a file that is not there is not an empty one");
    assert_eq!(status(&acme).await, 401);

    whole.folder.write("revoked.jsonl", "{\"key\":\"other\"}\n");
    whole.reload(&yaml).await.unwrap();
    assert_eq!((status(&acme).await, status(&other).await), (200, 401), "the file is the list, not an addition to one");
    revoke(&whole, json!({ "key": "acme" })).await;
    whole.reload(&yaml.replace("revocations: { file: revoked.jsonl }\n", "")).await.unwrap();
    assert_eq!((status(&acme).await, status(&other).await), (401, 200), "what operators revoked outlives every conf");
}

/// A request whose body has begun and does not end.
async fn upload(whole: &Whole, upstream: &Upstream, key: &str) -> Client {
    let mut client = whole.client().await;
    client.send(format!("POST /up HTTP/1.1\r\nHost: a\r\nServer-Key: {key}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")).await;
    eventually("the upload has begun", || 0 < upstream.body_bytes()).await;
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_force_and_how_old_is_told() {
    let upstream = Upstream::start().await;
    let issuer = Issuer::new();
    let whole = Whole::start_in(issuer.folder(), &conf(&upstream)).await;
    let metric = |name: &str| {
        let text = whole.process.exposition();
        let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_else(|| panic!("no {name}"));
        line.rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!((metric("countersign_revocations"), metric("countersign_revocations_age_seconds")), ("0".into(), "0".into()));
    revoke(&whole, json!({ "key": "acme" })).await;
    assert_eq!(metric("countersign_revocations"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_revokes_lists_and_withdraws() {
    let upstream = Upstream::start().await;
    let issuer = Issuer::new();
    let folder = issuer.folder();
    let path = folder.write("countersign.yaml", conf(&upstream));
    let running = Running::start(&path).await;
    running.ready().await;
    let (address, acme) = (running.admin.to_string(), base64("acme:s3cret"));
    let request = format!("GET /x HTTP/1.1\r\nHost: a\r\nServer-Key: {acme}\r\n\r\n");
    let said = |arguments: &[&str], code: i32| {
        let output = binary().arg("revoke").args(arguments).output().unwrap();
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {out}{err}");
        assert!(!out.contains(TOKEN) && !err.contains(TOKEN), "the token is never shown");
        if code == 0 { out } else { err }
    };
    let conf = path.to_str().unwrap();
    let here = ["--address", &address, "-c", conf];
    let with = |arguments: &[&'static str]| arguments.iter().copied().chain(here).map(str::to_owned).collect::<Vec<_>>();
    let run = |arguments: &[&'static str], code| {
        let all = with(arguments);
        said(&all.iter().map(String::as_str).collect::<Vec<_>>(), code)
    };

    assert_eq!(running.ask(&request).await.status, 200);
    assert_eq!(run(&["--list"], 0), "", "nobody is revoked");
    let told = run(&["key", "acme", "--for", "2h", "--reason", "key leaked"], 0);
    assert_eq!(running.ask(&request).await.status, 401, "{told}");
    run(&["subject", "anna", "--issuer", ISSUER, "--issued-before", "now", "--json"], 0);
    let listed = run(&["--list"], 0);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert!(listed.lines().any(|line| line.contains("key acme") && line.ends_with("(key leaked)")), "{listed}");
    assert!(listed.contains(&format!("subject anna  issuer {ISSUER}  issued before ")), "{listed}");
    let shown: Value = serde_json::from_str(&run(&["--list", "--json"], 0)).unwrap();
    assert_eq!(shown["revocations"].as_array().unwrap().len(), 2);

    let id = told.split(':').next().unwrap().to_owned();
    said(&["--withdraw", &id, "--address", &address, "-c", conf], 0);
    assert_eq!(running.ask(&request).await.status, 200, "withdrawn");
    said(&["--withdraw", &id, "--address", &address, "-c", conf], 1);

    folder.write("wrong", "another-token-of-the-tests");
    let wrong = format!("file:{}", folder.path().join("wrong").display());
    let refused = said(&["key", "acme", "--address", &address, "--token", &wrong], 1);
    assert!(refused.contains("401"), "{refused}");
    assert_eq!(running.ask(&request).await.status, 200, "a wrong token revokes nobody");
    let cases: [(&[&'static str], i32, &str); 7] = [
        (&["key", "acme", "--for", "soon"], 1, "no length"),
        (&["subject", "anna", "--issued-before", "yesterday"], 1, "no moment"),
        (&["key"], 2, "no value"),
        (&["keys", "acme"], 2, "no such thing"),
        (&[], 2, "nothing"),
        (&["--list", "key", "acme"], 2, "two at once"),
        (&["--withdraw", "7"], 2, "no id"),
    ];
    for (arguments, code, shows) in cases {
        let says = run(arguments, code);
        assert!(!says.is_empty(), "{shows}");
    }
    let tokenless = folder.write("tokenless.yaml", "admin: { address: 127.0.0.1:1 }\n");
    let says = said(&["key", "acme", "-c", tokenless.to_str().unwrap()], 1);
    assert!(says.contains("admin.token"), "{says}");
    assert!(!running.log().contains("acme") && running.log().contains("revoked"), "the log names entries, not people: {}", running.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_file_revokes_without_a_word() {
    let upstream = Upstream::start().await;
    let issuer = Issuer::new();
    let folder = issuer.folder();
    let running = Running::start(&folder.write("countersign.yaml", conf(&upstream))).await;
    running.ready().await;
    let request = format!("GET /x HTTP/1.1\r\nHost: a\r\nServer-Key: {}\r\n\r\n", base64("acme:s3cret"));
    assert_eq!(running.ask(&request).await.status, 200);
    folder.write("revoked.jsonl", "{\"key\":\"acme\"}\n");
    running.says("conf put in force", 1).await;
    assert_eq!(running.ask(&request).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_revoked_is_known_to_the_next_process_from_its_first_request() {
    let upstream = Upstream::start().await;
    let issuer = Issuer::new();
    let folder = issuer.folder();
    // Nothing but the revocation needs a store: it is opened for it, and found again.
    let path = folder.write("countersign.yaml", conf(&upstream) + "state: { embedded: { path: state } }\n");
    let request = |id: &str| format!("GET /x HTTP/1.1\r\nHost: a\r\nServer-Key: {}\r\n\r\n", base64(format!("{id}:s3cret")));
    let mut running = Running::start(&path).await;
    running.ready().await;
    let address = running.admin.to_string();
    let output = binary().args(["revoke", "key", "acme", "--address", &address, "-c"]).arg(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    running.signal("KILL");
    assert!(running.ended(Duration::from_secs(10)).await.is_some());
    let running = Running::start(&path).await;
    assert_eq!(running.ask(request("acme")).await.status, 401, "told 201 and killed: never forgotten");
    assert_eq!(running.ask(request("other")).await.status, 200);
}

/// A revocation by key goes by schemes: one that judges keys of ours and is not among them would never be covered.
#[test]
fn every_scheme_over_server_keys_can_be_revoked_by_key() {
    let mut keyed: Vec<&str> = Vec::new();
    for scheme in SCHEMES {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("conf/examples/{}.yaml", scheme.name));
        let plan = live::read(&example, &Machine).unwrap_or_else(|_| panic!("{}", scheme.name));
        let of_scheme = plan.authenticators.iter().filter(|authenticator| authenticator.scheme.scheme() == scheme.name);
        if of_scheme.flat_map(|authenticator| authenticator.scheme.key_stores()).any(|used| used.class.serves(KeyClass::ServerKeys)) {
            keyed.push(scheme.name);
        }
    }
    keyed.sort_unstable();
    let mut known = KEYED_SCHEMES;
    known.sort_unstable();
    assert_eq!(keyed, known);
}
