//! A budget: conditions on the figures of a load, such as `p99_added<200us,errors==0`.
//!
//! A condition on what was not measured is broken, never passed over: a budget that nothing was held against is no budget.

use std::fmt;
use std::str::FromStr;

use crate::loadtest::lane::Outcome;
use crate::loadtest::measure::added;
use crate::loadtest::measure::latencies::{Latencies, PERCENTILES, shown};
use crate::loadtest::measure::tally::Tally;

/// Conditions, each of which must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget(Vec<Condition>);

/// One condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// As written.
    text: String,
    figure: Figure,
    comparison: Comparison,
    bound: f64,
}

/// What came of one condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// As written.
    pub text: String,
    /// The figure that was measured, for people; `None` when it was not.
    pub measured: Option<String>,
    /// Whether it holds.
    pub holds: bool,
}

/// What a budget may speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Figure {
    /// A percentile of one of the latencies, in nanoseconds.
    Latency(&'static str, Side),
    /// A number.
    Count(Counted),
    /// Answers a second.
    Rate,
}

/// Which latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// With a credential that was seen before.
    With,
    /// With one that was not.
    Cold,
    /// Without one.
    Bare,
    /// What a warm one adds.
    Added,
    /// What a cold one adds.
    ColdAdded,
    /// With a warm one, as a multiple of without.
    Ratio,
    /// With a cold one, as a multiple of without.
    ColdRatio,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    Requests,
    Errors,
    LetThrough,
    Wrong,
    Undecided,
    Failed,
    Unsent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
}

const SIDES: [(&str, Side); 7] = [
    ("", Side::With),
    ("_cold", Side::Cold),
    ("_bare", Side::Bare),
    ("_added", Side::Added),
    ("_cold_added", Side::ColdAdded),
    ("_ratio", Side::Ratio),
    ("_cold_ratio", Side::ColdRatio),
];

const COUNTED: [(&str, Counted); 7] = [
    ("requests", Counted::Requests),
    ("errors", Counted::Errors),
    ("let_through", Counted::LetThrough),
    ("wrong", Counted::Wrong),
    ("undecided", Counted::Undecided),
    ("failed", Counted::Failed),
    ("unsent", Counted::Unsent),
];

/// Longer ones first: `<=` begins with `<`.
const COMPARISONS: [(&str, Comparison); 5] =
    [("<=", Comparison::AtMost), (">=", Comparison::AtLeast), ("==", Comparison::Equal), ("<", Comparison::Less), (">", Comparison::More)];

const UNITS: [(&str, f64); 5] = [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)];

impl Budget {
    /// Holds the conditions against what was measured.
    #[must_use]
    pub fn hold(&self, tally: &Tally) -> Vec<Held> {
        self.0.iter().map(|condition| condition.hold(tally)).collect()
    }

    /// Whether it speaks of what authenticating adds, which needs requests without a credential.
    #[must_use]
    pub fn compares(&self) -> bool {
        self.0.iter().any(|condition| match condition.figure {
            Figure::Latency(_, Side::Bare | Side::Added | Side::ColdAdded | Side::Ratio | Side::ColdRatio) => true,
            Figure::Latency(_, Side::With | Side::Cold) | Figure::Count(_) | Figure::Rate => false,
        })
    }
}

impl Condition {
    fn hold(&self, tally: &Tally) -> Held {
        let measured = self.figure.of(tally);
        let holds = measured.is_some_and(|measured| self.comparison.holds(measured, self.bound));
        Held { text: self.text.clone(), measured: measured.map(|measured| self.figure.shown(measured)), holds }
    }
}

impl Comparison {
    #[allow(clippy::float_cmp, reason = "counts are exact in a double; nobody writes == of a latency and means it")]
    fn holds(self, measured: f64, bound: f64) -> bool {
        match self {
            Self::Less => measured < bound,
            Self::AtMost => measured <= bound,
            Self::More => measured > bound,
            Self::AtLeast => measured >= bound,
            Self::Equal => measured == bound,
        }
    }
}

impl Figure {
    /// Every name a budget may use, for messages.
    fn names() -> String {
        let percentiles: Vec<String> = PERCENTILES.iter().map(|(name, _)| plain(name)).collect();
        let sides: Vec<&str> = SIDES.iter().map(|(end, _)| *end).filter(|end| !end.is_empty()).collect();
        let counted: Vec<&str> = COUNTED.iter().map(|(name, _)| *name).collect();
        format!("{} (alone, or with {}), {}, rate", percentiles.join(" "), sides.join(" "), counted.join(" "))
    }

