//! Pairs that clients hold themselves: one refresh for each expiry, however many clients share an account.

use countersign::demo::systems::telematics::Trouble;
use countersign::domain::Timestamp;

use crate::support::raw::Answer;
use crate::support::whole::NOW;
use crate::telematics::{LIFE, Stage, USER, handed, told};

/// A client with a copy of the pair, which it replaces by what it is handed.
struct Phone {
    pair: (String, String),
}

impl Phone {
    async fn ask(&mut self, stage: &Stage) -> Answer {
        let answer = stage.with_pair("phones.example", "/trips", &self.pair).await;
        if let Some(fresh) = handed(&answer) {
            self.pair = fresh;
        }
        answer
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_of_one_account_do_not_knock_each_other_out() {
    let stage = Stage::start().await;
    let pair = stage.vendor.pair(USER, Timestamp(NOW)).unwrap();
    let (mut first, mut second) = (Phone { pair: pair.clone() }, Phone { pair });
    let mut now = NOW;
    for expiry in 0..=20 {
        stage.at(now);
        // At the same moment, or one somewhat later, with the pair that has been spent meanwhile.
        let answers = if expiry % 2 == 0 {
            tokio::join!(first.ask(&stage), second.ask(&stage))
        } else {
            let early = first.ask(&stage).await;
            stage.at(now + 20);
            (early, second.ask(&stage).await)
        };
        for answer in [&answers.0, &answers.1] {
            assert_eq!(answer.status, 200, "expiry {expiry}: {answer:?} {}", stage.whole.written());
            assert!(answer.text().contains(USER), "the vendor's own answer");
        }
        assert_eq!(first.pair, second.pair, "M2 both have the same pair");
        let asked = stage.vendor.asked();
        assert_eq!((asked.refreshed, asked.refused, asked.logins), (expiry, 0, 0), "M1 one refresh for each expiry, and never a login");
        now += i64::from(LIFE) + 60;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_fails_ends_the_pair_or_does_not() {
    let rows = [
        (Trouble::RefreshFails(400), 401, "M9 a 400 ends it: the client is told to log in"),
        (Trouble::RefreshFails(401), 401, "so does a 401"),
        (Trouble::RefreshFails(429), 503, "a 429 does not"),
        (Trouble::RefreshFails(503), 503, "nor a 503"),
    ];
    for (trouble, during, shows) in rows {
        let stage = Stage::start().await;
        let mut phone = Phone { pair: stage.vendor.pair(USER, Timestamp(NOW)).unwrap() };
        stage.at(NOW + i64::from(LIFE) + 60);
        stage.vendor.trouble(trouble);
        let answer = phone.ask(&stage).await;
        assert_eq!(answer.status, during, "{shows}: {answer:?}");
        assert_eq!(told(&answer).1, i64::from(during), "{shows}: in the vendor's words");
        assert_eq!(answer.field("retry-after").is_some(), during == 503, "{shows}");
        stage.vendor.trouble(Trouble::None);
        stage.at(NOW + i64::from(LIFE) + 180);
        if during == 503 {
            assert_eq!(phone.ask(&stage).await.status, 200, "{shows}: the same pair is renewed once the vendor can");
        }
        assert_eq!(stage.vendor.asked().logins, 0, "{shows}: never by a login");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_whose_answer_is_lost_is_not_repeated() {
    let stage = Stage::start().await;
    let mut phone = Phone { pair: stage.vendor.pair(USER, Timestamp(NOW)).unwrap() };
    stage.at(NOW + i64::from(LIFE) + 60);
    stage.vendor.trouble(Trouble::RefreshLost);
    for _ in 0..3 {
        assert_eq!(phone.ask(&stage).await.status, 401);
    }
    let asked = stage.vendor.asked();
    assert_eq!((asked.refreshed, asked.refused), (1, 0), "the pair may be spent, and is not spent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_401_of_the_vendor_is_renewed_and_asked_once_more() {
    let stage = Stage::start().await;
    let mut phone = Phone { pair: stage.vendor.pair(USER, Timestamp(NOW)).unwrap() };
    // To the vendor the token has ended, to the proxy it has not.
    stage.vendor.end_access(USER);
    let answer = phone.ask(&stage).await;
    assert_eq!(answer.status, 200, "{answer:?} {}", stage.whole.written());
    let asked = stage.vendor.asked();
    assert_eq!((asked.refreshed, asked.data, asked.logins), (1, 2, 0), "one refresh, one repetition");
}
