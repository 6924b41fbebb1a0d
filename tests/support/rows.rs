//! Rows of a table about a running proxy: what is sent, and what must become of it at both ends and in the record.

use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign::domain::Secret;
use countersign::verify::keys::digest;

use crate::support::raw::Answer;
use crate::support::upstream::{Recorded, Upstream};
use crate::support::whole::{NOW, Whole};

/// The pepper of every server key in these tables.
pub const PEPPER: &[u8] = b"only-for-tests-0123456789abcdef";

/// A line of a server key file; `rest` is further JSON members, each after a comma.
pub fn server_key(id: &str, secret: &str, rest: &str) -> String {
    format!("{{\"id\":\"{id}\",\"secrets\":[\"{}\"]{rest}}}\n", digest_of(id, secret))
}

/// The digest of a secret as a server key file holds it.
pub fn digest_of(id: &str, secret: &str) -> String {
    let pepper = digest::Pepper::new(&Secret::new(PEPPER.to_vec())).unwrap();
    digest::digest_text(&pepper.digest(id, secret.as_bytes()))
}

/// Standard base64 with padding.
pub fn base64(text: impl AsRef<[u8]>) -> String {
    STANDARD.encode(text)
}

/// Tells the requests of all tables apart.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// What must become of a request.
#[derive(Debug, Clone)]
enum Outcome {
    /// The upstream sees it once, from this subject; from nobody when it is empty.
    Passes(String),
    /// The upstream never sees it.
    Refused(u16, &'static str),
}

/// One request and what must become of it.
#[derive(Debug, Clone)]
pub struct Row {
    shows: &'static str,
    method: &'static str,
    target: String,
    fields: Vec<(String, String)>,
    body: String,
    secrets: Vec<String>,
    at: i64,
    outcome: Outcome,
}

/// A GET that fails unless the row says what becomes of it.
pub fn row(shows: &'static str, target: impl Into<String>) -> Row {
    Row {
        shows,
        method: "GET",
        target: target.into(),
        fields: Vec::new(),
        body: String::new(),
        secrets: Vec::new(),
        at: NOW,
        outcome: Outcome::Refused(0, "this row says nothing"),
    }
}

impl Row {
    pub fn method(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    pub fn field(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    /// A field that carries a credential: it must be seen neither by the upstream nor in the record.
    pub fn credential(self, name: &str, value: impl Into<String>) -> Self {
        let value = value.into();
        let secret = value.rsplit([' ', '=']).find(|part| !part.is_empty()).unwrap_or_default().to_owned();
        self.field(name, value).secret(secret)
    }

    /// `Authorization: Bearer TOKEN`.
    pub fn bearer(self, token: impl AsRef<str>) -> Self {
        self.field("Authorization", format!("Bearer {}", token.as_ref())).secret(token.as_ref())
    }

    /// A text that must be seen neither by the upstream nor in the record.
    pub fn secret(mut self, text: impl Into<String>) -> Self {
        self.secrets.push(text.into());
        self
    }

    pub fn body(mut self, text: impl Into<String>) -> Self {
        self.body = text.into();
        self
    }

    /// The moment it is sent.
    pub fn at(mut self, moment: i64) -> Self {
        self.at = moment;
        self
    }

    pub fn passes(mut self, subject: &str) -> Self {
        self.outcome = Outcome::Passes(subject.to_owned());
        self
    }

    pub fn refused(mut self, status: u16, reason: &'static str) -> Self {
        self.outcome = Outcome::Refused(status, reason);
        self
    }

    /// Sends it and checks everything; stops the test when something else became of it.
    pub async fn run(&self, whole: &Whole, upstream: &Upstream) -> (Answer, Option<Recorded>) {
        self.check(whole, upstream).await.unwrap_or_else(|fault| panic!("{fault}"))
    }

    /// Sends it, with forged identity headers beside it, and checks what the client, the upstream and the record got.
    async fn check(&self, whole: &Whole, upstream: &Upstream) -> Result<(Answer, Option<Recorded>), String> {
        whole.set_clock(self.at);
        let before = upstream.hits();
        let mut fields: Vec<(&str, &str)> = self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let id = format!("request-{}", COUNT.fetch_add(1, Ordering::SeqCst));
        fields.extend([("X-Auth-Subject", "intruder"), ("x_auth.method", "intruder"), ("X-Request-Id", &id)]);
        let answer = whole.ask_with(self.method, &self.target, &fields, &self.body).await;
        let (status, reason, subject) = match &self.outcome {
            Outcome::Passes(subject) => (200, "", Some(subject)),
            Outcome::Refused(status, reason) => (*status, *reason, None),
        };
        // What is refused before it is judged goes by an id of its own, which the body tells.
        let told = if answer.body.starts_with(b"{") { whole.reason_of(&answer).await } else { whole.reason_by(&id).await };
        self.must((answer.status, told.as_str()) == (status, reason), || {
            format!("{status} {reason} was expected, and it was {} {told}", answer.status)
        })?;
        let hits = upstream.hits() - before;
        self.must(hits == usize::from(subject.is_some()), || format!("the upstream saw it {hits} times"))?;
        let seen = subject.and_then(|_| upstream.records().pop());
        let outside = match (subject, &seen) {
            (Some(subject), Some(seen)) => {
                let expected: Vec<&str> = if subject.is_empty() { Vec::new() } else { vec![subject] };
                self.must(seen.fields("x-auth-subject") == expected, || format!("only our word for who calls: {}", seen.head))?;
                self.must(!seen.head.contains("intruder"), || format!("nothing forged passes: {}", seen.head))?;
                seen.head.clone()
            }
            _ => {
                let challenges = answer.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("www-authenticate")).count();
                self.must(status != 401 || 0 < challenges, || "a 401 names a way in".to_owned())?;
                self.must(answer.field("cache-control") == Some("no-store"), || "a refusal is nobody's to keep".to_owned())?;
                format!("{:?} {}", answer.fields, answer.text())
            }
        };
        for secret in &self.secrets {
            self.must(!contains(&outside, secret), || format!("the credential stays with us: {outside}"))?;
            self.must(!contains(&whole.written(), secret), || "the record holds the credential".to_owned())?;
        }
        Ok((answer, seen))
    }

    fn must(&self, holds: bool, says: impl FnOnce() -> String) -> Result<(), String> {
        if holds { Ok(()) } else { Err(format!("`{}`: {}", self.shows, says())) }
    }
}

/// Runs all rows in order against one proxy, and tells of every one that fails.
pub async fn run(whole: &Whole, upstream: &Upstream, rows: impl IntoIterator<Item = Row>) {
    whole.ready().await;
    let mut faults = Vec::new();
    for row in rows {
        if let Err(fault) = row.check(whole, upstream).await {
            faults.push(fault);
        }
    }
    assert!(faults.is_empty(), "{} rows fail:\n{}", faults.len(), faults.join("\n"));
}

/// Whether `text` holds `secret`; a short one proves nothing and is passed over.
fn contains(text: &str, secret: &str) -> bool {
    8 <= secret.len() && text.contains(secret)
}
