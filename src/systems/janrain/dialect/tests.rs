//! Refusals as Capture's own clients read them.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use crate::domain::Timestamp;
use crate::domain::{Breach, Doubt, Refusal, Seconds};
use crate::systems::contract::Refused;
use crate::systems::janrain::dialect::render;
use crate::systems::janrain::rules::Rules;
use crate::systems::janrain::stage::proven;

fn told_by(rules: &Rules, refusal: &Refusal, target: &str, authorization: Option<&'static str>, id: &str) -> Option<(u16, Value)> {
    let mut headers = HeaderMap::new();
    if let Some(value) = authorization {
        headers.insert("authorization", HeaderValue::from_static(value));
    }
    let refused = Refused {
        refusal,
        status: refusal.reason().status(),
        public: "credential_invalid",
        method: "POST",
        target,
        headers: &headers,
        body: None,
        request_id: id,
        now: Timestamp(0),
    };
    let rendered = render(rules, &refused)?;
    assert_eq!(rendered.headers[0].1, "application/json");
    Some((rendered.status, serde_json::from_slice(&rendered.body).unwrap()))
}

const ID: &str = "0123456789ABCDEF0123456789abcdef";

fn told(refusal: &Refusal, target: &str) -> Option<(u16, Value)> {
    told_by(&Rules::default(), refusal, target, None, ID)
}

fn breach(code: &'static str, field: &'static str) -> Refusal {
    Refusal::GuardRefused(Box::new(Breach { code: code.into(), field: field.into(), says: "says".into() }))
}

/// One of every kind.
fn every() -> Vec<(Refusal, Option<u16>)> {
    let retry_after = Seconds(5);
    vec![
        (Refusal::TargetAmbiguous, None),
        (Refusal::HeadMalformed, None),
        (Refusal::HeaderTooLarge, None),
        (Refusal::NoRule, None),
        (Refusal::MethodRefused { allow: Arc::from("GET") }, None),
        (Refusal::Misdirected, None),
        (Refusal::EarlyData, None),
        (Refusal::BodyTooLarge, Some(200)),
        (Refusal::CredentialMissing, Some(402)),
        (Doubt::Expired(None).into(), Some(414)),
        (Doubt::Conflict.into(), Some(200)),
        (Doubt::Malformed.into(), Some(402)),
        (Doubt::SignatureInvalid.into(), Some(402)),
        (Doubt::SecretWrong.into(), Some(402)),
        (Doubt::KeyDisabled.into(), Some(402)),
        (Doubt::WindowExceeded.into(), Some(402)),
        (Doubt::Replayed.into(), Some(402)),
        (Doubt::Revoked.into(), Some(402)),
        (Refusal::RenewalRefused, Some(414)),
        (Refusal::ScopeMissing { scope: Arc::from("owner") }, Some(403)),
        (Refusal::PolicyDenied, Some(403)),
        (breach("100", "flow"), Some(100)),
        (Refusal::Throttled { retry_after }, Some(510)),
        (Refusal::KeysUnavailable { retry_after }, Some(500)),
        (Refusal::StateUnavailable { retry_after }, Some(500)),
        (Refusal::Undecidable { retry_after }, Some(500)),
        (Refusal::RenewalUnavailable { retry_after }, Some(500)),
        (Refusal::UpstreamUnreachable, Some(500)),
        (Refusal::UpstreamTimeout, Some(500)),
        (Refusal::Internal, Some(500)),
    ]
}

#[test]
fn a_refusal_is_a_code_inside_a_200() {
    for (refusal, code) in every() {
        let told = told(&refusal, "/entity?x=1");
        assert_eq!(told.as_ref().map(|(status, _)| *status), code.map(|_| 200), "{refusal:?}");
        let Some((_, body)) = told else { continue };
        assert_eq!((&body["stat"], &body["code"]), (&json!("error"), &json!(code.unwrap())), "{refusal:?}");
        assert!(
            body["error"].is_string() && body["error_description"].is_string() && body.get("sub_error").is_none(),
            "{refusal:?}: {body}"
        );
        assert_eq!(body["request_id"], "0123456789abcdef", "sixteen characters of ours");
    }
}

