//! What settling asks for, how often, and for how long.

use std::sync::Arc;
use std::time::Duration;

use super::{Patience, Supplier, settle};
use crate::domain::{
    Answer, Claims, DeskId, Facts, Identity, Need, Outage, Question, Reason, RenewalFailure, Renewed, Renewing, Seconds, Secret, Spent,
    SpentKey, Step,
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
    let judged =
        settle(&mut supplier, &mut Facts::default(), &mut Patience::default(), |facts| match (facts.renewal(0), facts.renewal(1)) {
            (None, _) => Step::Need(renewing(0)),
            (_, None) => Step::Need(renewing(1)),
            (Some((_, first)), Some((_, second))) => Step::Done((*first.as_ref().unwrap_err(), *second.as_ref().unwrap_err())),
        })
        .await;
    let pending = RenewalFailure::Pending { retry_after: Seconds(2) };
    assert_eq!(judged.unwrap(), (pending, pending), "what is still good can be used");

    let stuck = settle::<()>(&mut supplier, &mut Facts::default(), &mut Patience::default(), |_| Step::Need(Need::Ask(question(1)))).await;
    assert_eq!(stuck.unwrap_err().reason(), Reason::Undecidable, "anything else that hangs is undecidable");
}

fn renewal_of(authenticator: usize) -> Renewing {
    let identity = Identity {
        subject: "anna".into(),
        issuer: "i".into(),
        scopes: Box::default(),
        claims: Claims::empty(),
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

/// Takes its time for every answer.
struct Slow;

#[async_trait::async_trait]
impl Supplier for Slow {
    async fn body(&mut self) -> Result<bytes::Bytes, Outage> {
        tokio::time::sleep(Duration::from_secs(6)).await;
        Ok(bytes::Bytes::new())
    }

    async fn ask(&mut self, _question: &Question) -> Result<Answer, Outage> {
        tokio::time::sleep(Duration::from_secs(6)).await;
        Ok(Arc::new(1_usize))
    }

    async fn renew(&mut self, _renewing: &Renewing) -> Result<Arc<Renewed>, RenewalFailure> {
        Err(RenewalFailure::Fatal)
    }
}

#[tokio::test(start_paused = true)]
async fn one_deadline_covers_all_stages_of_a_visit() {
    let (mut facts, mut patience) = (Facts::default(), Patience::default());
    let asked = settle(&mut Slow, &mut facts, &mut patience, |facts| match facts.answer::<usize>(&question(1)) {
        Some(_) => Step::Done(()),
        None => Step::Need(Need::Ask(question(1))),
    })
    .await;
    assert_eq!(asked, Ok(()), "six seconds of ten");
    let read = |facts: &Facts| facts.body().map_or(Step::Need(Need::Body), |_| Step::Done(()));
    let late = settle(&mut Slow, &mut facts, &mut patience, read).await;
    assert_eq!(late.unwrap_err().reason(), Reason::Undecidable, "six more are too many, though the stage is another one");
    let fresh = settle(&mut Slow, &mut Facts::default(), &mut Patience::default(), read).await;
    assert_eq!(fresh, Ok(()), "another visit has its own");
}

#[tokio::test]
async fn the_rounds_of_all_stages_are_five() {
    let (mut supplier, mut facts, mut patience) = (Counting::default(), Facts::default(), Patience::default());
    for (about, expected) in [(1, true), (2, true), (3, true), (4, true), (5, true), (6, false)] {
        let asked = settle(&mut supplier, &mut facts, &mut patience, |facts| match facts.answer::<usize>(&question(about)) {
            Some(_) => Step::Done(()),
            None => Step::Need(Need::Ask(question(about))),
        });
        assert_eq!(asked.await.is_ok(), expected, "stage {about}, which asks for one fact more");
    }
    assert_eq!(supplier.asked, 5);
}

#[tokio::test]
async fn each_fact_is_fetched_once_and_a_loop_ends_undecided() {
    let mut supplier = Counting::default();
    let answered =
        settle(&mut supplier, &mut Facts::default(), &mut Patience::default(), |facts| match facts.answer::<usize>(&question(7)) {
            Some(count) => Step::Done(*count),
            None => Step::Need(Need::Ask(question(7))),
        })
        .await;
    assert_eq!(answered.ok(), Some(1), "a fact that was fetched is there in the next round");

    let mut supplier = Counting::default();
    let stuck = settle::<()>(&mut supplier, &mut Facts::default(), &mut Patience::default(), |_| Step::Need(Need::Ask(question(7)))).await;
    assert_eq!(stuck.unwrap_err().reason(), Reason::Undecidable, "the same fact missing twice is undecidable");
    assert_eq!(supplier.asked, 1, "and it was asked for once");

    let mut supplier = Counting::default();
    let mut round = 0;
    let endless = settle::<()>(&mut supplier, &mut Facts::default(), &mut Patience::default(), |_| {
        round += 1;
        Step::Need(Need::Ask(question(round)))
    })
    .await;
    assert_eq!(endless.unwrap_err().reason(), Reason::Undecidable, "a step that always wants more is undecidable");
    assert_eq!(supplier.asked, 5, "five rounds are the limit");

    let mut supplier = Counting { down: true, ..Counting::default() };
    let outage = settle::<()>(&mut supplier, &mut Facts::default(), &mut Patience::default(), |_| Step::Need(Need::Ask(question(7)))).await;
    assert_eq!(outage.unwrap_err().reason(), Reason::KeysUnavailable, "an outage refuses, by its own name");

    let mut supplier = Counting::default();
    let large = settle::<()>(&mut supplier, &mut Facts::default(), &mut Patience::default(), |_| Step::Need(Need::Body)).await;
    assert_eq!(large.unwrap_err().reason(), Reason::BodyTooLarge, "a body past the bound is its own refusal");
}
