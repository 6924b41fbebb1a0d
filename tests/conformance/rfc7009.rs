//! RFC 7009: what the revocation endpoint takes and answers, and what is gone afterwards.

use crate::rfc6749_refresh::{Endpoints, NOW, caller, json_of};

/// Whether `refresh` still buys a pair, for whoever `by` is.
async fn is_good(endpoints: &Endpoints, refresh: &str, by: Option<&str>) -> bool {
    endpoints.post("token", &format!("grant_type=refresh_token&refresh_token={refresh}"), by).await.unwrap().status == 200
}

#[tokio::test]
async fn whatever_token_comes_the_answer_is_200() {
    let endpoints = Endpoints::new().await;
    // body with R and A for a login's tokens, whether the login is over afterwards, what the row shows
    let rows = [
        ("token=R", true, "a refresh token"),
        ("token=R&token_type_hint=refresh_token", true, "with the right hint"),
        ("token=R&token_type_hint=access_token", true, "a wrong hint: the search MUST be extended (2.1)"),
        ("token=R&token_type_hint=nonsense", true, "an unknown hint: the server MAY ignore it (2.1)"),
        ("token=A", true, "an access token: the refresh token MAY be revoked as well (2.1)"),
        ("token=A&token_type_hint=access_token", true, "with the right hint"),
        ("token=unknown", false, "invalid tokens do not cause an error (2.2)"),
        ("token=xR", false, "nor does one that is damaged"),
    ];
    for (body, over, shows) in rows {
        let (refresh, access) = endpoints.login(None).await;
        let body = body.replace('R', &refresh).replace("token=A", &format!("token={access}"));
        let reply = endpoints.post("revoke", &body, None).await.unwrap();
        assert_eq!((reply.status, reply.body.len()), (200, 0), "{shows}: the content of the body is ignored by the client (2.2)");
        assert_eq!(is_good(&endpoints, &refresh, None).await, !over, "{shows}");
        let again = endpoints.post("revoke", &body, None).await.unwrap();
        assert_eq!(again.status, 200, "{shows}: once more");
    }
    let (refresh, access) = endpoints.login(None).await;
    let body = format!("token={access}");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let reply = endpoints.post_as("revoke", &form, body.as_bytes(), None, NOW + 900).await.unwrap();
    assert_eq!(reply.status, 200, "an access token that has ended");
    assert!(is_good(&endpoints, &refresh, None).await, "which whoever finds it in a log cannot log anybody out with");
}

#[tokio::test]
async fn a_request_that_is_none_and_a_token_of_another_client_are_told() {
    let endpoints = Endpoints::new().await;
    let rows = [
        ("", None, "invalid_request", "no token (2.1: REQUIRED)"),
        ("token=", None, "invalid_request", "a token without a value"),
        ("token=R&token=R", None, "invalid_request", "twice"),
        ("token=R", Some("bank"), "invalid_grant", "another client's (2.1: the request is refused and the client is informed)"),
        ("token=R", None, "invalid_grant", "nobody in particular"),
    ];
    for (body, by, code, shows) in rows {
        let (refresh, _) = endpoints.login(Some(caller("shop"))).await;
        let reply = endpoints.post("revoke", &body.replace('R', &refresh), by).await.unwrap();
        assert_eq!((reply.status, json_of(&reply)["error"].as_str()), (400, Some(code)), "{shows}");
        assert!(is_good(&endpoints, &refresh, Some("shop")).await, "{shows}: and nothing is revoked");
    }
    let (refresh, _) = endpoints.login(Some(caller("shop"))).await;
    assert_eq!(endpoints.post("revoke", &format!("token={refresh}"), Some("shop")).await.unwrap().status, 200, "the client's own");
    assert!(!is_good(&endpoints, &refresh, Some("shop")).await);
}
