//! How much load, and for how long. Everything has a bound, and the bounds are checked before anything is sent.

use std::str::FromStr;
use std::time::Duration;

/// How requests follow one another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Each connection sends its next request when the answer to the last is there: full speed.
    Closed,
    /// So many requests a second, whatever comes of them. Latency counts from the moment a request was due, so that a proxy
    /// that stands still is charged for everything that waited meanwhile (no coordinated omission).
    Open {
        /// Requests a second, those without a credential included.
        rate: f64,
    },
}

/// A load.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadPlan {
    /// How requests follow one another.
    pub pace: Pace,
    /// Connections, each with one request at a time.
    pub connections: usize,
    /// How long it lasts.
    pub duration: Duration,
    /// Requests at most, whichever end comes first.
    pub requests: u64,
    /// How long requests without a credential are sent beforehand, unmeasured.
    pub warmup: Duration,
    /// How long one answer may take.
    pub timeout: Duration,
    /// Whether every other request goes without a credential, for comparison.
    pub compare: bool,
}

/// Which rate is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// So many requests a second.
    PerSecond(f64),
    /// Half of what the proxy can do at full speed, which is found out beforehand.
    Half,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "half" => Ok(Self::Half),
            number => number.parse().map(Self::PerSecond).map_err(|_| "write a number of requests a second, or `half`".to_owned()),
        }
    }
}

impl LoadPlan {
    /// The load at full speed that finds out at which rate this one saturates the proxy.
    #[must_use]
    pub fn saturating(&self) -> Self {
        let (shortest, longest) = (Duration::from_secs(2), Duration::from_secs(10));
        let duration = (self.duration / 4).clamp(shortest, longest);
        Self { pace: Pace::Closed, duration, requests: Self::MOST_REQUESTS, ..self.clone() }
    }

    /// This one at half of `saturation`, a number of requests a second. It is warm already.
    #[must_use]
    pub fn halved(&self, saturation: f64) -> Self {
        Self { pace: Pace::Open { rate: saturation / 2.0 }, warmup: Duration::ZERO, ..self.clone() }
    }

    /// The longest load.
    pub const LONGEST: Duration = Duration::from_secs(3_600);
    /// The most connections.
    pub const MOST_CONNECTIONS: usize = 1_000;
    /// The highest rate, in requests a second.
    pub const MOST_RATE: f64 = 1_000_000.0;
    /// The most requests.
    pub const MOST_REQUESTS: u64 = 100_000_000;

    /// What is out of bounds, if anything.
    ///
    /// # Errors
    ///
    /// A sentence that says what would be right.
    pub fn check(&self) -> Result<(), String> {
        if self.duration.is_zero() || Self::LONGEST < self.duration {
            return Err(format!("a load lasts from 1s to {}s", Self::LONGEST.as_secs()));
        }
        if Self::LONGEST < self.warmup {
            return Err(format!("the warm-up lasts {}s at most", Self::LONGEST.as_secs()));
        }
        if self.connections == 0 || Self::MOST_CONNECTIONS < self.connections {
            return Err(format!("1 to {} connections, please", Self::MOST_CONNECTIONS));
        }
        if self.requests == 0 || Self::MOST_REQUESTS < self.requests {
            return Err(format!("1 to {} requests, please", Self::MOST_REQUESTS));
        }
        match self.pace {
            Pace::Open { rate } if !(0.0 < rate && rate <= Self::MOST_RATE) => {
                Err(format!("a rate is more than 0 and at most {} requests a second", Self::MOST_RATE))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{LoadPlan, Pace, Rate};

    #[test]
    fn a_rate_is_a_number_or_half_of_what_can_be_done() {
        let cases = [("5000", Some(Rate::PerSecond(5_000.0))), ("half", Some(Rate::Half)), ("Half", None), ("most", None), ("", None)];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Rate>().ok(), expected, "`{text}`");
        }
    }

    #[test]
    fn saturation_is_sought_at_full_speed_and_for_a_part_of_the_time() {
        let plan = |seconds| LoadPlan {
            pace: Pace::Closed,
            connections: 8,
            duration: Duration::from_secs(seconds),
            requests: 100,
            warmup: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            compare: true,
        };
        for (seconds, sought) in [(1, 2), (8, 2), (20, 5), (40, 10), (3_600, 10)] {
            let seeking = plan(seconds).saturating();
            assert_eq!((seeking.pace, seeking.duration.as_secs()), (Pace::Closed, sought), "of {seconds} s");
            assert_eq!(
                (seeking.requests, seeking.connections, seeking.compare),
                (LoadPlan::MOST_REQUESTS, 8, true),
                "bounded by time alone"
            );
        }
        let half = plan(20).halved(9_001.0);
        assert_eq!((half.pace, half.warmup, half.requests), (Pace::Open { rate: 4_500.5 }, Duration::ZERO, 100));
    }

    #[test]
    fn every_bound_holds_on_both_sides() {
        let sound = LoadPlan {
            pace: Pace::Closed,
            connections: 1,
            duration: Duration::from_secs(1),
            requests: 1,
            warmup: Duration::ZERO,
            timeout: Duration::from_secs(1),
            compare: true,
        };
        let open = |rate| Pace::Open { rate };
        let cases = [
            (sound.clone(), true, "the least"),
            (LoadPlan { connections: 1_000, requests: 100_000_000, duration: LoadPlan::LONGEST, ..sound.clone() }, true, "the most"),
            (LoadPlan { connections: 0, ..sound.clone() }, false, "no connection"),
            (LoadPlan { connections: 1_001, ..sound.clone() }, false, "one connection more"),
            (LoadPlan { duration: Duration::ZERO, ..sound.clone() }, false, "no time"),
            (LoadPlan { duration: LoadPlan::LONGEST + Duration::from_secs(1), ..sound.clone() }, false, "a second more"),
            (LoadPlan { requests: 0, ..sound.clone() }, false, "no request"),
            (LoadPlan { requests: 100_000_001, ..sound.clone() }, false, "one request more"),
            (LoadPlan { warmup: LoadPlan::LONGEST * 2, ..sound.clone() }, false, "a warm-up without end"),
            (LoadPlan { pace: open(0.1), ..sound.clone() }, true, "one in ten seconds"),
            (LoadPlan { pace: open(0.0), ..sound.clone() }, false, "a rate of nothing"),
            (LoadPlan { pace: open(f64::NAN), ..sound.clone() }, false, "a rate that is no number"),
            (LoadPlan { pace: open(1_000_001.0), ..sound }, false, "a rate beyond the bound"),
        ];
        for (plan, fine, shows) in cases {
            assert_eq!(plan.check().is_ok(), fine, "{shows}");
        }
    }
}
