//! Puts a process together: conf, gate, edge, admin, telemetry; and swaps the conf in force while it runs.
//!
//! The one room that knows both sides. Nothing is decided here about a request. In reading order: `gate` and `edge` turn a
//! proven conf into what runs, `live` swaps it, `process` holds it all together, `service` gives it signals and,
//! with `crew`, threads.

pub mod crew;
pub mod edge;
pub mod gate;
pub mod live;
pub mod machine;
pub mod outbound;
pub mod process;
pub mod renewal;
pub mod service;
pub mod services;
pub mod steady;
pub mod store;
mod watch;
