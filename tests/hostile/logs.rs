//! Attacks on what is written down: injected lines, leaked secrets, exploding metrics, floods, stalled sinks.
//!
//! Rows O1 to O14 as far as they concern the records, the metrics, the process log and the admin listener; that neither
//! trace headers nor an error page's third party see anything is not ours to show, because we have neither.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{self, Write};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign::domain::{Burn, Clock, Doubt, Identity, Reason, Refusal, Timestamp, Value};
use countersign::edge::framework;
use countersign::edge::respond::{AnswerRequest, answer};
use countersign::gate::verdict::{Record, Refused};
use countersign::telemetry::audit::{Audit, Overflow};
use countersign::telemetry::logs::{Form, LevelFilter, framework_listener, subscriber};
use countersign::telemetry::metrics::Metrics;
use countersign::telemetry::recorder::Recorder;
use countersign::telemetry::report::{Ending, Happening, Reporter, Visit};
use log::Log;

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn clock() -> Arc<AtomicI64> {
    Arc::new(AtomicI64::new(1_790_000_000))
}

fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new(clock()))
}

fn identity(subject: &str, claims: Value) -> Arc<Identity> {
    Arc::new(Identity {
        subject: subject.into(),
        issuer: subject.into(),
        scopes: Box::default(),
        claims: claims.into(),
        expires: None,
        not_before: None,
        scheme: "jwt",
        authenticator: "user".into(),
        burn: Some(Burn { key: [0x5e; 32], made: Timestamp(0), until: Timestamp(0) }),
        also: Vec::new(),
    })
}

fn visit<'v>(record: &'v Record, text: &'v str) -> Visit<'v> {
    Visit {
        record,
        ending: Ending::Admitted,
        arrived_millis: 0,
        status: 200,
        upstream_status: Some(200),
        renewed: false,
        duration_micros: 1,
        upstream_micros: Some(1),
        method: text,
        host: text,
        path: text,
    }
}

/// What the audit record of one visit looks like, written by the real writer.
fn audited(record: &Record, text: &str) -> String {
    let memory = Memory::default();
    let audit = Audit::start(memory.clone(), Overflow::Drop, 16, metrics().audit_dropped()).unwrap();
    audit.record(&visit(record, text));
    assert!(audit.close(PATIENCE));
    memory.text()
}

/// Texts that would end a line, start another, or command a terminal.
const INJECTIONS: &[(&str, &str)] = &[
    ("/a\n{\"verdict\":\"admitted\",\"subject\":\"root\"}", "a forged record"),
    ("/a\r\nHTTP/1.1 200 OK", "carriage return and line feed"),
    ("/\u{1b}]0;owned\u{7}\u{1b}[2J", "terminal commands"),
    ("/a\u{2028}b\u{2029}c\u{85}d", "line separators of Unicode"),
    ("/\u{202e}gnp.exe\u{2066}", "text that reads backwards"),
    ("\",\"subject\":\"root", "a closed quote"),
    ("/\u{0}\u{9b}31m", "NUL and the one-byte CSI"),
];

