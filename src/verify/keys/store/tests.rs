//! A remote set through rotation, floods, outages, bad answers and jumping clocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use url::Url;

use crate::domain::{Outage, Seconds, Timestamp};
use crate::net::client::ClientSettings;
use crate::net::client::loopback::{Loopback, Told};
use crate::verify::keys::contract::SignatureKeys;
use crate::verify::keys::store::disk::DiskCopy;
use crate::verify::keys::store::origin::Fixed;
use crate::verify::keys::store::{MAX_BYTES, RemoteStore, Timing};
use crate::verify::keys::testing::{IssuerKey, Notes, keys_of, says, set_of, tools_with};

const REFRESH: i64 = 300;
const MAX_STALE: i64 = 3_600;
const START: i64 = 1_000_000;

/// A store, its issuer's server, and the clock both are tested with.
struct Scene {
    server: Loopback,
    clock: Arc<AtomicI64>,
    notes: Arc<Notes>,
    store: Arc<dyn SignatureKeys>,
}

impl Scene {
    fn new(script: impl Fn(&crate::net::client::loopback::Asked) -> Told + Send + 'static) -> Self {
        Self::with_copy(Loopback::start(script), None)
    }

    fn with_copy(server: Loopback, path: Option<&std::path::Path>) -> Self {
        let (clock, notes) = (Arc::new(AtomicI64::new(START)), Arc::new(Notes::default()));
        let tools = tools_with(ClientSettings::default(), Arc::clone(&clock), Arc::clone(&notes));
        let timing = Timing { refresh: Seconds(300), max_stale: Seconds(3_600) };
        let disk = path.map(|path| DiskCopy::new(path.to_owned(), "issuer"));
        let url = Url::parse(&server.url("/jwks")).unwrap();
        let store = RemoteStore::new(&"issuer".into(), Box::new(Fixed(url)), timing, disk, Arc::clone(&tools.client), &tools);
        Self { server, clock, notes, store: Arc::new(store) }
    }

    fn at(&self, now: i64) {
        self.clock.store(START + now, Ordering::SeqCst);
    }

    fn now(&self) -> i64 {
        self.clock.load(Ordering::SeqCst)
    }

    /// Asks the desk about `kid`, as a request would.
    async fn ask(&self, kid: &str) -> Result<(), Outage> {
        Arc::clone(&self.store).desk().answer(kid, Timestamp(self.now())).await.map(|_| ())
    }

    fn says(&self, kid: &str) -> &'static str {
        says(&self.store, "", Some(kid), self.now())
    }
}

fn ok(keys: &[&IssuerKey]) -> Told {
    Told::ok(set_of(keys))
}

#[tokio::test]
async fn a_rotated_key_is_found_by_one_fetch_and_a_withdrawn_one_goes() {
    let (old, new) = (IssuerKey::new("old"), IssuerKey::new("new"));
    let first = set_of(&[&old]);
    let scene = Scene::new(move |_| Told::ok(first.clone()));
    assert_eq!(scene.says("old"), "unavailable", "nothing is known before the first answer");
    assert!(!scene.store.ready(Timestamp(START)));
    scene.ask("old").await.unwrap();
    assert!(old.is_among(&keys_of(&scene.store, "", Some("old"), scene.now())), "the key itself, not just the name");
    assert!(scene.store.ready(Timestamp(START)));
    let generation = scene.store.generation();

    scene.server.tell(ok(&[&old, &new]));
    assert_eq!(scene.says("new"), "unknown");
    let askers: Vec<_> = (0..100)
        .map(|_| {
            let (desk, now) = (Arc::clone(&scene.store).desk(), scene.now());
            tokio::spawn(async move { desk.answer("new", Timestamp(now)).await.is_ok() })
        })
        .collect();
    for asker in askers {
        assert!(asker.await.unwrap());
    }
    assert_eq!((scene.says("new"), scene.says("old")), ("keys", "keys"), "both, while both are served");
    assert_eq!(scene.server.count(), 2, "a hundred who ask at a time make one fetch");
    assert_eq!(scene.store.generation(), generation, "verdicts that rest on the old key stand");

    scene.server.tell(ok(&[&new]));
    scene.at(30);
    scene.ask("whatever").await.unwrap();
    assert_eq!((scene.says("new"), scene.says("old")), ("keys", "unknown"), "what is not served any more is not believed any more");
    assert_ne!(scene.store.generation(), generation, "and what rests on it falls");
}

