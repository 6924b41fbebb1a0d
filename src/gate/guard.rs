//! The stage between policy and countersigning: what the system that a rule names asks of its endpoints.
//!
//! The system says what a request must be and goes on as (here); what must be remembered for that is remembered once everything else
//! has said yes (`remember`); and what it goes on as is written into the permit, or shown to the service that answers (`changed`).
//!
//! A guard is shown no field that only the proxy may write, and no body in a content coding. Whoever has failed too often is not judged
//! by it, and a guess that it refuses costs a failure.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use crate::domain::{Breach, Event, Facts, Identity, Need, Refusal, RequestView, Step, Timestamp};
use crate::gate::admit::Counter;
use crate::gate::arrival::BodySource;
use crate::gate::prove::Proven;
use crate::gate::rule::Gate;
use crate::gate::settle::{Patience, settle};
use crate::systems::contract::{Guarded, Pass, System};

mod changed;
mod count;
mod remember;

pub(super) use changed::{Changed, apply};

/// One request at one system's rule, and what has been found out about it.
pub(super) struct Visit<'v> {
    pub(super) system: &'v dyn System,
    pub(super) request: &'v RequestView<'v>,
    pub(super) proven: &'v Proven,
    pub(super) now: Timestamp,
}

impl Visit<'_> {
    /// The name by which the caller's failures are counted, if somebody was proven. No id that a client claims is the same.
    fn claimed_id(&self) -> Option<String> {
        let named = |identity: &Identity| format!("guard\0{}\0{}", identity.authenticator, identity.subject);
        self.proven.identity.as_deref().map(named)
    }
}

impl Gate {
    /// Asks the system about a request that the rule's authenticators and conditions have let through.
    pub(super) async fn guard(
        &self,
        visit: &Visit<'_>,
        body: &mut dyn BodySource,
        facts: &mut Facts,
        patience: &mut Patience,
    ) -> Result<Pass, Refusal> {
        self.has_failures_left(visit)?;
        let headers = self.unforged(visit.request);
        let request = &RequestView { headers: &headers, ..*visit.request };
        let (identity, now) = (visit.proven.identity.as_deref(), visit.now);
        let ask = |facts: &Facts| visit.system.guard(&Guarded { request, identity, facts, now });
        // Without the body first, whoever else may have read it: then it is known whether the guard rests on it.
        let judged = match ask(&Facts::default()) {
            Step::Done(pass) => Ok(pass),
            Step::Refuse(refusal) => Err(refusal),
            Step::Need(Need::Body) if is_coded(&headers) => Err(Refusal::GuardRefused(Box::new(visit.system.coded()))),
            Step::Need(_) => {
                let mut counter = Counter { gate: self, body, now, renewing: 0 };
                settle(&mut counter, facts, patience, ask).await
            }
        };
        if let Err(Refusal::GuardRefused(breach)) = &judged {
            self.count_guess(visit, breach);
        }
        judged
    }

    /// The fields of `request` that a client may write: without those that only we write, in any spelling. Those in which this conf
    /// looks for credentials stay, since they are the client's own.
    pub(super) fn unforged<'r>(&self, request: &RequestView<'r>) -> Cow<'r, HeaderMap> {
        let mut fields = Cow::Borrowed(request.headers);
        for name in request.headers.keys().filter(|name| self.firewall.is_forgery(name)) {
            fields.to_mut().remove(name);
        }
        fields
    }

    /// Refuses whoever has failed too often where the guard judges a credential: strangers by their address, proven callers only when
    /// they have failed themselves.
    fn has_failures_left(&self, visit: &Visit<'_>) -> Result<(), Refusal> {
        let (client, now) = (visit.request.client, visit.now);
        let governor = self.governor.as_ref().filter(|governor| governor.is_busy(now));
        let Some(governor) = governor.filter(|_| visit.system.judges(&visit.request.target.path)) else { return Ok(()) };
        let id = visit.claimed_id();
        if let Some(id) = &id {
            governor.succeed(client, id, now);
        }
        let wait = governor.check(client, id.as_deref(), now);
        let (addresses, ids) = governor.tracked();
        let (budget, tracked) = if id.is_some() { ("id", ids) } else { ("address", addresses) };
        self.observer.note(Event::Governor { budget, refused: wait.is_some(), tracked });
        wait.map_or(Ok(()), |retry_after| Err(Refusal::Throttled { retry_after }))
    }

    /// Counts `breach` against the budget of failures if it is what a guess would meet.
    fn count_guess(&self, visit: &Visit<'_>, breach: &Breach) {
        if let Some(governor) = self.governor.as_ref().filter(|_| visit.system.is_guess(breach)) {
            governor.fail(visit.request.client, visit.claimed_id().as_deref(), visit.now);
        }
    }
}

/// Whether the body comes in a content coding: then whoever decodes it reads another text than whoever does not.
fn is_coded(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().any(|coding| !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"))
}

#[cfg(test)]
mod tests;
