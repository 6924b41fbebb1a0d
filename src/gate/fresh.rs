//! From a credential whose end has come to a fresh one: when a renewal is begun, what it starts from, and who is believed after it.
//!
//! A renewal starts only from what was proven: a lapsed identity, one about to lapse, or one whose upstream said 401. What comes
//! back is judged like any credential of its kind, and must be the same caller's. Nothing here waits; a renewal that is lacking
//! is asked for as a fact.

use std::sync::Arc;

use crate::domain::{
    Credential, Facts, Identity, Need, Refusal, RenewalFailure, Renewed, Renewing, Seconds, Secret, Spent, SpentKey, Step, Timestamp,
    Verified,
};
use crate::gate::prove::Walk;
use crate::gate::rule::{Authenticator, Renewal};
use crate::verify::presented::{Presented, find_one};

/// What came of looking for a fresh credential.
pub(super) enum Fresh {
    /// It is there, proven, and the same caller's.
    Have(Verified<Arc<Identity>>, Arc<Renewed>),
    /// It must be asked for first.
    Lack(Need),
    /// There is none: what follows when the old one can no longer stand.
    None(Refusal),
}

/// A renewal that may be begun.
pub(super) struct Occasion<'a> {
    /// The number of the authenticator among the gate's.
    pub(super) index: usize,
    /// The authenticator.
    pub(super) authenticator: &'a Authenticator,
    /// How it renews.
    pub(super) renewal: &'a Renewal,
    /// The credential at its end.
    pub(super) credential: &'a Credential<'a>,
    /// Whose it is.
    pub(super) identity: &'a Arc<Identity>,
}

impl Walk<'_, '_> {
    /// The fresh credential of this caller; `without` is the refusal when the request brings nothing to renew with.
    pub(super) fn fresh(&self, occasion: &Occasion<'_>, without: Refusal, facts: &Facts) -> Fresh {
        let Some((_, outcome)) = facts.renewal(occasion.index) else {
            return match self.spent(occasion, facts) {
                Ok(Some(spent)) => {
                    let key = occasion.renewal.renewals.key(&spent);
                    if self.refused.is_some_and(|refused| refused.authenticator == occasion.index)
                        && self.gate.in_vain.rests(&key, self.now)
                    {
                        return Fresh::None(without);
                    }
                    Fresh::Lack(Need::Renew(Renewing { authenticator: occasion.index, key, spent: Arc::new(spent) }))
                }
                Ok(None) => Fresh::None(without),
                Err(refusal) => Fresh::None(refusal),
            };
        };
        let renewed = match outcome {
            Ok(renewed) => renewed,
            Err(failure) => return Fresh::None(refusal_of(*failure)),
        };
        // It was made while the request waited, so it may be younger than the request.
        let now = self.gate.clock.now().max(self.now);
        match occasion.authenticator.verifier.readmit(&renewed.pair, self.request, facts, now) {
            Step::Done(identity) if is_same_caller(identity.get(), occasion.identity) => Fresh::Have(identity, Arc::clone(renewed)),
            // Authentic, and somebody else's: no session goes on as another person.
            Step::Done(_) => Fresh::None(Refusal::RenewalRefused),
            Step::Need(need) => Fresh::Lack(need),
            // An issuer whose fresh credential is not good has not renewed anything.
            Step::Refuse(Refusal::Doubted(_)) => Fresh::None(Refusal::RenewalRefused),
            Step::Refuse(refusal) => Fresh::None(refusal),
        }
    }

    /// What can be spent for this caller: what we hold, or what the request brings.
    fn spent(&self, occasion: &Occasion<'_>, facts: &Facts) -> Result<Option<Spent>, Refusal> {
        let identity = Arc::clone(occasion.identity);
        if let Some(held) = occasion.authenticator.verifier.held(occasion.credential, facts) {
            return Ok(Some(Spent { refresh: held.refresh, access: held.access, identity }));
        }
        match find_one(&occasion.renewal.refresh_from, self.request) {
            Presented::Absent => Ok(None),
            Presented::Unreadable(doubt) => Err(doubt.into()),
            Presented::One { text, .. } => {
                let secret = |text: &str| Secret::new(text.as_bytes().to_vec());
                Ok(Some(Spent { refresh: secret(&text), access: secret(occasion.credential.part(0)), identity }))
            }
        }
    }
}

