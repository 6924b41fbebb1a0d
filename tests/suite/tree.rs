//! Requirement trees through the running proxy: any, all, optional, none, and what each strips.

use countersign::demo::credentials::claims;
use countersign::domain::Timestamp;
use countersign::jose::algorithm::Algorithm;
use countersign::jose::mint::SigningKey;
use serde_json::json;

use crate::support::rows::{PEPPER, base64, row, run, server_key};
use crate::support::upstream::Upstream;
use crate::support::whole::{NOW, Whole};

const ISSUER: &str = "https://id.example";

struct House {
    upstream: Upstream,
    whole: Whole,
    key: SigningKey,
}

impl House {
    async fn start() -> Self {
        let upstream = Upstream::start().await;
        let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
        let conf = format!(
            r"
listeners: [{{ address: 127.0.0.1:0 }}]
governor: off
upstreams: {{ app: http://{} }}
keys:
  issuer: {{ pinned: {{ file: issuer }} }}
  partners: {{ server_keys: {{ file: partners.jsonl, pepper: {{ file: pepper }} }} }}
authenticators:
  user: {{ jwt: {{ issuer: {ISSUER}, audience: app, keys: issuer, from: [bearer, {{ query: token }}] }} }}
  cookie: {{ jwt: {{ issuer: {ISSUER}, audience: app, keys: issuer, from: {{ cookie: session }} }} }}
  partner: {{ server_key: {{ keys: partners, from: [server_key, basic] }} }}
  instance: {{ key_pair: {{ keys: partners }} }}
rules:
  - {{ name: none, match: {{ paths: [/none] }}, authenticate: none, forward: app }}
  - {{ name: any, match: {{ paths: [/any] }}, authenticate: {{ any: [user, partner] }}, forward: app }}
  - {{ name: optional, match: {{ paths: [/optional] }}, authenticate: {{ optional: user }}, forward: app }}
  - {{ name: either, match: {{ paths: [/either] }}, authenticate: {{ optional: {{ any: [user, partner] }} }}, forward: app }}
  - name: all
    match: {{ paths: [/all] }}
    authenticate: {{ all: [user, partner] }}
    forward: {{ upstream: app, identity_headers: {{ X-Auth-Subject: subject, X-Partner: also.partner.subject }} }}
  - {{ name: nested, match: {{ paths: [/nested] }}, authenticate: {{ any: [{{ all: [user, partner] }}, instance] }}, forward: app }}
  - {{ name: helped, match: {{ paths: [/helped] }}, authenticate: {{ all: [user, {{ optional: partner }}] }}, forward: app }}
  - {{ name: kept, match: {{ paths: [/kept] }}, authenticate: {{ any: [user, partner] }}, forward: {{ upstream: app, keep_credential: true }} }}
",
            upstream.address
        );
        let jwk = key.public_jwk().unwrap().to_string();
        let lines = server_key("acme", "s3cret", "");
        let files: [(&str, &[u8]); 3] = [("issuer", jwk.as_bytes()), ("partners.jsonl", lines.as_bytes()), ("pepper", PEPPER)];
        let whole = Whole::start(&conf, &files).await;
        Self { upstream, whole, key }
    }

    fn token(&self) -> String {
        self.key.sign_compact(&[], &claims(ISSUER, Timestamp(NOW))).unwrap()
    }

    fn expired(&self) -> String {
        let claims = json!({ "iss": ISSUER, "aud": "app", "sub": "anna", "exp": NOW - 31 });
        self.key.sign_compact(&[], &claims).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_branch_whose_credential_is_present_decides() {
    let house = House::start().await;
    let (token, expired) = (house.token(), house.expired());
    let (acme, wrong) = (base64("acme:s3cret"), base64("acme:wrong-secret"));
    let rows = [
        row("anyone may, and is nobody", "/none").passes(""),
        row("a credential nobody asked for is nobody's business", "/none").field("Server-Key", &acme).passes(""),
        row("the first branch", "/any").bearer(&token).passes("anna"),
        row("the second branch", "/any").credential("Server-Key", &acme).passes("acme"),
        row("both: the first decides, and both are taken out", "/any").bearer(&token).credential("Server-Key", &acme).passes("anna"),
        row("an undecided branch is taken out though it is wrong", "/any").bearer(&token).credential("Server-Key", &wrong).passes("anna"),
        row("and though nobody can read it", "/any")
            .bearer(&token)
            .credential("Server-Key", &wrong)
            .credential("Server-Key", &acme)
            .passes("anna"),
        row("and though it stands before the one that decides", "/any")
            .bearer("not.our.token")
            .credential("Server-Key", &acme)
            .passes("acme"),
        row("wrong in the first is wrong, whatever stands in the second", "/any")
            .bearer(&expired)
            .credential("Server-Key", &acme)
            .refused(401, "expired"),
        row("garbage in a bearer that one branch alone reads", "/any").bearer("garbage").credential("Server-Key", &acme).passes("acme"),
        row("garbage and nothing else", "/any").bearer("garbage").refused(401, "credential_malformed"),
        row("neither", "/any").refused(401, "credential_missing"),
        row("nobody in particular", "/optional").passes(""),
        row("somebody", "/optional").bearer(&token).passes("anna"),
        row("somebody wrong is not nobody", "/optional").bearer(&expired).refused(401, "expired"),
        row("garbage is not nobody", "/optional").bearer("garbage").refused(401, "credential_malformed"),
        row("an empty bearer is not nobody", "/optional").field("Authorization", "Bearer ").refused(401, "credential_malformed"),
        row("an empty parameter is not nobody", "/optional?token=").refused(401, "credential_malformed"),
        row("two bearers are not nobody", "/optional").bearer(&token).bearer(&token).refused(400, "credential_conflict"),
        row("a malformed second branch is not nobody", "/either").field("Server-Key", "!").refused(401, "credential_malformed"),
        row("nobody, with two ways to be somebody", "/either").passes(""),
        row("both of all", "/all").bearer(&token).credential("Server-Key", &acme).passes("anna"),
        row("one of all", "/all").bearer(&token).refused(401, "credential_missing"),
        row("the other of all", "/all").credential("Server-Key", &acme).refused(401, "credential_missing"),
        row("one of them wrong", "/all").bearer(&token).credential("Server-Key", &wrong).refused(401, "secret_wrong"),
        row("the other wrong", "/all").bearer(&expired).credential("Server-Key", &acme).refused(401, "expired"),
        row("one of them malformed", "/all").bearer(&token).field("Server-Key", "!").refused(401, "credential_malformed"),
        row("none of all", "/all").refused(401, "credential_missing"),
        row("a tree within a tree", "/nested").bearer(&token).credential("Server-Key", &acme).passes("anna"),
        row("its other branch", "/nested").field("InstanceId", "acme").field("InstanceKey", "s3cret").passes("acme"),
        row("half a branch beside a whole one is not absent", "/nested")
            .bearer(&token)
            .field("InstanceId", "acme")
            .field("InstanceKey", "s3cret")
            .refused(401, "credential_missing"),
        row("with help", "/helped").bearer(&token).credential("Server-Key", &acme).passes("anna"),
        row("without help", "/helped").bearer(&token).passes("anna"),
        row("help alone is not enough", "/helped").credential("Server-Key", &acme).refused(401, "credential_missing"),
        row("wrong help", "/helped").bearer(&token).credential("Server-Key", &wrong).refused(401, "secret_wrong"),
    ];
    run(&house.whole, &house.upstream, rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_learns_of_both_and_sees_neither_credential() {
    let house = House::start().await;
    house.whole.ready().await;
    let (token, acme) = (house.token(), base64("acme:s3cret"));
    let both = |path: &str| row("both", path).bearer(&token).credential("Server-Key", &acme).passes("anna");

    let (_, seen) = both("/all").field("X-Partner", "forged").run(&house.whole, &house.upstream).await;
    assert_eq!(seen.unwrap().fields("x-partner"), ["acme"]);

    let (_, seen) = both("/any?a=1&token=smuggled").refused(400, "credential_conflict").run(&house.whole, &house.upstream).await;
    assert!(seen.is_none());

    let kept = row("kept", "/kept").field("Authorization", format!("Bearer {token}")).field("Server-Key", &acme).passes("anna");
    let (_, seen) = kept.run(&house.whole, &house.upstream).await;
    let seen = seen.unwrap();
    assert_eq!(seen.fields("authorization"), [format!("Bearer {token}")], "kept where the rule says so");
    assert_eq!(seen.fields("server-key"), [acme.as_str()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_in_is_named_once() {
    let house = House::start().await;
    house.whole.ready().await;
    let answer = house.whole.ask("GET", "/any", &[]).await;
    let challenges: Vec<&str> =
        answer.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("www-authenticate")).map(|(_, value)| value.as_str()).collect();
    assert_eq!(answer.status, 401);
    assert_eq!(challenges, ["Bearer realm=\"countersign\"", "Basic realm=\"countersign\", charset=\"UTF-8\""]);
}
