//! Whether this process should be sent requests, and what it is still waiting for.
//!
//! It goes one way: starting, serving, draining. Being short of something while serving (a key set whose issuer is
//! down) is told, but takes nobody out of rotation: only the rules that need it answer 503.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use parking_lot::Mutex;

use crate::telemetry::json;

/// Where a process is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not yet taking requests.
    Starting,
    /// Taking requests.
    Serving,
    /// Finishing what it has; new requests belong elsewhere.
    Draining,
}

impl Phase {
    /// Its name in `/readyz`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Draining => "draining",
        }
    }
}

/// What `/readyz` tells. Shared by whoever starts, serves and stops.
#[derive(Debug, Default)]
pub struct Readiness {
    /// A [`Phase`] as its position; only ever grows.
    phase: AtomicU8,
    /// Names from the conf of what is not there yet.
    missing: Mutex<BTreeSet<Arc<str>>>,
}

impl Readiness {
    /// A process that has just begun.
    #[must_use]
    pub fn starting() -> Self {
        Self::default()
    }

    /// Where the process is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Serving,
            _ => Phase::Draining,
        }
    }

    /// Whether requests should be sent here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase() == Phase::Serving
    }

    /// From now on requests are welcome. Does not call back a process that drains.
    pub fn serve(&self) {
        self.phase.fetch_max(1, Ordering::AcqRel);
    }

    /// From now on requests belong elsewhere.
    pub fn drain(&self) {
        self.phase.fetch_max(2, Ordering::AcqRel);
    }

    /// Notes that `what` is not there: `keys/NAME`, `state` ... A name from the conf, it is shown to operators.
    pub fn lack(&self, what: &str) {
        self.missing.lock().insert(what.into());
    }

    /// Notes that `what` is there; returns whether nothing is missing any more.
    pub fn have(&self, what: &str) -> bool {
        let mut missing = self.missing.lock();
        missing.remove(what);
        missing.is_empty()
    }

    /// What is missing, in order of name.
    #[must_use]
    pub fn missing(&self) -> Vec<Arc<str>> {
        self.missing.lock().iter().cloned().collect()
    }

    /// One line of JSON for strangers: the phase and nothing else.
    #[must_use]
    pub fn brief(&self) -> String {
        let phase = self.phase();
        format!("{{\"ready\":{},\"phase\":\"{}\"}}\n", phase == Phase::Serving, phase.as_str())
    }

    /// One line of JSON for operators: the phase and what is missing.
    #[must_use]
    pub fn full(&self) -> String {
        let phase = self.phase();
        let mut out = format!("{{\"ready\":{},\"phase\":\"{}\",\"missing\":[", phase == Phase::Serving, phase.as_str());
        for (at, what) in self.missing().iter().enumerate() {
            if 0 < at {
                out.push(',');
            }
            json::push_string(&mut out, what);
        }
        out.push_str("]}\n");
        out
    }
}

#[cfg(test)]
mod tests {
    use super::{Phase, Readiness};

    #[test]
    fn a_process_goes_one_way_from_starting_to_draining() {
        let readiness = Readiness::starting();
        assert_eq!((readiness.phase(), readiness.is_ready()), (Phase::Starting, false));
        readiness.serve();
        assert_eq!((readiness.phase(), readiness.is_ready()), (Phase::Serving, true));
        readiness.serve();
        assert!(readiness.is_ready(), "saying it twice changes nothing");
        readiness.drain();
        assert_eq!((readiness.phase(), readiness.is_ready()), (Phase::Draining, false));
        readiness.serve();
        assert!(!readiness.is_ready(), "a late start does not call back a process that drains");

        let stopped_early = Readiness::starting();
        stopped_early.drain();
        assert_eq!(stopped_early.phase(), Phase::Draining, "a process may be stopped before it served");
    }

    #[test]
    fn what_is_missing_is_named_until_it_is_there() {
        let readiness = Readiness::starting();
        readiness.lack("keys/b");
        readiness.lack("keys/a");
        readiness.lack("keys/a");
        assert_eq!(readiness.full(), "{\"ready\":false,\"phase\":\"starting\",\"missing\":[\"keys/a\",\"keys/b\"]}\n");
        assert!(!readiness.have("keys/a"), "one is still missing");
        assert!(!readiness.have("keys/c"), "what was never missing makes nothing complete");
        assert!(readiness.have("keys/b"), "now nothing is");
        assert_eq!(readiness.full(), "{\"ready\":false,\"phase\":\"starting\",\"missing\":[]}\n", "having all is not yet serving");
        readiness.serve();
        readiness.lack("keys/\"x\n");
        assert_eq!(
            readiness.full(),
            "{\"ready\":true,\"phase\":\"serving\",\"missing\":[\"keys/\\\"x\\n\"]}\n",
            "lacking one key set unseats nobody"
        );
        assert_eq!(readiness.brief(), "{\"ready\":true,\"phase\":\"serving\"}\n", "strangers learn no names");
    }
}
