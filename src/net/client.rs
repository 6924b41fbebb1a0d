//! The one client for outbound questions.

/// Makes bounded exchanges. One per process; cheap to share.
#[derive(Debug)]
pub struct Client {}
