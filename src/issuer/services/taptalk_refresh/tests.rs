//! A refresh token for the next pair, by clients that ask twice and by those who should not have it.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::ENTRY;
use crate::domain::{Refusal, Seconds, Timestamp, Value};
use crate::issuer::contract::{Reply, Service};
use crate::issuer::pairs::{Caller, PairOrder};
use crate::issuer::services::house::{House, NOW, field, post_at};
use crate::settings::NodeValue;
use crate::state::testing::Fault;
use crate::systems::taptalk::client;
use crate::verify::keys::testing::{map, node};

const APP_KEY: &str = "YXBwaWQ6YXBwc2VjcmV0";

fn text(text: &str) -> NodeValue {
    NodeValue::Text(text.into())
}

fn service(house: &House, more: &[(&'static str, &str)]) -> Arc<dyn Service> {
    let settings = std::iter::once(("issuer", text("main"))).chain(more.iter().map(|(key, value)| (*key, text(value)))).collect();
    house.service(&ENTRY, Some(&node(map(settings)))).unwrap()
}

/// The refresh token of a login at `at`, from the app `appid` on the device `d-1`.
async fn login(house: &House, at: Timestamp) -> String {
    let client = Some(Caller { issuer: "taptalk".into(), name: client::name("appid", "d-1").into() });
    let order = PairOrder { subject: "anna".into(), scopes: Box::default(), claims: Value::empty(), client };
    let issued = house.issuer.open(order, at).await.unwrap();
    String::from_utf8(issued.pair.refresh.unwrap().expose().to_vec()).unwrap()
}

async fn from(device: &str, service: &Arc<dyn Service>, authorization: &str) -> (Json, Reply) {
    let fields = [("App-Key", APP_KEY), ("Device-Identifier", device), ("Authorization", authorization), ("Origin", "https://app.example")];
    // As the web client sends it: the two signs that mean nothing, as plain text.
    let reply = post_at("chat.example", service, None, &fields, "\"\"").await.unwrap();
    assert_eq!(reply.status, 200, "whatever it says");
    (serde_json::from_slice(&reply.body).unwrap(), reply)
}

async fn asked(service: &Arc<dyn Service>, refresh: &str) -> Json {
    from("d-1", service, &format!("Bearer {refresh}")).await.0
}

#[tokio::test]
async fn a_refresh_token_brings_the_next_pair_and_the_user() {
    let house = House::new();
    let service = service(&house, &[]);
    let first = login(&house, NOW).await;
    let told = asked(&service, &first).await;
    assert_eq!((&told["status"], &told["error"]["code"]), (&json!(200), &json!("")), "{told}");
    assert_ne!(told["data"]["refreshToken"], first, "both are new");
    assert_eq!(told["data"]["user"]["userID"], "anna");
    assert_eq!(told["data"]["accessTokenExpiry"], (NOW.0 + 900) * 1_000);
    let next = asked(&service, told["data"]["refreshToken"].as_str().unwrap()).await;
    assert_eq!(next["status"], 200, "and so on");
}

#[tokio::test]
async fn two_tabs_with_one_token_get_one_pair() {
    let house = House::new();
    let service = service(&house, &[]);
    let first = login(&house, NOW).await;
    let (one, other) = (asked(&service, &first).await, asked(&service, &first).await);
    assert_eq!(one["data"]["refreshToken"], other["data"]["refreshToken"], "the very same, within the grace");
    assert_eq!(one["data"]["accessToken"], other["data"]["accessToken"]);
}

#[tokio::test]
async fn an_older_pair_that_the_web_client_wrote_back_is_forgiven_for_a_while_and_then_a_theft() {
    let house = House::new();
    let service = service(&house, &[]);
    let by = Caller { issuer: "taptalk".into(), name: client::name("appid", "d-1").into() };
    for (ago, expected, shows) in [(29, "", "the last second of the grace"), (30, "40103", "after it")] {
        let older = login(&house, NOW.minus(Seconds(60))).await;
        let spent_at = NOW.minus(Seconds(ago));
        let issued = house.issuer.rotate(&older, Some(&by), None, spent_at).await.unwrap();
        let told = asked(&service, &older).await;
        assert_eq!(told["error"]["code"], expected, "{shows}: {told}");
        let newest = String::from_utf8(issued.pair.refresh.unwrap().expose().to_vec()).unwrap();
        let newest = asked(&service, &newest).await;
        assert_eq!(newest["error"]["code"], expected, "{shows}: what follows from it shares its fate");
    }
}

#[tokio::test]
async fn whatever_is_wrong_logs_a_client_out_and_never_sends_it_round_again() {
    let house = House::new();
    let service = service(&house, &[]);
    let good = login(&house, NOW).await;
    let over = login(&house, NOW.minus(Seconds(86_400))).await;
    let order = PairOrder { subject: "anna".into(), scopes: Box::default(), claims: Value::empty(), client: None };
    let access = house.issuer.open(order, NOW).await.unwrap().pair.access;
    let access = String::from_utf8(access.expose().to_vec()).unwrap();
    let rows = [
        (String::new(), "40101", false, "nothing"),
        ("Bearer".to_owned(), "40102", false, "a scheme alone"),
        ("Bearer ".to_owned(), "40102", false, "an empty bearer"),
        (format!("Basic {good}"), "40102", false, "another scheme"),
        (good.clone(), "40102", false, "no scheme"),
        ("Bearer garbage".to_owned(), "40103", true, "garbage, which counts as a guess"),
        ("Bearer held-by-the-proxy".to_owned(), "40103", true, "what a client that holds nothing is shown"),
        (format!("Bearer {access}"), "40103", true, "an access token is no refresh token"),
        (format!("Bearer {over}"), "40103", true, "one that is over, and not 40104"),
    ];
    for (authorization, code, guessed, shows) in rows {
        let (told, reply) = from("d-1", &service, &authorization).await;
        assert_eq!((told["status"].as_u64(), told["error"]["code"].as_str()), (Some(401), Some(code)), "{shows}");
        assert_eq!(reply.guessed, guessed, "{shows}");
    }
    assert_eq!(asked(&service, &good).await["status"], 200, "nothing was spent by any of it");
}

#[tokio::test]
async fn a_token_of_another_device_is_told_so_and_not_spent() {
    let house = House::new();
    let service = service(&house, &[]);
    let good = login(&house, NOW).await;
    let (told, reply) = from("d-2", &service, &format!("Bearer {good}")).await;
    assert_eq!((&told["status"], &told["error"]["code"], reply.guessed), (&json!(401), &json!("40105"), false));
    assert_eq!(asked(&service, &good).await["status"], 200, "its own client goes on");
}

#[tokio::test]
async fn how_it_is_answered_is_a_setting() {
    let house = House::new();
    let good = login(&house, NOW).await;
    let told = asked(&service(&house, &[("expiry", "seconds")]), &good).await;
    assert_eq!(told["data"]["accessTokenExpiry"], NOW.0 + 900);
    let (_, reply) = from("d-1", &service(&house, &[("origins", "https://app.example")]), "Bearer x").await;
    assert_eq!(field(&reply, "access-control-allow-origin"), Some("https://app.example"), "the page may read why it is refused");
    let anybodys = house.login().await;
    let told = asked(&service(&house, &[("bind", "none")]), &anybodys).await;
    assert_eq!((&told["status"], &told["data"]["user"]["userID"]), (&json!(200), &json!("ann")), "a pair for whoever holds it");
}

#[tokio::test]
async fn a_store_that_does_not_answer_logs_nobody_out() {
    let house = House::new();
    let service = service(&house, &[]);
    let good = login(&house, NOW).await;
    house.failing.fail(Some(Fault::Write));
    let fields = [("App-Key", APP_KEY), ("Device-Identifier", "d-1"), ("Authorization", &*format!("Bearer {good}"))];
    let outcome = post_at("chat.example", &service, None, &fields, "").await;
    assert!(matches!(outcome, Err(Refusal::StateUnavailable { .. })), "503 by the rule, and not 40103");
}
