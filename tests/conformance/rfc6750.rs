//! RFC 6750 section 3: what the `WWW-Authenticate` of a refused bearer request says.
//!
//! The values are read back by a parser of RFC 9110 section 11.6.1 (challenge = scheme, parameters with tokens or quoted
//! strings), so that a value that only looks right does not pass.
//!
//! Not here: sections 2.2 and 2.3 (form body and query), which belong to the schemes that look for credentials.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::sync::Arc;

use countersign::domain::{Doubt, Refusal, Seconds};
use countersign::edge::respond::{Answer, AnswerRequest, answer};
use countersign::gate::verdict::Refused;

/// A challenge as a client reads it.
#[derive(Debug, PartialEq)]
struct Challenge {
    scheme: String,
    parameters: BTreeMap<String, String>,
}

/// Reads one challenge by the grammar; `None` for what it does not allow.
fn parse(value: &str) -> Option<Challenge> {
    let is_token = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
    let (scheme, mut rest) = value.split_once(' ')?;
    let mut parameters = BTreeMap::new();
    loop {
        let (name, after) = rest.trim_start_matches(' ').split_once('=')?;
        let inner = after.strip_prefix('"')?;
        let (mut text, mut characters) = (String::new(), inner.char_indices());
        let end = loop {
            match characters.next()? {
                (at, '"') => break at + 1,
                (_, '\\') => text.push(characters.next()?.1),
                (_, plain) if plain == '\t' || (' '..='~').contains(&plain) => text.push(plain),
                _ => return None,
            }
        };
        // Section 3: no attribute more than once.
        if !is_token(name) || parameters.insert(name.to_owned(), text).is_some() {
            return None;
        }
        rest = &inner[end..];
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None if rest.is_empty() && is_token(scheme) => return Some(Challenge { scheme: scheme.to_owned(), parameters }),
            None => return None,
        }
    }
}

