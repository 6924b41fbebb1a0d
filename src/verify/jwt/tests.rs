//! The `jwt` scheme: what a conf may say, what its verifier finds and asks for, and what it lets lapse.
#![allow(clippy::type_complexity, reason = "rows of tables are written out")]

use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value as Json, json};

use crate::domain::{
    Answer, Claim, Credential, DeskId, Doubt, Facts, Found, Need, Outage, Place, Question, Refusal, RequestView, Seconds, Step, Target,
    Timestamp, Value,
};
use crate::jose::algorithm::Algorithm;
use crate::jose::base64url::encode;
use crate::jose::key::VerifyingKey;
use crate::jose::mint::SigningKey;
use crate::settings::{Checking, Entry, Faults, Level, Material, Names, Node, NodeValue, Span};
use crate::verify::contract::{Desk, SchemePlan, Verifier};
use crate::verify::jwt::judge::{Judge, Store};
use crate::verify::jwt::settings::{Demand, IssuerName, JwtPlan, prove};
use crate::verify::keys::contract::{KeyClass, KeyHint, KeySearch, SignatureKeys};

const NOW: Timestamp = Timestamp(1_800_000_000);

fn node(value: &Json) -> Node {
    let span = Span { file: "test".into(), line: 1, column: 1 };
    let inner = match value {
        Json::Null => NodeValue::Null,
        Json::Bool(flag) => NodeValue::Bool(*flag),
        Json::Number(number) => NodeValue::Int(number.as_i64().unwrap()),
        Json::String(text) => NodeValue::Text(text.clone()),
        Json::Array(items) => NodeValue::List(items.iter().map(node).collect()),
        Json::Object(members) => {
            NodeValue::Map(members.iter().map(|(key, value)| Entry { key: key.clone(), span: span.clone(), node: node(value) }).collect())
        }
    };
    Node { span, value: inner }
}

/// The plan, or the first fault; and the warnings.
fn plan(settings: &Json) -> (Result<JwtPlan, String>, Vec<String>) {
    let mut names = Names::default();
    for name in ["a", "b"] {
        names.define("keys", name);
    }
    let (material, mut faults) = (Material::default(), Faults::default());
    let mut checking = Checking { faults: &mut faults, material: &material, names: &names, allow_inline_secrets: false };
    let plan = prove(&node(settings), &mut checking);
    let said = |level| faults.sorted().into_iter().filter(|fault| fault.level == level).map(|fault| fault.says).collect::<Vec<_>>();
    assert_eq!(plan.is_some(), said(Level::Error).is_empty(), "a plan exactly when there is no fault: {settings}");
    (plan.ok_or_else(|| said(Level::Error).remove(0)), said(Level::Warning))
}

