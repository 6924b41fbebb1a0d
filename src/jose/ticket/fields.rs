//! The fields of a ticket as bytes.
//!
//! Every field stands at its place in a fixed order, is of fixed width or has its length before it, and nothing may
//! follow the last one. So two tickets with different fields never have the same bytes, and bytes have one reading or none.

use std::net::IpAddr;

use crate::domain::{Timestamp, Value};
use crate::jose::ticket::{Bindings, Ticket};

/// How deep claims may nest.
const DEPTH: usize = 8;

/// The bytes of `ticket`; `None` when a text or list is longer than its length field can say, or claims nest too deep.
pub(super) fn write(ticket: &Ticket) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(256);
    out.extend(ticket.id);
    write_text(&mut out, &ticket.issuer)?;
    write_text(&mut out, &ticket.audience)?;
    write_text(&mut out, &ticket.subject)?;
    out.extend(ticket.issued.0.to_be_bytes());
    out.extend(ticket.expires.0.to_be_bytes());
    write_texts(&mut out, &ticket.scopes)?;
    out.push(u8::from(ticket.single_use));
    write_address(&mut out, ticket.bindings.address);
    write_optional(&mut out, ticket.bindings.device.as_deref())?;
    write_optional(&mut out, ticket.bindings.host.as_deref())?;
    write_texts(&mut out, &ticket.bindings.methods)?;
    write_optional(&mut out, ticket.bindings.path.as_deref())?;
    write_value(&mut out, &ticket.claims, DEPTH)?;
    Some(out)
}

/// The ticket that `bytes` stand for; `None` when they stand for none.
pub(super) fn read(bytes: &[u8]) -> Option<Ticket> {
    let mut rest = Rest(bytes);
    let ticket = Ticket {
        id: rest.array()?,
        issuer: rest.text()?,
        audience: rest.text()?,
        subject: rest.text()?,
        issued: Timestamp(i64::from_be_bytes(rest.array()?)),
        expires: Timestamp(i64::from_be_bytes(rest.array()?)),
        scopes: rest.texts()?,
        single_use: rest.flag()?,
        bindings: Bindings {
            address: rest.address()?,
            device: rest.optional()?,
            host: rest.optional()?,
            methods: rest.texts()?,
            path: rest.optional()?,
        },
        claims: rest.value(DEPTH)?,
    };
    (rest.0.is_empty() && matches!(ticket.claims, Value::Map(_))).then_some(ticket)
}

fn write_count(out: &mut Vec<u8>, count: usize) -> Option<()> {
    out.extend(u16::try_from(count).ok()?.to_be_bytes());
    Some(())
}

fn write_text(out: &mut Vec<u8>, text: &str) -> Option<()> {
    write_count(out, text.len())?;
    out.extend(text.as_bytes());
    Some(())
}

fn write_texts(out: &mut Vec<u8>, texts: &[Box<str>]) -> Option<()> {
    write_count(out, texts.len())?;
    texts.iter().try_for_each(|text| write_text(out, text))
}

fn write_optional(out: &mut Vec<u8>, text: Option<&str>) -> Option<()> {
    out.push(u8::from(text.is_some()));
    text.map_or(Some(()), |text| write_text(out, text))
}

fn write_address(out: &mut Vec<u8>, address: Option<IpAddr>) {
    match address {
        None => out.push(0),
        Some(IpAddr::V4(address)) => {
            out.push(4);
            out.extend(address.octets());
        }
        Some(IpAddr::V6(address)) => {
            out.push(6);
            out.extend(address.octets());
        }
    }
}

fn write_value(out: &mut Vec<u8>, value: &Value, depth: usize) -> Option<()> {
    match value {
        Value::Null => out.push(0),
        Value::Bool(false) => out.push(1),
        Value::Bool(true) => out.push(2),
        Value::Int(number) => {
            out.push(3);
            out.extend(number.to_be_bytes());
        }
        Value::Float(number) if number.is_finite() => {
            out.push(4);
            out.extend(number.to_bits().to_be_bytes());
        }
        Value::Float(_) => return None,
        Value::Text(text) => {
            out.push(5);
            write_text(out, text)?;
        }
        Value::List(items) => {
            let below = depth.checked_sub(1)?;
            out.push(6);
            write_count(out, items.len())?;
            items.iter().try_for_each(|item| write_value(out, item, below))?;
        }
        Value::Map(members) => {
            let below = depth.checked_sub(1)?;
            out.push(7);
            write_count(out, members.len())?;
            for (name, member) in members {
                write_text(out, name)?;
                write_value(out, member, below)?;
            }
        }
    }
    Some(())
}

/// What is still to be read.
struct Rest<'b>(&'b [u8]);

impl<'b> Rest<'b> {
    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn count(&mut self) -> Option<usize> {
        self.array().map(|bytes| usize::from(u16::from_be_bytes(bytes)))
    }

    fn text(&mut self) -> Option<Box<str>> {
        let length = self.count()?;
        std::str::from_utf8(self.take(length)?).ok().map(Into::into)
    }

    fn texts(&mut self) -> Option<Box<[Box<str>]>> {
        (0..self.count()?).map(|_| self.text()).collect()
    }

    #[allow(clippy::option_option, reason = "the outer one says whether the bytes could be read")]
    fn optional(&mut self) -> Option<Option<Box<str>>> {
        if self.flag()? { self.text().map(Some) } else { Some(None) }
    }

    #[allow(clippy::option_option, reason = "the outer one says whether the bytes could be read")]
    fn address(&mut self) -> Option<Option<IpAddr>> {
        match self.byte()? {
            0 => Some(None),
            4 => self.array::<4>().map(|octets| Some(octets.into())),
            6 => self.array::<16>().map(|octets| Some(octets.into())),
            _ => None,
        }
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        Some(match self.byte()? {
            0 => Value::Null,
            1 => Value::Bool(false),
            2 => Value::Bool(true),
            3 => Value::Int(i64::from_be_bytes(self.array()?)),
            4 => Value::Float(Some(f64::from_bits(u64::from_be_bytes(self.array()?))).filter(|number| number.is_finite())?),
            5 => Value::Text(self.text()?),
            6 => {
                let below = depth.checked_sub(1)?;
                Value::List((0..self.count()?).map(|_| self.value(below)).collect::<Option<_>>()?)
            }
            7 => {
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
