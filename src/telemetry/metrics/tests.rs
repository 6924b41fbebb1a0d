//! That what is shown parses, is complete, and counts exactly.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::Metrics;
use super::durations::BOUNDS_MICROS;
use super::names::{Kind, Metric};
use crate::domain::{Clock, Event, Observer, Reason, Timestamp};
use crate::gate::verdict::{Record, Stages};
use crate::telemetry::report::{Ending, Happening, Reporter, UpstreamResult, Visit};

/// One sample line of an exposition.
#[derive(Debug, Clone, PartialEq)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

/// Reads an exposition by the grammar of OpenMetrics 1.0, as far as counters, gauges, histograms and infos need it.
fn parse(text: &str) -> (BTreeMap<String, String>, Vec<Sample>) {
    let body = text.strip_suffix("# EOF\n").expect("an exposition ends with # EOF");
    let (mut types, mut samples) = (BTreeMap::new(), Vec::new());
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} is declared once");
        } else if !line.starts_with("# HELP ") {
            samples.push(sample(line));
        }
    }
    (types, samples)
}

fn sample(line: &str) -> Sample {
    let name_end = line.find(['{', ' ']).unwrap_or_else(|| panic!("no sample: {line}"));
    let (name, mut rest) = line.split_at(name_end);
    assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (key, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
            let mut value = String::new();
            let mut characters = after.char_indices();
            let end = loop {
                match characters.next().unwrap_or_else(|| panic!("unclosed label: {line}")) {
                    (at, '"') => break at + 1,
                    (_, '\\') => match characters.next().unwrap().1 {
                        'n' => value.push('\n'),
                        plain @ ('\\' | '"') => value.push(plain),
                        other => panic!("unknown escape {other}: {line}"),
                    },
                    (_, plain) => value.push(plain),
                }
            };
            labels.push((key.to_owned(), value));
            rest = &after[end..];
            match rest.strip_prefix(',') {
                Some(next) => rest = next,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').unwrap_or_else(|| panic!("unclosed labels: {line}"));
    }
    Sample { name: name.to_owned(), labels, value: rest.trim_start().parse().unwrap_or_else(|_| panic!("no value: {line}")) }
}

/// The value of the sample `name` whose labels are exactly `labels`, in any order.
fn value(metrics: &Metrics, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let wanted: BTreeSet<(&str, &str)> = labels.iter().copied().collect();
    let (_, samples) = parse(&metrics.exposition());
    samples
        .into_iter()
        .find(|sample| {
            sample.name == name && sample.labels.iter().map(|(key, value)| (&**key, &**value)).collect::<BTreeSet<_>>() == wanted
        })
        .map(|sample| sample.value)
}

fn at(now: i64) -> (Arc<AtomicI64>, Metrics) {
    let clock = Arc::new(AtomicI64::new(now));
    let handed: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
    (clock, Metrics::new(handed))
}

fn record(rule: &str, reason: Option<Reason>) -> Record {
    Record { rule: Some(rule.into()), authenticator: Some("user".into()), reason, ..Record::default() }
}

fn visit(record: &Record, ending: Ending) -> Visit<'_> {
    Visit {
        record,
        ending,
        arrived_millis: 0,
        status: 200,
        upstream_status: None,
        renewed: false,
        duration_micros: 10,
        upstream_micros: None,
        method: "GET",
        host: "h",
        path: "/",
    }
}

/// Makes every metric say something.
fn everything(metrics: &Metrics) {
    metrics.visited(&visit(&record("users", None), Ending::Admitted));
    for event in [
        Event::CredentialCache { hit: true },
        Event::KeyFetch { store: "partners", ok: true, keys: 2, fetched: Some(Timestamp(10)) },
        Event::KeySkipped { store: "partners", why: "weak" },
        Event::Introspection { authenticator: "user", ok: true },
        Event::Renewal { renewer: "login", result: "renewed", coalesced: false },
        Event::Renewal { renewer: "login", result: "renewed", coalesced: true },
        Event::State { operation: "burn", ok: true },
        Event::Governor { budget: "address", refused: false, tracked: 1 },
    ] {
        metrics.note(event);
    }
    metrics.config_reloaded(1, true);
    metrics.audit_dropped().inc();
    metrics.log_dropped().inc_by(2);
    metrics.audit_waiting().set(3);
    metrics.connections_capped(10);
    metrics.happened(Happening::ConnectionOpened);
    metrics.happened(Happening::ConnectionRefused { why: "total_cap" });
    metrics.happened(Happening::HeadRefused { why: "framing" });
    metrics.happened(Happening::UpstreamTried { upstream: "app", result: UpstreamResult::Answered, micros: 7 });
    metrics.happened(Happening::Panicked);
}

