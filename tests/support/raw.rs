//! A client that sends exactly the bytes it is given, and reads answers the way a strict client would.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// Nothing in a test waits longer than this. Long, because it costs only a test that fails, and machines are busy.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Socket for T {}

/// A connection.
pub struct Client {
    socket: Box<dyn Socket>,
    buffer: BytesMut,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Bytes,
}

impl Answer {
    /// The value of a field, when there is exactly one of that name.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str());
        let first = values.next();
        if values.next().is_some() { None } else { first }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn closes(&self) -> bool {
        self.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let socket = tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await.expect("connected in time").unwrap();
        socket.set_nodelay(true).unwrap();
        Self::over(socket)
    }

    pub fn over(socket: impl Socket + 'static) -> Self {
        Self { socket: Box::new(socket), buffer: BytesMut::new() }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).await.unwrap();
        self.socket.flush().await.unwrap();
    }

    /// Sends as far as the other side lets us.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.socket.write_all(bytes.as_ref()).await.is_ok() && self.socket.flush().await.is_ok()
    }

    /// More bytes from the other side; false at its end.
    async fn fill(&mut self) -> bool {
        let read = tokio::time::timeout(PATIENCE, self.socket.read_buf(&mut self.buffer)).await.expect("nothing came in time");
        matches!(read, Ok(read) if 0 < read)
    }

    /// The head of the next answer; `None` when the connection ends before it.
    pub async fn head(&mut self) -> Option<Answer> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            if !self.fill().await {
                assert!(self.buffer.is_empty(), "cut off within a head: {:?}", self.buffer);
                return None;
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        self.buffer.advance(end + 4);
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok()).expect("a status");
        let fields =
            lines.map(|line| line.split_once(':').expect("a field")).map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        Some(Answer { status, fields: fields.collect(), body: Bytes::new() })
    }

    /// The next answer to a request with this method.
    pub async fn answer_to(&mut self, method: &str) -> Option<Answer> {
        let mut answer = self.head().await?;
        let bodiless = method == "HEAD" || matches!(answer.status, 100..=199 | 204 | 304);
        if bodiless {
            return Some(answer);
        }
        answer.body = match (answer.field("content-length"), answer.field("transfer-encoding")) {
            (Some(length), None) => self.take(length.parse().unwrap()).await,
            (None, Some("chunked")) => {
                let mut body = BytesMut::new();
                while let Some(chunk) = self.chunk().await {
                    body.extend_from_slice(&chunk);
                }
                body.freeze()
            }
            (None, None) => self.rest().await,
            other => panic!("framing that nobody can read: {other:?}"),
        };
        Some(answer)
    }

    /// The next answer.
    pub async fn answer(&mut self) -> Answer {
        self.answer_to("GET").await.expect("an answer, not the end of the connection")
    }

    /// The next chunk; `None` after the last.
    pub async fn chunk(&mut self) -> Option<Bytes> {
        let end = loop {
            if let Some(end) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                break end;
            }
            assert!(self.fill().await, "cut off within a chunk line");
        };
        let size = usize::from_str_radix(std::str::from_utf8(&self.buffer[..end]).unwrap(), 16).unwrap();
        self.buffer.advance(end + 2);
        let chunk = self.take(size).await;
        assert_eq!(&self.take(2).await[..], b"\r\n");
        (0 < size).then_some(chunk)
    }

    /// Exactly so many bytes.
    pub async fn take(&mut self, length: usize) -> Bytes {
        while self.buffer.len() < length {
            assert!(self.fill().await, "cut off: {} of {length} bytes", self.buffer.len());
        }
        self.buffer.split_to(length).freeze()
    }

    /// Everything up to the end of the connection.
    pub async fn rest(&mut self) -> Bytes {
        while self.fill().await {}
        self.buffer.split().freeze()
    }

    /// Whether the other side closes without saying anything more.
    pub async fn is_closed(&mut self) -> bool {
        self.buffer.is_empty() && !self.fill().await
    }

    /// Whether the other side says nothing for as long.
    pub async fn is_silent(&mut self, length: Duration) -> bool {
        self.buffer.is_empty() && tokio::time::timeout(length, self.socket.read_buf(&mut self.buffer)).await.is_err()
    }

    /// Whether the other side can be used for another request.
    pub async fn get(&mut self, target: &str) -> Answer {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: app.example\r\n\r\n")).await;
        self.answer().await
    }
}
