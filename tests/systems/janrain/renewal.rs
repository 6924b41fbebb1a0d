//! Tokens that run out: told by code 414 inside a 200, renewed once for everybody, never blindly.

use std::sync::atomic::Ordering;

use countersign::demo::systems::janrain::Trouble;
use serde_json::json;

use crate::janrain::stage::{House, LIFE, UUID, body};
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
