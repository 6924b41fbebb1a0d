//! Both sides of every bound: what is held, what is kept of a request, what codings unfold to, how long it takes.

use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use countersign::systems::contract::HELD_REPLY;
use tokio::sync::mpsc;

use super::{GOOD, edge_before, edge_to, get, quick, wants_new};
use crate::support::judge::Renewal;
use crate::support::upstream::{Recorded, Reply, Upstream, ok};

/// A body of so many bytes that says `expired`.
fn body_of(length: usize) -> Vec<u8> {
    let mut body = b"expired".to_vec();
    body.resize(length, b'x');
    body
}

fn with_fields(fields: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

fn in_chunks(body: &[u8], size: usize) -> Vec<u8> {
    let mut reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.chunks(size) {
        reply.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        reply.extend_from_slice(chunk);
        reply.extend_from_slice(b"\r\n");
    }
    reply.extend_from_slice(b"0\r\n\r\n");
    reply
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_is_classified_up_to_the_bound_and_goes_on_untouched_beyond_it() {
    let rows: [(usize, usize, bool, &str); 8] = [
        // length, chunk size (0 for a length), classified, what it shows
        (7, 0, true, "a short one"),
        (HELD_REPLY, 0, true, "the longest that is held"),
        (HELD_REPLY + 1, 0, false, "one byte more"),
        (5_000_000, 0, false, "a long one"),
        (HELD_REPLY, 1000, true, "the longest, in chunks"),
        (HELD_REPLY + 1, 1000, false, "one byte more, in chunks"),
        (5_000_000, 50_000, false, "a long one, in chunks"),
        (HELD_REPLY, 1, false, "so many chunks that their own lines are too much to be held"),
    ];
    for (length, size, classified, shows) in rows {
        let body = body_of(length);
        let reply = if size == 0 { with_fields("", &body) } else { in_chunks(&body, size) };
        let upstream = Upstream::scripted(
            move |record: &Recorded| {
                if record.fields("x-credential") == ["new"] { ok("taken") } else { Reply::Bytes(reply.clone()) }
            },
        )
        .await;
        let (edge, gatekeeper) = edge_before(&upstream, Renewal::Admits).await;
        let mut client = edge.client().await;
        client.send(get("/held")).await;
        let answer = client.answer().await;
        assert_eq!(gatekeeper.renewed.load(Ordering::SeqCst), usize::from(classified), "{shows}");
        assert!(answer.body == if classified { &b"taken"[..] } else { &body[..] }, "{shows}: {} bytes", answer.body.len());
        assert_eq!(client.get("/served").await.text(), "served", "{shows}: the connection lives on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_sent_again_as_long_as_its_body_could_be_kept() {
    let upstream = Upstream::scripted(wants_new).await;
    let (edge, gatekeeper) = edge_before(&upstream, Renewal::Admits).await;
    let rows = [
        // length, chunked, sent again, what it shows
        (65_536, false, true, "the most that is kept"),
        (65_537, false, false, "one byte more: the upstream's own answer"),
        (65_536, true, true, "the most, in chunks"),
        (65_537, true, false, "one byte more, in chunks"),
        (3_000_000, false, false, "a large one streams through"),
    ];
    for (length, chunked, again, shows) in rows {
        let (hits, renewed) = (upstream.hits(), gatekeeper.renewed.load(Ordering::SeqCst));
        let mut client = edge.client().await;
        let body = vec![b'x'; length];
        if chunked {
            let request = format!("POST /held HTTP/1.1\r\nHost: a\r\n{GOOD}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n");
            client.send([request.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat()).await;
        } else {
            let request = format!("POST /held HTTP/1.1\r\nHost: a\r\n{GOOD}Content-Length: {length}\r\n\r\n");
            client.send([request.as_bytes(), &body].concat()).await;
        }
        let answer = client.answer().await;
        assert_eq!(answer.text() == "taken", again, "{shows}");
        assert_eq!(upstream.hits() - hits, 1 + usize::from(again), "{shows}");
        assert_eq!(gatekeeper.renewed.load(Ordering::SeqCst) - renewed, usize::from(again), "{shows}: nothing is spent in vain");
        let last = upstream.records().pop().unwrap();
        assert!(last.body == body, "{shows}: whole");
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn deflate(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn br(plain: &[u8]) -> Vec<u8> {
    let mut folded = Vec::new();
    let mut writer = brotli::CompressorWriter::new(&mut folded, 4096, 9, 22);
    writer.write_all(plain).unwrap();
    drop(writer);
    folded
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(plain, 19).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn codings_are_taken_off_for_the_classification_and_the_client_gets_the_bytes_as_sent() {
    let folds: [(&str, fn(&[u8]) -> Vec<u8>); 4] = [("gzip", gzip), ("deflate", deflate), ("br", br), ("zstd", zstd)];
    for (coding, fold) in folds {
        let rows = [
            (7, true, "a short one"),
            (HELD_REPLY, true, "as long as may be"),
            (HELD_REPLY + 1, false, "one byte more"),
            (30_000_000, false, "a bomb"),
        ];
        for (length, classified, shows) in rows {
            let folded = fold(&body_of(length));
            assert!(folded.len() < HELD_REPLY, "{coding}: {shows}: it is held");
            let reply = with_fields(&format!("Content-Encoding: {coding}\r\n"), &folded);
            let upstream = Upstream::scripted(move |_| Reply::Bytes(reply.clone())).await;
            let (edge, gatekeeper) = edge_before(&upstream, Renewal::Fails).await;
            let mut client = edge.client().await;
            client.send(get("/held")).await;
            let answer = client.answer().await;
            assert_eq!(gatekeeper.renewed.load(Ordering::SeqCst), usize::from(classified), "{coding}: {shows}");
            assert_eq!(answer.field("content-encoding"), Some(coding), "{shows}");
            assert!(answer.body == folded, "{coding}: {shows}: byte for byte");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_drips_is_held_as_long_as_the_upstream_may_be_silent_and_then_goes_on_as_it_comes() {
    let (give, take) = mpsc::channel::<Bytes>(1);
    let take = parking_lot::Mutex::new(Some(take));
    let upstream = Upstream::scripted(move |_| Reply::Stream(take.lock().take().unwrap())).await;
    let (edge, gatekeeper) = edge_to(quick(upstream.address), Renewal::Admits).await;
    let dripping = tokio::spawn(async move {
        // Never silent for long, and never at an end.
        while give.send(Bytes::from_static(b"expired ")).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    });
    let mut client = edge.client().await;
    client.send(get("/held")).await;
    let head = client.head().await.unwrap();
    assert_eq!((head.status, head.field("transfer-encoding")), (200, Some("chunked")));
    for _ in 0..20 {
        let chunk = client.chunk().await.expect("it goes on");
        assert!(!chunk.is_empty(), "drop by drop");
    }
    assert_eq!((upstream.hits(), gatekeeper.renewed.load(Ordering::SeqCst)), (1, 0), "half a reply says nothing");
    drop(client);
    dripping.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_comes_slowly_but_in_time_is_classified() {
    let (give, take) = mpsc::channel::<Bytes>(1);
    let take = parking_lot::Mutex::new(Some(take));
    let upstream =
        Upstream::scripted(
            move |record: &Recorded| {
                if record.fields("x-credential") == ["new"] { ok("taken") } else { Reply::Stream(take.lock().take().unwrap()) }
            },
        )
        .await;
    let (edge, _) = edge_before(&upstream, Renewal::Admits).await;
    let mut client = edge.client().await;
    client.send(get("/held")).await;
    for piece in ["ex", "pi", "red"] {
        give.send(Bytes::from_static(piece.as_bytes())).await.unwrap();
        assert!(client.is_silent(Duration::from_millis(50)).await, "nothing of it is seen");
    }
    drop(give);
    assert_eq!(client.answer().await.text(), "taken");
}
