//! Rules for registered JWT claims.
//!
//! Everything here is a pure function of its arguments: `now` is passed in, no clock is read, no key is touched. A claim
//! set reaches this file only inside [`Verified`], so a rule cannot be asked about a token whose signature is unchecked.
//!
//! A registered claim that is present with another type than its own is never treated as absent (CVE-2026-25537).
//!
//! Rules: RFC 7519 section 4.1, RFC 8725 sections 3.8 to 3.10.

use crate::domain::claims::Items;
use crate::domain::{Claim, Claims, Doubt, Seconds, Timestamp, Verified};

/// The longest subject, in bytes.
pub const MAX_SUBJECT: usize = 1_024;

/// The last second of the year 9999. What claims to be later counts milliseconds, or means mischief.
const LAST_DATE: i64 = 253_402_300_799;

/// The registered claims of one token, each of its own type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Registered<'c> {
    /// `iss`.
    pub issuer: Option<&'c str>,
    /// `sub`; never empty, at most [`MAX_SUBJECT`] bytes, no control character.
    pub subject: Option<&'c str>,
    /// `aud`: whom the token is for.
    pub audience: Option<Audience<'c>>,
    /// `exp`, `nbf` and `iat`.
    pub lifetime: Lifetime,
}

/// `aud` in either of its forms (RFC 7519 section 4.1.3).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Audience<'c> {
    /// One name.
    One(&'c str),
    /// Several; all of them texts.
    Several(Items<'c>),
}

/// The moments of a token, as it states them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lifetime {
    /// `exp`.
    pub expires: Option<Timestamp>,
    /// `nbf`.
    pub not_before: Option<Timestamp>,
    /// `iat`.
    pub issued_at: Option<Timestamp>,
}

/// What an authenticator demands of a lifetime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LifetimeRules {
    /// Clocks may disagree by so much; widens both ends.
    pub leeway: Seconds,
    /// A token may be presented until so long after `iat`, that second included.
    pub max_age: Option<Seconds>,
    /// `exp` may be at most so long after `iat`.
    pub max_lifetime: Option<Seconds>,
}

/// When a token may be presented: `not_before <= now < expires`, leeway included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first good second, if there is a bound.
    pub not_before: Option<Timestamp>,
    /// The first second that is too late.
    pub expires: Timestamp,
}

impl<'c> Registered<'c> {
    /// Reads the registered claims.
    ///
    /// # Errors
    ///
    /// [`Doubt::ClaimsMalformed`] when one of them is present with another type, an empty subject, a moment before 1970
    /// or after the year 9999. Moments may be whole numbers or floats without a fraction, nothing else.
    pub fn read(claims: &'c Verified<Claims>) -> Result<Self, Doubt> {
        let mut read = Self { issuer: None, subject: None, audience: None, lifetime: Lifetime::default() };
        let Claim::Map(members) = claims.get().get() else { return Ok(read) };
        // Once through all of them, where a look-up of each would begin anew.
        for (name, claim) in members {
            match name {
                "iss" => read.issuer = Some(claim.as_text().ok_or(Doubt::ClaimsMalformed)?),
                "sub" => read.subject = Some(subject(claim)?),
                "aud" => read.audience = Some(Audience::read(claim)?),
                "exp" => read.lifetime.expires = Some(date(claim)?),
                "nbf" => read.lifetime.not_before = Some(date(claim)?),
                "iat" => read.lifetime.issued_at = Some(date(claim)?),
                _ => {}
            }
        }
        Ok(read)
    }
}

impl<'c> Audience<'c> {
    fn read(claim: Claim<'c>) -> Result<Self, Doubt> {
        match claim {
            Claim::Text(one) => Ok(Self::One(one)),
            Claim::List(several) if { several }.all(|one| one.as_text().is_some()) => Ok(Self::Several(several)),
            _ => Err(Doubt::ClaimsMalformed),
        }
    }

