//! Renewals of what a session keeps: the new pair is in the session's record before anybody is given it.
//!
//! It stands around the renewer that the conf names. What is presented for a session is its id, so the access token that some
//! issuers ask to see is taken from the record; and the record decides what a renewal is worth: one that was renewed already needs
//! no exchange, one that was ended gets none, and a refusal by the issuer ends it.
//!
//! When the issuer has answered and the record cannot be written, the pair is lost, as if the answer had been.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::{Spent, Timestamp, TokenPair, Value};
use crate::issuer::session::{Kept, Sessions};
use crate::jose::session::{KeptPair, Reference};
use crate::renew::contract::{RenewError, Renewer};

/// A renewer for the sessions of one authenticator.
pub struct SessionRenewer {
    inner: Arc<dyn Renewer>,
    sessions: Arc<Sessions>,
}

impl SessionRenewer {
    /// `inner`, for `sessions`.
    #[must_use]
    pub fn over(inner: Arc<dyn Renewer>, sessions: Arc<Sessions>) -> Self {
        Self { inner, sessions }
    }
}

impl SessionRenewer {
    /// The issuer said no, and will keep saying no: nothing else makes the session good again, so it ends. Unless the record
    /// tells that somebody else was given a pair for what was spent here.
    async fn refused(&self, reference: &Reference, spent: &Spent, code: &'static str, now: Timestamp) -> Result<TokenPair, RenewError> {
        match self.sessions.standing(reference, now).await {
            Ok(Some(standing)) if standing.pair.refresh.expose() != spent.refresh.expose() => return Ok(as_pair(standing.pair)),
            Ok(Some(_)) => {
                if self.sessions.close(reference, now).await.is_err() {
                    tracing::warn!(authenticator = %self.sessions.terms().name, "a session whose renewal was refused could not be ended");
                }
            }
            // Over already; or nobody knows, and the next request is refused likewise.
            Ok(None) | Err(_) => {}
        }
        Err(RenewError::Rejected { code })
    }
}

const OVER: RenewError = RenewError::Rejected { code: "session_over" };

#[async_trait]
impl Renewer for SessionRenewer {
    async fn renew(&self, spent: &Spent, now: Timestamp) -> Result<TokenPair, RenewError> {
        let reference = std::str::from_utf8(spent.access.expose()).ok().and_then(|text| self.sessions.terms().read(text)).ok_or(OVER)?;
        let standing = self.sessions.standing(&reference, now).await;
        let standing = standing.map_err(|_| RenewError::Unreached { why: "the state store did not answer" })?.ok_or(OVER)?;
        if standing.pair.refresh.expose() != spent.refresh.expose() {
            // Renewed already, by a request that knew the record as it was before.
            return Ok(as_pair(standing.pair));
        }
        let shown = Spent { refresh: spent.refresh.clone(), access: standing.pair.access.clone(), identity: Arc::clone(&spent.identity) };
        let fresh = match self.inner.renew(&shown, now).await {
            Ok(fresh) => fresh,
            Err(RenewError::Rejected { code }) => {
                return self.refused(&reference, spent, code, now).await;
            }
            Err(fault) => return Err(fault),
        };
        match self.sessions.keep(&reference, standing, &fresh, now).await {
            Ok(Kept::Done) => Ok(fresh),
            Ok(Kept::Superseded(theirs)) => Ok(as_pair(theirs)),
            Ok(Kept::Over) => Err(OVER),
            Err(_) => Err(RenewError::Lost { why: "the new pair could not be kept" }),
        }
    }

    fn forgives_repeats(&self) -> bool {
        self.inner.forgives_repeats()
    }
}

fn as_pair(kept: KeptPair) -> TokenPair {
    TokenPair {
        access: kept.access,
        refresh: Some(kept.refresh),
        access_until: kept.access_until,
        refresh_until: kept.refresh_until,
        beside: Value::empty(),
    }
}

#[cfg(test)]
mod tests;
