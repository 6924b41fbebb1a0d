//! How a revocation is written: one JSON object, in a file, in a request of an operator, in the log of the state store.
//!
//! What it goes by is said by the key: `{"subject":"anna"}`, `{"key":"acme"}`, `{"token":"jti"}`, `{"session":"sid"}`,
//! `{"family":"fam"}`; beside it may stand `issuer`, `issued_before`, `until` and `reason`. Times are seconds since the epoch or
//! RFC 3339. Unknown members are refused: what narrows a revocation must not be read over, and a mistyped one must not cover
//! nobody. What a fault says never shows a value.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::domain::revocation::{By, Revocation};
use crate::domain::{Seconds, Timestamp};
use crate::settings::section::parse_duration;
use crate::settings::unquoted::unquoted;

/// The longest that an operator may have a revocation count: ten years.
pub const LONGEST: Seconds = Seconds(3_650 * 86_400);

/// The most entries of a file.
pub const MOST_LISTED: usize = 100_000;

/// A revocation as written, its times absolute.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    key: Option<Box<str>>,
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    subject: Option<Box<str>>,
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    token: Option<Box<str>>,
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    session: Option<Box<str>>,
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    family: Option<Box<str>>,
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    issuer: Option<Box<str>>,
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    issued_before: Option<Moment>,
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    until: Option<Moment>,
    /// How long from now, instead of `until`; in requests only.
    #[serde(default, rename = "for", deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    length: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    reason: Box<str>,
}

/// A moment as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    At(Timestamp),
    /// `now`: this very second and everything before it; in requests only.
    Now,
}

/// Reads what an operator asks for as of `now`; without a length of its own it counts for `lasts`.
///
/// `issued_before: "now"` takes in what was issued in this very second.
///
/// # Errors
///
/// What is wrong with it, for the operator.
pub fn read_request(bytes: &[u8], now: Timestamp, lasts: Seconds) -> Result<Revocation, String> {
    let written: Written = serde_json::from_slice(bytes).map_err(|error| unquoted(&error, "a revocation"))?;
    let until = match (&written.until, &written.length) {
        (Some(_), Some(_)) => return Err("write `until` or `for`, not both".to_owned()),
        (Some(Moment::At(until)), None) => *until,
        (Some(Moment::Now), None) => return Err("`until` now would revoke nothing".to_owned()),
        (None, Some(length)) => {
            let length = parse_duration(length).ok_or("`for` must be a length of time such as `1h` or `30d`")?;
            now.plus(Seconds(u32::try_from(length.as_secs()).unwrap_or(u32::MAX)))
        }
        (None, None) => now.plus(lasts),
    };
    if until <= now {
        return Err("its end lies in the past, so it would revoke nothing".to_owned());
    }
    if now.plus(LONGEST) < until {
        return Err(format!("its end lies more than {} days ahead", LONGEST.0 / 86_400));
    }
    let issued_before = written.issued_before.map(|moment| match moment {
        Moment::At(bound) => bound,
        Moment::Now => now.plus(Seconds(1)),
    });
    finish(written, issued_before, until)
}

/// Reads an entry whose times are absolute; without an end it counts as long as it stands there.
///
/// # Errors
///
/// What is wrong with it, for the operator.
pub fn read_entry(bytes: &[u8]) -> Result<Revocation, String> {
    serde_json::from_slice::<Written>(bytes).map_err(|error| unquoted(&error, "a revocation"))?.entry()
}

/// Reads a file: one entry a line, empty lines left out. The number beside each is its line, from 1.
///
/// # Errors
///
/// Line and fault of the first entries that are wrong, at most eight; nothing of a file with faults is to be used.
pub fn read_file(bytes: &[u8]) -> Result<Vec<(usize, Revocation)>, Vec<String>> {
    const MOST_FAULTS: usize = 8;
    let mut entries = Vec::new();
    let mut faults = Vec::new();
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        match read_entry(line) {
            Ok(entry) => entries.push((number + 1, entry)),
            Err(why) => faults.push(format!("line {}: {why}", number + 1)),
        }
        if MOST_LISTED < entries.len() {
            faults.push(format!("it has more than {MOST_LISTED} entries"));
        }
        if MOST_FAULTS <= faults.len() {
            break;
        }
    }
    if faults.is_empty() { Ok(entries) } else { Err(faults) }
}

impl Written {
    /// `revocation` as it is written.
    #[must_use]
    pub fn of(revocation: &Revocation) -> Self {
        let mut written = Self {
            issuer: revocation.issuer.clone(),
            issued_before: revocation.issued_before.map(Moment::At),
            until: (revocation.until != Timestamp::END).then_some(Moment::At(revocation.until)),
            reason: revocation.reason.clone(),
            ..Self::default()
        };
        *written.named(revocation.by) = Some(revocation.value.clone());
        written
    }

    /// The revocation, where all its times are absolute.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for the operator.
    pub fn entry(self) -> Result<Revocation, String> {
        if self.length.is_some() {
            return Err("`for` has no beginning here; write `until`".to_owned());
        }
        let at = |name: &str, moment: Option<Moment>| match moment {
            None => Ok(None),
            Some(Moment::At(moment)) => Ok(Some(moment)),
            Some(Moment::Now) => Err(format!("`{name}` must be a moment; `now` would be another one at each reading")),
        };
        let until = at("until", self.until)?.unwrap_or(Timestamp::END);
        let issued_before = at("issued_before", self.issued_before)?;
        finish(self, issued_before, until)
    }

    fn named(&mut self, by: By) -> &mut Option<Box<str>> {
        match by {
            By::Key => &mut self.key,
            By::Subject => &mut self.subject,
            By::Token => &mut self.token,
            By::Session => &mut self.session,
            By::Family => &mut self.family,
        }
    }
}

fn finish(mut written: Written, issued_before: Option<Timestamp>, until: Timestamp) -> Result<Revocation, String> {
    let mut named = By::ALL.into_iter().filter_map(|by| written.named(by).take().map(|value| (by, value)));
    let (Some((by, value)), None) = (named.next(), named.next()) else {
        return Err("say what is revoked by one of `key`, `subject`, `token`, `session` and `family`".to_owned());
    };
    drop(named);
    let revocation = Revocation { by, value, issuer: written.issuer, issued_before, until, reason: written.reason };
    revocation.within_bounds().map_err(|unfit| unfit.to_string())
}

/// A member that stands there has a value: `null` is none.
fn there<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl Serialize for Moment {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::At(moment) => serializer.serialize_i64(moment.0),
            Self::Now => serializer.serialize_str("now"),
        }
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MomentVisitor)
    }
}

struct MomentVisitor;

impl de::Visitor<'_> for MomentVisitor {
    type Value = Moment;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("seconds since the epoch, or a date and time such as 2026-01-31T00:00:00Z")
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Moment, E> {
        Ok(Moment::At(Timestamp(seconds)))
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Moment, E> {
        i64::try_from(seconds).map(|seconds| Moment::At(Timestamp(seconds))).map_err(|_| E::custom("beyond the end of time"))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Moment, E> {
        if text == "now" {
            return Ok(Moment::Now);
        }
        let moment = chrono::DateTime::parse_from_rfc3339(text).map_err(|_| E::custom("no date and time"))?;
        Ok(Moment::At(Timestamp(moment.timestamp())))
    }
}

#[cfg(test)]
mod tests;
