//! The only place where a request waits.
//!
//! A synchronous step says what it lacks; this fetches it, once, and takes the step again. Five rounds are the limit and one
//! deadline covers them all, so a hostile credential buys a bounded number of look-ups and no loop.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::domain::{Answer, Facts, Need, Outage, Question, Refusal, RenewalFailure, Renewed, Renewing, Seconds, Step};

/// How many distinct facts a request may ask for.
const ROUNDS: usize = 5;

/// How long a request may wait for all its facts together. Below the patience of most clients, above that of every desk.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long it may wait for all its renewals together. A credential that is still good is used when they take longer, so there
/// must be time left to judge by that.
const RENEWING: Duration = Duration::from_secs(8);

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
/// twice, the rounds are used up, or the deadline has passed.
pub async fn settle<T>(supplier: &mut dyn Supplier, facts: &mut Facts, mut step: impl FnMut(&Facts) -> Step<T> + Send) -> Result<T, Refusal>
where
    T: Send,
{
    // The common case never touches a timer.
    let first = match step(facts) {
        Step::Done(value) => return Ok(value),
        Step::Refuse(refusal) => return Err(refusal),
        Step::Need(need) => need,
    };
    let patience = tokio::time::Instant::now() + RENEWING;
    let rounds = async {
        let mut need = first;
        for _ in 0..ROUNDS {
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
                    let outcome = tokio::time::timeout_at(patience, supplier.renew(renewing)).await;
                    let outcome = outcome.unwrap_or(Err(RenewalFailure::Pending { retry_after: SOON }));
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
    tokio::time::timeout(DEADLINE, rounds).await.unwrap_or_else(|_elapsed| Err(Outage::Other.refusal()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Supplier, settle};
    use crate::domain::{
        Answer, DeskId, Facts, Identity, Need, Outage, Question, Reason, RenewalFailure, Renewed, Renewing, Seconds, Secret, Spent,
        SpentKey, Step, Value,
    };

    /// Answers every question with the number of times it was asked, and counts.
    #[derive(Default)]
    struct Counting {
        asked: usize,
        down: bool,
    }

    #[async_trait::async_trait]
    impl Supplier for Counting {
        async fn body(&mut self) -> Result<bytes::Bytes, Outage> {
            self.asked += 1;
            Err(Outage::BodyTooLarge)
        }

        async fn ask(&mut self, _question: &Question) -> Result<Answer, Outage> {
            self.asked += 1;
            if self.down { Err(Outage::Keys) } else { Ok(Arc::new(self.asked)) }
        }

        async fn renew(&mut self, _renewing: &Renewing) -> Result<Arc<Renewed>, RenewalFailure> {
            self.asked += 1;
            Err(RenewalFailure::Fatal)
        }
    }

    fn question(about: usize) -> Question {
        Question { desk: DeskId(0), about: about.to_string().into() }
    }

    /// An issuer that never answers.
    struct Endless;

    #[async_trait::async_trait]
    impl Supplier for Endless {
        async fn body(&mut self) -> Result<bytes::Bytes, Outage> {
            Err(Outage::Other)
        }

        async fn ask(&mut self, _question: &Question) -> Result<Answer, Outage> {
            std::future::pending().await
        }

        async fn renew(&mut self, _renewing: &Renewing) -> Result<Arc<Renewed>, RenewalFailure> {
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_that_takes_too_long_leaves_time_to_judge_without_it() {
        let mut supplier = Endless;
        let renewing = |authenticator| Need::Renew(renewal_of(authenticator));
        // One after the other, as `all` asks for them.
        let judged = settle(&mut supplier, &mut Facts::default(), |facts| match (facts.renewal(0), facts.renewal(1)) {
            (None, _) => Step::Need(renewing(0)),
            (_, None) => Step::Need(renewing(1)),
            (Some((_, first)), Some((_, second))) => Step::Done((*first.as_ref().unwrap_err(), *second.as_ref().unwrap_err())),
        })
        .await;
        let pending = RenewalFailure::Pending { retry_after: Seconds(2) };
        assert_eq!(judged.unwrap(), (pending, pending), "what is still good can be used");

        let stuck = settle::<()>(&mut supplier, &mut Facts::default(), |_| Step::Need(Need::Ask(question(1)))).await;
        assert_eq!(stuck.unwrap_err().reason(), Reason::Undecidable, "anything else that hangs is undecidable");
    }

    fn renewal_of(authenticator: usize) -> Renewing {
        let identity = Identity {
            subject: "anna".into(),
            issuer: "i".into(),
            scopes: Box::default(),
            claims: Value::empty(),
            expires: None,
            not_before: None,
            scheme: "jwt",
            authenticator: "user".into(),
            burn: None,
            also: Vec::new(),
        };
        let spent = Spent { refresh: Secret::new(vec![1]), access: Secret::new(vec![2]), identity: Arc::new(identity) };
        Renewing { authenticator, key: SpentKey([1; 32]), spent: Arc::new(spent) }
    }

    #[tokio::test]
    async fn each_fact_is_fetched_once_and_a_loop_ends_undecided() {
        let mut supplier = Counting::default();
        let answered = settle(&mut supplier, &mut Facts::default(), |facts| match facts.answer::<usize>(&question(7)) {
            Some(count) => Step::Done(*count),
            None => Step::Need(Need::Ask(question(7))),
        })
        .await;
        assert_eq!(answered.ok(), Some(1), "a fact that was fetched is there in the next round");

        let mut supplier = Counting::default();
        let stuck = settle::<()>(&mut supplier, &mut Facts::default(), |_| Step::Need(Need::Ask(question(7)))).await;
        assert_eq!(stuck.unwrap_err().reason(), Reason::Undecidable, "the same fact missing twice is undecidable");
        assert_eq!(supplier.asked, 1, "and it was asked for once");

        let mut supplier = Counting::default();
        let mut round = 0;
        let endless = settle::<()>(&mut supplier, &mut Facts::default(), |_| {
            round += 1;
            Step::Need(Need::Ask(question(round)))
        })
        .await;
        assert_eq!(endless.unwrap_err().reason(), Reason::Undecidable, "a step that always wants more is undecidable");
        assert_eq!(supplier.asked, 5, "five rounds are the limit");

        let mut supplier = Counting { down: true, ..Counting::default() };
        let outage = settle::<()>(&mut supplier, &mut Facts::default(), |_| Step::Need(Need::Ask(question(7)))).await;
        assert_eq!(outage.unwrap_err().reason(), Reason::KeysUnavailable, "an outage refuses, by its own name");

        let mut supplier = Counting::default();
        let large = settle::<()>(&mut supplier, &mut Facts::default(), |_| Step::Need(Need::Body)).await;
        assert_eq!(large.unwrap_err().reason(), Reason::BodyTooLarge, "a body past the bound is its own refusal");
    }
}
