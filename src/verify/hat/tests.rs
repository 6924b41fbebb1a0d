//! Tokens of HATs: a genuine one of 2018, and the ways in which others try to look like one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value as Json, json};

use crate::config::document::Document;
use crate::domain::{
    Answer, Claim, Clock, Doubt, Facts, Found, Identity, Need, Observer, Outage, Place, Random, Refusal, RequestView, Silent, Step, Target,
    Timestamp,
};
use crate::jose::algorithm::Algorithm;
use crate::jose::base64url;
use crate::jose::jwk::parse_pem;
use crate::jose::key::VerifyingKey;
use crate::jose::mint::SigningKey;
use crate::net::client::loopback::{Asked, Loopback, Told};
use crate::net::client::{Client, ClientSettings};
use crate::settings::section::prove;
use crate::settings::{Checking, Faults, Level, Material, Names};
use crate::state::contract::StateStore;
use crate::state::memory::Memory;
use crate::verify::contract::{Desk, Desks, SchemePlan, SchemeTools, Verifier};
use crate::verify::hat::ENTRY;
use crate::verify::keys::contract::{BuiltKeys, KeyHint, KeySearch, SignatureKeys};
use crate::verify::keys::testing::Still;

/// When everything happens unless a row says otherwise.
const NOW: i64 = 1_800_000_000;
const HAT: &str = "ada.hubat.net";

/// V-HAT-1, of two guides of the vendor's portal, and its key.
const GENUINE: [&str; 3] = [
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9",
    "eyJhcHBsaWNhdGlvblZlcnNpb24iOiIxLjIuNyIsInN1YiI6IjEtT0tRdm1TdGdCZ0lKdm9mNUN6NktsMnhaYjhXMUszQmZFR28xa2dZVERCQmdLeUR0ZDBqOXp6VWRaUmlRdFloaFY2VjQ5a1g1WUlmTzE0K3lEcm1GUlwvN1RkUW1iWXNMS3BDST0iLCJhcHBsaWNhdGlvbiI6ImhhdGFwcHN0YWdpbmciLCJpc3MiOiJ0ZXN0aW5nLmh1YmF0Lm5ldCIsImV4cCI6MTU0NDA4Nzc3MiwiaWF0IjoxNTQxNDk1NzcyLCJqdGkiOiI5ZjdlN2MyOTYwMjZkNmM4ODBmN2M2ZTk0MzIzOTQ3Yzg2YmI2OGEwZTIxN2YxZmZhYWE2ZTY3NGYwYWE1ODRmOWRiMzEwNDhiZmI1ZjI4N2Y5YzU4OGM4MGNmOTlmNzJjZTUyOTcxZjU3Y2NkNzVmODUzNTg3OTcwYWM5NWQzNDZhYWNmMzY5OWVkN2IyYmIyMDY5ZTJiMmM5YjE1OTg2Mjc5ZGNiYTNlMTMwYjRkMTdkNTI0ZTVkMmE5MTYyZTUzM2JjNWRlODJmNDBjNTg2ZDc2ODk2MTU0NDE3NzBkOGMwNDRlZjhhNjFlNWM3Y2JkZGQzOWFmYmQ1MDllMjU2In0",
    "i4W_pbOVP9Qb-kkNaari-2U1eWfPSZ6QfYubb6r2SzN1VK0xRe_YT6Zm8gIuEoq8mf5p9wKPcsqzgJwLe27rGNTypCI9qZhVGqY0bNEC5GaXjH3YCXGI_hRKfHiqGbRD8XN1uhOlyWJg0pw_7DA4hdy1pGapw11Pu10y1-YMy6dlieAAU3ot87OGSr5bpXi3P3Wzgvv_QHRRn0ZVXHwp9p1UvG8LFkfzAg5lPqwQGZwMhqmp2NKSF_pStmzcKIsox_1ogrfam_3cm7p1iSRPMROYWxU9rwaOLQiXYXHuB1kO9Z62vxRJLySX_1PunWwXohbu4Rw7biBvpTdLI9D_DQ",
];
const GENUINE_KEY: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAmbpD4OytlMcWRuGHgfy8
q9I9GT46Sh3FwuZQkicCMqMWaV9ukwo6mW+e4UciNh5acXf2qEnQdbRHCxNVe90G
jTzVCPcFvigE/Tn9icNzISludwA4/uiAbaFwJg9dvXVphQuxZdq5dEIDAvPcqwUk
JBCX+CLBP1a0CWiB/ACbaVwYm2bZApZe52BLiw7ejvM6UvQoOjOYiRiVGJKdgUgm
WIruC+bMcbhbNpf/11M0+YCi/d51OSwup/nyEweoa6deTrMdFyMosnlcknEaWx9t
NPU3Agub9SNZVKkXTYgRXzoQu8k/BC331uKII1pi6atqLjQGkY4rY6fXJ3Db3NYI
9QIDAQAB
-----END PUBLIC KEY-----
";

