//! What each endpoint of the stand-in asks for, and what it answers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::Full;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::demo::stand::{self, Reply};
use crate::demo::systems::taptalk::socket;
use crate::demo::systems::taptalk::{DemoTapTalk, Given, Kind, Office, Seen, Trouble};
use crate::domain::{Clock, Timestamp};
use crate::jose::base64url;

const REFRESH: &str = "/v1/auth/access_token/refresh";

/// Why something is refused: the status inside, the code, the field.
type Refused = (u16, &'static str, &'static str);

/// Answers one request, or hangs up.
pub(super) async fn attend(office: &Mutex<Office>, request: &Request<Bytes>, clock: &dyn Clock) -> Reply {
    let refreshes = request.uri().path() == REFRESH;
    let trouble = office.lock().trouble;
    match trouble {
        Trouble::RefreshSlow(wait) if refreshes => tokio::time::sleep(wait).await,
        Trouble::Html => return Some(stand::plain(200, "text/html", "<!doctype html><title>401 40104</title>")),
        _ => {}
    }
    let mut office = office.lock();
    office.note(request);
    if trouble == Trouble::RefreshFails && refreshes {
        office.asked.refused += 1;
        return Some(refused((500, "50001", "")));
    }
    let answer = office.desk(request, clock.now());
    match answer {
        Ok(_) if socket::is_asked_for(request.headers()) => {
            Some(socket::opened(request.headers()).unwrap_or_else(|| refused((400, "40001", ""))))
        }
        Ok(_) if trouble == Trouble::RefreshLost && refreshes => None,
        Ok(data) => Some(envelope(200, "", "", &data)),
        Err((_, "40104", _)) if trouble == Trouble::RealStatus => Some(stand::plain(401, "text/plain", "Unauthorized")),
        Err(why) => Some(refused(why)),
    }
}

fn refused((status, code, field): Refused) -> Response<Full<Bytes>> {
    envelope(status, code, field, &json!({}))
}

