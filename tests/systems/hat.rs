//! Personal data servers (HATs): the shipped conf before an app and before a HAT, with HATs over TLS that are as strict as the vendor's.

mod attacks;
mod kept;
mod secrets;

use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use countersign::config::{Sources, check, load};
use countersign::demo::stand::Stand;
use countersign::demo::systems::hat::{Hats, IDLE, OWNER};
use countersign::domain::Secret;
use countersign::jose::algorithm::Algorithm;
use countersign::jose::base64url;
use countersign::jose::mint::SigningKey;
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::loopback::{Asked, Loopback, Told};
use crate::support::raw::Answer;
use crate::support::upstream::Upstream;
use crate::support::whole::{NOW, Whole};

/// The moment at which everything begins.
const START: i64 = NOW + 100;
const ADA: &str = "ada.hubat.net";
const BOB: &str = "bob.hubat.net";
const CONF: &str = include_str!("../../conf/systems/hat.yaml");
const VALIDATE: &str = "/users/access_token/validate";
const EXCHANGE: &str = "/api/v2.6/applications/facebook/access-token";

/// HATs over TLS and as an upstream, an app, and the proxy of the shipped conf between them, all under one clock.
struct Scene {
    hats: Hats,
    clock: Arc<AtomicI64>,
    server: Loopback,
    app: Upstream,
    proxy: Whole,
    /// A HAT as the proxy has it behind itself; it stops when it is dropped.
    _behind: Stand,
}

impl Scene {
    async fn new() -> Self {
        Self::with(CONF).await
    }

    /// The same with another conf, in which the same addresses stand for the same.
    async fn with(conf: &str) -> Self {
        Self::by(|hat| hat, conf).await
    }

    /// The same with another `way` to the HAT behind the proxy.
    async fn by(way: impl FnOnce(SocketAddr) -> SocketAddr, conf: &str) -> Self {
        let clock = Arc::new(AtomicI64::new(NOW));
        let hats = Hats::new(&[ADA, BOB], Arc::<AtomicI64>::clone(&clock) as Arc<dyn countersign::domain::Clock>).unwrap();
        hats.set_up("my-app", &["facebook"]);
        hats.set_up("facebook", &[]);
        let server = Loopback::start_tls(&[ADA, BOB], script(&hats));
        let app = Upstream::start().await;
        let behind = hats.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let outbound =
            format!("outbound: {{ ca: ca.pem, resolve: {{ {ADA}: '{0}', {BOB}: '{0}' }} }}\nstate: {{ memory: {{}} }}\n", server.address);
        let yaml = conf
            .replace("listeners: [{ address: 127.0.0.1:8080 }]", "listeners: [{ address: 127.0.0.1:0 }]")
            .replace("admin: { address: 127.0.0.1:9901 }\n", &outbound)
            .replace("http://127.0.0.1:9000", &format!("http://{}", app.address))
            .replace("http://127.0.0.1:9100", &format!("http://{}", way(behind.address())))
            .replace("../keys/demo-ticket-current.key", "sessions.key");
        let key = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/keys/demo-ticket-current.key")).unwrap();
        let proxy = Whole::start(&yaml, &[("sessions.key", &key), ("ca.pem", server.ca.as_bytes())]).await;
        let scene = Self { hats, clock, server, app, proxy, _behind: behind };
        // What was made before a store began to remember, it cannot say to be unspent.
        scene.at(START);
        scene
    }

    fn at(&self, now: i64) {
        self.clock.store(now, Ordering::SeqCst);
        self.proxy.set_clock(now);
    }

    /// A request with a token in the header, that asks for JSON.
    async fn get(&self, target: &str, token: &str) -> Answer {
        self.proxy.ask("GET", target, &[("Host", ADA), ("Accept", "application/json"), ("X-Auth-Token", token)]).await
    }

    fn application(&self) -> String {
        self.hats.application(ADA, "my-app", "1.2.7").unwrap()
    }

