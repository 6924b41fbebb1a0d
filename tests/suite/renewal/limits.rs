//! What a renewal cannot mend: an upstream that refuses everybody, a pair that no cookie holds, a client that has just logged in
//! elsewhere, a token of which its issuer says no more than that it is inactive.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use countersign::jose::algorithm::Algorithm;
use countersign::jose::mint::SigningKey;
use serde_json::json;

use super::{ENDED, ISSUER, Issuer, access, ask, handed, pair};
use crate::loopback::{Loopback, Told};
use crate::support::raw::Answer;
use crate::support::upstream::{Reply, Upstream, ok};
use crate::support::whole::{NOW, Whole};

/// Well before [`ENDED`]; what is made now outlives the first token.
const MIDDLE: i64 = ENDED - 500;

async fn refusing() -> Upstream {
    Upstream::scripted(|_| Reply::Bytes(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 5\r\n\r\ntheir".to_vec())).await
}

/// An issuer whose tokens are made at `made`, and that gives a new refresh token only where it `rotates`.
fn issuer(made: i64, rotates: bool) -> Issuer {
    let key = Arc::new(SigningKey::generate(Algorithm::Es256).unwrap());
    let (signing, count) = (Arc::clone(&key), AtomicUsize::new(1));
    Issuer::scripted(key, move |spent| {
        let generation = 1 + count.fetch_add(1, Ordering::SeqCst);
        let access = access(&signing, made, generation);
        if rotates {
            return pair(&access, spent.strip_prefix("rt-").unwrap().parse::<usize>().unwrap() + 1);
        }
        let body = json!({ "access_token": access, "token_type": "Bearer" });
        Told::Answer(200, vec![("Content-Type".into(), "application/json".into())], body.to_string().into())
    })
}

fn cookies(answer: &Answer) -> Vec<&str> {
    let all = answer.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    all.map(|(_, value)| value.split(';').next().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_refuses_whatever_it_is_shown_does_not_cost_an_exchange_each_time() {
    for rotates in [true, false] {
        let (issuer, upstream) = (issuer(MIDDLE, rotates), refusing().await);
        let whole = issuer.proxy(&upstream, "early: 0s").await;
        whole.set_clock(MIDDLE);
        let shows = if rotates { "an issuer that rotates" } else { "one that does not" };

        let answer = ask(&whole, "/x", &issuer.first(), "rt-1").await;
        assert_eq!((answer.status, answer.text().as_str(), issuer.exchanges()), (401, "their", 1), "{shows}");
        assert_eq!(upstream.hits(), 2, "{shows}: tried once with the old one, once with the fresh one");
        let fresh = answer.field("x-renewed-access-token").expect("handed back all the same").to_owned();
        let refresh = if rotates { "rt-2" } else { "rt-1" };
        assert_eq!(handed(&answer), if rotates { refresh } else { "" }, "{shows}");

        for (later, turn) in [(0, "at once"), (29, "to the last second")] {
            whole.set_clock(MIDDLE + later);
            let hits = upstream.hits();
            let answer = ask(&whole, "/x", &fresh, refresh).await;
            assert_eq!((answer.status, answer.text().as_str(), handed(&answer).as_str()), (401, "their", ""), "{shows}, {turn}: theirs");
            assert_eq!((issuer.exchanges(), upstream.hits() - hits), (1, 1), "{shows}, {turn}: nothing is spent, nothing sent again");
        }
        // Somebody else's pair is not meant.
        let other = access(&issuer.key, MIDDLE - 1, 50);
        assert_eq!(ask(&whole, "/x", &other, "rt-50").await.status, 401);
        assert_eq!(issuer.exchanges(), 2, "{shows}: another pair is renewed as ever");

        whole.set_clock(MIDDLE + 30);
        assert_eq!(ask(&whole, "/x", &fresh, refresh).await.status, 401);
        assert_eq!(issuer.exchanges(), 3, "{shows}: and so is this one, half a minute later");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_was_renewed_in_vain_is_renewed_all_the_same_once_it_has_ended() {
    // What comes back has 10 s to live, leeway included.
    let (issuer, upstream) = (issuer(MIDDLE - 3_620, true), refusing().await);
    let whole = issuer.proxy(&upstream, "early: 0s").await;
    whole.set_clock(MIDDLE);
    let answer = ask(&whole, "/x", &issuer.first(), "rt-1").await;
    let fresh = answer.field("x-renewed-access-token").unwrap().to_owned();
    whole.set_clock(MIDDLE + 9);
    ask(&whole, "/x", &fresh, "rt-2").await;
    assert_eq!(issuer.exchanges(), 1, "it rests");
    whole.set_clock(MIDDLE + 10);
    ask(&whole, "/x", &fresh, "rt-2").await;
    assert_eq!(issuer.exchanges(), 2, "its end is another reason than the upstream's 401");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_credential_that_the_upstream_takes_does_not_rest() {
    // Takes the second try with anything, and so on: 401, 200, 401, 200.
    let turn = AtomicUsize::new(0);
    let upstream = Upstream::scripted(move |_| match turn.fetch_add(1, Ordering::SeqCst) % 2 {
        0 => Reply::Bytes(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 5\r\n\r\ntheir".to_vec()),
        _ => ok("taken"),
    })
    .await;
    let issuer = issuer(MIDDLE, true);
    let whole = issuer.proxy(&upstream, "").await;
    whole.set_clock(MIDDLE);
    let (mut fresh, mut refresh) = (issuer.first(), "rt-1".to_owned());
    for exchanges in 1..=3 {
        let answer = ask(&whole, "/x", &fresh, &refresh).await;
        assert_eq!((answer.status, issuer.exchanges()), (200, exchanges), "renewed, and not in vain");
        (fresh, refresh) = (answer.field("x-renewed-access-token").unwrap().to_owned(), handed(&answer));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_session_keeps_rests_as_well() {
    let (issuer, upstream) = (issuer(MIDDLE, true), refusing().await);
    let conf = format!(
        r"
listeners: [{{ address: 127.0.0.1:0 }}]
governor: off
upstreams: {{ app: http://{} }}
state: {{ memory: {{}} }}
keys:
  own: {{ pinned: {{ file: own.jwk }} }}
  seals: {{ mac: {{ file: seal.key }} }}
authenticators:
  user: {{ jwt: {{ issuer: {ISSUER}, audience: app, keys: own }} }}
  member: {{ session: {{ keys: seals, tokens: user, idle: 0s }}, renew: held }}
renewers: {{ held: {{ oauth2: {{ token_url: 'http://{}/token', client_id: app, client_auth: none, early: 0s }} }} }}
rules:
  - {{ name: login, match: {{ paths: [/login], methods: [POST] }}, authenticate: user, serve: {{ session.open: {{ session: member }} }} }}
  - {{ name: site, match: {{ paths: [/site] }}, authenticate: member, forward: app }}
",
        upstream.address, issuer.endpoint.address
    );
    let folder = issuer.folder();
    folder.write("seal.key", b"0123456789abcdefghijklmnopqrstuv");
    let whole = Whole::start_in(folder, &conf).await;
    whole.set_clock(MIDDLE);
    let bearer = format!("Bearer {}", access(&issuer.key, MIDDLE - 1, 1));
    let form = [("Authorization", bearer.as_str()), ("Content-Type", "application/x-www-form-urlencoded")];
    let opened = whole.ask_with("POST", "/login", &form, "refresh_token=rt-1").await;
    let cookie = opened.field("set-cookie").expect("a session").split(';').next().unwrap().to_owned();
    for (later, exchanges, hits, shows) in
        [(0, 1, 2, "renewed in vain"), (2, 1, 3, "so it rests"), (29, 1, 4, "to the last second"), (30, 2, 6, "and no longer")]
    {
        whole.set_clock(MIDDLE + later);
        let answer = whole.ask("GET", "/site", &[("Cookie", &cookie)]).await;
        assert_eq!((answer.status, answer.text().as_str()), (401, "their"), "{shows}: {}", whole.written());
        assert_eq!((issuer.exchanges(), upstream.hits()), (exchanges, hits), "{shows}");
    }
}

/// `member` renews in cookies, where one must be and where one may be; `user` in headers.
const HOUSE: &str = r"
listeners: [{ address: 127.0.0.1:0 }]
governor: { failures_per_address: 3 }
upstreams: { app: http://UPSTREAM }
state: { memory: {} }
keys: { own: { pinned: { file: own.jwk } } }
authenticators:
  user: { jwt: { issuer: https://id.example, audience: app, keys: own }, renew: login }
  member: { jwt: { issuer: https://id.example, audience: app, keys: own, from: { cookie: at } }, renew: cookies }
renewers:
  login: { oauth2: { refresh_from: { header: X-Refresh-Token }, token_url: 'http://TOKEN/token', client_id: app, client_auth: none } }
  cookies: { oauth2: { refresh_from: { cookie: rt }, token_url: 'http://TOKEN/token', client_id: app, client_auth: none } }
rules:
  - { name: login, match: { paths: [/login] }, authenticate: { optional: member }, csrf: off, forward: app }
  - { name: switch, match: { paths: [/switch] }, authenticate: member, csrf: off, forward: app }
  - { name: member, match: { paths: [/member] }, authenticate: member, forward: app }
  - { name: user, match: { paths: [/user] }, authenticate: user, forward: app }
";

async fn house(issuer: &Issuer, upstream: &Upstream) -> Whole {
    let conf = HOUSE.replace("UPSTREAM", &upstream.address.to_string()).replace("TOKEN", &issuer.endpoint.address.to_string());
    Whole::start_in(issuer.folder(), &conf).await
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_the_upstream_has_just_logged_in_stays_logged_in() {
    let upstream = Upstream::scripted(|record| {
        if record.target() == "/member" {
            return ok("as ever");
        }
        let set = "Set-Cookie: at=bert; Path=/\r\nSet-Cookie: rt=rt-bert; Path=/\r\n";
        Reply::Bytes(format!("HTTP/1.1 200 OK\r\n{set}Content-Length: 0\r\n\r\n").into_bytes())
    })
    .await;
    let issuer = Issuer::start();
    let whole = house(&issuer, &upstream).await;
    whole.set_clock(ENDED);
    let brought = format!("at={}; rt=rt-1", issuer.first());
    let answer = whole.ask("GET", "/member", &[("Cookie", &brought)]).await;
    assert!(cookies(&answer)[1].starts_with("rt=rt-2"), "anna's pair had run out and is renewed: {:?}", answer.fields);
    for target in ["/login", "/switch"] {
        let answer = whole.ask("POST", target, &[("Cookie", &brought)]).await;
        assert_eq!((answer.status, cookies(&answer)), (200, vec!["at=bert", "rt=rt-bert"]), "{target}: bert logs in in her browser");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_that_no_cookie_holds_is_lost_and_what_is_still_good_is_served() {
    for (refresh, shows) in [("rt,2", "a comma"), ("rt\"2", "a quotation mark"), ("rt;2", "a semicolon"), ("rt\\2", "a backslash")] {
        let key = Arc::new(SigningKey::generate(Algorithm::Es256).unwrap());
        let signing = Arc::clone(&key);
        let issuer = Issuer::scripted(key, move |_| {
            let body = json!({ "access_token": access(&signing, ENDED, 2), "token_type": "Bearer", "refresh_token": refresh });
            Told::Answer(200, vec![("Content-Type".into(), "application/json".into())], body.to_string().into())
        });
        let upstream = Upstream::start().await;
        let whole = house(&issuer, &upstream).await;
        let brought = format!("at={}; rt=rt-1", issuer.first());

        whole.set_clock(ENDED - 1);
        let answer = whole.ask("GET", "/member", &[("Cookie", &brought)]).await;
        assert_eq!((answer.status, cookies(&answer), issuer.exchanges()), (200, vec![], 1), "{shows}: good for another second");
        whole.set_clock(ENDED);
        for _ in 0..5 {
            let answer = whole.ask("GET", "/member", &[("Cookie", &brought)]).await;
            assert_eq!((answer.status, cookies(&answer)), (401, vec![]), "{shows}: no half of a pair");
            assert_eq!(whole.reason_of(&answer).await, "renewal_refused", "{shows}: and nobody is throttled for it");
        }
        assert_eq!((issuer.exchanges(), upstream.hits()), (1, 1), "{shows}: what may be spent is not spent again");

        let answer = ask(&whole, "/user", &issuer.first(), "rt-1").await;
        assert_eq!((answer.status, handed(&answer).as_str()), (200, refresh), "{shows}: a header holds it");
    }
}

/// An issuer of opaque tokens: `opaque-N` is active until `NOW + 1000 * N`, and not when it `revoked` them all; `rt-N` renews it.
fn opaque(clock: Arc<std::sync::OnceLock<Arc<std::sync::atomic::AtomicI64>>>, subject: &'static str) -> (Loopback, Arc<AtomicUsize>) {
    let exchanges = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&exchanges);
    let endpoint = Loopback::start(move |asked| {
        let form: std::collections::BTreeMap<String, String> = form_urlencoded::parse(&asked.body).into_owned().collect();
        let number = |name: &str| form[name].rsplit('-').next().unwrap().parse::<i64>().unwrap();
        if asked.target() == "/token" {
            count.fetch_add(1, Ordering::SeqCst);
            let next = number("refresh_token") + 1;
            let body = json!({ "access_token": format!("opaque-{next}"), "token_type": "Bearer", "refresh_token": format!("rt-{next}") });
            return Told::Answer(200, vec![("Content-Type".into(), "application/json".into())], body.to_string().into());
        }
        let (now, number) = (clock.get().unwrap().load(Ordering::SeqCst), number("token"));
        let end = NOW + 1_000 * number;
        let sub = if number == 1 { "anna" } else { subject };
        match now < end && form["token"] != "opaque-revoked-1" {
            true => Told::ok(json!({ "active": true, "sub": sub, "exp": end }).to_string()),
            false => Told::ok(r#"{"active":false}"#),
        }
    });
    (endpoint, exchanges)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opaque_token_that_has_ended_is_renewed_where_its_holder_was_known() {
    // whether it was seen while it was good, whose token comes back, status, reason, exchanges, what it shows
    let rows = [
        (true, "anna", 200, "", 1, "seen while it was good"),
        (true, "bert", 401, "renewal_refused", 1, "M10 and somebody else's token comes back"),
        (false, "anna", 401, "revoked", 0, "never seen: nobody is proven by it"),
    ];
    for (seen, comes_back, status, reason, exchanges, shows) in rows {
        let clock = Arc::new(std::sync::OnceLock::new());
        let (issuer, count) = opaque(Arc::clone(&clock), comes_back);
        let upstream = Upstream::start().await;
        let conf = format!(
            r"
listeners: [{{ address: 127.0.0.1:0 }}]
governor: off
upstreams: {{ app: http://{} }}
state: {{ memory: {{}} }}
authenticators:
  user:
    introspection: {{ endpoint: 'http://{issuer}/introspect', client_id: a, client_secret: {{ file: secret }}, issuer: x }}
    renew: login
renewers:
  login:
    oauth2:
      refresh_from: {{ header: X-Refresh-Token }}
      token_url: http://{issuer}/token
      client_id: app
      client_auth: none
rules: [{{ name: all, match: {{ paths: [/x] }}, authenticate: user, forward: app }}]
",
            upstream.address,
            issuer = issuer.address
        );
        let whole = Whole::start(&conf, &[("secret", b"s3cret")]).await;
        assert!(clock.set(Arc::clone(&whole.clock)).is_ok());
        if seen {
            assert_eq!(ask(&whole, "/x", "opaque-1", "rt-1").await.status, 200, "{shows}");
        }
        whole.set_clock(NOW + 1_000);
        let answer = ask(&whole, "/x", "opaque-1", "rt-1").await;
        assert_eq!((answer.status, count.load(Ordering::SeqCst)), (status, exchanges), "{shows}: {}", whole.written());
        if status == 200 {
            assert_eq!((answer.field("x-renewed-access-token"), handed(&answer).as_str()), (Some("opaque-2"), "rt-2"), "{shows}");
            assert_eq!(upstream.records().pop().unwrap().fields("x-auth-subject"), ["anna"], "{shows}");
        } else {
            assert_eq!(whole.reason_of(&answer).await, reason, "{shows}");
            assert_eq!(handed(&answer), "", "{shows}");
        }
        let answer = ask(&whole, "/x", "opaque-revoked-1", "rt-1").await;
        assert_eq!((answer.status, whole.reason_of(&answer).await.as_str()), (401, "revoked"), "{shows}: what is revoked renews nothing");
        assert_eq!(count.load(Ordering::SeqCst), exchanges, "{shows}");
    }
}