/// Over HTTP 200, whatever it says. Its pages call from elsewhere, so it says that they may read it.
fn envelope(status: u16, code: &str, field: &str, data: &Value) -> Response<Full<Bytes>> {
    let message = if code.is_empty() { String::new() } else { format!("failed with {code}") };
    let body = json!({ "status": status, "error": { "code": code, "message": message, "field": field }, "data": data });
    let mut response = stand::json(200, &body);
    response.headers_mut().insert(http::header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

impl Office {
    /// What `request` is answered at `now`.
    fn desk(&mut self, request: &Request<Bytes>, now: Timestamp) -> Result<Value, Refused> {
        let (path, headers) = (request.uri().path(), request.headers());
        if path.starts_with("/v1/server/") {
            let key = sole(headers, "server-key").ok_or((491, "49101", "Server-Key"))?;
            if key != key_of(DemoTapTalk::SERVER) {
                return Err((491, "49102", "Server-Key"));
            }
            return match (request.method(), path) {
                (&Method::POST, "/v1/server/auth_ticket/request") => self.ticket_for(request.body(), now),
                _ => Err((404, "40401", "")),
            };
        }
        if path.starts_with("/api/integration/") {
            let key = sole(headers, "api-key").ok_or((400, "40001", "API-Key"))?;
            return match (request.method(), path) {
                _ if key != DemoTapTalk::API_KEY => Err((400, "40001", "API-Key")),
                (&Method::POST, "/api/integration/v1/user/request_auth_ticket") => self.contact_for(request.body(), now),
                _ => Err((404, "40401", "")),
            };
        }
        for (name, field) in [("server-key", "Server-Key"), ("api-key", "API-Key")] {
            if headers.contains_key(name) {
                return Err((491, "49104", field));
            }
        }
        if sole(headers, "app-key").is_none_or(|key| key != key_of(DemoTapTalk::APP)) {
            return Err((491, "49102", "App-Key"));
        }
        match (request.method(), path) {
            (&Method::POST, "/v1/auth/access_token/request") => {
                let (text, ticket) = self.bearer(headers, Kind::Ticket, now)?;
                self.given.remove(&text);
                self.asked.exchanged += 1;
                self.pair(&ticket.user, &ticket.name, now)
            }
            (&Method::POST, REFRESH) => self.refresh(headers, now),
            (&Method::POST, "/v1/client/project_configs") => Ok(json!({ "core": {}, "project": {}, "custom": {} })),
            (&Method::GET, "/connect") => self.with_access(headers, now, |_| json!({})),
            (&Method::POST, "/v1/client/logout") => {
                let (_, access) = self.bearer(headers, Kind::Access, now)?;
                self.newest.remove(&access.user);
                self.given.retain(|_, given| given.user != access.user);
                Ok(json!({ "success": true }))
            }
            (&Method::POST, path) if path.starts_with("/v1/client/") || path.starts_with("/v1/chat/") => {
                self.with_access(headers, now, |user| json!({ "user": user }))
            }
            _ => Err((404, "40401", "")),
        }
    }

    fn with_access(&mut self, headers: &HeaderMap, now: Timestamp, data: impl FnOnce(Value) -> Value) -> Result<Value, Refused> {
        let (_, access) = self.bearer(headers, Kind::Access, now)?;
        self.asked.served += 1;
        Ok(data(user(&access.user, &access.name)))
    }

    fn refresh(&mut self, headers: &HeaderMap, now: Timestamp) -> Result<Value, Refused> {
        let found = self.bearer(headers, Kind::Refresh, now).and_then(|(text, given)| {
            // Only the newest, and only once.
            if self.newest.get(&given.user) == Some(&text) { Ok((text, given)) } else { Err((401, "40103", "")) }
        });
        match found {
            Ok((text, given)) => {
                self.given.remove(&text);
                self.asked.refreshed += 1;
                self.pair(&given.user, &given.name, now)
            }
            Err(why) => {
                self.asked.refused += 1;
                Err(why)
            }
        }
    }

    /// The token in `Authorization`, when it is one of `kind` and alive.
    fn bearer(&self, headers: &HeaderMap, kind: Kind, now: Timestamp) -> Result<(String, Given), Refused> {
        let value = sole(headers, AUTHORIZATION.as_str()).filter(|value| !value.is_empty()).ok_or((401, "40101", ""))?;
        let text = value.strip_prefix("Bearer ").ok_or((401, "40102", ""))?;
        let given = self.given.get(text).filter(|given| given.kind == kind).ok_or((401, "40103", ""))?;
        if given.until <= now {
            return Err((401, "40104", ""));
        }
        Ok((text.to_owned(), given.clone()))
    }

    fn ticket_for(&mut self, body: &Bytes, now: Timestamp) -> Result<Value, Refused> {
        let sent: Value = serde_json::from_slice(body).map_err(|_| (400, "40002", ""))?;
        let text = |name: &'static str| sent.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).ok_or((400, "40002", name));
        for name in ["userIPAddress", "userAgent", "userPlatform", "userDeviceID"] {
            text(name)?;
        }
        let (user, name) = (text("xcUserID")?, text("fullName")?);
        let ticket = self.give(Kind::Ticket, user, name, now.plus(DemoTapTalk::TICKET_LIFE)).ok_or((500, "99999", ""))?;
        self.asked.tickets += 1;
        Ok(json!({ "userID": id_of(user), "ticket": ticket }))
    }

    fn contact_for(&mut self, body: &Bytes, now: Timestamp) -> Result<Value, Refused> {
        let sent: Value = serde_json::from_slice(body).map_err(|_| (400, "40002", ""))?;
        let text = |name: &'static str| sent.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).ok_or((400, "40002", name));
        let (user, name) = (text("customerUserID")?, text("fullName")?);
        let ticket = self.give(Kind::Ticket, user, name, now.plus(DemoTapTalk::TICKET_LIFE)).ok_or((500, "99999", ""))?;
        self.asked.tickets += 1;
        Ok(json!({ "success": true, "message": "Contact updated successfully", "userID": id_of(user), "ticket": ticket }))
    }

    fn pair(&mut self, user_id: &str, name: &str, now: Timestamp) -> Result<Value, Refused> {
        let (access_until, refresh_until) = (now.plus(self.life), now.plus(DemoTapTalk::REFRESH_LIFE));
        let access = self.give(Kind::Access, user_id, name, access_until).ok_or((500, "99999", ""))?;
        let refresh = self.give(Kind::Refresh, user_id, name, refresh_until).ok_or((500, "99999", ""))?;
        self.newest.insert(user_id.to_owned(), refresh.clone());
        Ok(json!({
            "accessToken": access,
            "accessTokenExpiry": access_until.0.saturating_mul(1_000),
            "refreshToken": refresh,
            "refreshTokenExpiry": refresh_until.0.saturating_mul(1_000),
            "user": user(user_id, name),
        }))
    }

    /// A token of `kind` that is good `until` then.
    pub(super) fn give(&mut self, kind: Kind, user: &str, name: &str, until: Timestamp) -> Option<String> {
        self.made += 1;
        let text = base64url::encode(&self.key.sign(&self.made.to_be_bytes()).ok()?);
        self.given.insert(text.clone(), Given { kind, user: user.to_owned(), name: name.to_owned(), until });
        Some(text)
    }

    fn note(&mut self, request: &Request<Bytes>) {
        let target = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
        self.seen.push(Seen {
            method: request.method().to_string(),
            target,
            headers: request.headers().clone(),
            body: String::from_utf8_lossy(request.body()).into_owned(),
        });
    }
}

/// Its own name for a user.
fn id_of(user: &str) -> String {
    format!("tt-{user}")
}

fn user(user: &str, name: &str) -> Value {
    json!({
        "userID": id_of(user), "xcUserID": user, "fullname": name, "username": "", "email": "", "phone": "",
        "imageURL": { "thumbnail": "", "fullsize": "" },
    })
}

pub(super) fn key_of((id, secret): (&str, &str)) -> String {
    STANDARD.encode(format!("{id}:{secret}"))
}

/// The only value of `name`.
fn sole<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}
