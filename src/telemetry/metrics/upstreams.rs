//! Attempts at upstreams, with every label found beforehand.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::telemetry::metrics::durations::Durations;
use crate::telemetry::report::UpstreamResult;

/// The label values of one count, in the order of the metric's labels.
pub(super) type RequestLabels = [(&'static str, Arc<str>); 2];
/// The label value of one duration.
pub(super) type DurationLabels = [(&'static str, Arc<str>); 1];

/// Counts attempts and observes what they took. Upstreams are named by the conf; a name that a reload removed stays.
#[derive(Debug, Default)]
pub(super) struct Upstreams {
    pub(super) counts: Family<RequestLabels, Counter>,
    pub(super) durations: Family<DurationLabels, Durations>,
    known: RwLock<HashMap<Arc<str>, Handles, ahash::RandomState>>,
}

#[derive(Debug)]
struct Handles {
    by_result: Box<[(UpstreamResult, Counter)]>,
    took: Durations,
}

impl Handles {
    fn note(&self, result: UpstreamResult, micros: u32) {
        for (_, counter) in self.by_result.iter().filter(|(counted, _)| *counted == result) {
            counter.inc();
        }
        self.took.observe_micros(u64::from(micros));
    }
}

impl Upstreams {
    /// Counts one attempt.
    pub(super) fn note(&self, upstream: &str, result: UpstreamResult, micros: u32) {
        if let Some(handles) = self.known.read().get(upstream) {
            return handles.note(result, micros);
        }
        self.known.write().entry(upstream.into()).or_insert_with(|| self.handles(upstream)).note(result, micros);
    }

    fn handles(&self, upstream: &str) -> Handles {
        let upstream: Arc<str> = upstream.into();
        let counter = |result: UpstreamResult| {
            self.counts.get_or_create_owned(&[("upstream", Arc::clone(&upstream)), ("result", result.as_str().into())])
        };
        Handles {
            by_result: UpstreamResult::ALL.iter().map(|result| (*result, counter(*result))).collect(),
            took: self.durations.get_or_create_owned(&[("upstream", Arc::clone(&upstream))]),
        }
    }
}
