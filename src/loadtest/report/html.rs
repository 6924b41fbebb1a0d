//! A load test as one page: no script, no style sheet, no picture from elsewhere; everything that came from a conf or a flag escaped.

use std::fmt::Write;

use crate::loadtest::lane::Outcome;
use crate::loadtest::measure::added::{Added, added, spread};
use crate::loadtest::measure::latencies::{Latencies, PERCENTILES, shown};
use crate::loadtest::measure::tally::{Counts, Tally};
use crate::loadtest::report::document::{Report, described};
use crate::loadtest::report::svg::{Plot, Series, escaped, plot};
use crate::loadtest::report::text::{load, saturated};

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #667; --page: #fff; --line: #d8dbe0; --a: #1769aa; --b: #b4540a; --c: #5b7d1a; --bad: #b3261e; --good: #1c7c3c }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #9aa3ad; --page: #14171a; --line: #343a41; --a: #6cb2f0; --b: #f0a35c; --c: #a8cf5f; --bad: #ff8a80; --good: #7bd695 } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.5rem }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums } .wide { overflow-x: auto }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line) } th:first-child, td:first-child { text-align: left }
svg { width: 100%; height: auto } svg text { font: 12px system-ui, sans-serif; fill: var(--soft) } .end { text-anchor: end } .mid { text-anchor: middle }
.grid { stroke: var(--line) } polyline { fill: none; stroke-width: 2 } polyline.a { stroke: var(--a) } polyline.b { stroke: var(--b) } polyline.c { stroke: var(--c) }
rect.a, circle.a { fill: var(--a) } rect.b, circle.b { fill: var(--b) } rect.c, circle.c { fill: var(--c) } .shade { fill: var(--bad); opacity: .12 }
.good { color: var(--good) } .bad { color: var(--bad) } .soft { color: var(--soft) } dt { color: var(--soft) } dd { margin: 0 0 .4rem }
";

