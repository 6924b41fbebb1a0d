//! An issuer of tokens with a discovery document, a key set, and endpoints for introspection, tokens and user info, on loopback.
//!
//! It signs whatever claims it is handed, good or bad; its keys are fresh for each start and rotate on demand; it goes
//! down, slow or strange on demand.
//!
//! Not here: users, log-in, consent, any check of what it signs.
//!
//! Rules: OpenID Connect Core 1.0 section 5.3, OpenID Connect Discovery 1.0 section 4, RFC 8414, RFC 7517 section 5, RFC 7662, RFC 6749 section 6.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ETAG, IF_NONE_MATCH, LOCATION};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::Full;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::demo::stand::{self, Reply, Stand};
use crate::jose::algorithm::Algorithm;
use crate::jose::base64url;
use crate::jose::mint::{MintFault, SigningKey};

/// How the issuer misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trouble {
    /// It does not.
    #[default]
    None,
    /// It closes every connection without a word.
    Down,
    /// It answers after this long.
    Slow(Duration),
    /// It answers 200 with a web page, as a captive portal would.
    Html,
    /// It answers 200 with nothing.
    Empty,
    /// It answers 200 with a key set of valid JSON, this many bytes long at least.
    Oversize(usize),
    /// It answers 500.
    Failing,
    /// It sends everyone to another address of its own, where the right answer is.
    Elsewhere,
    /// It answers 200 with a key set that holds no key.
    NoKeys,
}

/// A running issuer.
#[derive(Debug)]
pub struct DemoIssuer {
    stand: Stand,
    office: Arc<Mutex<Office>>,
}

/// Everything that may change while it runs, behind one lock; nobody holds it while waiting.
#[derive(Debug)]
struct Office {
    issuer: String,
    current: Vec<Arc<SigningKey>>,
    retired: Vec<Arc<SigningKey>>,
    trouble: Trouble,
    opaque: BTreeMap<String, Value>,
    /// Refresh tokens that are good, and the claims of what they bring.
    renewable: BTreeMap<String, Value>,
    asked: BTreeMap<&'static str, usize>,
}

impl DemoIssuer {
    /// The algorithms it signs under; one key each.
    pub const ALGORITHMS: [Algorithm; 3] = [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];

    /// The client that may introspect, and its secret (RFC 7662 section 2.1).
    pub const INTROSPECTION_CLIENT: (&'static str, &'static str) = ("countersign", "introspection-secret-of-the-demo");

    /// Starts it on `address`; port 0 takes any free one.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on, or the crypto library makes no keys.
    pub async fn start(address: SocketAddr) -> io::Result<Self> {
        let office = Arc::new(Mutex::new(Office {
            issuer: String::new(),
            current: fresh_keys().map_err(io::Error::other)?,
            retired: Vec::new(),
            trouble: Trouble::None,
            opaque: BTreeMap::new(),
            renewable: BTreeMap::new(),
            asked: BTreeMap::new(),
        }));
        let shared = Arc::clone(&office);
        let stand = Stand::listen(address, move |request| {
            let shared = Arc::clone(&shared);
            async move { attend(&shared, request).await }
        })
        .await?;
        office.lock().issuer = stand.origin();
        Ok(Self { stand, office })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.stand.address()
    }

    /// Its issuer name, which is its origin: `http://127.0.0.1:40123`.
    #[must_use]
    pub fn issuer(&self) -> String {
        self.stand.origin()
    }

    /// Where its key set is.
    #[must_use]
    pub fn jwks_url(&self) -> String {
        format!("{}/jwks", self.stand.origin())
    }

    /// Where opaque tokens are introspected.
    #[must_use]
    pub fn introspection_url(&self) -> String {
        format!("{}/introspect", self.stand.origin())
    }

    /// The key it signs with under `algorithm`, when that is one of [`Self::ALGORITHMS`].
    #[must_use]
    pub fn key(&self, algorithm: Algorithm) -> Option<Arc<SigningKey>> {
        self.office.lock().current.iter().find(|key| key.algorithm() == algorithm).cloned()
    }

    /// A token over `claims`, under the current key of `algorithm`.
    ///
    /// # Errors
    ///
    /// [`MintFault::Algorithm`] when it has no such key; whatever signing itself says.
    pub fn sign(&self, algorithm: Algorithm, claims: &Value) -> Result<String, MintFault> {
        self.key(algorithm).ok_or(MintFault::Algorithm(algorithm))?.sign_compact(&[], claims)
    }

