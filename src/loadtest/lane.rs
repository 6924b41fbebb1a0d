//! What is sent, in which order, and what must come of it.
//!
//! A lane is one rule reached with one kind of credential holder (an authenticator, or several where the rule asks for all of
//! them). Its arms are the kinds of credential that are presented there. The deck is the order in which arms take turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use parking_lot::Mutex;

use crate::domain::{Seconds, Timestamp};
use crate::loadtest::mix::Kind;

/// A request that is ready to be sent.
pub type Shot = Request<Full<Bytes>>;

/// What must come of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It reaches the upstream.
    Passes,
    /// It does not, and the answer says so: no fault of a server, no "come back later".
    Refused,
    /// The proxy itself answers, and grants what was asked for.
    Served,
    /// The proxy itself answers, and grants nothing.
    Unserved,
    /// It is answered with this status, whoever answers.
    Status(u16),
}

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Whether the upstream has answered; `None` where nothing tells.
    pub forwarded: Option<bool>,
}

/// How an answer compares with what must come of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// As it must be.
    Right,
    /// It must be refused and was let through: the worst there is.
    LetThrough,
    /// It must pass and was refused, or was answered with another status than the one named.
    Wrong,
    /// Nobody decided: overload, a missing key or store, a fault of the upstream.
    Undecided,
    /// No answer: refused, reset or late.
    Failed,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 5] = [Self::Right, Self::LetThrough, Self::Wrong, Self::Undecided, Self::Failed];

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::LetThrough => "let_through",
            Self::Wrong => "wrong",
            Self::Undecided => "undecided",
            Self::Failed => "failed",
        }
    }
}

impl Expected {
    /// Compares.
    #[must_use]
    pub fn compare(self, answer: Answer) -> Outcome {
        let undecided = answer.status == 429 || 500 <= answer.status;
        // Without word from the upstream the status must do: what is neither a fault nor a refusal went through.
        let forwarded = answer.forwarded.unwrap_or(answer.status < 400);
        match self {
            Self::Status(status) if status == answer.status => Outcome::Right,
            // Whoever expects a refusal by its status expects that nothing goes through.
            Self::Status(status) if 400 <= status && forwarded => Outcome::LetThrough,
            Self::Refused if forwarded => Outcome::LetThrough,
            // Nobody but the proxy has answered, so its word is all there is.
            Self::Unserved if forwarded || answer.status < 400 => Outcome::LetThrough,
            Self::Passes if forwarded && answer.status < 400 => Outcome::Right,
            Self::Served if answer.forwarded != Some(true) && answer.status < 400 => Outcome::Right,
            Self::Passes | Self::Refused | Self::Served | Self::Unserved | Self::Status(_) if undecided => Outcome::Undecided,
            Self::Refused | Self::Unserved => Outcome::Right,
            Self::Passes | Self::Served | Self::Status(_) => Outcome::Wrong,
        }
    }
}

/// Makes requests.
pub trait Maker: Send + Sync {
    /// The request of caller `number`, made at `now`.
    ///
    /// # Errors
    ///
    /// A sentence: it could not be made.
    fn make(&self, number: u64, now: Timestamp) -> Result<Shot, String>;
}

/// How long what a [`Maker`] makes may be presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// Once.
    Once,
    /// As often as wanted, for so long.
    For(Seconds),
}

/// Requests of one arm, drawn one by one.
pub struct Supply {
    maker: Box<dyn Maker>,
    lasting: Lasting,
    slots: Vec<Mutex<Option<Held>>>,
    drawn: AtomicU64,
}

struct Held {
    made: Timestamp,
    shot: Shot,
    used: bool,
}

/// A request drawn from a [`Supply`].
pub struct Drawn {
    /// To be sent.
    pub shot: Shot,
    /// Whose it is.
    pub number: u64,
    /// Whether its credential is presented for the first time.
    pub first: bool,
}

impl Supply {
    /// The most distinct callers.
    pub const MOST: usize = 100_000;

    /// Requests of `callers` callers who take turns.
    #[must_use]
    pub fn new(maker: Box<dyn Maker>, lasting: Lasting, callers: usize) -> Self {
        let slots = match lasting {
            Lasting::Once => 0,
            Lasting::For(_) => callers.clamp(1, Self::MOST),
        };
        Self { maker, lasting, slots: (0..slots).map(|_| Mutex::new(None)).collect(), drawn: AtomicU64::new(0) }
    }

