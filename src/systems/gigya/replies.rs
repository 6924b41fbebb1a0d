//! What the replies of Gigya mean: a code in the body of a 200, and the credentials that some of them bring.
//!
//! `errorCode` decides, whatever the HTTP status is; without one, the status does. JSONP is read through its call.
//!
//! Absent on purpose: an answer on a code that may also mean that the credential never was one, or that something has been done.
//!
//! Source: the vendor's page "Response Codes and Errors"; `accounts.getJWT`, `accounts.login`, `socialize.notifyLogin`.

use bytes::Bytes;
use serde_json::{Map, Value as Json};

use crate::domain::{Claim, Seconds, Secret, Timestamp};
use crate::jose::compact::Compact;
use crate::systems::contract::{Harvest, Life, Meaning, Reply};
use crate::systems::gigya::rules::ISSUER;

/// Codes by which nothing was done because a session or token had run out: expired, expired and to be retried, replaced by another.
const RUN_OUT: [i64; 3] = [403_011, 403_030, 403_032];

/// Whether `path` ends with the name of a method, such as `/accounts.getAccountInfo`: lower-case namespace, dot, name.
#[must_use]
pub fn is_method(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    let Some((namespace, name)) = last.split_once('.') else { return false };
    let is_namespace = !namespace.is_empty() && namespace.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    is_namespace && name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.')
}

/// What a reply tells whose body is there.
#[must_use]
pub fn classify(reply: &Reply<'_>) -> Meaning {
    match reply.body.and_then(envelope).as_ref().and_then(|envelope| envelope.get("errorCode")).and_then(Json::as_i64) {
        Some(code) if RUN_OUT.contains(&code) => Meaning::Expired,
        Some(_) => Meaning::Fine,
        None if reply.status == 401 => Meaning::Expired,
        None => Meaning::Fine,
    }
}

/// The `id_token` of a reply, with the login token that brings the next one where there is one; or else that login token.
#[must_use]
pub fn harvest(reply: &Reply<'_>) -> Option<Harvest> {
    let mut envelope = envelope(reply.body?)?;
    if !matches!(reply.status, 200..=299) || envelope.get("errorCode").and_then(Json::as_i64) != Some(0) {
        return None;
    }
    let subject = envelope.get("UID").and_then(Json::as_str).filter(|uid| !uid.is_empty()).map(Into::into);
    let login = login_of(&mut envelope);
    let (access, refresh, said) = match envelope.remove("id_token") {
        Some(Json::String(token)) => {
            let said = Said::read(&token, subject.as_deref())?;
            (token, login.map(|(token, _)| Secret::new(token.into_bytes())), said)
        }
        Some(_) => return None,
        None => {
            let (token, life) = login?;
            (token, None, Said { life, issued: None, issuer: None })
        }
    };
    let Said { life, issued, issuer } = said;
    let rest = Some(Bytes::from(Json::Object(envelope).to_string()));
    Some(Harvest { access: Secret::new(access.into_bytes()), refresh, life, subject, issuer, issued, strip: None, rest })
}

/// Takes the login token out of `sessionInfo`, and how long it lives where that is said.
fn login_of(envelope: &mut Map<String, Json>) -> Option<(String, Option<Life>)> {
    let info = envelope.get_mut("sessionInfo")?.as_object_mut()?;
    let name = ["cookieValue", "sessionToken"].into_iter().find(|name| info.get(*name).is_some_and(Json::is_string))?;
    let life = info.get("expires_in").and_then(Json::as_u64).and_then(|seconds| u32::try_from(seconds).ok());
    // Its companion signs for it: worth as much.
    info.remove("sessionSecret");
    match info.remove(name) {
        Some(Json::String(token)) if !token.is_empty() => {
            Some((token, life.filter(|seconds| 0 < *seconds).map(|seconds| Life::For(Seconds(seconds)))))
        }
        _ => None,
    }
}

/// What a token says of itself; nothing is proven here.
struct Said {
    /// Until when it lives.
    life: Option<Life>,
    /// Since when.
    issued: Option<Timestamp>,
    /// Who made it, where that is Gigya and it is for the user of the reply.
    issuer: Option<Box<str>>,
}

impl Said {
    /// Reads `token`, which came in a reply for `user`. `None` for what is no token.
    fn read(token: &str, user: Option<&str>) -> Option<Self> {
        let token = Compact::parse(token).ok()?;
        let moment = |name: &str| token.claimed().member(name).and_then(Claim::as_int).filter(|moment| 0 <= *moment).map(Timestamp);
        let text = |name: &str| token.claimed().member(name).and_then(Claim::as_text);
        let issuer = text("iss").filter(|issuer| issuer.starts_with(ISSUER) && user.is_some() && text("sub") == user);
        Some(Self { life: moment("exp").map(Life::Until), issued: moment("iat"), issuer: issuer.map(Into::into) })
    }
}

/// The envelope in `body`, taken out of its call where it is JSONP.
fn envelope(body: &[u8]) -> Option<Map<String, Json>> {
    let text = std::str::from_utf8(body).ok()?.trim();
    let text = if text.starts_with('{') {
        text
    } else {
        let (_, inner) = text.split_once('(')?;
        inner.trim_end_matches(';').trim_end().strip_suffix(')')?
    };
    match serde_json::from_str(text) {
        Ok(Json::Object(envelope)) => Some(envelope),
        _ => None,
    }
}
