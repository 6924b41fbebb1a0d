//! The shape of the house, kept as a test.
//!
//! It reads the tree as text, with std only: which room may name which, where each dangerous word may stand,
//! that every name on a roll-call has its file, its example conf and its test, and that every link in the
//! documents leads somewhere. Reading text also catches a doc link that reaches up; that is wanted. What would
//! hide an import from it (`super::super`, grouped `use crate::{`) is itself forbidden.
//!
//! Rules: `ARCHITECTURE.md`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a tree that cannot be read has no shape to keep")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// `(room, rooms it may name, why no others)`. Whatever is not listed is forbidden.
///
/// A path with `::` opens one module of a room and nothing else of it.
const MAY_NAME: &[(&str, &[&str], &str)] = &[
    ("domain", &[], "the words outlive every tool"),
    ("ambient", &["domain"], "the door to the machine opens one way"),
    ("settings", &["domain"], "a vocabulary knows no sentence"),
    ("jose", &["settings", "domain"], "a signature has no address"),
    ("net", &["settings", "domain"], "an exchange does not know what it is for"),
    ("state", &["settings", "domain"], "a store does not know what it remembers"),
    ("route", &["settings", "domain"], "a pure question"),
    ("policy", &["settings", "domain"], "a pure question"),
    ("verify", &["jose", "net", "state", "settings", "domain"], "a credential is judged alone"),
    ("countersign", &["jose", "settings", "domain"], "it sees an Identity, never a credential"),
    ("issuer", &["systems::taptalk", "systems::telematics", "jose", "state", "settings", "domain"], "what we mint does not know who asked"),
    ("systems", &["jose", "settings", "domain"], "what a system says needs no look at the world"),
    ("renew", &["issuer", "net", "state", "jose", "settings", "domain"], "a renewal does not judge"),
    (
        "gate",
        &[
            "route",
            "policy",
            "verify::contract",
            "verify::cache",
            "verify::governor",
            "verify::presented",
            "renew::contract",
            "issuer::contract",
            "countersign::contract",
            "countersign::firewall",
            "systems::contract",
            "state::contract",
            "state::revoked",
            "domain",
        ],
        "the judge knows contracts only",
    ),
    (
        "config",
        &["route", "policy", "verify", "renew", "countersign", "issuer", "systems", "state", "jose", "settings", "domain"],
        "proving opens no socket",
    ),
    ("telemetry", &["gate", "settings", "domain"], "who records does not decide"),
    ("edge", &["telemetry", "gate", "systems::contract", "settings", "domain"], "the adapter knows the judge, not the law"),
    ("demo", &["issuer", "jose", "verify", "settings", "domain"], "stand-ins stand outside the house"),
    (
        "loadtest",
        &["demo", "config", "issuer", "jose", "verify", "state", "settings", "domain"],
        "whoever measures the house stands outside it",
    ),
];

/// Rooms that may name every room: they put the house together.
const BUILDERS: &[&str] = &["assembly", "cli"];

/// `(words, where they may stand, why)`. Tests and comments are not looked at.
const ONLY_IN: &[(&[&str], &[&str], &str)] = &[
    (&["pingora::", "pingora_core::", "pingora_http::", "pingora_proxy::"], &["src/edge/", "src/main.rs"], "one adapter"),
    (&["crate::ambient"], &["src/assembly", "src/cli/"], "authority is handed in"),
    (
        &["SystemTime::now", "Instant::now", "Utc::now", "Local::now", "std::env::", "rand::fill", "OsRng"],
        &["src/ambient.rs"],
        "clocks, randomness and the environment have one door",
    ),
    (
        &["SystemRandom::new"],
        &["src/ambient.rs", "src/jose/mint.rs"],
        "key pairs and their signatures take the crypto library's own randomness",
    ),
    (&["serde", "tokio", "async_trait", "reqwest", "aws_lc_rs"], NOT_IN_DOMAIN, "the words know no tool"),
    (&["serde"], NOT_IN_GATE, "the judge reads no wire format"),
    (&["unjudged("], &["src/gate/verdict.rs"], "nothing is forwarded that nobody judged"),
    (&["Verified::vouch"], VOUCH, "a proof is made next to the check that earns it"),
    (&[".expose()"], EXPOSE, "a secret is opened where it is used, and nowhere else"),
    (&["println!", "print!(", "eprintln!", "eprint!("], &["src/cli/", "src/demo/"], "a library does not talk to a terminal"),
    (&["process::exit", "process::abort"], &["src/main.rs", "src/ambient.rs"], "only the front door is closed from inside"),
];

