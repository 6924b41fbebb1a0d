//! The `ticket` scheme: sealed tickets that we, or another node of ours, have minted.
//!
//! A ticket is opened (which proves it), then must be for us, alive, and presented by a request such as it was made for.
//! Only then is it worth spending, and it is not spent here: the identity says what to burn, the gate does it as its last act.
//! So a damaged, foreign, expired or misplaced ticket costs no store access and stays unspent.
//!
//! Verdicts are not for caching: a ticket may be for one use or one kind of request, and opening one is a key derivation and
//! one AEAD call, little more than a cache hit. The sealed form is `jose::ticket`'s, minting is `issuer`'s.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use http::HeaderName;

use crate::domain::{
    Burn, Credential, Doubt, Facts, Found, Identity, Place, Refusal, RequestView, Seconds, Step, Timestamp, Value, Verified,
};
use crate::jose::base64url;
use crate::jose::ticket::{Bindings, Ticket, TicketKey, Unsealed, looks_sealed, open};
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape, Span};
use crate::verify::contract::{KeyUse, SchemeEntry, SchemePlan, SchemeTools, Verifier};
use crate::verify::keys::contract::{BuiltKeys, KeyClass};
use crate::verify::presented::{Presented, SOURCES, Source, find_one, plan_sources, sole_value};

/// The scheme's line on the roll-call.
pub static ENTRY: SchemeEntry = SchemeEntry {
    name: "ticket",
    doc: "Sealed tickets of our own: for a while or for one use, bound to a client, a device, a method, a path.",
    shape: Shape::Section(&SETTINGS),
    plan,
};

const NAME: &str = ENTRY.name;

static SETTINGS: SectionSpec = SectionSpec {
    title: "the `ticket` scheme",
    doc: "Callers that present a ticket which this proxy, or another with the same key, has minted.",
    keys: &[
        KeySpec::required("keys", Shape::Name("keys"), "The key store with the key that seals tickets: one of kind `mac`."),
        KeySpec::default("issuer", Shape::Text, "countersign", "Who the tickets must be from."),
        KeySpec::optional("audience", Shape::Text, "Whom the tickets must be for. Default: the name of this authenticator."),
        KeySpec::default(
            "single_use",
            Shape::Bool,
            "false",
            "Whether every ticket may be used once only. A ticket that was minted for one use is for one use anyway.",
        ),
        KeySpec::default(
            "from",
            SOURCES,
            "[bearer, { header: Ticket }]",
            "Where the ticket stands: `bearer`, { header: NAME }, { cookie: NAME }, { query: NAME }. All places named are looked at; two that \
             disagree are refused. A ticket in a URL ends up in logs and histories, so the query must be asked for.",
        ),
        KeySpec::default(
            "max_life",
            Shape::Duration { min: 1, max: 31_536_000 },
            "24h",
            "The longest life of a ticket; one that was made for longer is refused.",
        ),
        KeySpec::default(
            "leeway",
            Shape::Duration { min: 0, max: 300 },
            "0s",
            "How much the clocks of the nodes that mint and judge may differ; widens both ends of a ticket's life.",
        ),
        KeySpec::default("device_header", Shape::HeaderName, "Device-Identifier", "The header that a device binding is compared with."),
    ],
};

/// The settings, proven.
#[derive(Debug)]
pub struct TicketPlan {
    store: String,
    store_span: Span,
    from: Box<[Source]>,
    issuer: Box<str>,
    audience: Option<Box<str>>,
    single_use: bool,
    max_life: Seconds,
    leeway: Seconds,
    device: HeaderName,
}