#[test]
fn the_exposition_shows_every_metric_with_its_kind_and_its_labels_and_nothing_else() {
    let (_, metrics) = at(100);
    everything(&metrics);
    let (types, samples) = parse(&metrics.exposition());
    let expected: BTreeMap<String, String> = Metric::ALL
        .iter()
        .map(|metric| {
            let kind = match metric.kind() {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
                Kind::Info => "info",
            };
            (metric.name().to_owned(), kind.to_owned())
        })
        .collect();
    assert_eq!(types, expected, "exactly the table");
    for metric in Metric::ALL {
        let of_it: Vec<&Sample> = samples
            .iter()
            .filter(|sample| match metric.kind() {
                Kind::Histogram => ["_sum", "_count", "_bucket"].iter().any(|end| sample.name.strip_suffix(end) == Some(metric.name())),
                Kind::Counter | Kind::Gauge | Kind::Info => sample.name == metric.sample(),
            })
            .collect();
        assert!(!of_it.is_empty(), "{} has said something", metric.name());
        for sample in of_it {
            let keys: Vec<&str> = sample.labels.iter().map(|(key, _)| &**key).filter(|key| *key != "le").collect();
            let (mut keys, mut declared) = (keys, metric.labels().to_vec());
            keys.sort_unstable();
            declared.sort_unstable();
            assert_eq!(keys, declared, "{}", sample.name);
        }
    }
}

#[test]
fn decisions_are_counted_once_each_under_their_own_labels() {
    let (_, metrics) = at(0);
    let all = [None].into_iter().chain(Reason::ALL.iter().copied().map(Some));
    for (n, reason) in all.clone().enumerate() {
        for ending in Ending::ALL {
            for _ in 0..=n {
                metrics.visited(&visit(&record("users", reason), *ending));
            }
        }
    }
    for (n, reason) in all.enumerate() {
        for ending in Ending::ALL {
            let reason = reason.map_or("none", Reason::as_str);
            let labels = [("rule", "users"), ("authenticator", "user"), ("verdict", ending.as_str()), ("reason", reason)];
            let counted = value(&metrics, "countersign_decisions_total", &labels);
            assert_eq!(counted, Some(n as f64 + 1.0), "{} {reason}", ending.as_str());
        }
    }
    let nobody = Record { reason: Some(Reason::NoRule), ..Record::default() };
    metrics.visited(&visit(&nobody, Ending::Refused));
    let labels = [("rule", "none"), ("authenticator", "none"), ("verdict", "refused"), ("reason", "no_rule")];
    assert_eq!(value(&metrics, "countersign_decisions_total", &labels), Some(1.0), "no rule and no authenticator");
}

#[test]
fn what_a_client_sends_makes_no_series() {
    let (_, metrics) = at(0);
    everything(&metrics);
    let before = metrics.exposition().lines().count();
    let record = record("users", None);
    for n in 0..2000 {
        let (method, host, path) = (format!("M{n}"), format!("host-{n}"), format!("/ticket-{n}"));
        metrics.visited(&Visit { method: &method, host: &host, path: &path, ..visit(&record, Ending::Admitted) });
    }
    let after = metrics.exposition();
    assert_eq!(after.lines().count(), before, "O5: as many lines as before");
    assert!(!after.contains("ticket-") && !after.contains("host-"), "O6: no path and no host in a label");
}

#[test]
fn a_name_of_the_conf_stays_within_its_quotes() {
    let (_, metrics) = at(0);
    let name = "a\"} 1\nb\\";
    metrics.visited(&visit(&record(name, None), Ending::Admitted));
    let labels = [("rule", name), ("authenticator", "user"), ("verdict", "admitted"), ("reason", "none")];
    assert_eq!(value(&metrics, "countersign_decisions_total", &labels), Some(1.0));
}

#[test]
fn durations_fall_into_the_bucket_that_includes_their_bound() {
    let within = |metrics: &Metrics, le: &str| {
        value(metrics, "countersign_upstream_duration_seconds_bucket", &[("upstream", "app"), ("le", le)]).unwrap()
    };
    let rows = [
        (0, "0.000001", 1.0, "nothing at all is within the first"),
        (1, "0.000001", 1.0, "1 µs is the first bound"),
        (2, "0.000001", 0.0, "2 µs is past it"),
        (2, "0.000002", 1.0, "and within the second"),
        (10_000_000, "10.0", 1.0, "10 s is the last bound"),
        (10_000_001, "10.0", 0.0, "a microsecond more is past it"),
        (10_000_001, "+Inf", 1.0, "and still counted"),
        (u32::MAX, "+Inf", 1.0, "the longest there is"),
    ];
    for (micros, le, expected, shows) in rows {
        let (_, metrics) = at(0);
        metrics.happened(Happening::UpstreamTried { upstream: "app", result: UpstreamResult::Answered, micros });
        assert_eq!(within(&metrics, le), expected, "{shows}");
        let sum = value(&metrics, "countersign_upstream_duration_seconds_sum", &[("upstream", "app")]).unwrap();
        assert!((sum - f64::from(micros) / 1e6).abs() < 1e-9, "{shows}: the sum is exact");
    }
}

