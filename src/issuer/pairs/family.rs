//! The record of a family: everything that is known of the tokens that followed one another from one login.
//!
//! There is one record per family and it is only ever replaced as a whole, so at every moment exactly one refresh token is the
//! current one. No credential stands in it: digests of the current token and of the one before, and, sealed with the latter, what
//! was given for it.

use zeroize::Zeroizing;

use crate::domain::{Secret, Timestamp, Value};
use crate::issuer::pairs::Caller;
use crate::jose::fields::{Reading, Writing};

/// What the first byte of every record says.
const VERSION: u8 = 1;

/// The longest record, in bytes.
pub(super) const MAX_RECORD: usize = 48 * 1_024;

/// A family as recorded.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Family {
    /// Its tokens are good.
    Live(Box<Live>),
    /// It was taken back. Kept until its end, so that nobody opens it again.
    Revoked,
}

/// A family whose tokens are good.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Live {
    /// Who it is for.
    pub(super) subject: Box<str>,
    /// The client it was given to, where that was proven.
    pub(super) client: Option<Caller>,
    /// What was granted, and never becomes more.
    pub(super) scopes: Box<[Box<str>]>,
    /// What access tokens say besides.
    pub(super) claims: Value,
    /// When it began.
    pub(super) opened: Timestamp,
    /// The end of all its tokens.
    pub(super) ends: Timestamp,
    /// How often it has been rotated.
    pub(super) generation: u64,
    /// Digest of the refresh token that is good now.
    pub(super) current: [u8; 32],
    /// The one before, if there was one.
    pub(super) previous: Option<Previous>,
}

/// The refresh token that was spent last.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Previous {
    /// Its digest.
    pub(super) digest: [u8; 32],
    /// Until then whoever presents it once more is given what was given for it.
    pub(super) forgiven_until: Timestamp,
    /// What was given for it, sealed with it.
    pub(super) given: Vec<u8>,
}

impl Family {
    /// As bytes; `None` when it is larger than any record.
    pub(super) fn write(&self) -> Option<Vec<u8>> {
        let mut out = Writing::new();
        out.byte(VERSION);
        match self {
            Self::Revoked => out.flag(false),
            Self::Live(live) => {
                out.flag(true);
                out.text(&live.subject)?;
                out.flag(live.client.is_some());
                if let Some(client) = &live.client {
                    out.text(&client.issuer)?;
                    out.text(&client.name)?;
                }
                out.texts(&live.scopes)?;
                out.value(&live.claims)?;
                out.moment(live.opened);
                out.moment(live.ends);
                out.fixed(&live.generation.to_be_bytes());
                out.fixed(&live.current);
                out.flag(live.previous.is_some());
                if let Some(previous) = &live.previous {
                    out.fixed(&previous.digest);
                    out.moment(previous.forgiven_until);
                    out.bytes(&previous.given)?;
                }
            }
        }
        Some(out.finish()).filter(|bytes| bytes.len() <= MAX_RECORD)
    }

    /// The family that `bytes` stand for; `None` when they stand for none.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = Reading::new(bytes);
        if rest.byte()? != VERSION {
            return None;
        }
        let family = if rest.flag()? {
            Self::Live(Box::new(Live {
                subject: rest.text()?,
                client: if rest.flag()? { Some(Caller { issuer: rest.text()?, name: rest.text()? }) } else { None },
                scopes: rest.texts()?,
                claims: rest.value()?,
                opened: rest.moment()?,
                ends: rest.moment()?,
                generation: u64::from_be_bytes(rest.fixed()?),
                current: rest.fixed()?,
                previous: if rest.flag()? {
                    Some(Previous { digest: rest.fixed()?, forgiven_until: rest.moment()?, given: rest.bytes()?.to_vec() })
                } else {
                    None
                },
            }))
        } else {
            Self::Revoked
        };
        rest.is_done().then_some(family)
    }
}

/// What was given for a spent token, in the clear; it exists while it is sealed or opened.
pub(super) struct Given {
    pub(super) access: Secret,
    pub(super) refresh: Secret,
    pub(super) access_until: Timestamp,
    pub(super) scopes: Box<[Box<str>]>,
}

impl Given {
    pub(super) fn write(&self) -> Option<Zeroizing<Vec<u8>>> {
        let mut out = Writing::new();
        out.bytes(self.access.expose())?;
        out.bytes(self.refresh.expose())?;
        out.moment(self.access_until);
        out.texts(&self.scopes)?;
        Some(Zeroizing::new(out.finish()))
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = Reading::new(bytes);
        let given = Self {
            access: Secret::new(rest.bytes()?.to_vec()),
            refresh: Secret::new(rest.bytes()?.to_vec()),
            access_until: rest.moment()?,
            scopes: rest.texts()?,
        };
        rest.is_done().then_some(given)
    }
}
