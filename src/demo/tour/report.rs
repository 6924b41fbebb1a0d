//! What came of the tour, for people and as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::demo::tour::contract::Show;
use crate::demo::tour::step::{Fresh, Reaches, Step};
use crate::demo::tour::walk::Outcome;

/// How much of a body a line shows, in characters.
const SHOWN: usize = 104;

/// One system's steps and what came of them, as lines for people.
#[must_use]
pub fn table(show: &Show, steps: &[Step], outcomes: &[Outcome]) -> String {
    let width = steps.iter().map(|step| step.shows.chars().count()).max().unwrap_or(0);
    let mut text = format!("{} (conf/systems/{}.yaml)\n", show.title, show.name);
    for (step, outcome) in steps.iter().zip(outcomes) {
        let mark = if outcome.differs.is_empty() { "ok" } else { "DIFFERS" };
        let (position, kind, shows) = (step.position, step.kind, step.shows);
        let _ = writeln!(text, "{mark}  {position}  {kind}  {shows:width$}  {}  {}", outcome.status, came(step, outcome));
    }
    for (step, outcome) in steps.iter().zip(outcomes).filter(|(_, outcome)| !outcome.differs.is_empty()) {
        let _ = writeln!(text, "\n{}: {}: {}: {}", show.name, step.position, step.shows, outcome.differs.join("; "));
    }
    text
}

/// What a step came to, in a few words or in the dialect's own.
fn came(step: &Step, outcome: &Outcome) -> String {
    let mut parts = Vec::new();
    if step.renewals != 0 {
        parts.push("renewed once".to_owned());
    }
    match &step.fresh {
        Some(Fresh::Field(name, "")) => parts.push(format!("a new {name}")),
        Some(Fresh::Field(name, prefix)) => parts.push(format!("a new {name}: {prefix}…")),
        Some(Fresh::Member(pointer)) => parts.push(format!("a new {}", pointer.rsplit('/').next().unwrap_or_default())),
        None => {}
    }
    match &step.reaches {
        Reaches::App(_) => parts.push(format!("the app saw {}", outcome.caller.as_deref().unwrap_or("nobody"))),
        Reaches::Api if step.fresh.is_none() => parts.push(format!("the API said {}", cut(&outcome.body))),
        Reaches::Nobody if step.fresh.is_none() => parts.push(cut(&outcome.body)),
        Reaches::Api | Reaches::Nobody => {}
    }
    parts.join(", ")
}

/// The beginning of a body, on one line.
fn cut(body: &str) -> String {
    let line: String = body.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= SHOWN { line } else { line.chars().take(SHOWN - 1).chain(['…']).collect() }
}

/// The same as JSON, one object for each step.
#[must_use]
pub fn rows(show: &Show, steps: &[Step], outcomes: &[Outcome]) -> Vec<Value> {
    let row = |(step, outcome): (&Step, &Outcome)| {
        json!({
            "system": show.name,
            "position": step.position.to_string(),
            "kind": step.kind.to_string(),
            "scheme": step.scheme,
            "shows": step.shows,
            "method": step.request.method.as_str(),
            "target": step.request.target,
            "expected": { "status": step.status, "reason": step.reason.map(|reason| reason.as_str()), "body": step.form },
            "got": {
                "status": outcome.status,
                "reason": (!outcome.reason.is_empty()).then_some(&outcome.reason),
                "caller": outcome.caller,
                "body": outcome.body,
            },
            "differs": outcome.differs,
        })
    };
    steps.iter().zip(outcomes).map(row).collect()
}

/// Steps as commands for a proxy at `origin`, with what each shows before it.
#[must_use]
pub fn commands(steps: &[Step], origin: &str) -> String {
    let mut text = String::new();
    for step in steps {
        let comes = match (&step.reaches, step.reason) {
            (_, Some(reason)) => format!("{}, {}", step.status, reason.as_str()),
            (Reaches::App(caller), None) => format!("{}, the app sees {caller}", step.status),
            (Reaches::Api, None) => format!("{}, as the API says it", step.status),
            (Reaches::Nobody, None) => format!("{}, answered by the proxy", step.status),
        };
        let _ = writeln!(text, "# {}, {}: {}: {comes}", step.position, step.kind, step.shows);
        let _ = writeln!(text, "{}", step.request.curl(origin));
    }
    text
}
