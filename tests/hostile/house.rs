//! The proxy that hostile targets and fields are sent to: public rules beside guarded ones, and an upstream that counts.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign::domain::Secret;
use countersign::verify::keys::digest::{Pepper, digest_text};

use crate::support::raw::Answer;
use crate::support::upstream::{Recorded, Reply, Upstream, ok};
use crate::support::whole::Whole;

/// The pepper of the one server key here.
const PEPPER: &[u8] = b"only-for-tests-0123456789abcdef";

/// `public/**` asks for nothing, `params/**` too and allows `;`, everything else that exists asks for a server key.
const RULES: &str = r"
listeners: [{ address: 127.0.0.1:0 }]
admin: { address: 127.0.0.1:0 }
upstreams: { app: http://UPSTREAM }
governor: off
TRUSTED
keys:
  partners: { server_keys: { file: partners.jsonl, pepper: { file: pepper } } }
authenticators:
  partner: { server_key: { keys: partners } }
rules:
  - { name: public, match: { paths: [/public/**, /caf%C3%A9] }, authenticate: none, forward: app }
  - { name: params, match: { paths: [/params/**] }, authenticate: none, allow_semicolon: true, forward: app }
  - name: read
    match: { paths: [/api/**], methods: [GET] }
    authenticate: partner
    forward: { upstream: app, identity_headers: { X-Auth-User: subject, X-Auth-Email: claims.email } }
  - name: any
    match: { paths: [/admin/**, '/v1/x:delete'] }
    authenticate: partner
    forward: app
  - name: inner
    match: { hosts: [inner.example], paths: [/**] }
    authenticate: partner
    forward: app
";

/// The reason of a head that was refused before it was a request at all, and so is recorded without a method.
pub const AT_THE_DOOR: &str = "at the door";

fn reason_in(record: &serde_json::Value) -> String {
    let is_request = record["method"].as_str().is_some_and(|method| !method.is_empty());
    if is_request { record["reason"].as_str().unwrap_or_default().to_owned() } else { AT_THE_DOOR.to_owned() }
}

/// A running proxy and its upstream.
pub struct House {
    pub whole: Whole,
    pub upstream: Upstream,
}

impl House {
    /// Starts it; `trusted` is the value of `trusted_proxies`, nobody when empty.
    pub async fn start(trusted: &str) -> Self {
        Self::scripted(trusted, |_| ok("reached")).await
    }

    /// The same with an upstream that answers as it is told.
    pub async fn scripted(trusted: &str, script: impl Fn(&Recorded) -> Reply + Send + Sync + 'static) -> Self {
        let upstream = Upstream::scripted(script).await;
        let trusted = if trusted.is_empty() { String::new() } else { format!("trusted_proxies: {trusted}") };
        let conf = RULES.replace("UPSTREAM", &upstream.address.to_string()).replace("TRUSTED", &trusted);
        let digest = Pepper::new(&Secret::new(PEPPER.to_vec())).unwrap().digest("acme", b"s3cret");
        let line = format!("{{\"id\":\"acme\",\"secrets\":[\"{}\"]}}\n", digest_text(&digest));
        let whole = Whole::start(&conf, &[("partners.jsonl", line.as_bytes()), ("pepper", PEPPER)]).await;
        whole.ready().await;
        Self { whole, upstream }
    }

    /// Sends `head` byte for byte on a connection of its own, and tells what came of it.
    pub async fn send(&self, head: &[u8]) -> Outcome {
        let before = self.upstream.hits();
        let mut client = self.whole.client().await;
        client.send(head).await;
        let method = String::from_utf8_lossy(head.split(|byte| *byte == b' ').next().unwrap_or_default()).into_owned();
        let answer = client.answer_to(&method).await;
        let reached = self.upstream.hits() - before;
        let status = answer.as_ref().map_or(0, |answer| answer.status);
        let reason = match &answer {
            Some(answer) if reached == 0 => match answer.field("x-request-id") {
                Some(id) => reason_in(&self.whole.record_by(id).await),
                None => AT_THE_DOOR.to_owned(),
            },
            _ => String::new(),
        };
        let seen = (reached == 1).then(|| self.upstream.records().pop().unwrap());
        Outcome { status, reason, reached, seen, answer }
    }

    /// Sends a request with these fields, the right server key among them when `proven`.
    pub async fn ask(&self, method: &str, target: &str, proven: bool, fields: &[(&str, &str)]) -> Outcome {
        let mut head = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
        if !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.extend_from_slice(b"Host: proxy.test\r\n");
        }
        if proven {
            head.extend_from_slice(format!("Server-Key: {}\r\n", STANDARD.encode("acme:s3cret")).as_bytes());
        }
        for (name, value) in fields {
            head.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        self.send(&head).await
    }
}

/// What came of one request.
#[derive(Debug)]
pub struct Outcome {
    /// The status, 0 when the connection ended without an answer.
    pub status: u16,
    /// The reason in the audit record, when the upstream was not reached.
    pub reason: String,
    /// How often the upstream was reached.
    pub reached: usize,
    /// What reached it, when that was one request.
    pub seen: Option<Recorded>,
    pub answer: Option<Answer>,
}

impl Outcome {
    /// Whether it was refused with `status` for `reason`, or with that status before it was a request at all.
    pub fn is_refused(&self, status: u16, reason: &str) -> bool {
        self.status == status && self.reached == 0 && (self.reason == reason || self.reason == AT_THE_DOOR)
    }

    /// All values of a field as the upstream saw it; `None` when it saw nothing.
    pub fn shown(&self, name: &str) -> Option<Vec<&str>> {
        self.seen.as_ref().map(|seen| seen.fields(name))
    }
}

/// The sections of the attack list that this proxy answers, and how many rows each has.
const SECTIONS: [(&str, usize); 14] = [
    ("A", 25),
    ("B", 34),
    ("C", 28),
    ("D", 15),
    ("E", 18),
    ("G", 14),
    ("H", 28),
    ("I", 30),
    ("J", 15),
    ("K", 26),
    ("N", 8),
    ("O", 14),
    ("P", 20),
    ("Q", 16),
];

/// Whether `id` stands in `text` as a word of its own; an underscore ends a word, a percent sign begins another.
fn names(text: &str, id: &str) -> bool {
    text.match_indices(id).any(|(at, _)| {
        let before = text[..at].bytes().next_back();
        let after = text.as_bytes().get(at + id.len());
        !before.is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'%' | b'#'))
            && !after.is_some_and(u8::is_ascii_alphanumeric)
    })
}

#[test]
fn every_attack_has_an_answer_and_the_answer_a_row() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let page = read("docs/security.md");
    let mut answered: Vec<String> = Vec::new();
    let (_, table) = page.split_once("## Known attacks").unwrap();
    for line in table.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, ids, answer, file, _] = cells[..] else { continue };
        let is_id =
            |id: &str| SECTIONS.iter().any(|(section, _)| id.strip_prefix(section).is_some_and(|number| number.parse::<usize>().is_ok()));
        if ids.is_empty() || !ids.split(' ').all(is_id) {
            continue;
        }
        assert!(!answer.is_empty(), "{ids} has no answer");
        let file = file.trim_matches('`');
        let text = read(file).to_uppercase();
        for id in ids.split(' ') {
            assert!(names(&text, id), "{id} does not stand in {file}");
            answered.push(id.to_owned());
        }
    }
    let all: Vec<String> =
        SECTIONS.iter().flat_map(|(section, rows)| (1..=*rows).map(move |number| format!("{section}{number}"))).collect();
    let missing: Vec<&String> = all.iter().filter(|id| !answered.contains(id)).collect();
    assert!(missing.is_empty(), "without an answer in docs/security.md: {missing:?}");
    assert_eq!(answered.len(), all.len(), "each id is answered once");
}
