//! One connection of the load: HTTP/1.1 or HTTP/2, in plaintext or over TLS, one request at a time, opened again when the proxy closes it.
//!
//! Not here: several requests at a time on one connection, retries. A request that got no answer is counted as that.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, SET_COOKIE};
use http::{HeaderName, HeaderValue, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

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
    sender: Sender,
    /// Moves the bytes; ends with the connection.
    engine: JoinHandle<()>,
}

/// Takes requests, in one of two protocols.
enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    async fn ready(&mut self) -> bool {
        match self {
            Self::One(sender) => sender.ready().await.is_ok(),
            Self::Two(sender) => sender.ready().await.is_ok(),
        }
    }

    async fn send(&mut self, shot: Shot) -> Option<Response<Incoming>> {
        match self {
            Self::One(sender) => sender.send_request(shot).await.ok(),
            Self::Two(sender) => sender.send_request(with_authority(shot)?).await.ok(),
        }
    }
}

/// `shot` as HTTP/2 has it: the host stands in the target (RFC 9113 section 8.3.1).
fn with_authority(mut shot: Shot) -> Option<Shot> {
    let host = shot.headers_mut().remove(HOST)?;
    let target = shot.uri().path_and_query()?.clone();
    let uri = Uri::builder().scheme("https").authority(host.as_bytes()).path_and_query(target).build().ok()?;
    *shot.uri_mut() = uri;
    Some(shot)
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
            && open.sender.ready().await
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
        match &target.tls {
            None => Self::speak(stream, target.http2).await,
            Some(tls) => {
                let connecting = TlsConnector::from(Arc::clone(&tls.config)).connect(tls.name.clone(), stream);
                let stream = connecting.await.ok()?;
                // A proxy that offers only the other protocol is not measured in it unnoticed.
                let chosen = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                if chosen == target.http2 { Self::speak(stream, target.http2).await } else { None }
            }
        }
    }

    async fn speak<S>(stream: S, http2: bool) -> Option<Open>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // How a connection ends shows in the request that got no answer.
        let (mut sender, engine) = if http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.ok()?;
            (Sender::Two(sender), tokio::spawn(async move { drop(connection.await) }))
        } else {
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
            (Sender::One(sender), tokio::spawn(async move { drop(connection.await) }))
        };
        sender.ready().await.then_some(Open { sender, engine })
    }

    /// Sends `shot`, and returns name and value of the first cookie that its answer sets.
    pub(super) async fn cookie(&mut self, shot: Shot) -> Option<(String, String)> {
        let open = self.open.as_mut()?;
        let response = tokio::time::timeout(self.timeout, open.sender.send(shot)).await.ok()??;
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

async fn exchange(sender: &mut Sender, shot: Shot, marker: Option<&Marker>) -> Option<Answer> {
    let response = sender.send(shot).await?;
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
