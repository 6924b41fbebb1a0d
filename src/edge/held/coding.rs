//! Content codings, taken off a held reply so that it can be read. The client gets the bytes as they were sent.
//!
//! At most so many bytes come out, whatever goes in: a reply that unfolds to more is not read at all. What is not understood is not
//! guessed at.
//!
//! Not here: codings of the way (`Transfer-Encoding`), which the framing takes off. Rules: RFC 9110 section 8.4.1 (gzip, deflate),
//! RFC 7932 (br), RFC 8878 (zstd), RFC 9659 (its window over HTTP).

use std::io::Read;

use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

/// More codings than this on one reply have no honest use.
const MOST_CODINGS: usize = 3;
/// The window of zstd as a power of two: the 8 MiB that RFC 9659 allows.
const ZSTD_WINDOW: u32 = 23;
/// What is unfolded at a time.
const PIECE: usize = 4096;

/// `content` without its codings; `None` when that is more than `most` bytes, broken, or in a coding that is not known.
pub(super) fn take_off(headers: &HeaderMap, content: Bytes, most: usize) -> Option<Bytes> {
    let mut codings = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        codings.extend(value.to_str().ok()?.split(',').map(str::trim).filter(|coding| !coding.is_empty()));
    }
    if MOST_CODINGS < codings.len() {
        return None;
    }
    let mut plain = content;
    // The last one named was applied last.
    for coding in codings.into_iter().rev() {
        plain = unfold(coding, &plain, most)?;
    }
    (plain.len() <= most).then_some(plain)
}

fn unfold(coding: &str, folded: &Bytes, most: usize) -> Option<Bytes> {
    match coding.to_ascii_lowercase().as_str() {
        "identity" => Some(folded.clone()),
        // An answer to HEAD, or an empty one, may say what it would have been coded with.
        _ if folded.is_empty() => Some(Bytes::new()),
        "gzip" | "x-gzip" => read(MultiGzDecoder::new(&folded[..]), most),
        // By the rule it is wrapped as zlib has it; some senders leave the wrapping out.
        "deflate" => read(ZlibDecoder::new(&folded[..]), most).or_else(|| read(DeflateDecoder::new(&folded[..]), most)),
        "br" => read(brotli::Decompressor::new(&folded[..], PIECE), most),
        "zstd" => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(&folded[..]).ok()?;
            decoder.window_log_max(ZSTD_WINDOW).ok()?;
            read(decoder, most)
        }
        _ => None,
    }
}

/// Everything that `from` gives, as long as it is at most `most` bytes.
fn read(from: impl Read, most: usize) -> Option<Bytes> {
    let mut plain = Vec::new();
    from.take(most as u64 + 1).read_to_end(&mut plain).ok()?;
    (plain.len() <= most).then(|| plain.into())
}

#[cfg(test)]
mod tests;
