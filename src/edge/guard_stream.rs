//! The client's connection as Pingora is shown it: one request at a time, each checked before Pingora reads a byte of it.
//!
//! A turn begins with [`GuardStream::next_head`], which reads one head strictly and under one deadline. Then Pingora may
//! read exactly that head and the body its framing announces. Whatever the client sends beyond waits for the next turn,
//! so that no byte is ever taken for part of another request and none reaches an upstream without a verdict of its own.
//! After a switch of protocols (`Wire::open`) bytes pass as they come.
//!
//! When Pingora lets go of the stream, the socket is still held by whoever serves the connection, and can be closed without
//! cutting off the answer that is still on its way.
//!
//! Never here: a byte changed, a body kept, a request judged.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::edge::framing::Ruler;
use crate::edge::head::{BodyLength, Extent, Finder, Head, HeadFault, HeadLimits};
use crate::edge::socket::ClientSocket;
use crate::edge::wire::Wire;

/// What is read at once of a head, and of what follows a message.
const READ_AT_ONCE: usize = 4 * 1024;
/// The same while the message is complete: enough to see that the client is still there.
const WATCH_AT_ONCE: usize = 512;
/// The first bytes of HTTP/2 with prior knowledge (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How a head is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How large it may be.
    pub limits: HeadLimits,
    /// From the first byte on, it must be complete by then.
    pub head: Duration,
}

/// What a head is held to. Asked when a head begins and when it is complete, never while a connection lies idle: rules that
/// change meanwhile hold for the next head.
pub trait HeadRules: Sync {
    /// How a head is waited for whose first byte has come.
    fn patience(&self) -> Patience;

    /// Reads a complete head, as the [`Finder`] delimited it.
    ///
    /// # Errors
    ///
    /// The first rule it breaks.
    fn read(&self, head: &[u8]) -> Result<Head, HeadFault>;
}

/// What the start of a turn brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// A request whose head may be read.
    Request,
    /// HTTP/2 with prior knowledge; only where it was asked for, and only as the first bytes of a connection.
    Preface,
    /// The client has gone, or has been silent for too long. Nothing needs to be answered.
    Over,
    /// A head that is refused.
    Refused(HeadFault),
}

/// The client's connection as Pingora is shown it.
#[derive(Debug)]
pub struct GuardStream {
    socket: ClientSocket,
    wire: Arc<Wire>,
    /// Arrived and not passed on: a head, the start of its body, or what waits for the next turn.
    buffer: BytesMut,
    /// Bytes at the front of `buffer` that belong to the head and may be passed on.
    head_left: usize,
    head: Head,
    ruler: Ruler,
    at_end: bool,
    /// HTTP/2: bytes pass from the start, and Pingora's own loop reads them.
    raw: bool,
}

impl GuardStream {
    /// Guards `socket`.
    #[must_use]
    pub fn new(socket: ClientSocket, wire: Arc<Wire>) -> Self {
        Self {
            socket,
            wire,
            buffer: BytesMut::new(),
            head_left: 0,
            head: Head { body: BodyLength::Known(0), expects_continue: false, websocket: false, hop_by_hop: false },
            ruler: Ruler::new(BodyLength::Known(0)),
            at_end: false,
            raw: false,
        }
    }

    /// The wire that goes with it.
    #[must_use]
    pub fn wire(&self) -> &Arc<Wire> {
        &self.wire
    }

    /// The head of the current turn.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    /// From now on HTTP/2 is spoken and nothing is withheld.
    pub fn pass_everything(&mut self) {
        self.raw = true;
    }

    /// Waits for the next request and reads its head.
    ///
    /// `idle`: how long the connection may lie idle before its first byte. `preface`: whether HTTP/2 with prior knowledge may
    /// start here.
    pub async fn next_head(&mut self, idle: Duration, rules: &impl HeadRules, preface: bool) -> Turn {
        // The last message was left unread, and what comes now is the rest of it, never a request; or nobody would get an answer.
        if !self.ruler.is_done() || self.head_left != 0 || self.socket.check().is_err() {
            return Turn::Over;
        }
        if self.buffer.is_empty() && !matches!(tokio::time::timeout(idle, self.fill()).await, Ok(Ok(true))) {
            return Turn::Over;
        }
        let patience = rules.patience();
        match tokio::time::timeout(patience.head, self.read_head(patience.limits, rules, preface)).await {
            Ok(Ok(turn)) => turn,
            Ok(Err(fault)) => Turn::Refused(fault),
            Err(_elapsed) => Turn::Refused(HeadFault::TOO_SLOW),
        }
    }

    async fn read_head(&mut self, limits: HeadLimits, rules: &impl HeadRules, preface: bool) -> Result<Turn, HeadFault> {
        if preface && self.starts_with_preface().await {
            self.raw = true;
            return Ok(Turn::Preface);
        }
        if !self.skip_empty_line().await {
            return Ok(Turn::Over);
        }
        let mut finder = Finder::default();
        let end = loop {
            if let Extent::Complete(end) = finder.advance(&self.buffer, limits)? {
                break end;
            }
            if !self.fill().await.unwrap_or(false) {
                return Ok(Turn::Over);
            }
        };
        self.head = rules.read(self.buffer.get(..end).unwrap_or_default())?;
        self.ruler = Ruler::new(self.head.body);
        self.head_left = end;
        Ok(Turn::Request)
    }

