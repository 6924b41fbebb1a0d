//! Where a credential that is one text may stand, and how it is taken from there.
//!
//! Every place is looked at, also when an earlier one holds something: two places that agree are one credential,
//! two that disagree are a conflict. Nothing is trimmed, repaired or decoded but the query, whose parts are form-encoded.
//! What the text means is the business of the scheme; nothing here knows one.
//!
//! Rules: RFC 9110 section 11.6.2 (`Authorization`), RFC 6750 section 2.1 (`Bearer`), RFC 6265 section 4.2.1 and
//! RFC 9113 section 8.2.3 (cookies, also split over lines), WHATWG URL section 5.1 (form encoding).

use std::borrow::Cow;

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderName, HeaderValue};

use crate::domain::{Credential, Doubt, Found, Place, RequestView};
use crate::jose::form;
use crate::settings::{Checking, Choice, Node, Shape};

/// One place to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `Authorization: Bearer TEXT`.
    Bearer,
    /// A header field whose whole value is the text.
    Header(HeaderName),
    /// The cookie of exactly this name.
    Cookie(Box<str>),
    /// The query parameter of exactly this name, once decoded.
    Query(Box<str>),
    /// The same, whose value is `Bearer TEXT`, as a field's would be: from clients that cannot set fields on a WebSocket.
    QueryBearer(Box<str>),
}

/// The shape of a `from` key: a list of places, or a single one without brackets.
pub const SOURCES: Shape = Shape::List { of: &SOURCE, lone: true, min: 1 };

/// The shape of one place.
pub const SOURCE: Shape =
    Shape::Either(&[Shape::OneOf(&["bearer"]), Shape::Kind { what: "place of a credential", kinds: place_kinds, beside: &[] }]);

/// The kinds of places that have a name.
#[must_use]
pub fn place_kinds() -> Vec<Choice> {
    vec![
        Choice { name: "header", shape: Shape::HeaderName, doc: "A header field whose whole value is the credential." },
        Choice { name: "cookie", shape: Shape::Text, doc: "A cookie of exactly this name." },
        Choice {
            name: "query",
            shape: Shape::Text,
            doc: "A query parameter of exactly this name. URLs end up in logs and histories: prefer anything else.",
        },
        Choice {
            name: "query_bearer",
            shape: Shape::Text,
            doc: "A query parameter of exactly this name whose value is `Bearer TEXT`, from clients that cannot set fields on a WebSocket.",
        },
    ]
}

impl Source {
    /// The part of a request that is looked at, and removed before forwarding.
    #[must_use]
    pub fn place(&self) -> Place {
        match self {
            Self::Bearer => Place::Header(AUTHORIZATION),
            Self::Header(name) => Place::Header(name.clone()),
            Self::Cookie(name) => Place::Cookie(name.clone()),
            Self::Query(name) | Self::QueryBearer(name) => Place::Query(name.clone()),
        }
    }
}

/// Proves the items of a `from` key, whose form [`SOURCES`] has proven already.
///
/// No item at all, which is what `Section::items` gives for a key that is not written, makes an empty list: the
/// scheme then has a default of its own. `None` after a fault.
pub fn plan_sources(nodes: &[&Node], checking: &mut Checking<'_>) -> Option<Box<[Source]>> {
    let mut sources: Vec<Source> = Vec::with_capacity(nodes.len());
    let mut sound = true;
    for node in nodes {
        match plan_source(node) {
            Err(says) => {
                checking.faults.error(&node.span, says);
                sound = false;
            }
            Ok(source) if sources.contains(&source) => {
                checking.faults.error(&node.span, "this place is named already; name each place once");
                sound = false;
            }
            Ok(source) => sources.push(source),
        }
    }
    sound.then(|| sources.into())
}

