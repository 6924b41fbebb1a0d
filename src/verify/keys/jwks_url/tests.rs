//! Which URLs and times a conf may write, and keys that come over TLS.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use crate::domain::Timestamp;
use crate::net::client::ClientSettings;
use crate::net::client::loopback::{Loopback, Told};
use crate::settings::{Material, NodeValue};
use crate::verify::keys::contract::KeySourcePlan;
use crate::verify::keys::jwks_url::plan;
use crate::verify::keys::testing::{IssuerKey, Notes, keys_of, map, node, prove, set_of, signature_store, text, tools_with};

fn planned(url: &str, more: &[(&str, &str)]) -> Result<Box<dyn KeySourcePlan>, Vec<String>> {
    let entries = [("url", url)].iter().chain(more).map(|(key, value)| (*key, text(value).value)).collect();
    prove(plan, &node(map(entries)), &Material { base: "/conf".into(), ..Material::default() })
}

#[test]
fn a_set_is_asked_for_over_https_at_an_address_that_may_be_called() {
    let cases = [
        // url, taken, what the row shows
        ("https://id.example/jwks", true, "https"),
        ("https://10.0.0.5/jwks", true, "a private address of the operator's"),
        ("http://127.0.0.1:8080/jwks", true, "plaintext on loopback"),
        ("http://localhost/jwks", true, "the same by name"),
        ("http://id.example/jwks", false, "plaintext"),
        ("http://10.0.0.5/jwks", false, "plaintext to a private address"),
        ("https://169.254.169.254/latest/meta-data", false, "a metadata service"),
        ("https://[fd00:ec2::254]/", false, "another"),
        ("https://0.0.0.0/jwks", false, "nowhere"),
        ("https://user:password@id.example/jwks", false, "a password in the URL"),
        ("https://id.example/jwks#keys", false, "a fragment"),
        ("file:///etc/passwd", false, "no HTTP"),
        ("id.example/jwks", false, "no URL"),
    ];
    for (url, taken, shows) in cases {
        assert_eq!(planned(url, &[]).is_ok(), taken, "{shows} ({url})");
    }
}

#[test]
fn times_keep_within_their_bounds() {
    let url = "https://id.example/jwks";
    let cases: [(&[(&str, &str)], bool, &str); 7] = [
        (&[], true, "the defaults"),
        (&[("refresh", "10s"), ("max_stale", "10s")], true, "the shortest"),
        (&[("refresh", "9s")], false, "too eager"),
        (&[("refresh", "1h"), ("max_stale", "30d")], true, "the longest"),
        (&[("refresh", "3601s")], false, "a withdrawn key would live too long"),
        (&[("max_stale", "31d")], false, "an outlived set is worse than none"),
        (&[("refresh", "10m"), ("max_stale", "5m")], false, "no keys between two fetches"),
    ];
    for (more, taken, shows) in cases {
        assert_eq!(planned(url, more).is_ok(), taken, "{shows}");
    }
    assert!(planned(url, &[("ca", "missing.pem")]).is_err(), "authorities that cannot be read");
}

#[test]
fn a_reload_goes_on_with_the_store_exactly_when_nothing_about_it_has_changed() {
    let text = |url: &str, more: &[(&str, &str)]| planned(url, more).unwrap().continuity().unwrap();
    let base = text("https://id.example/jwks", &[]);
    assert_eq!(base, text("https://id.example/jwks", &[("refresh", "5m"), ("max_stale", "24h")]), "defaults written out");
    for (url, more, shows) in [
        ("https://id.example/other", &[][..], "another URL"),
        ("https://id.example/jwks", &[("refresh", "6m")][..], "another pace"),
        ("https://id.example/jwks", &[("max_stale", "1h")][..], "another bound"),
        ("https://id.example/jwks", &[("cache_file", "set.json")][..], "another copy"),
    ] {
        assert_ne!(base, text(url, more), "{shows}");
    }
}

#[tokio::test]
async fn keys_come_over_tls_from_the_authority_the_conf_names() {
    let key = IssuerKey::new("k");
    let set = set_of(&[&key]);
    let server = Loopback::start_tls(&["id.example"], move |_| Told::ok(set.clone()));
    let stranger = Loopback::start_tls(&["id.example"], |_| Told::status(500));
    for (ca, trusted, shows) in [(&server.ca, true, "its own authority"), (&stranger.ca, false, "somebody else's")] {
        let mut material = Material { base: "/conf".into(), ..Material::default() };
        material.files.insert("/conf/ca.pem".into(), Ok(Arc::from(ca.as_bytes())));
        let written = map(vec![("url", NodeValue::Text("https://id.example/jwks".into())), ("ca", NodeValue::Text("ca.pem".into()))]);
        let plan = prove(plan, &node(written), &material).unwrap();
        let client = ClientSettings { resolve: vec![("id.example".into(), server.address)], ..ClientSettings::default() };
        let store = signature_store(&*plan, &tools_with(client, Arc::new(AtomicI64::new(0)), Arc::new(Notes::default())));
        let answer = Arc::clone(&store).desk().answer("k", Timestamp(0)).await;
        assert_eq!(answer.is_ok(), trusted, "{shows}");
        assert_eq!(key.is_among(&keys_of(&store, "", Some("k"), 0)), trusted, "{shows}");
    }
    assert_eq!(stranger.count(), 0);
}
