//! Discovery against providers on loopback: documents that hold, documents that lie, sets that move.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::domain::Timestamp;
use crate::net::client::ClientSettings;
use crate::net::client::loopback::{Loopback, Told};
use crate::settings::Material;
use crate::verify::keys::contract::SignatureKeys;
use crate::verify::keys::discovery::{implied, plan};
use crate::verify::keys::testing::{IssuerKey, Notes, map, node, prove, says, set_of, signature_store, text, tools_with};

/// The store of the provider at `server`, and its clock.
fn store_of(issuer: &str) -> (Arc<dyn SignatureKeys>, Arc<AtomicI64>) {
    let clock = Arc::new(AtomicI64::new(0));
    let tools = tools_with(ClientSettings::default(), Arc::clone(&clock), Arc::new(Notes::default()));
    (signature_store(&*implied(issuer).unwrap(), &tools), clock)
}

async fn ask(store: &Arc<dyn SignatureKeys>, kid: &str, now: i64) -> bool {
    Arc::clone(store).desk().answer(kid, Timestamp(now)).await.is_ok()
}

/// A document as providers serve it.
fn document(issuer: &str, jwks_uri: &str) -> String {
    format!(r#"{{"issuer":"{issuer}","jwks_uri":"{jwks_uri}","response_types_supported":["code"],"claims":{{"a":{{"b":[[1]]}}}}}}"#)
}

#[tokio::test]
async fn the_set_is_found_under_the_issuers_own_path() {
    for (path, asked) in [
        ("", "/.well-known/openid-configuration"),
        ("/", "/.well-known/openid-configuration"),
        ("/realms/one", "/realms/one/.well-known/openid-configuration"),
        ("/realms/one/", "/realms/one/.well-known/openid-configuration"),
    ] {
        let key = IssuerKey::new("k");
        let set = set_of(&[&key]);
        let server = Loopback::start(|_| Told::status(500));
        let (issuer, jwks) = (server.url(path), server.url("/keys"));
        let text = document(&issuer, &jwks);
        server.follow(move |request| if request.target() == "/keys" { Told::ok(set.clone()) } else { Told::ok(text.clone()) });
        let (store, _) = store_of(&issuer);
        assert!(ask(&store, "k", 0).await, "{path:?}");
        assert_eq!(says(&store, "", Some("k"), 0), "keys", "{path:?}");
        let targets: Vec<String> = server.asked().iter().map(|request| request.target().to_owned()).collect();
        assert_eq!(targets, [asked, "/keys"], "{path:?}");
    }
}

#[tokio::test]
async fn a_document_that_does_not_hold_leads_nowhere() {
    let key = IssuerKey::new("k");
    let server = Loopback::start(|_| Told::status(500));
    let (issuer, jwks) = (server.url(""), server.url("/keys"));
    let good = document(&issuer, &jwks);
    let cases = [
        // document, found, what the row shows
        (Told::ok(good.clone()), true, "as it should be"),
        (Told::ok(document(&format!("{issuer}/"), &jwks)), false, "another issuer by one slash"),
        (Told::ok(document("https://other.example", &jwks)), false, "another issuer"),
        (Told::ok(document(&issuer.to_uppercase(), &jwks)), false, "another spelling"),
        (Told::ok(format!(r#"{{"jwks_uri":"{jwks}"}}"#)), false, "no issuer"),
        (Told::ok(format!(r#"{{"issuer":["{issuer}"],"jwks_uri":"{jwks}"}}"#)), false, "an issuer that is a list"),
        (Told::ok(format!(r#"{{"issuer":"{issuer}"}}"#)), false, "no set"),
        (Told::ok(good.replace("\"issuer\"", "\"jwks_uri\":\"x\",\"issuer\"")), false, "two places of the set"),
        (Told::ok(document(&issuer, "http://id.example/keys")), false, "a set in plaintext"),
        (Told::ok(document(&issuer, "https://169.254.169.254/keys")), false, "a set at the metadata service"),
        (Told::ok(document(&issuer, "file:///etc/passwd")), false, "a set in a file"),
        (Told::ok(document(&issuer, "/keys")), false, "a set at no URL"),
        (Told::ok(document(&issuer, &jwks.replace("://", "://user:password@"))), false, "a set behind a password"),
        (Told::ok("<html></html>"), false, "a page"),
        (Told::ok(format!("{good}{}", " ".repeat(128 * 1024))), false, "too much"),
        (Told::Answer(302, vec![("location".into(), "/moved".into())], good.clone().into()), false, "a redirect"),
        (Told::status(404), false, "no document"),
    ];
    for (told, found, shows) in cases {
        let set = set_of(&[&key]);
        let document = told.clone();
        server.follow(move |request| if request.target() == "/keys" { Told::ok(set.clone()) } else { document.clone() });
        let (store, _) = store_of(&issuer);
        let before = server.count();
        assert_eq!(ask(&store, "k", 0).await, found, "{shows}");
        assert_eq!(says(&store, "", Some("k"), 0), if found { "keys" } else { "unavailable" }, "{shows}");
        assert_eq!(server.count() - before, if found { 2 } else { 1 }, "the set is asked for only when the document holds: {shows}");
    }
}

#[tokio::test]
async fn a_set_that_moves_is_found_again() {
    let (old, new) = (IssuerKey::new("old"), IssuerKey::new("new"));
    let server = Loopback::start(|_| Told::status(500));
    let issuer = server.url("");
    let at = |place: &str, key: &IssuerKey| {
        let (place, text, set) = (place.to_owned(), document(&issuer, &server.url(place)), set_of(&[key]));
        move |request: &crate::net::client::loopback::Asked| match request.target() {
            target if target == place => Told::ok(set.clone()),
            target if target.starts_with("/.well-known/") => Told::ok(text.clone()),
            _ => Told::status(404),
        }
    };
    server.follow(at("/first", &old));
    let (store, clock) = store_of(&issuer);
    assert!(ask(&store, "old", 0).await);
    server.follow(at("/second", &new));
    for now in [30, 60] {
        clock.store(now, Ordering::SeqCst);
        assert!(ask(&store, "new", now).await, "what was good serves on");
    }
    assert_eq!(says(&store, "", Some("new"), 60), "keys", "one failure, then the document is read anew");
    let targets: Vec<String> = server.asked().iter().map(|request| request.target().to_owned()).collect();
    let document = "/.well-known/openid-configuration";
    assert_eq!(targets, [document, "/first", "/first", document, "/second"], "the document is not read for every fetch");
}

#[test]
fn an_issuer_is_a_url_that_can_be_asked() {
    let written = |issuer: &str| prove(plan, &node(map(vec![("issuer", text(issuer).value)])), &Material::default());
    let cases = [
        ("https://id.example", true, "an issuer"),
        ("https://id.example/realms/one/", true, "with a path"),
        ("http://127.0.0.1:8080", true, "on loopback"),
        ("http://id.example", false, "plaintext"),
        ("https://id.example?x=y", false, "a query"),
        ("https://id.example#x", false, "a fragment"),
        ("https://user@id.example", false, "a user"),
        ("https://169.254.169.254", false, "a metadata service"),
        ("id.example", false, "no URL"),
        ("accounts", false, "a name"),
    ];
    for (issuer, taken, shows) in cases {
        assert_eq!(written(issuer).is_ok(), taken, "written: {shows}");
        assert_eq!(implied(issuer).is_ok(), taken, "implied: {shows}");
    }
    let continuity = |issuer: &str| implied(issuer).unwrap().continuity();
    assert_eq!(continuity("https://id.example"), written("https://id.example").unwrap().continuity(), "implied is written with defaults");
    assert_ne!(continuity("https://id.example"), continuity("https://id.example/"), "two issuers");
}
