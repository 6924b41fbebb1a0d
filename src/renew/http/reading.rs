//! What an answer comes to, by the rules that the conf writes for it.
//!
//! The rules are asked in one order: what is fatal, what is transient, what is a success. An answer that fits none of them, or a
//! success that does not hold what it should, leaves open whether the credential is spent.
//!
//! Rules: RFC 6901 (JSON Pointer).

use http::HeaderName;

use crate::domain::{Secret, Timestamp, TokenPair, Value};
use crate::net::client::Reply;
use crate::renew::contract::RenewError;
use crate::renew::endpoint::{after, at, credential, is_html, object, whole};

/// A place in a JSON document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer(Box<[Box<str>]>);

impl Pointer {
    /// Reads `text`; `None` when it is no pointer below the root (RFC 6901 section 3).
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let token = |part: &str| {
            let is_escaped = part.split('~').skip(1).all(|behind| behind.starts_with(['0', '1']));
            is_escaped.then(|| part.replace("~1", "/").replace("~0", "~").into())
        };
        text.strip_prefix('/')?.split('/').map(token).collect::<Option<_>>().map(Self)
    }

    /// What stands there; `None` when there is nothing, or `null`.
    #[must_use]
    pub fn find<'v>(&self, document: &'v Value) -> Option<&'v Value> {
        let step = |value: &'v Value, token: &str| match value {
            Value::Map(_) => value.member(token),
            // No leading zeros, and `-` names what is not there yet (section 4).
            Value::List(items) if token == "0" || !token.starts_with('0') && token.bytes().all(|byte| byte.is_ascii_digit()) => {
                items.get(token.parse::<usize>().ok()?)
            }
            _ => None,
        };
        self.0.iter().try_fold(document, |value, token| step(value, token)).filter(|value| **value != Value::Null)
    }
}

/// Which answers are meant.
#[derive(Debug, Clone, PartialEq)]
pub struct Matcher {
    /// Of these statuses; of any when empty.
    pub statuses: Box<[u16]>,
    /// Holding one of these values in this place.
    pub when: Option<(Pointer, Box<[Value]>)>,
}

impl Matcher {
    /// Those of `statuses`.
    #[must_use]
    pub fn of(statuses: &[u16]) -> Self {
        Self { statuses: statuses.into(), when: None }
    }

    fn fits(&self, status: u16, said: Option<&Value>) -> bool {
        let fits = self.statuses.is_empty() || self.statuses.contains(&status);
        fits && self
            .when
            .as_ref()
            .is_none_or(|(pointer, values)| said.and_then(|said| pointer.find(said)).is_some_and(|found| values.contains(found)))
    }
}

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

impl Unit {
    fn seconds(self, number: i64) -> i64 {
        match self {
            Self::Seconds => number,
            Self::Milliseconds => number / 1_000,
        }
    }
}

/// Where an answer says when the access credential ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// So long after the request.
    In(Pointer, Unit),
    /// At this time since the Unix epoch.
    At(Pointer, Unit),
}

/// Where a credential stands in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spot {
    /// In its body.
    Body(Pointer),
    /// In the field of this name, whole.
    Field(HeaderName),
}

impl Spot {
    /// The credential that stands there in `reply`, whose body says `said`; `None` when there is none.
    fn read(&self, reply: &Reply, said: Option<&Value>, why: &'static str) -> Result<Option<Secret>, RenewError> {
        match self {
            Self::Body(pointer) => {
                let said = said.ok_or(RenewError::Lost { why: "the answer is no JSON object" })?;
                pointer.find(said).map(|text| credential(text, why)).transpose()
            }
            Self::Field(name) => {
                let mut values = reply.headers.get_all(name).iter();
                match (values.next(), values.next()) {
                    (None, _) => Ok(None),
                    (Some(value), None) => {
                        let text = value.to_str().map_err(|_| RenewError::Lost { why })?;
                        credential(&Value::from(text), why).map(Some)
                    }
                    // Which of them is meant, nobody can say.
                    (Some(_), Some(_)) => Err(RenewError::Lost { why }),
                }
            }
        }
    }
}

/// How answers are read.
#[derive(Debug, Clone)]
pub struct Reading {
    /// What refuses the credential.
    pub fatal: Box<[Matcher]>,
    /// Whether that also says that the credential has ended. The usual statuses do not: an issuer that does not accept us, or
    /// whatever stands before it, answers with them as well.
    pub ends: bool,
    /// What spent nothing.
    pub transient: Box<[Matcher]>,
    /// What brings a pair.
    pub success: Matcher,
    /// Where the access credential stands.
    pub access: Spot,
    /// Where the refresh credential stands.
    pub refresh: Option<Spot>,
    /// When the access credential ends.
    pub end: Option<End>,
}

impl Reading {
    /// The pair in `reply` to a request that was made at `now`.
    ///
    /// # Errors
    ///
    /// [`RenewError`], by the rules of the conf.
    pub fn read(&self, reply: &Reply, now: Timestamp) -> Result<TokenPair, RenewError> {
        let said = object(reply);
        let fits = |matcher: &Matcher| matcher.fits(reply.status, said.as_ref());
        // A page for people comes from something in between, which knows nothing of credentials.
        if self.fatal.iter().any(fits) && !is_html(reply) {
            let code = "refused";
            return Err(if self.ends { RenewError::Rejected { code } } else { RenewError::Unaccepted { code } });
        }
        if self.transient.iter().any(fits) {
            return Err(RenewError::Unreached { why: "it says that it cannot do it now" });
        }
        if !fits(&self.success) {
            return Err(RenewError::Lost { why: "the answer is none that the conf knows" });
        }
        if is_html(reply) {
            return Err(RenewError::Lost { why: "the answer is a page" });
        }
        let said = said.as_ref();
        let access = self.access.read(reply, said, "the access credential of the answer cannot be used")?;
        let refresh = match &self.refresh {
            None => None,
            Some(spot) => spot.read(reply, said, "the refresh credential of the answer cannot be used")?,
        };
        let end = match &self.end {
            None => None,
            Some(end) => end.read(said.ok_or(RenewError::Lost { why: "the answer is no JSON object" })?, now)?,
        };
        Ok(TokenPair {
            access: access.ok_or(RenewError::Lost { why: "there is nothing where the access credential should be" })?,
            refresh,
            access_until: end,
            refresh_until: None,
            beside: Value::empty(),
        })
    }
}

impl End {
    fn read(&self, said: &Value, now: Timestamp) -> Result<Option<Timestamp>, RenewError> {
        let (Self::In(pointer, unit) | Self::At(pointer, unit)) = self;
        let Some(written) = pointer.find(said) else { return Ok(None) };
        let number = whole(written).map(|number| unit.seconds(number));
        let end = number.and_then(|number| match self {
            Self::In(..) => after(now, number),
            Self::At(..) => at(now, number),
        });
        end.map(Some).ok_or(RenewError::Lost { why: "the end of the access credential is no time" })
    }
}
