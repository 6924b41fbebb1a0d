//! What reaches the user API and the app, what does not, and in whose words it is refused.

use countersign::demo::systems::telematics::DemoTelematics;
use serde_json::{Value, json};

use crate::telematics::{OTHER, Stage, USER, login, told};

/// The pair of the back end in the demo keys.
const BACKEND: [(&str, &str); 2] = [("InstanceID", "demo-partner"), ("InstanceKey", "demo-partner-secret")];

#[test]
fn the_shipped_conf_is_sound() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/systems/telematics.yaml");
    let plan = countersign::assembly::live::read(&path, &countersign::assembly::machine::Machine)
        .unwrap_or_else(|faults| panic!("{:#?}", faults.sorted()));
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_instance_key_is_widely_visible_in_apps_so_it_never_is_in_ours() {
    let stage = Stage::start().await;
    let account = stage.account(USER);
    let rows: [(&[(&str, &str)], &str, Value, &str); 4] = [
        (&BACKEND, "/v1/Registration/create", json!({ "CreateAccessToken": true }), "a back end"),
        (&BACKEND, "/v1/Registration/Create", json!({ "UserFields": { "ClientId": "c-1", "Enabled": true } }), "in the other spelling"),
        (&BACKEND, "/v1/Registration/CreateMany", json!([{}, {}]), "many"),
        (&[("Authorization", &account)], "/v1/Registration/create", json!({}), "a user with an account"),
    ];
    for (fields, target, body, shows) in rows {
        let answer = stage.post(target, fields, &body).await;
        assert_eq!(answer.status, 200, "{shows}: {answer:?} {}", stage.whole.written());
        let seen = stage.vendor.seen().pop().unwrap();
        let sent = (seen.id.as_deref(), seen.key.as_deref(), seen.authorization.as_deref());
        assert_eq!(
            sent,
            (Some(DemoTelematics::INSTANCE), Some(DemoTelematics::KEY), None),
            "{shows}: the instance's own, and nothing else"
        );
        assert_eq!(seen.body, body.to_string(), "{shows}: the body goes on as it came");
        assert!(!format!("{answer:?}").contains(DemoTelematics::KEY), "{shows}: the client sees no key");
    }
    assert_eq!(stage.vendor.asked().registered, 5);
    assert!(!stage.whole.written().contains(DemoTelematics::KEY), "nor does the record");
}

