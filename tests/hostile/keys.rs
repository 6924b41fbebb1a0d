//! Attacks on where keys come from: rotation, floods, poisoned answers, requests forged on the server's side, stores that
//! lie or are out. Row names are those of the attack list, sections B and E. Everything runs through the schemes, from the
//! settings as a conf writes them to the verdict, with issuers on loopback.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign::domain::{Clock, Facts, Found, Need, Observer, Outage, Random, Refusal, Secret, Silent, Step, Timestamp};
use countersign::jose::algorithm::Algorithm;
use countersign::jose::base64url;
use countersign::jose::mint::SigningKey;
use countersign::net::client::{Client, ClientSettings};
use countersign::settings::{Checking, Faults, Material, Names};
use countersign::state::contract::StateStore;
use countersign::state::memory::Memory;
use countersign::verify::SCHEMES;
use countersign::verify::contract::{Desks, SchemeTools, Verifier};
use countersign::verify::keys::KEY_SOURCES;
use countersign::verify::keys::contract::{BuiltKeys, KeyTools};
use countersign::verify::keys::digest::{Pepper, digest_text};
use serde_json::{Value as Json, json};

use crate::jwt::{NOW, claims, node, signed};
use crate::loopback::{Loopback, Told, silent_port};
use crate::stage::{Counting, Stage};

const PEPPER: &str = "a pepper of thirty-two bytes....";

/// Key stores and authenticators of a conf, built as a start builds them, and the clock.
struct House {
    verifiers: BTreeMap<String, Arc<dyn Verifier>>,
    desks: Desks,
    clock: Arc<AtomicI64>,
}

impl House {
    /// Builds `keys` and `authenticators`, or says what is wrong with them. `files` are what the conf names.
    fn build(keys: &Json, authenticators: &Json, files: &[(&str, &str)], client: ClientSettings) -> Result<Self, Vec<String>> {
        let mut material = Material::default();
        for (name, content) in files {
            material.files.insert(material.resolve(name), Ok(Arc::from(content.as_bytes())));
        }
        let (mut faults, mut names) = (Faults::default(), Names::default());
        for name in keys.as_object().unwrap().keys() {
            names.define("keys", name);
        }
        let mut checking = Checking { faults: &mut faults, material: &material, names: &names, allow_inline_secrets: false };

        let clock = Arc::new(AtomicI64::new(NOW));
        let tools = KeyTools {
            client: Arc::new(Client::new(client).unwrap()),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            random: Arc::new(Counting::new()),
            observer: Arc::new(Silent),
            issued: Arc::default(),
        };
        let mut stores: BTreeMap<String, BuiltKeys> = BTreeMap::new();
        for (name, written) in keys.as_object().unwrap() {
            let (kind, settings) = written.as_object().unwrap().iter().next().unwrap();
            let source = KEY_SOURCES.iter().find(|source| source.name == kind).unwrap();
            if let Some(plan) = (source.plan)(name, &node(settings), &mut checking) {
                stores.insert(name.clone(), plan.build(&name.as_str().into(), &tools).unwrap());
            }
        }
        let (mut desks, mut verifiers) = (Desks::default(), BTreeMap::new());
        for (name, written) in authenticators.as_object().unwrap() {
            let (kind, settings) = written.as_object().unwrap().iter().next().unwrap();
            let scheme = SCHEMES.iter().find(|scheme| scheme.name == kind).unwrap();
            let Some(plan) = (scheme.plan)(&node(settings), &mut checking) else { continue };
            let (random, observer): (Arc<dyn Random>, Arc<dyn Observer>) = (Arc::clone(&tools.random), Arc::clone(&tools.observer));
            let state: Arc<dyn StateStore> = Arc::new(Memory::new(1, Timestamp(0)));
            let mut tools = SchemeTools {
                keys: &stores,
                verifiers: &BTreeMap::new(),
                state: &state,
                desks: &mut desks,
                client: &tools.client,
                clock: &tools.clock,
                random: &random,
                observer: &observer,
            };
            if let Ok(verifier) = plan.build(&name.as_str().into(), &mut tools) {
                verifiers.insert(name.clone(), verifier);
            }
        }
        if faults.errors() != 0 {
            return Err(faults.sorted().into_iter().map(|fault| fault.says).collect());
        }
        Ok(Self { verifiers, desks, clock })
    }

