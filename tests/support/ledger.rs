//! Writes down what the edge reports.

use countersign::domain::Reason;
use countersign::telemetry::report::{Ending, Happening, Reporter, UpstreamResult, Visit};
use parking_lot::Mutex;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub ending: Ending,
    pub status: u16,
    pub upstream_status: Option<u16>,
    pub reason: Option<Reason>,
    pub path: String,
    pub renewed: bool,
}

#[derive(Debug, Default)]
pub struct Ledger {
    visits: Mutex<Vec<Entry>>,
    refused_heads: Mutex<Vec<&'static str>>,
    refused_connections: Mutex<Vec<&'static str>>,
    tries: Mutex<Vec<UpstreamResult>>,
    panics: Mutex<usize>,
    open: Mutex<isize>,
}

impl Ledger {
    pub fn visits(&self) -> Vec<Entry> {
        self.visits.lock().clone()
    }

    pub fn refused_heads(&self) -> Vec<&'static str> {
        self.refused_heads.lock().clone()
    }

    pub fn refused_connections(&self) -> Vec<&'static str> {
        self.refused_connections.lock().clone()
    }

    pub fn tries(&self) -> Vec<UpstreamResult> {
        self.tries.lock().clone()
    }

    pub fn panics(&self) -> usize {
        *self.panics.lock()
    }

    /// Connections that are open now.
    pub fn open(&self) -> isize {
        *self.open.lock()
    }
}

impl Reporter for Ledger {
    fn visited(&self, visit: &Visit<'_>) {
        assert!(!visit.path.contains('?'), "a query is never reported: {}", visit.path);
        self.visits.lock().push(Entry {
            ending: visit.ending,
            status: visit.status,
            upstream_status: visit.upstream_status,
            reason: visit.record.reason,
            path: visit.path.to_owned(),
            renewed: visit.renewed,
        });
    }

    fn happened(&self, happening: Happening<'_>) {
        match happening {
            Happening::HeadRefused { why } => self.refused_heads.lock().push(why),
            Happening::ConnectionRefused { why } => self.refused_connections.lock().push(why),
            Happening::UpstreamTried { result, .. } => self.tries.lock().push(result),
            Happening::Panicked => *self.panics.lock() += 1,
            Happening::ConnectionOpened => *self.open.lock() += 1,
            Happening::ConnectionClosed => *self.open.lock() -= 1,
        }
    }
}
