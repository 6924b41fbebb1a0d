//! HMAC-SHA1 as vendors of its time sign with it: 20 bytes, written as 28 characters of base64.
//!
//! What the bytes of a key are is decided by how it is made, and never guessed: [`Sha1Key::new`] takes them as they are, and
//! [`decode_secret`] gives those that a base64 text stands for. Signatures are compared on their bytes in constant time; a text
//! has one spelling or is none.
//!
//! Absent on purpose: any comparison of texts, a repair of what arrived damaged, SHA-1 for anything but a MAC.
//!
//! Rules: RFC 2104, RFC 4648 sections 3.2, 3.3, 3.5 and 4.

use std::fmt;

use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::domain::Secret;
use crate::jose::digest::digest;

/// A signature: the whole tag, never a part of it.
pub type Tag = [u8; 20];

/// A key that is set up once and signs and verifies many times. Its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Sha1Key(Hmac<Sha1>);

impl Sha1Key {
    /// The key whose bytes are those of `secret`; `None` when there are none, since anyone could then sign.
    #[must_use]
    pub fn new(secret: &Secret) -> Option<Self> {
        if secret.is_empty() {
            return None;
        }
        Hmac::new_from_slice(secret.expose()).ok().map(Self)
    }

    /// The signature of `parts`, one after another with nothing in between.
    #[must_use]
    pub fn sign(&self, parts: &[&str]) -> Tag {
        self.over(parts).finalize().into_bytes().into()
    }

    /// The same as text.
    #[must_use]
    pub fn sign_text(&self, parts: &[&str]) -> String {
        STANDARD.encode(self.sign(parts))
    }

    /// Whether `tag` is the signature of `parts`. Takes the same time whatever the tag is.
    #[must_use]
    pub fn verifies(&self, parts: &[&str], tag: &Tag) -> bool {
        self.over(parts).verify_slice(tag).is_ok()
    }

    fn over(&self, parts: &[&str]) -> Hmac<Sha1> {
        let mut mac = self.0.clone();
        parts.iter().for_each(|part| mac.update(part.as_bytes()));
        mac
    }
}

impl fmt::Debug for Sha1Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sha1Key")
    }
}

/// The keys of `secrets`, in their order; `None` when there is none, or one of them is empty.
#[must_use]
pub fn keys_of(secrets: &[Secret]) -> Option<Box<[Sha1Key]>> {
    let keys: Option<Box<[Sha1Key]>> = secrets.iter().map(Sha1Key::new).collect();
    keys.filter(|keys| !keys.is_empty())
}

/// Whether one of `keys` has made `tag` over `parts`. All of them are asked, whichever it was.
#[must_use]
pub fn any_verifies(keys: &[Sha1Key], parts: &[&str], tag: &Tag) -> bool {
    keys.iter().fold(false, |found, key| found | key.verifies(parts, tag))
}

/// Whether `text` is the base64 text of one of `keys`: it signs as that one does. All of them are asked, whichever it was, in a time that
/// does not tell how near it came. Texts that the vendors' own decoders take for the same bytes are the same.
#[must_use]
pub fn any_is_written(keys: &[Sha1Key], text: &str) -> bool {
    const SAMPLE: &[&str] = &["countersign: one key or two"];
    let written = decode_secret(text.as_bytes(), Strictness::LenientEnd).ok();
    written.as_ref().and_then(Sha1Key::new).is_some_and(|key| any_verifies(keys, SAMPLE, &key.sign(SAMPLE)))
}

/// A number that changes with `secrets` and their order, for verdicts that rest on them. It stays in memory.
#[must_use]
pub fn generation_of(secrets: &[Secret]) -> u64 {
    let parts: Vec<&[u8]> = secrets.iter().map(Secret::expose).collect();
    digest("countersign hmac-sha1 generation", &parts).first_chunk().copied().map_or(0, u64::from_be_bytes)
}

/// The 20 bytes of a signature: exactly 28 characters of padded standard base64, without stray bits.
#[must_use]
pub fn read_tag(text: &str) -> Option<Tag> {
    if text.len() != 28 {
        return None;
    }
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// How strictly the text of a secret is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// The one canonical text of some bytes.
    Canonical,
    /// Padding may lack and trailing bits may be set, as with the vendors' own decoders.
    LenientEnd,
}

/// Why a text is no base64 secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretFault {
    /// It would be one if its end were read leniently.
    #[error("this secret lacks its padding or has bits to spare at its end, so a character may be missing")]
    LenientOnly,
    /// It is none at all, or stands for nothing.
    #[error("this secret is not base64 as the console shows it; copy it again, whole and without quotes")]
    NotBase64,
}

/// The bytes that the base64 text of a secret stands for: padded standard alphabet, nothing to spare.
///
/// # Errors
///
/// [`SecretFault`]; an empty secret is none.
pub fn decode_secret(text: &[u8], strictness: Strictness) -> Result<Secret, SecretFault> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &ALPHABET,
        GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true).with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let filled = |decoded: Result<Vec<u8>, base64::DecodeError>| decoded.ok().map(Secret::new).filter(|secret| !secret.is_empty());
    match (filled(STANDARD.decode(text)), filled(LENIENT.decode(text))) {
        (Some(secret), _) => Ok(secret),
        (None, Some(secret)) if strictness == Strictness::LenientEnd => Ok(secret),
        (None, Some(_)) => Err(SecretFault::LenientOnly),
        (None, None) => Err(SecretFault::NotBase64),
    }
}

#[cfg(test)]
mod tests;
