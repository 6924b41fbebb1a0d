//! Judges an id and a secret against a store of server keys, for the schemes that carry both.
//!
//! An id that nobody holds costs what a wrong secret costs: the same digest, the same two comparisons, the same doubt.
//! That a key is disabled, too early or too late is said only to someone who knows its secret. How id and secret stood in
//! the request is the scheme's business.
//!
//! Verdicts are not for caching: a check is one keyed digest, which costs about what a cache hit costs, and a key
//! that is withdrawn, or presented at a host it is not good for, must be refused at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use subtle::{Choice, ConstantTimeEq};

use crate::domain::{Claims, DeskId, Doubt, Facts, Identity, Need, Question, RequestView, Step, Timestamp, Verified};
use crate::verify::contract::Desks;
use crate::verify::keys::contract::{BuiltKeys, KeyClass, ServerKey, ServerKeySearch, ServerKeys};

/// The longest id that is looked up, in bytes.
pub const MAX_ID: usize = 256;

/// Those who hold a key of one store, as one authenticator sees them.
pub struct Keyholders {
    /// The authenticator's name in the conf.
    authenticator: Arc<str>,
    /// The scheme that asks.
    scheme: &'static str,
    /// The store's name in the conf; it is the issuer of the identities.
    store: Box<str>,
    /// The store.
    keys: Arc<dyn ServerKeys>,
    /// The number under which the store answers about ids that are not at hand, with `Option<Arc<ServerKey>>`.
    desk: DeskId,
}

impl Keyholders {
    /// Those who hold a key of `store`, as `authenticator` of `scheme` sees them.
    ///
    /// # Errors
    ///
    /// A sentence for the operator when `store` is not among `keys`, or holds something else.
    pub fn of(
        authenticator: &Arc<str>,
        scheme: &'static str,
        store: &str,
        keys: &BTreeMap<String, BuiltKeys>,
        desks: &mut Desks,
    ) -> Result<Self, String> {
        let Some(BuiltKeys::ServerKeys(keys)) = keys.get(store) else {
            return Err(format!("`{store}` holds no {}", KeyClass::ServerKeys.describe()));
        };
        let desk = desks.register(Arc::clone(keys).desk());
        Ok(Self { authenticator: Arc::clone(authenticator), scheme, store: store.into(), keys: Arc::clone(keys), desk })
    }

    /// Who holds `secret` under `id`.
    ///
    /// # Errors
    ///
    /// As a refusal: [`Doubt::SecretWrong`] for an unknown id, a wrong secret, or a host that the key is not good for;
    /// [`Doubt::KeyDisabled`] for the right secret of a key that is switched off, not yet valid, or past its end.
    pub fn judge(
        &self,
        id: &str,
        secret: &[u8],
        request: &RequestView<'_>,
        facts: &Facts,
        now: Timestamp,
    ) -> Step<Verified<Arc<Identity>>> {
        let record = match self.keys.find(id, now) {
            ServerKeySearch::Known(record) => Some(record),
            ServerKeySearch::Unknown => None,
            ServerKeySearch::Ask => {
                let question = Question { desk: self.desk, about: id.into() };
                match facts.answer::<Option<Arc<ServerKey>>>(&question) {
                    Some(answer) => answer.clone(),
                    None => return Step::Need(Need::Ask(question)),
                }
            }
        };
        // A store that answers with somebody else's record has answered nothing.
        let record = record.filter(|record| *record.id == *id);
        let digest = self.keys.digest(id, secret);
        let matches = matches_any(&digest, record.as_ref().map_or([None, None], |record| record.digests));
        match record {
            Some(record) if matches && serves_host(&record, request.host) => {
                if !in_force(&record, now) {
                    return Step::Refuse(Doubt::KeyDisabled.into());
                }
                Step::Done(Verified::vouch(Arc::new(self.identity(&record))))
            }
            _ => Step::Refuse(Doubt::SecretWrong.into()),
        }
    }

    fn identity(&self, record: &ServerKey) -> Identity {
        Identity {
            subject: record.id.clone(),
            issuer: self.store.clone(),
            scopes: record.scopes.clone(),
            claims: Claims::empty(),
            expires: record.expires,
            not_before: record.not_before,
            scheme: self.scheme,
            authenticator: Arc::clone(&self.authenticator),
            burn: None,
            also: Vec::new(),
        }
    }
}

/// Whether `digest` is one of `known`; takes the same time whatever there is to compare with.
fn matches_any(digest: &[u8; 32], known: [Option<[u8; 32]>; 2]) -> bool {
    const NOBODY: [u8; 32] = [0; 32];
    let mut found = Choice::from(0);
    for slot in known {
        let live = Choice::from(u8::from(slot.is_some()));
        found |= slot.unwrap_or(NOBODY).ct_eq(digest) & live;
    }
    found.into()
}

/// Whether `record` is good at `host`.
#[must_use]
pub fn serves_host(record: &ServerKey, host: &str) -> bool {
    record.hosts.is_empty() || record.hosts.iter().any(|served| served.eq_ignore_ascii_case(host))
}

/// Whether `record` is switched on, and between its beginning and its end.
#[must_use]
pub fn in_force(record: &ServerKey, now: Timestamp) -> bool {
    !record.disabled && record.not_before.is_none_or(|start| start <= now) && record.expires.is_none_or(|end| now < end)
}

/// Whether `id` can be an id at all: UTF-8 without control characters, neither empty nor longer than [`MAX_ID`].
#[must_use]
pub fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_ID && !id.chars().any(char::is_control)
}
