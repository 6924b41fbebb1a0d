//! Requests that go on with a body of the judge's: whatever the client sent, on every way, the first time and the second.

use std::sync::Arc;

use bytes::Bytes;
use countersign::edge::proxy::RequestLimits;
use countersign::edge::server::EdgeOptions;
use countersign::edge::upstream::{UpstreamOptions, UpstreamTls};
use tokio::net::TcpListener;

use super::{GOOD, edge_before, edge_to, wants_new};
use crate::support::edge::{options, service, start_with};
use crate::support::identity::Identity;
use crate::support::judge::{Gatekeeper, REWRITTEN, Renewal};
use crate::support::raw::Client;
use crate::support::upstream::Upstream;

/// Sends a body of so many bytes, in chunks or not.
async fn post(client: &mut Client, target: &str, length: usize, chunked: bool) {
    let body = vec![b'x'; length];
    if chunked {
        let head = format!("POST {target} HTTP/1.1\r\nHost: a\r\n{GOOD}Transfer-Encoding: chunked\r\n\r\n");
        client.send(head).await;
        for piece in body.chunks(1000) {
            client.send([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()).await;
        }
        client.send(b"0\r\n\r\n").await;
    } else {
        client.send(format!("POST {target} HTTP/1.1\r\nHost: a\r\n{GOOD}Content-Length: {length}\r\n\r\n")).await;
        client.send(&body).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_gets_the_judges_body_in_place_of_the_clients() {
    let upstream = Upstream::scripted(wants_new).await;
    let (edge, _) = edge_before(&upstream, Renewal::Admits).await;
    for way in ["/usual", "/held"] {
        for (length, chunked) in [(0, false), (0, true), (10, false), (10, true), (5_000, true), (200_000, false), (200_000, true)] {
            for (tail, ours) in [("/rewritten", REWRITTEN), ("/emptied", "")] {
                let hits = upstream.hits();
                // One each: an upstream that needs no body may answer before the client's was read, which ends the connection.
                let mut client = edge.client().await;
                post(&mut client, &format!("{way}{tail}"), length, chunked).await;
                let answer = client.answer().await;
                // An upstream that is sent nothing may answer while what was read of the client's body could still be kept.
                let early = ours.is_empty() && answer.text() == "taken";
                let again = way == "/held" && (length <= 65_536 || early);
                let shows = format!("{way}{tail}, {length} bytes, chunked: {chunked}");
                assert_eq!((answer.status, answer.text() == "taken"), (200, again), "{shows}");
                let records = upstream.records().split_off(hits);
                assert_eq!(records.len(), 1 + usize::from(again), "{shows}");
                for record in records {
                    assert_eq!(record.body, ours, "{shows}");
                    assert_eq!(record.fields("content-length"), [ours.len().to_string()], "{shows}");
                    assert_eq!(record.fields("transfer-encoding"), [""; 0], "{shows}");
                }
            }
        }
    }
    let mut client = edge.client().await;
    for method in ["GET", "DELETE"] {
        client.send(format!("{method} /usual/rewritten HTTP/1.1\r\nHost: a\r\n{GOOD}\r\n")).await;
        assert_eq!(client.answer().await.status, 200);
        assert_eq!(upstream.records().pop().unwrap().body, REWRITTEN, "{method}: also where the client sent none");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bound_on_a_body_is_one_on_the_clients() {
    let upstream = Upstream::start().await;
    let edge_options = options();
    let request = RequestLimits { body_bytes: Some(20), ..edge_options.request };
    let edge =
        start_with(EdgeOptions { request, ..edge_options }, vec![service(&[upstream.address])], Arc::new(Gatekeeper::default())).await;
    for (length, status) in [(20, 200), (21, 413)] {
        for chunked in [false, true] {
            let mut client = edge.client().await;
            post(&mut client, "/usual/rewritten", length, chunked).await;
            assert_eq!(client.answer().await.status, status, "{length}, chunked: {chunked}");
        }
    }
}

/// An upstream over TLS and HTTP/2 that says how it was asked.
async fn over_http2(identity: &Identity) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = identity.acceptor_http2();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(acceptor.accept(socket).await.ok()?).await.ok()?;
                while let Some(stream) = connection.accept().await {
                    let (request, mut respond) = stream.ok()?;
                    tokio::spawn(async move {
                        let length = request.headers().get("content-length").cloned();
                        let mut stream = request.into_body();
                        let mut body = Vec::new();
                        while let Some(piece) = stream.data().await {
                            let piece = piece.ok()?;
                            stream.flow_control().release_capacity(piece.len()).ok()?;
                            body.extend_from_slice(&piece);
                        }
                        let mut response = http::Response::builder();
                        if let Some(length) = length {
                            response = response.header("x-length", length);
                        }
                        respond.send_response(response.body(()).unwrap(), false).ok()?.send_data(Bytes::from(body), true).ok()
                    });
                }
                Some(())
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http2_as_well() {
    let identity = Identity::of("inner.example");
    let address = over_http2(&identity).await;
    let tls = UpstreamTls { anchors: Some(Arc::from([identity.der()])), server_name: Some("inner.example".into()), verify: true };
    let (edge, _) = edge_to(UpstreamOptions { http2: true, tls: Some(tls), ..service(&[address]) }, Renewal::Admits).await;
    for (length, chunked) in [(10, false), (5_000, true), (100_000, false)] {
        for (tail, ours) in [("/rewritten", REWRITTEN), ("/emptied", "")] {
            let mut client = edge.client().await;
            post(&mut client, &format!("/usual{tail}"), length, chunked).await;
            let answer = client.answer().await;
            assert_eq!((answer.status, answer.text().as_str()), (200, ours), "{tail}, {length} bytes, chunked: {chunked}");
            assert_eq!(answer.field("x-length"), Some(ours.len().to_string().as_str()), "{tail}, {length} bytes");
        }
    }
}
