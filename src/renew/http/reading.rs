//! What an answer comes to, by the rules that the conf writes for it.
//!
//! The rules are asked in one order: what is fatal, what is transient, what is a success. An answer that fits none of them, or a
//! success that does not hold what it should, leaves open whether the credential is spent.

use http::HeaderName;

use crate::domain::{Secret, Timestamp, TokenPair, Value};
use crate::net::client::Reply;
use crate::net::described::answer::{Matcher, Pointer, is_html};
use crate::net::described::end::{End, NoTime};
use crate::renew::contract::RenewError;
use crate::renew::endpoint::{credential, object};

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

/// Whether `value` nests no deeper than `depth`.
fn nests_within(value: &Value, depth: usize) -> bool {
    let below = |inner: &Value| depth.checked_sub(1).is_some_and(|depth| nests_within(inner, depth));
    match value {
        Value::List(items) => items.iter().all(below),
        Value::Map(members) => members.iter().all(|(_, member)| below(member)),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => true,
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
    /// What else is kept of an answer, by name.
    pub beside: Box<[(Box<str>, Pointer)]>,
}

impl Reading {
    /// What the conf has kept of an answer beside the pair.
    fn beside(&self, said: &Value) -> Value {
        /// A result that cannot be kept is lost, pair and all; so what nests deeper is left out.
        const DEPTH: usize = 6;
        let found = self.beside.iter().filter_map(|(name, pointer)| {
            let value = pointer.find(said).filter(|value| nests_within(value, DEPTH))?;
            Some((name.clone(), value.clone()))
        });
        Value::Map(found.collect())
    }

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
            Some(end) => {
                let said = said.ok_or(RenewError::Lost { why: "the answer is no JSON object" })?;
                end.read(said, now).map_err(|NoTime| RenewError::Lost { why: "the end of the access credential is no time" })?
            }
        };
        Ok(TokenPair {
            access: access.ok_or(RenewError::Lost { why: "there is nothing where the access credential should be" })?,
            refresh,
            access_until: end,
            refresh_until: None,
            beside: said.map_or_else(Value::empty, |said| self.beside(said)),
        })
    }
}
