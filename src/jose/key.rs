//! A key that verifies signatures, parsed once.

use crate::jose::algorithm::Algorithm;

/// A verification key with everything that verifying needs already computed.
///
/// The algorithms it may be used with are part of the key, fixed when it is loaded; a token only names one of them.
pub struct VerifyingKey {
    kid: Option<Box<str>>,
    algorithms: Box<[Algorithm]>,
}

impl VerifyingKey {
    /// Its `kid`, when it has one.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether it may be used with `algorithm`.
    #[must_use]
    pub fn permits(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// Whether `signature` over `message` was made with this key under `algorithm`.
    #[must_use]
    pub fn verifies(&self, _algorithm: Algorithm, _message: &[u8], _signature: &[u8]) -> bool {
        false
    }
}
