//! The request body, read before the verdict where the verdict depends on it, and kept so that it can still be forwarded.
//!
//! Pingora keeps what was read as long as it is at most 64 KiB, and sends it on as if it had just arrived. More than that
//! cannot be kept, so it is never begun: a body that is announced or grows larger is refused.

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use pingora::proxy::Session;

use crate::domain::Outage;
use crate::gate::arrival::BodySource;

/// What Pingora keeps of a body, to the byte.
pub const MOST_KEPT: usize = 64 * 1024;

/// Reads the body of one session, once.
pub struct SessionBody<'s> {
    /// Whose body.
    pub session: &'s mut Session,
    /// `Content-Length`, when there is one.
    pub announced: Option<u64>,
    /// The client waits for `100 Continue`.
    pub expects_continue: bool,
    /// Within this the whole body must have arrived.
    pub patience: Duration,
}

#[async_trait]
impl BodySource for SessionBody<'_> {
    async fn body(&mut self, limit: usize) -> Result<Bytes, Outage> {
        let limit = limit.min(MOST_KEPT);
        if self.announced.is_some_and(|announced| (limit as u64) < announced) {
            return Err(Outage::BodyTooLarge);
        }
        if self.session.is_body_empty() {
            return Ok(Bytes::new());
        }
        self.session.enable_retry_buffering();
        if self.expects_continue {
            say_continue(self.session).await.map_err(|_gone| Outage::BodyUnread)?;
            self.expects_continue = false;
        }
        match tokio::time::timeout(self.patience, read(self.session, limit)).await {
            Ok(result) => result,
            Err(_elapsed) => Err(Outage::BodyUnread),
        }
    }
}

async fn read(session: &mut Session, limit: usize) -> Result<Bytes, Outage> {
    let mut body = BytesMut::new();
    loop {
        match session.read_request_body().await {
            Ok(Some(piece)) if limit < body.len() + piece.len() => return Err(Outage::BodyTooLarge),
            Ok(Some(piece)) => body.extend_from_slice(&piece),
            Ok(None) => return Ok(body.freeze()),
            Err(_broken) => return Err(Outage::BodyUnread),
        }
    }
}

/// Sends `100 Continue`, which must not decide whether the connection lives on, as Pingora would have it.
///
/// # Errors
///
/// The client is gone.
pub async fn say_continue(session: &mut Session) -> pingora::Result<()> {
    session.set_close_on_response_before_downstream_finish(false);
    let said = session.write_continue_response().await;
    session.set_close_on_response_before_downstream_finish(true);
    said
}
