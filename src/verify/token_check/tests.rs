//! Opaque tokens, used for a call to a server on loopback.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::document::Document;
use crate::domain::{
    Claim, Clock, Credential, Doubt, Facts, Found, Identity, Need, Observer, Outage, Place, Random, Refusal, RequestView, Secret, Step,
    Target, Timestamp, TokenPair, Value,
};
use crate::net::client::loopback::{Loopback, Told, silent_port};
use crate::net::client::{Client, ClientSettings};
use crate::settings::section::prove;
use crate::settings::{Checking, Faults, Level, Material, Names};
use crate::state::contract::StateStore;
use crate::state::memory::Memory;
use crate::verify::contract::{Desks, Renewability, SchemePlan, SchemeTools, Verifier};
use crate::verify::keys::testing::{Notes, Still};
use crate::verify::lasting::Lasting;
use crate::verify::token_check::ENTRY;

const NOW: i64 = 1_800_000_000;

/// The rest of the settings of most rows.
const WHO: &str = "headers: { Authorization: 'Bearer {token}' }, subject: /user/id, issuer: vendor";

type Planned = (Option<Box<dyn SchemePlan>>, Vec<String>);

/// The plan of `yaml`, as the conf's own reader makes it, and every fault and warning.
fn planned(yaml: &str) -> Planned {
    let document = Document::read("c.yaml", yaml.as_bytes()).unwrap();
    let mut faults = Faults::default();
    prove(ENTRY.shape, ENTRY.name, &document.root, &mut faults);
    let variables = [("SECRET", "s&c:r t"), ("OTHER", "o&h:e r")];
    let material = Material {
        base: PathBuf::new(),
        variables: variables.map(|(name, value)| (name.to_owned(), Some(Secret::new(value.as_bytes().to_vec())))).into(),
        ..Material::default()
    };
    let names = Names::default();
    let plan = (faults.errors() == 0)
        .then(|| {
            let mut checking = Checking { faults: &mut faults, material: &material, names: &names, allow_inline_secrets: false };
            (ENTRY.plan)(&document.root, &mut checking)
        })
        .flatten();
    let told = faults.sorted().into_iter().map(|fault| match fault.level {
        Level::Error => fault.says,
        Level::Warning => format!("warning: {}", fault.says),
    });
    (plan, told.collect())
}

/// An authenticator, the server it asks, and the clock.
struct Scene {
    server: Loopback,
    clock: Arc<AtomicI64>,
    notes: Arc<Notes>,
    desks: Desks,
    verifier: Arc<dyn Verifier>,
}

impl Scene {
    /// The authenticator of `settings`, at a server that answers everything with `told`.
    fn new(told: Told, settings: &str) -> Self {
        let server = Loopback::start(move |_| told.clone());
        let yaml = format!("{{ url: '{}', {settings} }}", server.url("/me?check=1"));
        Self::at_server(server, &yaml, Lasting::default())
    }

