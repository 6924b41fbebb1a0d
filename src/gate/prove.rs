//! Walks a rule's requirement tree and comes back with an identity, a doubt, or a question.
//!
//! Combining (the conf's `any`, `all`, `optional`): `any` goes through its branches in written order and the first whose
//! credential is present decides, right or wrong. `all` needs every branch; the first names the identity. `optional` lets a
//! request pass that presents nothing, never one that presents something wrong. Malformed is never absent: what stands where a
//! verifier looks and nobody recognises refuses the request with the doubt that got furthest.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use crate::domain::{
    Burn, Credential, Doubt, Event, Facts, Found, Identity, Place, Refusal, Renewed, RequestView, Secret, SpentKey, Step, Timestamp,
    Verified,
};
use crate::gate::fresh::{Fresh, Occasion, is_due, next};
use crate::gate::hand_back;
use crate::gate::rule::{Authenticator, Gate};
use crate::gate::verdict::Renewable;
use crate::policy::requirement::Requirement;
use crate::verify::contract::{Judged, edition};

/// What the requirement came to.
#[derive(Debug, Default)]
pub(super) struct Proven {
    /// Who is calling; `None` on public rules and absent optional credentials.
    pub(super) identity: Option<Arc<Identity>>,
    /// Where the credentials stood, those of undecided branches included.
    pub(super) places: Vec<Place>,
    /// What must be spent before the request may pass.
    pub(super) burns: Vec<Burn>,
    /// Whether a browser would have sent the credential by itself.
    pub(super) ambient: bool,
    /// The authenticator whose credential could be renewed should the upstream not take it.
    pub(super) renewable: Option<usize>,
    /// What a credential that was renewed because of the upstream would be renewed with itself.
    pub(super) renews_next: Option<SpentKey>,
    /// What stands in place of each credential that was renewed, and where that one stood.
    pub(super) fresh: Vec<(Arc<Renewed>, Vec<Place>)>,
    /// The access credential that we hold for the caller, renewed if it was.
    pub(super) held: Option<Secret>,
}

/// What is remembered of the walk for the record and the failure budgets, whether it ends well or not.
#[derive(Debug, Default)]
pub(super) struct Trail {
    /// The authenticator that decided last.
    pub(super) authenticator: Option<Arc<str>>,
    /// Whether the credential cache knew.
    pub(super) cache: Option<bool>,
    /// The id that a doubted credential claims.
    pub(super) claimed_id: Option<Box<str>>,
    /// What hands every fresh pair to the client, whatever becomes of the request: the old ones are spent.
    pub(super) hand_back: Vec<(HeaderName, HeaderValue)>,
    /// Whether a credential was renewed on the way.
    pub(super) renewed: bool,
    /// What the first credential is that could be renewed should the upstream not take it.
    pub(super) renewable: Option<Renewable>,
    /// Whether the credential that the upstream has refused had been renewed by the time it did.
    pub(super) superseded: bool,
}

/// A branch of the tree, judged.
enum Branch {
    /// Nothing was presented for it.
    Absent,
    /// Something was, that it does not recognise.
    Foreign(Doubt),
    /// It is satisfied.
    Proven(Proven),
}

/// One walk over one request.
pub(super) struct Walk<'g, 'r> {
    pub(super) gate: &'g Gate,
    pub(super) request: &'g RequestView<'r>,
    pub(super) now: Timestamp,
    /// The credential that the upstream has not taken: it must be renewed, good as it looks.
    pub(super) refused: Option<Renewable>,
    /// Whether the upstream is shown what we hold for the caller.
    pub(super) shows_held: bool,
}

impl Walk<'_, '_> {
    /// Judges the whole requirement.
    pub(super) fn judge(&self, requirement: &Requirement, facts: &Facts, trail: &mut Trail) -> Step<Proven> {
        // Each round walks the whole way anew.
        trail.hand_back.clear();
        trail.renewable = None;
        trail.superseded = false;
        match self.branch(requirement, facts, trail) {
            Step::Done(Branch::Proven(proven)) => Step::Done(proven),
            Step::Done(Branch::Absent) => Step::Refuse(Refusal::CredentialMissing),
            Step::Done(Branch::Foreign(doubt)) => Step::Refuse(doubt.into()),
            Step::Need(need) => Step::Need(need),
            Step::Refuse(refusal) => Step::Refuse(refusal),
        }
    }

