//! The envelope of every answer: `{"status":…,"error":{"code":…,"message":…,"field":…},"data":…}`, over HTTP 200.
//!
//! The three members of `error` are always there, since the Android client's parser fails when one is absent, and `code` is text,
//! empty on success. The `status` inside is what clients go by; on the wire it is 200 always, since a real 401 is a broken
//! connection to them: they neither refresh nor log out.
//!
//! Not here: which refusal has which code.
//!
//! Source: docs.taptalk.io (error codes), taptalk.io-android 2.18.3 (TAPBaseResponse), taptalksdk-web 1.0.310 (observed).

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::domain::Value;
use crate::jose::json;

/// A field of the head is missing or of a wrong form (`HeaderValidationFailed`).
pub const HEADER_INVALID: &str = "40001";
/// A parameter is missing or of a wrong form (`ParamValidationFailed`).
pub const PARAMETER_INVALID: &str = "40002";
/// There is no token.
pub const TOKEN_MISSING: &str = "40101";
/// `Authorization` cannot be read, or says two things.
pub const AUTHORIZATION_INVALID: &str = "40102";
/// The token is none of ours, or not one for this endpoint.
pub const TOKEN_INVALID: &str = "40103";
/// The token has run out: the one code at which the web client refreshes.
pub const TOKEN_EXPIRED: &str = "40104";
/// The token was given to another client.
pub const TOKEN_FOREIGN: &str = "40105";
/// The token is good, and whom it was for is not there any more.
pub const USER_UNKNOWN: &str = "40106";
/// The caller may not do this.
pub const FORBIDDEN: &str = "40301";
/// There is nothing here.
pub const NOT_FOUND: &str = "40401";
/// The key of the app or the server is missing.
pub const KEY_MISSING: &str = "49101";
/// That key is of a wrong form, or wrong.
pub const KEY_INVALID: &str = "49102";
/// That key is not for this.
pub const KEY_INCOMPATIBLE: &str = "49104";
/// That key has run out.
pub const KEY_EXPIRED: &str = "49106";
/// Anything else.
pub const OTHER: &str = "99999";

#[derive(Serialize)]
struct Envelope<'e> {
    status: u16,
    error: Fault<'e>,
    data: &'e Json,
}

#[derive(Serialize)]
struct Fault<'e> {
    code: &'e str,
    message: &'e str,
    field: &'e str,
}

/// A success that brings `data`, an object.
#[must_use]
pub fn success(data: &Json) -> Bytes {
    written(&Envelope { status: 200, error: Fault { code: "", message: "", field: "" }, data })
}

/// A failure: its `code`, what it says for people, and the field or parameter that it is about. `otherwise` is the status for
/// codes that tell none.
#[must_use]
pub fn failure(code: &str, message: &str, field: &str, otherwise: u16) -> Bytes {
    let status = status_of(code).unwrap_or(otherwise);
    written(&Envelope { status, error: Fault { code, message, field }, data: &json!({}) })
}

fn written(envelope: &Envelope<'_>) -> Bytes {
    // Texts and numbers only: there is nothing in it that could not be written.
    serde_json::to_vec(envelope).map(Bytes::from).unwrap_or_default()
}

/// The status that `code` tells: its first three digits, and 400 for the two that are documented by name. `None` for `99999` and
/// whatever else names no class of statuses.
#[must_use]
pub fn status_of(code: &str) -> Option<u16> {
    match code {
        "HeaderValidationFailed" | "ParamValidationFailed" => Some(400),
        _ if code.len() == 5 => code.get(..3)?.parse().ok().filter(|status| (100..600).contains(status)),
        _ => None,
    }
}

/// What says that a body is an envelope.
#[must_use]
pub fn content_type() -> (HeaderName, HeaderValue) {
    (CONTENT_TYPE, HeaderValue::from_static("application/json"))
}

/// An envelope that was received.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// The status inside.
    pub status: i64,
    /// The error's code; empty on success.
    pub code: Box<str>,
    /// What it brings.
    pub data: Value,
}

impl Received {
    /// The envelope that `body` is; `None` when it is none, so that nothing follows from it.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        /// Chat data nests deeper than claims do.
        const DEPTH: usize = 64;
        let whole = json::parse_to_depth(body, DEPTH).ok()?;
        let status = whole.member("status").and_then(Value::as_int)?;
        let code = whole.member("error")?.member("code").and_then(Value::as_text)?;
        let data = whole.member("data").cloned().unwrap_or(Value::Null);
        Some(Self { status, code: code.into(), data })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::{PARAMETER_INVALID, Received, failure, status_of, success};

    #[test]
    fn a_failure_has_the_published_form_byte_for_byte() {
        let published =
            r#"{"status":400,"error":{"code":"40002","message":"Customer user ID is required","field":"customerUserID"},"data":{}}"#;
        assert_eq!(failure(PARAMETER_INVALID, "Customer user ID is required", "customerUserID", 500), published);
    }

    #[test]
    fn all_three_members_of_the_error_are_always_there_and_the_code_is_text() {
        for body in [success(&json!({ "a": 1 })), failure("40104", "expired", "", 401), failure("99999", "", "", 503)] {
            let read: Json = serde_json::from_slice(&body).unwrap();
            let error = read["error"].as_object().unwrap();
            assert!(["code", "message", "field"].iter().all(|name| error[*name].is_string()), "{read}");
            assert!(read["data"].is_object(), "{read}");
        }
        let text = success(&json!({ "a": 1 }));
        assert_eq!(text, r#"{"status":200,"error":{"code":"","message":"","field":""},"data":{"a":1}}"#, "success is an empty code");
    }

    #[test]
    fn what_would_break_out_of_the_text_is_escaped() {
        let body = failure("40002", "a \"quoted\" \u{1}line\n", "x", 400);
        let read: Json = serde_json::from_slice(&body).unwrap();
        assert_eq!(read["error"]["message"], "a \"quoted\" \u{1}line\n");
    }

    #[test]
    fn a_code_tells_its_status() {
        let rows = [
            ("40104", Some(401), "five digits: the first three"),
            ("40001", Some(400), "validation of the head"),
            ("49104", Some(491), "keys have a class of their own"),
            ("50001", Some(500), "the server's own"),
            ("HeaderValidationFailed", Some(400), "one of the two names"),
            ("ParamValidationFailed", Some(400), "the other"),
            ("99999", None, "no class of statuses"),
            ("401", None, "not five digits"),
            ("4010x", Some(401), "its end may be anything"),
            ("4x104", None, "its beginning may not"),
            ("", None, "success has no code"),
        ];
        for (code, expected, shows) in rows {
            assert_eq!(status_of(code), expected, "{shows}: {code:?}");
        }
    }

    #[test]
    fn what_is_no_envelope_means_nothing() {
        let rows: [(&str, bool, &str); 8] = [
            (r#"{"status":401,"error":{"code":"40104","message":"","field":""},"data":{}}"#, true, "as documented"),
            (r#"{"status":401,"error":{"code":"40104"}}"#, true, "the parts that are looked at"),
            (r#"{"status":"401","error":{"code":"40104"}}"#, false, "a status that is text"),
            (r#"{"status":401,"error":{"code":40104}}"#, false, "a code that is a number"),
            (r#"{"status":401,"status":200,"error":{"code":"40104"}}"#, false, "two readings"),
            ("<html>401 40104</html>", false, "a page"),
            ("", false, "nothing"),
            (r#""401""#, false, "a text"),
        ];
        for (body, expected, shows) in rows {
            assert_eq!(Received::read(body.as_bytes()).is_some(), expected, "{shows}: {body}");
        }
    }
}
