//! What a countersigner is: it shows the upstream who is calling.
//!
//! A countersigner sees the proven identity and never a credential of the client's.

use std::fmt::Debug;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use crate::domain::{Identity, Random, Refusal, RequestView, Timestamp};
use crate::settings::{Checking, Node, Shape};

/// One line of the roll-call `countersign::COUNTERSIGNERS`.
pub struct CountersignerEntry {
    /// The key under `forward:` that switches it on.
    pub name: &'static str,
    /// What it is for, in a sentence.
    pub doc: &'static str,
    /// What may stand under that key.
    pub shape: Shape,
    /// Proves the settings, or notes every fault and returns `None`. Pure; the form has been proven.
    pub plan: fn(&Node, &mut Checking<'_>) -> Option<Box<dyn CountersignerPlan>>,
}

/// The settings of one countersigner, proven.
pub trait CountersignerPlan: Debug + Send + Sync {
    /// Every header name it can ever emit; the firewall strips them from clients on every route.
    fn names(&self) -> Vec<HeaderName>;

    /// Whether what it emits is a credential of the upstream's and nobody's identity. A client that sends such a field has one that it
    /// should not have, and a system's guard must see that.
    fn is_credential(&self) -> bool {
        false
    }

    /// Whether it signs with a key of ours, so that upstreams want the public one.
    fn signs(&self) -> bool {
        false
    }

    /// Builds it.
    ///
    /// # Errors
    ///
    /// A sentence for the operator.
    fn build(&self, tools: &CountersignTools) -> Result<Arc<dyn Countersigner>, String>;
}

/// What countersigners are built with.
#[derive(Clone)]
pub struct CountersignTools {
    /// Unpredictable bytes, for token ids.
    pub random: Arc<dyn Random>,
}

/// Writes what the upstream is shown.
///
/// # Security
///
/// Whatever it returns is believed by the upstream. A value that cannot be written without ambiguity (control
/// characters, non-ASCII where not encoded) is refused, never cleaned up.
pub trait Countersigner: Send + Sync {
    /// Appends the header fields for this request to `out`. A name that is not appended is absent upstream.
    ///
    /// # Errors
    ///
    /// [`Refusal::PolicyDenied`] when the identity cannot be written safely.
    fn sign(
        &self,
        identity: Option<&Identity>,
        request: &RequestView<'_>,
        now: Timestamp,
        out: &mut Vec<(HeaderName, HeaderValue)>,
    ) -> Result<(), Refusal>;

    /// The public keys that verify what it signs, as a JWKS document; `None` when it signs nothing.
    fn public_keys(&self) -> Option<String> {
        None
    }
}
