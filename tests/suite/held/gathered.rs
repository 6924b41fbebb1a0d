//! Replies that bring a credential which is kept in the client's place: what the client sees of them, on every way.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{edge_before, get};
use crate::support::judge::{REST, Renewal};
use crate::support::upstream::{Recorded, Reply, Upstream, ok};

const BROUGHT: &str = r#"{"access_token":"token-of-alice"}"#;

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// Brings a credential as the target says.
fn bringing(record: &Recorded) -> Reply {
    let head = "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-MD5: x\r\n";
    let length = BROUGHT.len();
    let coded = |body: Vec<u8>| {
        let head = format!("{head}Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", body.len());
        Reply::Bytes([head.into_bytes(), body].concat())
    };
    match record.target() {
        target if target.ends_with("/chunked") => {
            Reply::Bytes(format!("{head}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{BROUGHT}\r\n0\r\n\r\n").into_bytes())
        }
        target if target.ends_with("/gzip") => coded(gzip(BROUGHT)),
        target if target.ends_with("/field") => {
            Reply::Bytes(format!("{head}X-Token: token-of-alice\r\nContent-Length: 5\r\n\r\nplain").into_bytes())
        }
        target if target.ends_with("/nothing") => ok("nothing of the kind"),
        _ => Reply::Bytes(format!("{head}Content-Length: {length}\r\n\r\n{BROUGHT}").into_bytes()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_in_the_clients_place_never_reaches_it() {
    let upstream = Upstream::scripted(bringing).await;
    let (edge, _) = edge_before(&upstream, Renewal::Admits).await;
    let mut client = edge.client().await;
    let rows = [
        // target, body, whether it is kept, what it shows
        ("/held/kept", REST, true, "a body of known length"),
        ("/held/kept/chunked", REST, true, "one in chunks"),
        ("/held/kept/gzip", REST, true, "one that is coded is told without its coding"),
        ("/held/kept/field", "plain", true, "a field is taken off, and the body stays"),
        ("/weighed/kept/field", "plain", true, "also where the reply was not held"),
        ("/held/kept/nothing", "nothing of the kind", false, "what brings nothing goes on"),
        ("/held/brought", BROUGHT, false, "where nobody keeps it, it is the client's"),
    ];
    for (target, body, kept, shows) in rows {
        client.send(get(target)).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.text().as_str()), (200, body), "{shows}");
        assert_eq!(answer.field("set-cookie"), kept.then_some("session=ours; Path=/"), "{shows}");
        assert_eq!(answer.field("x-token"), None, "{shows}");
        if body == REST {
            for gone in ["etag", "content-md5", "content-encoding", "transfer-encoding"] {
                assert_eq!(answer.field(gone), None, "{shows}: `{gone}` is of another body");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_is_not_shown_either() {
    for (target, status, panics) in [("/held/kept/lost", 503, 0), ("/held/kept/harvest-panics", 500, 1)] {
        let upstream = Upstream::scripted(bringing).await;
        let (edge, _) = edge_before(&upstream, Renewal::Admits).await;
        let mut client = edge.client().await;
        client.send(get(target)).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.text().contains("token-of-alice")), (status, false), "{target}");
        assert_eq!(answer.field("set-cookie"), None, "{target}");
        assert_eq!((upstream.hits(), edge.ledger.panics()), (1, panics), "{target}: and nothing is asked for twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_should_be_read_for_what_it_brings_and_cannot_be_does_not_go_on() {
    let with = |fields: &str, body: &[u8]| {
        [format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
    };
    let long = format!("{BROUGHT}{}", " ".repeat(70_000));
    let bomb = gzip(&format!("{BROUGHT}{}", " ".repeat(10_000_000)));
    let twice = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\ne\r\ntoken-of-alice\r\n0\r\n\r\n".to_vec();
    let failed = format!("HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\n\r\n{long}", long.len()).into_bytes();
    let rows: [(&str, Vec<u8>, u16, &str); 8] = [
        ("/held/kept", with("", long.as_bytes()), 502, "longer than is held"),
        ("/held/kept", with("Content-Encoding: gzip\r\n", &bomb), 502, "a bomb"),
        ("/held/kept", with("Content-Encoding: secret\r\n", BROUGHT.as_bytes()), 502, "a coding that nobody knows"),
        ("/held/kept", with("Content-Encoding: br\r\n", BROUGHT.as_bytes()), 502, "one that is not there"),
        ("/held/kept", twice, 502, "framing that two readers could read in two ways"),
        ("/held/kept", failed, 404, "what failed brings nothing"),
        ("/held/brought", with("", long.as_bytes()), 200, "where nobody keeps it, it is the client's"),
        ("/weighed/kept", with("", long.as_bytes()), 200, "where it is not held, only the head is asked"),
    ];
    for (target, reply, status, shows) in rows {
        let upstream = Upstream::scripted(move |_| Reply::Bytes(reply.clone())).await;
        let (edge, _) = edge_before(&upstream, Renewal::Admits).await;
        let mut client = edge.client().await;
        client.send(get(target)).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.text().contains("token-of-alice")), (status, status != 502), "{shows}");
        assert_eq!((answer.field("set-cookie"), upstream.hits()), (None, 1), "{shows}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_client_gets_at_a_credential_by_how_it_asks() {
    let upstream = Upstream::scripted(bringing).await;
    let (edge, _) = edge_before(&upstream, Renewal::Admits).await;
    let handshake =
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (fields, status, shows) in [
        ("Range: bytes=0-30\r\nIf-Range: \"a\"\r\n", 200, "a part of it is not asked for"),
        (handshake, 502, "a reply to a handshake is not held, and so not read"),
    ] {
        let mut client = edge.client().await;
        client.send(format!("GET /held/kept HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\n{fields}\r\n")).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.text().contains("token-of-alice")), (status, false), "{shows}");
        let told = upstream.records().pop().unwrap();
        assert_eq!((told.fields("range"), told.fields("if-range")), (vec![], vec![]), "{shows}");
    }
}
