//! Stand-ins for the systems' own servers, as strict as the vendors' are, on loopback.
//!
//! They share nothing with the code that is tried against them: what a vendor expects is written down a second time here.

pub mod gigya;
pub mod hat;
pub mod janrain;
pub mod taptalk;
pub mod telematics;
