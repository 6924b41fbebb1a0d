//! Stage 3: what a rule demands of identity and request.
//!
//! Pure: trees of authenticators, and conditions over what has been proven. No credential is seen here.

pub mod condition;
pub mod requirement;

pub use condition::Condition;
pub use requirement::Requirement;