#[test]
fn the_token_endpoint_answers_as_oauth_does() {
    let rows = [
        (breach("100", "code"), 400, "invalid_request", "missing_argument"),
        (breach("200", "grant_type"), 400, "unsupported_grant_type", "invalid_argument"),
        (breach("201", ""), 400, "invalid_request", "duplicate_argument"),
        (breach("403", ""), 400, "unauthorized_client", "permission_error"),
        (breach("402", "client_id"), 401, "invalid_client", "invalid_client_credentials"),
        (breach("420", "redirect_uri"), 400, "invalid_grant", "redirect_uri_mismatch"),
        (Refusal::CredentialMissing, 401, "invalid_client", "invalid_client_credentials"),
        (Doubt::SecretWrong.into(), 401, "invalid_client", "invalid_client_credentials"),
        (Refusal::StateUnavailable { retry_after: Seconds(5) }, 503, "temporarily_unavailable", "unexpected_error"),
        (Refusal::UpstreamUnreachable, 503, "temporarily_unavailable", "unexpected_error"),
    ];
    for (refusal, status, oauth, sub) in rows {
        let (told, body) = told(&refusal, "/oauth/token").unwrap();
        assert_eq!((told, &body["error"], &body["sub_error"]), (status, &json!(oauth), &json!(sub)), "{refusal:?}");
        assert_eq!(body["stat"], "error");
    }
    let mounted = proven(&json!({ "mount": "/capture" })).unwrap();
    let status = |rules: &Rules, target: &str| told_by(rules, &breach("100", "code"), target, None, ID).unwrap().0;
    for (rules, target, expected, shows) in [
        (&mounted, "/capture/oauth/token", 400, "below the mount"),
        (&mounted, "/oauth/token", 200, "and only there"),
        (&mounted, "/capture/oauth/token?x=1", 400, "a query is no part of it"),
        (&mounted, "/capture/oauth/%74oken", 400, "as the path that it is"),
        (&mounted, "/capture/oauth/auth_native", 200, "another endpoint"),
    ] {
        assert_eq!(status(rules, target), expected, "{shows}: {target}");
    }
}

#[test]
fn a_breach_is_told_with_what_its_clients_look_for() {
    let body = |refusal: &Refusal| told(refusal, "/oauth/register_native").unwrap().1;
    let missing = body(&breach("100", "flow"));
    assert_eq!((&missing["error"], &missing["argument_name"]), (&json!("missing_argument"), &json!("flow")));
    let fields = body(&breach("390", "emailAddress"));
    assert_eq!(fields["invalid_fields"], json!({ "emailAddress": ["emailAddress is required."] }), "as forms are refused");
    assert!(fields.get("argument_name").is_none());
    let permission = body(&breach("403", "login_client"));
    assert_eq!(permission["error"], "permission_error");
    assert!(permission.get("argument_name").is_none(), "a feature is no argument");
    let unknown = body(&breach("x", ""));
    assert_eq!(unknown["code"], 500, "what is no code is an unexpected error, and told as one");
}

#[test]
fn a_way_of_authenticating_that_capture_does_not_know_is_told_as_that() {
    let code =
        |authorization| told_by(&Rules::default(), &Refusal::CredentialMissing, "/entity", authorization, ID).unwrap().1["code"].clone();
    for (authorization, expected, shows) in [
        (None, 402, "nothing"),
        (Some("Negotiate abc"), 205, "one that it does not know"),
        (Some("Bearer abc"), 205, "nor this one"),
        (Some("OAuth abc"), 402, "one that it knows"),
        (Some("signature a:b"), 402, "in any case"),
    ] {
        assert_eq!(code(authorization), json!(expected), "{shows}");
    }
}

#[test]
fn a_request_id_has_the_vendors_form_whatever_ours_is() {
    let id = |ours| {
        told_by(&Rules::default(), &Refusal::PolicyDenied, "/entity", None, ours).unwrap().1["request_id"].as_str().unwrap().to_owned()
    };
    assert_eq!(id("6F9619FF-8B86-D011-B42D-00CF4FC964FF"), "6f9619ff8b86d011", "of a UUID, its beginning");
    assert_eq!((id("short").len(), id("").len()), (16, 16), "of a short one, a digest");
    assert_ne!(id("short"), id("shorter"), "which tells them apart");
}