    /// Whether one of `ours` is among those named, byte for byte.
    #[must_use]
    pub fn names_any(self, ours: &[Box<str>]) -> bool {
        let named = |name: &str| ours.iter().any(|own| **own == *name);
        match self {
            Self::One(name) => named(name),
            Self::Several(names) => names.filter_map(Claim::as_text).any(named),
        }
    }
}

impl Lifetime {
    /// The window in which a token of this lifetime may be presented.
    ///
    /// # Errors
    ///
    /// - [`Doubt::ClaimMissing`] without `exp`, or without `iat` where a rule counts from it.
    /// - [`Doubt::ClaimsMalformed`] when it ended before it was issued.
    /// - [`Doubt::WindowExceeded`] when `exp` is more than `max_lifetime` after `iat`.
    pub fn window(&self, rules: &LifetimeRules) -> Result<Window, Doubt> {
        let LifetimeRules { leeway, max_age, max_lifetime } = *rules;
        let ends = self.expires.ok_or(Doubt::ClaimMissing)?;
        let issued = match self.issued_at {
            None if max_age.is_some() || max_lifetime.is_some() => return Err(Doubt::ClaimMissing),
            issued => issued,
        };
        if issued.is_some_and(|issued| ends < issued) {
            return Err(Doubt::ClaimsMalformed);
        }
        if let (Some(issued), Some(longest)) = (issued, max_lifetime)
            && issued.plus(longest) < ends
        {
            return Err(Doubt::WindowExceeded);
        }
        let mut expires = ends.plus(leeway);
        if let (Some(issued), Some(oldest)) = (issued, max_age) {
            expires = expires.min(issued.plus(oldest).plus(leeway).plus(Seconds(1)));
        }
        let not_before = self.not_before.max(issued).map(|bound| bound.minus(leeway));
        Ok(Window { not_before, expires })
    }
}

impl Window {
    /// Checks that `now` falls within the window, which is closed at its start and open at its end.
    ///
    /// # Errors
    ///
    /// - [`Doubt::NotYetValid`] before `not_before`: `nbf` or `iat` lies in the future (RFC 7519 section 4.1.5).
    /// - [`Doubt::Expired`] from `expires` onward (section 4.1.4: the end itself is too late); carries nobody.
    pub fn check(&self, now: Timestamp) -> Result<(), Doubt> {
        if self.not_before.is_some_and(|bound| now < bound) {
            return Err(Doubt::NotYetValid);
        }
        if self.expires <= now {
            return Err(Doubt::Expired(None));
        }
        Ok(())
    }
}

/// Reads `value` as a subject.
///
/// # Errors
///
/// [`Doubt::ClaimsMalformed`] when it is not text, is empty, is longer than [`MAX_SUBJECT`] bytes, or holds a control
/// character, which no header and no log line could carry.
pub fn subject(value: Claim<'_>) -> Result<&str, Doubt> {
    match value.as_text() {
        Some(text) if !text.is_empty() && text.len() <= MAX_SUBJECT && !text.chars().any(char::is_control) => Ok(text),
        _ => Err(Doubt::ClaimsMalformed),
    }
}

/// Reads `value` as scopes: a list of texts, or one text in which spaces separate them (RFC 6749 section 3.3). Nothing
/// else separates: `a,b` is one scope.
///
/// # Errors
///
/// [`Doubt::ClaimsMalformed`] when it is neither.
pub fn scopes(value: Claim<'_>) -> Result<Box<[Box<str>]>, Doubt> {
    match value {
        Claim::Text(text) => Ok(text.split(' ').filter(|scope| !scope.is_empty()).map(Into::into).collect()),
        Claim::List(list) => list.map(|scope| scope.as_text().map(Into::into).ok_or(Doubt::ClaimsMalformed)).collect(),
        _ => Err(Doubt::ClaimsMalformed),
    }
}

fn date(claim: Claim<'_>) -> Result<Timestamp, Doubt> {
    match claim.as_int() {
        Some(seconds) if (0..=LAST_DATE).contains(&seconds) => Ok(Timestamp(seconds)),
        _ => Err(Doubt::ClaimsMalformed),
    }
}

#[cfg(test)]
mod tests;