fn is_quiet(line: &str) -> bool {
    !line.chars().any(|c| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
}

#[test]
fn o1_no_text_of_a_client_or_an_issuer_leaves_its_place_in_the_audit_record() {
    for (text, shows) in INJECTIONS {
        let record = Record { identity: Some(identity(text, Value::Null)), request_id: (*text).into(), ..Record::default() };
        let out = audited(&record, text);
        let line = out.strip_suffix('\n').unwrap();
        assert!(is_quiet(line), "{shows}: {line:?}");
        let read: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{shows}: {error}: {line}"));
        for key in ["path", "host", "method", "subject", "issuer", "request_id"] {
            let whole = read[key].as_str().unwrap();
            assert!(whole == *text || whole.strip_suffix('…').is_some_and(|start| text.starts_with(start)), "{shows}: {key} is {whole:?}");
        }
        assert_eq!(read["verdict"], "admitted", "{shows}: no field can be set from within another");
        assert_eq!(line.matches("\"verdict\":").count(), 1, "{shows}: and none stands there twice");
    }
}

#[test]
fn o1_no_text_leaves_its_place_in_the_process_log() {
    for (text, shows) in INJECTIONS {
        for form in [Form::Text, Form::Json] {
            let memory = Memory::default();
            tracing::subscriber::with_default(subscriber(LevelFilter::TRACE, form, clock(), memory.clone()), || {
                tracing::warn!(target: "countersign::test", path = text, "refused {text}");
            });
            let out = memory.text();
            assert!(is_quiet(out.strip_suffix('\n').unwrap()), "{shows}, {form:?}: {out:?}");
        }
    }
}

#[test]
fn o2_o14_a_record_holds_no_credential_no_claim_and_no_digest_of_one() {
    let claims = Value::Map(Box::new([("email".into(), Value::Text("secret-claim@example".into()))]));
    let record = Record { identity: Some(identity("alice", claims)), request_id: "r-1".into(), ..Record::default() };
    let out = audited(&record, "/path");
    for (leak, shows) in
        [("secret-claim", "a claim"), ("5e5e", "a digest in hex"), ("Xl5e", "a digest in base64"), ("94,94", "a digest as numbers")]
    {
        assert!(!out.contains(leak), "{shows}: {out}");
    }
    let read: serde_json::Value = serde_json::from_str(&out).unwrap();
    let mut keys: Vec<&str> = read.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let mut promised = [
        "time",
        "request_id",
        "rule",
        "authenticator",
        "subject",
        "issuer",
        "verdict",
        "reason",
        "stage",
        "status",
        "upstream_status",
        "renewed",
        "cache",
        "duration_us",
        "stages_us",
        "method",
        "host",
        "path",
        "client",
    ];
    promised.sort_unstable();
    assert_eq!(keys, promised, "O2: what is promised, and nothing else that could leak one day");
}

#[test]
fn o2_o3_the_framework_is_quoted_only_where_it_never_saw_a_request() {
    const HEAD: &str = "InvalidHTTPHeader context: buf: GET /?access_token=abc HTTP/1.1\\r\\nAuthorization: Bearer abc";
    let rows = [
        ("pingora_core::server", log::Level::Error, true, "start and stop"),
        ("pingora_core::services::listening", log::Level::Error, true, "accepting connections"),
        ("pingora_core::listeners::l4", log::Level::Warn, true, "an address in use"),
        ("pingora_core::protocols::http::v1::server", log::Level::Error, false, "the parser of heads"),
        ("pingora_core::protocols::http::v1::common", log::Level::Warn, false, "field values"),
        ("pingora_core::apps::http_app", log::Level::Error, false, "the loop over requests"),
        ("pingora_core::connectors", log::Level::Warn, false, "what upstreams send"),
        ("pingora_proxy", log::Level::Error, false, "the request's summary, query included"),
        ("pingora_proxy::proxy_h1", log::Level::Error, false, "forwarding"),
        ("pingora_http", log::Level::Error, false, "field names and values"),
        ("pingora_cache", log::Level::Warn, false, "what is named nowhere is not trusted"),
        ("pingora_core::protocols::http::v1::server", log::Level::Debug, false, "whole heads, at debug"),
        ("pingora_proxy", log::Level::Trace, false, "and at trace"),
    ];
    for (module, level, told, shows) in rows {
        let memory = Memory::default();
        tracing::subscriber::with_default(subscriber(LevelFilter::TRACE, Form::Json, clock(), memory.clone()), || {
            let mut record = log::Record::builder();
            record.level(level).target(module).module_path(Some(module)).line(Some(1));
            framework_listener(framework::LOG, clock()).log(&record.args(format_args!("{HEAD}")).build());
        });
        let out = memory.text();
        assert_eq!(out.contains("abc"), told, "{shows}: {out}");
        let heard = level <= log::Level::Warn;
        assert_eq!(!out.is_empty(), heard, "{shows}: that it spoke is told from `warn` on");
    }
}

#[test]
fn o5_o6_a_million_clients_make_no_new_series() {
    let metrics = metrics();
    let record = Record { rule: Some("users".into()), authenticator: Some("user".into()), ..Record::default() };
    metrics.visited(&visit(&record, "/"));
    let before = metrics.exposition();
    for n in 0..20_000 {
        let text = format!("/t1cket-{n}");
        let record = Record {
            identity: Some(identity(&text, Value::Null)),
            request_id: text.as_str().into(),
            client: Some(std::net::Ipv4Addr::from(n).into()),
            ..record.clone()
        };
        metrics.visited(&visit(&record, &text));
    }
    let after = metrics.exposition();
    assert_eq!(before.lines().count(), after.lines().count(), "O5: paths, hosts, methods, subjects and addresses are no labels");
    assert!(!after.contains("t1cket"), "O6");
}

#[test]
fn o5_a_rule_has_at_most_two_hundred_series() {
    let metrics = metrics();
    let none = metrics.exposition().lines().count();
    for reason in Reason::ALL.iter().copied().map(Some).chain([None]) {
        for cache in [None, Some(true), Some(false)] {
            let record = Record { rule: Some("r".into()), authenticator: Some("a".into()), reason, cache, ..Record::default() };
            let ending = if reason.is_some() { Ending::Refused } else { Ending::Admitted };
            metrics.visited(&Visit { ending, ..visit(&record, "/") });
        }
    }
    let series = metrics.exposition().lines().count() - none;
    assert!(series <= 200, "{series} series for a rule that has seen everything");
}

/// A sink that says when it is asked and takes nothing until it is told to.
struct Stalled {
    asked: Sender<()>,
    go: Receiver<()>,
    memory: Memory,
}

impl Write for Stalled {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.asked.send(());
        let _ = self.go.recv();
        self.memory.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn o12_o13_a_flood_against_a_stalled_sink_stops_no_request_and_every_counter_is_exact() {
    const FLOOD: u64 = 100_000;
    let metrics = metrics();
    let (asked, was_asked) = channel();
    let (go, may_go) = channel();
    let memory = Memory::default();
    let sink = Stalled { asked, go: may_go, memory: memory.clone() };
    let audit = Arc::new(Audit::start(sink, Overflow::Drop, 1000, metrics.audit_dropped()).unwrap());
    let recorder = Recorder::new(Arc::clone(&metrics), Some(Arc::clone(&audit)));
    let record = Record { rule: Some("users".into()), reason: Some(Reason::CredentialMissing), ..Record::default() };
    let refused = Visit { ending: Ending::Refused, ..visit(&record, "/") };

    recorder.visited(&refused);
    was_asked.recv().unwrap();
    // The sink stands still from here on, and this loop ends all the same.
    for _ in 1..FLOOD {
        recorder.visited(&refused);
        recorder.happened(Happening::HeadRefused { why: "framing" });
    }
    let dropped = audit.dropped();
    assert_eq!(dropped, FLOOD - 1 - 1000, "O13: one in hand, a thousand queued, the rest dropped");
    drop(go);
    assert!(audit.close(PATIENCE));

    let written = u64::try_from(memory.text().lines().count()).unwrap();
    assert_eq!(written + audit.dropped(), FLOOD, "O12: written and dropped are all there were");
    let shown = metrics.exposition();
    let counts = |line: &str| shown.lines().any(|shown| shown == line);
    let labels = r#"rule="users",authenticator="none",verdict="refused",reason="credential_missing""#;
    assert!(counts(&format!("countersign_decisions_total{{{labels}}} {FLOOD}")), "{shown}");
    assert!(counts(&format!("countersign_heads_refused_total{{reason=\"framing\"}} {}", FLOOD - 1)), "{shown}");
    assert!(counts(&format!("countersign_audit_dropped_total {dropped}")), "{shown}");
}

#[test]
fn o12_a_framework_that_is_made_to_complain_fills_no_disk() {
    let clock = clock();
    let memory = Memory::default();
    tracing::subscriber::with_default(subscriber(LevelFilter::INFO, Form::Text, clock.clone(), memory.clone()), || {
        let listener = framework_listener(framework::LOG, Arc::clone(&clock) as Arc<dyn Clock>);
        for n in 0..100_000 {
            clock.store(1_790_000_000 + n / 10_000, Ordering::SeqCst);
            let mut record = log::Record::builder();
            record.level(log::Level::Error).target("pingora_core::services::listening").line(Some(241));
            listener.log(&record.args(format_args!("Downstream handshake error")).build());
        }
    });
    assert_eq!(memory.text().lines().count(), 100, "ten seconds, ten lines each");
}

#[test]
fn n2_o3_an_answer_repeats_nothing_that_was_sent() {
    for doubt in [Doubt::Malformed, Doubt::SignatureInvalid, Doubt::KeyUnknown, Doubt::Revoked] {
        let refused =
            Refused { refusal: Refusal::Doubted(doubt), challenges: Arc::from(["Bearer"]), login: None, system: None, body: None };
        let request = AnswerRequest {
            method: "GET",
            accept: Some("text/html;secret=accept-secret"),
            sec_fetch_mode: Some("mode-secret"),
            sec_fetch_dest: Some("dest-secret"),
            request_id: "r-1",
            path_and_query: "/path-secret?token=query-secret",
            headers: &http::HeaderMap::new(),
            now: Timestamp(0),
            body: None,
            system: None,
        };
        let answer = answer(&refused, &request);
        let told = format!("{:?} {}", answer.headers, String::from_utf8(answer.body.to_vec()).unwrap());
        assert!(!told.contains("secret"), "O3: {told}");
    }
}