#[tokio::test]
async fn a_flood_of_invented_names_buys_one_fetch_a_window() {
    let key = IssuerKey::new("k");
    let set = set_of(&[&key]);
    let scene = Scene::new(move |_| Told::ok(set.clone()));
    scene.ask("k").await.unwrap();
    assert_eq!(scene.server.count(), 1);
    for second in 0..90 {
        scene.at(second);
        for number in 0..50 {
            scene.ask(&format!("invented-{second}-{number}")).await.unwrap();
        }
        assert_eq!(scene.says("k"), "keys", "who has a key is not disturbed");
    }
    assert_eq!(scene.server.count(), 1 + 3, "ninety seconds, three windows");
    scene.at(90);
    scene.ask("invented-60-0").await.unwrap();
    assert_eq!(scene.server.count(), 4, "the name that the last fetch was about is remembered as dead");
    scene.ask("another").await.unwrap();
    assert_eq!(scene.server.count(), 5, "another name is not");
}

#[tokio::test]
async fn a_rotated_key_is_met_within_a_window_of_whoever_invented_one() {
    let (old, new) = (IssuerKey::new("old"), IssuerKey::new("new"));
    let first = set_of(&[&old]);
    let scene = Scene::new(move |_| Told::ok(first.clone()));
    scene.ask("old").await.unwrap();
    scene.ask("invented").await.unwrap();
    scene.server.tell(ok(&[&old, &new]));
    for (second, expected) in [(0, "unknown"), (29, "unknown"), (30, "keys")] {
        scene.at(second);
        scene.ask("new").await.unwrap();
        assert_eq!(scene.says("new"), expected, "{second} seconds after a look in vain");
    }
}

