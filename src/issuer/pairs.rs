//! Token pairs of our own: a short-lived access token that anyone can verify, and a refresh token that buys the next pair, once.
//!
//! All pairs that follow from one login are a family, and a family is one record in the state store. A rotation replaces the whole
//! record, if it is still as it was read: of any number of concurrent rotations with one token, on all nodes, exactly one
//! succeeds. Whoever comes with the same token a moment later (`grace`) is given the very same pair, which the record holds sealed
//! with the spent token; whoever comes with it later still has kept it, or stolen it, and the family is taken back.
//!
//! Never here: a credential in the clear in the store; a second chance after an answer of the store that nobody can rely on; a
//! life that grows by being used (a family ends when it was said to at its start).
//!
//! Rules: RFC 6749 sections 1.5, 6 and 10.4, RFC 9700 section 4.14.2 (rotation), RFC 9068.

pub mod access;
mod family;
pub mod refresh;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use subtle::ConstantTimeEq;

use crate::domain::{By, Event, Identity, Observer, Outage, Random, Refusal, Revocation, Seconds, Timestamp, TokenPair, Value};
use crate::issuer::pairs::family::{Family, Given, Live, Previous};
use crate::issuer::pairs::refresh::{Handle, RefreshToken};
use crate::jose::key::VerifyingKey;
use crate::jose::mint::{MintFault, SigningKey};
use crate::state::contract::{Class, Entry, Expect, Key, StateStore, Written};
use crate::state::revoked::{Revocations, Revoked};

/// How often a record that changed under our hands is looked at again. It changes by a rotation or a revocation only, and after
/// either the next look decides.
const LOOKS: usize = 4;

/// The most that whoever verifies our access tokens may forgive clocks (`leeway` of the scheme `jwt`).
const LEEWAY: Seconds = Seconds(300);

/// What all pairs of one issuer have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Its name in the conf.
    pub name: Arc<str>,
    /// `iss` of access tokens.
    pub issuer: Box<str>,
    /// `aud` of access tokens; at least one.
    pub audience: Box<[Box<str>]>,
    /// How long an access token lives.
    pub access_life: Seconds,
    /// How long a family lives, from its first pair to its last.
    pub refresh_life: Seconds,
    /// For so long after a rotation the spent token is answered with what was given for it.
    pub grace: Seconds,
    /// `client_id` of tokens that were given to no client in particular.
    pub client_id: Box<str>,
    /// Claims that are taken over into access tokens.
    pub claims: Box<[Box<str>]>,
}

/// A client, as an authenticator of the conf has proven it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who vouches for it.
    pub issuer: Box<str>,
    /// Its name there.
    pub name: Box<str>,
}

impl From<&Identity> for Caller {
    fn from(identity: &Identity) -> Self {
        Self { issuer: identity.issuer.clone(), name: identity.subject.clone() }
    }
}

/// What a family is opened with.
#[derive(Debug, Clone, PartialEq)]
pub struct PairOrder {
    /// Who will present the access tokens.
    pub subject: Box<str>,
    /// What they may do. No scope holds a space.
    pub scopes: Box<[Box<str>]>,
    /// What is known of them, as an object; of it, the issuer takes over what its conf names.
    pub claims: Value,
    /// The client that may rotate; `None` for anyone who holds the token (a public client).
    pub client: Option<Caller>,
}

/// A pair that was given.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The pair.
    pub pair: TokenPair,
    /// What its access token may do.
    pub scopes: Box<[Box<str>]>,
    /// Names its family in logs and revocations.
    pub family: Handle,
}

/// Why a refresh token buys nothing. For logs; a client is told `invalid_grant` whatever it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantFault {
    /// It has not the form of ours.
    Malformed,
    /// Its family is over, or there never was one.
    Unknown,
    /// Its family was taken back.
    Revoked,
    /// It had been spent, longer ago than is forgiven. The family has been taken back for it.
    Reused,
    /// It was given to another client, or for another subject.
    Foreign,
}

