//! Opaque tokens that a cheap call proves, through the running proxy: used once, remembered for a moment, undecided during an
//! outage, renewed where their end is known.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::loopback::{Asked, Loopback, Told};
use crate::support::rows::{row, run};
use crate::support::upstream::Upstream;
use crate::support::whole::{NOW, Whole};

/// A vendor whose answers have status 200 whatever happened, and whose web clients put credentials into the query.
struct Vendor {
    server: Loopback,
    /// What it says of each token.
    tokens: Arc<Mutex<BTreeMap<String, Told>>>,
}

fn said(status: u16, body: &str) -> Told {
    Told::Answer(status, vec![("Content-Type".into(), "application/json".into())], body.into())
}

/// A good token, of `user` and for `app`, with so many seconds left.
fn good(user: &str, app: &str, left: i64) -> Told {
    said(200, &format!(r#"{{"stat":"ok","result":{{"uuid":"{user}","scope":"read","left":{left}}},"client_id":"{app}"}}"#))
}

fn error(code: u16) -> Told {
    said(200, &format!(r#"{{"stat":"error","code":{code},"error_description":"no"}}"#))
}

impl Vendor {
    fn start() -> Self {
        let tokens: Arc<Mutex<BTreeMap<String, Told>>> = Arc::default();
        let known = Arc::clone(&tokens);
        let server = Loopback::start(move |asked: &Asked| {
            assert_eq!(asked.target(), "/entity", "nothing is put into the URL");
            assert_eq!(asked.field("x-api-key"), Some("vendor-api-key-of-this-house"));
            let form: BTreeMap<String, String> = form_urlencoded::parse(&asked.body).into_owned().collect();
            assert_eq!(form["type_name"], "user");
            known.lock().get(&form["access_token"]).cloned().unwrap_or_else(|| error(413))
        });
        Self { server, tokens }
    }

    /// Says `told` of the token called `name` from now on.
    fn says(&self, name: &str, told: Told) -> String {
        let token = format!("opaque-{name}-0123456789");
        self.tokens.lock().insert(token.clone(), told);
        token
    }

    fn conf(&self, upstream: &Upstream, more: &str) -> String {
        format!(
            r#"
listeners: [{{ address: 127.0.0.1:0 }}]
governor: off
state: {{ memory: {{}} }}
upstreams: {{ app: http://{} }}
authenticators:
  member:
    token_check:
      from: [{{ header: Authorization, prefix: "OAuth " }}, {{ query: access_token }}, {{ header: X-Token, prefix: "Bearer " }}]
      method: POST
      url: http://{}/entity
      headers: {{ X-Api-Key: "{{secrets.key}}" }}
      form: {{ access_token: "{{token}}", type_name: user }}
      secrets: {{ key: {{ file: key }} }}
      expired: {{ when: {{ pointer: /code, equals: 414 }} }}
      refused: [{{ status: 401 }}, {{ when: {{ pointer: /code, equals: 413 }} }}]
      success: {{ status: 200, when: {{ pointer: /stat, equals: ok }} }}
      require: {{ /client_id: ours }}
      subject: /result/uuid
      issuer: janrain
      scopes: /result/scope
      expires_in: {{ pointer: /result/left, unit: seconds }}
      deadline: 1s
{more}
rules:
  - {{ name: member, match: {{ paths: [/x] }}, authenticate: member, forward: app }}
  - {{ name: scoped, match: {{ paths: [/scoped] }}, authenticate: member, scopes: [write], forward: app }}
"#,
            upstream.address, self.server.address
        )
    }

    async fn proxy(&self, upstream: &Upstream, more: &str) -> Whole {
        Whole::start(&self.conf(upstream, more), &[("key", b"vendor-api-key-of-this-house\n")]).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_call_comes_to_decides() {
    let (upstream, vendor) = (Upstream::start().await, Vendor::start());
    let whole = vendor.proxy(&upstream, "").await;
    let fine = vendor.says("fine", good("anna", "ours", 5_000));
    let ends = vendor.says("ends", good("anna", "ours", 20));
    let foreign = vendor.says("foreign", good("anna", "theirs", 5_000));
    let gone = vendor.says("gone", error(414));
    let page = Told::Answer(200, vec![("Content-Type".into(), "text/html".into())], b"<html>log in</html>".to_vec());
    let send = |shows, token: &str| row(shows, "/x").credential("Authorization", format!("OAuth {token}"));
    let undecided = |shows, name: &str, told| send(shows, &vendor.says(name, told)).refused(503, "undecidable");
    let rows = [
        send("a good token", &fine).passes("anna"),
        send("one with an end", &ends).passes("anna"),
        row("in the case that the client likes", "/x").credential("authorization", format!("oauth {fine}")).passes("anna"),
        row("in a parameter", format!("/x?access_token={fine}&a=1")).secret(&fine).passes("anna"),
        row("behind a word in a header of its own", "/x").credential("X-Token", format!("Bearer {fine}")).passes("anna"),
        row("in two places that agree", format!("/x?access_token={fine}"))
            .credential("Authorization", format!("OAuth {fine}"))
            .passes("anna"),
        row("nothing", "/x").refused(401, "credential_missing"),
        row("another auth-scheme is nothing of ours", "/x").bearer(&fine).refused(401, "credential_missing"),
        send("a token that nobody knows", "opaque-unknown-0123456789").refused(401, "revoked"),
        send("a good one with a letter more", &format!("{fine}9")).refused(401, "revoked"),
        send("one that has ended, of whom nobody knows", &gone).refused(401, "expired"),
        send("one that was made for another house", &foreign).refused(401, "claim_missing"),
        row("without a token", "/x").field("Authorization", "OAuth").refused(401, "credential_malformed"),
        row("two words", "/x").field("Authorization", "OAuth a b").refused(401, "credential_malformed"),
        row("without the word", "/x").credential("X-Token", &fine).refused(401, "credential_malformed"),
        row("one that would be two form fields", "/x?access_token=a%26type_name=admin").refused(401, "revoked"),
        row("one that would be two lines", "/x?access_token=a%0d%0aX:b").refused(401, "credential_malformed"),
        row("one that would be two cookies", "/x?access_token=a;b").refused(401, "credential_malformed"),
        send("what looks like a JWT is shown to nobody", "aaaaaaaa.bbbbbbbb.cccccccc").refused(401, "credential_malformed"),
        send("longer than any that is used", &"t".repeat(5_000)).refused(401, "credential_malformed"),
        send("twice", &fine).field("Authorization", format!("OAuth {fine}")).refused(400, "credential_conflict"),
        row("two that differ", format!("/x?access_token={ends}"))
            .field("Authorization", format!("OAuth {fine}"))
            .refused(400, "credential_conflict"),
        row("not the scopes", "/scoped").credential("Authorization", format!("OAuth {fine}")).refused(403, "scope_missing"),
        undecided("a page", "page", page),
        undecided("nobody", "nobody", said(200, r#"{"stat":"ok","client_id":"ours"}"#)),
        undecided("an error that the conf does not know", "odd", error(510)),
        undecided("a redirect", "redirect", Told::Answer(302, vec![("Location".into(), "/entity2".into())], Vec::new())),
        undecided("an answer without end", "endless", Told::Endless),
        undecided("an error of the server", "broken", Told::status(500)),
        send("none of which stops anybody else", &fine).passes("anna"),
    ];
    run(&whole, &upstream, rows).await;
    vendor.says("ends", error(414));
    send("its last second", &ends).at(NOW + 19).passes("anna").run(&whole, &upstream).await;
    send("the end itself is too late, remembered or not", &ends).at(NOW + 20).refused(401, "expired").run(&whole, &upstream).await;
    let asked = vendor.server.asked();
    assert!(asked.iter().all(|asked| !String::from_utf8_lossy(&asked.body).contains("aaaaaaaa.")), "a JWT of another's was not shown");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_holds_for_a_moment_and_an_outage_decides_nothing() {
    let (upstream, vendor) = (Upstream::start().await, Vendor::start());
    let whole = vendor.proxy(&upstream, "").await;
    whole.ready().await;
    let token = vendor.says("one", good("anna", "ours", 5_000));
    let send = |shows, token: &str| row(shows, "/x").credential("Authorization", format!("OAuth {token}"));

    send("used", &token).passes("anna").run(&whole, &upstream).await;
    vendor.says("one", error(413));
    send("and remembered to the last second", &token).at(NOW + 59).passes("anna").run(&whole, &upstream).await;
    assert_eq!(vendor.server.count(), 1);
    send("then used again", &token).at(NOW + 60).refused(401, "revoked").run(&whole, &upstream).await;
    assert_eq!(vendor.server.count(), 2);
    vendor.says("one", good("anna", "ours", 5_000));
    send("a no is remembered too", &token).at(NOW + 69).refused(401, "revoked").run(&whole, &upstream).await;
    assert_eq!(vendor.server.count(), 2);
    send("for less long", &token).at(NOW + 70).passes("anna").run(&whole, &upstream).await;
    assert_eq!(vendor.server.count(), 3);

    let troubles = [
        ("down", Told::Raw(Vec::new())),
        ("failing", Told::status(503)),
        ("html", Told::ok("<html></html>")),
        ("empty", Told::ok("")),
        ("slow", Told::Trickle(vec![b' '; 400])),
        ("silent", Told::Hang),
    ];
    for (number, (name, told)) in (71..).zip(troubles) {
        let other = vendor.says(name, told);
        whole.set_clock(NOW + 2 * number);
        let answer = whole.ask("GET", "/x", &[("Authorization", &format!("OAuth {other}"))]).await;
        assert_eq!(answer.status, 503, "{name}: neither in nor out: {}", answer.text());
        assert!(answer.field("retry-after").is_some(), "{name}");
    }
    let late = vendor.says("late", good("ben", "ours", 5_000));
    send("afterwards all is as before", &late).at(NOW + 200).passes("ben").run(&whole, &upstream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_with_one_token_use_it_once() {
    let (upstream, vendor) = (Upstream::start().await, Vendor::start());
    let whole = Arc::new(vendor.proxy(&upstream, "").await);
    whole.ready().await;
    let token = vendor.says("one", good("anna", "ours", 5_000));
    let mut askers = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (whole, token) = (Arc::clone(&whole), token.clone());
        askers.spawn(async move { whole.ask("GET", "/x", &[("Authorization", &format!("OAuth {token}"))]).await.status });
    }
    assert_eq!(askers.join_all().await, [200; 20]);
    assert_eq!((vendor.server.count(), upstream.hits()), (1, 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_has_ended_is_renewed_where_its_holder_is_known() {
    let (upstream, vendor) = (Upstream::start().await, Vendor::start());
    let issuer = Loopback::start(|asked| {
        let body = String::from_utf8_lossy(&asked.body);
        let fresh = if body.contains("rt-anna") { "opaque-fresh-0123456789" } else { "opaque-other-0123456789" };
        said(200, &format!(r#"{{"access":"{fresh}","refresh":"rt-next"}}"#))
    });
    let renewer = format!(
        r#"
    renew: login
renewers:
  login: {{ http: {{ refresh_from: {{ header: X-Refresh }}, url: "http://{}/renew", form: {{ r: "{{refresh}}" }}, answer: {{ access: /access, refresh: /refresh }} }} }}
"#,
        issuer.address
    );
    let whole = vendor.proxy(&upstream, &renewer).await;
    whole.ready().await;
    let (known, unknown) = (vendor.says("known", good("anna", "ours", 5_000)), vendor.says("unknown", error(414)));
    vendor.says("fresh", good("anna", "ours", 5_000));
    vendor.says("other", good("mallory", "ours", 5_000));
    let send = |shows, token: &str, refresh: &str| {
        row(shows, "/x").credential("Authorization", format!("OAuth {token}")).credential("X-Refresh", refresh)
    };
    send("while it is good", &known, "rt-anna-0123456789").passes("anna").run(&whole, &upstream).await;
    assert_eq!(issuer.count(), 0);
    vendor.says("known", error(414));
    let later = NOW + 60;
    send("somebody else's refresh credential renews nobody", &known, "rt-mallory-0123456789")
        .at(later)
        .refused(401, "renewal_refused")
        .run(&whole, &upstream)
        .await;
    let (answer, _) = send("ended, and renewed", &known, "rt-anna-0123456789").at(later).passes("anna").run(&whole, &upstream).await;
    assert_eq!(answer.field("x-renewed-access-token"), Some("opaque-fresh-0123456789"), "the client gets the fresh one");
    assert_eq!(issuer.count(), 2);
    send("of whom nobody knows", &unknown, "rt-anna-9876543210").at(later).refused(401, "expired").run(&whole, &upstream).await;
    assert_eq!(issuer.count(), 2, "nothing is spent for a token that was never good here");
}
