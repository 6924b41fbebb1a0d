//! What only the holder of the spent credential can open: the new pair, sealed for the store.
//!
//! `salt (32) ciphertext tag (16)`, AES-256-GCM. The key is derived by HKDF-SHA256 from the spent credential itself and the salt,
//! which is random, so each record has a key of its own and the nonce never repeats under one. The digest that names the record and
//! the end of its grace are authenticated with it: a record cannot be moved under another name or be given more time.
//!
//! The store learns a digest of the credential and nothing else. It is as hard to guess as the credential is; refresh
//! credentials are long and random (RFC 6749 section 10.10), and one that is not would be as weak at its issuer.
//!
//! Rules: RFC 5116 (AEAD), RFC 5869 (HKDF).

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use zeroize::Zeroizing;

use crate::domain::{Random, Secret, SpentKey, Timestamp, TokenPair};
use crate::jose::sealing::{OnceKey, Sealer};
use crate::renew::flight::pair;
use crate::renew::flight::record::{FORM, LONGEST};

const SALT: usize = 32;
const TAG: usize = 16;
/// What a record needs beside the sealed pair, and some.
const AROUND: usize = 64;

/// Names `refresh`, spent at the renewer called `renewer`.
///
/// Both have their length before them, so no two of them have the same digest, and no other digest of ours begins alike.
pub(super) fn name(renewer: &str, refresh: &Secret) -> SpentKey {
    let mut digest = Context::new(&SHA256);
    digest.update(b"countersign renewal record 1\0");
    for part in [renewer.as_bytes(), refresh.expose()] {
        digest.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(part);
    }
    let mut key = [0; 32];
    key.copy_from_slice(digest.finish().as_ref());
    SpentKey(key)
}

/// Seals `pair` for whoever has `refresh`; `None` when it is too large to be kept.
pub(super) fn seal(pair: &TokenPair, key: &SpentKey, refresh: &Secret, ends: Timestamp, random: &dyn Random) -> Option<Bytes> {
    let mut body = pair::write(pair)?;
    if LONGEST < body.len().saturating_add(SALT + TAG + AROUND) {
        return None;
    }
    let mut salt = [0; SALT];
    random.fill(&mut salt);
    // Sealed in place before there must be room for the tag: no copy of the open pair is left behind.
    derive(refresh, &salt)?.seal(&about(key, ends), &mut body)?;
    Some([salt.as_slice(), &body].concat().into())
}

/// Opens what [`seal`] has sealed with equal arguments; `None` for everything else.
pub(super) fn open(sealed: &[u8], key: &SpentKey, refresh: &Secret, ends: Timestamp) -> Option<TokenPair> {
    let (salt, sealed) = sealed.split_first_chunk::<SALT>()?;
    let mut body = Zeroizing::new(sealed.to_vec());
    let plain = derive(refresh, salt)?.open(&about(key, ends), &mut body)?;
    pair::read(plain)
}

/// The key of the one record with this `salt`.
fn derive(refresh: &Secret, salt: &[u8]) -> Option<OnceKey> {
    Sealer::new("countersign renewal pair 1", refresh.expose()).key(&[salt])
}

/// What is authenticated but not encrypted.
fn about(key: &SpentKey, ends: Timestamp) -> Vec<u8> {
    [[FORM].as_slice(), &key.0, &ends.0.to_be_bytes()].concat()
}
