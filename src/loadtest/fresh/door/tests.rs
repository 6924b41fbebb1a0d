//! Tests for the listener of a proxy under load.

use std::sync::Arc;

use serde_json::json;

use super::Door;
use crate::ambient::SystemRandom;
use crate::loadtest::fresh::vault::Vault;

#[test]
fn the_door_is_as_the_first_listener_and_always_on_loopback() {
    let folder = tempfile::tempdir().unwrap();
    let mut vault = Vault::new(folder.path(), Arc::new(SystemRandom));
    let tls = json!({ "certificate": "/own.pem", "key": "/own.key" });
    let cases = [
        // listeners, TLS, HTTP/2, what the row shows
        (json!([{ "address": "0.0.0.0:80" }]), false, true, "plaintext"),
        (json!([{ "address": "0.0.0.0:443", "tls": tls }, { "address": "0.0.0.0:80" }]), true, true, "the first of two"),
        (json!([{ "address": "0.0.0.0:443", "tls": tls, "h2": false }]), true, false, "HTTP/1.1 alone"),
    ];
    for (listeners, secured, http2, shows) in cases {
        let door = Door::in_place_of(Some(&listeners), &mut vault).unwrap();
        assert_eq!((door.ca.is_some(), door.http2), (secured, http2), "{shows}");
        assert_eq!(door.listener["address"], "127.0.0.1:0", "{shows}");
        assert!(!door.listener.to_string().contains("own."), "{shows}: nobody's own key is read");
    }
}
