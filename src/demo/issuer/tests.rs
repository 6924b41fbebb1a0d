//! Whether the issuer does what it is told, the right thing and the wrong one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};

use super::{DemoIssuer, Trouble};
use crate::jose::algorithm::Algorithm;
use crate::jose::compact::Compact;
use crate::jose::jwk::{Trust, parse_set};

const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

async fn fetch(url: &str) -> Option<(u16, String)> {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let answer = client.get(url).send().await.ok()?;
    Some((answer.status().as_u16(), answer.text().await.unwrap()))
}

/// The `kid`s published now.
async fn published(issuer: &DemoIssuer) -> Vec<String> {
    let (_, body) = fetch(&issuer.jwks_url()).await.unwrap();
    let set: Value = serde_json::from_str(&body).unwrap();
    set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn what_it_signs_verifies_with_what_it_publishes() {
    let issuer = DemoIssuer::start(ANY_PORT).await.unwrap();
    let (status, body) = fetch(&format!("{}/.well-known/openid-configuration", issuer.issuer())).await.unwrap();
    let document: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, document["issuer"].as_str()), (200, Some(issuer.issuer().as_str())));

    let (_, set) = fetch(document["jwks_uri"].as_str().unwrap()).await.unwrap();
    let keys = parse_set(set.as_bytes(), Trust::Remote).unwrap().keys;
    for algorithm in DemoIssuer::ALGORITHMS {
        let token = issuer.sign(algorithm, &json!({ "sub": "anna" })).unwrap();
        let proven = Compact::parse(&token).unwrap().prove(algorithm, &keys);
        let subject = proven.as_ref().and_then(|claims| claims.get().member("sub")).and_then(|sub| sub.as_text());
        assert_eq!(subject, Some("anna"), "{algorithm:?}");
    }
    assert!(issuer.sign(Algorithm::Hs256, &json!({})).is_err(), "it has no such key");
}

#[tokio::test]
async fn rotation_publishes_both_and_withdrawal_only_the_new() {
    let issuer = DemoIssuer::start(ANY_PORT).await.unwrap();
    let before = published(&issuer).await;
    issuer.rotate().unwrap();
    let both = published(&issuer).await;
    assert_eq!(both.len(), 2 * before.len());
    assert!(before.iter().all(|kid| both.contains(kid)), "the old ones are still there");
    issuer.withdraw_old_keys();
    let after = published(&issuer).await;
    assert!(after.len() == before.len() && before.iter().all(|kid| !after.contains(kid)), "only the new ones");
    assert_eq!(issuer.asked("/jwks"), 3);
}

#[tokio::test]
async fn an_unchanged_key_set_is_not_sent_again() {
    let issuer = DemoIssuer::start(ANY_PORT).await.unwrap();
    let client = reqwest::Client::new();
    let first = client.get(issuer.jwks_url()).send().await.unwrap();
    let tag = first.headers()["etag"].clone();
    let again = client.get(issuer.jwks_url()).header("if-none-match", &tag).send().await.unwrap();
    assert_eq!(again.status(), 304);
    issuer.rotate().unwrap();
    let changed = client.get(issuer.jwks_url()).header("if-none-match", &tag).send().await.unwrap();
    assert_eq!(changed.status(), 200);
}

#[tokio::test]
async fn introspection_knows_its_client_and_its_tokens() {
    let issuer = DemoIssuer::start(ANY_PORT).await.unwrap();
    issuer.remember("opaque-1", json!({ "sub": "anna" }));
    issuer.remember("opaque-2", json!({ "sub": "ben" }));
    issuer.revoke("opaque-2");
    let (id, secret) = DemoIssuer::INTROSPECTION_CLIENT;
    let cases = [
        // secret, token, status, active, what the row shows
        (secret, "opaque-1", 200, Some(true), "a token it issued"),
        (secret, "opaque-2", 200, Some(false), "one it revoked"),
        (secret, "opaque-3", 200, Some(false), "one it never saw"),
        ("guess", "opaque-1", 401, None, "a stranger asking"),
    ];
    for (secret, token, status, active, shows) in cases {
        let request = reqwest::Client::new().post(issuer.introspection_url()).basic_auth(id, Some(secret));
        let answer = request.form(&[("token", token)]).send().await.unwrap();
        assert_eq!(answer.status(), status, "{shows}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["active"].as_bool(), active, "{shows}");
    }
}

#[tokio::test]
async fn user_info_is_for_whoever_holds_a_token_that_is_good() {
    let issuer = DemoIssuer::start(ANY_PORT).await.unwrap();
    issuer.remember("opaque-1", json!({ "sub": "anna", "aud": "app", "email": "anna@example.org" }));
    issuer.remember("opaque-2", json!({ "sub": "ben", "active": false }));
    let anna = json!({ "sub": "anna", "client_id": "app", "email": "anna@example.org" });
    let cases = [
        (Some("Bearer opaque-1"), 200, anna, "a token it issued"),
        (Some("Bearer opaque-2"), 401, json!({ "error": "invalid_token" }), "one that was withdrawn"),
        (Some("Bearer opaque-3"), 401, json!({ "error": "invalid_token" }), "one it never saw"),
        (Some("opaque-1"), 401, json!({ "error": "invalid_token" }), "no bearer"),
        (None, 401, json!({ "error": "invalid_token" }), "nothing"),
    ];
    for (authorization, status, body, shows) in cases {
        let mut request = reqwest::Client::new().get(format!("{}/userinfo", issuer.issuer()));
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let answer = request.send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.json::<Value>().await.unwrap()), (status, body), "{shows}");
    }
}

#[tokio::test]
async fn each_trouble_is_what_it_says() {
    let issuer = DemoIssuer::start(ANY_PORT).await.unwrap();
    let anything: fn(&str) -> bool = |_| true;
    let cases = [
        (Trouble::Down, None, anything, "no answer"),
        (Trouble::Slow(Duration::from_millis(1)), Some(200), |body| body.contains("\"keys\""), "late, but right"),
        (Trouble::Html, Some(200), |body| body.starts_with("<!doctype"), "a web page"),
        (Trouble::Empty, Some(200), str::is_empty, "nothing"),
        (Trouble::Oversize(1 << 20), Some(200), |body| (1 << 20) < body.len(), "a megabyte"),
        (Trouble::Failing, Some(500), anything, "an error"),
        (Trouble::Elsewhere, Some(302), anything, "a redirect"),
        (Trouble::NoKeys, Some(200), |body| body == r#"{"keys":[]}"#, "a set without keys"),
    ];
    for (trouble, status, fits, shows) in cases {
        issuer.trouble(trouble);
        let answer = fetch(&issuer.jwks_url()).await;
        assert_eq!(answer.as_ref().map(|(status, _)| *status), status, "{shows}");
        assert!(answer.is_none_or(|(_, body)| fits(&body)), "{shows}");
    }
    issuer.trouble(Trouble::None);
    assert_eq!(published(&issuer).await.len(), 3, "well again");
}
