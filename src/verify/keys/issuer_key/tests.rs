//! Keys served by the issuers themselves, over TLS on loopback, good and hostile.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::domain::{Outage, Timestamp};
use crate::jose::algorithm::Algorithm;
use crate::net::client::ClientSettings;
use crate::net::client::loopback::{Asked, Loopback, Told};
use crate::settings::{Material, NodeValue};
use crate::verify::keys::contract::{KeyHint, KeySourcePlan, SignatureKeys};
use crate::verify::keys::issuer_key::plan;
use crate::verify::keys::testing::{IssuerKey, Notes, keys_of, map, node, prove, says, set_of, signature_store, text, tools_with};

const REFRESH: i64 = 3_600;
const MAX_STALE: i64 = 7_200;

fn planned(allow: &[&str], more: &[(&str, &str)], ca: Option<&str>) -> Result<Box<dyn KeySourcePlan>, Vec<String>> {
    let mut material = Material { base: "/conf".into(), ..Material::default() };
    let mut entries = vec![("allow", NodeValue::List(allow.iter().map(|suffix| text(suffix)).collect()))];
    entries.extend(more.iter().map(|(key, value)| (*key, text(value).value)));
    if let Some(ca) = ca {
        material.files.insert("/conf/ca.pem".into(), Ok(Arc::from(ca.as_bytes())));
        entries.push(("ca", text("ca.pem").value));
    }
    prove(plan, &node(map(entries)), &material)
}

/// A store that trusts a server which stands for every name given, and the clock.
struct Scene {
    server: Loopback,
    clock: Arc<AtomicI64>,
    store: Arc<dyn SignatureKeys>,
}

impl Scene {
    fn new(names: &[&str], script: impl Fn(&Asked) -> Told + Send + 'static) -> Self {
        let server = Loopback::start_tls(names, script);
        let clock = Arc::new(AtomicI64::new(0));
        let resolve = names.iter().map(|name| ((*name).to_owned(), server.address)).collect();
        let client = ClientSettings { resolve, ..ClientSettings::default() };
        let plan = planned(&["hubat.net"], &[("max_stale", "2h")], Some(&server.ca)).unwrap();
        let store = signature_store(&*plan, &tools_with(client, Arc::clone(&clock), Arc::new(Notes::default())));
        Self { server, clock, store }
    }

    fn at(&self, now: i64) {
        self.clock.store(now, Ordering::SeqCst);
    }

    fn now(&self) -> i64 {
        self.clock.load(Ordering::SeqCst)
    }

    async fn ask(&self, about: &str) -> Result<(), Outage> {
        Arc::clone(&self.store).desk().answer(about, Timestamp(self.now())).await.map(|_| ())
    }

    fn says(&self, issuer: &str) -> &'static str {
        says(&self.store, issuer, None, self.now())
    }

    /// Whether `key` is what verifies tokens of `issuer`.
    fn holds(&self, issuer: &str, key: &IssuerKey) -> bool {
        key.is_among(&keys_of(&self.store, issuer, Some("whatever the token names"), self.now()))
    }

    /// What a token of `issuer` that no key verified asks the desk.
    fn second_look(&self, issuer: &str) -> Option<Arc<str>> {
        self.store.second_look(&KeyHint { issuer, kid: None, algorithm: Algorithm::EdDsa })
    }
}

#[tokio::test]
async fn an_issuer_is_asked_for_its_own_key_and_no_other() {
    let (one, two) = (IssuerKey::nameless(), IssuerKey::nameless());
    let (first, second) = (one.pem(), two.pem());
    let scene = Scene::new(&["one.hubat.net", "two.hubat.net"], move |asked| match asked.field("host") {
        Some(host) if host.starts_with("one.") => Told::ok(first.clone()),
        _ => Told::ok(second.clone()),
    });
    for issuer in ["one.hubat.net", "two.hubat.net"] {
        assert_eq!(scene.says(issuer), "unavailable", "{issuer} has not been asked");
        scene.ask(issuer).await.unwrap();
    }
    assert!(scene.holds("one.hubat.net", &one) && !scene.holds("one.hubat.net", &two), "one issuer's key is not another's");
    assert!(scene.holds("two.hubat.net", &two) && !scene.holds("two.hubat.net", &one), "either way");
    assert_eq!(scene.server.asked()[0].target(), "/publickey");
    scene.ask("one.hubat.net").await.unwrap();
    assert_eq!(scene.server.count(), 2, "what is known is not asked again");
    assert!(scene.store.ready(Timestamp(0)), "nothing has to be fetched before the first token");
}

