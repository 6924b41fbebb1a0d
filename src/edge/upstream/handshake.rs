//! The upstream connection of a WebSocket handshake, slowed down by three polls.
//!
//! Pingora tells its upstream half that the (empty) request body has ended by a message of its own, after the head was
//! written. Where the upstream's `101` can be read before that message is taken, Pingora 0.9.1 takes the message for the
//! end of the tunnel and closes it at once: a matter of scheduling, rare over a network, frequent on a busy machine with
//! the upstream beside it. Here a read that follows a write is put off for a few polls, each of which takes the message
//! first. Nothing waits for a timer, and nothing is put off once the protocol was switched.
//!
//! Such a connection is never pooled: it is a tunnel, or it has refused to be one.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use pingora::connectors::L4Connect;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora::{Error, ErrorType};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How often a read that follows a write is put off. Once would do, were it not for the runtime's budget per poll, which
/// may put off the message instead.
const POLLS: u8 = 3;

/// What has become of a handshake; shared by the proxy, which sees the answer, and the socket, which carries it.
#[derive(Debug, Default)]
pub struct Handshake {
    switched: AtomicBool,
    over: AtomicBool,
}

impl Handshake {
    /// The upstream has switched protocols.
    pub fn switch(&self) {
        self.switched.store(true, Ordering::Release);
    }

    /// The upstream has refused to, and its answer has been read: the connection has come to its end.
    pub fn end(&self) {
        self.over.store(true, Ordering::Release);
    }
}

/// Connects for a handshake.
#[derive(Debug)]
pub struct HandshakeConnect {
    /// Shared with the proxy.
    pub handshake: Arc<Handshake>,
    /// Within this the connection has to come about.
    pub patience: Duration,
}

#[async_trait]
impl L4Connect for HandshakeConnect {
    async fn connect(&self, address: &SocketAddr) -> pingora::Result<Stream> {
        let Some(address) = address.as_inet() else {
            return Error::e_explain(ErrorType::ConnectError, "not an internet address");
        };
        let socket = match tokio::time::timeout(self.patience, TcpStream::connect(address)).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => return Error::e_because(ErrorType::ConnectRefused, "connecting for a handshake", error),
            Err(elapsed) => return Error::e_because(ErrorType::ConnectTimedout, "connecting for a handshake", elapsed),
        };
        Ok(VirtualSocketStream::new(Box::new(Unhurried { socket, handshake: self.handshake.clone(), put_off: 0 })).into())
    }
}

#[derive(Debug)]
struct Unhurried {
    socket: TcpStream,
    handshake: Arc<Handshake>,
    put_off: u8,
}

impl VirtualSocket for Unhurried {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        match option {
            VirtualSockOpt::NoDelay => self.socket.set_nodelay(true),
            // Keep-alive and what may come: none is asked for.
            _ => Ok(()),
        }
    }
}

impl AsyncRead for Unhurried {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.handshake.over.load(Ordering::Acquire) {
            return Poll::Ready(Ok(()));
        }
        if 0 < self.put_off {
            self.put_off -= 1;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.socket).poll_read(context, into)
    }
}

impl AsyncWrite for Unhurried {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.handshake.switched.load(Ordering::Acquire) {
            self.put_off = POLLS;
        }
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
