//! What must not work: requests by which a proxy and what stands behind it could be made to disagree.

#[path = "../support/mod.rs"]
mod support;

mod framing;
