//! The admin listener: `/livez`, `/readyz`, `/metrics`, `/revocations`.
//!
//! It shares no listener, no limit and no rule with the proxy. One request a connection, all of it within a time,
//! connections counted: a stranger who holds them costs little and gains nothing.
//!
//! `/livez` and the bare state of `/readyz` are for everyone. The rest is shown to whoever brings the bearer token; where
//! no token was set, to callers of a loopback listener only, and only when they ask for a loopback name: a page in an
//! operator's browser reaches loopback too (DNS rebinding), but not under that name.
//!
//! `/revocations` is the one thing that can be done here, and it asks for the token whatever the listener: loopback is every
//! process of the machine, and whoever may revoke may lock everybody out. Without a token it is closed.
//!
//! Never here: anything else that changes the process; the conf; a secret.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use subtle::ConstantTimeEq;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::domain::Secret;
use crate::edge::readiness::Readiness;
use crate::gate::contract::Revoker;
use crate::telemetry::metrics::Metrics;

mod revocations;

/// What the admin listener shows, and to whom.
pub struct Admin {
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
    /// Fixed for the life of the process, as its address is.
    loopback: bool,
    access: ArcSwap<Access>,
    revoker: Option<Arc<dyn Revoker>>,
}

/// Who may see more than the two health endpoints.
enum Access {
    /// Whoever brings the token with this SHA-256 digest.
    Token([u8; 32]),
    /// Whoever comes over loopback.
    Loopback,
    /// Nobody: the listener can be reached from elsewhere and no token was set.
    Nobody,
}

impl Access {
    fn of(loopback: bool, token: Option<&Secret>) -> Self {
        match token {
            Some(token) => Self::Token(fingerprint(token.expose())),
            None if loopback => Self::Loopback,
            None => Self::Nobody,
        }
    }

    /// Whether this request may see everything.
    fn shows_all(&self, target: &Uri, headers: &HeaderMap) -> bool {
        match self {
            Self::Token(expected) => bearer(headers).is_some_and(|token| bool::from(fingerprint(token).ct_eq(expected))),
            Self::Loopback => sole(headers, &HOST).is_some_and(is_loopback_name) && target.authority().is_none(),
            Self::Nobody => false,
        }
    }
}

impl Admin {
    /// Connections served at a time; more are closed at once.
    pub const MOST_CONNECTIONS: usize = 64;
    /// From accepting a connection to the end of its answer.
    pub const WHOLE_REQUEST: Duration = Duration::from_secs(10);
    /// From accepting a connection to the end of the request's head.
    const HEAD: Duration = Duration::from_secs(5);
    /// How large a head may be. hyper's least.
    const HEAD_BYTES: usize = 8192;
    /// A machine out of descriptors gets time to find some.
    const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

    /// An admin for a listener at `address`. With a `token` it is asked for everywhere, loopback included.
    #[must_use]
    pub fn new(address: SocketAddr, token: Option<&Secret>, readiness: Arc<Readiness>, metrics: Arc<Metrics>) -> Self {
        let loopback = address.ip().to_canonical().is_loopback();
        let access = ArcSwap::from_pointee(Access::of(loopback, token));
        Self { readiness, metrics, loopback, access, revoker: None }
    }

    /// From the next request on `token` is asked for, and no other.
    pub fn ask_for(&self, token: Option<&Secret>) {
        self.access.store(Arc::new(Access::of(self.loopback, token)));
    }

    /// The same, where whoever brings the token may revoke.
    #[must_use]
    pub fn with_revoker(self, revoker: Arc<dyn Revoker>) -> Self {
        Self { revoker: Some(revoker), ..self }
    }

