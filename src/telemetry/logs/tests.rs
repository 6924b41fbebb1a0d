//! That log lines stay lines, at their level, without what a client sent.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use log::Log;
use parking_lot::Mutex;

use super::{Form, LevelFilter, Library, fixed_text, framework_listener, subscriber};
use crate::domain::Secret;

const PROXY: Library = Library { name: "proxy_", told: &["proxy_core::server", "proxy_core::services"] };

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).unwrap()
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is written while `act` runs.
fn written(level: LevelFilter, form: Form, act: impl FnOnce()) -> String {
    let memory = Memory::default();
    let clock = Arc::new(AtomicI64::new(1_790_000_000));
    tracing::subscriber::with_default(subscriber(level, form, clock, memory.clone()), act);
    memory.text()
}

fn say(listener: &impl Log, level: log::Level, target: &str, line: u32, text: &str) {
    let mut record = log::Record::builder();
    record.level(level).target(target).module_path(Some(target)).line(Some(line));
    listener.log(&record.args(format_args!("{text}")).build());
}

#[test]
fn an_event_is_one_line_in_either_form() {
    let speak = || tracing::info!(target: "countersign::test", count = 3, ok = true, below = -1, name = "a b", "put in force");
    assert_eq!(
        written(LevelFilter::INFO, Form::Text, speak),
        "2026-09-21T14:13:20.000Z  INFO countersign::test: put in force count=3 ok=true below=-1 name=\"a b\"\n"
    );
    assert_eq!(
        written(LevelFilter::INFO, Form::Json, speak),
        concat!(
            r#"{"time":"2026-09-21T14:13:20.000Z","level":"info","target":"countersign::test","message":"put in force","#,
            r#""count":3,"ok":true,"below":-1,"name":"a b"}"#,
            "\n"
        )
    );
}

#[test]
fn no_text_leaves_its_line() {
    let rows = [
        ("a\nb\r\nc", "line breaks"),
        ("\u{1b}[2J\u{1b}[31m", "terminal commands"),
        ("a\u{2028}b\u{85}c", "other line breaks"),
        ("\"}\n{\"level\":\"info\"", "a forged event"),
    ];
    for (text, shows) in rows {
        for form in [Form::Text, Form::Json] {
            let out = written(LevelFilter::INFO, form, || {
                tracing::info!(target: "countersign", value = text, shown = %text, debug = ?text, "said {text}");
            });
            let line = out.strip_suffix('\n').unwrap();
            assert!(!line.chars().any(|c| c.is_control() || c == '\u{2028}'), "O1, {shows}, {form:?}: {line:?}");
            if form == Form::Json {
                let read: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!((&read["value"], &read["shown"]), (&text.into(), &text.into()), "{shows} reads back");
                assert_eq!(read["message"], format!("said {text}"), "{shows} reads back");
            }
        }
    }
}

