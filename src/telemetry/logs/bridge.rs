//! From the proxy framework's logger to ours.
//!
//! A place in the framework's code speaks at most ten times a second; what it leaves out is counted and told with what
//! it says next. So a stranger who provokes one warning a packet fills no disk.

use std::collections::HashMap;
use std::sync::Arc;

use log::{LevelFilter, Log, Metadata, Record};
use parking_lot::Mutex;

use crate::domain::{Clock, Timestamp};
use crate::telemetry::logs::Library;

/// The framework is never heard below this.
pub(super) const LOUDEST: LevelFilter = LevelFilter::Warn;

/// Passes the framework's warnings and errors on.
pub(super) struct Bridge {
    framework: Library,
    clock: Arc<dyn Clock>,
    /// By place: how often it has spoken in which second. At most [`Bridge::PLACES`].
    spoken: Mutex<HashMap<(String, u32), Spoken>>,
}

#[derive(Clone, Copy)]
struct Spoken {
    second: Timestamp,
    times: u32,
    left_out: u64,
}

impl Bridge {
    const PER_SECOND: u32 = 10;
    const PLACES: usize = 1024;

    pub(super) fn new(framework: Library, clock: Arc<dyn Clock>) -> Self {
        Self { framework, clock, spoken: Mutex::default() }
    }

    /// How many events of this place were left out since it last spoke; `None` when this one is left out too.
    fn may_speak(&self, target: &str, line: u32) -> Option<u64> {
        let now = self.clock.now();
        let mut spoken = self.spoken.lock();
        // Places are as many as the framework has log lines; the bound is for the case that one day they are not.
        if Self::PLACES <= spoken.len() {
            spoken.clear();
        }
        let place = spoken.entry((target.to_owned(), line)).or_insert(Spoken { second: now, times: 0, left_out: 0 });
        if place.second != now {
            *place = Spoken { second: now, times: 0, left_out: place.left_out };
        }
        if Self::PER_SECOND <= place.times {
            place.left_out = place.left_out.saturating_add(1);
            return None;
        }
        place.times += 1;
        Some(std::mem::take(&mut place.left_out))
    }
}

impl Log for Bridge {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= LOUDEST && metadata.target().starts_with(self.framework.name)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let (place, line) = (record.target(), record.line().unwrap_or(0));
        let Some(left_out) = self.may_speak(place, line) else { return };
        // Both the target and the module that really spoke: a target can be chosen freely.
        let told = self.framework.is_told(place) && record.module_path().is_none_or(|module| self.framework.is_told(module));
        let text = if told { record.args().to_string() } else { "(text withheld)".to_owned() };
        if record.level() == log::Level::Error {
            tracing::error!(target: "countersign::framework", place, line, left_out, "{text}");
        } else {
            tracing::warn!(target: "countersign::framework", place, line, left_out, "{text}");
        }
    }

    fn flush(&self) {}
}
