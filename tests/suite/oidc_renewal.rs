//! Refresh tokens of a real OpenID provider, which rotates them and takes a second use for theft.
//!
//! First the `oauth2` renewer alone, as each kind of client; then the whole proxy before a browser that holds its pair in cookies.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use countersign::ambient::SystemRandom;
use countersign::domain::{Claims, Clock, Identity, Observer, Random, Secret, Silent, Spent, Timestamp};
use countersign::net::client::{Client, ClientSettings};
use countersign::renew::contract::{RenewError, RenewTools, Renewer};

use crate::conf::plan_of;
use crate::support::child::Running;
use crate::support::openid::{AUDIENCE, Count, Pair, Provider, SECRET};
use crate::support::upstream::Upstream;
use crate::support::whole::Folder;

/// The private key whose public half the provider knows as that of `web-key`.
const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/keys/demo-assertion.pem");

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp(i64::try_from(since.as_secs()).unwrap())
}

/// The renewer that `settings` describe, in a conf whose only user has `origin` for an issuer.
fn renewer(origin: &str, settings: &str) -> Arc<dyn Renewer> {
    let text = format!(
        "listeners: [{{ address: 127.0.0.1:8080 }}]\nupstreams: {{ app: http://127.0.0.1:9000 }}\nallow_inline_secrets: true\n\
         authenticators: {{ user: {{ jwt: {{ issuer: '{origin}', audience: x }}, renew: login }} }}\n\
         renewers: {{ login: {{ oauth2: {{ refresh_from: {{ cookie: rt }}, {settings} }} }} }}\n\
         rules: [{{ name: r, match: {{ paths: /a }}, authenticate: user, forward: app }}]\n"
    );
    let plan = plan_of(&text, &[("key.pem", &std::fs::read(KEY).unwrap())]);
    let client = Arc::new(Client::new(ClientSettings { unpooled: true, ..ClientSettings::default() }).unwrap());
    let clock: Arc<dyn Clock> = Arc::new(AtomicI64::new(now().0));
    let random: Arc<dyn Random> = Arc::new(SystemRandom);
    let observer: Arc<dyn Observer> = Arc::new(Silent);
    let issuers = std::collections::BTreeMap::new();
    let tools = RenewTools {
        issuers: &issuers,
        deadline: Duration::from_secs(10),
        client: &client,
        clock: &clock,
        random: &random,
        observer: &observer,
    };
    plan.renewers[0].renewer.build(&"login".into(), &tools).unwrap()
}

fn spent(pair: &Pair) -> Spent {
    let identity = Identity {
        subject: "ann".into(),
        issuer: "x".into(),
        scopes: Box::default(),
        claims: Claims::empty(),
        expires: None,
        not_before: None,
        scheme: "jwt",
        authenticator: "user".into(),
        burn: None,
        also: Vec::new(),
    };
    let secret = |text: &str| Secret::new(text.as_bytes().to_vec());
    Spent { refresh: secret(&pair.refresh), access: secret(&pair.access), identity: Arc::new(identity) }
}

/// Spends `pair`.
async fn renew(renewer: &dyn Renewer, pair: &Pair) -> Result<Pair, RenewError> {
    let text = |secret: &Secret| String::from_utf8(secret.expose().to_vec()).unwrap();
    let moment = now();
    let fresh = renewer.renew(&spent(pair), moment).await?;
    let end = fresh.access_until.expect("the provider says when it ends");
    assert_eq!(end, Timestamp(moment.0 + 300), "300 seconds from when it was asked for");
    Ok(Pair { access: text(&fresh.access), refresh: text(&fresh.refresh.expect("the provider rotates")) })
}

