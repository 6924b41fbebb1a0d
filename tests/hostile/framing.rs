//! Request smuggling, from its textbook forms to the ones that only two real parsers disagree about.
//!
//! Every row goes through a real socket. What must not happen is always the same: a byte reaches the upstream without a
//! verdict of its own, or nobody hears of the attempt. The numbers are those of the attack list (H, J, K, P).

use std::time::Duration;

use countersign::edge::server::EdgeOptions;
use countersign::telemetry::report::Ending;

use crate::support::edge::{before, options, service, start};
use crate::support::raw::Client;
use crate::support::upstream::{Reply, Upstream, eventually, ok};

/// Heads that are refused before the judge sees them: bytes, status, what is counted, what the row shows.
const REFUSED: &[(&str, u16, &str, &str)] = &[
    ("GET /public HTTP/1.1\nHost: a\n\n", 400, "bare_line_feed", "K10 line feeds alone"),
    ("GET /public HTTP/1.1\r\nHost: a\r\nX: 1\nAuthorization: Bearer good\r\n\r\n", 400, "bare_line_feed", "K10 one line feed"),
    ("GET /public HTTP/1.1\r\nHost: a\r\nX: 1\rY: 2\r\n\r\n", 400, "field", "K11 a bare carriage return"),
    ("GET /public HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 400, "field", "K11 NUL"),
    ("POST /public HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc", 400, "field", "K12 H7 a blank before the colon"),
    ("POST /public HTTP/1.1\r\nHost: a\r\nContent-Length 3\r\n\r\nabc", 400, "field", "K13 no colon"),
    ("POST /public HTTP/1.1\r\nHost: a\r\nX: 1\r\n Content-Length: 3\r\n\r\nabc", 400, "folded_field", "K9 folding"),
    ("\r\n\r\nGET /public HTTP/1.1\r\nHost: a\r\n\r\n", 400, "empty_line", "K14 two empty lines"),
    (" GET /public HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line", "K14 a blank before"),
    ("GET /public/a b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line", "what Pingora would escape and retry"),
    ("GET /public/\"<x> HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target_bytes", "the same"),
    ("GET /public/\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target_bytes", "bytes outside ASCII"),
    ("GET /public#x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target_bytes", "a fragment, which Pingora would cut off"),
    ("GET public HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target_form", "I17 no slash"),
    ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target_form", "I18"),
    ("GET ?x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target_form", "I18"),
    ("GET http://other/public HTTP/1.1\r\nHost: good\r\n\r\n", 400, "target_host", "I16 two hosts"),
    ("CONNECT admin:443 HTTP/1.1\r\nHost: admin:443\r\n\r\n", 405, "connect", "J2 a tunnel"),
    ("GET /public HTTP/1.1\r\n\r\n", 400, "host_missing", "I28 no host"),
    ("GET /public HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "host_repeated", "I26 two hosts"),
    (
        "POST /public HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /admin",
        400,
        "length_and_coding",
        "K1 CL.TE",
    ),
    (
        "POST /public HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n",
        400,
        "length_and_coding",
        "K2 TE.CL",
    ),
    (
        "POST /public HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "coding_repeated",
        "K3 twice",
    ),
    ("POST /public HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n", 400, "coding", "K3 a list"),
    (
        "POST /public HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: cow\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "coding",
        "K3 an unknown coding first",
    ),
    ("POST /public HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400, "coding", "K3 chunked not last"),
    ("POST /public HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400, "coding", "K4 a spelling"),
    ("POST /public HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "coding_in_1_0", "K5 chunks in HTTP/1.0"),
    ("POST /public HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nContent-Length: 5\r\n\r\nabcdef", 400, "length_repeated", "K6 two lengths"),
    ("POST /public HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc", 400, "length", "K7 a list of lengths"),
    ("POST /public HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", 400, "length", "K8 a sign"),
    ("POST /public HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc", 400, "length", "K8 another base"),
    ("POST /public HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n", 400, "length", "K8 an overflow"),
    ("GET /public\r\n\r\n", 400, "request_line", "K26 HTTP/0.9"),
    ("GET /public HTTP/1.32\r\nHost: a\r\n\r\n", 400, "request_line", "K26 a version of two digits"),
    ("GET /public HTTP/2.0\r\nHost: a\r\n\r\n", 505, "version", "K26 another version in plain text"),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "version", "HTTP/2 where it was not asked for"),
    ("POST /public HTTP/1.1\r\nHost: a\r\nExpect: y\r\nContent-Length: 3\r\n\r\nabc", 417, "expectation", "J11 another expectation"),
    (
        "POST /public HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n",
        400,
        "upgrade",
        "J9 an upgrade by POST",
    ),
    ("GET /public HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 400, "upgrade", "J9 an upgrade in HTTP/1.0"),
    (
        "GET /public HTTP/1.1\r\nHost: a\r\nConnection: close, X-Auth-Subject\r\n\r\n",
        400,
        "nomination_protected",
        "H8 removing an identity header",
    ),
    ("GET /public HTTP/1.1\r\nHost: a\r\nConnection: x-real-ip\r\n\r\n", 400, "nomination_protected", "H9 in lower case"),
    ("GET /public HTTP/1.1\r\nHost: a\r\nConnection: server-key\r\n\r\n", 400, "nomination_protected", "H10 removing a credential"),
    ("GET /public HTTP/1.1\r\nHost: a\r\nConnection: :path\r\n\r\n", 400, "nomination", "H10 a pseudo header"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_head_with_two_readings_is_refused_counted_and_goes_nowhere() {
    let upstream = Upstream::start().await;
    let edge = before(&upstream).await;
    for (number, (bytes, status, why, shows)) in REFUSED.iter().enumerate() {
        let mut client = edge.client().await;
        // What follows is what an attacker would like to see taken for a request.
        client.send(format!("{bytes}GET /public/smuggled HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, *status, "{shows}");
        assert!(answer.closes(), "{shows}: the connection is not used again");
        assert_eq!(answer.field("content-type"), Some("application/problem+json"), "{shows}");
        assert!(client.is_closed().await, "{shows}: nothing but one answer");
        eventually(&format!("{shows}: it is reported"), || edge.ledger.visits().len() == number + 1).await;
        assert_eq!(edge.ledger.refused_heads().get(number), Some(why), "{shows}: it is counted");
        let visit = edge.ledger.visits().pop().unwrap();
        assert_eq!((visit.ending, visit.status, visit.reason.is_some()), (Ending::Refused, *status, true), "{shows}: and recorded");
    }
    assert_eq!(upstream.connections(), 0, "nothing reached the upstream");
    assert_eq!(edge.gatekeeper.asked(), 0, "nor the judge");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_head_passes_however_odd_it_looks() {
    let upstream = Upstream::start().await;
    let edge = before(&upstream).await;
    let rows = [
        ("\r\nGET /public/1 HTTP/1.1\r\nHost: a\r\n\r\n", "K14 one empty line before"),
        ("GET /public/2 HTTP/1.0\r\n\r\n", "I28 HTTP/1.0 without a host"),
        ("GET http://a/public/3 HTTP/1.1\r\nHost: a\r\n\r\n", "I16 absolute form"),
        ("POST /public/4 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "a body"),
        (
            "POST /public/5 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nX-Auth-Subject: m\r\n\r\n",
            "H12 chunks, an extension and a trailer",
        ),
        ("GET /public/6 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "J15 a body under GET"),
        ("GET /public/7?a={|^`} HTTP/1.1\r\nHost: a\r\n\r\n", "what browsers leave bare in a query"),
        (
            "GET /public/8 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
            "J8 another protocol is ignored",
        ),
        (
            "GET /public/9 HTTP/1.1\r\nHost: a\r\nUpgrade: foo\r\nConnection: upgrade, x-debug, x-tenant\r\nX-Debug: 1\r\nX-Tenant: mine\r\n\r\n",
            "a nomination of a name that we set",
        ),
    ];
    let mut expected = 0;
    for (bytes, shows) in rows {
        let mut client = edge.client().await;
        client.send(bytes).await;
        assert_eq!(client.answer().await.status, 200, "{shows}");
        expected += 1;
        assert_eq!(upstream.hits(), expected, "{shows}");
    }
    for record in upstream.records() {
        for name in ["upgrade", "http2-settings", "connection", "trailer", "te", "x-debug", "expect"] {
            assert_eq!(record.fields(name), [""; 0], "{name} is between the client and us: {}", record.head);
        }
        assert_eq!(record.fields("x-auth-subject"), ["alice"], "H12 no trailer becomes a field");
        assert_eq!(record.fields("x-tenant"), ["ours"], "H8 what we set is set after everything a client can have removed");
    }
    let bodies: Vec<_> = upstream.records().into_iter().map(|record| record.body.len()).collect();
    assert_eq!(bodies, [0, 0, 0, 3, 3, 3, 0, 0, 0], "bodies arrive whole, whatever their framing and method");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_chunk_ends_the_request_and_the_connection() {
    let upstream = Upstream::start().await;
    let edge = before(&upstream).await;
    let long = format!("1;{}\r\n", "x".repeat(64 * 1024));
    let rows = [
        ("0x5\r\nabcde\r\n0\r\n\r\n", "chunk_extension", "K15 a prefix"),
        ("+5\r\nabcde\r\n0\r\n\r\n", "chunk_size", "K15 a sign"),
        ("5_0\r\n", "chunk_extension", "K15 a separator"),
        (" 5\r\nabcde\r\n0\r\n\r\n", "chunk_size", "K15 a blank before"),
        ("5 \r\nabcde\r\n0\r\n\r\n", "chunk_extension", "K15 a blank behind, which Pingora takes"),
        ("\r\n\r\n", "chunk_size", "K15 no size, which Pingora takes for the last chunk"),
        ("10000000000000005\r\nabcde\r\n", "chunk_size", "K15 seventeen digits"),
        ("5\r\nabcde\r\r0\r\n\r\n", "chunk_end", "K16 two carriage returns"),
        ("5\r\nabcde\n0\r\n\r\n", "chunk_end", "K16 a line feed"),
        ("5\r\nabcdeXX0\r\n\r\n", "chunk_end", "K16 two other bytes"),
        ("5;a\rb\r\nabcde\r\n0\r\n\r\n", "chunk_line_end", "K17 a carriage return in an extension"),
        ("5;a\nb\r\nabcde\r\n0\r\n\r\n", "chunk_line_end", "K17 a line feed in an extension, which Pingora takes"),
        (&long, "chunk_line_long", "K17 a long extension"),
        ("0\r\nContent-Length: 5\r\n\r\n", "trailer_forbidden", "K18 framing in a trailer"),
        ("0\r\nTransfer-Encoding: chunked\r\n\r\n", "trailer_forbidden", "K18"),
        ("0\r\nHost: other\r\n\r\n", "trailer_forbidden", "K18 routing in a trailer"),
        ("0\r\nGET /public/smuggled HTTP/1.1\r\nHost: a\r\n\r\n", "trailer", "K18 a request for a trailer"),
    ];
    for (number, (body, why, shows)) in rows.into_iter().enumerate() {
        let mut client = edge.client().await;
        client.send(format!("POST /public HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}")).await;
        client.try_send("GET /public/smuggled HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.closes()), (400, true), "{shows}");
        assert!(client.is_closed().await, "{shows}");
        eventually(shows, || edge.ledger.refused_heads().get(number) == Some(&why)).await;
    }
    assert_eq!(upstream.hits(), 0, "no message was ever complete at the upstream");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_pipelined_request_gets_its_own_verdict_in_order() {
    let upstream = Upstream::start().await;
    let edge = before(&upstream).await;
    let mut client = edge.client().await;
    let mut packet = String::new();
    for number in 0..4 {
        packet.push_str(&format!("POST /public/{number} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"));
        packet.push_str(&format!("GET /closed/{number} HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    packet.push_str("GET /public/bad HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n");
    packet.push_str("GET /public/after HTTP/1.1\r\nHost: a\r\n\r\n");
    client.send(packet).await;

    for number in 0..4 {
        assert_eq!(client.answer().await.status, 200, "K21 the open one, {number}");
        assert_eq!(client.answer().await.status, 401, "K21 the closed one, {number}");
    }
    assert_eq!(client.answer().await.status, 400, "K21 the bad one");
    assert!(client.is_closed().await, "K21 nothing behind a bad one is looked at");
    let targets: Vec<_> = upstream.records().iter().map(|record| record.target().to_owned()).collect();
    assert_eq!(targets, ["/public/0", "/public/1", "/public/2", "/public/3"]);
    assert_eq!(edge.gatekeeper.asked(), 8, "each was judged once");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_behind_a_body_are_a_request_of_their_own_or_nothing() {
    let upstream = Upstream::start().await;
    let edge = before(&upstream).await;
    let smuggled = "GET /closed HTTP/1.1\r\nHost: a\r\n\r\n";

    let mut client = edge.client().await;
    client.send(format!("POST /public HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc{smuggled}")).await;
    assert_eq!(client.answer().await.status, 200, "K19 the request");
    assert_eq!(client.answer().await.status, 401, "K19 what followed it was judged");

    let mut client = edge.client().await;
    client.send(format!("POST /closed HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{smuggled}", smuggled.len())).await;
    assert_eq!(client.answer().await.status, 401, "K24 answered here");
    assert!(client.is_silent(Duration::from_millis(200)).await, "K24 its body is no request");
    assert_eq!(client.get("/public").await.status, 200, "K20 and the connection is in a known state");

    let mut client = edge.client().await;
    client.send("POST /closed HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\nabc").await;
    assert_eq!(client.answer().await.status, 401, "K20 the answer does not wait for the body");
    assert!(client.is_closed().await, "K20 a body that stays away costs the connection");
    assert_eq!(upstream.hits(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_passes_the_same_gate_and_nothing_overtakes_it() {
    let upstream = Upstream::scripted(|record| if record.target().contains("refuse") { ok("no") } else { Reply::Echo }).await;
    let edge = before(&upstream).await;
    let handshake = |target: &str, credential: &str| {
        format!(
            "GET {target} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{credential}\r\n"
        )
    };

    let mut client = edge.client().await;
    client.send(handshake("/ws", "")).await;
    assert_eq!(client.answer().await.status, 401, "J5 no credential, no tunnel");
    assert_eq!(upstream.hits(), 0, "J5");

    let mut client = edge.client().await;
    client.send(handshake("/public/refuse", "") + "GET /closed HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.closes()), (200, true), "J7 the upstream does not switch: the connection ends");
    assert!(client.is_closed().await, "J7 what was meant for the tunnel goes nowhere");
    assert_eq!(upstream.hits(), 1, "J7");

    let mut client = edge.client().await;
    client
        .send("GET /public HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\nGET /closed HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.status, 502, "J6 a switch that was not asked for is no answer");
    assert!(client.is_closed().await, "J6");
    assert_eq!((upstream.hits(), upstream.tunnelled().len()), (2, 0), "J6 another protocol opens nothing");

    let mut client = edge.client().await;
    client.send(handshake("/ws", "Authorization: Bearer good\r\n") + "early").await;
    assert_eq!(client.answer().await.status, 101, "an admitted one");
    assert_eq!(&client.take(5).await[..], b"early", "J6 early bytes pass only behind the 101");
    let frames = b"\x00\xffany bytes\r\n\r\n";
    client.send(frames).await;
    assert_eq!(&client.take(frames.len()).await[..], frames, "and come back as they went");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_to_continue_is_told_only_after_the_verdict() {
    let upstream = Upstream::start().await;
    let edge = before(&upstream).await;
    let head = |target: &str| format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");

    let mut client = edge.client().await;
    client.send(head("/closed")).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.closes()), (401, true), "J11 refused: no 100, and no guess at what comes next");

    for target in ["/public", "/body"] {
        let mut client = edge.client().await;
        client.send(head(target)).await;
        assert_eq!(client.answer().await.status, 100, "J11 {target}");
        client.send("good").await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.closes()), (200, false), "J11 {target}");
        assert_eq!(client.get("/public").await.status, 200, "J11 the connection lives on ({target})");
    }
    for record in upstream.records() {
        assert_eq!(record.fields("expect"), [""; 0], "the upstream is never made to wait");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_are_bounded_in_size_number_and_time() {
    let upstream = Upstream::start().await;
    let edge = before(&upstream).await;
    let large = format!("GET /public HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(40 * 1024));
    let cookies = format!("GET /public HTTP/1.1\r\nHost: a\r\n{}\r\n", "Cookie: a=b\r\n".repeat(4000));
    let fields = format!("GET /public HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(100));
    for (bytes, why, shows) in [(large, "too_large", "P4"), (cookies, "too_many_fields", "P5"), (fields, "too_many_fields", "H24")] {
        let mut client = edge.client().await;
        client.try_send(&bytes).await;
        assert_eq!(client.answer().await.status, 431, "{shows}");
        eventually(shows, || edge.ledger.refused_heads().last() == Some(&why)).await;
    }

    let mut short = options();
    short.connection.head_timeout = Duration::from_millis(400);
    let edge = start(short, vec![service(&[upstream.address])]).await;

    let mut client = edge.client().await;
    let mut sent = 0;
    client.send("GET /public HTTP/1.1\r\nX: ").await;
    // Twenty seconds, if each byte bought more time.
    while sent < 400 && client.try_send("x").await {
        sent += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(sent < 400, "P1 each byte does not buy more time");
    assert_eq!(client.answer().await.status, 408, "P1 a head that trickles in");

    let mut client = edge.client().await;
    assert!(client.is_closed().await, "a connection that says nothing is closed without a word");
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_and_a_well_used_one_are_closed() {
    let upstream = Upstream::start().await;
    let mut short = options();
    short.connection.keepalive_idle = Duration::from_millis(300);
    let edge = start(short, vec![service(&[upstream.address])]).await;

    let mut client = edge.client().await;
    assert_eq!(client.get("/public").await.status, 200);
    assert!(client.is_closed().await, "idle for too long");

    let mut few = options();
    few.connection.keepalive_requests = Some(3);
    let edge = start(few, vec![service(&[upstream.address])]).await;

    let mut client = edge.client().await;
    for last in [false, false, true] {
        let answer = client.get("/public").await;
        assert_eq!((answer.status, answer.closes()), (200, last), "the third is the last, and says so");
    }
    assert!(client.is_closed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_pingora_refuses_by_itself_is_counted_all_the_same() {
    let upstream = Upstream::start().await;
    let edge = before(&upstream).await;
    let mut client = edge.client().await;
    client.send("GET /public/` HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 400, "a path that Pingora's own type cannot hold");
    eventually("it is counted", || edge.ledger.refused_heads() == ["unseen"]).await;
    eventually("and recorded", || edge.ledger.visits().len() == 1).await;
    assert_eq!((edge.gatekeeper.asked(), upstream.hits()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_given_up() {
    let large = [b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n".to_vec(), vec![b'x'; 50_000_000]].concat();
    let upstream = Upstream::scripted(move |_| Reply::Bytes(large.clone())).await;
    let mut short = options();
    short.request.write_timeout = Duration::from_millis(300);
    let edge = start(short, vec![service(&[upstream.address])]).await;
    let mut client = edge.client().await;
    client.send("GET /public HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("P3 it is given up", || edge.ledger.visits().len() == 1).await;
    drop(client);
    eventually("P3 and the connection with it", || edge.ledger.open() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded_per_address_and_in_all() {
    let upstream = Upstream::start().await;
    let edge = start(EdgeOptions { connections_per_address: 2, ..options() }, vec![service(&[upstream.address])]).await;
    let mut first = edge.client().await;
    let mut second = edge.client().await;
    assert_eq!(first.get("/public").await.status, 200);
    assert_eq!(second.get("/public").await.status, 200);
    let mut third = edge.client().await;
    assert!(third.is_closed().await, "P14 one too many from this address");
    eventually("P14 and it is counted", || edge.ledger.refused_connections() == ["source_cap"]).await;
    drop(first);
    eventually("the first has left", || edge.ledger.open() == 1).await;
    assert_eq!(edge.client().await.get("/public").await.status, 200, "P14 there is room again");

    let edge = start(EdgeOptions { connections: 1, ..options() }, vec![service(&[upstream.address])]).await;
    let mut first = edge.client().await;
    assert_eq!(first.get("/public").await.status, 200);
    let mut second = edge.client().await;
    second.send("GET /public HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(second.is_silent(Duration::from_millis(200)).await, "P14 at the total the next one waits");
    drop(first);
    assert_eq!(second.answer().await.status, 200, "P14 until there is room");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_is_recorded_with_its_reason() {
    let upstream = Upstream::start().await;
    let edge = before(&upstream).await;
    let mut client = edge.client().await;
    assert_eq!(client.get("/closed?secret=1").await.status, 401);
    client.send("TRACE /public HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.field("allow").is_some()), (405, true), "J1");
    eventually("both are recorded", || edge.ledger.visits().len() == 2).await;
    let seen: Vec<_> = edge
        .ledger
        .visits()
        .into_iter()
        .map(|visit| (visit.ending, visit.status, visit.reason.map(|reason| reason.as_str()), visit.path))
        .collect();
    assert_eq!(
        seen,
        [
            (Ending::Refused, 401, Some("credential_missing"), "/closed".to_owned()),
            (Ending::Refused, 405, Some("method_refused"), "/public".to_owned()),
        ]
    );
    assert_eq!(upstream.hits(), 0);
}

/// Every sound request of this file again, cut into single bytes: how bytes arrive must not change what they mean.
#[tokio::test(flavor = "multi_thread")]
async fn how_bytes_arrive_does_not_change_what_they_mean() {
    let upstream = Upstream::start().await;
    let edge = before(&upstream).await;
    let mut client: Client = edge.client().await;
    let requests = "\r\nPOST /public/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: 1\r\n\r\nGET /closed HTTP/1.1\r\nHost: a\r\n\r\nPOST /public/2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    for byte in requests.bytes() {
        client.send([byte]).await;
        tokio::task::yield_now().await;
    }
    let answers = [client.answer().await.status, client.answer().await.status, client.answer().await.status];
    assert_eq!(answers, [200, 401, 200]);
    let bodies: Vec<_> = upstream.records().into_iter().map(|record| record.body).collect();
    assert_eq!(bodies, ["abcde", "abc"]);
}
