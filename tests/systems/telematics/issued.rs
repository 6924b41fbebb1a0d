//! Pairs of our own for the vendor's clients: the shipped example, with nobody behind it but an app.

use countersign::demo::systems::telematics::DemoTelematics;
use serde_json::{Value, json};

use crate::support::upstream::Upstream;
use crate::support::whole::{Folder, NOW, Whole};
use crate::telematics::{shipped, told};

const INSTANCE: [(&str, &str); 2] = [("InstanceID", "demo-partner"), ("InstanceKey", "demo-partner-secret")];

async fn post(whole: &Whole, target: &str, fields: &[(&str, &str)], body: &Value) -> crate::support::raw::Answer {
    let fields: Vec<(&str, &str)> = fields.iter().copied().chain([("Content-Type", "application/json")]).collect();
    whole.ask_with("POST", target, &fields, &body.to_string()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_logs_in_calls_and_refreshes_without_the_vendor() {
    let app = Upstream::start().await;
    let folder = Folder::new();
    for file in ["demo-server-keys.jsonl", "demo-pepper.txt", "demo-assertion.pem"] {
        folder.write(file, shipped(&format!("keys/{file}")));
    }
    let yaml = shipped("examples/telematics_login.yaml")
        .replace("127.0.0.1:8080", "127.0.0.1:0")
        .replace("admin: { address: 127.0.0.1:9901 }", "state: { memory: {} }")
        .replace("http://127.0.0.1:9000", &format!("http://{}", app.address))
        .replace("../keys/", "");
    let whole = Whole::start_in(folder, &yaml).await;

    // As the vendor's Android code sends it: an object, both fields, the key once more as password.
    let login = json!({ "loginFields": { "DeviceToken": DemoTelematics::USER }, "password": "demo-partner-secret" });
    let answer = post(&whole, "/v1/Auth/Login", &INSTANCE, &login).await;
    assert_eq!(answer.status, 200, "{answer:?} {}", whole.written());
    let said: Value = serde_json::from_slice(&answer.body).unwrap();
    let text = |said: &Value, name: &str| said["Result"].pointer(name).unwrap().as_str().unwrap().to_owned();
    let (access, refresh) = (text(&said, "/AccessToken/Token"), text(&said, "/RefreshToken"));
    let bearer = format!("Bearer {access}");
    let answer = whole.ask("GET", "/trips", &[("Authorization", &bearer), ("DeviceToken", DemoTelematics::USER)]).await;
    assert_eq!((answer.status, app.sole().fields("x-auth-subject")), (200, vec![DemoTelematics::USER]));
    let answer = whole.ask("GET", "/trips", &[("Authorization", &bearer), ("DeviceToken", DemoTelematics::OTHER)]).await;
    assert_eq!(told(&answer), (403, 403, "DeviceToken".to_owned()), "and names nobody else's device");

    let ends = said["Result"]["AccessToken"]["ExpiresIn"].as_i64().unwrap();
    whole.set_clock(NOW + ends + 60);
    let answer = whole.ask("GET", "/trips", &[("Authorization", &bearer)]).await;
    assert_eq!(told(&answer), (401, 401, "credential_expired".to_owned()), "which is what makes a client refresh");
    let pair = json!({ "AccessToken": access, "RefreshToken": refresh });
    let first = post(&whole, "/v1/Auth/RefreshToken", &[], &pair).await;
    let second = post(&whole, "/v1/RefreshToken", &INSTANCE, &pair).await;
    assert_eq!((first.status, first.text()), (200, second.text()), "two copies of a client get the same pair: {first:?} {second:?}");
    let said: Value = serde_json::from_slice(&first.body).unwrap();
    let bearer = format!("Bearer {}", text(&said, "/AccessToken/Token"));
    assert_eq!(whole.ask("GET", "/trips", &[("Authorization", &bearer)]).await.status, 200);
    whole.set_clock(NOW + ends + 120);
    let answer = post(&whole, "/v1/Auth/RefreshToken", &[], &pair).await;
    assert_eq!(told(&answer), (400, 400, "RefreshToken".to_owned()), "a failed refresh is a 400");

    let rows: [(&[(&str, &str)], Value, (u16, i64, &str), &str); 3] = [
        (&[], login.clone(), (401, 401, "credential_missing"), "a login without an instance"),
        (&INSTANCE[..1], login.clone(), (401, 401, "credential_invalid"), "half of one"),
        (&INSTANCE, json!({ "LoginFields": { "Devicetoken": DemoTelematics::USER }, "Password": "x" }), (422, 422, "Password"), "two keys"),
    ];
    for (fields, body, (status, stated, key), shows) in rows {
        assert_eq!(told(&post(&whole, "/v1/Auth/Login", fields, &body).await), (status, stated, key.to_owned()), "{shows}");
    }
}