/// Every room but `domain`.
const NOT_IN_DOMAIN: &[&str] = &["!src/domain/"];
/// Every room but `gate`.
const NOT_IN_GATE: &[&str] = &["!src/gate/"];
/// Files that prove something and vouch for it in the same block.
const VOUCH: &[&str] = &[
    "src/jose/compact.rs",
    "src/jose/session.rs",
    "src/jose/ticket/terms.rs",
    "src/verify/gigya/proof.rs",
    "src/verify/hat/judge.rs",
    "src/verify/gigya_request/call.rs",
    "src/verify/gigya_session/expiry.rs",
    "src/verify/introspection.rs",
    "src/verify/introspection/desk.rs",
    "src/verify/janrain_signature/proof.rs",
    "src/verify/jwt/judge.rs",
    "src/verify/keyholder.rs",
    "src/verify/session.rs",
    "src/verify/token_check/desk.rs",
];
/// Files that compute with secret bytes, send them where the conf says, or read them for a person who holds them.
const EXPOSE: &[&str] = &[
    "src/cli/keys/generate.rs",
    "src/cli/keys/hash.rs",
    "src/cli/secret_source.rs",
    "src/config/issuers.rs",
    "src/countersign/assertion.rs",
    "src/countersign/gigya_signature.rs",
    "src/countersign/upstream_credential.rs",
    "src/demo/tour/taptalk.rs",
    "src/edge/admin.rs",
    "src/gate/hand_back.rs",
    "src/gate/hygiene.rs",
    "src/issuer/gatherer.rs",
    "src/issuer/pairs/family.rs",
    "src/issuer/services/oauth.rs",
    "src/issuer/services/taptalk.rs",
    "src/issuer/services/telematics.rs",
    "src/issuer/services/telematics_relay.rs",
    "src/jose/hmac_sha1.rs",
    "src/jose/key.rs",
    "src/jose/mint.rs",
    "src/jose/session.rs",
    "src/jose/ticket.rs",
    "src/loadtest/fresh/vault.rs",
    "src/net/described/template.rs",
    "src/net/form.rs",
    "src/renew/flight.rs",
    "src/renew/flight/pair.rs",
    "src/renew/flight/seal.rs",
    "src/renew/hat.rs",
    "src/renew/local.rs",
    "src/renew/session.rs",
    "src/state/redis/settings.rs",
    "src/renew/http.rs",
    "src/systems/gigya/settings.rs",
    "src/renew/oauth2/client.rs",
    "src/systems/janrain/guard.rs",
    "src/systems/telematics/instance.rs",
    "src/verify/contract.rs",
    "src/verify/introspection/desk.rs",
    "src/verify/keys/digest.rs",
    "src/verify/keys/gigya_secret.rs",
    "src/verify/keys/janrain_clients.rs",
    "src/verify/keys/janrain_clients/record.rs",
    "src/verify/keys/mac.rs",
    "src/verify/keys/server_key_lookup.rs",
    "src/verify/session.rs",
];

/// `(folder, roll-call)`: each line of a roll-call is one file, one example conf, one test.
const ROLL_CALLS: &[(&str, &str)] = &[
    ("src/verify", "SCHEMES"),
    ("src/verify/keys", "KEY_SOURCES"),
    ("src/countersign", "COUNTERSIGNERS"),
    ("src/issuer/services", "SERVICES"),
    ("src/renew", "RENEWERS"),
    ("src/systems", "SYSTEMS"),
    ("src/state", "STORES"),
];

