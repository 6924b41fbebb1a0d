//! Where an API client says who it is, and which parameters its signature covers.
//!
//! The grammar of the field is strict: one space, an id without a colon, 28 characters of base64. `Date` is read as it was sent;
//! Capture's form is no date of HTTP. Parameters of query and body are one list, in which no name may stand twice and nothing
//! may stand that would give two lists one text. A body that is no form is not covered by the signature and is refused beside one.

use std::borrow::Cow;

use http::header::{AUTHORIZATION, DATE};

use crate::domain::{Credential, Doubt, Facts, Found, Need, Place, RequestView, Step, Value};
use crate::jose::form::{self, Pair, Parameters};
use crate::jose::janrain::unambiguous;
use crate::jose::json::{JsonFault, parse};
use crate::verify::presented::{authorization, form_value, sole_value};

/// How clients may say who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origins {
    /// By a signature.
    pub(super) signature: bool,
    /// By id and secret in the body.
    pub(super) body: bool,
    /// By an id in the body.
    pub(super) public: bool,
}

impl Origins {
    /// The words of the conf.
    pub(super) const WORDS: &'static [&'static str] = &["signature", "body", "public"];

    /// Those that the conf calls `words`.
    pub(super) fn named(words: &[&str]) -> Self {
        let has = |word| words.contains(&word);
        Self { signature: has("signature"), body: has("body"), public: has("public") }
    }
}

/// Which of the ways a credential came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Parts: the word, id, signature, date.
    Signature,
    /// Parts: the word, id, secret.
    Body,
    /// Parts: the word, id.
    Public,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Body => "body",
            Self::Public => "public",
        }
    }

    /// The kind whose credential begins with `word`.
    pub(super) fn named(word: &str) -> Option<Self> {
        [Self::Signature, Self::Body, Self::Public].into_iter().find(|kind| kind.word() == word)
    }
}

/// What `Authorization` says.
enum Field<'r> {
    /// Nothing, or what is about a user.
    None,
    /// A signature: what stands after the one space.
    Signature(&'r str),
    /// `Basic`: a client as well, for another scheme.
    Basic,
}

/// Looks for a client.
pub(super) fn find<'r>(from: Origins, request: &RequestView<'r>, facts: &Facts) -> Step<Found<'r>> {
    let field = match field(request) {
        Ok(field) => field,
        Err(doubt) => return Step::Done(Found::Unreadable(doubt)),
    };
    if let (Field::Signature(text), true) = (&field, from.signature) {
        return Step::Done(match signed(text, request) {
            Ok(credential) => Found::Present(credential),
            Err(doubt) => Found::Unreadable(doubt),
        });
    }
    let kind = form::body_type(request.headers);
    let (true, Some(kind)) = (from.body || from.public, kind) else { return Step::Done(Found::Absent) };
    let Some(body) = facts.body() else { return Step::Need(Need::Body) };
    Step::Done(match in_body(from, &field, kind, body) {
        Ok(None) => Found::Absent,
        Ok(Some(credential)) => Found::Present(credential),
        Err(doubt) => Found::Unreadable(doubt),
    })
}

fn field<'r>(request: &RequestView<'r>) -> Result<Field<'r>, Doubt> {
    let Some(value) = sole_value(&AUTHORIZATION, request)? else { return Ok(Field::None) };
    let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
    if scheme.eq_ignore_ascii_case("Signature") {
        return if rest.contains(',') { Err(Doubt::Conflict) } else { Ok(Field::Signature(rest)) };
    }
    // Also tells of a signature that something on the way has joined to another credential.
    authorization("Signature", request)?;
    Ok(if scheme.eq_ignore_ascii_case("Basic") { Field::Basic } else { Field::None })
}

fn signed<'r>(text: &'r str, request: &RequestView<'r>) -> Result<Credential<'r>, Doubt> {
    let (id, signature) = text.split_once(':').ok_or(Doubt::Malformed)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if id.is_empty() || !id.bytes().all(plain) || signature.len() != 28 {
        return Err(Doubt::Malformed);
    }
    let date = sole_value(&DATE, request)?.ok_or(Doubt::Malformed)?;
    Ok(Credential::new(
        [Kind::Signature.word(), id, signature, date].map(Cow::Borrowed).into(),
        vec![Place::Header(AUTHORIZATION), Place::Header(DATE)],
    ))
}

fn in_body<'r>(from: Origins, field: &Field<'_>, kind: Parameters, body: &[u8]) -> Result<Option<Credential<'r>>, Doubt> {
    let [id, secret] = match kind {
        Parameters::Form => {
            let text = std::str::from_utf8(body).map_err(|_| Doubt::Malformed)?;
            let value = |name| Ok::<_, Doubt>(form_value(name, text)?.map(Cow::into_owned));
            [value("client_id")?, value("client_secret")?]
        }
        Parameters::Json if body.is_empty() => [None, None],
        Parameters::Json => members(body)?,
    };
    let credential = |kind: Kind, parts: Vec<String>| {
        Credential::new(std::iter::once(Cow::Borrowed(kind.word())).chain(parts.into_iter().map(Cow::Owned)).collect(), vec![Place::Body])
    };
    match (id, secret) {
        (_, Some(_)) if !matches!(field, Field::None) => Err(Doubt::Conflict),
        (Some(id), Some(secret)) if from.body => Ok(Some(credential(Kind::Body, vec![id, secret]))),
        // A secret that nobody compares has no business here.
        (_, Some(_)) => Err(Doubt::Malformed),
        (Some(id), None) if from.public => Ok(Some(credential(Kind::Public, vec![id]))),
        (_, None) => Ok(None),
    }
}

/// The two members of a JSON object; a body that is none has none.
fn members(body: &[u8]) -> Result<[Option<String>; 2], Doubt> {
    let value = parse(body).map_err(|fault| match fault {
        JsonFault::Duplicate => Doubt::Conflict,
        JsonFault::Malformed | JsonFault::TooDeep => Doubt::Malformed,
    })?;
    let text = |name| match value.member(name) {
        None => Ok(None),
        Some(Value::Text(text)) if !text.is_empty() => Ok(Some(text.to_string())),
        Some(_) => Err(Doubt::Malformed),
    };
    Ok([text("client_id")?, text("client_secret")?])
}

/// The parameters of a request that `id` has signed.
///
/// # Errors
///
/// [`Doubt::Conflict`] for a name that stands twice, a secret beside the signature, or another `client_id` than the one that
/// signed, since no signature covers it; [`Doubt::Malformed`] for a body that no signature covers, and for everything with
/// which two lists of parameters would have one text.
pub(super) fn parameters<'b>(id: &str, request: &RequestView<'b>, body: &'b [u8]) -> Result<Vec<Pair<'b>>, Doubt> {
    let query: &'b Option<Box<str>> = &request.target.query;
    let mut pairs = form::pairs(query.as_deref().unwrap_or_default()).ok_or(Doubt::Malformed)?;
    if !body.is_empty() {
        if form::body_type(request.headers) != Some(Parameters::Form) {
            return Err(Doubt::Malformed);
        }
        let text = std::str::from_utf8(body).map_err(|_| Doubt::Malformed)?;
        pairs.extend(form::pairs(text).ok_or(Doubt::Malformed)?);
    }
    if form::repeated(&pairs).is_some() {
        return Err(Doubt::Conflict);
    }
    if !unambiguous(&pairs) {
        return Err(Doubt::Malformed);
    }
    let foreign = |(name, value): &Pair<'_>| name == "client_secret" || (name == "client_id" && value != id);
    if pairs.iter().any(foreign) { Err(Doubt::Conflict) } else { Ok(pairs) }
}
