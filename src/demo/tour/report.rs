//! What came of the tour, for people and as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::demo::tour::contract::Show;
use crate::demo::tour::form::{ANYTHING, NUMBER, TEXT};
use crate::demo::tour::step::{Fresh, Position, Reaches, Step};
use crate::demo::tour::walk::Outcome;

/// One system's steps and what came of them, as lines for people.
#[must_use]
pub fn table(show: &Show, steps: &[Step], outcomes: &[Outcome]) -> String {
    let width = steps.iter().map(|step| step.shows.chars().count()).max().unwrap_or(0);
    let of = if outcomes.iter().all(|outcome| outcome.differs.is_empty()) { 2 } else { 7 };
    let mut text = format!("{}, in front of an app and in front of its API (conf/systems/{}.yaml)\n", show.title, show.name);
    for (step, outcome) in steps.iter().zip(outcomes) {
        let mark = if outcome.differs.is_empty() { "ok" } else { "DIFFERS" };
        let (position, kind, shows) = (step.position, step.kind, step.shows);
        let _ = writeln!(text, "{mark:of$}  {position}  {kind}  {shows:width$}  {}  {}", outcome.status, came(step, outcome));
    }
    for (step, outcome) in steps.iter().zip(outcomes).filter(|(_, outcome)| !outcome.differs.is_empty()) {
        let _ = writeln!(text, "\n{}: {}: {}: {}", show.name, step.position, step.shows, outcome.differs.join("; "));
        let _ = writeln!(text, "  {}", outcome.body);
    }
    text
}

/// What a step came to, in a few words and in the dialect's own.
fn came(step: &Step, outcome: &Outcome) -> String {
    let mut parts = Vec::new();
    if step.renewals != 0 {
        parts.push("renewed once".to_owned());
    }
    match &step.fresh {
        Some(Fresh::Field(name, "")) => parts.push(format!("a new {name}")),
        Some(Fresh::Field(name, prefix)) => parts.push(format!("{name}: {prefix}…")),
        Some(Fresh::Member(pointer)) => parts.push(format!("a new {}", pointer.rsplit('/').next().unwrap_or_default())),
        None => {}
    }
    if matches!(step.reaches, Reaches::App(_) | Reaches::Unnamed) {
        parts.push(format!("the app saw {}", outcome.caller.as_deref().unwrap_or("nobody")));
    }
    // What differs is shown below, whole.
    if let Some(form) = step.form.as_ref().filter(|_| outcome.differs.is_empty()) {
        parts.push(telling(form).unwrap_or_else(|| form.to_string()));
    }
    parts.join(", ")
}

/// What a form says of its body in earnest: the members of which it knows what stands in them.
fn telling(form: &Value) -> Option<String> {
    match form {
        Value::String(any) if any.is_empty() || [TEXT, NUMBER, ANYTHING].contains(&any.as_str()) => None,
        Value::Object(members) => {
            let told: Vec<String> =
                members.iter().filter_map(|(name, inner)| Some(format!("{}:{}", json!(name), telling(inner)?))).collect();
            let more = if told.len() == members.len() { "" } else { ",…" };
            (!told.is_empty()).then(|| format!("{{{}{more}}}", told.join(",")))
        }
        Value::Array(elements) => {
            let told: Vec<String> = elements.iter().filter_map(telling).collect();
            (!told.is_empty()).then(|| format!("[{}]", told.join(",")))
        }
        plain => Some(plain.to_string()),
    }
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

/// Steps as commands for a proxy at `origin`, by position, with what each shows before it.
#[must_use]
pub fn commands(steps: &[Step], origin: &str) -> String {
    let mut text = String::new();
    for position in Position::ALL {
        let of = match position {
            Position::App => "an app",
            Position::Api => "its API",
        };
        let _ = writeln!(text, "-- in front of {of}");
        for step in steps.iter().filter(|step| step.position == position) {
            let said = step.form.as_ref().and_then(telling).map(|told| format!(" {told}")).unwrap_or_default();
            let comes = match (&step.reaches, step.reason) {
                (_, Some(reason)) => format!("{said}; the audit record says {}", reason.as_str()),
                (Reaches::App(caller), None) => format!("{said}, the app sees {caller}"),
                (Reaches::Unnamed, None) => format!("{said}, the app sees a name for the login"),
                (Reaches::Api | Reaches::Nobody, None) => said,
            };
            let _ = writeln!(text, "# {}: {}: {}{comes}", step.kind, step.shows, step.status);
            let _ = writeln!(text, "{}", step.request.curl(origin));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ANYTHING, NUMBER, TEXT, telling};

    #[test]
    fn a_line_shows_what_tells_something() {
        let rows = [
            (
                json!({ "status": 401, "error": { "code": "40104", "message": TEXT, "field": TEXT }, "data": {} }),
                Some(r#"{"error":{"code":"40104",…},"status":401,…}"#),
            ),
            (json!({ "stat": "ok" }), Some(r#"{"stat":"ok"}"#)),
            (json!({ "Errors": [{ "Key": "Device", "Message": TEXT }], "Time": NUMBER }), Some(r#"{"Errors":[{"Key":"Device",…}],…}"#)),
            (json!({ "profile": ANYTHING, "name": "" }), None),
            (json!([]), None),
        ];
        for (form, shown) in rows {
            assert_eq!(telling(&form).as_deref(), shown, "{form}");
        }
    }
}
