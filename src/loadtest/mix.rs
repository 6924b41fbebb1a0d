//! Which kinds of credential are sent, and how often each.

use std::fmt;
use std::str::FromStr;

/// What is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A good credential: it passes.
    Good,
    /// An authentic one that has run out: refused.
    Expired,
    /// One that somebody made up: refused.
    Forged,
    /// One for a single use, used before: refused.
    Replayed,
    /// None at all: refused.
    Absent,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Good, Self::Expired, Self::Forged, Self::Replayed, Self::Absent];

    /// Its name in arguments and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Expired => "expired",
            Self::Forged => "forged",
            Self::Replayed => "replayed",
            Self::Absent => "absent",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Weights of the kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix([u32; 5]);

impl Mix {
    /// The largest weight of one kind.
    pub const MOST: u32 = 1_000;

    /// The weight of `kind`; 0 for never.
    #[must_use]
    pub fn weight(&self, kind: Kind) -> u32 {
        Kind::ALL.into_iter().zip(self.0).find_map(|(each, weight)| (each == kind).then_some(weight)).unwrap_or(0)
    }
}

impl Default for Mix {
    /// Mostly good, and some of everything that must be refused.
    fn default() -> Self {
        Self([90, 3, 3, 2, 2])
    }
}

impl FromStr for Mix {
    type Err = String;

    /// Reads `good=90,forged=10`. Kinds that are not named are not sent.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut weights = [None; 5];
        for part in text.split(',') {
            let (name, weight) =
                part.split_once('=').ok_or_else(|| format!("`{part}` has no weight; write KIND=WEIGHT, such as good=90"))?;
            let (name, weight) = (name.trim(), weight.trim());
            let found = Kind::ALL.into_iter().zip(weights.iter_mut()).find(|(kind, _)| kind.name() == name);
            let (_, slot) = found.ok_or_else(|| format!("there is no kind `{name}`; known: {}", Kind::ALL.map(Kind::name).join(" ")))?;
            let weight = weight.parse::<u32>().ok().filter(|weight| *weight <= Self::MOST);
            let weight = weight.ok_or_else(|| format!("the weight of `{name}` must be a whole number up to {}", Self::MOST))?;
            if slot.replace(weight).is_some() {
                return Err(format!("`{name}` is named twice"));
            }
        }
        let weights = weights.map(Option::unwrap_or_default);
        if weights.iter().all(|weight| *weight == 0) {
            return Err("every weight is 0: nothing would be sent".to_owned());
        }
        Ok(Self(weights))
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = Kind::ALL.into_iter().zip(self.0).map(|(kind, weight)| format!("{}={weight}", kind.name())).collect();
        f.write_str(&parts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Mix};

    #[test]
    fn a_mix_is_read_whole_or_refused_with_what_is_wrong() {
        let cases = [
            // text, weights or part of the reason, what the row shows
            ("good=1", Ok([1, 0, 0, 0, 0]), "kinds that are not named are not sent"),
            (" good = 90 , forged=10 ", Ok([90, 0, 10, 0, 0]), "spaces are no matter"),
            ("good=1,expired=2,forged=3,replayed=4,absent=1000", Ok([1, 2, 3, 4, 1000]), "all of them, up to the largest weight"),
            ("good=1001", Err("up to 1000"), "one more"),
            ("good=-1", Err("whole number"), "less than nothing"),
            ("good", Err("no weight"), "no weight"),
            ("bad=1", Err("no kind `bad`"), "no such kind"),
            ("good=1,good=2", Err("named twice"), "twice"),
            ("good=0", Err("nothing would be sent"), "nothing"),
            ("", Err("no weight"), "no text"),
        ];
        for (text, expected, shows) in cases {
            match (text.parse::<Mix>(), expected) {
                (Ok(mix), Ok(weights)) => assert_eq!(Kind::ALL.map(|kind| mix.weight(kind)), weights, "{shows}"),
                (Err(why), Err(part)) => assert!(why.contains(part), "{shows}: {why}"),
                (other, _) => panic!("{shows}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_mix_reads_as_it_is_written() {
        let mix = Mix::default();
        assert_eq!(mix.to_string().parse(), Ok(mix));
    }
}
