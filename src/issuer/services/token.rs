//! `serve: token`: a refresh token of ours for the next pair (RFC 6749 section 6).
//!
//! Which client is asking is for the rule to prove; a rule with `authenticate: none` serves public clients, whose refresh tokens
//! are good for whoever holds them. A client that cannot prove itself is refused by the rule, in the rule's words, before it comes
//! here. No other grant is given: there is no password and no code at this endpoint.
//!
//! Tokens that lead nowhere are counted, so that guessing at them costs the store no more than the budget of failures allows.
//!
//! Rules: RFC 6749 sections 5.1, 5.2 and 6, RFC 9700 section 4.14.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::{Refusal, Seconds};
use crate::issuer::contract::{Call, Reply, Service, ServiceEntry, ServicePlan, ServiceTools};
use crate::issuer::pairs::{Caller, GrantFault, Issuer, PairFault};
use crate::issuer::services::form::Form;
use crate::issuer::services::oauth::{built, granted, issuer_of, refusal};
use crate::settings::{Checking, KeySpec, Node, SectionSpec, Shape, Span};

/// The service's line on the roll-call.
pub static ENTRY: ServiceEntry = ServiceEntry {
    name: "token",
    doc: "Exchanges a refresh token of an issuer of ours for the next pair (RFC 6749 section 6).",
    shape: Shape::Section(&SETTINGS),
    methods: &["POST"],
    proven: false,
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the service `token`",
    doc: "Exchanges a refresh token for the next pair. Clients prove themselves by the rule's `authenticate`; `none` serves public clients.",
    keys: &[KeySpec::required("issuer", Shape::Name("issuers"), "Whose refresh tokens: a name under `issuers`.")],
};

/// When to come again after the store did not answer.
const RETRY: Seconds = Seconds(5);

#[derive(Debug)]
struct TokenPlan {
    issuer: String,
    span: Span,
}

fn plan(settings: Option<&Node>, at: &Span, checking: &mut Checking<'_>) -> Option<Box<dyn ServicePlan>> {
    let (issuer, span) = issuer_of("token", &SETTINGS, settings, at, checking)?;
    Some(Box::new(TokenPlan { issuer, span }))
}

impl ServicePlan for TokenPlan {
    fn issuers(&self) -> Vec<(String, Span)> {
        vec![(self.issuer.clone(), self.span.clone())]
    }

    fn build(&self, tools: &ServiceTools<'_>) -> Result<Arc<dyn Service>, String> {
        Ok(Arc::new(Token { issuer: built(tools, &self.issuer)? }))
    }
}

/// The token endpoint of one issuer.
struct Token {
    issuer: Arc<Issuer>,
}

#[async_trait]
impl Service for Token {
    async fn serve(&self, call: &Call<'_>) -> Result<Reply, Refusal> {
        let Some(form) = Form::read(call.request.headers, &call.body) else {
            return Ok(refusal("invalid_request", "the body is no form that can be read"));
        };
        match form.value("grant_type") {
            Some("refresh_token") => {}
            Some(_) => return Ok(refusal("unsupported_grant_type", "only `refresh_token` is exchanged here")),
            None => return Ok(refusal("invalid_request", "`grant_type` is missing")),
        }
        let Some(refresh) = form.value("refresh_token") else {
            return Ok(refusal("invalid_request", "`refresh_token` is missing"));
        };
        let by = call.identity.map(|identity| Caller::from(&**identity));
        if let (Some(claimed), Some(proven)) = (form.value("client_id"), &by)
            && *claimed != *proven.name
        {
            return Ok(refusal("invalid_request", "`client_id` is not the client that was proven"));
        }
        let narrowed = match form.value("scope").map(scopes) {
            None => None,
            Some(Some(scopes)) => Some(scopes),
            Some(None) => return Ok(refusal("invalid_scope", "`scope` is no list of scopes")),
        };
        match self.issuer.rotate(refresh, by.as_ref(), narrowed.as_deref(), call.now).await {
            Ok(issued) => granted(&issued, call.now).ok_or(Refusal::Internal),
            Err(PairFault::Grant(why)) => {
                tracing::info!(issuer = %self.issuer.terms().name, ?why, "a refresh token was refused");
                // One that was ours and is over, spent or somebody else's was not guessed.
                let guessed = matches!(why, GrantFault::Malformed | GrantFault::Unknown);
                Ok(Reply { guessed, ..refusal("invalid_grant", "the refresh token is not good") })
            }
            Err(PairFault::Scope) => Ok(refusal("invalid_scope", "more was asked for than was granted")),
            Err(PairFault::Store) => Err(Refusal::StateUnavailable { retry_after: RETRY }),
            Err(PairFault::TooLarge | PairFault::Library) => Err(Refusal::Internal),
        }
    }

    fn public_keys(&self) -> Option<String> {
        Some(self.issuer.public_keys())
    }
}

/// The scopes in `text`, separated by single spaces; `None` when one of them is none (RFC 6749 section 3.3).
fn scopes(text: &str) -> Option<Box<[Box<str>]>> {
    let is_scope = |scope: &str| !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
    text.split(' ').map(|scope| is_scope(scope).then(|| scope.into())).collect()
}

#[cfg(test)]
mod tests;
