//! What a synchronous stage may still need to know, and what has been learnt so far.
//!
//! A stage never fetches. It returns [`Step::Need`]; `gate::settle` fetches once and takes the step
//! again with the answer in [`Facts`].

use std::any::Any;
use std::sync::Arc;

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

/// What has been fetched for this request so far. Grows; nothing is ever removed or replaced.
#[derive(Debug, Default)]
pub struct Facts {
    body: Option<Bytes>,
    answers: Vec<(Question, Answer)>,
    renewals: Vec<(Renewing, Result<Arc<Renewed>, RenewalFailure>)>,
}

impl Facts {
    /// The body, once it has been read.
    #[must_use]
    pub fn body(&self) -> Option<&Bytes> {
        self.body.as_ref()
    }

    /// The answer to `question`, if it was asked and is of type `T`.
    #[must_use]
    pub fn answer<T: Any + Send + Sync>(&self, question: &Question) -> Option<&T> {
        self.answers.iter().find(|(asked, _)| asked == question).and_then(|(_, answer)| answer.downcast_ref::<T>())
    }

    /// Whether `need` has been met already. Meeting it twice would change nothing.
    #[must_use]
    pub fn holds(&self, need: &Need) -> bool {
        match need {
            Need::Body => self.body.is_some(),
            Need::Ask(question) => self.answers.iter().any(|(asked, _)| asked == question),
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
