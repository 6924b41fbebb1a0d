//! The attack list on log-ins, sessions and renewals, sections L and M row by row, over both positions.

use countersign::demo::systems::janrain::Trouble;
use serde_json::json;

use crate::janrain::stage::{ADDRESS, CLIENT, House, LIFE, REDIRECT, SOCIAL, UUID, body, cookie_of, form};
use crate::process;
use crate::support::rows::base64;
use crate::support::whole::NOW;

const OTHER: &str = "99999def-6789-4def-8789-67890defab67";
const OTHER_SOCIAL: &str = "ffab34cd56ef78gh90ij12kl34mn56op78qr90st";

/// Logs somebody else in, as [`House::logged_in`] does.
async fn other_logged_in(house: &House) -> String {
    house.capture.user("joe@example.com", OTHER);
    house.capture.social(OTHER_SOCIAL, "joe@example.com");
    let answer = house.page("/oauth/auth_native", &form(&[("token", OTHER_SOCIAL)]), None).await;
    let code = body(&answer)["authorization_code"].as_str().unwrap().to_owned();
    let cookie = cookie_of(&answer);
    cookie_of(&house.page("/oauth/token", &form(&[("grant_type", "authorization_code"), ("code", &code)]), Some(&cookie)).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_nearly_ours_is_not_ours() {
    let house = House::start().await;
    let rows = [
        ("https://evil.example/done", "L1 another host"),
        ("https://app.example.evil.example/done", "L2 ours as a label of another"),
        ("https://evilapp.example/done", "L2 ours as the end of another"),
        ("https://app.example@evil.example/done", "L8 ours as userinfo"),
        ("https://evil@app.example/done", "L8 userinfo before ours"),
        ("https://app.example:444/done", "L8 another port"),
        ("https://app.example/done/../x", "L8 a longer path"),
        ("https://app.example/done?next=//evil.example", "L1 with a query"),
        ("http://app.example/done", "L8 in the clear"),
        ("https://APP.example/done", "L8 in other letters"),
        ("//evil.example/done", "L1 without a scheme"),
        ("/\\evil.example", "L1 a backslash"),
    ];
    for (place, shows) in rows {
        let call = form(&[
            ("client_id", CLIENT),
            ("flow", "standard"),
            ("flow_version", "20160420-1"),
            ("locale", "en-US"),
            ("redirect_uri", place),
            ("token", SOCIAL),
        ]);
        let answer = house.api("POST", "/oauth/auth_native", &[], &call).await;
        assert_eq!((&body(&answer)["stat"], &body(&answer)["argument_name"]), (&json!("error"), &json!("redirect_uri")), "{shows}");
        assert!(!answer.text().contains("evil"), "L17 {shows}: nothing of it is repeated");
    }
    assert!(house.capture.seen().is_empty(), "L3 no token has left for such a place");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_redeemed_once_by_its_own_client_at_its_own_address() {
    let house = House::start().await;
    house.capture.user(ADDRESS, UUID);
    house.capture.social(SOCIAL, ADDRESS);
    let answer = house.page("/oauth/auth_native", &form(&[("token", SOCIAL)]), None).await;
    let taken = body(&answer)["authorization_code"].as_str().unwrap().to_owned();
    house.capture.social(OTHER_SOCIAL, ADDRESS);
    let answer = house.page("/oauth/auth_native", &form(&[("token", OTHER_SOCIAL)]), None).await;
    let (code, cookie) = (body(&answer)["authorization_code"].as_str().unwrap().to_owned(), cookie_of(&answer));
    let grant = |more: &[(&str, &str)]| form(&[&[("grant_type", "authorization_code"), ("code", &*code)], more].concat());

    let basic = format!("Basic {}", base64("issuer:issuer-secret"));
    let foreign =
        house.api("POST", "/oauth/token", &[("Authorization", &basic)], &grant(&[("redirect_uri", REDIRECT)]).replace(&code, &taken)).await;
    assert_eq!((foreign.status, &body(&foreign)["stat"]), (400, &json!("error")), "L6 a code of another client: {}", foreign.text());
    let nobody = house.page("/oauth/token", &grant(&[]), None).await;
    assert_eq!((nobody.status, nobody.field("set-cookie")), (401, None), "L4 by a browser that has not logged in: {}", nobody.text());
    let evil = [("redirect_uri", "https://evil.example"), ("client_id", "issuer"), ("client_secret", "x"), ("code_verifier", "")];
    let redeemed = house.page("/oauth/token", &grant(&evil), Some(&cookie)).await;
    assert_eq!((redeemed.status, &body(&redeemed)["stat"]), (200, &json!("ok")), "L5 {}", redeemed.text());
    let sent = house.capture.seen().pop().unwrap();
    assert!(sent.body.contains(&form(&[("redirect_uri", REDIRECT)])), "L5 what a code is bound to is said by the conf: {}", sent.body);
    assert!(!sent.body.contains("evil"), "L5 and by nobody else: {}", sent.body);
    let next = cookie_of(&redeemed);
    let again = house.page("/oauth/token", &grant(&[]), Some(&next)).await;
    assert_eq!((again.status, again.field("set-cookie")), (400, None), "L16 once: {}", again.text());
    assert_eq!(house.capture.asked().redeemed, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_new_at_each_log_in_and_is_nobody_elses() {
    let house = House::start().await;
    let planted = format!("__Host-session={}", "A".repeat(64));
    house.capture.user(ADDRESS, UUID);
    house.capture.social(SOCIAL, ADDRESS);
    let answer = house.page("/oauth/auth_native", &form(&[("token", SOCIAL)]), Some(&planted)).await;
    let first = cookie_of(&answer);
    assert_ne!(first, planted, "L9 a new id, whatever came along");
    let code = body(&answer)["authorization_code"].as_str().unwrap().to_owned();
    let answer = house.page("/oauth/token", &form(&[("grant_type", "authorization_code"), ("code", &code)]), Some(&first)).await;
    let own = cookie_of(&answer);
    assert_ne!(own, first, "L9 and another when it holds more");
    let other = other_logged_in(&house).await;
    let (a, b) = (own.split_once('=').unwrap().1, other.split_once('=').unwrap().1);
    let (hits, data) = (house.app.hits(), house.capture.asked().data);
    let rows = [
        (planted, "L9 what was planted is nobody's"),
        (format!("{own}; {other}"), "L10 two of them"),
        (own.replace("__Host-", ""), "L10 under a name that others may set"),
        (format!("__Host-session={}{}", &a[..32], &b[32..]), "L13 halves of two"),
        (format!("__Host-session_chunks=2; __Host-session.0={}; __Host-session.1={}", &a[..32], &a[32..]), "L12 pieces"),
    ];
    for (cookie, shows) in rows {
        assert_ne!(house.get("/home", &cookie).await.status, 200, "{shows}");
        assert_eq!(body(&house.get("/entity", &cookie).await)["stat"], json!("error"), "{shows}");
    }
    let elsewhere = house.whole.ask("GET", "/entity", &[("Host", "capture.example"), ("Cookie", &own)]).await;
    assert_eq!(body(&elsewhere)["stat"], json!("error"), "L14 at another host");
    assert_eq!((house.app.hits(), house.capture.asked().data), (hits, data), "nobody has heard of any of them");
    let uuid = async |cookie: &str| body(&house.get("/entity", cookie).await)["result"]["uuid"].clone();
    assert_eq!((uuid(&own).await, uuid(&other).await), (json!(UUID), json!(OTHER)), "M6 each their own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stampede_refreshes_once_and_everybody_gets_their_own() {
    let house = House::start().await;
    let (own, other) = (house.logged_in().await, other_logged_in(&house).await);
    let before = house.capture.asked();
    house.set_clock(NOW + LIFE + 1);
    let mut asks = tokio::task::JoinSet::new();
    for turn in 0..40 {
        let (address, cookie) = (house.whole.address(), if turn % 2 == 0 { own.clone() } else { other.clone() });
        asks.spawn(async move {
            let answer = process::ask(address, "GET", "/entity", &[("Host", "app.example"), ("Cookie", &cookie)], "").await;
            (turn, answer)
        });
    }
    while let Some(done) = asks.join_next().await {
        let (turn, answer) = done.unwrap();
        assert_eq!(body(&answer)["result"]["uuid"], json!(if turn % 2 == 0 { UUID } else { OTHER }), "M6 {}", answer.text());
    }
    let asked = house.capture.asked();
    assert_eq!((asked.refreshed - before.refreshed, asked.refused - before.refused), (2, 0), "M1 M2 one refresh for each session");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_that_cannot_refresh_is_not_asked_again_and_again() {
    for (trouble, shows) in
        [(Trouble::Down(503), "M12 an outage"), (Trouble::Down(200), "M11 a page"), (Trouble::RefreshLost, "M5 answers that are lost")]
    {
        let house = House::start().await;
        let cookie = house.logged_in().await;
        house.set_clock(NOW + LIFE + 1);
        house.capture.trouble(trouble);
        let (before, data) = (house.capture.seen().len(), house.capture.asked().data);
        for _ in 0..20 {
            assert_eq!(body(&house.get("/entity", &cookie).await)["stat"], json!("error"), "{shows}");
        }
        let refreshes = house.capture.seen()[before..].iter().filter(|seen| seen.line.contains("/oauth/token")).count();
        assert!(refreshes <= 2, "{shows}: {refreshes} refreshes for twenty requests");
        assert_eq!(house.capture.asked().data, data, "M8 {shows}: the old token is shown to nobody past its end");
    }
}