#[test]
fn settings_are_proven_or_say_what_would_be_right() {
    let cases = [
        (json!({ "issuer": "https://id.example", "audience": "app" }), None, "the least"),
        (json!({ "issuer": "http://127.0.0.1:8080/realm", "audience": "app" }), None, "plain http on loopback"),
        (json!({ "issuer": "http://[::1]:8080", "audience": "app" }), None, "and on the other loopback"),
        (json!({ "issuer": "id", "audience": "app", "keys": "a" }), None, "any issuer, with keys of its own"),
        (json!({ "issuer": "*.hat.example", "audience": "app", "keys": "a" }), None, "a pattern of issuers"),
        (json!({ "issuer": ["x", "y"], "audience": ["app", "api"], "keys": { "x": "a", "y": "b" } }), None, "keys by issuer"),
        (json!({ "issuer": "x", "audience": "none", "keys": "a", "require": { "client_id": "app" } }), None, "bound otherwise"),
        (json!({ "issuer": "x", "audience": ["none"], "keys": "a" }), None, "an audience called none"),
        (json!({ "issuer": "x", "audience": "app", "keys": "a", "algorithms": ["HS256"] }), None, "HMAC with keys of its own"),
        (json!({ "audience": "app" }), Some("needs `issuer`"), "no issuer"),
        (json!({ "issuer": [], "audience": "app" }), Some("empty list"), "nobody"),
        (json!({ "issuer": "https://id.example" }), Some("needs `audience`"), "no audience"),
        (json!({ "issuer": "x", "audience": "none", "keys": "a" }), Some("made for anybody"), "bound to nothing"),
        (
            json!({ "issuer": "x", "audience": "none", "keys": "a", "require": { "c": "present" } }),
            Some("made for anybody"),
            "any value will do",
        ),
        (
            json!({ "issuer": "x", "audience": "none", "keys": "a", "require": { "c": "absent" } }),
            Some("made for anybody"),
            "no value will do",
        ),
        (json!({ "issuer": "http://id.example", "audience": "app" }), Some("https URL"), "plain http"),
        (json!({ "issuer": "http://localhost.evil.example", "audience": "app" }), Some("https URL"), "nearly loopback"),
        (json!({ "issuer": "https://id.example?x=1", "audience": "app" }), Some("https URL"), "a query"),
        (json!({ "issuer": "https://u:p@id.example", "audience": "app" }), Some("https URL"), "a password"),
        (json!({ "issuer": "id.example", "audience": "app" }), Some("https URL"), "no URL"),
        (json!({ "issuer": "*.hat.example", "audience": "app" }), Some("cannot be discovered"), "a pattern without keys"),
        (json!({ "issuer": "*.example", "audience": "app", "keys": "a" }), Some("no pattern"), "a whole top-level domain"),
        (json!({ "issuer": "*", "audience": "app", "keys": "a" }), Some("no pattern"), "everybody"),
        (json!({ "issuer": "*hat.example", "audience": "app", "keys": "a" }), Some("no pattern"), "no dot"),
        (json!({ "issuer": "*.Hat.example", "audience": "app", "keys": "a" }), Some("no pattern"), "a capital"),
        (json!({ "issuer": "https://id.example", "audience": "app", "algorithms": ["HS256"] }), Some("pinned keys"), "HMAC by discovery"),
        (json!({ "issuer": "x", "audience": "app", "keys": "a", "algorithms": ["none"] }), Some("must be one of"), "alg none"),
        (json!({ "issuer": "x", "audience": "app", "keys": "a", "algorithms": [] }), Some("empty list"), "no algorithm"),
        (json!({ "issuer": "x", "audience": "app", "keys": "c" }), Some("defines no `c`"), "no such store"),
        (
            json!({ "issuer": ["x", "y"], "audience": "app", "keys": { "x": "a" } }),
            Some("no key store for issuer `y`"),
            "an issuer without keys",
        ),
        (json!({ "issuer": "x", "audience": "app", "keys": { "x": "a", "y": "b" } }), Some("does not name `y`"), "keys without an issuer"),
        (json!({ "issuer": ["x", "x"], "audience": "app", "keys": "a" }), Some("named already"), "an issuer twice"),
        (json!({ "issuer": "x", "audience": "app", "keys": "a", "leeway": "301s" }), Some("between 0s and 300s"), "leeway without end"),
        (
            json!({ "issuer": "x", "audience": "app", "keys": "a", "require": { "a..b": "x" } }),
            Some("no dotted path"),
            "a path with a hole",
        ),
        (json!({ "issuer": "x", "audience": "app", "keys": "a", "subject_from": ".sub" }), Some("dotted path"), "a subject nowhere"),
        (json!({ "issuer": "x", "audience": "app", "keys": "a", "from": [{ "header": "authorization" }] }), Some("`bearer`"), "a place"),
        (json!({ "issuer": "x", "audience": "app", "keys": "a", "audiences": "y" }), Some("did you mean `audience`"), "an unknown key"),
    ];
    for (settings, fault, shows) in cases {
        match (plan(&settings).0, fault) {
            (Ok(_), None) => {}
            (Err(says), Some(part)) => assert!(says.contains(part), "{shows}: {says}"),
            (Ok(_), Some(part)) => panic!("{shows}: no fault, expected {part}"),
            (Err(says), None) => panic!("{shows}: {says}"),
        }
    }
}

