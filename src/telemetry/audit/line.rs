//! One audit record: what is kept of a visit, and how it reads as one line of JSON.
//!
//! Keeping is done on the request path and costs one allocation; writing is done on the writer's thread. Texts of
//! foreign origin are cut at a bound, so that a full queue has a size, and escaped, so that a line stays one line.

use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, Datelike, Timelike, Utc};

use crate::domain::{Breach, Reason};
use crate::gate::verdict::Stages;
use crate::telemetry::json::{head, push_string};
use crate::telemetry::report::{Ending, Visit};

/// The longest that is kept of each text, in bytes; what is longer ends in `…`.
const METHOD: usize = 32;
const HOST: usize = 255;
const PATH: usize = 1024;
const SUBJECT: usize = 512;
const ISSUER: usize = 512;
/// The same of the code and the field of a breach, which are a system's own words.
const BREACH: usize = 64;

/// What the record says of one visit, owned.
#[derive(Debug)]
pub(super) struct Line {
    arrived_millis: i64,
    request_id: Arc<str>,
    rule: Option<Arc<str>>,
    authenticator: Option<Arc<str>>,
    reason: Option<Reason>,
    breach: Option<Box<Breach>>,
    ending: Ending,
    status: u16,
    upstream_status: Option<u16>,
    renewed: bool,
    cache: Option<bool>,
    duration_micros: u64,
    stages: Stages,
    upstream_micros: Option<u32>,
    client: Option<IpAddr>,
    identified: bool,
    texts: Texts,
}

/// Method, host, path, subject and issuer in one allocation, each ending where the next begins.
#[derive(Debug)]
struct Texts {
    all: Box<str>,
    ends: [u16; 4],
}

impl Texts {
    fn keep(parts: [(&str, usize); 5]) -> Self {
        const MARK: char = '…';
        let kept = parts.map(|(text, most)| if text.len() <= most { (text, false) } else { (head(text, most), true) });
        let length = kept.iter().map(|(text, cut)| text.len() + if *cut { MARK.len_utf8() } else { 0 }).sum();
        let mut all = String::with_capacity(length);
        let ends = {
            let mut end = |(text, cut): (&str, bool)| {
                all.push_str(text);
                if cut {
                    all.push(MARK);
                }
                u16::try_from(all.len()).unwrap_or(u16::MAX)
            };
            let [method, host, path, subject, issuer] = kept;
            let ends = [end(method), end(host), end(path), end(subject)];
            end(issuer);
            ends
        };
        Self { all: all.into_boxed_str(), ends }
    }

    fn parts(&self) -> [&str; 5] {
        let [method, host, path, subject] = self.ends.map(usize::from);
        let part = |from: usize, to: usize| self.all.get(from..to).unwrap_or_default();
        [part(0, method), part(method, host), part(host, path), part(path, subject), part(subject, self.all.len())]
    }
}

impl Line {
    /// Keeps what the record says of `visit`.
    pub(super) fn of(visit: &Visit<'_>) -> Self {
        let record = visit.record;
        let (subject, issuer) = record.identity.as_ref().map_or(("", ""), |identity| (&*identity.subject, &*identity.issuer));
        Self {
            arrived_millis: visit.arrived_millis,
            request_id: Arc::clone(&record.request_id),
            rule: record.rule.clone(),
            authenticator: record.authenticator.clone(),
            reason: record.reason,
            breach: record.breach.clone(),
            ending: visit.ending,
            status: visit.status,
            upstream_status: visit.upstream_status,
            renewed: visit.renewed,
            cache: record.cache,
            duration_micros: visit.duration_micros,
            stages: record.stages,
            upstream_micros: visit.upstream_micros,
            client: record.client,
            identified: record.identity.is_some(),
            texts: Texts::keep([(visit.method, METHOD), (visit.host, HOST), (visit.path, PATH), (subject, SUBJECT), (issuer, ISSUER)]),
        }
    }

