//! A service that shows what it was sent.
//!
//! It answers every request with what it received, credentials included and as received: a credential that leaks
//! through the proxy is to be seen, not hidden. It remembers its visitors, so that a test can say "nothing arrived".
//!
//! Never here: a decision about any request.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::Full;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::demo::stand::{self, Stand};

/// A request as the service received it.
#[derive(Debug, Clone)]
pub struct Received {
    /// The method.
    pub method: String,
    /// The request target, as it stood in the request line.
    pub target: String,
    /// Every field, in the order of arrival for each name.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// What the service answers with, beside showing what it received.
#[derive(Debug, Clone)]
pub struct Manner {
    /// HTTP status.
    pub status: u16,
    /// Fields to add.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether it hangs up instead of answering.
    pub hangs_up: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Self { status: 200, headers: Vec::new(), hangs_up: false }
    }
}

/// A running service.
#[derive(Debug)]
pub struct DemoUpstream {
    stand: Stand,
    seen: Arc<Mutex<Seen>>,
}

/// What it remembers, and how it behaves: one lock, since every visit writes one and reads the other.
#[derive(Debug, Default)]
struct Seen {
    received: Vec<Received>,
    hits: usize,
    manner: Manner,
}

impl DemoUpstream {
    /// Requests remembered in full; later ones are counted only.
    const REMEMBERED: usize = 10_000;

    /// Starts it on `address`; port 0 takes any free one.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on.
    pub async fn start(address: SocketAddr) -> io::Result<Self> {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        let stand = Stand::listen(address, move |request| {
            let reply = visit(&shared, request);
            async move { reply }
        })
        .await?;
        Ok(Self { stand, seen })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.stand.address()
    }

    /// Its origin: `http://127.0.0.1:40123`.
    #[must_use]
    pub fn origin(&self) -> String {
        self.stand.origin()
    }

    /// How many requests have arrived.
    #[must_use]
    pub fn hits(&self) -> usize {
        self.seen.lock().hits
    }

    /// What has arrived, oldest first.
    #[must_use]
    pub fn records(&self) -> Vec<Received> {
        self.seen.lock().received.clone()
    }

    /// What arrived last.
    #[must_use]
    pub fn last(&self) -> Option<Received> {
        self.seen.lock().received.last().cloned()
    }

    /// Forgets its visitors.
    pub fn forget(&self) {
        let mut seen = self.seen.lock();
        seen.received.clear();
        seen.hits = 0;
    }

    /// Behaves like this from now on.
    pub fn behave(&self, manner: Manner) {
        self.seen.lock().manner = manner;
    }
}

impl Received {
    /// The values of field `name`, as text; what is not text reads as U+FFFD.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<String> {
        self.headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
    }

    /// What the answer shows of it.
    #[must_use]
    pub fn shown(&self) -> Value {
        let mut headers = serde_json::Map::new();
        for name in self.headers.keys() {
            let mut values = self.values(name.as_str());
            let value = if values.len() == 1 { json!(values.remove(0)) } else { json!(values) };
            headers.insert(name.as_str().to_owned(), value);
        }
        json!({ "method": self.method, "target": self.target, "headers": headers, "body_length": self.body.len() })
    }
}

fn visit(seen: &Mutex<Seen>, request: Request<Bytes>) -> Option<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let received = Received { method: head.method.to_string(), target: head.uri.to_string(), headers: head.headers, body };
    let shown = received.shown();

    let mut seen = seen.lock();
    seen.hits += 1;
    if seen.received.len() < DemoUpstream::REMEMBERED {
        seen.received.push(received);
    }
    if seen.manner.hangs_up {
        return None;
    }
    let mut response = stand::json(seen.manner.status, &shown);
    for (name, value) in &seen.manner.headers {
        response.headers_mut().append(name, value.clone());
    }
    Some(response)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::{DemoUpstream, Manner};

    const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    #[tokio::test]
    async fn what_arrives_is_shown_and_remembered() {
        let upstream = DemoUpstream::start(ANY_PORT).await.unwrap();
        let client = reqwest::Client::new();
        let url = format!("{}/a/b?c=d", upstream.origin());

        let shown: serde_json::Value = client
            .post(&url)
            .header("x-one", "1")
            .header("x-two", "a")
            .header("x-two", "b")
            .body("four")
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();

        assert_eq!(shown["method"], "POST");
        assert_eq!(shown["target"], "/a/b?c=d");
        assert_eq!(shown["headers"]["x-one"], "1", "one value stands alone");
        assert_eq!(shown["headers"]["x-two"], serde_json::json!(["a", "b"]), "two values are both seen");
        assert_eq!(shown["body_length"], 4);
        assert_eq!(upstream.hits(), 1);
        assert_eq!(upstream.last().unwrap().values("x-two"), ["a", "b"]);

        upstream.forget();
        assert_eq!((upstream.hits(), upstream.records().len()), (0, 0), "forgotten");
    }

    #[tokio::test]
    async fn it_behaves_as_told() {
        let upstream = DemoUpstream::start(ANY_PORT).await.unwrap();
        let name = http::HeaderName::from_static("x-extra");
        upstream.behave(Manner { status: 503, headers: vec![(name, http::HeaderValue::from_static("yes"))], hangs_up: false });
        let answer = reqwest::get(upstream.origin()).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers()["x-extra"].to_str().unwrap()), (503, "yes"));

        upstream.behave(Manner { hangs_up: true, ..Manner::default() });
        assert!(reqwest::get(upstream.origin()).await.is_err(), "no answer at all");
        assert_eq!(upstream.hits(), 2, "it was there all the same");
    }

    #[tokio::test]
    async fn dropped_means_gone() {
        let upstream = DemoUpstream::start(ANY_PORT).await.unwrap();
        let origin = upstream.origin();
        assert!(reqwest::get(&origin).await.is_ok());
        drop(upstream);
        tokio::task::yield_now().await;
        assert!(reqwest::get(&origin).await.is_err());
    }
}
