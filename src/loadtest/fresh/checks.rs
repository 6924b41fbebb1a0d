//! What an endpoint answers that tokens are proven with: put together from what the conf expects of it.
//!
//! It knows the tokens that were given out for it, and no other. A token is known wherever in a request it stands: where it must
//! stand is the proxy's business, and whether the answer was read rightly is what the load finds out.
//!
//! Rules: RFC 6901 (JSON Pointer).

use std::collections::HashMap;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use crate::demo::stand;
use crate::domain::Timestamp;

/// The endpoint of one `token_check` authenticator.
pub struct Checks {
    good: Answered,
    expired: Answered,
    refused: Answered,
    subject: Option<String>,
    scopes: Option<String>,
    /// Where the claims stand that are kept, by their names.
    claims: Vec<(String, String)>,
    end: Option<End>,
    given: Mutex<HashMap<String, Answered>>,
}

/// An answer: its status and what it says.
#[derive(Debug, Clone, PartialEq)]
struct Answered {
    status: u16,
    says: Value,
}

/// Where an answer says when the token ends.
struct End {
    pointer: String,
    /// A time, and no length of time.
    at: bool,
    /// How many make a second.
    scale: i64,
}

/// Whose a good token is.
pub struct Holder<'h> {
    /// The subject.
    pub subject: &'h str,
    /// What they may do.
    pub scopes: &'h [String],
    /// Claims, those that the conf keeps.
    pub claims: &'h [(String, Value)],
    /// When it was given out.
    pub now: Timestamp,
}

impl Checks {
    /// How long good tokens live, in seconds.
    const LIFE: i64 = 3_600;

    /// The endpoint that an authenticator with these `settings` asks.
    #[must_use]
    pub fn of(settings: &Value) -> Self {
        let first = |key: &str| match settings.get(key) {
            Some(Value::Array(several)) => several.first().cloned(),
            other => other.cloned(),
        };
        let mut good = Answered::fitting(settings.get("success").unwrap_or(&Value::Null), 200);
        for (pointer, wanted) in settings.get("require").and_then(Value::as_object).into_iter().flatten() {
            put(&mut good.says, pointer, one_of(wanted));
        }
        let refused = Answered::fitting(&first("refused").unwrap_or(Value::Null), 401);
        let text = |key: &str| settings.get(key).and_then(Value::as_str).map(str::to_owned);
        let end = |key: &str, at: bool| {
            let written = settings.get(key)?;
            let scale = if written.get("unit").and_then(Value::as_str) == Some("milliseconds") { 1_000 } else { 1 };
            Some(End { pointer: written.get("pointer")?.as_str()?.to_owned(), at, scale })
        };
        let claims = settings.get("claims").and_then(Value::as_object).into_iter().flatten();
        Self {
            good,
            expired: first("expired").map_or_else(|| refused.clone(), |matcher| Answered::fitting(&matcher, 401)),
            refused,
            subject: text("subject"),
            scopes: text("scopes"),
            claims: claims.filter_map(|(name, at)| Some((name.clone(), at.as_str()?.to_owned()))).collect(),
            end: end("expires_in", false).or_else(|| end("expires_at", true)),
            given: Mutex::new(HashMap::new()),
        }
    }

    /// Gives out `token` to `holder`: it is good from now on.
    pub fn give(&self, token: &str, holder: &Holder<'_>) {
        let mut says = Value::Null;
        // What is demanded of an answer stands over what is merely kept of it.
        for (name, pointer) in &self.claims {
            let known = holder.claims.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
            put(&mut says, pointer, known.unwrap_or_else(|| "bench".into()));
        }
        if let Some(pointer) = &self.subject {
            put(&mut says, pointer, holder.subject.into());
        }
        if let Some(pointer) = &self.scopes {
            put(&mut says, pointer, holder.scopes.into());
        }
        if let Some(end) = &self.end {
            let from = if end.at { holder.now.0 } else { 0 };
            put(&mut says, &end.pointer, from.saturating_add(Self::LIFE).saturating_mul(end.scale).into());
        }
        merge(&mut says, &self.good.says);
        self.given.lock().insert(token.to_owned(), Answered { status: self.good.status, says });
    }

    /// Gives out `token`, which has ended.
    pub fn give_ended(&self, token: &str) {
        self.given.lock().insert(token.to_owned(), self.expired.clone());
    }

    /// What `request` is answered.
    #[must_use]
    pub fn answer(&self, request: &Request<Bytes>) -> Response<Full<Bytes>> {
        let fields = request.headers().values().map(http::HeaderValue::as_bytes);
        let texts: Vec<&[u8]> = fields.chain([&request.body()[..]]).collect();
        let words = texts.iter().flat_map(|text| text.split(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'_')));
        let given = self.given.lock();
        let found = words.filter_map(|word| given.get(std::str::from_utf8(word).ok()?)).next();
        let Answered { status, says } = found.unwrap_or(&self.refused);
        let body = if says.is_null() { json!({}) } else { says.clone() };
        stand::json(*status, &body)
    }
}

impl Answered {
    /// The plainest answer that `matcher` fits; of status `usual` where it wants none in particular.
    fn fitting(matcher: &Value, usual: u16) -> Self {
        let when = matcher.get("when");
        let status = matcher.get("status").map(one_of).and_then(|status| u16::try_from(status.as_u64()?).ok());
        let mut says = Value::Null;
        if let Some((pointer, wanted)) = when.and_then(|when| when.get("pointer")?.as_str().zip(when.get("equals"))) {
            put(&mut says, pointer, one_of(wanted));
        }
        // Where what it says decides, whoever writes no status has a system that answers 200 whatever happens.
        Self { status: status.unwrap_or(if says.is_null() { usual } else { 200 }), says }
    }
}

/// The first of several, or the one.
fn one_of(wanted: &Value) -> Value {
    wanted.as_array().and_then(|several| several.first()).unwrap_or(wanted).clone()
}

/// Puts `value` where `pointer` says; what stands in the way is replaced.
fn put(document: &mut Value, pointer: &str, value: Value) {
    let mut place = document;
    for token in pointer.split('/').skip(1) {
        let name = token.replace("~1", "/").replace("~0", "~");
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Some(members) = place.as_object_mut() else { return };
        place = members.entry(name).or_insert(Value::Null);
    }
    *place = value;
}

/// Puts everything of `over` into `document`, member by member.
fn merge(document: &mut Value, over: &Value) {
    match (document, over) {
        (_, Value::Null) => {}
        (Value::Object(members), Value::Object(over)) => {
            for (name, value) in over {
                merge(members.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (document, over) => *document = over.clone(),
    }
}

#[cfg(test)]
mod tests;
