//! When something ends, by the number in which an answer says so.

use crate::domain::{Seconds, Timestamp, Value};
use crate::net::described::answer::Pointer;
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape};

/// The longest life that is believed, in seconds: ten years.
const LONGEST: i64 = 315_360_000;

/// A time of an answer.
pub static NUMBER: SectionSpec = SectionSpec {
    title: "a time of the answer",
    doc: "A whole number, or one written as text. Where the answer has none, the end is not known.",
    keys: &[
        KeySpec::required("pointer", Shape::Text, "Where it stands."),
        KeySpec::required("unit", Shape::OneOf(&["seconds", "milliseconds"]), "What it counts."),
    ],
};

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

impl Unit {
    fn seconds(self, number: i64) -> i64 {
        match self {
            Self::Seconds => number,
            Self::Milliseconds => number / 1_000,
        }
    }
}

/// Where an answer says when something ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// So long after the request.
    In(Pointer, Unit),
    /// At this time since the Unix epoch.
    At(Pointer, Unit),
}

/// Something stands where the end should, and it is no time that anything ends at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoTime;

impl End {
    /// Reads the keys `expires_in` and `expires_at` of `section`; `None` when neither is written, or after a fault.
    pub fn under(section: &Section<'_>, checking: &mut Checking<'_>) -> Option<Self> {
        match (section.node("expires_in"), section.node("expires_at")) {
            (Some(_), Some(at)) => {
                checking.faults.error(&at.span, "the end is said once, by `expires_in` or by `expires_at`; remove one");
                None
            }
            (Some(node), None) => number(node, checking).map(|(pointer, unit)| Self::In(pointer, unit)),
            (None, Some(node)) => number(node, checking).map(|(pointer, unit)| Self::At(pointer, unit)),
            (None, None) => None,
        }
    }

    /// The end that `said` tells, in answer to a request that was made at `now`; `None` when it tells none.
    ///
    /// # Errors
    ///
    /// [`NoTime`].
    pub fn read(&self, said: &Value, now: Timestamp) -> Result<Option<Timestamp>, NoTime> {
        let (Self::In(pointer, unit) | Self::At(pointer, unit)) = self;
        let Some(written) = pointer.find(said) else { return Ok(None) };
        let number = whole(written).map(|number| unit.seconds(number));
        let end = number.and_then(|number| match self {
            Self::In(..) => after(now, number),
            Self::At(..) => at(now, number),
        });
        end.map(Some).ok_or(NoTime)
    }
}

fn number(node: &Node, checking: &mut Checking<'_>) -> Option<(Pointer, Unit)> {
    let section = Section::open(&NUMBER, node, checking.faults)?;
    let unit = if section.text("unit") == Some("milliseconds") { Unit::Milliseconds } else { Unit::Seconds };
    Some((Pointer::under("pointer", &section, checking)?, unit))
}

/// A whole number that is not negative, also when an issuer writes it as text of up to 18 digits.
#[must_use]
pub fn whole(value: &Value) -> Option<i64> {
    /// What fits an `i64` whatever the digits are.
    const DIGITS: usize = 18;
    let number = match value {
        Value::Text(text) if (1..=DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        other => other.as_int(),
    };
    number.filter(|number| 0 <= *number)
}

/// The moment `life` seconds after `now`; `None` when that is no life that anything has.
#[must_use]
pub fn after(now: Timestamp, life: i64) -> Option<Timestamp> {
    (0..=LONGEST).contains(&life).then(|| now.plus(Seconds(u32::try_from(life).unwrap_or(u32::MAX))))
}

/// `end`, when it is not further away from `now` than anything lives. An end in the past is one all the same.
#[must_use]
pub fn at(now: Timestamp, end: i64) -> Option<Timestamp> {
    (0..=now.0.saturating_add(LONGEST)).contains(&end).then_some(Timestamp(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_a_whole_number_within_ten_years() {
        let now = Timestamp(1_000);
        let cases = [
            (Value::Int(3600), Some(4_600), "a number"),
            (Value::from("3600"), Some(4_600), "the same as text"),
            (Value::Float(3600.0), Some(4_600), "the same with a fraction of nothing"),
            (Value::Int(0), Some(1_000), "ends as it begins"),
            (Value::Int(LONGEST), Some(1_000 + LONGEST), "ten years"),
            (Value::Int(LONGEST + 1), None, "a second longer"),
            (Value::Int(-1), None, "before it began"),
            (Value::Float(0.5), None, "half a second"),
            (Value::from("-1"), None, "a sign"),
            (Value::from("1e3"), None, "an exponent"),
            (Value::from(""), None, "nothing"),
            (Value::from("99999999999999999999"), None, "too many digits"),
            (Value::Bool(true), None, "no number"),
        ];
        for (value, expected, shows) in cases {
            assert_eq!(whole(&value).and_then(|life| after(now, life)), expected.map(Timestamp), "{shows}: {value:?}");
        }
        assert_eq!(at(now, 1_000 + LONGEST), Some(Timestamp(1_000 + LONGEST)), "the last end that is believed");
        assert_eq!(at(now, 1_001 + LONGEST), None, "a second later: milliseconds, probably");
        assert_eq!(at(now, 10), Some(Timestamp(10)), "an end in the past");
        assert_eq!(at(Timestamp::END, i64::MAX), Some(Timestamp::END), "the end of time does not wrap");
    }
}