#[test]
fn buckets_grow_and_end_in_the_count() {
    let (_, metrics) = at(0);
    for micros in BOUNDS_MICROS {
        let record = Record {
            cache: Some(true),
            stages: Stages { verify: u32::try_from(micros).unwrap(), ..Stages::default() },
            ..record("r", None)
        };
        metrics.visited(&visit(&record, Ending::Admitted));
    }
    let (_, samples) = parse(&metrics.exposition());
    let buckets: Vec<f64> =
        samples.iter().filter(|sample| sample.name == "countersign_auth_duration_seconds_bucket").map(|sample| sample.value).collect();
    let expected: Vec<f64> = (1..=22).chain([22]).map(f64::from).collect();
    assert_eq!(buckets, expected, "one more in each, none beyond the last");
    let labels = [("authenticator", "user"), ("cache", "hit")];
    assert_eq!(value(&metrics, "countersign_auth_duration_seconds_count", &labels), Some(22.0));
}

#[test]
fn stages_that_were_not_reached_are_not_observed() {
    let rows = [
        (Some("users"), Some(5), [1.0, 1.0, 1.0, 1.0, 1.0], "a forwarded request"),
        (Some("users"), None, [1.0, 1.0, 1.0, 1.0, 0.0], "one that was not forwarded"),
        (None, None, [1.0, 0.0, 0.0, 0.0, 0.0], "one that matched no rule"),
    ];
    for (rule, upstream_micros, expected, shows) in rows {
        let (_, metrics) = at(0);
        let record = Record { rule: rule.map(Into::into), ..Record::default() };
        metrics.visited(&Visit { upstream_micros, ..visit(&record, Ending::Admitted) });
        for (stage, count) in ["route", "verify", "policy", "countersign", "upstream"].into_iter().zip(expected) {
            let counted = value(&metrics, "countersign_stage_duration_seconds_count", &[("stage", stage)]);
            assert_eq!(counted, Some(count), "{shows}: {stage}");
        }
    }
}

#[test]
fn the_age_of_keys_runs_with_the_clock_and_ends_with_the_set() {
    let (clock, metrics) = at(100);
    let age = || value(&metrics, "countersign_key_store_age_seconds", &[("store", "p")]);
    let of_store = |name: &str| value(&metrics, name, &[("store", "p")]);
    let fetches = |result| value(&metrics, "countersign_key_store_fetches_total", &[("store", "p"), ("result", result)]);
    assert_eq!(age(), None, "nothing is known yet");

    metrics.note(Event::KeyFetch { store: "p", ok: true, keys: 3, fetched: Some(Timestamp(90)) });
    assert_eq!((age(), of_store("countersign_key_store_keys")), (Some(10.0), Some(3.0)));
    assert_eq!(of_store("countersign_key_store_stale"), Some(0.0));
    clock.store(160, Ordering::SeqCst);
    assert_eq!(age(), Some(70.0), "it grows while nothing is fetched");
    clock.store(80, Ordering::SeqCst);
    assert_eq!(age(), Some(0.0), "a clock set back makes no negative age");

    metrics.note(Event::KeyFetch { store: "p", ok: false, keys: 3, fetched: Some(Timestamp(90)) });
    assert_eq!(of_store("countersign_key_store_stale"), Some(1.0), "the last good set is in force, and stale");
    metrics.note(Event::KeyFetch { store: "p", ok: false, keys: 0, fetched: None });
    assert_eq!((age(), of_store("countersign_key_store_keys")), (None, Some(0.0)), "no set has no age");
    assert_eq!((fetches("ok"), fetches("failed")), (Some(1.0), Some(2.0)));
}

