//! What is counted and measured, and how it is shown (`OpenMetrics` text).
//!
//! Lower rooms report through [`Observer`], the edge through [`Reporter`]. What happens at every request goes to
//! counters that were looked up before; the request path takes no exclusive lock and builds no label.
//!
//! Deliberately absent: a process-wide registry; a label with client text; a metric without a line in [`names`].

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric as Shown, Registry};

use crate::domain::{Clock, Event, Observer, Timestamp};
use crate::telemetry::metrics::decisions::Decisions;
use crate::telemetry::metrics::durations::Durations;
use crate::telemetry::metrics::key_stores::KeyStores;
use crate::telemetry::metrics::names::Metric;
use crate::telemetry::metrics::upstreams::Upstreams;
use crate::telemetry::report::{Happening, Reporter, Visit};

mod decisions;
mod durations;
mod key_stores;
pub mod names;
mod upstreams;

/// One word of ours.
type Word = [(&'static str, &'static str); 1];
/// Two words of ours.
type Words = [(&'static str, &'static str); 2];
/// A name of the conf and one word of ours.
type Named = [(&'static str, Cow<'static, str>); 2];

/// All metrics of the process.
pub struct Metrics {
    clock: Arc<dyn Clock>,
    registry: Registry,
    decisions: Decisions,
    stages: StageDurations,
    cache: [Counter; 2],
    key_stores: KeyStores,
    introspection: Family<Named, Counter>,
    renewals: Family<Named, Counter>,
    renewals_coalesced: Family<[(&'static str, Cow<'static, str>); 1], Counter>,
    state: Family<Words, Counter>,
    governor: Family<Words, Counter>,
    governor_tracked: Family<Word, Gauge>,
    revocations: Gauge,
    revocations_age: Gauge,
    revocations_unreadable: Counter,
    /// When the log of revocations was last read, in seconds; 0 when it never was.
    revocations_read: AtomicI64,
    generation: Gauge,
    reloads: Family<Word, Counter>,
    last_reload: Gauge,
    audit_dropped: Counter,
    log_dropped: Counter,
    audit_waiting: Gauge,
    upstreams: Upstreams,
    connections: Gauge,
    connections_cap: Gauge,
    connections_refused: Family<Word, Counter>,
    heads_refused: Family<Word, Counter>,
    panics: Counter,
}

/// One histogram per stage, looked up once.
struct StageDurations {
    route: Durations,
    verify: Durations,
    renew: Durations,
    policy: Durations,
    countersign: Durations,
    upstream: Durations,
}

