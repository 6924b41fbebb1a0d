//! The instance's key, pairs and sessions, and where each of them may be seen.

use countersign::demo::systems::telematics::{DemoTelematics, Trouble};
use countersign::domain::Timestamp;
use serde_json::json;

use crate::secrets::{NOWHERE, Place, Secrets};
use crate::support::whole::NOW;
use crate::telematics::{LIFE, OTHER, Stage, USER, handed, login, shipped, told};
use crate::wire::Wire;

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_seen_where_it_has_no_business() {
    let mut wire = None;
    let stage = Stage::by(|vendor| wire.insert(Wire::to(vendor)).address, |yaml| yaml).await;
    let wire = wire.unwrap();
    let mut secrets = Secrets::new();
    for file in ["demo-pepper.txt", "demo-ticket-current.key"] {
        secrets.mark(file, shipped(&format!("keys/{file}")).trim(), NOWHERE);
    }
    secrets.mark("the instance's key", DemoTelematics::KEY, &[Place::Vendor]);
    secrets.mark("a back end's key", "demo-partner-secret", NOWHERE);
    secrets.mark("a wrong key", "marked-wrong-instance-key", NOWHERE);
    let account = stage.account(USER);
    secrets.mark("the account's token", account.trim_start_matches("Bearer "), NOWHERE);

    // Registrations and logins, by whoever may and by whoever may not.
    let backend = [("InstanceID", "demo-partner"), ("instancekey", "demo-partner-secret")];
    let wrong = [("InstanceID", "demo-partner"), ("InstanceKey", "marked-wrong-instance-key")];
    let own = [("Authorization", account.as_str())];
    let create = "/v1/Registration/create";
    for (fields, target, body, status) in [
        (&backend[..], create, json!({ "CreateAccessToken": true }), 200),
        (&backend[..], "/v1/Registration/CreateMany", json!([{}, {}]), 200),
        (&wrong[..], create, json!({}), 401),
        (&own[..], create, json!({}), 200),
        (&own[..], create, json!({ "CustomToken": OTHER }), 403),
        (&backend[..], "/v1/Registration/create?InstanceKey=marked-wrong-instance-key", json!({}), 422),
        (&backend[..], "/trips", json!({}), 401),
        (&own[..], "/v1/Auth/Login", login(OTHER), 403),
        (&own[..], "/v1/Auth/Login", json!({ "LoginFields": { "email": "a@b" }, "Password": "marked-operator-password" }), 403),
    ] {
        let answer = secrets.keep(stage.post(target, fields, &body).await);
        assert_eq!(answer.status, status, "{target} {body}: {answer:?}");
    }
    secrets.mark("an operator's password", "marked-operator-password", NOWHERE);

    // A pair that the proxy holds: renewed by the clock, by a reply; refused, and lost.
    let mut form = login(USER);
    form["Password"] = json!("marked-password-of-an-old-app");
    secrets.mark("what an old app thinks is the key", "marked-password-of-an-old-app", NOWHERE);
    let answer = secrets.keep(stage.post("/v1/Auth/Login", &own, &form).await);
    assert_eq!(answer.status, 200, "{answer:?}");
    let cookie = answer.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    secrets.mark("a session", cookie.split_once('=').unwrap().1, &[Place::Answers]);
    let step = i64::from(LIFE) + 60;
    let ask = async || secrets.keep(stage.whole.ask("GET", "/trips", &[("Cookie", &cookie)]).await);
    assert_eq!(ask().await.status, 200);
    stage.vendor.end_access(USER);
    assert_eq!(ask().await.status, 200, "renewed because a reply said so");
    stage.at(NOW + step);
    assert_eq!(ask().await.status, 200, "renewed by the clock");
    stage.at(NOW + 2 * step);
    stage.vendor.trouble(Trouble::RefreshFails(503));
    assert_eq!(told(&ask().await).0, 503);
    stage.at(NOW + 3 * step);
    stage.vendor.trouble(Trouble::RefreshLost);
    assert_eq!(told(&ask().await).0, 401);
    stage.vendor.trouble(Trouble::None);
    let held = tokens(&wire.seen());
    assert!(6 <= held.len(), "three pairs were shown: {held:?}");
    for token in &held {
        secrets.mark("a token that the session keeps", token, &[Place::Vendor]);
    }

    // A pair that a phone holds itself, in front of the user API and of the app.
    let now = NOW + 4 * step;
    stage.at(now);
    let first = stage.vendor.pair(OTHER, Timestamp(now)).unwrap();
    secrets.keep(stage.with_pair("phones.example", "/trips", &first).await);
    secrets.keep(stage.with_pair("proxy.test", "/app/trips", &first).await);
    stage.at(now + step);
    let answer = secrets.keep(stage.with_pair("phones.example", "/trips", &first).await);
    let second = handed(&answer).unwrap();
    stage.at(now + step + 60);
    secrets.keep(stage.with_pair("phones.example", "/trips", &first).await);
    secrets.keep(stage.with_pair("proxy.test", "/app/trips", &second).await);
    secrets.mark("a phone's first access token", first.0, &[Place::Vendor]);
    secrets.mark("a phone's first refresh token", first.1, &[Place::Vendor]);
    secrets.mark("the access token that it was handed", second.0, &[Place::Answers, Place::Vendor]);
    secrets.mark("the refresh token that it was handed", second.1, &[Place::Answers]);
    assert!(1 < stage.app.hits(), "the app was asked");
    let app: String = stage.app.records().iter().map(|record| format!("{}\n{:?}\n", record.head, record.body)).collect();
    secrets.judge(&stage.whole, &app, &wire.seen());
}

/// Every token in what was sent to the vendor: bearers, and both tokens of refreshes.
fn tokens(wire: &str) -> Vec<String> {
    let after = |sign: &'static str, end: &'static [char]| {
        wire.split(sign).skip(1).filter_map(move |rest| rest.split(end).next()).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut tokens = after("Bearer ", &['\r']);
    tokens.extend(after("\"AccessToken\":\"", &['"']));
    tokens.extend(after("\"RefreshToken\":\"", &['"']));
    tokens.sort();
    tokens.dedup();
    tokens
}
