//! Personal data servers (HATs, Dataswift) under names of their own: keys, log-in, tokens that slide, applications' tokens, data.
//!
//! As strict as the vendor's: a token is taken from the query, the header, a form or a JSON body, in that order; it is judged by the key of
//! the HAT that was asked, by `exp`, and by three days since `iat`; each kind of token may do what it may, and no more. Every reply to
//! somebody authenticated brings a token with a new `iat`. Whoever does not ask for JSON first is sent to `/` in place of 401 and 403.
//!
//! Not here: registration, e-mail, data that outlives the process.
//!
//! Source: HAT 2.0 (`conf/v26.routes`, `Authentication`, `Applications`, `ErrorHandler`), Silhouette (`JWTRS256Authenticator`,
//! `RequestExtractor`).

mod token;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::Full;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::demo::stand::{self, Stand};
use crate::demo::systems::hat::token::{Bearer, Kind, presented};
use crate::domain::{Clock, Timestamp};
use crate::jose::algorithm::Algorithm;
use crate::jose::mint::{MintFault, SigningKey};

/// Three days, which a token may be idle; its last second is good.
pub const IDLE: i64 = 259_200;

/// Thirty days, after which its owner logs in anew.
const LIFE: i64 = 2_592_000;

/// The only owner's name and password, at every HAT.
pub const OWNER: (&str, &str) = ("ada", "open-sesame-of-the-demo");

/// What carries tokens, there and back.
const FIELD: HeaderName = HeaderName::from_static("x-auth-token");

/// Log-ins at once; one more every two seconds.
const BUCKET: i64 = 10;

/// HATs, by their names. Cheap to share between the servers that stand for them.
#[derive(Clone)]
pub struct Hats(Arc<Farm>);

struct Farm {
    clock: Arc<dyn Clock>,
    /// One lock: nobody holds it while waiting.
    office: Mutex<Office>,
}

#[derive(Default)]
struct Office {
    keys: BTreeMap<String, Arc<SigningKey>>,
    /// Applications that are set up, and those whose tokens they may ask for.
    applications: BTreeMap<String, BTreeSet<String>>,
    data: BTreeMap<(String, String), Vec<Value>>,
    asked: BTreeMap<String, usize>,
    /// Log-ins that are left, and since when.
    bucket: Option<(i64, Timestamp)>,
    drawn: u64,
}

/// A HAT's answer.
pub type Answer = Response<Full<Bytes>>;

impl Hats {
    /// HATs called `names`, each with a key of its own, under `clock`.
    ///
    /// # Errors
    ///
    /// The crypto library makes no keys.
    pub fn new(names: &[&str], clock: Arc<dyn Clock>) -> Result<Self, MintFault> {
        let mut office = Office::default();
        for name in names {
            office.keys.insert((*name).to_owned(), Arc::new(SigningKey::generate(Algorithm::Rs256)?.with_kid(None)));
        }
        Ok(Self(Arc::new(Farm { clock, office: Mutex::new(office) })))
    }

    /// Serves them all in plaintext on `address`, told apart by `Host`; what has no such name is the first of them.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on.
    pub async fn listen(&self, address: SocketAddr) -> io::Result<Stand> {
        let hats = self.clone();
        Stand::listen(address, move |request| {
            let answer = hats.visit(&request);
            async move { Some(answer) }
        })
        .await
    }

    /// Serves them all over TLS, as they are known to the world, with this certificate for their names.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on.
    pub async fn listen_tls(&self, address: SocketAddr, config: Arc<rustls::ServerConfig>) -> io::Result<Stand> {
        let hats = self.clone();
        Stand::listen_tls(address, config, move |request| {
            let answer = hats.visit(&request);
            async move { Some(answer) }
        })
        .await
    }

    /// How many requests have arrived, at all HATs together, those for their keys aside.
    #[must_use]
    pub fn visits(&self) -> usize {
        self.0.office.lock().asked.iter().filter(|(path, _)| *path != "/publickey").map(|(_, times)| times).sum()
    }

    /// Sets the application `id` up at every HAT; it may ask for the tokens of `others`.
    pub fn set_up(&self, id: &str, others: &[&str]) {
        self.0.office.lock().applications.insert(id.to_owned(), others.iter().map(|other| (*other).to_owned()).collect());
    }

    /// Gives the HAT `name` another key: what it had signed before is signed by nobody.
    ///
    /// # Errors
    ///
    /// The crypto library makes no key.
    pub fn rekey(&self, name: &str) -> Result<(), MintFault> {
        let key = Arc::new(SigningKey::generate(Algorithm::Rs256)?.with_kid(None));
        self.0.office.lock().keys.insert(name.to_owned(), key);
        Ok(())
    }

