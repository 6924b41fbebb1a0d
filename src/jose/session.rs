//! Sessions: the id that a browser holds, and the sealed record that is kept for it.
//!
//! The id is 256 unpredictable bits, which say nothing, and a proof that they were drawn here, for this host and this kind of session:
//! whoever guesses at ids never comes as far as the store. The record stands under a digest of the id, the host and the kind of session,
//! and is sealed with AES-256-GCM under a key that is derived from the configured key, a fresh salt, and those three: a store that
//! is stolen opens no session, a record that is moved opens nowhere, and a cookie that is carried to another host finds nothing.
//!
//! What a session is good for is decided by who opens it; nothing here reads a clock.
//!
//! Rules: RFC 2104 (HMAC), RFC 5116 (AEAD), RFC 5869 (HKDF), RFC 4648 section 5 (base64url, without padding).

mod epochs;

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::domain::{Random, Seconds, Secret, Timestamp, Value, Verified};
use crate::jose::base64url;
use crate::jose::digest::digest;
use crate::jose::fields::{Reading, Writing};
use crate::jose::sealing::{OnceKey, Sealer};

pub use crate::jose::session::epochs::Epochs;

const KEY_ID: usize = 4;
const SALT: usize = 32;
/// Bytes of an id that are drawn.
const DRAWN: usize = 32;
/// Bytes behind them that prove it.
const PROOF: usize = 16;
const ID: usize = DRAWN + PROOF;

/// Characters of an id as text, without a bit to spare.
const ID_TEXT: usize = 64;

/// The longest record, in bytes.
pub const MAX_RECORD: usize = 48 * 1_024;

/// What the first byte of every record says.
const VERSION: u8 = 1;

/// The id of a session, or what has the form of one. It has no `Debug`: whoever has it is the session.
#[derive(Clone)]
pub struct SessionId(Zeroizing<[u8; ID]>);

impl SessionId {
    /// The id that `text` is; `None` when it has not the one form that an id of ours has. Whether it is ours,
    /// [`SessionTerms::recognise`] says.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; ID]);
        let filled = base64url::decode_into(Some(text).filter(|text| text.len() == ID_TEXT)?, bytes.as_mut_slice())?.len();
        (filled == ID).then_some(Self(bytes))
    }

    /// As the cookie holds it.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(base64url::encode(self.0.as_slice()))
    }

    fn halves(&self) -> (&[u8], &[u8]) {
        self.0.split_at(DRAWN)
    }

    /// One that nobody has drawn, in the right form.
    #[cfg(test)]
    pub(crate) fn forged(random: &dyn Random) -> Self {
        let mut bytes = Zeroizing::new([0; ID]);
        random.fill(bytes.as_mut_slice());
        Self(bytes)
    }
}

/// A session as it is asked for: an id that was drawn for it, and the host it is good at. Made by [`SessionTerms`] only.
#[derive(Clone)]
pub struct Reference {
    id: SessionId,
    host: Box<str>,
}

impl Reference {
    /// The id.
    #[must_use]
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// As one text, to be handed on where a text is wanted and read by [`SessionTerms::read`]. As secret as the id.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new([self.id.text().as_str(), &self.host].concat())
    }
}

/// A session.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// Who it is.
    pub subject: Box<str>,
    /// Who vouched for that at login.
    pub issuer: Box<str>,
    /// What they may do.
    pub scopes: Box<[Box<str>]>,
    /// Everything else that was proven at login, as an object.
    pub claims: Value,
    /// When it began.
    pub opened: Timestamp,
    /// When it is over, whatever happens.
    pub ends: Timestamp,
    /// When it was last seen, to the minute.
    pub seen: Timestamp,
    /// The credentials of another issuer that it stands for, if any.
    pub pair: Option<KeptPair>,
}

/// A pair that is kept for a session.
#[derive(Clone)]
pub struct KeptPair {
    /// What requests are made with. Empty when it was never ours to see.
    pub access: Secret,
    /// What is spent for the next pair.
    pub refresh: Secret,
    /// When the access credential ends; `None` when nobody knows.
    pub access_until: Option<Timestamp>,
    /// When the refresh credential ends; `None` when nobody knows.
    pub refresh_until: Option<Timestamp>,
}

impl fmt::Debug for KeptPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptPair").field("access_until", &self.access_until).finish_non_exhaustive()
    }
}

