//! Opaque tokens, put to an endpoint on loopback.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::domain::{Clock, Doubt, Facts, Found, Identity, Need, Observer, Outage, Random, Refusal, RequestView, Step, Target, Timestamp};
use crate::net::client::loopback::{Loopback, Told};
use crate::net::client::{Client, ClientSettings};
use crate::settings::{Checking, Faults, Material, Names, Node, NodeValue};
use crate::state::contract::StateStore;
use crate::state::memory::Memory;
use crate::verify::contract::{Desks, SchemePlan, SchemeTools, Verifier};
use crate::verify::introspection::plan;
use crate::verify::keys::testing::{Notes, Still, map, node, text};

const NOW: i64 = 1_800_000_000;

/// Settings: the least there must be for `endpoint`, with `more` in place or beside.
fn settings(endpoint: &str, more: Vec<(&'static str, NodeValue)>) -> Node {
    let mut entries = vec![
        ("endpoint", text(endpoint).value),
        ("client_id", text("app: one").value),
        ("client_secret", map(vec![("file", NodeValue::Text("secret".into()))])),
        ("issuer", text("https://id.example").value),
    ];
    for (key, value) in more {
        entries.retain(|(known, _)| *known != key);
        entries.push((key, value));
    }
    node(map(entries))
}

fn planned(node: &Node) -> Result<Box<dyn SchemePlan>, Vec<String>> {
    let mut material = Material { base: "/conf".into(), ..Material::default() };
    material.files.insert("/conf/secret".into(), Ok(Arc::from(b"s&cret".as_slice())));
    let (mut faults, names) = (Faults::default(), Names::default());
    let mut checking = Checking { faults: &mut faults, material: &material, names: &names, allow_inline_secrets: false };
    plan(node, &mut checking).ok_or_else(|| faults.sorted().into_iter().map(|fault| fault.says).collect())
}

/// An authenticator, the endpoint it asks, and the clock.
struct Scene {
    server: Loopback,
    clock: Arc<AtomicI64>,
    notes: Arc<Notes>,
    desks: Desks,
    verifier: Arc<dyn Verifier>,
}

impl Scene {
    fn new(told: Told, more: Vec<(&'static str, NodeValue)>) -> Self {
        let server = Loopback::start(move |_| told.clone());
        let plan = planned(&settings(&server.url("/introspect"), more)).unwrap();
        let (clock, notes) = (Arc::new(AtomicI64::new(NOW)), Arc::new(Notes::default()));
        let mut desks = Desks::default();
        let verifier = {
            let client = Arc::new(Client::new(ClientSettings::default()).unwrap());
            let (ticking, still) = (Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(Still) as Arc<dyn Random>);
            let observer = Arc::clone(&notes) as Arc<dyn Observer>;
            let state: Arc<dyn StateStore> = Arc::new(Memory::new(1, crate::domain::Timestamp(0)));
            let mut tools = SchemeTools {
                keys: &BTreeMap::new(),
                verifiers: &BTreeMap::new(),
                state: &state,
                desks: &mut desks,
                client: &client,
                clock: &ticking,
                random: &still,
                observer: &observer,
            };
            plan.build(&"opaque".into(), &mut tools).unwrap()
        };
        Self { server, clock, notes, desks, verifier }
    }

    fn at(&self, now: i64) {
        self.clock.store(NOW + now, Ordering::SeqCst);
    }

    fn find(&self, fields: &[(&str, &str)]) -> Found<'static> {
        with_request(fields, |request| match self.verifier.find(request, &Facts::default()) {
            Step::Done(Found::Present(credential)) => Found::Present(credential.into_owned()),
            Step::Done(Found::Absent) => Found::Absent,
            Step::Done(Found::Foreign(doubt)) => Found::Foreign(doubt),
            Step::Done(Found::Unreadable(doubt)) => Found::Unreadable(doubt),
            other => panic!("no fact is needed to look: {other:?}"),
        })
    }

    /// What becomes of a request that presents `token`, with its one question asked where it must.
    async fn judge(&self, token: &str) -> Result<Arc<Identity>, Refusal> {
        let Found::Present(credential) = self.find(&[("authorization", &format!("Bearer {token}"))]) else { panic!("{token} is found") };
        let mut facts = Facts::default();
        loop {
            let now = self.clock.now();
            let need = match with_request(&[], |request| self.verifier.verify(&credential, request, &facts, now)) {
                Step::Done(identity) => return Ok(identity.into_inner()),
                Step::Refuse(refusal) => return Err(refusal),
                Step::Need(need) => need,
            };
            assert!(!facts.holds(&need), "a fact is asked for once");
            let Need::Ask(question) = need else { panic!("nothing but the desk is needed") };
            let desk = self.desks.get(question.desk).unwrap();
            let answer = desk.answer(&question.about, now).await.map_err(Outage::refusal)?;
            facts.add_answer(question, answer);
        }
    }
}

fn with_request<T>(fields: &[(&str, &str)], look: impl FnOnce(&RequestView<'_>) -> T) -> T {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    let target = Target { path: "/".into(), query: None };
    look(&RequestView {
        method: "GET",
        raw_target: "/",
        target: &target,
        host: "api.example",
        headers: &headers,
        client: [192, 0, 2, 1].into(),
        secure: true,
        request_id: "request",
    })
}

fn active(members: &str) -> Told {
    Told::ok(format!(r#"{{"active":true,"sub":"alice"{members}}}"#))
}

fn seconds(text: &str) -> NodeValue {
    NodeValue::Text(text.into())
}

#[tokio::test]
async fn an_active_token_is_who_its_issuer_says() {
    let scene = Scene::new(
        active(r#","scope":"read write","client_id":"app","exp":1800000100,"nbf":1799999999,"iss":"https://id.example""#),
        vec![],
    );
    let identity = scene.judge("a+b/c~d.e-f_g=").await.unwrap();
    assert_eq!((&*identity.subject, &*identity.issuer), ("alice", "https://id.example"));
    assert_eq!(identity.scopes, ["read".into(), "write".into()].into());
    assert_eq!(identity.expires, Some(Timestamp(NOW + 100)));
    assert_eq!((identity.scheme, &*identity.authenticator), ("introspection", "opaque"));
    assert_eq!(identity.claims.at_path("client_id").and_then(|value| value.as_text()), Some("app"));

    let asked = &scene.server.asked()[0];
    assert!(asked.head.starts_with("POST /introspect HTTP/1.1\r\n"), "{}", asked.head);
    assert_eq!(String::from_utf8_lossy(&asked.body), "token=a%2Bb%2Fc%7Ed.e-f_g%3D", "the token, whole and as a form field");
    // base64 of `app%3A+one:s%26cret`: both are form-encoded first (RFC 6749 section 2.3.1).
    assert_eq!(asked.field("authorization"), Some("Basic YXBwJTNBK29uZTpzJTI2Y3JldA=="));
    assert_eq!(scene.verifier.cache_generation(), None, "no other cache may keep it longer");
    assert_eq!(scene.verifier.challenge(), Some("Bearer"));
}

#[tokio::test]
async fn the_client_may_show_itself_in_the_body() {
    let scene = Scene::new(active(""), vec![("client_auth", text("post").value), ("token_type_hint", text("access_token").value)]);
    scene.judge("t").await.unwrap();
    let asked = &scene.server.asked()[0];
    assert_eq!(asked.field("authorization"), None);
    let body = String::from_utf8_lossy(&asked.body).into_owned();
    assert_eq!(body, "client_id=app%3A+one&client_secret=s%26cret&token_type_hint=access_token&token=t");
}

#[tokio::test]
async fn an_answer_is_judged_member_by_member() {
    let mismatch = |doubt| Err(Refusal::Doubted(doubt));
    let cases = [
        // answer, verdict, what the row shows
        (active(""), Ok(()), "nothing but a subject"),
        (Told::ok(r#"{"active":false}"#), mismatch(Doubt::Revoked), "inactive"),
        (Told::ok(r#"{"active":false,"sub":"alice","exp":"x"}"#), mismatch(Doubt::Revoked), "inactive, whatever else it says"),
        (Told::ok(r#"{"active":true}"#), mismatch(Doubt::ClaimMissing), "nobody"),
        (active(&format!(r#","exp":{}"#, NOW + 1)), Ok(()), "the last good second"),
        (active(&format!(r#","nbf":{}"#, NOW + 30)), Ok(()), "their clock may be ahead"),
        (active(&format!(r#","nbf":{}"#, NOW + 31)), mismatch(Doubt::NotYetValid), "but not by more"),
        (active(r#","iss":"https://id.example""#), Ok(()), "the issuer of the conf"),
        (active(r#","iss":"https://other.example""#), mismatch(Doubt::IssuerMismatch), "another issuer"),
        (active(r#","iss":"https://id.example/""#), mismatch(Doubt::IssuerMismatch), "another by one slash"),
    ];
    for (told, expected, shows) in cases {
        let scene = Scene::new(told, vec![]);
        assert_eq!(scene.judge("t").await.map(|_| ()), expected, "{shows}");
    }
    let scene = Scene::new(active(&format!(r#","exp":{NOW}"#)), vec![]);
    let verdict = scene.judge("t").await;
    let Err(Refusal::Doubted(Doubt::Expired(Some(lapsed)))) = &verdict else { panic!("{verdict:?}") };
    assert_eq!(&*lapsed.get().subject, "alice", "an end that has come, with who it was");
}

#[tokio::test]
async fn whom_a_token_is_for_and_what_it_must_say_is_the_confs_to_decide() {
    let cases = [
        // answer, verdict, what the row shows
        (r#","aud":"app","kind":"user""#, Ok(()), "one name"),
        (r#","aud":["x","app"],"kind":7"#, Ok(()), "several names, another value that is allowed"),
        (r#","aud":"App","kind":"user""#, Err(Doubt::AudienceMismatch), "another name by case"),
        (r#","aud":[],"kind":"user""#, Err(Doubt::AudienceMismatch), "for nobody"),
        (r#","kind":"user""#, Err(Doubt::ClaimMissing), "for nobody in particular"),
        (r#","aud":"app""#, Err(Doubt::ClaimMissing), "a demand that is not met"),
        (r#","aud":"app","kind":"robot""#, Err(Doubt::ClaimMissing), "a value that is not allowed"),
        (r#","aud":"app","kind":"7""#, Err(Doubt::ClaimMissing), "text is no number"),
        (r#","aud":"app","kind":null"#, Err(Doubt::ClaimMissing), "null is no value"),
        (r#","aud":"app","kind":["user"]"#, Err(Doubt::ClaimMissing), "a list is no value"),
    ];
    let both = || NodeValue::List(vec![text("user"), node(NodeValue::Int(7))]);
    for (members, expected, shows) in cases {
        let scene = Scene::new(active(members), vec![("audience", text("app").value), ("require", map(vec![("kind", both())]))]);
        assert_eq!(scene.judge("t").await.map(|_| ()), expected.map_err(Refusal::Doubted), "{shows}");
    }
    let by_client = Scene::new(active(r#","client_id":"batch""#), vec![("subject_from", text("client_id").value)]);
    assert_eq!(&*by_client.judge("t").await.unwrap().subject, "batch", "where there are no users");
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_none() {
    let undecided = Err(Outage::Other.refusal());
    let answers = [
        (Told::ok("{}"), "no verdict"),
        (Told::ok(r#"{"active":"true","sub":"alice"}"#), "a verdict that is text"),
        (Told::ok(r#"{"active":1,"sub":"alice"}"#), "a verdict that is a number"),
        (Told::ok(r#"{"active":null,"sub":"alice"}"#), "a verdict that is null"),
        (Told::ok(r#"{"active":false,"active":true,"sub":"alice"}"#), "two verdicts"),
        (Told::ok(r#"[{"active":true,"sub":"alice"}]"#), "a list"),
        (active(r#","exp":"1800000100""#), "an end that is text"),
        (active(r#","nbf":true"#), "a start that is a flag"),
        (active(r#","aud":{"a":1}"#), "an audience that is an object"),
        (active(r#","iss":["https://id.example"]"#), "an issuer that is a list"),
        (Told::ok(r#"{"active":true,"sub":5}"#), "a subject that is a number"),
        (Told::ok("<html></html>"), "a page"),
        (Told::ok(format!(r#"{{"active":true,"sub":"alice","x":"{}"}}"#, "x".repeat(64 * 1024))), "too much"),
        (Told::ok(format!(r#"{{"active":true,"sub":"alice","x":{}{}}}"#, "[".repeat(50), "]".repeat(50))), "too deep"),
        (Told::Answer(201, vec![], br#"{"active":true,"sub":"alice"}"#.to_vec()), "another status"),
        (Told::Answer(302, vec![("location".into(), "/login".into())], vec![]), "a redirect"),
        (Told::status(401), "our own credentials are refused: that convicts nobody"),
        (Told::status(500), "an error"),
        (Told::Raw(Vec::new()), "nobody there"),
        (Told::Hang, "silence"),
    ];
    for (told, shows) in answers {
        let scene = Scene::new(told, vec![("deadline", seconds("500ms"))]);
        assert_eq!(scene.judge("t").await.map(|_| ()), undecided, "{shows}");
        assert_eq!(scene.judge("t").await.map(|_| ()), undecided, "{shows}");
        assert_eq!(scene.server.count(), 1, "a failing endpoint is not pressed: {shows}");
        assert!(scene.notes.0.lock().iter().any(|note| note.contains("ok: false")), "{shows}");
        scene.at(1);
        scene.server.tell(active(""));
        assert!(scene.judge("t").await.is_ok(), "nothing of it is remembered: {shows}");
    }
}

#[tokio::test]
async fn an_answer_holds_for_a_moment_and_never_beyond_the_tokens_end() {
    let scene = Scene::new(active(&format!(r#","exp":{}"#, NOW + 40)), vec![]);
    scene.judge("t").await.unwrap();
    scene.at(29);
    scene.judge("t").await.unwrap();
    assert_eq!(scene.server.count(), 1, "the last second of the moment");
    scene.server.tell(Told::ok(r#"{"active":false}"#));
    scene.at(30);
    assert_eq!(scene.judge("t").await.map(|_| ()), Err(Refusal::Doubted(Doubt::Revoked)), "revoked, and seen within the moment");
    scene.server.tell(active(""));
    scene.at(39);
    assert!(scene.judge("t").await.is_err(), "a no holds too");
    assert_eq!(scene.server.count(), 2);
    scene.at(40);
    scene.judge("t").await.unwrap();
    assert_eq!(scene.server.count(), 3);

    let short = Scene::new(active(&format!(r#","exp":{}"#, NOW + 10)), vec![]);
    short.judge("t").await.unwrap();
    short.at(10);
    assert!(matches!(short.judge("t").await, Err(Refusal::Doubted(Doubt::Expired(_)))), "its own end comes before ours");
    assert_eq!(short.server.count(), 2, "its end is not taken from memory");

    let never = Scene::new(active(""), vec![("cache", map(vec![("max_age", seconds("0s")), ("negative", seconds("0s"))]))]);
    never.judge("t").await.unwrap();
    never.judge("t").await.unwrap();
    assert_eq!(never.server.count(), 2, "nothing is remembered where the conf says so");
}

#[tokio::test]
async fn an_inactive_token_has_ended_where_its_end_was_known_and_has_come() {
    let ending = active(&format!(r#","exp":{}"#, NOW + 40));
    let inactive = || Told::ok(r#"{"active":false}"#);
    // when it is seen to be inactive, when it is judged again, whether it has lapsed then, what the row shows
    let rows = [
        (40, 40, true, "at its end"),
        (5_000, 5_000, true, "long after"),
        (40, 5_000, true, "again, long after"),
        (35, 35, false, "before its end, though their clock may be ahead"),
        (35, 40, true, "their clock was ahead"),
        (9, 40, false, "revoked: whatever it was to be"),
    ];
    for (seen, judged, lapsed, shows) in rows {
        // An active answer is asked for anew each time.
        let scene = Scene::new(ending.clone(), vec![("cache", map(vec![("max_age", seconds("0s")), ("negative", seconds("10s"))]))]);
        assert!(scene.judge("t").await.is_ok(), "{shows}");
        scene.server.tell(inactive());
        scene.at(seen);
        let first = scene.judge("t").await;
        scene.at(judged);
        let verdict = if seen == judged { first } else { scene.judge("t").await };
        match verdict {
            Err(Refusal::Doubted(Doubt::Expired(Some(identity)))) if lapsed => assert_eq!(&*identity.get().subject, "alice", "{shows}"),
            Err(Refusal::Doubted(Doubt::Revoked)) if !lapsed => {}
            other => panic!("{shows}: {other:?}"),
        }
    }

    let others = [(active(""), "one without an end"), (active(&format!(r#","exp":{},"aud":"x""#, NOW + 40)), "one that was never for us")];
    for (told, shows) in others {
        let scene = Scene::new(told, vec![("audience", text("app").value)]);
        let _ = scene.judge("t").await;
        scene.server.tell(inactive());
        scene.at(5_000);
        assert!(!matches!(scene.judge("t").await, Err(Refusal::Doubted(Doubt::Expired(_)))), "{shows}");
    }

    let scene = Scene::new(ending, vec![]);
    scene.judge("t").await.unwrap();
    scene.server.tell(inactive());
    scene.at(50);
    assert_eq!(scene.judge("other").await.map(|_| ()), Err(Refusal::Doubted(Doubt::Revoked)), "one that was never seen active");
}

#[tokio::test]
async fn an_outage_does_not_stretch_an_answer() {
    let scene = Scene::new(active(""), vec![]);
    scene.judge("t").await.unwrap();
    scene.server.tell(Told::status(503));
    scene.at(29);
    assert!(scene.judge("t").await.is_ok(), "what holds, holds");
    scene.at(30);
    assert_eq!(scene.judge("t").await.map(|_| ()), Err(Outage::Other.refusal()), "what does not is undecided");
}

#[tokio::test]
async fn many_who_bring_one_token_make_one_question_and_each_token_its_own() {
    let scene = Arc::new(Scene::new(Told::status(500), vec![]));
    scene.server.follow(|asked| {
        let token = String::from_utf8_lossy(&asked.body).trim_start_matches("token=").to_owned();
        Told::ok(format!(r#"{{"active":true,"sub":"who-{token}"}}"#))
    });
    let askers: Vec<_> = (0..200)
        .map(|number| {
            let scene = Arc::clone(&scene);
            tokio::spawn(async move {
                let token = format!("t{}", number % 5);
                *scene.judge(&token).await.unwrap().subject == *format!("who-{token}")
            })
        })
        .collect();
    for asker in askers {
        assert!(asker.await.unwrap(), "nobody is taken for another");
    }
    assert_eq!(scene.server.count(), 5);
}

#[test]
fn what_looks_like_a_jwt_is_left_to_others() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _guard = runtime.enter();
    let strict = Scene::new(active(""), vec![]);
    let lenient = Scene::new(active(""), vec![("accept_jwt", NodeValue::Bool(true))]);
    let long = format!("Bearer {}", "a".repeat(4_097));
    let cases = [
        // field, strict, lenient, what the row shows
        (Some("Bearer opaque"), "present", "present", "an opaque token"),
        (Some("Bearer a.b"), "present", "present", "one dot"),
        (Some("Bearer a.b.c"), "foreign", "present", "two dots"),
        (Some("Bearer a.b.c.d.e"), "present", "present", "four dots"),
        (Some(&long[..long.len() - 1]), "present", "present", "the longest token"),
        (Some(&long), "foreign", "foreign", "longer than any token"),
        (Some("Basic YTpi"), "absent", "absent", "another kind of credential"),
        (Some("Bearer a b"), "unreadable", "unreadable", "two words"),
        (None, "absent", "absent", "nothing"),
    ];
    for (field, strictly, leniently, shows) in cases {
        let fields: Vec<(&str, &str)> = field.into_iter().map(|value| ("authorization", value)).collect();
        for (scene, expected) in [(&strict, strictly), (&lenient, leniently)] {
            let found = match scene.find(&fields) {
                Found::Absent => "absent",
                Found::Foreign(_) => "foreign",
                Found::Present(_) => "present",
                Found::Unreadable(_) => "unreadable",
            };
            assert_eq!(found, expected, "{shows}");
        }
    }
}

#[test]
fn the_settings_are_proven() {
    let endpoint = "https://id.example/introspect";
    let cases = [
        // endpoint, more, taken, what the row shows
        (endpoint, vec![], true, "the least"),
        ("http://127.0.0.1:1/x", vec![], true, "on loopback"),
        ("http://id.example/x", vec![], false, "tokens in plaintext"),
        ("https://169.254.169.254/x", vec![], false, "at the metadata service"),
        (endpoint, vec![("deadline", seconds("0s"))], false, "no time at all"),
        (endpoint, vec![("cache", map(vec![("max_age", seconds("2h"))]))], false, "a revoked token would live too long"),
        (endpoint, vec![("subject_from", text("a..b").value)], false, "a path with a gap"),
        (endpoint, vec![("require", map(vec![("", text("x").value)]))], false, "a path that is none"),
        (endpoint, vec![("require", map(vec![("kind", NodeValue::List(vec![]))]))], false, "a demand that nothing meets"),
        (endpoint, vec![("audience", NodeValue::List(vec![]))], false, "for nobody"),
        (endpoint, vec![("client_auth", text("none").value)], false, "a client that does not show itself"),
        (endpoint, vec![("client_secret", text("s&cret").value)], false, "a secret in the conf"),
        (endpoint, vec![("from", map(vec![("header", text("Authorization").value)]))], false, "a place that holds more"),
    ];
    for (endpoint, more, taken, shows) in cases {
        assert_eq!(planned(&settings(endpoint, more)).is_ok(), taken, "{shows}");
    }
    let plan = planned(&settings(endpoint, vec![("from", map(vec![("cookie", text("sid").value)]))])).unwrap();
    assert_eq!(plan.looks_at(), [crate::domain::Place::Cookie("sid".into())]);
    assert!(plan.key_stores().is_empty());
    assert!(!format!("{plan:?}").contains("s&cret"), "a plan shows no secret");
}
