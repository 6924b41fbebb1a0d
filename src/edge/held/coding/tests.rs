//! Rows of codings, each with what comes out of it, and what does not.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderValue};

use super::take_off;

const MOST: usize = 1000;

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn deflate(plain: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
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

fn taken_off(codings: &[&str], content: Vec<u8>) -> Option<Bytes> {
    let mut headers = HeaderMap::new();
    for coding in codings {
        headers.append(CONTENT_ENCODING, HeaderValue::from_str(coding).unwrap());
    }
    take_off(&headers, content.into(), MOST)
}

const FOLDS: [(&str, fn(&[u8]) -> Vec<u8>); 6] =
    [("gzip", gzip), ("x-gzip", gzip), ("deflate", zlib), ("deflate", deflate), ("br", br), ("zstd", zstd)];

#[test]
fn what_was_folded_is_unfolded_up_to_the_bound_and_no_further() {
    for (coding, fold) in FOLDS {
        let rows = [
            (0, true, "nothing"),
            (1, true, "one byte"),
            (MOST, true, "as much as may be"),
            (MOST + 1, false, "one byte more"),
            (50_000_000, false, "a bomb"),
        ];
        for (length, reads, shows) in rows {
            let plain = vec![b'x'; length];
            let folded = fold(&plain);
            assert!(length < 50_000_000 || folded.len() < 100_000, "{coding}: a bomb is small: {}", folded.len());
            let unfolded = taken_off(&[coding], folded);
            assert_eq!(unfolded.as_deref(), reads.then_some(&plain[..]), "{coding}: {shows}");
        }
    }
}

#[test]
fn codings_are_taken_off_in_reverse_order_and_what_is_not_understood_is_not_guessed_at() {
    let both = || gzip(&br(b"plain"));
    let rows: [(&[&str], Vec<u8>, Option<&[u8]>, &str); 16] = [
        (&[], b"plain".to_vec(), Some(b"plain"), "none"),
        (&["identity"], b"plain".to_vec(), Some(b"plain"), "none, by name"),
        (&["GZip"], gzip(b"plain"), Some(b"plain"), "in any case"),
        (&["br, gzip"], both(), Some(b"plain"), "two, in one field"),
        (&["br", "gzip"], both(), Some(b"plain"), "two, in two fields"),
        (&["gzip, br"], both(), None, "in the wrong order"),
        (&["gzip, gzip, gzip"], gzip(&gzip(&gzip(b"plain"))), Some(b"plain"), "three are the most"),
        (&["gzip, gzip, gzip, gzip"], gzip(&gzip(&gzip(&gzip(b"plain")))), None, "four are too many"),
        (&["compress"], b"plain".to_vec(), None, "one that is not known"),
        (&["gzip"], b"plain".to_vec(), None, "one that is not there"),
        (&["br"], b"plain".to_vec(), None, "nor is this"),
        (&["zstd"], b"plain".to_vec(), None, "nor this"),
        (&["gzip"], gzip(b"plain")[..10].to_vec(), None, "cut off"),
        (&["gzip"], [gzip(b"pl"), gzip(b"ain")].concat(), Some(b"plain"), "two members are one content"),
        (&["gzip"], [gzip(b"plain"), b"junk".to_vec()].concat(), None, "junk behind the end"),
        (&["gzip"], Vec::new(), Some(b""), "the answer to HEAD, which has no body"),
    ];
    for (codings, content, expected, shows) in rows {
        assert_eq!(taken_off(codings, content).as_deref(), expected, "{shows}");
    }
    assert_eq!(taken_off(&[], vec![b'x'; MOST + 1]), None, "and more than may be is not read at all");
}

#[test]
fn a_window_that_is_larger_than_the_rule_allows_is_not_opened() {
    for (window, reads) in [(23, true), (24, false)] {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(window).unwrap();
        encoder.write_all(b"plain").unwrap();
        let folded = encoder.finish().unwrap();
        assert_eq!(taken_off(&["zstd"], folded).is_some(), reads, "2^{window}");
    }
}
