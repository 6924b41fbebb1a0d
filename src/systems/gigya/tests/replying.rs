//! What the vendor's replies mean and bring.

use http::HeaderMap;
use serde_json::{Value as Json, json};

use super::stage::{NOW, system};
use crate::domain::Seconds;
use crate::jose::algorithm::Algorithm;
use crate::jose::mint::SigningKey;
use crate::systems::contract::{Life, Meaning, Reply};

fn reply<'r>(status: u16, headers: &'r HeaderMap, body: Option<&'r [u8]>) -> Reply<'r> {
    Reply { method: "POST", path: "/accounts.getAccountInfo", status, headers, body }
}

#[test]
fn a_session_has_run_out_when_the_code_says_so_whatever_the_status_is() {
    let system = system("{}");
    let headers = HeaderMap::new();
    let cases = [
        // status, body, meaning, what the row shows
        (200, r#"{"errorCode":0,"statusCode":200}"#, Meaning::Fine, "success"),
        (200, r#"{"errorCode":403011}"#, Meaning::Expired, "session expired"),
        (200, r#"{"errorCode":403030}"#, Meaning::Expired, "session expired, to be tried again"),
        (200, r#"{"errorCode":403032}"#, Meaning::Expired, "the token was replaced by another"),
        (403, r#"{"errorCode":403011}"#, Meaning::Expired, "with httpStatusCodes=true"),
        (200, r#"f({"errorCode":403011});"#, Meaning::Expired, "as JSONP"),
        (200, r#"{"errorCode":403012}"#, Meaning::Fine, "no session: there was none to renew"),
        (200, r#"{"errorCode":403005}"#, Meaning::Fine, "unauthorized: of a login that may have been wrong"),
        (200, r#"{"errorCode":403002}"#, Meaning::Fine, "a request that was signed too long ago: another token would not help"),
        (200, r#"{"errorCode":403004}"#, Meaning::Fine, "a nonce that was used: the first one may have been acted on"),
        (200, r#"{"errorCode":500001}"#, Meaning::Fine, "a fault of theirs: it may have been acted on"),
        (200, r#"{"errorCode":"403011"}"#, Meaning::Fine, "a code that is no number"),
        (200, "{\"data\":{\"errorCode\":403011}}", Meaning::Fine, "a code of somebody else, further in"),
        (200, "403011", Meaning::Fine, "no envelope"),
        (200, "", Meaning::Fine, "no body"),
        (401, r#"{"errorCode":403005}"#, Meaning::Fine, "the code tells more than the status"),
        (401, "", Meaning::Expired, "a status alone"),
    ];
    for (status, body, expected, shows) in cases {
        assert_eq!(system.classify(&reply(status, &headers, Some(body.as_bytes()))), expected, "{shows}");
    }
    assert_eq!(system.classify(&reply(200, &headers, None)), Meaning::Fine, "a body too long to be held");
    assert_eq!(system.weigh(&reply(200, &headers, None)), Meaning::Fine, "a head alone");
}

#[test]
fn replies_of_the_vendors_methods_are_held() {
    let system = system("{}");
    for (path, held) in [
        ("/accounts.getAccountInfo", true),
        ("/v2/socialize.notifyLogin", true),
        ("/accounts.tfa.getProviders", true),
        ("/profile", false),
        ("/app.js/", false),
        ("/Index.html", false),
        ("/.well-known", false),
        ("/accounts.", false),
    ] {
        assert_eq!(system.holds("POST", path), held, "{path}");
    }
}

#[test]
fn an_id_token_or_a_login_is_brought_and_not_passed_on() {
    let system = system("{}");
    let headers = HeaderMap::new();
    let harvest = |status: u16, body: &Json| system.harvest(&reply(status, &headers, Some(body.to_string().as_bytes())));
    let rest = |harvest: &crate::domain::Harvest| serde_json::from_slice::<Json>(harvest.rest.as_ref().unwrap()).unwrap();
    let claims = json!({ "sub": "_guid_1", "iat": NOW.0, "exp": NOW.0 + 300 });
    let token = SigningKey::generate(Algorithm::EdDsa).unwrap().sign_compact(&[], &claims).unwrap();

    let brought = harvest(200, &json!({ "errorCode": 0, "UID": "_guid_1", "id_token": token, "profile": { "a": 1 } })).unwrap();
    assert_eq!(brought.access.expose(), token.as_bytes());
    assert_eq!((brought.life, brought.issued), (Some(Life::Until(NOW.plus(Seconds(300)))), Some(NOW)));
    assert_eq!(brought.subject.as_deref(), Some("_guid_1"));
    assert_eq!(rest(&brought), json!({ "errorCode": 0, "UID": "_guid_1", "profile": { "a": 1 } }), "the rest goes to the client");

    let info = json!({ "cookieName": "glt_3_site", "cookieValue": "LT3_token", "cookieDomain": ".shop.example", "cookiePath": "/" });
    let brought = harvest(200, &json!({ "errorCode": 0, "UID": "anna", "sessionInfo": info.clone() })).unwrap();
    assert_eq!(brought.access.expose(), b"LT3_token");
    assert!(!String::from_utf8(brought.rest.clone().unwrap().to_vec()).unwrap().contains("LT3_token"));
    assert_eq!(brought.life, None, "nobody says how long");
    let both = harvest(200, &json!({ "errorCode": 0, "id_token": token, "sessionInfo": info })).unwrap();
    assert_eq!(
        (both.access.expose(), both.refresh.unwrap().expose()),
        (token.as_bytes(), &b"LT3_token"[..]),
        "the login brings the next token"
    );
    assert!(!String::from_utf8(both.rest.unwrap().to_vec()).unwrap().contains("LT3_token"), "and neither goes to the client");
    let mobile = json!({ "errorCode": 0, "sessionInfo": { "sessionToken": "st2", "sessionSecret": "s", "expires_in": 60 } });
    assert_eq!(harvest(200, &mobile).unwrap().life, Some(Life::For(Seconds(60))));

    let site = "https://fidm.gigya.com/jwt/3_site/";
    for (issuer, subject, uid, expected, shows) in [
        (site, "_guid_1", Some("_guid_1"), Some(site), "the token's own"),
        (site, "_guid_2", Some("_guid_1"), None, "not where the token is for somebody else"),
        (site, "_guid_1", None, None, "nor where the reply names nobody"),
        ("https://id.example", "_guid_1", Some("_guid_1"), None, "nobody but Gigya vouches in a reply of Gigya's"),
    ] {
        let claims = json!({ "iss": issuer, "sub": subject, "iat": NOW.0, "exp": NOW.0 + 300 });
        let token = SigningKey::generate(Algorithm::EdDsa).unwrap().sign_compact(&[], &claims).unwrap();
        let brought = harvest(200, &json!({ "errorCode": 0, "UID": uid, "id_token": token })).unwrap();
        assert_eq!(brought.issuer.as_deref(), expected, "{shows}");
    }

    let nothing = [
        (200, json!({ "errorCode": 403_042, "id_token": token }), "a refusal brings nothing"),
        (200, json!({ "id_token": token }), "nor does what says nothing of success"),
        (500, json!({ "errorCode": 0, "id_token": token }), "nor a failure of the server"),
        (200, json!({ "errorCode": 0, "id_token": "not a token" }), "what is no token"),
        (200, json!({ "errorCode": 0, "id_token": 7 }), "what is no text"),
        (200, json!({ "errorCode": 0, "sessionInfo": { "cookieValue": "" } }), "an empty one"),
        (200, json!({ "errorCode": 0, "UID": "anna" }), "a reply without any"),
    ];
    for (status, body, shows) in nothing {
        assert!(harvest(status, &body).is_none(), "{shows}");
    }
}
