//! How the secret of a server key is kept: as a keyed digest, never in the clear.
//!
//! The digest is HMAC-SHA256 under a pepper that does not lie beside the records, over the length of the id, the id and
//! the secret. The length keeps `ab` + `c` and `a` + `bc` apart; the id keeps one secret from having one digest
//! everywhere. Server keys are long and random, so a slow password hash would cost every request and add nothing.
//!
//! Source: RFC 2104, FIPS 198-1.

use aws_lc_rs::hmac;

use crate::domain::Secret;
use crate::jose::base64url;

/// What a written digest starts with: the form's name, so that another form can follow it one day.
const FORM: &str = "cs1:";

/// The fewest bytes a pepper may have.
pub const LEAST_PEPPER: usize = 16;

/// A pepper, made ready.
#[derive(Clone)]
pub struct Pepper(hmac::Key);

impl Pepper {
    /// Makes `secret` ready; `None` when it is shorter than [`LEAST_PEPPER`].
    #[must_use]
    pub fn new(secret: &Secret) -> Option<Self> {
        (LEAST_PEPPER <= secret.len()).then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, secret.expose())))
    }

    /// The digest of `secret` as the record of `id` holds it.
    #[must_use]
    pub fn digest(&self, id: &str, secret: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        // Ids are at most 256 bytes long; one that does not fit 32 bits is in no store.
        context.update(&u32::try_from(id.len()).unwrap_or(u32::MAX).to_be_bytes());
        context.update(id.as_bytes());
        context.update(secret);
        let mut digest = [0; 32];
        for (to, from) in digest.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        digest
    }
}

impl std::fmt::Debug for Pepper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pepper")
    }
}

/// `digest` as it is written into a record: `cs1:` and base64url without padding.
#[must_use]
pub fn digest_text(digest: &[u8; 32]) -> String {
    format!("{FORM}{}", base64url::encode(digest))
}

/// Reads a digest as [`digest_text`] writes it, or as 64 hexadecimal digits, or as bare base64url.
#[must_use]
pub fn parse_digest(text: &str) -> Option<[u8; 32]> {
    const HEX: usize = 64;
    if text.len() == HEX {
        return parse_hex(text);
    }
    let mut digest = [0; 32];
    let encoded = text.strip_prefix(FORM).unwrap_or(text);
    let filled = base64url::decode_into(encoded, &mut digest)?.len();
    (filled == digest.len()).then_some(digest)
}

fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        let value = char::from(*high).to_digit(16)? * 16 + char::from(*low).to_digit(16)?;
        *byte = u8::try_from(value).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::{LEAST_PEPPER, Pepper, digest_text, parse_digest};
    use crate::domain::Secret;

    fn pepper(text: &str) -> Pepper {
        Pepper::new(&Secret::new(text.as_bytes().to_vec())).unwrap()
    }

    #[test]
    fn a_digest_depends_on_every_part_and_on_where_parts_meet() {
        let pepper_1 = pepper("0123456789abcdef");
        let base = pepper_1.digest("ab", b"c");
        // HMAC-SHA256 computed with another implementation over 00000002 6162 63.
        assert_eq!(digest_text(&base), "cs1:MzVwDkB05H01AY7GqBbdsoR-e8X9xgnTJNWT4cXGHcI");
        for (other, shows) in [
            (pepper_1.digest("a", b"bc"), "the same bytes, parted elsewhere"),
            (pepper_1.digest("ab", b"d"), "another secret"),
            (pepper_1.digest("aB", b"c"), "another id"),
            (pepper("0123456789abcdeF").digest("ab", b"c"), "another pepper"),
        ] {
            assert_ne!(base, other, "{shows}");
        }
        assert_eq!(base, pepper_1.digest("ab", b"c"), "the same, the same");
    }

    #[test]
    fn a_short_pepper_is_none() {
        let of = |length: usize| Pepper::new(&Secret::new(vec![b'p'; length])).is_some();
        assert!(of(LEAST_PEPPER), "the shortest that counts");
        assert!(!of(LEAST_PEPPER - 1), "one byte less");
        assert!(!of(0), "nothing");
    }

    #[test]
    fn a_written_digest_reads_back_and_nothing_like_it_does() {
        let digest = pepper("0123456789abcdef").digest("a", b"b");
        let text = digest_text(&digest);
        let bare = text.strip_prefix("cs1:").unwrap().to_owned();
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        for (written, shows) in [(text.clone(), "our own form"), (bare.clone(), "bare base64url"), (hex.clone(), "hexadecimal")] {
            assert_eq!(parse_digest(&written), Some(digest), "{shows}");
        }
        for (written, shows) in [
            (String::new(), "nothing"),
            ("cs1:".to_owned(), "a form without a digest"),
            (format!("cs2:{bare}"), "a form we do not know"),
            (format!("{text}="), "padding"),
            (bare[1..].to_owned(), "one character short"),
            (format!("{bare}A"), "one character long"),
            (hex[2..].to_owned(), "one byte short"),
            (hex.replace(|letter: char| letter.is_ascii_digit(), "g"), "letters that are no digits"),
            ("é".repeat(32), "64 bytes that are not 64 digits"),
            ("password".to_owned(), "a secret in the clear"),
        ] {
            assert_eq!(parse_digest(&written), None, "{shows}: {written}");
        }
    }
}
