//! Opens sessions for what an upstream's replies bring: its client gets a cookie that says nothing, and never sees the credential.
//!
//! Whom a session is for is what the reply says: a name, in the name of who vouches for it in the credential itself, or else of the
//! system. A reply that names nobody is for who asked, under the name and the issuer that they were proven by: a name means something
//! only beside whoever gave it, so it is never passed off as another's. It is the upstream that has proven them: a rule that harvests
//! trusts its upstream with saying who logged in. Scopes and claims of whoever asked are not taken over; they were proven for the
//! request, and a session lasts longer.
//!
//! The id is new whatever the request brought along, and a session that came along is ended: it may be one that somebody else knows, or
//! a left-over of whoever used the browser before. A session by which the request was let in, and which was ended before the reply came,
//! is not opened anew by it.
//!
//! Where a credential slides, each reply brings the next one. The session takes it when it lasts longer than the one it has by a
//! minute or more, so the newest counts in whatever order replies come, and a session that is used all the time costs one write a minute.
//!
//! Never here: a judgement of the credential. Who presents the session is judged by it where the conf says so (`tokens`).

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::{HeaderName, HeaderValue};

use crate::domain::{Claims, Doubt, Harvest, Identity, Outage, Refusal, Seconds, Timestamp, TokenPair, Value};
use crate::issuer::contract::{Asker, Harvester};
use crate::issuer::session::cookie;
use crate::issuer::session::{Kept, OpenFault, Recorded, Sessions};
use crate::jose::session::{KeptPair, Reference};

/// When to come again after the store did not answer.
const RETRY: Seconds = Seconds(5);

/// By how much a credential must outlast the one that a session has to take its place.
const STEP: Seconds = Seconds(60);

/// How often a record that was changed under our hands is looked at again.
const LOOKS: usize = 16;

