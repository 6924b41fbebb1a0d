//! What replies of Janrain Capture mean: a token that has run out, told inside a 200, and tokens that have come.
//!
//! Code 414 is the only one by which Capture says that a token has run out, and that it did not act. 310, 380 and 390 are
//! answers that a page needs (nobody known by this token, address taken, form refused) and mean nothing for any credential.

use bytes::Bytes;

use crate::domain::{Seconds, Secret, Value};
use crate::jose::json::{parse_to_depth, written};
use crate::systems::contract::{Harvest, Life, Meaning, Reply};
use crate::systems::janrain::rules::Rules;

/// Profiles of users nest as their owners like.
const DEPTH: usize = 100;

/// `access_token_expired`.
const EXPIRED: i64 = 414;

/// Endpoints whose replies bring a user's token.
const BRINGERS: [&str; 6] = [
    "/oauth/token",
    "/oauth/auth_native",
    "/oauth/register_native",
    "/oauth/auth_native_traditional",
    "/oauth/register_native_traditional",
    "/oauth/refresh_access_token",
];

/// Whether a reply says that the token has run out.
pub(super) fn classify(reply: &Reply<'_>) -> Meaning {
    let Some(body) = reply.body.filter(|_| reply.status == 200) else { return Meaning::Fine };
    // Most replies are no failures, and are large: they are not parsed.
    if memchr::memmem::find(body, b"414").is_none() {
        return Meaning::Fine;
    }
    let Ok(value) = parse_to_depth(body, DEPTH) else { return Meaning::Fine };
    let failed = value.member("stat").and_then(Value::as_text) == Some("error");
    if failed && value.member("code") == Some(&Value::Int(EXPIRED)) { Meaning::Expired } else { Meaning::Fine }
}

/// The tokens that a reply brings.
pub(super) fn harvest(rules: &Rules, reply: &Reply<'_>) -> Option<Harvest> {
    let path = rules.below(reply.path)?;
    let body = reply.body.filter(|_| reply.status == 200 && BRINGERS.contains(&path))?;
    let value = parse_to_depth(body, DEPTH).ok()?;
    if value.member("stat").and_then(Value::as_text) != Some("ok") {
        return None;
    }
    let secret = |name| {
        let text = value.member(name).and_then(Value::as_text).filter(|text| is_token(text))?;
        Some(Secret::new(text.as_bytes().to_vec()))
    };
    let life = match value.member("expires_in") {
        None => rules.access_life,
        Some(Value::Text(text)) => text.parse().ok().map(Seconds),
        Some(other) => other.as_int().and_then(|seconds| u32::try_from(seconds).ok()).map(Seconds),
    };
    let user = value.member("capture_user").and_then(|user| user.member("uuid")).and_then(Value::as_text);
    Some(Harvest {
        access: secret("access_token")?,
        refresh: secret("refresh_token"),
        life: life.map(Life::For),
        subject: user.filter(|uuid| !uuid.is_empty()).map(Into::into),
        issuer: None,
        issued: None,
        rest: Some(without_tokens(&value)?),
        strip: None,
    })
}

/// The reply without what it brings.
fn without_tokens(reply: &Value) -> Option<Bytes> {
    let Value::Map(members) = reply else { return None };
    let kept = members.iter().filter(|(name, _)| !matches!(&**name, "access_token" | "refresh_token"));
    let rest = Value::Map(kept.cloned().collect());
    serde_json::to_vec(&written(&rest)?).ok().map(Bytes::from)
}

/// Whether `text` can go into a header field after `OAuth `.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.len() <= 4_096 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests;
