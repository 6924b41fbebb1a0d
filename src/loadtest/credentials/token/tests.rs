//! Tests for tokens that a load test signs.

use std::sync::Arc;

use serde_json::{Value, json};

use super::TokenPresenter;
use crate::ambient::SystemRandom;
use crate::domain::Timestamp;
use crate::jose::algorithm::Algorithm;
use crate::jose::base64url;
use crate::jose::compact::Compact;
use crate::jose::mint::SigningKey;
use crate::loadtest::credentials::contract::{Asked, Presenter};
use crate::loadtest::fresh::keyring::Signer;
use crate::loadtest::mix::Kind;

const NOW: i64 = 1_800_000_000;

fn token(presenter: &TokenPresenter, kind: Kind) -> String {
    let asked = Asked { method: "GET".into(), path: "/".into() };
    let presented = presenter.present(kind, 7, &asked, Timestamp(NOW)).unwrap();
    presented.headers[0].1.strip_prefix("Bearer ").unwrap().to_owned()
}

fn part(token: &str, index: usize) -> Value {
    serde_json::from_slice(&base64url::decode(token.split('.').nth(index).unwrap()).unwrap()).unwrap()
}

#[test]
fn tokens_say_what_the_authenticator_asks_for_and_only_forged_ones_are_forged() {
    let key = Arc::new(SigningKey::generate(Algorithm::Es256).unwrap());
    let settings = json!({
        "issuer": "*.id.example", "audience": ["app", "other"], "typ": "at+jwt", "max_lifetime": "10m", "leeway": "10s",
        "require": { "token_use": "access", "tenant": ["north", "south"], "realm.kind": "x", "nonce": "absent" },
        "scopes_from": "realm.scopes", "subject_from": "client_id",
    });
    let scopes = ["read".to_owned(), "write".to_owned()];
    let claims = [("extra".to_owned(), json!(true))];
    let presenter = TokenPresenter::new(&settings, Signer::Key(Arc::clone(&key)), &scopes, &claims, Arc::new(SystemRandom)).unwrap();

    let good = token(&presenter, Kind::Good);
    let said = part(&good, 1);
    let expected = [
        ("iss", json!("bench.id.example")),
        ("aud", json!("app")),
        ("client_id", json!("caller-7")),
        ("token_use", json!("access")),
        ("tenant", json!("north")),
        ("realm", json!({ "kind": "x", "scopes": "read write" })),
        ("extra", json!(true)),
        ("iat", json!(NOW)),
        ("exp", json!(NOW + 600)),
    ];
    for (name, value) in expected {
        assert_eq!(said[name], value, "{name}");
    }
    assert_eq!(said.get("nonce"), None, "what must be absent is");
    assert_eq!(part(&good, 0)["typ"], "at+jwt");
    assert_eq!(part(&token(&presenter, Kind::Expired), 1)["exp"], json!(NOW - 70), "over, beyond what the leeway forgives");

    let ours = [Arc::new(key.verifying_key().unwrap())];
    let proven = |token: &str| Compact::parse(token).unwrap().prove(Algorithm::Es256, &ours).is_some();
    let forged = token(&presenter, Kind::Forged);
    assert!(proven(&good) && proven(&token(&presenter, Kind::Expired)), "both are authentic");
    assert!(!proven(&forged), "and this one is not");
    assert_eq!(part(&forged, 0)["kid"], part(&good, 0)["kid"], "although it names the same key");
    assert_eq!(part(&forged, 1)["exp"], json!(NOW + 600), "and is good otherwise");
}