/// Fields for the reply.
type Fields = Vec<(HeaderName, HeaderValue)>;

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

    /// Whom `harvest` is for, and who says so.
    fn whom<'h>(&'h self, harvest: &'h Harvest, caller: Option<&'h Identity>) -> Option<(&'h str, &'h str)> {
        let (subject, issuer) = match (&harvest.subject, caller) {
            (Some(subject), _) => (subject, harvest.issuer.as_ref().unwrap_or(&self.issuer)),
            (None, Some(caller)) => (&caller.subject, &caller.issuer),
            (None, None) => return None,
        };
        (!subject.is_empty() && !issuer.is_empty()).then_some((subject, issuer))
    }

    /// The session that came along with a request, whether or not it was let in by that; nothing says that it stands.
    fn presented(&self, asker: &Asker<'_>) -> Option<Reference> {
        let terms = self.sessions.terms();
        let id = cookie::read_of(&terms.cookie, asker.headers).ok()??;
        terms.recognise(id, asker.host)
    }

    /// Who was let in by a session of these, if it was one.
    fn by_session<'c>(&self, caller: &'c Identity) -> Option<&'c Identity> {
        let also = caller.also.iter().map(|(_, other)| &**other);
        let name = &self.sessions.terms().name;
        std::iter::once(caller).chain(also).find(|identity| identity.scheme == "session" && identity.authenticator == *name)
    }

    /// Has the session of `reference` go on with what `harvest` brings, where that is newer than what it has.
    async fn slide(&self, reference: &Reference, recorded: Recorded, harvest: &Harvest, now: Timestamp) -> Result<(), Refusal> {
        let end = harvest.life.map(|life| life.end(now));
        let fresh = TokenPair {
            access: harvest.access.clone(),
            refresh: Some(harvest.access.clone()),
            access_until: end,
            refresh_until: end,
            beside: Value::empty(),
        };
        let mut recorded = Some(recorded);
        for _ in 0..LOOKS {
            let Some(found) = recorded else { return Err(over()) };
            let standing = found.standing().filter(|standing| outlasts(harvest, standing.pair.access_until, now));
            let Some(standing) = standing else { return Ok(()) };
            match self.sessions.keep(reference, standing, &fresh, now).await {
                Ok(Kept::Done) => return Ok(()),
                Ok(Kept::Over) => return Err(over()),
                // Another reply was quicker, and what it brought may be older.
                Ok(Kept::Superseded(_)) => recorded = self.sessions.recorded(reference, now).await.map_err(lost)?,
                // The session has one that is good, and is renewed in time.
                Err(OpenFault::Store | OpenFault::TooLarge | OpenFault::Taken) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Opens a session for `subject` as `issuer` has it, in place of the one that came along.
    async fn open(
        &self,
        (subject, issuer): (&str, &str),
        harvest: &Harvest,
        before: Option<(Reference, Recorded)>,
        host: &str,
        now: Timestamp,
    ) -> Result<Fields, Refusal> {
        let terms = self.sessions.terms();
        let end = harvest.life.map(|life| life.end(now));
        let identity = Identity {
            subject: subject.into(),
            issuer: issuer.into(),
            scopes: Box::default(),
            claims: Claims::empty(),
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
        let is_in = |recorded: &Recorded| recorded.pair().is_some_and(|kept| kept.claim() == pair.claim());
        if let Some((before, recorded)) = &before {
            // Before anything ends: a credential that is in somebody else's session opens none, and then this one goes on.
            if !is_in(recorded) && self.sessions.holds(&pair, now).await.map_err(lost)? {
                return Err(Refusal::PolicyDenied);
            }
            self.sessions.close(before, now).await.map_err(lost)?;
        }
        let (reference, session) = self.sessions.open(host, &identity, Some(pair), now).await.map_err(|fault| match fault {
            OpenFault::Store => Refusal::StateUnavailable { retry_after: RETRY },
            // A credential that is in a session already is not given to another; one that is too large is kept nowhere.
            OpenFault::Taken | OpenFault::TooLarge => Refusal::PolicyDenied,
        })?;
        let held = cookie::set(&terms.cookie, reference.id(), now.until(session.ends)).ok_or(Refusal::Internal)?;
        Ok(vec![(SET_COOKIE, held), (CACHE_CONTROL, HeaderValue::from_static("no-store"))])
    }
}

impl fmt::Debug for Gatherer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gatherer").field("sessions", &self.sessions.terms().name).field("issuer", &self.issuer).finish()
    }
}

#[async_trait]
impl Harvester for Gatherer {
    async fn keep(&self, harvest: &Harvest, asker: &Asker<'_>, now: Timestamp) -> Result<Fields, Refusal> {
        let Some(whom) = self.whom(harvest, asker.caller) else {
            tracing::warn!(issuer = %self.issuer, "a reply brought a credential and named nobody that it is for");
            return Err(Refusal::Internal);
        };
        let member = asker.caller.and_then(|caller| self.by_session(caller));
        let renews_itself = harvest.refresh.as_ref().is_none_or(|refresh| refresh.expose() == harvest.access.expose());
        let slides = renews_itself && member.is_some_and(|member| (&*member.subject, &*member.issuer) == whom);
        let unstored = || Ok(vec![(CACHE_CONTROL, HeaderValue::from_static("no-store"))]);
        if slides && !outlasts(harvest, member.and_then(|member| member.expires), now) {
            return unstored();
        }
        let mut before = None;
        if let Some(reference) = self.presented(asker)
            && let Some(recorded) = self.sessions.recorded(&reference, now).await.map_err(lost)?
        {
            before = Some((reference, recorded));
        }
        if member.is_some() {
            // Ended while the upstream was asked: what comes now opens nothing.
            let Some((reference, recorded)) = before.take() else { return Err(over()) };
            if slides {
                self.slide(&reference, recorded, harvest, now).await?;
                return unstored();
            }
            before = Some((reference, recorded));
        }
        if asker.host.is_empty() {
            return Err(Refusal::HeadMalformed);
        }
        self.open(whom, harvest, before, asker.host, now).await
    }
}

/// Whether what `harvest` brings is so much newer than what ends at `until` that it takes its place. What nobody knows the end of stays.
fn outlasts(harvest: &Harvest, until: Option<Timestamp>, now: Timestamp) -> bool {
    harvest.life.zip(until).is_some_and(|(life, until)| until.plus(STEP) <= life.end(now))
}

/// The same as for a session that was over when it was presented.
fn over() -> Refusal {
    Doubt::Expired(None).into()
}

fn lost(_outage: Outage) -> Refusal {
    Refusal::StateUnavailable { retry_after: RETRY }
}

#[cfg(test)]
mod tests;
