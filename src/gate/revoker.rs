//! The list of the revoked, as operators handle it.
//!
//! Nothing is decided here: who an operator is has been decided by whoever calls.

use async_trait::async_trait;

use crate::domain::{Listed, ListedFrom, Revocation, RevocationId, Seconds, Timestamp};
use crate::gate::contract::{Revoked, Revoker, Withdrawn};
use crate::state::revoked::Revocations;

#[async_trait]
impl Revoker for Revocations {
    fn now(&self) -> Timestamp {
        Revocations::now(self)
    }

    fn lasts(&self) -> Seconds {
        Revocations::lasts(self)
    }

    async fn revoke(&self, revocation: Revocation) -> Revoked {
        Revocations::revoke(self, revocation).await
    }

    async fn withdraw(&self, id: RevocationId) -> Withdrawn {
        Revocations::withdraw(self, id).await
    }

    fn page(&self, after: Option<ListedFrom>, most: usize) -> (Vec<Listed>, bool) {
        Revocations::page(self, after, most)
    }
}
