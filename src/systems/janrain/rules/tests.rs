//! What a conf may say of Janrain Capture.

use serde_json::json;

use crate::systems::janrain::rules::{AUTHORIZATION_CODE, GRANTS};
use crate::systems::janrain::stage::proven;

#[test]
fn settings_are_proven() {
    let rows = [
        (json!({}), true, "all defaults"),
        (json!({ "mount": "/capture/" }), true, "a mount, its last slash forgotten"),
        (json!({ "mount": "capture" }), false, "a mount that is no path"),
        (json!({ "mount": "/a//b" }), false, "a mount with an empty segment"),
        (json!({ "redirect_uris": ["https://app.example/done", "http://localhost"] }), true, "addresses"),
        (json!({ "redirect_uris": ["javascript:alert(1)"] }), false, "an address that is none"),
        (json!({ "redirect_uris": [] }), false, "an empty list, which would refuse everything"),
        (json!({ "default_flow_version": "head" }), false, "HEAD as a default"),
        (json!({ "forms": { "socialRegistrationForm": ["emailAddress"], "signInForm": [] } }), true, "forms"),
        (json!({ "response_types": "token" }), true, "one response type"),
        (json!({ "response_types": ["id_token"] }), false, "one that the vendor does not know"),
        (json!({ "grants": ["password"] }), false, "a grant that the vendor does not know"),
        (json!({ "window": "10s" }), false, "a window that no clock keeps"),
        (json!({ "features": { "/clients/**": ["owner"], "/oauth/token": "login_client" } }), true, "features"),
        (json!({ "features": { "clients": ["owner"] } }), false, "an endpoint that is no path"),
        (json!({ "features": { "/x": ["admin"] } }), false, "a feature that the vendor does not know"),
        (json!({ "application": { "client_id": "abc", "client_secret": { "file": "secret" } } }), true, "an application"),
        (json!({ "application": { "client_id": "abc", "client_secret": "inline" } }), false, "a secret in the conf"),
        (json!({ "application": { "client_secret": { "file": "secret" } } }), false, "an application without an id"),
        (json!({ "application": { "client_id": "a:b" } }), false, "an id that Basic cannot carry"),
        (json!({ "application": { "client_id": "abc", "flow_version": "HEAD" } }), false, "HEAD for every call"),
        (
            json!({ "application": { "client_id": "abc", "redirect_uri": "app.example" } }),
            false,
            "an address that does not begin as it must",
        ),
        (json!({ "application": { "client_id": "abc", "origins": "https://www.app.example" } }), true, "pages elsewhere"),
        (json!({ "application": { "client_id": "abc", "origins": ["https://www.app.example/"] } }), false, "an origin with a path"),
        (json!({ "application": { "client_id": "abc", "origins": ["*"] } }), false, "every page there is"),
        (json!({ "unknown": 1 }), false, "an unknown key"),
    ];
    for (settings, expected, shows) in rows {
        let told = proven(&settings);
        assert_eq!(told.is_ok(), expected, "{shows}: {:?}", told.err());
    }
}

#[test]
fn a_refresh_token_is_not_redeemed_for_anybody_with_our_secret_unless_the_conf_says_so() {
    let grants = |settings| proven(&settings).unwrap().grants.iter().map(ToString::to_string).collect::<Vec<_>>();
    let application = json!({ "client_id": "abc", "client_secret": { "file": "secret" } });
    assert_eq!(grants(json!({})), GRANTS, "clients that prove themselves may do both");
    assert_eq!(grants(json!({ "application": application })), [AUTHORIZATION_CODE], "with our secret, a code alone");
    assert_eq!(grants(json!({ "application": application, "grants": GRANTS })), GRANTS, "unless it is written out");
}

#[test]
fn settings_show_no_secret() {
    let rules = proven(&json!({ "application": { "client_id": "abc", "client_secret": { "file": "secret" } } })).unwrap();
    assert!(!format!("{rules:?}").contains(crate::systems::janrain::stage::SECRET));
}
