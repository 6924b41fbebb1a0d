//! Tests for the answers of a stand-in that tokens are proven with.

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::{Checks, Holder};
use crate::domain::Timestamp;

const NOW: Timestamp = Timestamp(1_700_000_000);

/// Status and body for whoever presents `token` in a form.
async fn answered(checks: &Checks, token: &str) -> (u16, Value) {
    let body = Bytes::from(format!("type=user&access_token={token}"));
    let answer = checks.answer(&Request::post("/checks/0").body(body).unwrap());
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap())
}

#[tokio::test]
async fn answers_are_what_the_conf_expects_of_good_ended_and_unknown_tokens() {
    let plain = json!({ "subject": "/sub" });
    let telling = json!({
        "expired": { "when": { "pointer": "/code", "equals": 414 } },
        "refused": [{ "status": [403, 401] }, { "when": { "pointer": "/code", "equals": [402, 413] } }],
        "success": { "status": 201, "when": { "pointer": "/stat", "equals": "ok" } },
        "require": { "/result/client": ["ours", "theirs"] },
        "subject": "/result/uuid", "scopes": "/result/scope", "claims": { "email": "/result/email", "a/b": "/a~1b" },
        "expires_in": { "pointer": "/result/life", "unit": "milliseconds" },
    });
    let at = json!({ "subject": "/u", "refused": { "when": { "pointer": "/ok", "equals": false } }, "expires_at": { "pointer": "/e", "unit": "seconds" } });
    let cases = [
        // settings, good, ended, unknown, what the row shows
        (&plain, (200, json!({ "sub": "anna" })), (401, json!({})), (401, json!({})), "what holds unless written"),
        (
            &telling,
            (
                201,
                json!({
                    "stat": "ok", "a/b": "bench",
                    "result": { "client": "ours", "uuid": "anna", "scope": ["read"], "email": "a@b.example", "life": 3_600_000 },
                }),
            ),
            (200, json!({ "code": 414 })),
            (403, json!({})),
            "everything that can be written",
        ),
        (
            &at,
            (200, json!({ "u": "anna", "e": NOW.0 + 3_600 })),
            (200, json!({ "ok": false })),
            (200, json!({ "ok": false })),
            "200 whatever happens, and an end that is a time",
        ),
    ];
    for (settings, good, ended, unknown, shows) in cases {
        let checks = Checks::of(settings);
        let claims = [("email".to_owned(), json!("a@b.example"))];
        checks.give("token-of-anna", &Holder { subject: "anna", scopes: &["read".to_owned()], claims: &claims, now: NOW });
        checks.give_ended("token-that-ended");
        assert_eq!(answered(&checks, "token-of-anna").await, good, "{shows}");
        assert_eq!(answered(&checks, "token-that-ended").await, ended, "{shows}");
        for guess in ["token-of-ann", "xtoken-of-anna", "", "token"] {
            assert_eq!(answered(&checks, guess).await, unknown, "{shows}: `{guess}` was given to nobody");
        }
    }
}

#[test]
fn a_token_is_known_in_a_field_as_well() {
    let checks = Checks::of(&json!({ "subject": "/sub" }));
    checks.give("a-b_c", &Holder { subject: "anna", scopes: &[], claims: &[], now: NOW });
    for (value, status) in [("Bearer a-b_c", 200), ("a-b_c", 200), ("Bearer a-b_cd", 401), ("Bearer a b_c", 401)] {
        let request = Request::get("/checks/0").header("authorization", value).body(Bytes::new()).unwrap();
        assert_eq!(checks.answer(&request).status(), status, "{value}");
    }
}
