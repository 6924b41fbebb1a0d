//! The stand-in is as strict as the vendor is said to be.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};

use super::{DemoTelematics, Trouble};
use crate::domain::{Clock, Seconds, Timestamp};

const NOW: Timestamp = Timestamp(1_800_000_000);

async fn started() -> (DemoTelematics, Arc<AtomicI64>) {
    let clock = Arc::new(AtomicI64::new(NOW.0));
    let address: SocketAddr = ([127, 0, 0, 1], 0).into();
    (DemoTelematics::start(address, Arc::clone(&clock) as Arc<dyn Clock>, Seconds(100)).await.unwrap(), clock)
}

/// Asks; the status, and what the body says.
async fn ask(demo: &DemoTelematics, path: &str, fields: &[(&str, &str)], body: Option<Value>) -> (u16, Value) {
    let method = if body.is_some() { reqwest::Method::POST } else { reqwest::Method::GET };
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut request = reqwest::Client::new().request(method, format!("{}{path}", demo.origin()));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
}

fn text<'v>(said: &'v Value, pointer: &str) -> &'v str {
    said.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[tokio::test]
async fn only_the_newest_pair_is_good_and_each_refresh_works_once() {
    let (demo, clock) = started().await;
    let login = json!({ "LoginFields": json!({ "Devicetoken": DemoTelematics::USER }).to_string(), "Password": DemoTelematics::KEY });
    let instance = [("InstanceId", DemoTelematics::INSTANCE)];
    let (status, first) = ask(&demo, "/v1/auth/LOGIN", &instance, Some(login.clone())).await;
    assert_eq!((status, &first["Status"], first.pointer("/Result/AccessToken/ExpiresIn")), (200, &json!(200), Some(&json!(100))));
    let (access, refresh) = (text(&first, "/Result/AccessToken/Token"), text(&first, "/Result/RefreshToken"));
    let bearer = format!("Bearer {access}");
    assert_eq!(ask(&demo, "/trips", &[("Authorization", &bearer)], None).await.0, 200);

    let pair = json!({ "AccessToken": access, "RefreshToken": refresh });
    let (status, second) = ask(&demo, "/v1/Auth/RefreshToken", &[], Some(pair.clone())).await;
    assert_eq!(status, 200);
    assert_eq!(ask(&demo, "/trips", &[("Authorization", &bearer)], None).await.0, 401, "the old token is not good any more");
    assert_eq!(ask(&demo, "/v1/RefreshToken", &[], Some(pair)).await.0, 400, "nor does the old pair work twice");
    let fresh = format!("Bearer {}", text(&second, "/Result/AccessToken/Token"));
    assert_eq!(ask(&demo, "/trips", &[("Authorization", &fresh)], None).await.0, 200);
    clock.store(NOW.0 + 100, Ordering::SeqCst);
    assert_eq!(ask(&demo, "/trips", &[("Authorization", &fresh)], None).await.0, 401, "and it ends");
    demo.trouble(Trouble::StatusInBody);
    let (status, said) = ask(&demo, "/trips", &[("Authorization", &fresh)], None).await;
    assert_eq!((status, &said["Status"]), (200, &json!(401)));
    assert_eq!(demo.asked().refreshed, 1);
}

#[tokio::test]
async fn logins_are_spelled_just_so_and_few() {
    let (demo, _clock) = started().await;
    let instance = [("InstanceId", DemoTelematics::INSTANCE)];
    let of = |fields: Value, password: &str| Some(json!({ "LoginFields": fields, "Password": password }));
    let device = DemoTelematics::USER;
    let rows = [
        (of(json!(json!({ "Devicetoken": device }).to_string()), DemoTelematics::KEY), 200, "as documented"),
        (of(json!({ "DeviceToken": device }), DemoTelematics::KEY), 200, "as an object"),
        (of(json!(json!({ "DeviceToken": device }).to_string()), DemoTelematics::KEY), 401, "another spelling in a string"),
        (of(json!({ "DeviceToken": device }), "wrong"), 401, "a wrong key"),
        (of(json!({ "email": DemoTelematics::OPERATOR.0 }), DemoTelematics::OPERATOR.1), 200, "an operator"),
        (of(json!({ "email": DemoTelematics::OPERATOR.0 }), "wrong"), 401, "an operator with a wrong password"),
        (Some(json!({})), 422, "nobody"),
    ];
    for (body, status, shows) in rows {
        assert_eq!(ask(&demo, "/v1/Auth/Login", &instance, body).await.0, status, "{shows}");
    }
    let good = || of(json!({ "Devicetoken": device }), DemoTelematics::KEY);
    for (count, status) in [(3, 200), (4, 200), (5, 200), (6, 429)] {
        assert_eq!(ask(&demo, "/v1/Auth/Login", &instance, good()).await.0, status, "login {count}");
    }
}

#[tokio::test]
async fn a_registration_wants_the_instance_and_its_key() {
    let (demo, _clock) = started().await;
    let both = [("instanceID", DemoTelematics::INSTANCE), ("INSTANCEKEY", DemoTelematics::KEY)];
    let (status, said) = ask(&demo, "/v1/Registration/Create", &both, Some(json!({ "CreateAccessToken": true }))).await;
    assert_eq!((status, text(&said, "/Result/AccessToken/Token").is_empty()), (200, false));
    let (status, said) = ask(&demo, "/v1/Registration/create", &both, Some(json!({}))).await;
    assert_eq!((status, said.pointer("/Result/AccessToken")), (200, None), "a token is made where one is asked for");
    assert_eq!(ask(&demo, "/v1/Registration/create", &[both[0]], Some(json!({}))).await.0, 401);
    assert_eq!(ask(&demo, "/v1/Registration/CreateMany", &both, Some(json!([{}, {}]))).await.0, 200);
    assert_eq!(demo.asked().registered, 4);
}