#[test]
fn a_plan_names_its_stores_and_its_defaults() {
    let (discovered, warnings) = plan(&json!({ "issuer": ["https://x.example", "https://y.example"], "audience": "app" }));
    let discovered = discovered.unwrap();
    let stores: Vec<String> = discovered.key_stores().into_iter().map(|need| need.store).collect();
    assert_eq!(stores, ["discovery:https://x.example", "discovery:https://y.example"], "one store for each issuer");
    assert!(discovered.key_stores().iter().all(|need| need.class == KeyClass::Signature), "for signatures");
    assert_eq!(warnings, Vec::<String>::new(), "kept apart, so nothing to warn of");
    assert_eq!(discovered.looks_at(), [Place::Header(http::header::AUTHORIZATION)], "the bearer, unless told");
    let rules = discovered.rules();
    assert_eq!(rules.lifetime.leeway, Seconds(30), "leeway");
    assert!(rules.algorithms.iter().all(|algorithm| algorithm.family() != crate::jose::algorithm::Family::Hmac), "no HMAC unless written");
    assert_eq!(rules.algorithms.len(), 10, "every other algorithm");
    assert!(!rules.allow_unbound_cnf && rules.kinds.is_none(), "nothing loosened");

    let shared = plan(&json!({ "issuer": ["x", "y"], "audience": "app", "keys": "a" })).0.unwrap();
    assert_eq!(shared.key_stores().iter().map(|need| need.shared).collect::<Vec<_>>(), [true], "one store for both, which is told");
    assert!(discovered.key_stores().iter().all(|need| !need.shared), "and here it is not");
    let names = |text: &str| IssuerName::read(text);
    for (one, other, meet, shows) in [
        ("https://a", "https://a", true, "the same"),
        ("https://a", "https://a/", false, "another text"),
        ("*.x.example", "a.x.example", true, "a pattern and what it stands for"),
        ("*.x.example", "a.b.x.example", false, "one label only"),
        ("*.x.example", "*.x.example", true, "the same pattern"),
        ("*.x.example", "*.y.x.example", false, "two patterns of different depth"),
    ] {
        assert_eq!((names(one).meets(&names(other)), names(other).meets(&names(one))), (meet, meet), "{shows}: {one} {other}");
        assert_eq!(names(one).written(), one);
    }

    let written = plan(&json!({
        "issuer": "x", "audience": "app", "keys": "a", "require": { "n": 1, "f": true, "l": ["a", "b"], "t": "x", "p": "present", "q": "absent" },
        "typ": ["application/AT+jwt"], "from": [{ "cookie": "at" }],
    }));
    let written = written.0.unwrap();
    let demand = |path: &str| &written.rules().require.iter().find(|(name, _)| &**name == path).unwrap().1;
    assert_eq!(*demand("n"), Demand::OneOf([Value::Int(1)].into()));
    assert_eq!(*demand("f"), Demand::OneOf([Value::Bool(true)].into()));
    assert_eq!(*demand("l"), Demand::OneOf([Value::from("a"), Value::from("b")].into()));
    assert_eq!(*demand("t"), Demand::OneOf([Value::from("x")].into()));
    assert_eq!((demand("p"), demand("q")), (&Demand::Present, &Demand::Absent));
    assert_eq!(written.rules().kinds.as_deref(), Some(&["at+jwt".into()][..]), "typ in the form it is compared in");
}

