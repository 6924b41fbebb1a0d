//! The demo's lines, sent to a running proxy and compared with what must come of them.
//!
//! A line that passes has reached the upstream as the right caller and without its credential; a line that is refused has
//! reached nobody and left its reason in the audit record.

use std::time::Duration;

use serde_json::{Value, json};

use crate::demo::script::{Expected, Line};
use crate::demo::trail::Trail;
use crate::demo::upstream::{DemoUpstream, Received};

/// What came of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The status the client got; 0 when it got no answer.
    pub status: u16,
    /// The reason in the audit record; empty for none.
    pub reason: String,
    /// The caller as the upstream saw it.
    pub caller: Option<String>,
    /// Everything that differs from what must come of it.
    pub differs: Vec<String>,
}

/// How long an audit record may take to be written.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends every line to the proxy at `origin`, in order.
///
/// # Errors
///
/// The client could not be set up.
pub async fn perform(lines: &[Line], origin: &str, upstream: &DemoUpstream, trail: &Trail) -> Result<Vec<Outcome>, reqwest::Error> {
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
    let mut outcomes = Vec::with_capacity(lines.len());
    for line in lines {
        outcomes.push(send(&client, line, origin, upstream, trail).await);
    }
    Ok(outcomes)
}

/// Opens a session at the proxy at `origin` with `token`; the cookie as a browser would send it, or what went wrong.
///
/// # Errors
///
/// A sentence: the proxy could not be asked, or gave no cookie.
pub async fn log_in(origin: &str, token: &str) -> Result<String, String> {
    let client = reqwest::Client::builder().no_proxy().build().map_err(|error| error.to_string())?;
    let answer = client.post(format!("{origin}/login")).bearer_auth(token).send().await.map_err(|error| error.to_string())?;
    let cookie = answer.headers().get(http::header::SET_COOKIE).and_then(|value| value.to_str().ok());
    let pair = cookie.and_then(|cookie| cookie.split(';').next());
    pair.map(str::to_owned).ok_or_else(|| format!("no cookie came with status {}", answer.status()))
}

async fn send(client: &reqwest::Client, line: &Line, origin: &str, upstream: &DemoUpstream, trail: &Trail) -> Outcome {
    upstream.forget();
    let mut request = client.request(line.method.clone(), format!("{origin}{}", line.target));
    for (name, value) in &line.headers {
        request = request.header(*name, value);
    }
    let (status, body) = match request.send().await {
        Ok(answer) => (answer.status().as_u16(), answer.json::<Value>().await.unwrap_or(Value::Null)),
        Err(error) => return Outcome { status: 0, reason: String::new(), caller: None, differs: vec![format!("no answer: {error}")] },
    };
    let record = match body.get("request_id").and_then(Value::as_str) {
        Some(id) => trail.record(id, PATIENCE).await,
        None => None,
    };
    let reason = record.as_ref().and_then(|record| record.get("reason")).and_then(Value::as_str).unwrap_or_default().to_owned();
    let arrived = upstream.records();
    let caller = arrived.first().map(|received| received.values("x-auth-subject").join(", ")).filter(|caller| !caller.is_empty());
    let outcome = Outcome { status, reason, caller, differs: Vec::new() };
    let differs = differences(line, &outcome, &arrived);
    Outcome { differs, ..outcome }
}

/// Everything about `outcome` that is not as it must be.
fn differences(line: &Line, outcome: &Outcome, arrived: &[Received]) -> Vec<String> {
    let mut differs = Vec::new();
    if outcome.status != line.expected.status() {
        differs.push(format!("status {} instead of {}", outcome.status, line.expected.status()));
    }
    match &line.expected {
        Expected::Passes(caller) => {
            if arrived.len() != 1 {
                differs.push(format!("the upstream was reached {} times", arrived.len()));
            }
            if outcome.caller.as_deref() != *caller {
                differs.push(format!("the upstream saw {} instead of {}", shown(outcome.caller.as_deref()), shown(*caller)));
            }
            if arrived.iter().any(|received| holds(received, line.credential.as_deref())) {
                differs.push("the credential reached the upstream".to_owned());
            }
        }
        Expected::Serves(_) => {
            if !arrived.is_empty() {
                differs.push("it reached the upstream".to_owned());
            }
        }
        Expected::Refused(reason) => {
            if !arrived.is_empty() {
                differs.push("it reached the upstream".to_owned());
            }
            if outcome.reason != reason.as_str() {
                differs.push(format!("reason `{}` instead of `{}`", outcome.reason, reason.as_str()));
            }
        }
    }
    differs
}

/// Whether anything that the upstream received holds `credential`, as sent or percent-encoded.
fn holds(received: &Received, credential: Option<&str>) -> bool {
    let Some(credential) = credential else { return false };
    let encoded: String = form_urlencoded::byte_serialize(credential.as_bytes()).collect();
    let mut texts: Vec<String> = received.headers.values().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
    texts.push(received.target.clone());
    texts.iter().any(|text| text.contains(credential) || text.contains(&encoded))
}

