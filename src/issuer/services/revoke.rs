//! `serve: revoke`: a client that is done with its tokens takes them back (RFC 7009).
//!
//! A refresh token of any age takes its whole family with it, and so does an access token that is still good. A token that is not
//! ours, not good any more or already taken back is answered like one that was: there is nothing left to do, and nothing to learn.
//! A refresh token that leads to no family is what a guess would be, and counts as one.
//!
//! Rules: RFC 7009 sections 2.1 and 2.2, RFC 6749 section 5.2.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::domain::{Refusal, Seconds};
use crate::issuer::contract::{Call, Reply, Service, ServiceEntry, ServicePlan, ServiceTools};
use crate::issuer::pairs::refresh::PREFIX;
use crate::issuer::pairs::{Caller, Issuer, PairFault};
use crate::issuer::services::form::Form;
use crate::issuer::services::oauth::{built, issuer_of, refusal};
use crate::settings::{Checking, KeySpec, Node, SectionSpec, Shape, Span};

/// The service's line on the roll-call.
pub static ENTRY: ServiceEntry = ServiceEntry {
    name: "revoke",
    doc: "Takes back the pairs of an issuer of ours (RFC 7009).",
    shape: Shape::Section(&SETTINGS),
    methods: &["POST"],
    proven: false,
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the service `revoke`",
    doc: "Takes back the login that a refresh token or an access token belongs to.",
    keys: &[KeySpec::required("issuer", Shape::Name("issuers"), "Whose tokens: a name under `issuers`.")],
};

/// When to come again after the store did not answer.
const RETRY: Seconds = Seconds(5);

#[derive(Debug)]
struct RevokePlan {
    issuer: String,
    span: Span,
}

fn plan(settings: Option<&Node>, at: &Span, checking: &mut Checking<'_>) -> Option<Box<dyn ServicePlan>> {
    let (issuer, span) = issuer_of("revoke", &SETTINGS, settings, at, checking)?;
    Some(Box::new(RevokePlan { issuer, span }))
}

impl ServicePlan for RevokePlan {
    fn issuers(&self) -> Vec<(String, Span)> {
        vec![(self.issuer.clone(), self.span.clone())]
    }

    fn build(&self, tools: &ServiceTools<'_>) -> Result<Arc<dyn Service>, String> {
        Ok(Arc::new(Revoke { issuer: built(tools, &self.issuer)? }))
    }
}

/// The revocation endpoint of one issuer.
struct Revoke {
    issuer: Arc<Issuer>,
}

#[async_trait]
impl Service for Revoke {
    async fn serve(&self, call: &Call<'_>) -> Result<Reply, Refusal> {
        let Some(form) = Form::read(call.request.headers, &call.body) else {
            return Ok(refusal("invalid_request", "the body is no form that can be read"));
        };
        // What kind of token it is shows; a wrong `token_type_hint` is no error (RFC 7009 section 2.1).
        let Some(token) = form.value("token") else {
            return Ok(refusal("invalid_request", "`token` is missing"));
        };
        let by = call.identity.map(|identity| Caller::from(&**identity));
        match self.issuer.withdraw(token, by.as_ref(), call.now).await {
            Ok(withdrawn) => {
                if let Some(withdrawn) = &withdrawn {
                    tracing::info!(issuer = %self.issuer.terms().name, family = withdrawn.text(), "a family of tokens was revoked");
                }
                Ok(Reply {
                    status: 200,
                    headers: Vec::new(),
                    body: Bytes::new(),
                    guessed: withdrawn.is_none() && token.starts_with(PREFIX),
                })
            }
            Err(PairFault::Grant(_) | PairFault::Scope) => Ok(refusal("invalid_grant", "the token was issued to another client")),
            Err(PairFault::Store) => Err(Refusal::StateUnavailable { retry_after: RETRY }),
            Err(PairFault::TooLarge | PairFault::Library) => Err(Refusal::Internal),
        }
    }
}

#[cfg(test)]
mod tests;
