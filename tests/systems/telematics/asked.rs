//! Tokens that nobody can read, proven by a call with each: nothing of the vendor's about how it signs need be known.

use countersign::domain::Timestamp;

use crate::support::raw::Answer;
use crate::support::whole::NOW;
use crate::telematics::{LIFE, OTHER, Stage, USER, handed, told};

const HOST: &str = "asked.example";

impl Stage {
    async fn asks_app(&self, pair: &(String, String), more: &[(&str, &str)]) -> Answer {
        let bearer = format!("Bearer {}", pair.0);
        let fields = [("Host", HOST), ("Authorization", bearer.as_str()), ("X-Refresh-Token", pair.1.as_str())];
        let fields: Vec<(&str, &str)> = fields.into_iter().chain(more.iter().copied()).collect();
        self.whole.ask("GET", "/app/trips", &fields).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_nobody_can_read_is_proven_by_a_call_and_not_asked_about_again() {
    let stage = Stage::start().await;
    let pair = stage.vendor.pair(USER, Timestamp(NOW)).unwrap();
    for _ in 0..3 {
        assert_eq!(stage.asks_app(&pair, &[]).await.status, 200, "{}", stage.whole.written());
    }
    assert_eq!(stage.vendor.asked().data, 1, "one call, and its answer holds");
    let seen = stage.app.records().pop().unwrap();
    assert_eq!((seen.fields("x-auth-subject"), seen.fields("authorization")), (vec![USER], vec![]), "the app is told who, and no token");
    assert_eq!(
        told(&stage.asks_app(&pair, &[("DeviceToken", OTHER)]).await),
        (403, 403, "DeviceToken".to_owned()),
        "and the device is bound"
    );

    let made_up = ("eyJhbGciOiJub25lIn0.e30.AAAA".to_owned(), "rt".to_owned());
    assert_eq!(told(&stage.asks_app(&made_up, &[]).await).0, 401, "one that the vendor does not take");
    assert_eq!(stage.vendor.asked().refreshed + stage.vendor.asked().refused, 0, "and that was nobody's before renews nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_renewed_as_any_other_once_the_vendor_says_that_it_has_ended() {
    let stage = Stage::start().await;
    let pair = stage.vendor.pair(USER, Timestamp(NOW)).unwrap();
    assert_eq!(stage.asks_app(&pair, &[]).await.status, 200);
    stage.at(NOW + i64::from(LIFE) + 60);
    let answer = stage.asks_app(&pair, &[]).await;
    assert_eq!(answer.status, 200, "{answer:?} {}", stage.whole.written());
    let fresh = handed(&answer).expect("the new pair comes with the answer");
    assert_eq!((stage.vendor.asked().refreshed, stage.vendor.asked().logins), (1, 0), "M1 by one refresh");
    assert_eq!(stage.asks_app(&fresh, &[]).await.status, 200);
}
