//! Asks whether a token is good by using it.
//!
//! What came of it is remembered by the desk of all opaque tokens (`verify::inquiry`); here is what is asked, and what is made of the
//! answer.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::{Clock, Identity, Observer, Seconds, Timestamp, Verified};
use crate::net::authorities::Authorities;
use crate::net::client::{Client, FetchFault};
use crate::net::described::Described;
use crate::net::described::template::Unwritable;
use crate::verify::cache::held;
use crate::verify::inquiry::{Endpoint, Heard, Holder, Inquiry, MAX_ANSWER, Terms, TokenName};
use crate::verify::token_check::reading::{Reading, Said, Unread};

/// How far the clock of the endpoint may be ahead of ours.
const AHEAD: Seconds = Seconds(30);

/// What is put into the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token;

/// The check, proven.
#[derive(Debug)]
pub struct CheckPlan {
    /// What is asked.
    pub exchange: Described<Token>,
    /// Tells its secrets apart from others.
    pub fingerprint: String,
    /// How the answer is read.
    pub reading: Arc<Reading>,
    /// For one answer.
    pub deadline: Duration,
    /// How long "good" holds.
    pub max_age: Seconds,
    /// How long "not good" holds.
    pub negative: Seconds,
    /// Whom to trust.
    pub authorities: Authorities,
}

impl CheckPlan {
    /// A text that is equal exactly when every answer would be the same, and would be read the same.
    #[must_use]
    pub fn continuity(&self) -> String {
        let Self { exchange, fingerprint, reading, deadline, max_age, negative, authorities } = self;
        format!("{exchange:?} {fingerprint} {reading:?} {deadline:?} {max_age:?} {negative:?} {}", authorities.text())
    }
}

/// What came of using a token.
#[derive(Debug, Clone)]
pub enum Checked {
    /// It is good, as far as the endpoint goes; its own end may have come.
    Good(Verified<Arc<Identity>>),
    /// It is good where it was made, and not what the conf demands here.
    Unfit,
    /// It has ended.
    Expired,
    /// It is not good.
    Refused,
}

/// The desk that asks.
pub type CheckDesk = Inquiry<Check>;

/// What is asked, of whom.
pub struct Check {
    name: Arc<str>,
    exchange: Described<Token>,
    reading: Arc<Reading>,
    deadline: Duration,
    client: Arc<Client>,
}

/// Why nothing was learnt of a token. Said to the operator.
#[derive(Debug, thiserror::Error)]
pub enum AskFault {
    /// The endpoint was not reached, or its answer is none that is read.
    #[error(transparent)]
    Fetch(#[from] FetchFault),
    /// Its answer says nothing.
    #[error(transparent)]
    Unread(#[from] Unread),
    /// The token cannot be sent to it.
    #[error(transparent)]
    Unwritable(#[from] Unwritable),
}

/// A desk for the authenticator called `name`.
///
/// # Errors
///
/// A sentence for the operator.
pub fn desk(
    name: &Arc<str>,
    plan: &CheckPlan,
    client: &Arc<Client>,
    clock: &Arc<dyn Clock>,
    observer: &Arc<dyn Observer>,
) -> Result<CheckDesk, String> {
    let check = Check {
        name: Arc::clone(name),
        exchange: plan.exchange.clone(),
        reading: Arc::clone(&plan.reading),
        deadline: plan.deadline,
        client: plan.authorities.client(client)?,
    };
    let terms = Terms { max_age: plan.max_age, negative: plan.negative, ahead: AHEAD };
    Ok(Inquiry::new(name, check, terms, clock, observer))
}

#[async_trait]
impl Endpoint for Check {
    type Word = Checked;
    type Fault = AskFault;

    async fn ask(&self, name: &TokenName, token: &str, asked: Timestamp) -> Result<Heard<Checked>, AskFault> {
        let exchange = self.exchange.exchange(&|Token| token.as_bytes(), self.deadline, MAX_ANSWER)?;
        let reply = self.client.fetch(exchange).await?;
        Ok(match self.reading.read(&reply, name, asked, &self.name)? {
            Said::Good(identity) => {
                let (expires, bytes) = (identity.expires, weight(&identity));
                // The configured endpoint took this very token, over a channel that proves it is that endpoint.
                Heard::Good { word: Checked::Good(Verified::vouch(Arc::from(identity))), expires, bytes }
            }
            Said::Unfit => Heard::Bad { word: Checked::Unfit, holder: Holder::Unknown },
            Said::Expired => Heard::Bad { word: Checked::Expired, holder: Holder::Known },
            Said::Refused => Heard::Bad { word: Checked::Refused, holder: Holder::KnownAfterEnd },
        })
    }

    fn is_everyones(fault: &AskFault) -> bool {
        match fault {
            AskFault::Fetch(FetchFault::TooLarge { .. } | FetchFault::Encoded) => false,
            AskFault::Fetch(FetchFault::AddressRefused | FetchFault::Plaintext | FetchFault::Unreachable { .. } | FetchFault::NoAnswer) => {
                true
            }
            // It was asked too often, or whatever stands before it cannot reach it.
            AskFault::Unread(Unread::Unknown(status)) => matches!(status, 429 | 502 | 503 | 504),
            AskFault::Unread(Unread::NoObject | Unread::NoSubject | Unread::NoScopes | Unread::NoTime) | AskFault::Unwritable(_) => false,
        }
    }
}

/// What an identity takes in memory, about.
fn weight(identity: &Identity) -> u64 {
    u64::try_from(held(identity)).unwrap_or(u64::MAX)
}
