//! A gate with one rule, whose system does what a test says, and requests to put before it.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;

use crate::countersign::firewall::Firewall;
use crate::domain::{
    Breach, Claims, Clock, Event, Facts, Identity, Need, Observer, Outage, Random, Refusal, RequestView, Seconds, Step, Stopwatch, Target,
    Timestamp,
};
use crate::gate::allowance::{Allowance, Allowed};
use crate::gate::arrival::{Arrival, BodySource};
use crate::gate::guard::Visit;
use crate::gate::in_vain::InVain;
use crate::gate::prove::Proven;
use crate::gate::rule::{Action, Forward, Gate, Preflight, Rule};
use crate::gate::settle::Patience;
use crate::gate::verdict::Verdict;
use crate::issuer::contract::{Call, Reply as Answer, Service};
use crate::policy::condition::Condition;
use crate::policy::requirement::Requirement;
use crate::route::pattern::{HostPattern, PathPattern};
use crate::route::table::{Route, Table};
use crate::state::contract::StateStore;
use crate::state::memory::Memory;
use crate::state::revoked::Revocations;
use crate::systems::contract::{Guarded, Pass, Refused, Rendered, System};
use crate::verify::cache::{CachePlan, CredentialCache};
use crate::verify::contract::Desks;
use crate::verify::governor::{Budgets, Governor};

pub(super) const NOW: Timestamp = Timestamp(1_800_000_000);

/// What a guard is shown, as text: `name: value` of every field, then the body.
pub(super) type Shown = (Vec<String>, Option<Bytes>);

/// A system whose guard says what it was made with.
pub(super) struct Scripted {
    /// The pass, or the refusal, whatever comes.
    pub(super) says: Mutex<Result<Pass, Breach>>,
    /// Whether it wants the body first.
    pub(super) reads: bool,
    /// What it was shown last.
    pub(super) shown: Mutex<Option<Shown>>,
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scripted")
    }
}

pub(super) fn breach(code: &'static str) -> Breach {
    Breach { code: code.into(), field: "field".into(), says: "said".into() }
}

impl System for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn render(&self, _refused: &Refused<'_>) -> Option<Rendered> {
        None
    }

    fn guard(&self, guarded: &Guarded<'_>) -> Step<Pass> {
        let body = guarded.facts.body().cloned();
        if self.reads && body.is_none() {
            return Step::Need(Need::Body);
        }
        let fields = guarded.request.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        *self.shown.lock() = Some((fields.collect(), body));
        match &*self.says.lock() {
            Ok(pass) => Step::Done(copy(pass)),
            Err(breach) => Step::Refuse(Refusal::GuardRefused(Box::new(breach.clone()))),
        }
    }

    fn judges(&self, path: &str) -> bool {
        path.starts_with("/judged")
    }

    fn is_guess(&self, breach: &Breach) -> bool {
        breach.code == "guess"
    }
}

/// The same pass again.
pub(super) fn copy(pass: &Pass) -> Pass {
    Pass {
        set: pass.set.clone(),
        remove: pass.remove.clone(),
        remove_query: pass.remove_query.clone(),
        body: pass.body.clone(),
        back: pass.back.clone(),
        counts: pass.counts.clone(),
        demands: pass.demands.clone(),
        notes: pass.notes.clone(),
        burns: pass.burns.clone(),
    }
}

/// Answers with what it is shown: target, fields but `host`, body.
pub(super) struct Mirror;

#[async_trait]
impl Service for Mirror {
    async fn serve(&self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let fields = call.request.headers.iter().filter(|(name, _)| *name != "host");
        let fields: Vec<String> = fields.map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
        let (target, raw) = (call.request.target.wire(), call.request.raw_target);
        let text = format!("{target} {raw} [{}] {}", fields.join(" "), String::from_utf8_lossy(&call.body));
        Ok(Answer { status: 200, headers: Vec::new(), body: text.into(), guessed: false })
    }
}

