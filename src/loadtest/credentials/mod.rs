//! Makes credentials of every scheme: good ones, ones that have run out, ones that somebody made up.
//!
//! Never here: a key that was not made for the load test or handed in for it; a judgement of a credential.

pub mod checked;
pub mod contract;
pub mod gigya;
pub mod hat;
pub mod janrain;
pub mod opaque;
pub mod pair;
pub mod place;
pub mod prepared;
pub mod session;
pub mod ticket;
pub mod token;