impl Metrics {
    /// What [`Metrics::exposition`] is, for `Content-Type`.
    pub const CONTENT_TYPE: &'static str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// All metrics at their start. `clock` tells the age of keys.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let stage_family = Family::<Word, Durations>::default();
        let stage = |name| stage_family.get_or_create_owned(&[("stage", name)]);
        let cache_family = Family::<Word, Counter>::default();
        let cache = |result| cache_family.get_or_create_owned(&[("result", result)]);
        let mut metrics = Self {
            clock,
            registry: Registry::default(),
            decisions: Decisions::default(),
            stages: StageDurations {
                route: stage("route"),
                verify: stage("verify"),
                renew: stage("renew"),
                policy: stage("policy"),
                countersign: stage("countersign"),
                upstream: stage("upstream"),
            },
            cache: [cache("miss"), cache("hit")],
            key_stores: KeyStores::default(),
            introspection: Family::default(),
            renewals: Family::default(),
            renewals_coalesced: Family::default(),
            state: Family::default(),
            governor: Family::default(),
            governor_tracked: Family::default(),
            revocations: Gauge::default(),
            revocations_age: Gauge::default(),
            revocations_unreadable: Counter::default(),
            revocations_read: AtomicI64::new(0),
            generation: Gauge::default(),
            reloads: Family::default(),
            last_reload: Gauge::default(),
            audit_dropped: Counter::default(),
            log_dropped: Counter::default(),
            audit_waiting: Gauge::default(),
            upstreams: Upstreams::default(),
            connections: Gauge::default(),
            connections_cap: Gauge::default(),
            connections_refused: Family::default(),
            heads_refused: Family::default(),
            panics: Counter::default(),
        };
        // A rate needs a first sample: these are shown from the start, at zero.
        for result in ["ok", "failed"] {
            let _ = metrics.reloads.get_or_create(&[("result", result)]);
        }
        for why in ["total_cap", "source_cap", "handshake"] {
            let _ = metrics.connections_refused.get_or_create(&[("reason", why)]);
        }
        let mut registry = Registry::default();
        for metric in Metric::ALL {
            metrics.show(&mut registry, *metric, &stage_family, &cache_family);
        }
        metrics.registry = registry;
        metrics
    }

    /// Registers one metric; one that nobody registers does not compile.
    fn show(&self, registry: &mut Registry, metric: Metric, stages: &Family<Word, Durations>, cache: &Family<Word, Counter>) {
        match metric {
            Metric::Decisions => register(registry, metric, self.decisions.counts.clone()),
            Metric::AuthDuration => register(registry, metric, self.decisions.durations.clone()),
            Metric::StageDuration => register(registry, metric, stages.clone()),
            Metric::CredentialCacheRequests => register(registry, metric, cache.clone()),
            Metric::KeyStoreAge => register(registry, metric, self.key_stores.age.clone()),
            Metric::KeyStoreFetches => register(registry, metric, self.key_stores.fetches.clone()),
            Metric::KeyStoreStale => register(registry, metric, self.key_stores.stale.clone()),
            Metric::KeyStoreKeys => register(registry, metric, self.key_stores.keys.clone()),
            Metric::KeyStoreSkipped => register(registry, metric, self.key_stores.skipped.clone()),
            Metric::IntrospectionRequests => register(registry, metric, self.introspection.clone()),
            Metric::Renewals => register(registry, metric, self.renewals.clone()),
            Metric::RenewalsCoalesced => register(registry, metric, self.renewals_coalesced.clone()),
            Metric::StateRequests => register(registry, metric, self.state.clone()),
            Metric::GovernorRequests => register(registry, metric, self.governor.clone()),
            Metric::GovernorTracked => register(registry, metric, self.governor_tracked.clone()),
            Metric::Revocations => register(registry, metric, self.revocations.clone()),
            Metric::RevocationsAge => register(registry, metric, self.revocations_age.clone()),
            Metric::RevocationsUnreadable => register(registry, metric, self.revocations_unreadable.clone()),
            Metric::ConfigGeneration => register(registry, metric, self.generation.clone()),
            Metric::ConfigReloads => register(registry, metric, self.reloads.clone()),
            Metric::ConfigLastReloadSuccess => register(registry, metric, self.last_reload.clone()),
            Metric::AuditDropped => register(registry, metric, self.audit_dropped.clone()),
            Metric::LogDropped => register(registry, metric, self.log_dropped.clone()),
            Metric::AuditWaiting => register(registry, metric, self.audit_waiting.clone()),
            Metric::UpstreamRequests => register(registry, metric, self.upstreams.counts.clone()),
            Metric::UpstreamDuration => register(registry, metric, self.upstreams.durations.clone()),
            Metric::ConnectionsOpen => register(registry, metric, self.connections.clone()),
            Metric::ConnectionsCap => register(registry, metric, self.connections_cap.clone()),
            Metric::ConnectionsRefused => register(registry, metric, self.connections_refused.clone()),
            Metric::HeadsRefused => register(registry, metric, self.heads_refused.clone()),
            Metric::Panics => register(registry, metric, self.panics.clone()),
            Metric::Build => register(registry, metric, Info::new([("version", env!("CARGO_PKG_VERSION"))])),
        }
    }

    /// Takes note of an attempt to put a conf in force: the first one, or a reload.
    ///
    /// `generation` is the conf that is in force now, whether the attempt succeeded or not; the first is 1.
    pub fn config_reloaded(&self, generation: u64, ok: bool) {
        self.generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
        self.last_reload.set(i64::from(ok));
        self.reloads.get_or_create(&[("result", if ok { "ok" } else { "failed" })]).inc();
    }

    /// The counter of lost audit records, for whoever writes them.
    #[must_use]
    pub fn audit_dropped(&self) -> Counter {
        self.audit_dropped.clone()
    }

    /// The counter of lost lines of the process log, for whoever writes them.
    #[must_use]
    pub fn log_dropped(&self) -> Counter {
        self.log_dropped.clone()
    }

    /// The gauge of requests that wait for room among the audit records.
    #[must_use]
    pub fn audit_waiting(&self) -> Gauge {
        self.audit_waiting.clone()
    }

    /// Takes note of how many client connections there may be at once.
    pub fn connections_capped(&self, most: usize) {
        self.connections_cap.set(i64::try_from(most).unwrap_or(i64::MAX));
    }

    /// Everything as `OpenMetrics` text.
    #[must_use]
    pub fn exposition(&self) -> String {
        let now = self.clock.now();
        self.key_stores.age(now);
        let read = Timestamp(self.revocations_read.load(Ordering::Relaxed));
        // As old as the world while the log was never read: whoever watches the age sees it.
        self.revocations_age.set(i64::from(read.until(now).0));
        let mut out = String::with_capacity(16 * 1024);
        // Writing to a string does not fail; should it ever, half an exposition must not pass for a whole one.
        match text::encode(&mut out, &self.registry) {
            Ok(()) => out,
            Err(std::fmt::Error) => "# EOF\n".to_owned(),
        }
    }
}

