//! The commands as they are typed: what they print, and how they end.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::whole::Folder;

/// Runs `countersign` with `arguments` in `folder`.
fn countersign(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_countersign")).args(arguments).current_dir(folder).env("SHOP_SECRET", "s3cret").output().unwrap()
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn complained(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn commands_end_with_the_code_that_says_how_it_went() {
    let folder = Folder::new();
    folder.write("bad.yaml", "listeners: []\nrulez: []\n");
    let demo = root().join("conf/demo.yaml");
    let demo = demo.to_str().unwrap();
    let cases: [(&[&str], i32, &str); 13] = [
        (&["version"], 0, "a question that is answered"),
        (&["--help"], 0, "help that was asked for"),
        (&["check", "--help"], 0, "and of a verb"),
        (&["check", "-c", demo], 0, "a sound conf"),
        (&["check", "-c", "bad.yaml"], 1, "a conf with faults"),
        (&["check", "-c", "absent.yaml"], 1, "a conf that is not there"),
        (&["run", "-c", "bad.yaml"], 1, "nothing is started from a conf with faults"),
        (&["health", "--address", "127.0.0.1:1"], 1, "nobody answers there"),
        (&["mint", "server-key", "--id", "a:b", "--secret", "env:SHOP_SECRET"], 1, "an id that cannot be written"),
        (&["mint", "server-key", "--id", "a", "--secret", "env:ABSENT"], 1, "a secret that is not there"),
        (&["mint", "server-key", "--id", "a", "--secret", "s3cret"], 2, "a secret where its source belongs"),
        (&["check"], 2, "an argument is missing"),
        (&["serve"], 2, "no such verb"),
    ];
    for (arguments, code, shows) in cases {
        let output = countersign(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(code), "{shows}: {arguments:?}\n{}", complained(&output));
        assert_eq!(complained(&output).is_empty(), code == 0, "{shows}: whoever fails says why, on standard error only");
    }
}

/// Row Q14: what `check` says is what `run` would say, since the same code says it.
#[test]
fn check_and_run_find_the_same_faults() {
    let folder = Folder::new();
    folder.write("bad.yaml", "listeners: [{ address: 127.0.0.1:0 }]\nupstreams: { app: nowhere }\nrulez: []\n");
    let checked = countersign(folder.path(), &["check", "-c", "bad.yaml"]);
    let ran = countersign(folder.path(), &["run", "-c", "bad.yaml"]);
    let faults = printed(&checked);
    assert!(faults.contains("bad.yaml:3:1: error:"), "each fault has its place: {faults}");
    for fault in faults.lines() {
        assert!(complained(&ran).contains(fault), "run does not say `{fault}`: {}", complained(&ran));
    }

    let shown: Value = serde_json::from_str(&printed(&countersign(folder.path(), &["check", "-c", "bad.yaml", "--json"]))).unwrap();
    assert_eq!(shown["sound"], false);
    assert_eq!(shown["faults"].as_array().unwrap().len(), faults.lines().count(), "the same in JSON");
}

#[test]
fn what_is_printed_as_json_is_json() {
    let folder = Folder::new();
    let demo = root().join("conf/demo.yaml");
    let cases: [(&[&str], &str, &str); 5] = [
        (&["version", "--json"], "/name", "which version"),
        (&["schema"], "/properties/rules", "the shape of a conf"),
        (&["check", "--json", "-c", demo.to_str().unwrap()], "/sound", "what is wrong with a conf"),
        (&["mint", "server-key", "--id", "a", "--secret", "env:SHOP_SECRET", "--json"], "/Server-Key", "a credential"),
        (&["mint", "instance-key", "--id", "a", "--secret", "env:SHOP_SECRET", "--json"], "/InstanceKey", "another"),
    ];
    for (arguments, pointer, shows) in cases {
        let text = printed(&countersign(folder.path(), arguments));
        let document: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{shows}: {error}: {text}"));
        assert!(document.pointer(pointer).is_some(), "{shows}: {text}");
    }
}

#[test]
fn every_verb_teaches_how_to_use_it() {
    let folder = Folder::new();
    let verbs = ["run", "check", "demo", "mint", "keys", "ticket", "health", "revoke", "schema", "version"];
    let overview = printed(&countersign(folder.path(), &["--help"]));
    for verb in verbs {
        assert!(overview.contains(&format!("\n  {verb}")), "`{verb}` is not in the overview");
        let help = printed(&countersign(folder.path(), &[verb, "--help"]));
        assert!(help.contains("Usage: countersign"), "{verb}: {help}");
    }
}

/// Every scheme, accepted and refused, through the shipped binary.
#[test]
fn the_demo_shows_what_it_says() {
    let folder = Folder::new();
    let output = countersign(folder.path(), &["demo", "--once", "--json"]);
    let document: Value = serde_json::from_str(&printed(&output)).unwrap();
    let requests = document["requests"].as_array().unwrap();
    let differing: Vec<&Value> = requests.iter().filter(|request| request["differs"] != serde_json::json!([])).collect();
    assert_eq!((output.status.code(), differing), (Some(0), vec![]), "{}", complained(&output));
    // What only a system's clients send is tried in tests/systems; the demo does not have the systems yet.
    let of_systems = ["gigya_session", "gigya_request", "janrain_signature", "hat", "token_check"];
    for scheme in countersign::verify::SCHEMES.iter().filter(|scheme| !of_systems.contains(&scheme.name)) {
        let of: Vec<&Value> = requests.iter().filter(|request| request["about"] == scheme.name).collect();
        assert!(of.iter().any(|request| request["got"]["status"] == 200), "no request of `{}` succeeds", scheme.name);
        assert!(of.iter().any(|request| request["got"]["reason"].is_string()), "no request of `{}` is refused", scheme.name);
    }
}