/// Names that say nothing; whatever is put there has a better one.
const EMPTY_NAMES: &[&str] = &["utils", "util", "helpers", "helper", "common", "misc", "shared"];

/// Lints that keep a request from taking the process down. No request path may switch them off.
const NEVER_ALLOWED: &[&str] = &["clippy::unwrap_used", "clippy::expect_used", "clippy::panic", "clippy::indexing_slicing", "clippy::todo"];

/// Where `expect("why this cannot fail")` may stand, with its reason: building, never answering.
const MAY_EXPECT: &[&str] = &["src/assembly", "src/cli/", "src/demo/"];

/// The reason with which an index may stand anywhere: one that is out of bounds does not compile.
const WHILE_COMPILING: &str = "reason = \"computed while compiling";

struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The room a file of the library belongs to.
    fn room(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        let room = inside.split('/').next()?;
        Some(room.strip_suffix(".rs").unwrap_or(room))
    }

    /// Whether it holds tests beside the code. They may name any room to set a stage for their own.
    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// What runs in production: comments and tests taken out.
    fn production(&self) -> String {
        if self.is_test() {
            return String::new();
        }
        self.without_tests().lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
    }

    /// The text with every item that only tests are built with blanked out, line for line; what follows it stays.
    fn without_tests(&self) -> String {
        let mut kept = String::new();
        let mut inside = false;
        for line in self.text.lines() {
            let starts = line == "#[cfg(test)]";
            let blank = inside || starts;
            inside = starts || (inside && (line.starts_with("#[") || !(line == "}" || is_statement(line))));
            kept.push_str(if blank { "" } else { line });
            kept.push('\n');
        }
        kept
    }
}

/// Whether `line` is an item of its own, at the margin and over at its end: `mod tests;`, `use crate::x::y;`.
fn is_statement(line: &str) -> bool {
    line.ends_with(';') && line.starts_with(|c: char| !c.is_whitespace())
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file with one of `endings` below `folder`, by path from the root, sorted.
fn files(folder: &str, endings: &[&str]) -> Vec<Source> {
    fn walk(at: &Path, endings: &[&str], found: &mut Vec<Source>) {
        let Ok(entries) = fs::read_dir(at) else { return };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                walk(&path, endings, found);
            } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
                let name = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
                found.push(Source { path: name, text: fs::read_to_string(&path).unwrap() });
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), endings, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The module paths that `text` names after `prefix`, as `room` or `room::module`.
fn named<'t>(text: &'t str, prefix: &str) -> Vec<&'t str> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, _) in text.match_indices(prefix) {
        if text[..at].ends_with(word) {
            continue;
        }
        let rest = &text[at + prefix.len()..];
        let end = rest.find(|c: char| !word(c) && c != ':').unwrap_or(rest.len());
        found.push(rest[..end].trim_end_matches(':'));
    }
    found
}

/// What is wrong with the imports of `source`.
fn reaches(source: &Source) -> Vec<String> {
    let Some(room) = source.room() else { return Vec::new() };
    if room == "lib" || BUILDERS.contains(&room) || source.is_test() {
        return Vec::new();
    }
    if room == "main" {
        let reached = named(&source.text, "countersign::").into_iter().filter(|path| !path.starts_with("cli"));
        return reached.map(|path| format!("{} names {path}: main is arguments and exit codes", source.path)).collect();
    }
    let Some((_, allowed, why)) = MAY_NAME.iter().find(|(name, _, _)| *name == room) else {
        return vec![format!("{}: the room `{room}` is not in the table of tests/architecture.rs", source.path)];
    };
    named(&source.text, "crate::")
        .into_iter()
        .filter(|path| {
            let inside = |open: &str| path.strip_prefix(open).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
            // A grouped import names nothing here; `ill_formed` refuses it as such.
            !path.is_empty() && !inside(room) && !allowed.iter().any(|open| inside(open))
        })
        .map(|path| format!("{} names crate::{path}: {why}", source.path))
        .collect()
}

