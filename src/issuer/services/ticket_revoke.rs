//! `serve: ticket.revoke`: a ticket is good for nothing from now on.
//!
//! It is marked as spent, which every node sees at its next use, and put on the list of revocations, which also ends what it
//! has opened. Who may ask is the rule's to say. A ticket that is shown need not be good, only ours: one that has ended is
//! none to revoke, one that was spent is told so.
//!
//! Never here: an answer that says "revoked" before the store has said so.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;

use crate::domain::{Burn, By, Event, Observer, Outage, Refusal, Revocation, Timestamp};
use crate::issuer::contract::{Call, Reply, Service, ServiceEntry, ServicePlan, ServiceTools, TicketUse};
use crate::issuer::services::submission::{Submission, Unread};
use crate::jose::ticket::{TicketTerms, burn_key, id_of, id_text};
use crate::settings::{Checking, KeySpec, Node, NodeValue, Section, SectionSpec, Shape, Span};
use crate::state::contract::{Burned, StateStore};
use crate::state::revoked::{Revocations, Revoked};

/// The service's line on the roll-call.
pub static ENTRY: ServiceEntry = ServiceEntry {
    name: "ticket.revoke",
    doc: "Takes a ticket back.",
    shape: Shape::Section(&SETTINGS),
    methods: &["POST"],
    proven: true,
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the service `ticket.revoke`",
    doc: "Takes a ticket back. POST, JSON or a form, with the `ticket` itself or its id, `jti`. Whoever the rule proves may do so with every \
          ticket that they can show, and, by its id, with every ticket of the authenticator.",
    keys: &[
        KeySpec::optional(
            "tickets",
            Shape::Name("authenticators"),
            "The authenticator of the scheme `ticket` whose tickets are taken back. Needed only where there are several.",
        ),
        KeySpec::default(
            "by_id",
            Shape::Bool,
            "true",
            "Whether the id alone will do. Otherwise only tickets that are shown are taken back.",
        ),
    ],
};

/// The settings, proven.
#[derive(Debug)]
struct RevokePlan {
    tickets: TicketUse,
    by_id: bool,
}

fn plan(settings: Option<&Node>, at: &Span, checking: &mut Checking<'_>) -> Option<Box<dyn ServicePlan>> {
    let empty = Node { span: at.clone(), value: NodeValue::Map(Vec::new()) };
    let section = Section::open(&SETTINGS, settings.unwrap_or(&empty), checking.faults)?;
    let span = section.node("tickets").map_or(at, |node| &node.span).clone();
    let tickets = TicketUse { authenticator: section.text("tickets").map(str::to_owned), life: None, span };
    Some(Box::new(RevokePlan { tickets, by_id: section.flag("by_id") }))
}

impl ServicePlan for RevokePlan {
    fn tickets(&self) -> Vec<TicketUse> {
        vec![self.tickets.clone()]
    }

    fn build(&self, tools: &ServiceTools<'_>) -> Result<Arc<dyn Service>, String> {
        Ok(Arc::new(TicketRevoke {
            terms: tools.terms(&self.tickets)?,
            by_id: self.by_id,
            state: Arc::clone(tools.state),
            revoked: Arc::clone(tools.revoked),
            observer: Arc::clone(tools.observer),
        }))
    }
}

/// Takes tickets back.
struct TicketRevoke {
    terms: Arc<TicketTerms>,
    by_id: bool,
    state: Arc<dyn StateStore>,
    revoked: Arc<Revocations>,
    observer: Arc<dyn Observer>,
}

/// Which ticket is meant.
struct Meant {
    id: [u8; 16],
    made: Timestamp,
    /// It is good for nothing from this moment on anyway.
    until: Timestamp,
}

#[async_trait]
impl Service for TicketRevoke {
    async fn serve(&self, call: &Call<'_>) -> Result<Reply, Refusal> {
        let meant = match self.meant(call) {
            Ok(meant) => meant,
            Err(unread) => return Ok(Reply::problem(call, &unread)),
        };
        let jti = id_text(&meant.id);
        if meant.until <= call.now {
            return Ok(answer(&jti, "expired"));
        }
        let burn = Burn { key: burn_key(&meant.id, &self.terms.issuer), made: meant.made, until: meant.until };
        let burned = self.state.burn(&burn, call.now).await;
        self.observer.note(Event::State { operation: "burn", ok: burned.is_ok() });
        let burned = burned.map_err(Outage::refusal)?;
        // A ticket that may be used often is not stopped by being spent, and what one has opened is still open.
        let revocation = Revocation {
            by: By::Token,
            value: jti.as_str().into(),
            issuer: Some(self.terms.issuer.clone()),
            issued_before: None,
            until: meant.until,
            reason: "ticket.revoke".into(),
        };
        match self.revoked.revoke(revocation).await {
            Revoked::Everywhere(_) => {}
            // In force on this node, or nowhere: whoever asks is not told that it is done, and asks again.
            Revoked::Here(_) | Revoked::Full => return Err(Outage::State.refusal()),
        }
        Ok(answer(&jti, if burned == Burned::First { "revoked" } else { "spent" }))
    }
}

impl TicketRevoke {
    fn meant(&self, call: &Call<'_>) -> Result<Meant, Unread> {
        let submission = Submission::read(call)?;
        submission.only(&["ticket", "jti"])?;
        match (submission.text("ticket")?, submission.text("jti")?) {
            (Some(text), None) => {
                let ticket = self.terms.open(text).map_err(|_| Unread::wrong("`ticket` is no ticket of ours; nothing was revoked"))?;
                let said = ticket.get();
                Ok(Meant { id: said.id, made: said.issued, until: self.terms.end(said) })
            }
            (None, Some(_)) if !self.by_id => Err(Unread::wrong("show the `ticket` itself here; its id is not enough")),
            (None, Some(jti)) => {
                let id = id_of(jti).ok_or(Unread::wrong("`jti` is no id of a ticket; nothing was revoked"))?;
                // When it was made is not known: at most a leeway ahead of us, and it lives as long as any may.
                let until = call.now.plus(self.terms.leeway).plus(self.terms.max_life).plus(self.terms.leeway);
                Ok(Meant { id, made: call.now, until })
            }
            (None, None) => Err(Unread::wrong("say which ticket by `ticket` or `jti`")),
            (Some(_), Some(_)) => Err(Unread::wrong("say which ticket either by `ticket` or by `jti`")),
        }
    }
}

/// 200: what the ticket was until now. It is good for nothing any more, whatever that is.
fn answer(jti: &str, state: &str) -> Reply {
    Reply::json(200, &json!({ "jti": jti, "state": state }))
}

#[cfg(test)]
mod tests;
