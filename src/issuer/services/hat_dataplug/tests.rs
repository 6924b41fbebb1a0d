//! Where browsers are sent to set up a plug, and with what.

use std::sync::Arc;

use crate::domain::{Identity, Reason, Value};
use crate::issuer::services::hat_dataplug::ENTRY;
use crate::issuer::services::house::{House, field, get_at, identity};
use crate::settings::NodeValue;
use crate::verify::keys::testing::{map, node};

const HOST: &str = "app.example";

fn settings(plug: &str) -> crate::settings::Node {
    let text = |text: &str| NodeValue::Text(text.into());
    let back = NodeValue::List(vec![node(text("https://app.example/done")), node(text("https://app.example/other"))]);
    node(map(vec![("plug", text(plug)), ("redirect_uris", back)]))
}

fn caller(token: Option<&str>) -> Arc<Identity> {
    let claims = token.map_or_else(Value::empty, |token| Value::Map([("application_token".into(), Value::from(token))].into()));
    Arc::new(Identity { claims: claims.into(), ..identity("session") })
}

#[tokio::test]
async fn a_browser_is_sent_to_the_plug_with_the_plugs_own_token() {
    let house = House::new();
    let service = house.service(&ENTRY, Some(&settings("https://plug.example/setup?v=2"))).unwrap();
    let reply = get_at(HOST, &service, Some(&caller(Some("a.b.c"))), &[], "").await.unwrap();
    let expected = "https://plug.example/setup?v=2&token=a.b.c&redirect=https%3A%2F%2Fapp.example%2Fdone";
    assert_eq!((reply.status, field(&reply, "location")), (303, Some(expected)));
    assert_eq!(field(&reply, "referrer-policy"), Some("no-referrer"), "the token is in the address");
    let query = "redirect_uri=https%3A%2F%2Fapp.example%2Fother";
    let reply = get_at(HOST, &service, Some(&caller(Some("a.b.c"))), &[], query).await.unwrap();
    assert!(field(&reply, "location").unwrap().ends_with("&redirect=https%3A%2F%2Fapp.example%2Fother"), "another of ours");
    for query in ["redirect_uri=https://evil.example", "redirect_uri=https://app.example@evil.example/done", "a=%zz"] {
        let reply = get_at(HOST, &service, Some(&caller(Some("a.b.c"))), &[], query).await.unwrap();
        assert_eq!((reply.status, field(&reply, "location")), (400, None), "{query} (L1, L8)");
        assert!(!String::from_utf8_lossy(&reply.body).contains("evil"), "{query}: and is not repeated");
    }
    let refused = get_at(HOST, &service, Some(&caller(None)), &[], "").await.unwrap_err();
    assert_eq!(refused.reason(), Reason::PolicyDenied, "without a token of the plug's there is nothing to set up");
    let fields = [("sec-fetch-site", "cross-site")];
    let refused = get_at(HOST, &service, Some(&caller(Some("a.b.c"))), &fields, "").await.unwrap_err();
    assert_eq!(refused.reason(), Reason::PolicyDenied, "nor does another site's page begin it (L15)");
}

#[test]
fn settings_that_would_send_tokens_astray_are_faults() {
    let house = House::new();
    for (plug, expected) in [
        ("http://plug.example/setup", "not https"),
        ("https://user@plug.example/", "a user"),
        ("https://plug.example/?token=x", "written by the service itself"),
    ] {
        let says = house.service(&ENTRY, Some(&settings(plug))).map(|_| ()).unwrap_err();
        assert!(says[0].contains(expected), "{plug}: {says:?}");
    }
    assert!(house.service(&ENTRY, None).map(|_| ()).unwrap_err()[0].contains("say which plug"));
}
