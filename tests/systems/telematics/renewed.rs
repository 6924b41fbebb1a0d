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

/// The pair in a reply of `RefreshToken`, and whose it is.
fn given(answer: &Answer) -> ((String, String), Option<String>) {
    let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("no envelope: {answer:?}"));
    let text = |pointer: &str| said.pointer(pointer).and_then(serde_json::Value::as_str).map(str::to_owned);
    let pair = text("/Result/AccessToken/Token").zip(text("/Result/RefreshToken")).unwrap_or_else(|| panic!("no pair: {said}"));
    (pair, text("/Result/DeviceToken"))
}

/// A copy of the vendor's own client: on 401 it refreshes once by a call of its own, and repeats once.
struct OwnClient {
    pair: (String, String),
}

impl OwnClient {
    async fn refresh(&self, stage: &Stage, path: &str) -> Answer {
        let body = serde_json::json!({ "AccessToken": self.pair.0, "RefreshToken": self.pair.1 });
        stage.post(path, &[("Host", "phones.example"), ("InstanceId", "demo-instance")], &body).await
    }

    async fn data(&self, stage: &Stage) -> u16 {
        let bearer = format!("Bearer {}", self.pair.0);
        stage.whole.ask("GET", "/trips", &[("Host", "phones.example"), ("Authorization", &bearer)]).await.status
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_refresh_by_a_call_of_their_own_spend_each_pair_once() {
    let stage = Stage::start().await;
    let pair = stage.vendor.pair(USER, Timestamp(NOW)).unwrap();
    let (mut first, mut second) = (OwnClient { pair: pair.clone() }, OwnClient { pair: pair.clone() });
    for expiry in 1..=20_usize {
        stage.at(NOW + (i64::from(LIFE) + 60) * i64::try_from(expiry).unwrap());
        assert_eq!((first.data(&stage).await, second.data(&stage).await), (401, 401), "expiry {expiry}: both are told");
        let (one, other) = tokio::join!(first.refresh(&stage, "/v1/Auth/RefreshToken"), second.refresh(&stage, "/v1/RefreshToken"));
        let ((one, of), (other, _)) = (given(&one), given(&other));
        assert_eq!((&one, of.as_deref()), (&other, Some(USER)), "M2 expiry {expiry}: both get the same pair, and are told whose");
        (first.pair, second.pair) = (one, other);
        assert_eq!((first.data(&stage).await, second.data(&stage).await), (200, 200), "expiry {expiry}");
        let asked = stage.vendor.asked();
        assert_eq!((asked.refreshed, asked.refused, asked.logins), (expiry, 0, 0), "M1 one refresh for each expiry, and never a login");
    }
    // Long after: the first pair of all renews nothing, and the client is told so that it logs in.
    let answer = OwnClient { pair }.refresh(&stage, "/v1/Auth/RefreshToken").await;
    assert_eq!(told(&answer), (400, 400, "RefreshToken".to_owned()), "M3 a pair that was spent is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_refreshes_by_a_call_and_who_is_renewed_for_meet_in_one_exchange() {
    let stage = Stage::start().await;
    let pair = stage.vendor.pair(USER, Timestamp(NOW)).unwrap();
    let (own, mut phone) = (OwnClient { pair: pair.clone() }, Phone { pair: pair.clone() });
    stage.at(NOW + i64::from(LIFE) + 60);
    let (called, asked) = tokio::join!(own.refresh(&stage, "/v1/Auth/RefreshToken"), phone.ask(&stage));
    assert_eq!((asked.status, given(&called).0), (200, phone.pair.clone()), "{asked:?} {called:?}");
    assert_eq!(stage.vendor.asked().refreshed, 1);

    // Half a pair brings nothing of it.
    let thief = OwnClient { pair: ("at".to_owned(), pair.1) }.refresh(&stage, "/v1/Auth/RefreshToken").await;
    assert_eq!(told(&thief), (400, 400, "RefreshToken".to_owned()), "M6");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_by_a_call_that_the_vendor_cannot_do_now_ends_nothing() {
    for (trouble, during, after) in [(429, 503, 200), (503, 503, 200), (400, 400, 400)] {
        let stage = Stage::start().await;
        let client = OwnClient { pair: stage.vendor.pair(USER, Timestamp(NOW)).unwrap() };
        stage.at(NOW + i64::from(LIFE) + 60);
        stage.vendor.trouble(Trouble::RefreshFails(trouble));
        let answer = client.refresh(&stage, "/v1/Auth/RefreshToken").await;
        assert_eq!((answer.status, answer.field("retry-after").is_some()), (during, during == 503), "{trouble}: {answer:?}");
        stage.vendor.trouble(Trouble::None);
        if during == 503 {
            stage.at(NOW + i64::from(LIFE) + 180);
        }
        assert_eq!(client.refresh(&stage, "/v1/Auth/RefreshToken").await.status, after, "{trouble}: then");
        assert_eq!(stage.vendor.asked().logins, 0, "{trouble}");
    }
}
