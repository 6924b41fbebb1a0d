//! On behalf of a browser: the page logs in and sees no token, and its session goes on as long as the login does.

use countersign::demo::systems::gigya::DemoGigya;
use serde_json::Value;

use crate::gigya::stage::{Stage, form, told};
use crate::support::raw::Answer;
use crate::support::whole::NOW;

const ME: &str = "me.example";
const START: i64 = NOW + 100;
const INFO: &str = "/accounts.getAccountInfo";

async fn log_in(stage: &Stage) -> (Answer, String) {
    let (name, password) = DemoGigya::LOGIN;
    let answer = stage.post(ME, "/accounts.login", &[], &form(&[("loginID", name), ("password", password)])).await;
    assert_eq!(told(&answer), (200, 0), "{} {:?}", stage.whole.written(), stage.vendor.called());
    let cookie = answer.field("set-cookie").unwrap_or_else(|| panic!("no session: {answer:?}")).split(';').next().unwrap().to_owned();
    (answer, cookie)
}

/// How often the vendor was asked for an id token.
fn renewals(stage: &Stage) -> usize {
    stage.vendor.called().iter().filter(|called| called.method == "accounts.getJWT").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_becomes_a_session_and_no_token_reaches_the_page() {
    let stage = Stage::start().await;
    let (answer, cookie) = log_in(&stage).await;
    let said: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(said["UID"], DemoGigya::UID, "the page learns who it is");
    assert!(said.get("id_token").is_none() && !answer.text().contains("st2.s."), "and neither token: {said}");
    assert_eq!(answer.field("cache-control"), Some("no-store"));

    let info = stage.get(ME, INFO, &[("Cookie", &cookie), ("Authorization", "Bearer theirs")]).await;
    assert_eq!(told(&info), (200, 0), "{}", stage.whole.written());
    let seen = stage.vendor.called().pop().unwrap();
    assert!(seen.authorization.is_some_and(|shown| shown.starts_with("Bearer ey")), "the vendor sees the token that the session keeps");

    let (_, password) = DemoGigya::LOGIN;
    let wrong = stage.post(ME, "/accounts.login", &[], &form(&[("loginID", "anna"), ("password", password)])).await;
    assert_eq!(told(&wrong), (200, 403_042), "a login that fails is told as the vendor tells it");
    assert_eq!(wrong.field("set-cookie"), None, "and opens nothing");
    assert_eq!(told(&stage.get(ME, INFO, &[]).await), (200, 403_012), "no session");
    assert_eq!(told(&stage.get(ME, INFO, &[("Cookie", "__Host-account=made-up")]).await).0, 200, "nor one that was made up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_renewed_once_for_each_expiry_by_the_login_it_keeps() {
    let stage = Stage::start().await;
    let (_, cookie) = log_in(&stage).await;
    let held = [("Cookie", cookie.as_str())];
    for expiry in 1..=8_usize {
        stage.at(START + (DemoGigya::TOKEN_LIFE + 1) * i64::try_from(expiry).unwrap());
        let ask = || stage.get(ME, INFO, &held);
        let (first, second, third) = tokio::join!(ask(), ask(), ask());
        for answer in [first, second, third] {
            assert_eq!(told(&answer), (200, 0), "expiry {expiry}: {}", stage.whole.written());
        }
        assert_eq!(renewals(&stage), expiry, "one for each expiry, however many ask");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_the_vendor_says_has_run_out_is_renewed_and_the_call_made_again() {
    let stage = Stage::start().await;
    let (_, cookie) = log_in(&stage).await;
    // The vendor's clock is ahead: to us the token still looks good.
    stage.vendor_at(START + DemoGigya::TOKEN_LIFE);
    let page = [("Cookie", cookie.as_str()), ("Sec-Fetch-Site", "same-origin")];
    let answer = stage.post(ME, INFO, &page, &form(&[("include", "profile")])).await;
    assert_eq!(told(&answer), (200, 0), "{} {:?}", stage.whole.written(), stage.vendor.called());
    let codes: Vec<(String, u64)> = stage.vendor.called().into_iter().skip(1).map(|called| (called.method, called.error_code)).collect();
    let expected = [("accounts.getAccountInfo", 403_030), ("accounts.getJWT", 0), ("accounts.getAccountInfo", 0)];
    assert_eq!(codes, expected.map(|(method, code)| (method.to_owned(), code)), "told in the body of a 200, renewed once, asked once more");
    assert_eq!(stage.vendor.called().pop().unwrap().parameters["include"], "profile", "with the same body");
    let other = stage.post(ME, INFO, &[("Cookie", &cookie), ("Sec-Fetch-Site", "cross-site")], "include=profile").await;
    assert_eq!(told(&other), (200, 403_007), "a page of another site sends the cookie, and gets nothing by it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_has_ended_ends_the_session() {
    let stage = Stage::start().await;
    let (_, cookie) = log_in(&stage).await;
    stage.vendor.end("st2.s.demo-0");
    stage.at(START + DemoGigya::TOKEN_LIFE + 1);
    let answer = stage.get(ME, INFO, &[("Cookie", &cookie)]).await;
    assert_eq!(told(&answer), (200, 403_011), "{}", stage.whole.written());
    let calls = stage.vendor.called().len();
    assert_eq!(told(&stage.get(ME, INFO, &[("Cookie", &cookie)]).await).0, 200);
    assert_eq!(stage.vendor.called().len(), calls, "and nobody is asked again");
}
