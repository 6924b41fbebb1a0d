//! The life of a request, top to bottom: route, verify, policy, countersign, burn; then the permit to forward.
//!
//! The judge knows contracts only: no scheme, no key source, no conf, no proxy. `settle` is the only place where a
//! request waits.
//!
//! Never here: a verdict without a reason; an [`verdict::Admission`] made anywhere else.

pub mod contract;

pub mod admit;
pub mod allowance;
pub mod arrival;
pub mod forwarded;
mod fresh;
mod guard;
pub mod hand_back;
pub mod hygiene;
pub mod in_vain;
mod preflight;
mod prove;
mod revoker;
pub mod rule;
pub mod settle;
pub mod verdict;