    fn at(&self, now: i64) {
        self.clock.store(NOW + now, Ordering::SeqCst);
    }

    /// The verdict of `authenticator` on a request with this field: who, or the reason and status.
    async fn judge(&self, authenticator: &str, field: &'static str, value: &str) -> Result<String, (&'static str, u16)> {
        let told = |refusal: Refusal| (refusal.reason().as_str(), refusal.reason().status());
        let verifier = &self.verifiers[authenticator];
        let stage = Stage::new().field(field, value);
        let mut facts = Facts::default();
        let credential = stage.show(|request| match verifier.find(request, &facts) {
            // With what was read of it, as the gate has it.
            Step::Done(Found::Present(found)) => Ok(found.into_owned()),
            Step::Done(Found::Foreign(doubt) | Found::Unreadable(doubt)) => Err(told(doubt.into())),
            other => panic!("{other:?}"),
        })?;
        let now = self.clock.now();
        loop {
            let need = match stage.show(|request| verifier.verify(&credential, request, &facts, now)) {
                Step::Done(identity) => return Ok(identity.get().subject.to_string()),
                Step::Refuse(refusal) => return Err(told(refusal)),
                Step::Need(need) => need,
            };
            assert!(!facts.holds(&need), "no fact is asked for twice");
            let Need::Ask(question) = need else { panic!("only desks are asked") };
            let answer = self.desks.get(question.desk).unwrap().answer(&question.about, now).await;
            facts.add_answer(question, answer.map_err(Outage::refusal).map_err(told)?);
        }
    }

    async fn bearer(&self, authenticator: &str, token: &str) -> Result<String, (&'static str, u16)> {
        self.judge(authenticator, "authorization", &format!("Bearer {token}")).await
    }
}

/// A signing key of an issuer.
fn key(kid: &'static str) -> SigningKey {
    SigningKey::generate(Algorithm::Es256).unwrap().with_kid(Some(kid))
}

/// The public half as a JWK; without `kid` when `kid` is `null`.
fn jwk(key: &SigningKey, kid: Json) -> Json {
    let mut jwk = key.public_jwk().unwrap();
    match kid {
        Json::Null => drop(jwk.as_object_mut().unwrap().remove("kid")),
        kid => jwk["kid"] = kid,
    }
    jwk
}

fn set(keys: &[Json]) -> String {
    json!({ "keys": keys }).to_string()
}

/// A good token of `key` whose header names `kid`, or nothing.
fn token(key: &SigningKey, kid: Json, changes: Json) -> String {
    let mut header = json!({ "alg": "ES256" });
    if !kid.is_null() {
        header["kid"] = kid;
    }
    signed(key, header.to_string().as_bytes(), claims(changes).to_string().as_bytes())
}

/// A house whose one `jwt` authenticator takes its keys from `server`.
fn house(server: &Loopback) -> House {
    let keys = json!({ "issuer": { "jwks_url": { "url": server.url("/jwks"), "max_stale": "1h" } } });
    let user = json!({ "user": { "jwt": { "issuer": "https://id.example", "audience": "app", "keys": "issuer" } } });
    House::build(&keys, &user, &[], ClientSettings::default()).unwrap()
}

const UNKNOWN: Result<String, (&str, u16)> = Err(("key_unknown", 401));
const FORGED: Result<String, (&str, u16)> = Err(("signature_invalid", 401));
const OUT: Result<String, (&str, u16)> = Err(("keys_unavailable", 503));

fn ada() -> Result<String, (&'static str, u16)> {
    Ok("ada".to_owned())
}