/// Why there is no pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PairFault {
    /// The refresh token buys nothing, now or later (`invalid_grant`).
    #[error("the refresh token buys nothing: {0:?}")]
    Grant(GrantFault),
    /// More was asked for than was granted (`invalid_scope`). Nothing was spent.
    #[error("a scope was asked for that was not granted")]
    Scope,
    /// The state store cannot say, so nothing was given.
    #[error("the state store did not answer")]
    Store,
    /// Subject, scopes and claims are too much for a token, or cannot stand in one. Nothing was spent.
    #[error("this does not fit into a token")]
    TooLarge,
    /// The crypto library failed. Nothing was spent.
    #[error("the crypto library could not do it")]
    Library,
}

impl From<MintFault> for PairFault {
    fn from(fault: MintFault) -> Self {
        match fault {
            MintFault::TooLong => Self::TooLarge,
            MintFault::Key(_) | MintFault::Algorithm(_) | MintFault::Header | MintFault::Claims | MintFault::Library => Self::Library,
        }
    }
}

impl From<Outage> for PairFault {
    fn from(_outage: Outage) -> Self {
        Self::Store
    }
}

/// Gives pairs, rotates them and takes them back. Any number of these over one store are one issuer.
pub struct Issuer {
    terms: Terms,
    /// The first signs. At least one.
    keys: Arc<[SigningKey]>,
    verifying: Box<[Arc<VerifyingKey>]>,
    tools: IssuerTools,
}