fn plan_source(node: &Node) -> Result<Source, String> {
    if let Some(word) = node.as_text() {
        return match word {
            "bearer" => Ok(Source::Bearer),
            _ => Err(format!(
                "`{word}` is no place of a credential; write `bearer`, {{ header: NAME }}, {{ cookie: NAME }} or {{ query: NAME }}"
            )),
        };
    }
    let written = node.sole_entry().and_then(|entry| entry.node.as_text().map(|name| (entry.key.as_str(), name)));
    match written {
        Some(("header", name)) => match HeaderName::from_bytes(name.as_bytes()) {
            Ok(AUTHORIZATION) => Err("`Authorization` carries more than the credential; write `bearer`".to_owned()),
            Ok(COOKIE) => Err("`Cookie` carries all cookies; write { cookie: NAME }".to_owned()),
            Ok(header) => Ok(Source::Header(header)),
            Err(_) => Err(format!("`{name}` is not a header field name (RFC 9110 section 5.1)")),
        },
        Some(("cookie", name)) if !name.is_empty() && name.bytes().all(is_token) => Ok(Source::Cookie(name.into())),
        Some(("cookie", name)) => Err(format!("`{name}` is not a cookie name (RFC 6265 section 4.1.1)")),
        Some(("query", name)) if !name.is_empty() && !name.chars().any(char::is_control) => Ok(Source::Query(name.into())),
        Some(("query_bearer", name)) if !name.is_empty() && !name.chars().any(char::is_control) => Ok(Source::QueryBearer(name.into())),
        _ => Err("a place of a credential is `bearer`, { header: NAME }, { cookie: NAME } or { query: NAME }".to_owned()),
    }
}

/// What stands in the places that were looked at.
#[derive(Clone, PartialEq)]
pub enum Presented<'r> {
    /// Nothing in any of them.
    Absent,
    /// One text, never empty; `places` names every place that held it, in the order they were looked at.
    One {
        /// The text, unproven.
        text: Cow<'r, str>,
        /// Where it stood.
        places: Vec<Place>,
    },
    /// Something that has no reading ([`Doubt::Malformed`]) or more than one ([`Doubt::Conflict`]).
    Unreadable(Doubt),
}

impl<'r> From<Presented<'r>> for Found<'r> {
    fn from(presented: Presented<'r>) -> Self {
        match presented {
            Presented::Absent => Self::Absent,
            Presented::One { text, places } => Self::Present(Credential::new(vec![text], places)),
            Presented::Unreadable(doubt) => Self::Unreadable(doubt),
        }
    }
}

/// Shows lengths only: the text may be a credential.
impl std::fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Absent => f.write_str("Absent"),
            Self::One { text, places } => f.debug_struct("One").field("length", &text.len()).field("places", places).finish(),
            Self::Unreadable(doubt) => f.debug_tuple("Unreadable").field(doubt).finish(),
        }
    }
}

/// One reading of one place: nothing, a text, or why there is no reading.
pub type Reading<'r> = Result<Option<Cow<'r, str>>, Doubt>;

/// Looks at all of `sources` and makes one of what they hold.
///
/// The first place that cannot be read decides, in the order of `sources`; then any two that disagree.
#[must_use]
pub fn find_one<'r>(sources: &[Source], request: &RequestView<'r>) -> Presented<'r> {
    unite(sources.iter().map(|source| (read(source, request), source.place())))
}

/// Makes one of the readings of several places: equal ones are one, unequal ones a conflict.
pub fn unite<'r>(readings: impl Iterator<Item = (Reading<'r>, Place)>) -> Presented<'r> {
    let mut found: Option<(Cow<'r, str>, Vec<Place>)> = None;
    let mut disagree = false;
    for (reading, place) in readings {
        match (reading, &mut found) {
            (Err(doubt), _) => return Presented::Unreadable(doubt),
            (Ok(None), _) => {}
            (Ok(Some(text)), None) => found = Some((text, vec![place])),
            (Ok(Some(text)), Some((first, places))) => {
                disagree |= text != *first;
                places.push(place);
            }
        }
    }
    match found {
        _ if disagree => Presented::Unreadable(Doubt::Conflict),
        Some((text, places)) => Presented::One { text, places },
        None => Presented::Absent,
    }
}