    fn named(text: &str) -> Option<Self> {
        if text == "rate" {
            return Some(Self::Rate);
        }
        if let Some((_, counted)) = COUNTED.iter().find(|(name, _)| *name == text) {
            return Some(Self::Count(*counted));
        }
        let (percentile, end) = text.split_at(text.find('_').unwrap_or(text.len()));
        let (name, _) = PERCENTILES.iter().find(|(name, _)| *name == percentile || plain(name) == percentile)?;
        let (_, side) = SIDES.iter().find(|(each, _)| *each == end)?;
        Some(Self::Latency(name, *side))
    }

    #[allow(clippy::cast_precision_loss, reason = "both sides of a comparison are far below what a double holds exactly")]
    fn of(self, tally: &Tally) -> Option<f64> {
        let at = |latencies: &Latencies, name: &str| {
            let (_, percentile) = PERCENTILES.iter().find(|(each, _)| *each == name)?;
            latencies.at(*percentile).map(|nanos| nanos as f64)
        };
        let added = |with: &Latencies, name: &str| added::added(with, &tally.without).into_iter().find(|added| added.name == name);
        let difference = |with: &Latencies, name: &str| added(with, name).map(|added| added.added as f64);
        let ratio = |with: &Latencies, name: &str| added(with, name)?.ratio();
        match self {
            Self::Latency(name, Side::With) => at(&tally.with, name),
            Self::Latency(name, Side::Cold) => at(&tally.cold, name),
            Self::Latency(name, Side::Bare) => at(&tally.without, name),
            Self::Latency(name, Side::Added) => difference(&tally.with, name),
            Self::Latency(name, Side::ColdAdded) => difference(&tally.cold, name),
            Self::Latency(name, Side::Ratio) => ratio(&tally.with, name),
            Self::Latency(name, Side::ColdRatio) => ratio(&tally.cold, name),
            Self::Count(counted) => {
                let counts = tally.counts();
                let count = match counted {
                    Counted::Requests => counts.all(),
                    Counted::Errors => tally.errors(),
                    Counted::LetThrough => counts.of(Outcome::LetThrough),
                    Counted::Wrong => counts.of(Outcome::Wrong),
                    Counted::Undecided => counts.of(Outcome::Undecided),
                    Counted::Failed => counts.of(Outcome::Failed),
                    Counted::Unsent => tally.unsent,
                };
                Some(count as f64)
            }
            Self::Rate => Some(tally.rate()),
        }
    }

    #[allow(clippy::cast_possible_truncation, reason = "a latency in nanoseconds fits")]
    fn shown(self, measured: f64) -> String {
        match self {
            Self::Latency(_, Side::Ratio | Side::ColdRatio) => format!("{measured:.2} times"),
            Self::Latency(..) => shown(measured as i64),
            Self::Count(_) => format!("{measured:.0}"),
            Self::Rate => format!("{measured:.0}/s"),
        }
    }
}

/// A percentile as a budget may write it without a point: `p999`.
fn plain(name: &str) -> String {
    name.replace('.', "")
}

impl FromStr for Budget {
    type Err = String;

    /// Reads conditions separated by commas.
    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',').map(|part| condition(part.trim())).collect::<Result<_, _>>().map(Self)
    }
}

fn condition(text: &str) -> Result<Condition, String> {
    let says = |why: &str| format!("`{text}`: {why}");
    let at = text.find(['<', '>', '=']).ok_or_else(|| says("no condition; write FIGURE<BOUND, such as p99_added<200us"))?;
    let (name, rest) = text.split_at(at);
    let name = name.trim();
    let figure = Figure::named(name).ok_or_else(|| says(&format!("there is no figure `{name}`; known: {}", Figure::names())))?;
    let (comparison, bound) = COMPARISONS
        .iter()
        .find_map(|(sign, comparison)| Some((*comparison, rest.strip_prefix(sign)?.trim())))
        .ok_or_else(|| says("compare with one of < <= > >= =="))?;
    let (number, unit) = bound.split_at(bound.find(|letter: char| letter.is_alphabetic()).unwrap_or(bound.len()));
    let number: f64 = number.trim().parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(|| says("the bound is no number"))?;
    let scale = match (figure, unit) {
        (Figure::Latency(_, Side::Ratio | Side::ColdRatio), "") => 1.0,
        (Figure::Latency(_, Side::Ratio | Side::ColdRatio), _) => return Err(says("a ratio has no unit; 2 is twice as long")),
        (Figure::Latency(..), "") => return Err(says("a latency has a unit: ns, us, ms or s")),
        (Figure::Latency(..), unit) => {
            let found = UNITS.iter().find(|(name, _)| *name == unit);
            found.map(|(_, scale)| *scale).ok_or_else(|| says("the unit of a latency is ns, us, ms or s"))?
        }
        (_, "") => 1.0,
        (_, _) => return Err(says("this figure has no unit")),
    };
    Ok(Condition { text: text.to_owned(), figure, comparison, bound: number * scale })
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<&str> = self.0.iter().map(|condition| condition.text.as_str()).collect();
        f.write_str(&texts.join(","))
    }
}

#[cfg(test)]
mod tests;
