//! Everything that is kept of a visit, under one reporter: the metrics, and the audit record where it is wanted.

use std::pin::Pin;
use std::sync::Arc;

use crate::telemetry::audit::Audit;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::report::{Happening, Reporter, Visit};

/// Passes on what the edge reports.
#[derive(Debug, Clone)]
pub struct Recorder {
    metrics: Arc<Metrics>,
    audit: Option<Arc<Audit>>,
}

impl Recorder {
    /// Counts in `metrics`, and writes to `audit` unless the operator switched it off.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, audit: Option<Arc<Audit>>) -> Self {
        Self { metrics, audit }
    }
}

impl Reporter for Recorder {
    fn turn(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send + '_>>> {
        self.audit.as_ref()?.turn()
    }

    fn visited(&self, visit: &Visit<'_>) {
        self.metrics.visited(visit);
        if let Some(audit) = &self.audit {
            audit.record(visit);
        }
    }

    fn happened(&self, happening: Happening<'_>) {
        self.metrics.happened(happening);
    }
}
