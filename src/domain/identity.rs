//! Who is calling, once that has been proven.

use std::sync::Arc;

use crate::domain::claims::Claims;
use crate::domain::time::Timestamp;

/// A proven caller. Built by a verifier, only ever handed on inside `Verified`.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// The name of the caller at its issuer; unique only together with `issuer`.
    pub subject: Box<str>,
    /// Who vouches for the subject: `iss` of a token, or the name of the key store.
    pub issuer: Box<str>,
    /// What the caller may do, as the credential says.
    pub scopes: Box<[Box<str>]>,
    /// Everything else that the credential proves, as an object.
    pub claims: Claims,
    /// From this moment on the credential is no longer good; `None` when it has no end of its own.
    pub expires: Option<Timestamp>,
    /// Before this moment the credential is not yet good.
    pub not_before: Option<Timestamp>,
    /// The scheme that judged it: `jwt`, `server_key`, ...
    pub scheme: &'static str,
    /// The authenticator of the conf that judged it.
    pub authenticator: Arc<str>,
    /// Set when this credential may be used once only; the gate spends it as its last act.
    pub burn: Option<Burn>,
    /// Under `all`, the identities that the other branches proved, by authenticator.
    pub also: Vec<(Arc<str>, Arc<Identity>)>,
}

/// What must be spent before the request may pass, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Burn {
    /// 256-bit digest that names the credential; equal credentials have equal keys.
    pub key: [u8; 32],
    /// When the credential was made; a store whose memory begins later cannot say that it is unspent.
    pub made: Timestamp,
    /// The spent mark must be kept at least until then.
    pub until: Timestamp,
}
