//! The stage that asks a system about its endpoints, in a running proxy: what it keeps from services, upstreams, the store and the record.

use countersign::ambient::SystemRandom;
use countersign::domain::{Seconds, Secret, Timestamp, Value};
use countersign::issuer::ticket::{Mint, TicketOrder, mint};
use countersign::jose::ticket::{Bindings, TicketKey};
use countersign::verify::keys::digest::{Pepper, digest_text};
use countersign::verify::keys::mac;

use crate::support::raw::Answer;
use crate::support::rows::base64;
use crate::support::upstream::{Upstream, ok};
use crate::support::whole::{NOW, Whole};

const KEY: &[u8] = b"only-for-tests-a-key-of-forty-bytes-long";
const PEPPER: &[u8] = b"only-for-tests-0123456789abcdef";
/// One-time tokens of social logins.
const SEEN: &str = "12ab34cd56ef78gh90ij12kl34mn56op78qr90st";
const UNSEEN: &str = "ffab34cd56ef78gh90ij12kl34mn56op78qr90st";

const CONF: &str = r"
listeners: [{ address: 127.0.0.1:0 }]
trusted_proxies: [127.0.0.1]
upstreams: { app: http://UPSTREAM }
governor: { failures_per_address: 3 }
limits: { notes: 20, notes_per_address: 4 }
state: { memory: { capacity: 30 } }
keys:
  tickets: { mac: { file: ticket.key } }
  servers: { server_keys: { file: servers.jsonl, pepper: { file: pepper } } }
authenticators:
  server: { server_key: { keys: servers } }
  once: { ticket: { keys: tickets, audience: app, from: bearer, single_use: true } }
rules:
  - name: tickets
    match: { hosts: [chat.example], paths: [/v1/server/auth_ticket/request], methods: [POST] }
    authenticate: server
    system: { taptalk: { unknown: drop } }
    serve: { taptalk.auth_ticket: { tickets: once } }
  - name: chat
    match: { hosts: [chat.example], paths: [/connect, /v1/client/**], methods: [GET, POST] }
    authenticate: none
    system: { taptalk: { apps: [demo-app] } }
    preflight: forward
    forward: app
  - name: login
    match: { hosts: [capture.example], paths: [/oauth/auth_native, /oauth/register_native], methods: [POST] }
    authenticate: none
    system: &capture
      janrain:
        application:
          { client_id: abcde12345abcde12345abcde12345ab, flow: standard, flow_version: '1', locale: en-US, redirect_uri: 'https://app.example', response_type: token }
    forward: app
  - name: once
    match: { hosts: [once.example], paths: [/oauth/auth_native, /oauth/register_native], methods: [POST] }
    authenticate: once
    system: *capture
    forward: app
  - { name: plain, match: { hosts: [plain.example], paths: [/**] }, authenticate: once, forward: app }
";

struct Yard {
    whole: Whole,
    upstream: Upstream,
}

impl Yard {
    async fn start() -> Self {
        let upstream = Upstream::scripted(|_| ok(r#"{"stat":"ok"}"#)).await;
        let secret = Pepper::new(&Secret::new(PEPPER.to_vec())).unwrap().digest("acme", b"s3cret");
        let servers = format!("{{\"id\":\"acme\",\"secrets\":[\"{}\"]}}\n", digest_text(&secret));
        let files: [(&str, &[u8]); 3] = [("ticket.key", KEY), ("pepper", PEPPER), ("servers.jsonl", servers.as_bytes())];
        let whole = Whole::start(&CONF.replace("UPSTREAM", &upstream.address.to_string()), &files).await;
        whole.ready().await;
        Self { whole, upstream }
    }

    /// A native call of Capture's with `token`, from `client`.
    async fn native(&self, host: &str, call: &str, token: &str, client: &str, more: &[(&str, &str)]) -> Answer {
        let fields: Vec<(&str, &str)> = [
            ("Host", host),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("X-Forwarded-For", client),
            ("X-Forwarded-Proto", "https"),
        ]
        .into_iter()
        .chain(more.iter().copied())
        .collect();
        let form = match call {
            "auth_native" => format!("token={token}"),
            _ => format!("token={token}&form=f"),
        };
        self.whole.ask_with("POST", &format!("/oauth/{call}"), &fields, &form).await
    }

    /// What became of it: the reason, and the code of the breach.
    async fn why(&self, answer: &Answer) -> (String, String) {
        let record = self.whole.record_by(answer.field("x-request-id").expect("an answer of the proxy's own")).await;
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        (text(&record["reason"]), format!("{} {}", text(&record["breach"]["code"]), text(&record["breach"]["field"])).trim().to_owned())
    }
}

fn ticket() -> String {
    let key = mac::key_of(Secret::new(KEY.to_vec())).unwrap();
    let press =
        Mint { key: TicketKey::new(key.id, &key.secret), issuer: "countersign".into(), audience: "app".into(), max_life: Seconds(3_600) };
    let order = TicketOrder {
        subject: "anna".into(),
        life: Some(Seconds(600)),
        scopes: Box::default(),
        single_use: true,
        bindings: Bindings::default(),
        claims: Value::empty(),
    };
    format!("Bearer {}", mint(&press, order, Timestamp(NOW), &SystemRandom).unwrap())
}

fn told(reason: &str, breach: &str) -> (String, String) {
    (reason.to_owned(), breach.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_sees_the_body_that_the_guard_has_written() {
    let yard = Yard::start().await;
    let server = base64("acme:s3cret");
    let fields = [("Host", "chat.example"), ("Server-Key", &*server), ("Content-Type", "application/json")];
    let body = r#"{"userIPAddress":"192.0.2.7","userAgent":"Mozilla/5.0","userPlatform":"web","userDeviceID":"d-1","xcUserID":"anna","fullName":"Anna","favourite":"blue"}"#;
    let answer = yard.whole.ask_with("POST", "/v1/server/auth_ticket/request", &fields, body).await;
    let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(said["status"], 200, "a field that is to be dropped is not seen by the service, which would refuse it: {said}");
    assert_eq!(said["data"]["userID"], "anna");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_in_a_coding_is_refused_in_the_words_of_the_system() {
    let yard = Yard::start().await;
    let server = base64("acme:s3cret");
    let fields = [("Host", "chat.example"), ("Server-Key", &*server), ("Content-Type", "application/json"), ("Content-Encoding", "gzip")];
    let answer = yard.whole.ask_with("POST", "/v1/server/auth_ticket/request", &fields, "{}").await;
    assert_eq!(yard.why(&answer).await, told("guard_refused", "40001 Content-Encoding"));
    let answer = yard.native("capture.example", "auth_native", SEEN, "192.0.2.1", &[("Content-Encoding", "gzip")]).await;
    assert_eq!((answer.status, yard.why(&answer).await), (200, told("guard_refused", "200")), "as Capture says it: inside a 200");
    assert!(answer.text().contains(r#""code":200"#), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demand_that_fails_costs_no_credential() {
    let yard = Yard::start().await;
    let bearer = ticket();
    let authorization = [("Authorization", bearer.as_str())];
    let answer = yard.native("once.example", "register_native", SEEN, "192.0.2.1", &authorization).await;
    assert_eq!(yard.why(&answer).await, told("guard_refused", "200 token"), "nobody has shown this token to auth_native");
    assert_eq!(yard.upstream.hits(), 0);
    let answer = yard.native("once.example", "auth_native", SEEN, "192.0.2.1", &authorization).await;
    assert_eq!((answer.status, yard.upstream.hits()), (200, 1), "the ticket was not spent for that: {}", answer.text());
    let answer = yard.native("once.example", "register_native", SEEN, "192.0.2.1", &authorization).await;
    assert_eq!(yard.why(&answer).await, told("replayed", ""), "now it is");
    let other = ticket();
    let answer = yard.native("once.example", "register_native", SEEN, "192.0.2.1", &[("Authorization", &other)]).await;
    assert_eq!(yard.why(&answer).await, told("guard_refused", "200 token"), "and the token with it: both were presented together");
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_at_one_time_tokens_are_stopped_where_they_come_from() {
    let yard = Yard::start().await;
    assert_eq!(yard.native("capture.example", "auth_native", SEEN, "198.51.100.1", &[]).await.status, 200);
    for _ in 0..3 {
        let answer = yard.native("capture.example", "register_native", UNSEEN, "192.0.2.1", &[]).await;
        assert_eq!(yard.why(&answer).await, told("guard_refused", "200 token"));
    }
    let answer = yard.native("capture.example", "register_native", SEEN, "192.0.2.1", &[]).await;
    assert_eq!(yard.why(&answer).await, told("throttled", ""), "the right one, after three wrong ones, is not looked at");
    let answer = yard.native("capture.example", "register_native", SEEN, "198.51.100.1", &[]).await;
    assert_eq!((answer.status, yard.upstream.hits()), (200, 2), "whom it belongs to is not touched by that: {}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anonymous_flood_takes_nothing_from_anybody_else() {
    let yard = Yard::start().await;
    let mut reached = 0;
    // From many networks, each a few times, with a token of its own each time: two notes each.
    for number in 0..60_u32 {
        let token = format!("{number:040}");
        let answer = yard.native("capture.example", "auth_native", &token, &format!("203.0.113.{}", number % 20), &[]).await;
        if answer.status == 200 && answer.text().contains("\"ok\"") {
            reached += 1;
        } else {
            assert_eq!(yard.why(&answer).await.0, "throttled", "{}", answer.text());
        }
    }
    assert_eq!(reached, 10, "twenty notes are what all of them together may have");
    let answer = yard.whole.ask("GET", "/", &[("Host", "plain.example"), ("Authorization", &ticket())]).await;
    assert_eq!(answer.status, 200, "credentials for one use work on, and so does everything else in the store: {}", answer.text());
    yard.whole.set_clock(NOW + 7_200);
    let answer = yard.native("capture.example", "auth_native", UNSEEN, "203.0.113.1", &[]).await;
    assert!(answer.text().contains("\"ok\""), "what has ended makes room: {}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_takes_no_credential_to_the_upstream() {
    let yard = Yard::start().await;
    let app = base64("demo-app:marked");
    let fields = [
        ("Host", "chat.example"),
        ("Origin", "https://app.example"),
        ("Access-Control-Request-Method", "GET"),
        ("Access-Control-Request-Headers", "app-key"),
        ("Server-Key", "marked"),
        ("X-Auth-Subject", "marked"),
    ];
    let target = format!("/connect?authorization=Bearer%20marked&App-Key={app}&Device-Identifier=marked");
    let answer = yard.whole.ask("OPTIONS", &target, &fields).await;
    assert_eq!(answer.status, 200);
    let seen = yard.upstream.records().pop().unwrap();
    assert!(seen.head.starts_with("OPTIONS /connect HTTP/1.1"), "{}", seen.head);
    assert!(!seen.head.contains("marked") && !seen.head.contains(&app), "{}", seen.head);
    assert_eq!(seen.fields("access-control-request-headers"), ["app-key"], "what the browser asks is asked");
    yard.whole.audit(1).await;
    assert!(!yard.whole.written().contains("marked"), "nor does the record know");
}
