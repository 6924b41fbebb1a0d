//! Janrain Capture through the running proxy: a page that logs in, apps that say who they are, clients that sign, tokens that run out.

mod attacks;
pub mod clients;
mod logins;
mod pitfalls;
mod renewal;
mod secrets;
mod stage;

use countersign::domain::Timestamp;
use serde_json::{Value, json};

use crate::janrain::stage::{ADDRESS, CLIENT, House, REDIRECT, SECRET, SOCIAL, UUID, body, date, form, signature};
use crate::support::whole::{NOW, Whole};

#[tokio::test(flavor = "multi_thread")]
async fn a_page_logs_in_with_a_social_token_and_never_sees_a_credential() {
    let house = House::start().await;
    house.capture.user(ADDRESS, UUID);
    house.capture.social(SOCIAL, ADDRESS);
    let says = form(&[
        ("token", SOCIAL),
        ("client_id", "evil"),
        ("redirect_uri", "https://evil.example"),
        ("response_type", "token"),
        ("flow", "evil"),
    ]);
    let answer = house.page("/oauth/auth_native", &says, None).await;
    let told = body(&answer);
    assert_eq!((answer.status, &told["stat"], &told["capture_user"]["uuid"]), (200, &json!("ok"), &json!(UUID)), "{told}");
    assert!(told.get("access_token").is_none(), "the token is in the session: {told}");
    let cookie = answer.field("set-cookie").expect("a session").to_owned();
    assert!(cookie.starts_with("__Host-session=") && cookie.contains("HttpOnly"), "{cookie}");
    assert_eq!(answer.field("cache-control"), Some("no-store"), "nobody keeps a login");

    let sent = house.capture.seen().pop().unwrap();
    for (name, value) in [("client_id", CLIENT), ("redirect_uri", REDIRECT), ("flow", "standard"), ("response_type", "code_and_token")] {
        assert!(sent.body.contains(&form(&[(name, value)])), "what the conf says of {name} is what Capture hears: {}", sent.body);
    }
    assert!(!sent.body.contains("evil"), "and nothing that the page said: {}", sent.body);
    assert!(!sent.body.contains(SECRET) && sent.authorization.is_none(), "a native call carries no secret");

    // The code of that reply makes it a session that can be renewed.
    let code = told["authorization_code"].as_str().unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let redeemed = house.page("/oauth/token", &form(&[("grant_type", "authorization_code"), ("code", code)]), Some(&cookie)).await;
    let told = body(&redeemed);
    assert_eq!((redeemed.status, &told["stat"]), (200, &json!("ok")), "{told}");
    assert!(told.get("access_token").is_none() && told.get("refresh_token").is_none(), "{told}");
    let cookie = redeemed.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let sent = house.capture.seen().pop().unwrap();
    assert!(sent.authorization.unwrap().starts_with("Basic "), "the secret went to the token endpoint");
    assert!(sent.body.contains(&form(&[("redirect_uri", REDIRECT)])), "with the address of the conf");

    // And the app learns who it is, and sees no credential.
    let answer = house.get("/home", &cookie).await;
    assert_eq!(answer.status, 200);
    let seen = house.app.records().pop().unwrap();
    assert_eq!(seen.fields("x-auth-subject"), [UUID]);
    for token in house.capture.live_tokens(Timestamp(NOW)) {
        assert!(!seen.head.contains(&token), "the app sees no token");
    }
    assert!(!seen.head.contains("__Host-session"), "nor the cookie");

    // Capture's own API is asked with the token of the session.
    let profile = house.get("/entity", &cookie).await;
    assert_eq!(body(&profile)["result"]["uuid"], json!(UUID));
    assert!(house.capture.seen().pop().unwrap().authorization.unwrap().starts_with("OAuth "));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_user_gets_310_untouched_and_registers_once_with_the_same_token() {
    let house = House::start().await;
    house.capture.social(SOCIAL, ADDRESS);
    let fields = [("form", "socialRegistrationForm"), ("token", SOCIAL), ("emailAddress", ADDRESS), ("displayName", "Jane")];
    let early = house.page("/oauth/register_native", &form(&fields), None).await;
    assert_eq!(
        (early.status, &body(&early)["code"], &body(&early)["error"]),
        (200, &json!(200), &json!("invalid_argument")),
        "not before auth_native"
    );
    assert_eq!(house.capture.asked().registrations, 0, "and Capture never heard of it");

    let unknown = house.page("/oauth/auth_native", &form(&[("token", SOCIAL)]), None).await;
    let told = body(&unknown);
    assert_eq!((unknown.status, &told["code"]), (200, &json!(310)), "310 is what the page needs: {told}");
    assert_eq!(told["prereg_fields"]["emailAddress"], json!(ADDRESS), "with the fields that it fills in");
    assert!(unknown.field("set-cookie").is_none(), "nobody has logged in");
    assert_eq!(house.capture.asked().refreshed, 0, "and nothing is renewed");

    let other =
        fields.map(|(name, value)| if name == "token" { (name, "ffab34cd56ef78gh90ij12kl34mn56op78qr90st") } else { (name, value) });
    let foreign = house.page("/oauth/register_native", &form(&other), None).await;
    assert_eq!(
        (&body(&foreign)["code"], house.capture.asked().registrations),
        (&json!(200), 0),
        "another token was not shown to auth_native"
    );

    let done = house.page("/oauth/register_native", &form(&fields), None).await;
    assert_eq!((&body(&done)["stat"], &body(&done)["is_new"]), (&json!("ok"), &json!(true)), "{}", done.text());
    assert!(done.field("set-cookie").is_some(), "who has registered is logged in");

    let again = house.page("/oauth/register_native", &form(&fields), None).await;
    assert_eq!((&body(&again)["code"], &body(&again)["argument_name"]), (&json!(200), &json!("token")), "once");
    assert_eq!(house.capture.asked().registrations, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_380_and_390_reach_the_page_as_capture_wrote_them() {
    let house = House::start().await;
    house.capture.user("taken@example.com", UUID);
    house.capture.social(SOCIAL, ADDRESS);
    house.page("/oauth/auth_native", &form(&[("token", SOCIAL)]), None).await;
    let taken = [("form", "socialRegistrationForm"), ("token", SOCIAL), ("emailAddress", "taken@example.com"), ("displayName", "Jane")];
    let told = body(&house.page("/oauth/register_native", &form(&taken), None).await);
    assert_eq!((&told["code"], &told["existing_provider"]), (&json!(380), &json!("capture")), "{told}");
    assert_eq!(told["request_id"], "f5q326y8ef2tmfcq", "byte for byte Capture's own");
    // The proxy knows one field of the form; the others are Capture's to ask for.
    house.page("/oauth/auth_native", &form(&[("token", SOCIAL)]), None).await;
    let lacks = [("form", "socialRegistrationForm"), ("token", SOCIAL), ("emailAddress", ADDRESS)];
    let told = body(&house.page("/oauth/register_native", &form(&lacks), None).await);
    assert_eq!((&told["code"], &told["invalid_fields"]), (&json!(390), &json!({ "displayName": ["displayName is required."] })), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_says_which_client_it_is_and_a_client_signs() {
    let house = House::start().await;
    house.capture.user(ADDRESS, UUID);
    house.capture.social(SOCIAL, ADDRESS);
    let whole = [
        ("client_id", CLIENT),
        ("flow", "standard"),
        ("flow_version", "20160420-1"),
        ("locale", "en-US"),
        ("redirect_uri", REDIRECT),
        ("token", SOCIAL),
    ];
    let answer = house.api("POST", "/oauth/auth_native", &[], &form(&whole)).await;
    assert_eq!((answer.status, &body(&answer)["stat"]), (200, &json!("ok")), "{}", answer.text());
    assert!(body(&answer)["access_token"].is_string(), "an app that keeps its own token gets it");

    let at = date(NOW);
    let signed = signature("reader-secret", "/entity.find", &at, &[("filter", "lastUpdated >= '2016-01-01'"), ("type_name", "user")]);
    let field = format!("Signature reader:{signed}");
    let target = format!("/entity.find?{}", form(&[("filter", "lastUpdated >= '2016-01-01'"), ("type_name", "user")]));
    let fields = [("Authorization", field.as_str()), ("Date", at.as_str())];
    let answer = house.api("GET", &target, &fields, "").await;
    assert_eq!(
        (answer.status, &body(&answer)["result"]["client"]),
        (200, &json!("reader")),
        "Capture verifies it as well: {}",
        answer.text()
    );
    let again = house.api("GET", &target, &fields, "").await;
    assert_eq!((again.status, &body(&again)["code"]), (200, &json!(402)), "each signature once");
    assert_eq!(house.whole.reason_of(&again).await, "replayed");

    let basic = format!("Basic {}", crate::support::rows::base64("issuer:issuer-secret"));
    let denied = house
        .api("POST", "/oauth/token", &[("Authorization", &basic)], &form(&[("grant_type", "refresh_token"), ("refresh_token", "r0")]))
        .await;
    let told = body(&denied);
    assert_eq!(
        (denied.status, &told["error"]),
        (400, &json!("invalid_grant")),
        "Basic over the same store, and Capture's own answer: {told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_inside_a_200_but_at_the_token_endpoint() {
    let house = House::start().await;
    let reader = format!("Basic {}", crate::support::rows::base64("reader:reader-secret"));
    let wrong = format!("Basic {}", crate::support::rows::base64("reader:wrong"));
    let reader = [("Authorization", reader.as_str())];
    let wrong = [("Authorization", wrong.as_str())];
    let code = form(&[("grant_type", "authorization_code"), ("code", "c"), ("redirect_uri", REDIRECT)]);
    let unknown = form(&[("client_id", "nobody"), ("token", SOCIAL)]);
    let reads = form(&[
        ("client_id", "reader"),
        ("flow", "f"),
        ("flow_version", "1"),
        ("locale", "l"),
        ("redirect_uri", REDIRECT),
        ("token", SOCIAL),
    ]);
    let rows: [(&str, &str, &[(&str, &str)], &str, u16, u16, Value, &str); 11] = [
        ("GET", "/entity.find", &[], "", 200, 402, json!("invalid_client_credentials"), "nothing was brought"),
        ("GET", "/entity.find", &wrong, "", 200, 402, json!("invalid_client_credentials"), "a wrong secret"),
        (
            "GET",
            "/entity.find",
            &[("Authorization", "Digest x")],
            "",
            200,
            205,
            json!("invalid_auth_method"),
            "a way that Capture does not know",
        ),
        ("POST", "/entity.update", &reader, "", 200, 403, json!("permission_error"), "a feature that the client lacks"),
        ("POST", "/oauth/auth_native", &[], &unknown, 200, 402, json!("invalid_client_credentials"), "a client that nobody knows"),
        ("POST", "/oauth/auth_native", &[], &reads, 200, 403, json!("permission_error"), "a client that logs nobody in"),
        ("POST", "/oauth/auth_native", &[], "token=x", 200, 402, json!("invalid_client_credentials"), "a call that names no client"),
        ("POST", "/oauth/token", &[], &code, 401, 402, json!("invalid_client"), "401 at the token endpoint"),
        ("POST", "/oauth/token", &reader, &code, 400, 403, json!("unauthorized_client"), "400 at the token endpoint"),
        ("POST", "/oauth/token", &reader, "", 400, 100, json!("invalid_request"), "400 for what is missing"),
        ("GET", "/oauth/token", &reader, "", 400, 200, json!("invalid_request"), "400 for GET"),
    ];
    for (method, target, fields, text, status, code, error, shows) in rows {
        let answer = house.api(method, target, fields, text).await;
        let told = body(&answer);
        assert_eq!(
            (answer.status, &told["code"], &told["error"], &told["stat"]),
            (status, &json!(code), &error, &json!("error")),
            "{shows}: {told}"
        );
        assert_eq!(told["request_id"].as_str().map(str::len), Some(16), "{shows}");
        assert_eq!((answer.field("content-type"), answer.field("cache-control")), (Some("application/json"), Some("no-store")), "{shows}");
    }
    assert!(house.capture.seen().is_empty(), "Capture heard of none of them");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_conf_that_is_shipped_runs() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/");
    let read = |name: &str| std::fs::read_to_string(format!("{folder}{name}")).unwrap();
    let conf = read("systems/janrain.yaml")
        .replace("127.0.0.1:8080", "127.0.0.1:0")
        .replace("127.0.0.1:9901", "127.0.0.1:0")
        .replace("../keys/", "");
    let names = ["demo-ticket-current.key", "demo-janrain-clients.jsonl", "demo-janrain-secret.txt"];
    let files = names.map(|name| (name, read(&format!("keys/{name}"))));
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    let whole = Whole::start(&conf, &files).await;
    let ask = |host: &'static str| {
        let whole = &whole;
        async move {
            let fields = [("Host", host), ("Content-Type", "application/x-www-form-urlencoded")];
            body(
                &whole
                    .ask_with(
                        "POST",
                        "/oauth/register_native",
                        &fields,
                        &form(&[("client_id", "demologinclientdemologinclient00"), ("token", SOCIAL)]),
                    )
                    .await,
            )
        }
    };
    assert_eq!(ask("app.example").await["argument_name"], json!("form"), "in front of the app, everything but the form is filled in");
    assert_eq!(ask("capture.example").await["argument_name"], json!("locale"), "in front of Capture, only the flow is");
}