/// Looks at one place.
///
/// # Errors
///
/// [`Doubt::Malformed`] for what has no reading there, [`Doubt::Conflict`] for what stands there twice.
pub fn read<'r>(source: &Source, request: &RequestView<'r>) -> Reading<'r> {
    match source {
        Source::Bearer => authorization("Bearer", request),
        Source::Header(name) => header(name, request),
        Source::Cookie(name) => cookie(name, request),
        Source::Query(name) => query(name, request),
        Source::QueryBearer(name) => query(name, request)?.map(|value| bearer_in(&value)).transpose(),
    }
}

/// The token68 of a whole `Bearer TEXT`.
fn bearer_in(value: &str) -> Result<Cow<'static, str>, Doubt> {
    let text = value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, text)| text);
    text.filter(|text| is_token68(text)).map(|text| Cow::Owned(text.to_owned())).ok_or(Doubt::Malformed)
}

/// The credentials of `Authorization` under auth-scheme `scheme`: one token68 after exactly one space.
///
/// Another auth-scheme is not ours and reads as nothing; a value without any is malformed.
///
/// # Errors
///
/// [`Doubt::Conflict`] for two fields or a comma-joined pair, [`Doubt::Malformed`] for everything else that is no token68.
pub fn authorization<'r>(scheme: &str, request: &RequestView<'r>) -> Reading<'r> {
    let mut values = request.headers.get_all(&AUTHORIZATION).iter();
    if let (Some(sole), None) = (values.next(), values.next())
        && let Some(text) = plain_authorization(scheme, sole.as_bytes())
    {
        return Ok(Some(Cow::Borrowed(text)));
    }
    let Some(value) = sole_value(&AUTHORIZATION, request)? else { return Ok(None) };
    let end = value.bytes().position(|byte| !is_token(byte)).unwrap_or(value.len());
    let (name, rest) = value.split_at_checked(end).ok_or(Doubt::Malformed)?;
    if !name.eq_ignore_ascii_case(scheme) {
        // Joined by something in front of us: then ours may stand second.
        let joined = rest.split(',').skip(1).any(|part| begins_with_scheme(part.trim_matches([' ', '\t']), scheme));
        return match rest.bytes().next() {
            _ if joined => Err(Doubt::Conflict),
            _ if name.is_empty() => Err(Doubt::Malformed),
            None | Some(b' ') => Ok(None),
            Some(_) => Err(Doubt::Malformed),
        };
    }
    // Nothing of ours can be read in it: what could be has been read above.
    Err(if rest.contains(',') { Doubt::Conflict } else { Doubt::Malformed })
}

/// The token68 of a value that is nothing but `scheme`, one space and that; as every good one is.
fn plain_authorization<'v>(scheme: &str, value: &'v [u8]) -> Option<&'v str> {
    let (name, rest) = value.split_at_checked(scheme.len())?;
    let text = rest.strip_prefix(b" ").filter(|_| name.eq_ignore_ascii_case(scheme.as_bytes()))?;
    std::str::from_utf8(text).ok().filter(|text| is_token68(text))
}

fn begins_with_scheme(part: &str, scheme: &str) -> bool {
    part.split(' ').next().is_some_and(|name| name.eq_ignore_ascii_case(scheme))
}

/// The whole value of field `name`.
///
/// # Errors
///
/// [`Doubt::Conflict`] when it stands there twice, or once with a comma, which is how two are joined on the way and what no
/// credential of one text holds; [`Doubt::Malformed`] when it is empty or not visible ASCII.
pub fn header<'r>(name: &HeaderName, request: &RequestView<'r>) -> Reading<'r> {
    match sole_value(name, request)? {
        Some(value) if value.contains(',') => Err(Doubt::Conflict),
        Some("") => Err(Doubt::Malformed),
        value => Ok(value.map(Cow::Borrowed)),
    }
}

