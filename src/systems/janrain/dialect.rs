//! How a refusal reads to Capture's own clients: JSON with a code, inside a 200; inside a 400 or 401 at `/oauth/token` alone.
//!
//! Its clients read the body of 200, 400 and 401 and take every other status for trouble on the way. So what is known only
//! before there was a rule, or is about HTTP itself, stays a problem of RFC 9457; and at `/oauth/token` an outage keeps its 503,
//! since there a 400 would tell a client that its refresh token is gone.
//!
//! Nothing of the request is echoed: names of arguments come from tables, and the request's id is cut to the vendor's form.

use bytes::Bytes;
use http::HeaderValue;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use crate::domain::{Breach, Doubt, Refusal};
use crate::jose::digest::digest;
use crate::systems::contract::{Refused, Rendered};
use crate::systems::janrain::endpoints::{Endpoint, endpoint};
use crate::systems::janrain::rules::Rules;

/// A failure in the vendor's words.
#[derive(Debug, PartialEq, Eq)]
struct Failure {
    /// Its code, which is no HTTP status.
    code: u16,
    /// The argument it is about; empty for none.
    argument: String,
    /// The same for people.
    says: String,
}

fn failure(code: u16, says: &str) -> Failure {
    Failure { code, argument: String::new(), says: says.to_owned() }
}

/// Writes a refusal, or leaves it to be told without a system.
pub(super) fn render(rules: &Rules, refused: &Refused<'_>) -> Option<Rendered> {
    let failure = failure_of(refused)?;
    let (status, oauth) = if is_token_endpoint(rules, refused.target) { at_token(&failure, refused) } else { (200, None) };
    let mut body = Map::new();
    body.insert("stat".into(), "error".into());
    body.insert("code".into(), failure.code.into());
    match oauth {
        None => {
            body.insert("error".into(), name(failure.code).into());
        }
        Some(oauth) => {
            body.insert("error".into(), oauth.into());
            body.insert("sub_error".into(), name(failure.code).into());
        }
    }
    if failure.code == INVALID_FORM_FIELDS && !failure.argument.is_empty() {
        let says = format!("{} is required.", failure.argument);
        body.insert("invalid_fields".into(), json!({ failure.argument: [says] }));
    } else if !failure.argument.is_empty() {
        body.insert("argument_name".into(), failure.argument.into());
    }
    body.insert("error_description".into(), failure.says.into());
    body.insert("request_id".into(), request_id(refused.request_id).into());
    Some(Rendered {
        status,
        headers: vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))],
        body: Bytes::from(Value::Object(body).to_string()),
    })
}

const MISSING_ARGUMENT: u16 = 100;
const INVALID_ARGUMENT: u16 = 200;
const INVALID_AUTH_METHOD: u16 = 205;
const INVALID_FORM_FIELDS: u16 = 390;
const INVALID_CREDENTIALS: u16 = 402;
const PERMISSION: u16 = 403;
const TOKEN_EXPIRED: u16 = 414;
const UNEXPECTED: u16 = 500;
const API_LIMIT: u16 = 510;

/// The vendor's name of a code that is told here.
fn name(code: u16) -> &'static str {
    match code {
        MISSING_ARGUMENT => "missing_argument",
        INVALID_ARGUMENT => "invalid_argument",
        201 => "duplicate_argument",
        INVALID_AUTH_METHOD => "invalid_auth_method",
        342 => "invalid_date",
        INVALID_FORM_FIELDS => "invalid_form_fields",
        INVALID_CREDENTIALS => "invalid_client_credentials",
        PERMISSION => "permission_error",
        TOKEN_EXPIRED => "access_token_expired",
        420 => "redirect_uri_mismatch",
        API_LIMIT => "limit_error",
        _ => "unexpected_error",
    }
}

