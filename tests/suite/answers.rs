//! What is answered and what is passed on beside the credential itself: methods, sizes, cookies, origins, traces, statements.

use countersign::demo::credentials::{claims, with};
use countersign::domain::Timestamp;
use countersign::jose::algorithm::Algorithm;
use countersign::jose::mint::SigningKey;
use serde_json::{Value, json};

use crate::support::raw::Answer;
use crate::support::rows::{PEPPER, base64, row, run, server_key};
use crate::support::upstream::{Reply, Upstream};
use crate::support::whole::{NOW, Whole};

const ISSUER: &str = "https://id.example";

struct House {
    upstream: Upstream,
    whole: Whole,
    key: SigningKey,
}

/// Echoes on upgrade; otherwise answers with names that no upstream may speak under.
async fn upstream() -> Upstream {
    Upstream::scripted(|seen| {
        if !seen.fields("upgrade").is_empty() {
            return Reply::Echo;
        }
        let bodiless = seen.line().starts_with("HEAD ");
        let body = if bodiless { "" } else { "ok" };
        Reply::Bytes(
            format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Auth-Subject: root\r\nX-Auth-Assertion: forged\r\nX-App: yes\r\n\r\n{body}")
                .into_bytes(),
        )
    })
    .await
}

impl House {
    async fn start() -> Self {
        let upstream = upstream().await;
        let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
        let signer = SigningKey::generate(Algorithm::Es256).unwrap();
        let conf = format!(
            r#"
listeners: [{{ address: 127.0.0.1:0 }}]
governor: off
upstreams: {{ app: http://{} }}
limits: {{ body_bytes: 1KiB }}
keys:
  issuer: {{ pinned: {{ file: issuer }} }}
  partners: {{ server_keys: {{ file: partners.jsonl, pepper: {{ file: pepper }} }} }}
authenticators:
  user: {{ jwt: {{ issuer: {ISSUER}, audience: app, keys: issuer }} }}
  cookie: {{ jwt: {{ issuer: {ISSUER}, audience: app, keys: issuer, from: {{ cookie: session }} }} }}
  partner: {{ server_key: {{ keys: partners }} }}
rules:
  - {{ name: open, match: {{ paths: [/open/**] }}, authenticate: none, forward: app }}
  - {{ name: read, match: {{ paths: [/things], methods: [GET] }}, authenticate: user, forward: app }}
  - {{ name: write, match: {{ paths: [/things], methods: [POST] }}, authenticate: user, forward: app }}
  - {{ name: site, match: {{ paths: [/site/**] }}, authenticate: cookie, login: "https://id.example/login?app=1", forward: app }}
  - {{ name: loose, match: {{ paths: [/loose/**] }}, authenticate: cookie, csrf: "off", forward: app }}
  - {{ name: scoped, match: {{ paths: [/scoped] }}, authenticate: user, scopes: [orders:read, orders:delete], forward: app }}
  - {{ name: condition, match: {{ paths: ["/tenants/{{tenant}}/**"] }}, authenticate: user, authorize: "request.path.startsWith('/tenants/' + identity.claims.tenant + '/') && request.method != 'DELETE'", forward: app }}
  - {{ name: semicolon, match: {{ paths: [/semicolon/**] }}, authenticate: user, allow_semicolon: true, forward: app }}
  - {{ name: cors, match: {{ paths: [/cors], methods: [GET, PUT] }}, authenticate: user, preflight: {{ answer: {{ origins: ["https://app.example"], headers: [authorization, x-own] }} }}, forward: app }}
  - {{ name: passed, match: {{ paths: [/passed] }}, authenticate: user, preflight: forward, forward: app }}
  - {{ name: stated, match: {{ paths: [/stated] }}, authenticate: partner, forward: {{ upstream: app, assertion: {{ key: {{ file: signer.pem }}, issuer: "https://proxy.example", audience: app }} }} }}
  - {{ name: lent, match: {{ paths: [/lent] }}, authenticate: user, forward: {{ upstream: app, upstream_credential: {{ bearer: {{ file: lent }} }} }} }}
  - {{ name: keys, match: {{ paths: [/.well-known/jwks.json], methods: [GET] }}, authenticate: none, serve: jwks }}
"#,
            upstream.address
        );
        let jwk = key.public_jwk().unwrap().to_string();
        let lines = server_key("acme", "s3cret", "");
        let pem = signer.private_pem().unwrap();
        let files: [(&str, &[u8]); 5] = [
            ("issuer", jwk.as_bytes()),
            ("partners.jsonl", lines.as_bytes()),
            ("pepper", PEPPER),
            ("signer.pem", pem.expose()),
            ("lent", b"a-credential-of-the-proxy"),
        ];
        let whole = Whole::start(&conf, &files).await;
        whole.ready().await;
        Self { upstream, whole, key }
    }

    fn token(&self) -> String {
        self.sign(&claims(ISSUER, Timestamp(NOW)))
    }

    fn sign(&self, claims: &Value) -> String {
        self.key.sign_compact(&[], claims).unwrap()
    }

    async fn ask(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> Answer {
        self.whole.ask(method, target, fields).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_sizes_scopes_and_conditions_decide_before_the_upstream() {
    let house = House::start().await;
    let token = house.token();
    let tenant = house.sign(&with(claims(ISSUER, Timestamp(NOW)), "tenant", "north"));
    let wide = house.sign(&with(claims(ISSUER, Timestamp(NOW)), "scope", "orders:read orders:delete"));
    let user = |shows, target: &str| row(shows, target).bearer(&token);
    let rows = [
        user("a method of the rule", "/things").passes("anna"),
        user("HEAD comes with GET", "/things").method("HEAD").passes("anna"),
        user("a method of no rule", "/things").method("DELETE").refused(405, "method_refused"),
        user("no such path", "/nothing").refused(404, "no_rule"),
        user("a body within bounds", "/things").method("POST").body("x".repeat(1_024)).passes("anna"),
        user("one byte more", "/things").method("POST").body("x".repeat(1_025)).refused(413, "body_too_large"),
        user("a path with a parameter of its own", "/things;v=1").refused(404, "no_rule"),
        user("under a rule", "/open/a;v=1").refused(400, "target_ambiguous"),
        user("escaped is the same", "/open/a%3bv=1").refused(400, "target_ambiguous"),
        user("where the rule allows it", "/semicolon/a;v=1").passes("anna"),
        user("not the scopes", "/scoped").refused(403, "scope_missing"),
        row("all the scopes", "/scoped").bearer(&wide).passes("anna"),
        row("the condition holds", "/tenants/north/x").bearer(&tenant).passes("anna"),
        row("another tenant", "/tenants/south/x").bearer(&tenant).refused(403, "policy_denied"),
        row("another tenant, at the second look", "/tenants/south/..%2fnorth/x").bearer(&tenant).refused(400, "target_ambiguous"),
        row("another method", "/tenants/north/x").bearer(&tenant).method("DELETE").refused(403, "policy_denied"),
        user("no tenant at all", "/tenants/north/x").refused(403, "policy_denied"),
    ];
    run(&house.whole, &house.upstream, rows).await;

    let answer = house.ask("DELETE", "/things", &[]).await;
    assert_eq!(answer.field("allow"), Some("GET, HEAD, POST"), "405 names what would match");
    let bearer = format!("Bearer {token}");
    let answer = house.ask("GET", "/scoped", &[("Authorization", &bearer)]).await;
    let challenge = answer.field("www-authenticate").unwrap();
    assert!(challenge.contains("error=\"insufficient_scope\"") && challenge.contains("scope=\"orders:read orders:delete\""), "{challenge}");
    let answer = house.ask("HEAD", "/things", &[]).await;
    assert_eq!((answer.status, answer.body.len()), (401, 0), "a refused HEAD has no body");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_our_own_says_the_id_it_is_recorded_under() {
    let house = House::start().await;
    let own = [("X-Request-Id", "the-clients-own-id")];
    let navigation = [("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];
    let preflight = [("Origin", "https://app.example"), ("Access-Control-Request-Method", "PUT")];
    let rows: [(&str, &str, &[(&str, &str)], u16, &str); 9] = [
        ("GET", "/things", &[], 401, "a refusal"),
        ("HEAD", "/things", &[], 401, "a refusal without a body"),
        ("GET", "/things", &own, 401, "the client's id, where it is well formed"),
        ("GET", "/nothing", &[], 404, "no rule"),
        ("TRACE", "/things", &[], 405, "refused before the gate saw it"),
        ("POST", "/things", &[("Content-Length", "1025")], 413, "the same by a bound"),
        ("GET", "/site/page", &navigation, 302, "a redirect"),
        ("GET", "/.well-known/jwks.json", &[], 200, "what a rule serves"),
        ("OPTIONS", "/cors", &preflight, 204, "a preflight"),
    ];
    let mut ids: Vec<String> = Vec::new();
    let mut check = |answer: &Answer, shows: &str| {
        let id = answer.field("x-request-id").unwrap_or_else(|| panic!("{shows}: {answer:?}")).to_owned();
        if let Ok(body) = serde_json::from_slice::<Value>(&answer.body)
            && body.get("reason").is_some()
        {
            assert_eq!(body["request_id"], *id, "{shows}: the body says the same");
        }
        ids.push(id);
    };
    for (method, path, fields, status, shows) in rows {
        let answer = house.ask(method, path, fields).await;
        assert_eq!(answer.status, status, "{shows}");
        check(&answer, shows);
    }
    let mut client = house.whole.client().await;
    client.send("GET /things HTTP/1.1\r\nHost: a\r\nHost: b\r\nX-Request-Id: the-id-of-a-bad-head\r\n\r\n").await;
    check(&client.answer().await, "a head that has two readings");

    assert_eq!(ids[2], "the-clients-own-id");
    assert_ne!(ids[9], "the-id-of-a-bad-head", "nothing of such a head is believed");
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), ids.len(), "each has its own: {ids:?}");
    let recorded: Vec<String> =
        house.whole.audit(ids.len()).await.iter().map(|record| record["request_id"].as_str().unwrap().to_owned()).collect();
    for id in &ids {
        assert!(recorded.contains(id), "{id} is in the record: {recorded:?}");
    }
    let answer = house.ask("GET", "/open/x", &[]).await;
    assert_eq!((answer.status, answer.field("x-request-id")), (200, None), "an upstream's answer is the upstream's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_leaves_the_connection_usable() {
    let house = House::start().await;
    let token = house.token();
    let mut client = house.whole.client().await;
    for _ in 0..3 {
        client.send("GET /things HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
        assert_eq!(client.answer().await.status, 401);
        client.send(format!("GET /things HTTP/1.1\r\nHost: a.example\r\nAuthorization: Bearer {token}\r\n\r\n")).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    }
    assert_eq!(house.upstream.hits(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_cannot_speak_in_our_name() {
    let house = House::start().await;
    for target in ["/open/x", "/open/y"] {
        let answer = house.ask("GET", target, &[]).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.field("x-app"), Some("yes"), "its own fields pass");
        for name in ["x-auth-subject", "x-auth-assertion"] {
            assert!(answer.fields.iter().all(|(field, _)| !field.eq_ignore_ascii_case(name)), "{name}: {:?}", answer.fields);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_counts_only_from_the_same_origin() {
    let house = House::start().await;
    let cookie = format!("session={}", house.token());
    let sent = |shows, method, target: &str| row(shows, target).method(method).credential("Cookie", &cookie).field("Host", "app.example");
    let rows = [
        sent("reading", "GET", "/site/x").field("Origin", "https://evil.example").passes("anna"),
        sent("writing from nobody knows where", "POST", "/site/x").refused(403, "policy_denied"),
        sent("from another site", "POST", "/site/x").field("Origin", "https://evil.example").refused(403, "policy_denied"),
        sent("from a page without origin", "POST", "/site/x").field("Origin", "null").refused(403, "policy_denied"),
        sent("from this site", "POST", "/site/x").field("Origin", "http://app.example").passes("anna"),
        sent("the browser says the same origin", "POST", "/site/x").field("Sec-Fetch-Site", "same-origin").passes("anna"),
        sent("the browser says a neighbour", "DELETE", "/site/x").field("Sec-Fetch-Site", "same-site").refused(403, "policy_denied"),
        sent("where the rule does not ask", "POST", "/loose/x").field("Origin", "https://evil.example").passes("anna"),
        row("a bearer is not sent by itself", "/things")
            .method("POST")
            .bearer(house.token())
            .field("Origin", "https://evil.example")
            .passes("anna"),
    ];
    run(&house.whole, &house.upstream, rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_with_a_cookie_counts_only_from_the_same_origin() {
    let house = House::start().await;
    let token = house.token();
    let rows = [
        ("Origin: http://app.example\r\n", 101, "our own page"),
        ("Sec-Fetch-Site: same-origin\r\n", 101, "the browser says so"),
        ("Origin: https://evil.example\r\n", 403, "a page elsewhere"),
        ("Origin: http://app.example.evil.example\r\n", 403, "a page of a longer name"),
        ("Sec-Fetch-Site: cross-site\r\n", 403, "the browser says it is"),
        ("", 403, "nobody knows whose page"),
    ];
    for (fields, status, shows) in rows {
        let before = house.upstream.hits();
        let mut client = house.whole.client().await;
        let upgrade =
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        client.send(format!("GET /site/ws HTTP/1.1\r\nHost: app.example\r\nCookie: session={token}\r\n{upgrade}{fields}\r\n")).await;
        let answer = client.head().await.unwrap();
        assert_eq!(answer.status, status, "{shows}");
        assert_eq!(house.upstream.hits() - before, usize::from(status == 101), "{shows}");
        if status == 101 {
            client.send("ping").await;
            assert_eq!(client.take(4).await, "ping", "{shows}");
        }
    }
    assert!(house.upstream.records().iter().all(|seen| !seen.head.contains(&token)), "no cookie of ours goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_sent_to_log_in_and_a_program_is_not() {
    let house = House::start().await;
    let navigation = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document"), ("Accept", "text/html")];
    let answer = house.ask("GET", "/site/page?q=1", &navigation).await;
    assert_eq!(answer.status, 302);
    assert_eq!(answer.field("location"), Some("https://id.example/login?app=1&return_to=%2Fsite%2Fpage%3Fq%3D1"));
    let answer = house.ask("GET", "/site/page", &[("Accept", "application/json")]).await;
    assert_eq!((answer.status, answer.field("location")), (401, None));
    let answer = house.ask("GET", "/things", &navigation).await;
    assert_eq!(answer.status, 401, "only where the rule names a page");
    assert_eq!(house.upstream.hits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn preflights_are_refused_answered_or_passed_on_bare() {
    let house = House::start().await;
    let asks = |origin: &'static str, method: &'static str| [("Origin", origin), ("Access-Control-Request-Method", method)];
    let answer = house.ask("OPTIONS", "/things", &asks("https://app.example", "GET")).await;
    assert_eq!(answer.status, 405, "by default a preflight is a request like any other");
    let record = house.whole.audit(1).await.remove(0);
    assert_eq!(
        (&record["rule"], &record["reason"]),
        (&json!("read"), &json!("method_refused")),
        "the record names the rule it asked about"
    );

    let answer = house.ask("OPTIONS", "/cors", &asks("https://app.example", "PUT")).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.field("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(answer.field("access-control-allow-methods"), Some("PUT"));
    assert_eq!(answer.field("access-control-allow-headers"), Some("authorization, x-own"));
    assert_eq!(answer.field("access-control-allow-credentials"), None);
    let answer = house.ask("OPTIONS", "/cors", &asks("https://evil.example", "PUT")).await;
    assert_eq!((answer.status, answer.field("access-control-allow-origin")), (204, None), "another origin");
    let answer = house.ask("OPTIONS", "/cors", &asks("https://app.example", "DELETE")).await;
    assert_eq!(answer.field("access-control-allow-origin"), None, "another method");
    assert_eq!(house.upstream.hits(), 0);

    let token = house.token();
    let bearer = format!("Bearer {token}");
    let mut fields = asks("https://app.example", "GET").to_vec();
    fields.extend([("Authorization", bearer.as_str()), ("Cookie", "session=1"), ("X-Auth-Subject", "root")]);
    let answer = house.ask("OPTIONS", "/passed", &fields).await;
    assert_eq!(answer.status, 200);
    let seen = house.upstream.sole();
    for name in ["authorization", "cookie", "x-auth-subject"] {
        assert!(seen.fields(name).is_empty(), "nobody is proven by a preflight: {}", seen.head);
    }
    let answer = house.ask("OPTIONS", "/passed", &[("Origin", "https://app.example")]).await;
    assert_eq!(answer.status, 401, "half a preflight is none");
    assert_eq!(house.upstream.hits(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_verifies_under_the_keys_that_are_served() {
    let house = House::start().await;
    let field = base64("acme:s3cret");
    let (_, seen) = row("stated", "/stated")
        .credential("Server-Key", &field)
        .field("X-Auth-Assertion", "intruder")
        .passes("acme")
        .run(&house.whole, &house.upstream)
        .await;
    let seen = seen.unwrap();
    let statement = seen.fields("x-auth-assertion");
    assert_eq!(statement.len(), 1, "one, and ours");

    let document = house.ask("GET", "/.well-known/jwks.json", &[]).await;
    assert_eq!((document.status, document.field("content-type")), (200, Some("application/jwk-set+json")));
    let document = document.text();
    assert!(!document.contains("\"d\""), "no private part is served");
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&document).unwrap();
    let header = jsonwebtoken::decode_header(statement[0].as_bytes()).unwrap();
    assert_eq!(header.typ.as_deref(), Some("assertion+jwt"));
    let jwk = set.find(header.kid.as_deref().unwrap()).expect("the key is served under its name");
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    rules.set_audience(&["app"]);
    rules.set_issuer(&["https://proxy.example"]);
    rules.validate_exp = false;
    let key = jsonwebtoken::DecodingKey::from_jwk(jwk).unwrap();
    let said = jsonwebtoken::decode::<Value>(statement[0].as_bytes(), &key, &rules).unwrap().claims;
    assert_eq!(
        (&said["sub"], &said["scheme"], &said["iat"], &said["exp"]),
        (&json!("acme"), &json!("server_key"), &json!(NOW), &json!(NOW + 60))
    );
    let stranger = SigningKey::generate(Algorithm::Es256).unwrap();
    let other = jsonwebtoken::jwk::JwkSet { keys: vec![serde_json::from_value(stranger.public_jwk().unwrap()).unwrap()] };
    let key = jsonwebtoken::DecodingKey::from_jwk(&other.keys[0]).unwrap();
    assert!(jsonwebtoken::decode::<Value>(statement[0].as_bytes(), &key, &rules).is_err(), "and under no other");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_of_ours_takes_the_place_of_the_callers() {
    let house = House::start().await;
    let (_, seen) = row("lent", "/lent")
        .bearer(house.token())
        .secret("a-credential-of-the-proxy-is-not-answered")
        .passes("anna")
        .run(&house.whole, &house.upstream)
        .await;
    assert_eq!(seen.unwrap().fields("authorization"), ["Bearer a-credential-of-the-proxy"]);
    house.whole.audit(1).await;
    assert!(!house.whole.written().contains("a-credential-of-the-proxy"));
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_go_on_one_step_and_start_where_there_are_none() {
    let house = House::start().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    house.ask("GET", "/open/x", &[("traceparent", &parent)]).await;
    house.ask("GET", "/open/x", &[]).await;
    house.ask("GET", "/open/x", &[("traceparent", "00-garbage-00f067aa0ba902b7-01")]).await;
    let traces: Vec<String> = house.upstream.records().iter().map(|seen| seen.fields("traceparent").join(",")).collect();
    assert!(traces[0].starts_with(&format!("00-{trace}-")) && traces[0].ends_with("-01") && traces[0] != parent, "{traces:?}");
    for fresh in &traces[1..] {
        assert!(fresh.len() == parent.len() && !fresh.contains(trace) && !fresh.contains("garbage"), "{traces:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_request_came_from_is_taken_from_trusted_peers_only() {
    for (trusted, client, scheme) in [("[]", "127.0.0.1", "http"), ("[127.0.0.0/8]", "198.51.100.7", "https")] {
        let upstream = Upstream::start().await;
        let conf = format!(
            "listeners: [{{ address: 127.0.0.1:0 }}]\ntrusted_proxies: {trusted}\nupstreams: {{ app: http://{} }}\nrules:\n  - {{ name: open, match: {{ paths: [/**] }}, authenticate: none, forward: app }}\n",
            upstream.address
        );
        let whole = Whole::start(&conf, &[]).await;
        let fields = [("X-Forwarded-For", "203.0.113.9, 198.51.100.7"), ("X-Forwarded-Proto", "https"), ("X-Real-IP", "203.0.113.9")];
        assert_eq!(whole.ask("GET", "/x", &fields).await.status, 200);
        let seen = upstream.sole();
        let first = seen.fields("x-forwarded-for").join(",").split(',').next().unwrap().trim().to_owned();
        assert_eq!(first, client, "trusted {trusted}: {}", seen.head);
        assert_eq!(seen.fields("x-forwarded-proto"), [scheme], "trusted {trusted}");
        assert!(!seen.head.contains("203.0.113.9"), "trusted {trusted}: nothing a stranger wrote goes on: {}", seen.head);
    }
}
