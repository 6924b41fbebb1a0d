//! Requests go through as they came, streams are not held back, and what fails fails alone.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use countersign::edge::proxy::Serving;
use countersign::edge::upstream::{HostShown, UpstreamOptions, Upstreams};
use countersign::telemetry::report::{Ending, UpstreamResult};
use tokio::sync::mpsc;

use crate::support::edge::{Running, before, options, service, start, start_with};
use crate::support::judge::Gatekeeper;
use crate::support::raw::PATIENCE;
use crate::support::upstream::{Reply, Upstream, eventually, ok};

const GOOD: &str = "Authorization: Bearer good\r\n";

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: app.example\r\n{GOOD}\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admitted_request_arrives_countersigned_and_without_its_credential() {
    let upstream = Upstream::scripted(|_| {
        Reply::Bytes(b"HTTP/1.1 200 OK\r\nX-Auth-Subject: root\r\nX-Own: 1\r\nContent-Length: 2\r\n\r\nok".to_vec())
    })
    .await;
    let edge = before(&upstream).await;
    let mut client = edge.client().await;

    client
        .send(format!(
            "GET /a?b=c HTTP/1.1\r\nHost: app.example\r\n{GOOD}X-Auth-Subject: mallory\r\nx_auth.subject: mallory\r\nX-Other: 1\r\n\r\n"
        ))
        .await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    assert_eq!(answer.field("x-auth-subject"), None, "an upstream does not speak in our headers");
    assert_eq!(answer.field("x-own"), Some("1"));

    let record = upstream.sole();
    assert_eq!(record.line(), "GET /a?b=c HTTP/1.1");
    assert_eq!(record.fields("x-auth-subject"), ["alice"], "the judge's word, once");
    assert_eq!(record.fields("x_auth.subject"), [""; 0], "and no look-alike");
    assert_eq!(record.fields("authorization"), [""; 0], "the credential stays here");
    assert_eq!(record.fields("host"), ["app.example"]);
    assert_eq!(record.fields("x-other"), ["1"]);

    eventually("it is reported", || !edge.ledger.visits().is_empty()).await;
    let visits = edge.ledger.visits();
    assert_eq!((visits.len(), visits[0].ending, visits[0].status, visits[0].upstream_status), (1, Ending::Admitted, 200, Some(200)));
    assert_eq!(edge.ledger.tries(), [UpstreamResult::Answered]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_always_gets_its_refusal() {
    let upstream = Upstream::start().await;
    let edge = before(&upstream).await;

    let mut client = edge.client().await;
    client.send("HEAD /closed HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = client.answer_to("HEAD").await.unwrap();
    assert_eq!((answer.status, answer.closes()), (401, false), "HEAD has no body in its answer");
    client.send("POST /closed HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 401, "before the body is sent");
    client.send("x".repeat(1000)).await;
    client.send("POST /closed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 401, "the body of unknown length");
    client.send("3\r\nabc\r\n0\r\n\r\n").await;
    assert_eq!(client.get("/served").await.text(), "served", "and after all that the connection is as good as new");

    let mut client = edge.client().await;
    client.send("POST /closed HTTP/1.1\r\nHost: a\r\nContent-Length: 204800\r\n\r\n").await;
    client.try_send(vec![b'x'; 204_800]).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.closes()), (401, true), "a client that sends a large body first, and looks later");
    assert!(client.is_closed().await);
    assert_eq!(upstream.hits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_was_judged_is_forwarded_whole() {
    let upstream = Upstream::start().await;
    let edge = before(&upstream).await;
    let mut client = edge.client().await;
    for length in [4, 5000, 65_536] {
        let body = "good".to_owned() + &"x".repeat(length - 4);
        client.send(format!("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}")).await;
        assert_eq!(client.answer().await.status, 200, "{length} bytes, announced");
        client.send(format!("POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n")).await;
        assert_eq!(client.answer().await.status, 200, "{length} bytes, in chunks");
        let records = upstream.records();
        for record in &records[records.len() - 2..] {
            assert_eq!(record.body, body, "what was judged is what arrives");
        }
    }
    client.send("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nevil").await;
    assert_eq!(client.answer().await.status, 401, "a body that is not good");
    let hits = upstream.hits();

    let body = "good".to_owned() + &"x".repeat(65_533);
    client.send(format!("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n{body}")).await;
    assert_eq!(client.answer().await.status, 413, "one byte more than can be judged and kept");
    let mut client = edge.client().await;
    client.send(format!("POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n{body}\r\n0\r\n\r\n")).await;
    assert_eq!(client.answer().await.status, 413, "the same in chunks");
    assert_eq!(upstream.hits(), hits);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_stream_in_both_directions() {
    const SIZE: usize = 10 * 1024 * 1024;
    let large: Vec<u8> = (0..SIZE).map(|index| u8::try_from(index % 251).unwrap()).collect();
    let download = [format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n").into_bytes(), large.clone()].concat();
    let upstream = Upstream::scripted(move |_| Reply::Bytes(download.clone())).await;
    let edge = before(&upstream).await;
    let mut client = edge.client().await;

    let (first, second) = large.split_at(SIZE / 2);
    client.send(format!("PUT /up HTTP/1.1\r\nHost: a\r\n{GOOD}Content-Length: {SIZE}\r\n\r\n")).await;
    client.send(first).await;
    eventually("the first half is upstream before the second is sent", || upstream.body_bytes() == SIZE / 2).await;
    client.send(second).await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, large, "the download");
    assert_eq!(upstream.sole().body, large, "the upload");

    client.send(format!("PUT /up HTTP/1.1\r\nHost: a\r\n{GOOD}Transfer-Encoding: chunked\r\n\r\n")).await;
    for part in large.chunks(100_000) {
        client.send(format!("{:x}\r\n", part.len())).await;
        client.send(part).await;
        client.send("\r\n").await;
    }
    client.send("0\r\n\r\n").await;
    assert_eq!(client.answer().await.body, large);
    assert_eq!(upstream.records()[1].body, large, "the upload in chunks");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_answers_before_it_has_read_everything_is_heard() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let edge = start(options(), vec![service(&[listener.local_addr().unwrap()])]).await;
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut some = [0; 1024];
        let _ = socket.read(&mut some).await.unwrap();
        socket.write_all(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 4\r\n\r\nmuch").await.unwrap();
        // Not closed at once: an upstream that resets the connection may never be heard by anybody.
        std::future::pending::<()>().await;
    });
    let mut client = edge.client().await;
    client.send(format!("PUT /up HTTP/1.1\r\nHost: a\r\n{GOOD}Content-Length: 150000\r\n\r\n")).await;
    client.send(vec![b'x'; 50_000]).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text().as_str(), answer.closes()), (413, "much", true));
    client.try_send(vec![b'x'; 100_000]).await;
    assert!(client.is_closed().await, "the rest of the body is not waited for");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_passed_on_as_they_come() {
    let (events, script) = stream();
    let upstream = Upstream::scripted(script).await;
    let edge = before(&upstream).await;
    let mut client = edge.client().await;
    client.send(get("/events")).await;
    let head = client.head().await.unwrap();
    assert_eq!((head.status, head.field("content-type")), (200, Some("text/event-stream")));
    for number in 0..3 {
        let event = format!("data: {number}\n\n");
        events.send(event.clone().into()).await.unwrap();
        assert_eq!(client.chunk().await.unwrap(), event, "one event at a time, before the next is sent");
    }
    drop(events);
    assert_eq!(client.chunk().await, None);
    assert_eq!(client.get("/served").await.status, 200, "the connection lives on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_is_there_whole_leaves_in_one_go() {
    const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n";
    let upstream = Upstream::scripted(|_| Reply::Bytes(REPLY.to_vec())).await;
    let edge = before(&upstream).await;
    let address = edge.address;
    let replies = tokio::task::spawn_blocking(move || {
        let mut client = std::net::TcpStream::connect(address).unwrap();
        client.set_nonblocking(true).unwrap();
        let ask = |_| {
            client.write_all(get("/").as_bytes()).unwrap();
            first_bytes(&mut client)
        };
        (0..20).map(ask).collect::<Vec<_>>()
    });
    for read in replies.await.unwrap() {
        assert!(read.ends_with("0\r\n\r\n"), "head, chunks and the last chunk in one write: {read:?}");
    }
}

/// What is there the moment anything is: asked again and again, since whoever sleeps is woken too late to see one write and not three.
fn first_bytes(client: &mut std::net::TcpStream) -> String {
    let begun = std::time::Instant::now();
    let mut read = [0; 4096];
    loop {
        match client.read(&mut read) {
            Ok(length) => return String::from_utf8_lossy(&read[..length]).into_owned(),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
        assert!(begun.elapsed() < PATIENCE, "nothing came in time");
    }
}

/// A source of chunks, and the upstream's script that sends them on.
fn stream() -> (mpsc::Sender<Bytes>, impl Fn(&crate::support::upstream::Recorded) -> Reply + Send + Sync) {
    let (sender, receiver) = mpsc::channel(8);
    let receiver = parking_lot::Mutex::new(Some(receiver));
    (sender, move |_: &_| receiver.lock().take().map_or_else(|| ok("once only"), Reply::Stream))
}

#[tokio::test(flavor = "multi_thread")]
async fn open_ended_connections_end_with_the_identity() {
    let (events, script) = stream();
    let upstream = Upstream::scripted(move |record| if record.target() == "/ws" { Reply::Echo } else { script(record) }).await;
    let gatekeeper = Arc::new(Gatekeeper::default());
    gatekeeper.cut_at.store(1_000_100, Ordering::SeqCst);
    let edge = start_with(options(), vec![service(&[upstream.address])], gatekeeper).await;

    let mut socket = edge.client().await;
    socket.send(format!("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{GOOD}\r\n")).await;
    assert_eq!(socket.answer().await.status, 101);
    let mut stream = edge.client().await;
    stream.send(get("/events")).await;
    assert_eq!(stream.head().await.unwrap().status, 200);

    edge.clock.store(1_000_099, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    socket.send("still here").await;
    assert_eq!(&socket.take(10).await[..], b"still here", "a second before the end");
    events.send("x".into()).await.unwrap();
    assert_eq!(stream.chunk().await.unwrap(), "x");

    edge.clock.store(1_000_100, Ordering::SeqCst);
    assert!(socket.is_closed().await, "J10 the tunnel ends with the identity");
    assert_eq!(&stream.rest().await[..], b"", "and so does the stream, unfinished");
    eventually("both are reported", || edge.ledger.visits().len() == 2).await;
    eventually("and neither is open", || edge.ledger.open() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_opens_however_quickly_the_upstream_answers() {
    let upstream = Upstream::scripted(|record| if record.target() == "/no" { ok("no") } else { Reply::Echo }).await;
    let edge = before(&upstream).await;
    let handshake = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{GOOD}\r\n");
    for number in 0..100 {
        let mut client = edge.client().await;
        client.send(handshake("/ws")).await;
        assert_eq!(client.answer().await.status, 101, "{number}");
        client.send("ping").await;
        assert_eq!(&client.take(4).await[..], b"ping", "{number}");
    }
    for number in 0..3 {
        let mut client = edge.client().await;
        client.send(handshake("/no")).await;
        assert_eq!(client.answer().await.text(), "no", "{number}: a refused one is answered");
    }
    assert_eq!(upstream.connections(), 103, "and none of their connections is used again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_known_length_is_not_cut() {
    let upstream = Upstream::start().await;
    let gatekeeper = Arc::new(Gatekeeper::default());
    gatekeeper.cut_at.store(0, Ordering::SeqCst);
    let edge = start_with(options(), vec![service(&[upstream.address])], gatekeeper).await;
    let mut client = edge.client().await;
    client.send(get("/")).await;
    assert_eq!(client.answer().await.text(), "ok", "it ends by itself");
    client.send(get("/")).await;
    assert_eq!(client.answer().await.text(), "ok", "and the connection was not what had a deadline");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_an_upstream_have_their_status_and_cost_one_request() {
    let upstream = Upstream::scripted(|record| match record.target() {
        "/silent" => Reply::Silence,
        "/hangup" => Reply::Hangup,
        "/garbage" => Reply::Bytes(b"garbage\r\n\r\n".to_vec()),
        "/both" => Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd".to_vec()),
        "/500" => Reply::Bytes(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".to_vec()),
        _ => ok("ok"),
    })
    .await;
    let patient = start(options(), vec![service(&[upstream.address])]).await;
    let quick = UpstreamOptions { read_timeout: Duration::from_millis(300), ..service(&[upstream.address]) };
    let quick = start(options(), vec![quick]).await;
    let rows = [
        ("/silent", 504, Some("upstream_timeout"), UpstreamResult::TimedOut),
        ("/hangup", 502, Some("upstream_unreachable"), UpstreamResult::Broken),
        ("/garbage", 502, Some("upstream_unreachable"), UpstreamResult::Broken),
        ("/both", 502, Some("upstream_unreachable"), UpstreamResult::Broken),
        ("/500", 500, None, UpstreamResult::ServerError),
        ("/fine", 200, None, UpstreamResult::Answered),
    ];
    for (target, status, reason, result) in rows {
        let edge = if target == "/silent" { &quick } else { &patient };
        let mut client = edge.client().await;
        client.send(format!("POST {target} HTTP/1.1\r\nHost: a\r\n{GOOD}Content-Length: 0\r\n\r\n")).await;
        assert_eq!(client.answer().await.status, status, "{target}");
        eventually("it is reported", || edge.ledger.visits().last().is_some_and(|visit| visit.path == target)).await;
        let visit = edge.ledger.visits().pop().unwrap();
        assert_eq!((visit.status, visit.ending), (status, Ending::Admitted), "{target}");
        assert_eq!(visit.reason.map(|reason| reason.as_str()), reason, "{target}");
        assert_eq!(edge.ledger.tries().last(), Some(&result), "{target}");
    }
    assert_eq!(upstream.hits(), rows.len(), "what is not idempotent is never sent twice");

    let gone = start(options(), vec![service(&["127.0.0.1:1".parse().unwrap()])]).await;
    let mut client = gone.client().await;
    client.send(get("/")).await;
    assert_eq!(client.answer().await.status, 502, "nobody listens");
    assert_eq!(gone.ledger.tries(), [UpstreamResult::Unreachable; 3], "tried as often as the conf says");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_is_passed_over() {
    let (one, two) = (Upstream::start().await, Upstream::start().await);
    let dead = "127.0.0.1:1".parse().unwrap();
    let edge = start(options(), vec![service(&[dead, one.address, two.address])]).await;
    for number in 0..12 {
        let mut client = edge.client().await;
        client.send(format!("POST /{number} HTTP/1.1\r\nHost: a\r\n{GOOD}Content-Length: 3\r\n\r\nabc")).await;
        assert_eq!(client.answer().await.status, 200, "a connection that fails is safe to try elsewhere, whatever the method");
    }
    assert_eq!(one.hits() + two.hits(), 12, "each arrives once");
    assert!(3 < one.hits() && 3 < two.hits(), "both servers do their part: {} and {}", one.hits(), two.hits());
    let failures = edge.ledger.tries().iter().filter(|result| **result == UpstreamResult::Unreachable).count();
    assert_eq!(failures, 1, "the dead one was left alone after its first failure");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooled_connection_is_used_again_and_a_dead_one_replaced() {
    let upstream = Upstream::scripted(|record| if record.target() == "/last" { Reply::Hangup } else { ok("ok") }).await;
    let edge = before(&upstream).await;
    let mut client = edge.client().await;
    for _ in 0..5 {
        client.send(get("/")).await;
        assert_eq!(client.answer().await.status, 200);
    }
    assert_eq!(upstream.connections(), 1, "one connection serves them all");
    client.send(get("/last")).await;
    assert_eq!(client.answer().await.status, 502, "it hangs up each time it is asked");
    assert_eq!(
        upstream.records().iter().filter(|record| record.target() == "/last").count(),
        2,
        "on a pooled connection GET is tried once more"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_upstream_is_not_pressed_further() {
    let upstream = Upstream::scripted(|record| if record.target() == "/silent" { Reply::Silence } else { ok("ok") }).await;
    let narrow = UpstreamOptions { most_in_flight: Some(1), ..service(&[upstream.address]) };
    let edge = start(options(), vec![narrow]).await;
    let mut first = edge.client().await;
    first.send(get("/silent")).await;
    eventually("it is under way", || upstream.hits() == 1).await;
    let mut second = edge.client().await;
    second.send(get("/")).await;
    let answer = second.answer().await;
    assert_eq!((answer.status, answer.field("retry-after").is_some()), (503, true), "P15");
    drop(first);
    eventually("the first has gone", || edge.ledger.visits().len() == 2).await;
    second.send(get("/")).await;
    assert_eq!(second.answer().await.status, 200, "there is room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_bounded_where_the_conf_says_so() {
    let upstream = Upstream::start().await;
    let mut small = options();
    small.request.body_bytes = Some(1000);
    let edge = start(small, vec![service(&[upstream.address])]).await;
    for (length, status) in [(1000, 200), (1001, 413)] {
        let body = "x".repeat(length);
        let mut client = edge.client().await;
        client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\n{GOOD}Content-Length: {length}\r\n\r\n{body}")).await;
        assert_eq!(client.answer().await.status, status, "{length} bytes, announced");
        let mut client = edge.client().await;
        client
            .send(format!("PUT / HTTP/1.1\r\nHost: a\r\n{GOOD}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"))
            .await;
        assert_eq!(client.answer().await.status, status, "{length} bytes, in chunks");
    }
    assert_eq!(upstream.hits(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_costs_its_request_and_nothing_else() {
    let upstream = Upstream::start().await;
    let edge = before(&upstream).await;
    let mut client = edge.client().await;
    assert_eq!(client.get("/panic").await.status, 500);
    assert_eq!(client.get("/public").await.status, 200, "not even its connection");
    client.send("POST /panic HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").await;
    assert_eq!(client.answer().await.status, 500, "with a body");
    assert_eq!(client.get("/public").await.status, 200);
    assert_eq!(edge.ledger.panics(), 2, "it is counted");
    assert_eq!(edge.ledger.visits()[0].reason.map(|reason| reason.as_str()), Some("internal"));
    assert_eq!(upstream.hits(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_finishes_what_is_under_way_and_takes_nothing_new() {
    let (events, script) = stream();
    let upstream = Upstream::scripted(script).await;
    let edge = before(&upstream).await;
    let mut idle = edge.client().await;
    assert_eq!(idle.get("/served").await.status, 200);
    let mut busy = edge.client().await;
    busy.send(get("/events")).await;
    assert_eq!(busy.head().await.unwrap().status, 200);

    edge.begin_drain();
    assert!(idle.is_closed().await, "an idle connection is closed at once");
    eventually("nobody listens", || std::net::TcpStream::connect(edge.address).is_err()).await;
    events.send("x".into()).await.unwrap();
    assert_eq!(busy.chunk().await.unwrap(), "x", "a request under way goes on");
    drop(events);
    assert_eq!(busy.chunk().await, None, "to its end");
    assert!(busy.is_closed().await, "and is the last of its connection");
    tokio::time::timeout(PATIENCE, edge.drain()).await.expect("then the edge is done");
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_cuts_what_outlives_the_grace_period() {
    let upstream = Upstream::scripted(|_| Reply::Silence).await;
    let edge = start(
        countersign::edge::server::EdgeOptions { grace: Duration::from_millis(300), ..options() },
        vec![service(&[upstream.address])],
    )
    .await;
    let mut client = edge.client().await;
    client.send(get("/")).await;
    eventually("it is under way", || upstream.hits() == 1).await;
    let ledger = edge.ledger.clone();
    tokio::time::timeout(PATIENCE, edge.drain()).await.expect("it ends in time, whoever waits");
    assert!(client.is_closed().await);
    eventually("and is still reported", || ledger.visits().len() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_served_can_be_replaced_while_it_runs() {
    let (old, new) = (Upstream::start().await, Upstream::scripted(|_| ok("new")).await);
    let edge: Running = before(&old).await;
    let mut client = edge.client().await;
    assert_eq!(client.get("/public").await.text(), "ok");
    let upstreams = Upstreams::new(vec![UpstreamOptions { host: HostShown::Own, ..service(&[new.address]) }]).unwrap();
    edge.handle.replace(&options(), Serving { judge: Arc::new(Gatekeeper::default()), upstreams });
    assert_eq!(client.get("/public").await.text(), "new", "from the next request on, on the same connection");
    assert_eq!(new.sole().fields("host"), [new.address.to_string()], "with the server's own host, where the conf says so");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_takes_its_request_along() {
    let upstream = Upstream::scripted(|_| Reply::Silence).await;
    let edge = before(&upstream).await;
    let mut client = edge.client().await;
    client.send(get("/")).await;
    eventually("it is under way", || upstream.hits() == 1).await;
    drop(client);
    eventually("it is given up and reported", || edge.ledger.visits().len() == 1 && edge.ledger.open() == 0).await;
    assert_eq!(edge.ledger.visits()[0].status, 0, "nobody was there to be answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_trickles_in_is_not_waited_for() {
    let upstream = Upstream::start().await;
    let mut short = options();
    short.request.body_timeout = Duration::from_millis(300);
    let edge = start(short, vec![service(&[upstream.address])]).await;
    for target in ["/upload", "/body"] {
        let mut client = edge.client().await;
        client.send(format!("PUT {target} HTTP/1.1\r\nHost: a\r\n{GOOD}Content-Length: 100\r\n\r\nabc")).await;
        let answer = client.answer().await;
        assert!(matches!(answer.status, 400 | 408), "P2 {target}: {}", answer.status);
        assert!(client.is_closed().await, "P2 {target}");
    }
    assert_eq!(upstream.hits(), 0, "no complete request ever arrived");
}
