//! The client's socket, shared by the stream that Pingora is given and by whoever serves the connection.
//!
//! Pingora flushes a head, each chunk and the last chunk by themselves. While a turn is served ([`ClientSocket::turn`]) a
//! flush is a debt that is paid as soon as the turn has nothing more to say for now: what it wrote in one go leaves in one
//! go, and nothing is held back while anything is waited for.
//!
//! Never here: a byte changed, a byte read ahead.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf};
use tokio::time::Sleep;

/// What is thrown away at once of what nobody will read.
const THROW_AT_ONCE: usize = 4 * 1024;
/// What is gathered before it is written.
const WRITE_AT_ONCE: usize = 4 * 1024;

/// A socket, with or without TLS.
pub trait Carrier: AsyncRead + AsyncWrite + std::fmt::Debug + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + std::fmt::Debug + Send + Sync + Unpin> Carrier for T {}

/// The client's socket. Its clones are one socket; each lock is held for the length of one poll.
#[derive(Debug, Clone)]
pub struct ClientSocket(Arc<Mutex<Ends>>);

#[derive(Debug)]
struct Ends {
    carrier: BufWriter<Patient>,
    /// Whether a turn is served: a flush is then a debt.
    in_turn: bool,
    /// Whether a flush was promised and is still to be done.
    owed: bool,
    /// Why nothing can be written any more, where that was found while a debt was paid. Told to whoever reads or writes next.
    failed: Option<io::ErrorKind>,
    /// Whether the client may still be sending what nobody will read.
    unread: bool,
}

impl ClientSocket {
    /// The socket `carrier`. A client that takes no byte for `write_patience` is given up.
    #[must_use]
    pub fn new(carrier: Box<dyn Carrier>, write_patience: Duration) -> Self {
        Self(Arc::new(Mutex::new(Ends {
            carrier: BufWriter::with_capacity(WRITE_AT_ONCE, Patient { carrier, patience: write_patience, stalled: None }),
            in_turn: false,
            owed: false,
            failed: None,
            unread: false,
        })))
    }

    /// From now on, a client that takes no byte for `write_patience` is given up.
    pub fn be_patient(&self, write_patience: Duration) {
        self.0.lock().carrier.get_mut().patience = write_patience;
    }

    /// Serves a turn. What it flushes leaves whenever it waits for anything, and when it ends.
    pub async fn turn<F: Future>(&self, serve: F) -> F::Output {
        let _turn = InTurn::begin(self);
        let mut serve = pin!(serve);
        poll_fn(|context| {
            let served = serve.as_mut().poll(context);
            self.0.lock().pay(context);
            served
        })
        .await
    }

    /// Notes whether the client may still be sending what nobody will read.
    pub(super) fn leave(&self, unread: bool) {
        self.0.lock().unread = unread;
    }

    pub(super) fn is_unread(&self) -> bool {
        self.0.lock().unread
    }

    /// Closes the socket, after everything that was written. While the client is still sending, what arrives is thrown away
    /// for up to `patience` and `most` bytes: to close over unread bytes would reset the connection, and the client might
    /// never see its answer.
    pub async fn close(mut self, most: usize, patience: Duration) {
        let linger = async {
            self.shutdown().await?;
            let mut thrown = 0;
            let mut sink = [0; THROW_AT_ONCE];
            while self.is_unread() && thrown < most {
                match self.read(&mut sink).await? {
                    0 => break,
                    read => thrown += read,
                }
            }
            io::Result::Ok(())
        };
        let _ = tokio::time::timeout(patience, linger).await;
    }
}

impl Ends {
    /// Does what is owed, as far as the client takes it now. Whoever polls with `context` is woken when it takes more, and when
    /// it has not for too long.
    fn pay(&mut self, context: &mut Context<'_>) {
        if !self.owed {
            return;
        }
        if let Poll::Ready(paid) = Pin::new(&mut self.carrier).poll_flush(context) {
            self.owed = false;
            if let Err(error) = paid {
                self.failed = Some(error.kind());
                // Told now to whoever reads: nobody may be about to write.
                context.waker().wake_by_ref();
            }
        }
    }

    /// To write to, as long as it can be.
    fn carrier(&mut self) -> io::Result<Pin<&mut BufWriter<Patient>>> {
        match self.failed {
            None => Ok(Pin::new(&mut self.carrier)),
            Some(kind) => Err(kind.into()),
        }
    }
}

/// The length of a turn.
struct InTurn<'s>(&'s ClientSocket);

impl<'s> InTurn<'s> {
    fn begin(socket: &'s ClientSocket) -> Self {
        socket.0.lock().in_turn = true;
        Self(socket)
    }
}

impl Drop for InTurn<'_> {
    fn drop(&mut self) {
        self.0.0.lock().in_turn = false;
    }
}

impl AsyncRead for ClientSocket {
    /// Between two turns this also does what the last one owes.
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut ends = self.0.lock();
        if !ends.in_turn {
            ends.pay(context);
        }
        ends.carrier()?.poll_read(context, into)
    }
}

impl AsyncWrite for ClientSocket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().carrier()?.poll_write(context, bytes)
    }

    /// In a turn this only notes that it is owed.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut ends = self.0.lock();
        if !ends.in_turn {
            return ends.carrier()?.poll_flush(context);
        }
        ends.owed = true;
        Poll::Ready(ends.carrier().map(drop))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().carrier()?.poll_shutdown(context)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.0.lock().carrier()?.poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.lock().carrier.is_write_vectored()
    }
}

/// A carrier that is given up when it takes no byte for too long. Pingora bounds some writes, but no flush.
#[derive(Debug)]
struct Patient {
    carrier: Box<dyn Carrier>,
    patience: Duration,
    /// While it takes nothing: until when.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn poll_taken<T>(
        &mut self,
        context: &mut Context<'_>,
        give: impl FnOnce(Pin<&mut dyn Carrier>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(taken) = give(Pin::new(&mut *self.carrier), context) {
            self.stalled = None;
            return Poll::Ready(taken);
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.carrier).poll_read(context, into)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_taken(context, |carrier, context| carrier.poll_write(context, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_taken(context, |carrier, context| carrier.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_taken(context, |carrier, context| carrier.poll_shutdown(context))
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.poll_taken(context, |carrier, context| carrier.poll_write_vectored(context, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        self.carrier.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;
