//! One call to the stand-in as it reads it: parameters, who calls, and what an answer looks like.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, DATE};
use serde_json::{Value, json};
use sha1::Sha1;

use crate::demo::stand::{self, Reply};
use crate::demo::systems::janrain::{Office, Seen};

/// A request, taken apart.
pub(super) struct Call {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) authorization: Option<String>,
    date: Option<String>,
    query: BTreeMap<String, String>,
    body: BTreeMap<String, String>,
    /// A name stood twice in the body.
    pub(super) repeated: bool,
}

impl Call {
    pub(super) fn read(request: &Request<Bytes>) -> Self {
        let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let pairs = |text: &[u8]| form_urlencoded::parse(text).into_owned().collect::<Vec<(String, String)>>();
        let is_json = text(CONTENT_TYPE).is_some_and(|media| media.starts_with("application/json"));
        let body: Vec<(String, String)> = if is_json {
            let members: BTreeMap<String, Value> = serde_json::from_slice(request.body()).unwrap_or_default();
            members.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect()
        } else {
            pairs(request.body())
        };
        let count = body.len();
        let body: BTreeMap<String, String> = body.into_iter().collect();
        Self {
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            authorization: text(AUTHORIZATION),
            date: text(DATE),
            query: pairs(request.uri().query().unwrap_or_default().as_bytes()).into_iter().collect(),
            repeated: body.len() != count,
            body,
        }
    }

    /// The request as it arrived, to be remembered.
    pub(super) fn seen(request: &Request<Bytes>) -> Seen {
        let text = |name| request.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        Seen {
            line: format!("{} {}", request.method(), request.uri()),
            authorization: text(AUTHORIZATION),
            cookie: text(COOKIE),
            body: String::from_utf8_lossy(request.body()).into_owned(),
        }
    }

    /// A parameter of the body.
    pub(super) fn of(&self, name: &str) -> &str {
        self.body.get(name).map_or("", String::as_str)
    }

    /// A parameter, wherever it stands.
    pub(super) fn anywhere(&self, name: &str) -> &str {
        self.body.get(name).or_else(|| self.query.get(name)).map_or("", String::as_str)
    }

    /// The first of `names` that the body lacks.
    pub(super) fn lacks<'n>(&self, names: &[&'n str]) -> Option<&'n str> {
        names.iter().find(|name| self.of(name).is_empty()).copied()
    }

    /// The user's token.
    pub(super) fn token(&self) -> Option<&str> {
        let field = self.authorization.as_deref().and_then(|value| value.strip_prefix("OAuth "));
        field.or_else(|| Some(self.anywhere("access_token")).filter(|token| !token.is_empty()))
    }

    /// The API client that proves itself, in any of the three ways.
    pub(super) fn client(&self, office: &Office) -> Option<String> {
        let knows = |id: &str, secret: &str| office.clients.get(id).is_some_and(|client| client.secret == secret);
        match self.authorization.as_deref().and_then(|value| value.split_once(' ')) {
            Some(("Basic", text)) => {
                let pair = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
                let (id, secret) = pair.split_once(':')?;
                knows(id, secret).then(|| id.to_owned())
            }
            Some(("Signature", text)) => {
                let (id, signature) = text.split_once(':')?;
                let secret = &office.clients.get(id)?.secret;
                (self.signature(secret)? == signature).then(|| id.to_owned())
            }
            _ => {
                let (id, secret) = (self.of("client_id"), self.of("client_secret"));
                knows(id, secret).then(|| id.to_owned())
            }
        }
    }

    /// The signature that the vendor's own code makes of this request.
    fn signature(&self, secret: &str) -> Option<String> {
        let never = ["access_token", "client_id", "client_secret"];
        let signed = self.query.iter().chain(&self.body).filter(|(name, _)| !never.contains(&name.as_str()));
        let mut lines: Vec<String> = signed.map(|(name, value)| format!("{name}={value}\n")).collect();
        lines.sort();
        sign(secret, &format!("{}\n{}\n{}", self.path, self.date.as_deref()?, lines.concat()))
    }
}

/// HMAC-SHA1 in base64, with the bytes of `secret` as they are.
pub(super) fn sign(secret: &str, text: &str) -> Option<String> {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(text.as_bytes());
    Some(STANDARD.encode(mac.finalize().into_bytes()))
}

/// A failure: code, name, text, and what else there is to it.
pub(super) fn failure(code: u16, name: &str, says: &str, more: Value) -> Value {
    let mut body = json!({ "stat": "error", "code": code, "error": name, "error_description": says, "request_id": "f5q326y8ef2tmfcq" });
    if let (Some(members), Value::Object(more)) = (body.as_object_mut(), more) {
        members.extend(more);
    }
    body
}

/// An answer inside a 200.
pub(super) fn told(body: &Value) -> Reply {
    Some(stand::json(200, body))
}

/// A failure inside a 200.
pub(super) fn failed(code: u16, name: &str, says: &str) -> Reply {
    told(&failure(code, name, says, Value::Null))
}
