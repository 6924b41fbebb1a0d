//! Users whose apps hold Capture's tokens themselves: proven by a call with each, and told in Capture's words when they have run out.

use serde_json::json;

use crate::janrain::stage::{ADDRESS, CLIENT, House, LIFE, REDIRECT, SECRET, SOCIAL, UUID, body, date, form, signature};
use crate::support::rows::base64;
use crate::support::whole::NOW;

/// A token of a user who has logged in through the native call of an app.
async fn token(house: &House) -> String {
    house.capture.user(ADDRESS, UUID);
    house.capture.social(SOCIAL, ADDRESS);
    let call = form(&[
        ("client_id", CLIENT),
        ("flow", "standard"),
        ("flow_version", "20160420-1"),
        ("locale", "en-US"),
        ("redirect_uri", REDIRECT),
        ("response_type", "token"),
        ("token", SOCIAL),
    ]);
    let told = body(&house.api("POST", "/oauth/auth_native", &[], &call).await);
    told["access_token"].as_str().unwrap_or_else(|| panic!("no token: {told}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_own_token_is_proven_by_a_call_and_the_app_never_sees_it() {
    let house = House::start().await;
    let token = token(&house).await;
    let oauth = format!("OAuth {token}");
    let fields = [("Host", "mobile.example"), ("Authorization", oauth.as_str())];
    let before = house.capture.asked().data;
    for _ in 0..3 {
        assert_eq!(house.whole.ask("GET", "/home", &fields).await.status, 200);
    }
    assert_eq!(house.capture.asked().data - before, 1, "one call, and its answer holds");
    let seen = house.app.records().pop().unwrap();
    assert_eq!(seen.fields("x-auth-subject"), [UUID]);
    assert!(!seen.head.contains(&token), "{}", seen.head);
    assert!(!house.whole.written().contains(&token), "nor does the record");

    let hits = house.app.hits();
    for (credential, code, shows) in [
        ("OAuth a00000000000ffff", 402, "a token that Capture does not know"),
        ("OAuth a b", 402, "no token"),
        ("Bearer a000000000000001", 205, "a way of authenticating that Capture has not"),
    ] {
        let told = body(&house.whole.ask("GET", "/home", &[("Host", "mobile.example"), ("Authorization", credential)]).await);
        assert_eq!((&told["stat"], &told["code"]), (&json!("error"), &json!(code)), "{shows}: {told}");
    }
    house.set_clock(NOW + LIFE + 61);
    let told = body(&house.whole.ask("GET", "/home", &fields).await);
    assert_eq!(told["code"], json!(414), "what has run out is told so, and the app refreshes it: {told}");
    assert_eq!(house.app.hits(), hits, "none of it reached the app");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_read_themselves_with_their_token_and_clients_with_their_feature() {
    let house = House::start().await;
    let oauth = format!("OAuth {}", token(&house).await);
    let told = body(&house.api("GET", "/entity", &[("Authorization", &oauth)], "").await);
    assert_eq!(told["result"]["uuid"], json!(UUID), "{told}");
    assert_eq!(house.capture.seen().pop().unwrap().authorization.as_deref(), Some(oauth.as_str()), "Capture judges it again");
    let at = date(NOW);
    let signed = format!("Signature reader:{}", signature("reader-secret", "/entity", &at, &[]));
    let told = body(&house.api("GET", "/entity", &[("Authorization", &signed), ("Date", &at)], "").await);
    assert_eq!(told["result"]["client"], json!("reader"), "{told}");
    // A user's token opens nothing that is a client's.
    let before = house.capture.seen().len();
    for path in ["/entity.find", "/clients/list", "/settings/items", "/oauth/token"] {
        let told = body(&house.api("POST", path, &[("Authorization", &oauth)], "grant_type=refresh_token&refresh_token=r").await);
        assert_eq!(told["stat"], json!("error"), "{path}: {told}");
    }
    assert_eq!(house.capture.seen().len(), before, "Capture heard of none of them");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_redeemed_once_and_by_the_client_that_it_was_given_to() {
    let house = House::start().await;
    house.capture.user(ADDRESS, UUID);
    house.capture.social(SOCIAL, ADDRESS);
    let call = form(&[
        ("client_id", CLIENT),
        ("flow", "standard"),
        ("flow_version", "20160420-1"),
        ("locale", "en-US"),
        ("redirect_uri", REDIRECT),
        ("response_type", "code"),
        ("token", SOCIAL),
    ]);
    let told = body(&house.api("POST", "/oauth/auth_native", &[], &call).await);
    let code = told["authorization_code"].as_str().unwrap_or_else(|| panic!("no code: {told}")).to_owned();
    let redeem = async |id: &str, secret: &str, code: &str| {
        let text = form(&[("grant_type", "authorization_code"), ("code", code), ("redirect_uri", REDIRECT)]);
        let basic = format!("Basic {}", base64(format!("{id}:{secret}")));
        let answer = house.api("POST", "/oauth/token", &[("Authorization", &basic)], &text).await;
        (answer.status, body(&answer)["error"].as_str().unwrap_or_default().to_owned(), house.capture.seen().len())
    };
    let before = house.capture.seen().len();
    let refused = |seen| (400, "invalid_grant".to_owned(), seen);
    assert_eq!(redeem("issuer", "issuer-secret", &code).await, refused(before), "another client, though its features would do");
    assert_eq!(redeem(CLIENT, SECRET, "c00000000000ffff").await, refused(before), "a code that nobody was given");
    assert_eq!(redeem(CLIENT, SECRET, &code).await, (200, String::new(), before + 1), "the client that it was given to");
    assert_eq!(redeem(CLIENT, SECRET, &code).await, refused(before + 1), "once");
}
