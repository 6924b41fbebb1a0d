//! What a HAT's replies mean, and the tokens in them.
//!
//! A token of a reply is not proven here: who keeps it has it judged before it counts for anything. What cannot be read as a token of
//! a HAT is none, and nobody's session becomes it.

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::domain::{Claim, Seconds, Secret, Timestamp, Value};
use crate::jose::algorithm::Algorithm;
use crate::jose::compact::Compact;
use crate::jose::json::{parse_to_depth, written};
use crate::settings::host::is_canonical;
use crate::systems::contract::{Harvest, Life, Meaning, Reply};
use crate::systems::hat::FIELD;

/// Where a HAT's owner logs in.
pub const LOGIN: &str = "/users/access_token";

/// How long after it was made a token is idle; its last second is good.
const IDLE: Seconds = Seconds(259_200);

/// How deep a log-in's answer may nest.
const DEPTH: usize = 8;

/// The member of a log-in's answer that holds the token.
const MEMBER: &str = "accessToken";

/// 401, and the redirect to `/` that stands for it where a client does not ask for JSON.
pub fn weigh(reply: &Reply<'_>) -> Meaning {
    let mut places = reply.headers.get_all(LOCATION).iter();
    let home = reply.status == 303 && places.next().is_some_and(|place| place == "/") && places.next().is_none();
    if reply.status == 401 || home { Meaning::Expired } else { Meaning::Fine }
}

/// The token that a reply brings.
pub fn harvest(reply: &Reply<'_>) -> Option<Harvest> {
    if !(200..300).contains(&reply.status) {
        return None;
    }
    let object = reply.body.filter(|_| reply.path == LOGIN).and_then(|body| parse_to_depth(body, DEPTH).ok());
    let told = match object.as_ref().and_then(|object| object.member(MEMBER)) {
        None => None,
        Some(Value::Text(text)) => Some(&**text),
        Some(_) => return None,
    };
    let token = match (sole(reply.headers).ok()?, told) {
        (Some(field), Some(told)) if field != told => return None,
        (field, told) => field.or(told)?,
    };
    let said = Said::read(token)?;
    let secret = || Secret::new(token.as_bytes().to_vec());
    let rest = match &object {
        Some(Value::Map(members)) => {
            let others = members.iter().filter(|(name, _)| &**name != MEMBER).cloned().collect();
            Some(Bytes::from(written(&Value::Map(others))?.to_string()))
        }
        _ => None,
    };
    Some(Harvest {
        access: secret(),
        // It is slid on with itself.
        refresh: Some(secret()),
        life: Some(Life::Until(said.expires.min(said.issued.plus(IDLE).plus(Seconds(1))))),
        // A HAT's address is who it is, and who says so.
        subject: Some(said.issuer.clone()),
        issuer: Some(said.issuer),
        issued: Some(said.issued),
        strip: Some(FIELD),
        rest,
    })
}

/// What changes on a reply that brings a token: nobody stores it, who must not have it does not get it, and who may can read it.
pub fn hand_on(reply: &Reply<'_>, kept: bool, expose: bool) -> Vec<(HeaderName, Option<HeaderValue>)> {
    if !reply.headers.contains_key(&FIELD) {
        return Vec::new();
    }
    let mut changes = vec![(CACHE_CONTROL, Some(HeaderValue::from_static("no-store")))];
    if kept {
        changes.push((FIELD, None));
    } else if expose && reply.headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
        changes.extend(exposed(reply.headers).map(|value| (ACCESS_CONTROL_EXPOSE_HEADERS, Some(value))));
    }
    changes
}

/// The names that pages may read, with ours among them; `None` when it is there already.
fn exposed(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut names = Vec::new();
    for value in headers.get_all(ACCESS_CONTROL_EXPOSE_HEADERS) {
        names.extend(value.to_str().unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty()));
    }
    // `*` means every name only where no credentials are sent (Fetch, section 3.3.3), so it does not do here.
    if names.iter().any(|name| name.eq_ignore_ascii_case(FIELD.as_str())) {
        return None;
    }
    names.push("X-Auth-Token");
    HeaderValue::from_str(&names.join(", ")).ok()
}

/// The token field of a reply.
///
/// # Errors
///
/// There are two, or what stands there is no text: then nobody knows which is meant.
fn sole(headers: &HeaderMap) -> Result<Option<&str>, ()> {
    let mut values = headers.get_all(&FIELD).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(()),
        (value, None) => value.map(HeaderValue::to_str).transpose().map_err(|_| ()),
    }
}

/// What a token says of itself.
struct Said {
    issuer: Box<str>,
    issued: Timestamp,
    expires: Timestamp,
}

impl Said {
    fn read(token: &str) -> Option<Self> {
        let token = Compact::parse(token).ok().filter(|token| token.header().algorithm == Some(Algorithm::Rs256))?;
        let moment = |name: &str| token.claimed().member(name).and_then(Claim::as_int).filter(|moment| 0 <= *moment).map(Timestamp);
        let issuer = token.claimed().member("iss").and_then(Claim::as_text).filter(|issuer| is_canonical(issuer))?;
        Some(Self { issuer: issuer.into(), issued: moment("iat")?, expires: moment("exp")? })
    }
}