    fn branch(&self, requirement: &Requirement, facts: &Facts, trail: &mut Trail) -> Step<Branch> {
        match requirement {
            Requirement::None => Step::Done(Branch::Proven(Proven::default())),
            Requirement::One(index) => match self.gate.authenticators.get(*index) {
                Some(authenticator) => self.one(*index, authenticator, facts, trail),
                None => Step::Refuse(Refusal::Internal),
            },
            Requirement::Any(branches) => self.any(branches, facts, trail),
            Requirement::All(branches) => self.all(branches, facts, trail),
            Requirement::Optional(inner) => match self.branch(inner, facts, trail) {
                Step::Done(Branch::Absent) => Step::Done(Branch::Proven(Proven::default())),
                other => other,
            },
        }
    }

    fn any(&self, branches: &[Requirement], facts: &Facts, trail: &mut Trail) -> Step<Branch> {
        let mut furthest: Option<Doubt> = None;
        for (position, branch) in branches.iter().enumerate() {
            match self.branch(branch, facts, trail) {
                Step::Done(Branch::Absent) => {}
                Step::Done(Branch::Foreign(doubt)) => {
                    if furthest.as_ref().is_none_or(|known| known.progress() < doubt.progress()) {
                        furthest = Some(doubt);
                    }
                }
                Step::Done(Branch::Proven(mut proven)) => {
                    // Whatever the other branches would have taken must not reach the upstream unjudged either.
                    for (_, other) in branches.iter().enumerate().filter(|(other, _)| *other != position) {
                        self.places(other, facts, &mut proven.places);
                    }
                    return Step::Done(Branch::Proven(proven));
                }
                undecided => return undecided,
            }
        }
        Step::Done(furthest.map_or(Branch::Absent, Branch::Foreign))
    }

    fn all(&self, branches: &[Requirement], facts: &Facts, trail: &mut Trail) -> Step<Branch> {
        if branches.is_empty() {
            // "All of nothing" must not be true of everybody.
            return Step::Done(Branch::Absent);
        }
        let mut sum = Proven::default();
        let mut absent = false;
        let mut present = false;
        let mut foreign: Option<Doubt> = None;
        for branch in branches {
            match self.branch(branch, facts, trail) {
                Step::Done(Branch::Absent) => absent = true,
                Step::Done(Branch::Foreign(doubt)) => foreign = foreign.or(Some(doubt)),
                Step::Done(Branch::Proven(proven)) => {
                    present |= proven.identity.is_some();
                    sum = join(sum, proven);
                }
                undecided => return undecided,
            }
        }
        match (foreign, absent, present) {
            (Some(doubt), _, true) => Step::Refuse(doubt.into()),
            (Some(doubt), _, false) => Step::Done(Branch::Foreign(doubt)),
            (None, true, true) => Step::Refuse(Refusal::CredentialMissing),
            (None, true, false) => Step::Done(Branch::Absent),
            (None, false, _) => Step::Done(Branch::Proven(sum)),
        }
    }

    fn one(&self, index: usize, authenticator: &Authenticator, facts: &Facts, trail: &mut Trail) -> Step<Branch> {
        let verifier = &authenticator.verifier;
        let memory = authenticator.cache_for.zip(verifier.cache_generation());
        let recall = |credential: &Credential<'_>| {
            memory.and_then(|(_, generation)| self.gate.cache.get(&authenticator.key, credential, generation, self.now))
        };

