//! Confs, files and clocks that are missing, broken or half replaced: attack list section Q, and C27 of section C.
//!
//! Each row breaks one thing of a conf that is sound, and says what the operator is told. Whatever is missing denies.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign::assembly::live;
use countersign::assembly::machine::Machine;
use countersign::assembly::steady::Steady;
use countersign::domain::{Clock, Secret};
use countersign::jose::algorithm::Algorithm;
use countersign::jose::mint::SigningKey;
use countersign::verify::keys::digest::{Pepper, digest_text};
use serde_json::json;

use crate::support::edge;
use crate::support::identity::Identity;
use crate::support::upstream::Upstream;
use crate::support::whole::{Folder, NOW, Whole};

const PEPPER: &[u8] = b"only-for-tests-0123456789abcdef";
const HMAC: &[u8] = b"only-for-tests-0123456789abcdef-hmac";

const CONF: &str = r#"listeners: [{ address: 127.0.0.1:0 }]
upstreams: { app: http://127.0.0.1:1 }
keys:
  partners: { server_keys: { file: partners.jsonl, pepper: { file: pepper } } }
  idp: { pinned: { hmac: { file: hmac }, hmac_algorithm: HS256 } }
authenticators:
  partner: { server_key: { keys: partners } }
  person: { jwt: { issuer: "https://id.example", audience: api, keys: idp, algorithms: [HS256] } }
rules:
  - { name: keyed, match: { paths: [/api/**] }, authenticate: partner, forward: app }
  - { name: token, match: { paths: [/token/**] }, authenticate: person, forward: app }
"#;

fn key_file() -> String {
    let digest = Pepper::new(&Secret::new(PEPPER.to_vec())).unwrap().digest("acme", b"s3cret");
    format!("{{\"id\":\"acme\",\"secrets\":[\"{}\"]}}\n", digest_text(&digest))
}

/// A folder with everything that [`CONF`] refers to.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("partners.jsonl", key_file());
    folder.write("pepper", PEPPER);
    folder.write("hmac", HMAC);
    folder
}

/// What is told of `conf`, in the way that the program reads it; nothing when it is sound.
fn told(folder: &Folder, conf: &str) -> String {
    let path = folder.write("countersign.yaml", conf);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    told_of(&path)
}

fn told_of(path: &std::path::Path) -> String {
    let faults = match live::read(path, &Machine) {
        Ok(plan) => plan.warnings,
        Err(faults) => faults.sorted(),
    };
    faults.iter().map(|fault| fault.to_string().replace(&format!("{}:", path.display()), "")).collect::<Vec<_>>().join("\n")
}

#[test]
fn whatever_a_conf_lacks_is_a_fault_with_a_place() {
    assert_eq!(told(&folder(), CONF), "", "the conf that rows break is sound");
    let anchors = format!(
        "a: &a [x,x,x,x,x,x,x,x,x]\n{}rules: []\n",
        (b'b'..=b'z')
            .map(|name| {
                let (name, before) = (char::from(name), char::from(name - 1));
                format!("{name}: &{name} [{}]\n", vec![format!("*{before}"); 9].join(","))
            })
            .collect::<String>()
    );
    // id, what is replaced, by what, words of the fault, what the row shows
    let rows: [(&str, &str, &str, &str, &str); 18] = [
        ("Q1", "{ file: pepper }", "{ file: nowhere }", "4:68: error: cannot read", "a secret's file is missing"),
        ("Q1", "file: partners.jsonl", "file: nowhere.jsonl", "4:36: error: cannot read", "the key file is missing"),
        (
            "Q3",
            "authenticate: partner",
            "authenticate: partner, requird: true",
            "10:72: error: `rules` knows no key `requird`",
            "a key that nobody knows",
        ),
        ("Q3", "authenticate: partner, ", "", "needs `authenticate`", "a rule without a guard is not public"),
        ("Q4", "paths: [/api/**]", "paths: []", "10:", "no path is not every path"),
        ("Q4", "authenticate: partner", "authenticate: { any: [] }", "10:", "nobody is not everybody"),
        ("Q4", "authenticate: partner", "authenticate: { all: [] }", "10:", "all of nothing is not everybody"),
        ("Q4", "algorithms: [HS256]", "algorithms: []", "8:", "no algorithm is not every algorithm"),
        ("Q5", "authenticate: partner", "authenticate: partner, authenticate: none", "10:", "a key that is written twice"),
        ("Q5", "name: keyed", "name: !!str keyed", "tags", "a tag"),
        ("Q5", "name: keyed", "<<: *nowhere, name: keyed", "", "an alias of nothing"),
        ("Q6", "paths: [/token/**]", "paths: [/api/**]", "both match", "two rules for the same requests"),
        ("Q12", "{ file: pepper }", "{ env: COUNTERSIGN_TEST_NOWHERE }", "is not set", "a variable that is not set is not empty"),
        ("Q15", "keys: idp", "keys: nobody", "8:", "an issuer whose keys are nowhere"),
        ("Q15", "issuer: \"https://id.example\"", "issuer: [\"https://id.example\", \"https://id.example\"]", "8:", "one issuer twice"),
        (
            "Q15",
            "rules:\n",
            "  again: { jwt: { issuer: \"https://id.example\", audience: other, keys: idp, algorithms: [HS256] } }\nrules:\n  - { name: both, match: { paths: [/both] }, authenticate: { any: [person, again] }, forward: app }\n",
            "the second is never asked",
            "two authenticators for one issuer's tokens",
        ),
        ("Q16", "/token/**", "token/**", "11:", "a path that could never match"),
        ("E18", "file: partners.jsonl", "file: pepper", "4:", "a key file that holds no keys"),
    ];
    let mut wrong = Vec::new();
    for (id, from, to, words, shows) in rows {
        assert!(CONF.contains(from), "{id} {from}");
        let text = told(&folder(), &CONF.replacen(from, to, 1));
        if !(text.contains("error") && text.contains(words)) {
            wrong.push(format!("{id} {shows}: {text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let text = told(&folder(), &anchors);
    assert!(text.contains("error"), "Q5 nine to the power of twenty-six: {text}");

    let empty = folder();
    empty.write("pepper", "");
    assert!(told(&empty, CONF).contains("error"), "Q1 an empty secret");
    let unreadable = folder();
    std::fs::remove_file(unreadable.path().join("hmac")).unwrap();
    std::fs::create_dir(unreadable.path().join("hmac")).unwrap();
    assert!(told(&unreadable, CONF).contains("error"), "Q1 a folder where a secret should be");
    let trusting = folder();
    trusting.write("ca.pem", "-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n");
    let tls = "upstreams: { app: { servers: https://127.0.0.1:1, tls: { ca: ca.pem } } }";
    let text = told(&trusting, &CONF.replace("upstreams: { app: http://127.0.0.1:1 }", tls));
    assert!(text.contains("error: ") && text.contains("ca.pem"), "Q2 an authority that cannot be read: {text}");

    let large = folder();
    let text = told(&large, &format!("{CONF}{}", "#".repeat(65 << 20)));
    assert!(text.contains("error") && text.contains("limit"), "Q8 {text}");

    let open = folder();
    let inline =
        CONF.replace("{ file: pepper }", "only-for-tests-0123456789abcdef").replace("listeners:", "allow_inline_secrets: true\nlisteners:");
    let path = open.write("countersign.yaml", inline);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(told_of(&path).contains("chmod 600"), "Q13 a secret that everyone may read");
}

fn server_key() -> String {
    STANDARD.encode("acme:s3cret")
}

async fn start() -> (Whole, Upstream, String) {
    let upstream = Upstream::start().await;
    let conf =
        CONF.replace("127.0.0.1:1", &upstream.address.to_string()).replace("listeners:", "admin: { address: 127.0.0.1:0 }\nlisteners:");
    let whole = Whole::start_in(folder(), &conf).await;
    whole.ready().await;
    (whole, upstream, conf)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conf_in_force_stays_until_a_whole_one_replaces_it() {
    let (whole, upstream, conf) = start().await;
    let key = server_key();
    let with_key = [("Server-Key", key.as_str())];
    let state = async |what: &str| {
        let before = upstream.hits();
        assert_eq!(whole.ask("GET", "/api/x", &with_key).await.status, 200, "{what}: good is good");
        assert_eq!(whole.ask("GET", "/api/x", &[]).await.status, 401, "{what}: the guard stands");
        assert_eq!(whole.ask("GET", "/open", &[]).await.status, 404, "{what}: nothing of the new conf is in force");
        assert_eq!(upstream.hits() - before, 1, "{what}");
    };
    state("at first").await;
    let open = "  - { name: open, match: { paths: [/open] }, authenticate: none, forward: app }\n";
    let broken = [
        ("Q10", format!("{conf}{open}  - {{ name: half"), "cut off in the middle"),
        ("Q10", format!("{conf}{open}").replace("keys: idp", "keys: none"), "sound up to one reference"),
        ("Q10", format!("{conf}{open}").replace("file: partners.jsonl", "file: gone.jsonl"), "with a file that is gone"),
        ("Q10", format!("{conf}{open}").replace("127.0.0.1:0 }]", "127.0.0.1:9 }]"), "with what only a restart can change"),
        ("Q10", String::new(), "empty"),
    ];
    for (id, text, shows) in broken {
        let words = whole.reload(&text).await.unwrap_err();
        assert!(!words.is_empty(), "{id} {shows}");
        state(&format!("{id} {shows}")).await;
    }
    // The secret of a conf in force disappears, then the conf is read again.
    let pepper = whole.folder.path().join("pepper");
    std::fs::remove_file(&pepper).unwrap();
    whole.reload(&conf).await.unwrap_err();
    state("Q1 the secret's file is gone").await;
    std::fs::write(&pepper, PEPPER).unwrap();

    let path = whole.folder.path().join("countersign.yaml");
    assert!(live::read(&path, &Machine).is_ok(), "Q14 what `check` says is what a reload does: the same function reads both");
    whole.reload(&format!("{conf}{open}")).await.unwrap();
    assert_eq!(whole.ask("GET", "/open", &[]).await.status, 200, "Q10 a whole one is in force as a whole");
    whole.folder.write("partners.jsonl", "");
    whole.reload(&conf).await.unwrap();
    assert_eq!(whole.ask("GET", "/api/x", &with_key).await.status, 401, "E18 an empty key file knows nobody");
    assert_eq!(whole.ask("GET", "/nothing", &with_key).await.status, 404, "Q16 what no rule speaks of is refused");
    assert!(!std::path::Path::new("/tmp/pingora_upgrade.sock").exists(), "Q9 no socket in a shared folder");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_costs_its_request_and_admits_nobody() {
    let upstream = Upstream::start().await;
    let edge = edge::before(&upstream).await;
    assert_eq!(edge.client().await.get("/panic").await.status, 500, "Q7");
    assert_eq!((upstream.hits(), edge.ledger.panics()), (0, 1), "Q7 counted, and nothing reached the upstream");
    assert_eq!(edge.client().await.get("/public").await.status, 200, "Q7 the process lives");
}

#[tokio::test(flavor = "multi_thread")]
async fn time_does_not_run_back() {
    let upstream = Upstream::start().await;
    let conf =
        CONF.replace("127.0.0.1:1", &upstream.address.to_string()).replace("listeners:", "admin: { address: 127.0.0.1:0 }\nlisteners:");
    let whole = Whole::start_steady(folder(), &conf).await;
    whole.ready().await;
    let key = SigningKey::from_secret(Algorithm::Hs256, &Secret::new(HMAC.to_vec())).unwrap();
    let token = |claims: serde_json::Value| {
        let mut all = json!({ "iss": "https://id.example", "aud": "api", "sub": "ann", "exp": NOW + 600 });
        claims.as_object().unwrap().iter().for_each(|(name, value)| all[name] = value.clone());
        format!("Bearer {}", key.sign_compact(&[], &all).unwrap())
    };
    let plain = token(json!({}));
    let rows = [
        (0, 200, "alive"),
        (600 + 29, 200, "within the leeway"),
        (600 + 30, 401, "ended"),
        (-3_600, 401, "C27 an hour back, it has ended all the same"),
        (-NOW, 401, "Q11 in 1970 too"),
        (100, 401, "C27 and nearly caught up"),
    ];
    for (at, status, shows) in rows {
        whole.set_clock(NOW + at);
        assert_eq!(whole.ask("GET", "/token/x", &[("Authorization", &plain)]).await.status, status, "{shows}");
    }
    let in_1970: Arc<dyn Clock> = Arc::new(AtomicI64::new(0));
    assert!(Steady::over(in_1970).is_err(), "Q11 a process does not start in 1970");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_for_one_host_carries_no_request_for_another() {
    let upstream = Upstream::start().await;
    let identity = Identity::of("a.example");
    let folder = folder();
    let pem = |label: &str, der: &[u8]| format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der));
    folder.write("tls.pem", pem("CERTIFICATE", &identity.der()));
    folder.write("tls.key", pem("PRIVATE KEY", identity.key_der()));
    let conf = format!(
        "listeners: [{{ address: 127.0.0.1:0, tls: {{ certificate: tls.pem, key: tls.key }} }}]\nadmin: {{ address: 127.0.0.1:0 }}\n\
         upstreams: {{ app: http://{} }}\nrules:\n  - {{ name: a, match: {{ hosts: a.example, paths: [/**] }}, authenticate: none, forward: app }}\n\
         \x20 - {{ name: b, match: {{ hosts: b.example, paths: [/**] }}, authenticate: none, forward: app }}\n",
        upstream.address
    );
    let whole = Whole::start_in(folder, &conf).await;
    whole.ready().await;
    let rows = [
        ("I29", "a.example", 200, "the host of the handshake"),
        ("I29", "A.Example.:443", 200, "in another spelling"),
        ("I29", "b.example", 421, "another host"),
        ("I29", "b.example:443", 421, "with a port"),
        ("I29", "a.example.evil", 421, "one that only begins alike"),
    ];
    for (id, host, status, shows) in rows {
        let before = upstream.hits();
        let socket = identity.connect(whole.address(), "a.example", &["http/1.1"]).await.expect("a handshake");
        let mut client = crate::support::raw::Client::over(socket);
        client.send(format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(client.answer().await.status, status, "{id} {shows}");
        assert_eq!(upstream.hits() - before, usize::from(status == 200), "{id} {shows}");
    }
}