    /// Has `token` introspect as `claims` from now on; `active` is added when they do not say.
    pub fn remember(&self, token: &str, mut claims: Value) {
        if let Some(members) = claims.as_object_mut() {
            members.entry("active").or_insert(Value::Bool(true));
        }
        self.office.lock().opaque.insert(token.to_owned(), claims);
    }

    /// Has the refresh token `refresh` bring a token over `claims`, once; the refresh token that comes with it brings the same.
    pub fn renews(&self, refresh: &str, claims: Value) {
        self.office.lock().renewable.insert(refresh.to_owned(), claims);
    }

    /// Has `token` introspect as inactive from now on.
    pub fn revoke(&self, token: &str) {
        self.office.lock().opaque.remove(token);
    }

    /// Signs with fresh keys from now on; the old ones stay published.
    ///
    /// # Errors
    ///
    /// The crypto library makes no keys.
    pub fn rotate(&self) -> Result<(), MintFault> {
        let fresh = fresh_keys()?;
        let mut office = self.office.lock();
        let old = std::mem::replace(&mut office.current, fresh);
        office.retired.extend(old);
        Ok(())
    }

    /// Publishes only the keys it signs with.
    pub fn withdraw_old_keys(&self) {
        self.office.lock().retired.clear();
    }

    /// Misbehaves like this from now on.
    pub fn trouble(&self, trouble: Trouble) {
        self.office.lock().trouble = trouble;
    }

    /// How often `path` (`/jwks`, `/introspect`, `/token`, `/userinfo`, `/.well-known/openid-configuration`) has been asked, troubles included.
    #[must_use]
    pub fn asked(&self, path: &str) -> usize {
        self.office.lock().asked.get(path).copied().unwrap_or(0)
    }
}

const DISCOVERY: [&str; 2] = ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"];
const PATHS: [&str; 6] = ["/jwks", "/introspect", "/token", "/userinfo", DISCOVERY[0], DISCOVERY[1]];

fn fresh_keys() -> Result<Vec<Arc<SigningKey>>, MintFault> {
    DemoIssuer::ALGORITHMS.into_iter().map(|algorithm| SigningKey::generate(algorithm).map(Arc::new)).collect()
}

/// Answers one request, in the mood of the moment.
async fn attend(office: &Mutex<Office>, request: Request<Bytes>) -> Reply {
    let trouble = {
        let mut office = office.lock();
        if let Some(path) = PATHS.into_iter().find(|path| *path == request.uri().path()) {
            *office.asked.entry(path).or_default() += 1;
        }
        office.trouble
    };
    match trouble {
        Trouble::None => {}
        Trouble::Down => return None,
        Trouble::Slow(wait) => tokio::time::sleep(wait).await,
        Trouble::Html => return Some(stand::plain(200, "text/html", "<!doctype html><title>Please log in to the network</title>")),
        Trouble::Empty => return Some(stand::plain(200, "application/json", "")),
        Trouble::Oversize(bytes) => return Some(oversize(bytes)),
        Trouble::Failing => return Some(stand::plain(500, "text/plain", "something broke")),
        Trouble::NoKeys => return Some(stand::json(200, &json!({ "keys": [] }))),
        Trouble::Elsewhere if request.uri().query() == Some("elsewhere") => {}
        Trouble::Elsewhere => return Some(redirect(request.uri().path())),
    }
    Some(desk(&mut office.lock(), &request))
}

/// Answers one request as it should be answered.
fn desk(office: &mut Office, request: &Request<Bytes>) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    match (request.method(), path) {
        (&Method::GET, "/jwks") => key_set(office, request.headers()),
        (&Method::GET, path) if DISCOVERY.contains(&path) => stand::json(200, &discovery(&office.issuer)),
        (&Method::POST, "/introspect") => introspect(office, request),
        (&Method::POST, "/token") => refresh(office, request),
        (&Method::GET, "/userinfo") => user_info(office, request.headers()),
        (_, path) if PATHS.contains(&path) => stand::plain(405, "text/plain", "another method"),
        _ => stand::plain(404, "text/plain", "nothing here"),
    }
}