/// A store with certain keys for everybody, which counts the second looks.
struct Fixed {
    keys: Vec<Arc<VerifyingKey>>,
    looks: AtomicI64,
}

#[async_trait]
impl Desk for Fixed {
    async fn answer(&self, _about: &str, _now: Timestamp) -> Result<Answer, Outage> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        Ok(Arc::new(()))
    }
}

#[async_trait]
impl SignatureKeys for Fixed {
    fn find(&self, _hint: &KeyHint<'_>, _now: Timestamp) -> KeySearch {
        KeySearch::Keys(self.keys.clone())
    }

    fn generation(&self) -> u64 {
        3
    }

    fn second_look(&self, hint: &KeyHint<'_>) -> Option<Arc<str>> {
        Some(hint.issuer.into())
    }

    fn ready(&self, _now: Timestamp) -> bool {
        true
    }

    async fn run(&self) {}

    fn desk(self: Arc<Self>) -> Arc<dyn Desk> {
        self
    }
}

fn planned(yaml: &str) -> (Option<Box<dyn SchemePlan>>, Vec<String>) {
    let document = Document::read("c.yaml", yaml.as_bytes()).unwrap();
    let (mut faults, material, mut names) = (Faults::default(), Material::default(), Names::default());
    names.define("keys", "hats");
    prove(ENTRY.shape, ENTRY.name, &document.root, &mut faults);
    let plan = (faults.errors() == 0)
        .then(|| {
            let mut checking = Checking { faults: &mut faults, material: &material, names: &names, allow_inline_secrets: false };
            (ENTRY.plan)(&document.root, &mut checking)
        })
        .flatten();
    (plan, faults.sorted().into_iter().filter(|fault| fault.level == Level::Error).map(|fault| fault.says).collect())
}

/// An authenticator, and the desks that it asks.
struct Scene {
    verifier: Arc<dyn Verifier>,
    desks: Desks,
    store: Arc<Fixed>,
    clock: Arc<AtomicI64>,
}

impl Scene {
    fn new(settings: &str, keys: Vec<Arc<VerifyingKey>>, client: ClientSettings) -> Self {
        let (plan, says) = planned(&format!("{{ keys: hats, issuers: [hubat.net, hubofallthings.net], {settings} }}"));
        let plan = plan.unwrap_or_else(|| panic!("{settings}: {says:?}"));
        let store = Arc::new(Fixed { keys, looks: AtomicI64::new(0) });
        let stores = BTreeMap::from([("hats".to_owned(), BuiltKeys::Signature(Arc::<Fixed>::clone(&store)))]);
        let state: Arc<dyn StateStore> = Arc::new(Memory::new(10, Timestamp(0)));
        let (client, clock) = (Arc::new(Client::new(client).unwrap()), Arc::new(AtomicI64::new(NOW)));
        let (wall, random, observer): (Arc<dyn Clock>, Arc<dyn Random>, Arc<dyn Observer>) =
            (Arc::<AtomicI64>::clone(&clock), Arc::new(Still), Arc::new(Silent));
        let mut desks = Desks::default();
        let mut tools = SchemeTools {
            keys: &stores,
            verifiers: &BTreeMap::new(),
            state: &state,
            desks: &mut desks,
            client: &client,
            clock: &wall,
            random: &random,
            observer: &observer,
        };
        let verifier = plan.build(&"hat".into(), &mut tools).unwrap();
        Self { verifier, desks, store, clock }
    }

    fn of(settings: &str, key: &SigningKey) -> Self {
        Self::new(settings, vec![Arc::new(key.verifying_key().unwrap())], ClientSettings::default())
    }

    /// What a request comes to: nobody, somebody, or why not. Everything asked for is answered.
    async fn judge(&self, request: &Sent, now: i64) -> Result<Option<Arc<Identity>>, Refusal> {
        self.clock.store(now, Ordering::SeqCst);
        let (now, mut facts) = (Timestamp(now), Facts::default());
        for _ in 0..5 {
            let need = match request.viewed(|view| self.step(view, &facts, now)) {
                Step::Done(found) => return Ok(found),
                Step::Refuse(refusal) => return Err(refusal),
                Step::Need(need) => need,
            };
            assert!(!facts.holds(&need), "asked twice: {need:?}");
            match need {
                Need::Body => facts.add_body(Bytes::from(request.body.clone())),
                Need::Ask(question) => {
                    let answer = self.desks.get(question.desk).unwrap().answer(&question.about, now).await;
                    facts.add_answer(question, answer.map_err(Outage::refusal)?);
                }
                Need::Renew(_) => panic!("a verifier renews nothing"),
            }
        }
        panic!("five rounds are enough")
    }

