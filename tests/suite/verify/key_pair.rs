//! What a conf may say of the `key_pair` scheme, and where it then looks.

use countersign::domain::Place;
use countersign::verify::contract::{Desks, SchemePlan, Verifier};
use countersign::verify::key_pair::prove as plan;
use countersign::verify::keys::contract::BuiltKeys;
use http::HeaderName;
use serde_json::json;

use crate::stage::{NOW, Partners, Stage, Told, known, partner, prove, stores};

#[test]
fn settings_are_proven() {
    let fields = |id, key| Some(vec![Place::Header(HeaderName::from_static(id)), Place::Header(HeaderName::from_static(key))]);
    let rows = [
        (json!({ "keys": "store" }), fields("instanceid", "instancekey"), "the least: the vendor's headers"),
        (json!({ "keys": "store", "id_header": "X-Id", "key_header": "X-Key" }), fields("x-id", "x-key"), "named headers"),
        (json!({}), None, "no store"),
        (json!({ "keys": "other" }), None, "a store that is not there"),
        (json!({ "keys": "store", "id_header": "X", "key_header": "x" }), None, "one header for both"),
        (json!({ "keys": "store", "id_header": "InstanceKey" }), None, "one header for both, by a default"),
        (json!({ "keys": "store", "key_header": "Authorization" }), None, "a header that says more than the secret"),
        (json!({ "keys": "store", "id_header": "a b" }), None, "no header name"),
    ];
    for (settings, expected, shows) in rows {
        assert_eq!(prove(plan, &settings).ok().map(|plan| plan.looks_at()), expected, "{shows}");
    }
}

#[test]
fn only_the_configured_headers_are_read() {
    let settings = json!({ "keys": "store", "id_header": "X-Id", "key_header": "X-Key" });
    let partners = stores(BuiltKeys::ServerKeys(Partners::of(vec![partner("inst", "key")])));
    let verifier = prove(plan, &settings).unwrap().verifier(&"instance".into(), &partners, &mut Desks::default()).unwrap();
    let told = |id: &str, key: &str| Stage::new().field(id, "inst").field(key, "key").ask(&verifier, NOW).told();
    assert_eq!(told("x-id", "x-key"), known("inst"), "the configured ones");
    assert_eq!(told("InstanceId", "InstanceKey"), Told::Absent, "the vendor's are then somebody else's");
    let (id, key) = ("x".repeat(257), "k".repeat(4_097));
    let malformed = Told::Out("credential_malformed", 401);
    assert_eq!(Stage::new().field("x-id", id).field("x-key", "key").ask(&verifier, NOW).told(), malformed, "an id of 257 bytes");
    assert_eq!(Stage::new().field("x-id", "inst").field("x-key", key).ask(&verifier, NOW).told(), malformed, "a secret beyond 4 KiB");
    assert_eq!((verifier.challenge(), verifier.cache_generation()), (None, None), "no registered auth-scheme, no remembered verdict");
}
