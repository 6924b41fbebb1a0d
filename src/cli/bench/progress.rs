//! A line that says how far a load is, on a terminal only.

use std::io::{IsTerminal, Write, stderr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::loadtest::measure::latencies::shown;
use crate::loadtest::measure::tally::Tally;
use crate::loadtest::plan::LoadPlan;

/// The line, for as long as it is shown.
pub(super) struct Progress(JoinHandle<()>);

/// Shows how far the load called `what` is; `None` when nobody looks.
pub(super) fn show(what: &'static str, tally: Arc<Mutex<Tally>>, plan: &LoadPlan) -> Option<Progress> {
    const EVERY: Duration = Duration::from_millis(500);
    if !stderr().is_terminal() {
        return None;
    }
    let (whole, begins) = (plan.duration, if plan.compare { plan.warmup } else { Duration::ZERO });
    Some(Progress(tokio::spawn(async move {
        let mut last = 0;
        let mut passed = Duration::ZERO;
        loop {
            tokio::time::sleep(EVERY).await;
            passed += EVERY;
            let (answers, errors, p99) = {
                let tally = tally.lock();
                (tally.counts().all(), tally.errors(), tally.with.at(99.0))
            };
            let rate = answers.saturating_sub(last).saturating_mul(1_000) / 500;
            last = answers;
            let p99 = p99.map_or_else(|| "-".to_owned(), |nanos| shown(i64::try_from(nanos).unwrap_or(i64::MAX)));
            let done = passed.saturating_sub(begins).min(whole).as_secs_f64() / whole.as_secs_f64().max(f64::MIN_POSITIVE);
            let bar = bar(done);
            // Nobody is left to tell when standard error is gone.
            let _ = write!(stderr(), "\r{what} {bar} {:>3.0} %  {rate:>7}/s  p99 {p99}  errors {errors}\x1b[K", done * 100.0);
        }
    })))
}

impl Progress {
    /// Takes the line away.
    pub(super) fn end(self) {
        self.0.abort();
        let _ = write!(stderr(), "\r\x1b[K");
    }
}

/// A bar that is `done` (0 to 1) full.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 24")]
fn bar(done: f64) -> String {
    const WIDTH: usize = 24;
    let full = ((done.clamp(0.0, 1.0) * 24.0) as usize).min(WIDTH);
    format!("[{}{}]", "#".repeat(full), "-".repeat(WIDTH - full))
}