/// Names what `renewed` would be renewed with in its turn: where the issuer does not rotate, what was spent for it.
pub(super) fn next(occasion: &Occasion<'_>, renewed: &Renewed, facts: &Facts) -> Option<SpentKey> {
    let (renewing, _) = facts.renewal(occasion.index)?;
    let refresh = renewed.pair.refresh.as_ref().unwrap_or(&renewing.spent.refresh);
    Some(occasion.renewal.renewals.key(&Spent { refresh: refresh.clone(), ..Spent::clone(&renewing.spent) }))
}

/// Whether a renewed identity is the one that lapsed. A name is only a name together with who vouches for it.
fn is_same_caller(fresh: &Identity, lapsed: &Identity) -> bool {
    (&fresh.subject, &fresh.issuer, &fresh.authenticator) == (&lapsed.subject, &lapsed.issuer, &lapsed.authenticator)
}

/// What a failed renewal is to a request whose credential has ended.
fn refusal_of(failure: RenewalFailure) -> Refusal {
    const RETRY: Seconds = Seconds(5);
    match failure {
        // What may have been spent must not be spent again: only a new login helps.
        RenewalFailure::Fatal | RenewalFailure::Unknown => Refusal::RenewalRefused,
        RenewalFailure::Transient { retry_after } | RenewalFailure::Pending { retry_after } => Refusal::RenewalUnavailable { retry_after },
        RenewalFailure::StateUnavailable => Refusal::RenewalUnavailable { retry_after: RETRY },
    }
}

/// Whether a credential that is still good should be renewed now.
///
/// Its moment lies in the first half of the `early` seconds before its end, drawn from what it says: requests with one credential
/// agree on it, and the credentials that an issuer gave out in one second do not all come back in one.
pub(super) fn is_due(identity: &Identity, early: Seconds, now: Timestamp) -> bool {
    let Some(end) = identity.expires else { return false };
    if now < end.minus(early) {
        return false;
    }
    // FNV-1a: spreads well enough, and is the same on all nodes.
    let mut drawn: u32 = 0x811c_9dc5;
    for byte in identity.subject.bytes().chain(end.0.to_be_bytes()) {
        drawn = (drawn ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    let delay = drawn % (early.0 / 2 + 1);
    end.minus(early).plus(Seconds(delay)) <= now
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{is_due, refusal_of};
    use crate::domain::{Claims, Identity, Reason, RenewalFailure, Seconds, Timestamp};

    fn identity(subject: &str, expires: Option<i64>) -> Identity {
        Identity {
            subject: subject.into(),
            issuer: "i".into(),
            scopes: Box::default(),
            claims: Claims::empty(),
            expires: expires.map(Timestamp),
            not_before: None,
            scheme: "jwt",
            authenticator: Arc::from("user"),
            burn: None,
            also: Vec::new(),
        }
    }

    #[test]
    fn each_credential_has_its_own_moment_before_its_end() {
        let early = Seconds(60);
        let moments: Vec<i64> = (0..200)
            .map(|number| {
                let caller = identity(&format!("user-{number}"), Some(1_000));
                (900..=1_000).find(|now| is_due(&caller, early, Timestamp(*now))).unwrap()
            })
            .collect();
        assert!(moments.iter().all(|moment| (940..=970).contains(moment)), "within the first half of the span: {moments:?}");
        let distinct: std::collections::BTreeSet<_> = moments.iter().collect();
        assert!(20 < distinct.len(), "spread over it: {distinct:?}");
        let caller = identity("user-1", Some(1_000));
        let due: Vec<bool> = (930..1_000).map(|now| is_due(&caller, early, Timestamp(now))).collect();
        assert!(due.is_sorted(), "once due, it stays due");
        assert!(!is_due(&identity("user-1", None), early, Timestamp::END), "what has no end is never renewed");
        assert!(!is_due(&caller, Seconds(0), Timestamp(999)), "without a span nothing is renewed before its end");
    }

    #[test]
    fn a_failure_refuses_by_what_the_client_can_do() {
        let retry_after = Seconds(3);
        let rows = [
            (RenewalFailure::Fatal, Reason::RenewalRefused, "log in again"),
            (RenewalFailure::Unknown, Reason::RenewalRefused, "what may be spent is not spent again"),
            (RenewalFailure::Transient { retry_after }, Reason::RenewalUnavailable, "come again"),
            (RenewalFailure::Pending { retry_after }, Reason::RenewalUnavailable, "the result will be there"),
            (RenewalFailure::StateUnavailable, Reason::RenewalUnavailable, "come again"),
        ];
        for (failure, reason, shows) in rows {
            assert_eq!(refusal_of(failure).reason(), reason, "{shows}");
        }
    }
}