fn answered(refusal: Refusal, schemes: &[&'static str]) -> Answer {
    let refused = Refused { refusal, challenges: Arc::from(schemes), login: None, system: None, body: None };
    let request = AnswerRequest {
        method: "GET",
        accept: Some("*/*"),
        sec_fetch_mode: None,
        sec_fetch_dest: None,
        request_id: "4b1c",
        path_and_query: "/resource",
        headers: &http::HeaderMap::new(),
        now: countersign::domain::Timestamp(0),
        body: None,
        system: None,
    };
    answer(&refused, &request)
}

fn challenges(answer: &Answer) -> Vec<Challenge> {
    let values = answer.headers.iter().filter(|(name, _)| name == "www-authenticate");
    values.map(|(_, value)| parse(value.to_str().unwrap()).unwrap_or_else(|| panic!("not a challenge: {value:?}"))).collect()
}

fn bearer(parameters: &[(&str, &str)]) -> Challenge {
    let realm = [("realm", "countersign")];
    let all = realm.iter().chain(parameters).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Challenge { scheme: "Bearer".to_owned(), parameters: all.collect() }
}

#[test]
fn the_parser_reads_the_examples_of_the_rfc_and_refuses_what_is_none() {
    let rows = [
        (r#"Bearer realm="example""#, true, "section 3, first example"),
        (r#"Bearer realm="example", error="invalid_token", error_description="The access token expired""#, true, "second example"),
        (r#"Bearer realm="a\"b""#, true, "a quoted pair"),
        (r#"Bearer realm="a", realm="b""#, false, "the same attribute twice"),
        (r#"Bearer realm="a" error="b""#, false, "no comma"),
        (r#"Bearer realm="a"#, false, "an open quote"),
        ("Bearer", false, "no parameter at all"),
        ("Bearer realm=\"gr\u{fc}n\"", false, "beyond ASCII"),
    ];
    for (value, expected, shows) in rows {
        assert_eq!(parse(value).is_some(), expected, "{shows}: {value}");
    }
}

#[test]
fn each_refusal_carries_the_status_and_error_code_of_section_3_1() {
    let rows: [(Refusal, u16, Vec<Challenge>, &str); 8] = [
        (Refusal::CredentialMissing, 401, vec![bearer(&[])], "no authentication: no error code or other error information"),
        (Doubt::Conflict.into(), 400, vec![bearer(&[("error", "invalid_request")])], "more than one method: invalid_request, 400"),
        (Doubt::Malformed.into(), 401, vec![bearer(&[("error", "invalid_token")])], "malformed: invalid_token, 401"),
        (Doubt::Revoked.into(), 401, vec![bearer(&[("error", "invalid_token")])], "revoked: invalid_token, 401"),
        (Doubt::SignatureInvalid.into(), 401, vec![bearer(&[("error", "invalid_token")])], "invalid for other reasons: the same"),
        (
            Doubt::Expired(None).into(),
            401,
            vec![bearer(&[("error", "invalid_token"), ("error_description", "expired")])],
            "expired: invalid_token, and the client may request a new one",
        ),
        (
            Refusal::ScopeMissing { scope: "chat:read chat:write".into() },
            403,
            vec![bearer(&[("error", "insufficient_scope"), ("scope", "chat:read chat:write")])],
            "insufficient_scope: 403, with the scope necessary",
        ),
        (Refusal::PolicyDenied, 403, vec![], "a refusal that no other token would change is none of Bearer's errors"),
    ];
    for (refusal, status, expected, shows) in rows {
        let answer = answered(refusal, &["Bearer"]);
        assert_eq!((answer.status, challenges(&answer)), (status, expected), "{shows}");
    }
}

#[test]
fn a_challenge_belongs_to_refusals_of_a_credential_only() {
    let after = Seconds(3);
    let rows = [
        Refusal::NoRule,
        Refusal::HeadMalformed,
        Refusal::MethodRefused { allow: "GET".into() },
        Refusal::Throttled { retry_after: after },
        Refusal::KeysUnavailable { retry_after: after },
        Refusal::UpstreamUnreachable,
        Refusal::Internal,
    ];
    for refusal in rows {
        let reason = refusal.reason().as_str();
        assert_eq!(challenges(&answered(refusal, &["Bearer", "Basic"])), [], "{reason}");
    }
}

#[test]
fn beside_bearer_each_other_scheme_has_a_field_of_its_own() {
    let answer = answered(Doubt::SecretWrong.into(), &["Basic", "Bearer", "InstanceKey", "Basic"]);
    let read = challenges(&answer);
    let schemes: Vec<&str> = read.iter().map(|challenge| &*challenge.scheme).collect();
    assert_eq!(schemes, ["Basic", "Bearer", "InstanceKey"], "one each, in the order of the rule");
    for challenge in &read {
        assert_eq!(challenge.parameters["realm"], "countersign", "{}", challenge.scheme);
        assert_eq!(challenge.parameters.contains_key("error"), challenge.scheme == "Bearer", "errors are Bearer's: {}", challenge.scheme);
    }
}

#[test]
fn the_values_keep_to_the_characters_of_section_3() {
    let in_scope = |c: char| c == '!' || ('#'..='[').contains(&c) || (']'..='~').contains(&c) || c == ' ';
    let in_description = |c: char| c == ' ' || c == '!' || ('#'..='[').contains(&c) || (']'..='~').contains(&c);
    for scope in ["a b", "https://scopes.example/read", "a\"b", "a\\b", "a\u{7f}", "\u{fc}", ""] {
        for challenge in challenges(&answered(Refusal::ScopeMissing { scope: scope.into() }, &["Bearer"])) {
            for (name, value) in &challenge.parameters {
                let allowed = match name.as_str() {
                    "scope" => value.chars().all(in_scope) && !value.is_empty(),
                    _ => value.chars().all(in_description),
                };
                assert!(allowed, "{name}={value:?} for {scope:?}");
            }
        }
    }
}
