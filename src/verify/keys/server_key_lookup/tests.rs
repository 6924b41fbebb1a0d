//! Looked-up server keys: how long answers hold, and what an outage or a lie changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::domain::{Outage, Secret, Timestamp};
use crate::net::client::ClientSettings;
use crate::net::client::loopback::{Loopback, Told, silent_port};
use crate::settings::{Material, NodeValue};
use crate::verify::keys::contract::{BuiltKeys, KeySourcePlan, ServerKey, ServerKeySearch, ServerKeys};
use crate::verify::keys::digest::{Pepper, digest_text};
use crate::verify::keys::server_key_lookup::plan;
use crate::verify::keys::testing::{Notes, map, node, prove, text, tools_with};

const PEPPER: &[u8] = b"a pepper of thirty-two bytes....";

fn planned(url: &str, more: &[(&str, &str)], headers: Option<(&str, &[u8])>) -> Result<Box<dyn KeySourcePlan>, Vec<String>> {
    let mut material = Material { base: "/conf".into(), ..Material::default() };
    material.files.insert("/conf/pepper".into(), Ok(Arc::from(PEPPER)));
    let reference = |path: &str| map(vec![("file", NodeValue::Text(path.into()))]);
    let mut entries = vec![("url", text(url).value), ("pepper", reference("pepper"))];
    entries.extend(more.iter().map(|(key, value)| (*key, text(value).value)));
    if let Some((name, value)) = headers {
        material.files.insert("/conf/token".into(), Ok(Arc::from(value)));
        entries.push((
            "headers",
            NodeValue::Map(vec![crate::settings::Entry {
                key: name.into(),
                span: crate::verify::keys::testing::span(),
                node: node(reference("token")),
            }]),
        ));
    }
    prove(plan, &node(map(entries)), &material)
}

fn store_at(url: &str, clock: &Arc<AtomicI64>) -> Arc<dyn ServerKeys> {
    let tools = tools_with(ClientSettings::default(), Arc::clone(clock), Arc::new(Notes::default()));
    let plan = planned(url, &[("max_stale", "2m"), ("deadline", "500ms")], Some(("X-Token", b"sesame"))).unwrap();
    match plan.build(&"partners".into(), &tools).unwrap() {
        BuiltKeys::ServerKeys(keys) => keys,
        _ => panic!("another class of keys"),
    }
}

/// A record of `id` whose one secret is `secret`.
fn record(id: &str, secret: &str) -> String {
    let pepper = Pepper::new(&Secret::new(PEPPER.to_vec())).unwrap();
    format!(r#"{{"id":{id:?},"secrets":["{}"]}}"#, digest_text(&pepper.digest(id, secret.as_bytes())))
}

/// A store, its service, and the clock.
struct Scene {
    server: Loopback,
    clock: Arc<AtomicI64>,
    store: Arc<dyn ServerKeys>,
}

impl Scene {
    fn new(told: Told) -> Self {
        let server = Loopback::start(move |_| told.clone());
        let clock = Arc::new(AtomicI64::new(1_000));
        let store = store_at(&server.url("/v1/keys/{id}?full=1"), &clock);
        Self { server, clock, store }
    }

    fn at(&self, now: i64) {
        self.clock.store(1_000 + now, Ordering::SeqCst);
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.clock.load(Ordering::SeqCst))
    }

    /// What is at hand without asking.
    fn recalls(&self, id: &str) -> &'static str {
        match self.store.find(id, self.now()) {
            ServerKeySearch::Known(record) if *record.id == *id => "known",
            ServerKeySearch::Known(_) => "somebody else",
            ServerKeySearch::Unknown => "unknown",
            ServerKeySearch::Ask => "ask",
        }
    }

    /// What a request learns, asking where it must.
    async fn learns(&self, id: &str) -> Result<Option<Arc<ServerKey>>, Outage> {
        let answer = Arc::clone(&self.store).desk().answer(id, self.now()).await?;
        Ok(answer.downcast_ref::<Option<Arc<ServerKey>>>().unwrap().clone())
    }
}