/// The page.
#[must_use]
pub fn page(report: &Report) -> String {
    let mut out = String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    out.push_str(
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"referrer\" content=\"no-referrer\">",
    );
    // Nothing is fetched and nothing runs, whatever stands in the page.
    out.push_str("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">");
    let _ = write!(out, "<title>countersign bench: {}</title><style>{STYLE}</style></head><body>", escaped(&report.subject));
    let _ = write!(out, "<h1>Load test of {}</h1>", escaped(&report.subject));
    outcome(&mut out, report);
    out.push_str("<h2>What authenticating adds</h2>");
    latencies(&mut out, &report.tally);
    out.push_str("<h2>Over time</h2>");
    out.push_str(&over_time(&report.tally, None));
    out.push_str("<h2>Verdicts</h2>");
    verdicts(&mut out, &report.tally);
    drills(&mut out, report);
    conditions(&mut out, report);
    out.push_str("</body></html>\n");
    out
}

fn outcome(out: &mut String, report: &Report) {
    let failures = report.failures();
    if failures.is_empty() {
        let _ = write!(out, "<p class=\"good\"><strong>Passed.</strong> Every verdict was as it must be.</p>");
    } else {
        let _ = write!(out, "<p class=\"bad\"><strong>FAILED.</strong></p><ul class=\"bad\">");
        for failure in failures {
            let _ = write!(out, "<li>{}</li>", escaped(&failure));
        }
        out.push_str("</ul>");
    }
    let tally = &report.tally;
    let _ = write!(
        out,
        "<p>{:.0} requests a second over {:.1} s, {} requests, {} errors.</p>",
        tally.rate(),
        tally.elapsed.as_secs_f64(),
        tally.counts().all(),
        tally.errors()
    );
    if let Some(found) = &report.saturation {
        let _ = write!(out, "<p>Saturation: {}.</p>", escaped(&saturated(found)));
    }
    for held in &report.budget {
        let (class, says) = if held.holds { ("good", "held") } else { ("bad", "broken") };
        let measured = held.measured.as_deref().unwrap_or("not measured");
        let _ = write!(out, "<p class=\"{class}\">Budget <code>{}</code> {says}: {}</p>", escaped(&held.text), escaped(measured));
    }
}

fn latencies(out: &mut String, tally: &Tally) {
    let known = [("without authentication", &tally.without), ("known credential (warm)", &tally.with), ("first use (cold)", &tally.cold)];
    let names: String = PERCENTILES.iter().map(|(name, _)| format!("<th>{name}</th>")).collect();
    let _ = write!(out, "<div class=\"wide\"><table><tr><th>latency</th><th>samples</th>{names}</tr>");
    for (what, latencies) in known.iter().filter(|(_, latencies)| 0 < latencies.count()) {
        let cells: String =
            PERCENTILES.iter().map(|(_, at)| format!("<td>{}</td>", latencies.at(*at).map(of).unwrap_or_default())).collect();
        let _ = write!(out, "<tr><td>{what}</td><td>{}</td>{cells}</tr>", latencies.count());
    }
    for (what, latencies) in [("added, warm", &tally.with), ("added, cold", &tally.cold)] {
        let added = added(latencies, &tally.without);
        if !added.is_empty() {
            let cells: String = added.iter().map(|each| format!("<td>{}</td>", shown(each.added))).collect();
            let _ = write!(out, "<tr><td>{what}</td><td></td>{cells}</tr>");
        }
    }
    for (what, latencies) in [("with / without, warm", &tally.with), ("with / without, cold", &tally.cold)] {
        let added = added(latencies, &tally.without);
        if !added.is_empty() {
            let ratio = |each: &Added| each.ratio().map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
            let cells: String = added.iter().map(|each| format!("<td>{}</td>", ratio(each))).collect();
            let _ = write!(out, "<tr><td>{what}</td><td></td>{cells}</tr>");
        }
    }
    out.push_str("</table></div>");
    for each in spread(tally) {
        let _ = write!(
            out,
            "<p class=\"soft\">Added at {}, slice by slice: median {}, half of {} slices within {} to {}.</p>",
            each.name,
            shown(each.median),
            each.slices,
            shown(each.low),
            shown(each.high)
        );
    }
    let across = PERCENTILES.iter().zip(0_u32..).map(|((name, _), at)| (f64::from(at), (*name).to_owned())).collect();
    let series = known
        .iter()
        .zip(["b", "a", "c"])
        .filter(|((_, latencies), _)| 0 < latencies.count())
        .map(|((name, latencies), class)| Series { name, class, points: percentiles(latencies) });
    out.push_str(&plot(&Plot {
        title: "Latency percentiles",
        across: "percentile",
        marks: across,
        shown: axis,
        shaded: Vec::new(),
        series: series.collect(),
    }));
    let warm = differences(&added(&tally.with, &tally.without));
    let cold = differences(&added(&tally.cold, &tally.without));
    let series = [("added, warm", "a", warm), ("added, cold", "c", cold)].into_iter().filter(|(_, _, points)| !points.is_empty());
    out.push_str(&plot(&Plot {
        title: "Added latency by percentile",
        across: "percentile",
        marks: PERCENTILES.iter().zip(0_u32..).map(|((name, _), at)| (f64::from(at), (*name).to_owned())).collect(),
        shown: axis,
        shaded: Vec::new(),
        series: series.map(|(name, class, points)| Series { name, class, points }).collect(),
    }));
}

fn over_time(tally: &Tally, shaded: Option<(f64, f64)>) -> String {
    let length = tally.slice.as_secs_f64();
    let at = |index: usize| {
        #[allow(clippy::cast_precision_loss, reason = "there are few slices")]
        let index = index as f64;
        index * length
    };
    let last = tally.slices.len().saturating_sub(1);
    let marks: Vec<(f64, String)> = (0..=4).map(|quarter| at(last) * f64::from(quarter) / 4.0).map(|at| (at, format!("{at:.1}"))).collect();
    #[allow(clippy::cast_precision_loss, reason = "plotted to a few digits")]
    let series = |name, class, of: &dyn Fn(usize) -> Option<u64>, scale: f64| Series {
        name,
        class,
        points: (0..tally.slices.len()).map(|index| of(index).map(|value| (at(index), value as f64 * scale))).collect(),
    };
    let slice = |index: usize| tally.slices.get(index);
    let per_second = 1.0 / length.max(f64::MIN_POSITIVE);
    let shaded: Vec<(f64, f64)> = shaded.into_iter().collect();
    let rate = plot(&Plot {
        title: "Throughput over time",
        across: "seconds",
        marks: marks.clone(),
        shown: |at| format!("{at:.0}/s"),
        shaded: shaded.clone(),
        series: vec![
            series("answers a second", "a", &|index| slice(index).map(|slice| slice.answers), per_second),
            series("errors a second", "b", &|index| slice(index).map(|slice| slice.errors), per_second),
        ],
    });
    let latency = plot(&Plot {
        title: "p99 over time",
        across: "seconds",
        marks,
        shown: axis,
        shaded,
        series: vec![
            series("p99, known credential", "a", &|index| slice(index).and_then(|slice| slice.with).map(|both| both.1), 1.0),
            series("p99, without authentication", "b", &|index| slice(index).and_then(|slice| slice.without).map(|both| both.1), 1.0),
        ],
    });
    rate + &latency
}

fn verdicts(out: &mut String, tally: &Tally) {
    out.push_str("<div class=\"wide\"><table><tr><th>rule · authenticator (scheme)</th><th>kind</th><th>requests</th>");
    for outcome in Outcome::ALL {
        let _ = write!(out, "<th>{}</th>", outcome.name().replace('_', " "));
    }
    out.push_str("<th>p50</th><th>p99</th><th>statuses</th></tr>");
    for lane in &tally.lanes {
        for arm in lane.arms.iter().filter(|arm| 0 < arm.counts.all()) {
            let statuses: Vec<String> = arm.statuses.iter().map(|(status, count)| format!("{status}×{count}")).collect();
            let at = |percentile| arm.warm.at(percentile).map(of).unwrap_or_default();
            let _ = write!(
                out,
                "<tr><td>{} ({})</td><td>{}</td>{}<td>{}</td><td>{}</td><td>{}</td></tr>",
                escaped(&lane.name),
                escaped(&lane.scheme),
                arm.kind.name(),
                cells(&arm.counts),
                at(50.0),
                at(99.0),
                statuses.join(" ")
            );
        }
    }
    let _ = write!(out, "<tr><td>without authentication</td><td></td>{}<td></td><td></td><td></td></tr></table></div>", cells(&tally.bare));
    for offender in &tally.offenders {
        let _ = write!(out, "<p class=\"bad\">First {}: {}</p>", offender.outcome.name().replace('_', " "), escaped(&described(offender)));
    }
}

fn cells(counts: &Counts) -> String {
    Outcome::ALL.into_iter().fold(format!("<td>{}</td>", counts.all()), |mut cells, outcome| {
        let count = counts.of(outcome);
        let class = if outcome != Outcome::Right && 0 < count { " class=\"bad\"" } else { "" };
        let _ = write!(cells, "<td{class}>{count}</td>");
        cells
    })
}

fn drills(out: &mut String, report: &Report) {
    for drill in &report.drills {
        let (class, says) = if drill.faults.is_empty() { ("good", "held") } else { ("bad", "FAILED") };
        let _ = write!(out, "<h2>Drill: {}</h2><p><strong class=\"{class}\">{says}</strong>: {}.</p>", drill.name, escaped(drill.shows));
        for note in &drill.notes {
            let _ = write!(out, "<p class=\"soft\">{}</p>", escaped(note));
        }
        for fault in &drill.faults {
            let _ = write!(out, "<p class=\"bad\">{}</p>", escaped(fault));
        }
        out.push_str(&over_time(&drill.tally, Some((drill.trouble.0.as_secs_f64(), drill.trouble.1.as_secs_f64()))));
    }
}

fn conditions(out: &mut String, report: &Report) {
    out.push_str("<h2>Conf and machine</h2><dl>");
    let load = [("load".to_owned(), load(&report.plan)), ("mix".to_owned(), report.mix.to_string())];
    for (name, value) in load.iter().chain(&report.machine).chain(&report.conf) {
        let _ = write!(out, "<dt>{}</dt><dd>{}</dd>", escaped(name), escaped(value));
    }
    out.push_str("</dl>");
    for note in &report.notes {
        let _ = write!(out, "<p>{}</p>", escaped(note));
    }
    if !report.left_out.is_empty() {
        out.push_str("<h2>Left out</h2><ul>");
        for (rule, why) in &report.left_out {
            let _ = write!(out, "<li>{}: {}</li>", escaped(rule), escaped(why));
        }
        out.push_str("</ul>");
    }
}

fn of(nanos: u64) -> String {
    shown(i64::try_from(nanos).unwrap_or(i64::MAX))
}

#[allow(clippy::cast_possible_truncation, reason = "nanoseconds of a minute fit")]
fn axis(nanos: f64) -> String {
    shown(nanos as i64)
}

#[allow(clippy::cast_precision_loss, reason = "plotted to a few digits")]
fn percentiles(latencies: &Latencies) -> Vec<Option<(f64, f64)>> {
    PERCENTILES.iter().zip(0_u32..).map(|((_, percentile), at)| Some((f64::from(at), latencies.at(*percentile)? as f64))).collect()
}

#[allow(clippy::cast_precision_loss, reason = "plotted to a few digits")]
fn differences(added: &[Added]) -> Vec<Option<(f64, f64)>> {
    added.iter().zip(0_u32..).map(|(each, at)| Some((f64::from(at), each.added as f64))).collect()
}
