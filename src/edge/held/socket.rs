//! The socket that Pingora reads one held reply from.
//!
//! What the upstream sends is read ahead and kept until the reply is there as a whole, or is not to be held after all; then it is
//! given on, byte for byte. Interim heads go on at once. Whatever is written passes straight through.
//!
//! The connection goes back to its pool when Pingora, having found it fit to be used again, looks whether anything comes behind the
//! complete reply; it then sees the end of this socket, which is for one exchange, and lets go of it.
//!
//! Not here: where a reply ends (`reply`), what it means (`edge::held`).

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pingora::connectors::TransportConnector;
use pingora::protocols::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::edge::held::HeldReply;
use crate::edge::held::reply::{Follower, HeadFound, content_of_chunks};
use crate::systems::contract::HELD_REPLY;

/// Bytes of a chunked body that are held at most, the chunks' own lines included.
const MOST_FRAMED: usize = 2 * HELD_REPLY;
/// What is read at a time.
const PIECE: usize = 16 * 1024;

/// Where a connection came from and goes back to.
pub(super) struct Lender {
    pub(super) transport: Arc<TransportConnector>,
    pub(super) key: u64,
    pub(super) idle: Option<Duration>,
}

/// The socket of one exchange.
pub(super) struct HeldSocket {
    /// `None` once it went back.
    connection: Option<Stream>,
    lender: Lender,
    reply: Arc<HeldReply>,
    follower: Follower,
    /// Whether the reply is still being held.
    holding: bool,
    /// Read, and held.
    ahead: BytesMut,
    /// Where in `ahead` the body begins, once the final head is there.
    body_at: usize,
    /// What may be given on, piece by piece.
    free: VecDeque<Bytes>,
    /// For how long the upstream may say nothing; a reply is held for no longer either.
    patience: Option<Duration>,
    silence: Option<Pin<Box<Sleep>>>,
    hold: Option<Pin<Box<Sleep>>>,
}

/// What waiting for the upstream has come to.
enum Waited {
    Still,
    /// It has been silent for too long.
    Silent,
    /// It goes on, too slowly to be held any longer.
    HeldLongEnough,
}

impl HeldSocket {
    pub(super) fn new(connection: Stream, lender: Lender, reply: Arc<HeldReply>, patience: Option<Duration>, bodiless: bool) -> Self {
        Self {
            connection: Some(connection),
            lender,
            reply,
            follower: Follower::new(bodiless),
            holding: true,
            ahead: BytesMut::new(),
            body_at: 0,
            free: VecDeque::new(),
            patience,
            silence: None,
            hold: None,
        }
    }

    /// From now on everything goes on as it comes. Returns what was held.
    fn let_go(&mut self) -> Bytes {
        self.holding = false;
        self.hold = None;
        let held = self.ahead.split().freeze();
        if !held.is_empty() {
            self.free.push_back(held.clone());
        }
        held
    }

    /// The whole reply is there.
    fn keep(&mut self, chunked: bool) {
        let held = self.let_go();
        let body = held.slice(self.body_at.min(held.len())..);
        let content = if chunked { content_of_chunks(&body) } else { Some(body) };
        if let Some(content) = content.filter(|content| content.len() <= HELD_REPLY) {
            self.reply.keep(content);
        }
    }

    /// Looks at what was read; `ahead` held `before` bytes before that.
    fn study(&mut self, before: usize) {
        let mut followed = before;
        while self.follower.awaits_head() {
            match self.follower.read_head(&self.ahead) {
                HeadFound::Part => return,
                HeadFound::Interim(length) => self.free.push_back(self.ahead.split_to(length).freeze()),
                HeadFound::Final(length) => (self.body_at, followed) = (length, length),
                HeadFound::Lost => {
                    self.let_go();
                    return;
                }
            }
        }
        let chunked = self.follower.is_chunked();
        self.follower.follow(self.ahead.get(followed..).unwrap_or_default());
        if self.follower.is_lost() {
            self.let_go();
        } else if self.follower.is_over() {
            self.keep(chunked);
        } else if self.follower.outgrows(HELD_REPLY as u64) || MOST_FRAMED < self.ahead.len().saturating_sub(self.body_at) {
            self.let_go();
        }
    }

