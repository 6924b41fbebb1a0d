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
    Answer, Doubt, Event, Facts, Harvest, Identity, Outage, Place, Question, Refusal, RenewalFailure, Renewed, Renewing, RequestView,
    Seconds, SpentKey, Timestamp,
};
use crate::gate::arrival::{Arrival, BodySource};
use crate::gate::contract::Judge;
use crate::gate::forwarded;
use crate::gate::guard;
use crate::gate::hygiene;
use crate::gate::preflight;
use crate::gate::prove::{Proven, Trail, Walk};
use crate::gate::rule::{Action, Forward, Gate, Rule};
use crate::gate::settle::{Supplier, settle};
use crate::gate::verdict::{Admission, Outcome, Record, Refused, Renewable, Served, Verdict};
use crate::issuer::contract::{Asker, Call, Reply, Service};
use crate::route::host;
use crate::route::table::Match;
use crate::route::target;
use crate::state::contract::Burned;
use crate::verify::governor::is_guess;

/// `Early-Data` (RFC 8470 section 5.1).
const EARLY_DATA: HeaderName = HeaderName::from_static("early-data");

/// A body that a verdict rests on may be this long; it is also what can be held for a replay.
const JUDGED_BODY: usize = 64 * 1024;

/// When to come again to an upstream that has its fill.
const COME_AGAIN: Seconds = Seconds(1);

/// Answers what a walk asks for: the body from the edge, everything else from the desks.
pub(super) struct Counter<'a> {
    pub(super) gate: &'a Gate,
    pub(super) body: &'a mut dyn BodySource,
    pub(super) now: Timestamp,
    /// Microseconds spent on renewals.
    pub(super) renewing: u32,
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
        let Some(renewal) = renewal else { return Err(RenewalFailure::Fatal) };
        let started = self.gate.stopwatch.micros();
        let outcome = renewal.renewals.renew(&renewing.spent, self.now).await.map(Arc::new);
        self.renewing = self.renewing.saturating_add(elapsed(started, self.gate.stopwatch.micros()));
        outcome
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

    async fn readmit(&self, arrival: &Arrival<'_>, body: &mut dyn BodySource, refused: Renewable) -> Option<Verdict> {
        let (verdict, superseded) = self.decide(arrival, body, Some(refused)).await;
        let answers = match &verdict.outcome {
            Outcome::Admit(_) | Outcome::Serve(_) => superseded,
            // It was ended or revoked while the upstream was asked, so what that has answered is nobody's.
            Outcome::Refuse(refused) => matches!(refused.refusal, Refusal::Doubted(Doubt::Revoked | Doubt::Expired(None))),
        };
        (verdict.record.renewed || answers).then_some(verdict)
    }

    async fn harvest(
        &self,
        admission: &Admission,
        caller: Option<&Identity>,
        arrival: &Arrival<'_>,
        harvest: &Harvest,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, Refusal> {
        let Some(keeper) = &admission.keeper else { return Ok(Vec::new()) };
        let reading = target::canonical(arrival.raw_target)?;
        let host = host::of_request(arrival.headers, arrival.authority, reading.authority.as_deref())?;
        let now = self.clock.now();
        if let Some(caller) = caller {
            // Revoked while the upstream was asked.
            self.revoked.check(caller, now)?;
        }
        keeper.keep(harvest, &Asker { caller, host: &host, headers: arrival.headers }, now).await
    }

    fn in_vain(&self, fresh: SpentKey) {
        self.in_vain.note(fresh, self.clock.now());
    }

    fn still_good(&self, identity: &Identity) -> bool {
        !self.revoked.covers(identity, self.clock.now())
    }

    fn revisions(&self) -> Option<watch::Receiver<u64>> {
        Some(self.revoked.revisions())
    }
}

impl Gate {
    /// Judges a request: route, verify, renew, policy, countersign, burn.
    pub async fn admit(&self, arrival: &Arrival<'_>, body: &mut dyn BodySource) -> Verdict {
        let (verdict, _) = self.decide(arrival, body, None).await;
        verdict
    }