#[tokio::test]
async fn b14_b15_only_keys_that_fit_are_tried_and_twins_are_both_tried() {
    let keys: Vec<SigningKey> = (0..6).map(|_| key("twin")).collect();
    let nameless: Vec<Json> = keys.iter().map(|key| jwk(key, Json::Null)).collect();
    let twins: Vec<Json> = keys[..2].iter().map(|key| jwk(key, json!("twin"))).collect();
    let rows = [
        // row, set, token, verdict, what the row shows
        ("B14", set(&nameless[..4]), token(&keys[3], Json::Null, json!({})), ada(), "no kid: the fourth that fits is tried"),
        ("B14", set(&nameless[..5]), token(&keys[4], Json::Null, json!({})), FORGED, "the fifth is not"),
        ("B15", set(&twins), token(&keys[0], json!("twin"), json!({})), ada(), "the first of two twins"),
        ("B15", set(&twins), token(&keys[1], json!("twin"), json!({})), ada(), "the second"),
        ("B15", set(&twins), token(&keys[2], json!("twin"), json!({})), FORGED, "a third that is not served"),
    ];
    for (row, set, token, expected, shows) in rows {
        let server = Loopback::start(move |_| Told::ok(set.clone()));
        assert_eq!(house(&server).bearer("user", &token).await, expected, "{row}: {shows}");
    }
}

#[tokio::test]
async fn b16_one_kid_at_two_issuers_is_two_keys() {
    let (one, two) = (key("k"), key("k"));
    let serve = |key: &SigningKey| {
        let set = set(&[jwk(key, json!("k"))]);
        Loopback::start(move |_| Told::ok(set.clone()))
    };
    let (first, second) = (serve(&one), serve(&two));
    let keys = json!({
        "one": { "jwks_url": { "url": first.url("/jwks") } },
        "two": { "jwks_url": { "url": second.url("/jwks") } },
    });
    let user = json!({ "user": { "jwt": {
        "issuer": ["https://one.example", "https://two.example"], "audience": "app",
        "keys": { "https://one.example": "one", "https://two.example": "two" },
    } } });
    let house = House::build(&keys, &user, &[], ClientSettings::default()).unwrap();
    for (key, issuer, expected, shows) in [
        (&one, "https://one.example", ada(), "its own"),
        (&two, "https://two.example", ada(), "its own"),
        (&one, "https://two.example", FORGED, "the other's key of the same name"),
        (&two, "https://one.example", FORGED, "and the other way round"),
    ] {
        let token = token(key, json!("k"), json!({ "iss": issuer }));
        assert_eq!(house.bearer("user", &token).await, expected, "B16: {shows}");
    }
}

#[tokio::test]
async fn b17_to_b20_a_kid_is_text_to_be_compared_and_nothing_else() {
    let (real, forger) = (key("\u{e9}"), key("x"));
    let served = set(&[jwk(&real, json!("\u{e9}"))]);
    let server = Loopback::start(move |_| Told::ok(served.clone()));
    let house = house(&server);
    let malformed = Err(("credential_malformed", 401));
    let rows = [
        // row, kid, verdict, what the row shows
        ("-", json!("\u{e9}"), ada(), "the name itself"),
        ("B17", json!("../../dev/null"), UNKNOWN, "a path"),
        ("B17", json!("/proc/self/environ"), UNKNOWN, "an absolute path"),
        ("B18", json!("x' UNION SELECT 'k'--"), UNKNOWN, "a query"),
        ("B18", json!("`id`"), UNKNOWN, "a command"),
        ("B18", json!("a\r\nSET k v"), malformed.clone(), "a line break"),
        ("B18", json!("*)(uid=*"), UNKNOWN, "a filter"),
        ("B19", json!("k".repeat(256)), UNKNOWN, "the longest"),
        ("B19", json!("k".repeat(257)), malformed.clone(), "longer"),
        ("B19", json!("k".repeat(6_000)), malformed.clone(), "much longer"),
        ("B19", json!(5), malformed.clone(), "a number"),
        ("B19", json!(["k"]), malformed.clone(), "a list"),
        ("B19", json!("k\0"), malformed, "NUL"),
        ("B20", json!("e\u{301}"), UNKNOWN, "the same letter, decomposed"),
        ("B20", json!("\u{435}"), UNKNOWN, "a letter that looks like it"),
    ];
    for (row, kid, expected, shows) in rows {
        let good = token(&real, kid.clone(), json!({}));
        let verdict = house.bearer("user", &good).await;
        let refused = |verdict: &Result<String, (&str, u16)>| matches!(verdict, Err((_, 401)));
        match row {
            // Which of the two refusals it is for a control character in a kid is the reader's business.
            "B18" | "B19" if expected.is_err() => assert!(refused(&verdict), "{row}: {shows}: {verdict:?}"),
            _ => assert_eq!(verdict, expected, "{row}: {shows}"),
        }
        assert!(refused(&house.bearer("user", &token(&forger, kid, json!({}))).await), "{row}: never another's signature: {shows}");
    }
    assert!(server.asked().iter().all(|asked| asked.target() == "/jwks"), "no kid becomes part of what is asked");
}

