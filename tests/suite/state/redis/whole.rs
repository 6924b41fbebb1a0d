//! Two proxies and one Redis: a ticket is used once on both of them, and a store that is away takes down nothing else.
//!
//! Attacks: F2, F3 of `docs/security.md`.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use countersign::demo::credentials::{claims, with};
use countersign::domain::Timestamp;
use countersign::jose::algorithm::Algorithm;
use countersign::jose::mint::SigningKey;
use serde_json::json;
use tokio::task::JoinSet;

use crate::loopback::{Loopback, Told};
use crate::scheme_ticket::{KEY_FILE, conf, single_use};
use crate::state::redis::until;
use crate::support::raw::{Answer, Client};
use crate::support::redis::{DURABLE, RedisServer};
use crate::support::upstream::Upstream;
use crate::support::whole::{Folder, NOW, Whole};

async fn proxy(upstream: &Upstream, server: &RedisServer) -> Whole {
    let state = format!("state: {{ redis: {{ url: '{}', timeout: 5s }} }}\n", server.url());
    Whole::start(&(conf(upstream) + &state), &[KEY_FILE]).await
}

async fn present(whole: &Whole, ticket: &str, path: &str) -> Answer {
    whole.ask("GET", path, &[("Authorization", &format!("Bearer {ticket}"))]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_used_once_on_all_nodes_that_share_a_redis() {
    let server = RedisServer::start_with(DURABLE);
    let upstream = Upstream::start().await;
    let nodes = [proxy(&upstream, &server).await, proxy(&upstream, &server).await];

    let ticket = single_use();
    assert_eq!(present(&nodes[0], &ticket, "/once/x").await.status, 200);
    for node in &nodes {
        let answer = present(node, &ticket, "/once/x").await;
        assert_eq!((answer.status, node.reason_of(&answer).await.as_str()), (401, "replayed"));
    }

    for round in 0..5 {
        let ticket = single_use();
        let mut rivals = JoinSet::new();
        for number in 0..100 {
            let (ticket, address) = (ticket.clone(), nodes[number % 2].address());
            rivals.spawn(async move {
                let mut client = Client::connect(address).await;
                client.send(format!("GET /once/{round} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ticket}\r\n\r\n")).await;
                client.answer().await.status
            });
        }
        let statuses = rivals.join_all().await;
        let count = |status| statuses.iter().filter(|answered| **answered == status).count();
        assert_eq!((count(200), count(401)), (1, 99), "round {round}");
    }
    let seen = upstream.records().iter().filter(|seen| seen.target().starts_with("/once/")).count();
    assert_eq!(seen, 6, "the service has seen each ticket once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_away_is_told_as_such_and_stops_nothing_that_needs_it_not() {
    let mut server = RedisServer::start_with(DURABLE);
    let upstream = Upstream::start().await;
    let node = proxy(&upstream, &server).await;
    let (spent, unspent) = (single_use(), single_use());
    assert_eq!(present(&node, &spent, "/once/x").await.status, 200);

    server.kill();
    until("the store is missed", || async { present(&node, &unspent, "/once/x").await.status == 503 }).await;
    let answer = present(&node, &unspent, "/once/x").await;
    assert_eq!((answer.status, node.reason_of(&answer).await.as_str()), (503, "state_unavailable"));
    assert!(answer.field("retry-after").is_some(), "it says when to come back: {answer:?}");
    let reusable = crate::scheme_ticket::reusable();
    assert_eq!(present(&node, &reusable, "/pass/x").await.status, 200, "a ticket that is not single-use rests on no store");

    server.restart();
    until("the unspent ticket is good", || async { present(&node, &unspent, "/once/x").await.status == 200 }).await;
    assert_eq!(present(&node, &spent, "/once/x").await.status, 401, "and the spent one is not");
    assert_eq!(present(&node, &unspent, "/once/x").await.status, 401);
}

const ISSUER: &str = "https://id.example";

/// A proxy of every kind that rests on the store, and of one that does not; its upstream and its issuer.
struct House {
    whole: Whole,
    upstream: Upstream,
    issuer: Loopback,
    key: Arc<SigningKey>,
    /// The cookie of a session.
    cookie: String,
    /// Grows, so that no pair is spent twice.
    turn: AtomicI64,
}

impl House {
    async fn over(server: &RedisServer) -> Self {
        let (upstream, key) = (Upstream::start().await, Arc::new(SigningKey::generate(Algorithm::Es256).unwrap()));
        let signing = Arc::clone(&key);
        let issuer = Loopback::start(move |_| {
            let access = signing.sign_compact(&[], &claims(ISSUER, Timestamp(NOW))).unwrap();
            Told::ok(json!({ "access_token": access, "token_type": "Bearer", "expires_in": 3600, "refresh_token": "next" }).to_string())
        });
        let yaml = format!(
            r"
listeners: [{{ address: 127.0.0.1:0 }}]
governor: off
upstreams: {{ app: http://{app} }}
state: {{ redis: {{ url: '{redis}', timeout: 1s }} }}
keys: {{ own: {{ pinned: {{ file: own.jwk }} }}, macs: {{ mac: {{ file: ticket.key }} }} }}
authenticators:
  plain: {{ jwt: {{ issuer: {ISSUER}, audience: app, keys: own }} }}
  user: {{ jwt: {{ issuer: {ISSUER}, audience: app, keys: own }}, renew: login }}
  once: {{ ticket: {{ keys: macs, audience: app, single_use: true }} }}
  member: {{ session: {{ keys: macs }} }}
renewers:
  login:
    oauth2: {{ refresh_from: {{ header: X-Refresh-Token }}, token_url: 'http://{token}/token', client_id: app, client_auth: none, wait: 8s }}
rules:
  - {{ name: open, match: {{ paths: [/open], methods: [POST] }}, authenticate: plain, serve: {{ session.open: {{ session: member }} }} }}
  - {{ name: ticket, match: {{ paths: [/once] }}, authenticate: once, forward: app }}
  - {{ name: session, match: {{ paths: [/member] }}, authenticate: member, forward: app }}
  - {{ name: renewal, match: {{ paths: [/renewed] }}, authenticate: user, forward: app }}
  - {{ name: plain, match: {{ paths: [/plain] }}, authenticate: plain, forward: app }}
",
            app = upstream.address,
            redis = server.url(),
            token = issuer.address,
        );
        let folder = Folder::new();
        folder.write("own.jwk", key.public_jwk().unwrap().to_string());
        folder.write(KEY_FILE.0, KEY_FILE.1);
        let whole = Whole::start_in(folder, &yaml).await;
        let mut house = Self { whole, upstream, issuer, key, cookie: String::new(), turn: AtomicI64::new(0) };
        let opened = house.whole.ask("POST", "/open", &[("Authorization", &house.token(NOW))]).await;
        assert_eq!(opened.status, 204, "{}", house.whole.written());
        house.cookie = opened.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        house
    }

    /// A token of `moment`, as a bearer, unlike any before.
    fn token(&self, moment: i64) -> String {
        let turn = self.turn.fetch_add(1, Ordering::SeqCst);
        format!("Bearer {}", self.key.sign_compact(&[], &with(claims(ISSUER, Timestamp(moment)), "turn", turn)).unwrap())
    }

    /// How a ticket, a session, a credential that has run out, and one that has not, are answered.
    async fn answers(&self) -> [u16; 4] {
        let ask = async |target: &str, fields: &[(&str, &str)]| {
            let answer = self.whole.ask("GET", target, fields).await;
            assert!(answer.status != 503 || answer.field("retry-after").is_some(), "{target}: {answer:?}");
            answer.status
        };
        let refresh = format!("rt-{}", self.turn.fetch_add(1, Ordering::SeqCst));
        [
            ask("/once", &[("Authorization", &format!("Bearer {}", single_use()))]).await,
            ask("/member", &[("Cookie", &self.cookie)]).await,
            ask("/renewed", &[("Authorization", &self.token(NOW - 7_200)), ("X-Refresh-Token", &refresh)]).await,
            ask("/plain", &[("Authorization", &self.token(NOW))]).await,
        ]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_hangs_or_takes_no_writes_stops_what_rests_on_it_and_a_plain_token_not() {
    let rows: [(&str, fn(&RedisServer), fn(&RedisServer)); 2] = [
        ("SIGSTOP", |server| server.hang(), |server| server.go_on()),
        (
            "READONLY",
            |server| assert_eq!(server.ask(&["REPLICAOF", "127.0.0.1", "1"]), "OK"),
            |server| assert_eq!(server.ask(&["REPLICAOF", "NO", "ONE"]), "OK"),
        ),
    ];
    for (shows, begin, end) in rows {
        let server = RedisServer::start_with(DURABLE);
        let house = House::over(&server).await;
        let plain = async |expected: [u16; 3]| {
            let answers = house.answers().await;
            assert_eq!(answers[3], 200, "{shows}: a token that rests on no store, beside {answers:?}");
            answers[..3] == expected
        };
        until("all are served", || plain([200; 3])).await;
        begin(&server);
        // A session's record that was read is believed for a second.
        house.whole.set_clock(NOW + 5);
        let exchanges = house.issuer.count();
        until("all that rest on the store are told to come again", || plain([503; 3])).await;
        let hits = house.upstream.hits();
        assert!(plain([503; 3]).await, "{shows}: and stay so");
        assert_eq!(house.upstream.hits() - hits, 1, "{shows}: only the plain token goes on");
        assert!(house.issuer.count() <= exchanges + 1, "{shows}: nothing is spent that cannot be kept");
        end(&server);
        until("all are served again, without a restart", || plain([200; 3])).await;
    }
}
