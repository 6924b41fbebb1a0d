//! Renewal in words: what is spent, what comes back, and why nothing does.
//!
//! A renewal starts from a credential whose end has come and a second one that may be spent for a new pair. Nothing here is
//! ever printed, and nothing here says how a renewal is done.

use std::fmt;
use std::sync::Arc;

use crate::domain::identity::Identity;
use crate::domain::secret::Secret;
use crate::domain::time::{Seconds, Timestamp};
use crate::domain::value::Value;

/// An access credential and what renews it. Never logged.
#[derive(Debug, Clone)]
pub struct TokenPair {
    /// What a request is made with.
    pub access: Secret,
    /// What is spent for the next pair. `None` from an issuer that does not rotate: the one that was spent stays good.
    pub refresh: Option<Secret>,
    /// When the access credential ends, as the issuer says; `None` when it does not say.
    pub access_until: Option<Timestamp>,
    /// When the refresh credential ends, as the issuer says.
    pub refresh_until: Option<Timestamp>,
    /// What else the issuer's answer says, as an object, for systems that pass more on than the pair. Empty otherwise.
    pub beside: Value,
}

/// What a renewal starts from.
#[derive(Debug, Clone)]
pub struct Spent {
    /// What is spent.
    pub refresh: Secret,
    /// The access credential that stands at its end; some issuers ask to see both.
    pub access: Secret,
    /// Who it was for: proven, and past its end, or about to be.
    pub identity: Arc<Identity>,
}

/// Names what is spent, for flights and records: a digest, equal for equal credentials at one renewer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpentKey(pub [u8; 32]);

impl fmt::Debug for SpentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpentKey({:02x}{:02x}..)", self.0[0], self.0[1])
    }
}

/// Names an access credential that we hold for somebody, to tell later whether it is still the same: a digest, equal for equal
/// credentials. Opens nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Edition(pub [u8; 32]);

impl fmt::Debug for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Edition({:02x}{:02x}..)", self.0[0], self.0[1])
    }
}

/// What a renewal came to.
#[derive(Debug, Clone)]
pub struct Renewed {
    /// The new pair.
    pub pair: TokenPair,
    /// Whether this request only got what another one had fetched.
    pub coalesced: bool,
}

/// Why there is no new pair, split by what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RenewalFailure {
    /// The issuer said no and will keep saying no: the client must log in again.
    Fatal,
    /// Nothing was spent; asking again later is safe.
    Transient {
        /// When to come again.
        retry_after: Seconds,
    },
    /// The issuer was asked and its answer was lost: what was spent may be gone. Never repeated blindly.
    Unknown,
    /// It is under way and this request has waited long enough; the result will be there for the next one.
    Pending {
        /// When to come again.
        retry_after: Seconds,
    },
    /// The state store does not answer, so nobody can say whether a renewal is under way elsewhere. Nothing was spent by us.
    StateUnavailable,
}

impl RenewalFailure {
    /// Its name in records and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fatal => "fatal",
            Self::Transient { .. } => "transient",
            Self::Unknown => "unknown",
            Self::Pending { .. } => "pending",
            Self::StateUnavailable => "state_unavailable",
        }
    }
}
