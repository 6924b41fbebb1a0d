//! What was presented, and where it stood.
//!
//! A credential is unproven text. It has no `Debug` that shows it and it is never stored.

use std::borrow::Cow;
use std::fmt;

use http::HeaderName;

use crate::domain::refusal::Doubt;

/// A credential as presented. Parts depend on the scheme (one for a token, three for a signature).
#[derive(Clone)]
pub struct Credential<'r> {
    /// The presented texts, in the order the scheme defines.
    pub parts: Vec<Cow<'r, str>>,
    /// Every place it was taken from, so that it can be removed before forwarding.
    pub places: Vec<Place>,
}

/// Where a piece of a credential stood in the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A header field, whole.
    Header(HeaderName),
    /// A cookie of that name.
    Cookie(Box<str>),
    /// A query parameter of that (decoded) name.
    Query(Box<str>),
    /// The body; what stands there stays there.
    Body,
}

/// What a verifier found when it looked for its kind of credential.
#[derive(Debug)]
pub enum Found<'r> {
    /// Nothing that could be meant for this verifier.
    Absent,
    /// Something stands where this verifier looks, but its shape or issuer belongs to another one.
    /// If no other branch claims it, the request is refused with this doubt: malformed is never absent.
    Foreign(Doubt),
    /// A credential to judge.
    Present(Credential<'r>),
    /// Something was presented that no reading can accept, or two that disagree.
    Unreadable(Doubt),
}

impl<'r> Credential<'r> {
    /// A credential of one part from one place.
    #[must_use]
    pub fn single(text: Cow<'r, str>, place: Place) -> Self {
        Self { parts: vec![text], places: vec![place] }
    }

    /// Part `index`, or the empty text when the scheme did not present that many.
    #[must_use]
    pub fn part(&self, index: usize) -> &str {
        self.parts.get(index).map_or("", |part| part)
    }
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lengths: Vec<usize> = self.parts.iter().map(|part| part.len()).collect();
        f.debug_struct("Credential").field("lengths", &lengths).field("places", &self.places).finish()
    }
}
