//! What is wrong with a conf, where, and what would be right.

use std::fmt;

use crate::settings::node::Span;

/// Whether a fault keeps the conf from being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The conf is refused.
    Error,
    /// The conf works, but probably not as meant.
    Warning,
}

/// One thing wrong with a conf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Whether it is fatal.
    pub level: Level,
    /// Where it stands.
    pub span: Span,
    /// What is wrong and what would be right, in one or two sentences. Never holds a secret's value.
    pub says: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        write!(f, "{}: {level}: {}", self.span, self.says)
    }
}

/// All faults found in one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Notes a fatal fault at `span`.
    pub fn error(&mut self, span: &Span, says: impl Into<String>) {
        self.0.push(Fault { level: Level::Error, span: span.clone(), says: says.into() });
    }

    /// Notes something that works but is probably not meant.
    pub fn warn(&mut self, span: &Span, says: impl Into<String>) {
        self.0.push(Fault { level: Level::Warning, span: span.clone(), says: says.into() });
    }

    /// How many fatal faults there are.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.0.iter().filter(|fault| fault.level == Level::Error).count()
    }

    /// All faults in the order of the file, each said once.
    #[must_use]
    pub fn sorted(&self) -> Vec<Fault> {
        let mut faults = self.0.clone();
        faults.sort_by(|a, b| a.span.cmp(&b.span).then(a.level.cmp(&b.level)).then(a.says.cmp(&b.says)));
        faults.dedup();
        faults
    }

    /// Whether nothing at all was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes over all faults of `other`.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

/// The candidate that was probably meant by `written`, as `"; did you mean `x`?"`, or nothing.
pub fn suggest<'c>(written: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
    /// Below this likeness a suggestion confuses more than it helps.
    const ALIKE: f64 = 0.7;
    let wanted = written.to_ascii_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&wanted, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(alike, candidate)| ALIKE <= *alike || one_slip(&wanted, &candidate.to_ascii_lowercase()))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| format!("; did you mean `{candidate}`?"))
        .unwrap_or_default()
}

/// Whether two short words are one slip apart: a letter too many, too few, another one, or two swapped.
fn one_slip(wanted: &str, candidate: &str) -> bool {
    2 < candidate.len() && strsim::osa_distance(wanted, candidate) <= 1
}
