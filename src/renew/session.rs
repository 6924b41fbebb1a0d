//! Renewals of what a session keeps: the new pair is in the session's record before anybody is given it.
//!
//! It stands around the renewer that the conf names. What is presented for a session is its id, so the access token that some
//! issuers ask to see is taken from the record; and the record decides what a renewal is worth: one that was renewed already needs
//! no exchange, one that was ended gets none, and an issuer that says that the credential has ended ends it. A refusal that says
//! less, such as one of this proxy, ends no session of anybody's.
//!
//! When the issuer has answered and the record cannot be written, it is tried again for as long as the flight lasts: the issuer may
//! have rotated, and the pair is nowhere else. After that it is lost, as if the answer had been.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::{Seconds, Spent, Timestamp, TokenPair, Value};
use crate::issuer::session::{Kept, OpenFault, Sessions, Standing};
use crate::jose::session::{KeptPair, Reference};
use crate::renew::contract::{RenewError, Renewer};

/// A renewer for the sessions of one authenticator.
pub struct SessionRenewer {
    inner: Arc<dyn Renewer>,
    sessions: Arc<Sessions>,
    /// For how long a pair that was fetched is tried to be kept. A flight that ends sooner breaks it off.
    patience: Duration,
}

impl SessionRenewer {
    /// `inner`, for `sessions`, in flights of this length.
    #[must_use]
    pub fn over(inner: Arc<dyn Renewer>, sessions: Arc<Sessions>, flight: Seconds) -> Self {
        Self { inner, sessions, patience: flight.duration() }
    }
}

impl SessionRenewer {
    /// The issuer said no. When that is because the credential has ended, nothing makes the session good again, so it ends too.
    /// Unless the record tells that somebody else was given a pair for what was spent here.
    async fn refused(&self, reference: &Reference, spent: &Spent, fault: RenewError, now: Timestamp) -> Result<TokenPair, RenewError> {
        let has_ended = matches!(fault, RenewError::Rejected { .. });
        match self.sessions.standing(reference, now).await {
            Ok(Some(standing)) if standing.pair.refresh.expose() != spent.refresh.expose() => return Ok(as_pair(standing.pair)),
            Ok(Some(_)) if has_ended => {
                if self.sessions.close(reference, now).await.is_err() {
                    tracing::warn!(authenticator = %self.sessions.terms().name, "a session whose renewal was refused could not be ended");
                }
            }
            // It stands, and is renewed once the issuer accepts us; or it is over already; or nobody knows, and the next request is
            // refused likewise.
            Ok(_) | Err(_) => {}
        }
        Err(fault)
    }

    /// Puts `fresh` into the record, however often the store does not answer. What is repeated finds out whether it had happened.
    async fn keep(&self, reference: &Reference, standing: &Standing, fresh: &TokenPair, now: Timestamp) -> Result<Kept, OpenFault> {
        /// After the first failure; doubles.
        const PAUSE: Duration = Duration::from_millis(100);
        let mut pause = PAUSE;
        loop {
            match self.sessions.keep(reference, standing.clone(), fresh, now).await {
                Err(OpenFault::Store) => tokio::time::sleep(pause).await,
                kept => return kept,
            }
            pause = pause.saturating_mul(2);
        }
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
            Err(fault @ (RenewError::Rejected { .. } | RenewError::Unaccepted { .. })) => {
                return self.refused(&reference, spent, fault, now).await;
            }
            Err(fault) => return Err(fault),
        };
        match tokio::time::timeout(self.patience, self.keep(&reference, &standing, &fresh, now)).await {
            Ok(Ok(Kept::Done)) => Ok(fresh),
            Ok(Ok(Kept::Superseded(theirs))) => Ok(as_pair(theirs)),
            Ok(Ok(Kept::Over)) => Err(OVER),
            Ok(Err(_)) | Err(_) => Err(RenewError::Lost { why: "the new pair could not be kept" }),
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
