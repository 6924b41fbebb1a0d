//! From the text of a conf to a proven [`plan::Plan`]: read, gather, check.
//!
//! ```text
//!  text ── document ──▶ Document ─┐
//!                                 ├─ check ──▶ Plan
//!  files, variables ── load ──▶ Material ─┘
//! ```
//!
//! Each section's file holds its table of keys and its check, and nothing else knows either. Checking is pure and reports
//! every fault at once, in the order of the file.
//!
//! Never here: a socket, a clock, the environment; a fault that stops at the first; a default that opens something.

pub mod audit;
pub mod authenticators;
pub mod beside;
pub mod check;
pub mod document;
pub mod forward;
mod held;
pub mod issuers;
pub mod limits;
pub mod listeners;
pub mod load;
pub mod pem;
pub mod plan;
pub mod reference;
mod renewers;
pub mod requirement;
pub mod revocations;
pub mod root;
pub mod rules;
pub mod schema;
pub mod sections;
pub mod serve;
pub mod stores;
mod system;
pub mod upstreams;

pub use check::check;
pub use document::Document;
pub use load::{Sources, load};
pub use plan::Plan;