#[tokio::test]
async fn nobody_is_asked_because_a_token_wishes_so() {
    let scene = Scene::new(&["one.hubat.net"], |_| Told::status(404));
    for issuer in [
        "evil.example",
        "hubat.net.evil.example",
        "evilhubat.net",
        "169.254.169.254",
        "127.0.0.1",
        "[::1]",
        "localhost",
        "x@one.hubat.net",
        "https://one.hubat.net",
        "one.hubat.net/../../x",
        "one.hubat.net#",
        "one.hubat.net:443",
        "One.hubat.net",
        "again one.hubat.net",
        "",
    ] {
        assert_eq!(scene.says(issuer), "never", "{issuer:?} is nobody's name");
        assert_eq!(scene.second_look(issuer), None, "{issuer:?}");
        let _ = scene.ask(issuer).await;
        let _ = scene.ask(&format!("again {issuer}")).await;
    }
    assert_eq!(scene.server.count(), 0, "no connection was made");
}

#[tokio::test]
async fn an_allowed_name_at_a_private_address_is_not_called() {
    // No override here: the name is resolved as any other, and leads to this machine or nowhere.
    let clock = Arc::new(AtomicI64::new(0));
    let plan = planned(&["localhost.localdomain", "hubat.localhost"], &[], None).unwrap();
    let store = signature_store(&*plan, &tools_with(ClientSettings::default(), clock, Arc::new(Notes::default())));
    let answer = Arc::clone(&store).desk().answer("one.hubat.localhost", Timestamp(0)).await;
    assert!(matches!(answer, Err(Outage::Keys)), "loopback is not public");
}

#[tokio::test]
async fn a_key_that_changed_is_found_when_a_signature_does_not_match_once_per_window() {
    let (old, new) = (IssuerKey::nameless(), IssuerKey::nameless());
    let served = old.pem();
    let scene = Scene::new(&["one.hubat.net"], move |_| Told::ok(served.clone()));
    scene.ask("one.hubat.net").await.unwrap();
    let generation = scene.store.generation();
    scene.server.tell(Told::ok(new.pem()));
    let again = scene.second_look("one.hubat.net").unwrap();

    scene.ask(&again).await.unwrap();
    assert_eq!(scene.server.count(), 1, "a key just fetched is the key");
    scene.at(30);
    for _ in 0..100 {
        scene.ask(&again).await.unwrap();
    }
    assert_eq!(scene.server.count(), 2, "a hundred forged signatures, one fetch");
    assert!(scene.holds("one.hubat.net", &new) && !scene.holds("one.hubat.net", &old), "the new key in place of the old");
    assert_ne!(scene.store.generation(), generation, "verdicts that rest on the old one fall");
    scene.at(59);
    scene.ask(&again).await.unwrap();
    assert_eq!(scene.server.count(), 2, "the last second of the window");
    scene.at(60);
    let generation = scene.store.generation();
    scene.ask(&again).await.unwrap();
    assert_eq!((scene.server.count(), scene.store.generation()), (3, generation), "asked again, and nothing had changed");
}

#[tokio::test]
async fn an_issuer_that_does_not_exist_is_remembered_for_a_while() {
    let key = IssuerKey::nameless();
    let scene = Scene::new(&["one.hubat.net"], |_| Told::status(404));
    scene.ask("one.hubat.net").await.unwrap();
    scene.server.tell(Told::ok(key.pem()));
    for now in [0, 599] {
        scene.at(now);
        assert_eq!(scene.says("one.hubat.net"), "never", "after {now} s");
        scene.ask("one.hubat.net").await.unwrap();
    }
    assert_eq!(scene.server.count(), 1);
    scene.at(600);
    assert_eq!(scene.says("one.hubat.net"), "unavailable", "worth another question");
    scene.ask("one.hubat.net").await.unwrap();
    assert!(scene.holds("one.hubat.net", &key));

    scene.server.tell(Told::status(404));
    scene.at(600 + REFRESH);
    let generation = scene.store.generation();
    scene.ask("one.hubat.net").await.unwrap();
    assert_eq!(scene.says("one.hubat.net"), "never", "an issuer that is gone takes its key along");
    assert_ne!(scene.store.generation(), generation);
}