    fn step(&self, view: &RequestView<'_>, facts: &Facts, now: Timestamp) -> Step<Option<Arc<Identity>>> {
        match self.verifier.find(view, facts) {
            Step::Done(Found::Absent) => Step::Done(None),
            Step::Done(Found::Foreign(doubt) | Found::Unreadable(doubt)) => Step::Refuse(doubt.into()),
            Step::Done(Found::Present(credential)) => {
                self.verifier.verify(&credential, view, facts, now).map(|identity| Some(identity.into_inner()))
            }
            Step::Need(need) => Step::Need(need),
            Step::Refuse(refusal) => Step::Refuse(refusal),
        }
    }

    async fn token(&self, token: &str, now: i64) -> Result<Option<Arc<Identity>>, Refusal> {
        self.judge(&Sent::with(token), now).await
    }

    /// The doubt about `token`, `None` when it is good.
    async fn doubt(&self, token: &str, now: i64) -> Option<Doubt> {
        match self.token(token, now).await {
            Ok(found) => {
                assert!(found.is_some(), "something was presented");
                None
            }
            Err(Refusal::Doubted(doubt)) => Some(doubt),
            Err(refusal) => panic!("{refusal:?}"),
        }
    }
}

/// A request as it was sent.
#[derive(Default)]
struct Sent {
    query: Option<String>,
    fields: Vec<(&'static str, String)>,
    body: String,
}

impl Sent {
    fn with(token: &str) -> Self {
        Self { fields: vec![("x-auth-token", token.to_owned())], ..Self::default() }
    }

    fn viewed<T>(&self, look: impl FnOnce(&RequestView<'_>) -> T) -> T {
        let target = Target { path: "/".into(), query: self.query.as_deref().map(Into::into) };
        let mut headers = HeaderMap::new();
        for (name, value) in &self.fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        look(&RequestView {
            method: "POST",
            raw_target: "/",
            target: &target,
            host: "app.example",
            headers: &headers,
            client: [127, 0, 0, 1].into(),
            secure: true,
            request_id: "test",
        })
    }
}

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::Rs256).unwrap()
}

