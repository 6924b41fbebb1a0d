//! A request whose upstream answers 401 to a credential that can be renewed is sent once more, and the client never hears of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use countersign::edge::server::{EdgeOptions, ListenerOptions};
use countersign::telemetry::report::Ending;

use crate::support::edge::{Running, options, service, start_with};
use crate::support::judge::{Gatekeeper, Renewal};
use crate::support::upstream::{Recorded, Reply, Upstream, eventually, ok};

const GOOD: &str = "Authorization: Bearer good\r\n";
const REFUSED: &[u8] =
    b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Own realm=\"upstream\"\r\nSet-Cookie: own=theirs\r\nContent-Length: 9\r\n\r\ntheir own";
const TAKEN: &[u8] = b"HTTP/1.1 200 OK\r\nSet-Cookie: other=theirs\r\nX-Access-Token: theirs\r\n\
                       Cache-Control: public\r\nContent-Length: 5\r\n\r\ntaken";

/// Takes the fresh credential only.
fn wants_new(record: &Recorded) -> Reply {
    Reply::Bytes(if record.fields("x-credential") == ["new"] { TAKEN } else { REFUSED }.to_vec())
}

async fn edge_before(upstream: &Upstream, renewal: Renewal) -> (Running, Arc<Gatekeeper>) {
    let gatekeeper = Arc::new(Gatekeeper { renewal, ..Gatekeeper::default() });
    let edge = start_with(options(), vec![service(&[upstream.address])], gatekeeper.clone()).await;
    (edge, gatekeeper)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_is_sent_again_with_the_fresh_credential_and_the_client_gets_the_pair() {
    let upstream = Upstream::scripted(wants_new).await;
    let (edge, gatekeeper) = edge_before(&upstream, Renewal::Admits).await;
    let mut client = edge.client().await;
    client.send(format!("GET /renewable HTTP/1.1\r\nHost: a\r\n{GOOD}\r\n")).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "taken"));
    let cookies = || answer.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")).map(|(_, value)| value.as_str());
    assert_eq!(cookies().collect::<Vec<_>>(), ["other=theirs", "rt=fresh; Path=/"], "ours beside the upstream's");
    assert_eq!(answer.field("x-access-token"), Some("fresh"));
    assert_eq!(answer.field("cache-control"), Some("no-store"), "a credential is never cached");

    let seen: Vec<_> = upstream.records().iter().map(|record| record.fields("x-credential").join(",")).collect();
    assert_eq!(seen, ["old", "new"]);
    assert_eq!(gatekeeper.renewed.load(Ordering::SeqCst), 1);
    eventually("it is reported", || edge.ledger.visits().len() == 1).await;
    let visit = edge.ledger.visits().pop().unwrap();
    assert_eq!((visit.ending, visit.status, visit.upstream_status, visit.renewed), (Ending::Admitted, 200, Some(200), true));
    assert_eq!(client.get("/served").await.text(), "served", "the client's connection lives on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_sent_again_as_long_as_it_could_be_kept() {
    let upstream = Upstream::scripted(wants_new).await;
    let (edge, gatekeeper) = edge_before(&upstream, Renewal::Admits).await;
    let rows = [
        // length, chunked, status, what it shows
        (0, false, 200, "none"),
        (10, false, 200, "a small one, with an unsafe method"),
        (65_536, false, 200, "the most that is kept"),
        (65_537, false, 401, "one byte more: the upstream's own answer"),
        (10, true, 200, "one without announced length"),
    ];
    for (length, chunked, status, shows) in rows {
        let (hits, renewed) = (upstream.hits(), gatekeeper.renewed.load(Ordering::SeqCst));
        let mut client = edge.client().await;
        let body = vec![b'x'; length];
        if chunked {
            let request = format!("POST /renewable HTTP/1.1\r\nHost: a\r\n{GOOD}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n");
            client.send([request.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat()).await;
        } else {
            let request = format!("POST /renewable HTTP/1.1\r\nHost: a\r\n{GOOD}Content-Length: {length}\r\n\r\n");
            client.send([request.as_bytes(), &body].concat()).await;
        }
        let answer = client.answer().await;
        assert_eq!(answer.status, status, "{shows}");
        let replayed = usize::from(status == 200);
        assert_eq!(upstream.hits() - hits, 1 + replayed, "{shows}");
        assert_eq!(gatekeeper.renewed.load(Ordering::SeqCst) - renewed, replayed, "{shows}: nothing is spent where nothing can follow");
        let last = upstream.records().pop().unwrap();
        assert_eq!(last.body.len(), length, "{shows}: whole");
        if replayed == 1 {
            assert_eq!(last.fields("x-body-seen"), [length.to_string()], "{shows}: judged by the same body");
        } else {
            assert_eq!(answer.field("set-cookie"), Some("own=theirs"), "{shows}: untouched");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_renewed_the_upstreams_own_answer_goes_through_untouched() {
    let rows = [
        // what comes of the renewal, target, renewals, cookie, what it shows
        (Renewal::Fails, "/renewable", 1, "own=theirs", "no fresh credential"),
        (Renewal::Panics, "/renewable", 1, "own=theirs", "a judge that panics has not renewed"),
        (
            Renewal::Refuses,
            "/renewable",
            1,
            "own=theirs|rt=fresh; Path=/",
            "renewed and not let in: the client still gets what was paid for",
        ),
        (Renewal::Admits, "/other", 0, "own=theirs", "a credential that nobody renews"),
    ];
    for (renewal, target, renewals, cookie, shows) in rows {
        let upstream = Upstream::scripted(wants_new).await;
        let (edge, gatekeeper) = edge_before(&upstream, renewal).await;
        let mut client = edge.client().await;
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n{GOOD}\r\n")).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.text().as_str()), (401, "their own"), "{shows}");
        assert_eq!(answer.field("www-authenticate"), Some("Own realm=\"upstream\""), "{shows}");
        let cookies = answer.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
        assert_eq!(cookies.map(|(_, value)| value.as_str()).collect::<Vec<_>>().join("|"), cookie, "{shows}");
        assert_eq!((upstream.hits(), gatekeeper.renewed.load(Ordering::SeqCst)), (1, renewals), "{shows}");
        assert_eq!(client.get("/served").await.text(), "served", "{shows}: the connection lives on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_happens_once_and_only_after_a_401() {
    let upstream = Upstream::scripted(|record| match record.target() {
        "/renewable/never" => Reply::Bytes(REFUSED.to_vec()),
        "/renewable/403" => Reply::Bytes(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".to_vec()),
        "/renewable/hints" if record.fields("x-credential") == ["old"] => {
            Reply::Bytes([b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", REFUSED].concat())
        }
        _ => ok("ok"),
    })
    .await;
    let (edge, gatekeeper) = edge_before(&upstream, Renewal::Admits).await;
    let rows = [
        // target, status, hits, renewals, what it shows
        ("/renewable/never", 401, 2, 1, "a second 401 is the answer"),
        ("/renewable/403", 403, 1, 0, "another refusal is not about the credential"),
        ("/renewable/200", 200, 1, 0, "nothing to do"),
    ];
    for (target, status, hits, renewals, shows) in rows {
        let before = (upstream.hits(), gatekeeper.renewed.load(Ordering::SeqCst));
        let mut client = edge.client().await;
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n{GOOD}\r\n")).await;
        assert_eq!(client.answer().await.status, status, "{shows}");
        assert_eq!((upstream.hits() - before.0, gatekeeper.renewed.load(Ordering::SeqCst) - before.1), (hits, renewals), "{shows}");
    }
    let mut client = edge.client().await;
    client.send(format!("GET /renewable/hints HTTP/1.1\r\nHost: a\r\n{GOOD}\r\n")).await;
    // Hints that come together with the 401 are dropped with it; those that came before were passed on.
    let mut status = client.head().await.unwrap().status;
    if status == 103 {
        status = client.head().await.unwrap().status;
    }
    assert_eq!(status, 200, "hints are no answer yet");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_that_was_refused_is_opened_with_the_fresh_credential() {
    let upstream =
        Upstream::scripted(|record| if record.fields("x-credential") == ["new"] { Reply::Echo } else { Reply::Bytes(REFUSED.to_vec()) })
            .await;
    let (edge, _) = edge_before(&upstream, Renewal::Admits).await;
    for number in 0..20 {
        let mut client = edge.client().await;
        client.send(format!("GET /renewable HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{GOOD}\r\n")).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 101, "{number}");
        assert_eq!(answer.field("set-cookie"), Some("rt=fresh; Path=/"), "{number}: in the head of the switched connection");
        client.send("ping").await;
        assert_eq!(&client.take(4).await[..], b"ping", "{number}");
    }
}

/// One request over HTTP/2, its body in pieces: status, fields, body.
async fn over_http2(
    send: &mut h2::client::SendRequest<Bytes>,
    target: &str,
    length: Option<usize>,
    pieces: &[usize],
) -> (u16, http::HeaderMap, Vec<u8>) {
    let mut request = http::Request::builder()
        .method(if pieces.is_empty() { "GET" } else { "POST" })
        .uri(format!("http://app.example{target}"))
        .version(http::Version::HTTP_2)
        .header("authorization", "Bearer good")
        .header("cookie", "a=1")
        .header("cookie", "b=2");
    if let Some(length) = length {
        request = request.header("content-length", length);
    }
    let mut ready = send.clone().ready().await.unwrap();
    let (response, mut stream) = ready.send_request(request.body(()).unwrap(), pieces.is_empty()).unwrap();
    for (number, piece) in pieces.iter().enumerate() {
        stream.send_data(Bytes::from(vec![b'x'; *piece]), number + 1 == pieces.len()).unwrap();
    }
    let (head, mut stream) = response.await.unwrap().into_parts();
    let mut body = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = piece.unwrap();
        stream.flow_control().release_capacity(piece.len()).unwrap();
        body.extend_from_slice(&piece);
    }
    (head.status.as_u16(), head.headers, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_over_http2_never_hears_of_it_either() {
    let upstream = Upstream::scripted(|record| match record.target() {
        "/renewable/never" => Reply::Bytes(REFUSED.to_vec()),
        _ => wants_new(record),
    })
    .await;
    let gatekeeper = Arc::new(Gatekeeper::default());
    let listener = ListenerOptions { address: "127.0.0.1:0".parse().unwrap(), certificate: None, http2: true };
    let http2 = EdgeOptions { listeners: vec![listener], ..options() };
    let edge = start_with(http2, vec![service(&[upstream.address])], gatekeeper.clone()).await;
    let socket = tokio::net::TcpStream::connect(edge.address).await.unwrap();
    let (mut send, connection) = h2::client::handshake(socket).await.unwrap();
    let driving = tokio::spawn(connection);

    // target, announced length, pieces of the body, status, what it shows
    let rows: [(&str, Option<usize>, &[usize], u16, &str); 11] = [
        ("/renewable", None, &[], 200, "no body"),
        ("/renewable", Some(10), &[10], 200, "a small one, with an unsafe method"),
        ("/renewable", None, &[10, 0, 7], 200, "one without announced length, in pieces"),
        ("/renewable", None, &[0], 200, "one that turns out to be none"),
        ("/renewable", None, &[10, 0], 200, "one whose last frame is empty"),
        ("/other", None, &[0], 401, "none, sent once: not a byte of it begins another request"),
        ("/other", None, &[10, 0], 401, "nor of an empty last frame"),
        ("/renewable", Some(65_536), &[30_000, 35_536], 200, "the most that is kept"),
        ("/renewable", Some(65_537), &[30_000, 35_537], 401, "one byte more: the upstream's own answer"),
        ("/renewable/never", None, &[], 401, "a second 401 is the answer"),
        ("/renewable/never", Some(10), &[10], 401, "with a body, too"),
    ];
    for (target, length, pieces, status, shows) in rows {
        let (hits, renewed) = (upstream.hits(), gatekeeper.renewed.load(Ordering::SeqCst));
        let (told, fields, body) = over_http2(&mut send, target, length, pieces).await;
        let renews = usize::from(status == 200 || target.ends_with("never"));
        assert_eq!((told, &body[..]), (status, if status == 200 { &b"taken"[..] } else { b"their own" }), "{shows}");
        assert_eq!(upstream.hits() - hits, 1 + renews, "{shows}");
        assert_eq!(gatekeeper.renewed.load(Ordering::SeqCst) - renewed, renews, "{shows}");
        let cookies: Vec<_> = fields.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(cookies.contains(&"rt=fresh; Path=/"), renews == 1, "{shows}: {cookies:?}");
        let last = upstream.records().pop().unwrap();
        assert_eq!(last.target(), target, "{shows}");
        assert_eq!(last.body.len(), pieces.iter().sum::<usize>(), "{shows}: whole");
        assert_eq!(last.fields("cookie"), ["a=1; b=2"], "{shows}: in one field, each time");
    }

    let (before, mut many) = (upstream.hits(), tokio::task::JoinSet::new());
    for number in 0..20 {
        let mut send = send.clone();
        many.spawn(async move { over_http2(&mut send, "/renewable", Some(number), &[number]).await.0 });
    }
    assert_eq!(many.join_all().await, [200; 20], "many streams of one connection, each sent again");
    assert_eq!(upstream.hits() - before, 40);
    driving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_no_longer_let_in_is_told_so_in_place_of_the_upstreams_answer() {
    let upstream = Upstream::scripted(wants_new).await;
    let (edge, gatekeeper) = edge_before(&upstream, Renewal::Over).await;
    for (method, body) in [("GET", ""), ("POST", "a body")] {
        let hits = upstream.hits();
        let mut client = edge.client().await;
        client.send(format!("{method} /renewable HTTP/1.1\r\nHost: a\r\n{GOOD}Content-Length: {}\r\n\r\n{body}", body.len())).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.field("set-cookie")), (401, None), "{method}");
        assert!(answer.text().contains("credential_invalid") && !answer.text().contains("their own"), "{method}: {}", answer.text());
        assert!(
            answer.field("www-authenticate").is_some_and(|challenge| challenge.starts_with("Bearer")),
            "{method}: by whom it was judged"
        );
        assert_eq!((upstream.hits() - hits, gatekeeper.renewed.load(Ordering::SeqCst)), (1, 0), "{method}: it is not sent again");
    }
    eventually("it is reported", || edge.ledger.visits().len() == 2).await;
    let visit = edge.ledger.visits().pop().unwrap();
    assert_eq!((visit.status, visit.upstream_status, visit.renewed), (401, Some(401), false));
}
