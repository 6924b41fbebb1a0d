//! The fields of a ticket as bytes.
//!
//! Every field stands at its place in a fixed order and nothing may follow the last one: two tickets with different fields never
//! have the same bytes. How single fields are written is `jose::fields`'s.

use std::net::IpAddr;

use crate::domain::Value;
use crate::jose::fields::{Reading, Writing};
use crate::jose::ticket::{Bindings, Ticket};

/// The bytes of `ticket`; `None` when a text or list is longer than its length field can say, or claims nest too deep.
pub(super) fn write(ticket: &Ticket) -> Option<Vec<u8>> {
    let mut out = Writing::new();
    out.fixed(&ticket.id);
    out.text(&ticket.issuer)?;
    out.text(&ticket.audience)?;
    out.text(&ticket.subject)?;
    out.moment(ticket.issued);
    out.moment(ticket.expires);
    out.texts(&ticket.scopes)?;
    out.flag(ticket.single_use);
    write_address(&mut out, ticket.bindings.address);
    out.optional(ticket.bindings.device.as_deref())?;
    out.optional(ticket.bindings.host.as_deref())?;
    out.texts(&ticket.bindings.methods)?;
    out.optional(ticket.bindings.path.as_deref())?;
    out.value(&ticket.claims)?;
    Some(out.finish())
}

/// The ticket that `bytes` stand for; `None` when they stand for none.
pub(super) fn read(bytes: &[u8]) -> Option<Ticket> {
    let mut rest = Reading::new(bytes);
    let ticket = Ticket {
        id: rest.fixed()?,
        issuer: rest.text()?,
        audience: rest.text()?,
        subject: rest.text()?,
        issued: rest.moment()?,
        expires: rest.moment()?,
        scopes: rest.texts()?,
        single_use: rest.flag()?,
        bindings: Bindings {
            address: read_address(&mut rest)?,
            device: rest.optional()?,
            host: rest.optional()?,
            methods: rest.texts()?,
            path: rest.optional()?,
        },
        claims: rest.value()?,
    };
    (rest.is_done() && matches!(ticket.claims, Value::Map(_))).then_some(ticket)
}

fn write_address(out: &mut Writing, address: Option<IpAddr>) {
    match address {
        None => out.byte(0),
        Some(IpAddr::V4(address)) => {
            out.byte(4);
            out.fixed(&address.octets());
        }
        Some(IpAddr::V6(address)) => {
            out.byte(6);
            out.fixed(&address.octets());
        }
    }
}

#[allow(clippy::option_option, reason = "the outer one says whether the bytes could be read")]
fn read_address(rest: &mut Reading<'_>) -> Option<Option<IpAddr>> {
    match rest.byte()? {
        0 => Some(None),
        4 => rest.fixed::<4>().map(|octets| Some(octets.into())),
        6 => rest.fixed::<16>().map(|octets| Some(octets.into())),
        _ => None,
    }
}
