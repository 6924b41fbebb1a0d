//! `mint ticket` and `ticket inspect` as they are typed.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::whole::Folder;

const KEY: &str = "only-for-tests-a-key-of-forty-bytes-long";

const CONF: &str = "\
listeners: [{ address: 127.0.0.1:8080 }]
upstreams: { app: http://127.0.0.1:9000 }
keys: { tickets: { mac: { file: ticket.key } }, more: { mac: [{ file: new.key }, { file: ticket.key }] } }
authenticators:
  pass: { ticket: { keys: tickets, audience: app, max_life: 2h } }
  once: { ticket: { keys: more, audience: app, max_life: 10m, single_use: true } }
  other: { ticket: { keys: tickets, audience: elsewhere, from: { cookie: t } } }
rules:
  - { name: a, match: { paths: /a }, authenticate: { any: [pass, other] }, forward: app }
  - { name: b, match: { paths: /b }, authenticate: once, forward: app }
";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("ticket.key", KEY);
    folder.write("new.key", "only-for-tests-a-newer-key-that-is-as-long");
    folder.write("strange.key", "only-for-tests-a-key-that-nobody-else-has");
    folder.write("countersign.yaml", CONF);
    folder
}

/// Runs `countersign` in `folder` with `input` on its standard input.
fn countersign(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A ticket with `more` arguments.
fn minted(folder: &Path, key: &str, more: &[&str]) -> String {
    let from = format!("file:{key}");
    let arguments = [&["mint", "ticket", "--key", &from, "--audience", "app", "--subject", "anna", "--json"], more].concat();
    let output = countersign(folder, &arguments, "");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    answer["Ticket"].as_str().unwrap().to_owned()
}

fn inspected(folder: &Path, ticket: &str, more: &[&str]) -> Output {
    countersign(folder, &[&["ticket", "inspect", "-c", "countersign.yaml", "--ticket", "-"], more].concat(), ticket)
}

#[test]
fn what_was_minted_is_what_is_told() {
    let folder = folder();
    let bound = [
        "--expires-in",
        "5m",
        "--single-use",
        "--scope",
        "chat",
        "--scope",
        "files",
        "--path",
        "/files/7",
        "--method",
        "GET",
        "--method",
        "HEAD",
        "--host",
        "files.example",
        "--address",
        "192.0.2.7",
        "--device",
        "phone-7",
    ];
    let ticket = minted(folder.path(), "ticket.key", &bound);
    let output = inspected(folder.path(), &ticket, &["--json"]);
    let mut told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
    let (issued, ends, left) =
        (told["issued_at"].as_i64().unwrap(), told["expires_at"].as_i64().unwrap(), told["expires_in"].as_i64().unwrap());
    assert_eq!(ends - issued, 300);
    assert!((290..=300).contains(&left), "what is left of it: {left}");
    assert_eq!(told["jti"].as_str().unwrap().len(), 22, "128 bits");
    for name in ["jti", "issued_at", "expires_at", "expires_in"] {
        told.as_object_mut().unwrap().remove(name);
    }
    let expected = json!({
        "subject": "anna",
        "issuer": "countersign",
        "audience": "app",
        "single_use": true,
        "scopes": ["chat", "files"],
        "bind": { "address": "192.0.2.7", "device": "phone-7", "host": "files.example", "methods": ["GET", "HEAD"], "path": "/files/7" },
        "claims": {},
        "authenticators": [
            { "name": "pass", "takes": true, "why_not": null },
            { "name": "once", "takes": true, "why_not": null },
            { "name": "other", "takes": false, "why_not": "it takes tickets for `elsewhere` only" },
        ],
    });
    assert_eq!(told, expected);

    let output = inspected(folder.path(), &format!("{ticket}\n"), &[]);
    let told = text(&output.stdout);
    for line in [
        "subject     anna",
        "single use  yes",
        "scopes      chat files",
        "bound to    address 192.0.2.7",
        "bound to    methods [\"GET\",\"HEAD\"]",
        "bound to    path /files/7",
        "taken by    pass",
        "taken by    once (once)",
        "refused by  other: it takes tickets for `elsewhere` only",
    ] {
        assert!(told.lines().any(|told| told == line), "`{line}` is missing:\n{told}");
    }
    assert!(told.contains("(in 4m 5") || told.contains("(in 5m)"), "how long it is good: {told}");
    assert!(!told.contains(&ticket) && !told.contains(KEY), "neither the ticket nor a key");
}

#[test]
fn who_takes_a_ticket_is_said_and_why_others_do_not() {
    let folder = folder();
    let long = minted(folder.path(), "ticket.key", &["--expires-in", "1h"]);
    let newer = minted(folder.path(), "new.key", &["--expires-in", "1m"]);
    let foreign = minted(folder.path(), "ticket.key", &["--issuer", "elsewhere", "--expires-in", "1m"]);
    let rows = [
        (
            &long,
            [None, Some("its life is not one that it takes: at most 10m"), Some("it takes tickets for `elsewhere` only")],
            "long-lived",
        ),
        (&newer, [Some("it has not the key"), None, Some("it has not the key")], "under the newer key"),
        (&foreign, [Some("it takes tickets from `countersign` only"); 3], "of another issuer"),
    ];
    for (ticket, expected, shows) in rows {
        let output = inspected(folder.path(), ticket, &["--json"]);
        let told: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{shows}: {error}: {}", text(&output.stderr)));
        let opinions: Vec<Option<&str>> = told["authenticators"].as_array().unwrap().iter().map(|one| one["why_not"].as_str()).collect();
        assert_eq!(opinions, expected, "{shows}");
    }
}

#[test]
fn why_a_text_cannot_be_opened_is_said_exactly() {
    let folder = folder();
    let good = minted(folder.path(), "ticket.key", &[]);
    let strange = minted(folder.path(), "strange.key", &[]);
    let mut changed = good.clone().into_bytes();
    let last = changed.len() - 8;
    changed[last] = if changed[last] == b'A' { b'B' } else { b'A' };
    let changed = text(&changed);
    let long = format!("ct1.{}", "A".repeat(4_096));
    let rows = [
        (strange.as_str(), "sealed with a key that no authenticator of the conf has (", "another house's"),
        (&changed, "was changed or forged", "one letter changed"),
        (&good[..good.len() - 4], "was changed or forged", "cut off"),
        (&good[4..], "does not begin with `ct1.`", "without its prefix"),
        ("ct1.AAAA", "too short", "hardly anything"),
        (&long, "has 4100 bytes, and tickets have at most 4096", "too long"),
        ("ct1.%41", "not base64url", "escaped"),
        ("eyJhbGciOiJub25lIn0.e30.", "does not begin with `ct1.`", "a token of another kind"),
    ];
    for (ticket, says, shows) in rows {
        let output = inspected(folder.path(), ticket, &[]);
        let complained = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{shows}: {complained}");
        assert!(complained.contains(says) && output.stdout.is_empty(), "{shows}: {complained}");
        assert!(
            !complained.contains(KEY) && !complained.contains(ticket.get(4..40).unwrap_or("nothing")),
            "{shows}: no secret: {complained}"
        );
    }
    let none = countersign(folder.path(), &["ticket", "inspect", "-c", "absent.yaml", "--ticket", "-"], &good);
    assert_eq!(none.status.code(), Some(1), "no conf");
    let argument = countersign(folder.path(), &["ticket", "inspect", "-c", "countersign.yaml", "--ticket", &good], "");
    assert_eq!(argument.status.code(), Some(2), "a ticket is a credential, and never an argument");
}
