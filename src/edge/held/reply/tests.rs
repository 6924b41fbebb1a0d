//! Rows of replies, each with where it ends, or that nobody should say so.

use super::{Follower, HeadFound, MOST_HEAD, content_of_chunks};

/// How a reply that came in pieces of `size` bytes ended up: over, endless, or lost; `None` for not yet.
fn followed(bodiless: bool, reply: &[u8], size: usize) -> Option<&'static str> {
    let mut follower = Follower::new(bodiless);
    let mut seen = 0;
    let mut head_at = 0;
    let mut come = 0;
    while come < reply.len() {
        come = (come + size).min(reply.len());
        while follower.awaits_head() {
            match follower.read_head(&reply[head_at..come]) {
                HeadFound::Part => break,
                HeadFound::Interim(length) => head_at += length,
                HeadFound::Final(length) => seen = head_at + length,
                HeadFound::Lost => return Some("lost"),
            }
        }
        if !follower.awaits_head() {
            follower.follow(&reply[seen..come]);
            seen = come;
        }
    }
    if follower.is_over() {
        Some("over")
    } else if follower.is_endless() {
        Some("endless")
    } else if follower.is_lost() {
        Some("lost")
    } else {
        None
    }
}

#[test]
fn a_reply_is_followed_to_its_end_and_lost_where_two_readers_could_differ() {
    let rows: [(bool, &str, Option<&str>, &str); 33] = [
        (false, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Some("over"), "a length"),
        (false, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", None, "not all of it"),
        (false, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!", Some("lost"), "something behind the end"),
        (false, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Some("over"), "nothing"),
        (false, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n!", Some("lost"), "nothing, and something behind it"),
        (false, "HTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\nok", Some("over"), "any case, no blank"),
        (false, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Some("over"), "chunks"),
        (
            false,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nX: y\r\n\r\n",
            Some("over"),
            "an extension, a trailer",
        ),
        (false, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", None, "chunks without end"),
        (
            false,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n!",
            Some("lost"),
            "something behind the last chunk",
        ),
        (false, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", Some("lost"), "no size"),
        (false, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nok\n0\n\n", Some("lost"), "line feeds alone"),
        (false, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", Some("lost"), "another coding of the way"),
        (false, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Some("lost"), "twice"),
        (
            false,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            Some("lost"),
            "a length beside chunks",
        ),
        (false, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", Some("lost"), "two lengths, though the same"),
        (false, "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", Some("lost"), "two lengths in one"),
        (false, "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", Some("lost"), "a sign"),
        (false, "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nok", Some("lost"), "no digits"),
        (false, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok", Some("lost"), "more than can be counted"),
        (false, "HTTP/1.1 200 OK\r\n\r\nok", Some("endless"), "until the connection ends"),
        (false, "HTTP/1.0 200 OK\r\n\r\n", Some("endless"), "the same in HTTP/1.0"),
        (false, "HTTP/1.1 204 No Content\r\n\r\n", Some("over"), "204 has no body"),
        (false, "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", Some("over"), "304 tells the length of another"),
        (false, "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nok", Some("lost"), "and if something comes all the same"),
        (true, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", Some("over"), "HEAD as well"),
        (true, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Some("over"), "in chunks"),
        (true, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Some("lost"), "a body in an answer to HEAD"),
        (
            false,
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            Some("over"),
            "hints before it",
        ),
        (false, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n", None, "hints alone"),
        (false, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", Some("lost"), "another protocol"),
        (false, "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok", Some("lost"), "a blank before the colon"),
        (false, "SSH-2.0\r\n\r\n", Some("lost"), "another language"),
    ];
    for (bodiless, reply, expected, shows) in rows {
        for size in [1, 7, reply.len()] {
            assert_eq!(followed(bodiless, reply.as_bytes(), size), expected, "{shows}, in pieces of {size}");
        }
    }
}

#[test]
fn a_head_is_waited_for_up_to_a_bound() {
    let begun = |length: usize| {
        let start = b"HTTP/1.1 200 OK\r\nX: ".to_vec();
        let fill = vec![b'x'; length - start.len()];
        [start, fill].concat()
    };
    for (length, found) in [(MOST_HEAD, HeadFound::Part), (MOST_HEAD + 1, HeadFound::Lost)] {
        assert_eq!(Follower::new(false).read_head(&begun(length)), found, "{length} bytes and no end");
    }
}

#[test]
fn a_reply_outgrows_the_bound_as_soon_as_that_is_known() {
    let rows: [(&str, bool, &str); 7] = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", false, "as long as the bound"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n", true, "announced to be longer"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n0123456789", false, "a chunk as long as the bound"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nF\r\n0123456789", false, "one that announces more"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n1\r\na", true, "a byte in the next"),
        ("HTTP/1.1 200 OK\r\n\r\n0123456789", false, "without end, as long as the bound"),
        ("HTTP/1.1 200 OK\r\n\r\n0123456789a", true, "one byte more"),
    ];
    for (reply, outgrows, shows) in rows {
        let mut follower = Follower::new(false);
        let HeadFound::Final(length) = follower.read_head(reply.as_bytes()) else { panic!("{shows}: a head") };
        follower.follow(&reply.as_bytes()[length..]);
        assert_eq!(follower.outgrows(10), outgrows, "{shows}");
    }
}

#[test]
fn chunks_become_their_content() {
    let rows: [(&str, Option<&str>, &str); 5] = [
        ("2\r\nok\r\n0\r\n\r\n", Some("ok"), "one"),
        ("1\r\no\r\n001\r\nk\r\n0\r\nX: y\r\n\r\n", Some("ok"), "several, and a trailer"),
        ("A;x=\"1\"\r\n0123456789\r\n0\r\n\r\n", Some("0123456789"), "an extension"),
        ("0\r\n\r\n", Some(""), "none"),
        ("2\r\nok\r\n", None, "no end"),
    ];
    for (body, content, shows) in rows {
        assert_eq!(content_of_chunks(body.as_bytes()).as_deref(), content.map(str::as_bytes), "{shows}");
    }
}