#[tokio::test]
async fn b21_to_b23_a_key_that_may_not_verify_is_left_out_and_the_rest_stays() {
    let (good, bad) = (key("good"), key("bad"));
    let with = |member: &str, value: Json| {
        let mut jwk = jwk(&bad, json!("bad"));
        jwk[member] = value;
        jwk
    };
    let rows = [
        ("-", jwk(&bad, json!("bad")), ada(), "a key as it should be, to show that it would verify"),
        ("B21", with("use", json!("enc")), UNKNOWN, "for encryption"),
        ("B21", with("key_ops", json!(["encrypt"])), UNKNOWN, "for encrypting"),
        ("B22", with("d", json!("AAAA")), UNKNOWN, "with its private half"),
        ("B22", with("k", json!("AAAA")), UNKNOWN, "with a secret"),
        ("B22", json!({ "kty": "oct", "k": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "kid": "bad" }), UNKNOWN, "a secret in public"),
        ("B23", with("kty", json!("XYZ")), UNKNOWN, "of an unknown kind"),
        ("B23", with("kty", json!("OKP")), UNKNOWN, "of another kind than it is"),
        ("B23", with("x", json!("!!!")), UNKNOWN, "with broken base64"),
        ("B23", with("kid", json!(5)), UNKNOWN, "with a name that is a number"),
        ("B23", json!("not a key"), UNKNOWN, "that is no object"),
    ];
    for (row, jwk_of_bad, expected, shows) in rows {
        let set = set(&[jwk_of_bad, jwk(&good, json!("good"))]);
        let server = Loopback::start(move |_| Told::ok(set.clone()));
        let house = house(&server);
        assert_eq!(house.bearer("user", &token(&bad, json!("bad"), json!({}))).await, expected, "{row}: {shows}");
        assert_eq!(house.bearer("user", &token(&good, json!("good"), json!({}))).await, ada(), "{row}: the rest stays: {shows}");
    }
}

