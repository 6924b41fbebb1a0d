//! Opens sessions for what an upstream's replies bring: its client gets a cookie that says nothing, and never sees the credential.
//!
//! Whom a session is for is what the reply says, or else who asked. It is the upstream that has proven them: a rule that harvests
//! trusts its upstream with saying who logged in. The id is new whatever the request brought along.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::{HeaderName, HeaderValue};

use crate::domain::{Harvest, Identity, Refusal, Seconds, Timestamp, Value};
use crate::issuer::contract::Harvester;
use crate::issuer::session::cookie;
use crate::issuer::session::{OpenFault, Sessions};
use crate::jose::session::KeptPair;

/// When to come again after the store did not answer.
const RETRY: Seconds = Seconds(5);

/// Opens the sessions of one authenticator for what one system's replies bring.
pub struct Gatherer {
    sessions: Arc<Sessions>,
    issuer: Box<str>,
}

impl Gatherer {
    /// Opens `sessions` in the name of `issuer`, the system that has proven whom they are for.
    #[must_use]
    pub fn over(sessions: Arc<Sessions>, issuer: &str) -> Self {
        Self { sessions, issuer: issuer.into() }
    }
}

impl fmt::Debug for Gatherer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gatherer").field("sessions", &self.sessions.terms().name).field("issuer", &self.issuer).finish()
    }
}

#[async_trait]
impl Harvester for Gatherer {
    async fn keep(
        &self,
        harvest: &Harvest,
        caller: Option<&Identity>,
        host: &str,
        now: Timestamp,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, Refusal> {
        let subject = harvest.subject.as_deref().or_else(|| caller.map(|caller| &*caller.subject));
        let Some(subject) = subject.filter(|subject| !subject.is_empty()) else {
            tracing::warn!(issuer = %self.issuer, "a reply brought a credential and named nobody that it is for");
            return Err(Refusal::Internal);
        };
        let terms = self.sessions.terms();
        let renews_itself = harvest.refresh.as_ref().is_none_or(|refresh| refresh.expose() == harvest.access.expose());
        let is_theirs = |caller: &Identity| caller.scheme == "session" && caller.authenticator == terms.name && *caller.subject == *subject;
        if renews_itself && caller.is_some_and(is_theirs) {
            // It slides with every reply. The session has one that is as good, and is renewed in time.
            return Ok(vec![(CACHE_CONTROL, HeaderValue::from_static("no-store"))]);
        }
        if host.is_empty() {
            return Err(Refusal::HeadMalformed);
        }
        let end = harvest.life.map(|life| life.end(now));
        let identity = Identity {
            subject: subject.into(),
            issuer: self.issuer.clone(),
            scopes: Box::default(),
            claims: Value::empty(),
            expires: end,
            not_before: None,
            scheme: "session",
            authenticator: Arc::clone(&terms.name),
            burn: None,
            also: Vec::new(),
        };
        let pair = KeptPair {
            access: harvest.access.clone(),
            // Where a credential renews itself, it is what is spent.
            refresh: harvest.refresh.clone().unwrap_or_else(|| harvest.access.clone()),
            access_until: end,
            refresh_until: None,
        };
        let (reference, session) = self.sessions.open(host, &identity, Some(pair), now).await.map_err(|fault| match fault {
            OpenFault::Store => Refusal::StateUnavailable { retry_after: RETRY },
            // A credential that is in a session already is not given to another; one that is too large is kept nowhere.
            OpenFault::Taken | OpenFault::TooLarge => Refusal::PolicyDenied,
        })?;
        let held = cookie::set(&terms.cookie, reference.id(), now.until(session.ends)).ok_or(Refusal::Internal)?;
        Ok(vec![(SET_COOKIE, held), (CACHE_CONTROL, HeaderValue::from_static("no-store"))])
    }
}
