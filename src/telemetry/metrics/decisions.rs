//! Decisions and what they cost, with every label found beforehand.
//!
//! A request looks up two names and counts; the label set is built when a rule meets an authenticator, a verdict and a
//! reason for the first time. Rules and authenticators come from the conf, so the table is as large as the confs since
//! the start: names that a reload removed keep their last value until the restart, as counters must.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::domain::Reason;
use crate::telemetry::metrics::durations::Durations;
use crate::telemetry::report::{Ending, Visit};

/// What stands in a label when there is nothing to name.
const NONE: &str = "none";

/// The label values of one decision, in the order of the metric's labels.
pub(super) type DecisionLabels = [(&'static str, Arc<str>); 4];
/// The label values of one duration.
pub(super) type AuthLabels = [(&'static str, Arc<str>); 2];

/// Counts decisions and observes what they took.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    pub(super) counts: Family<DecisionLabels, Counter>,
    pub(super) durations: Family<AuthLabels, Durations>,
    /// By rule, then by authenticator. Only ever grows.
    known: RwLock<HashMap<Arc<str>, ByAuthenticator, ahash::RandomState>>,
}

type ByAuthenticator = HashMap<Arc<str>, Arc<Handles>, ahash::RandomState>;

/// The counters of one rule and authenticator; each is made when it first counts.
#[derive(Debug)]
struct Handles {
    rule: Arc<str>,
    authenticator: Arc<str>,
    /// By ending, without a reason: what most requests come to.
    plain: [OnceLock<Counter>; ENDINGS],
    /// By ending and reason; kept apart so that ten thousand quiet rules stay small.
    reasoned: OnceLock<Box<Reasoned>>,
    /// Cache not asked, missed, hit.
    took: [OnceLock<Durations>; 3],
}

type Reasoned = [[OnceLock<Counter>; REASONS]; ENDINGS];

const ENDINGS: usize = Ending::ALL.len();
const REASONS: usize = Reason::ALL.len();

impl Decisions {
    /// Counts one visit.
    pub(super) fn count(&self, visit: &Visit<'_>) {
        let record = visit.record;
        let rule = record.rule.as_deref().unwrap_or(NONE);
        let authenticator = record.authenticator.as_deref().unwrap_or(NONE);

        let known = self.known.read();
        if let Some(handles) = known.get(rule).and_then(|by| by.get(authenticator)) {
            return self.count_with(handles, visit);
        }
        drop(known);

        let handles = {
            let mut known = self.known.write();
            let rule: Arc<str> = record.rule.clone().unwrap_or_else(|| NONE.into());
            let authenticator: Arc<str> = record.authenticator.clone().unwrap_or_else(|| NONE.into());
            let by = known.entry(Arc::clone(&rule)).or_default();
            Arc::clone(by.entry(Arc::clone(&authenticator)).or_insert_with(|| Arc::new(Handles::new(rule, authenticator))))
        };
        self.count_with(&handles, visit);
    }

    fn count_with(&self, handles: &Handles, visit: &Visit<'_>) {
        let record = visit.record;
        if let Some(counter) = handles.decided(visit.ending, record.reason) {
            counter.get_or_init(|| self.decided(handles, visit.ending, record.reason)).inc();
        }

        let (at, cache) = match record.cache {
            None => (0, NONE),
            Some(false) => (1, "miss"),
            Some(true) => (2, "hit"),
        };
        let stages = record.stages;
        let micros = [stages.route, stages.verify, stages.renew, stages.policy, stages.countersign].into_iter().map(u64::from).sum();
        if let Some(durations) = handles.took.get(at) {
            durations.get_or_init(|| self.took(handles, cache)).observe_micros(micros);
        }
    }

    fn decided(&self, handles: &Handles, ending: Ending, reason: Option<Reason>) -> Counter {
        self.counts.get_or_create_owned(&[
            ("rule", Arc::clone(&handles.rule)),
            ("authenticator", Arc::clone(&handles.authenticator)),
            ("verdict", ending.as_str().into()),
            ("reason", reason.map_or(NONE, Reason::as_str).into()),
        ])
    }

    fn took(&self, handles: &Handles, cache: &str) -> Durations {
        self.durations.get_or_create_owned(&[("authenticator", Arc::clone(&handles.authenticator)), ("cache", cache.into())])
    }
}

impl Handles {
    fn new(rule: Arc<str>, authenticator: Arc<str>) -> Self {
        Self { rule, authenticator, plain: Default::default(), reasoned: OnceLock::new(), took: Default::default() }
    }

    /// Where one decision is counted. Always somewhere: both tables are as long as their enums.
    fn decided(&self, ending: Ending, reason: Option<Reason>) -> Option<&OnceLock<Counter>> {
        let Some(reason) = reason else { return self.plain.get(ending as usize) };
        let empty = || Box::new(std::array::from_fn(|_| std::array::from_fn(|_| OnceLock::new())));
        self.reasoned.get_or_init(empty).get(ending as usize)?.get(reason as usize)
    }
}
