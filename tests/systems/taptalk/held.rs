//! In front of TapTalk's API, where the proxy holds the pair and the page holds a session.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use countersign::demo::systems::taptalk::{DemoTapTalk, Trouble};
use countersign::domain::Timestamp;

use super::{LIFE, Stage, fine, refused, said, told};
use crate::support::raw::Answer;
use crate::support::rows::base64;
use crate::support::whole::NOW;

const SITE: &str = "site.example";
const CHAT: &str = "/v1/chat/message/send";

impl Stage {
    /// Exchanges a ticket as the page does; the cookie that it gets.
    pub(super) async fn session(&self, user: &str) -> String {
        let ticket = self.vendor.ticket(user, "Anna", Timestamp(NOW)).unwrap();
        let bearer = format!("Bearer {ticket}");
        let fields = [("Authorization", bearer.as_str()), ("Sec-Fetch-Site", "same-origin")];
        let answer = self.post(SITE, "/v1/auth/access_token/request", &fields, "\"\"").await;
        assert_eq!(told(&answer), fine(), "{answer:?}");
        let cookie = answer.field("set-cookie").unwrap_or_else(|| panic!("no session: {answer:?}"));
        cookie.split(';').next().unwrap().to_owned()
    }

    /// A call as the page makes it: what it holds is no token.
    pub(super) async fn call(&self, cookie: &str) -> Answer {
        let fields = [("Cookie", cookie), ("Authorization", "Bearer held-by-the-proxy"), ("Sec-Fetch-Site", "same-origin")];
        self.post(SITE, CHAT, &fields, "\"\"").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_gets_a_session_and_never_sees_a_token() {
    let stage = Stage::start().await;
    let ticket = stage.vendor.ticket("anna", "Anna", Timestamp(NOW)).unwrap();
    let bearer = format!("Bearer {ticket}");
    for elsewhere in [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "same-site"), ("Origin", "https://evil.example")] {
        let answer = stage.post(SITE, "/v1/auth/access_token/request", &[("Authorization", &bearer), elsewhere], "\"\"").await;
        assert_eq!(told(&answer), refused(403, "40301"), "{elsewhere:?}: a page of another site logs nobody in");
        assert_eq!(answer.field("set-cookie"), None);
    }
    let fields = [("Authorization", bearer.as_str()), ("Sec-Fetch-Site", "same-origin")];
    let answer = stage.post(SITE, "/v1/auth/access_token/request", &fields, "\"\"").await;
    let data = said(&answer)["data"].clone();
    assert_eq!((data["accessToken"].as_str(), data["refreshToken"].as_str()), (Some("held-by-the-proxy"), Some("held-by-the-proxy")));
    assert_eq!(data["user"]["userID"], "tt-anna", "everything else is as the vendor wrote it");
    let cookie = answer.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(told(&stage.call(&cookie).await), fine());
    let seen = stage.vendor.seen().pop().unwrap();
    assert_ne!(seen.headers["authorization"], "Bearer held-by-the-proxy", "the vendor sees the session's own");
    assert!(!seen.headers.contains_key("cookie"), "and not the session");
    let shown = [answer.text(), format!("{:?}", answer.fields), stage.whole.written()].concat();
    for credential in stage.vendor.credentials() {
        assert!(!shown.contains(&credential), "a credential of the vendor's was shown");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_that_share_one_account_keep_working_across_twenty_expiries_with_one_refresh_each() {
    let stage = Stage::start().await;
    let cookie = stage.session("anna").await;
    for round in 1..=20_i64 {
        stage.at(NOW + round * LIFE);
        let (one, other) = tokio::join!(stage.call(&cookie), stage.call(&cookie));
        assert_eq!((told(&one), told(&other)), (fine(), fine()), "round {round}");
        let asked = stage.vendor.asked();
        assert_eq!((asked.refreshed, asked.refused), (usize::try_from(round).unwrap(), 0), "one refresh for both, round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiry_that_only_the_body_of_a_200_tells_is_renewed_for_and_the_call_repeated() {
    let stage = Stage::start().await;
    let cookie = stage.session("anna").await;
    for round in 1..=5_i64 {
        // The vendor's clock runs ahead: nothing but its answer tells that the token has run out.
        stage.vendor_clock.store(NOW + round * LIFE, Ordering::SeqCst);
        stage.whole.set_clock(NOW + round * LIFE - 120);
        let before = stage.vendor.seen().len();
        for client in ["one", "the other"] {
            assert_eq!(told(&stage.call(&cookie).await), fine(), "{client}, round {round}");
        }
        let seen: Vec<String> = stage.vendor.seen().split_off(before).into_iter().map(|seen| seen.target).collect();
        assert_eq!(
            seen,
            [CHAT, "/v1/auth/access_token/refresh", CHAT, CHAT],
            "refused, renewed, repeated, and the next is good: round {round}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_calls_at_once_that_learn_of_it_from_the_body_of_a_200_cost_one_refresh() {
    let stage = Arc::new(Stage::start().await);
    let cookie = stage.session("anna").await;
    for round in 1..=5_i64 {
        // The vendor's clock runs ahead: nothing but its answers tells that the token has run out.
        stage.vendor_clock.store(NOW + round * LIFE, Ordering::SeqCst);
        stage.whole.set_clock(NOW + round * LIFE - 120);
        let asking: Vec<_> = (0..20)
            .map(|_| {
                let (stage, cookie) = (Arc::clone(&stage), cookie.clone());
                tokio::spawn(async move { told(&stage.call(&cookie).await) })
            })
            .collect();
        for asked in asking {
            assert_eq!(asked.await.unwrap(), fine(), "round {round}");
        }
        let asked = stage.vendor.asked();
        assert_eq!((asked.refreshed, asked.refused), (usize::try_from(round).unwrap(), 0), "one refresh for all, round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_logs_in_again_leaves_no_session_behind() {
    let stage = Stage::start().await;
    let first = stage.session("anna").await;
    let ticket = stage.vendor.ticket("berta", "Berta", Timestamp(NOW)).unwrap();
    let bearer = format!("Bearer {ticket}");
    let fields = [("Authorization", bearer.as_str()), ("Sec-Fetch-Site", "same-origin"), ("Cookie", first.as_str())];
    let answer = stage.post(SITE, "/v1/auth/access_token/request", &fields, "\"\"").await;
    let second = answer.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_ne!(first, second);
    assert_eq!(told(&stage.call(&second).await), fine());
    assert_eq!(told(&stage.call(&first).await), refused(401, "40104"), "whoever else knows the one before has nothing (session fixation)");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_run_out_by_the_clock_is_renewed_before_it_is_shown() {
    let stage = Stage::start().await;
    let cookie = stage.session("anna").await;
    stage.at(NOW + LIFE);
    let before = stage.vendor.seen().len();
    assert_eq!(told(&stage.call(&cookie).await), fine());
    let seen: Vec<String> = stage.vendor.seen().split_off(before).into_iter().map(|seen| seen.target).collect();
    assert_eq!(seen, ["/v1/auth/access_token/refresh", CHAT]);
    let refresh = stage.vendor.seen().into_iter().find(|seen| seen.target.ends_with("/refresh")).unwrap();
    assert_eq!(refresh.headers["app-key"], base64(format!("{}:{}", DemoTapTalk::APP.0, DemoTapTalk::APP.1)), "with the proxy's App-Key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_that_the_vendor_takes_back_logs_the_page_out_and_an_outage_does_not() {
    let stage = Stage::start().await;
    let cookie = stage.session("anna").await;
    stage.at(NOW + LIFE);
    stage.vendor.trouble(Trouble::Html);
    let during = told(&stage.call(&cookie).await);
    assert_eq!(during.0, 200);
    assert!(!["40101", "40102", "40104"].contains(&during.2.as_str()), "a page that is no answer is no expiry: {during:?}");

    let stage = Stage::start().await;
    let cookie = stage.session("anna").await;
    // Elsewhere the same account logs in again: of its pairs, only the newest refreshes.
    let _newer = stage.session("anna").await;
    stage.at(NOW + LIFE);
    assert_eq!(told(&stage.call(&cookie).await), refused(401, "40103"), "it must log in, and is not sent to refresh");
}
