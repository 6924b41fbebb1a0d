//! What a synchronous stage may still need to know, and what has been learnt so far.
//!
//! A stage never fetches. It returns [`Step::Need`]; `gate::settle` fetches once and takes the step
//! again with the answer in [`Facts`].

use std::any::Any;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::domain::refusal::Refusal;
use crate::domain::renewal::{RenewalFailure, Renewed, Spent, SpentKey};
use crate::domain::time::Seconds;

/// The outcome of one synchronous step.
#[derive(Debug)]
pub enum Step<T> {
    /// It is decided, well.
    Done(T),
    /// It cannot be decided without this.
    Need(Need),
    /// It is decided, and the answer is no.
    Refuse(Refusal),
}

impl<T> Step<T> {
    /// Applies `change` to a finished step.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Step<U> {
        match self {
            Self::Done(value) => Step::Done(change(value)),
            Self::Need(need) => Step::Need(need),
            Self::Refuse(refusal) => Step::Refuse(refusal),
        }
    }
}

/// A fact that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// The request body, up to the bound for judged bodies (64 KiB).
    Body,
    /// An answer from one of the desks that were set up with the gate.
    Ask(Question),
    /// A fresh pair for a credential whose end has come.
    Renew(Renewing),
}

/// A renewal that is asked for. Two are equal when they would spend the same credential at the same authenticator.
#[derive(Debug, Clone)]
pub struct Renewing {
    /// Whose credential it is: its number among the gate's authenticators.
    pub authenticator: usize,
    /// Names what is spent.
    pub key: SpentKey,
    /// What is spent.
    pub spent: Arc<Spent>,
}

impl PartialEq for Renewing {
    fn eq(&self, other: &Self) -> bool {
        (self.authenticator, self.key) == (other.authenticator, other.key)
    }
}

impl Eq for Renewing {}

/// A question to one desk: a key id to look up again, an opaque token to introspect.
#[derive(Clone, PartialEq, Eq)]
pub struct Question {
    /// Which desk answers.
    pub desk: DeskId,
    /// What about. May be a credential, so it is never printed.
    pub about: Arc<str>,
}

impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Question({:?}, {} bytes)", self.desk, self.about.len())
    }
}

/// Names a desk: the position at which `assembly` registered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeskId(pub u16);

/// An answer; its concrete type is agreed between the desk and the one who asks.
pub type Answer = Arc<dyn Any + Send + Sync>;

/// Why a fact could not be had. The request is refused as undecided, never let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// No usable key set.
    Keys,
    /// The state store did not answer.
    State,
    /// Something else that the verdict depends on did not answer in time.
    Other,
    /// The body is larger than a judged body may be.
    BodyTooLarge,
    /// The client did not deliver its body in time, or broke off.
    BodyUnread,
}

impl Outage {
    /// The refusal that follows from the outage.
    #[must_use]
    pub fn refusal(self) -> Refusal {
        const RETRY: Seconds = Seconds(5);
        match self {
            Self::Keys => Refusal::KeysUnavailable { retry_after: RETRY },
            Self::State => Refusal::StateUnavailable { retry_after: RETRY },
            Self::Other => Refusal::Undecidable { retry_after: RETRY },
            Self::BodyTooLarge => Refusal::BodyTooLarge,
            Self::BodyUnread => Refusal::HeadMalformed,
        }
    }
}

/// What has been fetched for this request so far, and what its steps had at hand. Grows; nothing is ever removed or replaced, so
/// that whoever asks twice in one judgement is told the same twice.
#[derive(Debug, Default)]
pub struct Facts {
    body: Option<Bytes>,
    answers: Vec<(Question, Answer)>,
    /// The first of what steps had at hand. A list, so that a step can add to it while it holds what stands there.
    pinned: OnceLock<Box<Pin>>,
    renewals: Vec<(Renewing, Result<Arc<Renewed>, RenewalFailure>)>,
}

/// An answer that a step had at hand, and the one that was added after it.
#[derive(Debug)]
struct Pin {
    question: Question,
    answer: Answer,
    next: OnceLock<Box<Pin>>,
}

impl Facts {
    /// The body, once it has been read.
    #[must_use]
    pub fn body(&self) -> Option<&Bytes> {
        self.body.as_ref()
    }

