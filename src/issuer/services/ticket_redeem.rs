//! `serve: ticket.redeem`: a ticket for a token pair, once.
//!
//! The ticket is judged as the authenticator it was made for would judge it; then it is spent; then the pair is made. In this
//! order a ticket can be lost (the pair was not made, or its answer did not arrive) and never be redeemed twice. Whoever comes
//! with a spent ticket again is answered 401, always: `docs/decisions/0013-a-redeemed-ticket-is-spent.md` says why. A ticket
//! that may be used often is redeemed once all the same.
//!
//! Never here: a pair before the store has said that the ticket was unspent; a second chance after an answer that was lost.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::{Burn, Claim, Doubt, Event, Identity, Observer, Outage, Refusal};
use crate::issuer::contract::{Call, Reply, Service, ServiceEntry, ServicePlan, ServiceTools, TicketUse};
use crate::issuer::pairs::{Caller, Issuer, PairFault, PairOrder};
use crate::issuer::services::oauth;
use crate::issuer::services::submission::{Submission, Unread};
use crate::jose::ticket::{TicketTerms, burn_key, id_of};
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape, Span};
use crate::state::contract::{Burned, StateStore};
use crate::state::revoked::Revocations;

/// The service's line on the roll-call.
pub static ENTRY: ServiceEntry = ServiceEntry {
    name: "ticket.redeem",
    doc: "Exchanges a ticket for a token pair, once.",
    shape: Shape::Section(&SETTINGS),
    methods: &["POST"],
    // The ticket is the proof; one that stands in the body is judged here.
    proven: false,
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the service `ticket.redeem`",
    doc: "Exchanges a ticket for a token pair, once. POST; the ticket is the credential that the rule has proven (and then the body is not \
          looked at), or stands in the body, JSON or a form, as `ticket`. Its bindings must hold for this very request. The answer is 200 with \
          `access_token` and `refresh_token`; a ticket that was redeemed before is 401.",
    keys: &[
        KeySpec::required("issuer", Shape::Name("issuers"), "The issuer that gives the pair."),
        KeySpec::optional(
            "tickets",
            Shape::Name("authenticators"),
            "The authenticator of the scheme `ticket` whose tickets are taken. Needed only where there are several.",
        ),
    ],
};

/// The settings, proven.
#[derive(Debug)]
struct RedeemPlan {
    tickets: TicketUse,
    issuer: String,
    issuer_span: Span,
}

fn plan(settings: Option<&Node>, at: &Span, checking: &mut Checking<'_>) -> Option<Box<dyn ServicePlan>> {
    let (issuer, issuer_span) = oauth::issuer_of(ENTRY.name, &SETTINGS, settings, at, checking)?;
    let section = Section::open(&SETTINGS, settings?, checking.faults)?;
    let span = section.node("tickets").map_or(at, |node| &node.span).clone();
    let tickets = TicketUse { authenticator: section.text("tickets").map(str::to_owned), life: None, span };
    Some(Box::new(RedeemPlan { tickets, issuer, issuer_span }))
}

impl ServicePlan for RedeemPlan {
    fn tickets(&self) -> Vec<TicketUse> {
        vec![self.tickets.clone()]
    }

    fn issuers(&self) -> Vec<(String, Span)> {
        vec![(self.issuer.clone(), self.issuer_span.clone())]
    }

    fn build(&self, tools: &ServiceTools<'_>) -> Result<Arc<dyn Service>, String> {
        Ok(Arc::new(TicketRedeem {
            terms: tools.terms(&self.tickets)?,
            issuer: oauth::built(tools, &self.issuer)?,
            state: Arc::clone(tools.state),
            revoked: Arc::clone(tools.revoked),
            observer: Arc::clone(tools.observer),
        }))
    }
}

/// Redeems tickets.
struct TicketRedeem {
    terms: Arc<TicketTerms>,
    issuer: Arc<Issuer>,
    state: Arc<dyn StateStore>,
    revoked: Arc<Revocations>,
    observer: Arc<dyn Observer>,
}

