//! The WebSocket of `/connect` (RFC 6455), as far as chat needs one: what a client writes is written back to it.
//!
//! Not here: messages of more than 125 bytes or in fragments, which no test sends and which end the connection.

use std::future::Future;
use std::io;
use std::pin::Pin;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::demo::stand::Conversation;

/// RFC 6455 section 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A text, all of it (section 5.2).
const TEXT: u8 = 0x81;
/// The end of the conversation, all of it.
const CLOSE: u8 = 0x88;

/// Whether `headers` ask for a WebSocket.
pub(super) fn is_asked_for(headers: &HeaderMap) -> bool {
    headers.get(UPGRADE).is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// The answer that opens one; `None` when the question is none of version 13 with a key of 16 bytes (section 4.2.1).
pub(super) fn opened(headers: &HeaderMap) -> Option<Response<Full<Bytes>>> {
    let key = headers.get(SEC_WEBSOCKET_KEY).and_then(|key| key.to_str().ok())?;
    let is_sound = STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16);
    if !is_sound || headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return None;
    }
    let accept = STANDARD.encode(Sha1::digest(format!("{key}{GUID}")));
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let fields = response.headers_mut();
    fields.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    fields.insert(UPGRADE, HeaderValue::from_static("websocket"));
    fields.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&accept).ok()?);
    response.extensions_mut().insert(Conversation(converse));
    Some(response)
}

fn converse(connection: TokioIo<Upgraded>) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send>> {
    Box::pin(echo(connection))
}

/// Writes back what comes, unmasked as servers write (section 5.1), until the end or something else than a short whole text.
async fn echo(mut connection: TokioIo<Upgraded>) -> io::Result<()> {
    loop {
        let kind = connection.read_u8().await?;
        let length = connection.read_u8().await?;
        let (masked, length) = (0x80 <= length, length & 0x7f);
        if !masked || 125 < length || !matches!(kind, TEXT | CLOSE) {
            return Ok(());
        }
        let mask = connection.read_u32().await?.to_be_bytes();
        let mut text = vec![0; usize::from(length)];
        connection.read_exact(&mut text).await?;
        for (byte, mask) in text.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        connection.write_all(&[kind, length]).await?;
        connection.write_all(&text).await?;
        connection.flush().await?;
        if kind == CLOSE {
            return Ok(());
        }
    }
}
