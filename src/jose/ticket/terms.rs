//! What an authenticator demands of tickets, and whether a presented one meets it.
//!
//! Whoever mints for an authenticator, takes tickets in its place, or is that authenticator, holds the same terms, so that no
//! two of them can disagree about what a ticket is good for. A ticket is opened (which proves it), then must be for us, alive,
//! and presented by a request such as it was made for. Nothing is spent here: what is judged says what to burn.
//!
//! Never here: a store, a clock, a place where tickets stand.

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use http::HeaderName;

use crate::domain::claims::Writer;
use crate::domain::{Burn, Doubt, Identity, Refusal, RequestView, Seconds, Timestamp, Value, Verified};
use crate::jose::base64url;
use crate::jose::ticket::{Bindings, Ticket, TicketKey, Unsealed, open};

/// The scheme of all identities that a ticket proves.
const SCHEME: &str = "ticket";

/// What an authenticator of the scheme `ticket` demands.
#[derive(Debug)]
pub struct TicketTerms {
    /// The authenticator's name.
    pub name: Arc<str>,
    /// Keys that seal and open; the first seals. At least one.
    pub keys: Box<[TicketKey]>,
    /// Who tickets must be from.
    pub issuer: Box<str>,
    /// Whom they must be for.
    pub audience: Box<str>,
    /// Whether every ticket is for one use.
    pub single_use: bool,
    /// The longest life one may have been given.
    pub max_life: Seconds,
    /// By how much clocks may differ; widens both ends of a ticket's life.
    pub leeway: Seconds,
    /// The field that a device binding is compared with.
    pub device: HeaderName,
}

impl TicketTerms {
    /// The ticket that `text` is, when it was sealed with one of our keys and is for us. Of its time and its bindings nothing is
    /// said.
    ///
    /// # Errors
    ///
    /// Why it is none of ours: malformed, another's key, forged, another's issuer or audience, longer-lived than allowed.
    pub fn open(&self, text: &str) -> Result<Verified<Ticket>, Doubt> {
        let ticket = open(&self.keys, text).map_err(|unsealed| match unsealed {
            Unsealed::Malformed => Doubt::Malformed,
            Unsealed::KeyUnknown => Doubt::KeyUnknown,
            Unsealed::Forged => Doubt::SignatureInvalid,
        })?;
        let ticket = Verified::vouch(ticket);
        let said = ticket.get();
        if said.issuer != self.issuer {
            return Err(Doubt::IssuerMismatch);
        }
        if said.audience != self.audience {
            return Err(Doubt::AudienceMismatch);
        }
        if said.expires <= said.issued || said.issued.plus(self.max_life) < said.expires || said.subject.is_empty() {
            return Err(Doubt::ClaimsMalformed);
        }
        Ok(ticket)
    }

    /// Judges `text` as presented by `request` at `now`; what it proves says what must be burned, if anything.
    ///
    /// The order is: proven, for us, not longer-lived than allowed, well presented, and only then alive. So
    /// [`Doubt::Expired`] speaks of a ticket that was good for this very request once.
    ///
    /// # Errors
    ///
    /// The refusal that answers the request.
    pub fn judge(&self, text: &str, request: &RequestView<'_>, now: Timestamp) -> Result<Verified<Arc<Identity>>, Refusal> {
        let ticket = self.open(text)?;
        let said = ticket.get();
        let single_use = self.single_use || said.single_use;
        if !self.holds(&said.bindings, request) || (single_use && is_rehearsal(&said.bindings, request)) {
            return Err(Doubt::ClaimMissing.into());
        }
        if now < said.issued.minus(self.leeway) {
            return Err(Doubt::NotYetValid.into());
        }
        if self.end(said) <= now {
            // A ticket for one use is not something to renew from.
            let lapsed = (!single_use).then(|| Box::new(self.identify(&ticket, single_use)));
            return Err(Doubt::Expired(lapsed).into());
        }
        if single_use && request.headers.get("early-data").is_some() {
            return Err(Refusal::EarlyData);
        }
        Ok(self.identify(&ticket, single_use))
    }