        // What is remembered was recognised before it was proven: same text, same verifier, same answer.
        let glanced = memory.and_then(|_| verifier.glance(self.request));
        if let Some(credential) = &glanced
            && let Some(identity) = recall(credential)
        {
            let judged = self.remembered(authenticator, identity, trail);
            return self.conclude(index, authenticator, credential, judged, facts, trail);
        }
        let credential = match verifier.find(self.request, facts) {
            Step::Done(Found::Present(credential)) => credential,
            Step::Done(Found::Absent) => return Step::Done(Branch::Absent),
            Step::Done(Found::Foreign(doubt)) => return Step::Done(Branch::Foreign(doubt)),
            Step::Done(Found::Unreadable(doubt)) => {
                trail.authenticator = Some(Arc::clone(&authenticator.name));
                return Step::Refuse(doubt.into());
            }
            Step::Need(need) => return Step::Need(need),
            Step::Refuse(refusal) => return Step::Refuse(refusal),
        };
        trail.authenticator = Some(Arc::clone(&authenticator.name));
        if memory.is_some() {
            if glanced.is_none()
                && let Some(identity) = recall(&credential)
            {
                let judged = self.remembered(authenticator, identity, trail);
                return self.conclude(index, authenticator, &credential, judged, facts, trail);
            }
            trail.cache = Some(false);
            self.gate.observer.note(Event::CredentialCache { hit: false });
        }