fn plan(node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn SchemePlan>> {
    prove(node, checking).map(|plan| Box::new(plan) as Box<dyn SchemePlan>)
}

/// Proves the settings, or notes every fault and returns `None`. Pure.
pub fn prove(node: &Node, checking: &mut Checking<'_>) -> Option<TicketPlan> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let store = section.text("keys")?.to_owned();
    let store_span = section.span_of("keys").clone();
    let known = checking.resolve("keys", &store, &store_span);
    let mut from = plan_sources(&section.items("from"), checking)?;
    if from.is_empty() {
        from = Box::new([Source::Bearer, Source::Header(HeaderName::from_static("ticket"))]);
    }
    let plan = TicketPlan {
        store,
        store_span,
        from,
        issuer: section.text("issuer")?.into(),
        audience: section.text("audience").map(Into::into),
        single_use: section.flag("single_use"),
        max_life: section.seconds("max_life")?,
        leeway: section.seconds("leeway")?,
        device: section.header("device_header")?,
    };
    known.then_some(plan)
}

impl SchemePlan for TicketPlan {
    fn scheme(&self) -> &'static str {
        NAME
    }

    fn key_stores(&self) -> Vec<KeyUse> {
        vec![KeyUse { store: self.store.clone(), class: KeyClass::Mac, span: self.store_span.clone() }]
    }

    fn looks_at(&self) -> Vec<Place> {
        self.from.iter().map(Source::place).collect()
    }

    fn build(&self, name: &Arc<str>, tools: &mut SchemeTools<'_>) -> Result<Arc<dyn Verifier>, String> {
        Ok(Arc::new(self.verifier(name, tools.keys)?))
    }
}

impl TicketPlan {
    /// The verifier of authenticator `name` over the stores in `keys`.
    ///
    /// # Errors
    ///
    /// A sentence for the operator when the store holds no key that seals tickets.
    pub fn verifier(&self, name: &Arc<str>, keys: &BTreeMap<String, BuiltKeys>) -> Result<TicketVerifier, String> {
        let Some(BuiltKeys::Mac(keys)) = keys.get(&self.store) else {
            return Err(format!("`{}` holds no {}", self.store, KeyClass::Mac.describe()));
        };
        if keys.is_empty() {
            return Err(format!("`{}` holds no key; no ticket could be opened", self.store));
        }
        let rules = Rules {
            issuer: self.issuer.clone(),
            audience: self.audience.clone().unwrap_or_else(|| Box::from(&**name)),
            single_use: self.single_use,
            max_life: self.max_life,
            leeway: self.leeway,
            device: self.device.clone(),
        };
        let keys = keys.iter().map(|key| TicketKey::new(key.id, &key.secret)).collect();
        Ok(TicketVerifier { authenticator: Arc::clone(name), keys, from: self.from.clone(), rules })
    }
}

/// What is demanded of an authentic ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rules {
    /// Who it must be from.
    issuer: Box<str>,
    /// Whom it must be for.
    audience: Box<str>,
    /// Whether every ticket is for one use.
    single_use: bool,
    /// The longest life it may have been given.
    max_life: Seconds,
    /// By how much clocks may differ.
    leeway: Seconds,
    /// The field that a device binding is compared with.
    device: HeaderName,
}

/// Verifies sealed tickets.
pub struct TicketVerifier {
    authenticator: Arc<str>,
    keys: Box<[TicketKey]>,
    from: Box<[Source]>,
    rules: Rules,
}

