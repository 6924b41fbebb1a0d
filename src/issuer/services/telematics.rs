//! What the Telematics SDK's endpoints have in common where the proxy itself gives the pairs: answers in the vendor's envelope.
//!
//! Not here: refusals of the rule, which the system writes (`system: telematics`), and users: whom a device token names is for others
//! to know.

use serde_json::json;

use crate::domain::{Claim, Claims, Outage, Refusal, Timestamp, Verified};
use crate::issuer::contract::Reply;
use crate::issuer::pairs::{Issued, Issuer, PairFault};
use crate::jose::compact::Compact;
use crate::systems::telematics::envelope;

/// The pair `issued`, and whose it is.
///
/// # Errors
///
/// [`Refusal::Internal`] when a token of ours cannot be read, which cannot be.
pub(super) fn given(issuer: &Issuer, issued: &Issued, now: Timestamp) -> Result<Reply, Refusal> {
    let access = std::str::from_utf8(issued.pair.access.expose()).map_err(|_| Refusal::Internal)?;
    let refresh = issued.pair.refresh.as_ref().map(|refresh| std::str::from_utf8(refresh.expose()));
    let refresh = refresh.transpose().map_err(|_| Refusal::Internal)?;
    let claims = claims_of(issuer, access).ok_or(Refusal::Internal)?;
    let device = claims.get().member("sub").and_then(Claim::as_text).ok_or(Refusal::Internal)?;
    let life = issued.pair.access_until.map_or(0, |until| now.until(until).0);
    let result = json!({ "DeviceToken": device, "AccessToken": { "Token": access, "ExpiresIn": life }, "RefreshToken": refresh });
    Ok(answer(200, envelope::success(&result)))
}

/// A pair of the vendor's, as it is passed on.
pub(super) fn passed_on(result: &serde_json::Value) -> Reply {
    answer(200, envelope::success(result))
}

/// A refusal by `status` that is about `key`.
pub(super) fn refused(status: u16, key: &'static str, says: &'static str) -> Reply {
    answer(status, envelope::failure(status, key, says))
}

/// What an access token of `issuer`, of any age, says.
pub(super) fn claims_of(issuer: &Issuer, access: &str) -> Option<Verified<Claims>> {
    let compact = Compact::parse(access).ok()?;
    let algorithm = compact.header().algorithm?;
    compact.prove(algorithm, issuer.verifying_keys())
}

/// What follows when there is no pair although the caller may have one.
pub(super) fn outage(fault: PairFault) -> Refusal {
    match fault {
        PairFault::Store => Outage::State.refusal(),
        PairFault::Grant(_) | PairFault::Scope | PairFault::TooLarge | PairFault::Library => Refusal::Internal,
    }
}

fn answer(status: u16, body: bytes::Bytes) -> Reply {
    Reply { status, headers: vec![envelope::content_type()], body, guessed: false }
}
