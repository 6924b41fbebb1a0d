//! Plots as inline SVG: shapes and text alone, readable without a script, in the colours of whoever reads.

use std::fmt::Write;

/// One line of a plot.
pub struct Series<'s> {
    /// What it is, for the legend.
    pub name: &'s str,
    /// The class that colours it: `a`, `b` or `c`.
    pub class: &'static str,
    /// Points, from left to right; a gap where there is none.
    pub points: Vec<Option<(f64, f64)>>,
}

/// A plot.
pub struct Plot<'s> {
    /// What it shows, for those who cannot see it.
    pub title: &'s str,
    /// What goes to the right.
    pub across: &'s str,
    /// Marks along it: where, and what is written.
    pub marks: Vec<(f64, String)>,
    /// How a height is written.
    pub shown: fn(f64) -> String,
    /// Spans to the right that are shaded: from, to.
    pub shaded: Vec<(f64, f64)>,
    /// Its lines.
    pub series: Vec<Series<'s>>,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 42.0;

/// Text that means nothing to a browser.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Nothing that a page may not hold, whatever a name was made of.
            letter if letter.is_control() && letter != '\n' && letter != '\t' => out.push('\u{fffd}'),
            letter => out.push(letter),
        }
    }
    out
}

/// The plot as an element; empty where there is nothing to draw.
#[must_use]
pub fn plot(plot: &Plot<'_>) -> String {
    let points = || plot.series.iter().flat_map(|series| series.points.iter().flatten());
    let Some((from, to)) = bounds(points().map(|point| point.0)) else { return String::new() };
    let Some((low, high)) = bounds(points().map(|point| point.1)) else { return String::new() };
    let (low, high) = (low.min(0.0), if high <= low.min(0.0) { low.min(0.0) + 1.0 } else { high * 1.05 });
    let to = if to <= from { from + 1.0 } else { to };
    let x = |at: f64| LEFT + (at - from) / (to - from) * (WIDTH - LEFT - RIGHT);
    let y = |at: f64| HEIGHT - BOTTOM - (at - low) / (high - low) * (HEIGHT - TOP - BOTTOM);

    let mut out = String::new();
    let title = escaped(plot.title);
    let _ = write!(out, "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title>");
    for (begin, end) in &plot.shaded {
        let (left, right) = (x(begin.clamp(from, to)), x(end.clamp(from, to)));
        let _ = write!(
            out,
            "<rect class=\"shade\" x=\"{left:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            right - left,
            HEIGHT - TOP - BOTTOM
        );
    }
    for step in 0..=4_u8 {
        let at = low + (high - low) * f64::from(step) / 4.0;
        let _ = write!(out, "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{0:.1}\" x2=\"{1:.1}\" y2=\"{0:.1}\"/>", y(at), WIDTH - RIGHT);
        let _ = write!(out, "<text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>", LEFT - 8.0, y(at) + 4.0, escaped(&(plot.shown)(at)));
    }
    for (at, says) in &plot.marks {
        let _ = write!(out, "<text class=\"mid\" x=\"{:.1}\" y=\"{:.1}\">{}</text>", x(*at), HEIGHT - BOTTOM + 18.0, escaped(says));
    }
    let _ = write!(out, "<text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>", WIDTH - RIGHT, HEIGHT - 6.0, escaped(plot.across));
    let mut legend = LEFT;
    for series in &plot.series {
        for run in series.points.split(Option::is_none).filter(|run| !run.is_empty()) {
            let path: Vec<String> = run.iter().flatten().map(|(across, up)| format!("{:.1},{:.1}", x(*across), y(*up))).collect();
            let _ = write!(out, "<polyline class=\"{}\" points=\"{}\"/>", series.class, path.join(" "));
            for (across, up) in run.iter().flatten() {
                let _ = write!(out, "<circle class=\"{}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.5\"/>", series.class, x(*across), y(*up));
            }
        }
        let _ = write!(out, "<rect class=\"{}\" x=\"{legend:.1}\" y=\"10\" width=\"12\" height=\"12\"/>", series.class);
        let _ = write!(out, "<text x=\"{:.1}\" y=\"20\">{}</text>", legend + 18.0, escaped(series.name));
        #[allow(clippy::cast_precision_loss, reason = "the length of a name")]
        let width = series.name.chars().count() as f64;
        legend += 36.0 + width * 7.2;
    }
    out.push_str("</svg>\n");
    out
}

/// The least and the greatest of what are numbers.
fn bounds(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|value| value.is_finite()).fold(None, |bounds, value| match bounds {
        None => Some((value, value)),
        Some((low, high)) => Some((f64::min(low, value), f64::max(high, value))),
    })
}

#[cfg(test)]
mod tests {
    use super::{Plot, Series, escaped, plot};

    fn drawn(points: Vec<Option<(f64, f64)>>) -> String {
        let series = vec![Series { name: "<b>", class: "a", points }];
        plot(&Plot {
            title: "t & \"u\"",
            across: "s",
            marks: vec![(0.0, "0".into())],
            shown: |at| format!("{at:.0}"),
            shaded: vec![],
            series,
        })
    }

    #[test]
    fn nothing_that_is_written_means_anything_to_a_browser() {
        assert_eq!(escaped("<script>\"&'</script>"), "&lt;script&gt;&quot;&amp;&#39;&lt;/script&gt;");
        assert_eq!(escaped("a\u{0}b\u{7}c\nd"), "a\u{fffd}b\u{fffd}c\nd");
        let svg = drawn(vec![Some((0.0, 1.0)), Some((1.0, 2.0))]);
        assert!(svg.contains("&lt;b&gt;") && !svg.contains("<b>") && svg.contains("t &amp; &quot;u&quot;"), "{svg}");
    }

    #[test]
    fn lines_break_where_nothing_was_measured_and_no_number_is_made_up() {
        let svg = drawn(vec![Some((0.0, 1.0)), None, Some((2.0, 1.0)), Some((3.0, 1.0))]);
        assert_eq!(svg.matches("<polyline").count(), 2, "a gap is a gap");
        assert_eq!(drawn(vec![None]), "", "no plot of nothing");
        for flat in [vec![Some((1.0, 0.0))], vec![Some((1.0, 5.0))], vec![Some((0.0, -1.0)), Some((1.0, -1.0))]] {
            let svg = drawn(flat);
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "one point, or a flat line, is drawn too: {svg}");
        }
    }
}
