//! A load test as one page.

use crate::loadtest::report::document::Report;
use crate::loadtest::report::text;

/// The page.
#[must_use]
pub fn page(report: &Report) -> String {
    text::text(report)
}
