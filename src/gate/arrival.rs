//! A request as the edge hands it over, before anything has been judged.

use std::net::SocketAddr;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;

use crate::domain::Outage;

/// The head of a request, as received.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'r> {
    /// The method, exactly as sent.
    pub method: &'r str,
    /// The request target, exactly as sent (HTTP/2: `:path`).
    pub raw_target: &'r [u8],
    /// HTTP/2's `:authority`, when there was one.
    pub authority: Option<&'r str>,
    /// All fields as sent, `Host` among them.
    pub headers: &'r HeaderMap,
    /// The address at the other end of the connection.
    pub peer: SocketAddr,
    /// Whether the connection is TLS.
    pub tls: bool,
    /// The server name of the TLS handshake, lower case, when there was one.
    pub server_name: Option<&'r str>,
    /// Whether it came over HTTP/2.
    pub http2: bool,
}

/// Reads the body when a verdict needs it. Implemented by the edge; asked at most once per request.
#[async_trait]
pub trait BodySource: Send {
    /// The whole body, at most `limit` bytes, in such a way that it can still be forwarded.
    ///
    /// # Errors
    ///
    /// [`Outage::BodyTooLarge`] past the limit, [`Outage::BodyUnread`] when the client broke off or was too slow.
    async fn body(&mut self, limit: usize) -> Result<Bytes, Outage>;

    /// Takes a place at the upstream of this number for the request; false when it has its fill.
    ///
    /// Asked once everything else has said yes and before anything is spent, so that a full upstream spends nothing.
    fn reserve(&mut self, upstream: usize) -> bool {
        let _ = upstream;
        true
    }
}
