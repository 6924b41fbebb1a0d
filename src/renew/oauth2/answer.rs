//! What the answer of a token endpoint comes to.
//!
//! A pair is taken only from a whole answer of status 200 with one reading. What says clearly that the credential is no longer
//! good, or that nothing was done, is believed; everything else leaves open whether the credential is spent.
//!
//! Rules: RFC 6749 sections 5.1 and 5.2, RFC 8707 section 2, OpenID Connect Core 1.0 section 3.1.2.6; RFC 9110 section 15.6.4
//! and RFC 6585 section 4 for 503 and 429.

use crate::domain::{Timestamp, TokenPair, Value};
use crate::net::client::Reply;
use crate::net::described::answer::is_html;
use crate::net::described::end::{after, whole};
use crate::renew::contract::RenewError;
use crate::renew::endpoint::{credential, object};

/// What an error code of an issuer means for the credential that was spent, and for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// The credential renews nothing any more: its user must log in.
    Ended,
    /// The issuer does not accept us, or what we ask: the conf is wrong, or our registration.
    Ours,
    /// It did nothing, and may do it later.
    Later,
}

/// The codes we know. Others are not repeated: they are foreign text.
const CODES: &[(&str, Meaning)] = &[
    ("invalid_grant", Meaning::Ended),
    ("access_denied", Meaning::Ended),
    ("login_required", Meaning::Ended),
    ("interaction_required", Meaning::Ended),
    ("consent_required", Meaning::Ended),
    ("invalid_client", Meaning::Ours),
    ("unauthorized_client", Meaning::Ours),
    ("invalid_request", Meaning::Ours),
    ("unsupported_grant_type", Meaning::Ours),
    ("invalid_scope", Meaning::Ours),
    ("invalid_target", Meaning::Ours),
    ("temporarily_unavailable", Meaning::Later),
    ("slow_down", Meaning::Later),
];

/// A refusal without a code that we know.
const UNRECOGNIZED: &str = "unrecognized";

/// Whether `code` says that the issuer does not accept us, whoever the user is.
#[must_use]
pub fn is_ours(code: &str) -> bool {
    CODES.iter().any(|(known, meaning)| *known == code && *meaning == Meaning::Ours)
}

/// The pair in `reply` to a request that was made at `now`.
///
/// # Errors
///
/// [`RenewError`], by what the answer says about the credential that was sent.
pub fn read(reply: &Reply, now: Timestamp) -> Result<TokenPair, RenewError> {
    let said = object(reply);
    let fault = said.as_ref().and_then(fault_in);
    match (reply.status, said, fault) {
        // Some issuers refuse with 200.
        (200, Some(said), Some(fault)) if said.member("access_token").is_none() => Err(fault),
        (200, Some(said), _) => pair_in(&said, now),
        (200, None, _) => Err(RenewError::Lost { why: "the answer is no JSON object" }),
        (429, ..) => Err(RenewError::Unreached { why: "it was asked too often (429)" }),
        (503, ..) => Err(RenewError::Unreached { why: "it is not ready to answer (503)" }),
        (400..=499, _, Some(fault)) | (500..=599, _, Some(fault @ RenewError::Unreached { .. })) => Err(fault),
        (400 | 401, ..) if !is_html(reply) => Err(RenewError::Unaccepted { code: UNRECOGNIZED }),
        (300..=399, ..) => Err(RenewError::Lost { why: "the answer is a redirect, which is never followed" }),
        (500..=599, ..) => Err(RenewError::Lost { why: "the answer is an error of the server" }),
        _ => Err(RenewError::Lost { why: "the status of the answer says nothing about the credential" }),
    }
}

/// What the error code of an answer means, if it bears one that we know.
fn fault_in(said: &Value) -> Option<RenewError> {
    let written = said.member("error")?.as_text()?;
    let (code, meaning) = CODES.iter().find(|(known, _)| *known == written)?;
    Some(match meaning {
        Meaning::Ended => RenewError::Rejected { code },
        Meaning::Ours => RenewError::Unaccepted { code },
        Meaning::Later => RenewError::Unreached { why: "it says that it cannot do it now" },
    })
}

fn pair_in(said: &Value, now: Timestamp) -> Result<TokenPair, RenewError> {
    let access = said.member("access_token").ok_or(RenewError::Lost { why: "the answer has no `access_token`" })?;
    let kind = said.member("token_type").and_then(Value::as_text).unwrap_or_default();
    if !kind.eq_ignore_ascii_case("bearer") {
        return Err(RenewError::Lost { why: "the `token_type` of the answer is not `Bearer`" });
    }
    let access_until = match present(said, "expires_in") {
        None => None,
        Some(life) => {
            let end = whole(life).and_then(|life| after(now, life));
            Some(end.ok_or(RenewError::Lost { why: "the `expires_in` of the answer is no length of time" })?)
        }
    };
    // Nobody's standard, and nothing rests on it: it only says how long the new one is worth keeping. 0 stands for "not said".
    let refresh_until = ["refresh_expires_in", "refresh_token_expires_in"]
        .iter()
        .find_map(|name| present(said, name).and_then(whole))
        .filter(|life| 0 < *life)
        .and_then(|life| after(now, life));
    let refresh = present(said, "refresh_token")
        .map(|refresh| credential(refresh, "the `refresh_token` of the answer cannot be used"))
        .transpose()?;
    Ok(TokenPair {
        access: credential(access, "the `access_token` of the answer cannot be used")?,
        refresh,
        access_until,
        refresh_until,
        beside: Value::empty(),
    })
}

/// The member called `name`; `null` is none.
fn present<'v>(said: &'v Value, name: &str) -> Option<&'v Value> {
    said.member(name).filter(|value| **value != Value::Null)
}
