//! The files under `conf/` and the reference page: each is loaded as a user would load it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use countersign::config::plan::{ActionPlan, RequirementPlan};
use countersign::config::sections::CONF;
use countersign::config::{Document, Plan, Sources, check, load, reference};
use countersign::countersign::COUNTERSIGNERS;
use countersign::domain::Secret;
use countersign::issuer::SERVICES;
use countersign::renew::RENEWERS;
use countersign::route::table::Match;
use countersign::settings::{Faults, KeySpec, Level, Node, Presence, SectionSpec, Shape};
use countersign::verify::SCHEMES;
use countersign::verify::keys::KEY_SOURCES;

use crate::conf::stage::Stage;

/// The disk, without the environment: what is shipped must check anywhere.
pub struct Disk;

impl Sources for Disk {
    fn file(&self, path: &Path) -> Result<Vec<u8>, String> {
        fs::read(path).map_err(|error| error.to_string())
    }

    fn variable(&self, _name: &str) -> Option<Secret> {
        None
    }

    fn exposed(&self, _path: &Path) -> bool {
        true
    }
}

pub fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The folders of confs that are shipped, beside `conf/` itself.
const FOLDERS: [&str; 2] = ["conf/examples", "conf/systems"];

/// Every conf that is shipped.
pub fn shipped() -> Vec<PathBuf> {
    let of = |folder: &str| fs::read_dir(at(folder)).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<PathBuf>>();
    let mut files: Vec<PathBuf> = FOLDERS.into_iter().flat_map(of).collect();
    files.push(at("conf/countersign.yaml"));
    files.sort();
    files
}

