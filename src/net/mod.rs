//! One bounded HTTP exchange with a machine that is not ours to trust.
//!
//! Every exchange has a deadline, a size limit, no redirects, no proxy from the environment, and an address guard.

pub mod client;
