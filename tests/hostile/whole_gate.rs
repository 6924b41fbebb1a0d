//! Attacks on the order and the edges of judgement, against the running proxy: attack list sections B, E, G to K, N and O.
//!
//! Each row sends real bytes and says what came of it: a status, the reason in the audit record, and whether the upstream was
//! reached. What takes only a function to show stands beside that function.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign::domain::{Credential, Seconds, Secret, Timestamp};
use countersign::jose::algorithm::Algorithm;
use countersign::jose::mint::SigningKey;
use countersign::verify::cache::{AuthenticatorKey, CachePlan, CredentialCache};
use countersign::verify::keys::digest::{Pepper, digest_text};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha1::Sha1;

use crate::jwt;
use crate::loopback::{Loopback, Told};
use crate::stage::Stage;
use crate::support::raw::Answer;
use crate::support::upstream::{Recorded, Reply, Upstream, ok};
use crate::support::whole::{NOW, Whole};

const PEPPER: &[u8] = b"only-for-tests-0123456789abcdef";
/// What the tokens here are signed with.
const HMAC: &[u8] = b"only-for-tests-0123456789abcdef-hmac";
/// The partner secret of the Gigya site, decoded.
const SITE: &[u8] = b"only-for-tests-20byt";

const CONF: &str = r#"
listeners: [{ address: 127.0.0.1:0 }]
admin: { address: 127.0.0.1:0 }
upstreams: { app: http://UPSTREAM, gone: http://127.0.0.1:1 }
trusted_proxies: [127.0.0.1]
governor: { failures_per_address: 100, failures_per_id: 5 }
state: { memory: { capacity: 1000 } }
keys:
  partners: { server_keys: { file: partners.jsonl, pepper: { file: pepper } } }
  asked: { server_key_lookup: { url: "http://LOOKUP/{id}", pepper: { file: pepper } } }
  idp: { pinned: { hmac: { file: hmac }, hmac_algorithm: HS256 } }
  site: { gigya_secret: { file: site } }
authenticators:
  partner: { server_key: { keys: partners } }
  looked: { server_key: { keys: asked, from: { header: App-Key } } }
  person: { jwt: { issuer: "https://id.example", audience: api, keys: idp, algorithms: [HS256] } }
  member: { gigya: { keys: site, from: query, burn: true } }
rules:
  - { name: public, match: { paths: [/public/**] }, authenticate: none, forward: app }
  - { name: keyed, match: { paths: [/api/**], methods: [GET, POST, PUT] }, authenticate: partner, forward: app }
  - { name: looked, match: { paths: [/looked/**] }, authenticate: looked, forward: app }
  - { name: either, match: { paths: [/either/**] }, authenticate: { any: [partner, person] }, forward: app }
  - { name: token, match: { paths: [/token/**] }, authenticate: person, forward: app }
  - { name: once, match: { paths: [/once/**] }, authenticate: member, forward: app }
  - name: pattern
    match: { paths: [/pattern/**] }
    authenticate: person
    authorize: "request.path.matches('^/pattern/.*/end$')"
    forward: app
  - name: signed
    match: { paths: [/signed/**] }
    authenticate: partner
    forward: { upstream: app, assertion: { key: { file: key.pem }, issuer: "https://proxy.example", audience: app } }
  - { name: down, match: { paths: [/down/**] }, authenticate: partner, forward: gone }
  - { name: asks, match: { paths: [/asks/**], methods: [GET, POST] }, authenticate: partner, preflight: forward, forward: app }
  - { name: inner, match: { hosts: [inner.example], paths: [/**] }, authenticate: none, forward: app }
"#;

/// The running proxy, its upstream, and a service that knows keys.
struct Yard {
    whole: Whole,
    upstream: Upstream,
    lookup: Loopback,
}

fn record(id: &str, secret: &str, rest: &str) -> String {
    let digest = Pepper::new(&Secret::new(PEPPER.to_vec())).unwrap().digest(id, secret.as_bytes());
    format!("{{\"id\":\"{id}\",\"secrets\":[\"{}\"]{rest}}}\n", digest_text(&digest))
}

fn server_key(pair: &str) -> String {
    STANDARD.encode(pair)
}

fn token(subject: &str) -> String {
    let key = SigningKey::from_secret(Algorithm::Hs256, &Secret::new(HMAC.to_vec())).unwrap();
    let claims = json!({ "iss": "https://id.example", "aud": "api", "sub": subject, "iat": NOW - 60, "exp": NOW + 600 });
    key.sign_compact(&[], &claims).unwrap()
}

fn bearer(subject: &str) -> String {
    format!("Bearer {}", token(subject))
}

/// The query of a Gigya signature.
fn gigya(uid: &str, signature: &[u8]) -> String {
    let signature: String = form_urlencoded::byte_serialize(STANDARD.encode(signature).as_bytes()).collect();
    format!("UID={uid}&signatureTimestamp={NOW}&UIDSignature={signature}")
}

fn signature(uid: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha1>::new_from_slice(SITE).unwrap();
    mac.update(format!("{NOW}_{uid}").as_bytes());
    mac.finalize().into_bytes().to_vec()
}

impl Yard {
    async fn start() -> Self {
        Self::scripted(|_| ok("reached")).await
    }

    async fn scripted(script: impl Fn(&Recorded) -> Reply + Send + Sync + 'static) -> Self {
        let upstream = Upstream::scripted(script).await;
        let lookup =
            Loopback::start(|asked| if asked.target() == "/acme" { Told::ok(record("acme", "s3cret", "")) } else { Told::status(404) });
        let conf = CONF.replace("UPSTREAM", &upstream.address.to_string()).replace("LOOKUP", &lookup.address.to_string());
        let lines = [record("acme", "s3cret", ""), record("gone", "s3cret", ",\"disabled\":true")].concat();
        let pem = SigningKey::generate(Algorithm::EdDsa).unwrap().private_pem().unwrap();
        let site = STANDARD.encode(SITE);
        let files: [(&str, &[u8]); 5] = [
            ("partners.jsonl", lines.as_bytes()),
            ("pepper", PEPPER),
            ("hmac", HMAC),
            ("site", site.as_bytes()),
            ("key.pem", pem.expose()),
        ];
        let whole = Whole::start(&conf, &files).await;
        whole.ready().await;
        Self { whole, upstream, lookup }
    }

    /// Sends one request, and tells its status, its reason ("" when it reached the upstream) and the answer.
    async fn ask(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> (u16, String, Answer) {
        let before = self.upstream.hits();
        let answer = self.whole.ask(method, target, fields).await;
        let reached = self.upstream.hits() - before;
        assert!(reached <= 1, "one request is one hit");
        let reason = if reached == 1 { String::new() } else { self.whole.reason_of(&answer).await };
        (answer.status, reason, answer)
    }

    async fn check(&self, what: &str, method: &str, target: &str, fields: &[(&str, &str)], told: (u16, &str)) -> Answer {
        let (status, reason, answer) = self.ask(method, target, fields).await;
        assert_eq!((status, reason.as_str()), told, "{what}: {method} {target}: {}", answer.text());
        answer
    }

    fn last(&self) -> Recorded {
        self.upstream.records().pop().unwrap()
    }
}

/// An answer without what differs from request to request by intent.
fn anonymous(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let body: String = match serde_json::from_slice::<serde_json::Value>(&answer.body) {
        Ok(mut body) => {
            body.as_object_mut().unwrap().remove("request_id");
            body.to_string()
        }
        Err(_) => answer.text(),
    };
    let fields = answer.fields.iter().filter(|(name, _)| !["date", "x-request-id"].contains(&name.to_ascii_lowercase().as_str())).cloned();
    (answer.status, fields.collect(), body)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_credentials_are_judged_in_written_order_and_none_is_forwarded() {
    let yard = Yard::start().await;
    let (key, wrong, person) = (server_key("acme:s3cret"), server_key("acme:wrong"), bearer("ann"));
    // id, fields, told, who the upstream sees, what the row shows
    let rows: [(&str, &[(&str, &str)], (u16, &str), &str, &str); 6] = [
        (
            "E6",
            &[("Server-Key", &key), ("Authorization", &person)],
            (200, ""),
            "acme",
            "both right: the first in the conf names the caller",
        ),
        ("E6", &[("Authorization", &person), ("Server-Key", &key)], (200, ""), "acme", "in whatever order they are sent"),
        (
            "E6",
            &[("Server-Key", &wrong), ("Authorization", &person)],
            (401, "secret_wrong"),
            "",
            "a wrong first is not mended by a right second",
        ),
        ("E6", &[("Server-Key", "!"), ("Authorization", &person)], (401, "credential_malformed"), "", "nor is a malformed one"),
        ("E6", &[("Server-Key", &key), ("Authorization", "Bearer x")], (200, ""), "acme", "what was not needed is not judged"),
        ("E6", &[("Authorization", &person)], (200, ""), "ann", "the second alone"),
    ];
    for (id, fields, told, subject, shows) in rows {
        yard.check(&format!("{id} {shows}"), "GET", "/either/x", fields, told).await;
        if told.0 == 200 {
            let seen = yard.last();
            assert_eq!(seen.fields("x-auth-subject"), [subject], "{id} {shows}");
            assert_eq!(seen.fields("server-key"), Vec::<&str>::new(), "{id} {shows}: the key stays here");
            let forwarded = seen.fields("authorization");
            assert!(forwarded.iter().all(|value| *value == "Bearer x"), "{id} {shows}: nothing that could be used goes on: {forwarded:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_stopped_where_it_comes_from_and_nowhere_else() {
    let yard = Yard::start().await;
    let (wrong, right) = (server_key("acme:guess"), server_key("acme:s3cret"));
    let from = |address: &'static str| ("X-Forwarded-For", address);
    for guess in 0..5 {
        yard.check(&format!("E10 guess {guess}"), "GET", "/api/x", &[("Server-Key", &wrong), from("10.0.0.1")], (401, "secret_wrong"))
            .await;
    }
    let rows: [(&str, &str, &'static str, (u16, &str), &str); 4] = [
        ("E10", &wrong, "10.0.0.1", (429, "throttled"), "the sixth guess is not judged"),
        ("E10", &right, "10.0.0.1", (429, "throttled"), "so that not even a hit is learned"),
        ("E10", &right, "10.0.0.2", (200, ""), "the owner elsewhere is not locked out"),
        ("E10", &wrong, "10.0.0.2", (401, "secret_wrong"), "where guesses have a budget of their own"),
    ];
    for (id, key, address, told, shows) in rows {
        yard.check(&format!("{id} {shows}"), "GET", "/api/x", &[("Server-Key", key), from(address)], told).await;
    }
    yard.whole.set_clock(NOW + 61);
    yard.check("E10 after the window", "GET", "/api/x", &[("Server-Key", &right), from("10.0.0.1")], (200, "")).await;
}

#[test]
fn a_store_of_keys_holds_nothing_that_could_be_presented() {
    let pepper = Pepper::new(&Secret::new(PEPPER.to_vec())).unwrap();
    let other = Pepper::new(&Secret::new(b"another-pepper-0123456789abcdef0".to_vec())).unwrap();
    let stored = digest_text(&pepper.digest("acme", b"s3cret"));
    let rows = [
        ("E17", digest_text(&pepper.digest("acme", b"s3cret")) == stored, true, "the same id and secret"),
        ("E17", digest_text(&pepper.digest("other", b"s3cret")) == stored, false, "the same secret under another id looks different"),
        ("E17", digest_text(&other.digest("acme", b"s3cret")) == stored, false, "without the pepper nothing can be compared"),
        ("E17", stored.contains("s3cret") || stored.contains(&STANDARD.encode("s3cret")), false, "the secret itself is not there"),
    ];
    for (id, found, expected, shows) in rows {
        assert_eq!(found, expected, "{id} {shows}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_learned_from_being_nearly_right() {
    let yard = Yard::start().await;
    let good = signature("ann");
    for prefix in 0..20 {
        // Right in the first `prefix` bytes, wrong in the next.
        let mut near = good.clone();
        near[prefix] ^= 1;
        yard.whole.set_clock(NOW + 1);
        let target = format!("/once/x?{}", gigya("ann", &near));
        let told = yard
            .check(
                &format!("G12 {prefix} bytes right"),
                "GET",
                &target,
                &[("X-Forwarded-For", &format!("10.1.0.{prefix}"))],
                (401, "signature_invalid"),
            )
            .await;
        assert_eq!(told.status, 401);
    }
    yard.check("G12 all bytes right", "GET", &format!("/once/x?{}", gigya("ann", &good)), &[], (200, "")).await;

    let mut answers = Vec::new();
    let secret = "s3cret";
    for right in 0..=secret.len() {
        let near = format!("{}{}", &secret[..right], if right == secret.len() { "x" } else { "?" });
        let key = server_key(&format!("acme:{near}"));
        let source = format!("10.2.0.{right}");
        answers.push(yard.check("N3", "GET", "/api/x", &[("Server-Key", &key), ("X-Forwarded-For", &source)], (401, "secret_wrong")).await);
    }
    let rows = [
        ("N1", server_key("nobody:s3cret"), "secret_wrong", "an unknown id"),
        ("N1", server_key("gone:s3cret"), "key_disabled", "a revoked key"),
        ("N1", server_key("gone:wrong"), "secret_wrong", "a revoked key and a wrong secret"),
        ("N2", "!".to_owned(), "credential_malformed", "no key at all"),
    ];
    for (id, key, reason, shows) in rows {
        let answer = yard.check(&format!("{id} {shows}"), "GET", "/api/x", &[("Server-Key", &key)], (401, reason)).await;
        assert!(!answer.text().contains(reason), "N2 the reason is for the record only: {}", answer.text());
        answers.push(answer);
    }
    let first = anonymous(&answers[0]);
    for answer in &answers {
        assert_eq!(anonymous(answer), first, "N1 N3 all of them are answered alike, byte for byte");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_tells_only_its_holder() {
    let yard = Yard::start().await;
    let good = bearer("ann");
    yard.check("N6 a first time", "GET", "/token/x", &[("Authorization", &good)], (200, "")).await;
    // Each is recorded after it was answered; two on two connections may change places.
    yard.whole.audit(1).await;
    yard.check("N6 remembered", "GET", "/token/x", &[("Authorization", &good)], (200, "")).await;
    let records = yard.whole.audit(2).await;
    assert_eq!(records[1]["cache"], "hit", "N6 {}", records[1]);

    // Signature changed in its first, middle and last but one character: never found, always judged.
    let start = good.rfind('.').unwrap() + 1;
    let mut answers = Vec::new();
    for at in [start, start + 10, good.len() - 2] {
        let mut forged = good.clone().into_bytes();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        answers
            .push(yard.check("N4 a forged signature", "GET", "/token/x", &[("Authorization", &forged)], (401, "signature_invalid")).await);
    }
    let records = yard.whole.audit(5).await;
    for record in &records[2..] {
        assert_eq!(record["cache"], "miss", "N6 nobody else's token can be asked for: {record}");
    }
    answers
        .push(yard.check("N4 no structure", "GET", "/token/x", &[("Authorization", "Bearer a.b.c")], (401, "credential_malformed")).await);
    for answer in &answers {
        assert_eq!(anonymous(answer), anonymous(&answers[0]), "N4 told alike");
    }

    let once = format!("/once/x?{}", gigya("bob", &signature("bob")));
    yard.check("N5 unspent", "GET", &once, &[], (200, "")).await;
    let spent = yard.check("N5 C25 spent", "GET", &once, &[], (401, "replayed")).await;
    let unknown =
        yard.check("N5 unknown", "GET", &format!("/once/x?{}", gigya("bob", &signature("eve"))), &[], (401, "signature_invalid")).await;
    assert_eq!(anonymous(&spent), anonymous(&unknown), "N5 spent and unknown are told alike");

    let denied = yard.check("N7 known, not allowed", "GET", "/pattern/x", &[("Authorization", &good)], (403, "policy_denied")).await;
    let nothing = yard.check("N7 no rule", "GET", "/patterns", &[("Authorization", &good)], (404, "no_rule")).await;
    assert_ne!(anonymous(&denied).0, anonymous(&nothing).0, "N7 which rules exist is in their documentation");
    yard.check("N7 unproven", "GET", "/pattern/x", &[], (401, "credential_missing")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_ask_about_one_id_share_a_question_and_not_a_verdict() {
    let yard = Yard::start().await;
    let (right, wrong, other) = (server_key("acme:s3cret"), server_key("acme:wrong"), server_key("eve:s3cret"));
    let ask = |key: &str| {
        let key = key.to_owned();
        let yard = &yard;
        async move { yard.whole.ask("GET", "/looked/x", &[("App-Key", &key)]).await.status }
    };
    let (a, b, c, d) = tokio::join!(ask(&right), ask(&wrong), ask(&right), ask(&other));
    assert_eq!((a, b, c, d), (200, 401, 200, 401), "N8 each caller by their own secret");
    let asked: Vec<String> = yard.lookup.asked().iter().map(|asked| asked.target().to_owned()).collect();
    assert_eq!(asked.iter().filter(|target| *target == "/acme").count(), 1, "N8 one question per id, whatever the secret: {asked:?}");
    assert_eq!(asked.iter().filter(|target| *target == "/eve").count(), 1, "N8 {asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_this_proxy_speaks_for_the_caller() {
    let yard = Yard::start().await;
    let key = server_key("acme:s3cret");
    let forged = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0.";
    for (name, shows) in [("X-Auth-Assertion", "the header itself"), ("X_Auth_Assertion", "a look-alike")] {
        yard.check(&format!("H26 {shows}"), "GET", "/signed/x", &[("Server-Key", &key), (name, forged)], (200, "")).await;
        let seen = yard.last();
        assert!(!seen.head.contains(forged), "H26 {shows}: {}", seen.head);
        let sent = seen.fields("x-auth-assertion")[0];
        let part = |at: usize| -> serde_json::Value {
            let text = sent.split('.').nth(at).unwrap();
            serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
        };
        assert!(part(0)["kid"].is_string() && part(0)["alg"] == "EdDSA", "H26 it names its key: {}", part(0));
        let claims = part(1);
        assert_eq!((&claims["aud"], &claims["sub"]), (&json!("app"), &json!("acme")), "H26 whom it is for, and about");
        assert!(claims["exp"].as_i64().unwrap() <= NOW + 60, "H26 for a minute at most: {claims}");
    }
    // A route that sends none does not pass one on either.
    yard.check("H26 on another route", "GET", "/public/x", &[("X-Auth-Assertion", forged)], (200, "")).await;
    assert!(!yard.last().head.contains(forged), "H26");
}

#[tokio::test(flavor = "multi_thread")]
async fn early_data_is_early_data_however_it_is_said() {
    let yard = Yard::start().await;
    let key = server_key("acme:s3cret");
    let rows: [(&str, &[(&str, &str)], &str); 5] = [
        ("J12", &[("Early-Data", "1")], "as the RFC has it"),
        ("J12", &[("Early-Data", "0"), ("Early-Data", "1")], "behind another"),
        ("J12", &[("Early-Data", "1, 1")], "joined on the way"),
        ("J12", &[("Early-Data", "yes")], "invalid means 1: RFC 8470 section 5.1"),
        ("H27", &[("early-data", "1"), ("Max-Forwards", "0"), ("Via", "1.1 a")], "beside other fields of proxies"),
    ];
    for (id, fields, shows) in rows {
        let mut fields = fields.to_vec();
        fields.push(("Server-Key", &key));
        for (method, target) in [("POST", "/api/x"), ("GET", "/public/x")] {
            yard.check(&format!("{id} {shows}"), method, target, &fields, (425, "early_data")).await;
        }
    }
    yard.check(
        "H27 a hop count does not turn us into the last hop",
        "TRACE",
        "/public/x",
        &[("Max-Forwards", "0")],
        (405, "method_refused"),
    )
    .await;
    yard.check("H27 nor an OPTIONS", "OPTIONS", "/api/x", &[("Max-Forwards", "0")], (405, "method_refused")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_judged_is_what_is_forwarded() {
    let yard = Yard::start().await;
    let person = bearer("ann");
    let rows: [(&str, &str, (u16, &str), &str); 6] = [
        ("I20", "/pattern/a/end", (200, ""), "a pattern that matches"),
        ("I20", "/pattern/a/end%0A", (400, "target_ambiguous"), "a line break has no place in a path"),
        ("I20", "/pattern/a/end/x", (403, "policy_denied"), "the end is the end"),
        ("I20", "/pattern/x%2Fend", (400, "target_ambiguous"), "an encoded slash is none"),
        ("I21", "/token/a/../../api/x", (400, "target_ambiguous"), "nothing is resolved after the verdict"),
        ("I21", "/token/%61", (200, ""), "decoded once, before the verdict"),
    ];
    for (id, target, told, shows) in rows {
        yard.check(&format!("{id} {shows}"), "GET", target, &[("Authorization", &person)], told).await;
        if told.0 == 200 {
            assert_eq!(yard.last().target(), target.replace("%61", "a"), "{id} {shows}: nothing rewrites a target behind the verdict");
        }
    }
    // What a pattern costs is bounded by the length of the path.
    let long = format!("/pattern/{}", "a/".repeat(4_000));
    let started = std::time::Instant::now();
    yard.check("I20 a long path", "GET", &long, &[("Authorization", &person)], (403, "policy_denied")).await;
    assert!(started.elapsed().as_secs() < 10, "I20 linear: {:?}", started.elapsed());

    // head, the host that the upstream reads
    let hosts = [
        ("I25", "GET /x HTTP/1.1\r\nHost: inner.example\r\n\r\n", "inner.example"),
        ("I25", "GET /x HTTP/1.1\r\nHost: INNER.Example.\r\n\r\n", "inner.example"),
        ("I25", "GET /x HTTP/1.1\r\nHost: Inner.Example:8080\r\n\r\n", "inner.example:8080"),
        ("I16", "GET http://inner.example/x HTTP/1.0\r\n\r\n", "inner.example"),
        ("I16", "GET http://INNER.example/x HTTP/1.1\r\nHost: INNER.example\r\n\r\n", "inner.example"),
    ];
    for (id, head, host) in hosts {
        let mut client = yard.whole.client().await;
        client.send(head).await;
        assert_eq!(client.answer().await.status, 200, "{id} {head:?}");
        let seen = yard.last();
        assert_eq!((seen.target(), seen.fields("host")), ("/x", vec![host]), "{id} the host that was judged: {head:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_brings_nothing_with_it() {
    let yard = Yard::start().await;
    let key = server_key("acme:s3cret");
    let asks = [("Origin", "https://page.example"), ("Access-Control-Request-Method", "POST")];
    let with = |more: &[(&'static str, &'static str)]| [&asks[..], more].concat();

    yard.check("J3 a preflight", "OPTIONS", "/asks/x", &asks, (200, "")).await;
    let mut fields: Vec<(&str, &str)> = with(&[("X-Auth-Subject", "admin"), ("Cookie", "a=1"), ("Authorization", "Basic eDp5")]);
    fields.push(("Server-Key", &key));
    yard.check("J3 with credentials", "OPTIONS", "/asks/x", &fields, (200, "")).await;
    let seen = yard.last();
    for name in ["x-auth-subject", "cookie", "authorization", "server-key"] {
        assert_eq!(seen.fields(name), Vec::<&str>::new(), "J3 no {name} goes along: {}", seen.head);
    }
    let rows: [(&str, &str, Vec<(&str, &str)>, (u16, &str), &str); 5] = [
        ("J3", "/asks/a;b", with(&[]), (400, "target_ambiguous"), "a path the rule does not want"),
        ("J3", "/asks/x", vec![asks[0]], (405, "method_refused"), "an OPTIONS that asks about no method"),
        (
            "J3",
            "/asks/x",
            vec![asks[0], ("Access-Control-Request-Method", "DELETE")],
            (405, "method_refused"),
            "about one that has no rule",
        ),
        ("J3", "/asks/x", with(&[("Origin", "https://other.example")]), (405, "method_refused"), "from two origins"),
        ("J3", "/api/x", with(&[]), (405, "method_refused"), "where the rule does not speak of them"),
    ];
    for (id, target, fields, told, shows) in rows {
        let (status, reason, answer) = yard.ask("OPTIONS", target, &fields).await;
        let refused = status == told.0 || (told.0 == 400 && status == 405);
        assert!(refused && !reason.is_empty(), "{id} {shows}: {status} {reason} {}", answer.text());
    }
    let before = yard.upstream.hits();
    for body in ["Content-Length: 4\r\n\r\nevil", "Transfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n"] {
        let mut client = yard.whole.client().await;
        client
            .send(format!(
                "OPTIONS /asks/x HTTP/1.1\r\nHost: a\r\nOrigin: https://p.example\r\nAccess-Control-Request-Method: POST\r\n{body}"
            ))
            .await;
        assert_eq!(client.answer().await.status, 413, "J3 a body that nobody has proven");
    }
    assert_eq!(yard.upstream.hits(), before, "J3 did not reach the upstream");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_content_type_is_no_way_in() {
    let yard = Yard::start().await;
    for media in ["application/grpc", "application/grpc-web+proto", "application/connect+json"] {
        let fields = [("Content-Type", media), ("TE", "trailers")];
        yard.check(&format!("J14 {media}"), "POST", "/api/x", &fields, (401, "credential_missing")).await;
        yard.check(&format!("J14 {media}, no rule"), "POST", "/pkg.Service/Method", &fields, (404, "no_rule")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_says_too_much_is_heard_once() {
    let many = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(500);
    let yard = Yard::scripted(move |seen| match seen.target() {
        "/public/two" => {
            Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL".to_vec())
        }
        "/public/both" => {
            Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nEVIL".to_vec())
        }
        "/public/lengths" => Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 2\r\n\r\nEVIL".to_vec()),
        "/public/flood" => Reply::Bytes(format!("{many}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").into_bytes()),
        "/public/switch" => Reply::Echo,
        _ => ok("mine"),
    })
    .await;
    let rows = [
        ("K25", "/public/two", 200, "a second answer behind the first"),
        ("K25", "/public/both", 200, "two framings; chunks count, and the rest is nobody's"),
        ("K25", "/public/lengths", 502, "two lengths"),
        ("K25", "/public/flood", 200, "five hundred interim answers"),
        ("K25", "/public/switch", 502, "another protocol that nobody asked for"),
    ];
    for (id, target, status, shows) in rows {
        let mut client = yard.whole.client().await;
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let answer = loop {
            let answer = client.answer().await;
            if answer.status != 103 {
                break answer;
            }
        };
        assert_eq!(answer.status, status, "{id} {shows}: {}", answer.text());
        for number in 0..5 {
            let next = yard.whole.ask("GET", &format!("/public/{number}"), &[]).await;
            assert_eq!((next.status, next.text().as_str()), (200, "mine"), "{id} {shows}: nobody else reads what was left");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_request_is_told_to_third_parties() {
    let yard = Yard::start().await;
    let key = server_key("acme:s3cret");
    let secret = "only-the-client-and-the-upstream";
    let fields = [("Server-Key", key.as_str()), ("Cookie", secret), ("X-Api-Token", secret), ("Baggage", secret), ("User-Agent", secret)];
    yard.check("O9", "GET", &format!("/api/x?secret={secret}"), &fields, (200, "")).await;
    let seen = yard.last();
    let parent = seen.fields("traceparent");
    assert!(parent.len() == 1 && parent[0].len() == 55, "O9 a trace is ids and nothing else: {parent:?}");
    let (status, reason, answer) = yard.ask("GET", &format!("/down/x?secret={secret}"), &fields).await;
    assert_eq!((status, reason.as_str()), (502, "upstream_unreachable"), "O10");
    assert!(!answer.text().contains(secret), "O10 the error page is ours, and nobody else is asked for one: {}", answer.text());
    assert!(answer.field("location").is_none() && answer.field("set-cookie").is_none(), "O10 {answer:?}");
    yard.whole.audit(2).await;
    let written = yard.whole.written();
    assert!(!written.contains(secret) && !written.contains(&key), "O9 nothing of it stands in the record: {written}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_that_ends_does_not_end_the_next_caller() {
    let yard =
        Yard::scripted(|_| Reply::Bytes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".to_vec())).await;
    let mut client = yard.whole.client().await;
    let person = bearer("ann");
    client.send(format!("GET /token/x HTTP/1.1\r\nHost: a\r\nAuthorization: {person}\r\n\r\n")).await;
    assert_eq!(client.answer().await.status, 200, "J10 a caller whose token ends in ten minutes");
    yard.whole.set_clock(NOW + 3_600);
    let key = server_key("acme:s3cret");
    client.send(format!("GET /api/x HTTP/1.1\r\nHost: a\r\nServer-Key: {key}\r\n\r\n")).await;
    assert_eq!(client.answer().await.status, 200, "J10 a later one on the same connection is not cut");
    client.send(format!("GET /token/x HTTP/1.1\r\nHost: a\r\nAuthorization: {person}\r\n\r\n")).await;
    assert_eq!(client.answer().await.status, 401, "J10 and the first has run out all the same, remembered or not");
    assert_eq!(yard.last().fields("x-auth-subject"), ["acme"], "J10 each under their own name");
}

#[test]
fn no_two_credentials_share_a_memory() {
    let cache = CredentialCache::new(CachePlan::default());
    // Only a verifier can vouch for an identity.
    let (key, public) = jwt::fresh(Algorithm::EdDsa);
    let bench = jwt::bench(&jwt::settings(json!({})), &[("set", jwt::Set::of(vec![public]))]);
    let token = jwt::signed(&key, br#"{"alg":"EdDSA","kid":"k1"}"#, jwt::claims(json!({})).to_string().as_bytes());
    let stage = Stage::new().field("authorization", format!("Bearer {token}"));
    let identity = stage.show(|request| bench.judged(request, Timestamp(NOW))).unwrap();
    let credential = |parts: &[&'static str]| Credential::new(parts.iter().map(|part| Cow::Borrowed(*part)).collect(), Vec::new());
    let mine = AuthenticatorKey::of("ab", "c");
    cache.insert(&mine, &credential(&["ab", "c"]), 1, &identity, Timestamp(NOW), Seconds(60));
    let rows: [(&str, AuthenticatorKey, &[&'static str], u64, bool, &str); 8] = [
        ("B34", mine, &["ab", "c"], 1, true, "the same"),
        ("B34", mine, &["a", "bc"], 1, false, "the same letters, cut elsewhere"),
        ("B34", mine, &["abc"], 1, false, "in one"),
        ("B34", mine, &["ab", "c", ""], 1, false, "with an empty part behind"),
        ("B34", mine, &["c", "ab"], 1, false, "in another order"),
        ("B33", mine, &["ab", "c"], 2, false, "under other keys"),
        ("B34", AuthenticatorKey::of("a", "bc"), &["ab", "c"], 1, false, "an authenticator with the same letters, cut elsewhere"),
        ("B16", AuthenticatorKey::of("abc", "c"), &["ab", "c"], 1, false, "another authenticator"),
    ];
    for (id, authenticator, parts, generation, known, shows) in rows {
        let found = cache.get(&authenticator, &credential(parts), generation, Timestamp(NOW));
        assert_eq!(found.is_some(), known, "{id} {shows}");
    }
}
