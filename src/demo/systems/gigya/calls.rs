//! The methods of the stand-in, and who may call them.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, Response};
use http_body_util::Full;
use parking_lot::Mutex;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value as Json, json};

use crate::demo::stand;
use crate::demo::systems::gigya::{Called, DemoGigya, Office, hmac_text};
use crate::domain::Claim;
use crate::jose::algorithm::Algorithm;
use crate::jose::compact::Compact;

/// A code, and which parameter it is about.
type Failure = (u64, &'static str);

/// How far a signed time may lie from now, in seconds.
const WINDOW: i64 = 300;

/// Answers `request`.
pub(super) fn attend(office: &Arc<Mutex<Office>>, request: &Request<Bytes>) -> Response<Full<Bytes>> {
    let mut office = office.lock();
    let name = request.uri().path().trim_start_matches('/').to_owned();
    if name == "accounts.getJWTPublicKey" {
        return public_key(&office, request);
    }
    let read = parameters(request);
    let parameters = read.clone().unwrap_or_default();
    let authorization = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let outcome = read.and_then(|parameters| office.call(&name, request.method().as_str(), &parameters, authorization.as_deref()));
    let error_code = outcome.as_ref().err().map_or(0, |(code, _)| *code);
    let target = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let statuses = parameters.get("httpStatusCodes").is_some_and(|wish| wish == "true");
    let status = if error_code == 0 { 200 } else { error_code / 1_000 };
    let mut envelope = Map::new();
    envelope.insert("callId".into(), json!("demo-call"));
    envelope.insert("errorCode".into(), json!(error_code));
    envelope.insert("apiVersion".into(), json!(2));
    envelope.insert("statusCode".into(), json!(status));
    envelope.insert("time".into(), json!("2027-01-15T08:00:00.000Z"));
    match outcome {
        Ok(data) => envelope.extend(data),
        Err((_, about)) => {
            envelope.insert("errorDetails".into(), json!(about));
            envelope.insert("errorMessage".into(), json!("refused by the stand-in"));
        }
    }
    office.called.push(Called { method: name, target, parameters, authorization, error_code });
    let http_status = if statuses { u16::try_from(status).unwrap_or(500) } else { 200 };
    stand::json(http_status, &Json::Object(envelope))
}

/// The key of its id tokens: a set with `V2=true`, the bare key otherwise.
fn public_key(office: &Office, request: &Request<Bytes>) -> Response<Full<Bytes>> {
    let Some(key) = office.key.public_jwk() else { return stand::plain(500, "text/plain", "no key") };
    let as_set = request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair == "V2=true"));
    stand::json(200, &if as_set { json!({ "errorCode": 0, "keys": [key] }) } else { key })
}

/// Query and form, decoded; a name that stands twice is refused.
fn parameters(request: &Request<Bytes>) -> Result<BTreeMap<String, String>, Failure> {
    let form = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let form = form.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    let body: &[u8] = if form { request.body() } else { b"" };
    let mut read = BTreeMap::new();
    let query = request.uri().query().unwrap_or_default().as_bytes();
    for (name, value) in form_urlencoded::parse(query).chain(form_urlencoded::parse(body)) {
        if read.insert(name.into_owned(), value.into_owned()).is_some() {
            return Err((400_006, "a parameter twice"));
        }
    }
    Ok(read)
}

impl Office {
    fn call(
        &mut self,
        name: &str,
        method: &str,
        parameters: &BTreeMap<String, String>,
        authorization: Option<&str>,
    ) -> Result<Map<String, Json>, Failure> {
        let get = |name: &str| parameters.get(name).map(String::as_str);
        if get("apiKey").is_some_and(|api_key| api_key != DemoGigya::API_KEY) {
            return Err((400_093, "apiKey"));
        }
        // It hears plain http only, and takes its callers at their word as to what they have asked.
        if get("secret").is_some() && !self.base.starts_with("https://") {
            return Err((403_006, "secret"));
        }
        match name {
            "accounts.login" => {
                if (get("loginID"), get("password")) != (Some(DemoGigya::LOGIN.0), Some(DemoGigya::LOGIN.1)) {
                    return Err((403_042, "loginID"));
                }
                let token = self.log_in(DemoGigya::UID, 3_600);
                let id_token = self.id_token(&json!({ "sub": DemoGigya::UID, "apiKey": DemoGigya::API_KEY })).map_err(|_| (500_001, ""))?;
                Ok(object(json!({ "UID": DemoGigya::UID, "id_token": id_token, "sessionInfo": session(&token) })))
            }
            "accounts.getAccountInfo" => {
                let uid = self.caller(name, method, parameters, authorization)?;
                Ok(object(json!({ "UID": uid, "profile": { "firstName": "Anna" } })))
            }
            "accounts.getJWT" => {
                let uid = self.caller(name, method, parameters, authorization)?;
                let id_token = self.id_token(&json!({ "sub": uid, "apiKey": DemoGigya::API_KEY })).map_err(|_| (500_001, ""))?;
                Ok(object(json!({ "id_token": id_token })))
            }
            "socialize.setUID" | "socialize.notifyLogin" | "socialize.notifyRegistration" | "accounts.notifyLogin" => self.link(parameters),
            _ => Err((404_000, "method")),
        }
    }

