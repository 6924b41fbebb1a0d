//! Renewal through the running proxy: what the client, the upstream and the issuer see, in calm, in a storm, and when the issuer fails.

mod attacks;
mod limits;
mod outcomes;
mod storms;
mod told;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use countersign::demo::credentials::{claims, with};
use countersign::domain::Timestamp;
use countersign::jose::algorithm::Algorithm;
use countersign::jose::mint::SigningKey;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::loopback::{Loopback, Told};
use crate::support::raw::Answer;
use crate::support::upstream::{Recorded, Reply, Upstream, ok};
use crate::support::whole::{Folder, NOW, Whole};

const ISSUER: &str = "https://id.example";
/// From this moment on a token of [`claims`] is too late, leeway included.
const ENDED: i64 = NOW + 3_600 + 30;

/// An issuer that answers the spent token `rt-N` with a pair of generation N+1, and what it signs with.
struct Issuer {
    key: Arc<SigningKey>,
    endpoint: Loopback,
    exchanges: Arc<AtomicUsize>,
}

/// Anna's access token as of `now`, of a generation of its own.
fn access(key: &SigningKey, now: i64, generation: usize) -> String {
    key.sign_compact(&[], &with(claims(ISSUER, Timestamp(now)), "generation", generation)).unwrap()
}

/// What a token endpoint answers (RFC 6749 section 5.1).
fn pair(access: &str, generation: usize) -> Told {
    let body = json!({ "access_token": access, "token_type": "Bearer", "expires_in": 3600, "refresh_token": format!("rt-{generation}") });
    Told::Answer(200, vec![("Content-Type".into(), "application/json".into())], body.to_string().into())
}

impl Issuer {
    fn start() -> Self {
        let key = Arc::new(SigningKey::generate(Algorithm::Es256).unwrap());
        let signing = Arc::clone(&key);
        Self::scripted(key, move |spent| {
            let generation: usize = spent.strip_prefix("rt-").and_then(|rest| rest.parse().ok()).unwrap();
            pair(&access(&signing, ENDED, generation + 1), generation + 1)
        })
    }

