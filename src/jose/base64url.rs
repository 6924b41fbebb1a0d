//! Base64url without padding, one text per byte string.
//!
//! No other alphabet, no padding, no white space, and the bits that the last character has to spare must be zero: two
//! texts that decode to the same bytes would give one token two names. Rules: RFC 4648 sections 3.5 and 5,
//! RFC 7515 appendix C.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The bytes that `text` stands for; `None` when it is not exactly the one encoding of them.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Decodes `text` into `buffer` and returns the part that was filled; `None` when it is ill-formed or does not fit.
#[must_use]
pub fn decode_into<'b>(text: &str, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    let filled = URL_SAFE_NO_PAD.decode_slice(text, buffer).ok()?;
    buffer.get(..filled)
}

/// The text that stands for `bytes`.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::{decode, decode_into, encode};

    #[test]
    fn one_byte_string_has_one_text() {
        let cases: [(&str, Option<&[u8]>, &str); 11] = [
            ("", Some(b""), "nothing stands for nothing"),
            ("_-8", Some(b"\xff\xef"), "the url-safe alphabet"),
            ("AA", Some(b"\0"), "the canonical text of one zero byte"),
            ("AB", None, "spare bits that are not zero"),
            ("AAB", None, "spare bits that are not zero, two bytes"),
            ("AA==", None, "padding"),
            ("/+8", None, "the standard alphabet"),
            ("A A", None, "white space"),
            ("AA\n", None, "a line break at the end"),
            ("A", None, "six bits are not a byte"),
            ("A?==", None, "junk"),
        ];
        for (text, expected, shows) in cases {
            assert_eq!(decode(text).as_deref(), expected, "{shows}: {text:?}");
            assert_eq!(decode_into(text, &mut [0; 8]), expected, "{shows}, into a buffer: {text:?}");
            if let Some(bytes) = expected {
                assert_eq!(encode(bytes), text, "{shows}, and back");
            }
        }
        assert_eq!(decode_into("AAAA", &mut [0; 2]), None, "what does not fit is refused, not cut");
    }
}
