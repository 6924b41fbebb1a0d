//! Held replies over every way: TLS and HTTP/2 on either side, interim heads, WebSockets, bodies that are still being sent.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use countersign::edge::server::{EdgeOptions, ListenerOptions};
use countersign::edge::upstream::{UpstreamOptions, UpstreamTls};
use http::Request;
use tokio::net::TcpStream;

use super::{GOOD, edge_before, edge_to, expired, get, wants_new};
use crate::support::edge::{options, service, start_with};
use crate::support::identity::Identity;
use crate::support::judge::{Gatekeeper, Renewal};
use crate::support::upstream::{Recorded, Reply, Upstream, eventually, ok};

const NAME: &str = "inner.example";

fn over(identity: &Identity, name: &str) -> Option<UpstreamTls> {
    Some(UpstreamTls { anchors: Some(Arc::from([identity.der()])), server_name: Some(name.into()), verify: true })
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_it_is_held_as_well_and_the_connection_is_verified_and_kept() {
    let identity = Identity::of(NAME);
    let upstream = Upstream::over_tls(&identity, |_| ok("ok")).await;
    for http2 in [false, true] {
        let before = upstream.connections();
        let (edge, _) =
            edge_to(UpstreamOptions { tls: over(&identity, NAME), http2, ..service(&[upstream.address]) }, Renewal::Admits).await;
        let mut client = edge.client().await;
        for _ in 0..5 {
            client.send(get("/held")).await;
            assert_eq!(client.answer().await.text(), "ok", "http2 offered: {http2}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(upstream.connections() - before, 1, "one connection carries all, http2 offered: {http2}");
    }
    let hits = upstream.hits();
    for (tls, shows) in [(over(&identity, "other.example"), "another name"), (over(&Identity::of(NAME), NAME), "another anchor")] {
        let (edge, _) = edge_to(UpstreamOptions { tls, ..service(&[upstream.address]) }, Renewal::Admits).await;
        let mut client = edge.client().await;
        client.send(get("/held")).await;
        assert_eq!(client.answer().await.status, 502, "{shows}");
    }
    assert_eq!(upstream.hits(), hits, "an upstream that is not the one is told nothing");

    let upstream = Upstream::over_tls(&identity, wants_new).await;
    let (edge, _) = edge_to(UpstreamOptions { tls: over(&identity, NAME), ..service(&[upstream.address]) }, Renewal::Admits).await;
    let mut client = edge.client().await;
    client.send(get("/held")).await;
    assert_eq!(client.answer().await.text(), "taken", "and what has run out is renewed");
}

#[tokio::test(flavor = "multi_thread")]
async fn held_and_usual_replies_do_not_share_connections() {
    let upstream = Upstream::start().await;
    let (edge, _) = edge_before(&upstream, Renewal::Admits).await;
    let mut client = edge.client().await;
    for _ in 0..3 {
        for target in ["/held", "/renewable"] {
            client.send(get(target)).await;
            assert_eq!(client.answer().await.text(), "ok");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    assert_eq!(upstream.connections(), 2, "one each, both kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_known_to_speak_http2_is_asked_over_http1_where_its_reply_is_held() {
    let upstream = Upstream::scripted(wants_new).await;
    let (edge, _) = edge_to(UpstreamOptions { http2: true, ..service(&[upstream.address]) }, Renewal::Admits).await;
    let mut client = edge.client().await;
    for (target, status) in [("/held", 200), ("/renewable", 502)] {
        client.send(get(target)).await;
        assert_eq!(client.answer().await.status, status, "{target}: this one speaks HTTP/1.1 only");
    }
    assert!(upstream.records().iter().filter(|record| record.line().ends_with("/held HTTP/1.1")).count() == 2, "{:?}", upstream.records());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_over_http2_gets_the_same() {
    let upstream = Upstream::scripted(|record| match record.target() {
        "/held/none" => Reply::Bytes(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
        "/held/chunked" => Reply::Bytes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_vec()),
        _ => wants_new(record),
    })
    .await;
    let listener = ListenerOptions { address: "127.0.0.1:0".parse().unwrap(), certificate: None, http2: true };
    let options = EdgeOptions { listeners: vec![listener], ..options() };
    let gatekeeper = Arc::new(Gatekeeper::default());
    let edge = start_with(options, vec![service(&[upstream.address])], gatekeeper.clone()).await;
    let (mut send, connection) = h2::client::handshake(TcpStream::connect(edge.address).await.unwrap()).await.unwrap();
    tokio::spawn(connection);
    let rows = [
        // method, path, body, status, answer, renewals, what it shows
        ("GET", "/held", 0, 200, "taken", 1, "renewed"),
        ("POST", "/held", 65_536, 200, "taken", 1, "with the largest body that is kept"),
        ("POST", "/held", 65_537, 200, "40104", 0, "one byte more is not sent again"),
        ("GET", "/held/none", 0, 204, "", 0, "no body"),
        ("GET", "/held/chunked", 0, 200, "abc", 0, "chunks are of the hop"),
        ("HEAD", "/held", 0, 200, "", 0, "an answer to HEAD has no body that could say it"),
    ];
    for (method, path, length, status, text, renewals, shows) in rows {
        let renewed = gatekeeper.renewed.load(Ordering::SeqCst);
        let request = Request::builder().method(method).uri(format!("http://app.example{path}")).header("authorization", "Bearer good");
        let (response, mut stream) = send.send_request(request.body(()).unwrap(), length == 0).unwrap();
        let mut left = vec![b'x'; length];
        while !left.is_empty() {
            stream.reserve_capacity(left.len());
            let room = std::future::poll_fn(|context| stream.poll_capacity(context)).await.unwrap().unwrap();
            let rest = left.split_off(room.min(left.len()));
            stream.send_data(Bytes::from(left), rest.is_empty()).unwrap();
            left = rest;
        }
        let (head, mut stream) = response.await.unwrap().into_parts();
        let mut body = Vec::new();
        while let Some(piece) = stream.data().await {
            let piece = piece.unwrap();
            stream.flow_control().release_capacity(piece.len()).unwrap();
            body.extend_from_slice(&piece);
        }
        let body = String::from_utf8(body).unwrap();
        assert_eq!(head.status.as_u16(), status, "{shows}");
        assert!(if text.is_empty() { body.is_empty() } else { body.contains(text) }, "{shows}: {body}");
        assert_eq!(gatekeeper.renewed.load(Ordering::SeqCst) - renewed, renewals, "{shows}");
        assert_eq!(upstream.records().pop().unwrap().body.len(), length, "{shows}: whole");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn interim_heads_go_on_at_once_and_a_body_that_is_still_being_sent_streams_through() {
    let upstream = Upstream::scripted(|record: &Recorded| {
        let hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".to_vec();
        let Reply::Bytes(reply) = (if record.fields("x-credential") == ["new"] { ok("taken") } else { expired() }) else { unreachable!() };
        Reply::Bytes([hints, reply].concat())
    })
    .await;
    let (edge, _) = edge_before(&upstream, Renewal::Admits).await;
    let mut client = edge.client().await;
    client.send(get("/held")).await;
    let mut answer = client.answer().await;
    while answer.status == 103 {
        assert_eq!(answer.field("link"), Some("</a>"));
        answer = client.answer().await;
    }
    assert_eq!(answer.text(), "taken");

    let upstream = Upstream::scripted(wants_new).await;
    let (edge, _) = edge_before(&upstream, Renewal::Admits).await;
    let mut client = edge.client().await;
    client.send(format!("POST /held HTTP/1.1\r\nHost: a\r\n{GOOD}Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n")).await;
    assert_eq!(client.head().await.unwrap().status, 100, "the edge says so itself");
    client.send(vec![b'x'; 400_000]).await;
    eventually("the beginning of the body has arrived before its end was sent", || 300_000 < upstream.body_bytes()).await;
    client.send(vec![b'x'; 600_000]).await;
    assert!(client.answer().await.text().contains("40104"), "too large to be sent again");
    assert_eq!(upstream.sole().fields("expect"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_goes_the_usual_way() {
    let upstream = Upstream::scripted(|_| Reply::Echo).await;
    let (edge, _) = edge_before(&upstream, Renewal::Admits).await;
    let mut client = edge.client().await;
    let handshake =
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    client.send(format!("GET /held HTTP/1.1\r\nHost: a\r\n{GOOD}{handshake}\r\n")).await;
    assert_eq!(client.head().await.unwrap().status, 101);
    client.send(b"there and back").await;
    assert_eq!(&client.take(14).await[..], b"there and back");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_switches_protocols_unasked_has_failed() {
    let upstream = Upstream::scripted(|_| Reply::Echo).await;
    let (edge, _) = edge_before(&upstream, Renewal::Admits).await;
    let mut client = edge.client().await;
    client.send(get("/held")).await;
    assert_eq!(client.answer().await.status, 502);
}