/// `text` with every hidden key taken out of its comment: a `#` without a space after it.
pub fn unhidden(text: &str) -> String {
    let line = |line: &str| match line.trim_start().strip_prefix('#') {
        Some(key) if !key.starts_with([' ', '#']) && !key.is_empty() => {
            format!("{}{key}", &line[..line.len() - line.trim_start().len()])
        }
        _ => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn plan(path: &Path) -> Result<Plan, Faults> {
    let (document, material) = load(path, &Disk)?;
    check(&document, &material)
}

fn told(faults: &Faults) -> String {
    faults.sorted().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_shipped_conf_is_sound_and_gives_no_warning() {
    for path in shipped() {
        let plan = plan(&path).unwrap_or_else(|faults| panic!("{}", told(&faults)));
        assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
    }
}

/// Who somebody is to us is nobody's business at a vendor's, whose API knows them by the vendor's own credential.
#[test]
fn no_vendor_is_told_who_is_who_with_us() {
    let mut asked = 0;
    for path in shipped().into_iter().filter(|path| path.parent().is_some_and(|folder| folder.ends_with("systems"))) {
        let plan = plan(&path).unwrap_or_else(|faults| panic!("{}", told(&faults)));
        for (index, rule) in plan.rules.iter().enumerate() {
            let ActionPlan::Forward(forward) = &rule.action else { continue };
            let upstream = &plan.upstreams[forward.upstream];
            // Vendors are spoken to over TLS, what is one's own in plaintext on this machine.
            if upstream.tls.is_some() && !matches!(rule.requirement, RequirementPlan::None) {
                asked += 1;
                let told: Vec<String> = names(&plan, index).into_iter().filter(|name| name.starts_with("x-auth-")).collect();
                assert!(told.is_empty(), "{}: rule `{}` tells `{}` {told:?}", path.display(), rule.name, upstream.name);
            }
        }
    }
    assert!(9 <= asked, "only {asked} rules before vendors were found");
}

#[test]
fn check_examples_looks_at_every_folder_of_confs_and_at_nothing_that_is_not_there() {
    let script = fs::read_to_string(at("scripts/check-examples")).unwrap();
    let looked: BTreeSet<&str> = script.split_whitespace().filter_map(|word| word.trim_end_matches(';').strip_suffix("/*.yaml")).collect();
    for folder in FOLDERS.into_iter().chain(["conf"]) {
        assert!(looked.contains(folder), "scripts/check-examples passes by {folder}: {looked:?}");
    }
    let folders = fs::read_dir(at("conf")).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let of_confs = folders.filter(|folder| {
        fs::read_dir(folder).unwrap().any(|entry| entry.unwrap().path().extension().is_some_and(|ending| ending == "yaml"))
    });
    let of_confs: BTreeSet<String> = of_confs.map(|folder| format!("conf/{}", folder.file_name().unwrap().display())).collect();
    assert_eq!(of_confs, FOLDERS.map(str::to_owned).into(), "and a folder of confs is one of those that tests load");
    let makefile = fs::read_to_string(at("Makefile")).unwrap();
    let step = makefile.lines().skip_while(|line| !line.starts_with("examples:")).nth(1).unwrap();
    assert!(step.contains("scripts/check-examples"), "`make examples` is that script: {step}");
    assert!(makefile.lines().any(|line| line.starts_with("test:") && line.contains(" examples ")), "and part of `make test`");
}

#[test]
fn a_plan_shows_no_secret() {
    // What the demo files hold; a conf that prints one of them would print a real one too.
    let secrets: Vec<String> = fs::read_dir(at("conf/keys"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "txt" || ending == "key" || ending == "pem"))
        .filter_map(|path| fs::read_to_string(path).ok())
        .filter(|text| !text.contains("BEGIN CERTIFICATE") && !text.contains("BEGIN PUBLIC KEY"))
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| 16 <= line.len() && !line.starts_with("-----"))
        .collect();
    assert!(!secrets.is_empty(), "there are demo secrets to look for");
    for path in shipped() {
        let shown = format!("{:?}", plan(&path).unwrap_or_else(|faults| panic!("{}", told(&faults))));
        for secret in &secrets {
            assert!(!shown.contains(secret.as_str()), "{} shows a secret in its plan", path.display());
        }
    }
}

#[test]
fn the_commented_conf_is_sound_with_every_key_shown() {
    let text = unhidden(&fs::read_to_string(at("conf/countersign.yaml")).unwrap());
    let path = at("conf/unhidden.yaml");
    let document = Document::read("unhidden.yaml", text.as_bytes()).unwrap_or_else(|faults| panic!("{}", told(&faults)));
    let material = countersign::config::load::gather(&document, path.parent().unwrap(), &Disk);
    if let Err(faults) = check(&document, &material) {
        let errors: Vec<String> = faults.sorted().iter().filter(|fault| fault.level == Level::Error).map(ToString::to_string).collect();
        panic!("{}", errors.join("\n"));
    }
    let mut missing = Vec::new();
    compare("", &CONF, &[&document.root], &mut missing);
    assert!(missing.is_empty(), "conf/countersign.yaml:\n{}", missing.join("\n"));
}

/// Notes every key of `spec` that none of `nodes` shows, and every default that is shown otherwise.
fn compare(path: &str, spec: &SectionSpec, nodes: &[&Node], missing: &mut Vec<String>) {
    for key in spec.keys {
        let shown: Vec<&Node> = nodes.iter().filter_map(|node| node.get(key.name)).collect();
        let path = format!("{path}.{}", key.name);
        if shown.is_empty() {
            missing.push(format!("{path} is not shown"));
        }
        if let Some(default) = default_of(key)
            && shown.iter().all(|node| node.value != default.value)
        {
            missing.push(format!("{path} is not shown at its default {:?}", default.value));
        }
        // Where a countersigner's own settings begin, its own example shows them.
        if COUNTERSIGNERS.iter().all(|entry| entry.name != key.name) {
            below(&path, key.shape, &shown, missing);
        }
    }
}

/// The default of a key whose value is a single one; others are shown by example.
fn default_of(key: &KeySpec) -> Option<Node> {
    let single = matches!(key.shape, Shape::Bool | Shape::Count { .. } | Shape::Duration { .. } | Shape::Size { .. } | Shape::OneOf(_));
    match key.presence {
        Presence::Default(text) if single => {
            let document = Document::read("default", format!("default: {text}").as_bytes()).unwrap();
            document.root.get("default").cloned()
        }
        _ => None,
    }
}

/// Follows a shape into its sections. Kinds have examples of their own.
fn below(path: &str, shape: Shape, nodes: &[&Node], missing: &mut Vec<String>) {
    match shape {
        Shape::Section(spec) => {
            let maps: Vec<&Node> = nodes.iter().copied().filter(|node| node.as_map().is_some()).collect();
            compare(path, spec, &maps, missing);
        }
        Shape::List { of, .. } => {
            let items: Vec<&Node> = nodes.iter().filter_map(|node| node.as_list()).flatten().collect();
            below(path, *of, &items, missing);
        }
        Shape::Map(of) => {
            let values: Vec<&Node> = nodes.iter().filter_map(|node| node.as_map()).flatten().map(|entry| &entry.node).collect();
            below(path, *of, &values, missing);
        }
        Shape::Either(shapes) => shapes.iter().for_each(|shape| below(path, *shape, nodes, missing)),
        _ => {}
    }
}

#[test]
fn every_registered_kind_has_an_example_that_shows_all_its_keys() {
    let schemes = SCHEMES.iter().map(|entry| (entry.name, entry.shape));
    let sources = KEY_SOURCES.iter().map(|entry| (entry.name, entry.shape));
    let countersigners = COUNTERSIGNERS.iter().map(|entry| (entry.name, entry.shape));
    let services = SERVICES.iter().map(|entry| (entry.name, entry.shape));
    let mut missing = Vec::new();
    let renewers = RENEWERS.iter().map(|entry| (entry.name, entry.shape));
    for (name, shape) in schemes.chain(sources).chain(countersigners).chain(services).chain(renewers) {
        // A name with a dot has an underscore there in its file's name.
        let Ok(text) = fs::read_to_string(at(&format!("conf/examples/{}.yaml", name.replace('.', "_")))) else {
            missing.push(format!("conf/examples/{}.yaml does not exist", name.replace('.', "_")));
            continue;
        };
        let text = unhidden(&text);
        let document = Document::read(name, text.as_bytes()).unwrap_or_else(|faults| panic!("{}", told(&faults)));
        let mut shown = Vec::new();
        find(&document.root, name, &mut shown);
        if shown.is_empty() && !text.contains(&format!("serve: {name} ")) {
            missing.push(format!("conf/examples/{name}.yaml does not show `{name}`"));
        }
        let mut keys = Vec::new();
        keys_of(shape, &mut keys);
        for key in keys.iter().filter(|key| !shown.iter().any(|node| node.get(key).is_some())) {
            missing.push(format!("conf/examples/{name}.yaml does not show `{key}`"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// Every value under a key called `name`, anywhere.
fn find<'n>(node: &'n Node, name: &str, found: &mut Vec<&'n Node>) {
    for entry in node.as_map().unwrap_or_default() {
        if entry.key == name {
            found.push(&entry.node);
        }
        find(&entry.node, name, found);
    }
    node.as_list().unwrap_or_default().iter().for_each(|item| find(item, name, found));
}

/// The keys of the sections that a shape is, or may be.
fn keys_of(shape: Shape, keys: &mut Vec<&'static str>) {
    match shape {
        Shape::Section(spec) => keys.extend(spec.keys.iter().map(|key| key.name)),
        Shape::Either(shapes) => shapes.iter().for_each(|shape| keys_of(*shape, keys)),
        _ => {}
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "whoever runs the tests may ask for the page to be written anew")]
fn the_reference_page_is_up_to_date() {
    let path = at("docs/configuration.md");
    let page = reference::page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/configuration.md is out of date; UPDATE_DOCS=1 cargo test --test suite conf");
}

#[test]
fn a_conf_of_several_schemes_is_planned_as_it_reads() {
    let text = "\
listeners: [{ address: 0.0.0.0:8080 }]
admin: { address: 127.0.0.1:9901 }
upstreams: { app: http://127.0.0.1:9000 }
keys:
  partners: { server_keys: { file: keys/partners.jsonl, pepper: { env: KEY_PEPPER } } }
  tickets:  { mac: { file: keys/ticket.key } }
  gigya:    { gigya_secret: { env: GIGYA_SECRET } }
authenticators:
  partner: { server_key: { keys: partners } }
  user:    { jwt: { issuer: https://id.example, audience: app } }
  pass:    { ticket: { keys: tickets, single_use: true } }
  member:  { gigya: { keys: gigya, window: 5m } }
rules:
  - { name: health, match: { paths: [/health] }, authenticate: none, forward: app }
  - name: partners
    match: { hosts: [api.example], paths: [/server/**], methods: [POST] }
    authenticate: partner
    authorize: \"'chat:write' in identity.scopes\"
    forward: app
  - name: users
    match: { paths: [/api/**] }
    authenticate: { any: [user, pass, member] }
    forward: { upstream: app, identity_headers: { X-Auth-Subject: subject, X-Auth-Email: claims.email } }
";
    let plan = Stage::new(text)
        .file("keys/partners.jsonl", &fs::read(at("conf/keys/demo-server-keys.jsonl")).unwrap())
        .file("keys/ticket.key", b"an authentic key of 32 bytes, or more\n")
        .variable("KEY_PEPPER", "0123456789abcdef")
        .variable("GIGYA_SECRET", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
        .plan()
        .unwrap_or_else(|faults| panic!("{}", told(&faults)));

    assert_eq!(plan.warnings, Vec::new());
    assert_eq!(*plan.upstreams[0].servers[0].authority, *"127.0.0.1:9000");
    assert_eq!(plan.startup_wait.as_secs(), 30, "what is not written is at its default");
    assert_eq!(plan.limits.header_bytes, 32 << 10);
    assert_eq!(plan.cache.map(|cache| cache.max_age.0), Some(300));
    let stores: Vec<&str> = plan.keys.iter().map(|store| &*store.name).collect();
    assert_eq!(stores, ["partners", "tickets", "gigya", "discovery:https://id.example"], "the implied store comes last");
    let schemes: Vec<&str> = plan.authenticators.iter().map(|plan| plan.scheme.scheme()).collect();
    assert_eq!(schemes, ["server_key", "jwt", "ticket", "gigya"]);
    assert_eq!(plan.rules[0].requirement, RequirementPlan::None);
    assert_eq!(plan.rules[1].requirement, RequirementPlan::One(0));
    assert_eq!(
        plan.rules[2].requirement,
        RequirementPlan::Any(vec![RequirementPlan::One(1), RequirementPlan::One(2), RequirementPlan::One(3)])
    );
    assert_eq!(plan.rules[1].conditions.len(), 1);
    assert_eq!(*plan.rules[1].written.methods, [Box::from("POST")]);
    assert_eq!(
        names(&plan, 0),
        ["x-auth-subject", "x-auth-issuer", "x-auth-scopes", "x-auth-method"],
        "the default set, to be stripped everywhere"
    );
    assert_eq!(names(&plan, 2), ["x-auth-subject", "x-auth-email"], "replaces the default set");
    assert_eq!(plan.table.find("api.example", "/server/x", "POST"), Match::Rule(1));
    let read: Vec<String> = plan.files.keys().map(|path| path.display().to_string()).collect();
    assert_eq!(read, ["c.yaml", "keys/partners.jsonl", "keys/ticket.key"], "the conf is one of them");
    assert!(plan.files.values().all(Option::is_some), "and what was in them is known");
}

/// The header names that rule `index` can emit.
fn names(plan: &Plan, index: usize) -> Vec<String> {
    let ActionPlan::Forward(forward) = &plan.rules[index].action else { panic!("the rule forwards") };
    forward.countersigners.iter().flat_map(|plan| plan.names()).map(|name| name.as_str().to_owned()).collect()
}
