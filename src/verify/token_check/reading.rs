//! What the answer of a checking endpoint says of a token, by the rules that the conf writes for it.
//!
//! The rules are asked in one order: what says that the token has ended, what says that it is not good, what is a success. An
//! answer that fits none of them, or a success that does not hold what it should, says nothing: it neither admits nor convicts.
//! A success has a status of 2xx whatever the conf says, and a page for people is no answer of the endpoint.

use std::sync::Arc;

use crate::domain::{Claims, Identity, Timestamp, Value};
use crate::jose::base64url;
use crate::jose::claims::{scopes, subject};
use crate::jose::json::parse_to_depth;
use crate::net::client::Reply;
use crate::net::described::answer::{Matcher, Pointer, is_html};
use crate::net::described::end::End;
use crate::verify::token_check::NAME;

/// How deep an answer may nest.
const DEPTH: usize = 16;

/// How answers are read.
#[derive(Debug)]
pub struct Reading {
    /// What says that the token has ended.
    pub expired: Box<[Matcher]>,
    /// What says that it is not good.
    pub refused: Box<[Matcher]>,
    /// What says that it is good.
    pub success: Matcher,
    /// What a success must say besides, for the token to be good here.
    pub require: Box<[(Pointer, Box<[Value]>)]>,
    /// Where it says whose the token is; `None` where it does not, and the token itself is all that is known.
    pub subject: Option<Pointer>,
    /// What vouches for the subject.
    pub issuer: Box<str>,
    /// Where it says what the token may do.
    pub scopes: Option<Pointer>,
    /// What else is kept of it, by the name it gets.
    pub claims: Box<[(Box<str>, Pointer)]>,
    /// Where it says when the token ends.
    pub end: Option<End>,
}

/// What an answer says.
#[derive(Debug)]
pub enum Said {
    /// The token is good, and this is whose it is.
    Good(Box<Identity>),
    /// It is good where it was made, and not what the conf demands here.
    Unfit,
    /// It has ended.
    Expired,
    /// It is not good.
    Refused,
}

/// Why an answer says nothing. Said to the operator; nothing of the answer is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// No rule of the conf knows it.
    #[error("the answer has status {0} and is none that the conf knows")]
    Unknown(u16),
    /// A success without a body to read.
    #[error("the answer is no JSON object with one reading")]
    NoObject,
    /// A success without a subject.
    #[error("there is no subject where the conf looks for it")]
    NoSubject,
    /// A success with scopes that are none.
    #[error("what stands where the scopes should be is no list of texts")]
    NoScopes,
    /// A success with an end that is none.
    #[error("what stands where the end should be is no time")]
    NoTime,
}

impl Reading {
    /// What `reply` says of the token that was used at `asked` and whose digest is `token`, to the authenticator called
    /// `authenticator`.
    ///
    /// # Errors
    ///
    /// [`Unread`] when it says nothing.
    pub fn read(&self, reply: &Reply, token: &[u8; 32], asked: Timestamp, authenticator: &Arc<str>) -> Result<Said, Unread> {
        // A page for people comes from something in between, which knows nothing of tokens.
        if is_html(reply) {
            return Err(Unread::Unknown(reply.status));
        }
        let said = parse_to_depth(&reply.body, DEPTH).ok().filter(|value| matches!(value, Value::Map(_)));
        let fits = |matcher: &Matcher| matcher.fits(reply.status, said.as_ref());
        if self.expired.iter().any(fits) {
            return Ok(Said::Expired);
        }
        if self.refused.iter().any(fits) {
            return Ok(Said::Refused);
        }
        if !(200..300).contains(&reply.status) || !fits(&self.success) {
            return Err(Unread::Unknown(reply.status));
        }
        let said = said.as_ref().ok_or(Unread::NoObject)?;
        let identity = self.identity(said, token, asked, authenticator)?;
        let holds = |(pointer, allowed): &(Pointer, Box<[Value]>)| pointer.find(said).is_some_and(|value| allowed.contains(value));
        Ok(if self.require.iter().all(holds) { Said::Good(Box::new(identity)) } else { Said::Unfit })
    }

    fn identity(&self, said: &Value, token: &[u8; 32], asked: Timestamp, authenticator: &Arc<str>) -> Result<Identity, Unread> {
        let found = |pointer: &Option<Pointer>| pointer.as_ref().and_then(|pointer| pointer.find(said));
        let kept = self.claims.iter().filter_map(|(name, pointer)| Some((name.clone(), pointer.find(said)?.clone())));
        Ok(Identity {
            subject: match &self.subject {
                Some(pointer) => pointer.find(said).and_then(name_in).ok_or(Unread::NoSubject)?,
                None => name_of(token),
            },
            issuer: self.issuer.clone(),
            scopes: found(&self.scopes)
                .map_or(Ok(Box::default()), |said| scopes(Claims::from(said).get()))
                .map_err(|_| Unread::NoScopes)?,
            claims: Value::Map(kept.collect()).into(),
            expires: self.end.as_ref().map_or(Ok(None), |end| end.read(said, asked)).map_err(|_| Unread::NoTime)?,
            not_before: None,
            scheme: NAME,
            authenticator: Arc::clone(authenticator),
            burn: None,
            also: Vec::new(),
        })
    }
}

/// The holder of a token of whom nothing else is known: 128 bits of its digest.
fn name_of(token: &[u8; 32]) -> Box<str> {
    let (half, _) = token.split_at(16);
    format!("token-{}", base64url::encode(half)).into()
}

/// `value` as a subject: text, or a whole number as many systems count their users.
fn name_in(value: &Value) -> Option<Box<str>> {
    match value {
        Value::Int(number) => Some(number.to_string().into()),
        other => subject(Claims::from(other).get()).ok().map(Into::into),
    }
}
