//! What leaves when, as the client's side of the socket sees it.

use std::future::pending;
use std::io::ErrorKind;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::time::{Instant, timeout};

use super::ClientSocket;

const PATIENCE: Duration = Duration::from_secs(2);

fn socket(capacity: usize) -> (DuplexStream, ClientSocket) {
    let (client, carrier) = tokio::io::duplex(capacity);
    (client, ClientSocket::new(Box::new(carrier), PATIENCE))
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

#[tokio::test]
async fn what_a_turn_left_behind_leaves_while_the_next_is_awaited() {
    let (mut client, mut socket) = socket(4);
    socket.turn(say(&socket, &["more than it takes"])).await;
    let (mut read, mut next) = ([0; 18], [0; 4]);
    let client = async {
        client.read_exact(&mut read).await.unwrap();
        client.write_all(b"next").await.unwrap();
    };
    let ((), head) = tokio::join!(client, socket.read_exact(&mut next));
    assert_eq!(head.unwrap(), 4);
    assert_eq!((&read, &next), (b"more than it takes", b"next"));
}

#[tokio::test]
async fn what_a_turn_left_behind_leaves_before_the_socket_is_closed() {
    let (mut client, socket) = socket(4);
    socket.turn(say(&socket, &["more than it takes"])).await;
    let mut read = Vec::new();
    let ((), length) = tokio::join!(socket.close(0, PATIENCE), client.read_to_end(&mut read));
    assert_eq!((length.unwrap(), read.as_slice()), (18, b"more than it takes".as_slice()));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_given_up_in_a_turn_too() {
    let (_client, mut socket) = socket(4);
    let began = Instant::now();
    let turn = socket.clone();
    turn.turn(async {
        say(&socket, &["more than it takes"]).await;
        let read = socket.read(&mut [0; 1]).await;
        assert_eq!(read.unwrap_err().kind(), ErrorKind::TimedOut, "whoever reads is told");
        assert_eq!(began.elapsed(), PATIENCE);
        assert_eq!(socket.write(b"x").await.unwrap_err().kind(), ErrorKind::TimedOut, "and whoever writes");
        assert_eq!(socket.flush().await.unwrap_err().kind(), ErrorKind::TimedOut);
    })
    .await;
    assert_eq!(socket.read(&mut [0; 1]).await.unwrap_err().kind(), ErrorKind::TimedOut, "there is no further turn");
}

#[tokio::test(start_paused = true)]
async fn patience_begins_anew_with_each_byte_that_is_taken() {
    let (mut client, socket) = socket(4);
    let slow = async {
        let mut read = Vec::new();
        while read.len() < 18 {
            tokio::time::sleep(PATIENCE - Duration::from_millis(1)).await;
            client.read_buf(&mut read).await.unwrap();
        }
        read
    };
    let turn = socket.turn(async {
        say(&socket, &["more than it takes"]).await;
        tokio::time::sleep(PATIENCE * 6).await;
    });
    let (read, ()) = tokio::join!(slow, turn);
    assert_eq!(read, b"more than it takes", "slow, but never silent for too long");
}

#[tokio::test(start_paused = true)]
async fn what_is_said_meanwhile_buys_a_silent_client_no_time() {
    let (_client, mut socket) = socket(4);
    let began = Instant::now();
    let turn = socket.clone();
    turn.turn(async {
        while socket.write_all(b"event").await.is_ok() && socket.flush().await.is_ok() {
            tokio::time::sleep(PATIENCE / 4).await;
        }
    })
    .await;
    assert!(began.elapsed() <= PATIENCE + PATIENCE / 4, "given up after {:?}", began.elapsed());
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