/// What is wrong with the words that `source` uses in production.
fn misplaced(source: &Source) -> Vec<String> {
    let code = source.production();
    let mut found = Vec::new();
    for (words, places, why) in ONLY_IN {
        let allowed = places.iter().any(|place| match place.strip_prefix('!') {
            Some(room) => !source.path.starts_with(room),
            None => source.path.starts_with(place),
        });
        for word in words.iter().filter(|word| !allowed && code.contains(**word)) {
            found.push(format!("{} says `{word}`: {why}", source.path));
        }
    }
    found
}

/// What is wrong with how `source` is written.
fn ill_formed(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let mut say = |says: String| found.push(format!("{}: {says}", source.path));
    if !source.text.starts_with("//!") || source.text.starts_with("//!\n") {
        say("does not open with a `//!` sentence that says what it is".to_owned());
    }
    if source.path != "tests/architecture.rs" {
        for hidden in ["super::super", "use crate::{", "use countersign::{"] {
            if source.text.contains(hidden) {
                say(format!("`{hidden}` hides an import from this test; name the module"));
            }
        }
    }
    if source.path.starts_with("src/") {
        found_allowances(source).into_iter().for_each(&mut say);
    }
    if let Some(name) = source.path.split(['/', '.']).find(|part| EMPTY_NAMES.contains(part)) {
        say(format!("`{name}` says nothing; name it after what it does"));
    }
    found
}

/// What is wrong with the lints that `source` switches off.
fn found_allowances(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let production = source.without_tests();
    let may_expect = MAY_EXPECT.iter().any(|place| source.path.starts_with(place));
    for (at, _) in source.text.match_indices("[allow(") {
        let line = source.text[..at].matches('\n').count() + 1;
        let attribute = source.text[at..].split(")]").next().unwrap_or_default();
        if attribute.contains("clippy::") && !attribute.contains("reason") {
            found.push(format!("line {line}: an `allow` says its reason"));
        }
        let runs = !source.is_test() && production.lines().nth(line - 1).is_some_and(|line| line.contains("[allow("));
        let while_compiling = attribute.contains(WHILE_COMPILING);
        for lint in NEVER_ALLOWED.iter().filter(|lint| runs && attribute.contains(**lint)) {
            let fine = (may_expect && *lint == "clippy::expect_used") || (while_compiling && *lint == "clippy::indexing_slicing");
            if !fine {
                found.push(format!("line {line}: `{lint}` stays on where requests pass"));
            }
        }
    }
    found
}

/// The modules that the roll-call `list` in `text` names, in order.
fn roll_call<'t>(text: &'t str, list: &str) -> Vec<&'t str> {
    let Some(start) = text.find(&format!("pub const {list}:")) else { return Vec::new() };
    let body = text[start..]
        .split_once('=')
        .and_then(|(_, list)| list.split_once("&["))
        .map_or("", |(_, body)| body.split("];").next().unwrap_or_default());
    let lines = body.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines
        .flat_map(|line| line.split(','))
        .filter_map(|item| item.trim().trim_start_matches('&').split_once("::"))
        .map(|(module, _)| module)
        .collect()
}

fn report(broken: Vec<String>) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn no_room_names_a_room_above_it() {
    report(files("src", &[".rs"]).iter().flat_map(reaches).collect());
}

#[test]
fn dangerous_words_stand_only_where_they_may() {
    report(files("src", &[".rs"]).iter().flat_map(misplaced).collect());
}

#[test]
fn every_file_opens_by_saying_what_it_is_and_hides_nothing() {
    let all = ["src", "tests", "benches"].into_iter().flat_map(|folder| files(folder, &[".rs"]));
    report(all.filter(|source| !source.path.contains("/target/")).flat_map(|source| ill_formed(&source)).collect());
}

