//! Pairs that the proxy holds: a login becomes a session, and the client sees no token of the vendor's.

use countersign::demo::systems::telematics::{DemoTelematics, Trouble};
use serde_json::{Value, json};

use crate::support::raw::Answer;
use crate::support::whole::NOW;
use crate::telematics::{LIFE, OTHER, Stage, USER, login, told};

/// The cookie that an answer sets, as a client sends it back.
fn cookie(answer: &Answer) -> String {
    let set = answer.field("set-cookie").unwrap_or_else(|| panic!("no cookie: {answer:?}"));
    set.split(';').next().unwrap().to_owned()
}

async fn logged_in(stage: &Stage, device: &str) -> (Answer, String) {
    let account = stage.account(device);
    let answer = stage.post("/v1/Auth/Login", &[("Authorization", &account)], &login(device)).await;
    assert_eq!(answer.status, 200, "{answer:?} {}", stage.whole.written());
    let cookie = cookie(&answer);
    (answer, cookie)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_forms_of_a_login_become_a_session_and_no_token_reaches_the_client() {
    let forms = [
        login(USER),
        json!({ "LoginFields": { "Devicetoken": USER } }),
        json!({ "loginFields": { "DeviceToken": USER.to_uppercase() }, "password": "from an old app" }),
    ];
    for form in forms {
        let stage = Stage::start().await;
        let account = stage.account(USER);
        let answer = stage.post("/v1/Auth/Login", &[("Authorization", &account)], &form).await;
        assert_eq!(answer.status, 200, "{form}: {answer:?} {}", stage.whole.written());
        let said: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((&said["Status"], &said["Result"]), (&json!(200), &json!({ "DeviceToken": USER })), "{form}: all but the pair");
        assert_eq!(answer.field("cache-control"), Some("no-store"), "{form}");
        let seen = stage.vendor.seen().pop().unwrap();
        let sent: Value = serde_json::from_str(&seen.body).unwrap();
        assert_eq!(sent["Password"], DemoTelematics::KEY, "{form}: the key is added here");
        assert_eq!((seen.id.as_deref(), seen.key, seen.authorization), (Some(DemoTelematics::INSTANCE), None, None), "{form}");

        let cookie = cookie(&answer);
        let data = stage.whole.ask("GET", "/trips", &[("Cookie", &cookie), ("Authorization", "Bearer theirs")]).await;
        assert_eq!(data.status, 200, "{form}: {data:?} {}", stage.whole.written());
        assert!(data.text().contains(USER));
        let seen = stage.vendor.seen().pop().unwrap();
        assert!(seen.authorization.is_some_and(|shown| shown.starts_with("Bearer ey")), "{form}: the vendor sees the token");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_refreshed_once_for_each_expiry_and_never_by_a_login() {
    let stage = Stage::start().await;
    let (_, cookie) = logged_in(&stage, USER).await;
    for expiry in 1..=20_usize {
        stage.at(NOW + i64::from(LIFE + 60) * i64::try_from(expiry).unwrap());
        let fields = [("Cookie", cookie.as_str())];
        let ask = || stage.whole.ask("GET", "/trips", &fields);
        let (first, second, third) = tokio::join!(ask(), ask(), ask());
        for answer in [first, second, third] {
            assert_eq!(answer.status, 200, "expiry {expiry}: {answer:?} {}", stage.whole.written());
        }
        let asked = stage.vendor.asked();
        assert_eq!((asked.refreshed, asked.refused, asked.logins), (expiry, 0, 1), "M1 one refresh for each expiry");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_outlives_a_429_and_a_5xx_and_ends_with_a_400() {
    for (trouble, during, after, shows) in [
        (Trouble::RefreshFails(429), 503, 200, "a 429"),
        (Trouble::RefreshFails(503), 503, 200, "a 503"),
        (Trouble::RefreshFails(400), 401, 401, "M9 a 400"),
        (Trouble::RefreshFails(401), 401, 401, "a 401"),
    ] {
        let stage = Stage::start().await;
        let (_, cookie) = logged_in(&stage, USER).await;
        stage.at(NOW + i64::from(LIFE) + 60);
        stage.vendor.trouble(trouble);
        let answer = stage.whole.ask("GET", "/trips", &[("Cookie", &cookie)]).await;
        assert_eq!((answer.status, told(&answer).1), (during, i64::from(during)), "{shows}: {answer:?}");
        stage.vendor.trouble(Trouble::None);
        stage.at(NOW + i64::from(LIFE) + 180);
        let answer = stage.whole.ask("GET", "/trips", &[("Cookie", &cookie)]).await;
        assert_eq!(answer.status, after, "{shows}: {answer:?} {}", stage.whole.written());
        assert_eq!(stage.vendor.asked().logins, 1, "{shows}: and nobody logged in again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_gives_a_session_of_its_own_and_takes_none_that_was_brought() {
    let stage = Stage::start().await;
    let fixed = format!("__Host-session={}", "A".repeat(64));
    let account = stage.account(USER);
    let answer = stage.post("/v1/Auth/Login", &[("Authorization", &account), ("Cookie", &fixed)], &login(USER)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_ne!(cookie(&answer), fixed, "L9 the id is new");
    let twice = format!("{}; {}", cookie(&answer), cookie(&answer));
    assert_eq!(stage.whole.ask("GET", "/trips", &[("Cookie", &twice)]).await.status, 400, "L10 two cookies are refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_login_brings_no_session_and_is_not_tried_again() {
    let stage = Stage::start().await;
    let account = stage.account("8b1cf7f9-0000-4000-8000-0000000000ff");
    let answer = stage.post("/v1/Auth/Login", &[("Authorization", &account)], &login("8b1cf7f9-0000-4000-8000-0000000000ff")).await;
    assert_eq!((answer.status, answer.field("set-cookie")), (401, None), "the vendor knows nobody of that device");
    let asked = stage.vendor.asked();
    assert_eq!((asked.logins, asked.refreshed), (1, 0), "once");
    let account = stage.account(USER);
    let answer = stage.post("/v1/Auth/Login", &[("Authorization", &account)], &login(OTHER)).await;
    assert_eq!((told(&answer), stage.vendor.asked().logins), ((403, 403, "DeviceToken".to_owned()), 1), "M6 nobody gets another's pair");
}