    /// Appends the record as one line of JSON, line break included. Every key is always there, but for `breach`: only a rule with a
    /// system has any.
    pub(super) fn write(&self, into: &mut String) {
        let [method, host, path, subject, issuer] = self.texts.parts();
        let time = DateTime::from_timestamp_millis(self.arrived_millis).unwrap_or_default();
        into.push_str("{\"time\":\"");
        push_time(into, time);
        into.push_str("\",\"request_id\":");
        push_string(into, &self.request_id);
        push_text(into, "rule", self.rule.as_deref());
        push_text(into, "authenticator", self.authenticator.as_deref());
        push_text(into, "subject", self.identified.then_some(subject));
        push_text(into, "issuer", self.identified.then_some(issuer));
        push_text(into, "verdict", Some(self.ending.as_str()));
        push_text(into, "reason", self.reason.map(Reason::as_str));
        push_text(into, "stage", self.reason.map(|reason| reason.stage().as_str()));
        if let Some(breach) = &self.breach {
            into.push_str(",\"breach\":{\"code\":");
            push_string(into, head(&breach.code, BREACH));
            push_text(into, "field", Some(head(&breach.field, BREACH)));
            into.push('}');
        }
        push_number(into, "status", Some(u64::from(self.status)));
        push_number(into, "upstream_status", self.upstream_status.map(u64::from));
        into.push_str(if self.renewed { ",\"renewed\":true" } else { ",\"renewed\":false" });
        push_text(into, "cache", self.cache.map(|hit| if hit { "hit" } else { "miss" }));
        push_number(into, "duration_us", Some(self.duration_micros));
        into.push_str(",\"stages_us\":{\"route\":");
        push_digits(into, u64::from(self.stages.route), 1);
        push_number(into, "verify", Some(u64::from(self.stages.verify)));
        push_number(into, "renew", Some(u64::from(self.stages.renew)));
        push_number(into, "policy", Some(u64::from(self.stages.policy)));
        push_number(into, "countersign", Some(u64::from(self.stages.countersign)));
        push_number(into, "upstream", self.upstream_micros.map(u64::from));
        into.push('}');
        push_text(into, "method", Some(method));
        push_text(into, "host", Some(host));
        push_text(into, "path", Some(path));
        match self.client {
            Some(address) => push_text(into, "client", Some(&address.to_string())),
            None => push_text(into, "client", None),
        }
        into.push_str("}\n");
    }
}

/// Appends `,"key":` and a string or `null`.
fn push_text(into: &mut String, key: &str, value: Option<&str>) {
    push_key(into, key);
    match value {
        Some(text) => push_string(into, text),
        None => into.push_str("null"),
    }
}

/// Appends `,"key":` and a number or `null`.
fn push_number(into: &mut String, key: &str, value: Option<u64>) {
    push_key(into, key);
    match value {
        Some(number) => push_digits(into, number, 1),
        None => into.push_str("null"),
    }
}

/// Appends `time` as RFC 3339 writes it, to the millisecond, in UTC. By hand, like the numbers: formatters and the texts they
/// allocate are most of what writing a record costs.
fn push_time(into: &mut String, time: DateTime<Utc>) {
    // A time before the year 0 is not one that a clock tells.
    let year = u64::try_from(time.year()).unwrap_or_default();
    let parts = [
        ("", year, 4),
        ("-", u64::from(time.month()), 2),
        ("-", u64::from(time.day()), 2),
        ("T", u64::from(time.hour()), 2),
        (":", u64::from(time.minute()), 2),
        (":", u64::from(time.second()), 2),
        (".", u64::from(time.nanosecond() / 1_000_000), 3),
    ];
    for (separator, number, digits) in parts {
        into.push_str(separator);
        push_digits(into, number, digits);
    }
    into.push('Z');
}

/// Appends `number` in decimal, with zeros before it up to `least` digits.
fn push_digits(into: &mut String, number: u64, least: u32) {
    let digits = number.checked_ilog10().map_or(1, |power| power + 1).max(least);
    for power in (0..digits).rev() {
        let digit = number / 10_u64.pow(power) % 10;
        into.extend(u32::try_from(digit).ok().and_then(|digit| char::from_digit(digit, 10)));
    }
}

