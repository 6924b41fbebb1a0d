//! An immutable set of keys that verify signatures, and which of them may have made one.
//!
//! A ring is never changed; a newer one takes its place. Two keys of one `kid` are both kept and both tried: a token must
//! not depend on which of them stood last. A `kid` is text to be compared byte for byte and nothing else.
//!
//! Rules: RFC 7515 section 4.1.4, RFC 7517 section 4.5.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};

use crate::jose::algorithm::Algorithm;
use crate::jose::key::VerifyingKey;

/// The most keys that are tried for one signature.
pub const CANDIDATES: usize = 4;

/// The longest `kid` that is looked up, in bytes.
pub const MAX_KID: usize = 256;

/// A set of keys.
#[derive(Clone)]
pub struct KeyRing {
    /// In the order of their source.
    keys: Box<[Arc<VerifyingKey>]>,
    /// Positions in `keys`, ascending.
    by_kid: HashMap<Box<str>, Vec<usize>, ahash::RandomState>,
}

/// What a ring says about a signature that has not been checked yet.
#[derive(Clone)]
pub enum Candidates {
    /// At least one and at most [`CANDIDATES`] keys may have made it.
    Keys(Vec<Arc<VerifyingKey>>),
    /// There is a key of this `kid`, but not for this algorithm; a newer ring would not change that.
    Unfit,
    /// No key here fits; a newer ring might have one.
    None,
}

impl KeyRing {
    /// A ring of `keys`.
    #[must_use]
    pub fn new(keys: Vec<Arc<VerifyingKey>>) -> Self {
        let mut by_kid: HashMap<Box<str>, Vec<usize>, ahash::RandomState> = HashMap::default();
        for (position, key) in keys.iter().enumerate() {
            if let Some(kid) = key.kid() {
                by_kid.entry(kid.into()).or_default().push(position);
            }
        }
        Self { keys: keys.into(), by_kid }
    }

    /// The keys that may have made a signature under `algorithm` by the key called `kid`.
    ///
    /// Without a `kid`, and for a `kid` nobody has, keys that fit the algorithm are tried: all of them in the first case,
    /// in the second those that have no name themselves (a pinned PEM file names none).
    #[must_use]
    pub fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> Candidates {
        let fit = |keys: &mut dyn Iterator<Item = &Arc<VerifyingKey>>| -> Vec<Arc<VerifyingKey>> {
            keys.filter(|key| key.permits(algorithm)).take(CANDIDATES).cloned().collect()
        };
        let found = match kid {
            None => fit(&mut self.keys.iter()),
            Some(kid) if MAX_KID < kid.len() => return Candidates::Unfit,
            Some(kid) => match self.by_kid.get(kid) {
                Some(positions) => {
                    let found = fit(&mut positions.iter().filter_map(|position| self.keys.get(*position)));
                    return if found.is_empty() { Candidates::Unfit } else { Candidates::Keys(found) };
                }
                None => fit(&mut self.keys.iter().filter(|key| key.kid().is_none())),
            },
        };
        if found.is_empty() { Candidates::None } else { Candidates::Keys(found) }
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether a key is called `kid`.
    #[must_use]
    pub fn names(&self, kid: &str) -> bool {
        self.by_kid.contains_key(kid)
    }

    /// The generation of the ring that takes the place of `previous`.
    ///
    /// Verdicts rest on keys: as long as every key they may rest on is still here, they stand and the generation stays.
    /// A number made of content, so that it does not start anew with a new process or a new store.
    #[must_use]
    pub fn generation(&self, previous: Option<(&Self, u64)>) -> u64 {
        let mut sum = Context::new(&SHA256);
        if let Some((ring, generation)) = previous {
            if ring.keys.iter().all(|old| self.keys.iter().any(|new| new.fingerprint() == old.fingerprint())) {
                return generation;
            }
            sum.update(&generation.to_be_bytes());
        }
        let mut prints: Vec<&[u8; 32]> = self.keys.iter().map(|key| key.fingerprint()).collect();
        prints.sort_unstable();
        for print in prints {
            sum.update(print);
        }
        sum.finish().as_ref().first_chunk().copied().map_or(0, u64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests;
