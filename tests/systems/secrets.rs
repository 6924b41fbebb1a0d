//! Where secrets may turn up, and where not: each is marked with its places, and is looked for everywhere.
//!
//! A secret must be seen in every place that it is for, or the test has shown nothing; and nowhere else, in none of the spellings that it
//! has on the wire. What the proxy writes is the audit, its metrics, and its log at the loudest level that there is, from all that runs in
//! this binary.

use std::io::Write;
use std::sync::{Arc, LazyLock};

use countersign::ambient::WallClock;
use countersign::edge::framework::LOG as FRAMEWORK;
use countersign::telemetry::logs::{self, Form, LevelFilter};
use parking_lot::Mutex;

use crate::support::raw::Answer;
use crate::support::rows::base64;
use crate::support::whole::Whole;

/// A place in which a secret can turn up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// What clients are answered.
    Answers,
    /// What the app behind the proxy sees.
    App,
    /// What the vendor sees.
    Vendor,
    /// Audit, metrics and log.
    Written,
}

/// Nowhere: it stays in the proxy, or with the client that sent it.
pub const NOWHERE: &[Place] = &[];

/// Secrets, and what clients were answered.
#[derive(Default)]
pub struct Secrets {
    marked: Vec<(String, String, &'static [Place])>,
    answers: Mutex<String>,
}

impl Secrets {
    pub fn new() -> Self {
        LazyLock::force(&LOG);
        Self::default()
    }

    /// `text` turns up in `places`, and nowhere else.
    pub fn mark(&mut self, name: &str, text: impl Into<String>, places: &'static [Place]) {
        let text = text.into();
        assert!(8 <= text.len(), "{name} is too short to be told from other things: {text:?}");
        self.marked.push((name.to_owned(), text, places));
    }

    /// Remembers what a client was answered.
    pub fn keep(&self, answer: Answer) -> Answer {
        let mut answers = self.answers.lock();
        answers.push_str(&format!("{:?}\n{}\n", answer.fields, answer.text()));
        answer
    }

    /// That each secret has been where it is for, and nowhere else.
    pub fn judge(&self, whole: &Whole, app: &str, vendor: &str) {
        let log = LOG.text();
        assert!(log.contains(HEARD), "the log is heard");
        let (audit, metrics) = (whole.written(), whole.process.exposition());
        assert!(!audit.is_empty() && !metrics.is_empty(), "the proxy writes");
        let answers = self.answers.lock();
        let places: [(Place, &str, &str); 6] = [
            (Place::Answers, "an answer", &answers),
            (Place::App, "a request to the app", app),
            (Place::Vendor, "a request to the vendor", vendor),
            (Place::Written, "the audit", &audit),
            (Place::Written, "the metrics", &metrics),
            (Place::Written, "the log", &log),
        ];
        for (name, text, may) in &self.marked {
            for (place, called, content) in places {
                let found = spellings(text).into_iter().find(|spelling| content.contains(spelling.as_str()));
                if may.contains(&place) {
                    assert!(found.is_some(), "{name} was never in {called}, so nothing has been tried with it");
                } else if let Some(found) = found {
                    panic!("{called} holds {name} as {found}: {}", around(content, &found));
                }
            }
        }
    }
}

/// What every log that is heard holds.
const HEARD: &str = "the log of these tests is heard";

/// Everything that was logged by this process.
static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let subscriber = logs::subscriber(LevelFilter::TRACE, Form::Json, Arc::new(WallClock), log.clone());
    tracing::subscriber::set_global_default(subscriber).expect("nobody else listens");
    log::set_boxed_logger(Box::new(logs::framework_listener(FRAMEWORK, Arc::new(WallClock)))).expect("nobody else listens");
    log::set_max_level(log::LevelFilter::Trace);
    tracing::info!(target: "countersign::tests", "{HEARD}");
    log
});

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// `text` as it may stand on a wire: plain, in base64, in a form or a query, and in JSON.
fn spellings(text: &str) -> Vec<String> {
    let encoded: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
    let quoted = serde_json::to_string(text).unwrap();
    vec![text.to_owned(), base64(text).trim_end_matches('=').to_owned(), encoded, quoted.trim_matches('"').to_owned()]
}

/// Some of `content` before and after `found`.
fn around<'c>(content: &'c str, found: &str) -> &'c str {
    let at = content.find(found).unwrap_or_default();
    let edge = |at: usize| (0..=at.min(content.len())).rev().find(|at| content.is_char_boundary(*at)).unwrap_or_default();
    &content[edge(at.saturating_sub(200))..edge(at + found.len() + 200)]
}

#[test]
fn a_secret_is_found_in_every_spelling_and_an_untried_one_is_told() {
    let shown = |text: &str, content: &str| spellings(text).iter().any(|spelling| content.contains(spelling.as_str()));
    for (content, expected, shows) in [
        ("x a+secret/of=mine y", true, "plain"),
        ("YStzZWNyZXQvb2Y9bWluZQ==", true, "in base64"),
        ("secret=a%2Bsecret%2Fof%3Dmine&b=c", true, "in a form"),
        ("a+secret/of=yours", false, "another"),
    ] {
        assert_eq!(shown("a+secret/of=mine", content), expected, "{shows}");
    }
}
