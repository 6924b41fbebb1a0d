//! What the OAuth endpoints have in common: how a pair and an error are written, and whose tokens an endpoint is for.
//!
//! An error says one of the codes of the standard and a sentence of ours; nothing of the request is repeated.
//!
//! Rules: RFC 6749 sections 5.1 and 5.2.

use std::sync::Arc;

use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA};
use serde_json::{Map, Value as Json, json};

use crate::domain::Timestamp;
use crate::issuer::contract::{Reply, ServiceTools};
use crate::issuer::pairs::{Issued, Issuer};
use crate::settings::{Checking, Node, Section, SectionSpec, Span};

/// The issuer that `settings` name, and where.
pub(super) fn issuer_of(
    service: &str,
    spec: &'static SectionSpec,
    settings: Option<&Node>,
    at: &Span,
    checking: &mut Checking<'_>,
) -> Option<(String, Span)> {
    let Some(node) = settings else {
        checking.faults.error(at, format!("say whose tokens: `{{ {service}: {{ issuer: NAME }} }}`"));
        return None;
    };
    let section = Section::open(spec, node, checking.faults)?;
    Some((section.text("issuer")?.to_owned(), section.span_of("issuer").clone()))
}

/// The issuer called `name`.
pub(super) fn built(tools: &ServiceTools<'_>, name: &str) -> Result<Arc<Issuer>, String> {
    tools.issuers.get(name).map(Arc::clone).ok_or_else(|| format!("there is no issuer `{name}`"))
}

/// RFC 6749 section 5.1. `None` when a token of ours is no text, which cannot be.
pub(super) fn granted(issued: &Issued, now: Timestamp) -> Option<Reply> {
    let mut members = Map::new();
    members.insert("access_token".to_owned(), json!(std::str::from_utf8(issued.pair.access.expose()).ok()?));
    members.insert("token_type".to_owned(), json!("Bearer"));
    if let Some(until) = issued.pair.access_until {
        members.insert("expires_in".to_owned(), json!(now.until(until).0));
    }
    if let Some(refresh) = &issued.pair.refresh {
        members.insert("refresh_token".to_owned(), json!(std::str::from_utf8(refresh.expose()).ok()?));
    }
    if !issued.scopes.is_empty() {
        members.insert("scope".to_owned(), json!(issued.scopes.join(" ")));
    }
    Some(answer(200, &Json::Object(members)))
}

/// RFC 6749 section 5.2. `says` is ours, and nothing of the request.
pub(super) fn refusal(code: &'static str, says: &'static str) -> Reply {
    answer(400, &json!({ "error": code, "error_description": says }))
}

fn answer(status: u16, body: &Json) -> Reply {
    let headers = vec![
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (PRAGMA, HeaderValue::from_static("no-cache")),
    ];
    Reply { status, headers, body: body.to_string().into(), guessed: false }
}
