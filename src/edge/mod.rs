//! The only folder that knows the proxy framework, and the only one that writes to clients.
//!
//! In reading order: `server` opens the doors, `connection` keeps one connection and its `socket`, `guard_stream` lets one strictly
//! read request at a time through to Pingora, `proxy` puts it before the gate and does what the verdict says.

pub mod server;

pub mod connection;
pub mod doorman;
pub mod tls;

pub mod framing;
pub mod guard_stream;
pub mod head;
mod nominations;
pub mod patient;
pub mod socket;
pub mod wire;
pub mod workers;

mod answering;
pub mod body;
pub mod forward;
mod gather;
mod held;
mod in_force;
mod learn;
pub mod proxy;
mod replay;
mod trip;
mod unpanicked;
pub mod upstream;
pub mod view;

pub mod admin;
pub mod framework;
mod login;
pub mod readiness;
pub mod respond;
