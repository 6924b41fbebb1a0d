//! The compact form of a JWS, taken apart strictly and before anything is believed.
//!
//! Three parts, each in its one canonical encoding, a header that says nothing we do not understand. What a header says
//! about keys (`jwk`, `jku`, `x5u`, `x5c`) is never read: a token does not bring the key it is judged by.
//! Absent on purpose: the JSON serializations, JWE, detached and unencoded payloads.
//!
//! Rules: RFC 7515 sections 3.1, 4 and 7.1; RFC 7516 section 9 (telling JWE apart); RFC 8725 sections 3.1 and 3.11.

use std::borrow::Cow;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::domain::{Claim, Claims, Credential, Verified};
use crate::jose::algorithm::Algorithm;
use crate::jose::base64url;
use crate::jose::json;
use crate::jose::key::VerifyingKey;

/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN: usize = 8 * 1_024;

/// The longest `kid` that is looked up, in bytes.
pub const MAX_KID: usize = 256;

/// The longest signature of any of our algorithms: RSA of 8192 bits.
const MAX_SIGNATURE: usize = 1_024;

/// Why a text is not a compact JWS that we judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CompactFault {
    /// Longer than [`MAX_TOKEN`].
    #[error("longer than any token we read")]
    TooLong,
    /// Not three non-empty parts.
    #[error("not three parts")]
    Parts,
    /// A part is not canonical base64url, or the signature is longer than any.
    #[error("a part is not canonical base64url")]
    Encoding,
    /// The header is no JSON object with one reading, or a member has a type it must not have.
    #[error("the header is ill-formed")]
    Header,
    /// The header asks for something we do not do: `crit`, `b64`, `zip`, `enc`, a nested token.
    #[error("the header asks for something unsupported")]
    Unsupported,
    /// The payload is no JSON object with one reading.
    #[error("the payload is not a claim set")]
    Payload,
}

/// What the header says. Unproven until the signature is.
#[derive(Debug)]
pub struct Header {
    /// `alg`; `None` when its name is none of ours, `none` included.
    pub algorithm: Option<Algorithm>,
    /// `kid`, at most [`MAX_KID`] bytes.
    pub kid: Option<Box<str>>,
    /// `typ`, as written.
    pub kind: Option<Box<str>>,
    /// The part of the token that says so.
    written: Box<str>,
}

/// A token of three parts whose payload is a set of claims. Nothing else of it has been looked at, and nothing is proven.
///
/// It has no `Debug`: a token is a credential.
pub struct Opened<'t> {
    token: Cow<'t, str>,
    claims: Cow<'t, Claims>,
}

/// A compact JWS whose form is sound and whose signature nobody has looked at yet.
///
/// It has no `Debug`: a token is a credential.
pub struct Compact<'t> {
    header: Arc<Header>,
    /// Header and payload as sent, with the dot between: what was signed.
    signed: &'t str,
    signature: &'t str,
    claims: Cow<'t, Claims>,
}

/// The header of the last token that was worth remembering, since those of one key begin alike, to the letter.
#[derive(Default)]
pub struct LastHeader(ArcSwapOption<Header>);

impl LastHeader {
    /// What `written` says, read if it is not the one that is remembered.
    fn read(&self, written: &str) -> Result<Arc<Header>, CompactFault> {
        match &*self.0.load() {
            Some(last) if *last.written == *written => Ok(Arc::clone(last)),
            _ => read_header(written).map(Arc::new),
        }
    }

    /// Remembers `header`, which is that of a good token: what anybody may send would only push a better one out.
    pub fn keep(&self, header: &Arc<Header>) {
        if !self.0.load().as_ref().is_some_and(|last| Arc::ptr_eq(last, header)) {
            self.0.store(Some(Arc::clone(header)));
        }
    }
}

