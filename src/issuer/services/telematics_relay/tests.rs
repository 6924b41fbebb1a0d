//! Pairs of the vendor's, brought by clients that ask twice and by those who have half of one.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::ENTRY;
use crate::domain::{Reason, RenewalFailure, Seconds, Secret, TokenPair, Value};
use crate::issuer::contract::Service;
use crate::issuer::services::house::{House, NOW, post_at};
use crate::settings::NodeValue;
use crate::state::testing::Fault;
use crate::verify::keys::testing::{map, node};

const FIELDS: [(&str, &str); 1] = [("content-type", "application/json")];

fn service(house: &House) -> Arc<dyn Service> {
    house.service(&ENTRY, Some(&node(map(vec![("renewer", NodeValue::Text("vendor".into()))])))).unwrap()
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

fn fresh() -> TokenPair {
    TokenPair {
        access: secret("at-2"),
        refresh: Some(secret("rt-2")),
        access_until: Some(NOW.plus(Seconds(600))),
        refresh_until: None,
        beside: Value::Map(Box::new([("DeviceToken".into(), Value::Text("d-1".into()))])),
    }
}

async fn ask(service: &Arc<dyn Service>, body: &Json) -> (u16, bool, Json) {
    let reply = post_at("app.example", service, None, &FIELDS, &body.to_string()).await.unwrap();
    (reply.status, reply.guessed, serde_json::from_slice(&reply.body).unwrap())
}

#[tokio::test]
async fn a_pair_is_passed_on_whole_and_what_it_brought_comes_back_in_the_vendors_words() {
    let house = House::new();
    let service = service(&house);
    let bare = TokenPair { refresh: None, access_until: None, beside: Value::empty(), ..fresh() };
    let whole = json!({ "DeviceToken": "d-1", "AccessToken": { "Token": "at-2", "ExpiresIn": 600 }, "RefreshToken": "rt-2" });
    let kept = json!({ "DeviceToken": null, "AccessToken": { "Token": "at-2", "ExpiresIn": null }, "RefreshToken": "rt-1" });
    for (pair, expected, shows) in [(fresh(), whole, "all of it"), (bare, kept, "an issuer that does not rotate leaves the old one good")] {
        *house.relay.answer.lock() = Some(Ok(pair));
        // In either case of the names.
        for body in [json!({ "AccessToken": "at-1", "RefreshToken": "rt-1" }), json!({ "accessToken": "at-1", "refreshToken": "rt-1" })] {
            let (status, guessed, said) = ask(&service, &body).await;
            let envelope = json!({ "Result": expected, "Status": 200, "Title": "", "Errors": [] });
            assert_eq!((status, guessed, said), (200, false, envelope), "{shows}");
        }
    }
    let spent = house.relay.spent.lock();
    assert!(spent.iter().all(|spent| (spent.access.expose(), spent.refresh.expose()) == (&b"at-1"[..], &b"rt-1"[..])), "both go on");
}

#[tokio::test]
async fn half_a_pair_brings_nothing_that_the_other_half_has_brought() {
    let house = House::new();
    let service = service(&house);
    *house.relay.answer.lock() = Some(Ok(fresh()));
    assert_eq!(ask(&service, &json!({ "AccessToken": "at-1", "RefreshToken": "rt-1" })).await.0, 200);
    let (status, guessed, said) = ask(&service, &json!({ "AccessToken": "at-of-somebody", "RefreshToken": "rt-1" })).await;
    assert_eq!((status, guessed, &said["Errors"][0]["Key"]), (400, true, &json!("RefreshToken")), "M6 a refresh token alone is no pair");
    assert_eq!(house.relay.spent.lock().len(), 1, "and the vendor is not asked");
    for (body, key) in [
        (json!({ "RefreshToken": "rt-1" }), "AccessToken"),
        (json!({ "AccessToken": "", "RefreshToken": "rt-1" }), "AccessToken"),
        (json!({ "AccessToken": "at-1" }), "RefreshToken"),
        (json!({ "AccessToken": "at-1", "RefreshToken": 7 }), "RefreshToken"),
        (json!({ "AccessToken": "at-1", "RefreshToken": "a b" }), "RefreshToken"),
    ] {
        let (status, _, said) = ask(&service, &body).await;
        assert_eq!((status, &said["Errors"][0]["Key"]), (422, &json!(key)), "{body}");
    }
}

#[tokio::test]
async fn a_pair_that_is_over_is_a_400_and_an_outage_is_none() {
    let house = House::new();
    let service = service(&house);
    let body = json!({ "AccessToken": "at-1", "RefreshToken": "rt-1" });
    for (failure, guessed, shows) in [
        (RenewalFailure::Fatal, true, "M9 the vendor refused it"),
        (RenewalFailure::Unknown, false, "its answer was lost, and the pair may be spent"),
    ] {
        *house.relay.answer.lock() = Some(Err(failure));
        let (status, counts, said) = ask(&service, &body).await;
        assert_eq!((status, counts, &said["Status"]), (400, guessed, &json!(400)), "{shows}");
    }
    let after = Seconds(7);
    for (failure, expected, shows) in [
        (RenewalFailure::Transient { retry_after: after }, after, "it cannot do it now"),
        (RenewalFailure::Pending { retry_after: after }, after, "it is being done"),
        (RenewalFailure::StateUnavailable, Seconds(5), "nobody can say whether it is being done elsewhere"),
    ] {
        *house.relay.answer.lock() = Some(Err(failure));
        let refusal = post_at("app.example", &service, None, &FIELDS, &body.to_string()).await.unwrap_err();
        assert_eq!(refusal, crate::domain::Refusal::RenewalUnavailable { retry_after: expected }, "{shows}");
    }
    house.failing.fail(Some(Fault::Write));
    let refusal = post_at("app.example", &service, None, &FIELDS, &body.to_string()).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::StateUnavailable, "who cannot be told apart is not served");
}

#[test]
fn a_relay_names_what_asks_the_vendor() {
    let house = House::new();
    assert!(house.service(&ENTRY, None).is_err(), "nothing");
    let unknown = node(map(vec![("renewer", NodeValue::Text("nobody".into()))]));
    assert!(house.service(&ENTRY, Some(&unknown)).is_err(), "nobody");
}