    /// Makes beforehand what is presented more than once.
    ///
    /// # Errors
    ///
    /// A request could not be made.
    pub fn prepare(&self, now: Timestamp) -> Result<(), String> {
        for (slot, number) in self.slots.iter().zip(0..) {
            *slot.lock() = Some(Held { made: now, shot: self.maker.make(number, now)?, used: false });
        }
        Ok(())
    }

    /// Distinct callers who take turns; 1 where each request is another's.
    #[must_use]
    pub fn callers(&self) -> usize {
        self.slots.len().max(1)
    }

    /// Forgets what was made; it is made anew when it is drawn.
    pub fn renew(&self) {
        for slot in &self.slots {
            *slot.lock() = None;
        }
    }

    /// The next request.
    ///
    /// # Errors
    ///
    /// It could not be made.
    pub fn draw(&self, now: Timestamp) -> Result<Drawn, String> {
        let turn = self.drawn.fetch_add(1, Ordering::Relaxed);
        let callers = u64::try_from(self.slots.len()).unwrap_or(u64::MAX);
        let Some(number) = turn.checked_rem(callers) else {
            return Ok(Drawn { shot: self.maker.make(turn, now)?, number: turn, first: true });
        };
        let Some(slot) = usize::try_from(number).ok().and_then(|number| self.slots.get(number)) else {
            return Err("there is no such caller".to_owned());
        };
        let mut slot = slot.lock();
        let life = match self.lasting {
            Lasting::Once => Seconds(0),
            Lasting::For(life) => life,
        };
        if let Some(held) = slot.as_mut().filter(|held| now.is_within(life, held.made)) {
            let first = !std::mem::replace(&mut held.used, true);
            return Ok(Drawn { shot: held.shot.clone(), number, first });
        }
        let shot = self.maker.make(number, now)?;
        *slot = Some(Held { made: now, shot: shot.clone(), used: true });
        Ok(Drawn { shot, number, first: true })
    }
}

/// Requests of one kind in a lane.
pub struct Arm {
    /// What is presented.
    pub kind: Kind,
    /// What must come of it.
    pub expected: Expected,
    /// How often, next to the others.
    pub weight: u32,
    /// The requests.
    pub supply: Supply,
}

/// One rule reached by one way of proving who is calling.
pub struct Lane {
    /// `rule · authenticator`, for reports.
    pub name: Arc<str>,
    /// The schemes of its authenticators.
    pub scheme: Arc<str>,
    /// What is presented there.
    pub arms: Vec<Arm>,
}

/// The order in which arms take turns: each as often as its weight says, spread as evenly as can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deck(Vec<(usize, usize)>);

impl Deck {
    /// The most turns before it begins again.
    const MOST: usize = 20_000;

    /// The order for `lanes`; `None` when nothing has any weight.
    #[must_use]
    pub fn of(lanes: &[Lane]) -> Option<Self> {
        let arms = lanes.iter().enumerate().flat_map(|(lane, held)| {
            held.arms.iter().enumerate().map(move |(arm, held)| ((lane, arm), i64::from(held.weight))).filter(|(_, weight)| 0 < *weight)
        });
        Self::dealt(&arms.collect::<Vec<_>>())
    }

    fn dealt(arms: &[((usize, usize), i64)]) -> Option<Self> {
        let common = arms.iter().map(|(_, weight)| *weight).reduce(greatest_common_divisor)?;
        let weights: Vec<i64> = arms.iter().map(|(_, weight)| weight / common.max(1)).collect();
        let total: i64 = weights.iter().sum();
        // Smooth weighted round robin: whoever has waited longest for its share is next.
        let mut credit = vec![0_i64; arms.len()];
        let turns = usize::try_from(total).unwrap_or(Self::MOST).min(Self::MOST);
        let mut order = Vec::with_capacity(turns);
        for _ in 0..turns {
            credit.iter_mut().zip(&weights).for_each(|(credit, weight)| *credit += weight);
            let ((turn, _), credit) = arms.iter().zip(credit.iter_mut()).max_by_key(|(_, credit)| **credit)?;
            *credit -= total;
            order.push(*turn);
        }
        Some(Self(order))
    }

    /// Whose turn number `turn` is: a lane and an arm of it.
    #[must_use]
    pub fn turn(&self, turn: u64) -> Option<(usize, usize)> {
        let length = u64::try_from(self.0.len()).ok()?;
        self.0.get(usize::try_from(turn.checked_rem(length)?).ok()?).copied()
    }
}

fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests;