impl TicketVerifier {
    /// The order is: proven, for us, not longer-lived than allowed, well presented, and only then alive. So
    /// [`Doubt::Expired`] speaks of a ticket that was good for this very request once.
    fn judge(&self, text: &str, request: &RequestView<'_>, now: Timestamp) -> Result<Verified<Arc<Identity>>, Refusal> {
        let ticket = open(&self.keys, text).map_err(|unsealed| match unsealed {
            Unsealed::Malformed => Doubt::Malformed,
            Unsealed::KeyUnknown => Doubt::KeyUnknown,
            Unsealed::Forged => Doubt::SignatureInvalid,
        })?;
        let ticket = Verified::vouch(ticket);
        let said = ticket.get();

        if said.issuer != self.rules.issuer {
            return Err(Doubt::IssuerMismatch.into());
        }
        if said.audience != self.rules.audience {
            return Err(Doubt::AudienceMismatch.into());
        }
        if said.expires <= said.issued || said.issued.plus(self.rules.max_life) < said.expires || said.subject.is_empty() {
            return Err(Doubt::ClaimsMalformed.into());
        }
        let single_use = self.rules.single_use || said.single_use;
        if !self.holds(&said.bindings, request) || (single_use && is_rehearsal(&said.bindings, request)) {
            return Err(Doubt::ClaimMissing.into());
        }
        let (start, end) = (said.issued.minus(self.rules.leeway), said.expires.plus(self.rules.leeway));
        if now < start {
            return Err(Doubt::NotYetValid.into());
        }
        if end <= now {
            // A ticket for one use is not something to renew from.
            let lapsed = (!single_use).then(|| Box::new(self.identify(&ticket, single_use)));
            return Err(Doubt::Expired(lapsed).into());
        }
        if single_use && request.headers.get("early-data").is_some() {
            return Err(Refusal::EarlyData);
        }
        Ok(self.identify(&ticket, single_use))
    }

    fn identify(&self, ticket: &Verified<Ticket>, single_use: bool) -> Verified<Arc<Identity>> {
        let said = ticket.get();
        let end = said.expires.plus(self.rules.leeway);
        // Revocations go by these two, so whoever mints cannot choose them.
        let mut claims: Vec<(Box<str>, Value)> =
            vec![("jti".into(), Value::Text(base64url::encode(&said.id).into())), ("iat".into(), Value::Int(said.issued.0))];
        if let Value::Map(members) = &said.claims {
            claims.extend(members.iter().filter(|(name, _)| !matches!(&**name, "jti" | "iat")).cloned());
        }
        Verified::vouch(Arc::new(Identity {
            subject: said.subject.clone(),
            issuer: said.issuer.clone(),
            scopes: said.scopes.clone(),
            claims: Value::Map(claims.into()),
            expires: Some(end),
            not_before: Some(said.issued.minus(self.rules.leeway)),
            scheme: NAME,
            authenticator: Arc::clone(&self.authenticator),
            burn: single_use.then(|| Burn { key: burn_key(said), made: said.issued, until: end }),
            also: Vec::new(),
        }))
    }

    /// Whether the request is such as the ticket was made for.
    fn holds(&self, bindings: &Bindings, request: &RequestView<'_>) -> bool {
        let device = |bound: &str| matches!(sole_value(&self.rules.device, request), Ok(Some(sent)) if sent == bound);
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

/// Names the ticket itself: equal for all authenticators and nodes, whatever place it was presented in.
fn burn_key(ticket: &Ticket) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(b"countersign ticket burn");
    context.update(&ticket.id);
    context.update(ticket.issuer.as_bytes());
    let mut key = [0; 32];
    key.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    key
}

impl Verifier for TicketVerifier {
    fn find<'r>(&self, request: &RequestView<'r>, _facts: &Facts) -> Step<Found<'r>> {
        Step::Done(match find_one(&self.from, request) {
            Presented::One { text, .. } if !looks_sealed(&text) => Found::Foreign(Doubt::Malformed),
            presented => presented.into(),
        })
    }

    fn verify(
        &self,
        credential: &Credential<'_>,
        request: &RequestView<'_>,
        _facts: &Facts,
        now: Timestamp,
    ) -> Step<Verified<Arc<Identity>>> {
        match self.judge(credential.part(0), request, now) {
            Ok(identity) => Step::Done(identity),
            Err(refusal) => Step::Refuse(refusal),
        }
    }

    fn challenge(&self) -> Option<&'static str> {
        self.from.contains(&Source::Bearer).then_some("Bearer")
    }

    fn cache_generation(&self) -> Option<u64> {
        None
    }
}