#[tokio::test]
async fn b24_b25_b26_b32_a_poisoned_answer_changes_no_verdict() {
    let (good, evil) = (key("good"), key("evil"));
    let evil_set = set(&[jwk(&evil, json!("evil"))]);
    let many: Vec<Json> = (0..101).map(|number| jwk(&evil, json!(format!("evil-{number}")))).chain([jwk(&evil, json!("evil"))]).collect();
    let redirect = |status| Told::Answer(status, vec![("location".into(), "https://evil.example/jwks".into())], evil_set.clone().into());
    let gzip = vec![("content-encoding".to_owned(), "gzip".to_owned())];
    let rows = [
        ("B24", Told::ok(format!("{evil_set}{}", " ".repeat(512 * 1024))), "more than 512 KiB"),
        ("B24", Told::Endless, "without end"),
        ("B24", Told::ok(set(&many)), "more than a hundred keys"),
        ("B24", Told::ok("[".repeat(100_000)), "a hundred thousand levels"),
        ("B24", Told::Answer(200, gzip, evil_set.clone().into()), "compressed"),
        ("B25", Told::Trickle(evil_set.clone().into()), "byte by byte"),
        ("B25", Told::Hang, "silence"),
        ("B26", redirect(301), "moved"),
        ("B26", redirect(302), "elsewhere"),
        ("B26", redirect(307), "elsewhere, for now"),
        ("B26", redirect(308), "elsewhere, for good"),
        ("B32", Told::ok("<html>login</html>"), "a page"),
        ("B32", Told::ok("{}"), "nothing in it"),
        ("B32", Told::ok(r#"{"keys":[]}"#), "no keys in it"),
        ("B32", Told::Answer(401, vec![], evil_set.clone().into()), "an error with a set"),
    ];
    for (row, told, shows) in rows {
        let set = set(&[jwk(&good, json!("good"))]);
        let server = Loopback::start(move |_| Told::ok(set.clone()));
        let house = house(&server);
        assert_eq!(house.bearer("user", &token(&good, json!("good"), json!({}))).await, ada());
        server.tell(told);
        house.at(60);
        assert_eq!(house.bearer("user", &token(&evil, json!("evil"), json!({}))).await, UNKNOWN, "{row}: {shows}");
        assert_eq!(house.bearer("user", &token(&good, json!("good"), json!({}))).await, ada(), "{row}: the old set stays: {shows}");
    }
}

#[test]
fn b27_b28_where_keys_come_from_is_proven_before_anything_is_asked() {
    let rows = [
        ("B27", json!({ "jwks_url": { "url": "http://id.example/jwks" } }), "plaintext"),
        ("B27", json!({ "discovery": { "issuer": "http://id.example" } }), "plaintext, discovered"),
        ("B28", json!({ "jwks_url": { "url": "https://169.254.169.254/jwks" } }), "the metadata service"),
        ("B28", json!({ "jwks_url": { "url": "https://[::ffff:169.254.169.254]/jwks" } }), "the same, mapped"),
        ("B28", json!({ "jwks_url": { "url": "https://2852039166/jwks" } }), "the same as a number"),
        ("B28", json!({ "jwks_url": { "url": "https://[fe80::1]/jwks" } }), "link-local"),
        ("B28", json!({ "jwks_url": { "url": "file:///etc/passwd" } }), "a file"),
        ("B28", json!({ "issuer_key": { "allow": [] } }), "every issuer"),
        ("B28", json!({ "issuer_key": { "allow": ["com"] } }), "every issuer of a top-level domain"),
    ];
    for (row, source, shows) in rows {
        let faults = House::build(&json!({ "keys": source }), &json!({}), &[], ClientSettings::default()).err();
        assert!(faults.is_some_and(|faults| !faults.is_empty()), "{row}: {shows}");
    }
}

#[tokio::test]
async fn b28_no_token_decides_whom_we_call() {
    let honeypot = Loopback::start(|_| Told::ok("caught"));
    let evil = key("k");
    let keys = json!({ "hats": { "issuer_key": { "allow": "hubat.net" } } });
    let user =
        json!({ "user": { "jwt": { "issuer": "*.hubat.net", "audience": "none", "require": { "application": "app" }, "keys": "hats" } } });
    // Whatever is called lands in the trap; nothing is.
    let resolve = ["evil.example", "hubat.net.evil.example"].map(|name| (name.to_owned(), honeypot.address)).to_vec();
    let house = House::build(&keys, &user, &[], ClientSettings { resolve, ..ClientSettings::default() }).unwrap();
    let trap = honeypot.url("/");
    let address = honeypot.address.to_string();
    for (issuer, shows) in [
        ("evil.example", "another host"),
        ("hubat.net.evil.example", "the domain in front"),
        ("a.hubat.net@evil.example", "the domain as a user"),
        ("evil.example#.hubat.net", "the domain as a fragment"),
        ("evil.example/.hubat.net", "the domain as a path"),
        (&address, "an address"),
        (&trap, "a URL"),
        ("169.254.169.254", "the metadata service"),
    ] {
        let changes = json!({ "iss": issuer, "aud": null, "application": "app", "jku": trap, "x5u": trap });
        let verdict = house.bearer("user", &token(&evil, json!("k"), changes)).await;
        assert!(matches!(verdict, Err((_, 401))), "B28: {shows}: {verdict:?}");
    }
    assert_eq!(honeypot.count(), 0, "no connection was made");
}

#[tokio::test]
async fn b31_a_key_without_a_name_that_was_replaced_is_found_and_forgeries_do_not_press_its_issuer() {
    let (old, new, forger) = (key("k"), key("k"), key("k"));
    let hat = {
        let pem = old.public_pem().unwrap();
        Loopback::start_tls(&["ada.hubat.net"], move |_| Told::ok(pem.clone()))
    };
    let keys = json!({ "hats": { "issuer_key": { "allow": "hubat.net", "ca": "ca.pem" } } });
    let user =
        json!({ "user": { "jwt": { "issuer": "*.hubat.net", "audience": "none", "require": { "application": "app" }, "keys": "hats" } } });
    let client = ClientSettings { resolve: vec![("ada.hubat.net".into(), hat.address)], ..ClientSettings::default() };
    let house = House::build(&keys, &user, &[("ca.pem", &hat.ca)], client).unwrap();
    let of = |key: &SigningKey| token(key, Json::Null, json!({ "iss": "ada.hubat.net", "aud": null, "application": "app" }));
    assert_eq!(house.bearer("user", &of(&old)).await, ada());
    assert_eq!(hat.asked()[0].target(), "/publickey");

    let pem = new.public_pem().unwrap();
    hat.follow(move |_| Told::ok(pem.clone()));
    for _ in 0..100 {
        assert_eq!(house.bearer("user", &of(&forger)).await, FORGED);
    }
    assert_eq!(hat.count(), 1, "a key just fetched is not fetched again for a forgery");
    house.at(30);
    assert_eq!(house.bearer("user", &of(&new)).await, ada(), "the new key, found by its own first token");
    assert_eq!(house.bearer("user", &of(&old)).await, FORGED, "the old one is gone");
    for _ in 0..100 {
        assert_eq!(house.bearer("user", &of(&forger)).await, FORGED);
    }
    assert_eq!(hat.count(), 2, "one question a window");

    let nameless = |key: &SigningKey| set(&[jwk(key, Json::Null)]);
    let (first, second) = (nameless(&old), nameless(&new));
    let server = Loopback::start(move |_| Told::ok(first.clone()));
    let house = self::house(&server);
    assert_eq!(house.bearer("user", &token(&old, Json::Null, json!({}))).await, ada());
    server.follow(move |_| Told::ok(second.clone()));
    assert_eq!(house.bearer("user", &token(&new, Json::Null, json!({}))).await, ada(), "the same for a set without names");
    assert_eq!(house.bearer("user", &token(&old, Json::Null, json!({}))).await, FORGED);
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn b29_ten_thousand_invented_kids_buy_one_fetch() {
    let good = key("good");
    let served = set(&[jwk(&good, json!("good"))]);
    let server = Loopback::start(move |_| Told::ok(served.clone()));
    let house = house(&server);
    let known = token(&good, json!("good"), json!({}));
    assert_eq!(house.bearer("user", &known).await, ada());
    let before = server.count();
    for number in 0..10_000 {
        // An invented kid never reaches a signature check, so one signature serves all.
        let header = json!({ "alg": "ES256", "kid": format!("invented-{number}") }).to_string();
        let (_, rest) = known.split_once('.').unwrap();
        assert_eq!(house.bearer("user", &format!("{}.{rest}", base64url::encode(header.as_bytes()))).await, UNKNOWN);
        if number % 1_000 == 0 {
            assert_eq!(house.bearer("user", &known).await, ada(), "B29: known kids keep answering");
        }
    }
    assert!(server.count() <= before + 1, "B29: {} fetches", server.count() - before);
}

#[tokio::test]
async fn b30_b31_an_outage_is_bridged_to_its_bound_and_a_withdrawn_key_is_not() {
    let (old, new) = (key("old"), key("new"));
    let first = set(&[jwk(&old, json!("old"))]);
    let server = Loopback::start(move |_| Told::ok(first.clone()));
    let house = house(&server);
    let long = json!({ "exp": NOW + 100_000 });
    let (of_old, of_new) = (token(&old, json!("old"), long.clone()), token(&new, json!("new"), long));
    assert_eq!(house.bearer("user", &of_old).await, ada());
    server.tell(Told::Raw(Vec::new()));
    for (now, expected, shows) in [
        (1_800, ada(), "half an hour of outage"),
        (3_599, ada(), "the last second of `max_stale`"),
        (3_600, OUT, "beyond it: undecided, and no built-in key"),
    ] {
        house.at(now);
        assert_eq!(house.bearer("user", &of_old).await, expected, "B30: {shows}");
    }
    assert_eq!(house.bearer("user", &of_new).await, OUT, "B30: the same for every token");
    let second = set(&[jwk(&new, json!("new"))]);
    server.follow(move |_| Told::ok(second.clone()));
    house.at(3_700);
    assert_eq!(house.bearer("user", &of_new).await, ada(), "B30: back again");
    assert_eq!(house.bearer("user", &of_old).await, UNKNOWN, "B31: what is served no more is believed no more");

    let nowhere = json!({ "issuer": { "jwks_url": { "url": format!("http://{}/jwks", silent_port()) } } });
    let user = json!({ "user": { "jwt": { "issuer": "https://id.example", "audience": "app", "keys": "issuer" } } });
    let house = House::build(&nowhere, &user, &[], ClientSettings::default()).unwrap();
    assert_eq!(house.bearer("user", &of_old).await, OUT, "B30: never a set, never a verdict");
}

#[tokio::test]
async fn b33_a_key_that_fits_admits_to_nothing_else() {
    let good = key("k");
    let served = set(&[jwk(&good, json!("k"))]);
    let server = Loopback::start(move |_| Told::ok(served.clone()));
    let keys = json!({ "issuer": { "jwks_url": { "url": server.url("/jwks") } } });
    let of = |audience: &str, more: Json| json!({ "jwt": { "issuer": "https://id.example", "audience": audience, "keys": "issuer", "require": more } });
    let both = json!({ "app": of("app", json!({})), "admin": of("admin", json!({})), "strict": of("app", json!({ "role": "admin" })) });
    let house = House::build(&keys, &both, &[], ClientSettings::default()).unwrap();
    let token = token(&good, json!("k"), json!({}));
    assert_eq!(house.bearer("app", &token).await, ada());
    assert_eq!(house.bearer("admin", &token).await, Err(("audience_mismatch", 401)), "B33: another audience over the same keys");
    assert_eq!(house.bearer("strict", &token).await, Err(("claim_missing", 401)), "B33: another demand over the same keys");
}

/// A record of a server key, and the header that presents `secret`.
fn record(id: &str, secret: &str, members: &str) -> String {
    let pepper = Pepper::new(&Secret::new(PEPPER.as_bytes().to_vec())).unwrap();
    format!(r#"{{"id":{id:?},"secrets":["{}"]{members}}}"#, digest_text(&pepper.digest(id, secret.as_bytes())))
}

fn presented(id: &str, secret: &str) -> String {
    STANDARD.encode(format!("{id}:{secret}"))
}

fn partners(source: Json, files: &[(&str, &str)]) -> Result<House, Vec<String>> {
    let files: Vec<(&str, &str)> = files.iter().copied().chain([("pepper", PEPPER)]).collect();
    let partner = json!({ "partner": { "server_key": { "keys": "partners" } } });
    House::build(&json!({ "partners": source }), &partner, &files, ClientSettings::default())
}

const WRONG: Result<String, (&str, u16)> = Err(("secret_wrong", 401));

#[tokio::test]
async fn e11_to_e14_a_looked_up_key_lives_and_dies_with_its_record() {
    let good = record("acme", "s", "");
    let server = Loopback::start(|_| Told::status(404));
    let lookup = json!({ "server_key_lookup": { "url": server.url("/{id}"), "pepper": { "file": "pepper" } } });
    let house = partners(lookup, &[]).unwrap();
    let ask = async |now: i64, id: &str, secret: &str| {
        house.at(now);
        house.judge("partner", "server-key", &presented(id, secret)).await
    };
    assert_eq!(ask(0, "acme", "s").await, WRONG, "E12: nobody of that name yet");
    server.tell(Told::ok(good.clone()));
    assert_eq!(ask(4, "acme", "s").await, WRONG, "E12: a no is remembered");
    assert_eq!(ask(5, "acme", "s").await, Ok("acme".to_owned()), "E12: for five seconds at most");
    assert_eq!(ask(5, "acme", "S").await, WRONG, "another secret");

    server.tell(Told::ok(record("acme", "s", r#","disabled":true"#)));
    assert_eq!(ask(64, "acme", "s").await, Ok("acme".to_owned()), "E11: within its time an answer holds");
    assert_eq!(ask(65, "acme", "s").await, Err(("key_disabled", 401)), "E11: switched off, and seen");
    assert_eq!(ask(65, "acme", "x").await, WRONG, "E11: which only the owner is told");
    server.tell(Told::status(404));
    assert_eq!(ask(125, "acme", "s").await, WRONG, "E11: withdrawn, and seen");

    server.tell(Told::status(500));
    assert_eq!(ask(130, "new", "s").await, OUT, "E13: undecided");
    server.tell(Told::ok(record("new", "s", "")));
    assert_eq!(ask(132, "new", "s").await, Ok("new".to_owned()), "E13: and not remembered");

    server.tell(Told::ok(record("admin", "s", "")));
    assert_eq!(ask(140, "eve", "s").await, OUT, "E14: somebody else's record is no answer");
    server.tell(Told::ok(record("EVE", "s", "")));
    assert_eq!(ask(142, "eve", "s").await, OUT, "E14: nor one of another spelling");
}

#[tokio::test]
async fn e17_e18_a_file_of_keys_holds_no_secret_and_an_empty_one_admits_nobody() {
    let source = json!({ "server_keys": { "file": "keys.jsonl", "pepper": { "file": "pepper" } } });
    let good = record("acme", "s", "");
    assert!(!good.contains(r#""s""#), "E17: what is at rest is a keyed digest");
    let house = partners(source.clone(), &[("keys.jsonl", &good)]).unwrap();
    assert_eq!(house.judge("partner", "server-key", &presented("acme", "s")).await, Ok("acme".to_owned()));
    let digest = good.split("\"cs1:").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(house.judge("partner", "server-key", &presented("acme", digest)).await, WRONG, "E17: and a stolen digest is no secret");

    for (content, shows) in [
        (good.replace("cs1:", "cs1"), "a digest that is cut"),
        (r#"{"id":"acme","secrets":["s"]}"#.to_owned(), "a secret in the clear"),
        (r#"{"id":"acme","secret":"s"}"#.to_owned(), "a secret under another name"),
        (format!("{good}\n{good}"), "an id that stands twice"),
    ] {
        let faults = partners(source.clone(), &[("keys.jsonl", &content)]).err().unwrap_or_default();
        assert!(!faults.is_empty() && faults.iter().all(|says| !says.contains("\"s\"")), "E17: {shows}: {faults:?}");
    }
    let empty = partners(source, &[("keys.jsonl", "")]).unwrap();
    for (id, secret) in [("acme", "s"), ("a", ""), ("", "s")] {
        let verdict = empty.judge("partner", "server-key", &presented(id, secret)).await;
        assert!(matches!(verdict, Err((_, 401))), "E18: {id}:{secret}: {verdict:?}");
    }
}