fn shown(caller: Option<&str>) -> &str {
    caller.unwrap_or("nobody")
}

/// All outcomes as a table for people.
#[must_use]
pub fn table(lines: &[Line], outcomes: &[Outcome]) -> String {
    let mut rows =
        vec![["".into(), "scheme".into(), "request".into(), "expected".into(), "got".into(), "reason".into(), "upstream saw".into()]];
    for (line, outcome) in lines.iter().zip(outcomes) {
        let passed = matches!(line.expected, Expected::Passes(_));
        rows.push([
            if outcome.differs.is_empty() { "ok" } else { "DIFFERS" }.to_owned(),
            line.about.to_owned(),
            line.shows.to_owned(),
            line.expected.status().to_string(),
            outcome.status.to_string(),
            outcome.reason.clone(),
            if passed { shown(outcome.caller.as_deref()).to_owned() } else { "-".to_owned() },
        ]);
    }
    let widths: Vec<usize> = (0..7)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell: &String| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    for (line, outcome) in lines.iter().zip(outcomes).filter(|(_, outcome)| !outcome.differs.is_empty()) {
        text.push_str(&format!("\n{}: {}: {}\n", line.about, line.shows, outcome.differs.join("; ")));
    }
    text
}

/// All outcomes as JSON, one object for each line.
#[must_use]
pub fn rows(lines: &[Line], outcomes: &[Outcome]) -> Vec<Value> {
    let rows = lines.iter().zip(outcomes).map(|(line, outcome)| {
        let reason = match &line.expected {
            Expected::Passes(_) | Expected::Serves(_) => None,
            Expected::Refused(reason) => Some(reason.as_str()),
        };
        json!({
            "about": line.about,
            "shows": line.shows,
            "method": line.method.as_str(),
            "target": line.target,
            "expected": { "status": line.expected.status(), "reason": reason },
            "got": { "status": outcome.status, "reason": (!outcome.reason.is_empty()).then_some(&outcome.reason), "caller": outcome.caller },
            "differs": outcome.differs,
        })
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method};

    use super::{Outcome, differences};
    use crate::demo::script::{Expected, Line};
    use crate::demo::upstream::Received;
    use crate::domain::Reason;

    fn line(expected: Expected) -> Line {
        Line {
            about: "test",
            shows: "test",
            method: Method::GET,
            target: "/".to_owned(),
            headers: Vec::new(),
            credential: Some("s+cret".to_owned()),
            expected,
        }
    }

    fn received(target: &str, header: &'static str) -> Received {
        let mut headers = HeaderMap::new();
        headers.insert("x-any", HeaderValue::from_static(header));
        Received { method: "GET".to_owned(), target: target.to_owned(), headers, body: bytes::Bytes::new() }
    }

    #[test]
    fn whatever_is_not_as_it_must_be_is_said() {
        let passes = || line(Expected::Passes(Some("anna")));
        let refused = || line(Expected::Refused(Reason::Expired));
        let clean = || vec![received("/", "value")];
        let cases = [
            // line, status, reason, caller, what arrived, differences, what the row shows
            (passes(), 200, "", Some("anna"), clean(), 0, "as it must be"),
            (passes(), 401, "expired", None, vec![], 3, "refused: the status, the upstream, the caller"),
            (passes(), 200, "", Some("ben"), clean(), 1, "somebody else"),
            (passes(), 200, "", None, clean(), 1, "nobody"),
            (passes(), 200, "", Some("anna"), [clean(), clean()].concat(), 1, "twice"),
            (passes(), 200, "", Some("anna"), vec![received("/", "Bearer s+cret")], 1, "the credential in a header"),
            (passes(), 200, "", Some("anna"), vec![received("/?k=s%2Bcret", "value")], 1, "the credential in the query, encoded"),
            (refused(), 401, "expired", None, vec![], 0, "as it must be"),
            (line(Expected::Serves(204)), 204, "", None, vec![], 0, "answered by the proxy"),
            (line(Expected::Serves(204)), 200, "", None, clean(), 2, "answered by the upstream: the status, and that it was reached"),
            (refused(), 401, "replayed", None, vec![], 1, "for another reason"),
            (refused(), 401, "expired", None, clean(), 1, "refused, but forwarded"),
            (refused(), 200, "", None, clean(), 3, "let in: the status, the upstream, the reason"),
        ];
        for (line, status, reason, caller, arrived, expected, shows) in cases {
            let outcome = Outcome { status, reason: reason.to_owned(), caller: caller.map(str::to_owned), differs: Vec::new() };
            let found = differences(&line, &outcome, &arrived);
            assert_eq!(found.len(), expected, "{shows}: {found:?}");
        }
    }
}
