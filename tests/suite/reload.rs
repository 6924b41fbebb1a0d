//! What a reload changes, key by key of the conf: each takes effect, or the reload says `needs_restart`. And what it leaves
//! alone: what is spent, who is waited for, what is known.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine;
use countersign::config::sections::CONF;
use countersign::domain::Secret;
use countersign::jose::algorithm::Algorithm;
use countersign::jose::mint::SigningKey;
use countersign::settings::Shape;
use serde_json::{Value, json};

use crate::support::child::Running;
use crate::support::identity::Identity;
use crate::support::raw::{Client, PATIENCE};
use crate::support::rows::{PEPPER, base64, digest_of, server_key};
use crate::support::upstream::{Reply, Upstream, eventually, ok};
use crate::support::whole::{Folder, NOW, Whole};

const HMAC: &[u8] = b"only-for-tests-0123456789abcdef-hmac";
const ONE: &str = "an-admin-token-of-the-tests-one";
const TWO: &str = "an-admin-token-of-the-tests-two";
const PLAIN: &str = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";

/// Keys of the top level, and what is written under each.
type Parts<'p> = &'p [(&'p str, &'p str)];

/// How a value shows from outside.
enum Probe {
    /// The answer to `GET /x` with these fields: status and body.
    Get(&'static str),
    /// The statuses of two such requests.
    Twice(&'static str),
    /// The text of the answer to these bytes.
    Says(&'static str),
    /// The status that this gets which is not a whole request, once it has been waited for.
    Unfinished(&'static str),
    /// What the upstream sees of this field when a client sends it.
    Sees(&'static str, &'static str),
    /// What becomes of a second connection.
    Second,
    /// Whether a connection is kept that has been used once.
    Kept,
    /// Whether a client is waited for that takes nothing of its answer.
    Unread,
    /// What the admin listener answers to whoever brings this token.
    Admin(&'static str),
    /// How long a revocation lasts, in seconds.
    Lasts,
    /// How often the credential cache knows a token that is shown twice.
    Remembered,
    /// Whether the process is ready.
    Ready,
    /// How long new connections would still be taken.
    DrainDelay,
    /// How long requests in flight would be given.
    Grace,
    /// Whether a change of the conf is a reason to reload.
    Watch,
}

/// What another value comes to.
enum Outcome {
    /// The probe tells the second instead of the first; something else than the first, where the second is empty.
    InForce(Probe, &'static str, &'static str),
    /// The reload is refused.
    NeedsRestart,
}
use Outcome::{InForce, NeedsRestart};

/// Nothing comes before any test would have given up.
const NEVER: &str = "never";

/// The moment of what is seen after a reload.
const LATER: i64 = NOW + 2;

/// A conf of `parts`, later ones in place of earlier ones.
fn conf(parts: &[Parts<'_>]) -> String {
    let all: BTreeMap<&str, &str> = parts.iter().flat_map(|parts| parts.iter().copied()).collect();
    all.iter().map(|(key, value)| format!("{key}: {value}\n")).collect()
}

async fn observe(probe: &Probe, whole: &Whole, upstream: &Upstream) -> String {
    let get = |fields: &str| format!("GET /x HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let connected = async |request: String| {
        // On a busy machine the caps and short time-outs of a row end connections before they are used, and those that were
        // just given up are still counted; they say nothing then.
        for _ in 0..50 {
            let mut client = whole.client().await;
            if client.try_send(&request).await
                && let Some(answer) = client.answer_to("GET").await
            {
                return (client, answer);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no answer to {request}")
    };
    let once = async |request: String| connected(request).await.1;
    match probe {
        Probe::Get(fields) => {
            let answer = once(get(&with_key(fields))).await;
            if answer.status == 200 { format!("200 {}", answer.text()) } else { answer.status.to_string() }
        }
        Probe::Twice(fields) => format!("{} {}", once(get(&with_key(fields))).await.status, once(get(&with_key(fields))).await.status),
        Probe::Says(bytes) => once((*bytes).to_owned()).await.text(),
        Probe::Unfinished(bytes) => once((*bytes).to_owned()).await.status.to_string(),
        Probe::Sees(name, value) => {
            once(get(&format!("{name}: {value}\r\n"))).await;
            upstream.records().last().unwrap().fields(name).join("|")
        }
        Probe::Second => {
            let (first, answer) = connected(PLAIN.to_owned()).await;
            assert_eq!(answer.status, 200);
            let mut second = whole.client().await;
            if !second.try_send(PLAIN).await {
                return "closed".to_owned();
            }
            if second.is_silent(Duration::from_millis(300)).await {
                drop(first);
                assert_eq!(second.answer().await.status, 200, "it is served once there is room");
                return "waits".to_owned();
            }
            second.answer_to("GET").await.map_or("closed", |_| "served").to_owned()
        }
        Probe::Kept => {
            let (mut client, answer) = connected(PLAIN.to_owned()).await;
            assert_eq!(answer.status, 200);
            if answer.closes() || !client.is_silent(Duration::from_millis(1_500)).await { "closed" } else { "kept" }.to_owned()
        }
        Probe::Unread => {
            let before = whole.written().lines().count();
            let mut client = whole.client().await;
            client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await;
            whole.audit(before + 1).await;
            drop(client);
            "given up".to_owned()
        }
        Probe::Admin(token) => {
            let mut client = Client::connect(whole.process.admin().unwrap()).await;
            client.send(format!("GET /metrics HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n")).await;
            client.answer().await.status.to_string()
        }
        Probe::Lasts => {
            let (mut client, body) = (Client::connect(whole.process.admin().unwrap()).await, r#"{"key":"nobody"}"#);
            let head = "POST /revocations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json";
            client.send(format!("{head}\r\nAuthorization: Bearer {ONE}\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await;
            let told: Value = serde_json::from_slice(&client.answer().await.body).unwrap();
            (told["until"].as_i64().unwrap() - whole.clock.load(Ordering::SeqCst)).to_string()
        }
        Probe::Remembered => {
            let hits = || {
                let text = whole.process.exposition();
                let line = text.lines().find(|line| line.starts_with("countersign_credential_cache_requests_total{result=\"hit\"}"));
                line.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            };
            let before = hits();
            let key = SigningKey::from_secret(Algorithm::Hs256, &Secret::new(HMAC.to_vec())).unwrap();
            let claims = json!({ "iss": "https://id.example", "aud": "api", "sub": "ann", "exp": NOW + 600 });
            let token = format!("Authorization: Bearer {}\r\n", key.sign_compact(&[], &claims).unwrap());
            for _ in 0..2 {
                assert_eq!(once(get(&token)).await.status, 200);
            }
            (hits() - before).to_string()
        }
        Probe::Ready => {
            if whole.process.live().startup_wait() == Duration::ZERO {
                whole.ready().await;
            }
            if whole.process.readiness().is_ready() { "ready" } else { "waits" }.to_owned()
        }
        Probe::Grace => format!("{:?}", whole.process.live().grace()),
        Probe::DrainDelay => format!("{:?}", whole.process.live().drain_delay()),
        Probe::Watch => whole.process.live().watches_conf().to_string(),
    }
}

/// `{key}` in `fields` is the server key of these tests.
fn with_key(fields: &str) -> String {
    fields.replace("{key}", &base64("acme:s3cret"))
}

const PARTNER: &str = "{ partner: { server_key: { keys: partners } } }";
const PARTNERS: &str = "{ partners: { server_keys: { file: partners.jsonl, pepper: { file: pepper } } } }";
const OTHERS: &str = "{ partners: { server_keys: { file: others.jsonl, pepper: { file: pepper } } } }";
const INLINE: &str = "{ partners: { server_keys: { file: partners.jsonl, pepper: only-for-tests-0123456789abcdef } } }";
const KEYED: &str = "[{ name: all, match: { paths: [/**] }, authenticate: partner, forward: app }]";
const KEY: &str = "Server-Key: {key}\r\n";
const WRONG: &str = "Server-Key: YWNtZTp3cm9uZw==\r\n";
const SERVED: &str = "[{ name: keys, match: { paths: [/x] }, authenticate: none, serve: jwks }]";
const OPAQUE: &str = "[{ name: all, match: { paths: [/**] }, authenticate: opaque, forward: app }]";
const NOTED: &str = "[{ name: all, match: { paths: [/**] }, authenticate: none, forward: app, system: { janrain: { application: { client_id: \
                     abcde12345abcde12345abcde12345ab, flow: standard, flow_version: '1', locale: en-US, redirect_uri: 'https://app.example', \
                     response_type: token } } } }]";
/// A call after which two things are remembered.
const NOTING: &str = "POST /oauth/auth_native HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 46\r\n\r\n\
                      token=12ab34cd56ef78gh90ij12kl34mn56op78qr90st";
const ADMIN: &str = "{ address: 127.0.0.1:0, token: { file: one } }";

#[tokio::test(flavor = "multi_thread")]
async fn every_key_of_a_conf_takes_effect_with_a_reload_or_is_refused_with_needs_restart() {
    let upstream = Upstream::scripted(|seen| match seen.target() {
        "/large" => ok(&"x".repeat(32 << 20)),
        _ => ok("ok"),
    })
    .await;
    let other = Upstream::scripted(|_| ok("other")).await;
    let (right, wrong) = (Identity::of("id.example"), Identity::of("id.example"));
    let issuer = Upstream::over_tls(&right, |_| ok(r#"{"active":true,"sub":"ann"}"#)).await;

    let (app, elsewhere) = (format!("{{ app: http://{} }}", upstream.address), format!("{{ app: http://{} }}", other.address));
    let asked = format!(
        "{{ opaque: {{ introspection: {{ endpoint: \"https://id.example:{}/ask\", client_id: us, client_secret: {{ file: one }}, \
         issuer: \"https://id.example\" }} }} }}",
        issuer.address.port()
    );
    let keyed: Parts<'_> = &[("keys", PARTNERS), ("authenticators", PARTNER), ("rules", KEYED)];
    let token: Parts<'_> = &[
        ("keys", "{ idp: { pinned: { hmac: { file: hmac }, hmac_algorithm: HS256 } } }"),
        ("authenticators", "{ user: { jwt: { issuer: https://id.example, audience: api, keys: idp, algorithms: [HS256] } } }"),
        ("rules", "[{ name: all, match: { paths: [/**] }, authenticate: user, forward: app }]"),
    ];
    let renewed = "{ user: { jwt: { issuer: https://id.example, audience: api, keys: idp, algorithms: [HS256] }, renew: login } }";
    let renewing = [
        token[0],
        ("authenticators", renewed),
        ("rules", "[{ name: all, match: { paths: [/**] }, authenticate: { optional: user }, forward: app }]"),
    ];
    let renewer = |field: &str| {
        format!(
            "{{ login: {{ oauth2: {{ refresh_from: {{ header: {field} }}, token_url: http://127.0.0.1:9/token, client_id: app, client_auth: none }} }} }}"
        )
    };
    let (spent, unspent) = (renewer("X-Spent"), renewer("X-Other"));
    let waiting: Parts<'_> = &[
        ("keys", "{ idp: { jwks_url: { url: http://127.0.0.1:9/keys } } }"),
        ("authenticators", "{ user: { jwt: { issuer: https://id.example, audience: api, keys: idp } } }"),
        ("rules", "[{ name: all, match: { paths: [/**] }, authenticate: user, forward: app }]"),
    ];
    let issuing: Parts<'_> = &[
        ("keys", "{ own: { issued: { issuer: ours } } }"),
        ("authenticators", "{ user: { jwt: { issuer: https://proxy.example, audience: app, keys: own, typ: at+jwt } } }"),
        (
            "rules",
            "[{ name: keys, match: { paths: [/x] }, authenticate: none, serve: jwks }, { name: all, match: { paths: [/y] }, authenticate: user, forward: app }]",
        ),
    ];
    let opaque: Parts<'_> = &[("authenticators", asked.as_str()), ("rules", OPAQUE), ("governor", "off")];
    let here = format!("id.example: 127.0.0.1:{}", issuer.address.port());
    let (trusting, distrusting) =
        (format!("{{ ca: right.pem, resolve: {{ {here} }} }}"), format!("{{ ca: wrong.pem, resolve: {{ {here} }} }}"));
    let lost = "{ ca: right.pem, resolve: { id.example: 127.0.0.2 } }";
    let bearer = "Authorization: Bearer an-opaque-token-0123456789\r\n";
    let (long, fields) = (concat_long(), many_fields());

    // Key, what is written before, what is written after, what it comes to.
    type Row<'r> = (&'r str, Vec<(&'r str, &'r str)>, Vec<(&'r str, &'r str)>, Outcome);
    let rows: Vec<Row<'_>> = vec![
        ("listeners", vec![], vec![("listeners", "[{ address: 127.0.0.2:0 }]")], NeedsRestart),
        ("admin.address", vec![("admin", ADMIN)], vec![("admin", "{ address: 127.0.0.2:0, token: { file: one } }")], NeedsRestart),
        ("admin.address", vec![], vec![("admin", ADMIN)], NeedsRestart),
        (
            "admin.token",
            vec![("admin", ADMIN)],
            vec![("admin", "{ address: 127.0.0.1:0, token: { file: two } }")],
            InForce(Probe::Admin(ONE), "200", "401"),
        ),
        (
            "admin.token",
            vec![("admin", ADMIN)],
            vec![("admin", "{ address: 127.0.0.1:0, token: { file: two } }")],
            InForce(Probe::Admin(TWO), "401", "200"),
        ),
        ("upstreams", vec![], vec![("upstreams", elsewhere.as_str())], InForce(Probe::Get(""), "200 ok", "200 other")),
        ("keys", keyed.to_vec(), vec![("keys", OTHERS)], InForce(Probe::Get(KEY), "200 ok", "401")),
        (
            "authenticators",
            keyed.to_vec(),
            vec![("authenticators", "{ partner: { key_pair: { keys: partners } } }")],
            InForce(Probe::Get(KEY), "200 ok", "401"),
        ),
        (
            "issuers",
            vec![("rules", SERVED)],
            vec![
                ("issuers", "{ ours: { issuer: https://proxy.example, signing_key: { file: signer.pem }, audience: app } }"),
                issuing[0],
                issuing[1],
                issuing[2],
            ],
            InForce(Probe::Get(""), "200 {\"keys\":[]}", ""),
        ),
        (
            "renewers",
            vec![renewing[0], renewing[1], renewing[2], ("renewers", spent.as_str())],
            vec![("renewers", unspent.as_str())],
            InForce(Probe::Sees("X-Spent", "mine"), "", "mine"),
        ),
        (
            "rules",
            vec![],
            vec![("rules", "[{ name: all, match: { paths: [/y] }, authenticate: none, forward: app }]")],
            InForce(Probe::Get(""), "200 ok", "404"),
        ),
        (
            "trusted_proxies",
            vec![],
            vec![("trusted_proxies", "127.0.0.1")],
            InForce(Probe::Sees("X-Forwarded-For", "10.9.8.7"), "127.0.0.1", "10.9.8.7, 127.0.0.1"),
        ),
        ("limits.header_bytes", vec![], vec![("limits", "{ header_bytes: 1KiB }")], InForce(Probe::Get(long), "200 ok", "431")),
        ("limits.header_bytes", vec![("limits", "{ header_bytes: 1KiB }")], vec![], InForce(Probe::Get(long), "431", "200 ok")),
        ("limits.header_fields", vec![], vec![("limits", "{ header_fields: 8 }")], InForce(Probe::Get(fields), "200 ok", "431")),
        (
            "limits.header_timeout",
            vec![("limits", "{ header_timeout: 5m }")],
            vec![("limits", "{ header_timeout: 1s }")],
            InForce(Probe::Unfinished("GET /x HTT"), NEVER, "408"),
        ),
        (
            "limits.body_timeout",
            vec![("limits", "{ body_timeout: 5m }")],
            vec![("limits", "{ body_timeout: 1s }")],
            InForce(Probe::Unfinished("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx"), NEVER, "408"),
        ),
        (
            "limits.body_bytes",
            vec![],
            vec![("limits", "{ body_bytes: 3 }")],
            InForce(Probe::Unfinished("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nxxxx"), "200", "413"),
        ),
        (
            "limits.write_timeout",
            vec![("limits", "{ write_timeout: 5m }")],
            vec![("limits", "{ write_timeout: 1s }")],
            InForce(Probe::Unread, NEVER, "given up"),
        ),
        ("limits.keepalive_idle", vec![], vec![("limits", "{ keepalive_idle: 1s }")], InForce(Probe::Kept, "kept", "closed")),
        ("limits.keepalive_requests", vec![], vec![("limits", "{ keepalive_requests: 1 }")], InForce(Probe::Kept, "kept", "closed")),
        ("limits.connections", vec![], vec![("limits", "{ connections: 1 }")], InForce(Probe::Second, "served", "waits")),
        (
            "limits.connections",
            vec![("limits", "{ connections: 1 }")],
            vec![("limits", "{ connections: 2 }")],
            InForce(Probe::Second, "waits", "served"),
        ),
        (
            "limits.connections_per_address",
            vec![],
            vec![("limits", "{ connections_per_address: 1 }")],
            InForce(Probe::Second, "served", "closed"),
        ),
        ("limits.notes", vec![("rules", NOTED)], vec![("limits", "{ notes: 1 }")], InForce(Probe::Says(NOTING), "ok", "")),
        (
            "limits.notes_per_address",
            vec![("rules", NOTED)],
            vec![("limits", "{ notes_per_address: 1 }")],
            InForce(Probe::Says(NOTING), "ok", ""),
        ),
        ("governor", keyed.to_vec(), vec![("governor", "{ failures_per_address: 1 }")], InForce(Probe::Twice(WRONG), "401 401", "401 429")),
        ("cache", token.to_vec(), vec![("cache", "off")], InForce(Probe::Remembered, "1", "0")),
        ("audit.when_behind", vec![], vec![("audit", "{ when_behind: block }")], NeedsRestart),
        ("audit.to", vec![], vec![("audit", "{ to: nowhere }")], NeedsRestart),
        (
            "outbound.ca",
            vec![opaque[0], opaque[1], opaque[2], ("outbound", distrusting.as_str())],
            vec![("outbound", trusting.as_str())],
            InForce(Probe::Get(bearer), "503", "200 ok"),
        ),
        (
            "outbound.resolve",
            vec![opaque[0], opaque[1], opaque[2], ("outbound", lost)],
            vec![("outbound", trusting.as_str())],
            InForce(Probe::Get(bearer), "503", "200 ok"),
        ),
        ("state", vec![], vec![("state", "{ memory: { capacity: 2000 } }")], NeedsRestart),
        ("revocations.file", keyed.to_vec(), vec![("revocations", "{ file: revoked.jsonl }")], InForce(Probe::Get(KEY), "200 ok", "401")),
        ("revocations.lasts", vec![("admin", ADMIN)], vec![("revocations", "{ lasts: 1d }")], InForce(Probe::Lasts, "2592000", "86400")),
        (
            "startup_wait",
            vec![waiting[0], waiting[1], waiting[2], ("startup_wait", "10m")],
            vec![("startup_wait", "0s")],
            InForce(Probe::Ready, "waits", "ready"),
        ),
        ("grace", vec![], vec![("grace", "7s")], InForce(Probe::Grace, "30s", "7s")),
        ("drain_delay", vec![], vec![("drain_delay", "7s")], InForce(Probe::DrainDelay, "0ns", "7s")),
        ("threads", vec![], vec![("threads", "7")], NeedsRestart),
        ("watch", vec![], vec![("watch", "true")], InForce(Probe::Watch, "false", "true")),
        (
            "allow_inline_secrets",
            keyed.to_vec(),
            vec![("allow_inline_secrets", "true"), ("keys", INLINE)],
            InForce(Probe::Get(KEY), "200 ok", "200 ok"),
        ),
    ];
    let named: BTreeSet<&str> = rows.iter().map(|(key, ..)| *key).collect();
    assert_eq!(named, every_key().iter().map(String::as_str).collect(), "there is a row for each key, and for nothing else");

    let mut wrong_rows = Vec::new();
    let mut expect = |is: bool, says: String| {
        if !is {
            wrong_rows.push(says)
        }
    };
    for (key, before, after, outcome) in rows {
        let base: Parts<'_> = &[
            ("listeners", "[{ address: 127.0.0.1:0 }]"),
            ("upstreams", &app),
            ("rules", "[{ name: all, match: { paths: [/**] }, authenticate: none, forward: app }]"),
            ("state", "{ memory: {} }"),
        ];
        let folder = Folder::new();
        folder.write("partners.jsonl", server_key("acme", "s3cret", ""));
        folder.write("others.jsonl", server_key("emca", "s3cret", ""));
        folder.write("revoked.jsonl", "{\"key\":\"acme\"}\n");
        folder.write("signer.pem", SigningKey::generate(Algorithm::Es256).unwrap().private_pem().unwrap().expose());
        for (name, content) in [("pepper", PEPPER), ("hmac", HMAC), ("one", ONE.as_bytes()), ("two", TWO.as_bytes())] {
            folder.write(name, content);
        }
        for (name, identity) in [("right.pem", &right), ("wrong.pem", &wrong)] {
            let text = base64::engine::general_purpose::STANDARD.encode(identity.der());
            folder.write(name, format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"));
        }
        let (first, second) = (conf(&[base, &before]), conf(&[base, &before, &after]));
        // What is taken away stands in neither.
        let second = if after.is_empty() { conf(&[base]) } else { second };
        let whole = Whole::start_in(folder, &first).await;
        let path = whole.folder.path().join("countersign.yaml");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        match outcome {
            InForce(probe, old, new) => {
                if old != NEVER {
                    let told = observe(&probe, &whole, &upstream).await;
                    expect(told == old, format!("{key}: {told} before, expected {old}"));
                }
                if let Err(fault) = whole.reload(&second).await {
                    expect(false, format!("{key}: {fault}"));
                    continue;
                }
                // Who asked in vain just now is not asked again within the second.
                whole.set_clock(LATER);
                let told = observe(&probe, &whole, &upstream).await;
                expect(if new.is_empty() { told != old } else { told == new }, format!("{key}: {told} after, expected {new}, not {old}"));
            }
            NeedsRestart => {
                let section = key.split('.').next().unwrap();
                let told = whole.reload(&second).await.err().unwrap_or_default();
                expect(told.contains(&format!("needs_restart: `{section}`")), format!("{key}: `{told}`"));
            }
        }
    }
    assert!(wrong_rows.is_empty(), "{}", wrong_rows.join("\n"));
}

/// A field that takes a head beyond 1 KiB.
fn concat_long() -> &'static str {
    Box::leak(format!("X-Long: {}\r\n", "x".repeat(1_100)).into_boxed_str())
}

/// More than eight fields.
fn many_fields() -> &'static str {
    Box::leak((0..10).map(|number| format!("X-Many-{number}: x\r\n")).collect::<String>().into_boxed_str())
}

/// The keys of the top level; where one is a section whose members the top level knows, these.
fn every_key() -> BTreeSet<String> {
    let keys = CONF.keys.iter().flat_map(|key| match key.shape {
        Shape::Section(section) => section.keys.iter().map(|inner| format!("{}.{}", key.name, inner.name)).collect(),
        _ => vec![key.name.to_owned()],
    });
    keys.collect()
}

/// The statuses of `requests`, one after the other.
async fn statuses(whole: &Whole, requests: &[&str]) -> Vec<u16> {
    let mut statuses = Vec::new();
    for fields in requests {
        let mut client = whole.client().await;
        client.send(format!("GET /x HTTP/1.1\r\nHost: a\r\n{}\r\n", with_key(fields))).await;
        statuses.push(client.answer().await.status);
    }
    statuses
}

fn base(upstream: &Upstream, more: &str) -> String {
    format!("listeners: [{{ address: 127.0.0.1:0 }}]\nupstreams: {{ app: http://{} }}\nstate: {{ memory: {{}} }}\n{more}", upstream.address)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_is_spent_stays_spent_across_a_reload() {
    let upstream = Upstream::start().await;
    let yaml = |governor: &str, rule: &str| {
        let rules = KEYED.replace("name: all", &format!("name: {rule}"));
        base(&upstream, &format!("governor: {governor}\nkeys: {PARTNERS}\nauthenticators: {PARTNER}\nrules: {rules}\n"))
    };
    let lines = server_key("acme", "s3cret", "");
    let few = "{ failures_per_address: 2 }";
    let whole = Whole::start(&yaml(few, "first"), &[("partners.jsonl", lines.as_bytes()), ("pepper", PEPPER)]).await;
    assert_eq!(statuses(&whole, &[WRONG, WRONG, WRONG]).await, [401, 401, 429]);
    for rule in ["second", "third"] {
        whole.reload(&yaml(few, rule)).await.unwrap();
        assert_eq!(statuses(&whole, &[WRONG]).await, [429], "{rule}: whoever guesses gains nothing by a reload");
    }
    whole.reload(&yaml("{ failures_per_address: 3 }", "third")).await.unwrap();
    assert_eq!(statuses(&whole, &[WRONG, WRONG, WRONG, WRONG]).await, [401, 401, 401, 429], "other budgets begin anew");
    whole.reload(&yaml("off", "third")).await.unwrap();
    assert_eq!(statuses(&whole, &[WRONG, WRONG]).await, [401, 401], "none is none");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_issuer_has_said_is_not_asked_again_because_of_a_reload() {
    let upstream = Upstream::start().await;
    let issuer = Upstream::scripted(|_| ok(r#"{"active":true,"sub":"ann"}"#)).await;
    let yaml = |rule: &str, more: &str| {
        let asked = format!(
            "endpoint: http://{}/ask, client_id: us, client_secret: {{ file: secret }}, issuer: https://id.example",
            issuer.address
        );
        base(
            &upstream,
            &format!(
                "authenticators: {{ opaque: {{ introspection: {{ {asked}{more} }} }} }}\nrules: [{{ name: {rule}, match: {{ paths: [/**] }}, authenticate: opaque, forward: app }}]\n"
            ),
        )
    };
    let whole = Whole::start(&yaml("first", ""), &[("secret", b"0123456789abcdef")]).await;
    let token = "Authorization: Bearer an-opaque-token-0123456789\r\n";
    // What the conf says, what is in the secret's file, how often the issuer has been asked by then, what the row shows.
    let rows = [
        ("first", "", "0123456789abcdef", 1, "the first time"),
        ("second", "", "0123456789abcdef", 1, "another rule"),
        ("second", ", subject_from: sub", "0123456789abcdef", 1, "a rule about the answer, which is judged anew"),
        ("second", ", client_auth: post", "0123456789abcdef", 2, "asked in another way"),
        ("second", ", client_auth: post", "another-secret-abc", 3, "asked as somebody else"),
        ("second", ", client_auth: post, cache: { max_age: 1s }", "another-secret-abc", 4, "believed for another while"),
    ];
    for (rule, more, secret, asked, shows) in rows {
        whole.folder.write("secret", secret);
        whole.reload(&yaml(rule, more)).await.unwrap();
        assert_eq!((statuses(&whole, &[token]).await, issuer.hits()), (vec![200], asked), "{shows}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_looked_up_is_known_across_a_reload_while_the_service_is_out() {
    let upstream = Upstream::start().await;
    let record = format!("{{\"id\":\"acme\",\"secrets\":[\"{}\"]}}", digest_of("acme", "s3cret"));
    let service = Upstream::scripted(move |seen| if seen.target() == "/keys/acme" { ok(&record) } else { Reply::Hangup }).await;
    let yaml = |rule: &str, url: &str, more: &str| {
        let rules = KEYED.replace("name: all", &format!("name: {rule}"));
        let keys = format!(
            "{{ partners: {{ server_key_lookup: {{ url: \"http://{}{url}/{{id}}\", pepper: {{ file: pepper }}{more} }} }} }}",
            service.address
        );
        base(&upstream, &format!("governor: off\nkeys: {keys}\nauthenticators: {PARTNER}\nrules: {rules}\n"))
    };
    let whole = Whole::start(&yaml("first", "/keys", ""), &[("pepper", PEPPER), ("token", b"one")]).await;
    assert_eq!((statuses(&whole, &[KEY]).await, service.hits()), (vec![200], 1));
    whole.reload(&yaml("second", "/keys", "")).await.unwrap();
    assert_eq!((statuses(&whole, &[KEY]).await, service.hits()), (vec![200], 1), "it is not asked again");
    // Each differs in one setting that an answer rests on.
    let fields = ", headers: { X-Token: { file: token } }";
    for (number, more) in [", ttl: 61s", fields].into_iter().enumerate() {
        whole.reload(&yaml("second", "/keys", more)).await.unwrap();
        assert_eq!((statuses(&whole, &[KEY]).await, service.hits()), (vec![200], number + 2), "{more}: it is asked anew");
    }
    whole.folder.write("token", "two");
    whole.reload(&yaml("second", "/keys", fields)).await.unwrap();
    assert_eq!((statuses(&whole, &[KEY]).await, service.hits()), (vec![200], 4), "with another secret, too");
    whole.folder.write("pepper", b"another-pepper-0123456789abcdef");
    whole.reload(&yaml("second", "/keys", fields)).await.unwrap();
    assert_eq!(statuses(&whole, &[KEY]).await, [401], "and under another pepper the secret is another");
    whole.reload(&yaml("third", "/out", fields)).await.unwrap();
    assert_eq!(statuses(&whole, &[KEY]).await, [503], "a service that was never heard of has told nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_grows_stale_across_a_reload_and_is_used_while_it_may_be() {
    let upstream = Upstream::start().await;
    let record = format!("{{\"id\":\"acme\",\"secrets\":[\"{}\"]}}", digest_of("acme", "s3cret"));
    let up = Arc::new(AtomicBool::new(true));
    let is_up = Arc::clone(&up);
    let service = Upstream::scripted(move |_| if is_up.load(Ordering::SeqCst) { ok(&record) } else { Reply::Hangup }).await;
    let yaml = |rule: &str| {
        let rules = KEYED.replace("name: all", &format!("name: {rule}"));
        let settings = "pepper: { file: pepper }, ttl: 10s, max_stale: 100s";
        let keys = format!("{{ partners: {{ server_key_lookup: {{ url: \"http://{}/{{id}}\", {settings} }} }} }}", service.address);
        base(&upstream, &format!("governor: off\nkeys: {keys}\nauthenticators: {PARTNER}\nrules: {rules}\n"))
    };
    let whole = Whole::start(&yaml("first"), &[("pepper", PEPPER)]).await;
    assert_eq!(statuses(&whole, &[KEY]).await, [200]);
    up.store(false, Ordering::SeqCst);
    for (number, (later, status)) in [(20, 200), (109, 200), (110, 503)].into_iter().enumerate() {
        whole.reload(&yaml(&format!("rule-{number}"))).await.unwrap();
        whole.set_clock(NOW + later);
        assert_eq!(statuses(&whole, &[KEY]).await, [status], "{later} seconds after it was told, the service is out");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_count_against_the_bound_of_their_upstream_across_a_reload() {
    let upstream = Upstream::scripted(|_| Reply::Silence).await;
    let yaml = |rule: &str, more: &str| {
        format!(
            "listeners: [{{ address: 127.0.0.1:0 }}]\nupstreams: {{ app: {{ servers: http://{}, max_connections: 1{more} }} }}\n\
             rules: [{{ name: {rule}, match: {{ paths: [/**] }}, authenticate: none, forward: app }}]\n",
            upstream.address
        )
    };
    let whole = Whole::start(&yaml("first", ""), &[]).await;
    let mut busy = whole.client().await;
    busy.send(PLAIN).await;
    eventually("it is in flight", || upstream.hits() == 1).await;
    assert_eq!(statuses(&whole, &[""]).await, [503]);
    for (rule, more, shows) in [("second", "", "another rule"), ("second", ", read_timeout: 50s", "another time-out")] {
        whole.reload(&yaml(rule, more)).await.unwrap();
        assert_eq!(statuses(&whole, &[""]).await, [503], "{shows}: it is still in flight");
    }
    drop(busy);
    eventually("its place is given back", || whole.written().lines().count() == 4).await;
    let mut next = whole.client().await;
    next.send(PLAIN).await;
    eventually("and taken", || upstream.hits() == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_connection_is_held_to_the_conf_in_force() {
    let upstream = Upstream::start().await;
    let yaml = |field: &str, bytes: &str| {
        base(
            &upstream,
            &format!(
                "limits: {{ header_bytes: {bytes} }}\nkeys: {{ idp: {{ pinned: {{ hmac: {{ file: hmac }}, hmac_algorithm: HS256 }} }} }}\n\
                 authenticators: {{ user: {{ jwt: {{ issuer: https://id.example, audience: api, keys: idp, algorithms: [HS256], from: {{ header: {field} }} }} }} }}\n\
                 rules: [{{ name: all, match: {{ paths: [/**] }}, authenticate: {{ optional: user }}, forward: app }}]\n"
            ),
        )
    };
    let whole = Whole::start(&yaml("X-Here", "32KiB"), &[("hmac", HMAC)]).await;
    let (mut nominating, mut long) = (whole.client().await, whole.client().await);
    for client in [&mut nominating, &mut long] {
        assert_eq!(client.get("/x").await.status, 200, "the connection is idle from now on");
    }
    whole.reload(&yaml("X-There", "1KiB")).await.unwrap();
    nominating.send("GET /x HTTP/1.1\r\nHost: a\r\nConnection: x-here\r\n\r\n").await;
    assert_eq!(nominating.answer().await.status, 200, "what the old conf protected is nothing special");
    nominating.send("GET /x HTTP/1.1\r\nHost: a\r\nConnection: x-there\r\n\r\n").await;
    assert_eq!(nominating.answer().await.status, 400, "what the new one protects is not to be nominated");
    long.send(format!("GET /x HTTP/1.1\r\nHost: a\r\n{}\r\n", concat_long())).await;
    assert_eq!(long.answer().await.status, 431, "and a head is as long as it may be now");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_get_the_grace_of_the_conf_in_force() {
    let upstream = Upstream::scripted(|_| Reply::Silence).await;
    let yaml = |grace: &str| {
        base(&upstream, &format!("grace: {grace}\nrules: [{{ name: all, match: {{ paths: [/**] }}, authenticate: none, forward: app }}]\n"))
    };
    let whole = Whole::start(&yaml("1h"), &[]).await;
    let mut busy = whole.client().await;
    busy.send(PLAIN).await;
    eventually("it is in flight", || upstream.hits() == 1).await;
    whole.reload(&yaml("1s")).await.unwrap();
    tokio::time::timeout(PATIENCE, whole.process.stop()).await.expect("an hour is not waited for");
    assert!(busy.is_closed().await, "it was cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_the_conf_is_watched_is_up_to_the_conf_in_force() {
    let upstream = Upstream::start().await;
    let folder = Folder::new();
    let yaml = |watch: bool, path: &str| {
        format!(
            "listeners: [{{ address: 127.0.0.1:0 }}]\nadmin: {{ address: 127.0.0.1:0 }}\nwatch: {watch}\nupstreams: {{ app: http://{} }}\n\
             rules: [{{ name: all, match: {{ paths: [{path}] }}, authenticate: none, forward: app }}]\n",
            upstream.address
        )
    };
    let path = folder.write("countersign.yaml", yaml(false, "/a"));
    let process = Running::start(&path).await;
    process.ready().await;
    folder.write("countersign.yaml", yaml(true, "/b"));
    process.signal("HUP");
    process.says("conf put in force", 1).await;
    folder.write("countersign.yaml", yaml(true, "/c"));
    process.says("conf put in force", 2).await;
    assert_eq!(process.ask("GET /c HTTP/1.1\r\nHost: a\r\n\r\n").await.status, 200, "nobody had to say so");
}
