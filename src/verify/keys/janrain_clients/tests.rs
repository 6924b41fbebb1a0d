//! API clients as they are written, and what the store then knows of them.

use std::sync::Arc;

use crate::domain::Timestamp;
use crate::settings::{Entry, Node, NodeValue};
use crate::verify::keys::contract::{BuiltKeys, ServerKeySearch, ServerKeys};
use crate::verify::keys::janrain_clients::plan;
use crate::verify::keys::janrain_clients::record::parse_client;
use crate::verify::keys::testing::{map, node, planned_node, prove, span, tools, written};

const GOOD: &str =
    r#"{"client_id":"12345abcde12345abcde12345abcde12","secrets":["rylicq8ydkz0vmki3gqaoxbk4gyrr05t"],"features":["login_client"]}"#;

#[test]
fn a_line_is_a_client_or_says_what_is_wrong() {
    let rows = [
        (GOOD, true, "one as the vendor gives it"),
        (
            r#"{"client_id":"a","secrets":["abc","abd"],"features":[],"hosts":["capture.example"],"not_before":1,"expires":"2030-01-01T00:00:00Z","disabled":true}"#,
            true,
            "everything written",
        ),
        (r#"{"client_id":"a","secrets":["abc"]}"#, true, "no feature"),
        (r#"{"client_id":"","secrets":["abc"]}"#, false, "no id"),
        (r#"{"client_id":"a:b","secrets":["abc"]}"#, false, "an id with a colon, which ends it in the header"),
        (r#"{"client_id":"a b","secrets":["abc"]}"#, false, "an id with a space"),
        (r#"{"client_id":"a"}"#, false, "no secret"),
        (r#"{"client_id":"a","secrets":[]}"#, false, "no secret either"),
        (r#"{"client_id":"a","secrets":[""]}"#, false, "an empty secret: anyone could sign"),
        (r#"{"client_id":"a","secrets":["abc","abc"]}"#, false, "one secret twice"),
        (r#"{"client_id":"a","secrets":["abc","abd","abe"]}"#, false, "three secrets"),
        (r#"{"client_id":"a","secrets":["abc"],"features":["admin"]}"#, false, "a feature that there is not"),
        (r#"{"client_id":"a","secrets":["abc"],"hosts":["Capture.example:80"]}"#, false, "a host that is none"),
        (r#"{"client_id":"a","secrets":["abc"],"not_before":2,"expires":2}"#, false, "never good"),
        (r#"{"client_id":"a","secrets":["abc"],"revoked":true}"#, false, "a member nobody knows"),
        (r#"{"client_id":"a","client_id":"b","secrets":["abc"]}"#, false, "a member twice"),
        ("client_id,secret", false, "no JSON"),
    ];
    for (line, expected, shows) in rows {
        let told = parse_client(line.as_bytes()).map(|_| ());
        assert_eq!(told.is_ok(), expected, "{shows}: {told:?}");
        assert!(told.err().is_none_or(|says| !says.contains("abc")), "{shows}: a fault shows no secret");
    }
}

fn file(content: &str) -> Result<Arc<dyn ServerKeys>, Vec<String>> {
    let (_, material) = written(&[], &[("clients", content.as_bytes())]);
    prove(plan, &node(map(vec![("file", NodeValue::Text("clients".into()))])), &material)
        .map(|plan| store(&plan.build(&"clients".into(), &tools()).unwrap()))
}

fn store(built: &BuiltKeys) -> Arc<dyn ServerKeys> {
    let BuiltKeys::ServerKeys(store) = built else { panic!("another class of keys") };
    Arc::clone(store)
}

#[test]
fn a_store_knows_its_clients_by_secret_and_by_digest() {
    let store = file(&format!("\n{GOOD}\r\n{}\n", r#"{"client_id":"b","secrets":["one","two"],"disabled":true}"#)).unwrap();
    let id = "12345abcde12345abcde12345abcde12";
    let ServerKeySearch::Known(record) = store.find(id, Timestamp(0)) else { panic!("known") };
    assert_eq!(record.scopes.iter().map(|scope| &**scope).collect::<Vec<_>>(), ["login_client"], "features are scopes");
    assert_eq!(record.digests, [Some(store.digest(id, b"rylicq8ydkz0vmki3gqaoxbk4gyrr05t")), None], "by the digest of its secret");
    assert_ne!(record.digests[0], Some(store.digest(id, b"another")), "and of no other");
    assert_eq!(store.secrets(id).unwrap()[0].expose(), b"rylicq8ydkz0vmki3gqaoxbk4gyrr05t", "the bytes as they are, not decoded");
    let ServerKeySearch::Known(other) = store.find("b", Timestamp(0)) else { panic!("known") };
    assert!(other.disabled && other.digests.iter().all(Option::is_some) && store.secrets("b").unwrap().len() == 2);
    assert!(matches!(store.find("c", Timestamp(0)), ServerKeySearch::Unknown) && store.secrets("c").is_none(), "nobody else");
    let changed = file(&GOOD.replace("login_client", "owner")).unwrap();
    assert_ne!(changed.generation(), file(GOOD).unwrap().generation(), "another feature is another generation");
}

#[test]
fn a_file_with_one_bad_line_is_no_file() {
    let twice = format!("{GOOD}\n{GOOD}\n");
    for (content, shows) in [(twice.as_str(), "a client twice"), ("{}\n", "a line that is none"), ("\u{feff}x", "no JSON")] {
        assert!(file(content).is_err(), "{shows}");
    }
    assert!(file("").is_ok(), "an empty one is a store that knows nobody");
}

#[test]
fn clients_may_stand_in_the_conf_with_their_secrets_elsewhere() {
    let client = |secrets: NodeValue, features: &str| {
        let features = NodeValue::Text(features.into());
        NodeValue::Map(vec![Entry { key: "abc".into(), span: span(), node: node(map(vec![("secret", secrets), ("features", features)])) }])
    };
    let plan_of =
        |secrets: &[&[u8]], features: &'static str| planned_node(plan, secrets, |secrets| vec![("clients", client(secrets, features))]);
    let built = plan_of(&[b"one", b"two"], "owner").unwrap().build(&"clients".into(), &tools()).unwrap();
    assert_eq!(store(&built).secrets("abc").unwrap().len(), 2);
    assert!(plan_of(&[b"one", b"one"], "owner").is_err(), "one secret twice");
    assert!(plan_of(&[b"one"], "admin").is_err(), "a feature that there is not");
    let none: Node = node(map(vec![]));
    let (_, material) = written(&[], &[]);
    assert!(prove(plan, &none, &material).is_err(), "neither file nor clients");
    assert!(!format!("{:?}", plan_of(&[b"marked-secret"], "owner").unwrap()).contains("marked"), "a plan shows no secret");
}
