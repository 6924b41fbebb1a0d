//! What a state store must do for us: remember, exactly once, that something was spent.

use async_trait::async_trait;

use crate::domain::{Burn, Outage, Timestamp};

/// What became of an attempt to spend something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Burned {
    /// It was unspent, and is spent now.
    First,
    /// It had been spent before.
    Again,
}

/// Remembers what has been spent.
///
/// # Security
///
/// `burn` is one atomic act: of any number of concurrent calls with equal keys exactly one returns
/// [`Burned::First`]. A mark is kept at least until `until` and is never evicted to make room: a full store answers
/// [`Outage::State`]. A wrong `First` lets a credential be used twice.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// Spends `burn.key`, once.
    ///
    /// # Errors
    ///
    /// [`Outage::State`] when the store cannot say; the caller must then refuse.
    async fn burn(&self, burn: &Burn, now: Timestamp) -> Result<Burned, Outage>;
}