#[test]
fn only_our_own_events_are_heard_and_only_at_their_level() {
    let speak = || {
        tracing::error!(target: "countersign::a", "E");
        tracing::info!(target: "countersign::a", "I");
        tracing::debug!(target: "countersign", "D");
        tracing::error!(target: "hyper::proto", "Authorization: Bearer abc");
        tracing::trace!(target: "h2::frame", "Authorization: Bearer abc");
        tracing::error!(target: "countersigned", "a longer name is another's");
    };
    let rows = [
        (LevelFilter::OFF, "", "nothing"),
        (LevelFilter::ERROR, "E", "errors"),
        (LevelFilter::INFO, "EI", "and what is told at info"),
        (LevelFilter::TRACE, "EID", "everything of ours, and of nobody else (O2)"),
    ];
    for (level, expected, shows) in rows {
        let out = written(level, Form::Json, speak);
        let said: String = out
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["message"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(said, expected, "{shows}");
    }
}

#[test]
fn the_frameworks_words_are_told_only_where_no_request_is_near() {
    const TEXT: &str = "context: buf: GET / HTTP/1.1\r\nAuthorization: Bearer abc";
    let rows = [
        ("proxy_core::server", log::Level::Error, Some(true), "starting and stopping"),
        ("proxy_core::server::transfer_fd", log::Level::Warn, Some(true), "below it"),
        ("proxy_core::services::listening", log::Level::Error, Some(true), "accepting"),
        ("proxy_core::serverless", log::Level::Error, Some(false), "a longer name is another part"),
        ("proxy_core::protocols::http::v1::common", log::Level::Warn, Some(false), "a parser (O3)"),
        ("proxy_core::apps::http_app", log::Level::Error, Some(false), "the loop that reads heads (O3)"),
        ("proxy_engine", log::Level::Error, Some(false), "the proxy itself (O3)"),
        ("proxy_core::server", log::Level::Info, None, "below warn nothing is heard"),
        ("proxy_engine", log::Level::Debug, None, "whole heads are printed at debug (O2)"),
        ("proxy_engine", log::Level::Trace, None, "and at trace"),
        ("rustls::conn", log::Level::Error, None, "others are not heard"),
    ];
    for (target, level, told, shows) in rows {
        // The most talkative setting changes nothing for the framework.
        let out = written(LevelFilter::TRACE, Form::Json, || {
            say(&framework_listener(PROXY, Arc::new(AtomicI64::new(0))), level, target, 7, TEXT);
        });
        let Some(told) = told else {
            assert_eq!(out, "", "{shows}");
            continue;
        };
        let read: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(read["message"], if told { TEXT } else { "(text withheld)" }, "{shows}");
        assert_eq!((&read["place"], &read["line"]), (&target.into(), &7.into()), "{shows}: where it spoke is always told");
        assert_eq!(out.contains("Bearer abc"), told, "{shows}");
    }
}

#[test]
fn a_target_that_is_only_pretended_is_not_believed() {
    let listener = framework_listener(PROXY, Arc::new(AtomicI64::new(0)));
    let out = written(LevelFilter::WARN, Form::Json, || {
        listener.log(
            &log::Record::builder()
                .level(log::Level::Error)
                .target("proxy_core::server")
                .module_path(Some("proxy_engine"))
                .args(format_args!("Bearer abc"))
                .build(),
        );
    });
    assert!(out.contains("withheld") && !out.contains("abc"), "{out}");
}

#[test]
fn one_place_speaks_ten_times_a_second_and_counts_the_rest() {
    let clock = Arc::new(AtomicI64::new(50));
    let out = written(LevelFilter::WARN, Form::Json, || {
        let listener = framework_listener(PROXY, Arc::clone(&clock) as Arc<dyn crate::domain::Clock>);
        for _ in 0..1000 {
            say(&listener, log::Level::Warn, "proxy_engine", 1, "x");
        }
        say(&listener, log::Level::Warn, "proxy_engine", 2, "x");
        clock.store(51, Ordering::SeqCst);
        say(&listener, log::Level::Warn, "proxy_engine", 1, "x");
        say(&listener, log::Level::Warn, "proxy_engine", 1, "x");
    });
    let left_out: Vec<(u64, u64)> = out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|read| (read["line"].as_u64().unwrap(), read["left_out"].as_u64().unwrap()))
        .collect();
    let mut expected = vec![(1, 0); 10];
    expected.extend([(2, 0), (1, 990), (1, 0)]);
    assert_eq!(left_out, expected, "O12: ten, another place, and the next second tells of 990");
}

#[test]
fn a_secret_prints_its_length_at_every_level() {
    let secret = Secret::new(b"hunter2".to_vec());
    let out = written(LevelFilter::TRACE, Form::Text, || {
        tracing::trace!(target: "countersign", key = ?secret, "read {secret:?}");
    });
    assert!(!out.contains("hunter2") && out.contains("7 bytes"), "O2: {out}");
}

#[test]
fn a_long_value_is_cut() {
    let out = written(LevelFilter::INFO, Form::Text, || tracing::info!(target: "countersign", value = %"é".repeat(100_000), "x"));
    assert!(out.len() < 5000, "{} bytes", out.len());
}

#[test]
fn a_panic_is_told_with_its_text_only_when_the_code_wrote_it() {
    let token = "Bearer abc";
    let fixed: Box<dyn std::any::Any + Send> = Box::new("attempt to add with overflow");
    let formatted: Box<dyn std::any::Any + Send> = Box::new(format!("cannot read {token}"));
    assert_eq!(fixed_text(&*fixed), "attempt to add with overflow");
    assert_eq!(fixed_text(&*formatted), "(message withheld)", "O4: what was formatted may hold anything");
    assert_eq!(fixed_text(&7_u8), "(message withheld)", "so may what is no text at all");
}
