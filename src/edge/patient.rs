//! How long a client may take nothing.
//!
//! Beneath TLS and every buffer, so that what counts is a byte that the client's machine took: what is said meanwhile buys a
//! silent client no time. Pingora bounds some writes, but no flush.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long a client may take nothing, in milliseconds. Its clones are one.
#[derive(Debug, Clone)]
pub struct WritePatience(Arc<AtomicU64>);

impl WritePatience {
    /// So long, to begin with.
    #[must_use]
    pub fn new(patience: Duration) -> Self {
        let it = Self(Arc::default());
        it.set(patience);
        it
    }

    /// So long from now on. A client that takes nothing already is held to what was said before.
    pub fn set(&self, patience: Duration) {
        self.0.store(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// A socket that is given up when it takes no byte for too long.
#[derive(Debug)]
pub struct Patient<S> {
    socket: S,
    patience: WritePatience,
    /// While it takes nothing: until when.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncWrite + Unpin> Patient<S> {
    /// Waits for `socket` as `patience` says.
    #[must_use]
    pub fn new(socket: S, patience: WritePatience) -> Self {
        Self { socket, patience, stalled: None }
    }

    fn poll_taken<T>(
        &mut self,
        context: &mut Context<'_>,
        give: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(taken) = give(Pin::new(&mut self.socket), context) {
            self.stalled = None;
            return Poll::Ready(taken);
        }
        let patience = &self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience.get())));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_taken(context, |socket, context| socket.poll_write(context, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A flush of nothing says nothing of the client: only what is written begins and ends a stall.
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.poll_taken(context, |socket, context| socket.poll_write_vectored(context, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;
