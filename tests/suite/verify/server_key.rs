//! What a conf may say of the `server_key` scheme, and where it then looks.

use std::collections::BTreeMap;

use countersign::domain::Place;
use countersign::verify::contract::{Desks, SchemePlan, Verifier};
use countersign::verify::keys::contract::BuiltKeys;
use countersign::verify::server_key::prove as plan;
use http::HeaderName;
use serde_json::json;

use crate::stage::{Partners, prove, stores};

fn field(name: &'static str) -> Place {
    Place::Header(HeaderName::from_static(name))
}

#[test]
fn settings_are_proven() {
    let rows = [
        (json!({ "keys": "store" }), Some(vec![field("server-key")]), "the least: the vendor's header"),
        (json!({ "keys": "store", "from": "basic" }), Some(vec![field("authorization")]), "Basic"),
        (json!({ "keys": "store", "from": { "header": "API-Key" } }), Some(vec![field("api-key")]), "a named header"),
        (
            json!({ "keys": "store", "from": ["server_key", "basic", { "header": "App-Key" }] }),
            Some(vec![field("server-key"), field("authorization"), field("app-key")]),
            "several, in written order",
        ),
        (json!({}), None, "no store"),
        (json!({ "keys": "other" }), None, "a store that is not there"),
        (json!({ "keys": "store", "form": "basic" }), None, "a misspelled key"),
        (json!({ "keys": "store", "from": [] }), None, "nowhere"),
        (json!({ "keys": "store", "from": "bearer" }), None, "no such place"),
        (json!({ "keys": "store", "from": { "query": "key" } }), None, "a server key has no business in a URL"),
        (json!({ "keys": "store", "from": { "header": "a b" } }), None, "no header name"),
        (json!({ "keys": "store", "from": { "header": "Authorization" } }), None, "a header that says more than the key"),
        (json!({ "keys": "store", "from": ["basic", "basic"] }), None, "a place twice"),
        (json!({ "keys": "store", "from": ["server_key", { "header": "Server-Key" }] }), None, "a place twice, by its two names"),
    ];
    for (settings, expected, shows) in rows {
        assert_eq!(prove(plan, &settings).ok().map(|plan| plan.looks_at()), expected, "{shows}");
    }
}

#[test]
fn a_plan_builds_only_over_server_keys_and_challenges_only_for_basic() {
    let bare = prove(plan, &json!({ "keys": "store" })).unwrap();
    let name = "partner".into();
    let built = |keys: &BTreeMap<String, BuiltKeys>| bare.verifier(&name, keys, &mut Desks::default()).map(drop);
    assert!(built(&BTreeMap::new()).is_err(), "no such store");
    assert!(built(&stores(BuiltKeys::GigyaSecret([].into()))).is_err(), "a store of something else");
    let partners = stores(BuiltKeys::ServerKeys(Partners::of(vec![])));
    assert!(built(&partners).is_ok(), "a store of server keys");

    let basic = prove(plan, &json!({ "keys": "store", "from": ["server_key", "basic"] })).unwrap();
    let challenge =
        |plan: &countersign::verify::server_key::ServerKeyPlan| plan.verifier(&name, &partners, &mut Desks::default()).unwrap().challenge();
    assert_eq!(challenge(&bare), None, "no registered scheme fits `Server-Key`");
    assert_eq!(challenge(&basic), Some("Basic"), "RFC 7617");
}
