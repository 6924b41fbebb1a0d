//! What a service of ours, and an upstream asked by a preflight, are shown of a guarded request.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, SET_COOKIE};
use http::{HeaderName, HeaderValue};

use super::court::{Court, breach, query};
use crate::gate::verdict::{Admission, Outcome, Verdict};
use crate::systems::contract::Pass;

fn served(verdict: &Verdict) -> String {
    match &verdict.outcome {
        Outcome::Serve(served) => String::from_utf8(served.body.to_vec()).unwrap(),
        outcome => panic!("served: {outcome:?}"),
    }
}

fn admitted(verdict: Verdict) -> Box<Admission> {
    match verdict.outcome {
        Outcome::Admit(admission) => admission,
        outcome => panic!("admitted: {outcome:?}"),
    }
}

#[tokio::test]
async fn a_service_is_shown_the_request_that_its_guard_has_left() {
    let fields = [("app_key", "theirs"), ("app-key", "theirs"), ("server-key", "a"), ("x-site-user", "admin"), ("x-plain", "1")];
    let target = "/v1?a=1&authorizatio%6E=x&b=2";
    let rows = [
        (
            Pass::default(),
            "/v1?a=1&authorizatio%6E=x&b=2 /v1?a=1&authorizatio%6E=x&b=2 [app_key=theirs app-key=theirs server-key=a x-plain=1] sent",
            "nothing asked for",
        ),
        (
            Pass { remove_query: query("authorization"), ..Pass::default() },
            "/v1?a=1&b=2 /v1?a=1&b=2 [app_key=theirs app-key=theirs server-key=a x-plain=1] sent",
            "out of the query, as sent and as read",
        ),
        (
            Pass { remove: vec![HeaderName::from_static("server-key")], ..Pass::default() },
            "/v1?a=1&authorizatio%6E=x&b=2 /v1?a=1&authorizatio%6E=x&b=2 [app_key=theirs app-key=theirs x-plain=1] sent",
            "a field off",
        ),
        (
            Pass { set: vec![(HeaderName::from_static("app-key"), HeaderValue::from_static("ours"))], ..Pass::default() },
            "/v1?a=1&authorizatio%6E=x&b=2 /v1?a=1&authorizatio%6E=x&b=2 [app-key=ours server-key=a x-plain=1] sent",
            "a field of ours, and the client's in no spelling",
        ),
        (
            Pass {
                body: Some(Bytes::from_static(b"written")),
                set: vec![(CONTENT_TYPE, HeaderValue::from_static("text/plain"))],
                ..Pass::default()
            },
            "/v1?a=1&authorizatio%6E=x&b=2 /v1?a=1&authorizatio%6E=x&b=2 [app_key=theirs app-key=theirs server-key=a x-plain=1 content-type=text/plain] written",
            "another body",
        ),
    ];
    for (pass, expected, shows) in rows {
        for reads in [false, true] {
            let court = Court::new(Ok(super::court::copy(&pass)), reads);
            let answer = served(&court.ask("POST", target, &fields, "sent").await);
            assert_eq!(sorted(&answer), sorted(expected), "{shows}, the guard reads the body: {reads}");
        }
    }
}

/// The same with its fields in order: a map does not keep theirs.
fn sorted(text: &str) -> String {
    let (before, rest) = text.split_once('[').unwrap();
    let (fields, after) = rest.split_once(']').unwrap();
    let mut fields: Vec<&str> = fields.split(' ').collect();
    fields.sort_unstable();
    format!("{before}[{}]{after}", fields.join(" "))
}

#[tokio::test]
async fn a_rule_without_a_system_serves_the_request_as_it_came() {
    let mut court = Court::new(Err(breach("never asked")), false);
    court.rule().system = None;
    let answer = served(&court.ask("POST", "/v1?a=1", &[("x-site-user", "x")], "sent").await);
    assert_eq!(answer, "/v1?a=1 /v1?a=1 [x-site-user=x] sent");
}

#[tokio::test]
async fn what_a_guard_gives_back_is_on_the_answer_of_a_service_too() {
    let back = vec![(SET_COOKIE, HeaderValue::from_static("a=1"))];
    let court = Court::new(Ok(Pass { back: back.clone(), ..Pass::default() }), false);
    assert_eq!(court.ask("GET", "/", &[], "").await.hand_back, back);
}

#[tokio::test]
async fn a_preflight_that_is_forwarded_carries_no_credential_of_a_system() {
    let court = Court::forwarding(Err(breach("never asked")));
    let preflight = [
        ("host", "a.example"),
        ("origin", "https://app.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "app-key"),
        ("user-agent", "Browser"),
        ("server-key", "marked"),
        ("app-key", "marked"),
        ("instanceid", "marked"),
        ("instancekey", "marked"),
        ("x-auth-token", "marked"),
        ("referer", "https://app.example/?token=marked"),
        ("authorization", "marked"),
        ("cookie", "a=marked"),
    ];
    let admission = admitted(court.ask("OPTIONS", "/connect?authorization=marked&App%2DKey=marked&a=marked", &preflight, "").await);
    assert_eq!(admission.target.wire(), "/connect", "nothing of the query");
    let mut stays: Vec<&str> =
        preflight.iter().map(|(name, _)| *name).filter(|name| admission.remove.iter().all(|gone| gone != name)).collect();
    stays.sort_unstable();
    assert_eq!(stays, ["access-control-request-headers", "access-control-request-method", "host", "origin", "user-agent"]);
    assert!(!admission.set.iter().any(|(_, value)| value.as_bytes().windows(6).any(|part| part == b"marked")), "nor is it written anew");
    assert!(admission.set.iter().all(|(name, _)| name != AUTHORIZATION));

    let mut plain = Court::forwarding(Err(breach("never asked")));
    plain.rule().system = None;
    let admission = admitted(plain.ask("OPTIONS", "/a?b=1", &preflight, "").await);
    assert_eq!(admission.target.wire(), "/a?b=1", "a rule without a system forwards them as before");
}

#[tokio::test]
async fn a_permit_never_prints_what_it_sets_or_sends() {
    let secret = HeaderValue::from_static("marked-secret");
    let pass = Pass { set: vec![(AUTHORIZATION, secret)], body: Some(Bytes::from_static(b"Password=marked")), ..Pass::default() };
    let verdict = Court::forwarding(Ok(pass)).ask("POST", "/?key=marked", &[], "").await;
    let printed = format!("{verdict:?}");
    assert!(!printed.contains("marked") && printed.contains("authorization"), "{printed}");
}