#[test]
fn each_event_counts_where_it_belongs() {
    let (_, metrics) = at(0);
    everything(&metrics);
    for _ in 0..2 {
        metrics.note(Event::CredentialCache { hit: false });
        metrics.note(Event::State { operation: "burn", ok: false });
        metrics.note(Event::Introspection { authenticator: "user", ok: false });
        metrics.note(Event::Renewal { renewer: "login", result: "fatal", coalesced: false });
        metrics.note(Event::Renewal { renewer: "login", result: "fatal", coalesced: true });
        metrics.note(Event::Governor { budget: "address", refused: true, tracked: 9 });
        metrics.happened(Happening::UpstreamTried { upstream: "app", result: UpstreamResult::TimedOut, micros: 1 });
    }
    metrics.happened(Happening::ConnectionOpened);
    metrics.happened(Happening::ConnectionClosed);
    metrics.config_reloaded(1, false);
    type Row = (&'static str, &'static [(&'static str, &'static str)], f64);
    let rows: [Row; 25] = [
        ("countersign_credential_cache_requests_total", &[("result", "hit")], 1.0),
        ("countersign_credential_cache_requests_total", &[("result", "miss")], 2.0),
        ("countersign_state_requests_total", &[("operation", "burn"), ("result", "ok")], 1.0),
        ("countersign_state_requests_total", &[("operation", "burn"), ("result", "failed")], 2.0),
        ("countersign_introspection_requests_total", &[("authenticator", "user"), ("result", "failed")], 2.0),
        ("countersign_renewals_total", &[("renewer", "login"), ("result", "renewed")], 1.0),
        ("countersign_renewals_total", &[("renewer", "login"), ("result", "fatal")], 2.0),
        ("countersign_renewals_coalesced_total", &[("renewer", "login")], 3.0),
        ("countersign_governor_requests_total", &[("budget", "address"), ("result", "refused")], 2.0),
        ("countersign_governor_tracked", &[("budget", "address")], 9.0),
        ("countersign_key_store_skipped_total", &[("store", "partners"), ("reason", "weak")], 1.0),
        ("countersign_upstream_requests_total", &[("upstream", "app"), ("result", "answered")], 1.0),
        ("countersign_upstream_requests_total", &[("upstream", "app"), ("result", "timed_out")], 2.0),
        ("countersign_upstream_requests_total", &[("upstream", "app"), ("result", "broken")], 0.0),
        ("countersign_connections_open", &[], 1.0),
        ("countersign_connections_refused_total", &[("reason", "total_cap")], 1.0),
        ("countersign_connections_refused_total", &[("reason", "source_cap")], 0.0),
        ("countersign_connections_cap", &[], 10.0),
        ("countersign_heads_refused_total", &[("reason", "framing")], 1.0),
        ("countersign_panics_total", &[], 1.0),
        ("countersign_audit_dropped_total", &[], 1.0),
        ("countersign_log_dropped_total", &[], 2.0),
        ("countersign_audit_waiting", &[], 3.0),
        ("countersign_config_generation", &[], 1.0),
        ("countersign_config_last_reload_success", &[], 0.0),
    ];
    for (name, labels, expected) in rows {
        assert_eq!(value(&metrics, name, labels), Some(expected), "{name} {labels:?}");
    }
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    assert_eq!(value(&metrics, "countersign_build_info", &version), Some(1.0));
}

#[test]
fn counting_from_many_threads_loses_nothing() {
    let (_, metrics) = at(0);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let metrics = &metrics;
            scope.spawn(move || {
                for n in 0..500 {
                    let record = record(if (n + thread) % 2 == 0 { "even" } else { "odd" }, None);
                    metrics.visited(&visit(&record, Ending::Admitted));
                }
            });
        }
    });
    for rule in ["even", "odd"] {
        let labels = [("rule", rule), ("authenticator", "user"), ("verdict", "admitted"), ("reason", "none")];
        assert_eq!(value(&metrics, "countersign_decisions_total", &labels), Some(1000.0), "{rule}");
    }
}

#[test]
fn the_operations_page_names_every_metric_with_its_labels_and_every_reason() {
    let page = include_str!("../../../docs/operations.md");
    for metric in Metric::ALL {
        let labels: Vec<String> = metric.labels().iter().map(|label| format!("`{label}`")).collect();
        let row = format!("| `{}` | {} | {} |", metric.sample(), labels.join(" "), metric.help());
        assert!(page.lines().any(|line| line == row), "docs/operations.md lacks this row:\n{row}");
    }
    for word in page.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| word.starts_with("countersign_")) {
        let known = |metric: &Metric| metric.sample() == word || word.strip_suffix("_bucket") == Some(metric.name());
        assert!(Metric::ALL.iter().any(known), "docs/operations.md names `{word}`, which does not exist");
    }
    for reason in Reason::ALL {
        assert!(page.contains(&format!("`{}`", reason.as_str())), "docs/operations.md lacks the reason {}", reason.as_str());
    }
}