        // Proving costs; whoever has spent their budget of failures does not get that work done for them. While nobody
        // fails there is no budget to look at, and nobody's id to work out.
        let governor = self.gate.governor.as_ref().filter(|governor| governor.is_busy(self.now));
        let claimed_id = governor.and_then(|_| verifier.claimed_id(&credential));
        if let Some(governor) = governor {
            let wait = governor.check(self.request.client, claimed_id.as_deref(), self.now);
            let (addresses, ids) = governor.tracked();
            let (budget, tracked) = if claimed_id.is_some() { ("id", ids) } else { ("address", addresses) };
            self.gate.observer.note(Event::Governor { budget, refused: wait.is_some(), tracked });
            if let Some(retry_after) = wait {
                return Step::Refuse(Refusal::Throttled { retry_after });
            }
        }
        match verifier.verify(&credential, self.request, facts, self.now) {
            Step::Done(identity) => {
                if let (Some(governor), Some(id)) = (governor, claimed_id.as_deref()) {
                    governor.succeed(self.request.client, id, self.now);
                }
                if let Some((cache_for, generation)) = memory {
                    self.gate.cache.insert(&authenticator.key, &credential, generation, &identity, self.now, cache_for);
                }
                self.conclude(index, authenticator, &credential, Ok(identity), facts, trail)
            }
            Step::Need(need) => Step::Need(need),
            Step::Refuse(refusal) => {
                let claimed_id = claimed_id.or_else(|| verifier.claimed_id(&credential));
                trail.claimed_id = claimed_id.map(|id| id.into_owned().into_boxed_str());
                self.conclude(index, authenticator, &credential, Err(refusal), facts, trail)
            }
        }
    }

    /// What a judged credential comes to: good as it is, or good once it has been renewed, or not good.
    fn conclude(
        &self,
        index: usize,
        authenticator: &Authenticator,
        credential: &Credential<'_>,
        judged: Result<Verified<Arc<Identity>>, Refusal>,
        facts: &Facts,
        trail: &mut Trail,
    ) -> Step<Branch> {
        // Every proof comes by here, fresh or remembered or lapsed: it counts unless it was revoked.
        if let Ok(identity) = &judged
            && let Err(refusal) = self.gate.revoked.check(identity.get(), self.now)
        {
            return Step::Refuse(refusal);
        }
        let Some(renewal) = &authenticator.renewal else {
            return match judged {
                Ok(identity) => {
                    Step::Done(Branch::Proven(self.proven(authenticator, identity.into_inner(), credential, Judged::AtFirst, facts)))
                }
                Err(refusal) => Step::Refuse(refusal),
            };
        };
        let refused = self.refused.filter(|refused| refused.authenticator == index);
        // `standing` goes on with the old credential, or without it, when no fresh one is to be had.
        let (lapsed, without, standing) = match judged {
            // Somebody has renewed it while the upstream was asked: what was judged just now goes in place of what was refused.
            Ok(identity) if refused.is_some_and(|refused| is_superseded(refused, authenticator, credential, facts)) => {
                trail.superseded = true;
                let proven = self.proven(authenticator, identity.into_inner(), credential, Judged::AtFirst, facts);
                return Step::Done(Branch::Proven(proven));
            }
            // Nothing to renew with is no guess at anything.
            Ok(identity) if refused.is_some() => (identity, Refusal::CredentialMissing, None),
            Ok(identity) if is_due(identity.get(), renewal.early, self.now) => (identity.clone(), Refusal::RenewalRefused, Some(identity)),
            Ok(identity) => {
                let mut proven = self.proven(authenticator, identity.into_inner(), credential, Judged::AtFirst, facts);
                proven.renewable = Some(index);
                self.note_renewable(index, authenticator, &proven, credential, facts, trail);
                return Step::Done(Branch::Proven(proven));
            }
            Err(Refusal::Doubted(Doubt::Expired(Some(lapsed)))) => {
                if let Err(refusal) = self.gate.revoked.check(lapsed.get(), self.now) {
                    return Step::Refuse(refusal);
                }
                (Verified::clone(&lapsed), Doubt::Expired(Some(lapsed)).into(), None)
            }
            Err(refusal) => return Step::Refuse(refusal),
        };
        let occasion = Occasion { index, authenticator, renewal, credential, identity: lapsed.get() };
        let (identity, renewed) = match (self.fresh(&occasion, without, facts), standing) {
            (Fresh::Lack(need), _) => return Step::Need(need),
            // An earlier result, for an issuer that does not rotate: it is what the upstream has refused.
            (Fresh::Have(..), _) if refused.is_some_and(|refused| is_sent_already(refused, authenticator, credential, facts)) => {
                return Step::Refuse(Refusal::CredentialMissing);
            }
            (Fresh::Have(identity, renewed), _) => (identity, Some(renewed)),
            (Fresh::None(_), Some(standing)) => (standing, None),
            (Fresh::None(refusal), None) => return Step::Refuse(refusal),
        };
        if let (Some(renewed), Some(to)) = (&renewed, &renewal.hand_back) {
            match hand_back::fields(to, &renewed.pair, self.now) {
                Ok(fields) => trail.hand_back.extend(fields),
                Err(refusal) => return Step::Refuse(refusal),
            }
        }
        // The fresh credential has names of its own to be revoked by.
        if let Err(refusal) = self.gate.revoked.check(identity.get(), self.now) {
            return Step::Refuse(refusal);
        }
        trail.renewed |= renewed.is_some();
        let judged = if renewed.is_some() { Judged::OnceRenewed } else { Judged::AtFirst };
        let mut proven = self.proven(authenticator, identity.into_inner(), credential, judged, facts);
        proven.renewable = renewed.is_none().then_some(index);
        if renewed.is_none() {
            self.note_renewable(index, authenticator, &proven, credential, facts, trail);
        }
        proven.renews_next = renewed.as_ref().filter(|_| refused.is_some()).and_then(|renewed| next(&occasion, renewed, facts));
        // What we hold ourselves (a session) the client goes on presenting as it did.
        let fresh = renewed.filter(|_| renewal.hand_back.is_some());
        proven.fresh = fresh.map(|renewed| (renewed, credential.places.clone())).into_iter().collect();
        Step::Done(Branch::Proven(proven))
    }

    /// Remembers what could be renewed, as it is now: the upstream is about to see that and nothing later.
    fn note_renewable(
        &self,
        index: usize,
        authenticator: &Authenticator,
        proven: &Proven,
        credential: &Credential<'_>,
        facts: &Facts,
        trail: &mut Trail,
    ) {
        if trail.renewable.is_some() {
            return;
        }
        let sent = match &proven.held {
            None if !self.shows_held => authenticator.verifier.shown(credential, Judged::AtFirst, facts).as_ref().map(edition),
            shown => shown.as_ref().map(edition),
        };
        trail.renewable = Some(Renewable { authenticator: index, sent });
    }

    /// A verdict that was reached before; what was good then may have ended since.
    fn remembered(
        &self,
        authenticator: &Authenticator,
        identity: Verified<Arc<Identity>>,
        trail: &mut Trail,
    ) -> Result<Verified<Arc<Identity>>, Refusal> {
        trail.authenticator = Some(Arc::clone(&authenticator.name));
        trail.cache = Some(true);
        self.gate.observer.note(Event::CredentialCache { hit: true });
        crate::verify::cache::check_times(&identity, self.now)?;
        Ok(identity)
    }

    /// What comes of `identity`, which was `judged` so. What is held for it is what proved it.
    fn proven(
        &self,
        authenticator: &Authenticator,
        identity: Arc<Identity>,
        credential: &Credential<'_>,
        judged: Judged,
        facts: &Facts,
    ) -> Proven {
        Proven {
            burns: identity.burn.clone().into_iter().collect(),
            ambient: authenticator.verifier.ambient(credential),
            identity: Some(identity),
            places: credential.places.clone(),
            held: self.shows_held.then(|| authenticator.verifier.shown(credential, judged, facts)).flatten(),
            ..Proven::default()
        }
    }

    /// Adds the places of whatever `requirement` would have looked at; asks for nothing.
    pub(super) fn places(&self, requirement: &Requirement, facts: &Facts, places: &mut Vec<Place>) {
        match requirement {
            Requirement::None => {}
            Requirement::One(index) => {
                let Some(authenticator) = self.gate.authenticators.get(*index) else { return };
                match authenticator.verifier.find(self.request, facts) {
                    Step::Done(Found::Present(credential)) => places.extend(credential.places),
                    // What stands in a body stays there, so there is nothing to look for in one.
                    Step::Done(Found::Absent) | Step::Need(_) => {}
                    // Something stands there that nobody has read: a doubled key may well hold a good one.
                    Step::Done(Found::Foreign(_) | Found::Unreadable(_)) | Step::Refuse(_) => {
                        places.extend(authenticator.looks_at.iter().cloned());
                    }
                }
            }
            Requirement::Any(branches) | Requirement::All(branches) => {
                for branch in branches {
                    self.places(branch, facts, places);
                }
            }
            Requirement::Optional(inner) => self.places(inner, facts, places),
        }
    }
}

