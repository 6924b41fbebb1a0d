//! Records as bytes, in a form that says which form it is.
//!
//! One byte for the form, one for the state, then fields of fixed width in a fixed order; only the sealed pair has a length, and
//! nothing may follow. Whatever is not exactly that is no record, and whoever reads it takes it for an unknown result.
//! Nothing here is secret and nothing is authenticated: whoever can write to the store can make a renewal fail, and no more.

use bytes::Bytes;

use crate::domain::Timestamp;
use crate::renew::flight::protocol::{Class, Holder, Lease, Record};

/// The form that this release writes and reads.
pub(super) const FORM: u8 = 1;

/// The longest record: what no store has trouble with, and more than any pair needs.
pub(super) const LONGEST: usize = 256 * 1024;

const LEASED: u8 = 1;
const DONE: u8 = 2;
const FAILED: u8 = 3;
const LOST: u8 = 4;

const FATAL: u8 = 1;
const TRANSIENT: u8 = 2;

/// The bytes of `record`.
#[must_use]
pub fn write(record: &Record) -> Bytes {
    let mut out = Vec::with_capacity(64);
    out.push(FORM);
    match record {
        Record::Leased(lease) => {
            out.push(LEASED);
            out.extend(lease.holder.0);
            out.push(lease.attempt);
            out.extend(lease.ends.0.to_be_bytes());
        }
        Record::Done { sealed, ends } => {
            out.push(DONE);
            out.extend(ends.0.to_be_bytes());
            out.extend(u32::try_from(sealed.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend_from_slice(sealed);
        }
        Record::Failed { class, ends } => {
            out.push(FAILED);
            out.push(match class {
                Class::Fatal => FATAL,
                Class::Transient => TRANSIENT,
            });
            out.extend(ends.0.to_be_bytes());
        }
        Record::Lost { attempt, ends } => {
            out.push(LOST);
            out.push(*attempt);
            out.extend(ends.0.to_be_bytes());
        }
    }
    out.into()
}

/// The record that `bytes` are; `None` when they are none of this form.
#[must_use]
pub fn read(bytes: &Bytes) -> Option<Record> {
    if LONGEST < bytes.len() {
        return None;
    }
    let (&[form, state], rest) = bytes.split_first_chunk()?;
    if form != FORM {
        return None;
    }
    match state {
        LEASED => {
            let (holder, rest) = rest.split_first_chunk()?;
            let (&attempt, rest) = rest.split_first()?;
            (1 <= attempt).then_some(())?;
            Some(Record::Leased(Lease { holder: Holder(*holder), attempt, ends: last(rest)? }))
        }
        DONE => {
            let (ends, rest) = rest.split_first_chunk()?;
            let (length, sealed) = rest.split_first_chunk()?;
            let whole = usize::try_from(u32::from_be_bytes(*length)).is_ok_and(|length| length == sealed.len());
            whole.then(|| Record::Done { sealed: bytes.slice_ref(sealed), ends: Timestamp(i64::from_be_bytes(*ends)) })
        }
        FAILED => {
            let (&class, rest) = rest.split_first()?;
            let class = match class {
                FATAL => Class::Fatal,
                TRANSIENT => Class::Transient,
                _ => return None,
            };
            Some(Record::Failed { class, ends: last(rest)? })
        }
        LOST => {
            let (&attempt, rest) = rest.split_first()?;
            (1 <= attempt).then_some(())?;
            Some(Record::Lost { attempt, ends: last(rest)? })
        }
        _ => None,
    }
}

/// The moment that `rest` is, and nothing more.
fn last(rest: &[u8]) -> Option<Timestamp> {
    rest.try_into().ok().map(|bytes| Timestamp(i64::from_be_bytes(bytes)))
}
