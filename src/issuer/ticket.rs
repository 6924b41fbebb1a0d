//! Minting tickets: what an order may ask for, and what every ticket gets.
//!
//! The sealed form is `jose::ticket`'s. Here it is decided who the ticket is from and for, how long it lives, and that
//! nothing stands in it that its verifier would read otherwise than its orderer meant.

use std::net::IpAddr;

use crate::domain::{Random, Seconds, Timestamp, Value};
use crate::jose::ticket::{Bindings, Ticket, TicketKey, seal};

/// How long a ticket lives when the order does not say, as TapTalk's do.
pub const DEFAULT_LIFE: Seconds = Seconds(3_600);

/// What all tickets of one mint have in common.
#[derive(Debug)]
pub struct Mint {
    /// The key that seals; verifiers hold it too.
    pub key: TicketKey,
    /// Who the tickets are from.
    pub issuer: Box<str>,
    /// Whom they are for: the `audience` of the authenticator that takes them.
    pub audience: Box<str>,
    /// The longest life an order may ask for.
    pub max_life: Seconds,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct TicketOrder {
    /// Who will present the ticket.
    pub subject: Box<str>,
    /// How long it shall live; [`DEFAULT_LIFE`], or the mint's maximum when that is less, when `None`.
    pub life: Option<Seconds>,
    /// What its bearer may do.
    pub scopes: Box<[Box<str>]>,
    /// Whether it may be used once only.
    pub single_use: bool,
    /// What the request that presents it must look like.
    pub bindings: Bindings,
    /// Anything else, as an object.
    pub claims: Value,
}

/// Why an order was not filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// The life is nothing, or longer than allowed.
    #[error("a ticket lives between one second and {} s", max.0)]
    Life {
        /// The most that may be asked for.
        max: Seconds,
    },
    /// The subject is empty, or cannot stand in a header.
    #[error("a ticket needs a subject without control characters")]
    Subject,
    /// A scope is empty or holds characters that no scope may (RFC 6749 section 3.3).
    #[error("a scope is printable ASCII without space, quote and backslash")]
    Scope,
    /// A binding can never hold, or would hold for more than it says.
    #[error("the ticket's {binding} binding is not in canonical form")]
    Binding {
        /// Which.
        binding: &'static str,
    },
    /// The claims are no object, or use a name that a field of the ticket has.
    #[error("claims are an object without registered names")]
    Claims,
    /// It would not fit into a request.
    #[error("the ticket would be too large")]
    TooLarge,
}

/// Names that a field of the ticket has already (RFC 7519 section 4.1, RFC 9068 section 2.2.3).
const RESERVED: &[&str] = &["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scope"];

/// Whether a field of the ticket has this name already, so that no claim may.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// A ticket that was minted. It has no `Debug`: its text is the credential.
pub struct Minted {
    /// What is handed over. As good as what it says: never logged.
    pub text: String,
    /// What it says.
    pub ticket: Ticket,
}

/// Mints one ticket as of `now`.
///
/// # Errors
///
/// A [`MintError`] that says what is wrong with the order.
pub fn mint(mint: &Mint, order: TicketOrder, now: Timestamp, random: &dyn Random) -> Result<String, MintError> {
    press(mint, order, now, random).map(|minted| minted.text)
}

/// The same, with what the ticket says.
///
/// # Errors
///
/// A [`MintError`] that says what is wrong with the order.
pub fn press(mint: &Mint, order: TicketOrder, now: Timestamp, random: &dyn Random) -> Result<Minted, MintError> {
    let life = order.life.unwrap_or(DEFAULT_LIFE.min(mint.max_life));
    if life == Seconds(0) || mint.max_life < life {
        return Err(MintError::Life { max: mint.max_life });
    }
    if order.subject.is_empty() || order.subject.chars().any(char::is_control) {
        return Err(MintError::Subject);
    }
    if !order.scopes.iter().all(|scope| is_scope(scope)) {
        return Err(MintError::Scope);
    }
    match &order.claims {
        Value::Map(members) if !members.iter().any(|(name, _)| is_reserved(name)) => {}
        _ => return Err(MintError::Claims),
    }
    let bindings = check_bindings(order.bindings)?;

    let mut id = [0; 16];
    random.fill(&mut id);
    let ticket = Ticket {
        id,
        issuer: mint.issuer.clone(),
        audience: mint.audience.clone(),
        subject: order.subject,
        issued: now,
        expires: now.plus(life),
        scopes: order.scopes,
        single_use: order.single_use,
        bindings,
        claims: order.claims,
    };
    let text = seal(&mint.key, &ticket, random).map_err(|_| MintError::TooLarge)?;
    Ok(Minted { text, ticket })
}

/// Bindings as their verifier compares them, or why one of them cannot be.
fn check_bindings(bindings: Bindings) -> Result<Bindings, MintError> {
    let wrong = |binding| Err(MintError::Binding { binding });
    if bindings.device.as_ref().is_some_and(|device| device.is_empty() || !device.bytes().all(|byte| (b' '..=b'~').contains(&byte))) {
        return wrong("device");
    }
    if bindings.host.as_ref().is_some_and(|host| !is_canonical_host(host)) {
        return wrong("host");
    }
    if bindings.methods.iter().any(|method| method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_graphic())) {
        return wrong("method");
    }
    if bindings.path.as_ref().is_some_and(|path| !is_canonical_path(path)) {
        return wrong("path");
    }
    let address = bindings.address.map(|address: IpAddr| address.to_canonical());
    Ok(Bindings { address, ..bindings })
}

/// Whether `host` is such as requests are judged by: lower case, no port, no dot at the end.
fn is_canonical_host(host: &str) -> bool {
    let named = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let sound = match address {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok_and(|parsed| parsed.to_string() == *inner),
        None => host.bytes().all(named),
    };
    sound && !host.is_empty() && !host.ends_with('.')
}

/// Whether `path` starts with `/` and has no query, no empty or dot segment (a `/` at the end is fine), and no character
/// that a canonical target cannot have.
fn is_canonical_path(path: &str) -> bool {
    let Some(inner) = path.strip_prefix('/') else { return false };
    let segments = inner.strip_suffix('/').unwrap_or(inner);
    let visible = path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\\".contains(&byte));
    visible && (inner.is_empty() || segments.split('/').all(|segment| !matches!(segment, "" | "." | "..")))
}

/// RFC 6749 section 3.3.
fn is_scope(scope: &str) -> bool {
    !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

#[cfg(test)]
mod tests;