fn signed(key: &SigningKey, claims: &Json, change: &Json) -> String {
    let mut claims = claims.clone();
    for (name, value) in change.as_object().unwrap() {
        if value == "absent" {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    key.sign_compact(&[], &claims).unwrap()
}

fn of_app() -> Json {
    json!({ "iss": HAT, "sub": "1-opaque", "application": "app", "applicationVersion": "1.2.7", "jti": "a".repeat(256), "iat": NOW, "exp": NOW + 2_592_000 })
}

fn of_owner() -> Json {
    json!({ "iss": HAT, "sub": "1-opaque", "accessScope": "owner", "resource": HAT, "jti": "b".repeat(256), "iat": NOW, "exp": NOW + 2_592_000 })
}

#[tokio::test]
async fn the_genuine_token_of_2018_is_good_until_it_was_idle_for_three_days() {
    let keys = parse_pem(GENUINE_KEY.as_bytes()).unwrap().keys;
    let scene = Scene::new("kind: application, application: hatappstaging, minimum_version: 1.2.7", keys, ClientSettings::default());
    let token = GENUINE.join(".");
    let expired =
        |doubt: Option<Doubt>| matches!(doubt, Some(Doubt::Expired(Some(lapsed))) if &*lapsed.get().subject == "testing.hubat.net");
    assert_eq!(scene.doubt(&token, 1_541_495_772).await, None, "the second it was made");
    assert_eq!(scene.doubt(&token, 1_541_754_972).await, None, "72 hours later exactly");
    assert!(expired(scene.doubt(&token, 1_541_754_973).await), "a second later it is idle, though `exp` is far off");
    assert!(expired(scene.doubt(&token, 1_544_087_773).await), "past `exp` too");
    assert_eq!(scene.doubt(&token, 1_541_495_772 - 60).await, None, "a clock that is behind by as much as is forgiven");
    assert_eq!(scene.doubt(&token, 1_541_495_772 - 61).await, Some(Doubt::NotYetValid), "and by more");

    let identity = scene.token(&token, 1_541_495_772).await.unwrap().unwrap();
    assert_eq!((&*identity.subject, &*identity.issuer), ("testing.hubat.net", "testing.hubat.net"), "the caller is the HAT");
    assert_eq!((identity.scheme, &*identity.scopes), ("hat", &[Box::from("application")][..]));
    assert_eq!(identity.claims.member("applicationVersion").and_then(Claim::as_text), Some("1.2.7"), "claims are kept");
    let subject = identity.claims.member("sub").and_then(Claim::as_text).unwrap();
    assert!(subject.starts_with("1-OKQvmStg") && subject.contains('/') && !subject.contains('\\'), "{subject}");
    let raw = String::from_utf8(base64url::decode(GENUINE[1]).unwrap()).unwrap();
    assert!(raw.contains("\\/"), "the signature is over the bytes as they came, in which `/` is escaped");
    assert_eq!(identity.expires, Some(Timestamp(1_541_754_973)));
}

#[tokio::test]
async fn the_genuine_token_proves_nothing_once_a_byte_of_it_differs() {
    let keys = parse_pem(GENUINE_KEY.as_bytes()).unwrap().keys;
    let scene = Scene::new("kind: application, application: hatappstaging", keys, ClientSettings::default());
    assert_eq!(scene.doubt(&GENUINE.join("."), 1_541_495_800).await, None, "as it is; its header is known from here on");
    let [header, payload, signature] = GENUINE;
    let text = String::from_utf8(base64url::decode(payload).unwrap()).unwrap();
    for (from, to, shows) in [("1541495772", "1541495773", "made a second later"), ("\\/", "/", "the same claims, written anew")] {
        let altered = base64url::encode(text.replace(from, to).as_bytes());
        assert_ne!(altered, payload, "{shows}");
        let doubt = scene.doubt(&format!("{header}.{altered}.{signature}"), 1_541_495_800).await;
        assert_eq!(doubt, Some(Doubt::SignatureInvalid), "{shows}");
    }
    // V-HAT-2 by its facts; its own key was never published, and V-HAT-1's must not verify it.
    let claims = json!({
        "iss": "test.hubofallthings.net", "resource": "https://twitter-plug.hubofallthings.com/authenticate/hat", "accessScope": "validate",
        "iat": 1_496_663_221, "exp": 1_496_922_421, "sub": base64url::encode(br#"{"providerID":"credentials","providerKey":"test"}"#), "jti": "x",
    });
    let other = signed(&key(), &claims, &json!({}));
    let service = "kind: validate, resource: https://twitter-plug.hubofallthings.com/authenticate/hat";
    let keys = parse_pem(GENUINE_KEY.as_bytes()).unwrap().keys;
    let scene = Scene::new(service, keys, ClientSettings::default());
    assert_eq!(scene.doubt(&other, 1_496_663_221).await, Some(Doubt::SignatureInvalid), "another HAT's key");
    assert_eq!(scene.store.looks.load(Ordering::SeqCst), 1, "the key may have changed: it was looked for again, once");
    assert_eq!(scene.doubt(&GENUINE.join("."), 1_541_495_772).await, Some(Doubt::ClaimMissing), "another kind of token");

    let own = key();
    let scene = Scene::of(service, &own);
    let token = signed(&own, &claims, &json!({}));
    let rows = [
        (1_496_663_221, None, "when it was made"),
        (1_496_922_420, None, "the last second of its three days"),
        (1_496_922_421, Some(true), "`exp` itself is too late (RFC 7519 section 4.1.4)"),
    ];
    for (now, expected, shows) in rows {
        let doubt = scene.doubt(&token, now).await;
        assert_eq!(doubt.map(|doubt| matches!(doubt, Doubt::Expired(Some(_)))), expected, "{shows}");
    }
}

#[tokio::test]
async fn what_a_token_may_say() {
    let (key, other) = (key(), key());
    let app = Scene::of("kind: application, application: app", &key);
    let elliptic = SigningKey::generate(Algorithm::Es256).unwrap();
    let rows = [
        (signed(&key, &of_app(), &json!({})), None, "a good one"),
        (signed(&other, &of_app(), &json!({})), Some(Doubt::SignatureInvalid), "made with another key"),
        (signed(&elliptic, &of_app(), &json!({})), Some(Doubt::AlgorithmRefused), "RS256 only (A1)"),
        (key.sign_compact(&[("typ", "logout+jwt")], &of_app()).unwrap(), Some(Doubt::AlgorithmRefused), "another type of token"),
        (
            key.sign_compact(&[("jku", "https://evil.example/x")], &of_app()).unwrap(),
            None,
            "where it says that its key is, nobody looks (A12)",
        ),
        (key.sign_compact(&[("kid", "../../x")], &of_app()).unwrap(), None, "nor at what it is called"),
        (signed(&key, &of_app(), &json!({ "iss": "evil.example" })), Some(Doubt::IssuerMismatch), "a HAT of nobody's"),
        (signed(&key, &of_app(), &json!({ "iss": "evilhubat.net" })), Some(Doubt::IssuerMismatch), "whole labels"),
        (signed(&key, &of_app(), &json!({ "iss": "hubat.net.evil.example" })), Some(Doubt::IssuerMismatch), "at the end"),
        (signed(&key, &of_app(), &json!({ "iss": "https://ada.hubat.net" })), Some(Doubt::IssuerMismatch), "a scheme (A13)"),
        (signed(&key, &of_app(), &json!({ "iss": "x@ada.hubat.net" })), Some(Doubt::IssuerMismatch), "a user (A13)"),
        (signed(&key, &of_app(), &json!({ "iss": "ada.hubat.net/x" })), Some(Doubt::IssuerMismatch), "a path"),
        (signed(&key, &of_app(), &json!({ "iss": "ADA.hubat.net" })), Some(Doubt::IssuerMismatch), "another spelling of a name"),
        (signed(&key, &of_app(), &json!({ "iss": "169.254.169.254" })), Some(Doubt::IssuerMismatch), "an address"),
        (signed(&key, &of_app(), &json!({ "iss": "ada.hubat.net:9000" })), None, "a port, as in the vendor's own development"),
        (signed(&key, &of_app(), &json!({ "iss": "absent" })), Some(Doubt::ClaimMissing), "no HAT at all"),
        (signed(&key, &of_app(), &json!({ "iss": [HAT] })), Some(Doubt::ClaimsMalformed), "a list of them"),
        (signed(&key, &of_app(), &json!({ "exp": "absent" })), Some(Doubt::ClaimMissing), "no end"),
        (signed(&key, &of_app(), &json!({ "iat": "absent" })), Some(Doubt::ClaimMissing), "no beginning, from which it idles"),
        (
            signed(&key, &of_app(), &json!({ "iat": NOW.to_string() })),
            Some(Doubt::ClaimsMalformed),
            "a beginning as text is none (CVE-2026-25537)",
        ),
        (signed(&key, &of_app(), &json!({ "iat": NOW + 60 })), None, "a clock that is ahead by as much as is forgiven"),
        (signed(&key, &of_app(), &json!({ "iat": NOW + 61 })), Some(Doubt::NotYetValid), "and by more"),
        (signed(&key, &of_app(), &json!({ "exp": NOW - 1 })), Some(Doubt::ClaimsMalformed), "an end before the beginning"),
        (signed(&key, &of_app(), &json!({ "sub": "absent" })), None, "whom the HAT calls its user is nothing to us"),
        (signed(&key, &of_app(), &json!({ "application": "other" })), Some(Doubt::AudienceMismatch), "another application"),
        (signed(&key, &of_owner(), &json!({})), Some(Doubt::ClaimMissing), "an owner's"),
        (signed(&key, &of_app(), &json!({ "application_token": "x" })), Some(Doubt::ClaimsMalformed), "what only we write"),
        ("opaque".to_owned(), Some(Doubt::Malformed), "no token of the kind"),
        (format!("{}.", signed(&key, &of_app(), &json!({}))), Some(Doubt::Malformed), "a fourth part"),
        (format!("{}.{}", "a".repeat(9_000), "b.c"), Some(Doubt::Malformed), "longer than any"),
    ];
    for (token, expected, shows) in rows {
        assert_eq!(app.doubt(&token, NOW).await, expected, "{shows}");
    }
    let none = format!("{}.{}.", base64url::encode(br#"{"typ":"JWT","alg":"none"}"#), base64url::encode(of_app().to_string().as_bytes()));
    assert_eq!(app.doubt(&none, NOW).await, Some(Doubt::Malformed), "unsigned (A1)");

    let owner = Scene::of("kind: owner", &key);
    let identity = owner.token(&signed(&key, &of_owner(), &json!({})), NOW).await.unwrap().unwrap();
    assert_eq!((&*identity.subject, &*identity.scopes), (HAT, &[Box::from("owner")][..]), "the owner is the HAT");
    assert_eq!(owner.doubt(&signed(&key, &of_app(), &json!({})), NOW).await, Some(Doubt::ClaimMissing), "an application is no owner");
    assert_eq!(owner.verifier.cache_generation(), Some(3), "verdicts are remembered as long as the keys stand");
}

#[tokio::test]
async fn every_place_is_looked_at_and_two_that_disagree_are_refused() {
    let key = key();
    let scene = Scene::of("kind: application, application: app", &key);
    let (one, two) = (signed(&key, &of_app(), &json!({})), signed(&key, &of_app(), &json!({ "iat": NOW - 1 })));
    let form = || ("content-type", "application/x-www-form-urlencoded".to_owned());
    let json = || ("content-type", "application/json; charset=utf-8".to_owned());
    let xml = || ("content-type", "text/xml; charset=utf-8".to_owned());
    let head = |token: &str| ("x-auth-token", token.to_owned());
    let query = |token: &str| Some(format!("a=b&X-Auth-Token={token}"));
    let (conflict, malformed) = (Err(Doubt::Conflict), Err(Doubt::Malformed));
    let rows: Vec<(Sent, Result<bool, Doubt>, &str)> = vec![
        (Sent::default(), Ok(false), "nothing"),
        (Sent { query: query(&one), ..Sent::default() }, Ok(true), "the query, which a HAT looks at first"),
        (Sent::with(&one), Ok(true), "the header"),
        (Sent { fields: vec![form()], body: format!("X-Auth-Token={one}&c=d"), ..Sent::default() }, Ok(true), "a form"),
        (Sent { fields: vec![json()], body: format!(r#"{{"X-Auth-Token":"{one}"}}"#), ..Sent::default() }, Ok(true), "a JSON body"),
        (
            Sent { fields: vec![xml()], body: format!("<a><X-Auth-Token>{one}</X-Auth-Token></a>"), ..Sent::default() },
            Ok(true),
            "an XML body",
        ),
        (
            Sent { fields: vec![head(&one), xml()], body: format!("<a><X-Auth-Token>{two}</X-Auth-Token></a>"), ..Sent::default() },
            conflict.clone(),
            "another in an XML body, where a HAT looks last",
        ),
        (
            Sent { fields: vec![xml()], body: format!("<a><x-auth-token>{one}</x-auth-token></a>"), ..Sent::default() },
            Ok(false),
            "in its own case",
        ),
        (Sent { fields: vec![head(&one), xml()], body: "<a>".to_owned(), ..Sent::default() }, malformed.clone(), "XML that is none"),
        (Sent { query: query(&one), fields: vec![head(&one)], ..Sent::default() }, Ok(true), "two that agree are one"),
        (
            Sent { query: query(&two), fields: vec![head(&one)], ..Sent::default() },
            conflict.clone(),
            "another in the query passes nobody by",
        ),
        (Sent { fields: vec![head(&one), head(&one)], ..Sent::default() }, conflict.clone(), "two fields"),
        (
            Sent { fields: vec![head(&one), json()], body: format!(r#"{{"X-Auth-Token":"{two}"}}"#), ..Sent::default() },
            conflict.clone(),
            "another in the body",
        ),
        (
            Sent { fields: vec![json()], body: format!(r#"{{"X-Auth-Token":"{one}","X-Auth-Token":"{one}"}}"#), ..Sent::default() },
            conflict,
            "twice in the body",
        ),
        (Sent { query: Some(format!("x-auth-token={one}")), ..Sent::default() }, Ok(false), "in the query the name is exact"),
        (
            Sent { fields: vec![json()], body: format!(r#"{{"x":{{"X-Auth-Token":"{one}"}}}}"#), ..Sent::default() },
            Ok(false),
            "nor is it nested",
        ),
        (Sent { fields: vec![json()], body: r#"{"X-Auth-Token":7}"#.to_owned(), ..Sent::default() }, malformed.clone(), "a number"),
        (Sent { fields: vec![json()], body: "{".to_owned(), ..Sent::default() }, malformed.clone(), "a body that is none"),
        (
            Sent { fields: vec![head(&one), json(), ("content-encoding", "gzip".to_owned())], ..Sent::default() },
            malformed.clone(),
            "a body that is not read as sent",
        ),
        (Sent { fields: vec![head("")], ..Sent::default() }, malformed, "an empty field is malformed, not absent"),
        (Sent { fields: vec![("cookie", format!("X-Auth-Token={one}"))], ..Sent::default() }, Ok(false), "a cookie is no source"),
        (
            Sent { fields: vec![("content-type", "text/plain".to_owned())], body: format!("X-Auth-Token={one}"), ..Sent::default() },
            Ok(false),
            "a form that does not say it is one",
        ),
    ];
    for (sent, expected, shows) in rows {
        let outcome = match scene.judge(&sent, NOW).await {
            Ok(found) => Ok(found.is_some()),
            Err(Refusal::Doubted(doubt)) => Err(doubt),
            Err(refusal) => panic!("{shows}: {refusal:?}"),
        };
        assert_eq!(outcome, expected, "{shows}");
    }
    let both = Sent { query: query(&one), fields: vec![head(&one)], ..Sent::default() };
    let expected = [Place::Query("X-Auth-Token".into()), Place::Header(HeaderName::from_static("x-auth-token"))];
    let places = both.viewed(|view| match scene.verifier.find(view, &Facts::default()) {
        Step::Done(Found::Present(credential)) => credential.places,
        other => panic!("{other:?}"),
    });
    assert_eq!(places, expected, "each place is named, to be taken off");
    assert!(both.viewed(|view| scene.verifier.glance(view).is_some()), "what needs no body is remembered by its head");
    let bodied = Sent { fields: vec![head(&one), json()], ..Sent::default() };
    assert!(bodied.viewed(|view| scene.verifier.glance(view).is_none()), "a body could disagree");
    let narrow = Scene::of("kind: application, application: app, from: [query, header]", &key);
    assert!(narrow.judge(&bodied, NOW).await.unwrap().is_some(), "where bodies are not looked at none is asked for");
}

#[tokio::test]
async fn a_token_for_one_request_names_what_is_spent() {
    let key = key();
    let scene = Scene::of("kind: application, application: app, field: token, from: query, single_use: true", &key);
    let sent = |change: &Json| Sent { query: Some(format!("token={}", signed(&key, &of_app(), change))), ..Sent::default() };
    let identity = scene.judge(&sent(&json!({})), NOW).await.unwrap().unwrap();
    let again = scene.judge(&sent(&json!({ "iat": NOW - 1 })), NOW).await.unwrap().unwrap();
    let (burn, other) = (identity.burn.clone().unwrap(), again.burn.clone().unwrap());
    assert_eq!(burn.key, other.key, "by its name, which a token that was slid on keeps");
    assert_eq!((burn.made, Some(burn.until)), (Timestamp(NOW - 60), identity.expires));
    let elsewhere = scene.judge(&sent(&json!({ "iss": "bob.hubat.net" })), NOW).await.unwrap().unwrap();
    assert_ne!(elsewhere.burn.clone().unwrap().key, burn.key, "at its own HAT");
    assert_eq!(scene.judge(&sent(&json!({ "jti": "absent" })), NOW).await.unwrap_err(), Doubt::ClaimMissing.into(), "one without a name");
    assert_eq!(scene.verifier.cache_generation(), None, "and no verdict is remembered");
}

/// HATs over TLS that give tokens of the application `plug`, signed with `key`, to whom `grant` says.
fn hats(key: &Arc<SigningKey>, grant: impl Fn(&str) -> (u16, Json) + Send + 'static) -> Loopback {
    let key = Arc::clone(key);
    Loopback::start_tls(&["ada.hubat.net", "bob.hubat.net"], move |asked: &Asked| {
        assert_eq!(asked.target(), "/api/v2.6/applications/plug/access-token");
        assert_eq!(asked.field("accept"), Some("application/json"), "or 401 would come as 303");
        let host = asked.field("host").unwrap().to_owned();
        let (status, change) = grant(asked.field("x-auth-token").unwrap());
        let claims = json!({ "iss": host, "application": "plug", "applicationVersion": "1", "iat": NOW, "exp": NOW + 1_000 });
        let body = json!({ "accessToken": signed(&key, &claims, &change), "userId": "u" });
        Told::Answer(status, vec![("content-type".into(), "application/json".into())], body.to_string().into())
    })
}

fn exchanging(key: &Arc<SigningKey>, server: &Loopback) -> Scene {
    let resolve = ["ada.hubat.net", "bob.hubat.net"].map(|name| (name.to_owned(), server.address)).into();
    let client = ClientSettings { resolve, ca: Some(server.ca.clone().into_bytes()), ..ClientSettings::default() };
    let keys = vec![Arc::new(key.verifying_key().unwrap())];
    Scene::new("kind: application, application: app, application_token: plug", keys, client)
}

fn exchanged(identity: &Identity) -> String {
    identity.claims.member("application_token").and_then(Claim::as_text).unwrap().to_owned()
}

#[tokio::test]
async fn the_token_of_another_application_is_fetched_once_and_kept_until_it_ends() {
    let key = Arc::new(key());
    let server = hats(&key, |_| (200, json!({})));
    let scene = exchanging(&key, &server);
    let own = |change: &Json| signed(&key, &of_app(), change);
    let first = scene.token(&own(&json!({})), NOW).await.unwrap().unwrap();
    assert_eq!((&*first.subject, first.expires), (HAT, Some(Timestamp(NOW + 259_201))), "the caller is who it was, for as long as it was");
    assert!(exchanged(&first).split('.').count() == 3);
    let again = scene.token(&own(&json!({})), NOW + 1).await.unwrap().unwrap();
    let slid = scene.token(&own(&json!({ "iat": NOW + 1 })), NOW + 2).await.unwrap().unwrap();
    assert_eq!((exchanged(&again), exchanged(&slid)), (exchanged(&first), exchanged(&first)));
    assert_eq!(server.count(), 1, "also for the token that a HAT has slid on");
    scene.token(&own(&json!({ "iss": "bob.hubat.net" })), NOW).await.unwrap().unwrap();
    assert_eq!(server.count(), 2, "what one HAT gave is never another's");
    scene.token(&own(&json!({ "applicationVersion": "2" })), NOW).await.unwrap().unwrap();
    assert_eq!(server.count(), 3, "nor another version's of the caller");
    scene.token(&own(&json!({})), NOW + 939).await.unwrap().unwrap();
    assert_eq!(server.count(), 3, "kept until a minute before its end");
    scene.token(&own(&json!({})), NOW + 940).await.unwrap().unwrap();
    assert_eq!(server.count(), 4, "and asked for anew then");
    assert_eq!(scene.verifier.cache_generation(), None, "a verdict would outlive what was exchanged");
}

#[tokio::test]
async fn what_a_hat_gives_is_proven_before_anybody_sees_it() {
    type Expected = Result<(), Refusal>;
    let unclear: fn() -> Expected = || Err(Outage::Other.refusal());
    let rows: [(u16, Json, Expected, &str); 11] = [
        (200, json!({}), Ok(()), "a good one"),
        (200, json!({ "application": "app" }), unclear(), "of another application"),
        (200, json!({ "accessScope": "owner" }), unclear(), "of the owner, with all rights"),
        (200, json!({ "iss": "bob.hubat.net" }), unclear(), "of another HAT"),
        (200, json!({ "exp": NOW }), unclear(), "one that has ended"),
        (200, json!({ "exp": "absent" }), unclear(), "one that never ends"),
        (401, json!({}), Err(Doubt::Revoked.into()), "the HAT takes the caller's own token for none"),
        (403, json!({}), Err(Refusal::PolicyDenied), "the caller may not have it"),
        (404, json!({}), Err(Refusal::PolicyDenied), "no such application"),
        (500, json!({}), unclear(), "an error"),
        (303, json!({}), unclear(), "a redirect is not followed"),
    ];
    let key = Arc::new(key());
    for (status, change, expected, shows) in rows {
        let server = hats(&key, move |_| (status, change.clone()));
        let scene = exchanging(&key, &server);
        let own = signed(&key, &of_app(), &json!({}));
        assert_eq!(scene.token(&own, NOW).await.map(|_| ()), expected, "{shows}");
        assert_eq!(scene.token(&own, NOW).await.map(|_| ()), expected, "{shows}, again");
        let asked = if matches!(status, 401 | 403 | 404) || expected.is_ok() { 1 } else { server.count() };
        assert_eq!(server.count(), asked, "{shows}: a refusal is remembered");
    }
    let forger = Arc::new(self::key());
    let server = hats(&forger, |_| (200, json!({})));
    let scene = exchanging(&key, &server);
    let own = signed(&key, &of_app(), &json!({}));
    assert_eq!(scene.token(&own, NOW).await.map(|_| ()), unclear(), "signed by somebody else");
    let expired = scene.token(&own, NOW + 259_201).await;
    assert!(matches!(expired, Err(Refusal::Doubted(Doubt::Expired(Some(_))))), "{expired:?}");
    assert_eq!(server.count(), 1, "nobody is asked with a token that is not good");
}

#[test]
fn settings_that_would_take_too_much_are_faults() {
    let rows = [
        ("kind: application", "needs `application`"),
        ("kind: application, application: a b", "letters, digits"),
        ("kind: application, application: app, minimum_version: 1.x", "four numbers"),
        ("kind: application, application: app, resource: x", "says nothing about tokens of kind `application`"),
        ("kind: validate", "needs `resource`"),
        ("kind: validate, resource: x, application: app", "says nothing about tokens of kind `validate`"),
        ("kind: validate, resource: x, application_token: plug", "no other application's token"),
        ("kind: owner, minimum_version: '1'", "says nothing about tokens of kind `owner`"),
        ("kind: owner, application_token: ../x", "letters, digits"),
        ("kind: owner, from: [query, query]", "named twice"),
        ("kind: owner, issuers: [net]", "top-level domain"),
        ("kind: owner, issuers: ['*.hubat.net']", "canonical form"),
        ("kind: owner, issuers: []", "issuers"),
        ("kind: any", "must be one of"),
        ("issuers: hubat.net", "`kind`"),
    ];
    for (settings, expected) in rows {
        let issuers = if settings.contains("issuers") { "" } else { "issuers: hubat.net, " };
        let (plan, says) = planned(&format!("{{ keys: hats, {issuers}{settings} }}"));
        assert!(plan.is_none() && says.iter().any(|says| says.contains(expected)), "{settings}: {says:?}");
    }
    let (plan, says) = planned("{ keys: other, issuers: hubat.net, kind: owner }");
    assert!(plan.is_none() && says.iter().any(|says| says.contains("other")), "{says:?}");
}
