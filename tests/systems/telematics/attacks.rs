//! The attack list on sessions and renewals, sections L and M row by row, over the shipped conf.

use std::sync::Arc;

use countersign::demo::systems::telematics::Trouble;
use countersign::domain::Timestamp;
use parking_lot::Mutex;
use serde_json::json;

use crate::process;
use crate::support::raw::Answer;
use crate::support::upstream::{Reply, Upstream};
use crate::support::whole::NOW;
use crate::telematics::{LIFE, OTHER, Stage, USER, handed, login, told};

const STEP: i64 = LIFE as i64 + 60;

fn cookie(answer: &Answer) -> String {
    answer.field("set-cookie").unwrap_or_else(|| panic!("no session: {answer:?}")).split(';').next().unwrap().to_owned()
}

async fn logged_in(stage: &Stage, device: &str) -> String {
    let account = stage.account(device);
    cookie(&stage.post("/v1/Auth/Login", &[("Authorization", &account)], &login(device)).await)
}

async fn trips(stage: &Stage, cookie: &str) -> Answer {
    stage.whole.ask("GET", "/trips", &[("Cookie", cookie)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_its_own_users_at_its_own_host() {
    let stage = Stage::start().await;
    let (user, other) = (logged_in(&stage, USER).await, logged_in(&stage, OTHER).await);
    let (a, b) = (user.split_once('=').unwrap().1, other.split_once('=').unwrap().1);
    let before = stage.vendor.asked().data;
    let rows = [
        (format!("{user}; {other}"), 400, "L10 two of them"),
        (user.replace("__Host-", ""), 401, "L10 under a name that others may set"),
        (format!("__Host-session={}{}", &a[..32], &b[32..]), 401, "L13 halves of two"),
        (format!("__Host-session_chunks=2; __Host-session.0={}; __Host-session.1={}", &a[..32], &a[32..]), 401, "L12 pieces"),
    ];
    for (cookie, status, shows) in rows {
        assert_eq!(trips(&stage, &cookie).await.status, status, "{shows}");
    }
    let elsewhere = stage.whole.ask("GET", "/trips", &[("Host", "other.example"), ("Cookie", &user)]).await;
    assert_eq!(elsewhere.status, 401, "L14 at another host");
    let cross = [("Cookie", user.as_str()), ("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example")];
    assert_eq!(stage.post("/v1/Management/users", &cross, &json!({})).await.status, 403, "L15 from a page of another site");
    assert_eq!(stage.vendor.asked().data, before, "the vendor has heard of none of them");
    assert!(trips(&stage, &user).await.text().contains(USER) && trips(&stage, &other).await.text().contains(OTHER), "M6 each their own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stampede_refreshes_once_and_everybody_gets_their_own() {
    let stage = Stage::start().await;
    let (user, other) = (logged_in(&stage, USER).await, logged_in(&stage, OTHER).await);
    stage.at(NOW + STEP);
    let mut asks = tokio::task::JoinSet::new();
    for turn in 0..40 {
        let (address, cookie) = (stage.whole.address(), if turn % 2 == 0 { user.clone() } else { other.clone() });
        asks.spawn(async move {
            let answer = process::ask(address, "GET", "/trips", &[("Host", "proxy.test"), ("Cookie", &cookie)], "").await;
            (turn, answer)
        });
    }
    while let Some(done) = asks.join_next().await {
        let (turn, answer) = done.unwrap();
        assert!(answer.status == 200 && answer.text().contains(if turn % 2 == 0 { USER } else { OTHER }), "M6 {answer:?}");
    }
    let asked = stage.vendor.asked();
    assert_eq!((asked.refreshed, asked.refused, asked.logins), (2, 0, 2), "M1 M2 one refresh for each pair");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_that_cannot_refresh_is_not_asked_again_and_again() {
    for (trouble, most, shows) in [
        (Trouble::RefreshFails(503), 2, "M12 a 503"),
        (Trouble::RefreshFails(400), 1, "M9 a 400"),
        (Trouble::RefreshLost, 1, "M5 answers that are lost"),
    ] {
        let stage = Stage::start().await;
        let session = logged_in(&stage, USER).await;
        stage.at(NOW + STEP);
        stage.vendor.trouble(trouble);
        let (before, data) = (stage.vendor.seen().len(), stage.vendor.asked().data);
        for _ in 0..20 {
            let answer = trips(&stage, &session).await;
            assert_eq!(told(&answer).1, i64::from(answer.status), "{shows}: in the vendor's words");
            assert_ne!(answer.status, 200, "{shows}");
        }
        let refreshes = stage.vendor.seen()[before..].iter().filter(|seen| seen.path.contains("RefreshToken")).count();
        assert!((1..=most).contains(&refreshes), "{shows}: {refreshes} refreshes for twenty requests");
        assert_eq!(stage.vendor.asked().data, data, "M8 {shows}: the old token is shown to nobody past its end");
        assert_eq!(stage.vendor.asked().logins, 1, "{shows}: and nobody logs in for it");
    }
}

/// What a refresh is answered with.
enum Answered {
    /// These bytes.
    With(Vec<u8>),
    /// The vendor's answer for a pair of this user.
    PairOf(&'static str),
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_is_the_vendors_own_answer_and_about_the_same_user_or_it_is_none() {
    let aside = Upstream::start().await;
    let place = format!("Location: http://{}/v1/Auth/RefreshToken\r\n", aside.address);
    let whole = |status: &str, more: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{more}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    };
    let rows = [
        (Answered::PairOf(USER), true, "their own"),
        (Answered::PairOf(OTHER), false, "M10 somebody else's"),
        (Answered::With(whole("302 Found", &place, "")), false, "M13 a redirect"),
        (Answered::With(whole("307 Temporary Redirect", &place, "")), false, "M13 one that keeps the method"),
        (Answered::With(whole("200 OK", "", "<html>maintenance</html>")), false, "M11 a page"),
        (Answered::With(whole("200 OK", "", &"x".repeat(2_000_000))), false, "M11 two megabytes"),
    ];
    for (answered, good, shows) in rows {
        let reply = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&reply);
        let vendor = Upstream::scripted(move |_| Reply::Bytes(told.lock().clone())).await;
        let stage = Stage::by(|_| vendor.address, |yaml| yaml).await;
        let pair = stage.vendor.pair(USER, Timestamp(NOW)).unwrap();
        *reply.lock() = match answered {
            Answered::With(bytes) => bytes,
            Answered::PairOf(device) => {
                let (access, refresh) = stage.vendor.pair(device, Timestamp(NOW + STEP)).unwrap();
                let result =
                    json!({ "DeviceToken": device, "AccessToken": { "Token": access, "ExpiresIn": LIFE }, "RefreshToken": refresh });
                whole("200 OK", "", &json!({ "Result": result, "Status": 200, "Title": "", "Errors": [] }).to_string())
            }
        };
        stage.at(NOW + STEP);
        let answer = stage.with_pair("proxy.test", "/app/trips", &pair).await;
        assert_eq!(
            (answer.status == 200, handed(&answer).is_some(), stage.app.hits()),
            (good, good, usize::from(good)),
            "{shows}: {answer:?}"
        );
        assert!(good || matches!(answer.status, 401 | 503), "{shows}: {answer:?}");
    }
    assert_eq!(aside.hits(), 0, "M13 nobody else saw a token");
}
