//! A load test as text, for terminals and logs.

use std::fmt::Write;

use crate::loadtest::lane::Outcome;
use crate::loadtest::measure::added::{added, spread};
use crate::loadtest::measure::latencies::{PERCENTILES, shown};
use crate::loadtest::measure::tally::Tally;
use crate::loadtest::plan::{LoadPlan, Pace};
use crate::loadtest::report::document::Report;

/// The load in words.
#[must_use]
pub fn load(plan: &LoadPlan) -> String {
    let pace = match plan.pace {
        Pace::Closed => "full speed (closed loop)".to_owned(),
        Pace::Open { rate } => format!("{} requests a second (open loop, latency from the intended send time)", told(rate)),
    };
    format!("{pace}, {} connections, {:.1} s at most, {} requests at most", plan.connections, plan.duration.as_secs_f64(), plan.requests)
}

/// A rate to a tenth, since one that was found has many digits; where a tenth is much of it, as it is.
fn told(rate: f64) -> f64 {
    if rate < 10.0 { rate } else { (rate * 10.0).round() / 10.0 }
}

/// The rate at which a proxy was saturated, in words.
#[must_use]
pub fn saturated(found: &Tally) -> String {
    let (rate, seconds) = (found.rate(), found.elapsed.as_secs_f64());
    format!("{rate:.0} requests a second (closed loop, {seconds:.1} s, {} errors); the load is half of it", found.errors())
}

/// The whole report.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}", report.subject);
    let _ = writeln!(out, "load       {}", load(&report.plan));
    if let Some(found) = &report.saturation {
        let _ = writeln!(out, "saturation {}", saturated(found));
    }
    let _ = writeln!(out, "mix        {}", report.mix);
    for (name, value) in report.machine.iter().chain(&report.conf) {
        let _ = writeln!(out, "{name:<10} {value}");
    }
    for note in &report.notes {
        let _ = writeln!(out, "note       {note}");
    }
    for (rule, why) in &report.left_out {
        let _ = writeln!(out, "left out   {rule}: {why}");
    }
    let _ = writeln!(out);
    verdicts(&mut out, &report.tally);
    latencies(&mut out, &report.tally);
    for drill in &report.drills {
        let state = if drill.faults.is_empty() { "held" } else { "FAILED" };
        let counts = drill.tally.counts();
        let undecided = counts.of(Outcome::Undecided);
        let _ = writeln!(out, "drill {:<14} {state}: {} requests, {undecided} undecided ({})", drill.name, counts.all(), drill.shows);
        for note in &drill.notes {
            let _ = writeln!(out, "  {note}");
        }
        for fault in &drill.faults {
            let _ = writeln!(out, "  {fault}");
        }
    }
    for held in &report.budget {
        let state = if held.holds { "held" } else { "BROKEN" };
        let _ = writeln!(out, "budget {:<24} {state} ({})", held.text, held.measured.as_deref().unwrap_or("not measured"));
    }
    out
}

fn verdicts(out: &mut String, tally: &Tally) {
    let _ = writeln!(
        out,
        "{:<44} {:<9} {:>9} {:>9} {:>7} {:>7} {:>9} {:>7}  statuses",
        "rule · authenticator", "kind", "requests", "right", "passed!", "wrong", "undecided", "failed"
    );
    for lane in &tally.lanes {
        for arm in lane.arms.iter().filter(|arm| 0 < arm.counts.all()) {
            let of = |outcome| arm.counts.of(outcome);
            let statuses: Vec<String> = arm.statuses.iter().map(|(status, count)| format!("{status}×{count}")).collect();
            let _ = writeln!(
                out,
                "{:<44} {:<9} {:>9} {:>9} {:>7} {:>7} {:>9} {:>7}  {}",
                format!("{} ({})", lane.name, lane.scheme),
                arm.kind.name(),
                arm.counts.all(),
                of(Outcome::Right),
                of(Outcome::LetThrough),
                of(Outcome::Wrong),
                of(Outcome::Undecided),
                of(Outcome::Failed),
                statuses.join(" ")
            );
        }
    }
    let _ = writeln!(
        out,
        "{:<44} {:<9} {:>9} {:>9}",
        "without authentication, for comparison",
        "-",
        tally.bare.all(),
        tally.bare.of(Outcome::Right)
    );
    let _ = writeln!(
        out,
        "\n{:.0} requests a second over {:.1} s; {} errors, {} never sent, {} connections opened\n",
        tally.rate(),
        tally.elapsed.as_secs_f64(),
        tally.errors(),
        tally.unsent,
        tally.connects
    );
}

fn latencies(out: &mut String, tally: &Tally) {
    let names: String = PERCENTILES.iter().fold(String::new(), |mut names, (name, _)| {
        let _ = write!(names, "{name:>12}");
        names
    });
    let _ = writeln!(out, "{:<28}{:>10}{names}", "latency", "samples");
    for (what, latencies) in
        [("without authentication", &tally.without), ("known credential (warm)", &tally.with), ("first use (cold)", &tally.cold)]
    {
        if latencies.count() == 0 {
            continue;
        }
        let _ = write!(out, "{what:<28}{:>10}", latencies.count());
        for (_, percentile) in PERCENTILES {
            let at = latencies.at(percentile).map(|nanos| shown(i64::try_from(nanos).unwrap_or(i64::MAX)));
            let _ = write!(out, "{:>12}", at.unwrap_or_default());
        }
        let _ = writeln!(out);
    }
    for (what, latencies) in [("added, warm", &tally.with), ("added, cold", &tally.cold)] {
        let added = added(latencies, &tally.without);
        if added.is_empty() {
            continue;
        }
        let _ = write!(out, "{what:<28}{:>10}", "");
        for each in &added {
            let _ = write!(out, "{:>12}", shown(each.added));
        }
        let _ = writeln!(out);
    }
    for (what, latencies) in [("with / without, warm", &tally.with), ("with / without, cold", &tally.cold)] {
        let added = added(latencies, &tally.without);
        if added.is_empty() {
            continue;
        }
        let _ = write!(out, "{what:<28}{:>10}", "");
        for each in &added {
            let _ = write!(out, "{:>12}", each.ratio().map(|ratio| format!("{ratio:.2}")).unwrap_or_default());
        }
        let _ = writeln!(out);
    }
    for each in spread(tally) {
        let _ = writeln!(
            out,
            "added at {}, slice by slice: median {}, half of {} slices within {} to {}",
            each.name,
            shown(each.median),
            each.slices,
            shown(each.low),
            shown(each.high)
        );
    }
    let _ = writeln!(out);
}

#[cfg(test)]
mod tests {
    use super::told;

    #[test]
    fn a_rate_is_told_as_it_was_written_or_to_a_tenth() {
        let cases = [
            (5_000.0, "5000", "written whole"),
            (16_627.807_715_629_71, "16627.8", "found"),
            (10.04, "10", "a tenth of ten is little"),
            (9.96, "9.96", "and below ten it is not"),
            (0.25, "0.25", "nor is it nothing"),
        ];
        for (rate, expected, shows) in cases {
            assert_eq!(told(rate).to_string(), expected, "{shows}");
        }
    }
}
