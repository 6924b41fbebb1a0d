//! The words everything else is written in.
//!
//! Nothing here performs I/O, reads a clock, or knows a wire format: no serde, no async runtime, no
//! proxy types. Every other room imports these words; they import nothing of ours.

pub mod claims;
pub mod credential;
pub mod facts;
pub mod harvest;
pub mod identity;
pub mod observer;
pub mod refusal;
pub mod renewal;
pub mod request;
pub mod revocation;
pub mod secret;
pub mod time;
pub mod value;
pub mod verified;

pub use claims::{Claim, Claims};
pub use credential::{Credential, Found, Place};
pub use facts::{Answer, DeskId, Facts, Need, Outage, Question, Renewing, Step};
pub use harvest::{Harvest, Life};
pub use identity::{Burn, Identity};
pub use observer::{Event, Observer, Silent};
pub use refusal::{Breach, Doubt, Reason, Refusal, Stage};
pub use renewal::{Edition, RenewalFailure, Renewed, Spent, SpentKey, TokenPair};
pub use request::{RequestView, Target};
pub use revocation::{By, Listed, ListedFrom, Revocation, RevocationId};
pub use secret::Secret;
pub use time::{Clock, Seconds, Stopwatch, Timestamp};
pub use value::Value;
pub use verified::Verified;

/// A source of unpredictable bytes, handed in by whoever assembles the process.
///
/// # Security
///
/// Tickets, nonces and request ids are only as unguessable as what this returns. An implementation
/// that cannot deliver must not return at all rather than return something predictable.
pub trait Random: Send + Sync {
    /// Fills `buffer` with unpredictable bytes.
    fn fill(&self, buffer: &mut [u8]);

    /// Fills `buffer` with bytes for an id that everybody may know: none comes twice, and none is worth a draw of its own.
    ///
    /// Never for a secret. What was drawn ahead is in memory until it is used, and a copy of the machine has it too.
    fn fill_id(&self, buffer: &mut [u8]) {
        self.fill(buffer);
    }
}
