//! The judge as the edge sees it.
//!
//! One question, one answer. The edge does not know how a verdict comes about and the judge does not know what carries
//! the request; tests put a judge of their own behind this trait.

use async_trait::async_trait;

use crate::gate::arrival::{Arrival, BodySource};
use crate::gate::verdict::Verdict;

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

    /// Judges a request once more whose upstream has answered 401, with the credential of `authenticator` renewed first
    /// (`Admission::renewable`). Nothing is spent again that was spent for the first judgement.
    ///
    /// Where that ends in another Admission the request is sent once more; where not, the upstream's own answer stands, with
    /// `Verdict::hand_back` written on it all the same. `None` when nothing was renewed.
    async fn readmit(&self, arrival: &Arrival<'_>, body: &mut dyn BodySource, authenticator: usize) -> Option<Verdict> {
        let _ = (arrival, body, authenticator);
        None
    }
}