#[tokio::test(flavor = "multi_thread")]
async fn registrations_are_refused_in_the_vendors_words() {
    let stage = Stage::start().await;
    let account = stage.account(USER);
    let account = [("Authorization", account.as_str())];
    let none: [(&str, &str); 0] = [];
    let wrong = [("InstanceId", "demo-partner"), ("InstanceKey", "demo-partner-secre7")];
    let unknown = [("InstanceId", "demo-partne7"), ("InstanceKey", "demo-partner-secret")];
    let twice = [BACKEND[0], BACKEND[1], BACKEND[1]];
    let rows: [(&[(&str, &str)], &str, Value, (u16, i64, &str), &str); 10] = [
        (&none, "/v1/Registration/create", json!({}), (401, 401, "credential_missing"), "nobody"),
        (&wrong, "/v1/Registration/create", json!({}), (401, 401, "credential_invalid"), "E7 a wrong key"),
        (&unknown, "/v1/Registration/create", json!({}), (401, 401, "credential_invalid"), "E7 an unknown id looks alike"),
        (&BACKEND[..1], "/v1/Registration/create", json!({}), (401, 401, "credential_invalid"), "an id without its key"),
        (&twice, "/v1/Registration/create", json!({}), (400, 400, "credential_conflict"), "E5 a key twice"),
        (&BACKEND, "/v1/Registration/create", json!([]), (422, 422, ""), "no object"),
        (&BACKEND, "/v1/Registration/create", json!({ "CustomToken": 7 }), (422, 422, "CustomToken"), "a token that is none"),
        (&account, "/v1/Registration/create", json!({ "CustomToken": OTHER }), (403, 403, "DeviceToken"), "another user's token"),
        (&BACKEND, "/v1/Registration/create?InstanceKey=x", json!({}), (422, 422, ""), "a key in the address"),
        (
            &account,
            "/v1/Auth/Login",
            json!({ "LoginFields": { "email": "a@b" }, "Password": "p" }),
            (403, 403, "LoginFields"),
            "an operator",
        ),
    ];
    for (fields, target, body, (status, stated, key), shows) in rows {
        let answer = stage.post(target, fields, &body).await;
        assert_eq!(told(&answer), (status, stated, key.to_owned()), "{shows}");
        assert_eq!(answer.field("cache-control"), Some("no-store"), "{shows}");
        assert_eq!(answer.field("www-authenticate").is_some() || answer.status != 401, true, "{shows}: a 401 has a challenge");
    }
    assert!(stage.vendor.seen().is_empty(), "the vendor has seen nothing of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_spelling_of_a_path_leads_past_no_rule() {
    let stage = Stage::start().await;
    let account = stage.account(USER);
    // None of these is a path of the two rules; all of them are registrations or logins to the vendor.
    for target in ["/v1/registration/CREATE", "/V1/Registration/create", "/v1/AUTH/login", "/v1/Registration/createmany", "/v1/auth/Login/"]
    {
        let answer = stage.post(target, &[BACKEND[0], BACKEND[1], ("Authorization", &account)], &json!({})).await;
        assert_eq!(told(&answer), (401, 401, "credential_missing".to_owned()), "{target}: that rule takes sessions only");
    }
    assert!(stage.vendor.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vendors_page_prints_http_and_nothing_with_a_key_goes_over_it() {
    let stage = Stage::changed(|yaml| format!("trusted_proxies: [127.0.0.1/32]\n{yaml}")).await;
    let rows = [
        (vec![], 200, "from this very machine"),
        (vec![("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-Proto", "https")], 200, "a trusted proxy says https"),
        (vec![("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-Proto", "http")], 403, "a trusted proxy says http"),
        (vec![("X-Forwarded-For", "192.0.2.7")], 403, "a trusted proxy does not say"),
    ];
    for (more, status, shows) in rows {
        let fields: Vec<(&str, &str)> = BACKEND.into_iter().chain(more).collect();
        let answer = stage.post("/v1/Registration/create", &fields, &json!({})).await;
        assert_eq!(answer.status, status, "{shows}: {answer:?}");
        assert!(status == 200 || told(&answer).2 == "InstanceKey", "{shows}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_names_somebody_elses_device_to_the_app() {
    let stage = Stage::start().await;
    let (access, refresh) = stage.vendor.pair(USER, countersign::domain::Timestamp(crate::support::whole::NOW)).unwrap();
    let bearer = format!("Bearer {access}");
    let ask = async |target: &str, more: &[(&str, &str)], body: &str| {
        let fields: Vec<(&str, &str)> =
            [("Authorization", bearer.as_str()), ("X-Refresh-Token", &refresh)].into_iter().chain(more.iter().copied()).collect();
        stage.whole.ask_with("POST", target, &fields, body).await
    };
    let json = ("Content-Type", "application/json");
    let own = format!(r#"{{"DeviceToken":"{USER}"}}"#);
    let foreign = format!(r#"{{"x":[{{"devicetoken":"{OTHER}"}}]}}"#);
    let rows: [(&str, &[(&str, &str)], &str, u16, &str); 7] = [
        ("/app/trips", &[], "", 200, "none"),
        ("/app/trips", &[("DeviceToken", USER)], "", 200, "their own"),
        ("/app/trips", &[json], &own, 200, "their own in the body"),
        ("/app/trips", &[("UserDeviceToken", OTHER)], "", 403, "another's in a field"),
        ("/app/trips?devicetoken=8b1cf7f9-0000-4000-8000-000000000002", &[], "", 403, "another's in the query"),
        ("/app/trips", &[json], &foreign, 403, "another's in the body"),
        ("/app/v1/auth/login", &[json], "{}", 403, "no call of the user API is made there"),
    ];
    for (target, more, body, status, shows) in rows {
        let before = stage.app.records().len();
        let answer = ask(target, more, body).await;
        assert_eq!(answer.status, status, "{shows}: {answer:?} {}", stage.whole.written());
        assert_eq!(stage.app.records().len() - before, usize::from(status == 200), "{shows}");
    }
    let seen = stage.app.records().pop().unwrap();
    assert_eq!((seen.fields("x-auth-subject"), seen.fields("authorization"), seen.fields("x-refresh-token")), (vec![USER], vec![], vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_in_an_e_mail_address_writes_nothing() {
    let stage = Stage::changed(|yaml| yaml.replace("operator_logins: false", "operator_logins: true")).await;
    let account = stage.account(USER);
    // As the vendor's Python client formats it: f'{{"email":"{email}"}}'.
    let formatted = |email: &str| json!({ "LoginFields": format!(r#"{{"email":"{email}"}}"#), "Password": "p" });
    let device = format!(r#"a","Devicetoken":"{OTHER}"#);
    for email in [device.as_str(), r#"a@b","email":"c@d"#, r#"a"}"#, "a\\"] {
        let answer = stage.post("/v1/Auth/Login", &[("Authorization", &account)], &formatted(email)).await;
        assert_eq!(told(&answer), (422, 422, "LoginFields".to_owned()), "{email}");
    }
    assert_eq!(stage.vendor.asked().logins, 0, "none of them was a login");
    let answer = stage.post("/v1/Auth/Login", &[("Authorization", &account)], &formatted("a@b")).await;
    assert_eq!((answer.status, stage.vendor.asked().logins), (401, 1), "an address is one, and the vendor says what it is worth");
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_are_few_and_each_user_has_their_own() {
    let stage = Stage::changed(|yaml| yaml.replace("    harvest: { session: member }\n", "")).await;
    let (user, other) = (stage.account(USER), stage.account(OTHER));
    for (account, device, status, shows) in [
        (&user, USER, 200, "1"),
        (&user, USER, 200, "2"),
        (&user, USER, 200, "3"),
        (&user, USER, 200, "4"),
        (&user, USER, 429, "5: refused before the vendor counts it"),
        (&other, OTHER, 200, "somebody else's first"),
        (&user, OTHER, 403, "as somebody else"),
    ] {
        let answer = stage.post("/v1/Auth/Login", &[("Authorization", account)], &login(device)).await;
        assert_eq!(answer.status, status, "{shows}: {answer:?}");
        assert_eq!(answer.field("retry-after").is_some(), status == 429, "{shows}");
    }
    assert_eq!(stage.vendor.asked().logins, 5);
}
