//! What the stand-in answers, call by call.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::demo::stand::{self, Reply};
use crate::demo::systems::telematics::{DemoTelematics, Office, Pair, Seen, Trouble, User};
use crate::domain::{Seconds, Timestamp};
use crate::jose::base64url;

/// So many logins a user may make in [`LOGIN_WINDOW`].
const LOGINS: usize = 5;
const LOGIN_WINDOW: Seconds = Seconds(3_600);

type Answer = Response<Full<Bytes>>;

impl Office {
    /// Answers one request.
    pub(super) fn attend(&mut self, request: &Request<Bytes>, now: Timestamp) -> Reply {
        let headers = request.headers();
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        self.seen.push(Seen {
            path: request.uri().path().to_owned(),
            id: text("instanceid"),
            key: text("instancekey"),
            authorization: text("authorization"),
            body: String::from_utf8_lossy(request.body()).into_owned(),
        });
        let path = request.uri().path().to_ascii_lowercase();
        let answer = match (request.method(), path.trim_end_matches('/')) {
            (&Method::POST, "/v1/registration/create") => self.register(request, now),
            (&Method::POST, "/v1/registration/createmany") => self.register_many(request),
            (&Method::POST, "/v1/auth/login") => self.login(request, now),
            (&Method::POST, "/v1/auth/refreshtoken" | "/v1/refreshtoken") => return self.refresh(request, now),
            (&Method::GET | &Method::PUT, "/v1/management/users" | "/v1/management/users/find" | "/trips") => self.data(request, now),
            (_, "/v1/registration/create" | "/v1/auth/login" | "/v1/auth/refreshtoken") => error(405, "Method not allowed", "", ""),
            _ => error(404, "Not found", "", ""),
        };
        Some(answer)
    }

    fn register(&mut self, request: &Request<Bytes>, now: Timestamp) -> Answer {
        if let Some(refused) = refused_instance(request.headers()) {
            return refused;
        }
        let body: Value = if request.body().is_empty() { json!({}) } else { parsed(request).unwrap_or(Value::Null) };
        if !body.is_object() {
            return error(422, "One or more validation errors occurred.", "", "no JSON object");
        }
        let device = match body.get("CustomToken").and_then(Value::as_str) {
            Some(custom) if self.users.contains_key(custom) => {
                return error(422, "One or more validation errors occurred.", "CustomToken", "taken");
            }
            Some(custom) => custom.to_owned(),
            None => format!("8b1cf7f9-0000-4000-8000-{:012x}", self.users.len().saturating_add(1)),
        };
        self.users.insert(device.clone(), User::default());
        self.asked.registered = self.asked.registered.saturating_add(1);
        let wants_pair = ["CreateAccessToken", "GenerateAccessToken"].iter().any(|name| body.get(name) == Some(&Value::Bool(true)));
        match wants_pair.then(|| self.issue(&device, now)) {
            Some(Some(pair)) => self.given(&device, &pair),
            Some(None) => error(500, "It broke", "", ""),
            None => done(&json!({ "DeviceToken": device })),
        }
    }

    fn register_many(&mut self, request: &Request<Bytes>) -> Answer {
        if let Some(refused) = refused_instance(request.headers()) {
            return refused;
        }
        let many = parsed(request).and_then(|body| body.as_array().map(Vec::len));
        let Some(many) = many else { return error(422, "One or more validation errors occurred.", "", "no list") };
        let devices: Vec<String> = (0..many)
            .map(|_| {
                let device = format!("8b1cf7f9-0000-4000-8000-{:012x}", self.users.len().saturating_add(1));
                self.users.insert(device.clone(), User::default());
                device
            })
            .collect();
        self.asked.registered = self.asked.registered.saturating_add(many);
        done(&json!(devices))
    }

    fn login(&mut self, request: &Request<Bytes>, now: Timestamp) -> Answer {
        self.asked.logins = self.asked.logins.saturating_add(1);
        let Some(body) = parsed(request) else { return error(422, "One or more validation errors occurred.", "", "no JSON") };
        let password = member(&body, "password").and_then(Value::as_str).unwrap_or_default();
        let fields = member(&body, "loginfields");
        let inner: Option<Value> = match fields {
            Some(Value::String(text)) => serde_json::from_str(text).ok(),
            other => other.cloned(),
        };
        let Some(inner) = inner else { return error(422, "One or more validation errors occurred.", "LoginFields", "no JSON") };
        if let Some(email) = member(&inner, "email").and_then(Value::as_str) {
            if (email, password) != DemoTelematics::OPERATOR {
                return bare(401);
            }
            let Some(pair) = self.fresh("operator", now) else { return error(500, "It broke", "", "") };
            self.operator = Some(pair.clone());
            return self.given("", &pair);
        }
        // In a string only the one spelling is understood; in an object any is.
        let device = if matches!(fields, Some(Value::String(_))) { inner.get("Devicetoken") } else { member(&inner, "devicetoken") };
        let id = request.headers().get("instanceid").map(http::HeaderValue::as_bytes);
        let is_instance = id == Some(DemoTelematics::INSTANCE.as_bytes()) && password == DemoTelematics::KEY;
        let Some(device) = device.and_then(Value::as_str).map(str::to_ascii_lowercase).filter(|_| is_instance) else { return bare(401) };
        let Some(user) = self.users.get_mut(&device) else { return bare(401) };
        user.logins.retain(|login| now.is_within(LOGIN_WINDOW, *login));
        if LOGINS <= user.logins.len() {
            return error(429, "Too many logins", "", "");
        }
        user.logins.push(now);
        match self.issue(&device, now) {
            Some(pair) => self.given(&device, &pair),
            None => error(500, "It broke", "", ""),
        }
    }