    /// The same for a request that comes for the first time, or again because its upstream has `refused` a credential; and whether
    /// that had been renewed before.
    async fn decide(&self, arrival: &Arrival<'_>, body: &mut dyn BodySource, refused: Option<Renewable>) -> (Verdict, bool) {
        let now = self.clock.now();
        let request_id: Arc<str> = hygiene::request_id(arrival.headers, self.random.as_ref());
        let mut record = Record { request_id: Arc::clone(&request_id), ..Record::default() };

        let mut trail = Trail::default();
        let outcome = match self.visit(arrival, body, now, refused, &mut record, &mut trail).await {
            Ok(outcome) => outcome,
            Err(Stop { refusal, rule }) => {
                record.reason = Some(refusal.reason());
                Outcome::Refuse(Box::new(Refused {
                    refusal,
                    challenges: rule.map_or_else(|| Arc::from([]), |rule| Arc::clone(&rule.challenges)),
                    login: rule.and_then(|rule| rule.login.clone()),
                    system: rule.and_then(|rule| rule.system.clone()),
                }))
            }
        };
        record.renewed = trail.renewed;
        (Verdict { outcome, record, hand_back: trail.hand_back }, trail.superseded)
    }

    async fn visit<'g>(
        &'g self,
        arrival: &Arrival<'_>,
        body: &mut dyn BodySource,
        now: Timestamp,
        refused: Option<Renewable>,
        record: &mut Record,
        trail: &mut Trail,
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
        if arrival.headers.contains_key(&EARLY_DATA) {
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
            && let Some(rule) = self.rules.get(index).inspect(|rule| record.rule = Some(Arc::clone(&rule.name)))
            && (rule.allow_semicolon || !reading.has_semicolon)
            && let Some(mut outcome) =
                self.preflight(rule, &request, &origin, asked, now, body).await.map_err(|refusal| rule.refuse(refusal))?
        {
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
        let shows_held = matches!(&rule.action, Action::Forward(forward) if forward.session_token.is_some());
        let walk = Walk { gate: self, request: &request, now, refused, shows_held };
        let mut facts = Facts::default();
        let proven = self.prove(rule, &walk, body, &mut facts, record, trail).await.map_err(|refusal| rule.refuse(refusal))?;
        let verified = self.stopwatch.micros();
        record.stages.verify = elapsed(routed, verified).saturating_sub(record.stages.renew);

        // Policy: may they do this?
        self.allow(rule, &request, &proven, now).map_err(|refusal| rule.refuse(refusal))?;
        // Guard: what does the system ask of this endpoint?
        let pass = match &rule.system {
            Some(system) => {
                let guarded = self.guard(system.as_ref(), &request, &proven, body, &mut facts, now).await;
                Some(guarded.map_err(|refusal| rule.refuse(refusal))?)
            }
            None => None,
        };
        if let Some(pass) = &pass {
            trail.hand_back.extend(pass.back.iter().cloned());
        }
        let allowed = self.stopwatch.micros();
        record.stages.policy = elapsed(verified, allowed);

        // Countersign: what does the upstream see? Burn: the last act before the permit, or before we give something ourselves.
        let outcome = match &rule.action {
            Action::Serve { service, reads_body } => {
                let body = if *reads_body { self.read(&facts, body).await } else { Ok(Bytes::new()) };
                let body = body.map_err(|refusal| rule.refuse(refusal))?;
                self.burn(&proven, now).await.map_err(|refusal| rule.refuse(refusal))?;
                self.remember(pass.as_ref(), now).await.map_err(|refusal| rule.refuse(refusal))?;
                let call = Call { request: &request, identity: proven.identity.as_ref(), body, now };
                let reply = self.ask(service.as_ref(), *reads_body, &call).await.map_err(|refusal| rule.refuse(refusal))?;
                Outcome::Serve(served(reply))
            }
            Action::Forward(forward) => {
                let mut admission = self.countersign(forward, &request, &origin, &proven, now).map_err(|refusal| rule.refuse(refusal))?;
                admission.host = shown;
                admission.renewable = trail.renewable.filter(|renewable| proven.renewable == Some(renewable.authenticator));
                let (remembered, harvests) = (pass.as_ref(), rule.keeper.is_some());
                if let (Some(system), Some(pass)) = (&rule.system, remembered) {
                    guard::apply(pass, &request, &mut admission);
                    let needed = admission.renewable.is_some() || admission.fresh.is_some() || harvests;
                    admission.held = (needed && system.holds(request.method, &request.target.path)).then(|| Arc::clone(system));
                    admission.system = Some(Arc::clone(system));
                    admission.keeper.clone_from(&rule.keeper);
                    admission.kept = harvests || forward.session_token.is_some();
                }
                if !trail.hand_back.is_empty() && matches!(request.method, "GET" | "HEAD") {
                    // A cache in between would write the fields of a 304 into what it keeps, for everyone (RFC 9111 section 3.2).
                    admission.remove.extend([header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE]);
                }
                if !body.reserve(forward.upstream) {
                    return Err(rule.refuse(Refusal::Undecidable { retry_after: COME_AGAIN }));
                }
                // What comes again because of its upstream was spent when it came first.
                if refused.is_none() {
                    self.burn(&proven, now).await.map_err(|refusal| rule.refuse(refusal))?;
                    self.remember(remembered, now).await.map_err(|refusal| rule.refuse(refusal))?;
                }
                Outcome::Admit(Box::new(admission))
            }
        };
        record.stages.countersign = elapsed(allowed, self.stopwatch.micros());
        Ok(outcome)
    }

    async fn prove(
        &self,
        rule: &Rule,
        walk: &Walk<'_, '_>,
        body: &mut dyn BodySource,
        facts: &mut Facts,
        record: &mut Record,
        trail: &mut Trail,
    ) -> Result<Proven, Refusal> {
        let mut counter = Counter { gate: self, body, now: walk.now, renewing: 0 };
        let judged = settle(&mut counter, facts, |facts| walk.judge(&rule.requirement, facts, trail)).await;

        record.stages.renew = counter.renewing;
        record.authenticator = trail.authenticator.take();
        record.cache = trail.cache;
        match &judged {
            Ok(proven) => record.identity.clone_from(&proven.identity),
            Err(refusal) if is_failure(refusal, facts) => {
                if let Some(governor) = &self.governor {
                    governor.fail(walk.request.client, trail.claimed_id.as_deref(), walk.now);
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
        // A reply that opens a session logs a browser in, and no page of another site may have that done in its visitor's name. Who is no
        // browser says nothing of where it comes from.
        if rule.csrf && rule.keeper.is_some() && hygiene::names_an_origin(request) && !hygiene::same_origin(request) {
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
        // What renews goes upstream from no rule, public ones and those that keep the credential among them.
        let judged = proven.places.iter().filter(|_| !forward.keep_credential);
        // Nor does a session of ours, from a rule that does not ask for it: whoever has the cookie is the session.
        let own = self.own_cookies.iter().filter(|place| !(forward.keep_credential && proven.places.contains(place)));
        // What the client writes where the upstream looks for the session's token is nobody's word, in any spelling.
        let shown_in = forward.session_token.as_ref().map(|shown| Place::Header(shown.header.clone()));
        let gone = self.spendable.iter().chain(own).chain(judged).chain(&shown_in);
        hygiene::remove_credentials(request, gone, &mut target, &mut remove, &mut set);
        for (renewed, places) in proven.fresh.iter().filter(|_| forward.keep_credential) {
            hygiene::replace_credential(request, places, &renewed.pair.access, &mut target, &mut set)?;
        }
        if let Some(shown) = &forward.session_token {
            hygiene::show_held(shown, proven.held.as_ref(), &mut set)?;
        }
        for countersigner in &forward.countersigners {
            countersigner.sign(proven.identity.as_deref(), request, now, &mut set)?;
        }
        set.push((hygiene::REQUEST_ID, HeaderValue::from_str(request.request_id).map_err(|_| Refusal::Internal)?));
        let (traceparent, continues) = hygiene::traceparent(request.headers, self.random.as_ref());
        set.push((hygiene::TRACEPARENT, traceparent));
        if !continues && request.headers.contains_key(&hygiene::TRACESTATE) {
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
            renewable: None,
            fresh: proven.renews_next,
            body: None,
            system: None,
            held: None,
            keeper: None,
            kept: false,
            _made_by_the_gate: (),
        })
    }

    /// The body that a service is asked with: the one the verdict rested on, or read now. A source is asked once only.
    async fn read(&self, facts: &Facts, body: &mut dyn BodySource) -> Result<Bytes, Refusal> {
        match facts.body() {
            Some(known) => Ok(known.clone()),
            None => body.body(JUDGED_BODY).await.map_err(Outage::refusal),
        }
    }

    /// Asks `service`. A credential that stands in the body of somebody whom nobody has proven is judged by the service, and
    /// guessing at one costs what it costs elsewhere.
    async fn ask(&self, service: &dyn Service, reads_body: bool, call: &Call<'_>) -> Result<Reply, Refusal> {
        let governor = self.governor.as_ref().filter(|_| reads_body && call.identity.is_none());
        let client = call.request.client;
        if let Some(governor) = governor.filter(|governor| governor.is_busy(call.now)) {
            let wait = governor.check(client, None, call.now);
            let (tracked, _) = governor.tracked();
            self.observer.note(Event::Governor { budget: "address", refused: wait.is_some(), tracked });
            if let Some(retry_after) = wait {
                return Err(Refusal::Throttled { retry_after });
            }
        }
        let reply = service.serve(call).await;
        let guessed = match &reply {
            Ok(reply) => reply.guessed,
            Err(Refusal::Doubted(doubt)) => is_guess(doubt),
            Err(_) => false,
        };
        if let Some(governor) = governor.filter(|_| guessed) {
            governor.fail(client, None, call.now);
        }
        reply
    }

    /// Spends what may be used once only. Everything else has said yes by now.
    async fn burn(&self, proven: &Proven, now: Timestamp) -> Result<(), Refusal> {
        for burn in &proven.burns {
            match self.spend(burn, now).await? {
                Burned::First => {}
                Burned::Again | Burned::Forgotten => return Err(Doubt::Replayed.into()),
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
            (preflight::Reply::Ordinary, _) | (preflight::Reply::Forward, Action::Serve { .. }) => Ok(None),
            (preflight::Reply::Served(served), _) => Ok(Some(Outcome::Serve(served))),
            (preflight::Reply::Forward, Action::Forward(forward)) => {
                // A preflight brings nothing. A body would reach the upstream from a caller whom nobody has proven.
                body.body(0).await.map_err(Outage::refusal)?;
                // Without identity and without credentials, ours among them.
                let mut proven = Proven::default();
                Walk { gate: self, request, now, refused: None, shows_held: false }.places(
                    &rule.requirement,
                    &Facts::default(),
                    &mut proven.places,
                );
                let bare =
                    Forward { upstream: forward.upstream, countersigners: Box::default(), keep_credential: false, session_token: None };
                let mut admission = self.countersign(&bare, request, origin, &proven, now)?;
                admission.remove.extend([header::AUTHORIZATION, header::COOKIE]);
                admission.set.retain(|(name, _)| *name != header::COOKIE);
                Ok(Some(Outcome::Admit(Box::new(admission))))
            }
        }
    }
}

/// Whether a refusal counts against the budget of failures: a guess at a credential, or at one that renews. An issuer whose
/// answers are lost must not cost its clients theirs.
fn is_failure(refusal: &Refusal, facts: &Facts) -> bool {
    match refusal {
        Refusal::Doubted(doubt) => is_guess(doubt),
        Refusal::RenewalRefused => !facts.lost_a_renewal(),
        _ => false,
    }
}

/// `reply` as it is sent: no cache may keep it unless the service says so.
fn served(reply: Reply) -> Served {
    let Reply { status, mut headers, body, guessed: _ } = reply;
    if headers.iter().all(|(name, _)| *name != header::CACHE_CONTROL) {
        headers.push((header::CACHE_CONTROL, HeaderValue::from_static("no-store")));
    }
    Served { status, headers, body }
}

fn elapsed(from: u64, to: u64) -> u32 {
    u32::try_from(to.saturating_sub(from)).unwrap_or(u32::MAX)
}

/// Header names the gate itself writes on every forwarded request.
#[must_use]
pub fn own_names() -> Vec<HeaderName> {
    vec![hygiene::REQUEST_ID]
}
