//! Refusals in the vendor's envelope.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use serde_json::Value as Json;

use super::stage::{NOW, system};
use crate::domain::{Breach, Doubt, Refusal, Seconds};
use crate::systems::contract::{Refused, Rendered};

fn render(yaml: &str, refusal: &Refusal, method: &str, target: &str) -> Rendered {
    render_with(yaml, refusal, method, target, None)
}

/// The same for a request with a body, and what that says it is.
fn render_with(yaml: &str, refusal: &Refusal, method: &str, target: &str, body: Option<(&'static str, &str)>) -> Rendered {
    let headers: HeaderMap = body.iter().map(|(kind, _)| (CONTENT_TYPE, HeaderValue::from_static(kind))).collect();
    let refused = Refused {
        refusal,
        status: refusal.reason().status(),
        public: "credential_invalid",
        method,
        target,
        headers: &headers,
        body: body.map(|(_, text)| text.as_bytes()),
        request_id: "r-1",
        now: NOW,
    };
    system(yaml).render(&refused).unwrap()
}

fn code(yaml: &str, refusal: &Refusal) -> u64 {
    let rendered = render(yaml, refusal, "POST", "/accounts.getAccountInfo");
    let envelope: Json = serde_json::from_slice(&rendered.body).unwrap();
    assert_eq!(rendered.status, 200, "clients of this vendor look at the code");
    envelope["errorCode"].as_u64().unwrap()
}

#[test]
fn a_refusal_is_an_envelope_with_status_200() {
    let rendered = render("{}", &Refusal::Doubted(Doubt::SignatureInvalid), "POST", "/accounts.getAccountInfo");
    assert_eq!(rendered.headers, [(CONTENT_TYPE, "application/json; charset=utf-8".parse().unwrap())]);
    let envelope: Json = serde_json::from_slice(&rendered.body).unwrap();
    let expected = serde_json::json!({
        "callId": "r-1",
        "errorCode": 403_003,
        "errorDetails": "Invalid request signature",
        "errorMessage": "Invalid request signature",
        "apiVersion": 2,
        "statusCode": 403,
        "statusReason": "Forbidden",
        "time": "2027-01-15T08:00:00.000Z",
    });
    assert_eq!(envelope, expected);
}

#[test]
fn each_kind_of_proof_has_codes_of_its_own() {
    let cases = [
        // refusal, request, uid, session, token, what the row shows
        (Refusal::CredentialMissing, [403_005, 400_002, 403_012, 403_012], "nothing was brought"),
        (Doubt::SignatureInvalid.into(), [403_003, 403_003, 403_001, 403_025], "a forged one"),
        (Doubt::KeyUnknown.into(), [403_003, 403_003, 403_001, 403_025], "of a key that nobody has: told like a forged one"),
        (Doubt::Malformed.into(), [403_003, 403_003, 403_001, 403_025], "garbage: told like a forged one"),
        (Doubt::WindowExceeded.into(), [403_002, 400_128, 403_011, 403_011], "authentic, and too late"),
        (Doubt::Expired(None).into(), [403_002, 400_128, 403_011, 403_011], "authentic, and over"),
        (Doubt::Replayed.into(), [403_004, 403_004, 403_001, 403_025], "used before"),
        (Doubt::Conflict.into(), [400_006; 4], "two that disagree"),
        (Refusal::RenewalRefused, [403_011; 4], "not to be renewed"),
        (Refusal::PolicyDenied, [403_007; 4], "proven, and not allowed"),
        (Refusal::Throttled { retry_after: Seconds(1) }, [403_048; 4], "too many failures"),
        (Refusal::MethodRefused { allow: "GET".into() }, [405_001; 4], "another method"),
        (Refusal::NoRule, [404_000; 4], "nothing here"),
        (Refusal::BodyTooLarge, [400_006; 4], "too long a body"),
        (Refusal::UpstreamTimeout, [504_002; 4], "an upstream that does not answer"),
        (Refusal::UpstreamUnreachable, [500_001; 4], "none at all"),
        (Refusal::StateUnavailable { retry_after: Seconds(1) }, [500_001; 4], "not to be decided now"),
        (Refusal::Internal, [500_001; 4], "a fault of ours"),
    ];
    for (refusal, expected, shows) in cases {
        let told = ["request", "uid", "session", "token"].map(|proof| code(&format!("proof: {proof}"), &refusal));
        assert_eq!(told, expected, "{shows}");
    }
}

#[test]
fn the_status_follows_the_code_only_for_those_who_ask() {
    let refusal = Refusal::Doubted(Doubt::SignatureInvalid);
    let cases = [
        // settings, target, status, what the row shows
        ("{}", "/a.b", 200, "nobody asked"),
        ("{}", "/a.b?httpStatusCodes=true", 403, "asked"),
        ("{}", "/a.b?httpStatusCodes=TRUE", 403, "asked in capitals"),
        ("{}", "/a.b?httpStatusCodes=false", 200, "the libraries of SAP say so each time"),
        ("{}", "/a.b?httpStatusCodes=1", 200, "no word for it"),
        ("{}", "/a.b?httpStatusCodes=true&httpStatusCodes=false", 200, "said twice, so not said"),
        ("http_status: always", "/a.b", 403, "the conf says always"),
        ("http_status: never", "/a.b?httpStatusCodes=true", 200, "the conf says never"),
    ];
    for (yaml, target, status, shows) in cases {
        assert_eq!(render(yaml, &refusal, "POST", target).status, status, "{shows}");
    }
}

#[test]
fn a_form_may_ask_for_the_status_as_a_query_may() {
    const FORM: &str = "application/x-www-form-urlencoded";
    let refusal = Refusal::Doubted(Doubt::SignatureInvalid);
    let rows = [
        // settings, type, body, query, status, whether the body is wanted, what the row shows
        ("{}", FORM, "a=b&httpStatusCodes=true", "", 403, true, "asked in the form"),
        ("{}", "application/x-www-form-urlencoded; charset=utf-8", "httpStatusCodes=True", "", 403, true, "in capitals"),
        ("{}", FORM, "httpStatusCodes=false", "", 200, true, "as the libraries of SAP say"),
        ("{}", FORM, "httpStatusCodes=true", "?httpStatusCodes=false", 200, true, "said twice, so not said"),
        ("{}", FORM, "httpStatusCodes=true&a=%", "", 200, true, "a form that cannot be read"),
        ("{}", FORM, "", "?httpStatusCodes=true", 403, true, "asked in the query, with a form beside"),
        ("{}", "application/json", r#"{"httpStatusCodes":true}"#, "", 200, false, "JSON is no form"),
        ("http_status: always", FORM, "httpStatusCodes=false", "", 403, false, "the conf says always"),
        ("http_status: never", FORM, "httpStatusCodes=true", "", 200, false, "the conf says never"),
    ];
    for (yaml, kind, body, query, status, wanted, shows) in rows {
        let target = format!("/accounts.getAccountInfo{query}");
        assert_eq!(render_with(yaml, &refusal, "POST", &target, Some((kind, body))).status, status, "{shows}");
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
        assert_eq!(system(yaml).reads_refused("POST", &headers), wanted, "{shows}");
        assert!(!system(yaml).reads_refused("GET", &headers), "{shows}: a GET has no body");
    }
    assert!(!system("{}").reads_refused("POST", &HeaderMap::new()), "a body that does not say what it is");
}

#[test]
fn a_client_that_brings_another_proof_than_a_signature_is_told_so() {
    let told = |yaml: &str| {
        let rendered = render(yaml, &Refusal::Doubted(Doubt::AlgorithmRefused), "POST", "/accounts.getAccountInfo");
        let envelope: Json = serde_json::from_slice(&rendered.body).unwrap();
        (envelope["errorCode"].as_u64(), envelope["errorDetails"].as_str().unwrap().to_owned())
    };
    assert_eq!(told("{}"), (Some(403_003), "this way to prove a request is not taken here; sign it".to_owned()));
    assert_eq!(told("proof: token"), (Some(403_025), "Invalid token".to_owned()), "nobody else is told to sign");
}

#[test]
fn jsonp_is_a_call_of_a_plain_name_and_never_of_anything_else() {
    let refusal = Refusal::CredentialMissing;
    let script = |target: &str| {
        let rendered = render("{}", &refusal, "GET", target);
        let kind = rendered.headers[0].1.to_str().unwrap().to_owned();
        (rendered.status, kind, String::from_utf8(rendered.body.to_vec()).unwrap())
    };
    for name in ["f", "gigya._.apiAdapters.web.callback", "$_1"] {
        let (status, kind, body) = script(&format!("/a.b?format=jsonp&callback={name}&httpStatusCodes=true"));
        assert_eq!((status, kind.as_str()), (200, "text/javascript; charset=utf-8"), "browsers run no script of another status");
        let inner = body.strip_prefix(&format!("{name}(")).and_then(|body| body.strip_suffix(");")).unwrap();
        assert!(serde_json::from_str::<Json>(inner).is_ok(), "{body}");
    }
    let too_long = "a".repeat(129);
    let hostile = ["alert(1)//", "a;b", "%3Cscript%3E", "a..b", ".a", "a.", "1a", "a%0Ab", "a[0]", "a%20b", "%C3%A9", "", &too_long];
    for name in hostile {
        let (_, kind, body) = script(&format!("/a.b?format=jsonp&callback={name}"));
        assert_eq!(kind, "application/json; charset=utf-8", "{name}: no script");
        assert!(body.starts_with('{') && !body.contains("alert"), "{name}: nothing of it is echoed");
    }
    let (_, kind, _) = script("/a.b?callback=f");
    assert_eq!(kind, "application/json; charset=utf-8", "a callback alone is no JSONP");
    let posted = render("{}", &refusal, "POST", "/a.b?format=jsonp&callback=f");
    assert_eq!(posted.headers[0].1, "application/json; charset=utf-8", "scripts are not posted for");
}

#[test]
fn a_breach_is_told_in_the_systems_own_words() {
    let breach = Breach { code: "400002".into(), field: "UIDSig".into(), says: "required together with siteUID".into() };
    let rendered = render("{}", &Refusal::GuardRefused(Box::new(breach)), "POST", "/socialize.notifyRegistration?httpStatusCodes=true");
    let envelope: Json = serde_json::from_slice(&rendered.body).unwrap();
    assert_eq!(rendered.status, 400);
    assert_eq!(envelope["errorCode"], 400_002);
    assert_eq!(envelope["errorMessage"], "Missing required parameter");
    assert_eq!(envelope["errorDetails"], "UIDSig: required together with siteUID");
    let unknown = Breach { code: "not ours".into(), field: "".into(), says: "".into() };
    assert_eq!(code("{}", &Refusal::GuardRefused(Box::new(unknown))), 403_000, "a code that is none is the one that says nothing");
}