    /// A browser that has logged in: the cookie of its session.
    async fn logged_in(&self) -> String {
        let begun = self.proxy.ask("GET", &format!("/login?hat={ADA}"), &[("Host", "app.example")]).await;
        assert_eq!(begun.status, 303, "{}", begun.text());
        let cookie = cookie_of(&begun, "__Host-hat-login").unwrap();
        let target = format!("/callback?token={}", self.application());
        let arrived = self.proxy.ask("GET", &target, &[("Host", "app.example"), ("Cookie", &cookie)]).await;
        assert_eq!((arrived.status, arrived.field("location")), (303, Some("/home")), "{}", arrived.text());
        cookie_of(&arrived, "__Host-session").unwrap()
    }

    async fn page(&self, cookie: &str) -> Answer {
        self.proxy.ask("GET", "/home/notes", &[("Host", "app.example"), ("Accept", "application/json"), ("Cookie", cookie)]).await
    }

    /// What reached the app last, in field `name`.
    fn shown(&self, name: &str) -> Vec<String> {
        self.app.records().last().unwrap().fields(name).into_iter().map(str::to_owned).collect()
    }
}

/// How a server answers for `hats`.
fn script(hats: &Hats) -> impl Fn(&Asked) -> Told + Send + 'static + use<> {
    let hats = hats.clone();
    move |asked| {
        let mut request = Request::builder().method(asked.head.split(' ').next().unwrap()).uri(asked.target());
        for (name, value) in asked.head.lines().skip(1).filter_map(|line| line.split_once(':')) {
            request = request.header(name, value.trim());
        }
        let (head, body) = hats.visit(&request.body(Bytes::copy_from_slice(&asked.body)).unwrap()).into_parts();
        // A body that is there needs no waiting.
        let Poll::Ready(body) = pin!(body.collect()).poll(&mut Context::from_waker(Waker::noop())) else { panic!("a whole body") };
        let fields = head.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        Told::Answer(head.status.as_u16(), fields, body.unwrap().to_bytes().to_vec())
    }
}

/// The cookie `name` as a browser sends it back, when the answer sets it to something.
fn cookie_of(answer: &Answer, name: &str) -> Option<String> {
    let set = answer.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case("set-cookie"));
    let pair = set.filter_map(|(_, value)| value.split(';').next()).find(|pair| pair.starts_with(&format!("{name}=")))?;
    (pair.len() > name.len() + 1).then(|| pair.to_owned())
}

const NOT_AUTHENTICATED: &str = r#"{"error":"Not Authenticated","message":"Not Authenticated"}"#;

struct Disk;

impl Sources for Disk {
    fn file(&self, path: &Path) -> Result<Vec<u8>, String> {
        std::fs::read(path).map_err(|error| error.to_string())
    }

    fn variable(&self, _name: &str) -> Option<Secret> {
        None
    }

    fn exposed(&self, _path: &Path) -> bool {
        true
    }
}

