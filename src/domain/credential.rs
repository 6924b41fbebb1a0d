//! What was presented, and where it stood.
//!
//! A credential is unproven text. It has no `Debug` that shows it and it is never stored.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::HeaderName;

use crate::domain::refusal::Doubt;

/// A credential as presented. Parts depend on the scheme (one for a token, three for a signature).
#[derive(Clone)]
pub struct Credential<'r> {
    /// The presented texts, in the order the scheme defines.
    pub parts: Vec<Cow<'r, str>>,
    /// Every place it was taken from, so that it can be removed before forwarding.
    pub places: Vec<Place>,
    /// What the verifier that found it has made of the same text on the way, for that verifier alone: what has been read once is not
    /// read again. Proves nothing, and where it is missing the text is read anew.
    read: Option<Arc<dyn Any + Send + Sync>>,
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
    /// The credential of these `parts`, of which nothing has been read.
    #[must_use]
    pub fn new(parts: Vec<Cow<'r, str>>, places: Vec<Place>) -> Self {
        Self { parts, places, read: None }
    }

    /// A credential of one part from one place.
    #[must_use]
    pub fn single(text: Cow<'r, str>, place: Place) -> Self {
        Self::new(vec![text], vec![place])
    }

    /// The same, of which the verifier that found it has made `read`.
    #[must_use]
    pub fn read_as(self, read: impl Any + Send + Sync) -> Self {
        Self { read: Some(Arc::new(read)), ..self }
    }

    /// What was made of it, when that is a `T`.
    #[must_use]
    pub fn reading<T: Any>(&self) -> Option<&T> {
        self.read.as_deref()?.downcast_ref()
    }

    /// The same, that outlives its request.
    #[must_use]
    pub fn into_owned(self) -> Credential<'static> {
        let parts = self.parts.into_iter().map(|part| Cow::Owned(part.into_owned())).collect();
        Credential { parts, places: self.places, read: self.read }
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
