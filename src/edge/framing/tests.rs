//! Bodies that could be read in two ways, and what becomes of each.

use super::Ruler;
use crate::edge::head::BodyLength;

const CHUNKED: BodyLength = BodyLength::Chunked;

/// Measures `bytes` in pieces of `step`; the length of the message, or `None` when it is not complete.
fn measure(length: BodyLength, bytes: &[u8], step: usize) -> Result<Option<usize>, &'static str> {
    let mut ruler = Ruler::new(length);
    let mut total = 0;
    for piece in bytes.chunks(step) {
        let taken = ruler.measure(piece)?;
        total += taken;
        if taken < piece.len() {
            assert!(ruler.is_done(), "bytes are left over only behind a complete message");
            break;
        }
    }
    Ok(ruler.is_done().then_some(total))
}

#[test]
fn a_body_ends_where_its_framing_says() {
    let trailing = format!("0\r\nx: {}\r\n\r\n", "a".repeat(8100));
    let rows: &[(BodyLength, &[u8], Option<usize>, &str)] = &[
        (BodyLength::Known(0), b"GET", Some(0), "nothing belongs to an absent body"),
        (BodyLength::Known(3), b"abcGET", Some(3), "what follows is another's"),
        (BodyLength::Known(3), b"ab", None, "one byte short"),
        (CHUNKED, b"0\r\n\r\nGET", Some(5), "an empty body"),
        (CHUNKED, b"3\r\nabc\r\n0\r\n\r\nGET", Some(13), "one chunk"),
        (CHUNKED, b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", Some(35), "digits in either case"),
        (CHUNKED, b"003\r\nabc\r\n0\r\n\r\n", Some(15), "zeros in front"),
        (CHUNKED, b"3;name=\"v\"\r\nabc\r\n0\r\n\r\n", Some(22), "an extension means nothing"),
        (CHUNKED, b"0\r\nX-Sum: 1\r\n\r\nGET", Some(15), "a trailer"),
        (CHUNKED, trailing.as_bytes(), Some(trailing.len()), "trailers within the bound"),
        (CHUNKED, b"3\r\nabc\r\n0\r\n", None, "the last empty line is missing"),
    ];
    for (length, bytes, expected, shows) in rows {
        for step in [1, 2, 3, 7, 64, 10_000] {
            assert_eq!(measure(*length, bytes, step), Ok(*expected), "{shows} (pieces of {step})");
        }
    }
}

#[test]
fn whatever_two_readers_could_read_in_two_ways_is_refused() {
    let long = [b"1;".as_slice(), &[b'x'; 300], b"\r\n"].concat();
    let trailers = [b"0\r\nx: ".as_slice(), &[b'a'; 9000], b"\r\n\r\n"].concat();
    let rows: &[(&[u8], &str, &str)] = &[
        (b"\r\nabc", "chunk_size", "no size at all"),
        (b";x\r\n", "chunk_size", "an extension without a size"),
        (b"0x5\r\nabcde\r\n", "chunk_extension", "a prefix"),
        (b"+5\r\nabcde\r\n", "chunk_size", "a sign"),
        (b"-0\r\n\r\n", "chunk_size", "a sign on zero"),
        (b"5_0\r\n", "chunk_extension", "a separator"),
        (b" 5\r\nabcde\r\n", "chunk_size", "a blank before"),
        (b"5 \r\nabcde\r\n", "chunk_extension", "a blank behind"),
        (b"5\t;x\r\nabcde\r\n", "chunk_extension", "a blank before the extension"),
        (b"10000000000000000\r\n", "chunk_size", "seventeen digits"),
        (b"fffffffffffffffe\r\n", "chunk_size", "sixteen"),
        (b"5\nabcde\r\n", "chunk_line_end", "a bare line feed"),
        (b"5\rabcde\r\n", "chunk_line_end", "a bare carriage return"),
        (b"5;a\nb\r\n", "chunk_line_end", "a line feed in an extension"),
        (b"5;a\rb\r\n", "chunk_line_end", "a carriage return in an extension"),
        (b"5;\x00\r\n", "chunk_extension", "a control in an extension"),
        (b"3\r\nabc\r\r0\r\n\r\n", "chunk_end", "two carriage returns"),
        (b"3\r\nabc\n0\r\n\r\n", "chunk_end", "a chunk ended by a line feed"),
        (b"3\r\nabcXX0\r\n\r\n", "chunk_end", "two other bytes"),
        (b"3\r\nabcd\r\n0\r\n\r\n", "chunk_end", "a chunk longer than said"),
        (&long, "chunk_line_long", "a long extension"),
        (&trailers, "trailers_long", "long trailers"),
        (b"0\r\nContent-Length: 5\r\n\r\n", "trailer_forbidden", "framing in a trailer"),
        (b"0\r\ntransfer-encoding: chunked\r\n\r\n", "trailer_forbidden", "the same"),
        (b"0\r\nHost: other\r\n\r\n", "trailer_forbidden", "routing in a trailer"),
        (b"0\r\n folded\r\n\r\n", "trailer", "a folded trailer"),
        (b"0\r\nGET / HTTP/1.1\r\n\r\n", "trailer", "a request where a trailer should be"),
        (b"0\r\nX : 1\r\n\r\n", "trailer", "a blank before the colon"),
    ];
    for (bytes, why, shows) in rows {
        for step in [1, 2, 5, 10_000] {
            assert_eq!(measure(CHUNKED, bytes, step), Err(*why), "{shows} (pieces of {step})");
        }
    }
}