    fn refresh(&mut self, request: &Request<Bytes>, now: Timestamp) -> Reply {
        if let Trouble::RefreshFails(status) = self.trouble {
            self.asked.refused = self.asked.refused.saturating_add(1);
            return Some(error(status, "Trouble", "", ""));
        }
        let body = parsed(request).unwrap_or_default();
        let text = |name: &str| member(&body, name).and_then(Value::as_str).unwrap_or_default();
        let (access, refresh) = (text("accesstoken"), text("refreshtoken"));
        let is_newest = |pair: &Pair| pair.access == access && pair.refresh == refresh;
        let of = self.users.iter().find(|(_, user)| user.pair.as_ref().is_some_and(is_newest)).map(|(device, _)| device.clone());
        let Some(device) = of else {
            self.asked.refused = self.asked.refused.saturating_add(1);
            return Some(error(400, "The refresh token is not good", "RefreshToken", "spent, or never given"));
        };
        self.asked.refreshed = self.asked.refreshed.saturating_add(1);
        let Some(pair) = self.issue(&device, now) else { return Some(error(500, "It broke", "", "")) };
        (self.trouble != Trouble::RefreshLost).then(|| self.given(&device, &pair))
    }

    fn data(&mut self, request: &Request<Bytes>, now: Timestamp) -> Answer {
        self.asked.data = self.asked.data.saturating_add(1);
        let bearer =
            request.headers().get("authorization").and_then(|value| value.to_str().ok()).and_then(|text| text.strip_prefix("Bearer "));
        let is_good = |pair: &Pair| bearer == Some(&pair.access) && now < pair.until;
        let of = self.users.iter().find(|(_, user)| user.pair.as_ref().is_some_and(is_good)).map(|(device, _)| device.clone());
        match of {
            Some(device) => done(&json!({ "DeviceToken": device, "Trips": [] })),
            None if self.trouble == Trouble::StatusInBody => {
                stand::json(200, &json!({ "Result": null, "Status": 401, "Title": "Unauthorized", "Errors": [] }))
            }
            None => error(401, "Unauthorized", "", ""),
        }
    }

    /// A new pair for `device`, which is the only good one from now on.
    pub(super) fn issue(&mut self, device: &str, now: Timestamp) -> Option<Pair> {
        let pair = self.fresh(device, now)?;
        self.users.get_mut(device)?.pair = Some(pair.clone());
        Some(pair)
    }

    fn fresh(&mut self, subject: &str, now: Timestamp) -> Option<Pair> {
        self.pairs = self.pairs.saturating_add(1);
        let until = now.plus(self.life);
        let claims = json!({
            "iss": self.origin, "aud": DemoTelematics::AUDIENCE, "sub": subject, "iat": now.0, "exp": until.0, "jti": self.pairs.to_string(),
        });
        let access = self.key.sign_compact(&[], &claims).ok()?;
        // A signature over it: nobody else could have made it up.
        let refresh = base64url::encode(&self.key.sign(access.as_bytes()).ok()?);
        Some(Pair { access, refresh, until })
    }

    fn given(&self, device: &str, pair: &Pair) -> Answer {
        let device = if device.is_empty() { Value::Null } else { json!(device) };
        done(&json!({
            "DeviceToken": device,
            "AccessToken": { "Token": pair.access, "ExpiresIn": self.life.0 },
            "RefreshToken": pair.refresh,
        }))
    }
}

/// The refusal of whoever does not bring the instance and its key.
fn refused_instance(headers: &HeaderMap) -> Option<Answer> {
    let is = |name: &str, wanted: &str| headers.get(name).is_some_and(|value| value.as_bytes() == wanted.as_bytes());
    let is_instance = is("instanceid", DemoTelematics::INSTANCE) && is("instancekey", DemoTelematics::KEY);
    (!is_instance).then(|| error(401, "Unauthorized", "InstanceKey", "wrong or missing"))
}

/// The body, when it says that it is JSON and is.
fn parsed(request: &Request<Bytes>) -> Option<Value> {
    let says = request.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    says.starts_with("application/json").then(|| serde_json::from_slice(request.body()).ok()).flatten()
}

/// A member, found without case.
fn member<'v>(object: &'v Value, name: &str) -> Option<&'v Value> {
    object.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn done(result: &Value) -> Answer {
    stand::json(200, &json!({ "Result": result, "Status": 200, "Title": "", "Errors": [] }))
}

fn error(status: u16, title: &str, key: &str, message: &str) -> Answer {
    let errors = if key.is_empty() { json!([]) } else { json!([{ "Key": key, "Message": message }]) };
    stand::json(status, &json!({ "Status": status, "Title": title, "Errors": errors }))
}

fn bare(status: u16) -> Answer {
    stand::plain(status, "text/plain", "")
}
