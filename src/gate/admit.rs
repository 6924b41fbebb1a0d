//! The life of a request, top to bottom.
//!
//! Read [`Gate::admit`] and you know what happens to every request, in order. Each step either leaves behind what the next one
//! needs or ends the visit with a refusal. Nothing is spent before everything else has said yes.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::header;
use http::{HeaderName, HeaderValue};
use tokio::sync::watch;

use crate::domain::{
    Answer, Event, Facts, Identity, Outage, Question, Refusal, RenewalFailure, Renewed, Renewing, RequestView, Seconds, Timestamp,
};
use crate::gate::arrival::{Arrival, BodySource};
use crate::gate::contract::Judge;
use crate::gate::forwarded;
use crate::gate::hygiene;
use crate::gate::preflight;
use crate::gate::prove::{Proven, Trail, Walk};
use crate::gate::rule::{Action, Forward, Gate, Rule};
use crate::gate::settle::{Supplier, settle};
use crate::gate::verdict::{Admission, Outcome, Record, Refused, Served, Verdict};
use crate::route::host;
use crate::route::table::Match;
use crate::route::target;
use crate::state::contract::Burned;
use crate::verify::governor::is_guess;

/// A body that a verdict rests on may be this long; it is also what can be held for a replay.
const JUDGED_BODY: usize = 64 * 1024;

/// Answers what a walk asks for: the body from the edge, everything else from the desks.
struct Counter<'a> {
    gate: &'a Gate,
    body: &'a mut dyn BodySource,
    now: Timestamp,
}

#[async_trait]
impl Supplier for Counter<'_> {
    async fn body(&mut self) -> Result<Bytes, Outage> {
        self.body.body(JUDGED_BODY).await
    }

    async fn ask(&mut self, question: &Question) -> Result<Answer, Outage> {
        let desk = self.gate.desks.get(question.desk).ok_or(Outage::Other)?;
        desk.answer(&question.about, self.now).await
    }

    async fn renew(&mut self, renewing: &Renewing) -> Result<Arc<Renewed>, RenewalFailure> {
        let renewal = self.gate.authenticators.get(renewing.authenticator).and_then(|authenticator| authenticator.renewal.as_ref());
        match renewal {
            Some(renewal) => renewal.renewals.renew(&renewing.spent, self.now).await.map(Arc::new),
            None => Err(RenewalFailure::Fatal),
        }
    }
}

/// A refusal on its way out, with the rule it came from when one had been found.
struct Stop<'g> {
    refusal: Refusal,
    rule: Option<&'g Rule>,
}

impl From<Refusal> for Stop<'_> {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, rule: None }
    }
}

impl Rule {
    fn refuse(&self, refusal: Refusal) -> Stop<'_> {
        Stop { refusal, rule: Some(self) }
    }
}

#[async_trait]
impl Judge for Gate {
    async fn judge(&self, arrival: &Arrival<'_>, body: &mut dyn BodySource) -> Verdict {
        self.admit(arrival, body).await
    }

    fn still_good(&self, identity: &Identity) -> bool {
        !self.revoked.covers(identity, self.clock.now())
    }

    fn revisions(&self) -> Option<watch::Receiver<u64>> {
        Some(self.revoked.revisions())
    }
}

impl Gate {
    /// Judges a request: route, verify, policy, countersign, burn.
    pub async fn admit(&self, arrival: &Arrival<'_>, body: &mut dyn BodySource) -> Verdict {
        let now = self.clock.now();
        let request_id: Arc<str> = hygiene::request_id(arrival.headers, self.random.as_ref());
        let mut record = Record { request_id: Arc::clone(&request_id), ..Record::default() };

        let outcome = match self.visit(arrival, body, now, &mut record).await {
            Ok(outcome) => outcome,
            Err(Stop { refusal, rule }) => {
                record.reason = Some(refusal.reason());
                Outcome::Refuse(Box::new(Refused {
                    refusal,
                    challenges: rule.map_or_else(|| Arc::from([]), |rule| Arc::clone(&rule.challenges)),
                    login: rule.and_then(|rule| rule.login.clone()),
                }))
            }
        };
        Verdict { outcome, record }
    }