    /// The key of the HAT `name`; `None` when there is no such HAT.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<Arc<SigningKey>> {
        self.0.office.lock().keys.get(name).cloned()
    }

    /// How often `path` was asked for, at all HATs together.
    #[must_use]
    pub fn asked(&self, path: &str) -> usize {
        self.0.office.lock().asked.get(path).copied().unwrap_or(0)
    }

    /// The owner's token at `hat`, made at this moment.
    ///
    /// # Errors
    ///
    /// There is no such HAT, or the token could not be signed.
    pub fn owner(&self, hat: &str) -> Result<String, MintFault> {
        self.mint(hat, &json!({ "resource": hat, "accessScope": "owner" }), LIFE)
    }

    /// A token with which the owner of `hat` shows the service `resource` who they are.
    ///
    /// # Errors
    ///
    /// As [`Hats::owner`].
    pub fn validate(&self, hat: &str, resource: &str) -> Result<String, MintFault> {
        self.mint(hat, &json!({ "resource": resource, "accessScope": "validate" }), IDLE)
    }

    /// The token of the application `id` at `hat`.
    ///
    /// # Errors
    ///
    /// As [`Hats::owner`].
    pub fn application(&self, hat: &str, id: &str, version: &str) -> Result<String, MintFault> {
        self.mint(hat, &json!({ "application": id, "applicationVersion": version }), LIFE)
    }

    fn mint(&self, hat: &str, claims: &Value, life: i64) -> Result<String, MintFault> {
        let now = self.0.clock.now().0;
        let (key, drawn) = {
            let mut office = self.0.office.lock();
            office.drawn += 1;
            (office.keys.get(hat).cloned().ok_or(MintFault::Key("there is no such HAT"))?, office.drawn)
        };
        // As long as the vendor's: 128 bytes in hexadecimal.
        let mut claims = claims.clone();
        let own = json!({ "iss": hat, "sub": format!("1-{drawn:032x}"), "iat": now, "exp": now + life, "jti": format!("{drawn:0256x}") });
        if let (Value::Object(claims), Value::Object(own)) = (&mut claims, own) {
            claims.extend(own);
        }
        key.sign_compact(&[], &claims)
    }

    /// What the HAT that `request` is for answers.
    #[must_use]
    pub fn visit(&self, request: &Request<Bytes>) -> Answer {
        let path = request.uri().path().to_owned();
        let (hat, key) = {
            let mut office = self.0.office.lock();
            *office.asked.entry(path.clone()).or_default() += 1;
            let written = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
            let known = office.keys.get_key_value(written).or_else(|| {
                // A server behind a proxy is asked by its address.
                let local = written.starts_with("127.") || written.starts_with("localhost");
                office.keys.first_key_value().filter(|_| local)
            });
            match known {
                Some((hat, key)) => (hat.clone(), Arc::clone(key)),
                None => return error(404, "Not Found", "HAT unavailable"),
            }
        };
        match path.as_str() {
            "/" => stand::plain(200, "text/html", "<!doctype html><title>HAT</title>"),
            "/publickey" => {
                key.public_pem().map_or_else(|| error(404, "Not Found", "HAT unavailable"), |pem| stand::plain(200, "text/plain", pem))
            }
            "/users/access_token" => self.login(&hat, request.headers()),
            _ => self.secured(&hat, &key, &path, request),
        }
    }

    /// The owner's log-in: name and password in header fields.
    fn login(&self, hat: &str, headers: &HeaderMap) -> Answer {
        let now = self.0.clock.now();
        {
            let mut office = self.0.office.lock();
            let (left, since) = office.bucket.unwrap_or((BUCKET, now));
            let more = (now.0 - since.0) / 2;
            let left = (left + more).min(BUCKET);
            if left <= 0 {
                return error(400, "Bad Request", "Request rate exceeded");
            }
            office.bucket = Some((left - 1, if 0 < more { now } else { since }));
        }
        let field = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if (field("username"), field("password")) != OWNER {
            return unauthenticated(headers);
        }
        match self.owner(hat) {
            Ok(token) => with_token(stand::json(200, &json!({ "accessToken": token, "userId": OWNER.0 })), &token),
            Err(_) => error(500, "Internal Server Error", "no token"),
        }
    }

    /// Everything that asks for a token. Its reply brings the next.
    fn secured(&self, hat: &str, key: &SigningKey, path: &str, request: &Request<Bytes>) -> Answer {
        let now = self.0.clock.now();
        let bearer = presented(request).and_then(|token| Bearer::judge(&token, hat, key, now));
        let Some(bearer) = bearer else { return unauthenticated(request.headers()) };
        let answer = self.serve(hat, path, &bearer, request);
        match bearer.slid(key, now) {
            Ok(token) => with_token(answer, &token),
            Err(_) => error(500, "Internal Server Error", "no token"),
        }
    }

    fn serve(&self, hat: &str, path: &str, bearer: &Bearer, request: &Request<Bytes>) -> Answer {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match parts.as_slice() {
            ["users", "access_token", "validate"] => stand::json(200, &json!({ "message": "Authenticated" })),
            ["users", "application_token"] if bearer.kind == Kind::Owner => self.application_token(hat, request),
            ["api", "v2" | "v2.0" | "v2.6", rest @ ..] => match rest {
                ["applications", id, "access-token"] => self.access_token(hat, id, bearer, request.headers()),
                ["data", namespace, endpoint] => self.data(namespace, endpoint, bearer, request),
                ["system", "status"] if bearer.kind != Kind::Validate => stand::json(200, &json!([])),
                _ => forbidden(request.headers()),
            },
            _ => forbidden(request.headers()),
        }
    }

    /// A token that the owner makes for one service.
    fn application_token(&self, hat: &str, request: &Request<Bytes>) -> Answer {
        let query = request.uri().query().unwrap_or_default();
        let resource = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "resource");
        match resource.and_then(|(_, resource)| self.validate(hat, &resource).ok()) {
            Some(token) => stand::json(200, &json!({ "accessToken": token, "userId": OWNER.0 })),
            None => error(400, "Bad Request", "Missing parameter: resource"),
        }
    }

    /// An application's token, for the owner, for itself, or for another application that may have it.
    fn access_token(&self, hat: &str, id: &str, bearer: &Bearer, headers: &HeaderMap) -> Answer {
        let may = {
            let office = self.0.office.lock();
            if !office.applications.contains_key(id) {
                return stand::json(
                    404,
                    &json!({ "message": "Application not Found", "cause": format!("Application {id} does not appear to be a valid application") }),
                );
            }
            match &bearer.kind {
                Kind::Owner => true,
                Kind::Application(own) => own == id || office.applications.get(own).is_some_and(|others| others.contains(id)),
                Kind::Validate => false,
            }
        };
        if !may {
            return forbidden(headers);
        }
        match self.application(hat, id, "1.0.0") {
            Ok(token) => stand::json(200, &json!({ "accessToken": token, "userId": OWNER.0 })),
            Err(_) => error(500, "Internal Server Error", "no token"),
        }
    }

    /// Data: all of it to the owner, what lies under its own name to an application.
    fn data(&self, namespace: &str, endpoint: &str, bearer: &Bearer, request: &Request<Bytes>) -> Answer {
        let may = match &bearer.kind {
            Kind::Owner => true,
            Kind::Application(own) => own == namespace,
            Kind::Validate => false,
        };
        if !may {
            return forbidden(request.headers());
        }
        let mut office = self.0.office.lock();
        let records = office.data.entry((namespace.to_owned(), endpoint.to_owned())).or_default();
        match request.method().as_str() {
            "GET" => stand::json(200, &json!(records)),
            "POST" => match serde_json::from_slice::<Value>(request.body()) {
                Ok(record) => {
                    records.push(record.clone());
                    stand::json(201, &json!({ "endpoint": format!("{namespace}/{endpoint}"), "recordId": records.len(), "data": record }))
                }
                Err(_) => error(400, "Bad Request", "Invalid Json"),
            },
            _ => error(404, "Not Found", "HAT unavailable"),
        }
    }
}

