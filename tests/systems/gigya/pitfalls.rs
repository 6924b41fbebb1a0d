//! The ways in which implementations of Gigya's signatures have gone wrong, each tried on the shipped conf.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign::assembly::live;
use countersign::assembly::machine::Machine;
use countersign::demo::systems::gigya::DemoGigya;
use countersign::settings::Level;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;

use crate::gigya::stage::{Call, Stage, form, hmac, secrets, told};
use crate::support::whole::NOW;

const START: i64 = NOW + 100;
const FORGED: (u16, u64) = (200, 403_003);

/// What the post-back of `uid` is told, with `signature` over this moment.
async fn post_back(stage: &Stage, uid: &str, signature: &str) -> (u16, u64) {
    let time = START.to_string();
    let body = form(&[("UID", uid), ("signatureTimestamp", &time), ("UIDSignature", signature)]);
    told(&stage.post("app.example", "/login", &[], &body).await)
}

fn signature(uid: &str) -> String {
    let [secret, _] = secrets();
    hmac(&secret, &format!("{START}_{uid}"))
}

#[test]
fn the_shipped_conf_is_sound_as_it_stands() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/systems/gigya.yaml");
    if let Err(faults) = live::read(&path, &Machine) {
        let errors: Vec<String> = faults.sorted().iter().filter(|fault| fault.level == Level::Error).map(ToString::to_string).collect();
        panic!("{}", errors.join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_text_of_a_secret_is_not_its_key() {
    let stage = Stage::start().await;
    let [secret, _] = secrets();
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{START}_anna").as_bytes());
    assert_eq!(post_back(&stage, "anna", &STANDARD.encode(mac.finalize().into_bytes())).await, FORGED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_has_one_spelling() {
    let stage = Stage::start().await;
    // One whose text has every character that has another spelling elsewhere.
    let uid = (0..).map(|number| format!("anna{number}")).find(|uid| {
        let signature = signature(uid);
        signature.contains('+') && signature.contains('/')
    });
    let uid = uid.unwrap();
    let good = signature(&uid);
    let hex: String = STANDARD.decode(&good).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(post_back(&stage, &uid, &good.replace('+', "-").replace('/', "_")).await, FORGED, "the URL alphabet");
    assert_eq!(post_back(&stage, &uid, &good.replace('+', " ")).await, FORGED, "a plus that became a space is not repaired");
    assert_eq!(post_back(&stage, &uid, good.trim_end_matches('=')).await, FORGED, "no padding");
    assert_eq!(post_back(&stage, &uid, &hex).await, FORGED, "hex");
    let body = form(&[("UID", &uid), ("signatureTimestamp", &START.to_string()), ("UIDSignature", &good)]);
    assert_eq!(stage.post("app.example", "/login", &[], &body).await.status, 303, "as Gigya writes it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_keeps_its_case() {
    let stage = Stage::start().await;
    assert_eq!(post_back(&stage, "anna", &signature("Anna")).await, FORGED);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proof_of_a_friendship_or_a_site_is_none_of_a_user() {
    let stage = Stage::start().await;
    let [secret, _] = secrets();
    let friendship = hmac(&secret, &format!("{START}_berta_anna"));
    assert_eq!(post_back(&stage, "anna", &friendship).await, FORGED, "that berta and anna are friends");
    let time = START.to_string();
    let site = form(&[("siteUID", "anna"), ("UIDTimestamp", &time), ("UIDSig", &signature("anna"))]);
    assert_eq!(told(&stage.post("app.example", "/login", &[], &site).await), (200, 400_002), "what the site signs is looked for elsewhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proof_of_a_user_keeps_no_login_alive() {
    let stage = Stage::start().await;
    let [secret, _] = secrets();
    // The user 1800000400 has been signed at START; the same bytes are an end for the login token START.
    let end = START + 300;
    let proof = hmac(&secret, &format!("{START}_{end}"));
    let cookie = format!("glt_3_demo-site={START}; gltexp_3_demo-site={end}_{proof}");
    let answer = stage.get("app.example", "/visit/1", &[("Cookie", &cookie)]).await;
    assert_eq!(told(&answer), (200, 403_001));
    assert_eq!(stage.app.hits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_site_under_the_same_key_is_nobodys() {
    let stage = Stage::start().await;
    for claims in [
        json!({ "sub": "_guid_1", "iss": "https://fidm.gigya.com/jwt/3_other/", "apiKey": "3_other" }),
        json!({ "sub": "_guid_1", "iss": "https://fidm.gigya.com/jwt/3_other/", "apiKey": DemoGigya::API_KEY }),
        json!({ "sub": "_guid_1", "apiKey": "3_other" }),
    ] {
        let bearer = format!("Bearer {}", stage.vendor.id_token(&claims).unwrap());
        let answer = stage.get("app.example", "/api/me", &[("Authorization", &bearer)]).await;
        assert_eq!(told(&answer), (200, 403_025), "{claims}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_without_an_end_or_past_it_is_refused() {
    let stage = Stage::start().await;
    for (claims, code) in [
        (json!({ "sub": "_guid_1", "exp": null }), 403_025),
        (json!({ "sub": "_guid_1", "iat": START - 600, "exp": START - 300 }), 403_011),
    ] {
        let bearer = format!("Bearer {}", stage.vendor.id_token(&claims).unwrap());
        let answer = stage.get("app.example", "/api/me", &[("Authorization", &bearer)]).await;
        assert_eq!(told(&answer), (200, code), "{claims}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_over_http_is_refused_and_not_passed_on() {
    let stage = Stage::start().await;
    let [secret, _] = secrets();
    let call = Call::new("accounts.getAccountInfo", START, "n-1").with("UID", "anna").with("secret", &secret);
    let answer = stage.post("accounts.example", "/accounts.getAccountInfo", &[], &call.form()).await;
    assert_eq!(told(&answer), (200, 403_006));
    stage.keeps_its_secrets(&answer);
    assert!(stage.vendor.called().is_empty(), "the vendor never sees it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_that_clients_make_by_themselves_is_a_replay() {
    let stage = Stage::start().await;
    let late = Call::new("accounts.getAccountInfo", START - 301, "n-1").with("UID", "anna").form();
    for attempt in 0..2 {
        let answer = stage.post("accounts.example", "/accounts.getAccountInfo", &[], &late).await;
        assert_eq!(told(&answer), (200, 403_002), "attempt {attempt}: SAP's Java client sends the same bytes again");
    }
    let fresh = Call::new("accounts.getAccountInfo", START, "n-1").with("UID", "anna").form();
    let answer = stage.post("accounts.example", "/accounts.getAccountInfo", &[], &fresh).await;
    assert_eq!(told(&answer), (200, 0), "a nonce that never was let through is still good");
}
