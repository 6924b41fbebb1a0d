//! Revocation in words: whose credentials are no longer taken, although they are still good.
//!
//! A revocation names a caller or a credential by what a verifier proves about it, so it is compared with identities and never
//! with credentials. It only ever takes away: an identity that no revocation covers is no better for it. Nothing here keeps a
//! list, and nothing says how one is written down.

use std::fmt;
use std::io::Write;
use std::sync::Arc;

use crate::domain::claims::Claim;
use crate::domain::identity::Identity;
use crate::domain::time::Timestamp;

/// Schemes whose subject is the id of a key that we hold.
pub const KEYED_SCHEMES: [&str; 3] = ["server_key", "key_pair", "janrain_signature"];

/// What a revocation goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum By {
    /// The id of a key of ours ([`KEYED_SCHEMES`]).
    Key,
    /// The subject, whatever it came in with.
    Subject,
    /// One credential: the claim `jti` (RFC 7519 section 4.1.7; of our tickets, their id).
    Token,
    /// One session: the claim `sid`.
    Session,
    /// One family of refresh tokens: the claim `fam`.
    Family,
}

impl By {
    /// Everything a revocation can go by.
    pub const ALL: [Self; 5] = [Self::Key, Self::Subject, Self::Token, Self::Session, Self::Family];

    /// Its name, in files, commands and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Subject => "subject",
            Self::Token => "token",
            Self::Session => "session",
            Self::Family => "family",
        }
    }

    /// What `identity` itself goes by; `None` when it has nothing of the kind. A whole number is read as its digits, which are
    /// put into `digits`. Identities beside it ([`Identity::also`]) are not looked at.
    #[must_use]
    pub fn of<'i>(self, identity: &'i Identity, digits: &'i mut Digits) -> Option<&'i str> {
        let claim = |name| identity.claims.member(name);
        match self {
            Self::Key => KEYED_SCHEMES.contains(&identity.scheme).then_some(&*identity.subject),
            Self::Subject => Some(&identity.subject),
            Self::Token => digits.text(claim("jti")?),
            Self::Session => digits.text(claim("sid")?),
            Self::Family => digits.text(claim("fam")?),
        }
    }
}

/// Room for a number as text.
#[derive(Debug, Default)]
pub struct Digits([u8; 20]);

impl Digits {
    fn text<'v>(&'v mut self, value: Claim<'v>) -> Option<&'v str> {
        if let Some(text) = value.as_text() {
            return Some(text);
        }
        let number = value.as_int()?;
        let room = self.0.len();
        let mut rest = self.0.as_mut_slice();
        write!(rest, "{number}").ok()?;
        let left = rest.len();
        std::str::from_utf8(self.0.get(..room - left)?).ok()
    }
}

/// Whose credentials are no longer taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// What it goes by.
    pub by: By,
    /// The key id, subject, token id, session or family.
    pub value: Box<str>,
    /// Only what this issuer vouches for (`iss` of a token, the key store of a key); every issuer without.
    pub issuer: Option<Box<str>>,
    /// Only credentials issued before this moment, so that a new login works again. A credential that does not say when it was
    /// issued is covered.
    pub issued_before: Option<Timestamp>,
    /// From this moment on it no longer counts: every credential it covers must have ended by then.
    pub until: Timestamp,
    /// Why, for operators; never shown to clients. May be empty.
    pub reason: Box<str>,
}

/// Why a revocation cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfit(&'static str);

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Revocation {
    /// The longest value or issuer, in bytes.
    pub const MOST_VALUE: usize = 1024;
    /// The longest reason, in bytes.
    pub const MOST_REASON: usize = 256;

    /// The same, when its texts are within bounds.
    ///
    /// # Errors
    ///
    /// [`Unfit`] for an empty or overlong value or issuer, an overlong reason, or control characters, which no identity has.
    pub fn within_bounds(self) -> Result<Self, Unfit> {
        let fits = |text: &str| !text.is_empty() && text.len() <= Self::MOST_VALUE && !text.chars().any(char::is_control);
        if !fits(&self.value) {
            return Err(Unfit("what is revoked has 1 to 1024 bytes and no control characters"));
        }
        if !self.issuer.as_deref().is_none_or(fits) {
            return Err(Unfit("`issuer` has 1 to 1024 bytes and no control characters"));
        }
        if Self::MOST_REASON < self.reason.len() || self.reason.chars().any(char::is_control) {
            return Err(Unfit("`reason` has at most 256 bytes and no control characters"));
        }
        Ok(self)
    }

    /// Whether it counts as of `now`.
    #[must_use]
    pub fn in_force(&self, now: Timestamp) -> bool {
        now < self.until
    }

    /// Whether it takes away `identity`, or one beside it, as of `now`.
    #[must_use]
    pub fn covers(&self, identity: &Identity, now: Timestamp) -> bool {
        let own = self.by.of(identity, &mut Digits::default()) == Some(&self.value) && self.reaches(identity, now);
        own || identity.also.iter().any(|(_, other)| self.covers(other, now))
    }

    /// Whether it takes away an identity that goes by its value: the rest of the question.
    #[must_use]
    pub fn reaches(&self, identity: &Identity, now: Timestamp) -> bool {
        self.in_force(now)
            && self.issuer.as_ref().is_none_or(|issuer| *issuer == identity.issuer)
            && self.issued_before.is_none_or(|bound| may_be_older(identity, bound))
    }
}

/// Whether `identity` may have been issued before `bound`: whenever it does not say otherwise.
fn may_be_older(identity: &Identity, bound: Timestamp) -> bool {
    match identity.claims.member("iat") {
        Some(Claim::Int(issued)) => Timestamp(issued) < bound,
        #[allow(clippy::cast_precision_loss, reason = "times of this age of the world are far below 2^53")]
        Some(Claim::Float(issued)) => issued < bound.0 as f64,
        _ => true,
    }
}

/// Names one entry of the list of revocations, on all nodes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RevocationId(pub [u8; 16]);

impl RevocationId {
    /// Reads what [`fmt::Display`] writes: 32 hexadecimal digits, lower case.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let digit = |byte: &u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 16 || !rest.is_empty() {
            return None;
        }
        let mut id = [0; 16];
        for (to, [high, low]) in id.iter_mut().zip(pairs) {
            *to = digit(high)? << 4 | digit(low)?;
        }
        Some(Self(id))
    }
}

impl fmt::Display for RevocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RevocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An entry of the list, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Where it comes from.
    pub from: ListedFrom,
    /// What it says.
    pub revocation: Arc<Revocation>,
}

/// Where an entry comes from. In order of age, the newest last; those of a file are older than all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListedFrom {
    /// The file that the conf names.
    File {
        /// Its line, from 1.
        line: usize,
    },
    /// An operator told one of the nodes.
    Log {
        /// When.
        made: Timestamp,
        /// Its name.
        id: RevocationId,
        /// Whether it is in the log that all nodes share; otherwise only this node knows of it as yet.
        kept: bool,
    },
}

#[cfg(test)]
mod tests;
