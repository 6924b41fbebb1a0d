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
        target if target.ends_with("/long") => ok(&format!("{BROUGHT}{}", " ".repeat(70_000))),
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
async fn a_reply_that_is_too_long_to_be_held_goes_on_as_it_came() {
    let upstream = Upstream::scripted(bringing).await;
    let (edge, _) = edge_before(&upstream, Renewal::Admits).await;
    let mut client = edge.client().await;
    client.send(get("/held/kept/long")).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text().starts_with(BROUGHT), answer.field("set-cookie")), (200, true, None));
}