    /// The answer to `question`, if it was asked or pinned and is of type `T`.
    #[must_use]
    pub fn answer<T: Any + Send + Sync>(&self, question: &Question) -> Option<&T> {
        self.answer_to(question).and_then(|answer| answer.downcast_ref::<T>())
    }

    fn answer_to(&self, question: &Question) -> Option<&Answer> {
        let asked = self.answers.iter().map(|(asked, answer)| (asked, answer));
        let pinned = std::iter::successors(self.pinned.get(), |pin| pin.next.get()).map(|pin| (&pin.question, &pin.answer));
        asked.chain(pinned).find(|(asked, _)| *asked == question).map(|(_, answer)| answer)
    }

    /// Holds on to an `answer` that a step had at hand without asking, so that no later step of this judgement finds another one there.
    /// What `question` was answered with before stays its answer.
    pub fn pin(&self, question: Question, answer: Answer) {
        if self.answer_to(&question).is_some() {
            return;
        }
        let mut pin = Box::new(Pin { question, answer, next: OnceLock::new() });
        let mut place = &self.pinned;
        loop {
            match place.get() {
                Some(before) => place = &before.next,
                None => match place.set(pin) {
                    Ok(()) => return,
                    Err(back) => pin = back,
                },
            }
        }
    }

    /// Whether `need` has been met already. Meeting it twice would change nothing.
    #[must_use]
    pub fn holds(&self, need: &Need) -> bool {
        match need {
            Need::Body => self.body.is_some(),
            Need::Ask(question) => self.answer_to(question).is_some(),
            Need::Renew(renewing) => self.renewals.iter().any(|(asked, _)| asked == renewing),
        }
    }

    /// What the renewal of `authenticator`'s credential came to, if one was asked for.
    #[must_use]
    pub fn renewal(&self, authenticator: usize) -> Option<(&Renewing, &Result<Arc<Renewed>, RenewalFailure>)> {
        self.renewals.iter().find(|(asked, _)| asked.authenticator == authenticator).map(|(asked, outcome)| (asked, outcome))
    }

    /// Whether an issuer's answer to a renewal was lost: what the client brought may have been as good as any.
    #[must_use]
    pub fn lost_a_renewal(&self) -> bool {
        self.renewals.iter().any(|(_, outcome)| matches!(outcome, Err(RenewalFailure::Unknown)))
    }

    /// Records what a renewal came to.
    pub fn add_renewal(&mut self, renewing: Renewing, outcome: Result<Arc<Renewed>, RenewalFailure>) {
        self.renewals.push((renewing, outcome));
    }

    /// Records the body.
    pub fn add_body(&mut self, body: Bytes) {
        self.body.get_or_insert(body);
    }

    /// Records an answer.
    pub fn add_answer(&mut self, question: Question, answer: Answer) {
        self.answers.push((question, answer));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Answer, DeskId, Facts, Need, Question};

    fn about(about: &str) -> Question {
        Question { desk: DeskId(0), about: about.into() }
    }

    fn answer(number: u32) -> Answer {
        Arc::new(number)
    }

    #[test]
    fn a_question_has_the_answer_that_came_first() {
        let mut facts = Facts::default();
        facts.add_answer(about("asked"), answer(1));
        for (question, number) in [("asked", 2), ("pinned", 3), ("also", 4), ("pinned", 5), ("also", 6), ("last", 7)] {
            facts.pin(about(question), answer(number));
        }
        facts.add_answer(about("asked later"), answer(8));
        let rows = [
            ("asked", Some(1), "what was fetched stays"),
            ("pinned", Some(3), "what was at hand stays"),
            ("also", Some(4), "each of several"),
            ("last", Some(7), "to the last"),
            ("asked later", Some(8), "fetched after something was pinned"),
            ("other", None, "nobody knows"),
        ];
        for (question, expected, shows) in rows {
            assert_eq!(facts.answer::<u32>(&about(question)).copied(), expected, "{shows}");
            assert_eq!(facts.holds(&Need::Ask(about(question))), expected.is_some(), "{shows}");
        }
        assert_eq!(facts.answer::<u64>(&about("pinned")), None, "of another type");
        assert_eq!(facts.answer::<u32>(&Question { desk: DeskId(1), ..about("pinned") }), None, "another desk's");
    }
}
