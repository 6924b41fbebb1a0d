//! Expiries that only replies tell, to many requests of one caller: one renewal, however late a reply comes; none for who is gone.
//!
//! The upstream takes the newest token only. What it says of another it says when the test has it say so.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{ISSUER, Issuer, access, handed, pair};
use crate::loopback::Told;
use crate::support::raw::{Answer, Client};
use crate::support::upstream::{Recorded, Reply, Upstream, eventually, ok};
use crate::support::whole::{NOW, Whole};

const SEAL: &str = "only-for-tests-a-key-of-forty-bytes-long";
const TOKEN: &str = "an-admin-token-of-the-tests";
/// Later than anything was made, so that a fresh token is another than the one before.
const LATER: i64 = NOW + 60;

const PLAIN: &[u8] = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 5\r\n\r\ntheir";
const IN_BODY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"Status\":401}";

/// An upstream that has yet to say what it thinks of old tokens.
struct Hesitant {
    upstream: Upstream,
    /// Who waits, in the order in which they came.
    waiting: Arc<Mutex<Vec<oneshot::Sender<Vec<u8>>>>>,
    /// The generation that it takes; a newer one as well.
    takes: Arc<AtomicUsize>,
}

impl Hesitant {
    async fn start() -> Self {
        let waiting: Arc<Mutex<Vec<oneshot::Sender<Vec<u8>>>>> = Arc::default();
        let takes = Arc::new(AtomicUsize::new(2));
        let (keeping, least) = (Arc::clone(&waiting), Arc::clone(&takes));
        let upstream = Upstream::scripted(move |record| {
            if least.load(Ordering::SeqCst) <= generation(record) {
                return ok("taken");
            }
            let (sender, receiver) = oneshot::channel();
            keeping.lock().push(sender);
            Reply::Later(receiver)
        })
        .await;
        Self { upstream, waiting, takes }
    }

    async fn has_waiting(&self, count: usize) {
        eventually("requests with an old token", || self.waiting.lock().len() == count).await;
    }

    /// Tells the first who waits.
    fn tell_first(&self, bytes: &[u8]) {
        self.waiting.lock().remove(0).send(bytes.to_vec()).unwrap();
    }
}

/// The generation of the token that a request was made with.
fn generation(record: &Recorded) -> usize {
    record.fields("x-generation").first().map_or(0, |shown| shown.parse().unwrap())
}

/// An issuer that spends `rt-N` for generation N+1; without rotation `rt-1` stays, and each exchange brings the next generation.
fn issuer(rotates: bool) -> Issuer {
    let key = Arc::new(countersign::jose::mint::SigningKey::generate(countersign::jose::algorithm::Algorithm::Es256).unwrap());
    let (signing, count) = (Arc::clone(&key), AtomicUsize::new(1));
    Issuer::scripted(key, move |spent| {
        let next = count.fetch_add(1, Ordering::SeqCst) + 1;
        if rotates {
            let spent: usize = spent.strip_prefix("rt-").and_then(|rest| rest.parse().ok()).unwrap();
            return pair(&access(&signing, LATER, spent + 1), spent + 1);
        }
        let body = serde_json::json!({ "access_token": access(&signing, LATER, next), "token_type": "Bearer" });
        Told::Answer(200, vec![("Content-Type".into(), "application/json".into())], body.to_string().into())
    })
}

