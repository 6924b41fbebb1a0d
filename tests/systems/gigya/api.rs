//! In front of Gigya's API: signed requests, linked users, and calls that are signed on behalf of those who hold no secret.

use countersign::demo::systems::gigya::DemoGigya;

use crate::gigya::stage::{Call, HTTPS, Stage, form, hmac, secrets, told};
use crate::support::whole::NOW;

const API: &str = "accounts.example";
const SIGNER: &str = "signer.example";
const START: i64 = NOW + 100;

/// `demo-partner` with its secret, as base64 of both.
const BACKEND: (&str, &str) = ("Server-Key", "ZGVtby1wYXJ0bmVyOmRlbW8tcGFydG5lci1zZWNyZXQ=");

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_request_is_let_through_once_and_the_vendor_agrees() {
    let stage = Stage::start().await;
    let call = |nonce: &str| Call::new("accounts.getAccountInfo", START, nonce).with("UID", "a b!*'()~\u{e9}");
    let ask = async |form: &str| stage.post(API, "/accounts.getAccountInfo", &[], form).await;

    assert_eq!(told(&ask(&call("n-1").form()).await), (200, 0), "{}", stage.whole.written());
    assert_eq!(stage.vendor.called().pop().unwrap().error_code, 0, "judged there a second time, from another hand");
    let calls = stage.vendor.called().len();
    assert_eq!(told(&ask(&call("n-1").form()).await), (200, 403_004), "a nonce works once");
    assert_eq!(told(&ask(&call("n-1").with("UID", "other").form()).await), (200, 403_004), "whatever it stands beside");
    assert_eq!(stage.vendor.called().len(), calls, "and the vendor never sees the second");

    // A forged request must not use up the nonce of a genuine one.
    let forged = call("n-2").form().replace("UID=a", "UID=b");
    assert_eq!(told(&ask(&forged).await), (200, 403_003));
    let late = Call::new("accounts.getAccountInfo", START - 301, "n-2").with("UID", "a").form();
    assert_eq!(told(&ask(&late).await), (200, 403_002));
    assert_eq!(told(&ask(&call("n-2").form()).await), (200, 0), "it is remembered once signature and time have passed");

    let plus = call("n-3").form().replace("%20", "+");
    assert_eq!(told(&ask(&plus).await), (200, 0), "a space as PHP writes it");
    let get = Call { method: "GET", ..call("n-4") };
    assert_eq!(told(&stage.get(API, &format!("/accounts.getAccountInfo?{}", get.form()), &[]).await), (200, 0), "as GET");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_refused_with_the_vendors_codes() {
    let stage = Stage::start().await;
    let call = || Call::new("accounts.getAccountInfo", START, "n-1").with("UID", "anna");
    let [partner, _] = secrets();
    let rows = [
        (String::new(), 403_005, "nothing"),
        (form(&[("apiKey", DemoGigya::API_KEY), ("UID", "anna")]), 403_005, "an API key is public and proves nothing"),
        (call().form() + "&UID=berta", 400_006, "a name twice"),
        (Call { secret: partner.clone(), ..call() }.form(), 403_003, "the partner secret for the user key"),
        (Call { base: "http://accounts.example", ..call() }.form(), 403_003, "signed for http: the public URL is https"),
        (Call { base: "https://127.0.0.1", ..call() }.form(), 403_003, "signed for where the proxy listens"),
        (call().with("apiKey", "3_other").form(), 403_003, "another site: told like a forged one"),
        (call().with("timestamp", &(START - 301).to_string()).form(), 403_002, "too old"),
        (call().with("timestamp", &(START + 61).to_string()).form(), 403_002, "from the future"),
        (call().without("nonce").form(), 403_003, "no nonce"),
        (call().with("include", "").form().replace("include=", "include=0"), 403_003, "a falsy value that was signed empty"),
    ];
    for (body, code, shows) in rows {
        let answer = stage.post(API, "/accounts.getAccountInfo", &[], &body).await;
        assert_eq!(told(&answer), (200, code), "{shows}: {}", stage.whole.written());
        stage.keeps_its_secrets(&answer);
        assert!(!answer.text().contains("POST&") && !answer.text().contains("apiKey%3D"), "{shows}: no base string is told");
    }
    let partner_call = Call { secret: partner, ..call() }.without("userKey");
    assert_eq!(told(&stage.post(API, "/accounts.getAccountInfo", &[], &partner_call.form()).await), (200, 0), "the site itself");
    let millis = call().with("timestamp", &format!("{START}000")).form();
    let answer = stage.post(API, "/accounts.getAccountInfo", &[], &millis).await;
    assert_eq!(told(&answer), (200, 403_002), "milliseconds are let through here, and refused by the vendor's own clock reading");
    assert_eq!(stage.vendor.called().pop().unwrap().parameters["timestamp"], format!("{START}000"), "as they were signed");

    let script = stage.get(API, "/accounts.getAccountInfo?format=jsonp&callback=gigya.cb", &[]).await;
    assert!(script.text().starts_with("gigya.cb({") && script.text().ends_with("});"), "{}", script.text());
    let hostile = stage.get(API, "/accounts.getAccountInfo?format=jsonp&callback=alert(1)//", &[]).await;
    assert!(!hostile.text().contains("alert"), "{}", hostile.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_uid_is_linked_when_the_site_has_signed_it() {
    let stage = Stage::start().await;
    let [secret, _] = secrets();
    let now = START.to_string();
    let sig = hmac(&secret, &format!("{now}_anna-7"));
    let link = async |pairs: &[(&str, &str)]| stage.post(API, "/socialize.notifyRegistration", &[], &form(pairs)).await;
    assert_eq!(told(&link(&[("cid", "home")]).await), (200, 0), "without a siteUID nobody is linked, and nothing is signed");
    assert_eq!(told(&link(&[("siteUID", "anna-7"), ("UIDTimestamp", &now), ("UIDSig", &sig)]).await), (200, 0));
    assert_eq!(stage.vendor.linked(DemoGigya::UID).as_deref(), Some("anna-7"));
    let calls = stage.vendor.called().len();
    let too_long = "c".repeat(101);
    let rows: [(&[(&str, &str)], u64, &str); 7] = [
        (&[("siteUID", "anna-7")], 400_002, "a siteUID alone"),
        (&[("siteUID", "anna-7"), ("UIDTimestamp", &now)], 400_002, "without its signature"),
        (&[("siteUID", "berta"), ("UIDTimestamp", &now), ("UIDSig", &sig)], 403_003, "with that of another user"),
        (&[("siteUID", "anna-7"), ("UIDTimestamp", "1800000000"), ("UIDSig", &sig)], 403_003, "with that of another moment"),
        (&[("siteUID", "\u{e9}lise"), ("UIDTimestamp", &now), ("UIDSig", &sig)], 400_006, "not ASCII"),
        (&[("UID", "anna-7"), ("siteUID", "anna-7"), ("UIDTimestamp", &now), ("UIDSig", &sig)], 400_006, "the Gigya UID itself"),
        (&[("cid", &too_long)], 400_006, "a cid of 101 characters"),
    ];
    for (pairs, code, shows) in rows {
        let answer = link(pairs).await;
        assert_eq!(told(&answer), (200, code), "{shows}");
        stage.keeps_its_secrets(&answer);
        assert!(!answer.text().contains(&sig), "{shows}");
    }
    stage.at(START + 301);
    assert_eq!(
        told(&link(&[("siteUID", "anna-7"), ("UIDTimestamp", &now), ("UIDSig", &sig)]).await),
        (200, 400_128),
        "five minutes and a second"
    );
    assert_eq!(stage.vendor.called().len(), calls, "the vendor has seen none of them");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_back_end_without_a_secret_has_its_calls_signed() {
    let stage = Stage::start().await;
    let body = form(&[("UID", "_guid_anna"), ("apiKey", DemoGigya::API_KEY), ("secret", "dGhlaXJz")]);
    let refused = stage.post(SIGNER, "/accounts.getAccountInfo", &[BACKEND], &body).await;
    assert_eq!(told(&refused), (200, 403_006), "a secret in the clear is refused, and whose ever it is");

    let body = form(&[("UID", "_guid_anna"), ("sig", "forged"), ("nonce", "theirs")]);
    for _ in 0..2 {
        let answer = stage.post(SIGNER, "/accounts.getAccountInfo?format=json", &[BACKEND], &body).await;
        assert_eq!(told(&answer), (200, 0), "{} {:?}", stage.whole.written(), stage.vendor.called());
        stage.keeps_its_secrets(&answer);
    }
    let called = stage.vendor.called().pop().unwrap();
    assert_eq!(called.target, "/accounts.getAccountInfo", "parameters of the query are signed in the body");
    assert_eq!((called.parameters["format"].as_str(), called.parameters["userKey"].as_str()), ("json", DemoGigya::USER_KEY));
    assert!(called.authorization.is_none() && !format!("{called:?}").contains("theirs"), "{called:?}");

    let linked = stage.post(SIGNER, "/socialize.notifyLogin", &[BACKEND], &form(&[("siteUID", "anna-7")])).await;
    assert_eq!(told(&linked), (200, 0), "the user id is signed too");
    assert_eq!(stage.vendor.linked(DemoGigya::UID).as_deref(), Some("anna-7"));

    let calls = stage.vendor.called().len();
    assert_eq!(told(&stage.post(SIGNER, "/accounts.getAccountInfo", &[], &body).await), (200, 403_005), "a stranger gets nothing signed");
    let json = [("Host", SIGNER), BACKEND, ("Content-Type", "application/json")];
    let answer = stage.whole.ask_with("POST", "/accounts.getAccountInfo", &json, r#"{"UID":"x"}"#).await;
    assert_eq!(told(&answer), (200, 400_006), "what cannot be signed is not sent");
    assert_eq!(stage.vendor.called().len(), calls);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_http_status_tells_where_query_or_form_ask_for_it() {
    let stage = Stage::start().await;
    let json = r#"{"httpStatusCodes":true}"#;
    let asks = "httpStatusCodes=true";
    let post = async |host: &str, target: &str, fields: &[(&str, &str)], body: &str| told(&stage.post(host, target, fields, body).await);
    const INFO: &str = "/accounts.getAccountInfo";
    let call = Call::new("accounts.getAccountInfo", START, "n-1").with("UID", "anna").with("httpStatusCodes", "true");
    assert_eq!(post(API, INFO, &[], &call.form().replace("UID=anna", "UID=berta")).await, (403, 403_003), "a forged request");
    assert_eq!(post(API, INFO, &[], &call.clone().with("httpStatusCodes", "false").form().replace("UID=a", "UID=b")).await, (200, 403_003));
    assert_eq!(post(API, INFO, &[], &call.form()).await, (200, 0), "and a good one");
    assert_eq!(post(API, INFO, &[], &call.form()).await, (403, 403_004), "what is refused at the very end");
    assert_eq!(post(API, INFO, &[], asks).await, (403, 403_005), "nothing brought");
    assert_eq!(post(API, INFO, &[], &format!("{asks}&format=xml")).await, (403, 403_005));
    assert_eq!(post(SIGNER, INFO, &[], asks).await, (403, 403_005), "a stranger whose body nobody would have read");
    assert_eq!(post(SIGNER, INFO, &[BACKEND], &format!("{asks}&format=xml")).await, (400, 400_006), "a reply that nobody here could write");
    assert_eq!(post(API, "/socialize.notifyLogin", &[], &format!("{asks}&siteUID=anna-7")).await, (400, 400_002), "a guard's own refusal");
    assert_eq!(post(API, &format!("{INFO}?{asks}"), &[], "a=b").await, (403, 403_005), "asked in the query");
    assert_eq!(post(API, &format!("{INFO}?{asks}"), &[], "httpStatusCodes=false").await, (200, 403_005), "asked twice, and so not at all");
    let fields = [("Host", API), ("Content-Type", "application/json")];
    assert_eq!(told(&stage.whole.ask_with("POST", INFO, &fields, json).await), (200, 403_005), "JSON is no form");
    let large = format!("{asks}&a={}", "x".repeat(70_000));
    assert_eq!(post(SIGNER, INFO, &[], &large).await, (200, 403_005), "a body that is too large to be listened to");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_or_a_token_of_gigyas_proves_a_request_over_https() {
    let stage = Stage::start().await;
    let [partner, user] = secrets();
    const INFO: &str = "/accounts.getAccountInfo";
    let ask = async |fields: &[(&str, &str)], pairs: &[(&str, &str)]| stage.post(API, INFO, fields, &form(pairs)).await;
    let with_secret = |secret| [("apiKey", DemoGigya::API_KEY), ("userKey", DemoGigya::USER_KEY), ("secret", secret), ("UID", "anna")];
    assert_eq!(told(&ask(&[HTTPS], &with_secret(&user)).await), (200, 0), "{}", stage.whole.written());
    assert_eq!(stage.vendor.called().pop().unwrap().error_code, 0, "the vendor takes it as well");
    let calls = stage.vendor.called().len();
    for (fields, pairs, code, shows) in [
        (vec![], with_secret(&user), 403_006, "over http"),
        (vec![HTTPS], with_secret(&partner), 403_003, "the partner secret under a user key"),
        (vec![HTTPS], with_secret("dGhlaXJz"), 403_003, "any other"),
    ] {
        let answer = ask(&fields, &pairs).await;
        assert_eq!(told(&answer), (200, code), "{shows}");
        stage.keeps_its_secrets(&answer);
    }
    let query = stage.get(API, &format!("{INFO}?{}", form(&with_secret(&user))), &[HTTPS]).await;
    assert_eq!(told(&query), (200, 403_003), "not in a URL");
    assert!(query.text().contains("sign it"), "and is told what would be: {}", query.text());
    assert_eq!(stage.vendor.called().len(), calls, "the vendor has seen none of these");

    let token = stage.vendor.log_in(DemoGigya::UID, 600);
    let by_token = [("oauth_token", token.as_str()), ("format", "json")];
    assert_eq!(told(&ask(&[HTTPS], &by_token).await), (200, 0), "{}", stage.whole.written());
    assert_eq!(told(&ask(&[HTTPS], &by_token).await), (200, 0));
    assert_eq!(stage.vendor.called().len(), calls + 3, "whose it is was asked once, for both");
    assert_eq!(told(&stage.get(API, &format!("{INFO}?oauth_token={token}"), &[HTTPS]).await), (200, 0), "in the query as well");
    assert_eq!(told(&ask(&[], &by_token).await), (200, 403_006), "in the clear it is refused");
    assert_eq!(told(&ask(&[HTTPS], &[("oauth_token", "st2.s.other")]).await), (200, 403_003), "one that Gigya does not know");
    stage.vendor.end(&token);
    stage.at(START + 61);
    assert_eq!(told(&ask(&[HTTPS], &by_token).await), (200, 403_002), "one that has ended, once that was asked again");
    assert!(!stage.whole.written().contains(&token), "no record holds it");
}