#[test]
fn a_pattern_is_one_label_and_nothing_else() {
    let pattern = IssuerName::Below(".hat.example".into());
    let cases = [
        ("ada.hat.example", true),
        ("a-1.hat.example", true),
        ("hat.example", false),
        (".hat.example", false),
        ("a.b.hat.example", false),
        ("Ada.hat.example", false),
        ("-a.hat.example", false),
        ("a-.hat.example", false),
        ("ada.hat.example.", false),
        ("ada.hat.example:443", false),
        ("evil/x.hat.example", false),
        ("evil@x.hat.example", false),
        ("evil#.hat.example", false),
        ("ada.hat.example.evil", false),
        ("https://ada.hat.example", false),
        ("ädä.hat.example", false),
    ];
    for (issuer, expected) in cases {
        assert_eq!(pattern.fits(issuer), expected, "{issuer}");
    }
    assert!(!pattern.fits(&format!("{}.hat.example", "a".repeat(64))), "a label longer than any");
}

/// A store that answers by script.
struct Script {
    first: fn() -> KeySearch,
    key: Arc<VerifyingKey>,
    generation: u64,
}

#[async_trait]
impl Desk for Script {
    async fn answer(&self, _about: &str, _now: Timestamp) -> Result<Answer, Outage> {
        Err(Outage::Keys)
    }
}

#[async_trait]
impl SignatureKeys for Script {
    fn find(&self, _hint: &KeyHint<'_>, _now: Timestamp) -> KeySearch {
        match (self.first)() {
            KeySearch::Keys(_) => KeySearch::Keys(vec![Arc::clone(&self.key)]),
            other => other,
        }
    }
    fn generation(&self) -> u64 {
        self.generation
    }
    fn ready(&self, _now: Timestamp) -> bool {
        true
    }
    async fn run(&self) {}
    fn desk(self: Arc<Self>) -> Arc<dyn Desk> {
        self
    }
}

fn judge(settings: &Json, key: &SigningKey, first: fn() -> KeySearch) -> Judge {
    let plan = plan(settings).0.unwrap();
    let store = |generation| {
        let script = Script { first, key: Arc::new(key.verifying_key().unwrap()), generation };
        Store { keys: Arc::new(script), desk: DeskId(7) }
    };
    let stores: Vec<Store> = (0..plan.key_stores().len()).map(|index| store(10 + index as u64)).collect();
    Judge::new("user".into(), Arc::clone(plan.rules()), stores.into())
}

fn found(judge: &Judge, authorization: Option<&str>) -> String {
    let mut headers = HeaderMap::new();
    if let Some(value) = authorization {
        headers.insert("authorization", HeaderValue::from_str(value).unwrap());
    }
    with_request(&headers, |request| match judge.find(request, &Facts::default()) {
        Step::Done(Found::Present(credential)) => format!("present {:?}", credential.places),
        Step::Done(other) => format!("{other:?}"),
        other => panic!("{other:?}"),
    })
}

