//! `serve: taptalk.access_token`: a ticket for a pair, once, as TapTalk's own endpoint exchanges one.
//!
//! `POST …/v1/auth/access_token/request` with the ticket as bearer: the rule's authenticator proves it and the gate spends it, before
//! anything is given. The body is not looked at; web clients send the two signs `""`. A ticket whose answer was lost is spent
//! (`docs/decisions/0013-a-redeemed-ticket-is-spent.md`): the app asks its back end for another one.
//!
//! Never here: a pair for a ticket that may be used twice.
//!
//! Source: taptalksdk-web 1.0.310 (`authenticateWithAuthTicket`).

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::{Identity, Refusal};
use crate::issuer::contract::{Call, Reply, Service, ServiceEntry, ServicePlan, ServiceTools, TicketUse};
use crate::issuer::pairs::{Issuer, PairOrder};
use crate::issuer::services::oauth;
use crate::issuer::services::taptalk::{BIND_KEY, EXPIRY_KEY, Manner, outage};
use crate::jose::ticket::TicketTerms;
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape, Span};
use crate::systems::taptalk::origins::{ORIGINS_KEY, Origins};

/// The service's line on the roll-call.
pub static ENTRY: ServiceEntry = ServiceEntry {
    name: "taptalk.access_token",
    doc: "Exchanges a ticket for a token pair, once, in TapTalk's words.",
    shape: Shape::Section(&SETTINGS),
    methods: &["POST"],
    proven: true,
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the service `taptalk.access_token`",
    doc: "Exchanges the ticket that the rule has proven for a pair, as TapTalk's `/v1/auth/access_token/request` does. Its authenticator \
          says `single_use: true`.",
    keys: &[
        KeySpec::required(
            "issuer",
            Shape::Name("issuers"),
            "The issuer that gives the pair. What its `claims` name of the user goes into tokens.",
        ),
        KeySpec::optional(
            "tickets",
            Shape::Name("authenticators"),
            "The authenticator of the scheme `ticket` whose tickets are taken. Needed only where there are several.",
        ),
        BIND_KEY,
        EXPIRY_KEY,
        ORIGINS_KEY,
    ],
};

#[derive(Debug)]
struct ExchangePlan {
    tickets: TicketUse,
    issuer: String,
    issuer_span: Span,
    manner: Manner,
}

fn plan(settings: Option<&Node>, at: &Span, checking: &mut Checking<'_>) -> Option<Box<dyn ServicePlan>> {
    let (issuer, issuer_span) = oauth::issuer_of(ENTRY.name, &SETTINGS, settings, at, checking)?;
    let section = Section::open(&SETTINGS, settings?, checking.faults)?;
    let span = section.node("tickets").map_or(at, |node| &node.span).clone();
    let tickets = TicketUse { authenticator: section.text("tickets").map(str::to_owned), life: None, span };
    let manner = Manner::read(&section, Origins::plan(&section, checking)?);
    Some(Box::new(ExchangePlan { tickets, issuer, issuer_span, manner }))
}

impl ServicePlan for ExchangePlan {
    fn tickets(&self) -> Vec<TicketUse> {
        vec![self.tickets.clone()]
    }

    fn issuers(&self) -> Vec<(String, Span)> {
        vec![(self.issuer.clone(), self.issuer_span.clone())]
    }

    fn reads_body(&self) -> bool {
        false
    }

    fn build(&self, tools: &ServiceTools<'_>) -> Result<Arc<dyn Service>, String> {
        let terms = tools.terms(&self.tickets)?;
        if !terms.single_use {
            return Err(format!("`{}` exchanges each ticket once; write `single_use: true` at `{}`", ENTRY.name, terms.name));
        }
        Ok(Arc::new(Exchange { terms, issuer: oauth::built(tools, &self.issuer)?, manner: self.manner.clone() }))
    }
}

/// Exchanges tickets.
struct Exchange {
    terms: Arc<TicketTerms>,
    issuer: Arc<Issuer>,
    manner: Manner,
}

#[async_trait]
impl Service for Exchange {
    async fn serve(&self, call: &Call<'_>) -> Result<Reply, Refusal> {
        let headers = call.request.headers;
        let holder = self.holder(call).ok_or(Refusal::CredentialMissing)?;
        // A ticket that was not spent could be exchanged again.
        if holder.burn.is_none() {
            return Err(Refusal::Internal);
        }
        let client = match self.manner.client(headers) {
            Ok(client) => client,
            Err(reply) => return Ok(reply),
        };
        let order = PairOrder { subject: holder.subject.clone(), scopes: holder.scopes.clone(), claims: holder.claims.to_value(), client };
        match self.issuer.open(order, call.now).await {
            Ok(issued) => self.manner.given(headers, &self.issuer, &issued),
            Err(fault) => {
                tracing::error!(%fault, "a ticket was spent, and no pair could be made of it");
                Err(outage(fault))
            }
        }
    }

    fn public_keys(&self) -> Option<String> {
        Some(self.issuer.public_keys())
    }
}

impl Exchange {
    /// Whom the ticket is for that the rule has proven, alone or beside another credential.
    fn holder<'c>(&self, call: &'c Call<'_>) -> Option<&'c Arc<Identity>> {
        let caller = call.identity?;
        let beside = caller.also.iter().map(|(_, beside)| beside);
        std::iter::once(caller).chain(beside).find(|identity| *identity.authenticator == *self.terms.name)
    }
}

#[cfg(test)]
mod tests;
