//! Upstreams that die, fall silent or say what they should not, at each point of a held reply; and clients that leave.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use countersign::domain::Reason;
use countersign::edge::upstream::UpstreamOptions;
use countersign::telemetry::report::{Ending, UpstreamResult};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{GOOD, edge_before, edge_to, get, quick};
use crate::support::edge::service;
use crate::support::judge::Renewal;
use crate::support::upstream::{Reply, Upstream, eventually, ok};

/// What an upstream does next on its connection.
#[derive(Clone)]
enum Deed {
    /// Reads a request to the end of its head.
    Hear,
    Say(&'static [u8]),
    /// Says nothing more, and stays.
    Stay,
    /// Closes.
    Leave,
}

use Deed::{Hear, Leave, Say, Stay};

/// An upstream that does these deeds on each connection in turn, the last again and again.
struct Scripted {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

impl Scripted {
    async fn start(scripts: Vec<Vec<Deed>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counted, over) = (connections.clone(), ended.clone());
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let number = counted.fetch_add(1, Ordering::SeqCst).min(scripts.len() - 1);
                let (script, over) = (scripts[number].clone(), over.clone());
                tokio::spawn(async move {
                    let _ = perform(socket, script).await;
                    over.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, connections, ended }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Connections whose other end was seen to close.
    fn ended(&self) -> usize {
        self.ended.load(Ordering::SeqCst)
    }
}

async fn perform(mut socket: TcpStream, script: Vec<Deed>) -> std::io::Result<()> {
    let mut heard = Vec::new();
    for deed in script {
        match deed {
            Hear => {
                while !heard.windows(4).any(|window| window == b"\r\n\r\n") {
                    if socket.read_buf(&mut heard).await? == 0 {
                        return Ok(());
                    }
                }
                heard.clear();
            }
            Say(words) => socket.write_all(words).await?,
            Stay => while socket.read_buf(&mut heard).await? != 0 {},
            Leave => break,
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_fails_while_its_reply_is_held_has_not_answered() {
    const HALF: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
    const CHUNK: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    let rows: [(&[Deed], u16, UpstreamResult, &str); 9] = [
        (&[Hear, Leave], 502, UpstreamResult::Broken, "before its head"),
        (&[Hear, Say(b"HTTP/1.1 200 OK\r\nContent-"), Leave], 502, UpstreamResult::Broken, "within its head"),
        (&[Hear, Say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), Leave], 502, UpstreamResult::Broken, "behind its head"),
        (&[Hear, Say(HALF), Leave], 502, UpstreamResult::Broken, "within a body of known length"),
        (&[Hear, Say(CHUNK), Leave], 502, UpstreamResult::Broken, "between two chunks"),
        (&[Hear, Stay], 504, UpstreamResult::TimedOut, "by silence, before its head"),
        (&[Hear, Say(b"HTTP/1.1 200 OK\r\nContent-"), Stay], 504, UpstreamResult::TimedOut, "by silence within it"),
        (&[Hear, Say(HALF), Stay], 504, UpstreamResult::TimedOut, "by silence within the body"),
        (&[Hear, Say(b"hello?\r\n\r\n"), Stay], 502, UpstreamResult::Broken, "by another language"),
    ];
    for (script, status, result, shows) in rows {
        let upstream = Scripted::start(vec![script.to_vec()]).await;
        let (edge, _) = edge_to(quick(upstream.address), Renewal::Admits).await;
        let mut client = edge.client().await;
        client.send(format!("POST /held HTTP/1.1\r\nHost: a\r\n{GOOD}Content-Length: 0\r\n\r\n")).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, status, "{shows}");
        assert_eq!(answer.field("content-type"), Some("application/problem+json"), "{shows}: ours, not half of the upstream's");
        assert_eq!(edge.ledger.tries(), [result], "{shows}");
        eventually("it is reported", || edge.ledger.visits().len() == 1).await;
        let visit = edge.ledger.visits().pop().unwrap();
        let reason = if status == 504 { Reason::UpstreamTimeout } else { Reason::UpstreamUnreachable };
        assert_eq!((visit.ending, visit.reason), (Ending::Admitted, Some(reason)), "{shows}");
        assert_eq!(upstream.connections(), 1, "{shows}: what may have been acted upon is not sent again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_a_length_ends_with_the_connection_and_is_classified() {
    for version in ["1.0", "1.1"] {
        let reply: &'static str = if version == "1.0" { "HTTP/1.0 200 OK\r\n\r\nexpired" } else { "HTTP/1.1 200 OK\r\n\r\nexpired" };
        let first = vec![Hear, Say(reply.as_bytes()), Leave];
        let upstream = Scripted::start(vec![first, vec![Hear, Say(b"HTTP/1.1 200 OK\r\n\r\ntaken"), Leave]]).await;
        let (edge, _) = edge_to(service(&[upstream.address]), Renewal::Admits).await;
        let mut client = edge.client().await;
        client.send(get("/held")).await;
        assert_eq!(client.answer().await.text(), "taken", "{version}");
        assert_eq!(client.get("/served").await.text(), "served", "{version}: the client's connection lives on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_used_again_only_after_a_reply_that_ended_where_it_should() {
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let rows: [(&'static [u8], usize, &str); 9] = [
        (OK, 1, "a length"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 1, "chunks"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 1, "no body"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 1, "hints before it"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 3, "the upstream does not want to be asked again"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 3, "nor does one of HTTP/1.0"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
            3,
            "an answer that nobody asked for",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n2\r\nok\r\n0\r\n\r\n", 3, "a length beside chunks"),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", 3, "a body where there is none"),
    ];
    for (reply, connections, shows) in rows {
        let round = [Hear, Say(reply)];
        let upstream = Scripted::start(vec![round.iter().cycle().take(6).cloned().chain([Stay]).collect()]).await;
        let (edge, _) = edge_to(service(&[upstream.address]), Renewal::Admits).await;
        for _ in 0..3 {
            let mut client = edge.client().await;
            client.send(get("/held")).await;
            let mut answer = client.answer().await;
            if answer.status == 103 {
                answer = client.answer().await;
            }
            assert!(matches!(answer.status, 200 | 204), "{shows}: {}", answer.status);
            assert!(!answer.text().contains("evil"), "{shows}");
            // The connection is given back behind the answer.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(upstream.connections(), connections, "{shows}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_died_while_it_lay_idle_costs_nobody_a_request() {
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    // The first connection takes a second request and closes without a word, as one does whose patience ended at that moment.
    let upstream = Scripted::start(vec![vec![Hear, Say(OK), Hear, Leave], vec![Hear, Say(OK), Stay]]).await;
    let (edge, _) = edge_to(service(&[upstream.address]), Renewal::Admits).await;
    let mut client = edge.client().await;
    for _ in 0..2 {
        client.send(get("/held")).await;
        assert_eq!(client.answer().await.text(), "ok");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(upstream.connections(), 2, "it was asked again over a new one");
    assert!(!edge.ledger.tries().contains(&UpstreamResult::Broken), "which says nothing about the server: {:?}", edge.ledger.tries());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_answer_does_not_leave_half_a_request_on_a_connection() {
    const EARLY: &[u8] = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig";
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let upstream = Scripted::start(vec![vec![Hear, Say(EARLY), Stay], vec![Hear, Say(OK), Stay]]).await;
    let (edge, _) = edge_to(service(&[upstream.address]), Renewal::Admits).await;
    let mut client = edge.client().await;
    client.send(format!("POST /held HTTP/1.1\r\nHost: a\r\n{GOOD}Content-Length: 100\r\n\r\nhalf")).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text().as_str()), (413, "big"));
    drop(client);
    eventually("the connection is closed", || upstream.ended() == 1).await;
    let mut client = edge.client().await;
    client.send(get("/held")).await;
    assert_eq!(client.answer().await.text(), "ok");
    assert_eq!(upstream.connections(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_reached_is_passed_over() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let upstream = Upstream::start().await;
    let (edge, _) = edge_to(service(&[gone, upstream.address]), Renewal::Admits).await;
    for _ in 0..4 {
        let mut client = edge.client().await;
        client.send(format!("POST /held HTTP/1.1\r\nHost: a\r\n{GOOD}Content-Length: 4\r\n\r\nbody")).await;
        assert_eq!(client.answer().await.text(), "ok", "nothing had been sent, so another server may be asked");
    }
    assert_eq!(upstream.hits(), 4);
    assert!(edge.ledger.tries().contains(&UpstreamResult::Unreachable), "{:?}", edge.ledger.tries());
    let (edge, _) = edge_to(service(&[gone]), Renewal::Admits).await;
    let mut client = edge.client().await;
    client.send(get("/held")).await;
    assert_eq!(client.answer().await.status, 502, "and where there is no other");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_takes_its_request_with_it() {
    const HALF: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
    for (script, shows) in [(vec![Hear, Stay], "before the head"), (vec![Hear, Say(HALF), Stay], "while it is held")] {
        let upstream = Scripted::start(vec![script]).await;
        let one = UpstreamOptions { most_in_flight: Some(1), ..service(&[upstream.address]) };
        let (edge, _) = edge_to(one, Renewal::Admits).await;
        let mut client = edge.client().await;
        client.send(get("/held")).await;
        eventually("it is asked", || upstream.connections() == 1).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(client);
        eventually(&format!("{shows}: the upstream is let go"), || upstream.ended() == 1).await;
        eventually(&format!("{shows}: it is reported"), || edge.ledger.visits().len() == 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_edge_finishes_what_it_holds() {
    let (give, take) = tokio::sync::mpsc::channel(1);
    let take = parking_lot::Mutex::new(Some(take));
    let upstream =
        Upstream::scripted(
            move |record| {
                if record.fields("x-credential") == ["new"] { ok("taken") } else { Reply::Stream(take.lock().take().unwrap()) }
            },
        )
        .await;
    let (edge, _) = edge_before(&upstream, Renewal::Admits).await;
    let mut client = edge.client().await;
    client.send(get("/held")).await;
    eventually("it is under way", || upstream.hits() == 1).await;
    // At once, and not when the edge gets to hear of its end.
    edge.handle.part();
    edge.begin_drain();
    give.send(bytes::Bytes::from_static(b"expired")).await.unwrap();
    drop(give);
    let answer = client.answer().await;
    assert_eq!((answer.text().as_str(), answer.closes()), ("taken", true), "renewed all the same, and the connection ends with it");
    edge.drain().await;
}
