//! An upstream that records every request that reaches it, byte by byte, and answers as it is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use parking_lot::Mutex;
use pingora::tls::TlsAcceptor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::support::identity::Identity;
use crate::support::raw::{PATIENCE, Socket};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Request line and fields, as sent.
    pub head: String,
    /// The body, its framing taken off.
    pub body: Bytes,
}

impl Recorded {
    pub fn line(&self) -> &str {
        self.head.split("\r\n").next().unwrap()
    }

    pub fn target(&self) -> &str {
        self.line().split(' ').nth(1).unwrap()
    }

    /// All values of a field.
    pub fn fields(&self, name: &str) -> Vec<&str> {
        let lines = self.head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }
}

/// What it answers.
pub enum Reply {
    /// These bytes, and the connection lives on.
    Bytes(Vec<u8>),
    /// A chunked answer, chunk by chunk as they come.
    Stream(mpsc::Receiver<Bytes>),
    /// `101`, and then every byte back to where it came from.
    Echo,
    /// These bytes, once they are known; the end of the connection if they never are.
    Later(oneshot::Receiver<Vec<u8>>),
    /// Nothing, ever.
    Silence,
    /// The end of the connection.
    Hangup,
}

/// `200` with this body.
pub fn ok(body: &str) -> Reply {
    Reply::Bytes(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

type Script = dyn Fn(&Recorded) -> Reply + Send + Sync;

struct State {
    records: Mutex<Vec<Recorded>>,
    connections: AtomicUsize,
    body_bytes: AtomicUsize,
    tunnelled: Mutex<Vec<u8>>,
    script: Box<Script>,
}

/// A running upstream; stops when dropped.
pub struct Upstream {
    pub address: SocketAddr,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

impl Upstream {
    /// Answers `200 ok` to everything.
    pub async fn start() -> Self {
        Self::scripted(|_| ok("ok")).await
    }

    pub async fn scripted(script: impl Fn(&Recorded) -> Reply + Send + Sync + 'static) -> Self {
        Self::behind(None, script).await
    }

    /// The same over TLS.
    pub async fn over_tls(identity: &Identity, script: impl Fn(&Recorded) -> Reply + Send + Sync + 'static) -> Self {
        Self::behind(Some(identity.acceptor()), script).await
    }

    async fn behind(acceptor: Option<TlsAcceptor>, script: impl Fn(&Recorded) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            records: Mutex::default(),
            connections: AtomicUsize::new(0),
            body_bytes: AtomicUsize::new(0),
            tunnelled: Mutex::default(),
            script: Box::new(script),
        });
        let shared = state.clone();
        let task = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                shared.connections.fetch_add(1, Ordering::SeqCst);
                socket.set_nodelay(true).unwrap();
                let (state, acceptor) = (shared.clone(), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(&mut { socket }, &state).await,
                        Some(acceptor) => serve(&mut acceptor.accept(socket).await.ok()?, &state).await,
                    }
                });
            }
        });
        Self { address, state, task }
    }

    /// Requests that have arrived complete.
    pub fn hits(&self) -> usize {
        self.state.records.lock().len()
    }

    pub fn records(&self) -> Vec<Recorded> {
        self.state.records.lock().clone()
    }

    /// The only request that has arrived.
    pub fn sole(&self) -> Recorded {
        let records = self.records();
        assert_eq!(records.len(), 1, "exactly one request: {records:#?}");
        records.into_iter().next().unwrap()
    }

    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Bytes of bodies that have arrived, also of unfinished ones.
    pub fn body_bytes(&self) -> usize {
        self.state.body_bytes.load(Ordering::SeqCst)
    }

    /// What came through after a `101`.
    pub fn tunnelled(&self) -> Vec<u8> {
        self.state.tunnelled.lock().clone()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits until `condition` holds.
pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn serve(socket: &mut impl Socket, state: &State) -> Option<()> {
    let mut buffer = BytesMut::new();
    loop {
        let end = loop {
            if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            fill(socket, &mut buffer).await?;
        };
        let head = String::from_utf8(buffer.split_to(end).to_vec()).unwrap();
        buffer.advance(4);
        let mut record = Recorded { head, body: Bytes::new() };
        record.body = body(socket, &mut buffer, &record, state).await?;
        state.records.lock().push(record.clone());
        match (state.script)(&record) {
            Reply::Bytes(bytes) => socket.write_all(&bytes).await.ok()?,
            Reply::Stream(mut chunks) => {
                socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n").await.ok()?;
                while let Some(chunk) = chunks.recv().await {
                    socket.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).await.ok()?;
                    socket.write_all(&chunk).await.ok()?;
                    socket.write_all(b"\r\n").await.ok()?;
                }
                socket.write_all(b"0\r\n\r\n").await.ok()?;
            }
            Reply::Echo => {
                socket.write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await.ok()?;
                loop {
                    if buffer.is_empty() {
                        fill(socket, &mut buffer).await?;
                    }
                    state.tunnelled.lock().extend_from_slice(&buffer);
                    socket.write_all(&buffer.split()).await.ok()?;
                }
            }
            Reply::Later(bytes) => socket.write_all(&bytes.await.ok()?).await.ok()?,
            Reply::Silence => std::future::pending::<()>().await,
            Reply::Hangup => return None,
        }
    }
}

async fn fill(socket: &mut impl Socket, buffer: &mut BytesMut) -> Option<()> {
    (0 < socket.read_buf(buffer).await.ok()?).then_some(())
}

async fn body(socket: &mut impl Socket, buffer: &mut BytesMut, record: &Recorded, state: &State) -> Option<Bytes> {
    let (lengths, codings) = (record.fields("content-length"), record.fields("transfer-encoding"));
    assert!(lengths.len() + codings.len() <= 1, "one framing at most reaches an upstream: {}", record.head);
    let mut body = BytesMut::new();
    if let Some(length) = lengths.first() {
        let length: usize = length.parse().unwrap();
        while body.len() < length {
            if buffer.is_empty() {
                fill(socket, buffer).await?;
            }
            let taken = buffer.split_to(buffer.len().min(length - body.len()));
            state.body_bytes.fetch_add(taken.len(), Ordering::SeqCst);
            body.extend_from_slice(&taken);
        }
    } else if !codings.is_empty() {
        assert_eq!(codings, ["chunked"], "the only coding that reaches an upstream");
        loop {
            let end = loop {
                if let Some(end) = buffer.windows(2).position(|window| window == b"\r\n") {
                    break end;
                }
                fill(socket, buffer).await?;
            };
            let size = usize::from_str_radix(std::str::from_utf8(&buffer[..end]).unwrap(), 16).expect("a bare chunk size");
            buffer.advance(end + 2);
            while buffer.len() < size + 2 {
                fill(socket, buffer).await?;
            }
            state.body_bytes.fetch_add(size, Ordering::SeqCst);
            body.extend_from_slice(&buffer.split_to(size));
            assert_eq!(&buffer.split_to(2)[..], b"\r\n");
            if size == 0 {
                break;
            }
        }
    }
    Some(body.freeze())
}