/// The only value of field `name`, as it stands; it may be empty.
///
/// # Errors
///
/// [`Doubt::Conflict`] when there are two, [`Doubt::Malformed`] when it holds anything but visible ASCII, space and tab.
pub fn sole_value<'r>(name: &HeaderName, request: &RequestView<'r>) -> Result<Option<&'r str>, Doubt> {
    let mut values = request.headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Doubt::Conflict),
        (value, None) => value.map(HeaderValue::to_str).transpose().map_err(|_| Doubt::Malformed),
    }
}

/// The value of the cookie called exactly `name`, over all `Cookie` fields.
///
/// # Errors
///
/// [`Doubt::Conflict`] when the name stands there twice; [`Doubt::Malformed`] when its value is empty, missing, quoted, or
/// holds a byte that no cookie value may (RFC 6265 section 4.1.1). Other cookies are not judged.
pub fn cookie<'r>(name: &str, request: &RequestView<'r>) -> Reading<'r> {
    let mut found: Reading<'r> = Ok(None);
    for line in request.headers.get_all(COOKIE) {
        for pair in line.as_bytes().split(|byte| *byte == b';') {
            let (key, value) = match memchr::memchr(b'=', pair).and_then(|at| pair.split_at_checked(at)) {
                Some((key, value)) => (key, value.get(1..)),
                None => (pair, None),
            };
            if key.trim_ascii() != name.as_bytes() {
                continue;
            }
            if found != Ok(None) {
                return Err(Doubt::Conflict);
            }
            let sound = !key.ends_with(b" ") && !key.ends_with(b"\t");
            found = match value.and_then(|value| std::str::from_utf8(value).ok()) {
                Some(value) if sound && !value.is_empty() && value.bytes().all(is_cookie_octet) => Ok(Some(Cow::Borrowed(value))),
                _ => Err(Doubt::Malformed),
            };
        }
    }
    found
}

/// The value of the query parameter that is called exactly `name` once decoded.
///
/// # Errors
///
/// As [`form_value`].
pub fn query<'r>(name: &str, request: &RequestView<'r>) -> Reading<'r> {
    request.target.query.as_deref().map_or(Ok(None), |query| form_value(name, query))
}

/// The value of `name` in the form-encoded `text`, decoded.
///
/// # Errors
///
/// [`Doubt::Conflict`] when the name stands there twice, in any spelling; [`Doubt::Malformed`] when its value is empty, a
/// percent sign in it (or in any name, which might then be meant as this one) does not start an escape, or it is not UTF-8.
pub fn form_value<'t>(name: &str, text: &'t str) -> Reading<'t> {
    let mut found: Reading<'t> = Ok(None);
    for (key, value) in form::pieces(text) {
        // Decoding never makes a text longer.
        if key.len() < name.len() && !key.contains('%') {
            continue;
        }
        match form::decoded(key) {
            None => return Err(Doubt::Malformed),
            Some(key) if key != name => {}
            Some(_) if found != Ok(None) => return Err(Doubt::Conflict),
            Some(_) => found = form::decoded(value).filter(|value| !value.is_empty()).map(Some).ok_or(Doubt::Malformed),
        }
    }
    found
}

/// Whether `byte` may stand in a token (RFC 9110 section 5.6.2).
pub fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

/// RFC 9110 section 11.2.
fn is_token68(text: &str) -> bool {
    let body = text.as_bytes();
    // A credential is long, and every byte of it is asked about for every request: without a branch, many are asked about at once.
    let end = body.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let body = body.get(..end).unwrap_or_default();
    !body.is_empty() && body.iter().fold(true, |sound, byte| sound & is_token68_byte(*byte))
}

/// What may stand in a token68, its padding left out.
const fn is_token68_byte(byte: u8) -> bool {
    let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    // `-./0123456789` stand in one row.
    let is_digit_or_mark = byte.wrapping_sub(b'-') < 13;
    is_letter | is_digit_or_mark | (byte == b'_') | (byte == b'~') | (byte == b'+')
}

/// Whether `byte` may stand in the value of a cookie (RFC 6265 section 4.1.1): what is read from one, and what is handed back in one.
#[must_use]
pub fn is_cookie_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\",;\\".contains(&byte)
}

#[cfg(test)]
mod tests;
