//! The steps of one system, taken, and compared with what must come of them.
//!
//! A step that is as it must be has the status and the form of its dialect, has reached whom it should and nobody else, has cost the
//! vendor as many renewals as it should, and has shown no secret of the system to its client and no credential to the app.

use std::time::Duration;

use serde_json::Value;

use crate::demo::tour::caller::{Answer, Caller};
use crate::demo::tour::contract::Show;
use crate::demo::tour::form;
use crate::demo::tour::step::{Fresh, Reaches, Step};
use crate::demo::trail::Trail;
use crate::demo::upstream::Received;

/// What came of one step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The status the client got; 0 when it got no answer.
    pub status: u16,
    /// The body, as text.
    pub body: String,
    /// The reason in the audit record; empty for none.
    pub reason: String,
    /// The caller as the app saw it.
    pub caller: Option<String>,
    /// Everything that differs from what must come of it.
    pub differs: Vec<String>,
}

/// How long an audit record may take to be written.
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes every step, in order.
pub async fn walk(show: &Show, steps: &[Step], caller: &Caller, trail: &Trail) -> Vec<Outcome> {
    let mut outcomes = Vec::with_capacity(steps.len());
    for step in steps {
        outcomes.push(take(show, step, caller, trail).await);
    }
    outcomes
}

/// What the servers behind the proxy saw of one step.
struct Seen {
    arrived: Vec<Received>,
    visits: usize,
    renewals: usize,
}

async fn take(show: &Show, step: &Step, caller: &Caller, trail: &Trail) -> Outcome {
    show.app.forget();
    let (visits, renewals) = (show.vendor.visits(), show.vendor.renewals());
    let answer = match caller.send(&step.request).await {
        Ok(answer) => answer,
        Err(why) => return Outcome { differs: vec![why.to_string()], ..Outcome::default() },
    };
    let seen = Seen {
        arrived: show.app.records(),
        visits: show.vendor.visits().saturating_sub(visits),
        renewals: show.vendor.renewals().saturating_sub(renewals),
    };
    // Only answers of the proxy's own have an id; the others have no reason.
    let record = match answer.field("x-request-id") {
        Some(id) if step.reaches == Reaches::Nobody => trail.record(id, PATIENCE).await,
        _ => None,
    };
    let reason = record.as_ref().and_then(|record| record.get("reason")).and_then(Value::as_str).unwrap_or_default().to_owned();
    let told = seen.arrived.first().map(|received| received.values("x-auth-subject").join(", "));
    let differs = differences(step, &answer, &reason, &seen, &show.vendor.secrets());
    Outcome { status: answer.status, reason, caller: told.filter(|told| !told.is_empty()), differs, body: answer.body }
}

/// Everything about a step that is not as it must be.
fn differences(step: &Step, answer: &Answer, reason: &str, seen: &Seen, secrets: &[String]) -> Vec<String> {
    let mut differs = Vec::new();
    if answer.status != step.status {
        differs.push(format!("status {} instead of {}", answer.status, step.status));
    }
    if let Some(wanted) = &step.form {
        differs.extend(form::differences(wanted, &answer.json()));
    }
    let expected = step.reason.map_or("", |reason| reason.as_str());
    if reason != expected {
        differs.push(format!("reason `{reason}` instead of `{expected}`"));
    }
    differs.extend(misled(step, seen));
    if seen.renewals != step.renewals {
        differs.push(format!("{} renewals instead of {}", seen.renewals, step.renewals));
    }
    if let Some(fresh) = &step.fresh {
        differs.extend(stale(fresh, step, answer));
    }
    let shown = format!("{:?} {}", answer.headers, answer.body);
    if secrets.iter().any(|secret| shown.contains(secret)) {
        differs.push("the client was shown a secret of the system".to_owned());
    }
    differs
}

/// Whom it reached and should not have, or the other way round.
fn misled(step: &Step, seen: &Seen) -> Vec<String> {
    let mut differs = Vec::new();
    let hits = seen.arrived.len();
    match &step.reaches {
        Reaches::App(_) | Reaches::Unnamed => {
            let told: Vec<String> = seen.arrived.iter().flat_map(|received| received.values("x-auth-subject")).collect();
            let right = match (&step.reaches, told.as_slice()) {
                (Reaches::App(caller), [told]) => told == caller,
                (_, [told]) => !told.is_empty() && !step.request.credentials.iter().any(|credential| credential.contains(told)),
                _ => false,
            };
            if hits != 1 || !right {
                differs.push(format!("the app was reached {hits} times and told of {told:?}"));
            }
            let texts: Vec<String> = seen.arrived.iter().map(|received| format!("{} {:?}", received.target, received.headers)).collect();
            if step.request.credentials.iter().any(|credential| texts.iter().any(|text| text.contains(credential))) {
                differs.push("a credential reached the app".to_owned());
            }
        }
        Reaches::Api if hits != 0 || seen.visits == 0 => differs.push("it did not reach the API alone".to_owned()),
        Reaches::Nobody if hits != 0 || seen.visits != 0 => differs.push("it reached somebody behind the proxy".to_owned()),
        Reaches::Api | Reaches::Nobody => {}
    }
    differs
}

/// What is wrong with the new thing that an answer should bring.
fn stale(fresh: &Fresh, step: &Step, answer: &Answer) -> Option<String> {
    let (name, brought) = match fresh {
        Fresh::Field(name, prefix) => {
            let mut values = answer.headers.get_all(*name).iter().filter_map(|value| value.to_str().ok());
            (*name, values.find_map(|value| value.strip_prefix(prefix)).map(str::to_owned))
        }
        Fresh::Member(pointer) => (*pointer, answer.json().pointer(pointer).and_then(Value::as_str).map(str::to_owned)),
    };
    let Some(value) = brought.as_deref().and_then(|value| value.split(';').next()).filter(|value| !value.is_empty()) else {
        return Some(format!("no {name} came with the answer"));
    };
    let sent = step.request.headers.iter().any(|(_, sent)| sent.contains(value));
    (sent || step.request.target.contains(value)).then(|| format!("{name} is the one that was sent"))
}

#[cfg(test)]
mod tests;
