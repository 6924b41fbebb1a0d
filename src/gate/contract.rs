//! The judge as the edge sees it.
//!
//! One question, one answer. The edge does not know how a verdict comes about and the judge does not know what carries
//! the request; tests put a judge of their own behind this trait. Beside it, what operators may do to the judge's list of the
//! revoked.

use async_trait::async_trait;
use http::{HeaderName, HeaderValue};
use tokio::sync::watch;

use crate::domain::{Harvest, Identity, Listed, ListedFrom, Refusal, Revocation, RevocationId, Seconds, SpentKey, Timestamp};
use crate::gate::arrival::{Arrival, BodySource};
use crate::gate::verdict::{Admission, Renewable, Verdict};
pub use crate::state::revoked::{Revoked, Withdrawn};

/// Decides what happens with a request.
///
/// # Contract
///
/// - Each request is judged once, before the first byte of it reaches an upstream.
/// - `body` is asked at most once, and only when the verdict depends on it.
/// - The answer comes within the judge's own deadline; the edge sets none.
///
/// # Security
///
/// Whatever returns [`crate::gate::verdict::Outcome::Admit`] lets the request through. A judge that panics has refused:
/// the edge answers 500 and forwards nothing.
#[async_trait]
pub trait Judge: Send + Sync + 'static {
    /// Judges `arrival`.
    async fn judge(&self, arrival: &Arrival<'_>, body: &mut dyn BodySource) -> Verdict;

    /// Judges a request once more whose upstream has answered 401, with the credential that it `refused` renewed first
    /// (`Admission::renewable`), unless that has happened since the request was admitted: then with what is held by now, and without
    /// an exchange. Nothing is spent again that was spent for the first judgement.
    ///
    /// Where that ends in another Admission the request is sent once more. Where a credential was renewed and is not let through, the
    /// upstream's own answer stands, with `Verdict::hand_back` written on it all the same. A refusal without a renewal replaces that
    /// answer: whom the request was admitted for is no longer good. `None` when the upstream's answer stands as it is.
    async fn readmit(&self, arrival: &Arrival<'_>, body: &mut dyn BodySource, refused: Renewable) -> Option<Verdict> {
        let _ = (arrival, body, refused);
        None
    }

    /// Keeps what a reply has brought, in place of the client; fields for the reply then. An empty list when the rule keeps nothing.
    ///
    /// # Errors
    ///
    /// A [`Refusal`]: the reply must then not reach the client, which would see what it is not to see.
    async fn harvest(
        &self,
        admission: &Admission,
        caller: Option<&Identity>,
        arrival: &Arrival<'_>,
        harvest: &Harvest,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, Refusal> {
        let _ = (admission, caller, arrival, harvest);
        Ok(Vec::new())
    }

    /// Is told that the upstream has refused a credential as well that was renewed for its sake (`Admission::fresh`).
    fn in_vain(&self, fresh: SpentKey) {
        let _ = fresh;
    }

    /// Whether `identity`, which was let in before, may stay. What is still open in its name is ended otherwise.
    fn still_good(&self, _identity: &Identity) -> bool {
        true
    }

    /// Changes whenever [`Self::still_good`] may have come to say no to somebody; `None` where it never does.
    fn revisions(&self) -> Option<watch::Receiver<u64>> {
        None
    }
}

/// Revokes, and tells who is revoked; for operators, whom somebody else has let in.
#[async_trait]
pub trait Revoker: Send + Sync {
    /// The moment now.
    fn now(&self) -> Timestamp;

    /// How long a revocation counts that does not say so itself.
    fn lasts(&self) -> Seconds;

    /// Revokes. It is in force on this node when this returns [`Revoked::Everywhere`] or [`Revoked::Here`].
    async fn revoke(&self, revocation: Revocation) -> Revoked;

    /// Withdraws the revocation called `id`: whoever it covers may come in again.
    async fn withdraw(&self, id: RevocationId) -> Withdrawn;

    /// Up to `most` revocations in force, newest first, those older than `after` where it is given; whether there are more.
    fn page(&self, after: Option<ListedFrom>, most: usize) -> (Vec<Listed>, bool);
}
