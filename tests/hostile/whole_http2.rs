//! Attacks by HTTP/2 frames, written by hand, against the running proxy: attack list sections K (22, 23), I (26) and P (6 to 9).
//!
//! A client library would not send most of these. Fields are literals without indexing (RFC 7541 section 6.2.2), so that any
//! byte can stand anywhere.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::house::House;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Fields as a block of literals. Lengths as integers with a prefix of seven bits (RFC 7541 section 5.1).
fn block(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            let mut length = text.len();
            if length < 127 {
                bytes.push(u8::try_from(length).unwrap());
            } else {
                bytes.push(127);
                length -= 127;
                while 128 <= length {
                    bytes.push(u8::try_from(length % 128 + 128).unwrap());
                    length /= 128;
                }
                bytes.push(u8::try_from(length).unwrap());
            }
            bytes.extend_from_slice(text);
        }
    }
    bytes
}

/// The pseudo fields of a request to a public path, then `more`.
fn request(more: &[(&[u8], &[u8])]) -> Vec<u8> {
    let usual: [(&[u8], &[u8]); 4] =
        [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"proxy.test"), (b":path", b"/public/x")];
    block(&[&usual[..], more].concat())
}

/// A connection that has greeted.
struct Peer {
    socket: TcpStream,
}

/// What came back for stream 1.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Came {
    /// An answer.
    Answer,
    /// The stream or the connection was ended without one.
    Ended,
}

impl Peer {
    async fn greet(house: &House) -> Self {
        let mut socket = TcpStream::connect(house.whole.address()).await.unwrap();
        socket.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
        Self { socket }
    }

    /// Sends as far as the other side lets us; false when it has hung up.
    async fn send(&mut self, bytes: &[u8]) -> bool {
        matches!(tokio::time::timeout(Duration::from_secs(5), self.socket.write_all(bytes)).await, Ok(Ok(())))
    }