/// What is told of a refusal; `None` for those of HTTP itself.
fn failure_of(refused: &Refused<'_>) -> Option<Failure> {
    const OUTAGE: &str = "an unexpected error occurred; try again later";
    Some(match refused.refusal {
        Refusal::TargetAmbiguous
        | Refusal::HeadMalformed
        | Refusal::HeaderTooLarge
        | Refusal::NoRule
        | Refusal::MethodRefused { .. }
        | Refusal::Misdirected
        | Refusal::EarlyData => return None,
        Refusal::BodyTooLarge => failure(INVALID_ARGUMENT, "the body is too large"),
        Refusal::CredentialMissing => missing(refused),
        Refusal::Doubted(Doubt::Expired(_)) | Refusal::RenewalRefused => failure(TOKEN_EXPIRED, "the access token has expired"),
        Refusal::Doubted(Doubt::Conflict) => failure(INVALID_ARGUMENT, "credentials were passed in more than one way"),
        // One answer for every other doubt, so that a forger learns nothing from it.
        Refusal::Doubted(_) => failure(INVALID_CREDENTIALS, "the credentials are not valid"),
        Refusal::ScopeMissing { .. } | Refusal::PolicyDenied => failure(PERMISSION, "this client or user may not do this"),
        Refusal::GuardRefused(breach) => of_breach(breach),
        Refusal::Throttled { .. } => failure(API_LIMIT, "too many failed calls; try again later"),
        Refusal::KeysUnavailable { .. }
        | Refusal::StateUnavailable { .. }
        | Refusal::Undecidable { .. }
        | Refusal::RenewalUnavailable { .. }
        | Refusal::UpstreamUnreachable
        | Refusal::UpstreamTimeout
        | Refusal::Internal => failure(UNEXPECTED, OUTAGE),
    })
}

/// Nothing was presented that the rule takes. An auth-scheme that Capture does not know is told as that.
fn missing(refused: &Refused<'_>) -> Failure {
    const KNOWN: [&str; 3] = ["signature", "basic", "oauth"];
    let scheme = refused.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| value.split(' ').next());
    match scheme {
        Some(scheme) if !KNOWN.iter().any(|known| scheme.eq_ignore_ascii_case(known)) => {
            failure(INVALID_AUTH_METHOD, "this way of authenticating is not supported")
        }
        _ => failure(INVALID_CREDENTIALS, "the credentials are missing"),
    }
}

fn of_breach(breach: &Breach) -> Failure {
    Failure {
        code: breach.code.parse().unwrap_or(UNEXPECTED),
        // It says which feature a client lacks, and that is no argument.
        argument: if breach.code == "403" { String::new() } else { breach.field.to_string() },
        says: breach.says.to_string(),
    }
}

/// Status and OAuth name (RFC 6749 section 5.2) of a failure at `/oauth/token`.
fn at_token(failure: &Failure, refused: &Refused<'_>) -> (u16, Option<&'static str>) {
    let (status, oauth) = match failure.code {
        INVALID_ARGUMENT if failure.argument == "grant_type" => (400, "unsupported_grant_type"),
        INVALID_ARGUMENT if failure.argument == "code" => (400, "invalid_grant"),
        INVALID_CREDENTIALS | INVALID_AUTH_METHOD => (401, "invalid_client"),
        PERMISSION => (400, "unauthorized_client"),
        TOKEN_EXPIRED | 420 => (400, "invalid_grant"),
        UNEXPECTED | API_LIMIT if 500 <= refused.status || refused.status == 429 => (503, "temporarily_unavailable"),
        _ => (400, "invalid_request"),
    };
    (status, Some(oauth))
}

/// Whether `target`, as sent, is `/oauth/token`. Only a spelling that is one is read as one.
fn is_token_endpoint(rules: &Rules, target: &str) -> bool {
    let path = target.split('?').next().unwrap_or_default();
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    rules.below(&decoded).is_some_and(|path| endpoint(path) == Endpoint::Token)
}

/// Sixteen lower-case letters and digits, as the vendor's ids have; the first of ours, where it has as many.
fn request_id(ours: &str) -> String {
    const LENGTH: usize = 16;
    let id: String = ours.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).take(LENGTH).collect();
    if id.len() == LENGTH {
        return id;
    }
    digest("countersign janrain request", &[ours.as_bytes()]).iter().take(LENGTH / 2).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
