//! What must not work at an API of Capture's, and what must not be seen.

use countersign::domain::Timestamp;
use serde_json::json;

use crate::janrain::stage::{CLIENT, House, REDIRECT, SECRET, SOCIAL, body, date, form, signature};
use crate::support::rows::base64;
use crate::support::whole::NOW;

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_request_is_taken_as_it_was_signed_or_not_at_all() {
    let house = House::start().await;
    let at = date(NOW);
    let pairs = [("type_name", "user"), ("uuid", "a")];
    let good = signature("reader-secret", "/entity", &at, &pairs);
    let query = "type_name=user&uuid=a";
    let two_lines = signature("reader-secret", "/entity", &at, &[("type_name", "user\nuuid=a")]);
    let old = date(NOW - 301);
    let stale = signature("reader-secret", "/entity", &old, &pairs);
    let rows = [
        (format!("/entity?{query}&max=1"), &good, &at, "signature_invalid", "a parameter more"),
        (format!("/entity?{query}&uuid=b"), &good, &at, "credential_conflict", "a parameter twice"),
        (format!("/entity.count?{query}"), &good, &at, "signature_invalid", "another path"),
        (
            "/entity?type_name=user%0Auuid%3Da".to_owned(),
            &two_lines,
            &at,
            "credential_malformed",
            "a line break, by which one list becomes another",
        ),
        (format!("/entity?{query}&client_id=issuer"), &good, &at, "credential_conflict", "another client beside the one that signed"),
        (format!("/entity?{query}"), &stale, &old, "window_exceeded", "too old"),
    ];
    for (target, signed, date, reason, shows) in rows {
        let field = format!("Signature reader:{signed}");
        let answer = house.api("GET", &target, &[("Authorization", &field), ("Date", date)], "").await;
        assert_eq!(answer.status, 200, "{shows}");
        assert_eq!(body(&answer)["stat"], json!("error"), "{shows}");
        assert_eq!(house.whole.reason_of(&answer).await, reason, "{shows}");
    }
    assert!(house.capture.seen().is_empty(), "none of them got through");
    let http = "Fri, 15 Jan 2027 08:00:00 GMT";
    let field = format!("Signature reader:{good}");
    let answer = house.api("GET", &format!("/entity?{query}"), &[("Authorization", &field), ("Date", http)], "").await;
    assert_eq!(house.whole.reason_of(&answer).await, "credential_malformed", "a date that something on the way has replaced");
    let answer = house.api("GET", &format!("/entity?{query}"), &[("Authorization", &field), ("Date", &at)], "").await;
    assert_eq!(body(&answer)["result"]["client"], json!("reader"), "as it was signed: {}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_redirect_uri_and_a_secret_in_a_url_go_nowhere() {
    let house = House::start().await;
    let call = |uri: &str| {
        form(&[
            ("client_id", CLIENT),
            ("flow", "standard"),
            ("flow_version", "20160420-1"),
            ("locale", "en-US"),
            ("redirect_uri", uri),
            ("token", SOCIAL),
        ])
    };
    for (uri, code) in [("https://evil.example", 420), ("https://app.example/done/../x", 420), ("javascript:alert(1)", 200)] {
        let told = body(&house.api("POST", "/oauth/auth_native", &[], &call(uri)).await);
        assert_eq!((&told["code"], &told["argument_name"]), (&json!(code), &json!("redirect_uri")), "{uri}: {told}");
        assert!(!told.to_string().contains("evil"), "what a client says is not echoed");
    }
    let told = body(&house.api("POST", &format!("/oauth/auth_native?{}", call(REDIRECT)), &[], &call(REDIRECT)).await);
    assert_eq!(told["code"], json!(200), "parameters of native calls stand in the body: {told}");
    let basic = format!("Basic {}", base64("reader:reader-secret"));
    let told = body(&house.api("GET", "/entity?client_secret=x", &[("Authorization", &basic)], "").await);
    assert_eq!((&told["code"], &told["argument_name"]), (&json!(200), &json!("client_secret")), "{told}");
    assert!(house.capture.seen().is_empty(), "Capture heard of none of them");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_token_of_another_login_joins_no_accounts() {
    let house = House::start().await;
    let merge = "ffab34cd56ef78gh90ij12kl34mn56op78qr90st";
    let told = body(&house.page("/oauth/auth_native", &form(&[("token", SOCIAL), ("merge_token", merge)]), None).await);
    assert_eq!((&told["code"], &told["argument_name"]), (&json!(200), &json!("merge_token")), "{told}");
    assert_eq!(house.capture.asked().logins, 0, "Capture never heard of it");
    // Shown to auth_native before, by the same client, it is one.
    house.capture.social(merge, "old@example.com");
    house.page("/oauth/auth_native", &form(&[("token", merge)]), None).await;
    house.capture.social(SOCIAL, "new@example.com");
    let told = body(&house.page("/oauth/auth_native", &form(&[("token", SOCIAL), ("merge_token", merge)]), None).await);
    assert_eq!(told["code"], json!(310), "what Capture says of it is Capture's: {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mobile_refresh_comes_once() {
    let house = House::start().await;
    let at = date(NOW);
    let text = form(&[
        ("client_id", CLIENT),
        ("flow", "standard"),
        ("flow_version", "20160420-1"),
        ("locale", "en-US"),
        ("access_token", "a000000000000001"),
        ("date", &at),
        ("signature", "E8QabawW/StAk3GZiy6WgD0yBmo="),
    ]);
    let first = body(&house.api("POST", "/oauth/refresh_access_token", &[], &text).await);
    assert_eq!((&first["code"], house.capture.seen().len()), (&json!(402), 1), "it is Capture that verifies it: {first}");
    let again = body(&house.api("POST", "/oauth/refresh_access_token", &[], &text).await);
    assert_eq!((&again["code"], &again["argument_name"], house.capture.seen().len()), (&json!(200), &json!("signature"), 1), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_and_no_token_is_seen_where_it_has_no_business() {
    let house = House::start().await;
    let cookie = house.logged_in().await;
    let mut told = Vec::new();
    told.push(house.get("/entity", &cookie).await);
    told.push(house.get("/home", &cookie).await);
    house.set_clock(NOW + 700);
    told.push(house.get("/entity", &cookie).await);
    let body_credentials =
        form(&[("grant_type", "refresh_token"), ("refresh_token", "r0"), ("client_id", "issuer"), ("client_secret", "issuer-secret")]);
    told.push(house.api("POST", "/oauth/token", &[], &body_credentials).await);
    told.push(house.api("POST", "/oauth/token", &[], &body_credentials.replace("issuer-secret", "marked-wrong-secret")).await);

    let tokens = house.capture.live_tokens(Timestamp(NOW + 700));
    assert!(!tokens.is_empty());
    let secrets: Vec<String> = tokens.into_iter().chain([SECRET.to_owned(), base64(format!("{CLIENT}:{SECRET}"))]).collect();
    for answer in &told {
        for secret in &secrets {
            assert!(!answer.text().contains(secret) && !format!("{answer:?}").contains(secret), "no client sees {secret}");
        }
    }
    let audit = house.whole.written();
    for secret in secrets.iter().map(String::as_str).chain(["issuer-secret", "marked-wrong-secret", cookie.as_str(), SOCIAL]) {
        assert!(!audit.contains(secret), "no record holds {secret}");
        assert!(
            house.app.records().iter().all(|record| !format!("{}{:?}", record.head, record.body).contains(secret)),
            "the app sees no {secret}"
        );
    }
    let seen = house.capture.seen();
    let with_secret: Vec<&str> = seen
        .iter()
        .filter(|seen| format!("{seen:?}").contains(SECRET) || format!("{seen:?}").contains(&base64(format!("{CLIENT}:{SECRET}"))))
        .map(|seen| seen.line.as_str())
        .collect();
    assert!(
        !with_secret.is_empty() && with_secret.iter().all(|line| *line == "POST /oauth/token"),
        "the secret goes to the token endpoint: {with_secret:?}"
    );
    assert!(
        seen.iter().all(|seen| seen.cookie.as_deref().is_none_or(|field| !field.contains("__Host-session"))),
        "our cookie is nobody else's"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_something_on_the_way_has_changed_is_not_the_one_that_was_signed() {
    let house = House::start().await;
    let at = date(NOW);
    let rows = [
        ("/mounted/entity", "/entity", true, "below the mount, what comes after it was signed"),
        ("/mounted/entity.find", "/mounted/entity.find", false, "with the mount it was not"),
        ("/mounted/entit%79.count", "/entit%79.count", true, "an escape as it was sent"),
        ("/mounted/entit%79", "/entity", false, "and not as it is read"),
    ];
    for (target, path, passes, shows) in rows {
        let field = format!("Signature reader:{}", signature("reader-secret", path, &at, &[]));
        let fields = [("Host", "mounted.example"), ("Authorization", field.as_str()), ("Date", at.as_str())];
        let before = house.app.hits();
        let answer = house.whole.ask("GET", target, &fields).await;
        assert_eq!((answer.status, house.app.hits() - before), (200, usize::from(passes)), "{shows}: {}", answer.text());
        if !passes {
            assert_eq!(body(&answer)["code"], json!(402), "{shows}");
        }
    }
    let seen = house.app.records().pop().unwrap();
    assert_eq!(
        (seen.fields("x-auth-subject"), seen.fields("x-auth-scopes")),
        (vec!["reader"], vec!["direct_read_access"]),
        "{}",
        seen.head
    );
    assert!(seen.fields("authorization").is_empty() && seen.fields("date").is_empty(), "without the credential: {}", seen.head);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_logs_nobody_in() {
    let house = House::start().await;
    house.capture.user("evil@example.com", "evil");
    house.capture.social(SOCIAL, "evil@example.com");
    let fields = [
        ("Host", "app.example"),
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Origin", "https://evil.example"),
    ];
    let answer = house.whole.ask_with("POST", "/oauth/auth_native", &fields, &form(&[("token", SOCIAL)])).await;
    assert_eq!((&body(&answer)["code"], answer.field("set-cookie")), (&json!(403), None), "{}", answer.text());
    assert_eq!(house.capture.asked().logins, 0);
}
