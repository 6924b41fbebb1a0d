//! One bounded HTTP exchange with a machine that is not ours to trust.
//!
//! Every exchange has a deadline, a size limit, no redirects, no proxy from the environment, and an address guard.
//!
//! What an exchange is that a conf describes, and how its answer is matched, is said once in [`described`], for all who make one.
//!
//! Never here: a retry (whoever asks knows whether asking twice is safe), a cookie, a decompressed body.

pub mod authorities;
pub mod client;
pub mod described;
pub mod discovery;
pub mod form;
pub mod guard;
pub mod single_flight;
