//! A token pair as bytes, for sealing.
//!
//! Fields in a fixed order, each with its length before it, so that bytes have one reading or none. What is read back was
//! sealed by us, but perhaps by another release, so everything is checked all the same.

use zeroize::Zeroizing;

use crate::domain::{Secret, Timestamp, TokenPair, Value};

/// How deep what stands beside a pair may nest.
const DEPTH: usize = 8;

/// The bytes of `pair`, to be wiped; `None` when what stands beside it is no data, or nests too deep.
pub(super) fn write(pair: &TokenPair) -> Option<Zeroizing<Vec<u8>>> {
    let beside = weight(&pair.beside, DEPTH)?;
    let refresh = pair.refresh.as_ref().map_or(0, Secret::len);
    // All at once: a vector that grows would leave copies behind.
    let mut out = Zeroizing::new(Vec::with_capacity(pair.access.len() + refresh + beside + 64));
    write_bytes(&mut out, pair.access.expose())?;
    out.push(u8::from(pair.refresh.is_some()));
    if let Some(refresh) = &pair.refresh {
        write_bytes(&mut out, refresh.expose())?;
    }
    for moment in [pair.access_until, pair.refresh_until] {
        out.push(u8::from(moment.is_some()));
        if let Some(moment) = moment {
            out.extend(moment.0.to_be_bytes());
        }
    }
    write_value(&mut out, &pair.beside)?;
    Some(out)
}

/// The pair that `bytes` are; `None` when they are none.
pub(super) fn read(bytes: &[u8]) -> Option<TokenPair> {
    let mut rest = Rest(bytes);
    let pair = TokenPair {
        access: Secret::new(rest.bytes()?.to_vec()),
        refresh: if rest.flag()? { Some(Secret::new(rest.bytes()?.to_vec())) } else { None },
        access_until: if rest.flag()? { Some(Timestamp(rest.int()?)) } else { None },
        refresh_until: if rest.flag()? { Some(Timestamp(rest.int()?)) } else { None },
        beside: rest.value(DEPTH)?,
    };
    (rest.0.is_empty() && matches!(pair.beside, Value::Map(_))).then_some(pair)
}

/// About how many bytes `value` will take; `None` when it nests more than `depth` levels or holds a number that is none.
fn weight(value: &Value, depth: usize) -> Option<usize> {
    const EACH: usize = 16;
    let inside = match value {
        Value::Null | Value::Bool(_) | Value::Int(_) => 0,
        Value::Float(number) => number.is_finite().then_some(0)?,
        Value::Text(text) => text.len(),
        Value::List(items) => {
            let below = depth.checked_sub(1)?;
            items.iter().try_fold(0, |sum: usize, item| Some(sum + weight(item, below)?))?
        }
        Value::Map(members) => {
            let below = depth.checked_sub(1)?;
            members.iter().try_fold(0, |sum: usize, (name, member)| Some(sum + EACH + name.len() + weight(member, below)?))?
        }
    };
    Some(EACH + inside)
}

fn write_count(out: &mut Vec<u8>, count: usize) -> Option<()> {
    out.extend(u32::try_from(count).ok()?.to_be_bytes());
    Some(())
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    write_count(out, bytes.len())?;
    out.extend_from_slice(bytes);
    Some(())
}

/// Writes a `value` whose [`weight`] is known.
fn write_value(out: &mut Vec<u8>, value: &Value) -> Option<()> {
    match value {
        Value::Null => out.push(0),
        Value::Bool(false) => out.push(1),
        Value::Bool(true) => out.push(2),
        Value::Int(number) => {
            out.push(3);
            out.extend(number.to_be_bytes());
        }
        Value::Float(number) => {
            out.push(4);
            out.extend(number.to_bits().to_be_bytes());
        }
        Value::Text(text) => {
            out.push(5);
            write_bytes(out, text.as_bytes())?;
        }
        Value::List(items) => {
            out.push(6);
            write_count(out, items.len())?;
            items.iter().try_for_each(|item| write_value(out, item))?;
        }
        Value::Map(members) => {
            out.push(7);
            write_count(out, members.len())?;
            for (name, member) in members {
                write_bytes(out, name.as_bytes())?;
                write_value(out, member)?;
            }
        }
    }
    Some(())
}

/// What is still to be read.
struct Rest<'b>(&'b [u8]);

impl<'b> Rest<'b> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.array()? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    fn int(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    fn count(&mut self) -> Option<usize> {
        self.array().and_then(|bytes| usize::try_from(u32::from_be_bytes(bytes)).ok())
    }

    fn bytes(&mut self) -> Option<&'b [u8]> {
        let length = self.count()?;
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn text(&mut self) -> Option<Box<str>> {
        std::str::from_utf8(self.bytes()?).ok().map(Into::into)
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        Some(match self.array()? {
            [0] => Value::Null,
            [1] => Value::Bool(false),
            [2] => Value::Bool(true),
            [3] => Value::Int(self.int()?),
            [4] => Value::Float(Some(f64::from_bits(u64::from_be_bytes(self.array()?))).filter(|number| number.is_finite())?),
            [5] => Value::Text(self.text()?),
            [6] => {
                let below = depth.checked_sub(1)?;
                Value::List((0..self.count()?).map(|_| self.value(below)).collect::<Option<_>>()?)
            }
            [7] => {
                let below = depth.checked_sub(1)?;
                let mut members: Vec<(Box<str>, Value)> = Vec::new();
                for _ in 0..self.count()? {
                    let name = self.text()?;
                    if members.iter().any(|(known, _)| *known == name) {
                        return None;
                    }
                    members.push((name, self.value(below)?));
                }
                Value::Map(members.into())
            }
            _ => return None,
        })
    }
}