#[test]
fn every_name_on_a_roll_call_has_its_file_its_example_and_its_test() {
    let mut broken = Vec::new();
    for (folder, list) in ROLL_CALLS {
        let Ok(text) = fs::read_to_string(root().join(folder).join("mod.rs")) else { continue };
        let modules = roll_call(&text, list);
        for module in &modules {
            let beside = format!("{folder}/{module}");
            let inside = fs::read_to_string(root().join(format!("{beside}.rs")))
                .or_else(|_| fs::read_to_string(root().join(&beside).join("mod.rs")));
            let Ok(inside) = inside else {
                broken.push(format!("{list} names `{module}`, but neither {beside}.rs nor {beside}/mod.rs exists"));
                continue;
            };
            let inside: String =
                files(&beside, &[".rs"]).into_iter().map(|source| source.text).fold(inside, |all, text| all + "\n" + &text);
            // A name with a dot has an underscore there in its file's name; what follows may have some of its own.
            let (dotted, first) = (module.replace('_', "."), module.replacen('_', ".", 1));
            let called = [
                format!("name: \"{module}\""),
                format!("NAME: &str = \"{module}\""),
                format!("name: \"{dotted}\""),
                format!("name: \"{first}\""),
            ];
            if !called.iter().any(|says| inside.contains(says)) {
                broken.push(format!("{beside}.rs: its entry is not called `{module}` like its file"));
            }
            let confs = if *folder == "src/systems" { "conf/systems" } else { "conf/examples" };
            if !root().join(format!("{confs}/{module}.yaml")).exists() {
                broken.push(format!("{list} names `{module}`, but {confs}/{module}.yaml does not exist"));
            }
            let suite = format!("{}/{module}.rs", folder.replacen("src", "tests/suite", 1));
            let tested = inside.contains("#[cfg(test)]") || root().join(&beside).join("tests.rs").exists() || root().join(&suite).exists();
            if !tested {
                broken.push(format!("{list} names `{module}`, but it has no tests: neither {beside}/tests.rs nor {suite}"));
            }
        }
        let listed: BTreeSet<&str> = modules.iter().copied().collect();
        if listed.len() != modules.len() {
            broken.push(format!("{list} names a member twice"));
        }
    }
    report(broken);
}

#[test]
fn no_member_of_a_roll_call_names_another() {
    let mut broken = Vec::new();
    for (folder, list) in ROLL_CALLS {
        let Ok(text) = fs::read_to_string(root().join(folder).join("mod.rs")) else { continue };
        let modules = roll_call(&text, list);
        let room = folder.replacen("src/", "crate::", 1).replace('/', "::");
        for source in files(folder, &[".rs"]) {
            let inside = source.path.strip_prefix(&format!("{folder}/")).unwrap_or_default();
            let Some(own) = inside.split(['/', '.']).next().filter(|own| modules.contains(own)) else { continue };
            for path in named(&source.text, &format!("{room}::")).into_iter().chain(named(&source.text, "super::")) {
                let other = path.split("::").next().unwrap_or_default();
                if other != own && modules.contains(&other) {
                    broken.push(format!("{} names its neighbour `{other}`: a member stands on the contract alone", source.path));
                }
            }
        }
    }
    report(broken);
}

#[test]
fn every_room_is_on_the_plan_with_what_it_may_name_and_every_room_on_the_plan_is_there() {
    let plan = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rooms = plan.split("## The rooms").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let drawn: BTreeMap<&str, BTreeSet<&str>> = rooms
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let [room, _, names] = cells[..] else { panic!("not three columns: {line}") };
            let names =
                if names == "everything below it" { BTreeSet::from([names]) } else { names.split('`').skip(1).step_by(2).collect() };
            (room.trim_matches('`').trim_end_matches(".rs"), names)
        })
        .collect();
    let mut kept: BTreeMap<&str, BTreeSet<&str>> =
        MAY_NAME.iter().map(|(room, names, _)| (*room, names.iter().copied().collect())).collect();
    kept.extend(BUILDERS.iter().map(|room| (*room, BTreeSet::from(["everything below it"]))));
    kept.insert("main", BTreeSet::from(["cli"]));
    assert_eq!(drawn, kept, "left: the table in ARCHITECTURE.md; right: the one in this file");
    let sources = files("src", &[".rs"]);
    let built: BTreeSet<&str> = sources.iter().filter_map(Source::room).filter(|room| *room != "lib").collect();
    assert_eq!(drawn.into_keys().collect::<BTreeSet<_>>(), built, "left: the table in ARCHITECTURE.md; right: src/");
}

