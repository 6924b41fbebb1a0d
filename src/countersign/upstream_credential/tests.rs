//! A credential of ours is added whole, and shown to nobody else.

use std::sync::Arc;

use http::HeaderMap;

use super::ENTRY;
use crate::countersign::contract::CountersignTools;
use crate::countersign::stage::{Counting, NOW, identity, plan, sign};
use crate::domain::{RequestView, Target, Value};

#[test]
fn a_credential_is_added_in_the_form_its_reader_expects() {
    let cases = [
        ("bearer: { env: SECRET }", "authorization", "Bearer s3cret"),
        ("basic: { user: app, password: { env: SECRET } }", "authorization", "Basic YXBwOnMzY3JldA=="),
        ("server_key: { id: app, secret: { env: SECRET } }", "server-key", "YXBwOnMzY3JldA=="),
        ("server_key: { id: app, secret: { env: SECRET }, header: X-Vendor }", "x-vendor", "YXBwOnMzY3JldA=="),
        ("header: { name: X-Api-Key, value: { env: SECRET } }", "x-api-key", "s3cret"),
        ("header: { name: Authorization, value: { env: SECRET }, prefix: 'Token ' }", "authorization", "Token s3cret"),
    ];
    for (yaml, name, value) in cases {
        let (plan, faults) = plan(&ENTRY, yaml);
        let plan = plan.unwrap_or_else(|| panic!("{yaml}: {faults:?}"));
        let expected = Ok(vec![(name.to_owned(), value.to_owned())]);
        assert_eq!(sign(plan.as_ref(), None), expected, "{yaml}: also where nobody was proven");
        assert_eq!(sign(plan.as_ref(), Some(&identity("alice", &[], Value::empty()))), expected, "{yaml}");
        let shown = format!("{plan:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("YXBw"), "{shown} shows a secret");
    }
}

#[test]
fn the_field_is_sensitive_and_its_name_is_stripped_unless_clients_present_it_too() {
    let api_key = plan(&ENTRY, "header: { name: X-Api-Key, value: { env: SECRET } }").0.unwrap();
    assert_eq!(api_key.names(), [http::HeaderName::from_static("x-api-key")]);
    let target = Target { path: "/".into(), query: None };
    let headers = HeaderMap::new();
    let request = RequestView {
        method: "GET",
        raw_target: "/",
        target: &target,
        host: "",
        headers: &headers,
        client: "::1".parse().unwrap(),
        secure: false,
        request_id: "",
    };
    let mut out = Vec::new();
    api_key.build(&CountersignTools { random: Arc::new(Counting(0.into())) }).unwrap().sign(None, &request, NOW, &mut out).unwrap();
    assert!(out.iter().all(|(_, value)| value.is_sensitive()), "{out:?}");

    for yaml in ["bearer: { env: SECRET }", "server_key: { id: a, secret: { env: SECRET } }"] {
        assert!(plan(&ENTRY, yaml).0.unwrap().names().is_empty(), "{yaml}: other routes may pass the client's own on");
    }
}

#[test]
fn a_credential_that_could_not_be_sent_is_a_fault() {
    let cases = [
        ("bearer: { env: NOT_SET }", "is not set"),
        ("bearer: { env: BROKEN }", "cannot carry"),
        ("header: { name: X-Api-Key, value: { env: EDGE } }", "cannot carry"),
        ("bearer: plain-text", "may not stand in the conf"),
        ("basic: { user: 'a:b', password: { env: SECRET } }", "must not hold `:`"),
        ("server_key: { id: 'a:b', secret: { env: SECRET } }", "must not hold `:`"),
        ("header: { name: Host, value: { env: SECRET } }", "cannot carry a credential"),
        ("header: { name: X-Forwarded-For, value: { env: SECRET } }", "cannot carry a credential"),
        ("header: { name: 'a b', value: { env: SECRET } }", "not a header field name"),
        ("basic: { user: a }", "needs `password`"),
        ("token: { env: SECRET }", "knows no key `token`"),
        ("{ bearer: { env: SECRET }, basic: { user: a, password: { env: SECRET } } }", "cannot be `basic` too"),
    ];
    for (yaml, says) in cases {
        let (plan, faults) = plan(&ENTRY, yaml);
        assert!(faults.iter().any(|(_, text)| text.contains(says)), "{yaml}: {faults:?}");
        assert!(faults.iter().all(|(_, text)| !text.contains("s3cret")), "{yaml}: {faults:?} shows a secret");
        assert!(plan.is_none(), "{yaml}");
    }
}
