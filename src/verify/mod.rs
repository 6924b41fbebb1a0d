//! Stage 2: judging credentials. One file per scheme; this roll-call is the list of them.
//!
//! Never here: I/O on the request path, knowledge of rules, upstreams or how refusals are written.

pub mod contract;
pub mod jwt;
pub mod keys;
pub mod presented;

use crate::verify::contract::SchemeEntry;

/// Every scheme, by the name the conf calls it.
pub const SCHEMES: &[&SchemeEntry] = &[&jwt::JWT];