fn register(registry: &mut Registry, metric: Metric, shown: impl Shown) {
    registry.register(metric.name(), metric.help(), shown);
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Metrics({} families)", Metric::ALL.len())
    }
}

impl Observer for Metrics {
    fn note(&self, event: Event<'_>) {
        let result = |ok| if ok { "ok" } else { "failed" };
        match event {
            Event::CredentialCache { hit } => {
                let [miss, known] = &self.cache;
                (if hit { known } else { miss }).inc();
            }
            Event::KeyFetch { store, ok, keys, fetched } => self.key_stores.fetched(store, ok, keys, fetched),
            Event::KeySkipped { store, why } => self.key_stores.skipped(store, why),
            Event::Introspection { authenticator, ok } => {
                let labels = [("authenticator", Cow::Owned(authenticator.to_owned())), ("result", Cow::Borrowed(result(ok)))];
                self.introspection.get_or_create(&labels).inc();
            }
            Event::Renewal { renewer, coalesced: true, .. } => {
                self.renewals_coalesced.get_or_create(&[("renewer", Cow::Owned(renewer.to_owned()))]).inc();
            }
            Event::Renewal { renewer, result, coalesced: false } => {
                let labels = [("renewer", Cow::Owned(renewer.to_owned())), ("result", Cow::Borrowed(result))];
                self.renewals.get_or_create(&labels).inc();
            }
            Event::State { operation, ok } => {
                self.state.get_or_create(&[("operation", operation), ("result", result(ok))]).inc();
            }
            Event::Governor { budget, refused, tracked } => {
                let result = if refused { "refused" } else { "passed" };
                self.governor.get_or_create(&[("budget", budget), ("result", result)]).inc();
                self.governor_tracked.get_or_create(&[("budget", budget)]).set(i64::try_from(tracked).unwrap_or(i64::MAX));
            }
            Event::Revocations { in_force, read } => {
                self.revocations.set(i64::try_from(in_force).unwrap_or(i64::MAX));
                self.revocations_read.store(read.unwrap_or_default().0, Ordering::Relaxed);
            }
            Event::RevocationUnreadable => {
                self.revocations_unreadable.inc();
            }
        }
    }
}

impl Reporter for Metrics {
    fn visited(&self, visit: &Visit<'_>) {
        self.decisions.count(visit);
        let stages = visit.record.stages;
        self.stages.route.observe_micros(u64::from(stages.route));
        // A request that matched no rule went no further than the first stage.
        if visit.record.rule.is_some() {
            self.stages.verify.observe_micros(u64::from(stages.verify));
            // Few requests renew; the others would only bury them.
            if 0 < stages.renew {
                self.stages.renew.observe_micros(u64::from(stages.renew));
            }
            self.stages.policy.observe_micros(u64::from(stages.policy));
            self.stages.countersign.observe_micros(u64::from(stages.countersign));
        }
        if let Some(micros) = visit.upstream_micros {
            self.stages.upstream.observe_micros(u64::from(micros));
        }
    }

    fn happened(&self, happening: Happening<'_>) {
        match happening {
            Happening::ConnectionOpened => {
                self.connections.inc();
            }
            Happening::ConnectionClosed => {
                self.connections.dec();
            }
            Happening::ConnectionRefused { why } => {
                self.connections_refused.get_or_create(&[("reason", why)]).inc();
            }
            Happening::HeadRefused { why } => {
                self.heads_refused.get_or_create(&[("reason", why)]).inc();
            }
            Happening::UpstreamTried { upstream, result, micros } => self.upstreams.note(upstream, result, micros),
            Happening::Panicked => {
                self.panics.inc();
            }
        }
    }
}

#[cfg(test)]
mod tests;
