//! What came of every request: verdicts by lane and kind, latencies with and without a credential, slice by slice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::loadtest::lane::{Expected, Lane, Outcome};
use crate::loadtest::measure::latencies::Latencies;
use crate::loadtest::mix::Kind;

/// How often each outcome came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts([u64; 5]);

impl Counts {
    /// One more.
    pub fn add(&mut self, outcome: Outcome) {
        if let Some((_, count)) = Outcome::ALL.into_iter().zip(&mut self.0).find(|(each, _)| *each == outcome) {
            *count += 1;
        }
    }

    /// How often `outcome` came.
    #[must_use]
    pub fn of(&self, outcome: Outcome) -> u64 {
        Outcome::ALL.into_iter().zip(self.0).find_map(|(each, count)| (each == outcome).then_some(count)).unwrap_or(0)
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Everything that was not as it must be.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.all() - self.of(Outcome::Right)
    }

    /// Adds `other`.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(count, more)| *count += more);
    }
}

/// What came of one kind in one lane.
#[derive(Debug, Clone)]
pub struct ArmTally {
    /// What was presented.
    pub kind: Kind,
    /// Verdicts.
    pub counts: Counts,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Latency from the first use of each credential.
    pub cold: Latencies,
    /// Latency from every later use, and of everything that is refused.
    pub warm: Latencies,
}

/// What came of one lane.
#[derive(Debug, Clone)]
pub struct LaneTally {
    /// Its name.
    pub name: Arc<str>,
    /// Its schemes.
    pub scheme: Arc<str>,
    /// Its kinds, in the order of [`Lane::arms`].
    pub arms: Vec<ArmTally>,
}

/// The part of a load between two moments.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Slice {
    /// Answers in it.
    pub answers: u64,
    /// Among them, what was not as it must be.
    pub errors: u64,
    /// p50 and p99 of good credentials that were seen before, in nanoseconds.
    pub with: Option<(u64, u64)>,
    /// The same of requests without one.
    pub without: Option<(u64, u64)>,
}

/// Somebody whose request was not answered as it must be. It is named by its place, never by what it presented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offender {
    /// `rule · authenticator`.
    pub lane: Arc<str>,
    /// What was presented.
    pub kind: Kind,
    /// Whose it was.
    pub number: u64,
    /// What must have come of it.
    pub expected: Expected,
    /// What came.
    pub outcome: Outcome,
    /// The status; `None` without an answer.
    pub status: Option<u16>,
    /// When, from the start.
    pub at: Duration,
}

/// One answer, as it is counted.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    /// Lane and arm; `None` for a request without a credential, for comparison.
    pub turn: Option<(usize, usize)>,
    /// Whose it was.
    pub number: u64,
    /// Whether its credential was presented for the first time.
    pub first: bool,
    /// What came of it.
    pub outcome: Outcome,
    /// What must have.
    pub expected: Expected,
    /// The status; `None` without an answer.
    pub status: Option<u16>,
    /// How long it took, in nanoseconds.
    pub latency: u64,
    /// When it ended, from the start, in nanoseconds.
    pub at: u64,
}

/// What came of every request of a load.
#[derive(Debug, Clone)]
pub struct Tally {
    /// By lane.
    pub lanes: Vec<LaneTally>,
    /// Requests without a credential.
    pub bare: Counts,
    /// Latency of good credentials that were seen before.
    pub with: Latencies,
    /// Latency of good credentials presented for the first time.
    pub cold: Latencies,
    /// Latency without a credential.
    pub without: Latencies,
    /// Everything over time, in slices of equal length.
    pub slices: Vec<Slice>,
    /// How long a slice is.
    pub slice: Duration,
    /// The first of each outcome that was not right, the worst first.
    pub offenders: Vec<Offender>,
    /// Requests that were due and never sent, because too many before them were waiting.
    pub unsent: u64,
    /// Connections that were opened.
    pub connects: u64,
    /// How long it took.
    pub elapsed: Duration,
    open: OpenSlice,
}

#[derive(Debug, Clone)]
struct OpenSlice {
    index: u64,
    figures: Slice,
    with: Latencies,
    without: Latencies,
}

impl Tally {
    /// The most slices.
    const SLICES: u32 = 40;
    /// A slice is this long at least, so that its percentiles mean something.
    const SHORTEST: Duration = Duration::from_millis(100);