#[test]
fn the_lints_that_keep_the_house_are_on() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    for wanted in
        ["unsafe_code = \"forbid\"", "unwrap_used", "expect_used", "panic", "indexing_slicing", "disallowed_methods", "missing_docs"]
    {
        assert!(manifest.contains(wanted), "Cargo.toml no longer asks for `{wanted}`");
    }
    assert!(!manifest.contains("panic = \"abort\""), "one request's fault must not be every request's end");
    let clippy = fs::read_to_string(root().join("clippy.toml")).unwrap();
    let entries: Vec<&str> = clippy.lines().filter(|line| line.contains("path =")).collect();
    assert!(!entries.is_empty(), "clippy.toml forbids nothing");
    for entry in entries {
        assert!(entry.contains("reason = \""), "this entry of clippy.toml does not say why: {entry}");
    }
}

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    let mut broken = Vec::new();
    let top = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "deploy/README.md"]
        .map(|name| (name.to_owned(), fs::read_to_string(root().join(name)).unwrap_or_default()));
    let below = files("docs", &[".md"]).into_iter().map(|source| (source.path, source.text));
    for (path, text) in top.into_iter().chain(below) {
        assert!(!text.is_empty(), "{path} is missing or empty");
        let folder = root().join(&path).parent().unwrap().to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if !file.is_empty() && !file.contains("://") && !folder.join(file).exists() {
                broken.push(format!("{path} links to {file}, which does not exist"));
            }
        }
    }
    report(broken);
}

#[test]
fn every_attack_is_tested_where_the_table_says() {
    let page = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let mut broken = Vec::new();
    let mut rows = 0;
    for line in page.lines() {
        let mut cells = line.split(" | ");
        let Some(id) = cells.next().and_then(|cell| cell.strip_prefix("| ")) else { continue };
        let is_id = id.starts_with(|c: char| c.is_ascii_uppercase()) && id[1..].parse::<u8>().is_ok();
        let links: Vec<&str> = line.split("](../").skip(1).filter_map(|rest| rest.split(')').next()).collect();
        if !is_id || links.is_empty() {
            continue;
        }
        rows += 1;
        for file in links {
            let text = fs::read_to_string(root().join(file)).unwrap_or_default();
            let named = text.match_indices(id).any(|(at, _)| !text[at + id.len()..].starts_with(|c: char| c.is_alphanumeric()));
            if !named {
                broken.push(format!("docs/security.md says that {id} is tested in {file}, which does not name it"));
            }
        }
    }
    assert!(250 < rows, "only {rows} rows were read: has the table changed its form?");
    report(broken);
}

