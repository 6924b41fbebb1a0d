//! What is known of the proxy framework's log: which of its words may be passed on.

use crate::telemetry::logs::Library;

/// The framework. The parts that start, stop and accept never see a request's bytes; all others may.
pub const LOG: Library =
    Library { name: "pingora", told: &["pingora_core::server", "pingora_core::services", "pingora_core::listeners", "pingora_runtime"] };
