//! How the vendor's servers write a refusal: a real HTTP status, and `{"Status", "Title", "Errors": [{"Key", "Message"}]}`.
//!
//! One of its hosts (portal-apis) writes the same names in lower case; which of the two is a setting. What an error says is the
//! public reason and a sentence of ours. A refresh that cannot be done is told by 400 and by nothing else: that, and not 401, makes
//! its clients log in; 429 and 503 must stay what they are, since neither ends a session. Challenges beside a 401 are the edge's.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::domain::Refusal;
use crate::systems::contract::{Refused, Rendered};
use crate::systems::telematics::breach::status_of;
use crate::systems::telematics::calls::Call;

/// How names are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// `Status`: user.telematicssdk.com and most others.
    Upper,
    /// `status`: portal-apis.telematicssdk.com.
    Lower,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct UpperEnvelope<'t> {
    status: u16,
    title: &'t str,
    errors: [UpperError<'t>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct UpperError<'t> {
    key: &'t str,
    message: &'t str,
}

#[derive(Serialize)]
struct LowerEnvelope<'t> {
    status: u16,
    title: &'t str,
    errors: [LowerError<'t>; 1],
}

#[derive(Serialize)]
struct LowerError<'t> {
    key: &'t str,
    message: &'t str,
}

/// Writes `refused`; `None` when it cannot be written, which cannot be.
pub(crate) fn render(case: Case, refused: &Refused<'_>) -> Option<Rendered> {
    let (status, key, message) = match refused.refusal {
        Refusal::GuardRefused(breach) => (status_of(breach), &*breach.field, &*breach.says),
        _ => (status(refused), refused.public, says(refused.public)),
    };
    let text = match case {
        Case::Upper => serde_json::to_vec(&UpperEnvelope { status, title: title(status), errors: [UpperError { key, message }] }).ok()?,
        Case::Lower => serde_json::to_vec(&LowerEnvelope { status, title: title(status), errors: [LowerError { key, message }] }).ok()?,
    };
    let body = if refused.method == "HEAD" { Bytes::new() } else { Bytes::from(text) };
    Some(Rendered { status, headers: fields(status, refused), body })
}

/// A refusal by `status` that is about `key`, where we answer ourselves.
pub(crate) fn failure(status: u16, key: &str, message: &str) -> Bytes {
    let written = json!({ "Status": status, "Title": title(status), "Errors": [{ "Key": key, "Message": message }] });
    Bytes::from(written.to_string())
}

/// What is given where we answer ourselves.
pub(crate) fn success(result: &Json) -> Bytes {
    Bytes::from(json!({ "Result": result, "Status": 200, "Title": "", "Errors": [] }).to_string())
}

/// What both are.
pub(crate) fn content_type() -> (HeaderName, HeaderValue) {
    (CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"))
}

/// The status of `refused`, which is no breach of a guard.
fn status(refused: &Refused<'_>) -> u16 {
    // What the pair that is brought to be refreshed is worth, the clients read from a 400.
    if refused.status == 401 && Call::of(refused.target) == Call::Refresh { 400 } else { refused.status }
}

fn fields(status: u16, refused: &Refused<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let mut fields = vec![content_type()];
    // What the table of rules allows, the edge says. Every call whose method a guard minds is made with POST.
    if status == 405 && matches!(refused.refusal, Refusal::GuardRefused(_)) {
        fields.push((ALLOW, HeaderValue::from_static("POST")));
    }
    fields
}

/// The title that goes with `status`.
fn title(status: u16) -> &'static str {
    match status {
        400 => "Bad request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not found",
        405 => "Method not allowed",
        413 => "Payload too large",
        415 => "Unsupported media type",
        // The vendor's own words.
        422 => "One or more validation errors occurred.",
        429 => "Too many requests",
        431 => "Request header fields too large",
        503 => "Service unavailable",
        502 | 504 => "The service cannot be reached",
        _ => "The request was not served",
    }
}