/// Hears which budgets were asked, and what came of it.
#[derive(Default)]
pub(super) struct Ear(pub(super) Mutex<Vec<(&'static str, bool)>>);

impl Observer for Ear {
    fn note(&self, event: Event<'_>) {
        if let Event::Governor { budget, refused, .. } = event {
            self.0.lock().push((budget, refused));
        }
    }
}

struct Still;

impl Random for Still {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

impl Stopwatch for Still {
    fn micros(&self) -> u64 {
        0
    }
}

/// A client's body.
pub(super) struct Sent(pub(super) &'static str);

#[async_trait]
impl BodySource for Sent {
    async fn body(&mut self, limit: usize) -> Result<Bytes, Outage> {
        if limit < self.0.len() { Err(Outage::BodyTooLarge) } else { Ok(Bytes::from_static(self.0.as_bytes())) }
    }
}

/// The gate and what stands around it.
pub(super) struct Court {
    pub(super) gate: Gate,
    pub(super) system: Arc<Scripted>,
    pub(super) ear: Arc<Ear>,
    pub(super) clock: Arc<AtomicI64>,
    pub(super) state: Arc<Memory>,
}

impl Court {
    /// A rule for every path, that anyone may use, served by [`Mirror`].
    pub(super) fn new(says: Result<Pass, Breach>, reads: bool) -> Self {
        let system = Arc::new(Scripted { says: Mutex::new(says), reads, shown: Mutex::default() });
        let clock = Arc::new(AtomicI64::new(NOW.0));
        let ear = Arc::new(Ear::default());
        let state = Arc::new(Memory::new(1_000, Timestamp(0)));
        let store: Arc<dyn StateStore> = state.clone();
        let observer: Arc<dyn Observer> = ear.clone();
        let route = Route { hosts: vec![HostPattern::Any], paths: vec![PathPattern::parse("/**").unwrap()], methods: None };
        let rule = Rule {
            name: "only".into(),
            requirement: Requirement::None,
            scopes: Box::default(),
            scopes_text: "".into(),
            conditions: Box::default(),
            action: Action::Serve { service: Arc::new(Mirror), reads_body: true },
            preflight: Preflight::Refuse,
            login: None,
            csrf: false,
            allow_semicolon: false,
            system: Some(system.clone()),
            keeper: None,
            challenges: Arc::from([]),
        };
        let identity = HeaderName::from_static("x-site-user");
        let key = HeaderName::from_static("x-refresh");
        let clocking: Arc<dyn Clock> = clock.clone();
        let gate = Gate {
            table: Arc::new(Table::build(vec![route]).unwrap()),
            rules: Box::new([rule]),
            authenticators: Box::default(),
            desks: Desks::default(),
            spendable: Box::default(),
            own_cookies: Box::default(),
            state: store.clone(),
            revoked: Arc::new(Revocations::new(store, clocking.clone(), Arc::new(Still), observer.clone())),
            cache: Arc::new(CredentialCache::new(CachePlan { max_age: Seconds(0), size: 0 })),
            governor: Some(Arc::new(Governor::new(Budgets { per_address: 3, per_id: 2, window: Seconds(60), tracked: 1_024 }))),
            allowance: Arc::new(Allowance::default()),
            allowed: Allowed { most: 100, per_address: 4 },
            in_vain: InVain::default(),
            firewall: Firewall::new([&identity, &key]).with_credentials([&key]),
            private_responses: Arc::from([]),
            trusted_proxies: Box::default(),
            clock: clocking,
            stopwatch: Arc::new(Still),
            random: Arc::new(Still),
            observer,
        };
        Self { gate, system, ear, clock, state }
    }

    /// The same, whose requests go to an upstream, and preflights too.
    pub(super) fn forwarding(says: Result<Pass, Breach>) -> Self {
        let mut court = Self::new(says, false);
        let rule = court.rule();
        rule.action = Action::Forward(Forward { upstream: 0, countersigners: Box::default(), keep_credential: false, session_token: None });
        rule.preflight = Preflight::Forward;
        court
    }

    pub(super) fn rule(&mut self) -> &mut Rule {
        self.gate.rules.first_mut().unwrap()
    }

    /// The same, under a condition.
    pub(super) fn under(mut self, condition: &str) -> Self {
        self.rule().conditions = Box::new([Arc::new(Condition::compile(condition).unwrap())]);
        self
    }

    pub(super) fn pass_time(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::SeqCst);
    }

    /// What becomes of a request from `client`.
    pub(super) async fn ask_from(&self, client: &str, method: &str, target: &str, fields: &[(&str, &str)], body: &'static str) -> Verdict {
        let headers = head(fields);
        let arrival = Arrival {
            method,
            raw_target: target.as_bytes(),
            authority: Some("a.example"),
            headers: &headers,
            peer: (client.parse::<IpAddr>().unwrap(), 40_000).into(),
            tls: false,
            server_name: None,
            http2: false,
        };
        self.gate.admit(&arrival, &mut Sent(body)).await
    }

    pub(super) async fn ask(&self, method: &str, target: &str, fields: &[(&str, &str)], body: &'static str) -> Verdict {
        self.ask_from("192.0.2.1", method, target, fields, body).await
    }

    /// What the guard says to a request of `proven`, and what is spent for it then.
    pub(super) async fn judged(&self, client: &str, path: &str, proven: &Proven) -> Result<(), Refusal> {
        let (headers, target) = (HeaderMap::new(), Target { path: path.into(), query: None });
        let request = RequestView {
            method: "POST",
            raw_target: path,
            target: &target,
            host: "a.example",
            headers: &headers,
            client: client.parse().unwrap(),
            secure: true,
            request_id: "r-1",
        };
        let visit = Visit { system: self.system.as_ref(), request: &request, proven, now: self.clock.now() };
        let pass = self.gate.guard(&visit, &mut Sent(""), &mut Facts::default(), &mut Patience::default()).await?;
        self.gate.spend(&visit, &pass).await
    }
}

/// Header fields.
pub(super) fn head(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// A caller called `subject`.
pub(super) fn caller(subject: &str) -> Proven {
    let identity = Identity {
        subject: subject.into(),
        issuer: "i".into(),
        scopes: Box::default(),
        claims: Claims::empty(),
        expires: None,
        not_before: None,
        scheme: "jwt",
        authenticator: "user".into(),
        burn: None,
        also: Vec::new(),
    };
    Proven { identity: Some(Arc::new(identity)), ..Proven::default() }
}

/// What is taken off the query, in the words of a pass.
pub(super) fn query(name: &'static str) -> Vec<Cow<'static, str>> {
    vec![Cow::Borrowed(name)]
}
