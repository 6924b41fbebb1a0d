//! Renewals as services ask for them: for clients that hold their pairs themselves and ask for the next one by a call of their own.
//!
//! They are the same flights that renew unasked: a client that calls and one that is renewed for meet in one exchange.
//!
//! Not here: whose pair it is. The issuer judges it, as it would without us.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::{RenewalFailure, Spent, Timestamp, TokenPair};
use crate::issuer::contract::Relay;
use crate::renew::contract::Renewals;

/// Renewals under the name that services know.
pub struct Relayed(Arc<dyn Renewals>);

impl Relayed {
    /// Over these renewals.
    #[must_use]
    pub fn over(renewals: Arc<dyn Renewals>) -> Self {
        Self(renewals)
    }
}

#[async_trait]
impl Relay for Relayed {
    async fn relay(&self, spent: &Spent, now: Timestamp) -> Result<TokenPair, RenewalFailure> {
        self.0.renew(spent, now).await.map(|renewed| renewed.pair)
    }
}