    /// Nothing yet, for a load of `lanes` that may last `duration`.
    ///
    /// # Errors
    ///
    /// The library makes no histogram.
    pub fn fresh(lanes: &[Lane], duration: Duration) -> Result<Self, String> {
        let empty = Latencies::fresh()?;
        let arm = |kind| ArmTally { kind, counts: Counts::default(), statuses: BTreeMap::new(), cold: empty.clone(), warm: empty.clone() };
        let lanes = lanes
            .iter()
            .map(|lane| LaneTally {
                name: Arc::clone(&lane.name),
                scheme: Arc::clone(&lane.scheme),
                arms: lane.arms.iter().map(|held| arm(held.kind)).collect(),
            })
            .collect();
        Ok(Self {
            lanes,
            bare: Counts::default(),
            with: empty.clone(),
            cold: empty.clone(),
            without: empty.clone(),
            slices: Vec::new(),
            slice: (duration / Self::SLICES).max(Self::SHORTEST),
            offenders: Vec::new(),
            unsent: 0,
            connects: 0,
            elapsed: Duration::ZERO,
            open: OpenSlice { index: 0, figures: Slice::default(), with: empty.clone(), without: empty },
        })
    }

    /// Counts one answer.
    pub fn count(&mut self, event: &Event) {
        self.turn_slice(event.at);
        self.open.figures.answers += 1;
        self.open.figures.errors += u64::from(event.outcome != Outcome::Right);
        self.offended(event);
        let right = event.outcome == Outcome::Right;
        let Some((lane, arm)) = event.turn else {
            self.bare.add(event.outcome);
            if right {
                self.without.record(event.latency);
                self.open.without.record(event.latency);
            }
            return;
        };
        let Some(arm) = self.lanes.get_mut(lane).and_then(|lane| lane.arms.get_mut(arm)) else { return };
        arm.counts.add(event.outcome);
        if let Some(status) = event.status {
            *arm.statuses.entry(status).or_default() += 1;
        }
        if !right {
            return;
        }
        // What the proxy answers itself is no comparison for what it forwards.
        let compares = event.expected != Expected::Served;
        match (arm.kind == Kind::Good, event.first) {
            (true, true) => arm.cold.record(event.latency),
            (true | false, _) => arm.warm.record(event.latency),
        }
        match (arm.kind == Kind::Good && compares, event.first) {
            (true, true) => {
                self.cold.record(event.latency);
            }
            (true, false) => {
                self.with.record(event.latency);
                self.open.with.record(event.latency);
            }
            (false, _) => {}
        }
    }

    /// Ends the count after `elapsed`.
    pub fn end(&mut self, elapsed: Duration) {
        self.elapsed = elapsed;
        self.close_slice();
    }

    /// Every verdict, those on requests without a credential among them.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut all = self.bare;
        self.lanes.iter().flat_map(|lane| &lane.arms).for_each(|arm| all.merge(&arm.counts));
        all
    }

    /// Everything that was not as it must be, and what was never sent.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.counts().errors().saturating_add(self.unsent)
    }

    /// Answers a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "a rate is shown to a few digits")]
        let answers = self.counts().all() as f64;
        if 0.0 < seconds { answers / seconds } else { 0.0 }
    }

    fn offended(&mut self, event: &Event) {
        if event.outcome == Outcome::Right || self.offenders.iter().any(|known| known.outcome == event.outcome) {
            return;
        }
        let lane = event.turn.and_then(|(lane, arm)| self.lanes.get(lane).map(|lane| (lane, arm)));
        let (name, kind) = match lane {
            Some((lane, arm)) => (Arc::clone(&lane.name), lane.arms.get(arm).map_or(Kind::Absent, |arm| arm.kind)),
            None => (Arc::from("without a credential, for comparison"), Kind::Absent),
        };
        self.offenders.push(Offender {
            lane: name,
            kind,
            number: event.number,
            expected: event.expected,
            outcome: event.outcome,
            status: event.status,
            at: Duration::from_nanos(event.at),
        });
        self.offenders.sort_by_key(|offender| offender.outcome);
    }

    fn turn_slice(&mut self, at: u64) {
        let length = u64::try_from(self.slice.as_nanos()).unwrap_or(u64::MAX).max(1);
        // What comes late, past the planned end, belongs to the last slice.
        let index = (at / length).min(u64::from(Self::SLICES) - 1);
        while self.open.index < index {
            self.close_slice();
        }
    }

    fn close_slice(&mut self) {
        let both = |latencies: &Latencies| latencies.at(50.0).zip(latencies.at(99.0));
        let mut figures = std::mem::take(&mut self.open.figures);
        figures.with = both(&self.open.with);
        figures.without = both(&self.open.without);
        self.slices.push(figures);
        self.open.with.clear();
        self.open.without.clear();
        self.open.index += 1;
    }
}

#[cfg(test)]
mod tests;
