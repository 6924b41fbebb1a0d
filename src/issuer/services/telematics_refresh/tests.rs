//! A pair for the next one, by clients that ask twice and by those who should not have it.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::ENTRY;
use crate::domain::{Reason, Value};
use crate::issuer::contract::Service;
use crate::issuer::pairs::PairOrder;
use crate::issuer::services::house::{House, NOW, post_at};
use crate::settings::NodeValue;
use crate::state::testing::Fault;
use crate::verify::keys::testing::{map, node};

const FIELDS: [(&str, &str); 1] = [("content-type", "application/json")];

fn service(house: &House) -> Arc<dyn Service> {
    house.service(&ENTRY, Some(&node(map(vec![("issuer", NodeValue::Text("main".into()))])))).unwrap()
}

/// The pair of a new login: access token and refresh token.
async fn pair(house: &House) -> (String, String) {
    let order = PairOrder { subject: "d-1".into(), scopes: Box::default(), claims: Value::empty(), client: None };
    let issued = house.issuer.open(order, NOW).await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(issued.pair.access.expose()), text(issued.pair.refresh.unwrap().expose()))
}

/// Status, whether it counts as guessed, and what is said.
async fn ask(service: &Arc<dyn Service>, access: &str, refresh: &str) -> (u16, bool, Json) {
    let body = json!({ "AccessToken": access, "RefreshToken": refresh }).to_string();
    let reply = post_at("app.example", service, None, &FIELDS, &body).await.unwrap();
    (reply.status, reply.guessed, serde_json::from_slice(&reply.body).unwrap())
}

#[tokio::test]
async fn two_copies_of_a_client_get_the_same_next_pair() {
    let house = House::new();
    let service = service(&house);
    let (access, refresh) = pair(&house).await;
    let (status, _, first) = ask(&service, &access, &refresh).await;
    assert_eq!((status, &first["Status"], &first["Result"]["DeviceToken"]), (200, &json!(200), &json!("d-1")), "{first}");
    assert_eq!(first["Result"]["AccessToken"]["ExpiresIn"], 900);
    assert_ne!((first["Result"]["AccessToken"]["Token"] == access, first["Result"]["RefreshToken"] == refresh), (true, true));
    let (_, _, second) = ask(&service, &access, &refresh).await;
    assert_eq!(second, first, "M2 the other copy, a moment later");
    let fresh = |name: &str| first["Result"].pointer(name).unwrap().as_str().unwrap().to_owned();
    let (status, _, _) = ask(&service, &fresh("/AccessToken/Token"), &fresh("/RefreshToken")).await;
    assert_eq!(status, 200, "and so on");
    let (status, guessed, said) = ask(&service, &access, &refresh).await;
    assert_eq!((status, guessed, &said["Status"]), (400, false, &json!(400)), "M3 the first pair once more: its family is over");
    let (status, ..) = ask(&service, &fresh("/AccessToken/Token"), &fresh("/RefreshToken")).await;
    assert_eq!(status, 400, "for everyone");
}

#[tokio::test]
async fn what_is_no_pair_of_ours_is_a_400_and_spends_nothing() {
    let house = House::new();
    let service = service(&house);
    let ((access, refresh), (other, theirs)) = (pair(&house).await, pair(&house).await);
    let forged = format!("{}AAAA", &access[..access.len() - 4]);
    let rows = [
        (other.as_str(), refresh.as_str(), "another login's access token"),
        (access.as_str(), theirs.as_str(), "another login's refresh token"),
        (forged.as_str(), refresh.as_str(), "an access token that nobody signed"),
        ("opaque", refresh.as_str(), "no token"),
        (access.as_str(), "opaque", "no refresh token"),
    ];
    for (access, refresh, shows) in rows {
        let (status, guessed, _) = ask(&service, access, refresh).await;
        assert_eq!((status, guessed), (400, true), "{shows}");
    }
    assert_eq!(ask(&service, "", &refresh).await.0, 422, "nothing");
    assert_eq!(ask(&service, &access, "").await.0, 422, "nothing");
    assert_eq!(ask(&service, &access, &refresh).await.0, 200, "the pair is as good as it was");
}

#[tokio::test]
async fn an_outage_is_503_and_spends_nothing() {
    let house = House::new();
    let service = service(&house);
    let (access, refresh) = pair(&house).await;
    house.failing.fail(Some(Fault::Read));
    let body = json!({ "AccessToken": access, "RefreshToken": refresh }).to_string();
    let refusal = post_at("app.example", &service, None, &FIELDS, &body).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::StateUnavailable);
    house.failing.fail(None);
    assert_eq!(ask(&service, &access, &refresh).await.0, 200);
}
