//! The partner secret, user keys, tokens and sessions, and where each of them may be seen.

use countersign::demo::systems::gigya::DemoGigya;
use serde_json::json;

use crate::gigya::stage::{Call, Stage, form, hmac, secrets, told};
use crate::secrets::{NOWHERE, Place, Secrets};
use crate::support::whole::NOW;
use crate::wire::Wire;

const START: i64 = NOW + 100;
const INFO: &str = "/accounts.getAccountInfo";

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_seen_where_it_has_no_business() {
    let mut wire = None;
    let stage = Stage::by(|vendor| wire.insert(Wire::to(vendor)).address).await;
    let wire = wire.unwrap();
    let mut watch = Secrets::new();
    let [site, user_key] = secrets();
    watch.mark("the partner secret", &site, NOWHERE);
    watch.mark("the secret of the user key", &user_key, NOWHERE);
    for file in ["demo-pepper.txt", "demo-ticket-current.key"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/keys").join(file);
        watch.mark(file, std::fs::read_to_string(path).unwrap().trim(), NOWHERE);
    }

    // In front of the app: a post-back, id tokens, logins whose end is signed.
    let signed = stage.vendor.signed_uid("_guid_a_b");
    let signature = signed.iter().find(|(name, _)| *name == "UIDSignature").unwrap().1.clone();
    watch.mark("the signature of a post-back", &signature, NOWHERE);
    let post_back = form(&signed.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>());
    let opened = watch.keep(stage.post("app.example", "/login", &[], &post_back).await);
    assert_eq!(opened.status, 303);
    assert_eq!(told(&watch.keep(stage.post("app.example", "/login", &[], &post_back).await)), (200, 403_004));
    let forged = hmac(&user_key, &format!("{START}_anna"));
    let body = form(&[("UID", "anna"), ("signatureTimestamp", &START.to_string()), ("UIDSignature", &forged)]);
    assert_eq!(told(&watch.keep(stage.post("app.example", "/login", &[], &body).await)), (200, 403_003));
    watch.mark("a forged signature", &forged, NOWHERE);
    watch.mark("the one that it should have been", hmac(&site, &format!("{START}_anna")), NOWHERE);
    let session = opened.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    watch.mark("a session", session.split_once('=').unwrap().1, &[Place::Answers]);
    // What a site signs for a user at one moment is what Gigya signs: a moment later it is something else.
    stage.at(START + 1);
    assert_eq!(watch.keep(stage.get("app.example", "/home", &[("Cookie", &session)]).await).status, 200);
    watch.mark("the proof that the app gets", hmac(&site, &format!("{}__guid_a_b", START + 1)), NOWHERE_BUT_THE_APP);
    stage.at(START);

    let token = |claims| stage.vendor.id_token(&claims).unwrap();
    let (good, other) = (token(json!({ "sub": "_guid_1" })), token(json!({ "sub": "_guid_1", "apiKey": "3_other" })));
    for token in [&good, &other] {
        watch.keep(stage.get("app.example", "/api/me", &[("Authorization", &format!("Bearer {token}"))]).await);
        watch.mark("an id token", token, NOWHERE);
    }
    let login = stage.vendor.log_in(DemoGigya::UID, 3_600);
    let end = |secret: &str| format!("{}_{}", START + 300, hmac(secret, &format!("{login}_{}", START + 300)));
    for (end, expected) in [(end(&site), "ok"), (end(&user_key), "403001")] {
        let cookie = format!("glt_3_demo-site={login}|UUID=7; gltexp_3_demo-site={end}");
        let answer = watch.keep(stage.get("app.example", "/visit/1", &[("Cookie", &cookie)]).await);
        assert!(answer.text().contains(expected), "{answer:?}");
        watch.mark("the signed end of a login", &end, NOWHERE);
    }
    watch.mark("a login token of a page", &login, NOWHERE);

    // In front of the API: signed requests, users that the site links, calls that are signed here.
    let call = |nonce: &str| Call::new("accounts.getAccountInfo", START, nonce).with("UID", "anna");
    for body in [call("n-1").form(), call("n-1").form(), call("n-2").with("secret", &user_key).form()] {
        watch.keep(stage.post("accounts.example", INFO, &[], &body).await);
    }
    let time = START.to_string();
    let link = form(&[("siteUID", "anna-7"), ("UIDTimestamp", &time), ("UIDSig", &hmac(&site, &format!("{time}_anna-7")))]);
    assert_eq!(told(&watch.keep(stage.post("accounts.example", "/socialize.notifyRegistration", &[], &link).await)), (200, 0));
    let backend = ("Server-Key", "ZGVtby1wYXJ0bmVyOmRlbW8tcGFydG5lci1zZWNyZXQ=");
    watch.mark("a back end's key", backend.1, NOWHERE);
    watch.mark("the secret in it", "demo-partner-secret", NOWHERE);
    watch.mark("a secret in a parameter", "bWFya2VkLXNlY3JldC1vZi1hLWJhY2stZW5k", NOWHERE);
    for (more, code) in [(None, 0), (Some(("secret", "bWFya2VkLXNlY3JldC1vZi1hLWJhY2stZW5k")), 403_006)] {
        let pairs: Vec<(&str, &str)> = [("UID", "_guid_anna"), ("siteUID", "anna-8")].into_iter().chain(more).collect();
        let answer = watch.keep(stage.post("signer.example", "/socialize.notifyLogin", &[backend], &form(&pairs)).await);
        assert_eq!(told(&answer), (200, code), "{}", stage.whole.written());
    }

    // On behalf of a browser: the session keeps both tokens, and is renewed by the clock, by a reply, and not at all.
    let (name, password) = DemoGigya::LOGIN;
    watch.mark("a user's password", password, &[Place::Vendor]);
    watch.keep(stage.post("me.example", "/accounts.login", &[], &form(&[("loginID", "nobody"), ("password", password)])).await);
    let answer = watch.keep(stage.post("me.example", "/accounts.login", &[], &form(&[("loginID", name), ("password", password)])).await);
    let account = answer.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    watch.mark("a session that keeps tokens", account.split_once('=').unwrap().1, &[Place::Answers]);
    let ask = async || watch.keep(stage.get("me.example", INFO, &[("Cookie", &account)]).await);
    assert_eq!(told(&ask().await), (200, 0));
    stage.at(START + DemoGigya::TOKEN_LIFE + 1);
    assert_eq!(told(&ask().await), (200, 0), "renewed by the clock");
    stage.at(START + DemoGigya::TOKEN_LIFE + 100);
    stage.vendor_at(START + 2 * DemoGigya::TOKEN_LIFE + 1);
    assert_eq!(told(&ask().await), (200, 0), "renewed because the body of a 200 said so");
    let renewal = stage.vendor.called().into_iter().find(|called| called.method == "accounts.getJWT").unwrap();
    let kept = renewal.parameters["login_token"].clone();
    stage.vendor.end(&kept);
    stage.at(START + 4 * DemoGigya::TOKEN_LIFE);
    let ended = told(&ask().await);
    assert!(matches!(ended, (200, 403_011 | 403_030)), "the login has ended: {ended:?}");
    assert_ne!(told(&ask().await).1, 0, "and so has the session");
    watch.mark("the login token that a session keeps", kept, &[Place::Vendor]);
    let seen = wire.seen();
    let tokens: std::collections::BTreeSet<&str> =
        seen.split("Bearer ").skip(1).filter_map(|rest| rest.split('\r').next()).filter(|token| token.starts_with("ey")).collect();
    assert_eq!(tokens.len(), 3, "one from the login, two from renewals");
    for token in tokens {
        watch.mark("an id token that a session keeps", token, &[Place::Vendor]);
    }
    let app: String = stage.app.records().iter().map(|record| format!("{}\n{:?}\n", record.head, record.body)).collect();
    watch.judge(&stage.whole, &app, &seen);
}

/// Where the site's own proofs go.
const NOWHERE_BUT_THE_APP: &[Place] = &[Place::App];
