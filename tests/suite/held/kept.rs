//! Credentials that replies bring and the client is not to see: kept, taken out, or the reply does not go on.

use std::io::Write;

use countersign::domain::Reason;
use countersign::systems::contract::HELD_REPLY;

use super::{GOOD, edge_before, get};
use crate::support::judge::Renewal;
use crate::support::upstream::{Reply, Upstream, eventually, ok};

const SECRET: &str = "marked-secret";

fn brings(fields: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn in_chunks(body: &[u8]) -> Vec<u8> {
    let mut reply = b"HTTP/1.1 200 OK\r\nX-Own: 1\r\nETag: \"a\"\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.chunks(5) {
        reply.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        reply.extend_from_slice(chunk);
        reply.extend_from_slice(b"\r\n");
    }
    reply.extend_from_slice(b"0\r\n\r\n");
    reply
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_reply_brings_is_kept_and_the_client_sees_the_rest() {
    let body = format!("hello token={SECRET};world").into_bytes();
    let large = format!("token={SECRET};{}", "x".repeat(HELD_REPLY - SECRET.len() - 7)).into_bytes();
    let own = "X-Own: 1\r\nETag: \"a\"\r\n";
    let rows: [(&str, Vec<u8>, &str, &str); 6] = [
        ("/held/kept", brings(own, &body), "hello world", "a length"),
        ("/held/kept", in_chunks(&body), "hello world", "chunks"),
        ("/held/kept/fixed", brings(own, &body), "hello world", "where nothing is renewed as well"),
        ("/held/kept", brings(&format!("{own}Content-Encoding: gzip\r\n"), &gzip(&body)), "hello world", "folded"),
        ("/held/kept", brings(own, format!("token={SECRET};").as_bytes()), "", "nothing is left"),
        ("/held/kept", brings(own, &large), "", "as long as may be"),
    ];
    for (target, reply, rest, shows) in rows {
        let upstream = Upstream::scripted(move |_| Reply::Bytes(reply.clone())).await;
        let (edge, gatekeeper) = edge_before(&upstream, Renewal::Admits).await;
        let mut client = edge.client().await;
        for round in 1..=2 {
            client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n{GOOD}Range: bytes=0-5\r\nIf-Range: \"a\"\r\n\r\n")).await;
            let answer = client.answer().await;
            assert_eq!(answer.status, 200, "{shows}");
            assert!(!answer.text().contains(SECRET), "{shows}: {}", answer.text());
            if rest.is_empty() {
                assert!(answer.text().bytes().all(|byte| byte == b'x'), "{shows}");
            } else {
                assert_eq!(answer.text(), rest, "{shows}");
            }
            assert_eq!((answer.field("x-own"), answer.field("set-cookie")), (Some("1"), Some("session=1; Path=/")), "{shows}");
            assert_eq!((answer.field("cache-control"), answer.field("content-length").is_some()), (Some("no-store"), true), "{shows}");
            for gone in ["etag", "content-encoding", "transfer-encoding"] {
                assert_eq!(answer.field(gone), None, "{shows}: {gone} was said of another body");
            }
            assert_eq!(*gatekeeper.kept.lock(), vec![SECRET; round], "{shows}");
            let told = upstream.records().pop().unwrap();
            assert_eq!((told.fields("range"), told.fields("if-range")), (vec![], vec![]), "{shows}: the whole is asked for");
        }
        eventually("its connection is used again", || upstream.connections() == 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_cannot_be_read_or_kept_does_not_go_on() {
    let body = format!("token={SECRET};").into_bytes();
    let beyond = [&body[..], &vec![b'x'; HELD_REPLY + 1 - body.len()]].concat();
    let bomb = gzip(&[&body[..], &vec![b'x'; 10_000_000]].concat());
    let twice =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n13\r\ntoken=marked-secret\r\n0\r\n\r\n".to_vec();
    let rows: [(&str, Vec<u8>, u16, Option<Reason>, &str); 9] = [
        ("/held/kept", brings("", &beyond), 502, Some(Reason::UpstreamUnreachable), "longer than is held"),
        ("/held/kept", brings("Content-Encoding: gzip\r\n", &bomb), 502, Some(Reason::UpstreamUnreachable), "a bomb"),
        ("/held/kept", brings("Content-Encoding: secret\r\n", &body), 502, Some(Reason::UpstreamUnreachable), "a coding nobody knows"),
        ("/held/kept", brings("Content-Encoding: gzip\r\n", &body), 502, Some(Reason::UpstreamUnreachable), "one that is not there"),
        ("/held/kept", twice, 502, Some(Reason::UpstreamUnreachable), "framing that two readers could read in two ways"),
        ("/held/kept", brings("X-For: nobody\r\n", &body), 403, Some(Reason::PolicyDenied), "it cannot be kept"),
        ("/held/kept", brings("X-For: panic\r\n", &body), 500, Some(Reason::Internal), "the judge panics"),
        ("/held/kept/confused", brings("", &body), 502, Some(Reason::UpstreamUnreachable), "the system panics"),
        ("/held/kept", brings("", b"nothing of the kind"), 200, None, "it brings nothing"),
    ];
    for (target, reply, status, reason, shows) in rows {
        let upstream = Upstream::scripted(move |_| Reply::Bytes(reply.clone())).await;
        let (edge, gatekeeper) = edge_before(&upstream, Renewal::Admits).await;
        let mut client = edge.client().await;
        client.send(get(target)).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, status, "{shows}");
        assert!(!answer.text().contains(SECRET), "{shows}");
        assert_eq!(answer.field("set-cookie"), None, "{shows}");
        assert_eq!(gatekeeper.kept.lock().len(), 0, "{shows}");
        eventually("it is reported", || edge.ledger.visits().len() == 1).await;
        assert_eq!(edge.ledger.visits()[0].reason, reason, "{shows}");
        assert_eq!(upstream.hits(), 1, "{shows}: and not asked for again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_head_brings_is_kept_where_nothing_is_held() {
    let upstream = Upstream::scripted(|record| match record.target() {
        target if target.ends_with("/brings") => Reply::Bytes(brings("X-Brings: marked-secret\r\n", b"as it is")),
        _ => ok("as it is"),
    })
    .await;
    let (edge, gatekeeper) = edge_before(&upstream, Renewal::Admits).await;
    let mut client = edge.client().await;
    for (target, kept) in [("/weighed/kept/brings", 1), ("/weighed/kept", 0), ("/weighed/brings", 0), ("/renewable/kept/brings", 0)] {
        let before = gatekeeper.kept.lock().len();
        client.send(get(target)).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "as it is"), "{target}");
        assert_eq!(gatekeeper.kept.lock().len() - before, kept, "{target}");
        assert_eq!(answer.field("set-cookie").is_some(), kept == 1, "{target}");
    }
}
