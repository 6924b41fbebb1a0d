//! Refresh tokens: what they look like, what is kept about them, and what only their holder can open.
//!
//! `cr1.` and the base64url of family (16 bytes) and secret (32 bytes), 64 characters without a bit to spare. Of the family only a
//! handle is ever told (`fam` in access tokens, logs, records), and the handle does not lead back: so whoever presents the right
//! family with a wrong secret has held a token of it once. Of the secret only a digest is kept.
//!
//! Rules: RFC 6749 section 10.4, RFC 5116 (AEAD), RFC 5869 (HKDF).

use zeroize::Zeroizing;

use crate::domain::{Random, Secret};
use crate::jose::base64url;
use crate::jose::digest::digest;
use crate::jose::sealing::{OnceKey, Sealer};

/// How every refresh token of this format starts.
pub const PREFIX: &str = "cr1.";

const FAMILY: usize = 16;
const SECRET: usize = 32;
const SALT: usize = 32;
/// Characters behind the prefix: three bytes are four of them.
const ENCODED: usize = (FAMILY + SECRET) / 3 * 4;

/// Names a family of tokens to everyone: in access tokens (`fam`), logs and revocations. Opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Handle(pub(super) [u8; 16]);

impl Handle {
    /// As `fam` writes it.
    #[must_use]
    pub fn text(&self) -> String {
        base64url::encode(&self.0)
    }

    /// The handle that `text` is; `None` when it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        base64url::decode(text)?.try_into().ok().map(Self)
    }

    /// The key of the family's record at `issuer`.
    #[must_use]
    pub fn key(&self, issuer: &str) -> [u8; 32] {
        digest("countersign family record", &[issuer.as_bytes(), &self.0])
    }
}

/// A refresh token. It has no `Debug`: it is a credential.
pub(super) struct RefreshToken(Zeroizing<[u8; FAMILY + SECRET]>);

impl RefreshToken {
    /// The first token of a new family.
    pub(super) fn first(random: &dyn Random) -> Self {
        let mut bytes = Zeroizing::new([0; FAMILY + SECRET]);
        random.fill(bytes.as_mut_slice());
        Self(bytes)
    }

    /// Another token of the same family.
    pub(super) fn next(&self, random: &dyn Random) -> Self {
        let mut bytes = self.0.clone();
        let (_, secret) = bytes.split_at_mut(FAMILY);
        random.fill(secret);
        Self(bytes)
    }

    /// The token that `text` is; `None` when it has not the one form that a token of ours has.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let encoded = text.strip_prefix(PREFIX).filter(|encoded| encoded.len() == ENCODED)?;
        let mut bytes = Zeroizing::new([0; FAMILY + SECRET]);
        base64url::decode_into(encoded, bytes.as_mut_slice()).filter(|filled| filled.len() == FAMILY + SECRET)?;
        Some(Self(bytes))
    }

    /// As the client holds it.
    pub(super) fn text(&self) -> Secret {
        Secret::new([PREFIX, &base64url::encode(self.0.as_slice())].concat().into_bytes())
    }

    /// Names its family at `issuer`.
    pub(super) fn handle(&self, issuer: &str) -> Handle {
        let (family, _) = self.0.split_at(FAMILY);
        let named = digest("countersign family handle", &[issuer.as_bytes(), family]);
        Handle(named.first_chunk().copied().unwrap_or_default())
    }

    /// What is kept in its place.
    pub(super) fn digest(&self) -> [u8; 32] {
        digest("countersign refresh token", &[self.0.as_slice()])
    }

    /// Seals `plain` so that only whoever has this token can open it, and only together with `context`.
    ///
    /// `None` when the crypto library fails.
    pub(super) fn seal(&self, context: &[u8], mut plain: Zeroizing<Vec<u8>>, random: &dyn Random) -> Option<Vec<u8>> {
        let mut salt = [0; SALT];
        // Two nodes may spend one token at the same moment, and only one of them wins: each seals under a key of its own.
        random.fill(&mut salt);
        self.sealing_key(&salt)?.seal(context, &mut plain)?;
        Some([salt.as_slice(), &plain].concat())
    }

    /// What was sealed with this token and `context`; `None` when it was not, or was changed.
    pub(super) fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (salt, sealed) = sealed.split_at_checked(SALT)?;
        let mut body = Zeroizing::new(sealed.to_vec());
        let plain = self.sealing_key(salt)?.open(context, &mut body)?;
        Some(Zeroizing::new(plain.to_vec()))
    }

    fn sealing_key(&self, salt: &[u8]) -> Option<OnceKey> {
        Sealer::new("countersign successor 1", self.0.as_slice()).key(&[salt])
    }
}
