//! The client's socket, shared by the stream that Pingora is given and by whoever serves the connection.
//!
//! Pingora flushes a head, each chunk and the last chunk by themselves. While a turn is served ([`ClientSocket::turn`]) a
//! flush is a debt that is paid as soon as the turn has nothing more to say for now: what it wrote in one go leaves in one
//! go, and nothing is held back while anything is waited for.
//!
//! Never here: a byte changed, a byte read ahead; how long a client may take nothing ([`patient`](crate::edge::patient)).

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf};

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
    carrier: BufWriter<Box<dyn Carrier>>,
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
    /// The socket `carrier`.
    #[must_use]
    pub fn new(carrier: Box<dyn Carrier>) -> Self {
        Self(Arc::new(Mutex::new(Ends {
            carrier: BufWriter::with_capacity(WRITE_AT_ONCE, carrier),
            in_turn: false,
            owed: false,
            failed: None,
            unread: false,
        })))
    }

    /// Serves a turn. What it flushes leaves whenever it waits for anything; it has ended once all has left, or cannot.
    pub async fn turn<F: Future>(&self, serve: F) -> F::Output {
        let _turn = InTurn::begin(self);
        let mut serve = pin!(serve);
        let mut served = None;
        poll_fn(|context| {
            if served.is_none()
                && let Poll::Ready(output) = serve.as_mut().poll(context)
            {
                served = Some(output);
            }
            ready!(self.0.lock().poll_paid(context));
            served.take().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Fails once nothing can be written any more, and the client is as good as gone.
    pub(super) fn check(&self) -> io::Result<()> {
        self.0.lock().carrier().map(drop)
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
    /// Ready when nothing is owed. Until then, whoever polls with `context` is woken when the client takes more.
    fn poll_paid(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.owed {
            let paid = ready!(Pin::new(&mut self.carrier).poll_flush(context));
            self.owed = false;
            if let Err(error) = paid {
                self.failed = Some(error.kind());
                // Told now to whoever reads: nobody may be about to write.
                context.waker().wake_by_ref();
            }
        }
        Poll::Ready(())
    }

    /// To write to, as long as it can be.
    fn carrier(&mut self) -> io::Result<Pin<&mut BufWriter<Box<dyn Carrier>>>> {
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
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.lock().carrier()?.poll_read(context, into)
    }
}

impl AsyncWrite for ClientSocket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().carrier()?.poll_write(context, bytes)
    }

    /// In a turn this only notes that it is owed.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut ends = self.0.lock();
        let in_turn = ends.in_turn;
        let carrier = ends.carrier()?;
        if !in_turn {
            return carrier.poll_flush(context);
        }
        ends.owed = true;
        Poll::Ready(Ok(()))
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

#[cfg(test)]
mod tests;
