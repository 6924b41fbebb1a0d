//! The request body, read before the verdict where the verdict depends on it, and kept so that it can still be forwarded.
//!
//! Pingora keeps what was read as long as it is at most 64 KiB, and sends it on as if it had just arrived. More than that
//! cannot be kept, so it is never begun: a body that is announced or grows larger is refused.

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use pingora::proxy::Session;

use crate::domain::Outage;
use crate::edge::upstream::{Place, Upstreams};
use crate::gate::arrival::BodySource;

/// What Pingora keeps of a body, to the byte.
pub const MOST_KEPT: usize = 64 * 1024;

/// What the edge does for a verdict: it reads the body, and takes a place at the upstream.
pub struct Means<'e, B> {
    /// Reads the body.
    pub body: B,
    /// Where places are taken.
    pub upstreams: &'e Upstreams,
    /// The place that was taken.
    pub place: &'e mut Option<Place>,
}

#[async_trait]
impl<B: BodySource> BodySource for Means<'_, B> {
    async fn body(&mut self, limit: usize) -> Result<Bytes, Outage> {
        self.body.body(limit).await
    }

    fn reserve(&mut self, upstream: usize) -> bool {
        *self.place = self.upstreams.get(upstream).and_then(|upstream| upstream.enter());
        self.place.is_some()
    }
}

/// A body that is not there.
pub struct NoBody;

#[async_trait]
impl BodySource for NoBody {
    async fn body(&mut self, _limit: usize) -> Result<Bytes, Outage> {
        Ok(Bytes::new())
    }
}

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
