//! Proof by possession.
//!
//! Whoever holds a [`Verified`] knows that the check was made, because there is no other way to
//! come by one.

/// A value whose origin has been proven.
///
/// Holding a `Verified<T>` *is* the proof: the only constructor is `Verified::vouch`, and
/// `tests/architecture.rs` lists the files that may call it.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// Vouches for `value`. Call this directly after the check that proves it, in the same block.
    pub(crate) fn vouch(value: T) -> Self {
        Self(value)
    }

    /// The proven value.
    pub fn get(&self) -> &T {
        &self.0
    }

    /// The proven value, taken out; what is done with it next carries the responsibility on.
    pub fn into_inner(self) -> T {
        self.0
    }
}
