//! The renewer `local`: pairs that an issuer of our own gave are renewed without asking anybody else.
//!
//! There is no exchange over the network and so no lost answer: the issuer's record decides, in one write. A refresh token that was
//! given to a client of its own is not spent here, where no client proves itself; and the lapsed token must be of the same family,
//! or, where it tells none, of the subject that the family's record names: nobody's refresh token is spent for somebody else.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::{Claim, Identity, Spent, Timestamp, TokenPair};
use crate::issuer::pairs::{Issuer, PairFault};
use crate::renew::contract::{RenewError, RenewTools, Renewer, RenewerEntry, RenewerPlan};
use crate::renew::handling::{EARLY_KEY, FLIGHT_KEY, GRACE_KEY, HAND_BACK_KEY, REFRESH_FROM_KEY, WAIT_KEY};
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape, Span};

/// The renewer's line on the roll-call.
pub static ENTRY: RenewerEntry = RenewerEntry {
    name: "local",
    doc: "Pairs that an issuer of our own has given: spent where they were made, without any request.",
    shape: Shape::Section(&SETTINGS),
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the `local` renewer",
    doc: "Spends refresh tokens at an issuer of our own.",
    keys: &[
        KeySpec::required("issuer", Shape::Name("issuers"), "Its name under `issuers`."),
        REFRESH_FROM_KEY,
        EARLY_KEY,
        WAIT_KEY,
        FLIGHT_KEY,
        GRACE_KEY,
        HAND_BACK_KEY,
    ],
};

#[derive(Debug)]
struct LocalPlan {
    issuer: String,
    span: Span,
}

fn plan(node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn RenewerPlan>> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let issuer = section.text("issuer")?.to_owned();
    Some(Box::new(LocalPlan { issuer, span: section.span_of("issuer").clone() }))
}

impl RenewerPlan for LocalPlan {
    fn issuers(&self) -> Vec<(String, Span)> {
        vec![(self.issuer.clone(), self.span.clone())]
    }

    fn build(&self, _name: &Arc<str>, tools: &RenewTools<'_>) -> Result<Arc<dyn Renewer>, String> {
        Ok(Arc::new(Local { issuer: named(tools.issuers, &self.issuer)? }))
    }
}

fn named(issuers: &BTreeMap<String, Arc<Issuer>>, name: &str) -> Result<Arc<Issuer>, String> {
    issuers.get(name).map(Arc::clone).ok_or_else(|| format!("there is no issuer `{name}`"))
}

/// Renews at one issuer.
struct Local {
    issuer: Arc<Issuer>,
}

#[async_trait]
impl Renewer for Local {
    async fn renew(&self, spent: &Spent, now: Timestamp) -> Result<TokenPair, RenewError> {
        const REJECTED: RenewError = RenewError::Rejected { code: "invalid_grant" };
        let refresh = std::str::from_utf8(spent.refresh.expose()).map_err(|_| REJECTED)?;
        let claimed = spent.identity.claims.member("fam").and_then(Claim::as_text);
        let family = self.issuer.family_of(refresh).ok_or(REJECTED)?;
        let rotated = match claimed {
            Some(claimed) if claimed != family.text() => return Err(REJECTED),
            // A session's record holds the two side by side, whatever its login was called.
            _ if is_kept(&spent.identity) => self.issuer.rotate(refresh, None, None, now).await,
            // A name is only a name together with who vouches for it.
            _ if *spent.identity.issuer != *self.issuer.terms().issuer => return Err(REJECTED),
            Some(_) => self.issuer.rotate(refresh, None, None, now).await,
            None => self.issuer.rotate_for(refresh, &spent.identity.subject, now).await,
        };
        match rotated {
            Ok(issued) => Ok(issued.pair),
            Err(PairFault::Grant(_)) => Err(REJECTED),
            // Asked again within the grace, the issuer gives what it may have given already.
            Err(PairFault::Store) => Err(RenewError::Unreached { why: "the state store did not answer" }),
            Err(PairFault::Scope | PairFault::TooLarge | PairFault::Library) => {
                Err(RenewError::Unreached { why: "no token could be made" })
            }
        }
    }

    fn forgives_repeats(&self) -> bool {
        true
    }
}

/// Whether `identity` is a session's, whose refresh token nobody has brought: it was kept since the login.
fn is_kept(identity: &Identity) -> bool {
    identity.scheme == "session"
}

#[cfg(test)]
mod tests;
