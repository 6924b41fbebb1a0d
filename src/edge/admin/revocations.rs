//! `/revocations` of the admin listener: list them, add one, withdraw one. The token has been checked by now.
//!
//! | request | answer |
//! |---|---|
//! | `GET /revocations?limit=100&after=CURSOR` | 200: a page of what is in force, newest first, and the cursor of the next |
//! | `POST /revocations` | 201: in force everywhere; 503: on this node only, and said so; 400: not understood; 507: too many |
//! | `DELETE /revocations/ID` | 200: withdrawn; 404: none of that name (those of the file are taken out there); 503: not withdrawn |
//!
//! Every answer is JSON; `says` tells what became of it. The process log names the entry and what it goes by, not whom.

use std::str::FromStr;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use super::written;
use crate::domain::{Listed, ListedFrom, RevocationId, Timestamp};
use crate::gate::contract::{Revoked, Revoker, Withdrawn};
use crate::settings::revocation::{Written, read_request};

/// The largest body that is read, in bytes.
pub(super) const MOST_BODY: usize = 16 * 1024;
/// Entries of a page: by default, and at most.
const PAGE: usize = 100;
const MOST_PAGE: usize = 1_000;

/// Answers a request to `/revocations` or below. `body` is `None` where it was too large.
pub(super) async fn answer(revoker: &dyn Revoker, head: &Parts, body: Option<Bytes>) -> Response<Full<Bytes>> {
    let below = head.uri.path().strip_prefix("/revocations").unwrap_or_default();
    match (below.strip_prefix('/'), &head.method) {
        (None, &Method::GET) => list(revoker, head.uri.query().unwrap_or_default()),
        (None, &Method::POST) => revoke(revoker, head, body).await,
        (None, _) => not_allowed("GET, POST"),
        (Some(id), &Method::DELETE) => withdraw(revoker, id).await,
        (Some(_), _) => not_allowed("DELETE"),
    }
}

fn list(revoker: &dyn Revoker, query: &str) -> Response<Full<Bytes>> {
    let mut after = None;
    let mut most = PAGE;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "after" if after.is_none() => match Cursor::from_str(&value) {
                Ok(cursor) => after = Some(cursor.0),
                Err(NoCursor) => return says(StatusCode::BAD_REQUEST, "`after` is the `next` of the page before"),
            },
            "limit" => match value.parse() {
                Ok(limit) if (1..=MOST_PAGE).contains(&limit) => most = limit,
                _ => return says(StatusCode::BAD_REQUEST, "`limit` is a number from 1 to 1000"),
            },
            _ => return says(StatusCode::BAD_REQUEST, "`after` and `limit` may be asked with, each once"),
        }
    }
    let (entries, more) = revoker.page(after, most);
    let next = entries.last().filter(|_| more).map(|last| Cursor(last.from).to_string());
    let entries: Vec<Value> = entries.iter().map(shown).collect();
    reply(StatusCode::OK, &json!({ "revocations": entries, "next": next }))
}

/// An entry as operators see it: as it is written, and where it comes from.
fn shown(listed: &Listed) -> Value {
    let mut shown = serde_json::to_value(Written::of(&listed.revocation)).unwrap_or_default();
    if let Some(members) = shown.as_object_mut() {
        match listed.from {
            ListedFrom::File { line } => {
                members.insert("line".to_owned(), json!(line));
            }
            ListedFrom::Log { made, id, kept } => {
                members.insert("id".to_owned(), json!(id.to_string()));
                members.insert("made".to_owned(), json!(made.0));
                members.insert("everywhere".to_owned(), json!(kept));
            }
        }
    }
    shown
}

async fn revoke(revoker: &dyn Revoker, head: &Parts, body: Option<Bytes>) -> Response<Full<Bytes>> {
    let json = |kind: &HeaderValue| {
        let kind = kind.to_str().unwrap_or_default();
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    };
    if !head.headers.get(CONTENT_TYPE).is_some_and(json) {
        return says(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send `Content-Type: application/json`");
    }
    let Some(body) = body else { return says(StatusCode::PAYLOAD_TOO_LARGE, "a revocation has at most 16 KiB") };
    let revocation = match read_request(&body, revoker.now(), revoker.lasts()) {
        Ok(revocation) => revocation,
        Err(why) => return says(StatusCode::BAD_REQUEST, &why),
    };
    let (by, until) = (revocation.by.as_str(), revocation.until);
    let (status, id, everywhere, says_so) = match revoker.revoke(revocation).await {
        Revoked::Everywhere(id) => {
            tracing::info!(%id, by, until = until.0, "revoked");
            (StatusCode::CREATED, id, true, "in force here, and within a second on every node that shares the state store")
        }
        Revoked::Here(id) => {
            tracing::error!(%id, by, until = until.0, "revoked on this node only: the state store does not take it; it is asked again");
            let says = "in force on this node only: the state store did not take it; it is asked again until it does, or this node ends";
            (StatusCode::SERVICE_UNAVAILABLE, id, false, says)
        }
        Revoked::Full => return says(StatusCode::INSUFFICIENT_STORAGE, "not revoked: there are as many revocations as there may be"),
    };
    reply(status, &json!({ "id": id.to_string(), "until": until.0, "everywhere": everywhere, "says": says_so }))
}

async fn withdraw(revoker: &dyn Revoker, id: &str) -> Response<Full<Bytes>> {
    let Some(id) = RevocationId::read(id) else { return says(StatusCode::NOT_FOUND, "an id has 32 hexadecimal digits") };
    match revoker.withdraw(id).await {
        Withdrawn::Done => {
            tracing::warn!(%id, "revocation withdrawn");
            says(StatusCode::OK, "withdrawn: whoever it covered may come in again")
        }
        Withdrawn::Unknown => says(StatusCode::NOT_FOUND, "there is no such revocation; one that stands in the file is taken out there"),
        Withdrawn::Unavailable => says(StatusCode::SERVICE_UNAVAILABLE, "still in force: the state store did not take the withdrawal"),
    }
}

/// Where a page ends, as text: `MADE.ID`, or `line.NUMBER`.
struct Cursor(ListedFrom);

struct NoCursor;

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let (made, id) = text.split_once('.').ok_or(NoCursor)?;
        Ok(Self(match made {
            "line" => ListedFrom::File { line: id.parse().map_err(|_| NoCursor)? },
            _ => ListedFrom::Log {
                made: Timestamp(made.parse().map_err(|_| NoCursor)?),
                id: RevocationId::read(id).ok_or(NoCursor)?,
                // The least: an entry that is passed on between two pages is not shown twice.
                kept: false,
            },
        }))
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            ListedFrom::File { line } => write!(f, "line.{line}"),
            ListedFrom::Log { made, id, .. } => write!(f, "{made}.{id}"),
        }
    }
}

fn not_allowed(allow: &'static str) -> Response<Full<Bytes>> {
    let mut refused = says(StatusCode::METHOD_NOT_ALLOWED, "not here");
    refused.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    refused
}

fn says(status: StatusCode, says: &str) -> Response<Full<Bytes>> {
    reply(status, &json!({ "says": says }))
}

fn reply(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    written(status, "application/json", format!("{body}\n"))
}

#[cfg(test)]
mod tests;
