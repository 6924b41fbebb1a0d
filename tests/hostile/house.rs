//! The proxy that hostile targets and fields are sent to: public rules beside guarded ones, and an upstream that counts.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

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

/// The reason of a head that was refused before it was a request at all, and so has no id.
pub const AT_THE_DOOR: &str = "at the door";

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
            Some(answer) if reached == 0 && answer.text().contains("request_id") => self.whole.reason_of(answer).await,
            Some(_) if reached == 0 => AT_THE_DOOR.to_owned(),
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