fn push_key(into: &mut String, key: &str) {
    into.push_str(",\"");
    into.push_str(key);
    into.push_str("\":");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{BREACH, HOST, ISSUER, Line, METHOD, PATH, SUBJECT};
    use crate::domain::{Breach, Claims, Identity, Reason};
    use crate::gate::verdict::{Record, Stages};
    use crate::telemetry::report::{Ending, Visit};

    fn identity(subject: &str, issuer: &str) -> Arc<Identity> {
        Arc::new(Identity {
            subject: subject.into(),
            issuer: issuer.into(),
            scopes: Box::default(),
            claims: Claims::empty(),
            expires: None,
            not_before: None,
            scheme: "jwt",
            authenticator: "user".into(),
            burn: None,
            also: Vec::new(),
        })
    }

    fn visit(record: &Record) -> Visit<'_> {
        Visit {
            record,
            ending: Ending::Admitted,
            arrived_millis: 1_790_000_000_123,
            status: 200,
            upstream_status: Some(200),
            renewed: false,
            duration_micros: 1234,
            upstream_micros: Some(1200),
            method: "GET",
            host: "api.example",
            path: "/a",
        }
    }

    fn written(visit: &Visit<'_>) -> String {
        let mut line = String::new();
        Line::of(visit).write(&mut line);
        line
    }

    #[test]
    fn a_full_record_reads_exactly_so() {
        let record = Record {
            rule: Some("users".into()),
            authenticator: Some("user".into()),
            identity: Some(identity("alice", "https://id.example")),
            reason: None,
            breach: None,
            cache: Some(true),
            renewed: false,
            client: Some("2001:db8::1".parse().unwrap()),
            request_id: "r-1".into(),
            stages: Stages { route: 1, verify: 2, renew: 0, policy: 3, countersign: 4 },
        };
        assert_eq!(
            written(&visit(&record)),
            concat!(
                r#"{"time":"2026-09-21T14:13:20.123Z","request_id":"r-1","rule":"users","authenticator":"user","subject":"alice","#,
                r#""issuer":"https://id.example","verdict":"admitted","reason":null,"stage":null,"status":200,"upstream_status":200,"#,
                r#""renewed":false,"cache":"hit","duration_us":1234,"#,
                r#""stages_us":{"route":1,"verify":2,"renew":0,"policy":3,"countersign":4,"upstream":1200},"#,
                r#""method":"GET","host":"api.example","path":"/a","client":"2001:db8::1"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_breach_is_told_by_its_code_and_its_field() {
        let breach = Breach { code: "49102".into(), field: "App-Key".into(), says: "app key is invalid".into() };
        let record = Record { reason: Some(Reason::GuardRefused), breach: Some(Box::new(breach)), ..Record::default() };
        let line = written(&visit(&record));
        assert!(line.contains(r#""stage":"policy","breach":{"code":"49102","field":"App-Key"},"status":200"#), "{line}");
        assert!(!line.contains("is invalid"), "what is said to people is said to the client: {line}");
        let long = Breach { code: "c\"".into(), field: "f".repeat(BREACH * 2).into(), says: "".into() };
        let record = Record { breach: Some(Box::new(long)), ..Record::default() };
        let read: serde_json::Value = serde_json::from_str(&written(&visit(&record))).unwrap();
        assert_eq!((read["breach"]["code"].as_str(), read["breach"]["field"].as_str().map(str::len)), (Some("c\""), Some(BREACH)));
        assert!(!written(&visit(&Record::default())).contains("breach"), "and nothing is told of none");
    }

    #[test]
    fn times_and_numbers_read_as_the_libraries_write_them() {
        for millis in [0, 1, 999, 1_000, 951_782_399_999, 1_709_164_800_000, 1_790_000_000_123, 4_102_444_799_005, 253_402_300_799_999] {
            let time = chrono::DateTime::from_timestamp_millis(millis).unwrap();
            let mut written = String::new();
            super::push_time(&mut written, time);
            assert_eq!(written, time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true), "{millis}");
        }
        for number in [0, 1, 9, 10, 99, 100, 12_345, 9_999_999_999, 10_000_000_000_000_000_000, u64::MAX] {
            let mut written = String::new();
            super::push_digits(&mut written, number, 1);
            assert_eq!(written, number.to_string());
        }
        let mut padded = String::new();
        super::push_digits(&mut padded, 7, 3);
        assert_eq!(padded, "007", "zeros before it");
    }

    #[test]
    fn a_record_of_nothing_has_every_key_all_the_same() {
        let record = Record { reason: Some(Reason::NoRule), ..Record::default() };
        let bare = Visit {
            ending: Ending::Refused,
            arrived_millis: i64::MIN,
            status: 404,
            upstream_status: None,
            upstream_micros: None,
            host: "",
            ..visit(&record)
        };
        let read: serde_json::Value = serde_json::from_str(&written(&bare)).unwrap();
        assert_eq!(read["time"], "1970-01-01T00:00:00.000Z", "a time that cannot be written is the epoch");
        for key in ["rule", "authenticator", "subject", "issuer", "upstream_status", "cache", "client"] {
            assert!(read[key].is_null() && read.get(key).is_some(), "{key} is there and null");
        }
        assert!(read["stages_us"]["upstream"].is_null(), "the upstream was never asked");
        assert_eq!((&read["reason"], &read["stage"]), (&"no_rule".into(), &"route".into()), "a reason names its stage");
        assert_eq!(read["verdict"], "refused");
    }

    #[test]
    fn each_text_is_kept_up_to_its_bound_and_marked_when_cut() {
        let rows: [(&str, usize); 5] = [("method", METHOD), ("host", HOST), ("path", PATH), ("subject", SUBJECT), ("issuer", ISSUER)];
        for (key, most) in rows {
            for (length, cut) in [(most, false), (most + 1, true), (most * 20, true)] {
                let text = "a".repeat(length);
                let pick = |name: &str, other: &'static str| if name == key { text.clone() } else { other.to_owned() };
                let record = Record { identity: Some(identity(&pick("subject", "s"), &pick("issuer", "i"))), ..Record::default() };
                let (method, host, path) = (pick("method", "m"), pick("host", "h"), pick("path", "/p"));
                let line = written(&Visit { method: &method, host: &host, path: &path, ..visit(&record) });
                let read: serde_json::Value = serde_json::from_str(&line).unwrap();
                let expected = if cut { format!("{}…", "a".repeat(most)) } else { text.clone() };
                assert_eq!(read[key], expected, "{key} of {length} bytes");
                for (other, plain) in [("method", "m"), ("host", "h"), ("path", "/p"), ("subject", "s"), ("issuer", "i")] {
                    assert!(other == key || read[other] == plain, "{other} is whole beside a long {key}");
                }
            }
        }
        let record = Record::default();
        let path = format!("/{}", "é".repeat(PATH));
        let line = written(&Visit { path: &path, ..visit(&record) });
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["path"].as_str().unwrap().chars().last(), Some('…'), "a cut never splits a character");
    }
}
