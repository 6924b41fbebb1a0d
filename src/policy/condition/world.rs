//! What a condition can see, handed to CEL name by name and only when asked.
//!
//! CEL asks for the longest qualified name first (`identity.claims.role`), so a condition that looks at one claim builds
//! one value, and the header map exists only where a condition reads headers. All values are CEL's own types over
//! borrowed text, so that equality and `in` mean what they mean in CEL.

use std::collections::HashMap;

use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelTimestamp};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use http::HeaderMap;

use crate::domain::{Claim, Identity, RequestView, Timestamp};
use crate::policy::condition::pattern::Pattern;

/// One identity and one request, as of one moment.
pub(super) struct World<'a> {
    pub(super) identity: Option<&'a Identity>,
    pub(super) request: &'a RequestView<'a>,
    pub(super) now: Timestamp,
    /// The patterns of `matches`, by the number in their name.
    pub(super) patterns: &'a [Pattern],
}

/// Patterns are variables of this name and a number. No expression can spell it.
pub(super) const PATTERN_PREFIX: &str = "@pattern";

impl VariableResolver for World<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        if let Some(number) = variable.strip_prefix(PATTERN_PREFIX) {
            let pattern = self.patterns.get(number.parse::<usize>().ok()?)?;
            return Some(CowVal::Borrowed(pattern));
        }
        let (root, path) = variable.split_once('.').map_or((variable, None), |(root, path)| (root, Some(path)));
        let value = match (root, path) {
            ("now", None) => timestamp(self.now)?,
            ("identity", None) => self.identity.map_or_else(null, identity_map),
            ("identity", Some(path)) => identity_member(self.identity?, path)?,
            ("request", None) => request_map(self.request),
            ("request", Some(path)) => request_member(self.request, path)?,
            _ => return None,
        };
        Some(CowVal::Owned(value))
    }
}

/// A CEL value that borrows from identity or request.
type Boxed<'b> = Box<dyn Val + 'b>;

/// The member of `identity` at a dotted path; `None` sends CEL on to the next shorter name.
fn identity_member<'b>(identity: &'b Identity, path: &str) -> Option<Boxed<'b>> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    match (first, rest) {
        ("subject", None) => Some(text(&identity.subject)),
        ("issuer", None) => Some(text(&identity.issuer)),
        ("scheme", None) => Some(text(identity.scheme)),
        ("authenticator", None) => Some(text(&identity.authenticator)),
        ("scopes", None) => Some(list(identity.scopes.iter().map(|scope| text(scope)))),
        ("claims", None) => Some(claim(identity.claims.get())),
        ("claims", Some(path)) => identity.claims.at_path(path).map(claim),
        ("also", None) => Some(map(identity.also.iter().map(|(name, identity)| (&**name, identity_map(identity))))),
        ("also", Some(path)) => {
            let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
            let (_, identity) = identity.also.iter().find(|(other, _)| **other == *name)?;
            rest.map_or_else(|| Some(identity_map(identity)), |rest| identity_member(identity, rest))
        }
        _ => None,
    }
}

fn identity_map(identity: &Identity) -> Boxed<'_> {
    let members = super::vocabulary::IDENTITY.iter();
    map(members.filter_map(|name| identity_member(identity, name).map(|value| (*name, value))))
}

fn request_member<'b>(request: &'b RequestView<'b>, path: &str) -> Option<Boxed<'b>> {
    match path {
        "method" => Some(text(request.method)),
        "path" => Some(text(&request.target.path)),
        "host" => Some(text(request.host)),
        "client" => Some(Box::new(CelString::from(request.client.to_canonical().to_string()))),
        "secure" => Some(Box::new(CelBool::from(request.secure))),
        "headers" => Some(map(request.headers.keys().map(|name| (name.as_str(), header(request.headers, name))))),
        _ => None,
    }
}

fn request_map<'b>(request: &'b RequestView<'b>) -> Boxed<'b> {
    let members = super::vocabulary::REQUEST.iter();
    map(members.filter_map(|name| request_member(request, name).map(|value| (*name, value))))
}

/// All values of a field as one text. Nothing is ever left out: a field that is present is never absent.
fn header<'b>(headers: &'b HeaderMap, name: &http::HeaderName) -> Boxed<'b> {
    let mut values = headers.get_all(name).iter();
    match (values.next().map(|value| value.to_str()), values.next()) {
        (Some(Ok(sole)), None) => text(sole),
        _ => {
            let mut joined = String::new();
            for (position, value) in headers.get_all(name).iter().enumerate() {
                if 0 < position {
                    joined.push_str(", ");
                }
                joined.extend(value.as_bytes().iter().map(|byte| char::from(*byte)));
            }
            Box::new(CelString::from(joined))
        }
    }
}

fn claim(value: Claim<'_>) -> Boxed<'_> {
    match value {
        Claim::Null => null(),
        Claim::Bool(truth) => Box::new(CelBool::from(truth)),
        Claim::Int(number) => Box::new(CelInt::from(number)),
        Claim::Float(number) => Box::new(CelDouble::from(number)),
        Claim::Text(content) => text(content),
        Claim::List(items) => list(items.map(claim)),
        Claim::Map(members) => map(members.map(|(name, member)| (name, claim(member)))),
    }
}

fn null<'b>() -> Boxed<'b> {
    Box::new(CelNull)
}

fn text(content: &str) -> Boxed<'_> {
    Box::new(CelString::from(content))
}

fn list<'b>(items: impl Iterator<Item = Boxed<'b>>) -> Boxed<'b> {
    Box::new(CelList::from(items.collect::<Vec<_>>()))
}

fn map<'b>(members: impl Iterator<Item = (&'b str, Boxed<'b>)>) -> Boxed<'b> {
    let members: HashMap<CelMapKey<'b>, Boxed<'b>> = members.map(|(name, value)| (CelMapKey::from(name), value)).collect();
    Box::new(CelMap::from(members))
}

/// `None` for a moment that CEL cannot write (it knows the years 1 to 9999); the condition then fails.
fn timestamp<'b>(moment: Timestamp) -> Option<Boxed<'b>> {
    let moment = chrono::DateTime::from_timestamp(moment.0, 0)?;
    Some(Box::new(CelTimestamp::from(moment.fixed_offset())))
}
