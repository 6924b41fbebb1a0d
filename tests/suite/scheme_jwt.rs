//! JSON Web Tokens through the running proxy: every algorithm, every place, several issuers, and keys from wherever they come.

use countersign::demo::credentials::{claims, with};
use countersign::demo::issuer::{DemoIssuer, Trouble};
use countersign::domain::Timestamp;
use countersign::jose::algorithm::Algorithm;
use countersign::jose::mint::SigningKey;
use serde_json::{Value, json};

use crate::support::rows::{Row, base64, row, run};
use crate::support::upstream::{Upstream, eventually};
use crate::support::whole::{Folder, NOW, Whole};

const ISSUER: &str = "https://id.example";
const LEEWAY: i64 = 30;

/// Anna's claims, good from now for an hour.
fn good() -> Value {
    claims(ISSUER, Timestamp(NOW))
}

fn without(mut claims: Value, name: &str) -> Value {
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn segment(value: &Value) -> String {
    base64(value.to_string()).replace('+', "-").replace('/', "_").replace('=', "")
}

/// The rows that hold for every algorithm; `stranger` is a key of the same kind that nobody trusts, under the trusted `kid`.
fn rows_for(path: &'static str, key: &SigningKey, stranger: &SigningKey) -> Vec<Row> {
    let sign = |claims: &Value| key.sign_compact(&[], claims).unwrap();
    let send = |shows, token: String| row(shows, path).bearer(token);
    let fine = sign(&good());
    let (head, rest) = fine.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    let other_payload = segment(&with(good(), "sub", "mallory"));
    vec![
        send("a good token", fine.clone()).passes("anna"),
        send("and the same again", fine.clone()).passes("anna"),
        row("nothing", path).refused(401, "credential_missing"),
        send("not a token", "garbage".into()).refused(401, "credential_malformed"),
        send("two parts", format!("{head}.{payload}")).refused(401, "credential_malformed"),
        send("no signature", format!("{head}.{payload}.")).refused(401, "credential_malformed"),
        send("another payload", format!("{head}.{other_payload}.{signature}")).refused(401, "signature_invalid"),
        send("a stranger's signature", stranger.sign_compact(&[], &good()).unwrap()).refused(401, "signature_invalid"),
        send("the last second", fine.clone()).at(NOW + 3_600 + LEEWAY - 1).passes("anna"),
        send("the end itself is too late, remembered or not", fine.clone()).at(NOW + 3_600 + LEEWAY).refused(401, "expired"),
        send("and long after", fine.clone()).at(NOW + 1_000_000).refused(401, "expired"),
        send("the second before its start", sign(&with(good(), "nbf", NOW + 100))).at(NOW + 100 - LEEWAY - 1).refused(401, "not_yet_valid"),
        send("its first second", sign(&with(good(), "nbf", NOW + 100))).at(NOW + 100 - LEEWAY).passes("anna"),
        send("from tomorrow", sign(&with(with(good(), "iat", NOW + 86_400), "exp", NOW + 90_000))).refused(401, "not_yet_valid"),
        send("for someone else", sign(&with(good(), "aud", "other"))).refused(401, "audience_mismatch"),
        send("for us among others", sign(&with(good(), "aud", json!(["other", "app"])))).passes("anna"),
        send("for nobody", sign(&without(good(), "aud"))).refused(401, "claim_missing"),
        send("from another issuer", sign(&with(good(), "iss", "https://evil.example"))).refused(401, "issuer_mismatch"),
        send("made after its own end", sign(&with(good(), "iat", NOW + 86_400))).refused(401, "claims_malformed"),
        send("without an end", sign(&without(good(), "exp"))).refused(401, "claim_missing"),
        send("an end in text", sign(&with(good(), "exp", "tomorrow"))).refused(401, "claims_malformed"),
        send("nobody's token", sign(&without(good(), "sub"))).refused(401, "claim_missing"),
        send("longer than any we read", format!("{head}.{}.{signature}", "A".repeat(9_000))).refused(401, "credential_malformed"),
        send("twice", fine.clone()).bearer(&fine).refused(400, "credential_conflict"),
        send("two in one field", format!("{fine}, Bearer {fine}")).refused(400, "credential_conflict"),
        row("no scheme before it", path).field("Authorization", fine.clone()).refused(401, "credential_missing"),
        row("in another field", path).field("X-Token", fine.clone()).refused(401, "credential_missing"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_algorithm_passes_what_is_good_and_nothing_else() {
    let algorithms = [
        (Algorithm::Rs256, "/rs256/x"),
        (Algorithm::Ps256, "/ps256/x"),
        (Algorithm::Es256, "/es256/x"),
        (Algorithm::Es512, "/es512/x"),
        (Algorithm::EdDsa, "/eddsa/x"),
        (Algorithm::Hs256, "/hs256/x"),
    ];
    let upstream = Upstream::start().await;
    let folder = Folder::new();
    let (mut stores, mut authenticators, mut rules) = (String::new(), String::new(), String::new());
    let mut tables = Vec::new();
    for (algorithm, path) in algorithms {
        let name = algorithm.name().to_lowercase();
        let key = SigningKey::generate(algorithm).unwrap();
        let stranger = SigningKey::generate(algorithm).unwrap().with_kid(key.kid());
        match (key.public_jwk(), key.secret()) {
            (Some(jwk), _) => {
                folder.write(&name, jwk.to_string());
                stores.push_str(&format!("  {name}: {{ pinned: {{ file: {name} }} }}\n"));
            }
            (None, secret) => {
                folder.write(&name, secret.unwrap().expose());
                stores.push_str(&format!("  {name}: {{ pinned: {{ hmac: {{ file: {name} }}, hmac_algorithm: HS256 }} }}\n"));
            }
        }
        let written = algorithm.name();
        authenticators
            .push_str(&format!("  {name}: {{ jwt: {{ issuer: {ISSUER}, audience: app, keys: {name}, algorithms: {written} }} }}\n"));
        rules.push_str(&format!("  - {{ name: {name}, match: {{ paths: [/{name}/**] }}, authenticate: {name}, forward: app }}\n"));
        tables.extend(rows_for(path, &key, &stranger));
        if let Some(jwk) = key.public_jwk() {
            // The oldest trick: the public key as the secret of an HMAC.
            let secret = countersign::domain::Secret::new(format!("{jwk:>64}").into_bytes());
            if let Ok(confused) = SigningKey::from_secret(Algorithm::Hs256, &secret) {
                let token = confused.with_kid(key.kid()).sign_compact(&[], &good()).unwrap();
                tables.push(row("the public key as a shared secret", path).bearer(token).refused(401, "algorithm_refused"));
            }
            let header = json!({ "alg": "none", "typ": "JWT", "kid": key.kid() });
            let token = format!("{}.{}.", segment(&header), segment(&good()));
            tables.push(row("signed by nobody", path).bearer(token).refused(401, "credential_malformed"));
        }
    }
    let conf = format!(
        "listeners: [{{ address: 127.0.0.1:0 }}]\ngovernor: off\nupstreams: {{ app: http://{} }}\nkeys:\n{stores}authenticators:\n{authenticators}rules:\n{rules}",
        upstream.address
    );
    let whole = Whole::start_in(folder, &conf).await;
    run(&whole, &upstream, tables).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_read_where_the_conf_says_and_taken_out_there() {
    let upstream = Upstream::start().await;
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let jwk = key.public_jwk().unwrap().to_string();
    let conf = format!(
        r"
listeners: [{{ address: 127.0.0.1:0 }}]
governor: off
upstreams: {{ app: http://{} }}
keys: {{ issuer: {{ pinned: {{ file: issuer }} }} }}
authenticators:
  header: {{ jwt: {{ issuer: {ISSUER}, audience: app, keys: issuer, from: {{ header: X-Auth-Token }} }} }}
  cookie: {{ jwt: {{ issuer: {ISSUER}, audience: app, keys: issuer, from: {{ cookie: token }} }} }}
  query: {{ jwt: {{ issuer: {ISSUER}, audience: app, keys: issuer, from: {{ query: access_token }} }} }}
  anywhere: {{ jwt: {{ issuer: {ISSUER}, audience: app, keys: issuer, from: [bearer, {{ cookie: token }}, {{ query: access_token }}] }} }}
  strict: {{ jwt: {{ issuer: {ISSUER}, audience: app, keys: issuer, typ: at+jwt, max_age: 1m, require: {{ tenant: [north, south] }} }} }}
rules:
  - {{ name: header, match: {{ paths: [/header] }}, authenticate: header, forward: app }}
  - {{ name: cookie, match: {{ paths: [/cookie] }}, authenticate: cookie, forward: app }}
  - {{ name: query, match: {{ paths: [/query] }}, authenticate: query, forward: app }}
  - {{ name: anywhere, match: {{ paths: [/anywhere] }}, authenticate: anywhere, forward: app }}
  - {{ name: strict, match: {{ paths: [/strict] }}, authenticate: strict, forward: app }}
",
        upstream.address
    );
    let whole = Whole::start(&conf, &[("issuer", jwk.as_bytes())]).await;
    let token = key.sign_compact(&[], &good()).unwrap();
    let other = key.sign_compact(&[], &with(good(), "sub", "berta")).unwrap();
    let strict = |typ: &str, claims: &Value| key.sign_compact(&[("typ", typ)], claims).unwrap();
    let tenant = with(good(), "tenant", "north");

    let rows = [
        row("a header of its own", "/header").credential("X-Auth-Token", &token).passes("anna"),
        row("which is not Authorization", "/header").bearer(&token).refused(401, "credential_missing"),
        row("empty is malformed", "/header").field("X-Auth-Token", "").refused(401, "credential_malformed"),
        row("twice", "/header").credential("X-Auth-Token", &token).credential("X-Auth-Token", &other).refused(400, "credential_conflict"),
        row("a cookie", "/cookie").credential("Cookie", format!("token={token}")).passes("anna"),
        row("a cookie among others", "/cookie").secret(&token).field("Cookie", format!("a=1; token={token}; b=2")).passes("anna"),
        row("a cookie of another name", "/cookie").field("Cookie", format!("Token={token}")).refused(401, "credential_missing"),
        row("an empty cookie", "/cookie").field("Cookie", "token=").refused(401, "credential_malformed"),
        row("two cookies", "/cookie").field("Cookie", format!("token={token}; token={other}")).refused(400, "credential_conflict"),
        row("two cookie lines", "/cookie")
            .field("Cookie", format!("token={token}"))
            .field("Cookie", format!("token={other}"))
            .refused(400, "credential_conflict"),
        row("a parameter", format!("/query?a=1&access_token={token}&b=2")).secret(&token).passes("anna"),
        row("its name in another spelling", format!("/query?access%5Ftoken={token}")).secret(&token).passes("anna"),
        row("two parameters", format!("/query?access_token={token}&access_token={other}")).refused(400, "credential_conflict"),
        row("a parameter without value", "/query?access_token").refused(401, "credential_malformed"),
        row("three places that agree", format!("/anywhere?access_token={token}"))
            .bearer(&token)
            .credential("Cookie", format!("token={token}"))
            .passes("anna"),
        row("two places that differ", format!("/anywhere?access_token={token}")).bearer(&other).refused(400, "credential_conflict"),
        row("garbage beside a good one", "/anywhere?access_token=garbage").bearer(&token).refused(400, "credential_conflict"),
        row("as strict as the conf asks", "/strict").bearer(strict("at+jwt", &tenant)).passes("anna"),
        row("another kind of token", "/strict").bearer(strict("JWT", &tenant)).refused(401, "claim_missing"),
        row("a claim with another value", "/strict")
            .bearer(strict("at+jwt", &with(good(), "tenant", "east")))
            .refused(401, "claim_missing"),
        row("a claim left out", "/strict").bearer(strict("at+jwt", &good())).refused(401, "claim_missing"),
        row("the last second of its age", "/strict").bearer(strict("at+jwt", &tenant)).at(NOW + 60 + LEEWAY).passes("anna"),
        row("too old, though not expired", "/strict").bearer(strict("at+jwt", &tenant)).at(NOW + 60 + LEEWAY + 1).refused(401, "expired"),
    ];
    run(&whole, &upstream, rows).await;

    let (_, seen) = row("other cookies stay", "/cookie")
        .field("Cookie", format!("a=1; token={token}; b=2"))
        .passes("anna")
        .run(&whole, &upstream)
        .await;
    assert_eq!(seen.unwrap().fields("cookie"), ["a=1; b=2"]);
    let (_, seen) =
        row("other parameters stay", format!("/query?a=1&access_token={token}&b=%20")).passes("anna").run(&whole, &upstream).await;
    assert_eq!(seen.unwrap().target(), "/query?a=1&b=%20");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_judged_by_the_keys_of_its_own_issuer() {
    let upstream = Upstream::start().await;
    let (north, south) = (SigningKey::generate(Algorithm::Es256).unwrap(), SigningKey::generate(Algorithm::EdDsa).unwrap());
    let conf = format!(
        r#"
listeners: [{{ address: 127.0.0.1:0 }}]
governor: off
upstreams: {{ app: http://{} }}
keys: {{ north: {{ pinned: {{ file: north }} }}, south: {{ pinned: {{ file: south }} }} }}
authenticators:
  both:
    jwt:
      issuer: ["https://north.example", "https://south.example"]
      audience: app
      keys: {{ "https://north.example": north, "https://south.example": south }}
  north: {{ jwt: {{ issuer: "https://north.example", audience: app, keys: north }} }}
  south: {{ jwt: {{ issuer: "https://south.example", audience: app, keys: south }} }}
rules:
  - {{ name: both, match: {{ paths: [/both] }}, authenticate: both, forward: app }}
  - {{ name: routed, match: {{ paths: [/routed] }}, authenticate: {{ any: [north, south] }}, forward: app }}
"#,
        upstream.address
    );
    let (north_jwk, south_jwk) = (north.public_jwk().unwrap().to_string(), south.public_jwk().unwrap().to_string());
    let whole = Whole::start(&conf, &[("north", north_jwk.as_bytes()), ("south", south_jwk.as_bytes())]).await;
    let of = |key: &SigningKey, issuer: &str| key.sign_compact(&[], &claims(issuer, Timestamp(NOW))).unwrap();
    let mut rows = Vec::new();
    for path in ["/both", "/routed"] {
        rows.extend([
            row("one issuer", path).bearer(of(&north, "https://north.example")).passes("anna"),
            row("the other issuer", path).bearer(of(&south, "https://south.example")).passes("anna"),
            row("one issuer's key for the other's tokens", path).bearer(of(&south, "https://north.example")).refused(401, "key_unknown"),
            row("and the other way round", path).bearer(of(&north, "https://south.example")).refused(401, "key_unknown"),
            row("a third issuer", path).bearer(of(&north, "https://east.example")).refused(401, "issuer_mismatch"),
            row("nearly an issuer", path).bearer(of(&north, "https://north.example/")).refused(401, "issuer_mismatch"),
        ]);
    }
    run(&whole, &upstream, rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_discovered_fetched_and_kept_through_an_outage() {
    let upstream = Upstream::start().await;
    let issuer = DemoIssuer::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let name = issuer.issuer();
    let conf = format!(
        r"
listeners: [{{ address: 127.0.0.1:0 }}]
governor: off
upstreams: {{ app: http://{} }}
keys:
  discovered: {{ discovery: {{ issuer: {name} }} }}
  fetched: {{ jwks_url: {{ url: {} }} }}
authenticators:
  discovered: {{ jwt: {{ issuer: {name}, audience: app, keys: discovered }} }}
  fetched: {{ jwt: {{ issuer: {name}, audience: app, keys: fetched }} }}
rules:
  - {{ name: discovered, match: {{ paths: [/discovered] }}, authenticate: discovered, forward: app }}
  - {{ name: fetched, match: {{ paths: [/fetched] }}, authenticate: fetched, forward: app }}
",
        upstream.address,
        issuer.jwks_url()
    );
    let whole = Whole::start(&conf, &[]).await;
    whole.ready().await;
    let fresh = |algorithm, subject: &str| issuer.sign(algorithm, &with(claims(&name, Timestamp(NOW)), "sub", subject)).unwrap();
    let old_key = issuer.key(Algorithm::Es256).unwrap();

    for path in ["/discovered", "/fetched"] {
        for algorithm in DemoIssuer::ALGORITHMS {
            row("a key of the set", path).bearer(fresh(algorithm, "anna")).passes("anna").run(&whole, &upstream).await;
        }
    }
    issuer.rotate().unwrap();
    for path in ["/discovered", "/fetched"] {
        row("a key that came with a rotation", path).bearer(fresh(Algorithm::Es256, "berta")).passes("berta").run(&whole, &upstream).await;
        let old = old_key.sign_compact(&[], &with(claims(&name, Timestamp(NOW)), "sub", "cleo")).unwrap();
        row("and the one before it", path).bearer(old).passes("cleo").run(&whole, &upstream).await;
    }
    issuer.trouble(Trouble::Down);
    let asked = issuer.asked("/jwks");
    for path in ["/discovered", "/fetched"] {
        row("known keys last through an outage", path).bearer(fresh(Algorithm::EdDsa, "dora")).passes("dora").run(&whole, &upstream).await;
    }
    assert_eq!(issuer.asked("/jwks"), asked, "known keys ask nobody");
    let stranger = SigningKey::generate(Algorithm::Es256).unwrap();
    let token = stranger.sign_compact(&[], &claims(&name, Timestamp(NOW))).unwrap();
    for path in ["/discovered", "/fetched"] {
        let answer = whole.ask("GET", path, &[("Authorization", &format!("Bearer {token}"))]).await;
        assert!(matches!(answer.status, 401 | 503), "an unknown key during an outage is never let in: {}", answer.status);
    }
    eventually("the records", || whole.written().lines().count() >= 13).await;
    assert!(!whole.written().contains(&token), "no token in the record");
}
