//! Tokens of owners, applications and plugs, passwords and sessions, and where each of them may be seen.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;

use crate::hat::{ADA, CONF, KEEPING, OWNER, START, Scene, cookie_of};
use crate::secrets::{NOWHERE, Place, Secrets};
use crate::wire::Wire;

/// The app gets a body as it came, where the caller put a token into one.
const BODIES: &[Place] = &[Place::App];

/// The same, and the HAT is shown it for another application's.
const BODIES_AND_THE_HAT: &[Place] = &[Place::App, Place::Vendor];

/// What reached the app, and what reached the HATs: over TLS, and behind the proxy.
fn seen(scene: &Scene, wire: &Wire) -> (String, String) {
    let app = scene.app.records().iter().map(|record| format!("{}\n{:?}\n", record.head, record.body)).collect();
    let asked = scene.server.asked().iter().map(|asked| format!("{}\n{}\n", asked.head, String::from_utf8_lossy(&asked.body))).collect();
    (app, [asked, wire.seen()].concat())
}

/// Every token that HATs were shown in a field.
fn shown(vendor: &str) -> BTreeSet<String> {
    let fields = vendor.lines().filter_map(|line| line.split_once(':'));
    fields.filter(|(name, _)| name.eq_ignore_ascii_case("x-auth-token")).map(|(_, value)| value.trim().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_is_seen_where_it_has_no_business() {
    let mut wire = None;
    let scene = Scene::by(|hat| wire.insert(Wire::to(hat)).address, CONF).await;
    let wire = wire.unwrap();
    let mut secrets = Secrets::new();
    let key = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/keys/demo-ticket-current.key")).unwrap();
    secrets.mark("the key of sessions", key.trim(), NOWHERE);

    // In front of the app: in every place in which a token may stand, good and refused.
    let (token, refused) = (scene.application(), scene.hats.application(ADA, "facebook", "1").unwrap());
    let visitor = scene.hats.validate(ADA, "https://app.example").unwrap();
    for shown in [&token, &refused, &visitor] {
        secrets.keep(scene.get("/app/notes", shown).await);
        secrets.keep(scene.proxy.ask("GET", &format!("/app/notes?a=b&X-Auth-Token={shown}"), &[("Host", ADA)]).await);
        for (kind, body) in [
            ("application/x-www-form-urlencoded", format!("X-Auth-Token={shown}&a=b")),
            ("application/json", json!({ "X-Auth-Token": shown }).to_string()),
        ] {
            let fields = [("Host", ADA), ("Accept", "*/*"), ("Content-Type", kind)];
            let answer = secrets.keep(scene.proxy.ask_with("POST", "/app/notes", &fields, &body).await);
            assert_eq!(answer.status, if *shown == refused { 401 } else { 200 });
        }
    }
    secrets.keep(scene.get(&format!("/app/notes?X-Auth-Token={refused}"), &token).await);
    secrets.mark("an owner who shows who they are", &visitor, BODIES);
    secrets.mark("a token that is refused", &refused, NOWHERE);

    // A plug's token goes to the app and to the plug, by the conf.
    assert_eq!(secrets.keep(scene.get("/feed/posts", &token).await).status, 200);
    secrets.keep(scene.get("/connect/facebook", &token).await);
    secrets.mark("a plug's token", scene.shown("x-auth-token")[0].as_str(), &[Place::App, Place::Answers]);
    secrets.mark("an application's token", &token, BODIES_AND_THE_HAT);

    // A log-in: out of the address, into a session, and slid on from there.
    let begun = secrets.keep(scene.proxy.ask("GET", &format!("/login?hat={ADA}"), &[("Host", "app.example")]).await);
    let begun = cookie_of(&begun, "__Host-hat-login").unwrap();
    secrets.mark("a log-in that was begun", begun.split_once('=').unwrap().1, &[Place::Answers]);
    scene.at(START + 1);
    let arriving = scene.hats.application(ADA, "my-app", "1.2.8").unwrap();
    let target = format!("/callback?token={arriving}");
    secrets.keep(scene.proxy.ask("GET", &target, &[("Host", "app.example")]).await);
    let fields = [("Host", "app.example"), ("Cookie", begun.as_str())];
    let begin_anew = secrets.keep(scene.proxy.ask("GET", &format!("/login?hat={ADA}"), &[("Host", "app.example")]).await);
    assert_eq!(begin_anew.status, 303);
    let fresh = scene.hats.application(ADA, "my-app", "1.2.9").unwrap();
    let target = format!("/callback?token={fresh}");
    let arrived = secrets.keep(scene.proxy.ask("GET", &target, &fields).await);
    secrets.keep(scene.proxy.ask("GET", &target, &fields).await);
    let session = cookie_of(&arrived, "__Host-session").unwrap();
    secrets.mark("a session", session.split_once('=').unwrap().1, &[Place::Answers]);
    for hours in [0, 61, 122] {
        scene.at(START + 1 + hours * 3_600);
        assert_eq!(secrets.keep(scene.page(&session).await).status, 200);
    }
    secrets.mark("a token that nobody took from an address", arriving, NOWHERE);
    secrets.mark("a token from an address", &fresh, &[Place::Vendor]);
    let (app, vendor) = seen(&scene, &wire);
    let slid: BTreeSet<String> = shown(&vendor).into_iter().filter(|shown| *shown != token).collect();
    assert_eq!(slid.len(), 2, "the one that came, and the next");
    for token in slid {
        secrets.mark("a token that the session keeps", token, &[Place::Vendor]);
    }
    secrets.judge(&scene.proxy, &app, &vendor);
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_is_one_that_a_hat_behind_the_proxy_gives_or_gets() {
    let mut wire = None;
    let scene = Scene::by(|hat| wire.insert(Wire::to(hat)).address, CONF).await;
    let wire = wire.unwrap();
    let mut secrets = Secrets::new();
    let (name, password) = OWNER;
    secrets.mark("the owner's password", password, &[Place::Vendor]);
    secrets.mark("a wrong password", "marked-wrong-password", &[Place::Vendor]);
    for (password, status) in [(password, 200), ("marked-wrong-password", 401)] {
        let fields = [("Host", ADA), ("Accept", "application/json"), ("username", name), ("password", password)];
        let answer = secrets.keep(scene.proxy.ask("GET", "/users/access_token", &fields).await);
        assert_eq!(answer.status, status);
        if let Some(token) = answer.field("x-auth-token") {
            secrets.mark("the owner's token", token, &[Place::Answers, Place::Vendor]);
            scene.at(START + 1);
            let next = secrets.keep(scene.get("/users/access_token/validate", token).await);
            secrets.mark("the one that it slid on to", next.field("x-auth-token").unwrap(), &[Place::Answers]);
        }
    }
    // What is slid on is another token a second later.
    scene.at(START + 1);
    let (app, other) = (scene.application(), scene.hats.application(ADA, "facebook", "1").unwrap());
    scene.at(START + 2);
    assert_eq!(secrets.keep(scene.get("/api/v2.6/data/my-app/notes", &app).await).status, 200);
    assert_eq!(secrets.keep(scene.get("/api/v2.6/data/my-app/notes", &other).await).status, 401);
    secrets.keep(scene.get(&format!("/api/v2.6/data/my-app/notes?X-Auth-Token={other}"), &app).await);
    secrets.mark("an application's token", app, &[Place::Vendor]);
    secrets.mark("a token that is refused", other, NOWHERE);
    let (seen_by_app, vendor) = seen(&scene, &wire);
    secrets.judge(&scene.proxy, &seen_by_app, &vendor);
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_is_one_that_is_kept_for_its_owner() {
    let mut wire = None;
    let scene = Scene::by(|hat| wire.insert(Wire::to(hat)).address, KEEPING).await;
    let wire = wire.unwrap();
    let mut secrets = Secrets::new();
    let fields = [("Host", ADA), ("Accept", "application/json"), ("username", OWNER.0), ("password", OWNER.1)];
    let login = secrets.keep(scene.proxy.ask("GET", "/users/access_token", &fields).await);
    secrets.mark("the owner's password", OWNER.1, &[Place::Vendor]);
    let session = cookie_of(&login, "__Host-session").unwrap();
    secrets.mark("a session", session.split_once('=').unwrap().1, &[Place::Answers]);
    for hours in [0, 61, 122] {
        scene.at(START + hours * 3_600);
        let fields = [("Host", ADA), ("Accept", "application/json"), ("Cookie", session.as_str())];
        let answer = secrets.keep(scene.proxy.ask("GET", "/api/v2.6/data/anything/notes", &fields).await);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let planted = scene.hats.owner(ADA).unwrap();
    secrets.keep(scene.get("/api/v2.6/data/anything/notes", &planted).await);
    secrets.mark("a token of the client's own", planted, NOWHERE);
    let (app, vendor) = seen(&scene, &wire);
    let kept = shown(&vendor);
    assert!(3 <= kept.len(), "one from the log-in, and two that it slid on to: {}", kept.len());
    for token in kept {
        secrets.mark("a token that the session keeps", token, &[Place::Vendor]);
    }
    secrets.judge(&scene.proxy, &app, &vendor);
}
