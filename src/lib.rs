//! Countersign: an authenticating reverse proxy.
//!
//! It stands in front of services that already exist, proves who is calling from whatever credential the
//! caller already carries, and forwards the request countersigned: with the caller's proven identity and
//! without the credential.
//!
//! ```text
//!  client ──▶ edge ──▶ route ──▶ verify ──▶ renew ──▶ policy ──▶ countersign ──▶ burn ──▶ forward ──▶ upstream
//!              │        which     who is     run out?   may they    what the       spend     │
//!              │        rule?     calling?   a fresh    do it?      upstream sees  once      ▼
//!              └────────────────────────── respond · record ◀────────────────────────────── answer
//! ```
//!
//! The stages between `edge` and `forward` are pure functions of the request, one snapshot and one `now`; where a
//! fact is missing they say so, and `gate::settle` is the only place that waits for it.
//!
//! Never in this crate: anything that fails open; a filter chain with a mutable context bag; process-wide
//! registries; `Box<dyn Error>` in signatures; a feature flag that changes what is accepted.

pub mod domain;

pub mod settings;

pub mod jose;
pub mod net;
pub mod state;

pub mod countersign;
pub mod issuer;
pub mod policy;
pub mod renew;
pub mod route;
pub mod systems;
pub mod verify;

pub mod config;

pub mod gate;

pub mod telemetry;

pub mod edge;

pub mod ambient;
pub mod assembly;

pub mod demo;
pub mod loadtest;

pub mod cli;
