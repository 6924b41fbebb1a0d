//! What the sender of each refused request is told, and what not.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

use super::{Answer, AnswerRequest, PublicReason, answer};
use crate::domain::{Breach, Doubt, Reason, Refusal, Seconds, Timestamp};
use crate::gate::verdict::Refused;

const PLAIN: &str = r#"Bearer realm="countersign""#;
const INVALID: &str = r#"Bearer realm="countersign", error="invalid_token""#;
const EXPIRED: &str = r#"Bearer realm="countersign", error="invalid_token", error_description="expired""#;
const CONFLICT: &str = r#"Bearer realm="countersign", error="invalid_request""#;
const SCOPE: &str = r#"Bearer realm="countersign", error="insufficient_scope", scope="chat:read chat:write""#;
const BASIC: &str = r#"Basic realm="countersign", charset="UTF-8""#;

fn asking(method: &str) -> AnswerRequest<'_> {
    static NONE: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);
    AnswerRequest {
        method,
        accept: None,
        sec_fetch_mode: None,
        sec_fetch_dest: None,
        request_id: "r-1",
        path_and_query: "/page",
        headers: &NONE,
        now: Timestamp(0),
        body: None,
        system: None,
    }
}

fn refused(refusal: Refusal) -> Refused {
    Refused { refusal, challenges: Arc::from(["Bearer", "Basic"]), login: None, system: None, body: None }
}

fn fields<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    answer.headers.iter().filter(|(field, _)| field.as_str() == name).map(|(_, value)| value.to_str().unwrap()).collect()
}