fn with_request<T>(headers: &HeaderMap, act: impl FnOnce(&RequestView<'_>) -> T) -> T {
    let target = Target { path: "/".into(), query: None };
    act(&RequestView {
        method: "GET",
        raw_target: "/",
        target: &target,
        host: "api.example",
        headers,
        client: [127, 0, 0, 1].into(),
        secure: true,
        request_id: "test",
    })
}

fn settings() -> Json {
    json!({ "issuer": "https://id.example", "audience": "app", "keys": "a", "leeway": "10s" })
}

fn claims() -> Json {
    json!({ "iss": "https://id.example", "aud": "app", "sub": "ada", "iat": NOW.0, "exp": NOW.0 + 100, "scope": "read write" })
}

#[test]
fn a_bearer_belongs_to_the_one_whose_shape_and_issuer_it_has() {
    let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
    let judge = judge(&settings(), &key, || KeySearch::Never);
    let token = |claims: Json| format!("Bearer {}", key.sign_compact(&[], &claims).unwrap());
    let ours = token(claims());
    let theirs = token(json!({ "iss": "https://other.example" }));
    let nobodys = token(json!({ "sub": "ada" }));
    let odd = token(json!({ "iss": ["https://id.example"] }));
    let unsigned = |payload: &str| format!("Bearer e30.{}.c2ln", encode(payload.as_bytes()));
    let twofold = unsigned(r#"{"iss":"https://id.example","sub":"ada","sub":"bob"}"#);
    let their_twofold = unsigned(r#"{"iss":"https://other.example","sub":"ada","sub":"bob"}"#);
    let cases = [
        (None, "Absent", "nothing"),
        (Some("Basic dXNlcjpwYXNz"), "Absent", "another scheme"),
        (Some(ours.as_str()), "present [Header(\"authorization\")]", "ours"),
        (Some(theirs.as_str()), "Foreign(IssuerMismatch)", "of another issuer"),
        (Some(nobodys.as_str()), "Foreign(ClaimMissing)", "of no issuer"),
        (Some(odd.as_str()), "Foreign(Malformed)", "of an odd issuer"),
        (Some(twofold.as_str()), "present [Header(\"authorization\")]", "ours, with a second reading: ours to refuse"),
        (Some(their_twofold.as_str()), "Foreign(IssuerMismatch)", "theirs, with a second reading: theirs to refuse"),
        (Some("Bearer opaque"), "Foreign(Malformed)", "no token of this kind"),
        (Some("Bearer a.b.c"), "Foreign(Malformed)", "three parts of nothing"),
        (Some("Bearer"), "Unreadable(Malformed)", "no token at all"),
    ];
    for (authorization, expected, shows) in cases {
        assert_eq!(found(&judge, authorization), expected, "{shows}");
    }
}

#[test]
fn a_missing_key_is_asked_for_once_and_a_missing_set_is_an_outage() {
    type Expected = Result<(), Refusal>;
    let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
    let token = key.sign_compact(&[], &claims()).unwrap();
    let question = Question { desk: DeskId(7), about: "what".into() };
    let unknown: Expected = Err(Doubt::KeyUnknown.into());
    let cases: [(fn() -> KeySearch, Expected, Expected, &str); 5] = [
        (|| KeySearch::Keys(Vec::new()), Ok(()), Ok(()), "keys at hand"),
        (|| KeySearch::Never, unknown.clone(), unknown.clone(), "nothing fits, and never will"),
        (|| KeySearch::Unknown("what".into()), Ok(()), unknown, "nothing fits: ask, then refuse"),
        (|| KeySearch::Unavailable("what".into()), Ok(()), Err(Outage::Keys.refusal()), "no set: ask, then say so"),
        (|| KeySearch::Unavailable("other".into()), Ok(()), Ok(()), "another question is not yet answered"),
    ];
    let headers = HeaderMap::new();
    for (index, (first, before, after, shows)) in cases.into_iter().enumerate() {
        let judge = judge(&settings(), &key, first);
        let credential = Credential::new(vec![token.as_str().into()], Vec::new());
        let mut facts = Facts::default();
        let step = |facts: &Facts| with_request(&headers, |request| judge.verify(&credential, request, facts, NOW));
        match (step(&facts), before) {
            (Step::Done(_), Ok(())) => assert_eq!(index, 0, "{shows}"),
            (Step::Need(Need::Ask(asked)), Ok(())) => assert_eq!(asked.desk, DeskId(7), "{shows}"),
            (Step::Refuse(refusal), Err(expected)) => assert_eq!(refusal, expected, "{shows}"),
            (step, _) => panic!("{shows}: {step:?}"),
        }
        facts.add_answer(question.clone(), Arc::new(()));
        match (step(&facts), after) {
            (Step::Done(_), Ok(())) => assert_eq!(index, 0, "{shows}, answered"),
            (Step::Need(Need::Ask(asked)), Ok(())) => assert_eq!(&*asked.about, "other", "{shows}, answered"),
            (Step::Refuse(refusal), Err(expected)) => assert_eq!(refusal, expected, "{shows}, answered"),
            (step, _) => panic!("{shows}, answered: {step:?}"),
        }
    }
}

/// Judged as it was found, so that what was read then is taken up; the other tests judge credentials of which nothing was read.
#[test]
fn what_is_found_is_judged_as_what_is_not() {
    let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
    let judge = judge(&settings(), &key, || KeySearch::Keys(Vec::new()));
    let good = key.sign_compact(&[], &claims()).unwrap();
    let (signed, _) = good.rsplit_once('.').unwrap();
    let twofold = encode(br#"{"iss":"https://id.example","sub":"ada","sub":"bob"}"#);
    let rows = [
        (good.clone(), None, "good"),
        (good.clone(), None, "good again, its header known by now"),
        (format!("{signed}.c2ln"), Some(Doubt::SignatureInvalid), "forged"),
        (good.replacen(|_: char| true, "f", 1), Some(Doubt::Malformed), "another header"),
        (format!("e30.{twofold}.c2ln"), Some(Doubt::Malformed), "two readings"),
    ];
    for (token, expected, shows) in rows {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::try_from(format!("Bearer {token}")).unwrap());
        let judged = with_request(&headers, |request| {
            let Step::Done(Found::Present(credential)) = judge.find(request, &Facts::default()) else { panic!("{shows}: not found") };
            judge.verify(&credential, request, &Facts::default(), NOW)
        });
        for (judged, how) in [(judged, "as found"), (verdict(&judge, &token, NOW.0), "anew")] {
            match (judged, &expected) {
                (Step::Done(identity), None) => assert_eq!(&*identity.get().subject, "ada", "{shows}, {how}"),
                (Step::Refuse(refusal), Some(doubt)) => assert_eq!(refusal, doubt.clone().into(), "{shows}, {how}"),
                (step, _) => panic!("{shows}, {how}: {step:?}"),
            }
        }
    }
}

fn verdict(judge: &Judge, token: &str, now: i64) -> Step<crate::domain::Verified<Arc<crate::domain::Identity>>> {
    let credential = Credential::new(vec![token.into()], Vec::new());
    with_request(&HeaderMap::new(), |request| judge.verify(&credential, request, &Facts::default(), Timestamp(now)))
}

#[test]
fn an_identity_says_what_the_token_proves_and_until_when() {
    let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
    let judge = judge(&settings(), &key, || KeySearch::Keys(Vec::new()));
    let token = key.sign_compact(&[], &claims()).unwrap();
    let Step::Done(identity) = verdict(&judge, &token, NOW.0) else { panic!("refused") };
    let identity = identity.get();
    assert_eq!((&*identity.subject, &*identity.issuer), ("ada", "https://id.example"));
    assert_eq!(identity.scopes.iter().map(|scope| &**scope).collect::<Vec<_>>(), ["read", "write"]);
    assert_eq!((identity.scheme, &*identity.authenticator), ("jwt", "user"));
    assert_eq!(identity.claims.member("aud").and_then(Claim::as_text), Some("app"), "claims in full");
    assert_eq!(identity.expires, Some(Timestamp(NOW.0 + 110)), "leeway included");
    assert_eq!(identity.not_before, Some(Timestamp(NOW.0 - 10)), "iat bounds it below, leeway included");
    assert!(identity.burn.is_none(), "a token may be used until it ends");
    assert_eq!((judge.challenge(), judge.cache_generation()), (Some("Bearer"), Some(10)), "cacheable while the store stays");
}

#[test]
fn an_expired_token_tells_whose_it_was_and_nothing_else_does() {
    let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
    let judge = judge(&settings(), &key, || KeySearch::Keys(Vec::new()));
    let token = |change: Json| {
        let mut claims = claims();
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        key.sign_compact(&[], &claims).unwrap()
    };
    let good = token(json!({}));
    assert!(matches!(verdict(&judge, &good, NOW.0 + 109), Step::Done(_)), "the last good second");
    match verdict(&judge, &good, NOW.0 + 110) {
        Step::Refuse(Refusal::Doubted(Doubt::Expired(Some(lapsed)))) => {
            assert_eq!(&*lapsed.get().subject, "ada", "whoever it was can be renewed");
        }
        other => panic!("{other:?}"),
    }
    let mut forged = good.clone();
    forged.replace_range(good.len() - 4.., "AAAA");
    let late = NOW.0 + 110;
    let cases = [
        (forged, Doubt::SignatureInvalid, "a forged one"),
        (token(json!({ "aud": "other" })), Doubt::AudienceMismatch, "one for somebody else"),
        (token(json!({ "sub": 1 })), Doubt::ClaimsMalformed, "one of nobody"),
        (token(json!({ "cnf": {} })), Doubt::ClaimsMalformed, "one bound to a key we do not check"),
        (key.sign_compact(&[("typ", "logout+jwt")], &claims()).unwrap(), Doubt::ClaimMissing, "one of another kind"),
        (token(json!({ "nbf": late + 11, "exp": late - 20 })), Doubt::NotYetValid, "one that never was good"),
    ];
    for (token, expected, shows) in cases {
        match verdict(&judge, &token, late) {
            Step::Refuse(Refusal::Doubted(doubt)) => assert_eq!(doubt, expected, "{shows}"),
            other => panic!("{shows}: {other:?}"),
        }
    }
}

#[test]
fn claims_are_taken_from_where_the_conf_says() {
    let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
    let written = json!({
        "issuer": "*.hat.example", "audience": "none", "keys": "a", "subject_from": "iss", "scopes_from": "realm.roles",
        "require": { "application": "app" },
    });
    let judge = judge(&written, &key, || KeySearch::Keys(Vec::new()));
    let base = json!({ "iss": "ada.hat.example", "exp": NOW.0 + 100, "application": "app", "realm": { "roles": ["a", "b c"] } });
    let changed = |name: &str, value: Json| {
        let mut claims = base.clone();
        claims[name] = value;
        key.sign_compact(&[], &claims).unwrap()
    };
    let Step::Done(identity) = verdict(&judge, &key.sign_compact(&[], &base).unwrap(), NOW.0) else { panic!("refused") };
    assert_eq!(&*identity.get().subject, "ada.hat.example", "the issuer is the caller");
    assert_eq!(identity.get().scopes.iter().map(|scope| &**scope).collect::<Vec<_>>(), ["a", "b c"], "a list is not split");
    let cases = [
        (changed("application", json!("other")), Doubt::ClaimMissing, "bound to somebody else"),
        (changed("application", json!(["app"])), Doubt::ClaimMissing, "a list is not its element"),
        (changed("iss", json!("a.b.hat.example")), Doubt::IssuerMismatch, "outside the pattern"),
        (changed("aud", json!(1)), Doubt::ClaimsMalformed, "an audience that is ignored must still be one"),
        (changed("realm", json!({ "roles": 1 })), Doubt::ClaimsMalformed, "scopes of another type"),
    ];
    for (token, expected, shows) in cases {
        match verdict(&judge, &token, NOW.0) {
            Step::Refuse(Refusal::Doubted(doubt)) => assert_eq!(doubt, expected, "{shows}"),
            other => panic!("{shows}: {other:?}"),
        }
    }
    let Step::Done(identity) = verdict(&judge, &changed("realm", json!({})), NOW.0) else { panic!("refused") };
    assert!(identity.get().scopes.is_empty(), "no scopes are no scopes");
}

#[test]
fn generations_of_all_stores_count() {
    let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
    let written = json!({ "issuer": ["x", "y"], "audience": "app", "keys": { "x": "a", "y": "b" } });
    assert_eq!(judge(&written, &key, || KeySearch::Never).cache_generation(), Some(21), "10 + 11");
}
