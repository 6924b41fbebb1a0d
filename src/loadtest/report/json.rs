//! A load test as JSON, for machines. Latencies are in nanoseconds; `schema` changes when a member changes its meaning or goes.

use serde_json::{Map, Value, json};

use crate::loadtest::lane::Outcome;
use crate::loadtest::measure::added::{added, spread};
use crate::loadtest::measure::latencies::{Latencies, PERCENTILES};
use crate::loadtest::measure::tally::{Counts, Slice, Tally};
use crate::loadtest::plan::Pace;
use crate::loadtest::report::document::{Report, described};

/// The version of this form.
pub const SCHEMA: &str = "countersign-bench/1";

/// The whole report.
#[must_use]
pub fn json(report: &Report) -> Value {
    let plan = &report.plan;
    let rate = match plan.pace {
        Pace::Closed => Value::Null,
        Pace::Open { rate } => rate.into(),
    };
    let failures = report.failures();
    json!({
        "schema": SCHEMA,
        "version": env!("CARGO_PKG_VERSION"),
        "subject": report.subject,
        "passed": failures.is_empty(),
        "failures": failures,
        "conf": named(&report.conf),
        "machine": named(&report.machine),
        "plan": {
            "pace": if rate.is_null() { "closed" } else { "open" },
            "rate": rate,
            "connections": plan.connections,
            "duration_ns": nanos(plan.duration),
            "requests": plan.requests,
            "compares": plan.compare,
            "mix": report.mix.to_string(),
        },
        "notes": report.notes,
        "left_out": report.left_out.iter().map(|(rule, why)| json!({ "rule": rule, "why": why })).collect::<Vec<_>>(),
        "saturation": report.saturation.as_ref().map(|found| json!({
            "rate": found.rate(), "elapsed_ns": nanos(found.elapsed), "errors": found.errors(), "verdicts": counts(&found.counts()),
        })),
        "result": tally(&report.tally),
        "drills": report.drills.iter().map(|drill| json!({
            "name": drill.name,
            "held": drill.faults.is_empty(),
            "faults": drill.faults,
            "notes": drill.notes,
            "trouble_ns": [nanos(drill.trouble.0), nanos(drill.trouble.1)],
            "result": tally(&drill.tally),
        })).collect::<Vec<_>>(),
        "budget": report.budget.iter().map(|held| json!({
            "condition": held.text, "measured": held.measured, "holds": held.holds,
        })).collect::<Vec<_>>(),
    })
}

fn tally(tally: &Tally) -> Value {
    let lanes = tally.lanes.iter().map(|lane| {
        let arms = lane.arms.iter().map(|arm| {
            let statuses: Map<String, Value> = arm.statuses.iter().map(|(status, count)| (status.to_string(), (*count).into())).collect();
            json!({
                "kind": arm.kind.name(),
                "verdicts": counts(&arm.counts),
                "statuses": statuses,
                "warm": latencies(&arm.warm),
                "cold": latencies(&arm.cold),
            })
        });
        json!({ "name": &*lane.name, "scheme": &*lane.scheme, "kinds": arms.collect::<Vec<_>>() })
    });
    json!({
        "elapsed_ns": nanos(tally.elapsed),
        "rate": tally.rate(),
        "errors": tally.errors(),
        "unsent": tally.unsent,
        "connections_opened": tally.connects,
        "verdicts": counts(&tally.counts()),
        "without": { "verdicts": counts(&tally.bare), "latency": latencies(&tally.without) },
        "with": { "warm": latencies(&tally.with), "cold": latencies(&tally.cold) },
        "added": { "warm": differences(&tally.with, tally), "cold": differences(&tally.cold, tally) },
        "ratio": { "warm": ratios(&tally.with, tally), "cold": ratios(&tally.cold, tally) },
        "spread": spread(tally).iter().map(|each| json!({
            "percentile": each.name, "slices": each.slices, "low": each.low, "median": each.median, "high": each.high,
        })).collect::<Vec<_>>(),
        "lanes": lanes.collect::<Vec<_>>(),
        "slice_ns": nanos(tally.slice),
        "slices": tally.slices.iter().map(slice).collect::<Vec<_>>(),
        "offenders": tally.offenders.iter().map(|offender| json!({
            "outcome": offender.outcome.name(), "says": described(offender),
        })).collect::<Vec<_>>(),
    })
}

fn named(pairs: &[(String, String)]) -> Value {
    pairs.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect::<Map<_, _>>().into()
}

fn nanos(length: std::time::Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

fn counts(counts: &Counts) -> Value {
    let all: Map<String, Value> = Outcome::ALL.into_iter().map(|outcome| (outcome.name().to_owned(), counts.of(outcome).into())).collect();
    all.into()
}

fn latencies(latencies: &Latencies) -> Value {
    let at = PERCENTILES.into_iter().map(|(name, percentile)| (name.to_owned(), json!(latencies.at(percentile))));
    let all: Map<String, Value> = [("samples".to_owned(), latencies.count().into())].into_iter().chain(at).collect();
    all.into()
}

fn differences(with: &Latencies, tally: &Tally) -> Value {
    let all: Map<String, Value> = added(with, &tally.without).iter().map(|each| (each.name.to_owned(), each.added.into())).collect();
    all.into()
}

fn ratios(with: &Latencies, tally: &Tally) -> Value {
    let all: Map<String, Value> = added(with, &tally.without).iter().map(|each| (each.name.to_owned(), json!(each.ratio()))).collect();
    all.into()
}

fn slice(slice: &Slice) -> Value {
    let both = |both: Option<(u64, u64)>| both.map(|(p50, p99)| json!({ "p50": p50, "p99": p99 }));
    json!({ "answers": slice.answers, "errors": slice.errors, "with": both(slice.with), "without": both(slice.without) })
}
