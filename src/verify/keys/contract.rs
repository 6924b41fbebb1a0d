//! What a source of keys is, to everyone who does not know where its keys come from.
//!
//! Look-ups never wait: they read a snapshot. What is missing is asked for at a [`Desk`], by the gate.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::{Clock, Observer, Random, Seconds, Secret, Timestamp};
use crate::jose::algorithm::Algorithm;
use crate::jose::key::VerifyingKey;
use crate::net::client::Client;
use crate::settings::{Checking, Node, Shape};
use crate::verify::contract::Desk;

/// What a key store holds, and so which schemes may use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyClass {
    /// Keys that verify signatures of tokens (public keys; HMAC keys of pinned sources).
    Signature,
    /// Server keys: ids with digests of their secrets.
    ServerKeys,
    /// The same with the secrets themselves, which some schemes sign with.
    SigningClients,
    /// A key of our own for sealed tickets.
    Mac,
    /// A Gigya partner secret, base64-decoded.
    GigyaSecret,
}

impl KeyClass {
    /// In the words of an error message.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Signature => "keys that verify token signatures",
            Self::ServerKeys => "server keys",
            Self::SigningClients => "API clients with their secrets (`janrain_clients`)",
            Self::Mac => "a `mac` key",
            Self::GigyaSecret => "a `gigya_secret`",
        }
    }

    /// Whether a store of this class holds what is needed of class `needed`: whoever has the secrets can compare them too.
    #[must_use]
    pub fn serves(self, needed: Self) -> bool {
        self == needed || (self == Self::SigningClients && needed == Self::ServerKeys)
    }
}

/// One line of the roll-call `verify::keys::KEY_SOURCES`.
pub struct KeySourceEntry {
    /// The key that names the source in the conf.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub doc: &'static str,
    /// What it holds.
    pub class: KeyClass,
    /// What may stand under that key.
    pub shape: Shape,
    /// Proves the settings of the store called by the first argument, or notes every fault and returns `None`. Pure.
    pub plan: fn(&str, &Node, &mut Checking<'_>) -> Option<Box<dyn KeySourcePlan>>,
}

/// The settings of one key store, proven.
pub trait KeySourcePlan: Debug + Send + Sync {
    /// What it holds.
    fn class(&self) -> KeyClass;

    /// Every algorithm that some key of the store can verify; `None` while nobody knows, as with sets still to be fetched.
    fn algorithms(&self) -> Option<Vec<Algorithm>> {
        None
    }

    /// Whether each issuer's keys verify that issuer's tokens only, however many issuers use the store.
    fn keeps_issuers_apart(&self) -> bool {
        false
    }

    /// For remote sources: a text that is equal exactly when a reload may go on using the store that is already running, with
    /// what it knows. As secret as the settings; it is compared and never shown. `None` for everything that is read from
    /// files, which a reload reads again.
    fn continuity(&self) -> Option<String>;

    /// Builds the store.
    ///
    /// # Errors
    ///
    /// A sentence for the operator.
    fn build(&self, name: &Arc<str>, tools: &KeyTools) -> Result<BuiltKeys, String>;
}

/// What key stores are built with.
#[derive(Clone)]
pub struct KeyTools {
    /// For remote sets.
    pub client: Arc<Client>,
    /// The wall clock, for background refresh only.
    pub clock: Arc<dyn Clock>,
    /// Unpredictable bytes, for jitter.
    pub random: Arc<dyn Random>,
    /// Who hears of fetches and skipped keys.
    pub observer: Arc<dyn Observer>,
    /// What verifies the tokens of our own issuers, by their names in the conf.
    pub issued: Arc<BTreeMap<String, Vec<Arc<VerifyingKey>>>>,
}

/// A built key store.
#[derive(Clone)]
pub enum BuiltKeys {
    /// Verifies token signatures.
    Signature(Arc<dyn SignatureKeys>),
    /// Knows server keys.
    ServerKeys(Arc<dyn ServerKeys>),
    /// Seals tickets. The current key first, then older ones that still open.
    Mac(Arc<[MacKey]>),
    /// Gigya partner secrets as HMAC key bytes, current first.
    GigyaSecret(Arc<[Secret]>),
}

/// A symmetric key of our own.
#[derive(Debug, Clone)]
pub struct MacKey {
    /// Names the key inside a ticket; derived from the key, reveals nothing of it.
    pub id: [u8; 4],
    /// At least 32 bytes.
    pub secret: Secret,
}

/// What is known about the key that made a signature, before it is checked.
#[derive(Debug, Clone, Copy)]
pub struct KeyHint<'t> {
    /// The `iss` that the token claims, unproven; sources that serve several issuers need it.
    pub issuer: &'t str,
    /// The `kid` of the header, unproven, at most 256 bytes.
    pub kid: Option<&'t str>,
    /// The `alg` of the header, already one that the authenticator allows.
    pub algorithm: Algorithm,
}

