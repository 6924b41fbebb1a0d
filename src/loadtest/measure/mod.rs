//! Counting: latencies, verdicts, and what authenticating adds.

pub mod added;
pub mod latencies;
pub mod tally;