#[test]
fn the_rules_find_what_they_look_for() {
    let at = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    let cases = [
        // path, text, how many faults, what the row shows
        ("src/domain/x.rs", "//! X.\nuse crate::jose::key::VerifyingKey;", 1, "the words name nothing of ours"),
        ("src/domain/x.rs", "//! X.\nuse crate::domain::time::Seconds;", 0, "a room may name itself"),
        ("src/domain/x.rs", "//! X.\nuse serde::Deserialize;", 1, "a tool among the words"),
        ("src/gate/x.rs", "//! X.\nuse crate::verify::contract::Verifier;", 0, "a contract is open to the judge"),
        ("src/gate/x.rs", "//! X.\nuse crate::verify::SCHEMES;", 1, "a roll-call is not"),
        ("src/gate/x.rs", "//! X.\nuse crate::verify::contracts::X;", 1, "a longer name is another module"),
        ("src/verify/x.rs", "//! See [`crate::edge::respond`].", 1, "a doc link that reaches up"),
        ("src/route/x/tests.rs", "//! X.\nuse crate::config::document::Document;", 0, "a test may set its stage with anything"),
        ("src/attic/x.rs", "//! X.", 1, "a room nobody planned"),
        ("src/main.rs", "//! X.\nfn main() { countersign::gate::x() }", 1, "main goes through cli"),
        ("src/main.rs", "//! X.\nfn main() { countersign::cli::run() }", 0, "as it does here"),
        ("src/route/x.rs", "//! X.\nfn f() { let _ = std::time::Instant::now(); }", 1, "a clock read in a pure room"),
        ("src/route/x.rs", "//! X.\n// Instant::now is not called here", 0, "a comment reads no clock"),
        ("src/route/x.rs", "//! X.\n#[cfg(test)]\nmod tests { fn f() { Instant::now(); } }", 0, "nor does a test in production"),
        (
            "src/route/x.rs",
            "//! X.\n#[cfg(test)]\nmod tests;\nfn f() { Instant::now(); }\n#[allow(clippy::panic, reason = \"x\")]",
            2,
            "what follows the tests is no test",
        ),
        (
            "src/route/x.rs",
            "//! X.\n#[cfg(test)]\nmod tests {\n    f();\n}\n\nfn f() { Instant::now(); }",
            1,
            "nor is it where they stand in braces",
        ),
        ("src/route/x.rs", "//! X.\nuse pingora::http::X;", 1, "the framework outside the edge"),
        ("src/edge/x.rs", "//! X.\nuse pingora::http::X;", 0, "and inside it"),
        ("src/countersign/x.rs", "//! X.\nlet v = Verified::vouch(x);", 1, "a proof out of thin air"),
        ("src/verify/x.rs", "//! X.\nlet v = Verified::vouch(x);", 1, "in the right room, in a file that is not listed"),
        ("src/telemetry/x.rs", "//! X.\nlet s = secret.expose();", 1, "a secret opened where nothing is computed with it"),
        ("src/route/x.rs", "//! X.\nuse super::super::y;", 1, "a hidden import"),
        ("src/route/x.rs", "//! X.\nuse crate::{domain::X, settings::Y};", 1, "a grouped import"),
        ("src/route/x.rs", "use crate::domain::X;", 1, "no header"),
        ("src/route/helpers.rs", "//! X.", 1, "a name that says nothing"),
        ("src/route/x.rs", "//! X.\n#[allow(clippy::unwrap_used, reason = \"lazy\")]", 1, "an unwrap where requests pass"),
        ("src/route/x.rs", "//! X.\n#[allow(clippy::too_many_lines)]", 1, "an allow without its reason"),
        (
            "src/route/x.rs",
            "//! X.\n#[allow(\n    clippy::too_many_lines,\n    clippy::unwrap_used,\n    reason = \"lazy\"\n)]",
            1,
            "an unwrap on a line of its own",
        ),
        ("src/route/x.rs", "//! X.\n#[allow(clippy::indexing_slicing, reason = \"short\")]", 1, "an index where requests pass"),
        (
            "src/route/x.rs",
            "//! X.\n#[allow(clippy::indexing_slicing, reason = \"computed while compiling; a byte\")]",
            0,
            "one that the compiler makes",
        ),
        ("src/route/x.rs", "//! X.\n#[cfg(test)]\nmod tests {\n#[allow(clippy::unwrap_used, reason = \"a test\")]", 0, "in a test it may"),
        ("src/route/x.rs", "//! X.\n#[allow(clippy::too_many_lines, reason = \"a table\")]", 0, "and with it"),
    ];
    for (path, text, expected, shows) in cases {
        let source = at(path, text);
        let found: Vec<String> = reaches(&source).into_iter().chain(misplaced(&source)).chain(ill_formed(&source)).collect();
        assert_eq!(found.len(), expected, "{shows}: {found:?}");
    }
    assert_eq!(
        roll_call("pub const SCHEMES: &[&SchemeEntry] = &[\n    &jwt::ENTRY, // a token\n    &gigya::ENTRY,\n];", "SCHEMES"),
        ["jwt", "gigya"]
    );
}