/// A proxy whose members have sessions. Under `/shown` the upstream sees the session's token as well, under `/held` it tells in the
/// body of a 200 that a token has run out. Who comes with a pair of their own asks under `/own`.
async fn proxy(issuer: &Issuer, upstream: &Upstream) -> Whole {
    let (address, token) = (upstream.address, issuer.endpoint.address);
    let generation = "identity_headers: { X-Auth-Subject: subject, X-Generation: claims.generation }";
    let conf = format!(
        r"
listeners: [{{ address: 127.0.0.1:0 }}]
admin: {{ address: 127.0.0.1:0, token: {{ file: token }} }}
governor: off
upstreams: {{ app: http://{address} }}
state: {{ memory: {{}} }}
keys: {{ own: {{ pinned: {{ file: own.jwk }} }}, seals: {{ mac: {{ file: seal.key }} }} }}
authenticators:
  user: {{ jwt: {{ issuer: {ISSUER}, audience: app, keys: own }} }}
  owner: {{ jwt: {{ issuer: {ISSUER}, audience: app, keys: own }}, renew: brought }}
  member: {{ session: {{ keys: seals, tokens: user, idle: 0s }}, renew: kept }}
renewers:
  kept: {{ oauth2: {{ token_url: 'http://{token}/token', client_id: app, client_auth: none, early: 0s }} }}
  brought: {{ oauth2: {{ refresh_from: {{ header: X-Refresh-Token }}, token_url: 'http://{token}/token', client_id: app, client_auth: none, early: 0s }} }}
rules:
  - {{ name: open, match: {{ paths: [/open], methods: [POST] }}, authenticate: user, serve: {{ session.open: {{ session: member }} }} }}
  - {{ name: close, match: {{ paths: [/close], methods: [POST] }}, authenticate: none, serve: {{ session.close: {{ session: member }} }} }}
  - {{ name: site, match: {{ paths: [/site] }}, authenticate: member, forward: {{ upstream: app, {generation} }} }}
  - {{ name: shown, match: {{ paths: [/shown] }}, authenticate: member, forward: {{ upstream: app, session_token: {{ header: X-Token }}, {generation} }} }}
  - name: held
    match: {{ paths: [/held] }}
    authenticate: member
    system: {{ telematics: {{ status_in_body: true }} }}
    forward: {{ upstream: app, {generation} }}
  - {{ name: own, match: {{ paths: [/own] }}, authenticate: owner, forward: {{ upstream: app, {generation} }} }}
"
    );
    let folder = issuer.folder();
    folder.write("seal.key", SEAL);
    folder.write("token", TOKEN);
    Whole::start_in(folder, &conf).await
}

async fn session(whole: &Whole, issuer: &Issuer) -> String {
    let bearer = format!("Bearer {}", issuer.first());
    let form = [("Authorization", bearer.as_str()), ("Content-Type", "application/x-www-form-urlencoded")];
    let opened = whole.ask_with("POST", "/open", &form, "refresh_token=rt-1").await;
    assert_eq!(opened.status, 204, "{}", whole.written());
    whole.set_clock(LATER);
    opened.field("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

async fn ask(whole: &Whole, target: &str, cookie: &str) -> Answer {
    whole.ask("GET", target, &[("Cookie", cookie), ("Sec-Fetch-Site", "same-origin")]).await
}

/// The three ways in which a session learns of it, and what the upstream says then.
const WAYS: [(&str, &[u8]); 3] = [("/site", PLAIN), ("/shown", PLAIN), ("/held", IN_BODY)];

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_comes_after_another_has_led_to_a_renewal_leads_to_no_second_one() {
    for rotates in [true, false] {
        for (target, refusal) in WAYS {
            // Within the time for which a result is remembered, and long after it.
            for late in [0, 31] {
                let shows = format!("{target}, {late} s late, rotates: {rotates}");
                let (hesitant, issuer) = (Hesitant::start().await, issuer(rotates));
                let whole = proxy(&issuer, &hesitant.upstream).await;
                let cookie = session(&whole, &issuer).await;
                let both = async {
                    let first = async {
                        let answer = ask(&whole, target, &cookie).await;
                        whole.set_clock(LATER + late);
                        hesitant.tell_first(refusal);
                        answer
                    };
                    let second = async {
                        hesitant.has_waiting(1).await;
                        ask(&whole, target, &cookie).await
                    };
                    let telling = async {
                        hesitant.has_waiting(2).await;
                        hesitant.tell_first(refusal);
                    };
                    tokio::join!(first, second, telling)
                };
                let (first, second, ()) = both.await;
                assert_eq!((first.status, first.text().as_str()), (200, "taken"), "{shows}: {}", whole.written());
                assert_eq!((second.status, second.text().as_str()), (200, "taken"), "{shows}: {}", whole.written());
                assert_eq!((issuer.exchanges(), hesitant.upstream.hits()), (1, 4), "{shows}: one exchange, each asked for twice");
                let seen: Vec<usize> = hesitant.upstream.records().iter().map(generation).collect();
                assert_eq!(seen, [1, 1, 2, 2], "{shows}: the second one with what the first one has brought");
                let ids: Vec<String> = hesitant.upstream.records().iter().map(|seen| seen.fields("x-request-id")[0].to_owned()).collect();
                let mut renewed = Vec::new();
                for id in &ids[..2] {
                    renewed.push(whole.record_by(id).await["renewed"] == serde_json::json!(true));
                }
                assert_eq!(renewed, [true, false], "{shows}: and the audit says whose it was");

                hesitant.takes.store(3, Ordering::SeqCst);
                let (third, ()) = tokio::join!(ask(&whole, target, &cookie), async {
                    hesitant.has_waiting(1).await;
                    hesitant.tell_first(refusal);
                });
                if rotates || late == 31 {
                    assert_eq!((third.status, third.text().as_str()), (200, "taken"), "{shows}: what runs out next is renewed as ever");
                    assert_eq!((issuer.exchanges(), hesitant.upstream.hits()), (2, 6), "{shows}");
                } else {
                    // The issuer is not asked twice in so short a time, and what it gave is not shown twice to who has refused it.
                    assert!(refusal.ends_with(&third.body), "{shows}: {}", third.text());
                    assert_eq!((issuer.exchanges(), hesitant.upstream.hits()), (1, 5), "{shows}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_learns_of_it_from_its_replies_makes_one_exchange() {
    const CROWD: usize = 20;
    for (target, refusal) in [WAYS[0], WAYS[1], WAYS[2], ("/own", PLAIN)] {
        let (hesitant, issuer) = (Hesitant::start().await, issuer(true));
        let whole = Arc::new(proxy(&issuer, &hesitant.upstream).await);
        let cookie = session(&whole, &issuer).await;
        let bearer = format!("Bearer {}", issuer.first());
        let asking: Vec<_> = (0..CROWD)
            .map(|_| {
                let (whole, cookie, bearer) = (Arc::clone(&whole), cookie.clone(), bearer.clone());
                tokio::spawn(async move {
                    match target {
                        "/own" => whole.ask("GET", target, &[("Authorization", &bearer), ("X-Refresh-Token", "rt-1")]).await,
                        _ => ask(&whole, target, &cookie).await,
                    }
                })
            })
            .collect();
        hesitant.has_waiting(CROWD).await;
        // One by one, so that some find the renewal under way, and some find it done.
        for _ in 0..CROWD {
            hesitant.tell_first(refusal);
            tokio::task::yield_now().await;
        }
        for asked in asking {
            let answer = asked.await;
            let answer = answer.unwrap_or_else(|error| {
                let asked: Vec<usize> = hesitant.upstream.records().iter().map(generation).collect();
                panic!("{target}: {error}: upstream was asked with {asked:?}, {} wait", hesitant.waiting.lock().len())
            });
            assert_eq!((answer.status, answer.text().as_str()), (200, "taken"), "{target}: {}", whole.written());
            assert_eq!(handed(&answer), if target == "/own" { "rt-2" } else { "" }, "{target}");
        }
        assert_eq!((issuer.exchanges(), hesitant.upstream.hits()), (1, 2 * CROWD), "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_revoked_meanwhile_gets_no_renewal_and_not_the_upstreams_answer() {
    for (target, refusal) in WAYS {
        let (hesitant, issuer) = (Hesitant::start().await, issuer(true));
        let whole = proxy(&issuer, &hesitant.upstream).await;
        let cookie = session(&whole, &issuer).await;
        let (answer, ()) = tokio::join!(ask(&whole, target, &cookie), async {
            hesitant.has_waiting(1).await;
            let mut admin = Client::connect(whole.process.admin().unwrap()).await;
            let body = r#"{"subject":"anna"}"#;
            let head = "POST /revocations HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer";
            let rest = format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            admin.send(format!("{head} {TOKEN}\r\n{rest}")).await;
            assert_eq!(admin.answer().await.status, 201, "{target}");
            hesitant.tell_first(refusal);
        });
        assert_eq!((answer.status, whole.reason_of(&answer).await.as_str()), (401, "revoked"), "{target}: {}", answer.text());
        assert!(!answer.text().contains("their"), "{target}: {}", answer.text());
        assert_eq!((issuer.exchanges(), hesitant.upstream.hits()), (0, 1), "{target}: nothing is spent, nothing is sent again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_logged_out_meanwhile_gets_no_renewal_and_not_the_upstreams_answer() {
    for (target, refusal) in WAYS {
        let (hesitant, issuer) = (Hesitant::start().await, issuer(true));
        let whole = proxy(&issuer, &hesitant.upstream).await;
        let cookie = session(&whole, &issuer).await;
        let (answer, ()) = tokio::join!(ask(&whole, target, &cookie), async {
            hesitant.has_waiting(1).await;
            let fields = [("Cookie", cookie.as_str()), ("Sec-Fetch-Site", "same-origin")];
            let closed = whole.ask("POST", "/close", &fields).await;
            assert_eq!(closed.status, 204, "{target}: {}", closed.text());
            hesitant.tell_first(refusal);
        });
        assert_eq!((answer.status, whole.reason_of(&answer).await.as_str()), (401, "expired"), "{target}: {}", answer.text());
        assert!(!answer.text().contains("their") && answer.field("set-cookie").is_none(), "{target}: {}", answer.text());
        assert_eq!((issuer.exchanges(), hesitant.upstream.hits()), (0, 1), "{target}: nothing is spent, nothing is sent again");
        let after = ask(&whole, target, &cookie).await;
        assert_eq!((after.status, hesitant.upstream.hits()), (401, 1), "{target}: and the session stays over");
    }
}
