//! What replies of Janrain Capture mean, by their bodies.

use http::HeaderMap;
use serde_json::{Value, json};

use crate::domain::Seconds;
use crate::systems::contract::{Life, Meaning, Reply};
use crate::systems::janrain::replies::{classify, harvest};
use crate::systems::janrain::rules::Rules;
use crate::systems::janrain::stage::proven;

fn reply<'r>(path: &'r str, status: u16, headers: &'r HeaderMap, body: Option<&'r [u8]>) -> Reply<'r> {
    Reply { method: "POST", path, status, headers, body }
}

fn meaning(status: u16, body: &str) -> Meaning {
    classify(&reply("/entity", status, &HeaderMap::new(), Some(body.as_bytes())))
}

#[test]
fn only_code_414_inside_a_200_says_that_a_token_has_run_out() {
    let error =
        |code: &str| format!(r#"{{"stat":"error","code":{code},"error":"x","error_description":"y","request_id":"f5q326y8ef2tmfcq"}}"#);
    let rows = [
        (200, error("414"), Meaning::Expired, "access_token_expired"),
        (200, error("310"), Meaning::Fine, "310 does not mean that nobody is logged in"),
        (200, error("380"), Meaning::Fine, "an address that is taken"),
        (200, error("390"), Meaning::Fine, "a form that is refused"),
        (200, error("402"), Meaning::Fine, "a client that is not believed"),
        (200, error("415"), Meaning::Fine, "a code that has run out"),
        (200, error("1414"), Meaning::Fine, "a number that ends like it"),
        (200, error("\"414\""), Meaning::Fine, "a text, which no code is"),
        (401, error("414"), Meaning::Fine, "outside a 200"),
        (400, error("414"), Meaning::Fine, "at the token endpoint"),
        (200, r#"{"stat":"ok","code":414}"#.into(), Meaning::Fine, "no failure"),
        (200, r#"{"stat":"ok","result":{"stat":"error","code":414}}"#.into(), Meaning::Fine, "a profile that holds such words"),
        (200, r#"{"stat":"error","code":500,"code":414}"#.into(), Meaning::Fine, "two codes are none"),
        (200, r#"{"stat":"error","code":414"#.into(), Meaning::Fine, "half a body"),
        (200, r#"[{"stat":"error","code":414}]"#.into(), Meaning::Fine, "a list"),
        (200, String::new(), Meaning::Fine, "nothing"),
        (200, r#"{"code":414,"message":"x","stat":"error"}"#.into(), Meaning::Expired, "a very old reply, in another order"),
    ];
    for (status, body, expected, shows) in rows {
        assert_eq!(meaning(status, &body), expected, "{shows}: {status} {body}");
    }
    assert_eq!(classify(&reply("/entity", 200, &HeaderMap::new(), None)), Meaning::Fine, "a reply too large to be held");
}

/// The access token, the refresh token, the life, the subject and the rest.
type Told = (String, Option<String>, Option<Life>, Option<String>, Value);

fn brought(rules: &Rules, path: &str, status: u16, body: &Value) -> Option<Told> {
    let text = body.to_string();
    let brought = harvest(rules, &reply(path, status, &HeaderMap::new(), Some(text.as_bytes())))?;
    let plain = |secret: &crate::domain::Secret| String::from_utf8(secret.expose().to_vec()).unwrap();
    let rest = serde_json::from_slice(&brought.rest.unwrap()).unwrap();
    Some((plain(&brought.access), brought.refresh.as_ref().map(plain), brought.life, brought.subject.map(Into::into), rest))
}

#[test]
fn tokens_are_taken_out_of_replies_that_bring_them() {
    let rules = Rules::default();
    let pair = json!({ "stat": "ok", "access_token": "z0y98xv76u5t4rs3", "refresh_token": "r", "expires_in": 3600 });
    let expected =
        ("z0y98xv76u5t4rs3".into(), Some("r".into()), Some(Life::For(Seconds(3600))), None, json!({ "stat": "ok", "expires_in": 3600 }));
    assert_eq!(brought(&rules, "/oauth/token", 200, &pair), Some(expected), "a pair");
    let user = json!({ "uuid": "67890def-6789-defg-6789-67890defgh67", "created": "2016-04-20 17:02:18.649505 +0000" });
    let login =
        json!({ "capture_user": user, "is_new": false, "stat": "ok", "access_token": "z0y98xv76u5t4rs3", "authorization_code": "c" });
    let rest = json!({ "capture_user": user, "is_new": false, "stat": "ok", "authorization_code": "c" });
    let subject = Some("67890def-6789-defg-6789-67890defgh67".to_owned());
    for path in ["/oauth/auth_native", "/oauth/register_native", "/oauth/auth_native_traditional", "/oauth/register_native_traditional"] {
        let told = brought(&rules, path, 200, &login);
        assert_eq!(told, Some(("z0y98xv76u5t4rs3".into(), None, None, subject.clone(), rest.clone())), "{path}: for the user it names");
    }
    let hour = proven(&json!({ "access_life": "1h", "mount": "/capture" })).unwrap();
    let life = |body: &Value| brought(&hour, "/capture/oauth/auth_native", 200, body).map(|told| told.2);
    assert_eq!(life(&login), Some(Some(Life::For(Seconds(3600)))), "a life that the conf says, below its mount");
    assert_eq!(life(&pair), Some(Some(Life::For(Seconds(3600)))), "a life that the reply says");
    assert_eq!(brought(&hour, "/oauth/auth_native", 200, &login), None, "outside the mount");
}

#[test]
fn nothing_is_taken_from_replies_that_bring_nothing() {
    let rules = Rules::default();
    let token = json!({ "stat": "ok", "access_token": "a" });
    let rows = [
        ("/oauth/auth_native", 200, json!({ "stat": "ok", "authorization_code": "c" }), "a code alone"),
        ("/oauth/auth_native", 200, json!({ "stat": "error", "code": 310, "access_token": "a" }), "a failure"),
        ("/oauth/token", 400, token.clone(), "another status"),
        ("/entity", 200, token.clone(), "an endpoint that brings none"),
        ("/oauth/token/", 200, token, "a path that is almost one"),
        ("/oauth/token", 200, json!({ "stat": "ok", "access_token": "" }), "an empty token"),
        ("/oauth/token", 200, json!({ "stat": "ok", "access_token": "a b" }), "a token that no field can carry"),
        ("/oauth/token", 200, json!({ "stat": "ok", "access_token": 7 }), "a number"),
        ("/oauth/token", 200, json!(["stat"]), "a list"),
    ];
    for (path, status, body, shows) in rows {
        assert_eq!(brought(&rules, path, status, &body), None, "{shows}: {path} {status} {body}");
    }
    assert!(harvest(&rules, &reply("/oauth/token", 200, &HeaderMap::new(), None)).is_none(), "no body at hand");
}