/// What a snapshot says about a hint.
pub enum KeySearch {
    /// Keys that fit kid and algorithm, at most four.
    Keys(Vec<Arc<VerifyingKey>>),
    /// There is a set, and nothing in it fits; the desk may look again about this text.
    Unknown(Arc<str>),
    /// There is a set, nothing fits, and looking again would not help.
    Never,
    /// There is no usable set; the desk may fetch one about this text.
    Unavailable(Arc<str>),
}

/// A store of keys that verify signatures.
///
/// # Contract
///
/// `find` never waits and never fetches. The desk throttles and remembers: a hostile `kid` buys at most one fetch per
/// window for everyone together.
#[async_trait]
pub trait SignatureKeys: Desk {
    /// The keys that may have made a signature.
    fn find(&self, hint: &KeyHint<'_>, now: Timestamp) -> KeySearch;

    /// Changes whenever a key is removed or replaced.
    fn generation(&self) -> u64;

    /// What to ask the desk about when none of the keys that [`SignatureKeys::find`] gave has made the signature; `None`
    /// when looking again would not help. A source whose keys have no names replaces them unseen: one question, once,
    /// after which `find` may give others. The desk throttles.
    fn second_look(&self, hint: &KeyHint<'_>) -> Option<Arc<str>> {
        let _ = hint;
        None
    }

    /// Whether there is a set to verify with at all; `/readyz` waits for it.
    fn ready(&self, now: Timestamp) -> bool;

    /// Keeps the set fresh until the returned future is dropped. Local sources return at once.
    async fn run(&self);

    /// This store as a desk, to be registered.
    fn desk(self: Arc<Self>) -> Arc<dyn Desk>;
}

/// One server key.
#[derive(Debug, Clone)]
pub struct ServerKey {
    /// The id, byte-exact.
    pub id: Box<str>,
    /// Keyed digests of the live secrets; two during a rotation.
    pub digests: [Option<[u8; 32]>; 2],
    /// Not good before.
    pub not_before: Option<Timestamp>,
    /// Not good from then on.
    pub expires: Option<Timestamp>,
    /// Switched off.
    pub disabled: bool,
    /// What its holder may do.
    pub scopes: Box<[Box<str>]>,
    /// Hosts it is good for; empty means any.
    pub hosts: Box<[Box<str>]>,
}

/// What a snapshot says about a server key id.
pub enum ServerKeySearch {
    /// The record.
    Known(Arc<ServerKey>),
    /// No such id.
    Unknown,
    /// Not at hand; the desk answers with `Option<Arc<ServerKey>>` about this id.
    Ask,
}

/// A store of server keys.
#[async_trait]
pub trait ServerKeys: Desk {
    /// The record of `id`.
    fn find(&self, id: &str, now: Timestamp) -> ServerKeySearch;

    /// Digests `secret` as the records hold it: HMAC-SHA256 under the store's pepper over the length-prefixed id and the secret.
    fn digest(&self, id: &str, secret: &[u8]) -> [u8; 32];

    /// The live secrets of `id` themselves, for schemes that sign with them. `None` for an id that nobody holds, and always in
    /// stores that keep digests only.
    fn secrets(&self, id: &str) -> Option<Arc<[Secret]>> {
        let _ = id;
        None
    }

    /// Changes whenever a key is removed or changed.
    fn generation(&self) -> u64;

    /// This store as a desk, to be registered.
    fn desk(self: Arc<Self>) -> Arc<dyn Desk>;
}

/// How long a remote set may be used after it could last be fetched, unless the conf says otherwise.
pub const MAX_STALE: Seconds = Seconds(24 * 3_600);
