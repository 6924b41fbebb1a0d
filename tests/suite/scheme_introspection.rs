//! Opaque tokens through the running proxy: asked about once, remembered for a moment, undecided during an outage.

use countersign::demo::issuer::{DemoIssuer, Trouble};
use serde_json::{Value, json};

use crate::support::rows::{row, run};
use crate::support::upstream::Upstream;
use crate::support::whole::{NOW, Whole};

const ASKED: &str = "/introspect";

fn conf(upstream: &Upstream, issuer: &DemoIssuer) -> String {
    format!(
        r"
listeners: [{{ address: 127.0.0.1:0 }}]
governor: off
upstreams: {{ app: http://{} }}
authenticators:
  opaque:
    introspection:
      endpoint: {}
      client_id: {}
      client_secret: {{ file: secret }}
      issuer: {}
      audience: app
      require: {{ token_type: Bearer }}
      from: [bearer, {{ header: X-Token }}, {{ query: token }}]
      cache: {{ max_age: 30s, negative: 10s }}
rules:
  - {{ name: opaque, match: {{ paths: [/x] }}, authenticate: opaque, forward: app }}
  - {{ name: scoped, match: {{ paths: [/scoped] }}, authenticate: opaque, scopes: [orders:write], forward: app }}
",
        upstream.address,
        issuer.introspection_url(),
        DemoIssuer::INTROSPECTION_CLIENT.0,
        issuer.issuer()
    )
}

/// What the issuer says of a good token.
fn good() -> Value {
    json!({ "sub": "anna", "aud": "app", "token_type": "Bearer", "scope": "orders:read", "exp": NOW + 20, "nbf": NOW - 10 })
}

fn with(mut claims: Value, name: &str, value: impl Into<Value>) -> Value {
    claims[name] = value.into();
    claims
}

async fn start() -> (Upstream, DemoIssuer, Whole) {
    let upstream = Upstream::start().await;
    let issuer = DemoIssuer::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let whole = Whole::start(&conf(&upstream, &issuer), &[("secret", DemoIssuer::INTROSPECTION_CLIENT.1.as_bytes())]).await;
    (upstream, issuer, whole)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_issuer_says_of_a_token_decides() {
    let (upstream, issuer, whole) = start().await;
    let token = |name: &str| format!("opaque-{name}-0123456789abcdef");
    let known = |name: &str, claims: Value| {
        let token = token(name);
        issuer.remember(&token, claims);
        token
    };
    let fine = known("fine", good());
    let ends = known("ends", good());
    let starts = known("starts", with(with(good(), "nbf", NOW + 100), "exp", NOW + 1_000));
    let send = |shows, token: &str| row(shows, "/x").bearer(token);
    let rows = [
        send("an active token", &fine).passes("anna"),
        row("in a header of its own", "/x").credential("X-Token", &fine).passes("anna"),
        row("in a parameter", format!("/x?token={fine}")).secret(&fine).passes("anna"),
        row("nothing", "/x").refused(401, "credential_missing"),
        send("a token that nobody knows", &token("unknown")).refused(401, "revoked"),
        send("one that was withdrawn", &known("inactive", with(good(), "active", false))).refused(401, "revoked"),
        row("not one token", "/x").field("Authorization", "Bearer a b").refused(401, "credential_malformed"),
        row("empty", "/x").field("X-Token", "").refused(401, "credential_malformed"),
        send("what looks like a JWT is not asked about", "aaaaaaaa.bbbbbbbb.cccccccc").refused(401, "credential_malformed"),
        send("longer than any we ask about", &"t".repeat(5_000)).refused(401, "credential_malformed"),
        send("twice", &fine).bearer(&fine).refused(400, "credential_conflict"),
        send("two that differ", &fine).credential("X-Token", &ends).refused(400, "credential_conflict"),
        send("for someone else", &known("audience", with(good(), "aud", "other"))).refused(401, "audience_mismatch"),
        send("of another issuer", &known("issuer", with(good(), "iss", "https://evil.example"))).refused(401, "issuer_mismatch"),
        send("of another kind", &known("kind", with(good(), "token_type", "mac"))).refused(401, "claim_missing"),
        send("an answer that names nobody has no reading", &known("nobody", with(good(), "sub", Value::Null))).refused(503, "undecidable"),
        send("nor has one with an end in text", &known("text", with(good(), "exp", "tomorrow"))).refused(503, "undecidable"),
        row("not the scopes", "/scoped").bearer(&fine).refused(403, "scope_missing"),
        send("its last second", &ends).at(NOW + 19).passes("anna"),
        send("the end itself is too late, remembered or not", &ends).at(NOW + 20).refused(401, "expired"),
        send("the second before its start", &starts).at(NOW + 69).refused(401, "not_yet_valid"),
        send("its first second", &starts).at(NOW + 70).passes("anna"),
    ];
    run(&whole, &upstream, rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_holds_for_a_moment_and_an_outage_decides_nothing() {
    let (upstream, issuer, whole) = start().await;
    whole.ready().await;
    let long = with(good(), "exp", NOW + 10_000);
    let (token, other, late) = ("opaque-token-0123456789", "opaque-other-0123456789", "opaque-late-0123456789");
    issuer.remember(token, long.clone());
    let send = |shows, token: &str| row(shows, "/x").bearer(token);

    send("asked about", token).passes("anna").run(&whole, &upstream).await;
    issuer.revoke(token);
    send("and remembered to the last second", token).at(NOW + 29).passes("anna").run(&whole, &upstream).await;
    assert_eq!(issuer.asked(ASKED), 1);
    send("then asked about again", token).at(NOW + 30).refused(401, "revoked").run(&whole, &upstream).await;
    assert_eq!(issuer.asked(ASKED), 2);
    issuer.remember(token, long.clone());
    send("a no is remembered too", token).at(NOW + 39).refused(401, "revoked").run(&whole, &upstream).await;
    assert_eq!(issuer.asked(ASKED), 2);
    send("for less long", token).at(NOW + 40).passes("anna").run(&whole, &upstream).await;
    assert_eq!(issuer.asked(ASKED), 3);

    for trouble in [Trouble::Down, Trouble::Failing, Trouble::Html, Trouble::Empty, Trouble::NoKeys] {
        issuer.trouble(trouble);
        issuer.remember(other, long.clone());
        let answer = whole.ask("GET", "/x", &[("Authorization", &format!("Bearer {other}"))]).await;
        assert_eq!(answer.status, 503, "{trouble:?}: neither in nor out: {}", answer.text());
        assert!(answer.field("retry-after").is_some(), "{trouble:?}");
        send("what is remembered still holds", token).at(NOW + 41).passes("anna").run(&whole, &upstream).await;
    }
    issuer.trouble(Trouble::None);
    issuer.remember(late, long);
    send("afterwards all is as before", late).at(NOW + 60).passes("anna").run(&whole, &upstream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_with_one_token_ask_once() {
    let (upstream, issuer, whole) = start().await;
    whole.ready().await;
    issuer.remember("opaque-token-0123456789", good());
    issuer.trouble(Trouble::Slow(std::time::Duration::from_millis(150)));
    let whole = std::sync::Arc::new(whole);
    let mut askers = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let whole = std::sync::Arc::clone(&whole);
        askers.spawn(async move { whole.ask("GET", "/x", &[("Authorization", "Bearer opaque-token-0123456789")]).await.status });
    }
    assert_eq!(askers.join_all().await, [200; 20]);
    assert_eq!((issuer.asked(ASKED), upstream.hits()), (1, 20));
}