    /// From this moment on `ticket` is no longer good here.
    #[must_use]
    pub fn end(&self, ticket: &Ticket) -> Timestamp {
        ticket.expires.plus(self.leeway)
    }

    fn identify(&self, ticket: &Verified<Ticket>, single_use: bool) -> Verified<Arc<Identity>> {
        let said = ticket.get();
        let end = self.end(said);
        // Revocations go by these two, so whoever mints cannot choose them.
        let mut claims = Writer::default();
        claims.open_map();
        claims.text("jti");
        claims.text(&id_text(&said.id));
        claims.text("iat");
        claims.int(said.issued.0);
        if let Value::Map(members) = &said.claims {
            for (name, member) in members.iter().filter(|(name, _)| !matches!(&**name, "jti" | "iat")) {
                claims.text(name);
                claims.value(member);
            }
        }
        claims.close();
        Verified::vouch(Arc::new(Identity {
            subject: said.subject.clone(),
            issuer: said.issuer.clone(),
            scopes: said.scopes.clone(),
            claims: claims.finish(),
            expires: Some(end),
            not_before: Some(said.issued.minus(self.leeway)),
            scheme: SCHEME,
            authenticator: Arc::clone(&self.name),
            burn: single_use.then(|| Burn { key: burn_key(&said.id, &said.issuer), made: said.issued, until: end }),
            also: Vec::new(),
        }))
    }

    /// Whether the request is such as the ticket was made for.
    fn holds(&self, bindings: &Bindings, request: &RequestView<'_>) -> bool {
        let device = |bound: &str| matches!(request.sole_header(&self.device), Ok(Some(sent)) if sent == bound);
        bindings.address.is_none_or(|bound| bound.to_canonical() == request.client.to_canonical())
            && bindings.device.as_deref().is_none_or(device)
            && bindings.host.as_deref().is_none_or(|bound| bound == request.host)
            && (bindings.methods.is_empty() || bindings.methods.iter().any(|bound| **bound == *request.method))
            && bindings.path.as_deref().is_none_or(|bound| lies_below(bound, &request.target.path))
    }
}

/// Whether `path` is `prefix` or lies below it, segment by segment: `/a` holds `/a` and `/a/b`, not `/ab`.
fn lies_below(prefix: &str, path: &str) -> bool {
    match path.strip_prefix(prefix) {
        Some(rest) => rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'),
        None => false,
    }
}

/// Whether the request only tries what a later one will do: it must not spend a ticket, unless the ticket is bound to its method.
///
/// HEAD and OPTIONS (link scanners, preflights) and what browsers fetch ahead (`Sec-Purpose`, and the older names).
fn is_rehearsal(bindings: &Bindings, request: &RequestView<'_>) -> bool {
    let ahead = ["sec-purpose", "purpose", "x-purpose", "x-moz"].iter().any(|name| {
        request.headers.get_all(*name).iter().any(|value| {
            let value = value.as_bytes().to_ascii_lowercase();
            [b"prefetch".as_slice(), b"prerender", b"preview"].iter().any(|word| value.windows(word.len()).any(|part| part == *word))
        })
    });
    ahead || (bindings.methods.is_empty() && matches!(request.method, "HEAD" | "OPTIONS" | "TRACE"))
}

/// A ticket's id as `jti` tells it.
#[must_use]
pub fn id_text(id: &[u8; 16]) -> String {
    base64url::encode(id)
}

/// The id that `jti` tells; `None` when it is no ticket's.
#[must_use]
pub fn id_of(jti: &str) -> Option<[u8; 16]> {
    base64url::decode(jti)?.try_into().ok()
}

/// Names the ticket itself where it is spent: equal for all authenticators and nodes, whatever place it was presented in.
#[must_use]
pub fn burn_key(id: &[u8; 16], issuer: &str) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(b"countersign ticket burn");
    context.update(id);
    context.update(issuer.as_bytes());
    let mut key = [0; 32];
    key.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    key
}