#[test]
fn the_shipped_conf_is_sound_and_gives_no_warning() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/systems/hat.yaml");
    let told = |faults: countersign::settings::Faults| faults.sorted().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let (document, material) = load(&path, &Disk).unwrap_or_else(|faults| panic!("{}", told(faults)));
    let plan = check(&document, &material).unwrap_or_else(|faults| panic!("{}", told(faults)));
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_told_whose_hat_it_is_and_sees_no_token() {
    let scene = Scene::new().await;
    let token = scene.application();
    let answer = scene.get("/app/notes", &token).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(scene.shown("x-auth-subject"), [ADA]);
    assert!(scene.shown("x-auth-token").is_empty(), "the token stays here");
    scene.get("/app/notes", &scene.hats.application(ADA, "my-app", "2").unwrap()).await;
    assert_eq!(scene.hats.asked("/publickey"), 1, "a HAT's key is fetched once");

    let posted = |kind: &'static str, body: String| {
        let proxy = &scene.proxy;
        async move { proxy.ask_with("POST", "/app/notes", &[("Host", ADA), ("Accept", "*/*"), ("Content-Type", kind)], &body).await }
    };
    let form = posted("application/x-www-form-urlencoded", format!("X-Auth-Token={token}&a=b")).await;
    let json = posted("application/json", json!({ "X-Auth-Token": token }).to_string()).await;
    let query = scene.proxy.ask("GET", &format!("/app/notes?a=b&X-Auth-Token={token}"), &[("Host", ADA)]).await;
    assert_eq!((form.status, json.status, query.status), (200, 200, 200), "every place in which a HAT looks");
    assert_eq!(scene.app.records().last().unwrap().target(), "/app/notes?a=b", "and out of the URL it is taken");

    let visitor = scene.hats.validate(ADA, "https://app.example").unwrap();
    assert_eq!(scene.get("/app/notes", &visitor).await.status, 200, "an owner who shows us who they are");
    assert!(!scene.proxy.written().contains(&token) && !scene.proxy.written().contains(&visitor), "no token is in the audit");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_refused_in_a_hats_words() {
    let scene = Scene::new().await;
    let forger = SigningKey::generate(Algorithm::Rs256).unwrap().with_kid(None);
    let claims =
        |issuer: &str| json!({ "iss": issuer, "iat": START, "exp": START + 1_000, "application": "my-app", "applicationVersion": "2" });
    let forged = |issuer: &str| forger.sign_compact(&[], &claims(issuer)).unwrap();
    let hmac = {
        let pem = scene.proxy.ask("GET", "/publickey", &[("Host", ADA)]).await.body;
        let part = |value: &Value| base64url::encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(&json!({ "typ": "JWT", "alg": "HS256" })), part(&claims(ADA)));
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &pem);
        format!("{signed}.{}", base64url::encode(aws_lc_rs::hmac::sign(&key, signed.as_bytes()).as_ref()))
    };
    let hats = &scene.hats;
    let rows = [
        (String::new(), "credential_missing", "nothing"),
        (forged(ADA), "signature_invalid", "a forged one"),
        (hmac, "algorithm_refused", "one signed with the public key as a secret (A1)"),
        (forged("evil.example"), "issuer_mismatch", "a HAT of nobody's"),
        (hats.owner(ADA).unwrap(), "claim_missing", "an owner's token, which is no application's"),
        (hats.application(ADA, "facebook", "1").unwrap(), "audience_mismatch", "another application's"),
        (hats.application(ADA, "my-app", "0.9").unwrap(), "claim_missing", "too old a version"),
        (hats.validate(ADA, "https://evil.example").unwrap(), "claim_missing", "shown to another service, and no application's"),
        ("opaque".to_owned(), "credential_malformed", "no token"),
    ];
    for (token, reason, shows) in rows {
        let mut fields = vec![("Host", ADA), ("Accept", "application/json")];
        if !token.is_empty() {
            fields.push(("X-Auth-Token", &token));
        }
        let answer = scene.proxy.ask("GET", "/app/notes", &fields).await;
        assert_eq!((answer.status, answer.text().as_str()), (401, NOT_AUTHENTICATED), "{shows}");
        assert_eq!(answer.field("cache-control"), Some("no-store"), "{shows}");
        assert_eq!(scene.proxy.reason_of(&answer).await, reason, "{shows}");
    }
    assert_eq!(scene.app.records().len(), 0, "nothing of it reached the app");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_ask_for_json_is_sent_home_in_place_of_401() {
    let scene = Scene::new().await;
    let ask = async |accept: &str| scene.proxy.ask("GET", "/app/notes", &[("Host", ADA), ("Accept", accept)]).await;
    let page = ask("text/html,application/xhtml+xml,*/*;q=0.8").await;
    assert_eq!((page.status, page.field("location"), page.text().as_str()), (303, Some("/"), ""));
    assert_eq!(ask("application/json, text/plain, */*").await.status, 401, "the vendor's client");
    let before_a_hat = scene.proxy.ask("GET", "/api/v2.6/system/status", &[("Host", ADA), ("Accept", "text/html")]).await;
    assert_eq!(before_a_hat.status, 401, "where the conf says so, nobody is");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_the_query_does_not_pass_by_the_one_in_the_header() {
    let scene = Scene::new().await;
    let (good, other) = (scene.application(), scene.hats.application(BOB, "my-app", "2").unwrap());
    for target in ["/app/notes", "/api/v2.6/data/my-app/notes"] {
        let answer = scene.get(&format!("{target}?X-Auth-Token={other}"), &good).await;
        assert_eq!(
            (answer.status, scene.proxy.reason_of(&answer).await.as_str()),
            (400, "credential_conflict"),
            "{target}: a HAT takes the query's"
        );
        assert_eq!(answer.text(), r#"{"error":"Bad Request","message":"More than one token"}"#);
    }
    let body = json!({ "X-Auth-Token": other }).to_string();
    let fields = [("Host", ADA), ("X-Auth-Token", &good), ("Content-Type", "application/json"), ("Accept", "*/*")];
    let answer = scene.proxy.ask_with("POST", "/app/notes", &fields, &body).await;
    assert_eq!(answer.status, 400, "nor one in the body");
    assert_eq!((scene.app.records().len(), scene.hats.asked("/api/v2.6/data/my-app/notes")), (0, 0), "nothing went on");
    let agreeing = scene.get(&format!("/api/v2.6/data/my-app/notes?X-Auth-Token={good}&a=b"), &good).await;
    assert_eq!(agreeing.status, 200, "two that agree are one, and one goes on: {}", agreeing.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_for_a_key_because_a_token_names_them() {
    let scene = Scene::new().await;
    let key = SigningKey::generate(Algorithm::Rs256).unwrap().with_kid(None);
    for issuer in [
        "127.0.0.1",
        "169.254.169.254",
        "localhost",
        "evil.example",
        "evilhubat.net",
        "hubat.net.evil.example",
        "x@ada.hubat.net",
        "https://ada.hubat.net",
        "ada.hubat.net/x",
        "ADA.hubat.net",
    ] {
        let claims = json!({ "iss": issuer, "iat": START, "exp": START + 1_000, "application": "my-app", "applicationVersion": "2" });
        let extras = [("jku", "https://ada.hubat.net/publickey"), ("kid", "https://ada.hubat.net/publickey")];
        let answer = scene.get("/app/notes", &key.sign_compact(&extras, &claims).unwrap()).await;
        assert_eq!(answer.status, 401, "{issuer}");
    }
    assert_eq!(scene.server.count(), 0, "no connection was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hat_that_has_another_key_is_asked_again_once_per_window() {
    let scene = Scene::new().await;
    let before = scene.application();
    assert_eq!(scene.get("/app/notes", &before).await.status, 200);
    scene.hats.rekey(ADA).unwrap();
    scene.at(START + 31);
    let after = scene.application();
    assert_eq!(scene.get("/app/notes", &after).await.status, 200, "found at the first token that the old key did not sign");
    assert_eq!(scene.get("/app/notes", &before).await.status, 401, "what the old one signed is signed by nobody");
    assert_eq!(scene.hats.asked("/publickey"), 2, "and nobody is asked more often for that");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_idle_after_three_days_whatever_its_end_says() {
    let scene = Scene::new().await;
    let token = scene.application();
    scene.at(START + IDLE);
    assert_eq!(scene.get("/app/notes", &token).await.status, 200, "the last second");
    scene.at(START + IDLE + 1);
    let answer = scene.get("/app/notes", &token).await;
    assert_eq!((answer.status, answer.text().as_str()), (401, NOT_AUTHENTICATED));
    assert_eq!(scene.proxy.reason_of(&answer).await, "expired", "and the next");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_ends_in_a_session_with_no_token_in_the_address() {
    let scene = Scene::new().await;
    let begun = scene.proxy.ask("GET", "/login?email=ada%40example.net&lang=pt", &[("Host", "app.example")]).await;
    let expected = "https://hatters.dataswift.io/services/daas/signup?application_id=my-app&email=ada%40example.net\
                    &redirect_uri=http%3A%2F%2F127.0.0.1%3A8080%2Fcallback&lang=pt&skip_deps=true";
    assert_eq!((begun.status, begun.field("location")), (303, Some(expected)));
    let login = cookie_of(&begun, "__Host-hat-login").unwrap();
    let token = scene.application();
    let arrived = scene.proxy.ask("GET", &format!("/callback?token={token}"), &[("Host", "app.example"), ("Cookie", &login)]).await;
    assert_eq!((arrived.status, arrived.field("location")), (303, Some("/home")), "{}", arrived.text());
    assert_eq!((arrived.field("cache-control"), arrived.field("referrer-policy")), (Some("no-store"), Some("no-referrer")));
    assert!(!format!("{arrived:?}").contains(&token), "the browser is not given the token");
    let session = cookie_of(&arrived, "__Host-session").unwrap();
    assert_eq!(scene.page(&session).await.status, 200);
    assert_eq!(scene.shown("x-auth-subject"), [ADA]);
    assert!(scene.shown("cookie").is_empty() && scene.shown("x-auth-token").is_empty(), "the app sees neither cookie nor token");
    assert!(!scene.proxy.written().contains(&token), "nor does the audit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_is_for_the_browser_that_began_and_each_token_comes_back_once() {
    let scene = Scene::new().await;
    let token = scene.application();
    let target = format!("/callback?token={token}");
    let link = scene.proxy.ask("GET", &target, &[("Host", "app.example"), ("Sec-Fetch-Site", "cross-site")]).await;
    assert_eq!((link.status, cookie_of(&link, "__Host-session")), (400, None), "a link that would log somebody in as somebody else (L15)");
    let begin = async || {
        cookie_of(&scene.proxy.ask("GET", &format!("/login?hat={ADA}"), &[("Host", "app.example")]).await, "__Host-hat-login").unwrap()
    };
    let fresh = scene.hats.application(ADA, "my-app", "3").unwrap();
    let target = format!("/callback?token={fresh}");
    let first = begin().await;
    let arrived = scene.proxy.ask("GET", &target, &[("Host", "app.example"), ("Cookie", &first)]).await;
    assert_eq!(arrived.status, 303);
    let second = begin().await;
    let again = scene.proxy.ask("GET", &target, &[("Host", "app.example"), ("Cookie", &second)]).await;
    assert_eq!((again.status, scene.proxy.reason_of(&again).await.as_str()), (401, "replayed"), "out of a history or a log");
    let failed = scene
        .proxy
        .ask("GET", "/callback?error=hat_exception&error_reason=%3Cscript%3E", &[("Host", "app.example"), ("Cookie", &begin().await)])
        .await;
    assert_eq!(
        (failed.status, failed.field("location")),
        (303, Some("/welcome?error=hat_exception&reason=unknown")),
        "an error, by its code"
    );
    let forged = scene
        .proxy
        .ask("GET", "/callback?token=a.b.c", &[("Host", "app.example"), ("Accept", "application/json"), ("Cookie", &begin().await)])
        .await;
    assert_eq!((forged.status, forged.text().as_str()), (401, NOT_AUTHENTICATED));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_slides_on_for_thirty_days_and_no_longer() {
    const STEP: i64 = 61 * 3_600;
    let scene = Scene::new().await;
    let session = scene.logged_in().await;
    let mut steps = 0;
    let mut now = START;
    while now + STEP < START + 2_592_000 {
        now += STEP;
        steps += 1;
        scene.at(now);
        assert_eq!(scene.page(&session).await.status, 200, "after {steps} times 61 hours");
        assert_eq!(scene.page(&session).await.status, 200, "and again at once");
        // The last three days end by `exp`, which nothing moves.
        let slid = usize::from(now + IDLE - STEP < START + 2_592_000);
        assert!(
            scene.hats.asked(VALIDATE) <= steps && scene.hats.asked(VALIDATE) + 1 >= steps * slid,
            "one question each: {}",
            scene.hats.asked(VALIDATE)
        );
    }
    assert!(10 <= steps && 10 <= scene.hats.asked(VALIDATE), "{steps} {}", scene.hats.asked(VALIDATE));
    scene.at(START + 2_592_000);
    let over = scene.page(&session).await;
    assert_eq!((over.status, over.text().as_str()), (401, NOT_AUTHENTICATED), "then its owner logs in anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_older_than_what_is_kept_changes_nothing() {
    let scene = Scene::new().await;
    let stale = scene.application();
    scene.at(START + 10);
    let session = scene.logged_in().await;
    scene.at(START + 10 + 61 * 3_600);
    // Two tabs: the reply to the first request arrives last.
    let late = stale.clone();
    let right = script(&scene.hats);
    scene.server.follow(move |asked| match asked.target() {
        VALIDATE => Told::Answer(200, vec![("X-Auth-Token".to_owned(), late.clone())], b"{}".to_vec()),
        _ => right(asked),
    });
    assert_eq!(scene.page(&session).await.status, 200, "the token that is kept is still good");
    scene.server.follow(script(&scene.hats));
    scene.at(START + 10 + 71 * 3_600);
    assert_eq!(scene.page(&session).await.status, 200);
    scene.at(START + 10 + 80 * 3_600);
    assert_eq!(scene.page(&session).await.status, 200, "it was slid on by the newer one, and not by the older");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hat_that_sends_home_has_said_401() {
    let scene = Scene::new().await;
    let session = scene.logged_in().await;
    scene.at(START + 61 * 3_600);
    let right = script(&scene.hats);
    scene.server.follow(move |asked| match asked.target() {
        VALIDATE => Told::Answer(303, vec![("location".to_owned(), "/".to_owned())], Vec::new()),
        _ => right(asked),
    });
    assert_eq!(scene.page(&session).await.status, 200, "what was kept is good to its end for this request");
    assert!(scene.server.asked().iter().all(|asked| asked.target() != "/"), "the redirect was not followed");
    let over = scene.page(&session).await;
    assert_eq!((over.status, over.text().as_str()), (401, NOT_AUTHENTICATED), "but its HAT takes it for none, so the session is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_a_plug_goes_where_the_conf_says_and_is_fetched_once() {
    let scene = Scene::new().await;
    let token = scene.application();
    let answer = scene.get("/feed/posts", &token).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let shown = scene.shown("x-auth-token");
    assert_eq!(shown.len(), 1, "one token");
    assert_ne!(shown[0], token, "and not the caller's");
    let payload = shown[0].split('.').nth(1).unwrap();
    let said: Value = serde_json::from_slice(&base64url::decode(payload).unwrap()).unwrap();
    assert_eq!((said["application"].as_str(), said["iss"].as_str()), (Some("facebook"), Some(ADA)));
    let setup = scene.get("/connect/facebook", &token).await;
    let place = setup.field("location").unwrap().to_owned();
    let expected = format!(
        "https://facebook.hubofallthings.com/facebook/authenticate?token={}&redirect=http%3A%2F%2F127.0.0.1%3A8080%2Fhome",
        shown[0]
    );
    assert_eq!((setup.status, place), (303, expected), "the plug's own token goes to the plug");
    scene.get("/feed/posts", &scene.hats.application(ADA, "my-app", "1.2.7").unwrap()).await;
    assert_eq!(scene.hats.asked(EXCHANGE), 1, "for however many requests, and whichever token of the same application");
    scene.get("/feed/posts", &scene.hats.application(BOB, "my-app", "1.2.7").unwrap()).await;
    assert_eq!(scene.hats.asked(EXCHANGE), 2, "what one HAT gave is never another's");
    scene.hats.set_up("my-app", &[]);
    let refused = scene.get("/feed/posts", &scene.hats.application(ADA, "my-app", "9").unwrap()).await;
    assert_eq!(
        (refused.status, refused.text().as_str()),
        (403, r#"{"error":"Forbidden","message":"Access Denied"}"#),
        "what the HAT does not grant"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hat_behind_the_proxy_speaks_to_its_clients_as_it_always_did() {
    let scene = Scene::new().await;
    let fields = [("Host", ADA), ("Accept", "application/json"), ("username", OWNER.0), ("password", OWNER.1)];
    let login = scene.proxy.ask("GET", "/users/access_token", &fields).await;
    let said: Value = serde_json::from_slice(&login.body).unwrap();
    assert_eq!((login.status, said["accessToken"].as_str()), (200, login.field("x-auth-token")));
    let owner = login.field("x-auth-token").unwrap().to_owned();
    scene.at(START + 100);
    let ping = scene.get(VALIDATE, &owner).await;
    assert_eq!((ping.status, ping.text().as_str()), (200, r#"{"message":"Authenticated"}"#));
    let slid = ping.field("x-auth-token").unwrap().to_owned();
    assert_ne!(slid, owner, "the next token comes with the reply");
    assert_eq!(scene.get("/api/v2.6/data/anything/notes", &slid).await.status, 200, "an owner reads everything");
    let app = scene.application();
    assert_eq!(scene.get("/api/v2.6/data/my-app/notes", &app).await.status, 200, "an application what is its own");
    let other = scene.get("/api/v2.6/data/other/notes", &app).await;
    assert_eq!(
        (other.status, other.text().as_str()),
        (403, r#"{"error":"Forbidden","message":"Access Denied"}"#),
        "in the HAT's own words"
    );
    let minted = scene.get("/users/application_token?name=x&resource=https://app.example", &owner).await;
    assert_eq!(minted.status, 200, "{}", minted.text());
    let before = scene.hats.asked("/users/application_token");
    let refused = scene.get("/users/application_token?name=x&resource=https://app.example", &app).await;
    assert_eq!((refused.status, refused.text().as_str()), (401, NOT_AUTHENTICATED), "an application is no owner");
    assert_eq!(scene.hats.asked("/users/application_token"), before, "and the HAT was not asked");
    let large = json!({ "text": "x".repeat(100_000) }).to_string();
    let fields = [("Host", ADA), ("Accept", "application/json"), ("X-Auth-Token", app.as_str()), ("Content-Type", "application/json")];
    let written = scene.proxy.ask_with("POST", "/api/v2.6/data/my-app/notes", &fields, &large).await;
    assert_eq!(written.status, 201, "a body that is not looked at may be large: {}", written.text());
}

/// The proxy before a HAT, with the tokens of its owners kept here.
const KEEPING: &str = r#"
listeners: [{ address: 127.0.0.1:8080 }]
admin: { address: 127.0.0.1:9901 }
upstreams: { hat: http://127.0.0.1:9100 }
keys: { sessions: { mac: { file: ../keys/demo-ticket-current.key } } }
authenticators: { holder: { session: { keys: sessions, life: 30d, idle: 0s }, renew: sliding } }
renewers: { sliding: { hat: { issuers: hubat.net, early: 24h } } }
rules:
  - { name: login, match: { paths: [/users/access_token], methods: [GET] }, authenticate: none, system: hat, harvest: { session: holder }, forward: hat }
  - name: api
    match: { paths: [/users/access_token/validate, "/api/v2.6/**"] }
    authenticate: holder
    system: hat
    harvest: { session: holder }
    # Nothing stands before the token: a value begins behind the space (RFC 9110 section 5.5).
    forward: { upstream: hat, session_token: { header: X-Auth-Token, prefix: " " } }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_kept_for_its_owner_never_reaches_the_browser() {
    let scene = Scene::with(KEEPING).await;
    let fields = [("Host", ADA), ("Accept", "application/json"), ("username", OWNER.0), ("password", OWNER.1)];
    let login = scene.proxy.ask("GET", "/users/access_token", &fields).await;
    assert_eq!((login.status, login.text().as_str()), (200, r#"{"userId":"ada"}"#), "neither in the body");
    assert_eq!(login.field("x-auth-token"), None, "nor in a field");
    assert_eq!(login.field("cache-control"), Some("no-store"));
    let session = cookie_of(&login, "__Host-session").unwrap();
    let ask =
        async |target: &str| scene.proxy.ask("GET", target, &[("Host", ADA), ("Accept", "application/json"), ("Cookie", &session)]).await;
    for hours in [0, 61, 61 + 61, 61 + 61 + 61] {
        scene.at(START + hours * 3_600);
        let data = ask("/api/v2.6/data/anything/notes").await;
        assert_eq!(
            (data.status, data.field("x-auth-token"), data.field("set-cookie")),
            (200, None, None),
            "after {hours} h: {}",
            data.text()
        );
        assert_eq!(data.field("cache-control"), Some("no-store"), "a reply that a HAT has put a token on is nobody's to store");
    }
    assert_eq!(scene.hats.asked(VALIDATE), 3, "one question each time that it was about to idle");
    let nobody = scene.proxy.ask("GET", "/api/v2.6/data/anything/notes", &[("Host", ADA), ("Accept", "application/json")]).await;
    assert_eq!((nobody.status, nobody.text().as_str()), (401, NOT_AUTHENTICATED));
    let planted = scene.hats.owner(ADA).unwrap();
    let fields = [("Host", ADA), ("Accept", "application/json"), ("X-Auth-Token", planted.as_str())];
    assert_eq!(
        scene.proxy.ask("GET", "/api/v2.6/data/anything/notes", &fields).await.status,
        401,
        "a token of the client's own opens nothing here"
    );
}
