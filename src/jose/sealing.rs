//! Keys that seal one thing each: derived from a secret and a salt that is drawn anew every time, so that a nonce never repeats under one.
//!
//! HKDF-SHA256 makes them and AES-256-GCM takes them. A secret is extracted when it is set up, and the states that every derivation
//! starts with are kept: what opens a ticket with each request has two blocks to hash instead of nine.
//!
//! What is sealed, under which salt and with what authenticated, is said by who seals.
//!
//! HKDF is another library's than AES and all else here: `aws_lc_rs::hkdf` extracts again with each derivation.
//!
//! Rules: RFC 5869 (HKDF), RFC 5116 (AEAD).

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

/// A secret that keys are derived from, set up once. Its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Sealer(Hkdf<Sha256>);

impl Sealer {
    /// Sets up `secret` for one `purpose`, which is no secret: keys for two purposes have nothing in common.
    #[must_use]
    pub fn new(purpose: &'static str, secret: &[u8]) -> Self {
        let (mut extracted, kept) = Hkdf::extract(Some(purpose.as_bytes()), secret);
        extracted.as_mut_slice().zeroize();
        Self(kept)
    }

    /// The key for the one thing that `info` names, a fresh salt among it. The parts are read as one after another.
    ///
    /// `None` when the crypto library fails.
    #[must_use]
    pub fn key(&self, info: &[&[u8]]) -> Option<OnceKey> {
        let bytes = self.derived(info)?;
        Some(OnceKey(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes.as_slice()).ok()?)))
    }

    fn derived(&self, info: &[&[u8]]) -> Option<Zeroizing<[u8; 32]>> {
        let mut bytes = Zeroizing::new([0; 32]);
        self.0.expand_multi_info(info, bytes.as_mut_slice()).ok()?;
        Some(bytes)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

/// The key of one thing, to be used once.
pub struct OnceKey(LessSafeKey);

impl OnceKey {
    /// Seals `body` in place and puts the tag behind it; whoever opens it must say the same of it (`about`).
    ///
    /// `None` when the crypto library fails.
    #[must_use]
    pub fn seal(self, about: &[u8], body: &mut Vec<u8>) -> Option<()> {
        self.0.seal_in_place_append_tag(nonce(), Aad::from(about), body).ok()
    }

    /// Opens `sealed` in place; `None` when it was not sealed with this key and `about`, or was changed.
    #[must_use]
    pub fn open<'b>(self, about: &[u8], sealed: &'b mut [u8]) -> Option<&'b mut [u8]> {
        self.0.open_in_place(nonce(), Aad::from(about), sealed).ok()
    }
}

/// The same always: no two things are sealed under the same key.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};

    use super::Sealer;

    struct Bytes;

    impl KeyType for Bytes {
        fn len(&self) -> usize {
            32
        }
    }

    /// The same by the other library, which has made what is sealed since long.
    fn by_the_other(purpose: &str, secret: &[u8], info: &[&[u8]]) -> [u8; 32] {
        let mut bytes = [0; 32];
        Salt::new(HKDF_SHA256, purpose.as_bytes()).extract(secret).expand(info, Bytes).unwrap().fill(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn keys_are_those_of_hkdf() {
        // RFC 5869 appendix A.1 and A.2, whose outputs begin with what is a key here.
        let upto = |from: u8, to: u8| (from..=to).collect::<Vec<u8>>();
        let [salt, long_salt] = [upto(0x00, 0x0c), upto(0x60, 0xaf)];
        let rows = [
            (salt, vec![0x0b; 22], upto(0xf0, 0xf9), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"),
            (long_salt, upto(0x00, 0x4f), upto(0xb0, 0xff), "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"),
        ];
        for (salt, secret, info, expected) in rows {
            let sealer = Sealer(hkdf::Hkdf::new(Some(&salt), &secret));
            let (first, second) = info.split_at(3);
            let derived: String = sealer.derived(&[first, second]).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(derived, expected, "in two parts, which are read as one");
        }
    }

    #[test]
    fn keys_are_those_that_earlier_versions_had() {
        let rows: [(&str, &[u8], &[&[u8]]); 4] = [
            ("countersign ticket 1", &[7; 32], &[&[9; 32]]),
            ("countersign session 1", &[7; 80], &[&[1; 32], &[9; 32]]),
            ("countersign renewal pair 1", b"a spent credential", &[&[0; 32]]),
            ("countersign successor 1", &[3; 48], &[&[5; 32]]),
        ];
        for (purpose, secret, info) in rows {
            assert_eq!(*Sealer::new(purpose, secret).derived(info).unwrap(), by_the_other(purpose, secret, info), "{purpose}");
        }
    }
}
