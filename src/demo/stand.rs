//! A loopback HTTP/1.1 server that a stand-in stands on.
//!
//! It answers, or hangs up without answering; both are worth testing against. It stops when it is dropped, and its
//! open connections with it; those that speak another protocol by then end with their peer.
//!
//! Not here: HTTP/2, any protection against its clients.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// A running server. Dropping it closes the listener and every connection.
pub struct Stand {
    address: SocketAddr,
    task: JoinHandle<()>,
}

/// What follows a `101` that carries it among its extensions: a conversation over the connection, in the protocol that was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Conversation(pub fn(TokioIo<Upgraded>) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send>>);

/// What a stand-in makes of a request: an answer, or nothing but a closed connection.
pub type Reply = Option<Response<Full<Bytes>>>;

impl Stand {
    /// Bodies past this are cut off and the connection closed.
    const BODY_LIMIT: usize = 8 * 1024 * 1024;

    /// Listens on `address` (port 0 for any free one) and answers every request with `handler`.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on.
    pub async fn listen<H, F>(address: SocketAddr, handler: H) -> io::Result<Self>
    where
        H: Fn(Request<Bytes>) -> F + Send + Sync + 'static,
        F: Future<Output = Reply> + Send + 'static,
    {
        Self::open(address, None, handler).await
    }

    /// The same over TLS, with the certificate in `config`.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on.
    pub async fn listen_tls<H, F>(address: SocketAddr, config: Arc<rustls::ServerConfig>, handler: H) -> io::Result<Self>
    where
        H: Fn(Request<Bytes>) -> F + Send + Sync + 'static,
        F: Future<Output = Reply> + Send + 'static,
    {
        Self::open(address, Some(TlsAcceptor::from(config)), handler).await
    }

    async fn open<H, F>(address: SocketAddr, tls: Option<TlsAcceptor>, handler: H) -> io::Result<Self>
    where
        H: Fn(Request<Bytes>) -> F + Send + Sync + 'static,
        F: Future<Output = Reply> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(accept(listener, tls, Arc::new(handler)));
        Ok(Self { address, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its origin, without a trailing slash: `http://127.0.0.1:40123`.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Stand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stand").field("address", &self.address).finish_non_exhaustive()
    }
}

async fn accept<H, F>(listener: TcpListener, tls: Option<TlsAcceptor>, handler: Arc<H>)
where
    H: Fn(Request<Bytes>) -> F + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    // Dropped together with this task, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (handler, tls) = (Arc::clone(&handler), tls.clone());
        connections.spawn(async move {
            match tls {
                None => serve(stream, handler).await,
                Some(tls) => {
                    // A handshake that fails is a client that does not trust us.
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, handler).await;
                    }
                }
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn serve<S, H, F>(stream: S, handler: Arc<H>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Bytes>) -> F,
    F: Future<Output = Reply>,
{
    let service = service_fn(move |request| answer(Arc::clone(&handler), request));
    // An error here is a client that went away, or a handler that hung up: both are meant.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
}

/// Why a connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("hung up")]
struct HungUp;

async fn answer<H, F>(handler: Arc<H>, mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, HungUp>
where
    H: Fn(Request<Bytes>) -> F,
    F: Future<Output = Reply>,
{
    let upgrade = hyper::upgrade::on(&mut request);
    let (head, body) = request.into_parts();
    let body = Limited::new(body, Stand::BODY_LIMIT).collect().await.map_err(|_| HungUp)?.to_bytes();
    let response = handler(Request::from_parts(head, body)).await.ok_or(HungUp)?;
    if let Some(Conversation(speak)) = response.extensions().get() {
        let speak = *speak;
        tokio::spawn(async move {
            // An error is a peer that went away.
            if let Ok(connection) = upgrade.await {
                let _ = speak(TokioIo::new(connection)).await;
            }
        });
    }
    Ok(response)
}

/// An answer of `status` with a JSON body.
#[must_use]
pub fn json(status: u16, body: &serde_json::Value) -> Response<Full<Bytes>> {
    plain(status, "application/json", body.to_string())
}

/// An answer of `status` with `body` of the given media type.
#[must_use]
pub fn plain(status: u16, media_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(media_type));
    response
}