    async fn starts_with_preface(&mut self) -> bool {
        loop {
            let arrived = self.buffer.len().min(PREFACE.len());
            if self.buffer.get(..arrived) != PREFACE.get(..arrived) {
                return false;
            }
            if arrived == PREFACE.len() {
                return true;
            }
            if !self.fill().await.unwrap_or(false) {
                return false;
            }
        }
    }

    /// Takes one empty line off, if the request line has one before it (RFC 9112 section 2.2); false when the client left.
    async fn skip_empty_line(&mut self) -> bool {
        while self.buffer.first() == Some(&b'\r') {
            match self.buffer.get(1).copied() {
                Some(b'\n') => {
                    self.buffer.advance(2);
                    return !self.buffer.is_empty() || self.fill().await.unwrap_or(false);
                }
                // Refused as what it is by whoever reads on.
                Some(_) => return true,
                None if self.fill().await.unwrap_or(false) => {}
                None => return false,
            }
        }
        true
    }

    /// Reads what there is into the buffer; false at the end of the connection.
    async fn fill(&mut self) -> io::Result<bool> {
        self.buffer.reserve(READ_AT_ONCE);
        Ok(0 < self.socket.read_buf(&mut self.buffer).await?)
    }

    /// Writes an answer of our own outside of any turn, and ends the writing side.
    pub async fn answer_and_finish(&mut self, answer: &[u8], patience: Duration) {
        let write = async {
            self.socket.write_all(answer).await?;
            self.socket.shutdown().await
        };
        // Whether it arrives is the client's affair: it is refused either way.
        let _ = tokio::time::timeout(patience, write).await;
    }

    /// Passes on bytes that are in the buffer already, as far as they belong to this message.
    fn pass_buffered(&mut self, into: &mut ReadBuf<'_>) -> io::Result<()> {
        let room = into.remaining().min(self.buffer.len());
        let taken = if 0 < self.head_left {
            let taken = room.min(self.head_left);
            self.head_left -= taken;
            taken
        } else if self.passes() {
            room
        } else {
            let arrived = self.buffer.get(..room).unwrap_or_default();
            self.ruler.measure(arrived).map_err(|why| broken(&self.wire, why))?
        };
        into.put_slice(self.buffer.get(..taken).unwrap_or_default());
        self.buffer.advance(taken);
        Ok(())
    }

    fn passes(&self) -> bool {
        self.raw || self.wire.is_open()
    }

    /// The message is complete. Watches for the end of the connection; what arrives meanwhile waits for its turn.
    fn poll_withheld(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.park(context.waker());
        if self.passes() {
            // Opened between the two looks at it.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !self.buffer.is_empty() {
            return self.socket.check().map_or_else(|error| Poll::Ready(Err(error)), |()| Poll::Pending);
        }
        let mut arrived = [0; WATCH_AT_ONCE];
        let mut buffer = ReadBuf::new(&mut arrived);
        ready!(Pin::new(&mut self.socket).poll_read(context, &mut buffer))?;
        if buffer.filled().is_empty() {
            self.at_end = true;
            return Poll::Ready(Ok(()));
        }
        self.buffer.extend_from_slice(buffer.filled());
        Poll::Pending
    }
}

/// Notes that the body broke its framing; the error says so to Pingora, which then gives the request up.
fn broken(wire: &Wire, why: &'static str) -> io::Error {
    wire.note_broken(why);
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl AsyncRead for GuardStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let guard = self.get_mut();
        if guard.at_end || into.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if let Some(why) = guard.wire.broken() {
            return Poll::Ready(Err(broken(&guard.wire, why)));
        }
        let message_done = guard.head_left == 0 && guard.ruler.is_done() && !guard.passes();
        if message_done {
            return guard.poll_withheld(context);
        }
        if !guard.buffer.is_empty() {
            return Poll::Ready(guard.pass_buffered(into));
        }
        let before = into.filled().len();
        ready!(Pin::new(&mut guard.socket).poll_read(context, into))?;
        if guard.raw || guard.wire.is_open() {
            return Poll::Ready(Ok(()));
        }
        let arrived = into.filled().get(before..).unwrap_or_default();
        match guard.ruler.measure(arrived) {
            Ok(taken) => {
                guard.buffer.extend_from_slice(arrived.get(taken..).unwrap_or_default());
                into.set_filled(before + taken);
                Poll::Ready(Ok(()))
            }
            Err(why) => {
                into.set_filled(before);
                Poll::Ready(Err(broken(&guard.wire, why)))
            }
        }
    }
}

impl AsyncWrite for GuardStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for GuardStream {
    /// Pingora is done with it. It is closed by whoever serves the connection, once nothing is on its way any more.
    async fn shutdown(&mut self) {
        let _ = self.flush().await;
    }
}

impl UniqueID for GuardStream {
    fn id(&self) -> UniqueIDType {
        0
    }
}

impl Ssl for GuardStream {}

impl Peek for GuardStream {}

impl GetTimingDigest for GuardStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for GuardStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for GuardStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}

impl Drop for GuardStream {
    fn drop(&mut self) {
        self.socket.leave(!self.at_end && !self.raw && (!self.ruler.is_done() || !self.buffer.is_empty()));
    }
}

#[cfg(test)]
mod tests;
