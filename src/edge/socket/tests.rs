//! What leaves when, as the client's side of the socket sees it.

use std::future::pending;
use std::io::ErrorKind;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::time::timeout;

use super::ClientSocket;
use crate::edge::patient::{Patient, WritePatience};

const PATIENCE: Duration = Duration::from_secs(2);

fn socket(capacity: usize) -> (DuplexStream, ClientSocket) {
    let (client, carrier) = tokio::io::duplex(capacity);
    (client, ClientSocket::new(Box::new(Patient::new(carrier, WritePatience::new(PATIENCE)))))
}

/// What the client has got so far, without waiting for any of it.
fn arrived(client: &mut DuplexStream) -> String {
    let mut read = [0; 64];
    let mut buffer = ReadBuf::new(&mut read);
    let _ = Pin::new(client).poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer);
    String::from_utf8(buffer.filled().to_vec()).unwrap()
}

/// Says `words`, each with a flush of its own, as Pingora does with a head and chunks.
async fn say(socket: &ClientSocket, words: &[&str]) {
    let mut socket = socket.clone();
    for word in words {
        socket.write_all(word.as_bytes()).await.unwrap();
        socket.flush().await.unwrap();
    }
}

#[tokio::test]
async fn what_a_turn_says_in_one_go_leaves_in_one_go() {
    let (mut client, socket) = socket(64);
    socket
        .turn(async {
            say(&socket, &["head ", "chunk ", "last"]).await;
            assert_eq!(arrived(&mut client), "", "nothing has left");
        })
        .await;
    assert_eq!(arrived(&mut client), "head chunk last", "it leaves with the end of the turn at the latest");
}

#[tokio::test]
async fn nothing_is_held_back_while_a_turn_waits() {
    let (mut client, socket) = socket(64);
    socket
        .turn(async {
            for word in ["head", "event 1", "event 2"] {
                say(&socket, &[word]).await;
                tokio::task::yield_now().await;
                assert_eq!(arrived(&mut client), word, "it left before the turn went on");
            }
        })
        .await;
}

#[tokio::test]
async fn what_was_not_flushed_is_not_owed() {
    let (mut client, socket) = socket(64);
    socket
        .turn(async {
            socket.clone().write_all(b"half of ").await.unwrap();
            tokio::task::yield_now().await;
            assert_eq!(arrived(&mut client), "", "whoever wrote it may want to write more first");
            say(&socket, &["it"]).await;
        })
        .await;
    assert_eq!(arrived(&mut client), "half of it");
}

#[tokio::test]
async fn outside_of_a_turn_a_flush_is_done_at_once() {
    let (mut client, socket) = socket(64);
    say(&socket, &["before"]).await;
    assert_eq!(arrived(&mut client), "before");
    assert!(timeout(Duration::ZERO, socket.turn(pending::<()>())).await.is_err(), "a turn that is given up");
    say(&socket, &["after"]).await;
    assert_eq!(arrived(&mut client), "after", "and is over then");
}

#[tokio::test(start_paused = true)]
async fn a_turn_ends_when_all_has_left() {
    const REPLY: &str = "more than it takes at once";
    let (mut client, socket) = socket(4);
    let slow = async {
        let mut read = Vec::new();
        while read.len() < REPLY.len() {
            // Longer than a connection is waited for that is being closed, however long that is.
            tokio::time::sleep(PATIENCE / 2).await;
            client.read_buf(&mut read).await.unwrap();
        }
        read
    };
    let turn = async {
        socket.turn(say(&socket, &[REPLY])).await;
        socket.clone().close(0, Duration::ZERO).await;
    };
    let (read, ()) = tokio::join!(slow, turn);
    assert_eq!(read, REPLY.as_bytes(), "nothing was left to be cut off");
}

#[tokio::test]
async fn what_a_turn_that_was_given_up_left_behind_leaves_before_the_socket_is_closed() {
    let (mut client, socket) = socket(4);
    assert!(timeout(Duration::ZERO, socket.turn(say(&socket, &["more than it takes"]))).await.is_err());
    let mut read = Vec::new();
    let ((), length) = tokio::join!(socket.close(0, PATIENCE), client.read_to_end(&mut read));
    assert_eq!((length.unwrap(), read.as_slice()), (18, b"more than it takes".as_slice()));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_given_up_in_a_turn_too() {
    let (_client, mut socket) = socket(4);
    let turn = socket.clone();
    turn.turn(async {
        say(&socket, &["more than it takes"]).await;
        let moment = Duration::from_millis(2);
        assert!(timeout(PATIENCE - moment, socket.read(&mut [0; 1])).await.is_err(), "not before its time");
        let read = timeout(moment * 2, socket.read(&mut [0; 1])).await.expect("then whoever reads is told");
        assert_eq!(read.unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(socket.write(b"x").await.unwrap_err().kind(), ErrorKind::TimedOut, "and whoever writes");
        assert_eq!(socket.flush().await.unwrap_err().kind(), ErrorKind::TimedOut);
    })
    .await;
    assert!(socket.check().is_err(), "there is no further turn");
}

#[tokio::test]
async fn a_client_that_has_gone_is_told_to_whoever_reads() {
    let (client, mut socket) = socket(64);
    drop(client);
    let turn = socket.clone();
    let read = turn
        .turn(async {
            say(&socket, &["head"]).await;
            tokio::task::yield_now().await;
            socket.read(&mut [0; 1]).await
        })
        .await;
    assert_eq!(read.unwrap_err().kind(), ErrorKind::BrokenPipe);
}
