//! What a renewer is, to everyone who does not know whom it asks.
//!
//! A [`Renewer`] makes one exchange with one issuer and says how it ended. That it is made once per spent credential, on all
//! nodes, is not its business: `renew::flight` sees to that, and the gate meets both as [`Renewals`].

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::{Clock, Observer, Random, RenewalFailure, Renewed, Spent, SpentKey, Timestamp, TokenPair};
use crate::issuer::pairs::Issuer;
use crate::net::client::Client;
use crate::settings::{Checking, Node, Shape};
use crate::state::contract::StateStore;

/// One line of the roll-call `renew::RENEWERS`.
pub struct RenewerEntry {
    /// The key that names the kind in the conf.
    pub name: &'static str,
    /// What it is for, in a sentence.
    pub doc: &'static str,
    /// What may stand under that key.
    pub shape: Shape,
    /// Proves the settings, or notes every fault in `Checking` and returns `None`. Pure; the form has been proven.
    pub plan: fn(&Node, &mut Checking<'_>) -> Option<Box<dyn RenewerPlan>>,
}

/// The settings of one renewer, proven.
pub trait RenewerPlan: Debug + Send + Sync {
    /// Issuers of our own (section `issuers`) that it spends pairs at, with the place where the conf names them.
    fn issuers(&self) -> Vec<(String, crate::settings::Span)> {
        Vec::new()
    }

    /// Is told who issues the credentials that it renews; `None` when those who use it do not all have one and the same issuer.
    ///
    /// # Errors
    ///
    /// A sentence for the operator: it asks that issuer and cannot do without knowing.
    fn take_issuer(&mut self, issuer: Option<&str>) -> Result<(), String> {
        let _ = issuer;
        Ok(())
    }

    /// Builds it.
    ///
    /// # Errors
    ///
    /// A sentence for the operator.
    fn build(&self, name: &Arc<str>, tools: &RenewTools<'_>) -> Result<Arc<dyn Renewer>, String>;
}

/// What renewers are built with.
pub struct RenewTools<'a> {
    /// For one exchange, everything included.
    pub deadline: Duration,
    /// The issuers of our own, by name.
    pub issuers: &'a BTreeMap<String, Arc<Issuer>>,
    /// For exchanges with issuers elsewhere. Each has a connection of its own, so that none is lost to one that the issuer was just
    /// closing.
    pub client: &'a Arc<Client>,
    /// The wall clock: when a pair ends is counted from the answer.
    pub clock: &'a Arc<dyn Clock>,
    /// Unpredictable bytes.
    pub random: &'a Arc<dyn Random>,
    /// Who hears of events.
    pub observer: &'a Arc<dyn Observer>,
}

/// How one exchange ended when it brought no pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RenewError {
    /// The issuer said that the credential renews nothing any more (`invalid_grant`): its user must log in.
    #[error("the issuer refused: {code}")]
    Rejected {
        /// Its error code as far as we know it (RFC 6749 section 5.2), never its own text.
        code: &'static str,
    },
    /// It said no without saying that: to us, to what we ask, or without a reason. The credential may be as good as it was.
    #[error("the issuer accepted us or our request not: {code}")]
    Unaccepted {
        /// As above.
        code: &'static str,
    },
    /// It was not reached, or said that it did nothing: nothing was spent.
    #[error("the issuer was not reached: {why}")]
    Unreached {
        /// What happened, in our words.
        why: &'static str,
    },
    /// It was asked and gave no answer that can be used; the credential may be spent.
    #[error("the issuer's answer was lost or cannot be used: {why}")]
    Lost {
        /// What happened, in our words.
        why: &'static str,
    },
}

/// Makes one exchange: a spent pair for a fresh one.
///
/// # Contract
///
/// - One call is one exchange at most; nothing is repeated inside.
/// - It ends within its own deadline, which is shorter than a flight's lease.
///
/// # Security
///
/// The pair it returns is given to whoever presented `spent`. An answer that is not certainly the issuer's own, whole and
/// well-formed, is [`RenewError::Lost`]. The credential goes to the configured endpoint and nowhere else.
#[async_trait]
pub trait Renewer: Send + Sync {
    /// Spends `spent`.
    ///
    /// # Errors
    ///
    /// [`RenewError`], split by whether the credential is still good.
    async fn renew(&self, spent: &Spent, now: Timestamp) -> Result<TokenPair, RenewError>;

    /// Whether the issuer itself forgives that a credential is spent twice within a short time, so that a lost answer may be
    /// asked for once more.
    fn forgives_repeats(&self) -> bool {
        false
    }
}

/// Renewals as the gate asks for them: however many requests ask at once, on however many nodes, there is one exchange.
///
/// # Security
///
/// What is returned belongs to `spent` and to nothing else: results are kept under a digest of the spent credential and can be
/// opened only by whoever has it.
#[async_trait]
pub trait Renewals: Send + Sync {
    /// Names `spent`, so that one request asks for one renewal once.
    fn key(&self, spent: &Spent) -> SpentKey;

    /// The new pair for `spent`: fetched now, by another request at this moment, or a moment ago.
    ///
    /// Going away while waiting ends the waiting, never the renewal.
    ///
    /// # Errors
    ///
    /// [`RenewalFailure`], by what follows from it.
    async fn renew(&self, spent: &Spent, now: Timestamp) -> Result<Renewed, RenewalFailure>;
}

/// What a flight rests on.
#[derive(Clone)]
pub struct FlightTools {
    /// Where leases and results are kept.
    pub state: Arc<dyn StateStore>,
    /// The wall clock: a flight outlives the request that began it.
    pub clock: Arc<dyn Clock>,
    /// Unpredictable bytes.
    pub random: Arc<dyn Random>,
    /// Who hears of renewals.
    pub observer: Arc<dyn Observer>,
}