    /// Reads frames until one says what became of stream 1.
    async fn outcome(&mut self) -> Came {
        loop {
            let mut head = [0; 9];
            let read = tokio::time::timeout(Duration::from_secs(10), self.socket.read_exact(&mut head)).await;
            if !matches!(read.expect("an outcome in time"), Ok(9)) {
                return Came::Ended;
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let mut payload = vec![0; length];
            if self.socket.read_exact(&mut payload).await.is_err() {
                return Came::Ended;
            }
            match head[3] {
                HEADERS => return Came::Answer,
                RST | GOAWAY => return Came::Ended,
                _ => {}
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_stream_reaches_nobody() {
    let house = House::start("").await;
    // id, fields beside the usual, body, what the row shows
    let rows: [(&str, &[(&[u8], &[u8])], Option<&[u8]>, &str); 22] = [
        ("K22", &[(b"content-length", b"5")], Some(b"abc"), "a length longer than the data"),
        ("K22", &[(b"content-length", b"1")], Some(b"abc"), "and a shorter one"),
        ("K22", &[(b"content-length", b"3"), (b"content-length", b"4")], Some(b"abc"), "two lengths"),
        ("K22", &[(b"transfer-encoding", b"chunked")], Some(b"0\r\n\r\nGET /admin"), "a coding, which HTTP/2 does not have"),
        ("K22", &[(b"connection", b"close")], None, "a field of the connection"),
        ("K22", &[(b"upgrade", b"websocket")], None, "an upgrade"),
        ("K22", &[(b"proxy-connection", b"x")], None, "an old field of the connection"),
        ("K22", &[(b"te", b"gzip")], None, "a coding in TE"),
        ("K23", &[(b"x", b"a\r\nX-Auth-User: admin")], None, "a line break in a value"),
        ("K23", &[(b"x", b"a\nb")], None, "a line feed alone"),
        ("K23", &[(b"x", b"a\0b")], None, "NUL"),
        ("K23", &[(b"x\r\nx-auth-user", b"admin")], None, "a line break in a name"),
        ("K23", &[(b"x-auth-user: admin", b"")], None, "a colon in a name"),
        ("K23", &[(b"", b"x")], None, "no name"),
        ("K23", &[(b"X-Auth-User", b"admin")], None, "upper case"),
        ("H5", &[(b"X-AUTH-USER", b"admin")], None, "all of it"),
        ("K23", &[(b":path", b"/admin")], None, "a second path"),
        ("K23", &[(b":method", b"POST")], None, "a second method"),
        ("K23", &[(b":unknown", b"x")], None, "a pseudo field that does not exist"),
        ("K23", &[(b"x", b"1"), (b":path", b"/admin")], None, "a pseudo field behind others"),
        ("I26", &[(b":authority", b"inner.example")], None, "a second authority"),
        ("J2", &[(b":protocol", b"websocket")], None, "a tunnel in HTTP/2 dress"),
    ];
    for (id, fields, body, shows) in rows {
        let before = house.upstream.hits();
        let mut peer = Peer::greet(&house).await;
        let flags = END_HEADERS | if body.is_none() { END_STREAM } else { 0 };
        let mut bytes = frame(HEADERS, flags, 1, &request(fields));
        if let Some(body) = body {
            bytes.extend(frame(DATA, END_STREAM, 1, body));
        }
        peer.send(&bytes).await;
        let came = peer.outcome().await;
        // A body is forwarded as it comes, so that a head may have reached the upstream; never a whole request.
        assert_eq!(house.upstream.hits(), before, "{id} {shows}");
        if body.is_none() {
            assert_eq!(came, Came::Ended, "{id} {shows}");
        }
    }
    let hosts: [(&str, &[(&[u8], &[u8])], &str); 3] = [
        ("I26", &[(b"host", b"other.example")], "another Host"),
        ("I26", &[(b"host", b"proxy.test"), (b"host", b"proxy.test")], "two of them"),
        ("I26", &[(b"host", b"")], "an empty one"),
    ];
    for (id, fields, shows) in hosts {
        let mut peer = Peer::greet(&house).await;
        peer.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &request(fields))).await;
        peer.outcome().await;
        assert_eq!(house.upstream.hits(), 0, "{id} {shows}");
    }

    let mut peer = Peer::greet(&house).await;
    let sound: [(&[u8], &[u8]); 4] = [(b"cookie", b"a=1"), (b"cookie", b"b=2"), (b"te", b"trailers"), (b"x_auth_user", b"admin")];
    peer.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &request(&sound))).await;
    assert_eq!(peer.outcome().await, Came::Answer, "K23 what is sound passes");
    let seen = house.upstream.sole();
    assert_eq!(seen.fields("cookie"), ["a=1; b=2"], "K23 split cookies are one: {}", seen.head);
    assert!(!seen.head.to_lowercase().contains("admin"), "H3 over HTTP/2 too: {}", seen.head);
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_of_a_request_are_dropped() {
    let house = House::start("").await;
    let mut peer = Peer::greet(&house).await;
    let head = block(&[(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"proxy.test"), (b":path", b"/public/x")]);
    let mut bytes = frame(HEADERS, END_HEADERS, 1, &head);
    bytes.extend(frame(DATA, 0, 1, b"ok"));
    bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[(b"x-auth-user", b"admin"), (b"host", b"evil")])));
    peer.send(&bytes).await;
    peer.outcome().await;
    for seen in house.upstream.records() {
        let all = format!("{}{}", seen.head, String::from_utf8_lossy(&seen.body));
        assert!(!all.contains("admin") && !all.contains("evil"), "H12 {all}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_frames_end_their_connection_and_nobody_elses() {
    let house = House::start("").await;
    let end = END_HEADERS | END_STREAM;
    let reset: Vec<u8> = (0..5_000_u32)
        .flat_map(|number| {
            let stream = number * 2 + 1;
            [frame(HEADERS, end, stream, &request(&[])), frame(RST, 0, stream, &8_u32.to_be_bytes())].concat()
        })
        .collect();
    // What the server itself has to reset: a WINDOW_UPDATE of nothing on a stream just opened.
    let made: Vec<u8> = (0..5_000_u32)
        .flat_map(|number| {
            let stream = number * 2 + 1;
            [frame(HEADERS, end, stream, &request(&[])), frame(8, 0, stream, &[0; 4])].concat()
        })
        .collect();
    let mut continuation = frame(HEADERS, END_STREAM, 1, &request(&[]));
    (0..5_000).for_each(|_| continuation.extend(frame(CONTINUATION, 0, 1, &block(&[(b"x", &[b'a'; 500])]))));
    let mut empty = frame(HEADERS, END_HEADERS, 1, &request(&[]));
    (0..100_000).for_each(|_| empty.extend(frame(DATA, 0, 1, &[])));
    // One entry of 4 KiB in the table, then a hundred thousand references to it.
    let mut bomb = block(&[(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"proxy.test"), (b":path", b"/public/x")]);
    bomb.extend([0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
    bomb.extend(vec![b'a'; 4_000]);
    bomb.extend(vec![0xbe; 10_000]);
    let bomb = frame(HEADERS, end, 1, &bomb);
    let settings: Vec<u8> = (0..50_000).flat_map(|_| frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])).collect();
    let pings: Vec<u8> = (0..50_000).flat_map(|_| frame(PING, 0, 0, &[7; 8])).collect();
    // id, frames, whether stream 1 must not be answered well, what the row shows
    let rows: [(&str, Vec<u8>, &str); 8] = [
        ("P6", reset, "streams opened and reset at once"),
        ("P6", made, "streams that the server is made to reset"),
        ("P7", continuation, "a head that never ends"),
        ("P8", empty, "frames without data"),
        ("P9", bomb, "forty megabytes of fields in fourteen kilobytes"),
        ("P9", settings, "settings, each to be acknowledged"),
        ("P9", pings, "pings, each to be answered, by a client that does not read"),
        ("P9", frame(PING, 0, 0, &[7; 9]), "a frame of the wrong size"),
    ];
    for (id, frames, shows) in rows {
        let mut peer = Peer::greet(&house).await;
        let before = house.upstream.hits();
        let length = frames.len();
        peer.send(&frames).await;
        let reached = house.upstream.hits() - before;
        assert!(reached <= 1_000, "{id} {shows}: {reached} of {length} bytes reached the upstream");
        if ["P7", "P9"].contains(&id) {
            assert_eq!(reached, 0, "{id} {shows}");
        }
        // Whoever else is there is served as ever, at once, while the flood's connection is still open.
        let started = std::time::Instant::now();
        let answer = house.whole.ask("GET", "/public/other", &[]).await;
        assert_eq!(answer.status, 200, "{id} {shows}");
        assert!(started.elapsed() < Duration::from_secs(5), "{id} {shows}: others waited {:?}", started.elapsed());
        drop(peer);
    }
    // The rapid reset is not merely survived: its connection is ended.
    let mut peer = Peer::greet(&house).await;
    let storm: Vec<u8> = (0..2_000_u32)
        .flat_map(|n| [frame(HEADERS, end, n * 2 + 1, &request(&[])), frame(RST, 0, n * 2 + 1, &[0, 0, 0, 8])].concat())
        .collect();
    peer.send(&storm).await;
    let mut all = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(10), peer.socket.read_to_end(&mut all)).await;
    assert!(closed.is_ok(), "P6 the connection is closed");
}