/// 401, or the way to `/` for who does not ask for JSON.
fn unauthenticated(headers: &HeaderMap) -> Answer {
    if wants_json(headers) { error(401, "Not Authenticated", "Not Authenticated") } else { home() }
}

/// 403, likewise.
fn forbidden(headers: &HeaderMap) -> Answer {
    if wants_json(headers) { error(403, "Forbidden", "Access Denied") } else { home() }
}

fn home() -> Answer {
    let mut answer = stand::plain(303, "text/plain", "");
    answer.headers_mut().remove(CONTENT_TYPE);
    answer.headers_mut().insert(LOCATION, HeaderValue::from_static("/"));
    answer
}

fn error(status: u16, error: &str, message: &str) -> Answer {
    stand::json(status, &json!({ "error": error, "message": message }))
}

/// Whether the first media range that is asked for takes JSON.
fn wants_json(headers: &HeaderMap) -> bool {
    let first =
        headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).and_then(|accept| accept.split([',', ';']).next()).map(str::trim);
    first.is_none_or(|range| matches!(range, "application/json" | "application/*" | "*/*"))
}

fn with_token(mut answer: Answer, token: &str) -> Answer {
    if let Ok(value) = HeaderValue::from_str(token) {
        answer.headers_mut().insert(FIELD, value);
    }
    answer
}

#[cfg(test)]
mod tests;
