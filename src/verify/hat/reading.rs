//! Where a HAT token stands: every place in which a HAT looks for one, each looked at, and one text or none.
//!
//! A HAT takes the first that it finds: query, header, form body, JSON body, XML body. Whoever looks at one of them alone is passed by
//! with a token in another. How a body is read is the business of `verify::body`.

use http::HeaderName;

use crate::domain::{Facts, Need, Place, RequestView, Step};
use crate::verify::body::{Body, Kind, body, kind_of};
use crate::verify::presented::{Presented, Reading, header, query, unite};

/// A kind of place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A query parameter.
    Query,
    /// A header field.
    Header,
    /// A field of a form that is the body.
    Form,
    /// A member of the JSON object that is the body.
    Json,
    /// An element of the XML document that is the body.
    Xml,
}

/// What the token is called.
#[derive(Debug)]
pub struct Field {
    /// In query and body, exactly so.
    pub name: Box<str>,
    /// As a header field, in any case.
    pub header: HeaderName,
}

impl Origin {
    /// The words of the conf.
    pub const WORDS: &'static [&'static str] = &["query", "header", "form", "json", "xml"];

    /// The place that the conf calls `word`.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "query" => Some(Self::Query),
            "header" => Some(Self::Header),
            "form" => Some(Self::Form),
            "json" => Some(Self::Json),
            "xml" => Some(Self::Xml),
            _ => None,
        }
    }

    /// The kind of body that it is, where it is one.
    fn body(self) -> Option<Kind> {
        match self {
            Self::Form => Some(Kind::Form),
            Self::Json => Some(Kind::Json),
            Self::Xml => Some(Kind::Xml),
            Self::Query | Self::Header => None,
        }
    }

    /// Where `field` stands.
    #[must_use]
    pub fn place(self, field: &Field) -> Place {
        match self {
            Self::Query => Place::Query(field.name.clone()),
            Self::Header => Place::Header(field.header.clone()),
            Self::Form | Self::Json | Self::Xml => Place::Body,
        }
    }
}

/// What stands in all the places of `from`; asks for the body when it could hold something.
pub fn find<'r>(field: &Field, from: &[Origin], request: &RequestView<'r>, facts: &Facts) -> Step<Presented<'r>> {
    match body(|kind| looks_at(from, kind), request, facts) {
        Err(doubt) => Step::Done(Presented::Unreadable(doubt)),
        Ok(Body::Unread) => Step::Need(Need::Body),
        Ok(body) => Step::Done(look(field, from, request, &body)),
    }
}

/// The same without a body; `None` when one could hold something.
pub fn glance<'r>(field: &Field, from: &[Origin], request: &RequestView<'r>) -> Option<Presented<'r>> {
    let bare = matches!(kind_of(|kind| looks_at(from, kind), request), Ok(None));
    bare.then(|| look(field, from, request, &Body::None))
}

fn looks_at(from: &[Origin], kind: Kind) -> bool {
    from.iter().any(|origin| origin.body() == Some(kind))
}

fn look<'r>(field: &Field, from: &[Origin], request: &RequestView<'r>, body: &Body<'_>) -> Presented<'r> {
    unite(from.iter().map(|origin| (read(field, *origin, request, body), origin.place(field))))
}

fn read<'r>(field: &Field, origin: Origin, request: &RequestView<'r>, body: &Body<'_>) -> Reading<'r> {
    match origin {
        Origin::Query => query(&field.name, request),
        Origin::Header => header(&field.header, request),
        Origin::Form | Origin::Json | Origin::Xml if body.kind() == origin.body() => body.text(&field.name),
        Origin::Form | Origin::Json | Origin::Xml => Ok(None),
    }
}
