//! A credential that a reply of an upstream has brought.

use bytes::Bytes;
use http::HeaderName;

use crate::domain::secret::Secret;
use crate::domain::time::{Seconds, Timestamp};

/// A credential that a reply has brought.
#[derive(Debug, Clone)]
pub struct Harvest {
    /// What is presented.
    pub access: Secret,
    /// What it is renewed with.
    pub refresh: Option<Secret>,
    /// How long it lives, from the reply on; or until when. `None` for what nobody says.
    pub life: Option<Life>,
    /// Whom it is for, as the system says; `None` when the reply does not tell.
    pub subject: Option<Box<str>>,
    /// Who vouches for `subject` in the credential itself (`iss`), where it says so; `None` for the system's own name.
    pub issuer: Option<Box<str>>,
    /// When it was made, where the newest counts and replies may come in any order.
    pub issued: Option<Timestamp>,
    /// The reply's field that holds it, which a client is not to see.
    pub strip: Option<HeaderName>,
    /// The reply's body with the credential taken out, for a client that is not to see it.
    pub rest: Option<Bytes>,
}

/// How long something lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// From the reply on.
    For(Seconds),
    /// Until this moment.
    Until(Timestamp),
}

impl Life {
    /// When it ends, for something that came at `now`.
    #[must_use]
    pub fn end(self, now: Timestamp) -> Timestamp {
        match self {
            Self::For(life) => now.plus(life),
            Self::Until(end) => end,
        }
    }
}
