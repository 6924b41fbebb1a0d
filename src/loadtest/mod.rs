//! Load against a proxy, and what it adds: credentials of every kind, each verdict checked, latency with and without them.
//!
//! In reading order: `plan` says how much load, `mix` and `lane` which requests, `credentials` make what they carry, `fresh` makes
//! a conf with keys of its own, `driver` sends, `measure` counts, `budget` judges the figures and `report` tells them.
//!
//! Never here: a load without bounds; a request to another machine that nobody asked for; a credential in anything that is shown;
//! a verdict taken on trust: every answer is compared with what must come of its request.

pub mod budget;
pub mod credentials;
pub mod drill;
pub mod driver;
pub mod fresh;
pub mod lane;
pub mod measure;
pub mod mix;
pub mod plan;
pub mod report;
pub mod target;