    /// Serves until `stop` is done. Answers that have begun by then are broken off.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, stop: impl Future<Output = ()>) {
        let room = Arc::new(Semaphore::new(Self::MOST_CONNECTIONS));
        let mut connections = tokio::task::JoinSet::new();
        tokio::pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => return,
                Some(_ended) = connections.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, _peer)) = accepted else {
                tokio::time::sleep(Self::ACCEPT_PAUSE).await;
                continue;
            };
            let Ok(permit) = Arc::clone(&room).try_acquire_owned() else { continue };
            let admin = Arc::clone(&self);
            connections.spawn(async move {
                admin.converse(stream).await;
                drop(permit);
            });
        }
    }

    /// One request and its answer. What goes wrong with the connection concerns its client only.
    async fn converse(&self, stream: TcpStream) {
        let service = service_fn(|request: Request<Incoming>| async move { Ok::<_, Infallible>(self.answer(request).await) });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Self::HEAD)
            .max_buf_size(Self::HEAD_BYTES)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service);
        let _ = tokio::time::timeout(Self::WHOLE_REQUEST, connection).await;
    }

    /// The answer to any request.
    async fn answer<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        Limited<B>: Body,
    {
        // One look a request: what is asked for does not change in the midst of one.
        let access = self.access.load_full();
        match (&self.revoker, request.uri().path().strip_prefix("/revocations")) {
            (Some(revoker), Some(rest)) if rest.is_empty() || rest.starts_with('/') => match *access {
                Access::Token(_) if !access.shows_all(request.uri(), request.headers()) => self.reply(&request, &access),
                Access::Token(_) => {
                    let (head, body) = request.into_parts();
                    // What goes wrong with a body is either its length or its sender's connection, and then nobody hears.
                    let body = Limited::new(body, revocations::MOST_BODY).collect().await.ok().map(http_body_util::Collected::to_bytes);
                    revocations::answer(revoker.as_ref(), &head, body).await
                }
                Access::Loopback | Access::Nobody => {
                    written(StatusCode::FORBIDDEN, "text/plain", "set `admin.token`: revoking always needs it\n".to_owned())
                }
            },
            _ => self.reply(&request, &access),
        }
    }

    fn reply<B>(&self, request: &Request<B>, access: &Access) -> Response<Full<Bytes>> {
        let shown = access.shows_all(request.uri(), request.headers());
        match request.uri().path() {
            "/livez" | "/readyz" | "/metrics" if !matches!(*request.method(), Method::GET | Method::HEAD) => {
                let mut refused = written(StatusCode::METHOD_NOT_ALLOWED, "text/plain", String::new());
                refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                refused
            }
            // It answers, so it lives. Anything more would have the process restarted for an outage elsewhere.
            "/livez" => written(StatusCode::OK, "application/json", "{\"live\":true}\n".to_owned()),
            "/readyz" => {
                let status = if self.readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                written(status, "application/json", if shown { self.readiness.full() } else { self.readiness.brief() })
            }
            "/metrics" if shown => written(StatusCode::OK, Metrics::CONTENT_TYPE, self.metrics.exposition()),
            // Without the token nothing tells what exists.
            _ if !shown && matches!(access, Access::Token(_)) => {
                let mut refused = written(StatusCode::UNAUTHORIZED, "text/plain", String::new());
                refused.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"countersign admin\""));
                refused
            }
            "/metrics" => {
                let hint = "only with `admin.token`, or over loopback under a loopback name\n";
                written(StatusCode::FORBIDDEN, "text/plain", hint.to_owned())
            }
            _ => written(StatusCode::NOT_FOUND, "text/plain", String::new()),
        }
    }
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let access = match **self.access.load() {
            Access::Token(_) => "token",
            Access::Loopback => "loopback",
            Access::Nobody => "nobody",
        };
        write!(f, "Admin({access})")
    }
}

/// Equal length for every token, so that a comparison tells not even that.
fn fingerprint(token: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    let digest = digest(&SHA256, token);
    // SHA-256 has 32 bytes; a copy of fewer would leave zeros, which no token hashes to.
    for (to, from) in out.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    out
}

/// The only value of a field.
fn sole<'h>(headers: &'h HeaderMap, name: &http::HeaderName) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

/// The token of the only `Authorization: Bearer` (RFC 6750 section 2.1).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = sole(headers, &AUTHORIZATION)?.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

/// Whether `host` is a name that no page from elsewhere can have.
fn is_loopback_name(host: &HeaderValue) -> bool {
    let Ok(host) = host.to_str() else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse().ok().map(IpAddr::V6),
        None => name.parse().ok().map(IpAddr::V4),
    };
    name.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.to_canonical().is_loopback())
}

fn written(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests;
