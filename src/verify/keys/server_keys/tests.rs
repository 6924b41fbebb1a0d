//! Server keys from files: found, refused, counted, measured.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::domain::{Secret, Timestamp};
use crate::settings::{Checking, Entry, Faults, Level, Material, Names, Node, NodeValue, Span};
use crate::verify::keys::contract::{BuiltKeys, ServerKey, ServerKeySearch, ServerKeys};
use crate::verify::keys::digest::{Pepper, digest_text};
use crate::verify::keys::server_keys::plan;
use crate::verify::keys::testing::tools;

const PEPPER: &str = "a pepper of thirty-two bytes....";

fn span() -> Span {
    Span { file: "conf".into(), line: 1, column: 1 }
}

fn text(value: &str) -> Node {
    Node { span: span(), value: NodeValue::Text(value.into()) }
}

fn map(entries: Vec<(&str, Node)>) -> Node {
    let entries = entries.into_iter().map(|(key, node)| Entry { key: key.into(), span: span(), node }).collect();
    Node { span: span(), value: NodeValue::Map(entries) }
}

/// Plans and builds a store from the content of its file.
fn store(content: &[u8], pepper: &str) -> (Option<Arc<dyn ServerKeys>>, Faults) {
    let files = BTreeMap::from([(PathBuf::from("/conf/keys.jsonl"), Ok(Arc::from(content)))]);
    let variables = BTreeMap::from([("PEPPER".to_owned(), Some(Secret::new(pepper.as_bytes().to_vec())))]);
    let material = Material { base: "/conf".into(), files, variables };
    let (mut faults, names) = (Faults::default(), Names::default());
    let mut checking = Checking { faults: &mut faults, material: &material, names: &names, allow_inline_secrets: false };
    let node = map(vec![("file", text("keys.jsonl")), ("pepper", map(vec![("env", text("PEPPER"))]))]);
    let planned = plan("partners", &node, &mut checking);
    if let Some(planned) = &planned {
        assert_eq!(planned.continuity(), None, "and read again by every reload");
    }
    let built = planned.map(|plan| match plan.build(&"partners".into(), &tools()).unwrap() {
        BuiltKeys::ServerKeys(keys) => keys,
        _ => panic!("another class of keys"),
    });
    (built, faults)
}

fn line(id: &str, secrets: &[&str], members: &str) -> String {
    let pepper = Pepper::new(&Secret::new(PEPPER.as_bytes().to_vec())).unwrap();
    let digests: Vec<String> = secrets.iter().map(|secret| format!("{:?}", digest_text(&pepper.digest(id, secret.as_bytes())))).collect();
    format!("{{\"id\":{id:?},\"secrets\":[{}]{members}}}\n", digests.join(","))
}

fn find(store: &Arc<dyn ServerKeys>, id: &str) -> Option<Arc<ServerKey>> {
    match store.find(id, Timestamp(0)) {
        ServerKeySearch::Known(key) => Some(key),
        ServerKeySearch::Unknown => None,
        ServerKeySearch::Ask => panic!("everything is at hand"),
    }
}

