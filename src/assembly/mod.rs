//! Puts a process together: conf, gate, edge, admin, telemetry; and swaps the conf in force while it runs.
//!
//! The one room that knows both sides. Nothing is decided here about a request.

pub mod edge;
pub mod gate;
pub mod live;
pub mod machine;
