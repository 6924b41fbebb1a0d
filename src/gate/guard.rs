//! The stage between policy and countersigning: what the system that a rule names asks of its endpoints.
//!
//! The system says what a request must be and goes on as; what must be remembered for that is remembered here, once everything
//! else has said yes.

use bytes::Bytes;

use crate::domain::{Burn, Event, Facts, Outage, Place, Refusal, RequestView, Timestamp};
use crate::gate::admit::Counter;
use crate::gate::arrival::BodySource;
use crate::gate::hygiene;
use crate::gate::prove::Proven;
use crate::gate::rule::Gate;
use crate::gate::settle::settle;
use crate::gate::verdict::Admission;
use crate::state::contract::{Burned, Class, Expect, Key};
use crate::systems::contract::{Demand, Guarded, Lesson, Mark, Pass, System};

impl Gate {
    /// Asks `system` about a request that the rule's authenticators and conditions have let through.
    pub(super) async fn guard(
        &self,
        system: &dyn System,
        request: &RequestView<'_>,
        proven: &Proven,
        body: &mut dyn BodySource,
        facts: &mut Facts,
        now: Timestamp,
    ) -> Result<Pass, Refusal> {
        let identity = proven.identity.as_deref();
        let mut counter = Counter { gate: self, body, now, renewing: 0 };
        settle(&mut counter, facts, |facts| system.guard(&Guarded { request, identity, facts, now })).await
    }

    /// Does what `pass` asks to be remembered: demands first, since they refuse; then what works once; then what later requests
    /// will demand.
    pub(super) async fn remember(&self, pass: Option<&Pass>, now: Timestamp) -> Result<(), Refusal> {
        let Some(pass) = pass else { return Ok(()) };
        for Demand { mark, breach } in &pass.demands {
            let removed = self.state.remove(&key(mark), now).await;
            if !self.told("remove", removed)? {
                return Err(Refusal::GuardRefused(Box::new(breach.clone())));
            }
        }
        for Demand { mark, breach } in &pass.burns {
            if self.spend(&Burn { key: mark.key, made: mark.made, until: mark.until }, now).await? != Burned::First {
                return Err(Refusal::GuardRefused(Box::new(breach.clone())));
            }
        }
        for mark in &pass.notes {
            // One that is there already is as good.
            let written = self.state.write(&key(mark), Expect::Absent, Bytes::new(), mark.until, now).await;
            self.told("write", written)?;
        }
        Ok(())
    }

    /// Remembers `lessons`, which a reply has told, from `now` on.
    pub(super) async fn note(&self, lessons: &[Lesson], now: Timestamp) -> Result<(), Refusal> {
        for Lesson { key, life } in lessons {
            let key = Key { class: Class::Note, digest: *key };
            let written = self.state.write(&key, Expect::Absent, Bytes::new(), now.plus(*life), now).await;
            self.told("write", written)?;
        }
        Ok(())
    }

    /// Spends `burn`, for whoever says what it means that it had been spent.
    pub(super) async fn spend(&self, burn: &Burn, now: Timestamp) -> Result<Burned, Refusal> {
        self.told("burn", self.state.burn(burn, now).await)
    }

    fn told<T>(&self, operation: &'static str, answer: Result<T, Outage>) -> Result<T, Refusal> {
        self.observer.note(Event::State { operation, ok: answer.is_ok() });
        answer.map_err(Outage::refusal)
    }
}

fn key(mark: &Mark) -> Key {
    Key { class: Class::Note, digest: mark.key }
}

/// Writes `pass` into the permit, behind everything else that was written into it.
pub(super) fn apply(pass: &Pass, request: &RequestView<'_>, admission: &mut Admission) {
    for name in &pass.remove {
        admission.set.retain(|(other, _)| other != name);
        admission.remove.push(name.clone());
    }
    // A client's field goes in every spelling that an upstream may read as the name, also where ours is set in its place.
    let named = pass.remove.iter().chain(pass.set.iter().map(|(name, _)| name)).map(|name| Place::Header(name.clone()));
    let places: Vec<Place> = pass.remove_query.iter().map(|name| Place::Query((&**name).into())).chain(named).collect();
    hygiene::remove_credentials(request, places.iter(), &mut admission.target, &mut admission.remove, &mut admission.set);
    for (name, value) in &pass.set {
        admission.set.retain(|(other, _)| other != name);
        admission.set.push((name.clone(), value.clone()));
    }
    admission.body.clone_from(&pass.body);
}

#[cfg(test)]
mod tests;