    /// The upstream has closed while its reply was held.
    ///
    /// # Errors
    ///
    /// The reply was not complete.
    fn ended(&mut self) -> io::Result<()> {
        if self.follower.is_endless() {
            self.keep(false);
            self.follower.lose();
            return Ok(());
        }
        if self.follower.awaits_head() {
            // What there is of a head is worth nothing; Pingora knows what to make of none at all.
            self.ahead.clear();
            self.let_go();
            self.follower.lose();
            return Ok(());
        }
        Err(io::Error::from(io::ErrorKind::UnexpectedEof))
    }

    /// The upstream has said something, or was told something: its silence begins anew.
    fn heard(&mut self) {
        self.silence = None;
    }

    fn wait(&mut self, context: &mut Context<'_>) -> Waited {
        let Some(patience) = self.patience else { return Waited::Still };
        let silence = self.silence.get_or_insert_with(|| Box::pin(sleep(patience)));
        if silence.as_mut().poll(context).is_ready() {
            return Waited::Silent;
        }
        if self.holding && !self.ahead.is_empty() {
            let hold = self.hold.get_or_insert_with(|| Box::pin(sleep(patience)));
            if hold.as_mut().poll(context).is_ready() {
                return Waited::HeldLongEnough;
            }
        }
        Waited::Still
    }

    /// Gives the connection back: Pingora has found that it can be used again.
    fn give_back(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.lender.transport.release_stream(connection, self.lender.key, self.lender.idle);
        }
    }

    /// Gives on what may go; false when there is nothing.
    fn give_on(&mut self, into: &mut ReadBuf<'_>) -> bool {
        let Some(piece) = self.free.front_mut() else { return false };
        let part = piece.split_to(piece.len().min(into.remaining()));
        into.put_slice(&part);
        if piece.is_empty() {
            self.free.pop_front();
        }
        true
    }

    /// Reads ahead.
    fn read_ahead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(Ok(())) };
        let before = self.ahead.len();
        // Twice as much each time, so that what is there is seldom moved.
        self.ahead.reserve(PIECE.max(before));
        // Nothing is lost when it is dropped without having read.
        let read = pin!(connection.read_buf(&mut self.ahead)).poll(context);
        match read {
            Poll::Ready(Ok(0)) => Poll::Ready(self.ended()),
            Poll::Ready(Ok(_)) => {
                self.heard();
                self.study(before);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Reads what goes on at once.
    fn pass_on(&mut self, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(Ok(())) };
        let before = into.filled().len();
        let read = Pin::new(connection).poll_read(context, into);
        if read.is_ready() {
            self.heard();
            self.follower.follow(into.filled().get(before..).unwrap_or_default());
        }
        read
    }
}

impl std::fmt::Debug for HeldSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HeldSocket(holding {}, {} bytes ahead)", self.holding, self.ahead.len())
    }
}

impl VirtualSocket for HeldSocket {
    /// None: the connection beneath has its own.
    fn set_socket_option(&self, _option: VirtualSockOpt) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for HeldSocket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.give_on(into) {
                return Poll::Ready(Ok(()));
            }
            if this.follower.is_over() {
                this.give_back();
                return Poll::Ready(Ok(()));
            }
            let read = if this.holding { this.read_ahead(context) } else { this.pass_on(context, into) };
            match read {
                Poll::Ready(Ok(())) if this.holding || !this.free.is_empty() => {}
                Poll::Ready(done) => return Poll::Ready(done),
                Poll::Pending => match this.wait(context) {
                    Waited::Still => return Poll::Pending,
                    Waited::HeldLongEnough => {
                        this.let_go();
                    }
                    Waited::Silent => {
                        this.reply.note_late();
                        return Poll::Ready(Err(io::Error::from(io::ErrorKind::TimedOut)));
                    }
                },
            }
        }
    }
}

impl AsyncWrite for HeldSocket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let Some(connection) = &mut this.connection else { return Poll::Ready(Err(io::Error::from(io::ErrorKind::BrokenPipe))) };
        let written = Pin::new(connection).poll_write(context, bytes);
        if written.is_ready() {
            this.heard();
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().connection {
            Some(connection) => Pin::new(connection).poll_flush(context),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().connection {
            Some(connection) => Pin::new(connection).poll_shutdown(context),
            None => Poll::Ready(Ok(())),
        }
    }
}
