//! `serve: session.close`: a session ends, and its cookie is taken away.
//!
//! It ends for whoever holds it, also when its token has run out and nothing renews it any more; so no authenticator is needed, and
//! the rule may say `authenticate: none`. A page of another site cannot end it. A session that is over already is answered alike.
//!
//! Rules: OWASP session management, RFC 6265bis section 4.1.3.2.

use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderValue;

use crate::domain::{Refusal, Seconds};
use crate::issuer::contract::{Call, Reply, Service, ServiceEntry, ServicePlan, ServiceTools};
use crate::issuer::services::place::{Place, SESSION_KEY, THEN_KEY, answer};
use crate::issuer::session::Sessions;
use crate::issuer::session::cookie;
use crate::issuer::session::origin::{self, Origin};
use crate::settings::{Checking, Node, SectionSpec, Shape, Span};

/// The service's line on the roll-call.
pub static ENTRY: ServiceEntry = ServiceEntry {
    name: "session.close",
    doc: "Ends the session of the cookie that is presented, and takes the cookie away.",
    shape: Shape::Section(&SETTINGS),
    methods: &["POST"],
    proven: false,
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the service `session.close`",
    doc: "Ends the session of the cookie that is presented, and takes the cookie away.",
    keys: &[SESSION_KEY, THEN_KEY],
};

/// When to come again after the store did not answer.
const RETRY: Seconds = Seconds(5);

#[derive(Debug)]
struct ClosePlan(Place);

fn plan(settings: Option<&Node>, at: &Span, checking: &mut Checking<'_>) -> Option<Box<dyn ServicePlan>> {
    Some(Box::new(ClosePlan(Place::read(&ENTRY, &SETTINGS, settings, at, checking)?)))
}

impl ServicePlan for ClosePlan {
    fn sessions(&self) -> Vec<(String, Span)> {
        self.0.uses()
    }

    fn reads_body(&self) -> bool {
        false
    }

    fn build(&self, tools: &ServiceTools<'_>) -> Result<Arc<dyn Service>, String> {
        Ok(Arc::new(Close { sessions: self.0.sessions(tools)?, then: self.0.then.clone() }))
    }
}

/// Ends the sessions of one authenticator.
struct Close {
    sessions: Arc<Sessions>,
    then: Option<HeaderValue>,
}

#[async_trait]
impl Service for Close {
    async fn serve(&self, call: &Call<'_>) -> Result<Reply, Refusal> {
        if origin::of(call.request) != Origin::Here {
            return Err(Refusal::PolicyDenied);
        }
        let terms = self.sessions.terms();
        if let Some(id) = cookie::read(&terms.cookie, call.request)?
            && let Some(reference) = terms.recognise(id, call.request.host)
        {
            let closed = self.sessions.close(&reference, call.now).await;
            closed.map_err(|_| Refusal::StateUnavailable { retry_after: RETRY })?;
        }
        Ok(answer(cookie::clear(&terms.cookie).ok_or(Refusal::Internal)?, self.then.as_ref()))
    }
}

#[cfg(test)]
mod tests;
