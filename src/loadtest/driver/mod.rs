//! Sends a load: so many connections, each with one request at a time, at full speed or when each request is due.

pub mod connection;
pub mod pace;
pub mod run;
