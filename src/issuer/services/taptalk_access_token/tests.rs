//! A ticket for a pair: whom it is for, and to whom it is bound.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::{Exchange, SETTINGS};
use crate::domain::{Burn, Identity, Refusal, Value};
use crate::issuer::contract::Service;
use crate::issuer::pairs::Caller;
use crate::issuer::services::house::{House, NOW, identity, post_at};
use crate::issuer::services::stage::terms;
use crate::issuer::services::taptalk::Manner;
use crate::jose::base64url;
use crate::settings::Section;
use crate::state::testing::Fault;
use crate::systems::taptalk::origins::Origins;
use crate::verify::keys::testing::{map, node};

const CLIENT: [(&str, &str); 2] = [("App-Key", "YXBwaWQ6YXBwc2VjcmV0"), ("Device-Identifier", "d-1")];

fn service(house: &House) -> Arc<dyn Service> {
    let nothing = node(map(Vec::new()));
    let manner = Manner::read(&Section::unproven(&SETTINGS, &nothing), Origins::default());
    Arc::new(Exchange { terms: Arc::new(terms()), issuer: Arc::clone(&house.issuer), manner })
}

/// Whom a ticket was for, spent by the gate.
fn anna() -> Identity {
    Identity {
        authenticator: "pass".into(),
        claims: Value::Map(Box::new([("fullName".into(), "Anna".into())])).into(),
        burn: Some(Burn { key: [7; 32], made: NOW, until: NOW }),
        ..identity("ticket")
    }
}

fn read(body: &[u8]) -> Json {
    serde_json::from_slice(body).unwrap()
}

/// What the token `text` claims.
fn claims(text: &str) -> Json {
    read(&base64url::decode(text.split('.').nth(1).unwrap()).unwrap())
}

#[tokio::test]
async fn a_ticket_brings_a_pair_as_the_clients_read_one() {
    let house = House::new();
    let reply = post_at("chat.example", &service(&house), Some(&Arc::new(anna())), &CLIENT, "\"\"").await.unwrap();
    let told = read(&reply.body);
    assert_eq!((reply.status, &told["status"], &told["error"]["code"]), (200, &json!(200), &json!("")));
    let data = &told["data"];
    assert_eq!(data["accessTokenExpiry"], (NOW.0 + 900) * 1_000, "milliseconds, as a number");
    assert_eq!(data["refreshTokenExpiry"], (NOW.0 + 86_400) * 1_000);
    assert_eq!((&data["user"]["userID"], &data["user"]["xcUserID"]), (&json!("ann"), &json!("ann")));
    assert!(
        data["user"]["username"].is_string() && data["user"]["imageURL"]["thumbnail"].is_string(),
        "texts, also where nothing is known"
    );
    let access = claims(data["accessToken"].as_str().unwrap());
    assert_eq!((&access["sub"], &access["client_id"]), (&json!("ann"), &json!("taptalk:5:appid:d-1")), "it says to whom it was given");
}

#[tokio::test]
async fn a_refresh_token_is_good_for_the_client_that_got_it() {
    let house = House::new();
    let reply = post_at("chat.example", &service(&house), Some(&Arc::new(anna())), &CLIENT, "").await.unwrap();
    let refresh = read(&reply.body)["data"]["refreshToken"].as_str().unwrap().to_owned();
    let named = |name: &str| Caller { issuer: "taptalk".into(), name: name.into() };
    assert!(house.issuer.rotate(&refresh, None, None, NOW).await.is_err(), "not whoever holds it");
    assert!(house.issuer.rotate(&refresh, Some(&named("taptalk:5:appid:d-2")), None, NOW).await.is_err(), "not another device");
    assert!(house.issuer.rotate(&refresh, Some(&named("taptalk:5:appid:d-1")), None, NOW).await.is_ok(), "and nothing was spent by asking");
}

#[tokio::test]
async fn no_pair_is_given_without_a_spent_ticket_and_a_client() {
    let house = House::new();
    let unspent = Identity { burn: None, ..anna() };
    let elsewhere = Identity { authenticator: "other".into(), ..anna() };
    let beside = Identity { also: vec![("pass".into(), Arc::new(anna()))], authenticator: "app".into(), burn: None, ..anna() };
    let asked = async |identity: &Identity, fields: &[(&str, &str)]| {
        post_at("chat.example", &service(&house), Some(&Arc::new(identity.clone())), fields, "").await
    };
    assert!(matches!(asked(&unspent, &CLIENT).await, Err(Refusal::Internal)), "what was not spent could be exchanged again");
    assert!(matches!(asked(&elsewhere, &CLIENT).await, Err(Refusal::CredentialMissing)), "another authenticator's");
    assert_eq!(read(&asked(&beside, &CLIENT).await.unwrap().body)["status"], 200, "beside an App-Key that was proven");

    let rows: [(&[(&str, &str)], &str, &str); 4] = [
        (&CLIENT[1..], "49101", "no app"),
        (&[("App-Key", "!"), CLIENT[1]], "49102", "an app of another form"),
        (&CLIENT[..1], "40001", "no device"),
        (&[CLIENT[0], CLIENT[1], CLIENT[1]], "40001", "two devices"),
    ];
    for (fields, code, shows) in rows {
        let told = read(&asked(&anna(), fields).await.unwrap().body);
        assert_eq!(told["error"]["code"], code, "{shows}: {told}");
        assert_eq!(told["data"], json!({}), "{shows}");
    }
}

#[tokio::test]
async fn a_store_that_does_not_answer_gives_no_pair() {
    let house = House::new();
    house.failing.fail(Some(Fault::Write));
    let outcome = post_at("chat.example", &service(&house), Some(&Arc::new(anna())), &CLIENT, "").await;
    assert!(matches!(outcome, Err(Refusal::StateUnavailable { .. })));
}