/// Takes `token` apart, without decoding anything: header, payload, signature.
///
/// # Errors
///
/// [`CompactFault::TooLong`], [`CompactFault::Parts`].
pub fn split(token: &str) -> Result<[&str; 3], CompactFault> {
    if MAX_TOKEN < token.len() {
        return Err(CompactFault::TooLong);
    }
    let mut dots = memchr::memchr_iter(b'.', token.as_bytes());
    let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else { return Err(CompactFault::Parts) };
    match (token.get(..first), token.get(first + 1..second), token.get(second + 1..)) {
        (Some(header), Some(payload), Some(signature)) if !header.is_empty() && !payload.is_empty() && !signature.is_empty() => {
            Ok([header, payload, signature])
        }
        _ => Err(CompactFault::Parts),
    }
}

impl<'t> Opened<'t> {
    /// Reads the claims of `token`.
    ///
    /// # Errors
    ///
    /// [`CompactFault`] when it has no three parts, or its payload is no set of claims.
    pub fn read(token: &'t str) -> Result<Self, CompactFault> {
        let [_, payload, _] = split(token)?;
        Ok(Self { token: Cow::Borrowed(token), claims: Cow::Owned(read_claims(payload)?) })
    }

    /// What `credential`, a token, was read as when it was found ([`Credential::read_as`]); if that was not this text, it is read now.
    ///
    /// # Errors
    ///
    /// As [`Opened::read`].
    pub fn of(credential: &'t Credential<'_>) -> Result<Self, CompactFault> {
        // Whatever became of the credential since: what was read of another text is not what it says.
        match credential.reading::<Opened<'static>>().filter(|read| *read.token == *credential.part(0)) {
            Some(read) => Ok(Self { token: Cow::Borrowed(&read.token), claims: Cow::Borrowed(&read.claims) }),
            None => Self::read(credential.part(0)),
        }
    }

    /// The same, to be kept with a credential.
    #[must_use]
    pub fn into_owned(self) -> Opened<'static> {
        Opened { token: Cow::Owned(self.token.into_owned()), claims: Cow::Owned(self.claims.into_owned()) }
    }

    /// What the token claims, unproven. For choosing a key, never for trusting.
    #[must_use]
    pub fn claimed(&self) -> &Claims {
        &self.claims
    }

    /// Reads the rest: the header, unless it is the `last` one, and the form of the signature.
    ///
    /// # Errors
    ///
    /// See [`CompactFault`].
    pub fn compact(&self, last: &LastHeader) -> Result<Compact<'_>, CompactFault> {
        let [header, _, signature] = split(&self.token)?;
        let signature = sized(signature)?;
        Compact::of(&self.token, last.read(header)?, signature, Cow::Borrowed(&self.claims))
    }
}

impl<'t> Compact<'t> {
    /// Reads `token`: form, header and claims, none of which is proven thereby.
    ///
    /// # Errors
    ///
    /// See [`CompactFault`]. Lengths are checked before anything is decoded.
    pub fn parse(token: &'t str) -> Result<Self, CompactFault> {
        let [header, payload, signature] = split(token)?;
        let signature = sized(signature)?;
        Self::of(token, Arc::new(read_header(header)?), signature, Cow::Owned(read_claims(payload)?))
    }

    /// `signature` is the last part of `token`; header and claims are the others, read.
    fn of(token: &'t str, header: Arc<Header>, signature: &'t str, claims: Cow<'t, Claims>) -> Result<Self, CompactFault> {
        // Both dots are there, so the signature stands behind the last one.
        let signed = token.get(..token.len().saturating_sub(signature.len() + 1)).ok_or(CompactFault::Parts)?;
        Ok(Self { header, signed, signature, claims })
    }

    /// What the header says.
    #[must_use]
    pub fn header(&self) -> &Arc<Header> {
        &self.header
    }

    /// What the token claims, unproven. For choosing a key, never for trusting.
    #[must_use]
    pub fn claimed(&self) -> &Claims {
        &self.claims
    }

    /// The claims, proven by the first of `keys` that made the signature under `algorithm`; `None` when none did.
    ///
    /// Keys that may not be used with `algorithm` are passed over.
    #[must_use]
    pub fn prove(self, algorithm: Algorithm, keys: &[Arc<VerifyingKey>]) -> Option<Verified<Claims>> {
        let signature = base64url::decode(self.signature).filter(|signature| signature.len() <= MAX_SIGNATURE)?;
        if keys.iter().any(|key| key.verifies(algorithm, self.signed.as_bytes(), &signature)) {
            return Some(Verified::vouch(self.claims.into_owned()));
        }
        None
    }
}