/// A refusal and everything its sender is told: status, public reason, challenges, one more field.
type Row = (Refusal, u16, &'static str, &'static [&'static str], Option<(&'static str, &'static str)>);

fn every_refusal() -> Vec<Row> {
    let after = Seconds(7);
    let later = Some(("retry-after", "7"));
    vec![
        (Refusal::TargetAmbiguous, 400, "request_refused", &[], None),
        (Refusal::HeadMalformed, 400, "request_refused", &[], None),
        (Refusal::HeaderTooLarge, 431, "request_refused", &[], None),
        (Refusal::BodyTooLarge, 413, "request_refused", &[], None),
        (Refusal::NoRule, 404, "no_rule", &[], None),
        (Refusal::MethodRefused { allow: "GET, POST".into() }, 405, "request_refused", &[], Some(("allow", "GET, POST"))),
        (Refusal::Misdirected, 421, "request_refused", &[], None),
        (Refusal::EarlyData, 425, "request_refused", &[], None),
        (Refusal::CredentialMissing, 401, "credential_missing", &[PLAIN, BASIC], None),
        (Doubt::Malformed.into(), 401, "credential_invalid", &[INVALID, BASIC], None),
        (Doubt::Conflict.into(), 400, "credential_conflict", &[CONFLICT, BASIC], None),
        (Doubt::AlgorithmRefused.into(), 401, "credential_invalid", &[INVALID, BASIC], None),
        (Doubt::KeyUnknown.into(), 401, "credential_invalid", &[INVALID, BASIC], None),
        (Doubt::SignatureInvalid.into(), 401, "credential_invalid", &[INVALID, BASIC], None),
        (Doubt::SecretWrong.into(), 401, "credential_invalid", &[INVALID, BASIC], None),
        (Doubt::KeyDisabled.into(), 401, "credential_invalid", &[INVALID, BASIC], None),
        (Doubt::ClaimsMalformed.into(), 401, "credential_invalid", &[INVALID, BASIC], None),
        (Doubt::Expired(None).into(), 401, "credential_expired", &[EXPIRED, BASIC], None),
        (Doubt::NotYetValid.into(), 401, "credential_invalid", &[INVALID, BASIC], None),
        (Doubt::IssuerMismatch.into(), 401, "credential_invalid", &[INVALID, BASIC], None),
        (Doubt::AudienceMismatch.into(), 401, "credential_invalid", &[INVALID, BASIC], None),
        (Doubt::ClaimMissing.into(), 401, "credential_invalid", &[INVALID, BASIC], None),
        (Doubt::WindowExceeded.into(), 401, "credential_invalid", &[INVALID, BASIC], None),
        (Doubt::Replayed.into(), 401, "credential_invalid", &[INVALID, BASIC], None),
        (Doubt::Revoked.into(), 401, "credential_invalid", &[INVALID, BASIC], None),
        (Refusal::KeysUnavailable { retry_after: after }, 503, "unavailable", &[], later),
        (Refusal::StateUnavailable { retry_after: after }, 503, "unavailable", &[], later),
        (Refusal::Undecidable { retry_after: after }, 503, "unavailable", &[], later),
        (Refusal::RenewalRefused, 401, "credential_expired", &[EXPIRED, BASIC], None),
        (Refusal::RenewalUnavailable { retry_after: after }, 503, "unavailable", &[], later),
        (Refusal::ScopeMissing { scope: "chat:read chat:write".into() }, 403, "not_allowed", &[SCOPE], None),
        (Refusal::PolicyDenied, 403, "not_allowed", &[], None),
        (Refusal::GuardRefused(Box::new(Breach { code: "1".into(), field: "a".into(), says: "b".into() })), 403, "not_allowed", &[], None),
        (Refusal::Throttled { retry_after: after }, 429, "throttled", &[], later),
        (Refusal::UpstreamUnreachable, 502, "unavailable", &[], None),
        (Refusal::UpstreamTimeout, 504, "unavailable", &[], None),
        (Refusal::Internal, 500, "unavailable", &[], None),
    ]
}

#[test]
fn every_refusal_has_its_status_reason_challenges_and_fields() {
    for (refusal, status, public, challenges, extra) in every_refusal() {
        let reason = refusal.reason().as_str();
        let answer = answer(&refused(refusal), &asking("GET"));
        assert_eq!(answer.status, status, "{reason}");
        assert_eq!(fields(&answer, "www-authenticate"), challenges, "{reason}");
        assert_eq!(fields(&answer, "cache-control"), ["no-store"], "{reason}");
        assert_eq!(fields(&answer, "content-type"), ["application/problem+json"], "{reason}");
        assert_eq!(fields(&answer, "x-content-type-options"), ["nosniff"], "{reason}");
        assert_eq!(fields(&answer, "content-length"), [""; 0], "{reason}: framing is the edge's");
        for name in ["retry-after", "allow"] {
            let expected: Vec<&str> = extra.iter().filter(|(field, _)| *field == name).map(|(_, value)| *value).collect();
            assert_eq!(fields(&answer, name), expected, "{reason}: {name}");
        }
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["type"], format!("urn:countersign:problem:{public}"), "{reason}");
        assert_eq!(body["status"], status, "{reason}");
        assert_eq!(body["reason"], public, "{reason}");
        assert_eq!(body["request_id"], "r-1", "{reason}");
        assert!(body["title"].is_string(), "{reason}");
        assert_eq!(body.as_object().unwrap().len(), 5, "{reason}: nothing else is told");
    }
}

#[test]
fn the_table_above_forgets_no_reason_and_agrees_with_the_published_status() {
    let rows = every_refusal();
    let told: BTreeSet<&str> = rows.iter().map(|(refusal, ..)| refusal.reason().as_str()).collect();
    let all: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(told, all, "each reason stands in the table");
    for (refusal, status, ..) in &rows {
        assert_eq!(*status, refusal.reason().status(), "{}", refusal.reason().as_str());
    }
    let public: BTreeSet<&str> = rows.iter().map(|(_, _, public, ..)| *public).collect();
    assert_eq!(public, PublicReason::ALL.iter().map(|reason| reason.as_str()).collect(), "each public reason is used");
}

#[test]
fn what_is_not_believed_is_answered_alike_to_the_byte() {
    let alike = |public: &str| -> Vec<Answer> {
        every_refusal()
            .into_iter()
            .filter(|(_, status, told, ..)| *told == public && *status == 401)
            .map(|(refusal, ..)| answer(&refused(refusal), &asking("GET")))
            .collect()
    };
    for (public, rows, shows) in [
        ("credential_invalid", 14, "N1, N5: unknown id, wrong secret, revoked, spent and garbage"),
        ("credential_expired", 2, "an expired one and one that cannot be renewed"),
    ] {
        let answers = alike(public);
        assert_eq!(answers.len(), rows, "{shows}");
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{shows}");
    }
}

#[test]
fn the_finer_reason_never_reaches_the_client() {
    for (refusal, _, public, ..) in every_refusal() {
        let fine = refusal.reason().as_str();
        let answer = answer(&refused(refusal), &asking("GET"));
        if fine == public {
            continue;
        }
        // `expired` is the one doubt that is told, so that a client knows to renew.
        let told = String::from_utf8(answer.body.to_vec()).unwrap().replace("credential_expired", "").replace("has expired", "");
        assert!(!told.contains(fine), "N2: {fine} in {told}");
        let headers = format!("{:?}", answer.headers);
        assert!(fine == "expired" || !headers.contains(fine), "N2: {fine} in {headers}");
    }
}

#[test]
fn head_is_answered_as_get_without_a_body() {
    for (refusal, ..) in every_refusal() {
        let reason = refusal.reason().as_str();
        let refused = refused(refusal);
        let (get, head) = (answer(&refused, &asking("GET")), answer(&refused, &asking("HEAD")));
        assert!(!get.body.is_empty(), "{reason}");
        assert!(head.body.is_empty(), "{reason}");
        assert_eq!((get.status, &get.headers), (head.status, &head.headers), "{reason}");
    }
}

#[test]
fn each_accepted_scheme_is_named_once_and_a_401_always_names_one() {
    let rows: [(&[&'static str], Refusal, &[&str], &str); 7] = [
        (&["Bearer", "bearer", "Bearer"], Refusal::CredentialMissing, &[PLAIN], "two authenticators of one scheme"),
        (&[], Refusal::CredentialMissing, &[r#"Countersign realm="countersign""#], "RFC 9110 section 15.5.2: never none"),
        (&["InstanceKey"], Doubt::SecretWrong.into(), &[r#"InstanceKey realm="countersign""#], "errors are Bearer's alone"),
        (&["Basic"], Refusal::ScopeMissing { scope: "a".into() }, &[], "to log in again as the same caller helps nobody"),
        (&[], Refusal::ScopeMissing { scope: "a".into() }, &[], "a 403 needs none"),
        (&[], Doubt::Conflict.into(), &[], "nor does a 400"),
        (&["no field\n"], Refusal::CredentialMissing, &[r#"Countersign realm="countersign""#], "what cannot be sent is not sent"),
    ];
    for (schemes, refusal, expected, shows) in rows {
        let refused = Refused { refusal, challenges: Arc::from(schemes), login: None, system: None, body: None };
        assert_eq!(fields(&answer(&refused, &asking("GET")), WWW_AUTHENTICATE.as_str()), expected, "{shows}");
    }
}

#[test]
fn a_scope_that_would_leave_its_quotes_is_not_told() {
    let rows = [
        ("chat:write", Some("chat:write"), "a scope"),
        ("a b", Some("a b"), "two of them"),
        ("a\", error=\"x", None, "a quote"),
        ("a\\", None, "a backslash"),
        ("a\r\nSet-Cookie: b", None, "a line break"),
        ("gr\u{f6}\u{df}e", None, "no scope token"),
        ("", None, "nothing"),
    ];
    for (scope, told, shows) in rows {
        let answer = answer(&refused(Refusal::ScopeMissing { scope: scope.into() }), &asking("GET"));
        let expected = match told {
            Some(scope) => format!(r#"Bearer realm="countersign", error="insufficient_scope", scope="{scope}""#),
            None => r#"Bearer realm="countersign", error="insufficient_scope""#.to_owned(),
        };
        assert_eq!(fields(&answer, "www-authenticate"), [expected], "{shows}");
    }
}

#[test]
fn a_retry_is_never_invited_at_once_and_allow_is_always_there() {
    let at_once = answer(&refused(Refusal::Throttled { retry_after: Seconds(0) }), &asking("GET"));
    assert_eq!(fields(&at_once, "retry-after"), ["1"], "zero seconds become one");
    for (allow, expected, shows) in [("", "", "an empty list is a list"), ("GET\r\nX: y", "", "what is no field value is left out")] {
        let answer = answer(&refused(Refusal::MethodRefused { allow: allow.into() }), &asking("PUT"));
        assert_eq!(fields(&answer, "allow"), [expected], "{shows}");
    }
}

#[test]
fn a_request_id_cannot_write_into_the_body() {
    let request = AnswerRequest { request_id: "a\",\"reason\":\"no_rule\u{2028}\n", ..asking("GET") };
    let answer = answer(&refused(Refusal::CredentialMissing), &request);
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["reason"], "credential_missing", "the id stays within its quotes");
    assert_eq!(body["request_id"], request.request_id, "and reads back as it was");
}

#[test]
fn a_browser_is_sent_to_log_in_only_where_that_could_help() {
    for (refusal, status, public, ..) in every_refusal() {
        let reason = refusal.reason().as_str();
        let refused = Refused { login: Some("/login".into()), ..refused(refusal) };
        let request = AnswerRequest { sec_fetch_mode: Some("navigate"), sec_fetch_dest: Some("document"), ..asking("GET") };
        let sent = answer(&refused, &request);
        if status == 401 {
            assert_eq!(sent.status, 302, "{reason}");
            assert_eq!(fields(&sent, "location"), ["/login?return_to=%2Fpage"], "{reason}");
            assert_eq!(fields(&sent, "cache-control"), ["no-store"], "{reason}");
            assert_eq!(fields(&sent, "referrer-policy"), ["no-referrer"], "O11: {reason}");
            assert!(sent.body.is_empty(), "{reason}");
        } else {
            assert_eq!(sent.status, status, "{reason} ({public}): logging in would change nothing");
            assert_eq!(fields(&sent, "location"), [""; 0], "{reason}");
        }
        assert_eq!(answer(&refused, &asking("GET")).status, status, "{reason}: a program gets the status");
    }
    let refused = Refused { login: Some("/login".into()), ..refused(Refusal::CredentialMissing) };
    let posted = AnswerRequest { sec_fetch_mode: Some("navigate"), ..asking("POST") };
    assert_eq!(answer(&refused, &posted).status, 303, "a POST is not repeated at the login page");
}

#[test]
fn the_operations_page_names_every_public_reason_with_its_statuses() {
    let page = include_str!("../../../docs/operations.md");
    for public in PublicReason::ALL {
        let statuses: BTreeSet<String> =
            every_refusal().iter().filter(|(_, _, told, ..)| *told == public.as_str()).map(|(_, status, ..)| status.to_string()).collect();
        let row = format!("| `{}` | {} |", public.as_str(), statuses.into_iter().collect::<Vec<_>>().join(" "));
        assert!(page.lines().any(|line| line.starts_with(&row)), "docs/operations.md lacks a row that starts {row}");
    }
}