fn discovery(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/jwks"),
        "introspection_endpoint": format!("{issuer}/introspect"),
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic"],
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": DemoIssuer::ALGORITHMS.map(Algorithm::name),
    })
}

fn key_set(office: &Office, headers: &HeaderMap) -> Response<Full<Bytes>> {
    let keys: Vec<Value> = office.current.iter().chain(&office.retired).filter_map(|key| key.public_jwk()).collect();
    let kids: Vec<&str> = office.current.iter().chain(&office.retired).filter_map(|key| key.kid()).collect();
    let tag = HeaderValue::from_str(&format!("\"{}\"", kids.join("."))).ok();

    let unchanged = tag.is_some() && headers.get(IF_NONE_MATCH) == tag.as_ref();
    let mut response =
        if unchanged { stand::plain(304, "application/jwk-set+json", "") } else { stand::json(200, &json!({ "keys": keys })) };
    if let Some(tag) = tag {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// Whether it is our one client who asks.
fn knows(request: &Request<Bytes>) -> bool {
    use base64::Engine as _;
    let (id, secret) = DemoIssuer::INTROSPECTION_CLIENT;
    let expected = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}")));
    request.headers().get(http::header::AUTHORIZATION).is_some_and(|given| given.as_bytes() == expected.as_bytes())
}

/// What the form in a request says under `name`.
fn said(request: &Request<Bytes>, name: &str) -> Option<String> {
    form_urlencoded::parse(request.body()).find(|(said, _)| said == name).map(|(_, value)| value.into_owned())
}

/// Spends a refresh token (RFC 6749 section 6), which rotates.
fn refresh(office: &mut Office, request: &Request<Bytes>) -> Response<Full<Bytes>> {
    if !knows(request) {
        return stand::json(401, &json!({ "error": "invalid_client" }));
    }
    if said(request, "grant_type").as_deref() != Some("refresh_token") {
        return stand::json(400, &json!({ "error": "unsupported_grant_type" }));
    }
    let Some((spent, claims)) = said(request, "refresh_token").and_then(|spent| office.renewable.remove_entry(&spent)) else {
        return stand::json(400, &json!({ "error": "invalid_grant" }));
    };
    let key = office.current.iter().find(|key| key.algorithm() == Algorithm::Es256);
    // A signature over the old one: nobody else could have made it up.
    let fresh = key.and_then(|key| Some((key.sign_compact(&[], &claims).ok()?, base64url::encode(&key.sign(spent.as_bytes()).ok()?))));
    let Some((access, next)) = fresh else { return stand::plain(500, "text/plain", "something broke") };
    let answer = json!({ "access_token": access, "token_type": "Bearer", "expires_in": 3600, "refresh_token": next });
    office.renewable.insert(next, claims);
    stand::json(200, &answer)
}

fn introspect(office: &Office, request: &Request<Bytes>) -> Response<Full<Bytes>> {
    if !knows(request) {
        return stand::json(401, &json!({ "error": "invalid_client" }));
    }
    match said(request, "token") {
        None => stand::json(400, &json!({ "error": "invalid_request" })),
        Some(token) => stand::json(200, office.opaque.get(&token).unwrap_or(&json!({ "active": false }))),
    }
}

/// Whose token it is, for whoever holds it (OpenID Connect Core 1.0 section 5.3).
fn user_info(office: &Office, headers: &HeaderMap) -> Response<Full<Bytes>> {
    let bearer =
        headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("Bearer "));
    let claims = bearer.and_then(|token| office.opaque.get(token)).filter(|claims| claims.get("active") == Some(&Value::Bool(true)));
    match claims {
        Some(claims) => {
            stand::json(200, &json!({ "sub": claims.get("sub"), "email": claims.get("email"), "client_id": claims.get("aud") }))
        }
        None => stand::json(401, &json!({ "error": "invalid_token" })),
    }
}

fn oversize(bytes: usize) -> Response<Full<Bytes>> {
    stand::plain(200, "application/json", format!("{{\"keys\":[],\"padding\":\"{}\"}}", "x".repeat(bytes)))
}

fn redirect(path: &str) -> Response<Full<Bytes>> {
    let mut response = stand::plain(302, "text/plain", "");
    if let Ok(location) = HeaderValue::from_str(&format!("{path}?elsewhere")) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

#[cfg(test)]
mod tests;