/// Whether this request is judged by another credential that we hold for the caller than the `refused` one: it was renewed while the
/// upstream was asked.
fn is_superseded(refused: Renewable, authenticator: &Authenticator, credential: &Credential<'_>, facts: &Facts) -> bool {
    let held = authenticator.verifier.shown(credential, Judged::AtFirst, facts);
    held.is_some_and(|held| refused.sent != Some(edition(&held)))
}

/// Whether what we hold for the caller once it was renewed is the `refused` credential itself.
fn is_sent_already(refused: Renewable, authenticator: &Authenticator, credential: &Credential<'_>, facts: &Facts) -> bool {
    let held = authenticator.verifier.shown(credential, Judged::OnceRenewed, facts);
    held.is_some_and(|held| refused.sent == Some(edition(&held)))
}

/// Adds a further satisfied branch of `all`: the first identity stays the caller, later ones stand beside it, and the whole ends
/// when the first of them ends.
fn join(sum: Proven, next: Proven) -> Proven {
    let identity = match (sum.identity, next.identity) {
        (Some(first), Some(other)) => {
            let mut joined = Identity::clone(&first);
            joined.expires = match (first.expires, other.expires) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            joined.also.push((Arc::clone(&other.authenticator), other));
            Some(Arc::new(joined))
        }
        (first, other) => first.or(other),
    };
    let mut places = sum.places;
    places.extend(next.places);
    let mut burns = sum.burns;
    burns.extend(next.burns);
    let mut fresh = sum.fresh;
    fresh.extend(next.fresh);
    Proven {
        identity,
        places,
        burns,
        ambient: sum.ambient || next.ambient,
        renewable: sum.renewable.or(next.renewable),
        renews_next: sum.renews_next.or(next.renews_next),
        fresh,
        held: sum.held.or(next.held),
    }
}

#[cfg(test)]
mod tests;
