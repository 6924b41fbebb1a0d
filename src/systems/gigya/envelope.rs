//! How a refusal is written: the vendor's envelope, with HTTP status 200 unless the client asked for another.
//!
//! `format=jsonp` wraps it into a call of `callback`, which is taken only when it is a plain dotted name: it becomes part of a script.
//! Browsers run scripts of status 200 alone, so JSONP always has it.
//!
//! Absent on purpose: XML, which `rules` refuses to be asked for, and every text of the request but that name.
//!
//! Source: the vendor's page "REST API" (response envelope), its web SDK (JSONP).

use bytes::Bytes;
use chrono::DateTime;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde_json::json;

use crate::domain::{Breach, Doubt, Refusal, Timestamp};
use crate::jose::signed_call::Parameters;
use crate::systems::contract::{Refused, Rendered};
use crate::systems::gigya::errors::{ErrorCode, Proof, code_of};

/// The longest name of a callback, in bytes.
const MAX_CALLBACK: usize = 128;

/// When the HTTP status tells the failure too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statuses {
    /// When the request says `httpStatusCodes=true`.
    Asked,
    /// For every client.
    Always,
    /// For none.
    Never,
}

impl Statuses {
    /// The words of the conf.
    pub const WORDS: &'static [&'static str] = &["asked", "always", "never"];

    /// The one that the conf calls `word`.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "asked" => Some(Self::Asked),
            "always" => Some(Self::Always),
            "never" => Some(Self::Never),
            _ => None,
        }
    }
}

/// What a request says about the form of its reply.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Wishes {
    /// Whether the HTTP status is to tell the failure.
    pub statuses: bool,
    /// The function that a script is to call.
    pub callback: Option<Box<str>>,
}

impl Wishes {
    /// Those of a request with `target` and, where it is at hand, the form `body`. What cannot be read wishes nothing.
    #[must_use]
    pub fn read(method: &str, target: &str, body: Option<&str>) -> Self {
        let query = target.split_once('?').map(|(_, query)| query).unwrap_or_default();
        let mut parameters = Parameters::new();
        if parameters.read(query).and_then(|()| parameters.read(body.unwrap_or_default())).is_err() {
            return Self::default();
        }
        let scripted = method == "GET" && parameters.get("format").is_some_and(|format| format.eq_ignore_ascii_case("jsonp"));
        Self {
            statuses: parameters.get("httpStatusCodes").is_some_and(|wish| wish.eq_ignore_ascii_case("true")),
            callback: parameters.get("callback").filter(|name| scripted && is_callback(name)).map(Into::into),
        }
    }
}

/// Whether `name` is a plain dotted name of a function, such as `gigya.callback_1`.
#[must_use]
pub fn is_callback(name: &str) -> bool {
    let is_word = |word: &str| {
        let starts = word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '$');
        starts && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$'))
    };
    name.len() <= MAX_CALLBACK && name.split('.').all(is_word)
}

/// The settings of the dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// What clients prove themselves with.
    pub proof: Proof,
    /// When the HTTP status tells the failure too.
    pub statuses: Statuses,
    /// `apiVersion`.
    pub api_version: u32,
}

impl Dialect {
    /// The reply to a refused request. `body` is its form, where that is at hand.
    #[must_use]
    pub fn render(self, refused: &Refused<'_>, body: Option<&str>) -> Rendered {
        let code = code_of(refused.refusal, self.proof);
        let wishes = Wishes::read(refused.method, refused.target, body);
        let statuses = match self.statuses {
            Statuses::Asked => wishes.statuses,
            Statuses::Always => true,
            Statuses::Never => false,
        };
        let details = match refused.refusal {
            Refusal::GuardRefused(breach) => told(breach),
            Refusal::Doubted(Doubt::AlgorithmRefused) if self.proof == Proof::Request => UNSIGNED.to_owned(),
            _ => code.message.to_owned(),
        };
        let envelope = self.envelope(code, &details, refused.request_id, refused.now);
        let (status, kind, text) = match wishes.callback {
            Some(callback) => (200, "text/javascript; charset=utf-8", format!("{callback}({envelope});")),
            None => (if statuses { code.status() } else { 200 }, "application/json; charset=utf-8", envelope),
        };
        Rendered { status, headers: vec![(CONTENT_TYPE, HeaderValue::from_static(kind))], body: Bytes::from(text) }
    }

    fn envelope(self, code: ErrorCode, details: &str, request_id: &str, now: Timestamp) -> String {
        let time = DateTime::from_timestamp(now.0, 0).map(|time| time.format("%Y-%m-%dT%H:%M:%S.000Z").to_string());
        json!({
            "callId": request_id,
            "errorCode": code.number,
            "errorDetails": details,
            "errorMessage": code.message,
            "apiVersion": self.api_version,
            "statusCode": code.status(),
            "statusReason": reason_of(code.status()),
            "time": time.unwrap_or_default(),
        })
        .to_string()
    }
}

/// What is told to clients that prove themselves otherwise, with a secret for instance, where a signature is asked for.
const UNSIGNED: &str = "this way to prove a request is not taken here; sign it";

/// What is told of a breach: its own words, and the parameter it is about.
fn told(breach: &Breach) -> String {
    if breach.field.is_empty() { breach.says.to_string() } else { format!("{}: {}", breach.field, breach.says) }
}

fn reason_of(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        504 => "Gateway Timeout",
        _ => "Internal Server Error",
    }
}