impl KeptPair {
    /// Names what is spent, so that it is kept in one session at a time. Opens nothing.
    #[must_use]
    pub fn claim(&self) -> [u8; 32] {
        digest("countersign session pair", &[self.refresh.expose()])
    }
}

impl PartialEq for KeptPair {
    fn eq(&self, other: &Self) -> bool {
        self.access.expose() == other.access.expose()
            && self.refresh.expose() == other.refresh.expose()
            && (self.access_until, self.refresh_until) == (other.access_until, other.refresh_until)
    }
}

impl Session {
    /// From this moment on it is over: its end, or so long after it was last seen as `idle` allows (0: any time).
    #[must_use]
    pub fn until(&self, idle: Seconds) -> Timestamp {
        if idle == Seconds(0) { self.ends } else { self.ends.min(self.seen.plus(idle)) }
    }

    fn write(&self) -> Option<Vec<u8>> {
        let mut out = Writing::new();
        out.byte(VERSION);
        out.text(&self.subject)?;
        out.text(&self.issuer)?;
        out.texts(&self.scopes)?;
        out.value(&self.claims)?;
        out.moment(self.opened);
        out.moment(self.ends);
        out.moment(self.seen);
        out.flag(self.pair.is_some());
        if let Some(pair) = &self.pair {
            out.bytes(pair.access.expose())?;
            out.bytes(pair.refresh.expose())?;
            out.optional_moment(pair.access_until);
            out.optional_moment(pair.refresh_until);
        }
        Some(out.finish())
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = Reading::new(bytes);
        if rest.byte()? != VERSION {
            return None;
        }
        let session = Self {
            subject: rest.text()?,
            issuer: rest.text()?,
            scopes: rest.texts()?,
            claims: rest.value()?,
            opened: rest.moment()?,
            ends: rest.moment()?,
            seen: rest.moment()?,
            pair: if rest.flag()? {
                Some(KeptPair {
                    access: Secret::new(rest.bytes()?.to_vec()),
                    refresh: Secret::new(rest.bytes()?.to_vec()),
                    access_until: rest.optional_moment()?,
                    refresh_until: rest.optional_moment()?,
                })
            } else {
                None
            },
        };
        (rest.is_done() && matches!(session.claims, Value::Map(_))).then_some(session)
    }
}

/// A key that seals records and proves ids, set up once.
pub struct SessionKey {
    id: [u8; KEY_ID],
    sealer: Sealer,
    proving: hmac::Key,
}

impl SessionKey {
    /// Sets up `secret` (at least 32 bytes) under `id`, which names it inside records.
    #[must_use]
    pub fn new(id: [u8; KEY_ID], secret: &Secret) -> Self {
        let sealer = Sealer::new("countersign session 1", secret.expose());
        // A key of its own for the other purpose.
        let proving = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.expose()), b"countersign session id 1");
        Self { id, sealer, proving: hmac::Key::new(hmac::HMAC_SHA256, proving.as_ref()) }
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKey({:02x?})", self.id)
    }
}

/// What all sessions of one authenticator have in common; held by whoever opens, finds, renews or ends them.
#[derive(Debug)]
pub struct SessionTerms {
    /// The authenticator's name. Sessions of another are other sessions.
    pub name: Arc<str>,
    /// The cookie that holds the id.
    pub cookie: Box<str>,
    /// How long a session lasts at most.
    pub life: Seconds,
    /// How long it lasts unseen; 0 for any time.
    pub idle: Seconds,
    /// Keys that seal and open, and prove ids and recognise them; the first seals and proves. At least one.
    pub keys: Box<[SessionKey]>,
    /// What was changed on this node since, so that nobody goes on with what they remember.
    pub epochs: Arc<Epochs>,
}

/// A session that could not be sealed: too large for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session is too large to be kept")]
pub struct TooLarge;

impl SessionTerms {
    /// A new session at `host`, under an id that nobody has seen before. `None` without a key.
    #[must_use]
    pub fn draw(&self, host: &str, random: &dyn Random) -> Option<Reference> {
        let mut bytes = Zeroizing::new([0; ID]);
        let (drawn, proof) = bytes.split_at_mut(DRAWN);
        random.fill(drawn);
        proof.copy_from_slice(&self.proof(self.keys.first()?, host, drawn));
        Some(Reference { id: SessionId(bytes), host: host.into() })
    }

