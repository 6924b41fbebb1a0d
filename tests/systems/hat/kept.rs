//! Tokens of a HAT's replies that are kept here: the next one comes with every reply, in whatever order, and is judged before it counts.

use std::sync::Arc;

use countersign::demo::systems::hat::OWNER;
use countersign::jose::algorithm::Algorithm;
use countersign::jose::mint::SigningKey;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::oneshot;

use super::{ADA, BOB, KEEPING, NOT_AUTHENTICATED, START, Scene, VALIDATE, cookie_of};
use crate::support::raw::Answer;
use crate::support::upstream::{Reply, Upstream, eventually};

const NOTES: &str = "/api/v2.6/data/anything/notes";
const HOUR: i64 = 3_600;

/// A HAT's reply that brings `token`.
fn bringing(token: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\nX-Auth-Token: {token}\r\nContent-Type: application/json\r\nCache-Control: public\r\n");
    format!("{head}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// Where a HAT is, and what it logs in with; everything else it answers when and as the test says.
struct Slow {
    upstream: Upstream,
    waiting: Arc<Mutex<Vec<oneshot::Sender<Vec<u8>>>>>,
    login: Arc<Mutex<String>>,
}

impl Slow {
    async fn start() -> Self {
        let waiting: Arc<Mutex<Vec<oneshot::Sender<Vec<u8>>>>> = Arc::default();
        let login: Arc<Mutex<String>> = Arc::default();
        let (keeping, token) = (Arc::clone(&waiting), Arc::clone(&login));
        let upstream = Upstream::scripted(move |record| {
            if record.target() == "/users/access_token" {
                let token = token.lock().clone();
                return Reply::Bytes(bringing(&token, &json!({ "accessToken": token, "userId": "ada" }).to_string()));
            }
            let (sender, receiver) = oneshot::channel();
            keeping.lock().push(sender);
            Reply::Later(receiver)
        })
        .await;
        Self { upstream, waiting, login }
    }

    /// The conf of the scene with this one where the HAT is.
    fn conf(&self, conf: &str) -> String {
        conf.replace("127.0.0.1:9100", &self.upstream.address.to_string())
    }

    async fn has_waiting(&self, count: usize) {
        eventually("requests that wait", || self.waiting.lock().len() == count).await;
    }

    fn tell(&self, which: usize, token: &str) {
        self.waiting.lock().remove(which).send(bringing(token, "[]")).unwrap();
    }

    /// What the last request was made with.
    fn shown(&self) -> String {
        self.upstream.records().last().unwrap().fields("x-auth-token").concat()
    }
}

impl Scene {
    async fn log_in(&self, along: Option<&str>) -> Answer {
        let mut fields = vec![("Host", ADA), ("Accept", "application/json"), ("username", OWNER.0), ("password", OWNER.1)];
        fields.extend(along.map(|cookie| ("Cookie", cookie)));
        let login = self.proxy.ask("GET", "/users/access_token", &fields).await;
        assert_eq!(login.status, 200, "{}", login.text());
        login
    }

    async fn holder(&self) -> String {
        cookie_of(&self.log_in(None).await, "__Host-session").unwrap()
    }

    async fn as_holder(&self, target: &str, session: &str) -> Answer {
        self.proxy.ask("GET", target, &[("Host", ADA), ("Accept", "application/json"), ("Cookie", session)]).await
    }
}

/// The client sees nothing of it, and no cache keeps the reply.
fn assert_clean(answer: &Answer, shows: &str) {
    assert_eq!((answer.status, answer.field("x-auth-token"), answer.field("set-cookie")), (200, None, None), "{shows}: {}", answer.text());
    assert_eq!(answer.field("cache-control"), Some("no-store"), "{shows}: whatever the HAT says of caches");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_used_slides_on_by_its_replies_and_asks_nobody() {
    let scene = Scene::with(KEEPING).await;
    let session = scene.holder().await;
    for step in 0..16_i64 {
        scene.at(START + step * 40 * HOUR);
        assert_clean(&scene.as_holder(NOTES, &session).await, &format!("after {} h", step * 40));
    }
    assert_eq!(scene.hats.asked(VALIDATE), 0, "each token is idle after 72 h, and each reply has brought the next");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_replies_in_the_wrong_order_the_newer_token_counts() {
    let slow = Slow::start().await;
    let scene = Scene::with(&slow.conf(KEEPING)).await;
    *slow.login.lock() = scene.hats.owner(ADA).unwrap();
    let session = scene.holder().await;
    scene.at(START + HOUR);
    let older = scene.hats.owner(ADA).unwrap();
    scene.at(START + 2 * HOUR);
    let newer = scene.hats.owner(ADA).unwrap();
    let (one, other, ()) = tokio::join!(scene.as_holder(NOTES, &session), scene.as_holder(NOTES, &session), async {
        slow.has_waiting(2).await;
        slow.tell(1, &newer);
        eventually("the first answer", || scene.proxy.written().lines().count() == 2).await;
        slow.tell(0, &older);
    });
    assert_clean(&one, "the newer one, or the older");
    assert_clean(&other, "and the other");
    let (third, ()) = tokio::join!(scene.as_holder(NOTES, &session), async {
        slow.has_waiting(1).await;
        slow.tell(0, &newer);
    });
    assert_clean(&third, "the third");
    assert_eq!(slow.shown(), newer, "the one with the newer `iat`");
    let shown = format!("{:?}{:?}{:?}{}", one.fields, other.fields, third.fields, scene.proxy.written());
    assert!(!shown.contains(&older) && !shown.contains(&newer), "nobody is shown either");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_to_a_session_that_was_logged_out_meanwhile_brings_it_not_back() {
    let slow = Slow::start().await;
    let logout = "rules:\n  - { name: logout, match: { paths: [/logout], methods: [POST] }, authenticate: none, serve: { session.close: { session: holder } } }\n";
    let scene = Scene::with(&slow.conf(KEEPING).replace("rules:\n", logout)).await;
    for (whose, shows) in [(ADA, "the next token of the same owner"), (BOB, "the token of another")] {
        scene.at(START);
        *slow.login.lock() = scene.hats.owner(ADA).unwrap();
        let session = scene.holder().await;
        scene.at(START + HOUR);
        let fresh = scene.hats.owner(whose).unwrap();
        let (answer, ()) = tokio::join!(scene.as_holder(NOTES, &session), async {
            slow.has_waiting(1).await;
            let fields = [("Host", ADA), ("Cookie", session.as_str()), ("Sec-Fetch-Site", "same-origin")];
            assert_eq!(scene.proxy.ask("POST", "/logout", &fields).await.status, 204, "{shows}");
            slow.tell(0, &fresh);
        });
        assert_eq!((answer.status, answer.text().as_str()), (401, NOT_AUTHENTICATED), "{shows}");
        assert_eq!((answer.field("set-cookie"), answer.field("x-auth-token")), (None, None), "{shows}");
        assert_eq!(scene.proxy.reason_of(&answer).await, "expired", "{shows}: as one that was over when it came");
        let hits = slow.upstream.hits();
        assert_eq!(scene.as_holder(NOTES, &session).await.status, 401, "{shows}");
        assert_eq!(slow.upstream.hits(), hits, "{shows}: and it stays over");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_ends_the_session_that_the_browser_had() {
    let scene = Scene::with(KEEPING).await;
    let first = scene.holder().await;
    scene.at(START + 10);
    let second = cookie_of(&scene.log_in(Some(&first)).await, "__Host-session").unwrap();
    assert_ne!(first, second);
    assert_eq!(scene.as_holder(NOTES, &second).await.status, 200);
    assert_eq!(scene.as_holder(NOTES, &first).await.status, 401, "whoever planted or kept the one before has nothing (session fixation)");
}

/// The same with the kept tokens judged, and an app that is told whose they are.
fn judged() -> String {
    KEEPING
        .replace("upstreams: { hat:", "upstreams: { app: http://127.0.0.1:9000, hat:")
        .replace("keys: {", "keys: { hats: { issuer_key: { allow: [hubat.net] } },")
        .replace("authenticators: {", "authenticators: { owner: { hat: { keys: hats, issuers: [hubat.net], kind: owner } },")
        .replace("session: { keys: sessions,", "session: { keys: sessions, tokens: owner,")
        .replace("rules:\n", "rules:\n  - { name: pages, match: { paths: [/home/**] }, authenticate: holder, system: hat, forward: app }\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_token_is_judged_and_names_its_own_issuer() {
    let scene = Scene::with(&judged()).await;
    let session = scene.holder().await;
    let page = scene.as_holder("/home/notes", &session).await;
    assert_eq!(page.status, 200, "{} {}", page.text(), scene.proxy.written());
    assert_eq!((scene.shown("x-auth-subject"), scene.shown("x-auth-issuer")), (vec![ADA.to_owned()], vec![ADA.to_owned()]));
    scene.at(START + 40 * HOUR);
    assert_clean(&scene.as_holder(NOTES, &session).await, "the next token comes");
    scene.at(START + 80 * HOUR);
    assert_eq!(scene.as_holder("/home/notes", &session).await.status, 200, "and is judged like the one before");
    assert_eq!(scene.hats.asked(VALIDATE), 0);

    // Whoever answers in the HAT's place says who they like; no signature of the HAT's says so.
    let slow = Slow::start().await;
    let scene = Scene::with(&slow.conf(&judged())).await;
    let forger = SigningKey::generate(Algorithm::Rs256).unwrap().with_kid(None);
    let claims = json!({ "iss": ADA, "iat": START, "exp": START + 1_000, "accessScope": "owner", "resource": ADA });
    *slow.login.lock() = forger.sign_compact(&[], &claims).unwrap();
    let session = scene.holder().await;
    let answer = scene.as_holder("/home/notes", &session).await;
    assert_eq!((answer.status, answer.text().as_str()), (401, NOT_AUTHENTICATED));
    assert_eq!(scene.proxy.reason_of(&answer).await, "signature_invalid", "what is kept opens nothing that it does not prove");
}
