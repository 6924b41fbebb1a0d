//! One head per turn, whatever the size of the pieces it comes in.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::{GuardStream, HeadRules, Patience, Turn};
use crate::edge::head::{Head, HeadFault, HeadLimits, read};
use crate::edge::patient::{Patient, WritePatience};
use crate::edge::socket::ClientSocket;
use crate::edge::wire::{Connection, Wire};

/// Long enough for what must happen, and for what must not.
const SOON: Duration = Duration::from_millis(50);

const PATIENCE: Duration = Duration::from_secs(5);

/// The rules of a test: how long a head may take.
struct Within(Duration);

impl HeadRules for Within {
    fn patience(&self) -> Patience {
        Patience { limits: HeadLimits { bytes: 1024, fields: 10 }, head: self.0 }
    }

    fn read(&self, head: &[u8]) -> Result<Head, HeadFault> {
        read(head, &[])
    }
}

fn guarded(capacity: usize) -> (DuplexStream, GuardStream, ClientSocket) {
    let (client, carrier) = tokio::io::duplex(capacity);
    let peer = "10.0.0.1:1".parse().unwrap();
    let connection = Connection { peer, tls: false, server_name: None, http2: false };
    let socket = ClientSocket::new(Box::new(Patient::new(carrier, WritePatience::new(Duration::from_millis(200)))));
    let guard = GuardStream::new(socket.clone(), Wire::new(Arc::new(connection)));
    (client, guard, socket)
}

async fn turn(guard: &mut GuardStream) -> Turn {
    guard.next_head(PATIENCE, &Within(PATIENCE), false).await
}

/// What Pingora can read now.
async fn readable(guard: &mut GuardStream) -> String {
    let mut read = Vec::new();
    let mut piece = [0; 7];
    while let Ok(Ok(length)) = tokio::time::timeout(SOON, guard.read(&mut piece)).await {
        if length == 0 {
            break;
        }
        read.extend_from_slice(&piece[..length]);
    }
    String::from_utf8(read).unwrap()
}

#[tokio::test]
async fn a_turn_shows_one_message_to_the_byte() {
    let (mut client, mut guard, _socket) = guarded(4096);
    let messages = [
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789",
        "POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\nT: 1\r\n\r\n",
        "GET /4 HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    client.write_all(messages.concat().as_bytes()).await.unwrap();
    for message in messages {
        assert_eq!(turn(&mut guard).await, Turn::Request);
        assert_eq!(readable(&mut guard).await, message, "no more and no less than this message");
    }
}

#[tokio::test]
async fn a_message_that_was_not_read_to_its_end_is_the_last() {
    let (mut client, mut guard, socket) = guarded(4096);
    client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert_eq!(turn(&mut guard).await, Turn::Request);
    let mut some = [0; 30];
    guard.read_exact(&mut some).await.unwrap();
    assert_eq!(turn(&mut guard).await, Turn::Over, "the rest of a body is never looked at as a head");
    drop(guard);
    assert!(socket.is_unread(), "and whoever closes it is told that there may be more to come");
}

#[tokio::test]
async fn an_opened_wire_passes_everything_and_wakes_whoever_waits() {
    let (mut client, mut guard, _socket) = guarded(4096);
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly").await.unwrap();
    assert_eq!(turn(&mut guard).await, Turn::Request);
    assert!(guard.head().websocket);
    assert!(readable(&mut guard).await.ends_with("\r\n\r\n"), "nothing but the head, as long as the protocol was not switched");
    let wire = guard.wire().clone();
    let reader = tokio::spawn(async move { readable(&mut guard).await });
    tokio::task::yield_now().await;
    wire.open();
    assert_eq!(reader.await.unwrap(), "early", "then what waited");
}

#[tokio::test]
async fn the_end_of_the_connection_is_seen_while_an_answer_is_awaited() {
    let (mut client, mut guard, _socket) = guarded(4096);
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert_eq!(turn(&mut guard).await, Turn::Request);
    readable(&mut guard).await;
    drop(client);
    let mut byte = [0; 1];
    assert_eq!(guard.read(&mut byte).await.unwrap(), 0, "the client has gone");
}

#[tokio::test]
async fn a_broken_body_is_an_error_from_then_on() {
    let (mut client, mut guard, _socket) = guarded(4096);
    client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n").await.unwrap();
    assert_eq!(turn(&mut guard).await, Turn::Request);
    let mut all = Vec::new();
    assert!(guard.read_to_end(&mut all).await.is_err());
    assert_eq!(guard.wire().broken(), Some("chunk_end"), "the rule is named");
    assert!(guard.read_to_end(&mut all).await.is_err(), "once broken, always broken");
    assert!(!String::from_utf8(all).unwrap().contains("0\r\n\r\n"), "nothing behind the fault was passed on");
}

#[tokio::test]
async fn a_head_has_to_come_and_to_be_complete_in_time() {
    let quick = Duration::from_millis(100);
    let (_client, mut guard, _socket) = guarded(4096);
    assert_eq!(guard.next_head(quick, &Within(quick), false).await, Turn::Over, "nothing came: nobody to answer");
    let (mut client, mut guard, _socket) = guarded(4096);
    client.write_all(b"GET / HT").await.unwrap();
    assert_eq!(guard.next_head(quick, &Within(quick), false).await, Turn::Refused(HeadFault::TOO_SLOW), "something came, and no more");
    let (mut client, mut guard, _socket) = guarded(4096);
    client.write_all(b"GET / HT").await.unwrap();
    drop(client);
    assert_eq!(guard.next_head(quick, &Within(quick), false).await, Turn::Over, "cut off: nobody to answer");
}

#[tokio::test]
async fn the_preface_of_http2_is_told_from_a_method_that_begins_like_it() {
    let rows: &[(&[u8], bool, Turn, &str)] = &[
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", true, Turn::Preface, "the preface"),
        (b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", true, Turn::Request, "another method"),
        (
            b"PRI * HTTP/1.1\r\nHost: a\r\n\r\n",
            true,
            Turn::Refused(HeadFault { status: 400, reason: crate::domain::Reason::TargetAmbiguous, why: "target_form" }),
            "nearly the preface",
        ),
        (
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            false,
            Turn::Refused(HeadFault { status: 505, reason: crate::domain::Reason::HeadMalformed, why: "version" }),
            "where it was not asked for",
        ),
    ];
    for (bytes, allowed, expected, shows) in rows {
        let (mut client, mut guard, _socket) = guarded(4096);
        client.write_all(bytes).await.unwrap();
        assert_eq!(guard.next_head(PATIENCE, &Within(PATIENCE), *allowed).await, *expected, "{shows}");
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_given_up() {
    let (client, mut guard, _socket) = guarded(16);
    let written = async {
        guard.write_all(&[0; 10_000]).await?;
        guard.flush().await
    };
    assert_eq!(written.await.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    drop(client);
}
