//! The `ticket` scheme: sealed tickets that we, or another node of ours, have minted.
//!
//! What is demanded of a ticket, and how one is judged, is said by [`TicketTerms`]; here is where tickets stand in a request. One
//! that is good is not spent here: the identity says what to burn, the gate does it as its last act. So a damaged, foreign,
//! expired or misplaced ticket costs no store access and stays unspent.
//!
//! Verdicts are not for caching: a ticket may be for one use or one kind of request, and opening one is a key derivation and
//! one AEAD call, little more than a cache hit. The sealed form is `jose::ticket`'s, minting is `issuer`'s.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderName;

use crate::domain::{Credential, Doubt, Facts, Found, Identity, Place, RequestView, Seconds, Step, Timestamp, Verified};
use crate::jose::ticket::{TicketKey, TicketTerms, looks_sealed};
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape, Span};
use crate::verify::contract::{KeyUse, Renewability, SchemeEntry, SchemePlan, SchemeTools, Verifier};
use crate::verify::keys::contract::{BuiltKeys, KeyClass};
use crate::verify::presented::{Presented, SOURCES, Source, find_one, plan_sources};

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
        vec![KeyUse { store: self.store.clone(), class: KeyClass::Mac, span: self.store_span.clone(), shared: false }]
    }

    fn renewability(&self) -> Renewability {
        if self.single_use { Renewability::Never("each is good for one request") } else { Renewability::Brought }
    }

    fn looks_at(&self) -> Vec<Place> {
        self.from.iter().map(Source::place).collect()
    }

    fn remembers(&self) -> bool {
        // Also where the conf does not say `single_use`: a ticket may say so itself.
        true
    }

    fn build(&self, name: &Arc<str>, tools: &mut SchemeTools<'_>) -> Result<Arc<dyn Verifier>, String> {
        Ok(Arc::new(self.verifier(name, tools.keys)?))
    }

    fn ticket_life(&self) -> Option<Seconds> {
        Some(self.max_life)
    }

    fn ticket_terms(&self, name: &Arc<str>, keys: &BTreeMap<String, BuiltKeys>) -> Option<Result<TicketTerms, String>> {
        Some(self.terms(name, keys))
    }
}

impl TicketPlan {
    /// The verifier of authenticator `name` over the stores in `keys`.
    ///
    /// # Errors
    ///
    /// A sentence for the operator when the store holds no key that seals tickets.
    pub fn verifier(&self, name: &Arc<str>, keys: &BTreeMap<String, BuiltKeys>) -> Result<TicketVerifier, String> {
        Ok(TicketVerifier { terms: self.terms(name, keys)?, from: self.from.clone() })
    }

    /// What authenticator `name` demands of tickets, with the keys of the stores in `keys`.
    fn terms(&self, name: &Arc<str>, keys: &BTreeMap<String, BuiltKeys>) -> Result<TicketTerms, String> {
        let Some(BuiltKeys::Mac(keys)) = keys.get(&self.store) else {
            return Err(format!("`{}` holds no {}", self.store, KeyClass::Mac.describe()));
        };
        if keys.is_empty() {
            return Err(format!("`{}` holds no key; no ticket could be opened", self.store));
        }
        Ok(TicketTerms {
            name: Arc::clone(name),
            keys: keys.iter().map(|key| TicketKey::new(key.id, &key.secret)).collect(),
            issuer: self.issuer.clone(),
            audience: self.audience.clone().unwrap_or_else(|| Box::from(&**name)),
            single_use: self.single_use,
            max_life: self.max_life,
            leeway: self.leeway,
            device: self.device.clone(),
        })
    }
}

/// Verifies sealed tickets.
pub struct TicketVerifier {
    terms: TicketTerms,
    from: Box<[Source]>,
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
        match self.terms.judge(credential.part(0), request, now) {
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
