//! What a conf may say of the `gigya` scheme, and where it then looks.

use countersign::domain::Place;
use countersign::verify::contract::SchemePlan;
use countersign::verify::gigya::prove as plan;
use serde_json::json;

use crate::stage::prove;

#[test]
fn settings_are_proven() {
    let rows = [
        (json!({ "keys": "store" }), true, "the least"),
        (json!({}), false, "no store"),
        (json!({ "keys": "other" }), false, "a store that is not there"),
        (json!({ "keys": "store", "window": "30s" }), true, "the narrowest window"),
        (json!({ "keys": "store", "window": "29s" }), false, "narrower"),
        (json!({ "keys": "store", "window": "300s" }), true, "the widest window"),
        (json!({ "keys": "store", "window": "301s" }), false, "wider"),
        (json!({ "keys": "store", "kind": "session" }), false, "no such kind"),
        (json!({ "keys": "store", "from": ["query", "cookies"] }), true, "places"),
        (json!({ "keys": "store", "from": "body" }), false, "no such place"),
        (json!({ "keys": "store", "from": ["query", "query"] }), false, "a place twice"),
        (json!({ "keys": "store", "uid": "signatureTimestamp" }), false, "two parts of one name"),
        (json!({ "keys": "store", "uid": "uidsignature", "from": "headers" }), false, "two headers of one name"),
        (json!({ "keys": "store", "uid": "a b", "from": "headers" }), false, "no header name"),
        (json!({ "keys": "store", "kind": "friend", "underscore": true }), false, "an ambiguous friendship"),
    ];
    for (settings, sound, shows) in rows {
        assert_eq!(prove(plan, &settings).is_ok(), sound, "{shows}");
    }
    let names = prove(plan, &json!({ "keys": "store", "kind": "site", "from": "query" })).unwrap().looks_at();
    let expected: Vec<Place> = ["siteUID", "UIDTimestamp", "UIDSig"].map(|name| Place::Query(name.into())).to_vec();
    assert_eq!(names, expected, "the vendor's names for a site's own id");
}