#[tokio::test]
async fn a_bad_answer_neither_makes_a_key_nor_takes_one() {
    let (good, other) = (IssuerKey::nameless(), IssuerKey::nameless());
    let pem = other.pem();
    let answers = [
        (Told::ok("<html>hello</html>"), "a page"),
        (Told::ok(""), "nothing"),
        (Told::ok(set_of(&[&other])), "a JWK Set, which this is not the place for"),
        (Told::ok(pem.replace("PUBLIC", "PRIVATE")), "a private key"),
        (Told::ok(format!("{pem}{}", " ".repeat(16 * 1024))), "too much"),
        (Told::Endless, "no end"),
        (Told::Answer(302, vec![("location".into(), "https://evil.example/publickey".into())], pem.clone().into()), "a redirect"),
        (Told::status(500), "an error"),
        (Told::Raw(Vec::new()), "nobody there"),
    ];
    for (told, shows) in &answers {
        let fresh = Scene::new(&["one.hubat.net"], |_| Told::status(500));
        fresh.server.tell(told.clone());
        assert_eq!(fresh.ask("one.hubat.net").await, Err(Outage::Keys), "{shows}: undecided, not refused");
        assert_eq!(fresh.says("one.hubat.net"), "unavailable", "{shows}");
        assert_eq!(fresh.ask("one.hubat.net").await, Err(Outage::Keys), "{shows}");
        assert_eq!(fresh.server.count(), 1, "and not asked again at once: {shows}");
    }
    let served = good.pem();
    let scene = Scene::new(&["one.hubat.net"], move |_| Told::ok(served.clone()));
    scene.ask("one.hubat.net").await.unwrap();
    for (number, (told, shows)) in (0..).zip(answers) {
        scene.server.tell(told);
        scene.at(REFRESH + number * 60);
        assert_eq!(scene.says("one.hubat.net"), "unavailable", "it has aged and is asked for again: {shows}");
        scene.ask("one.hubat.net").await.unwrap();
        assert!(scene.holds("one.hubat.net", &good) && !scene.holds("one.hubat.net", &other), "the good one serves on: {shows}");
    }
    scene.at(MAX_STALE - 1);
    scene.ask("one.hubat.net").await.unwrap();
    assert!(scene.holds("one.hubat.net", &good), "to the last second");
    scene.at(MAX_STALE);
    assert_eq!(scene.says("one.hubat.net"), "unavailable");
    assert_eq!(scene.ask("one.hubat.net").await, Err(Outage::Keys), "and not beyond");
}

#[tokio::test]
async fn invented_issuers_push_nobody_out() {
    let key = IssuerKey::nameless();
    let served = key.pem();
    let invented = ["a.hubat.net", "b.hubat.net", "c.hubat.net"];
    let scene = Scene::new(&["one.hubat.net", "a.hubat.net", "b.hubat.net", "c.hubat.net"], move |asked| match asked.field("host") {
        Some("one.hubat.net") => Told::ok(served.clone()),
        Some("a.hubat.net") => Told::status(404),
        _ => Told::status(500),
    });
    scene.ask("one.hubat.net").await.unwrap();
    for round in 0..3 {
        for issuer in invented {
            let _ = scene.ask(issuer).await;
            assert!(!scene.holds(issuer, &key), "{issuer} has no key, whatever others have");
        }
        assert!(scene.holds("one.hubat.net", &key), "round {round}");
    }
    assert_eq!(scene.server.count(), 1 + invented.len(), "each was asked once");
}

#[test]
fn the_list_of_domains_is_proven() {
    let cases: [(&[&str], &[(&str, &str)], bool, &str); 11] = [
        (&["hubat.net", ".hubofallthings.net"], &[], true, "domains"),
        (&[], &[], false, "nobody"),
        (&["net"], &[], false, "everybody below a top-level domain"),
        (&[""], &[], false, "nothing"),
        (&["*"], &[], false, "a pattern"),
        (&["10.0.0.1"], &[], false, "an address"),
        (&["hubat.net"], &[("path", "keys/public.pem")], true, "another path"),
        (&["hubat.net"], &[("path", "../x")], false, "dots in the path"),
        (&["hubat.net"], &[("path", "x?y")], false, "a query in the path"),
        (&["hubat.net"], &[("path", "/")], false, "no path"),
        (&["hubat.net"], &[("refresh", "1d"), ("max_stale", "1h")], false, "outlived before it ages"),
    ];
    for (allow, more, taken, shows) in cases {
        assert_eq!(planned(allow, more, None).is_ok(), taken, "{shows}");
    }
    let continuity = |allow: &[&str]| planned(allow, &[], None).unwrap().continuity();
    assert_eq!(continuity(&["hubat.net"]), continuity(&[".hubat.net"]), "the same domain");
    assert_ne!(continuity(&["hubat.net"]), continuity(&["hubat.net", "hubofallthings.net"]), "another list is another store");
    let generation = |allow: &[&str]| {
        let tools = tools_with(ClientSettings::default(), Arc::default(), Arc::new(Notes::default()));
        signature_store(&*planned(allow, &[], None).unwrap(), &tools).generation()
    };
    assert_ne!(generation(&["hubat.net"]), generation(&["hubofallthings.net"]), "and other verdicts");
}