/// A sentence for a public reason.
fn says(public: &str) -> &'static str {
    match public {
        "credential_missing" => "An access token is required.",
        "credential_invalid" => "The credential was not accepted.",
        "credential_expired" => "The token has expired.",
        "credential_conflict" => "More than one credential was sent.",
        "not_allowed" => "The caller may not do this.",
        "throttled" => "Too many requests were made.",
        "unavailable" => "The service cannot answer now.",
        "no_rule" => "There is nothing here.",
        _ => "The request cannot be accepted.",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::HeaderMap;

    use super::{Case, render};
    use crate::domain::{Doubt, Refusal, Seconds, Timestamp};
    use crate::systems::contract::{Refused, Rendered};
    use crate::systems::telematics::breach::{invalid, wrong_method};

    fn rendered(case: Case, refusal: &Refusal, status: u16, public: &'static str, method: &str, target: &str) -> Rendered {
        let headers = HeaderMap::new();
        let refused =
            Refused { refusal, status, public, method, target, headers: &headers, body: None, request_id: "r", now: Timestamp(0) };
        render(case, &refused).unwrap()
    }

    fn field<'r>(rendered: &'r Rendered, name: &str) -> Option<&'r str> {
        rendered.headers.iter().find(|(known, _)| known == name).and_then(|(_, value)| value.to_str().ok())
    }

    #[test]
    fn refusals_have_their_status_and_the_vendors_envelope() {
        let rows: [(Refusal, u16, &str, &str, &str, &str); 9] = [
            (
                Refusal::CredentialMissing,
                401,
                "credential_missing",
                "/v1/Management/users",
                r#"{"Status":401,"Title":"Unauthorized","Errors":[{"Key":"credential_missing","Message":"An access token is required."}]}"#,
                "no token",
            ),
            (
                Refusal::Doubted(Doubt::Expired(None)),
                401,
                "credential_expired",
                "/trips",
                r#"{"Status":401,"Title":"Unauthorized","Errors":[{"Key":"credential_expired","Message":"The token has expired."}]}"#,
                "a token that has run out makes the vendor's clients refresh",
            ),
            (
                Refusal::RenewalRefused,
                401,
                "credential_expired",
                "/trips",
                r#"{"Status":401,"Title":"Unauthorized","Errors":[{"Key":"credential_expired","Message":"The token has expired."}]}"#,
                "one that could not be renewed makes them refresh, be refused, and log in",
            ),
            (
                Refusal::Doubted(Doubt::Expired(None)),
                400,
                "credential_expired",
                "/v1/auth/refreshTOKEN?x",
                r#"{"Status":400,"Title":"Bad request","Errors":[{"Key":"credential_expired","Message":"The token has expired."}]}"#,
                "a failed refresh is a 400",
            ),
            (
                Refusal::Throttled { retry_after: Seconds(1) },
                429,
                "throttled",
                "/v1/Auth/RefreshToken",
                r#"{"Status":429,"Title":"Too many requests","Errors":[{"Key":"throttled","Message":"Too many requests were made."}]}"#,
                "a throttled refresh ends no session",
            ),
            (
                Refusal::StateUnavailable { retry_after: Seconds(5) },
                503,
                "unavailable",
                "/v1/Auth/RefreshToken",
                r#"{"Status":503,"Title":"Service unavailable","Errors":[{"Key":"unavailable","Message":"The service cannot answer now."}]}"#,
                "nor does an outage",
            ),
            (
                Refusal::PolicyDenied,
                403,
                "not_allowed",
                "/trips",
                r#"{"Status":403,"Title":"Forbidden","Errors":[{"Key":"not_allowed","Message":"The caller may not do this."}]}"#,
                "the wrong kind of token",
            ),
            (
                invalid("InstanceId", "It is required."),
                422,
                "not_allowed",
                "/v1/Registration/create",
                r#"{"Status":422,"Title":"One or more validation errors occurred.","Errors":[{"Key":"InstanceId","Message":"It is required."}]}"#,
                "a breach",
            ),
            (
                Refusal::BodyTooLarge,
                413,
                "request_refused",
                "/v1/Auth/Login",
                r#"{"Status":413,"Title":"Payload too large","Errors":[{"Key":"request_refused","Message":"The request cannot be accepted."}]}"#,
                "too large a body",
            ),
        ];
        for (refusal, status, public, target, body, shows) in rows {
            // What is answered without a system, but for the row of the failed refresh.
            let plain = if status == 400 { 401 } else { status };
            let rendered = rendered(Case::Upper, &refusal, plain, public, "POST", target);
            assert_eq!((rendered.status, std::str::from_utf8(&rendered.body).unwrap()), (status, body), "{shows}");
            assert_eq!(field(&rendered, "content-type"), Some("application/json; charset=utf-8"), "{shows}");
        }
    }

    #[test]
    fn portal_apis_writes_its_names_in_lower_case() {
        let rendered = rendered(Case::Lower, &Refusal::PolicyDenied, 403, "not_allowed", "GET", "/x");
        let body = r#"{"status":403,"title":"Forbidden","errors":[{"key":"not_allowed","message":"The caller may not do this."}]}"#;
        assert_eq!((rendered.status, std::str::from_utf8(&rendered.body).unwrap()), (403, body));
    }

    #[test]
    fn a_405_of_the_guard_says_what_is_allowed_and_a_head_has_no_body() {
        let of_guard = rendered(Case::Upper, &wrong_method(), 403, "not_allowed", "GET", "/v1/Auth/Login");
        assert_eq!((of_guard.status, field(&of_guard, "allow")), (405, Some("POST")));
        let of_table = Refusal::MethodRefused { allow: Arc::from("GET, PUT") };
        let of_table = rendered(Case::Upper, &of_table, 405, "request_refused", "HEAD", "/x");
        assert_eq!((of_table.status, field(&of_table, "allow"), of_table.body.len()), (405, None, 0), "the edge says it");
    }

    #[test]
    fn all_doubts_but_expiry_look_alike() {
        let doubts = [Doubt::Malformed, Doubt::SecretWrong, Doubt::KeyUnknown, Doubt::Revoked, Doubt::SignatureInvalid];
        let answers: Vec<_> =
            doubts.into_iter().map(|doubt| rendered(Case::Upper, &doubt.into(), 401, "credential_invalid", "GET", "/x")).collect();
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