    async fn visit<'g>(
        &'g self,
        arrival: &Arrival<'_>,
        body: &mut dyn BodySource,
        now: Timestamp,
        record: &mut Record,
    ) -> Result<Outcome, Stop<'g>> {
        let started = self.stopwatch.micros();

        // Route: one reading of target and host, or none at all.
        let reading = target::canonical(arrival.raw_target)?;
        let host = host::of_request(arrival.headers, arrival.authority, reading.authority.as_deref())?;
        let shown = hygiene::judged_host(arrival.headers, arrival.authority, reading.authority.as_deref(), &host);
        hygiene::refuse_nominations(arrival.headers, &self.firewall)?;
        let origin = forwarded::origin(arrival.peer.ip(), arrival.tls, arrival.headers, &self.trusted_proxies);
        record.client = Some(origin.client);
        if let Some(name) = arrival.server_name
            && !host.is_empty()
            && name != &*host
        {
            // A connection set up for one host must not carry requests for another (RFC 9110 section 7.4).
            return Err(Refusal::Misdirected.into());
        }
        // Whatever it holds, and however often it stands there, it means 1 (RFC 8470 section 5.1).
        if arrival.headers.contains_key("early-data") {
            return Err(Refusal::EarlyData.into());
        }
        let raw_target = std::str::from_utf8(arrival.raw_target).map_err(|_| Refusal::TargetAmbiguous)?;
        let request_id = Arc::clone(&record.request_id);
        let request = RequestView {
            method: arrival.method,
            raw_target,
            target: &reading.target,
            host: &host,
            headers: arrival.headers,
            client: origin.client,
            secure: origin.secure,
            request_id: &request_id,
        };

        if let Some(asked) = preflight::asked_method(&request)
            && let Match::Rule(index) = self.table.find(&host, &reading.target.path, asked)
            && let Some(rule) = self.rules.get(index)
            && (rule.allow_semicolon || !reading.has_semicolon)
            && let Some(mut outcome) =
                self.preflight(rule, &request, &origin, asked, now, body).await.map_err(|refusal| rule.refuse(refusal))?
        {
            record.rule = Some(Arc::clone(&rule.name));
            if let Outcome::Admit(admission) = &mut outcome {
                admission.host = shown;
            }
            return Ok(outcome);
        }
        let rule = match self.table.find(&host, &reading.target.path, request.method) {
            Match::Rule(index) => self.rules.get(index).ok_or(Refusal::Internal)?,
            Match::Method { allow } => return Err(Refusal::MethodRefused { allow }.into()),
            Match::None => return Err(Refusal::NoRule.into()),
        };
        record.rule = Some(Arc::clone(&rule.name));
        if reading.has_semicolon && !rule.allow_semicolon {
            return Err(rule.refuse(Refusal::TargetAmbiguous));
        }
        let routed = self.stopwatch.micros();
        record.stages.route = elapsed(started, routed);

        // Verify: who is calling?
        let proven = self.prove(rule, &request, body, now, record).await.map_err(|refusal| rule.refuse(refusal))?;
        let verified = self.stopwatch.micros();
        record.stages.verify = elapsed(routed, verified);

        // Policy: may they do this?
        self.allow(rule, &request, &proven, now).map_err(|refusal| rule.refuse(refusal))?;
        let allowed = self.stopwatch.micros();
        record.stages.policy = elapsed(verified, allowed);

        // Countersign: what does the upstream see? Burn: the last act before the permit.
        let outcome = match &rule.action {
            Action::ServeKeys(document) => Outcome::Serve(Served {
                status: 200,
                headers: vec![
                    (header::CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json")),
                    (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300")),
                ],
                body: document.clone(),
            }),
            Action::Forward(forward) => {
                let mut admission = self.countersign(forward, &request, &origin, &proven, now).map_err(|refusal| rule.refuse(refusal))?;
                admission.host = shown;
                Outcome::Admit(Box::new(admission))
            }
        };
        self.burn(&proven, now).await.map_err(|refusal| rule.refuse(refusal))?;
        record.stages.countersign = elapsed(allowed, self.stopwatch.micros());
        Ok(outcome)
    }

    async fn prove(
        &self,
        rule: &Rule,
        request: &RequestView<'_>,
        body: &mut dyn BodySource,
        now: Timestamp,
        record: &mut Record,
    ) -> Result<Proven, Refusal> {
        let walk = Walk { gate: self, request, now };
        let mut trail = Trail::default();
        let mut facts = Facts::default();
        let mut counter = Counter { gate: self, body, now };
        let judged = settle(&mut counter, &mut facts, |facts| walk.judge(&rule.requirement, facts, &mut trail)).await;

        record.authenticator = trail.authenticator;
        record.cache = trail.cache;
        match &judged {
            Ok(proven) => record.identity.clone_from(&proven.identity),
            Err(Refusal::Doubted(doubt)) if is_guess(doubt) => {
                if let Some(governor) = &self.governor {
                    governor.fail(request.client, trail.claimed_id.as_deref(), now);
                }
            }
            Err(_) => {}
        }
        judged
    }

    fn allow(&self, rule: &Rule, request: &RequestView<'_>, proven: &Proven, now: Timestamp) -> Result<(), Refusal> {
        if rule.csrf && proven.ambient && !hygiene::same_origin(request) {
            return Err(Refusal::PolicyDenied);
        }
        let identity = proven.identity.as_deref();
        let has = |scope: &str| identity.is_some_and(|identity| identity.scopes.iter().any(|held| &**held == scope));
        if !rule.scopes.iter().all(|scope| has(scope)) {
            return Err(Refusal::ScopeMissing { scope: Arc::clone(&rule.scopes_text) });
        }
        if !rule.conditions.iter().all(|condition| condition.holds(identity, request, now)) {
            return Err(Refusal::PolicyDenied);
        }
        Ok(())
    }

    fn countersign(
        &self,
        forward: &Forward,
        request: &RequestView<'_>,
        origin: &forwarded::Origin,
        proven: &Proven,
        now: Timestamp,
    ) -> Result<Admission, Refusal> {
        let mut remove = Vec::new();
        let mut set = Vec::with_capacity(8);
        self.firewall.sweep(request.headers, &mut remove)?;

        let mut target = request.target.clone();
        if !forward.keep_credential {
            hygiene::remove_credentials(request, &proven.places, &mut target, &mut remove, &mut set);
        }
        for countersigner in &forward.countersigners {
            countersigner.sign(proven.identity.as_deref(), request, now, &mut set)?;
        }
        set.push((hygiene::REQUEST_ID, HeaderValue::from_str(request.request_id).map_err(|_| Refusal::Internal)?));
        set.push((hygiene::TRACEPARENT, hygiene::traceparent(request.headers, self.random.as_ref())));
        if !hygiene::continues_trace(request.headers) {
            remove.push(hygiene::TRACESTATE);
        }
        origin.outgoing(request, &mut set);

        Ok(Admission {
            upstream: forward.upstream,
            target,
            host: None,
            remove,
            set,
            cut_at: proven.identity.as_ref().and_then(|identity| identity.expires),
            remove_from_response: Arc::clone(&self.private_responses),
            _made_by_the_gate: (),
        })
    }

    /// Spends what may be used once only. Everything else has said yes by now.
    async fn burn(&self, proven: &Proven, now: Timestamp) -> Result<(), Refusal> {
        const RETRY: Seconds = Seconds(5);
        for burn in &proven.burns {
            let burned = self.state.burn(burn, now).await;
            self.observer.note(Event::State { operation: "burn", ok: burned.is_ok() });
            match burned {
                Ok(Burned::First) => {}
                Ok(Burned::Again | Burned::Forgotten) => return Err(crate::domain::Doubt::Replayed.into()),
                Err(_outage) => return Err(Refusal::StateUnavailable { retry_after: RETRY }),
            }
        }
        Ok(())
    }

    /// Answers or forwards a preflight where the rule says so; `None` when it is a request like any other.
    async fn preflight(
        &self,
        rule: &Rule,
        request: &RequestView<'_>,
        origin: &forwarded::Origin,
        asked: &str,
        now: Timestamp,
        body: &mut dyn BodySource,
    ) -> Result<Option<Outcome>, Refusal> {
        match (preflight::answer(&rule.preflight, request, asked), &rule.action) {
            (preflight::Reply::Ordinary, _) | (preflight::Reply::Forward, Action::ServeKeys(_)) => Ok(None),
            (preflight::Reply::Served(served), _) => Ok(Some(Outcome::Serve(served))),
            (preflight::Reply::Forward, Action::Forward(forward)) => {
                // A preflight brings nothing. A body would reach the upstream from a caller whom nobody has proven.
                body.body(0).await.map_err(Outage::refusal)?;
                // Without identity and without credentials, ours among them.
                let mut proven = Proven::default();
                Walk { gate: self, request, now }.places(&rule.requirement, &Facts::default(), &mut proven.places);
                let bare = Forward { upstream: forward.upstream, countersigners: Box::default(), keep_credential: false };
                let mut admission = self.countersign(&bare, request, origin, &proven, now)?;
                admission.remove.extend([header::AUTHORIZATION, header::COOKIE]);
                admission.set.retain(|(name, _)| *name != header::COOKIE);
                Ok(Some(Outcome::Admit(Box::new(admission))))
            }
        }
    }
}

fn elapsed(from: u64, to: u64) -> u32 {
    u32::try_from(to.saturating_sub(from)).unwrap_or(u32::MAX)
}

/// Header names the gate itself writes on every forwarded request.
#[must_use]
pub fn own_names() -> Vec<HeaderName> {
    vec![hygiene::REQUEST_ID]
}