#[tokio::test]
async fn an_id_is_asked_about_once_and_as_itself() {
    let scene = Scene::new(Told::ok(record("a/../b?c#d%2e é:1", "s")));
    let id = "a/../b?c#d%2e é:1";
    assert_eq!(scene.recalls(id), "ask");
    let found = scene.learns(id).await.unwrap().unwrap();
    assert_eq!(found.digests[0], Some(scene.store.digest(id, b"s")), "the record holds what the store digests");
    assert_eq!(scene.recalls(id), "known");
    scene.learns(id).await.unwrap();
    let asked = scene.server.asked();
    assert_eq!(asked.len(), 1, "and then it is known");
    assert_eq!(asked[0].target(), "/v1/keys/a%2F..%2Fb%3Fc%23d%252e%20%C3%A9%3A1?full=1", "nothing in an id means anything in a URL");
    assert_eq!(asked[0].field("x-token"), Some("sesame"), "we say who we are");
}

#[tokio::test]
async fn what_cannot_be_an_id_is_asked_about_nowhere() {
    let scene = Scene::new(Told::ok(record("x", "s")));
    for id in ["", ".", "..", "a\0b", "a\nb", &"a".repeat(257)] {
        assert!(scene.learns(id).await.unwrap().is_none(), "{id:?}");
    }
    assert_eq!(scene.server.count(), 0);
    assert_eq!(scene.recalls(&"a".repeat(257)), "unknown", "without a question");
}

#[tokio::test]
async fn an_answer_holds_for_its_time_and_a_revoked_key_not_longer() {
    let scene = Scene::new(Told::ok(record("acme", "old")));
    scene.learns("acme").await.unwrap();
    let generation = scene.store.generation();
    scene.server.tell(Told::status(404));
    scene.at(59);
    assert_eq!(scene.recalls("acme"), "known", "the last second");
    scene.at(60);
    assert_eq!(scene.recalls("acme"), "ask");
    assert!(scene.learns("acme").await.unwrap().is_none(), "revoked");
    assert_eq!(scene.recalls("acme"), "unknown");
    assert_ne!(scene.store.generation(), generation);

    scene.server.tell(Told::ok(record("acme", "new")));
    scene.at(64);
    assert_eq!(scene.recalls("acme"), "unknown", "a no holds too");
    scene.at(65);
    let found = scene.learns("acme").await.unwrap().unwrap();
    assert_eq!(found.digests[0], Some(scene.store.digest("acme", b"new")), "a key that was made after a miss works within five seconds");

    let generation = scene.store.generation();
    scene.at(125);
    scene.learns("acme").await.unwrap();
    assert_eq!(scene.store.generation(), generation, "an unchanged record changes nothing");
    scene.server.tell(Told::ok(record("acme", "newer")));
    scene.at(185);
    scene.learns("acme").await.unwrap();
    assert_ne!(scene.store.generation(), generation, "another secret does");
}

