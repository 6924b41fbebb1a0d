//! The only place where a request waits.
//!
//! A synchronous step says what it lacks; this fetches it, once, and takes the step again. Five rounds are the limit and one
//! deadline covers them all, so a hostile credential buys a bounded number of look-ups and no loop.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use crate::domain::{Answer, Facts, Need, Outage, Question, Refusal, RenewalFailure, Renewed, Renewing, Seconds, Step};

/// How many distinct facts a request may ask for, at all its stages together.
const ROUNDS: usize = 5;

/// How long a request may wait for all its facts together. Below the patience of most clients, above that of every desk.
const DEADLINE: Duration = Duration::from_secs(10);

/// What of that must be left when its renewals are no longer waited for: a credential that is still good is then judged by.
const TO_JUDGE: Duration = Duration::from_secs(2);

/// What is left of the patience with one visit, over all its stages. It begins to run out when something is first waited for.
#[derive(Debug)]
pub struct Patience {
    until: Option<Instant>,
    rounds: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Self { until: None, rounds: ROUNDS }
    }
}

impl Patience {
    /// When it is over.
    fn end(&mut self) -> Instant {
        *self.until.get_or_insert_with(|| tokio::time::sleep(DEADLINE).deadline())
    }

    /// Takes one round; false when none is left.
    fn take(&mut self) -> bool {
        let left = self.rounds.checked_sub(1);
        self.rounds = left.unwrap_or_default();
        left.is_some()
    }
}

/// Fetches what a step lacks.
#[async_trait]
pub trait Supplier: Send {
    /// Reads the body.
    ///
    /// # Errors
    ///
    /// [`Outage`] when there is none to be had.
    async fn body(&mut self) -> Result<Bytes, Outage>;

    /// Asks a desk.
    ///
    /// # Errors
    ///
    /// [`Outage`] when it has no answer.
    async fn ask(&mut self, question: &Question) -> Result<Answer, Outage>;

    /// Renews. A failure is an answer too: whether it refuses the request is for the step to say.
    async fn renew(&mut self, renewing: &Renewing) -> Result<Arc<Renewed>, RenewalFailure>;
}

/// Takes `step`; while a fact is missing, fetches it and takes the step again.
///
/// # Errors
///
/// The step's own refusal; or the one that follows from an outage; or [`Refusal::Undecidable`] when the same fact is missing
/// twice, or `patience` is over.
pub async fn settle<T>(
    supplier: &mut dyn Supplier,
    facts: &mut Facts,
    patience: &mut Patience,
    mut step: impl FnMut(&Facts) -> Step<T> + Send,
) -> Result<T, Refusal>
where
    T: Send,
{
    // The common case never touches a timer.
    let first = match step(facts) {
        Step::Done(value) => return Ok(value),
        Step::Refuse(refusal) => return Err(refusal),
        Step::Need(need) => need,
    };
    let end = patience.end();
    let rounds = async {
        let mut renewing_ends = std::pin::pin!(tokio::time::sleep_until(end.checked_sub(TO_JUDGE).unwrap_or(end)));
        let mut need = first;
        while patience.take() {
            if facts.holds(&need) {
                break;
            }
            match &need {
                Need::Body => {
                    let body = supplier.body().await.map_err(Outage::refusal)?;
                    facts.add_body(body);
                }
                Need::Ask(question) => {
                    let answer = supplier.ask(question).await.map_err(Outage::refusal)?;
                    facts.add_answer(question.clone(), answer);
                }
                Need::Renew(renewing) => {
                    const SOON: Seconds = Seconds(2);
                    let outcome = tokio::select! {
                        biased;
                        outcome = supplier.renew(renewing) => outcome,
                        () = renewing_ends.as_mut() => Err(RenewalFailure::Pending { retry_after: SOON }),
                    };
                    facts.add_renewal(renewing.clone(), outcome);
                }
            }
            match step(facts) {
                Step::Done(value) => return Ok(value),
                Step::Refuse(refusal) => return Err(refusal),
                Step::Need(next) => need = next,
            }
        }
        Err(Outage::Other.refusal())
    };
    tokio::time::timeout_at(end, rounds).await.unwrap_or_else(|_elapsed| Err(Outage::Other.refusal()))
}

#[cfg(test)]
mod tests;
