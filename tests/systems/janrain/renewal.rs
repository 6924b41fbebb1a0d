//! Tokens that run out: told by code 414 inside a 200, renewed once for everybody, never blindly.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use countersign::demo::systems::janrain::Trouble;
use serde_json::json;

use crate::janrain::stage::{ADDRESS, House, LIFE, UUID, body, cookie_of, form};
use crate::support::whole::NOW;

#[tokio::test(flavor = "multi_thread")]
async fn code_414_inside_a_200_renews_and_the_client_notices_nothing() {
    let house = House::start().await;
    let cookie = house.logged_in().await;
    let before = house.capture.asked();
    // The vendor has ended the token early: the proxy believes that it is good.
    house.vendor.store(NOW + LIFE, Ordering::SeqCst);
    let answer = house.get("/entity", &cookie).await;
    assert_eq!((answer.status, &body(&answer)["result"]["uuid"]), (200, &json!(UUID)), "{}", answer.text());
    let after = house.capture.asked();
    assert_eq!((after.refreshed - before.refreshed, after.data - before.data), (1, 2), "asked, renewed, asked again");
    let answer = house.get("/entity", &cookie).await;
    assert_eq!((&body(&answer)["stat"], house.capture.asked().refreshed), (&json!("ok"), after.refreshed), "and the fresh one is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_calls_at_once_that_learn_of_it_by_code_414_cost_one_refresh() {
    let house = Arc::new(House::start().await);
    let cookie = house.logged_in().await;
    let before = house.capture.asked();
    for round in 1..=5_i64 {
        // The proxy's clock stays behind, so it believes each time that the token is good.
        house.vendor.store(NOW + round * LIFE, Ordering::SeqCst);
        house.whole.set_clock(NOW + round * LIFE - 120);
        let asking: Vec<_> = (0..20)
            .map(|_| {
                let (house, cookie) = (Arc::clone(&house), cookie.clone());
                tokio::spawn(async move { house.get("/entity", &cookie).await })
            })
            .collect();
        for asked in asking {
            let answer = asked.await.unwrap();
            assert_eq!((answer.status, &body(&answer)["result"]["uuid"]), (200, &json!(UUID)), "round {round}: {}", answer.text());
        }
        let after = house.capture.asked();
        let refreshed = usize::try_from(round).unwrap();
        assert_eq!((after.refreshed - before.refreshed, after.refused), (refreshed, before.refused), "one refresh for all, round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_another_log_in_replaces_is_over() {
    let house = House::start().await;
    let first = house.logged_in().await;
    house.capture.social("cd12ab34ef56gh78ij90kl12mn34op56qr78st90", ADDRESS);
    let form = form(&[("token", "cd12ab34ef56gh78ij90kl12mn34op56qr78st90")]);
    let again = house.page("/oauth/auth_native", &form, Some(&first)).await;
    let second = cookie_of(&again);
    assert_eq!(body(&house.get("/entity", &second).await)["stat"], json!("ok"), "{}", again.text());
    let told = body(&house.get("/entity", &first).await);
    assert_eq!((&told["stat"], &told["code"]), (&json!("error"), &json!(414)), "whoever else knows the one before has nothing: {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_of_one_account_go_through_twenty_expiries_with_one_refresh_each() {
    let house = House::start().await;
    let cookie = house.logged_in().await;
    let before = house.capture.asked().refreshed;
    for round in 1..=20_i64 {
        house.set_clock(NOW + round * (LIFE + 1));
        let answers = tokio::join!(house.get("/entity", &cookie), house.get("/entity", &cookie), house.get("/entity", &cookie));
        for answer in [&answers.0, &answers.1, &answers.2] {
            assert_eq!((answer.status, &body(answer)["result"]["uuid"]), (200, &json!(UUID)), "round {round}: {}", answer.text());
        }
        assert_eq!(house.capture.asked().refreshed - before, usize::try_from(round).unwrap(), "one refresh for all, round {round}");
    }
    assert_eq!(house.capture.asked().refused, 0, "no refresh token was spent twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_whose_answer_was_lost_is_not_repeated_blindly() {
    let house = House::start().await;
    let cookie = house.logged_in().await;
    house.set_clock(NOW + LIFE + 1);
    house.capture.trouble(Trouble::RefreshLost);
    let before = house.capture.asked();
    for _ in 0..3 {
        let told = body(&house.get("/entity", &cookie).await);
        assert_eq!((&told["stat"], &told["code"]), (&json!("error"), &json!(414)), "log in again, in the vendor's words: {told}");
    }
    let after = house.capture.asked();
    assert_eq!(
        (after.refreshed - before.refreshed, after.refused - before.refused),
        (1, 0),
        "the token may be spent, so it is not shown again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_310_380_and_390_renew_nothing() {
    let house = House::start().await;
    let cookie = house.logged_in().await;
    let before = house.capture.asked().refreshed;
    // A page of a logged-in user brings a social token of somebody nobody knows.
    house.capture.social("ffab34cd56ef78gh90ij12kl34mn56op78qr90st", "new@example.com");
    let text = "token=ffab34cd56ef78gh90ij12kl34mn56op78qr90st";
    let told = body(&house.page("/oauth/auth_native", text, Some(&cookie)).await);
    assert_eq!((&told["code"], house.capture.asked().refreshed), (&json!(310), before), "{told}");
    assert_eq!(body(&house.get("/entity", &cookie).await)["stat"], json!("ok"), "and the session is what it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn code_414_is_read_in_a_compressed_reply_too() {
    let house = House::start().await;
    let cookie = house.logged_in().await;
    house.capture.compress();
    house.vendor.store(NOW + LIFE, Ordering::SeqCst);
    let before = house.capture.asked().refreshed;
    let fields = [("Host", "app.example"), ("Cookie", cookie.as_str()), ("Accept-Encoding", "gzip")];
    let answer = house.whole.ask("GET", "/entity", &fields).await;
    assert_eq!((answer.status, house.capture.asked().refreshed - before), (200, 1), "the official client asks for gzip");
    assert_eq!(answer.field("content-encoding"), Some("gzip"), "and gets what Capture sends");
    assert!(answer.body.starts_with(&[0x1f, 0x8b]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_capture_is_told_in_its_words_and_spends_nothing() {
    let house = House::start().await;
    let cookie = house.logged_in().await;
    house.capture.trouble(Trouble::Down(503));
    house.set_clock(NOW + LIFE + 1);
    let answer = house.get("/entity", &cookie).await;
    let told = body(&answer);
    assert_eq!((answer.status, &told["code"], &told["error"]), (200, &json!(500), &json!("unexpected_error")), "{told}");
    house.capture.trouble(Trouble::None);
    house.set_clock(NOW + LIFE + 120);
    assert_eq!(body(&house.get("/entity", &cookie).await)["stat"], json!("ok"), "and once it is back, the session goes on");
}
