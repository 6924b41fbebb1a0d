//! The commands as they are typed: what they print, and how they end.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

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

/// What `countersign demo --once --json` prints, with `arguments`: every request as it must be.
fn shown(arguments: &[&str]) -> Value {
    let folder = Folder::new();
    let output = countersign(folder.path(), &[&["demo", "--once", "--json"], arguments].concat());
    let document: Value = serde_json::from_str(&printed(&output)).unwrap_or_else(|error| panic!("{error}: {}", complained(&output)));
    let all = [&document["requests"], &document["systems"]].map(|list| list.as_array().unwrap().clone()).concat();
    let differing: Vec<&Value> = all.iter().filter(|request| request["differs"] != serde_json::json!([])).collect();
    assert_eq!((output.status.code(), differing), (Some(0), vec![]), "{}", complained(&output));
    document
}

/// Every scheme, accepted and refused, and every system in both positions, through the shipped binary.
#[test]
fn the_demo_shows_what_it_says() {
    let document = shown(&[]);
    let requests = [&document["requests"], &document["systems"]].map(|list| list.as_array().unwrap().clone()).concat();
    for scheme in countersign::verify::SCHEMES {
        let of: Vec<&Value> =
            requests.iter().filter(|request| [&request["about"], &request["scheme"]].contains(&&scheme.name.into())).collect();
        let passes = |request: &Value| request["got"]["status"] == 200 && request["expected"]["reason"].is_null();
        assert!(of.iter().copied().any(passes), "no request of `{}` succeeds", scheme.name);
        assert!(of.iter().any(|request| request["got"]["reason"].is_string()), "no request of `{}` is refused", scheme.name);
    }
    let steps = document["systems"].as_array().unwrap();
    for system in countersign::systems::SYSTEMS {
        for position in ["app", "api"] {
            for kind in ["success", "refusal", "renewal"] {
                let is = |step: &&Value| step["system"] == system.name && step["position"] == position && step["kind"] == kind;
                let of: Vec<&Value> = steps.iter().filter(is).collect();
                assert!(!of.is_empty(), "the demo lists no {kind} of {} in front of an {position}", system.name);
                for step in of.into_iter().filter(|_| kind == "refusal") {
                    let body: Value = serde_json::from_str(step["got"]["body"].as_str().unwrap()).unwrap();
                    assert!(step["expected"]["body"].is_object(), "what a refusal looks like is compared: {step}");
                    assert!(body.get("type").is_none(), "a refusal in the words of {}, not in ours: {body}", system.name);
                }
            }
        }
    }
}

#[test]
fn the_demo_shows_one_system_alone() {
    let document = shown(&["--system", "hat"]);
    assert_eq!(document["requests"], serde_json::json!([]), "and none of the schemes");
    let steps = document["systems"].as_array().unwrap();
    assert!(!steps.is_empty() && steps.iter().all(|step| step["system"] == "hat"));
    let unknown = countersign(Folder::new().path(), &["demo", "--once", "--system", "myspace"]);
    assert_eq!(unknown.status.code(), Some(2), "nobody has heard of that one");
    assert!(complained(&unknown).contains("janrain"), "and is told of those that there are: {}", complained(&unknown));
}

/// The lines that the demo prints, pasted into a shell as they are.
#[test]
fn the_lines_of_the_demo_can_be_pasted() {
    let folder = Folder::new();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(["demo", "--system", "telematics"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines().map_while(Result::ok);
    let printed: Vec<String> = lines.by_ref().take_while(|line| !line.contains("Audit records follow")).collect();
    let mut pasted = 0;
    for (about, command) in printed.iter().zip(printed.iter().skip(1)).filter(|(_, command)| command.starts_with("curl ")) {
        let answer = Command::new("sh").args(["-c", command]).output().unwrap();
        let status = String::from_utf8_lossy(&answer.stdout).split(' ').nth(1).unwrap_or_default().to_owned();
        assert!(about.contains(&format!(": {status}")), "{about}: {status}: {command}");
        pasted += 1;
    }
    let record = lines.find(|line| line.starts_with('{')).unwrap_or_default();
    let told = Command::new("kill").arg(demo.id().to_string()).status().unwrap();
    assert!(told.success() && demo.wait().unwrap().success(), "it ends when it is told to");
    assert!(6 <= pasted, "both positions, three each: {printed:?}");
    assert!(record.contains("\"request_id\""), "and the audit records follow: {record}");
    let conf = printed.iter().find_map(|line| line.strip_prefix("conf")).unwrap().trim();
    assert!(!Path::new(conf).exists(), "nothing is left behind: {conf}");
}