    fn at_server(server: Loopback, yaml: &str, lasting: Lasting) -> Self {
        let (plan, told) = planned(yaml);
        let plan = plan.unwrap_or_else(|| panic!("{yaml}\n{told:#?}"));
        let (clock, notes) = (Arc::new(AtomicI64::new(NOW)), Arc::new(Notes::default()));
        let mut desks = Desks::with(lasting);
        let verifier = {
            let client = Arc::new(Client::new(ClientSettings::default()).unwrap());
            let (ticking, still) = (Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(Still) as Arc<dyn Random>);
            let observer = Arc::clone(&notes) as Arc<dyn Observer>;
            let state: Arc<dyn StateStore> = Arc::new(Memory::new(1, Timestamp(0)));
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

    fn find(&self, target: &str, fields: &[(&str, &str)]) -> Found<'static> {
        with_request(target, fields, |request| match self.verifier.find(request, &Facts::default()) {
            Step::Done(Found::Present(credential)) => Found::Present(credential.into_owned()),
            Step::Done(Found::Absent) => Found::Absent,
            Step::Done(Found::Foreign(doubt)) => Found::Foreign(doubt),
            Step::Done(Found::Unreadable(doubt)) => Found::Unreadable(doubt),
            other => panic!("no fact is needed to look: {other:?}"),
        })
    }

    /// What becomes of a request that presents `token`, with its one question asked where it must.
    async fn judge(&self, token: &str) -> Result<Arc<Identity>, Refusal> {
        let credential = Credential::new(vec![token.to_owned().into()], Vec::new());
        let mut facts = Facts::default();
        loop {
            let now = self.clock.now();
            let need = match with_request("/", &[], |request| self.verifier.verify(&credential, request, &facts, now)) {
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

    /// The same, in a word.
    async fn verdict(&self, token: &str) -> String {
        match self.judge(token).await {
            Ok(identity) => identity.subject.to_string(),
            Err(Refusal::Doubted(Doubt::Expired(Some(lapsed)))) => format!("expired {}", lapsed.get().subject),
            Err(refusal) => refusal.reason().as_str().to_owned(),
        }
    }
}

fn with_request<T>(target: &str, fields: &[(&str, &str)], look: impl FnOnce(&RequestView<'_>) -> T) -> T {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query.into())));
    let read = Target { path: path.into(), query };
    look(&RequestView {
        method: "GET",
        raw_target: target,
        target: &read,
        host: "api.example",
        headers: &headers,
        client: [192, 0, 2, 1].into(),
        secure: true,
        request_id: "request",
    })
}

fn json(status: u16, body: &str) -> Told {
    Told::Answer(status, vec![("content-type".into(), "application/json".into())], body.into())
}

fn page(status: u16) -> Told {
    Told::Answer(status, vec![("content-type".into(), "text/html; charset=utf-8".into())], r#"{"user":{"id":"alice"}}"#.into())
}

/// A success, with `more` members.
fn alice(more: &str) -> Told {
    json(200, &format!(r#"{{"user":{{"id":"alice"}}{more}}}"#))
}

#[tokio::test]
async fn a_token_that_the_call_takes_is_whose_the_answer_says() {
    let settings = format!(
        "{WHO}, scopes: /may, expires_in: {{ pointer: /left, unit: milliseconds }}, claims: {{ mail: /user/mail, roles: /roles, gone: /gone }}"
    );
    let answer = r#"{"user":{"id":"alice","mail":"a@b.example","card":"4111"},"may":["read","write"],"roles":[1,"x"],"left":"100999"}"#;
    let scene = Scene::new(json(200, answer), &settings);
    let identity = scene.judge("a+b/c~d.e-f_g=").await.unwrap();
    assert_eq!((&*identity.subject, &*identity.issuer), ("alice", "vendor"));
    assert_eq!(identity.scopes, ["read".into(), "write".into()].into());
    assert_eq!(identity.expires, Some(Timestamp(NOW + 100)));
    assert_eq!((identity.scheme, &*identity.authenticator), ("token_check", "opaque"));
    assert_eq!(identity.claims.member("mail").and_then(Claim::as_text), Some("a@b.example"));
    assert_eq!(identity.claims.member("roles").and_then(Claim::as_list).map(Iterator::count), Some(2));
    let Value::Map(claims) = identity.claims.to_value() else { panic!("claims are an object") };
    assert_eq!(claims.len(), 2, "what the conf does not name is not kept, and what is not there is left out: {claims:?}");

    let asked = &scene.server.asked()[0];
    assert!(asked.head.starts_with("GET /me?check=1 HTTP/1.1\r\n"), "{}", asked.head);
    assert_eq!((asked.field("authorization"), asked.body.len()), (Some("Bearer a+b/c~d.e-f_g="), 0));
    assert_eq!(scene.verifier.cache_generation(), None, "no other cache may keep it longer");
    assert_eq!(scene.verifier.challenge(), Some("Bearer"));
}

#[tokio::test]
async fn a_token_goes_where_the_conf_puts_it_encoded_for_that_place() {
    let rest = "subject: /user/id, issuer: vendor, secrets: { key: { env: SECRET } }";
    let rows = [
        // settings, request line, a field, the body, what the row shows
        (
            "method: POST, form: { access_token: '{token}', key: '{secrets.key}', type_name: user }",
            "POST",
            ("content-type", "application/x-www-form-urlencoded"),
            "access_token=t%2Be%3D%26x&key=s%26c%3Ar+t&type_name=user",
            "a form",
        ),
        (
            "method: PUT, json: { token: '{token}', deep: [{ key: '{secrets.key}' }, 7] }",
            "PUT",
            ("content-type", "application/json"),
            r#"{"token":"t+e=&x","deep":[{"key":"s&c:r t"},7]}"#,
            "JSON",
        ),
        ("headers: { Authorization: 'OAuth {token}', X-Key: '{secrets.key}' }", "GET", ("authorization", "OAuth t+e=&x"), "", "a header"),
        ("headers: { Cookie: 'sid={token}; key={secrets.key}' }", "GET", ("cookie", "sid=t+e=&x; key=s&c:r t"), "", "a cookie"),
    ];
    for (settings, method, (name, value), body, shows) in rows {
        let scene = Scene::new(alice(""), &format!("{settings}, {rest}"));
        assert_eq!(scene.verdict("t+e=&x").await, "alice", "{shows}");
        let asked = &scene.server.asked()[0];
        assert!(asked.head.starts_with(&format!("{method} /me?check=1 ")), "{shows}: {}", asked.head);
        assert_eq!((asked.field(name), &*String::from_utf8_lossy(&asked.body)), (Some(value), body), "{shows}");
    }
}

#[tokio::test]
async fn the_rules_of_the_conf_say_what_an_answer_means() {
    let usual = WHO.to_owned();
    let told = format!(
        "{WHO}, expired: [{{ status: 200, when: {{ pointer: /code, equals: 414 }} }}, {{ status: 419 }}], \
         refused: [{{ when: {{ pointer: /stat, equals: error }} }}, {{ status: [401, 403] }}], \
         success: {{ status: [200, 203], when: {{ pointer: /stat, equals: [ok, fine] }} }}"
    );
    let open = format!("{WHO}, success: {{ when: {{ pointer: /stat, equals: ok }} }}");
    let bound = format!("{WHO}, require: {{ /app: [ours, 7], /user/active: true }}");
    let scoped = format!("{WHO}, scopes: /may");
    let rows: Vec<(&str, Told, &str, &str)> = vec![
        (&usual, alice(""), "alice", "a success"),
        (&usual, json(200, r#"{"user":{"id":42}}"#), "42", "users that are counted"),
        (&usual, Told::status(401), "revoked", "401 unless the conf says otherwise"),
        (&usual, Told::status(403), "undecidable", "403 may be about us"),
        (&usual, Told::status(404), "undecidable", "a status that nobody spoke of"),
        (&usual, json(201, r#"{"user":{"id":"alice"}}"#), "undecidable", "another success"),
        (&usual, page(401), "undecidable", "no page refuses"),
        (&usual, page(200), "undecidable", "nor admits, whatever it holds"),
        (&told, alice(r#","stat":"ok""#), "alice", "a success that says so"),
        (&told, json(203, r#"{"user":{"id":"alice"},"stat":"fine"}"#), "alice", "in other words"),
        (&told, alice(""), "undecidable", "one that does not"),
        (&told, alice(r#","stat":"OK""#), "undecidable", "case counts"),
        (&told, alice(r#","stat":["ok"]"#), "undecidable", "a list is no text"),
        (&told, alice(r#","stat":"error""#), "revoked", "an error with the status of a success"),
        (&told, alice(r#","stat":"error","code":414"#), "expired", "an end, asked first, of a token that nobody knew"),
        (&told, alice(r#","stat":"ok","code":414"#), "expired", "what ends is stronger than what admits"),
        (&told, alice(r#","stat":"error","code":"414""#), "revoked", "text is no number"),
        (&told, Told::status(419), "expired", "a status alone"),
        (&told, page(419), "undecidable", "but no page"),
        (&told, Told::status(403), "revoked", "what is written"),
        (&told, json(500, r#"{"stat":"error"}"#), "revoked", "of any status"),
        (&open, alice(r#","stat":"ok""#), "alice", "of any status of success"),
        (&open, json(500, r#"{"user":{"id":"alice"},"stat":"ok"}"#), "undecidable", "and of no other"),
        (&open, json(302, r#"{"user":{"id":"alice"},"stat":"ok"}"#), "undecidable", "nor a redirect"),
        (&bound, alice(r#","app":"ours""#), "claim_missing", "one of two demands"),
        (&bound, json(200, r#"{"user":{"id":"alice","active":true},"app":"ours"}"#), "alice", "both"),
        (&bound, json(200, r#"{"user":{"id":"alice","active":true},"app":7}"#), "alice", "another value that is allowed"),
        (&bound, json(200, r#"{"user":{"id":"alice","active":true},"app":"theirs"}"#), "claim_missing", "made for another house"),
        (&bound, json(200, r#"{"user":{"id":"alice","active":"true"},"app":"ours"}"#), "claim_missing", "text is not true"),
        (&bound, json(200, r#"{"user":{"id":"alice","active":true},"app":["ours"]}"#), "claim_missing", "a list is no value"),
        (&scoped, alice(r#","may":"read write""#), "alice", "scopes in one text"),
        (&scoped, alice(""), "alice", "none"),
        (&scoped, alice(r#","may":{"read":true}"#), "undecidable", "scopes that have no reading"),
    ];
    for (settings, told, expected, shows) in rows {
        let scene = Scene::new(told, settings);
        assert_eq!(scene.verdict("t").await, expected, "{shows}");
        assert_eq!(scene.server.count(), 1, "{shows}");
    }
}

#[tokio::test]
async fn an_answer_without_a_reading_neither_admits_nor_convicts() {
    let settings = format!("{WHO}, deadline: 500ms, expires_at: {{ pointer: /end, unit: seconds }}");
    let long = "x".repeat(64 * 1024);
    let answers = [
        (json(200, "{}"), "nobody"),
        (json(200, r#"{"user":{"id":null}}"#), "null is nobody"),
        (json(200, r#"{"user":{"id":""}}"#), "an empty name"),
        (json(200, r#"{"user":{"id":"a\nb"}}"#), "a name with a line break"),
        (json(200, r#"{"user":{"id":["alice"]}}"#), "a list of names"),
        (json(200, r#"{"user":{"id":1.5}}"#), "a number that counts nobody"),
        (json(200, r#"{"user":{"id":"alice"},"user":{"id":"bob"}}"#), "two users"),
        (json(200, r#"[{"user":{"id":"alice"}}]"#), "a list"),
        (json(200, r#"{"user":{"id":"alice"}} {}"#), "more than one value"),
        (alice(r#","end":"soon""#), "an end that is text"),
        (alice(&format!(r#","end":{}"#, NOW * 1_000)), "an end in milliseconds, which lies in another age"),
        (json(200, ""), "nothing"),
        (json(200, "ok"), "a word"),
        (alice(&format!(r#","x":"{long}""#)), "too much"),
        (alice(&format!(r#","x":{}{}"#, "[".repeat(50), "]".repeat(50))), "too deep"),
        (Told::Endless, "an answer without end"),
        (Told::Answer(200, vec![("content-encoding".into(), "gzip".into())], br#"{"user":{"id":"alice"}}"#.to_vec()), "compressed"),
        (Told::Answer(302, vec![("location".into(), "/login".into())], vec![]), "a redirect"),
        (Told::status(500), "an error"),
        (Told::status(503), "not ready"),
        (Told::status(429), "asked too often"),
        (Told::Raw(Vec::new()), "nobody there"),
        (Told::Trickle(vec![b' '; 200]), "too slow"),
        (Told::Hang, "silence"),
    ];
    for (told, shows) in answers {
        let scene = Scene::new(told, &settings);
        for _ in 0..2 {
            assert_eq!(scene.judge("t").await.map(|_| ()), Err(Outage::Other.refusal()), "{shows}");
        }
        assert_eq!(scene.server.count(), 1, "nobody is pressed for an answer: {shows}");
        assert!(scene.notes.0.lock().iter().any(|note| note.contains("ok: false")), "{shows}");
        scene.at(1);
        scene.server.tell(alice(""));
        assert_eq!(scene.verdict("t").await, "alice", "nothing of it is remembered: {shows}");
    }
    let settings = format!("{{ url: 'http://{}/', {WHO} }}", silent_port());
    let scene = Scene::at_server(Loopback::start(|_| Told::Hang), &settings, Lasting::default());
    assert_eq!(scene.verdict("t").await, "undecidable", "nobody listens");
}

#[tokio::test]
async fn one_whom_the_endpoint_chokes_on_stops_nobody_else() {
    let chokes = [
        (Told::status(500), false, "an error of its own"),
        (Told::status(400), false, "a token that it cannot read"),
        (page(200), false, "a page"),
        (Told::Endless, false, "a profile without end"),
        (Told::status(429), true, "it has enough"),
        (Told::status(503), true, "it is not ready"),
        (Told::Raw(Vec::new()), true, "it is not there"),
    ];
    for (told, all, shows) in chokes {
        let scene = Scene::new(alice(""), WHO);
        scene.server.follow(move |asked| if asked.head.contains("Bearer bad") { told.clone() } else { alice("") });
        assert_eq!(scene.verdict("bad").await, "undecidable", "{shows}");
        assert_eq!(scene.verdict("good").await, if all { "undecidable" } else { "alice" }, "{shows}");
        scene.at(1);
        assert_eq!(scene.verdict("good").await, "alice", "a second later: {shows}");
    }
}

#[tokio::test]
async fn an_answer_holds_for_a_moment_and_never_beyond_the_tokens_end() {
    let settings = format!("{WHO}, expires_at: {{ pointer: /end, unit: seconds }}");
    let scene = Scene::new(alice(""), &settings);
    assert_eq!(scene.verdict("t").await, "alice");
    scene.server.tell(Told::status(401));
    scene.at(59);
    assert_eq!((scene.verdict("t").await, scene.server.count()), ("alice".into(), 1), "the last second of the moment");
    scene.at(60);
    assert_eq!((scene.verdict("t").await, scene.server.count()), ("revoked".into(), 2), "taken back, and seen within the moment");
    scene.server.tell(alice(""));
    scene.at(69);
    assert_eq!((scene.verdict("t").await, scene.server.count()), ("revoked".into(), 2), "a no holds too");
    scene.at(70);
    assert_eq!((scene.verdict("t").await, scene.server.count()), ("alice".into(), 3), "for less long");
    scene.server.tell(Told::status(500));
    scene.at(129);
    assert_eq!(scene.verdict("t").await, "alice", "what holds, holds through an outage");
    scene.at(130);
    assert_eq!(scene.verdict("t").await, "undecidable", "which stretches nothing");

    let short = Scene::new(alice(&format!(r#","end":{}"#, NOW + 10)), &settings);
    short.at(9);
    assert_eq!(short.verdict("t").await, "alice", "the last good second");
    short.at(10);
    assert_eq!(
        (short.verdict("t").await, short.server.count()),
        ("expired alice".into(), 2),
        "its own end comes before ours, and is asked about"
    );
    short.at(19);
    assert_eq!((short.verdict("t").await, short.server.count()), ("expired alice".into(), 2), "an end is a no, and holds like one");
    short.server.tell(alice(&format!(r#","end":{}"#, NOW + 100)));
    short.at(20);
    assert_eq!((short.verdict("t").await, short.server.count()), ("alice".into(), 3), "where an end moves on, it is seen");

    let never = Scene::new(alice(""), &format!("{WHO}, cache: {{ max_age: 0s, negative: 0s }}"));
    never.verdict("t").await;
    never.verdict("t").await;
    assert_eq!(never.server.count(), 2, "nothing is remembered where the conf says so");
    never.server.tell(Told::status(401));
    never.verdict("t").await;
    never.verdict("t").await;
    assert_eq!(never.server.count(), 4, "nor that it is not good");
}

#[tokio::test]
async fn a_token_that_has_ended_is_known_by_its_holder_only_if_it_was_good_before() {
    let settings = format!(
        "{WHO}, expires_in: {{ pointer: /left, unit: seconds }}, expired: {{ status: 419 }}, cache: {{ max_age: 0s, negative: 10s }}"
    );
    let (lasting, ending) = (alice(""), alice(r#","left":40"#));
    let (expired, refused) = (Told::status(419), Told::status(401));
    let unfit = json(200, r#"{"nobody":true}"#);
    let rows = [
        // while it is good, then at that second, judged again at that second, verdict, what the row shows
        (&lasting, &expired, 5, 5, "expired alice", "the endpoint says that it is an end"),
        (&lasting, &expired, 5, 5_000, "expired alice", "and says it long after"),
        (&lasting, &refused, 5, 5, "revoked", "refused, of no known end"),
        (&ending, &refused, 9, 40, "revoked", "refused long before its end: taken back, whatever it was to be"),
        (&ending, &refused, 10, 10, "expired alice", "their clock may be ahead of ours by half a minute"),
        (&ending, &refused, 40, 40, "expired alice", "refused at its end"),
        (&ending, &refused, 40, 5_000, "expired alice", "and long after"),
        (&ending, &unfit, 40, 40, "undecidable", "an answer without a reading ends nothing"),
    ];
    for (good, then, seen, judged, expected, shows) in rows {
        let scene = Scene::new(good.clone(), &settings);
        assert_eq!(scene.verdict("t").await, "alice", "{shows}");
        scene.server.tell(then.clone());
        scene.at(seen);
        let first = scene.verdict("t").await;
        scene.at(judged);
        let verdict = if seen == judged { first } else { scene.verdict("t").await };
        assert_eq!(verdict, expected, "{shows}");
        let stranger = scene.verdict("other").await;
        assert!(!stranger.contains("alice"), "nobody else is taken for its holder: {shows}: {stranger}");
    }
    let scene = Scene::new(expired, &settings);
    assert!(matches!(scene.judge("t").await, Err(Refusal::Doubted(Doubt::Expired(None)))), "one that was never seen good has no holder");

    let bound = format!("{settings}, require: {{ /app: ours }}");
    let scene = Scene::new(alice(r#","app":"ours""#), &bound);
    assert_eq!(scene.verdict("t").await, "alice");
    scene.server.tell(alice(r#","app":"theirs""#));
    assert_eq!(scene.verdict("t").await, "claim_missing");
    scene.server.tell(Told::status(419));
    scene.at(100);
    assert_eq!(scene.verdict("t").await, "expired", "what is none of ours any more renews nothing");
}

#[tokio::test]
async fn many_who_bring_one_token_make_one_call_and_each_token_its_own() {
    let scene = Arc::new(Scene::new(Told::status(500), WHO));
    scene.server.follow(|asked| {
        let token = asked.field("authorization").unwrap().trim_start_matches("Bearer ").to_owned();
        json(200, &format!(r#"{{"user":{{"id":"who-{token}"}}}}"#))
    });
    let askers: Vec<_> = (0..200)
        .map(|number| {
            let scene = Arc::clone(&scene);
            tokio::spawn(async move {
                let token = format!("t{}", number % 5);
                scene.verdict(&token).await == format!("who-{token}")
            })
        })
        .collect();
    for asker in askers {
        assert!(asker.await.unwrap(), "nobody is taken for another");
    }
    assert_eq!(scene.server.count(), 5);
}

#[tokio::test]
async fn without_a_subject_the_token_is_its_own_name() {
    let settings = "headers: { Authorization: 'Bearer {token}' }, issuer: vendor, success: { when: { pointer: /status, equals: 200 } }";
    let scene = Scene::new(json(200, r#"{"status":200}"#), settings);
    let (one, again, other) = (scene.verdict("t1").await, scene.verdict("t1").await, scene.verdict("t2").await);
    assert!(one.starts_with("token-") && one.len() == 28, "{one}");
    assert!(one == again && one != other, "one token, one name: {one} {again} {other}");
    assert!(!one.contains("t1"), "from which it cannot be told");
    scene.server.tell(json(200, r#"{"status":401}"#));
    assert_eq!(scene.verdict("t3").await, "undecidable", "a status of 200 alone admits nobody");
}

#[tokio::test]
async fn what_a_renewal_brought_is_judged_like_any_token() {
    let scene = Scene::new(alice(""), WHO);
    let long = "t".repeat(4_097);
    for (token, expected, shows) in [
        (&long[..4_096], None, "the longest token"),
        (long.as_str(), Some(()), "one byte longer"),
        ("t;tenant=b", Some(()), "one that would be two cookies"),
        ("t\" x=\"", Some(()), "one that would end a quoted string"),
        ("t\r\nX-Admin: yes", Some(()), "one that would be two fields"),
        ("", Some(()), "none"),
    ] {
        let pair = TokenPair {
            access: Secret::new(token.as_bytes().to_vec()),
            refresh: None,
            access_until: None,
            refresh_until: None,
            beside: Value::empty(),
        };
        let step = with_request("/", &[], |request| scene.verifier.readmit(&pair, request, &Facts::default(), Timestamp(NOW)));
        let refused = match step {
            Step::Need(Need::Ask(_)) => None,
            Step::Refuse(Refusal::Doubted(Doubt::Malformed)) => Some(()),
            other => panic!("{shows}: {other:?}"),
        };
        assert_eq!(refused, expected, "{shows}");
    }
    assert_eq!(scene.server.count(), 0, "nothing was sent");
}

#[test]
fn a_token_is_found_where_the_conf_says_and_nowhere_else() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _guard = runtime.enter();
    let usual = Scene::new(alice(""), WHO);
    let jwt = Scene::new(alice(""), &format!("{WHO}, accept_jwt: true"));
    let oauth = Scene::new(alice(""), &format!("{WHO}, from: {{ header: Authorization, prefix: 'OAuth ' }}"));
    let web =
        "[{ header: X-Token, prefix: 'Bearer ' }, { query: authorization, prefix: 'Bearer ' }, { cookie: sid, prefix: 's:' }, bearer]";
    let web = Scene::new(alice(""), &format!("{WHO}, from: {web}"));
    let long = format!("Bearer {}", "a".repeat(4_097));
    let rows: Vec<(&Scene, &str, &str, &str, &str, &str)> = vec![
        // authenticator, target, field, its value, outcome, what the row shows
        (&usual, "/", "authorization", "Bearer opaque", "opaque", "an opaque token"),
        (&usual, "/", "authorization", "Bearer a.b.c", "foreign", "what looks like a JWT"),
        (&jwt, "/", "authorization", "Bearer a.b.c", "a.b.c", "which is taken where the conf says so"),
        (&usual, "/", "authorization", &long[..long.len() - 1], &long[7..long.len() - 1], "the longest token"),
        (&usual, "/", "authorization", &long, "foreign", "longer than any token"),
        (&usual, "/", "authorization", "Basic YTpi", "absent", "another kind of credential"),
        (&usual, "/", "authorization", "Bearer a b", "unreadable", "two words"),
        (&usual, "/", "authorization", "Bearer ", "unreadable", "no word"),
        (&usual, "/", "x-token", "opaque", "absent", "a place that the conf does not name"),
        (&oauth, "/", "authorization", "OAuth fa37j4x9kq2b8m5n", "fa37j4x9kq2b8m5n", "an auth-scheme of its own"),
        (&oauth, "/", "authorization", "oauth t", "t", "whose case does not count"),
        (&oauth, "/", "authorization", "Bearer t", "absent", "another auth-scheme is another's"),
        (&oauth, "/", "authorization", "Signature app:c2lnbmF0dXJl", "absent", "so is this one"),
        (&oauth, "/", "authorization", "OAuth", "unreadable", "nothing behind it"),
        (&oauth, "/", "authorization", "OAuth  t", "unreadable", "two spaces"),
        (&oauth, "/", "authorization", "OAuth oauth_token=\"t\", oauth_nonce=\"1\"", "unreadable", "OAuth 1.0, which is another thing"),
        (&oauth, "/", "authorization", "Bearer x, OAuth t", "unreadable", "joined by something in front of us"),
        (&web, "/", "x-token", "Bearer t", "t", "a word in a header of its own"),
        (&web, "/", "x-token", "bearer t", "t", "whose case does not count"),
        (&web, "/", "x-token", "t", "unreadable", "without the word"),
        (&web, "/", "x-token", "Bearer ", "unreadable", "without the token"),
        (&web, "/", "x-token", "Bearer t u", "unreadable", "a space in the token"),
        (&web, "/", "x-token", "Bearer t;tenant=b", "unreadable", "one that would be two cookies"),
        (&web, "/", "x-token", "Bearer \u{74}\"", "unreadable", "a quote"),
        (&web, "/?authorization=Bearer%20t&x=1", "x-other", "1", "t", "in the query, encoded"),
        (&web, "/?authorization=Bearer+t", "x-other", "1", "t", "in the other way"),
        (&web, "/?authorization=Bearer%20t%0d%0aX:%20y", "x-other", "1", "unreadable", "a line break"),
        (&web, "/?authorization=Bearer%20t%c3%a9", "x-other", "1", "unreadable", "beyond ASCII"),
        (&web, "/?authorization=%c3%a9%c3%a9%c3%a9%c3%a9", "x-other", "1", "unreadable", "no word, cut within a letter"),
        (&web, "/?authorization=Bearer%20t&authorization=Bearer%20t", "x-other", "1", "unreadable", "twice"),
        (&web, "/", "cookie", "a=b; sid=s:t; c=d", "t", "behind a mark in a cookie"),
        (&web, "/", "cookie", "sid=t", "unreadable", "a cookie without it"),
        (&web, "/?authorization=Bearer%20t", "authorization", "Bearer t", "t", "two places that agree"),
        (&web, "/?authorization=Bearer%20t", "authorization", "Bearer u", "unreadable", "two that do not"),
        (&web, "/?authorization=t", "authorization", "Bearer t", "unreadable", "one of which has no reading"),
    ];
    for (scene, target, name, value, expected, shows) in rows {
        let outcome = match scene.find(target, &[(name, value)]) {
            Found::Absent => "absent".to_owned(),
            Found::Foreign(_) => "foreign".to_owned(),
            Found::Present(credential) => credential.part(0).to_owned(),
            Found::Unreadable(_) => "unreadable".to_owned(),
        };
        assert_eq!(outcome, expected, "{shows}: {target} {name}: {value}");
    }
    assert_eq!((oauth.verifier.challenge(), web.verifier.challenge()), (Some("OAuth"), Some("Bearer")));
}

#[test]
fn a_token_in_a_form_is_found_once_the_body_is_there() {
    const FORM: &str = "application/x-www-form-urlencoded";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _guard = runtime.enter();
    let scene = Scene::new(alice(""), &format!("{WHO}, from: [{{ form: oauth_token }}, {{ query: oauth_token }}]"));
    let plain = Scene::new(alice(""), WHO);
    let rows = [
        // target, content type, body, outcome, what the row shows
        ("/", FORM, "a=b&oauth_token=t%2B1", "t+1", "in a form"),
        ("/?oauth_token=t", FORM, "oauth_token=t", "t", "two that agree"),
        ("/?oauth_token=t", FORM, "oauth_token=u", "unreadable", "two that do not"),
        ("/?oauth_token=t", "application/json", "{}", "t", "in the query, beside a body that is no form"),
        ("/", FORM, "OAUTH_TOKEN=t", "absent", "another name"),
        ("/", FORM, "oauth_token=t&oauth_token=t", "unreadable", "twice"),
        ("/", FORM, "oauth_token=", "unreadable", "empty"),
        ("/", FORM, "oauth_token=a%20b", "unreadable", "two words"),
        ("/", "text/plain", "oauth_token=t", "absent", "a form that does not say it is one"),
        ("/", "application/x-www-form-urlencoded; charset=utf-16", "oauth_token=t", "unreadable", "in another charset"),
    ];
    for (target, kind, body, expected, shows) in rows {
        let fields = [("content-type", kind)];
        let mut facts = Facts::default();
        let asked = with_request(target, &fields, |request| matches!(scene.verifier.find(request, &facts), Step::Need(Need::Body)));
        assert_eq!(asked, kind == FORM, "{shows}: a body is read only where it is a form");
        facts.add_body(body.to_owned().into());
        let found = with_request(target, &fields, |request| match scene.verifier.find(request, &facts) {
            Step::Done(Found::Absent) => "absent".to_owned(),
            Step::Done(Found::Present(credential)) => credential.part(0).to_owned(),
            Step::Done(Found::Unreadable(_)) => "unreadable".to_owned(),
            other => panic!("{shows}: {other:?}"),
        });
        assert_eq!(found, expected, "{shows}: {body}");
        let looks = with_request(target, &fields, |request| matches!(plain.verifier.find(request, &Facts::default()), Step::Done(_)));
        assert!(looks, "{shows}: where no form is named, none is asked for");
    }
}

#[tokio::test]
async fn what_is_known_outlives_a_reload_that_changes_nothing_it_rests_on() {
    let server = Loopback::start(|_| alice(""));
    let settings =
        |more: &str| format!("{{ url: '{}', {WHO}, secrets: {{ a: {{ env: SECRET }}, b: {{ env: OTHER }} }}{more} }}", server.url("/me"));
    let first_settings = settings(", cache: { max_age: 60s }");
    let with_key = |key: &str| settings("").replace("'Bearer {token}'", &format!("'Bearer {{token}}', X-Key: '{{secrets.{key}}}'"));
    let rows = [
        (first_settings.clone(), first_settings.clone(), true, "the same"),
        (first_settings.clone(), settings(", from: { header: X-Token }"), true, "another place to find tokens in"),
        (first_settings.clone(), settings(", cache: { max_age: 30s }"), false, "another time to hold"),
        (first_settings.clone(), settings(", require: { /app: ours }"), false, "another demand"),
        (first_settings.clone(), settings(", expired: { status: 419 }"), false, "another rule"),
        (first_settings.clone(), first_settings.replace("/user/id", "/user/name"), false, "another subject"),
        (with_key("a"), with_key("b"), false, "another secret of one length"),
        (with_key("a"), with_key("a").replace("SECRET", "OTHER"), false, "another text of one secret"),
    ];
    for (before, after, kept, shows) in rows {
        let first = Scene::at_server(server.clone(), &before, Lasting::default());
        assert_eq!(first.verdict("t").await, "alice", "{shows}");
        let asked = server.count();
        let mut desks = first.desks;
        let second = Scene::at_server(server.clone(), &after, desks.lasting().successor());
        second.verdict("t").await;
        assert_eq!(server.count() == asked, kept, "{shows}");
    }
}

#[test]
fn settings_are_proven() {
    let with = |more: &str| format!("{{ url: 'https://id.example/me', {more} }}");
    let who = "subject: /id, issuer: x";
    let good = format!("{who}, headers: {{ A: '{{token}}' }}");
    let rows = [
        (with(&good), "", "the least"),
        (with(&format!("{who}, method: POST, form: {{ t: '{{token}}' }}")), "", "in a form"),
        (with(&format!("{who}, method: POST, json: {{ t: ['{{token}}'] }}")), "", "in a body"),
        (with(&format!("{good}, from: [bearer, {{ header: Authorization, prefix: 'OAuth ' }}]")), "", "two auth-schemes"),
        (with(&format!("{who}, headers: {{ A: b }}")), "every token would be as good as any", "a call that does not use the token"),
        (with(who), "every token would be as good as any", "a call with nothing in it"),
        (
            with(&format!("{who}, headers: {{ A: '{{refresh}}' }}")),
            "`{refresh}` is nothing that can be put here; write {token} or",
            "a slip",
        ),
        (with(&format!("{good}, form: {{ t: '{{token}}' }}")), "a GET has no body", "a body where none may be"),
        (with(&format!("{good}, method: POST, form: {{ t: x }}, json: {{}}")), "one body, `json` or `form`", "two bodies"),
        (with(&format!("{who}, headers: {{ A: '{{token}}', Host: b }}")), "written by the authenticator itself", "another host"),
        (with(&format!("{who}, headers: {{ A: '{{token}}{{secrets.key}}' }}")), "of this authenticator defines no `key`", "no such secret"),
        (with(&format!("{good}, secrets: {{ key: {{ env: SECRET }} }}")), "warning: nothing says `{secrets.key}`", "an idle secret"),
        (with(&format!("{good}, secrets: {{ key: plain }}")), "may not stand in the conf", "a secret in the conf"),
        (with("issuer: x, headers: { A: '{token}' }"), "without a `subject`, any answer with that status", "anything is good"),
        (with("issuer: x, headers: { A: '{token}' }, success: { status: 204 }"), "without a `subject`, any answer", "still anything"),
        (with("issuer: x, headers: { A: '{token}' }, success: { when: { pointer: /ok, equals: true } }"), "", "something in particular"),
        (with("subject: /id, headers: { A: '{token}' }"), "needs `issuer`", "nobody vouches"),
        (with(&format!("{good}, success: {{ status: [200, 401] }}")), "has a status of 2xx", "a refusal is a success"),
        (with(&format!("{good}, success: {{}}")), "would mean every answer", "everything is"),
        (with(&format!("{good}, refused: {{ status: 200 }}")), "every success would be refused", "nobody is good"),
        (with(&format!("{good}, expired: {{ status: [200, 401] }}")), "every success would be expired", "everybody has ended"),
        (with(&good.replace("/id", "id")), "is no JSON Pointer", "a name"),
        (with(&format!("{good}, scopes: ''")), "must not be empty", "the root"),
        (with(&format!("{good}, require: {{ app: ours }}")), "is no JSON Pointer", "a demand without a place"),
        (with(&format!("{good}, require: {{ /app: [] }}")), "needs at least 1", "a demand that nothing meets"),
        (with(&format!("{good}, claims: {{ a.b: /c }}")), "a dot would read as a path", "a claim nobody could name"),
        (with(&format!("{good}, claims: {{ a: c }}")), "is no JSON Pointer", "a claim from nowhere"),
        (
            with(&format!("{good}, expires_in: {{ pointer: /a, unit: seconds }}, expires_at: {{ pointer: /b, unit: seconds }}")),
            "the end is said once",
            "two ends",
        ),
        (with(&format!("{good}, deadline: 0s")), "is never met", "no time at all"),
        (with(&format!("{good}, cache: {{ max_age: 2h }}")), "between 0s and 3600s", "a token taken back would live too long"),
        (with(&format!("{good}, from: [{{ form: a }}, {{ form: b }}, {{ query: a }}]")), "", "two fields of a form"),
        (with(&format!("{good}, from: [{{ form: a }}, {{ form: a }}]")), "this place is named already", "one field twice"),
        (with(&format!("{good}, from: {{ form: a, prefix: 'Bearer ' }}")), "holds the token alone", "a word in a form"),
        (with(&format!("{good}, from: {{ form: '' }}")), "must not be empty", "no name"),
        (with(&format!("{good}, from: {{ header: Authorization }}")), "carries more than the credential", "a place that holds more"),
        (with(&format!("{good}, from: {{ header: Authorization, prefix: OAuth }}")), "an auth-scheme and one space", "no space"),
        (with(&format!("{good}, from: {{ header: Authorization, prefix: 'a b ' }}")), "an auth-scheme and one space", "two words"),
        (with(&format!("{good}, from: {{ header: X-T, prefix: 'a,' }}")), "without a comma", "two values in one"),
        (with(&format!("{good}, from: {{ header: X-T, prefix: ' a' }}")), "no space in front", "a space nobody sends"),
        (with(&format!("{good}, from: {{ cookie: sid, prefix: 'Bearer ' }}")), "no cookie holds this", "a space in a cookie"),
        (
            with(&format!("{good}, from: [{{ header: X-T }}, {{ header: x-t, prefix: 'a ' }}]")),
            "this place is named already",
            "one field, two readings",
        ),
        (
            with(&format!("{good}, from: [bearer, {{ header: Authorization, prefix: 'BEARER ' }}]")),
            "this place is named already",
            "the same in other words",
        ),
        (format!("{{ url: 'http://id.example/me', {good} }}"), "over https only", "tokens in plaintext"),
        (format!("{{ url: 'https://169.254.169.254/me', {good} }}"), "never called", "at the metadata service"),
        (format!("{{ url: 'https://id.example/{{token}}', {good} }}"), "nothing is put into the `url`", "a token in the logs"),
    ];
    for (yaml, words, shows) in rows {
        let (plan, told) = planned(&yaml);
        if words.is_empty() {
            assert!(plan.is_some() && told.is_empty(), "{shows}: {told:#?}");
        } else {
            assert!(told.len() == 1 && told[0].contains(words), "{shows}: {told:#?}");
            assert_eq!(plan.is_some(), words.starts_with("warning"), "{shows}");
        }
    }
}

#[test]
fn a_plan_tells_the_conf_what_it_needs_to_know_and_shows_no_secret() {
    let settings = "{ url: 'https://id.example/me', headers: { A: '{token} {secrets.key}' }, secrets: { key: { env: SECRET } }, \
                    subject: /id, issuer: x, from: [bearer, { header: Authorization, prefix: 'OAuth ' }, { query: t }] }";
    let plan = planned(settings).0.unwrap();
    assert_eq!(plan.looks_at(), [Place::Header(http::header::AUTHORIZATION), Place::Query("t".into())]);
    assert!(plan.key_stores().is_empty());
    assert_eq!(plan.renewability(), Renewability::Brought);
    let shown = format!("{plan:?}");
    assert!(!shown.contains("s&c") && shown.contains("Secret(7 bytes)"), "{shown}");

    let nameless =
        "{ url: 'https://id.example/me', headers: { A: '{token}' }, issuer: x, success: { when: { pointer: /ok, equals: true } } }";
    assert!(matches!(planned(nameless).0.unwrap().renewability(), Renewability::Never(_)), "nobody can be the same caller");

    let forms = "{ url: 'https://id.example/me', headers: { A: '{token}' }, subject: /id, issuer: x, from: [{ form: a }, { form: b }] }";
    assert_eq!(planned(forms).0.unwrap().looks_at(), [Place::Body], "the body, once");
}