/// The claims of `token`, whoever signed it.
fn claims(token: &str) -> serde_json::Value {
    let bytes = countersign::jose::base64url::decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_client_renews_at_a_real_provider_and_reuse_ends_the_grant() {
    let provider = Provider::start();
    let rows = [
        ("web-basic", format!("client_secret: {SECRET}")),
        ("web-post", format!("client_secret: {SECRET}, client_auth: post")),
        ("web-key", "client_key: { file: key.pem }".to_owned()),
        ("web-key", format!("client_key: {{ file: key.pem }}, token_url: '{}/token'", provider.origin)),
        ("web-named", "client_key: { file: key.pem }, client_key_id: proxy-1".to_owned()),
        ("web-none", "client_auth: none".to_owned()),
        ("web-basic", format!("client_secret: {SECRET}, scope: [read], resource: '{AUDIENCE}'")),
    ];
    let mut expected = Count { refreshed: 0, refused: 0, revoked: 0 };
    for (client, settings) in rows {
        let renewer = renewer(&provider.origin, &format!("client_id: {client}, {settings}"));
        let first = provider.session(client, "ann").await;
        let second = renew(&*renewer, &first).await.unwrap_or_else(|error| panic!("{client} {settings}: {error}"));
        let third = renew(&*renewer, &second).await.unwrap();
        let [first_claims, third_claims] = [&first, &third].map(|pair| claims(&pair.access));
        assert_eq!(third_claims["sub"], first_claims["sub"], "{client}: the same user");
        assert_eq!(third_claims["aud"], AUDIENCE, "{client}: for the same audience");
        assert_ne!(third.access, first.access, "{client}: another token");
        assert!(first.refresh != second.refresh && second.refresh != third.refresh, "{client}: each refresh token is new");

        let reused = renew(&*renewer, &first).await.unwrap_err();
        assert_eq!(reused, RenewError::Rejected { code: "invalid_grant" }, "{client}: spent twice");
        let after = renew(&*renewer, &third).await.unwrap_err();
        assert_eq!(after, RenewError::Rejected { code: "invalid_grant" }, "{client}: and with it the whole family");
        expected = Count { refreshed: expected.refreshed + 2, refused: expected.refused + 2, revoked: expected.revoked + 1 };
        assert_eq!(provider.count().await, expected, "{client}: nothing was asked beside");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_provider_that_does_not_know_us_or_is_gone_is_told_as_that() {
    let mut provider = Provider::start();
    let pair = provider.session("web-basic", "ann").await;
    let stranger = renewer(&provider.origin, "client_id: web-basic, client_secret: wrong");
    assert_eq!(renew(&*stranger, &pair).await.unwrap_err(), RenewError::Unaccepted { code: "invalid_client" });
    let greedy = renewer(&provider.origin, &format!("client_id: web-basic, client_secret: {SECRET}, scope: [read, write]"));
    assert_eq!(renew(&*greedy, &pair).await.unwrap_err(), RenewError::Unaccepted { code: "invalid_scope" });
    let astray =
        renewer(&provider.origin, &format!("client_id: web-basic, client_secret: {SECRET}, token_url: '{}/nowhere'", provider.origin));
    assert!(matches!(renew(&*astray, &pair).await.unwrap_err(), RenewError::Lost { .. }));

    let known = renewer(&provider.origin, &format!("client_id: web-basic, client_secret: {SECRET}"));
    let pair = renew(&*known, &pair).await.expect("no attempt before has spent it");
    provider.lose(1).await;
    let lost = renew(&*known, &pair).await.unwrap_err();
    assert!(matches!(lost, RenewError::Lost { .. }), "reset after it has rotated: {lost:?}");
    assert_eq!(renew(&*known, &pair).await.unwrap_err(), RenewError::Rejected { code: "invalid_grant" }, "it was spent indeed");
    provider.stop();
    let gone = renew(&*known, &pair).await.unwrap_err();
    assert!(matches!(gone, RenewError::Unreached { .. }), "nobody is there: {gone:?}");
}

/// What the answer sets the cookie called `name` to.
fn cookie(answer: &crate::support::raw::Answer, name: &str) -> Option<String> {
    answer.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case("set-cookie")).find_map(|(_, value)| {
        let (text, attributes) = value.strip_prefix(&format!("{name}="))?.split_once("; ")?;
        assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Lax");
        Some(text.to_owned())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_with_a_real_pair_never_sees_that_it_is_renewed() {
    let provider = Provider::start();
    let upstream = Upstream::start().await;
    let folder = Folder::new();
    // So early that every token of 300 seconds is due: no test waits for an end.
    let path = folder.write(
        "countersign.yaml",
        format!(
            r"
listeners: [{{ address: 127.0.0.1:0 }}]
admin: {{ address: 127.0.0.1:0 }}
upstreams: {{ app: http://{} }}
state: {{ memory: {{}} }}
keys: {{ provider: {{ discovery: {{ issuer: {origin} }} }} }}
authenticators:
  user:
    jwt: {{ issuer: {origin}, audience: '{AUDIENCE}', keys: provider, typ: at+jwt, from: {{ cookie: __Host-at }} }}
    renew: login
renewers:
  login:
    oauth2:
      refresh_from: {{ cookie: __Host-rt }}
      client_id: web-key
      client_key: {{ file: {KEY} }}
      early: 1d
rules:
  - {{ name: all, match: {{ paths: [/**] }}, authenticate: user, forward: app }}
",
            upstream.address,
            origin = provider.origin
        ),
    );
    let process = Running::start(&path).await;
    process.ready().await;
    let ask = |pair: &Pair| {
        let request =
            format!("GET /x HTTP/1.1\r\nHost: a\r\nCookie: __Host-at={}; theme=dark; __Host-rt={}\r\n\r\n", pair.access, pair.refresh);
        process.ask(request)
    };

    let mut pair = provider.session("web-key", "ann").await;
    let mut before = Vec::new();
    for turn in 1..=5 {
        let answer = ask(&pair).await;
        assert_eq!(answer.status, 200, "turn {turn}: {}", process.records());
        let fresh = Pair {
            access: cookie(&answer, "__Host-at").expect("a new access token"),
            refresh: cookie(&answer, "__Host-rt").expect("a new refresh token"),
        };
        assert_eq!(answer.field("cache-control"), Some("no-store"), "turn {turn}");
        before.push(std::mem::replace(&mut pair, fresh));
    }
    let count = provider.count().await;
    assert_eq!(count, Count { refreshed: 5, refused: 0, revoked: 0 }, "one exchange for each pair");
    for seen in upstream.records() {
        assert_eq!(seen.fields("x-auth-subject"), ["ann"]);
        assert_eq!(seen.fields("cookie"), ["theme=dark"], "the upstream sees neither of the two");
    }

    // The request that had left before the new pair came, and all that were under way with it.
    let late = ask(before.last().unwrap()).await;
    assert_eq!(late.status, 200);
    assert_eq!(cookie(&late, "__Host-rt").as_ref(), Some(&pair.refresh), "the same new pair, from memory");
    assert_eq!(provider.count().await, count, "and no exchange: a second use would have ended the grant");

    // Garbage in place of either spends nothing.
    for (access, refresh, status) in [("garbage", pair.refresh.as_str(), 401), (pair.access.as_str(), "garbage", 200)] {
        let answer = ask(&Pair { access: access.into(), refresh: refresh.into() }).await;
        assert_eq!(answer.status, status, "{access:.20} {refresh:.20}: {}", process.records());
    }
    assert_eq!(provider.count().await.revoked, 0);
    process.counts("countersign_renewals_total{renewer=\"login\",result=\"renewed\"} 5").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_that_is_handed_over_twice_is_spent_once() {
    let provider = Provider::start();
    let upstream = Upstream::start().await;
    let folder = Folder::new();
    folder.write("seal.key", "only-for-tests-a-key-that-seals-the-sessions");
    let path = folder.write(
        "countersign.yaml",
        format!(
            r"
listeners: [{{ address: 127.0.0.1:0 }}]
admin: {{ address: 127.0.0.1:0 }}
upstreams: {{ app: http://{} }}
state: {{ memory: {{}} }}
keys:
  provider: {{ discovery: {{ issuer: {origin} }} }}
  seals: {{ mac: {{ file: seal.key }} }}
authenticators:
  user: {{ jwt: {{ issuer: {origin}, audience: '{AUDIENCE}', keys: provider, typ: at+jwt }} }}
  member: {{ session: {{ keys: seals, tokens: user }}, renew: login }}
renewers:
  login: {{ oauth2: {{ issuer: {origin}, client_id: web-key, client_key: {{ file: {KEY} }}, early: 1d }} }}
rules:
  - {{ name: login, match: {{ paths: [/login], methods: [POST] }}, authenticate: user, serve: {{ session.open: {{ session: member }} }} }}
  - {{ name: site, match: {{ paths: [/**] }}, authenticate: member, forward: app }}
",
            upstream.address,
            origin = provider.origin
        ),
    );
    let process = Running::start(&path).await;
    process.ready().await;
    let pair = provider.session("web-key", "ann").await;
    let form = format!("refresh_token={}", pair.refresh);
    let open = || {
        process.ask(format!(
            "POST /login HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            pair.access,
            form.len()
        ))
    };
    // A double click: both at once, and a third when the first is done.
    let clicks = tokio::join!(open(), open());
    let clicks = [clicks.0, clicks.1, open().await];
    let mut statuses: Vec<u16> = clicks.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 409, 409], "one of them opens a session: {}", process.records());
    for refused in clicks.iter().filter(|answer| answer.status == 409) {
        assert_eq!(refused.field("set-cookie"), None);
        assert!(refused.text().contains("in a session already"), "{}", refused.text());
    }
    // Every cookie that was set goes on, whatever the second click got.
    for held in clicks.iter().filter_map(|answer| answer.field("set-cookie")) {
        let cookie = held.split(';').next().unwrap();
        for turn in 1..=3 {
            let answer = process.ask(format!("GET /x HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n")).await;
            assert_eq!(answer.status, 200, "turn {turn}: {}", process.records());
        }
    }
    let late = open().await;
    assert_eq!(late.status, 409, "what was spent by now opens no session either");
    let count = provider.count().await;
    assert_eq!((count.refused, count.revoked), (0, 0), "nothing was spent twice");
    assert!(0 < count.refreshed, "and the pair was renewed");
}