/// A ticket that was proven, and is to be redeemed.
struct Presented {
    /// What it proves.
    holder: Arc<Identity>,
    /// What is still to be spent; `None` when the gate has spent it as the caller's own credential.
    burn: Option<Burn>,
    /// Who asks, where that is somebody else.
    client: Option<Caller>,
}

#[async_trait]
impl Service for TicketRedeem {
    async fn serve(&self, call: &Call<'_>) -> Result<Reply, Refusal> {
        let presented = match self.own(call) {
            Some(presented) => presented?,
            None => match in_body(call) {
                Ok(text) => self.shown(&text, call)?,
                Err(unread) => return Ok(Reply::problem(call, &unread)),
            },
        };
        if let Some(burn) = &presented.burn {
            let burned = self.state.burn(burn, call.now).await;
            self.observer.note(Event::State { operation: "burn", ok: burned.is_ok() });
            match burned.map_err(Outage::refusal)? {
                Burned::First => {}
                Burned::Again | Burned::Forgotten => return Err(Doubt::Replayed.into()),
            }
        }
        let Presented { holder, client, .. } = presented;
        let order = PairOrder { subject: holder.subject.clone(), scopes: holder.scopes.clone(), claims: holder.claims.to_value(), client };
        match self.issuer.open(order, call.now).await {
            Ok(issued) => oauth::granted(&issued, call.now).ok_or(Refusal::Internal),
            Err(PairFault::Store) => Err(Outage::State.refusal()),
            Err(fault) => {
                tracing::error!(%fault, "a ticket was spent, and no pair could be made of it");
                Err(Refusal::Internal)
            }
        }
    }
}

impl TicketRedeem {
    /// The ticket that the rule has proven, when it is one of those taken here. What it says of bindings, time and revocation
    /// has been seen to.
    fn own(&self, call: &Call<'_>) -> Option<Result<Presented, Refusal>> {
        let caller = call.identity?;
        let ours = |identity: &Arc<Identity>| *identity.authenticator == *self.terms.name;
        let holder = std::iter::once(caller).chain(caller.also.iter().map(|(_, beside)| beside)).find(|identity| ours(identity))?;
        let burn = match &holder.burn {
            Some(_) => None,
            None => match self.burn_of(holder) {
                Some(burn) => Some(burn),
                None => return Some(Err(Refusal::Internal)),
            },
        };
        let client = (!ours(caller)).then(|| Caller::from(&**caller));
        Some(Ok(Presented { holder: Arc::clone(holder), burn, client }))
    }

    /// The ticket `text` from the body, judged.
    fn shown(&self, text: &str, call: &Call<'_>) -> Result<Presented, Refusal> {
        let holder = self.terms.judge(text, call.request, call.now)?.into_inner();
        self.revoked.check(&holder, call.now)?;
        let burn = holder.burn.clone().or_else(|| self.burn_of(&holder)).ok_or(Refusal::Internal)?;
        Ok(Presented { holder, burn: Some(burn), client: call.identity.map(|caller| Caller::from(&**caller)) })
    }

    /// What is spent by redeeming a ticket that may be used often.
    fn burn_of(&self, holder: &Identity) -> Option<Burn> {
        let id = id_of(holder.claims.member("jti").and_then(Claim::as_text)?)?;
        let made = holder.not_before?.plus(self.terms.leeway);
        Some(Burn { key: burn_key(&id, &holder.issuer), made, until: holder.expires? })
    }
}

/// The ticket in the body.
fn in_body(call: &Call<'_>) -> Result<String, Unread> {
    let submission = Submission::read(call)?;
    submission.only(&["ticket"])?;
    submission.text("ticket")?.map(str::to_owned).ok_or(Unread::wrong("there is no `ticket` in the body"))
}

#[cfg(test)]
mod tests;
