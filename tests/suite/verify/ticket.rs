//! What a conf may say of the `ticket` scheme, and where it then looks.

use std::collections::BTreeMap;

use countersign::domain::Place;
use countersign::verify::contract::SchemePlan;
use countersign::verify::keys::contract::{BuiltKeys, KeyClass};
use countersign::verify::ticket::prove as plan;
use http::HeaderName;
use serde_json::json;

use crate::stage::{prove, stores};

#[test]
fn settings_are_proven() {
    let field = |name| Place::Header(HeaderName::from_static(name));
    let default = || Some(vec![field("authorization"), field("ticket")]);
    let rows = [
        (json!({ "keys": "store" }), default(), "the least: a bearer, or the header `Ticket`"),
        (json!({ "keys": "store", "from": { "query": "ticket" } }), Some(vec![Place::Query("ticket".into())]), "a query parameter"),
        (
            json!({ "keys": "store", "from": ["bearer", { "cookie": "t" }] }),
            Some(vec![field("authorization"), Place::Cookie("t".into())]),
            "two places",
        ),
        (json!({ "keys": "store", "max_life": "1s" }), default(), "the least maximum life"),
        (json!({ "keys": "store", "max_life": "365d" }), default(), "the greatest"),
        (json!({ "keys": "store", "max_life": "366d" }), None, "beyond it"),
        (json!({ "keys": "store", "max_life": "0s" }), None, "no life"),
        (json!({ "keys": "store", "leeway": "5m" }), default(), "the greatest leeway"),
        (json!({ "keys": "store", "leeway": "301s" }), None, "beyond it"),
        (json!({ "keys": "store", "audience": "" }), None, "an empty audience"),
        (json!({ "keys": "store", "device_header": "a b" }), None, "no header name"),
        (json!({ "keys": "store", "from": { "body": "ticket" } }), None, "no such place"),
        (json!({ "keys": "other" }), None, "a store that is not there"),
        (json!({}), None, "no store"),
    ];
    for (settings, expected, shows) in rows {
        assert_eq!(prove(plan, &settings).ok().map(|plan| plan.looks_at()), expected, "{shows}");
    }
}

#[test]
fn a_plan_builds_only_over_a_key_that_seals() {
    let bare = prove(plan, &json!({ "keys": "store" })).unwrap();
    assert_eq!(bare.key_stores().first().map(|need| need.class), Some(KeyClass::Mac), "what it asks for");
    assert!(bare.verifier(&"pass".into(), &BTreeMap::new()).is_err(), "no such store");
    assert!(bare.verifier(&"pass".into(), &stores(BuiltKeys::GigyaSecret([].into()))).is_err(), "a store of something else");
    assert!(bare.verifier(&"pass".into(), &stores(BuiltKeys::Mac([].into()))).is_err(), "a store without a key opens nothing, and says so");
}