/// The `iss` that `token` claims, read without anything else of it: enough to tell whose token it is, never to trust it.
///
/// `None` when it claims none.
///
/// # Errors
///
/// [`CompactFault`] when the token has no three parts, or its payload no issuer of the right type.
pub fn claimed_issuer(token: &str) -> Result<Option<String>, CompactFault> {
    /// All other members are passed over, and `iss` may stand once.
    #[derive(serde::Deserialize)]
    struct Claimed {
        #[serde(default, deserialize_with = "present")]
        iss: Option<String>,
    }
    /// A `null` is not an absent issuer.
    fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
        <String as serde::Deserialize>::deserialize(deserializer).map(Some)
    }

    let [_, payload, _] = split(token)?;
    let payload = base64url::decode(payload).ok_or(CompactFault::Encoding)?;
    // A struct may also be read from a list; a claim set may not.
    if payload.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(CompactFault::Payload);
    }
    serde_json::from_slice::<Claimed>(&payload).map(|claimed| claimed.iss).map_err(|_| CompactFault::Payload)
}

/// The text that a member of the header holds, if it has that member.
fn text(member: Option<Claim<'_>>) -> Result<Option<&str>, CompactFault> {
    member.map(|member| member.as_text().ok_or(CompactFault::Header)).transpose()
}

/// `signature`, when it is not longer than any.
fn sized(signature: &str) -> Result<&str, CompactFault> {
    if MAX_SIGNATURE.div_ceil(3) * 4 < signature.len() { Err(CompactFault::Encoding) } else { Ok(signature) }
}

/// The claims that `payload` is.
fn read_claims(payload: &str) -> Result<Claims, CompactFault> {
    let bytes = base64url::decode(payload).ok_or(CompactFault::Encoding)?;
    let claims = json::parse_claims(&bytes).map_err(|_| CompactFault::Payload)?;
    if matches!(claims.get(), Claim::Map(_)) { Ok(claims) } else { Err(CompactFault::Payload) }
}

fn read_header(written: &str) -> Result<Header, CompactFault> {
    /// Members whose mere presence changes what the token means.
    const UNSUPPORTED: [&str; 4] = ["crit", "b64", "zip", "enc"];

    let bytes = base64url::decode(written).ok_or(CompactFault::Encoding)?;
    let header = json::parse_claims(&bytes).map_err(|_| CompactFault::Header)?;
    let Claim::Map(members) = header.get() else { return Err(CompactFault::Header) };
    let [mut algorithm, mut kid, mut kind, mut content] = [None; 4];
    for (name, member) in members {
        match name {
            "alg" => algorithm = Some(member),
            "kid" => kid = Some(member),
            "typ" => kind = Some(member),
            "cty" => content = Some(member),
            name if UNSUPPORTED.contains(&name) => return Err(CompactFault::Unsupported),
            _ => {}
        }
    }
    let algorithm = text(algorithm)?.filter(|name| !name.is_empty()).ok_or(CompactFault::Header)?;
    let kid = text(kid)?;
    if kid.is_some_and(|kid| MAX_KID < kid.len()) {
        return Err(CompactFault::Header);
    }
    // RFC 7519 section 5.2: the payload is another token. Ours is a claim set.
    if text(content)?.is_some_and(|content| media_type(content).eq_ignore_ascii_case("jwt")) {
        return Err(CompactFault::Unsupported);
    }
    Ok(Header {
        algorithm: Algorithm::named(algorithm),
        kid: kid.map(Into::into),
        kind: text(kind)?.map(Into::into),
        written: written.into(),
    })
}

/// A media type as `typ` and `cty` abbreviate it: without `application/` (RFC 7515 section 4.1.9).
#[must_use]
pub fn media_type(written: &str) -> &str {
    const PREFIX: &str = "application/";
    match written.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) && !rest.contains('/') => rest,
        _ => written,
    }
}

#[cfg(test)]
mod tests;
