//! Everything a load test has to say, before anybody decides how it looks.
//!
//! Never here: a credential, a secret, a field of a request. Whoever is named is named by rule, kind and number.

use crate::loadtest::budget::Held;
use crate::loadtest::drill::DrillOutcome;
use crate::loadtest::lane::{Expected, Outcome};
use crate::loadtest::measure::tally::{Offender, Tally};
use crate::loadtest::mix::Mix;
use crate::loadtest::plan::LoadPlan;

/// A whole load test.
pub struct Report {
    /// What was under load: `conf/demo.yaml, with keys of its own` or a URL.
    pub subject: String,
    /// The proxy's conf as far as it is known: a name and a value each.
    pub conf: Vec<(String, String)>,
    /// The machine: a name and a value each.
    pub machine: Vec<(String, String)>,
    /// The load.
    pub plan: LoadPlan,
    /// Kinds of credentials.
    pub mix: Mix,
    /// What came of it.
    pub tally: Tally,
    /// What came of the load at full speed before it, where its rate follows from that.
    pub saturation: Option<Tally>,
    /// What differs from what was written in the conf.
    pub notes: Vec<String>,
    /// Rules that got no load, and why.
    pub left_out: Vec<(String, String)>,
    /// Drills.
    pub drills: Vec<DrillOutcome>,
    /// The budget's conditions.
    pub budget: Vec<Held>,
}

impl Report {
    /// Everything that makes this load test fail, the worst first; empty when it is passed.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for (outcome, says) in
            [(Outcome::LetThrough, "must be refused and were let through"), (Outcome::Wrong, "were not answered as they must be")]
        {
            for (tally, when) in [(Some(&self.tally), ""), (self.saturation.as_ref(), " while saturation was sought")] {
                let Some((tally, count)) = tally.map(|tally| (tally, tally.counts().of(outcome))).filter(|(_, count)| 0 < *count) else {
                    continue;
                };
                let first = tally.offenders.iter().find(|offender| offender.outcome == outcome).map(described).unwrap_or_default();
                failures.push(format!("{count} requests {says}{when}; the first: {first}"));
            }
        }
        if self.tally.counts().of(Outcome::Right) == 0 {
            failures.push("not one request was answered as it must be".to_owned());
        }
        for drill in &self.drills {
            failures.extend(drill.faults.iter().map(|fault| format!("drill {}: {fault}", drill.name)));
        }
        for held in self.budget.iter().filter(|held| !held.holds) {
            let measured = held.measured.as_deref().unwrap_or("not measured");
            failures.push(format!("over budget: {} ({measured})", held.text));
        }
        failures
    }
}

/// An offender in words.
#[must_use]
pub fn described(offender: &Offender) -> String {
    let expected = match offender.expected {
        Expected::Passes => "must pass".to_owned(),
        Expected::Refused | Expected::Unserved => "must be refused".to_owned(),
        Expected::Served => "must be granted".to_owned(),
        Expected::Status(status) => format!("must be answered {status}"),
    };
    let came = offender.status.map_or_else(|| "got no answer".to_owned(), |status| format!("got {status}"));
    format!(
        "{} credential of caller {} at `{}`, which {expected}, {came} after {:.1} s",
        offender.kind.name(),
        offender.number & 0xff_ffff_ffff,
        offender.lane,
        offender.at.as_secs_f64()
    )
}
