//! Who gets a pair for a device, and who does not.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::ENTRY;
use crate::domain::{Identity, Reason, Refusal};
use crate::issuer::contract::{Reply, Service};
use crate::issuer::services::house::{House, identity, post_at};
use crate::settings::NodeValue;
use crate::state::testing::Fault;
use crate::verify::keys::testing::{map, node};

const DEVICE: &str = "8b1cf7f9-0000-4000-8000-00000000000A";

fn service(house: &House) -> Arc<dyn Service> {
    house.service(&ENTRY, Some(&node(map(vec![("issuer", NodeValue::Text("main".into()))])))).unwrap()
}

async fn ask(service: &Arc<dyn Service>, by: Option<Identity>, body: &Json) -> Result<Reply, Refusal> {
    let fields = [("content-type", "application/json")];
    post_at("app.example", service, by.map(Arc::new).as_ref(), &fields, &body.to_string()).await
}

#[tokio::test]
async fn both_forms_bring_a_pair_for_the_device() {
    let house = House::new();
    let service = service(&house);
    let text = json!({ "LoginFields": json!({ "Devicetoken": DEVICE }).to_string(), "Password": "k" });
    for body in [text, json!({ "loginFields": { "DeviceToken": DEVICE } })] {
        let reply = ask(&service, Some(identity("key_pair")), &body).await.unwrap();
        let said: Json = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!((reply.status, &said["Status"], &said["Title"], &said["Errors"]), (200, &json!(200), &json!(""), &json!([])));
        assert_eq!(said["Result"]["DeviceToken"], DEVICE.to_lowercase(), "UUIDs are written in one way");
        assert_eq!(said["Result"]["AccessToken"]["ExpiresIn"], 900);
        let refresh = said["Result"]["RefreshToken"].as_str().unwrap();
        let now = crate::issuer::services::house::NOW;
        assert!(house.issuer.rotate_for(refresh, &DEVICE.to_lowercase(), now).await.is_ok(), "the pair is the device's");
    }
}

#[tokio::test]
async fn nobody_else_gets_one() {
    let house = House::new();
    let service = service(&house);
    let good = json!({ "LoginFields": { "Devicetoken": DEVICE } });
    let rows = [
        (None, good.clone(), "credential_missing", "nobody"),
        (Some(identity("jwt")), good.clone(), "guard_refused", "somebody without an instance's key"),
        (Some(identity("key_pair")), json!({ "LoginFields": { "email": "a@b" }, "Password": "p" }), "guard_refused", "an operator"),
        (Some(identity("key_pair")), json!({ "LoginFields": { "Devicetoken": "x" } }), "guard_refused", "no device token"),
        (Some(identity("key_pair")), json!([]), "guard_refused", "no login"),
    ];
    for (by, body, reason, shows) in rows {
        assert_eq!(ask(&service, by, &body).await.unwrap_err().reason().as_str(), reason, "{shows}");
    }
    house.failing.fail(Some(Fault::Write));
    let refusal = ask(&service, Some(identity("key_pair")), &good).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::StateUnavailable, "and nothing is given that nobody remembers");
}
