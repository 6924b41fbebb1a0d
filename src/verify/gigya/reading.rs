//! Where the parts of a signed user id stand, and that they stand there once.
//!
//! Each part is looked for in every configured place; all that hold it must agree. Some parts without the others are
//! malformed, not absent. How a body is read is the business of `verify::body`.

use std::borrow::Cow;

use http::HeaderName;

use crate::domain::{Credential, Doubt, Facts, Found, Need, Place, RequestView, Step};
use crate::verify::body::{Body, Kind, body};
use crate::verify::gigya::proof::Kind as Signed;
use crate::verify::presented::{Presented, cookie, header, query, unite};

/// A kind of place where the parts may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Query parameters.
    Query,
    /// A form-encoded body.
    Form,
    /// The members of a JSON object that is the body.
    Json,
    /// Header fields.
    Headers,
    /// Cookies, taken as they stand.
    Cookies,
}

impl Origin {
    /// The words of the conf.
    pub const WORDS: &'static [&'static str] = &["query", "form", "json", "headers", "cookies"];

    /// The place that the conf calls `word`.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "query" => Some(Self::Query),
            "form" => Some(Self::Form),
            "json" => Some(Self::Json),
            "headers" => Some(Self::Headers),
            "cookies" => Some(Self::Cookies),
            _ => None,
        }
    }

    /// The kind of body that it is, where it is one.
    fn body(self) -> Option<Kind> {
        match self {
            Self::Form => Some(Kind::Form),
            Self::Json => Some(Kind::Json),
            Self::Query | Self::Headers | Self::Cookies => None,
        }
    }

    /// Where the part called `name` stands.
    #[must_use]
    pub fn place(self, name: &str) -> Place {
        match self {
            Self::Query => Place::Query(name.into()),
            Self::Form | Self::Json => Place::Body,
            Self::Headers => HeaderName::from_bytes(name.as_bytes()).map_or(Place::Body, Place::Header),
            Self::Cookies => Place::Cookie(name.into()),
        }
    }
}

/// What the parts are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The user id.
    pub uid: Box<str>,
    /// The signature.
    pub signature: Box<str>,
    /// The signed time.
    pub timestamp: Box<str>,
    /// The friend's id; for the kind that has one only.
    pub friend: Option<Box<str>>,
}

impl Names {
    /// What the vendor calls them.
    #[must_use]
    pub fn of(kind: Signed) -> Self {
        let (uid, signature, timestamp) = match kind {
            Signed::User => ("UID", "UIDSignature", "signatureTimestamp"),
            Signed::Site => ("siteUID", "UIDSig", "UIDTimestamp"),
            Signed::Friend => ("UID", "friendshipSignature", "signatureTimestamp"),
        };
        let friend = (kind == Signed::Friend).then(|| "friendUID".into());
        Self { uid: uid.into(), signature: signature.into(), timestamp: timestamp.into(), friend }
    }

    /// All of them, in the order of the parts of a credential: id, time, signature, friend's id.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        [Some(&self.uid), Some(&self.timestamp), Some(&self.signature), self.friend.as_ref()].into_iter().flatten().map(|name| &**name)
    }
}

/// Looks for all parts.
pub fn find<'r>(names: &Names, fields: &[HeaderName], from: &[Origin], request: &RequestView<'r>, facts: &Facts) -> Step<Found<'r>> {
    let looks_at = |kind| from.iter().any(|origin| origin.body() == Some(kind));
    let body = match body(looks_at, request, facts) {
        Err(doubt) => return Step::Done(Found::Unreadable(doubt)),
        Ok(Body::Unread) => return Step::Need(Need::Body),
        Ok(body) => body,
    };
    let mut parts: Vec<Cow<'r, str>> = Vec::with_capacity(4);
    let mut places: Vec<Place> = Vec::with_capacity(4);
    let mut missing = false;
    for (index, name) in names.all().enumerate() {
        let readings = from.iter().map(|origin| {
            let reading = match origin {
                Origin::Query => query(name, request),
                Origin::Headers => fields.get(index).map_or(Ok(None), |field| header(field, request)),
                Origin::Cookies => cookie(name, request),
                Origin::Form | Origin::Json if body.kind() == origin.body() => body.text_or_number(name),
                Origin::Form | Origin::Json => Ok(None),
            };
            (reading, origin.place(name))
        });
        match unite(readings) {
            Presented::Unreadable(doubt) => return Step::Done(Found::Unreadable(doubt)),
            Presented::Absent => missing = true,
            Presented::One { text, places: stood } => {
                parts.push(text);
                places.extend(stood);
            }
        }
    }
    Step::Done(match (parts.is_empty(), missing) {
        (true, _) => Found::Absent,
        (false, true) => Found::Unreadable(Doubt::Malformed),
        (false, false) => {
            places.dedup();
            Found::Present(Credential::new(parts, places))
        }
    })
}