#[tokio::test]
async fn no_bad_answer_takes_the_place_of_a_good_set() {
    let (good, other) = (IssuerKey::new("good"), IssuerKey::new("other"));
    let stolen = set_of(&[&other]).replace("\"x\"", "\"d\":\"AAAA\",\"x\"");
    let mut crowd = vec![other.jwk(); 101].join(",");
    crowd = format!(r#"{{"keys":[{crowd}]}}"#);
    let padded = |extra: usize| format!("{}{}", set_of(&[&good, &other]), " ".repeat(extra));
    let fits = MAX_BYTES - padded(0).len();
    let cases = [
        // what the issuer answers, what is then said of the other key, what the row shows
        (Told::ok("<html><body>maintenance</body></html>"), "unknown", "a page"),
        (Told::ok(""), "unknown", "nothing"),
        (Told::ok("{}"), "unknown", "an empty object"),
        (Told::ok(r#"{"keys":[]}"#), "unknown", "an empty set"),
        (Told::ok(r#"{"keys":null}"#), "unknown", "no set"),
        (
            Told::ok(r#"{"keys":[{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","kid":"other"}]}"#),
            "unknown",
            "a secret for everybody",
        ),
        (Told::ok(stolen), "unknown", "a private key in public"),
        (Told::ok(crowd), "unknown", "a hundred and one keys"),
        (Told::ok(format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))), "unknown", "deep nesting"),
        (Told::ok(padded(fits + 1)), "unknown", "one byte too much"),
        (Told::Endless, "unknown", "no end"),
        (Told::Answer(200, vec![("content-encoding".into(), "gzip".into())], set_of(&[&other]).into()), "unknown", "compressed"),
        (Told::Answer(302, vec![("location".into(), "/elsewhere".into())], set_of(&[&other]).into()), "unknown", "a redirect"),
        (Told::Answer(203, vec![], set_of(&[&other]).into()), "unknown", "from somebody in between"),
        (Told::Answer(304, vec![], vec![]), "unknown", "unchanged, though nothing was said about what we have"),
        (Told::status(500), "unknown", "an error"),
        (Told::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n{\"keys\":[".to_vec()), "unknown", "broken off"),
        (Told::ok(padded(fits)), "keys", "the largest set there may be, to show that any of these could have been taken"),
    ];
    let set = set_of(&[&good]);
    let scene = Scene::new(move |_| Told::ok(set.clone()));
    scene.ask("good").await.unwrap();
    let generation = scene.store.generation();
    for (number, (told, expected, shows)) in (1..).zip(cases) {
        scene.server.tell(told);
        scene.at(number * 60);
        let before = scene.server.count();
        scene.ask("other").await.unwrap();
        assert_eq!(scene.server.count(), before + 1, "it was asked, once: {shows}");
        assert_eq!((scene.says("good"), scene.says("other")), ("keys", expected), "{shows}");
        assert_eq!(scene.store.generation(), generation, "{shows}");
    }
    let failures = scene.notes.0.lock().iter().filter(|note| note.contains("KeyFetch") && note.contains("ok: false")).count();
    assert_eq!(failures, 17, "each bad answer is told");
}

#[tokio::test]
async fn one_bad_key_does_not_take_the_others_along() {
    let key = IssuerKey::new("k");
    let bad = [
        r#"{"kty":"XYZ","kid":"1"}"#,
        r#"{"kty":"RSA","n":"!!!","e":"AQAB","kid":"2"}"#,
        r#"{"kty":"OKP","crv":"Ed25519","x":"AAAA","kid":"3"}"#,
        r#"{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA","kid":"4"}"#,
        r#"{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","kid":"5"}"#,
        r#"5"#,
        r#"{}"#,
    ];
    let set = format!(r#"{{"keys":[{},{}]}}"#, bad.join(","), key.jwk());
    let scene = Scene::new(move |_| Told::ok(set.clone()));
    scene.ask("k").await.unwrap();
    assert_eq!(scene.says("k"), "keys");
    for kid in ["1", "2", "3", "4", "5"] {
        assert_eq!(scene.says(kid), "unknown", "{kid} was left out");
    }
    let told = scene.notes.0.lock().iter().filter(|note| note.contains("KeySkipped")).count();
    assert_eq!(told, bad.len(), "each with its reason");
}

#[tokio::test]
async fn the_last_good_set_serves_through_an_outage_up_to_its_bound_and_no_longer() {
    let key = IssuerKey::new("k");
    let set = set_of(&[&key]);
    let scene = Scene::new(move |_| Told::ok(set.clone()));
    scene.ask("k").await.unwrap();
    scene.server.tell(Told::status(503));
    for now in [REFRESH, REFRESH * 4, MAX_STALE - 1] {
        scene.at(now);
        assert_eq!(scene.says("k"), "keys", "{now} s into the outage a known name is known");
        scene.ask("unknown").await.unwrap();
        assert_eq!(scene.says("unknown"), "unknown", "and an unknown one unknown");
        assert!(scene.store.ready(Timestamp(scene.now())));
    }
    scene.at(MAX_STALE);
    assert_eq!(scene.says("k"), "unavailable", "the bound itself is too late");
    assert!(!scene.store.ready(Timestamp(scene.now())));
    assert_eq!(scene.ask("k").await, Err(Outage::Keys), "undecided, not refused, and never believed");

    let before = scene.server.count();
    for _ in 0..100 {
        assert_eq!(scene.ask("k").await, Err(Outage::Keys));
    }
    assert!(scene.server.count() <= before + 1, "requests do not press an issuer that is down");
    let set = set_of(&[&key]);
    scene.server.follow(move |_| Told::ok(set.clone()));
    scene.at(MAX_STALE + 120);
    scene.ask("k").await.unwrap();
    assert_eq!(scene.says("k"), "keys", "and when it is back, so are we");
}

#[tokio::test]
async fn a_request_waits_a_moment_for_a_slow_issuer_and_others_not_at_all() {
    let (key, late) = (IssuerKey::new("k"), IssuerKey::new("late"));
    let set = set_of(&[&key]);
    let scene = Scene::new(move |_| Told::ok(set.clone()));
    scene.ask("k").await.unwrap();
    scene.server.tell(Told::Hang);
    scene.at(60);
    #[allow(clippy::disallowed_methods, reason = "the wait itself is measured")]
    let start = std::time::Instant::now();
    scene.ask("late").await.unwrap();
    let waited = start.elapsed().as_millis();
    assert!((900..3_000).contains(&waited), "about a second, not the issuer's minute: {waited} ms");
    assert_eq!((scene.says("k"), scene.says("late")), ("keys", "unknown"), "decided by what there is");
    drop(late);
}

#[tokio::test]
async fn an_unchanged_set_is_confirmed_without_being_sent() {
    let key = IssuerKey::new("k");
    let set = set_of(&[&key]);
    let tag = r#""v1""#.to_owned();
    let scene = Scene::new(move |asked| match asked.field("if-none-match") {
        Some(sent) if sent == tag => Told::Answer(304, vec![("etag".into(), tag.clone())], vec![]),
        _ => Told::Answer(200, vec![("etag".into(), tag.clone())], set.clone().into()),
    });
    scene.ask("k").await.unwrap();
    let generation = scene.store.generation();
    for round in 1..=3 {
        scene.at(round * 1_800);
        scene.ask("unknown").await.unwrap();
        assert_eq!(scene.says("k"), "keys", "confirmed, so not outlived after {} s", round * 1_800);
    }
    assert_eq!(scene.server.asked()[0].field("if-none-match"), None, "the first time there is nothing to confirm");
    assert!(scene.server.asked()[1..].iter().all(|asked| asked.field("if-none-match") == Some(r#""v1""#)));
    assert_eq!(scene.store.generation(), generation, "nothing has changed");
}

#[tokio::test]
async fn a_cold_start_survives_an_outage_by_the_copy_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.json");
    let key = IssuerKey::new("k");
    let set = set_of(&[&key]);
    let server = Loopback::start(move |_| Told::ok(set.clone()));
    let before = Scene::with_copy(server.clone(), Some(&path));
    before.ask("k").await.unwrap();
    let generation = before.store.generation();
    for _ in 0..200 {
        if path.exists() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(path.exists(), "a good set is copied");

    server.tell(Told::status(503));
    let after = Scene::with_copy(server.clone(), Some(&path));
    after.at(MAX_STALE - 1);
    after.ask("k").await.unwrap();
    assert_eq!(after.says("k"), "keys", "a new process starts from the copy");
    assert_eq!(after.store.generation(), generation, "and its verdicts are those of the old one");
    after.at(MAX_STALE);
    assert_eq!(after.says("k"), "unavailable", "the copy is as old as its set");

    let late = Scene::with_copy(server.clone(), Some(&path));
    late.at(MAX_STALE);
    assert_eq!(late.ask("k").await, Err(Outage::Keys), "an outlived copy is not taken");
    std::fs::write(&path, "{").unwrap();
    let torn = Scene::with_copy(server, Some(&path));
    assert_eq!(torn.ask("k").await, Err(Outage::Keys), "nor is a torn one");
}

#[tokio::test]
async fn it_fetches_by_itself_and_stops_when_dropped() {
    let key = IssuerKey::new("k");
    let set = set_of(&[&key]);
    let scene = Scene::new(move |_| Told::ok(set.clone()));
    let runner = Arc::clone(&scene.store);
    let task = tokio::spawn(async move { runner.run().await });
    for _ in 0..200 {
        if scene.says("k") == "keys" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(scene.says("k"), "keys", "nobody asked for it");
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(scene.server.count(), 1, "once, since it has not aged");
}

#[tokio::test]
async fn a_clock_that_jumps_neither_forges_keys_nor_hides_them_for_good() {
    let key = IssuerKey::new("k");
    let set = set_of(&[&key]);
    let scene = Scene::new(move |_| Told::ok(set.clone()));
    scene.ask("k").await.unwrap();
    scene.at(10 * 365 * 86_400);
    assert_eq!(scene.says("k"), "unavailable", "ten years on, the set is outlived");
    scene.ask("k").await.unwrap();
    assert_eq!(scene.says("k"), "keys", "and is fetched anew");
    scene.at(0);
    assert_eq!(scene.says("k"), "keys", "back again");
    let before = scene.server.count();
    scene.ask("x").await.unwrap();
    assert_eq!(scene.server.count(), before + 1, "windows of the future hold nothing up");
}