    /// What `id` is at `host`, when it was drawn for that host and these sessions under a key that is still ours; `None` otherwise.
    /// Whether there is, or ever was, such a session is not said.
    #[must_use]
    pub fn recognise(&self, id: SessionId, host: &str) -> Option<Reference> {
        let (drawn, presented) = id.halves();
        let is_ours = self.keys.iter().any(|key| bool::from(self.proof(key, host, drawn).as_slice().ct_eq(presented)));
        is_ours.then(|| Reference { id, host: host.into() })
    }

    /// The reference that `text` is, as [`Reference::text`] writes it.
    #[must_use]
    pub fn read(&self, text: &str) -> Option<Reference> {
        let (id, host) = text.split_at_checked(ID_TEXT)?;
        self.recognise(SessionId::parse(id)?, host)
    }

    /// What `key` proves of `drawn` with: nobody else can say it, and it fits no other host and no other sessions.
    fn proof(&self, key: &SessionKey, host: &str, drawn: &[u8]) -> [u8; PROOF] {
        let whole = hmac::sign(&key.proving, &digest("countersign session id", &[self.name.as_bytes(), host.as_bytes(), drawn]));
        whole.as_ref().first_chunk().copied().unwrap_or_default()
    }

    /// The key of the record of `reference`.
    #[must_use]
    pub fn record_of(&self, reference: &Reference) -> [u8; 32] {
        digest("countersign session record", &self.context(reference))
    }

    /// Names the session of `reference` to everyone (`sid`): in claims, logs and revocations. Opens nothing.
    #[must_use]
    pub fn handle_of(&self, reference: &Reference) -> String {
        let named = digest("countersign session handle", &self.context(reference));
        base64url::encode(named.first_chunk::<16>().map_or(&[], |handle| handle.as_slice()))
    }

    /// Seals `session` for `reference` with the first key.
    ///
    /// # Errors
    ///
    /// [`TooLarge`].
    pub fn seal(&self, reference: &Reference, session: &Session, random: &dyn Random) -> Result<Vec<u8>, TooLarge> {
        let key = self.keys.first().ok_or(TooLarge)?;
        let mut head = [0; KEY_ID + SALT];
        let (id, salt) = head.split_at_mut(KEY_ID);
        id.copy_from_slice(&key.id);
        random.fill(salt);
        let sealing = self.derive(key, reference, salt).ok_or(TooLarge)?;
        let mut body = Zeroizing::new(session.write().ok_or(TooLarge)?);
        sealing.seal(&self.authenticated(reference, &head), &mut body).ok_or(TooLarge)?;
        let record = [head.as_slice(), &body].concat();
        if MAX_RECORD < record.len() { Err(TooLarge) } else { Ok(record) }
    }

    /// The session that `record` is, when it was sealed for `reference` with one of our keys and not changed; `None` otherwise.
    #[must_use]
    pub fn open(&self, reference: &Reference, record: &[u8]) -> Option<Verified<Session>> {
        let (head, sealed) = record.split_first_chunk::<{ KEY_ID + SALT }>()?;
        let (id, salt) = head.split_at(KEY_ID);
        for key in self.keys.iter().filter(|key| key.id == *id) {
            let Some(opening) = self.derive(key, reference, salt) else { continue };
            let mut body = Zeroizing::new(sealed.to_vec());
            if let Some(plain) = opening.open(&self.authenticated(reference, head), &mut body) {
                return Session::read(plain).map(Verified::vouch);
            }
        }
        None
    }

    fn context<'a>(&'a self, reference: &'a Reference) -> [&'a [u8]; 3] {
        [self.name.as_bytes(), reference.host.as_bytes(), reference.id.0.as_slice()]
    }

    /// What is authenticated but not encrypted: whose record it is, and how it was sealed.
    fn authenticated(&self, reference: &Reference, head: &[u8]) -> [u8; 32] {
        let [name, host, id] = self.context(reference);
        digest("countersign session seal", &[name, host, id, head])
    }

    /// The key of the one record with this `salt`.
    fn derive(&self, key: &SessionKey, reference: &Reference, salt: &[u8]) -> Option<OnceKey> {
        let context = digest("countersign session key", &self.context(reference));
        key.sealer.key(&[context.as_slice(), salt])
    }
}

#[cfg(test)]
mod tests;