/// What an issuer rests on.
#[derive(Clone)]
pub struct IssuerTools {
    /// Where families are kept.
    pub state: Arc<dyn StateStore>,
    /// Who is revoked: they are given nothing, and whoever is taken back here is added.
    pub revoked: Arc<Revocations>,
    /// Unpredictable bytes.
    pub random: Arc<dyn Random>,
    /// Who hears of events.
    pub observer: Arc<dyn Observer>,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("terms", &self.terms).field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl Issuer {
    /// An issuer of these `terms` that signs with the first of `keys`.
    ///
    /// # Errors
    ///
    /// A sentence for the operator: there is no key, or one of them is symmetric, so that whoever can verify could also sign.
    pub fn new(terms: Terms, keys: Arc<[SigningKey]>, tools: IssuerTools) -> Result<Self, String> {
        if keys.is_empty() {
            return Err("there is no key to sign with".to_owned());
        }
        if keys.iter().any(|key| key.secret().is_some()) {
            return Err("a symmetric key cannot sign what others shall verify".to_owned());
        }
        let verifying = verifying_keys(&keys)?;
        Ok(Self { terms, keys, verifying: verifying.into(), tools })
    }

    /// What all its pairs have in common.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The keys that verify its access tokens, as a JWKS document; of all its keys, so that none is missed during a rotation.
    #[must_use]
    pub fn public_keys(&self) -> String {
        let keys: Vec<_> = self.keys.iter().filter_map(SigningKey::public_jwk).collect();
        json!({ "keys": keys }).to_string()
    }

    /// The keys that verify its access tokens.
    #[must_use]
    pub fn verifying_keys(&self) -> &[Arc<VerifyingKey>] {
        &self.verifying
    }

    /// Opens a family: the first pair of a login.
    ///
    /// # Errors
    ///
    /// [`PairFault::Store`], [`PairFault::TooLarge`], [`PairFault::Library`].
    pub async fn open(&self, order: PairOrder, now: Timestamp) -> Result<Issued, PairFault> {
        if order.scopes.iter().any(|scope| scope.is_empty() || scope.contains(' ')) {
            return Err(PairFault::TooLarge);
        }
        let refresh = RefreshToken::first(self.tools.random.as_ref());
        let handle = refresh.handle(&self.terms.issuer);
        let live = Live {
            subject: order.subject,
            client: order.client,
            scopes: order.scopes,
            claims: self.taken_over(&order.claims),
            opened: now,
            ends: now.plus(self.terms.refresh_life),
            generation: 0,
            current: refresh.digest(),
            previous: None,
        };
        let scopes = live.scopes.clone();
        let given = self.give(&live, &handle, &refresh, scopes, now)?;
        let ends = live.ends;
        match self.write(&handle, Expect::Absent, &Family::Live(Box::new(live)), ends, now).await? {
            Written::Done { .. } => Ok(issued(given, handle, ends)),
            // A family of 128 random bits that exists already: the randomness is broken, and nothing may rest on it.
            Written::Conflict(_) => Err(PairFault::Library),
        }
    }

    /// The next pair for `refresh`, which is spent thereby. `by` is the client that asks, where it was proven; `narrowed` the
    /// scopes that the new access token shall have, out of those that were granted.
    ///
    /// # Errors
    ///
    /// [`PairFault`]. Only [`PairFault::Store`] leaves open whether the token was spent; asked again within the grace, the answer
    /// is the pair that it was spent for.
    pub async fn rotate(
        &self,
        refresh: &str,
        by: Option<&Caller>,
        narrowed: Option<&[Box<str>]>,
        now: Timestamp,
    ) -> Result<Issued, PairFault> {
        self.rotate_if(refresh, by, |_| true, narrowed, now).await
    }

    /// The next pair for `refresh`, provided that its family is of `subject`; nothing is spent otherwise. For whoever brings no proof
    /// but an identity: no client.
    ///
    /// # Errors
    ///
    /// As [`Self::rotate`]; [`GrantFault::Foreign`] when it was given to another subject.
    pub async fn rotate_for(&self, refresh: &str, subject: &str, now: Timestamp) -> Result<Issued, PairFault> {
        self.rotate_if(refresh, None, |live| *live.subject == *subject, None, now).await
    }

    async fn rotate_if(
        &self,
        refresh: &str,
        by: Option<&Caller>,
        is_theirs: impl Fn(&Live) -> bool,
        narrowed: Option<&[Box<str>]>,
        now: Timestamp,
    ) -> Result<Issued, PairFault> {
        let check_holder = |live: &Live| {
            check_client(live, by)?;
            if is_theirs(live) { Ok(()) } else { Err(PairFault::Grant(GrantFault::Foreign)) }
        };
        let token = RefreshToken::parse(refresh).ok_or(PairFault::Grant(GrantFault::Malformed))?;
        let handle = token.handle(&self.terms.issuer);
        let mut standing = self.read(&handle, now).await?;
        for _ in 0..LOOKS {
            let (live, entry) = live(standing)?;
            if live.ends <= now {
                return Err(PairFault::Grant(GrantFault::Unknown));
            }
            self.check_revoked(&live, &handle, now)?;
            let presented = token.digest();
            if bool::from(presented.ct_eq(&live.current)) {
                check_holder(&live)?;
                let (next, given) = self.next(&live, &handle, &token, narrowed, now)?;
                let ends = next.ends;
                match self.write(&handle, Expect::Version(entry.version), &Family::Live(Box::new(next)), ends, now).await? {
                    Written::Done { .. } => return Ok(issued(given, handle, ends)),
                    Written::Conflict(found) => standing = found,
                }
                continue;
            }
            if let Some(previous) = live.previous.as_ref().filter(|previous| bool::from(presented.ct_eq(&previous.digest)))
                && now < previous.forgiven_until
            {
                check_holder(&live)?;
                let given = token.open(&self.context(&handle, live.generation), &previous.given).and_then(|plain| Given::read(&plain));
                return given.map(|given| issued(given, handle, live.ends)).ok_or_else(|| self.damaged(&handle));
            }
            // Whoever knows the family has held a token of it, and this one is not to be spent any more.
            match self.take_back(&handle, &entry, "a spent refresh token came again", now).await? {
                Written::Done { .. } => {
                    tracing::warn!(issuer = %self.terms.name, family = handle.text(), "a spent refresh token was presented again; its family was revoked");
                    return Err(PairFault::Grant(GrantFault::Reused));
                }
                Written::Conflict(found) => standing = found,
            }
        }
        Err(PairFault::Store)
    }

    /// Takes back the family of `token`, which is a refresh token of any age or an access token that is still good. `None` when it
    /// is neither, or its family is over: there is nothing to take back.
    ///
    /// # Errors
    ///
    /// [`PairFault::Grant`] with [`GrantFault::Foreign`] when it was given to another client; [`PairFault::Store`].
    pub async fn withdraw(&self, token: &str, by: Option<&Caller>, now: Timestamp) -> Result<Option<Handle>, PairFault> {
        let presented = match RefreshToken::parse(token) {
            Some(refresh) => Some(refresh.handle(&self.terms.issuer)),
            None => access::family_of(&self.terms, &self.verifying, token, now),
        };
        let Some(handle) = presented else { return Ok(None) };
        let mut standing = self.read(&handle, now).await?;
        for _ in 0..LOOKS {
            let (live, entry) = match live(standing) {
                Ok(found) => found,
                Err(PairFault::Grant(_)) => return Ok(None),
                Err(fault) => return Err(fault),
            };
            check_client(&live, by)?;
            match self.take_back(&handle, &entry, "taken back", now).await? {
                Written::Done { .. } => return Ok(Some(handle)),
                Written::Conflict(found) => standing = found,
            }
        }
        Err(PairFault::Store)
    }

    /// The family of `refresh`, as access tokens tell it (`fam`); `None` when it is no refresh token of this form.
    #[must_use]
    pub fn family_of(&self, refresh: &str) -> Option<Handle> {
        RefreshToken::parse(refresh).map(|token| token.handle(&self.terms.issuer))
    }

    /// The record after `live`, and what is given for `token`.
    fn next(
        &self,
        live: &Live,
        handle: &Handle,
        token: &RefreshToken,
        narrowed: Option<&[Box<str>]>,
        now: Timestamp,
    ) -> Result<(Live, Given), PairFault> {
        let scopes: Box<[Box<str>]> = match narrowed {
            None => live.scopes.clone(),
            Some(asked) if asked.iter().all(|scope| live.scopes.contains(scope)) => asked.into(),
            Some(_) => return Err(PairFault::Scope),
        };
        let refresh = token.next(self.tools.random.as_ref());
        let given = self.give(live, handle, &refresh, scopes, now)?;
        let generation = live.generation.saturating_add(1);
        let plain = given.write().ok_or(PairFault::TooLarge)?;
        let sealed = token.seal(&self.context(handle, generation), plain, self.tools.random.as_ref()).ok_or(PairFault::Library)?;
        let previous = Previous { digest: token.digest(), forgiven_until: now.plus(self.terms.grace), given: sealed };
        Ok((Live { generation, current: refresh.digest(), previous: Some(previous), ..live.clone() }, given))
    }

    fn give(
        &self,
        live: &Live,
        handle: &Handle,
        refresh: &RefreshToken,
        scopes: Box<[Box<str>]>,
        now: Timestamp,
    ) -> Result<Given, PairFault> {
        let key = self.keys.first().ok_or(PairFault::Library)?;
        let (access, access_until) = access::make(&self.terms, key, live, handle, &scopes, now, self.tools.random.as_ref())?;
        Ok(Given { access, refresh: refresh.text(), access_until, scopes })
    }

    /// Of `claims`, what the conf names and a token does not say itself.
    fn taken_over(&self, claims: &Value) -> Value {
        let named = |name: &str| self.terms.claims.iter().any(|wanted| **wanted == *name) && !access::OURS.contains(&name);
        match claims {
            Value::Map(members) => Value::Map(members.iter().filter(|(name, _)| named(name)).cloned().collect()),
            _ => Value::empty(),
        }
    }

    /// What a sealed pair is bound to beside the token that was spent for it.
    fn context(&self, handle: &Handle, generation: u64) -> [u8; 32] {
        crate::jose::digest::digest(
            "countersign successor",
            &[self.terms.issuer.as_bytes(), &handle.key(&self.terms.issuer), &generation.to_be_bytes()],
        )
    }

    fn key(&self, handle: &Handle) -> Key {
        Key { class: Class::Family, digest: handle.key(&self.terms.issuer) }
    }

    async fn read(&self, handle: &Handle, now: Timestamp) -> Result<Option<Entry>, Outage> {
        let read = self.tools.state.read(&self.key(handle), now).await;
        self.tools.observer.note(Event::State { operation: "read", ok: read.is_ok() });
        read
    }

    async fn write(&self, handle: &Handle, expect: Expect, family: &Family, ends: Timestamp, now: Timestamp) -> Result<Written, PairFault> {
        let value = family.write().ok_or(PairFault::TooLarge)?;
        let written = self.tools.state.write(&self.key(handle), expect, Bytes::from(value), ends, now).await;
        self.tools.observer.note(Event::State { operation: "write", ok: written.is_ok() });
        Ok(written?)
    }

    /// Replaces the record `entry` by one that says the family was taken back, until its end; and revokes the access tokens that it
    /// was given, for as long as one of them may live.
    async fn take_back(&self, handle: &Handle, entry: &Entry, reason: &str, now: Timestamp) -> Result<Written, PairFault> {
        let written = self.write(handle, Expect::Version(entry.version), &Family::Revoked, entry.until, now).await?;
        if let Written::Done { .. } = written {
            let revocation = Revocation {
                by: By::Family,
                value: handle.text().into(),
                issuer: Some(self.terms.issuer.clone()),
                issued_before: None,
                until: now.plus(self.terms.access_life).plus(LEEWAY),
                reason: reason.into(),
            };
            if self.tools.revoked.revoke(revocation).await == Revoked::Full {
                tracing::warn!(issuer = %self.terms.name, family = handle.text(), "the list of revocations is full; access tokens of this family live to their end");
            }
        }
        Ok(written)
    }

    /// Nobody whom an operator has revoked is given a pair.
    fn check_revoked(&self, live: &Live, handle: &Handle, now: Timestamp) -> Result<(), PairFault> {
        let claims = [("fam".into(), Value::Text(handle.text().into())), ("iat".into(), Value::Int(live.opened.0))];
        let identity = Identity {
            subject: live.subject.clone(),
            issuer: self.terms.issuer.clone(),
            scopes: Box::default(),
            claims: Value::Map(Box::new(claims)).into(),
            expires: Some(live.ends),
            not_before: None,
            scheme: "refresh_token",
            authenticator: Arc::clone(&self.terms.name),
            burn: None,
            also: Vec::new(),
        };
        self.tools.revoked.check(&identity, now).map_err(|refusal| match refusal {
            Refusal::Doubted(_) => PairFault::Grant(GrantFault::Revoked),
            _ => PairFault::Store,
        })
    }

    /// A record that cannot be what we wrote: nobody is given anything on its word, and the operator is told.
    fn damaged(&self, handle: &Handle) -> PairFault {
        tracing::error!(issuer = %self.terms.name, family = handle.text(), "a family's record could not be opened");
        PairFault::Store
    }
}

/// The keys that verify what `keys` sign.
///
/// # Errors
///
/// A sentence for the operator, when one of them is such as we would not accept from others.
pub fn verifying_keys(keys: &[SigningKey]) -> Result<Vec<Arc<VerifyingKey>>, String> {
    keys.iter().map(|key| key.verifying_key().map(Arc::new).map_err(|fault| fault.to_string())).collect()
}

/// The family in `standing`, when its tokens are good.
fn live(standing: Option<Entry>) -> Result<(Box<Live>, Entry), PairFault> {
    let entry = standing.ok_or(PairFault::Grant(GrantFault::Unknown))?;
    match Family::read(&entry.value) {
        Some(Family::Live(live)) => Ok((live, entry)),
        Some(Family::Revoked) => Err(PairFault::Grant(GrantFault::Revoked)),
        None => {
            tracing::error!("a family's record could not be read");
            Err(PairFault::Store)
        }
    }
}

/// What was given to a client is that client's alone.
fn check_client(live: &Live, by: Option<&Caller>) -> Result<(), PairFault> {
    match &live.client {
        Some(client) if by != Some(client) => Err(PairFault::Grant(GrantFault::Foreign)),
        _ => Ok(()),
    }
}

fn issued(given: Given, family: Handle, ends: Timestamp) -> Issued {
    let pair = TokenPair {
        access: given.access,
        refresh: Some(given.refresh),
        access_until: Some(given.access_until),
        refresh_until: Some(ends),
        beside: Value::empty(),
    };
    Issued { pair, scopes: given.scopes, family }
}

#[cfg(test)]
mod tests;
