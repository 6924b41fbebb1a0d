//! Answers of services: JSON, and problems of requests that cannot be served as they are.
//!
//! A problem is written as refusals are (RFC 9457, with `reason` and `request_id`), plus `detail`: whoever asks a service has
//! been let in, and is told what to write differently. It never holds what was sent.

use bytes::Bytes;
use http::HeaderValue;
use http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use serde_json::{Value, json};

use crate::issuer::contract::{Call, Reply};
use crate::issuer::services::submission::Unread;

impl Reply {
    /// `body` as JSON.
    #[must_use]
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::typed(status, "application/json", body)
    }

    /// What is wrong with `call`.
    #[must_use]
    pub(super) fn problem(call: &Call<'_>, unread: &Unread) -> Self {
        let body = json!({
            "type": "urn:countersign:problem:request_refused",
            "title": "The request cannot be accepted",
            "status": unread.status,
            "reason": "request_refused",
            "detail": unread.says,
            "request_id": call.request.request_id,
        });
        Self::typed(unread.status, "application/problem+json", &body)
    }

    fn typed(status: u16, kind: &'static str, body: &Value) -> Self {
        let headers = vec![(CONTENT_TYPE, HeaderValue::from_static(kind)), (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))];
        Self { status, headers, body: Bytes::from(format!("{body}\n")), guessed: false }
    }
}
