//! Sealed tickets: a text that only the holder of the key can make, read or change.
//!
//! `ct1.` and the base64url of key id (4 bytes), salt (32), ciphertext, tag (16). Each ticket is sealed with AES-256-GCM
//! under a key of its own, derived by HKDF-SHA256 from the configured key and the random salt, so a nonce never repeats under
//! a key; the prefix, the key id and the salt are authenticated with it. The fields inside are binary with lengths before
//! them (`fields`), so no two sets of fields have the same bytes, and base64 is canonical, so no ticket has two texts.
//!
//! What a ticket is good for is decided by who opens it; nothing here looks at a time, a name or a binding.
//!
//! Rules: RFC 5116 (AEAD), RFC 5869 (HKDF), RFC 4648 section 5 (base64url, without padding).

mod fields;
mod terms;

use std::fmt;
use std::net::IpAddr;

use crate::domain::{Random, Secret, Timestamp, Value};
use crate::jose::base64url;
use crate::jose::sealing::Sealer;

pub use crate::jose::ticket::terms::{TicketTerms, burn_key, id_of, id_text};

/// How every ticket of this format starts.
pub const PREFIX: &str = "ct1.";

/// The longest text of a ticket, in bytes: what still fits comfortably into one header field.
pub const MAX_TEXT: usize = 4096;

const KEY_ID: usize = 4;
const SALT: usize = 32;
const TAG: usize = 16;

/// What a ticket says.
#[derive(Debug, Clone, PartialEq)]
pub struct Ticket {
    /// Names the ticket; 128 unpredictable bits.
    pub id: [u8; 16],
    /// Who made it.
    pub issuer: Box<str>,
    /// Whom it is meant for.
    pub audience: Box<str>,
    /// Who presents it.
    pub subject: Box<str>,
    /// When it was made.
    pub issued: Timestamp,
    /// From this moment on it is no longer good.
    pub expires: Timestamp,
    /// What its bearer may do.
    pub scopes: Box<[Box<str>]>,
    /// Whether it may be used once only.
    pub single_use: bool,
    /// What the request that presents it must look like.
    pub bindings: Bindings,
    /// Anything else, as an object.
    pub claims: Value,
}

/// What a request must look like for a ticket to be good for it; what is `None` or empty does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bindings {
    /// The client's address.
    pub address: Option<IpAddr>,
    /// What the device header says.
    pub device: Option<Box<str>>,
    /// The host, canonical: lower case, no port.
    pub host: Option<Box<str>>,
    /// The methods it is good for, exact.
    pub methods: Box<[Box<str>]>,
    /// The canonical path it is good for, and everything below it.
    pub path: Option<Box<str>>,
}

/// A key that seals tickets, set up once.
#[derive(Clone)]
pub struct TicketKey {
    id: [u8; KEY_ID],
    sealer: Sealer,
}

impl TicketKey {
    /// Sets up `secret` (at least 32 bytes) under `id`, which names it inside tickets.
    #[must_use]
    pub fn new(id: [u8; KEY_ID], secret: &Secret) -> Self {
        Self { id, sealer: Sealer::new("countersign ticket 1", secret.expose()) }
    }
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TicketKey({:02x?})", self.id)
    }
}

/// Why a text is not a ticket of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsealed {
    /// It is not the text of any ticket.
    #[error("not a ticket")]
    Malformed,
    /// It names a key that we do not have.
    #[error("sealed with a key that is not ours")]
    KeyUnknown,
    /// It was not made with the key that it names, or was changed.
    #[error("forged or damaged")]
    Forged,
}

/// A ticket whose fields do not fit: a text beyond 64 KiB, too many of something, or more than [`MAX_TEXT`] in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ticket is too large to be carried in a request")]
pub struct TooLarge;

/// Seals `ticket` with `key`.
///
/// # Errors
///
/// [`TooLarge`] when it would not fit into a request.
///
/// # Security
///
/// `random` must be unpredictable: equal salts for two tickets would seal both under one key and nonce.
pub fn seal(key: &TicketKey, ticket: &Ticket, random: &dyn Random) -> Result<String, TooLarge> {
    let mut head = [0; KEY_ID + SALT];
    let (id, salt) = head.split_at_mut(KEY_ID);
    id.copy_from_slice(&key.id);
    random.fill(salt);
    let sealing = key.sealer.key(&[salt]).ok_or(TooLarge)?;

    let mut body = fields::write(ticket).ok_or(TooLarge)?;
    sealing.seal(&authenticated(&head), &mut body).ok_or(TooLarge)?;

    let text = [PREFIX, &base64url::encode(&[head.as_slice(), &body].concat())].concat();
    if MAX_TEXT < text.len() { Err(TooLarge) } else { Ok(text) }
}

/// Whether `text` looks like a ticket of this format, so that a bearer can find its scheme. Proves nothing.
#[must_use]
pub fn looks_sealed(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// The key that `text` names; `None` when it is too short or no ticket at all. Proves nothing.
#[must_use]
pub fn key_id(text: &str) -> Option<[u8; KEY_ID]> {
    let bytes = base64url::decode(text.strip_prefix(PREFIX)?)?;
    let (id, rest) = bytes.split_first_chunk::<KEY_ID>()?;
    (SALT + TAG <= rest.len()).then_some(*id)
}

/// Opens `text` with whichever of `keys` it names.
///
/// What is returned was sealed with one of the keys, unchanged.
///
/// # Errors
///
/// - [`Unsealed::Malformed`] when it is too long, not canonical, or holds fields that cannot be read.
/// - [`Unsealed::KeyUnknown`] when it names none of `keys`.
/// - [`Unsealed::Forged`] when it is not what that key has sealed.
pub fn open(keys: &[TicketKey], text: &str) -> Result<Ticket, Unsealed> {
    let encoded = text.strip_prefix(PREFIX).filter(|_| text.len() <= MAX_TEXT).ok_or(Unsealed::Malformed)?;
    let bytes = base64url::decode(encoded).ok_or(Unsealed::Malformed)?;
    let (head, sealed) = bytes.split_first_chunk::<{ KEY_ID + SALT }>().ok_or(Unsealed::Malformed)?;
    if sealed.len() < TAG {
        return Err(Unsealed::Malformed);
    }
    let (id, salt) = head.split_at(KEY_ID);

    let mut outcome = Unsealed::KeyUnknown;
    for key in keys.iter().filter(|key| key.id == *id) {
        outcome = Unsealed::Forged;
        let Some(opening) = key.sealer.key(&[salt]) else { continue };
        let mut body = sealed.to_vec();
        if let Some(plain) = opening.open(&authenticated(head), &mut body) {
            return fields::read(plain).ok_or(Unsealed::Malformed);
        }
    }
    Err(outcome)
}

/// What is authenticated but not encrypted: the prefix, the key id and the salt.
fn authenticated(head: &[u8; KEY_ID + SALT]) -> [u8; PREFIX.len() + KEY_ID + SALT] {
    let mut bytes = [0; PREFIX.len() + KEY_ID + SALT];
    let (prefix, rest) = bytes.split_at_mut(PREFIX.len());
    prefix.copy_from_slice(PREFIX.as_bytes());
    rest.copy_from_slice(head);
    bytes
}

#[cfg(test)]
mod tests;