    /// Whose account a call is about: of whoever is logged in, or of the `UID` in a signed request.
    fn caller(
        &mut self,
        name: &str,
        method: &str,
        parameters: &BTreeMap<String, String>,
        authorization: Option<&str>,
    ) -> Result<String, Failure> {
        let get = |name: &str| parameters.get(name).map(String::as_str);
        let now = self.clock.now();
        for name in ["login_token", "oauth_token"] {
            let Some(token) = get(name) else { continue };
            let login = self.logins.get(token).ok_or((403_001, name))?;
            return if now < login.ends { Ok(login.uid.clone()) } else { Err((403_011, name)) };
        }
        if let Some(authorization) = authorization {
            let token = authorization.strip_prefix("Bearer ").ok_or((400_008, "Authorization"))?;
            return self.bearer(token);
        }
        if get("sig").is_none() {
            let secret = get("secret").ok_or((403_005, ""))?;
            let known = if get("userKey").is_some() { &self.site.user_secret } else { &self.site.secret };
            if STANDARD.encode(known) != secret || get("userKey").is_some_and(|key| key != DemoGigya::USER_KEY) {
                return Err((403_010, "secret"));
            }
            return Ok(get("UID").or(get("targetUID")).ok_or((400_002, "UID"))?.to_owned());
        }
        self.judge_request(name, method, parameters)?;
        Ok(get("UID").or(get("targetUID")).ok_or((400_002, "UID"))?.to_owned())
    }

    /// Whom an id token of ours is for.
    fn bearer(&self, token: &str) -> Result<String, Failure> {
        let key = self.key.verifying_key().map_err(|_| (500_001, ""))?;
        let proven = Compact::parse(token).ok().and_then(|token| token.prove(Algorithm::Rs256, &[Arc::new(key)]));
        let claims = proven.ok_or((403_025, "Authorization"))?.into_inner();
        let ends = claims.member("exp").and_then(Claim::as_int).ok_or((403_025, "Authorization"))?;
        if ends <= self.clock.now().0 {
            return Err((403_030, "Authorization"));
        }
        Ok(claims.member("sub").and_then(Claim::as_text).ok_or((403_025, "Authorization"))?.to_owned())
    }

    /// A signed request: time, then signature, then nonce.
    fn judge_request(&mut self, name: &str, method: &str, parameters: &BTreeMap<String, String>) -> Result<(), Failure> {
        const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
        let encode = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
        let require = |name: &'static str| parameters.get(name).filter(|value| !value.is_empty()).ok_or((400_002, name));
        let (api_key, time, nonce, sig) = (require("apiKey")?, require("timestamp")?, require("nonce")?, require("sig")?);
        let signed: i64 = time.parse().map_err(|_| (400_006, "timestamp"))?;
        if WINDOW < (self.clock.now().0 - signed).abs() {
            return Err((403_002, "timestamp"));
        }
        let secret = match parameters.get("userKey").map(String::as_str) {
            None => &self.site.secret,
            Some(DemoGigya::USER_KEY) => &self.site.user_secret,
            Some(_) => return Err((403_005, "userKey")),
        };
        // A map of text is in the order of bytes.
        let pairs: Vec<String> =
            parameters.iter().filter(|(name, _)| *name != "sig").map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let base = format!("{method}&{}&{}", encode(&format!("{}/{name}", self.base)), encode(&pairs.join("&")));
        if hmac_text(secret, &base) != *sig {
            return Err((403_003, "sig"));
        }
        let signer = parameters.get("userKey").unwrap_or(api_key).clone();
        if !self.nonces.insert((signer, nonce.clone())) {
            return Err((403_004, "nonce"));
        }
        Ok(())
    }

    /// Links an id of the site. With a `siteUID` it must be signed by the site.
    fn link(&mut self, parameters: &BTreeMap<String, String>) -> Result<Map<String, Json>, Failure> {
        let get = |name: &str| parameters.get(name).map(String::as_str);
        if get("cid").is_some_and(|cid| 100 < cid.chars().count()) {
            return Err((400_006, "cid"));
        }
        let uid = get("UID").unwrap_or(DemoGigya::UID).to_owned();
        let Some(site_uid) = get("siteUID") else { return Ok(object(json!({ "UID": uid }))) };
        if site_uid.is_empty() || !site_uid.is_ascii() || 252 < site_uid.len() || site_uid == uid {
            return Err((400_006, "siteUID"));
        }
        let time = get("UIDTimestamp").ok_or((400_002, "UIDTimestamp"))?;
        let sig = get("UIDSig").ok_or((400_002, "UIDSig"))?;
        if hmac_text(&self.site.secret, &format!("{time}_{site_uid}")) != sig {
            return Err((403_003, "UIDSig"));
        }
        let signed: i64 = time.parse().map_err(|_| (400_006, "UIDTimestamp"))?;
        if WINDOW < (self.clock.now().0 - signed).abs() {
            return Err((400_128, "UIDTimestamp"));
        }
        self.linked.insert(uid, site_uid.to_owned());
        let token = self.log_in(site_uid, 3_600);
        Ok(object(json!({ "UID": site_uid, "sessionInfo": session(&token) })))
    }
}

fn session(token: &str) -> Json {
    json!({ "cookieName": format!("glt_{}", DemoGigya::API_KEY), "cookieValue": token, "cookieDomain": ".example.com", "cookiePath": "/" })
}

fn object(value: Json) -> Map<String, Json> {
    match value {
        Json::Object(members) => members,
        _ => Map::new(),
    }
}
