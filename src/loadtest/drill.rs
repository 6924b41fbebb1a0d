//! Drills: something goes wrong under load, and is mended again. What is proven stays proven meanwhile, and nothing that must be
//! refused gets through.

use std::str::FromStr;
use std::time::Duration;

use crate::loadtest::lane::Outcome;
use crate::loadtest::measure::tally::Tally;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drill {
    /// The issuer signs with new keys from one moment to the next.
    KeyRotation,
    /// The issuer takes seconds to answer.
    IssuerSlow,
    /// The issuer does not answer.
    IssuerDown,
    /// The conf is put in force again and again.
    Reload,
    /// The state store does not answer.
    StoreDown,
    /// Everyone's token runs out at once, and several requests of each bring the same refresh token.
    RefreshStorm,
}

impl Drill {
    /// Every drill.
    pub const ALL: [Self; 6] = [Self::KeyRotation, Self::IssuerSlow, Self::IssuerDown, Self::Reload, Self::StoreDown, Self::RefreshStorm];

    /// Its name in arguments and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::KeyRotation => "key-rotation",
            Self::IssuerSlow => "issuer-slow",
            Self::IssuerDown => "issuer-down",
            Self::Reload => "reload",
            Self::StoreDown => "store-down",
            Self::RefreshStorm => "refresh-storm",
        }
    }

    /// What it shows, for reports.
    #[must_use]
    pub fn shows(self) -> &'static str {
        match self {
            Self::KeyRotation => "tokens under a key that nobody has seen yet are taken as soon as it could be fetched",
            Self::IssuerSlow => "who is known stays known while the issuer takes its time",
            Self::IssuerDown => "who is known stays known while the issuer is away",
            Self::Reload => "a conf that is put in force drops no request",
            Self::StoreDown => "what needs the store is answered 503, everything else goes on",
            Self::RefreshStorm => "one exchange for each credential that has run out, however many requests bring it",
        }
    }

    /// Whether requests may remain undecided (503) while it lasts.
    fn may_be_undecided(self) -> bool {
        matches!(self, Self::KeyRotation | Self::IssuerSlow | Self::IssuerDown | Self::StoreDown)
    }
}

impl FromStr for Drill {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.map(Self::name).join(" ");
        Self::ALL.into_iter().find(|drill| drill.name() == name).ok_or_else(|| format!("there is no drill `{name}`; known: {known}"))
    }
}

/// What came of a drill.
#[derive(Debug, Clone)]
pub struct DrillOutcome {
    /// Its name.
    pub name: &'static str,
    /// What it shows.
    pub shows: &'static str,
    /// When things went wrong and when they were mended, from the start.
    pub trouble: (Duration, Duration),
    /// What came of the requests.
    pub tally: Tally,
    /// What else is worth telling: a sentence each.
    pub notes: Vec<String>,
    /// What was not as it must be: a sentence each.
    pub faults: Vec<String>,
}

/// Holds what came of `drill` against what must.
#[must_use]
pub fn faults(drill: Drill, tally: &Tally, trouble: (Duration, Duration)) -> Vec<String> {
    let mut faults = Vec::new();
    let counts = tally.counts();
    let first = |outcome: Outcome| {
        let found = tally.offenders.iter().find(|offender| offender.outcome == outcome);
        found.map(crate::loadtest::report::document::described).unwrap_or_default()
    };
    let never: &[Outcome] = match drill.may_be_undecided() {
        true => &[Outcome::LetThrough, Outcome::Wrong, Outcome::Failed],
        false => &[Outcome::LetThrough, Outcome::Wrong, Outcome::Failed, Outcome::Undecided],
    };
    for outcome in never {
        let count = counts.of(*outcome);
        if 0 < count {
            faults.push(format!("{count} requests came out {}; the first: {}", outcome.name(), first(*outcome)));
        }
    }
    // A slice in which it was mended may still hold what began before.
    let length = tally.slice.as_secs_f64().max(f64::MIN_POSITIVE);
    let settled = trouble.1.as_secs_f64() + SETTLING.as_secs_f64();
    let from = |moment: f64| tally.slices.iter().zip(0_u32..).filter(move |(_, index)| moment <= f64::from(*index) * length);
    let late: u64 = from(settled).map(|(slice, _)| slice.errors).sum();
    let during = from(trouble.0.as_secs_f64()).filter(|(_, index)| f64::from(*index) * length < trouble.1.as_secs_f64());
    if during.map(|(slice, _)| slice.answers).sum::<u64>() == 0 || from(settled).map(|(slice, _)| slice.answers).sum::<u64>() == 0 {
        faults.push("there was no load while it lasted, or none after: nothing was shown".to_owned());
    }
    if 0 < late {
        faults.push(format!("{late} requests were not answered as they must be long after everything was mended"));
    }
    faults
}

/// How long after the trouble everything must be well again.
const SETTLING: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Drill, faults};
    use crate::loadtest::lane::{Expected, Outcome};
    use crate::loadtest::measure::tally::{Event, Tally};

    #[test]
    fn a_drill_is_held_to_what_it_may_cost_and_to_when_it_is_over() {
        let cases = [
            // drill, second and outcome of what came besides, part of what is said, what the row shows
            (Drill::StoreDown, None, None, "nothing but right answers"),
            (Drill::StoreDown, Some((3, Outcome::Undecided)), None, "undecided while the store is away"),
            (Drill::Reload, Some((3, Outcome::Undecided)), Some("undecided"), "a reload costs nobody an answer"),
            (Drill::StoreDown, Some((6, Outcome::Undecided)), Some("long after"), "still undecided when it is back"),
            (Drill::StoreDown, Some((3, Outcome::LetThrough)), Some("let_through"), "never let through"),
            (Drill::KeyRotation, Some((3, Outcome::Wrong)), Some("wrong"), "a good one refused as bad"),
            (Drill::IssuerDown, Some((3, Outcome::Failed)), Some("failed"), "a connection lost"),
        ];
        let trouble = (Duration::from_secs(2), Duration::from_secs(4));
        let event = |second: u64, outcome| Event {
            turn: None,
            number: 0,
            first: false,
            outcome,
            expected: Expected::Passes,
            status: None,
            latency: 1,
            at: second * 1_000_000_000,
        };
        for (drill, besides, expected, shows) in cases {
            let mut tally = Tally::fresh(&[], Duration::from_secs(8)).unwrap();
            for second in 0..8 {
                tally.count(&event(second, Outcome::Right));
                if let Some((_, outcome)) = besides.filter(|(at, _)| *at == second) {
                    tally.count(&event(second, outcome));
                }
            }
            tally.end(Duration::from_secs(8));
            let faults = faults(drill, &tally, trouble);
            match expected {
                None => assert!(faults.is_empty(), "{shows}: {faults:?}"),
                Some(part) => assert!(faults.iter().any(|fault| fault.contains(part)), "{shows}: {faults:?}"),
            }
        }
        let mut short = Tally::fresh(&[], Duration::from_secs(8)).unwrap();
        short.count(&event(0, Outcome::Right));
        short.end(Duration::from_secs(1));
        assert!(!faults(Drill::Reload, &short, trouble).is_empty(), "a drill without load shows nothing, and says so");
    }
}