#[tokio::test]
async fn what_is_no_answer_is_undecided_for_the_new_and_changes_nothing_for_the_known() {
    let good = record("acme", "s");
    let answers = [
        (Told::status(500), "an error"),
        (Told::status(401), "we are not let in"),
        (Told::status(403), "nor here"),
        (Told::status(204), "no content"),
        (Told::Answer(302, vec![("location".into(), "/login".into())], good.clone().into()), "a redirect"),
        (Told::ok("<html></html>"), "a page"),
        (Told::ok(""), "nothing"),
        (Told::ok("null"), "null"),
        (Told::ok(record("other", "s")), "somebody else's record"),
        (Told::ok(record("ACME", "s")), "another spelling of the id"),
        (Told::ok(good.replace("}", r#","revoked":true}"#)), "a member we do not know"),
        (Told::ok(format!("[{good}]")), "a list"),
        (Told::ok(format!("{good}{}", " ".repeat(64 * 1024))), "too much"),
        (Told::Raw(Vec::new()), "nobody there"),
        (Told::Hang, "silence"),
    ];
    for (told, shows) in answers {
        let scene = Scene::new(Told::ok(good.clone()));
        scene.learns("acme").await.unwrap();
        scene.server.tell(told);
        scene.at(60);
        let known = scene.learns("acme").await;
        assert!(matches!(&known, Ok(Some(record)) if *record.id == *"acme"), "what was known serves on: {shows}: {known:?}");
        scene.at(62);
        assert_eq!(scene.learns("acme2").await.err(), Some(Outage::Keys), "the new is undecided, not refused: {shows}");
        assert_eq!(scene.recalls("acme2"), "ask", "and that is not remembered: {shows}");
        scene.at(64);
        scene.server.tell(Told::ok(record("acme2", "s")));
        assert!(scene.learns("acme2").await.unwrap().is_some(), "so it works as soon as the service does: {shows}");
    }
}

#[tokio::test]
async fn an_outage_is_bridged_up_to_its_bound_and_not_pressed() {
    let scene = Scene::new(Told::ok(record("acme", "s")));
    scene.learns("acme").await.unwrap();
    scene.server.tell(Told::status(503));
    scene.at(179);
    assert!(scene.learns("acme").await.unwrap().is_some(), "a minute and two, less a second");
    scene.at(181);
    let before = scene.server.count();
    for number in 0..100 {
        assert_eq!(scene.learns("acme").await.err(), Some(Outage::Keys), "outlived");
        assert_eq!(scene.learns(&format!("new-{number}")).await.err(), Some(Outage::Keys));
    }
    assert_eq!(scene.server.count(), before + 1, "one try a second, not two hundred");

    let clock = Arc::new(AtomicI64::new(0));
    let nowhere = store_at(&format!("http://{}/{{id}}", silent_port()), &clock);
    assert!(Arc::clone(&nowhere).desk().answer("acme", Timestamp(0)).await.is_err(), "no service at all");
}

#[tokio::test]
async fn a_thousand_who_ask_at_a_time_make_one_question_and_each_gets_its_own_answer() {
    let scene = Scene::new(Told::status(500));
    scene.server.follow(|asked| {
        let id = asked.target().trim_start_matches("/v1/keys/").split('?').next().unwrap_or_default().to_owned();
        Told::ok(record(&id, "s"))
    });
    let askers: Vec<_> = (0..1_000)
        .map(|number| {
            let (desk, now) = (Arc::clone(&scene.store).desk(), scene.now());
            tokio::spawn(async move {
                let id = format!("id-{}", number % 10);
                let answer = desk.answer(&id, now).await.unwrap();
                let record = answer.downcast_ref::<Option<Arc<ServerKey>>>().unwrap().clone();
                *record.unwrap().id == *id
            })
        })
        .collect();
    for asker in askers {
        assert!(asker.await.unwrap(), "nobody gets another's record");
    }
    assert_eq!(scene.server.count(), 10, "ten ids, ten questions");
}

#[tokio::test]
async fn invented_ids_push_no_real_one_out() {
    let scene = Scene::new(Told::ok(record("acme", "s")));
    scene.learns("acme").await.unwrap();
    scene.server.tell(Told::status(404));
    for number in 0..300 {
        assert!(scene.learns(&format!("invented-{number}")).await.unwrap().is_none());
    }
    assert_eq!(scene.recalls("acme"), "known");
}

#[test]
fn a_url_has_one_place_for_the_id_where_it_cannot_change_whom_we_ask() {
    let cases = [
        ("https://keys.example/v1/{id}", true, "in the path"),
        ("https://keys.example/v1/{id}/record", true, "inside the path"),
        ("https://keys.example/v1?id={id}", true, "in the query"),
        ("http://127.0.0.1:9/{id}", true, "plaintext on loopback"),
        ("http://keys.example/{id}", false, "plaintext"),
        ("https://keys.example/v1", false, "no place"),
        ("https://keys.example/{id}/{id}", false, "two places"),
        ("https://{id}.example/v1", false, "in the host"),
        ("https://keys.example:{id}/", false, "in the port"),
        ("https://{id}@keys.example/", false, "in the user"),
        ("https://keys.example/v1#{id}", false, "in the fragment"),
        ("https://169.254.169.254/{id}", false, "at the metadata service"),
    ];
    for (url, taken, shows) in cases {
        assert_eq!(planned(url, &[], None).is_ok(), taken, "{shows} ({url})");
    }
    let url = "https://keys.example/{id}";
    let cases: [(&[(&str, &str)], Option<(&str, &[u8])>, bool, &str); 7] = [
        (&[], Some(("Authorization", b"Bearer abc\n")), true, "a secret with the line break of an editor"),
        (&[], Some(("Authorization", b"a\nb")), false, "a line break inside"),
        (&[], Some(("bad name", b"a")), false, "no field name"),
        (&[("deadline", "0s")], None, false, "no time at all"),
        (&[("ttl", "2h")], None, false, "a revoked key would live too long"),
        (&[("max_stale", "0s")], None, true, "no staleness"),
        (&[("negative_ttl", "0s")], None, false, "a no must hold a moment, or strangers steer our questions"),
    ];
    for (more, headers, taken, shows) in cases {
        assert_eq!(planned(url, more, headers).is_ok(), taken, "{shows}");
    }
    let shown = format!("{:?}", planned(url, &[], Some(("Authorization", b"Bearer abc"))).unwrap());
    assert!(!shown.contains("abc") && !shown.contains("pepper of"), "{shown}");
}
