//! A store whose keys are all at hand when it is built, and change with a reload only.
//!
//! Nothing is fetched and nothing is asked for: a key that is not among them is not to be had.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::{Answer, Outage, Timestamp};
use crate::jose::key::VerifyingKey;
use crate::verify::contract::Desk;
use crate::verify::keys::contract::{KeyHint, KeySearch, SignatureKeys};
use crate::verify::keys::ring::{Candidates, KeyRing};

/// Keys that never change.
pub(super) struct Fixed {
    ring: KeyRing,
    generation: u64,
}

impl Fixed {
    /// A store of these keys.
    pub(super) fn over(keys: Vec<Arc<VerifyingKey>>) -> Arc<Self> {
        let ring = KeyRing::new(keys);
        let generation = ring.generation(None);
        Arc::new(Self { ring, generation })
    }
}

#[async_trait]
impl Desk for Fixed {
    async fn answer(&self, _about: &str, _now: Timestamp) -> Result<Answer, Outage> {
        Ok(Arc::new(()))
    }
}

#[async_trait]
impl SignatureKeys for Fixed {
    fn find(&self, hint: &KeyHint<'_>, _now: Timestamp) -> KeySearch {
        match self.ring.candidates(hint.kid, hint.algorithm) {
            Candidates::Keys(keys) => KeySearch::Keys(keys),
            Candidates::Unfit | Candidates::None => KeySearch::Never,
        }
    }

    fn generation(&self) -> u64 {
        self.generation
    }

    fn ready(&self, _now: Timestamp) -> bool {
        true
    }

    async fn run(&self) {}

    fn desk(self: Arc<Self>) -> Arc<dyn Desk> {
        self
    }
}
