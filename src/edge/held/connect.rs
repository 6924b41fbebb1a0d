//! Connections for replies that are held, with a pool of their own.
//!
//! Pingora tells pooled connections by their file descriptor, which a socket of ours does not have. So what it gets is a socket for one
//! exchange; the connection beneath (TLS included) is taken from, and goes back to, a pool that only held replies share.
//!
//! Not here: whether a connection may be used again. Pingora decides that as for any other, and shows it by looking whether anything
//! comes behind a complete reply (`socket`).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::connectors::{L4Connect, TransportConnector};
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::VirtualSocketStream;
use pingora::upstreams::peer::{HttpPeer, Peer};

use crate::edge::held::HeldReply;
use crate::edge::held::socket::{HeldSocket, Lender};

/// Connects for one exchange.
pub(super) struct HeldConnect {
    transport: Arc<TransportConnector>,
    /// What is really connected to.
    beneath: HttpPeer,
    reply: Arc<HeldReply>,
    /// For how long the upstream may say nothing.
    silence: Option<Duration>,
    bodiless: bool,
}

impl HeldConnect {
    pub(super) fn new(
        transport: Arc<TransportConnector>,
        beneath: HttpPeer,
        reply: Arc<HeldReply>,
        silence: Option<Duration>,
        bodiless: bool,
    ) -> Self {
        Self { transport, beneath, reply, silence, bodiless }
    }
}

impl std::fmt::Debug for HeldConnect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HeldConnect({})", self.beneath)
    }
}

#[async_trait]
impl L4Connect for HeldConnect {
    async fn connect(&self, _address: &SocketAddr) -> pingora::Result<Stream> {
        let (connection, reused) = self.transport.get_stream(&self.beneath).await?;
        if reused {
            self.reply.note_reused();
        }
        let lender = Lender { transport: Arc::clone(&self.transport), key: self.beneath.reuse_hash(), idle: self.beneath.idle_timeout() };
        let socket = HeldSocket::new(connection, lender, Arc::clone(&self.reply), self.silence, self.bodiless);
        Ok(VirtualSocketStream::new(Box::new(socket)).into())
    }
}