#[tokio::test]
async fn a_key_is_found_under_exactly_its_id() {
    let content = [
        line("acme", &["s1"], r#","scopes":["chat:write"],"expires":100"#),
        "\r\n".to_owned(),
        line("acme2", &["s1", "s2"], r#","hosts":["api.example"],"not_before":5,"disabled":true"#),
        line("Acme", &["other"], ""),
    ]
    .concat();
    let (built, faults) = store(content.as_bytes(), PEPPER);
    assert!(faults.is_empty(), "{faults:?}");
    let store = built.unwrap();

    let acme = find(&store, "acme").unwrap();
    assert_eq!((&*acme.id, acme.expires, acme.not_before, acme.disabled), ("acme", Some(Timestamp(100)), None, false));
    assert_eq!(acme.scopes, ["chat:write".into()].into());
    assert_eq!(acme.digests, [Some(store.digest("acme", b"s1")), None], "one live secret");
    let second = find(&store, "acme2").unwrap();
    assert_eq!(second.digests, [Some(store.digest("acme2", b"s1")), Some(store.digest("acme2", b"s2"))], "two live secrets");
    assert_ne!(second.digests[0], acme.digests[0], "one secret under two ids is two digests");
    assert_eq!((second.not_before, second.expires, second.disabled, second.hosts.len()), (Some(Timestamp(5)), None, true, 1));
    assert_ne!(find(&store, "Acme").unwrap().digests, acme.digests, "case tells ids apart");
    for unknown in ["", "acm", "acme ", "ACME", "acme\0", "acme2acme", "ме", &"a".repeat(10_000)] {
        assert!(find(&store, unknown).is_none(), "nobody is called {unknown:?}");
    }

    let desk = Arc::clone(&store).desk();
    let answer = desk.answer("acme", Timestamp(0)).await.unwrap();
    assert_eq!(answer.downcast_ref::<Option<Arc<ServerKey>>>().unwrap().as_ref().unwrap().id, acme.id, "the desk knows the same");
    let nobody = desk.answer("nobody", Timestamp(0)).await.unwrap();
    assert!(nobody.downcast_ref::<Option<Arc<ServerKey>>>().unwrap().is_none());
}

#[test]
fn the_generation_follows_the_content() {
    let generation = |content: &str| store(content.as_bytes(), PEPPER).0.unwrap().generation();
    let (one, two) = (line("a", &["x"], ""), line("b", &["x"], ""));
    assert_eq!(generation(&one), generation(&one), "the same content");
    assert_ne!(generation(&one), generation(&two), "another key");
    assert_ne!(generation(&one), generation(&line("a", &["x"], r#","disabled":true"#)), "a key switched off");
}

#[test]
fn a_bad_file_is_refused_whole_and_told_line_by_line() {
    let good = line("a", &["x"], "");
    let cases = [
        // content, line of the fault, what it speaks of, what the row shows
        (format!("{good}{{\n"), 2, "no JSON object", "a broken line"),
        (format!("{good}\n\n{}", line("a", &["y"], "")), 4, "line 1 already", "an id that stands twice"),
        (format!("{good}{}", good.replace("cs1:", "cs9:")), 2, "in the clear", "a digest of another form"),
        ("\u{0}".to_owned(), 1, "no JSON object", "binary"),
    ];
    for (content, line, speaks_of, shows) in cases {
        let (built, faults) = store(content.as_bytes(), PEPPER);
        assert!(built.is_none(), "{shows}");
        let told = faults.sorted();
        let fault = told.iter().find(|fault| &*fault.span.file == "keys.jsonl").unwrap();
        assert_eq!(fault.span.line, line, "{shows}");
        assert!(fault.says.contains(speaks_of), "{shows}: {}", fault.says);
        assert!(told.iter().any(|fault| &*fault.span.file == "conf"), "the conf is told too: {shows}");
    }
    let (built, faults) = store("x\n".repeat(1000).as_bytes(), PEPPER);
    assert!(built.is_none() && faults.sorted().len() < 30, "a thousand bad lines are not told one by one");
}

#[test]
fn a_store_that_knows_nobody_denies_everybody_and_says_so() {
    for content in ["", "\n\r\n  \n", "\u{feff}"] {
        let (built, faults) = store(content.as_bytes(), PEPPER);
        let warned = faults.sorted();
        assert!(matches!(warned.as_slice(), [fault] if fault.level == Level::Warning && fault.says.contains("nobody")), "{warned:?}");
        let empty = built.unwrap();
        assert!(find(&empty, "").is_none() && find(&empty, "a").is_none(), "an empty file denies");
    }
}

#[test]
fn a_pepper_that_protects_nothing_is_refused() {
    assert!(store(b"", "0123456789abcdef").0.is_some(), "sixteen bytes");
    for (pepper, shows) in [("0123456789abcde", "fifteen bytes"), ("", "none")] {
        let (built, faults) = store(b"", pepper);
        assert!(built.is_none() && faults.errors() == 1, "{shows}: {faults:?}");
    }
}

/// Resident memory of this process in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[test]
#[ignore = "measures memory and time; run alone: cargo test --lib a_million -- --ignored"]
fn a_million_keys_take_less_than_250_megabytes() {
    let mut content = String::new();
    for number in 0..1_000_000_u32 {
        let digest = digest_text(&std::array::from_fn(|index| number.to_be_bytes()[index % 4] ^ u8::try_from(index).unwrap()));
        let expires = 2_000_000_000_u32 + number;
        writeln!(content, r#"{{"id":"partner-{number:012}","secrets":["{digest}"],"scopes":["chat:write"],"expires":{expires}}}"#).unwrap();
    }
    let before = resident();
    #[allow(clippy::disallowed_methods, reason = "a measurement")]
    let start = Instant::now();
    let (built, faults) = store(content.as_bytes(), PEPPER);
    let took = start.elapsed();
    let store = built.unwrap();
    let grown = resident() - before;
    println!("1,000,000 keys: {grown} bytes resident beyond the file's text, read in {took:?}");
    assert!(faults.is_empty());
    // `Material` holds the file's bytes once more while a conf is checked; they are counted here.
    assert!(grown - content.len().min(grown) < 250_000_000, "{grown}");
    assert!(find(&store, "partner-000000999999").is_some() && find(&store, "partner-000001000000").is_none());
}