    /// One that does as `script` says with the refresh token that is spent.
    fn scripted(key: Arc<SigningKey>, script: impl Fn(&str) -> Told + Send + 'static) -> Self {
        let exchanges = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&exchanges);
        let endpoint = Loopback::start(move |asked| {
            count.fetch_add(1, Ordering::SeqCst);
            let form = form_urlencoded::parse(&asked.body);
            let spent = form.into_owned().find(|(name, _)| name == "refresh_token").map(|(_, value)| value).unwrap();
            script(&spent)
        });
        Self { key, endpoint, exchanges }
    }

    fn exchanges(&self) -> usize {
        self.exchanges.load(Ordering::SeqCst)
    }

    /// Anna's first token.
    fn first(&self) -> String {
        access(&self.key, NOW, 1)
    }

    fn conf(&self, upstream: &Upstream, state: &str, more: &str, forward: &str) -> String {
        format!(
            r"
listeners: [{{ address: 127.0.0.1:0 }}]
governor: off
limits: {{ connections_per_address: 10000 }}
upstreams: {{ app: http://{} }}
state: {state}
keys: {{ own: {{ pinned: {{ file: own.jwk }} }} }}
authenticators:
  user: {{ jwt: {{ issuer: {ISSUER}, audience: app, keys: own }}, renew: login }}
renewers:
  login:
    oauth2:
      refresh_from: {{ header: X-Refresh-Token }}
      token_url: http://{}/token
      client_id: app
      client_auth: none
      {more}
rules:
  - {{ name: closed, match: {{ paths: [/closed] }}, authenticate: user, authorize: 'false', forward: app }}
  - {{ name: all, match: {{ paths: [/**] }}, authenticate: user, forward: {forward} }}
",
            upstream.address, self.endpoint.address
        )
    }

    fn folder(&self) -> Folder {
        let folder = Folder::new();
        folder.write("own.jwk", self.key.public_jwk().unwrap().to_string());
        folder
    }

    async fn proxy(&self, upstream: &Upstream, more: &str) -> Whole {
        Whole::start_in(self.folder(), &self.conf(upstream, "{ memory: {} }", more, "app")).await
    }
}

/// Asks with this pair.
async fn ask(whole: &Whole, target: &str, access: &str, refresh: &str) -> Answer {
    let bearer = format!("Bearer {access}");
    let mut fields = vec![("Authorization", bearer.as_str())];
    if !refresh.is_empty() {
        fields.push(("X-Refresh-Token", refresh));
    }
    whole.ask("GET", target, &fields).await
}

/// The refresh token that an answer hands back; empty for none.
fn handed(answer: &Answer) -> String {
    answer.field("x-renewed-refresh-token").unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_that_has_run_out_is_renewed_once_and_handed_back() {
    let (issuer, upstream) = (Issuer::start(), Upstream::start().await);
    let whole = issuer.proxy(&upstream, "").await;
    let old = issuer.first();

    let answer = ask(&whole, "/x", &old, "rt-1").await;
    assert_eq!((answer.status, handed(&answer).as_str(), issuer.exchanges()), (200, "", 0), "good still: nothing is renewed");
    assert_eq!(upstream.sole().fields("x-refresh-token"), [""; 0], "and what renews never goes upstream");

    whole.set_clock(ENDED);
    let answer = ask(&whole, "/x", &old, "rt-1").await;
    assert_eq!((answer.status, handed(&answer).as_str()), (200, "rt-2"), "renewed, and handed back: {}", whole.written());
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    let fresh = answer.field("x-renewed-access-token").unwrap().to_owned();
    let seen = upstream.records().pop().unwrap();
    assert_eq!(seen.fields("x-auth-subject"), ["anna"]);
    assert_eq!((seen.fields("authorization"), seen.fields("x-refresh-token")), (vec![], vec![]), "neither credential goes upstream");
    let record = whole.record_by(answer.field("x-request-id").unwrap_or(seen.fields("x-request-id")[0])).await;
    assert_eq!((&record["renewed"], &record["subject"], &record["verdict"]), (&json!(true), &json!("anna"), &json!("admitted")));

    for (later, shows) in [(0, "at once"), (25, "25 s after the exchange"), (29, "the last second of the grace")] {
        whole.set_clock(ENDED + later);
        assert_eq!(handed(&ask(&whole, "/x", &old, "rt-1").await), "rt-2", "{shows}: the very same pair");
    }
    assert_eq!(issuer.exchanges(), 1, "by one exchange");

    let answer = ask(&whole, "/x", &fresh, "rt-2").await;
    assert_eq!((answer.status, handed(&answer).as_str(), issuer.exchanges()), (200, "", 1), "the fresh pair is good by itself");
    let answer = ask(&whole, "/closed", &old, "rt-1").await;
    assert_eq!((answer.status, handed(&answer).as_str()), (403, "rt-2"), "a refusal hands the pair back as well: the old one is spent");
    let rows = [
        ("no-dots", "rt-9", "credential_malformed", "garbage renews nothing"),
        (&old[..old.len() - 4], "rt-9", "signature_invalid", "nor does what nobody signed"),
        (old.as_str(), "", "expired", "nothing is brought to renew with"),
    ];
    for (access, refresh, reason, shows) in rows {
        let answer = ask(&whole, "/x", access, refresh).await;
        assert_eq!((answer.status, whole.reason_of(&answer).await.as_str()), (401, reason), "{shows}");
    }
    assert_eq!(issuer.exchanges(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_credential_may_be_younger_than_the_request_that_waits_for_it() {
    // Without leeway a token ends 30 s earlier than [`ENDED`] says.
    const LAST: i64 = ENDED - 30;
    for (arrived, took, shows) in [(LAST, 0, "at once"), (LAST, 1, "a second later"), (LAST, 5, "five seconds later")] {
        let key = Arc::new(SigningKey::generate(Algorithm::Es256).unwrap());
        let (signing, clock) = (Arc::clone(&key), Arc::new(OnceLock::<Arc<AtomicI64>>::new()));
        let proxys = Arc::clone(&clock);
        let issuer = Issuer::scripted(key, move |_| {
            proxys.get().unwrap().store(arrived + took, Ordering::SeqCst);
            pair(&access(&signing, arrived + took, 2), 2)
        });
        let upstream = Upstream::start().await;
        let conf = issuer.conf(&upstream, "{ memory: {} }", "", "app").replace("keys: own }", "keys: own, leeway: 0s }");
        let whole = Whole::start_in(issuer.folder(), &conf).await;
        assert!(clock.set(Arc::clone(&whole.clock)).is_ok());
        whole.set_clock(arrived);
        let answer = ask(&whole, "/x", &issuer.first(), "rt-1").await;
        assert_eq!((answer.status, handed(&answer).as_str()), (200, "rt-2"), "the issuer answers {shows}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_must_be_good_and_the_same_callers() {
    let key = Arc::new(SigningKey::generate(Algorithm::Es256).unwrap());
    let stranger = SigningKey::generate(Algorithm::Es256).unwrap().with_kid(key.kid());
    let of = |claims: Value| key.sign_compact(&[], &claims).unwrap();
    let good = claims(ISSUER, Timestamp(ENDED));
    let rows = [
        (of(good.clone()), 200, "", "the same caller's"),
        (of(with(good.clone(), "sub", "mallory")), 401, "renewal_refused", "M10 somebody else's"),
        (of(with(good.clone(), "iss", "https://evil.example")), 401, "renewal_refused", "another issuer's"),
        (of(with(good.clone(), "exp", ENDED - 3_600)), 401, "renewal_refused", "one that has run out itself"),
        (of(with(good.clone(), "aud", "other")), 401, "renewal_refused", "one for somebody else"),
        (stranger.sign_compact(&[], &good).unwrap(), 401, "renewal_refused", "one that a stranger signed"),
        ("opaque".to_owned(), 401, "renewal_refused", "one that is no token of this kind"),
    ];
    for (fresh, status, reason, shows) in rows {
        let (answered, upstream) = (fresh.clone(), Upstream::start().await);
        let issuer = Issuer::scripted(Arc::clone(&key), move |_| pair(&answered, 2));
        let whole = issuer.proxy(&upstream, "").await;
        whole.set_clock(ENDED);
        let answer = ask(&whole, "/x", &issuer.first(), "rt-1").await;
        assert_eq!(answer.status, status, "{shows}");
        if status == 200 {
            continue;
        }
        assert_eq!(whole.reason_of(&answer).await, reason, "{shows}");
        assert!(!answer.fields.iter().any(|(_, value)| value.contains("rt-2") || *value == fresh), "{shows}: nothing of it is handed out");
        assert_eq!(upstream.hits(), 0, "{shows}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_is_not_there_costs_nothing_but_a_while() {
    let (issuer, upstream) = (Issuer::start(), Upstream::start().await);
    let conf = issuer.conf(&upstream, "{ memory: {} }", "", "app").replace(&issuer.endpoint.address.to_string(), "127.0.0.1:1");
    let whole = Whole::start_in(issuer.folder(), &conf).await;
    whole.set_clock(ENDED);
    let answer = ask(&whole, "/x", &issuer.first(), "rt-1").await;
    assert_eq!((answer.status, whole.reason_of(&answer).await.as_str()), (503, "renewal_unavailable"), "nothing was spent");

    whole.reload(&issuer.conf(&upstream, "{ memory: {} }", "", "app")).await.unwrap();
    whole.set_clock(ENDED + 5);
    assert_eq!(handed(&ask(&whole, "/x", &issuer.first(), "rt-1").await), "rt-2", "so it still renews");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_refuses_a_good_credential_gets_a_fresh_one() {
    let wants_second = |record: &Recorded| {
        let sent = record.fields("authorization").concat();
        let payload = sent.split('.').nth(1).map(|part| countersign::jose::base64url::decode(part).unwrap()).unwrap_or_default();
        let claims: Value = serde_json::from_slice(&payload).unwrap_or_default();
        match claims["generation"].as_u64() {
            Some(2) => ok("taken"),
            _ => Reply::Bytes(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 5\r\n\r\ntheir".to_vec()),
        }
    };
    // Well before the old one ends; so the fresh one outlives it.
    const MIDDLE: i64 = ENDED - 500;
    let key = Arc::new(SigningKey::generate(Algorithm::Es256).unwrap());
    let signing = Arc::clone(&key);
    let issuer = Issuer::scripted(key, move |_| pair(&access(&signing, MIDDLE, 2), 2));
    let upstream = Upstream::scripted(wants_second).await;
    let conf = issuer.conf(&upstream, "{ memory: {} }", "grace: 600s", "{ upstream: app, keep_credential: true }");
    let whole = Whole::start_in(issuer.folder(), &conf).await;
    whole.set_clock(MIDDLE);
    let old = issuer.first();

    let answer = ask(&whole, "/x", &old, "").await;
    assert_eq!((answer.status, answer.text().as_str(), upstream.hits()), (401, "their", 1), "nothing to renew with: their own answer");
    let answer = ask(&whole, "/x", &old, "rt-1").await;
    assert_eq!((answer.status, answer.text().as_str(), handed(&answer).as_str()), (200, "taken", "rt-2"));
    assert_eq!((upstream.hits(), issuer.exchanges()), (3, 1), "asked twice, by one exchange");
    let seen = upstream.records().pop().unwrap();
    assert!(seen.fields("authorization")[0].starts_with("Bearer ey"), "the fresh one stands where the old one stood");
    assert_eq!(seen.fields("x-refresh-token"), [""; 0], "what renews never goes upstream, credentials kept or not");

    whole.set_clock(ENDED);
    let answer = ask(&whole, "/x", &old, "rt-1").await;
    assert_eq!(
        (answer.status, handed(&answer).as_str()),
        (200, "rt-2"),
        "run out by now: renewed before it is sent, with the pair of before"
    );
    assert_eq!((upstream.hits(), issuer.exchanges()), (4, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_upstream_refuses_its_token_once_is_served_with_a_fresh_one() {
    // The upstream takes nothing from anybody the first time that it is asked for a path.
    let refusing = |record: &Recorded, before: &mut BTreeSet<String>| match before.insert(record.target().to_owned()) {
        true => Reply::Bytes(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 5\r\n\r\ntheir".to_vec()),
        false => ok(&record.fields("x-auth-subject").concat()),
    };
    let before = Mutex::new(BTreeSet::new());
    let upstream = Upstream::scripted(move |record| refusing(record, &mut before.lock())).await;
    // Later than the session was opened, so that a fresh token is another than the one before.
    const LATER: i64 = NOW + 60;
    let key = Arc::new(SigningKey::generate(Algorithm::Es256).unwrap());
    let signing = Arc::clone(&key);
    let issuer = Issuer::scripted(key, move |spent| {
        let next = spent.strip_prefix("rt-").and_then(|rest| rest.parse::<usize>().ok()).unwrap() + 1;
        pair(&access(&signing, LATER, next), next)
    });
    let (address, token) = (upstream.address, issuer.endpoint.address);
    let conf = format!(
        r"
listeners: [{{ address: 127.0.0.1:0 }}]
governor: off
upstreams: {{ app: http://{address} }}
state: {{ memory: {{}} }}
keys: {{ own: {{ pinned: {{ file: own.jwk }} }}, seals: {{ mac: {{ file: seal.key }} }} }}
authenticators:
  user: {{ jwt: {{ issuer: {ISSUER}, audience: app, keys: own }} }}
  member: {{ session: {{ keys: seals, tokens: user }}, renew: kept }}
renewers: {{ kept: {{ oauth2: {{ token_url: 'http://{token}/token', client_id: app, client_auth: none }} }} }}
rules:
  - {{ name: open, match: {{ paths: [/open], methods: [POST] }}, authenticate: user, serve: {{ session.open: {{ session: member }} }} }}
  - {{ name: all, match: {{ paths: [/**] }}, authenticate: member, forward: app }}
"
    );
    let folder = issuer.folder();
    folder.write("seal.key", "only-for-tests-a-key-of-forty-bytes-long");
    let whole = Whole::start_in(folder, &conf).await;
    let bearer = format!("Bearer {}", issuer.first());
    let form = [("Authorization", bearer.as_str()), ("Content-Type", "application/x-www-form-urlencoded")];
    let opened = whole.ask_with("POST", "/open", &form, "refresh_token=rt-1").await;
    assert_eq!(opened.status, 204, "{}", whole.written());
    let cookie = opened.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    whole.set_clock(LATER);

    let mine = [("Cookie", cookie.as_str()), ("Sec-Fetch-Site", "same-origin")];
    let rows = [("GET", "/a", "", 1, "read"), ("POST", "/b", "a body", 2, "written: the pair of before is spent in its turn")];
    for (method, target, body, exchanges, shows) in rows {
        let hits = upstream.hits();
        let answer = whole.ask_with(method, target, &mine, body).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "anna"), "{shows}: {}", whole.written());
        assert_eq!((upstream.hits() - hits, issuer.exchanges()), (2, exchanges), "{shows}: asked twice, by one exchange more");
        let tries: Vec<_> = upstream.records().iter().skip(hits).map(|seen| seen.body.clone()).collect();
        assert_eq!(tries, [body.as_bytes(); 2], "{shows}: both times whole");
        assert_eq!((handed(&answer).as_str(), answer.field("x-renewed-access-token")), ("", None), "{shows}: the pair stays with us");
        let record = whole.record_by(upstream.records().pop().unwrap().fields("x-request-id")[0]).await;
        assert_eq!((&record["renewed"], &record["status"]), (&json!(true), &json!(200)), "{shows}");
    }
    let answer = whole.ask("GET", "/a", &mine).await;
    assert_eq!((answer.status, issuer.exchanges()), (200, 2), "and is left alone when it is content");
}
