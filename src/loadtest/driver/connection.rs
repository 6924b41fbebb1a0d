//! One connection of the load: HTTP/1.1, one request at a time, opened again when the proxy closes it.
//!
//! Not here: TLS, HTTP/2, retries. A request that got no answer is counted as that.

use std::time::Duration;

use bytes::Bytes;
use http::header::SET_COOKIE;
use http::{HeaderName, HeaderValue};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::loadtest::lane::{Answer, Shot};
use crate::loadtest::target::Target;

/// A field that only answers of the upstream have.
#[derive(Debug, Clone)]
pub struct Marker {
    /// Its name.
    pub name: HeaderName,
    /// Its value.
    pub value: HeaderValue,
}

/// A connection, open or not.
pub(super) struct Connection {
    target: Target,
    timeout: Duration,
    open: Option<Open>,
    /// How often it was opened.
    pub(super) opened: u64,
}

struct Open {
    sender: SendRequest<Full<Bytes>>,
    /// Moves the bytes; ends with the connection.
    engine: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.engine.abort();
    }
}

impl Connection {
    /// A body past this is not read to its end; the connection is closed.
    const BODY_LIMIT: usize = 8 * 1024 * 1024;

    pub(super) fn to(target: Target, timeout: Duration) -> Self {
        Self { target, timeout, open: None, opened: 0 }
    }

    /// Sees to it that a request can be sent at once. `false` when the proxy takes no connection.
    pub(super) async fn ready(&mut self) -> bool {
        if let Some(open) = self.open.as_mut()
            && open.sender.ready().await.is_ok()
        {
            return true;
        }
        self.open = None;
        self.open = tokio::time::timeout(self.timeout, Self::connect(&self.target)).await.ok().flatten();
        self.opened += u64::from(self.open.is_some());
        self.open.is_some()
    }

    async fn connect(target: &Target) -> Option<Open> {
        let stream = TcpStream::connect(target.address).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        let engine = tokio::spawn(async move {
            // How a connection ends shows in the request that got no answer.
            let _ = connection.await;
        });
        sender.ready().await.ok()?;
        Some(Open { sender, engine })
    }

    /// Sends `shot`, and returns name and value of the first cookie that its answer sets.
    pub(super) async fn cookie(&mut self, shot: Shot) -> Option<(String, String)> {
        let open = self.open.as_mut()?;
        let response = tokio::time::timeout(self.timeout, open.sender.send_request(shot)).await.ok()?.ok()?;
        // The body is left where it is, so nothing else may come over this connection.
        self.open = None;
        let cookie = response.headers().get(SET_COOKIE)?.to_str().ok()?;
        let (name, value) = cookie.split(';').next()?.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    }

    /// Sends `shot` and reads the answer to its end; `None` when there is none in time.
    pub(super) async fn send(&mut self, shot: Shot, marker: Option<&Marker>) -> Option<Answer> {
        let open = self.open.as_mut()?;
        let answer = tokio::time::timeout(self.timeout, exchange(&mut open.sender, shot, marker)).await.ok().flatten();
        if answer.is_none() {
            // What comes later on it would be the answer to another request.
            self.open = None;
        }
        answer
    }
}

async fn exchange(sender: &mut SendRequest<Full<Bytes>>, shot: Shot, marker: Option<&Marker>) -> Option<Answer> {
    let response = sender.send_request(shot).await.ok()?;
    let (head, mut body) = response.into_parts();
    let mut read = 0_usize;
    while let Some(frame) = body.frame().await {
        read += frame.ok()?.data_ref().map_or(0, Bytes::len);
        if Connection::BODY_LIMIT < read {
            return None;
        }
    }
    let forwarded = marker.map(|marker| head.headers.get(&marker.name) == Some(&marker.value));
    Some(Answer { status: head.status.as_u16(), forwarded })
}
