//! Requests for a load comparison, a file per row, for the load generator's script.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign::ambient::SystemRandom;

use crate::stage::{Folder, Presented, SCHEMES};

/// Writes `ROW.txt` per row: one request a line, target and then `name: value` fields, tab-separated.
///
/// A thousand callers take turns, with a server key one. Cold rows are under a rule with `cache: off`, so each request is
/// proven anew, however often its credential comes. Replies of a known size come by a rule that holds them and by one that does not.
#[allow(clippy::disallowed_methods, reason = "credentials must be good while the load runs")]
pub fn write_requests(path: &Path) {
    const KNOWN: usize = 1_000;
    let folder = Folder::at(path);
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let write = |name: &str, requests: Vec<Presented>| {
        let lines: Vec<String> = requests
            .iter()
            .map(|request| {
                let fields: String = request.fields.iter().map(|(name, value)| format!("\t{name}: {value}")).collect();
                format!("{}{fields}\n", request.target)
            })
            .collect();
        std::fs::write(path.join(format!("{name}.txt")), lines.concat()).unwrap();
    };
    let bare = Presented::bare;
    let key = STANDARD.encode("partner-0:a wrong secret");
    write("open", vec![bare("/open/orders/17")]);
    // The very requests that other rows prove, under the rule that proves nothing.
    for (name, scheme) in [("open-bearing", "rs256"), ("open-key", "server-key")] {
        let callers = if scheme == "server-key" { 1 } else { KNOWN };
        let same = (0..callers).map(|number| {
            let shown = folder.credential(scheme, false, &format!("caller-{number}"), now, &SystemRandom);
            Presented { target: "/open/orders/17".to_owned(), fields: shown.fields }
        });
        if !path.join(format!("{name}.txt")).exists() {
            write(name, same.collect());
        }
    }
    write("missing", vec![bare("/rs256/orders/17")]);
    write("forged", vec![Presented::bearer("/rs256/orders/17", &folder.forged(now))]);
    write("wrong-secret", vec![Presented::field("/server-key/orders/17", "server-key", key)]);
    if !path.join("held-200.txt").exists() {
        let tokens: Vec<String> = (0..KNOWN).map(|number| folder.token("rs256", &format!("caller-{number}"), now)).collect();
        for (size, name) in [(200, "200"), (64 * 1024, "64k")] {
            for (rule, row) in [("renewable", "unheld"), ("held", "held")] {
                let target = format!("/{rule}/sized/{size}");
                write(&format!("{row}-{name}"), tokens.iter().map(|token| Presented::bearer(&target, token)).collect());
            }
        }
    }
    for scheme in SCHEMES {
        // Tokens and tickets are good for an hour; only a signature of the moment must be made anew.
        if scheme != "gigya" && path.join(format!("{scheme}.txt")).exists() {
            continue;
        }
        // A server key has one text; the others are a thousand callers' own.
        let callers = if scheme == "server-key" { 1 } else { KNOWN };
        // Signed a little ahead, so that the window of five minutes holds for all of the run.
        let at = if scheme == "gigya" { now + 240 } else { now };
        let known = (0..callers).map(|number| folder.credential(scheme, false, &format!("caller-{number}"), at, &SystemRandom)).collect();
        write(scheme, known);
        let cold = (0..callers.min(100)).map(|number| folder.credential(scheme, true, &format!("caller-{number}"), at, &SystemRandom));
        write(&format!("{scheme}-cold"), cold.collect());
    }
}

/// Writes a conf with few server keys and one with `keys` of them, and `tokens.txt`: as many requests, each with a token of its
/// own. They are short of what issuers write by nothing.
#[allow(clippy::disallowed_methods, reason = "credentials must be good while the load runs")]
pub fn prepare_memory(path: &Path, listener: &str, upstream: &str, keys: usize, tokens: usize) {
    let folder = Folder::at(path);
    folder.write_server_keys("many.jsonl", keys);
    for (name, server_keys) in [("usual.yaml", "partners.jsonl"), ("keys.yaml", "many.jsonl")] {
        let conf = folder.conf(name, listener, upstream, server_keys, 0);
        let text = std::fs::read_to_string(&conf).unwrap();
        // All of the tokens fit, and a connection may lie idle while the others are opened; nothing is kept in a file.
        let text = format!("{text}cache: {{ max_bytes: 256MiB, max_age: 1h }}\nstate: {{ memory: {{}} }}\n");
        let text = text.replace("limits: { ", "limits: { connections: 20000, connections_per_address: 20000, ");
        std::fs::write(conf, text).unwrap();
    }
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let key = folder.key("es256");
    let lines: String = (0..tokens)
        .map(|number| {
            let token = folder.token_with(&key, &format!("caller-{number}"), now, now + 3_600);
            format!("/es256/orders/17\tauthorization: Bearer {token}\n")
        })
        .collect();
    std::fs::write(path.join("tokens.txt"), lines).unwrap();
}
