//! The `janrain_signature` scheme: API clients of Janrain Capture, by a signature over their request.
//!
//! `Authorization: Signature CLIENT_ID:SIGNATURE` with a `Date` of Capture's own form; the signature covers path, date and
//! parameters, and nothing else: not the method, not the host, not the type of the body. So a body that is no form is refused,
//! and a signature is taken once. The older way, id and secret in a form body, and clients without a secret, who are only named
//! (`*_native` calls), are read here too where the conf says so. `Authorization: Basic` over the same store is `server_key`.
//!
//! What stands where is in `janrain_signature::reading`, what it proves in `janrain_signature::proof`, the signed text in
//! [`crate::jose::janrain`]. Never here: a user's token; a request that could have been signed as another one.

mod proof;
mod reading;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::{AUTHORIZATION, DATE};

use crate::domain::{Credential, Doubt, Facts, Found, Identity, Need, Place, RequestView, Step, Timestamp, Verified};
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape, Span};
use crate::verify::contract::{Desks, KeyUse, SchemeEntry, SchemePlan, SchemeTools, Verifier};
use crate::verify::janrain_signature::proof::{Prover, Rules};
use crate::verify::janrain_signature::reading::{Kind, Origins};
use crate::verify::keyholder::{Keyholders, is_id};
use crate::verify::keys::contract::{BuiltKeys, KeyClass};

/// The scheme's line on the roll-call.
pub static ENTRY: SchemeEntry = SchemeEntry {
    name: "janrain_signature",
    doc: "API clients of Janrain Capture: `Authorization: Signature id:signature` with its `Date`.",
    shape: Shape::Section(&SETTINGS),
    plan,
};

const NAME: &str = ENTRY.name;

static SETTINGS: SectionSpec = SectionSpec {
    title: "the `janrain_signature` scheme",
    doc: "API clients of Janrain Capture, who sign their requests.",
    keys: &[
        KeySpec::required("keys", Shape::Name("keys"), "The key store with the clients' secrets: one of kind `janrain_clients`."),
        KeySpec::default(
            "from",
            Shape::List { of: &Shape::OneOf(Origins::WORDS), lone: true, min: 1 },
            "signature",
            "How clients say who they are: `signature`; `body` (`client_id` and `client_secret` in a form or JSON body, which says the secret to \
             everyone on the way); `public` (`client_id` in the body alone, for `*_native` calls: it names a client and proves nothing, so \
             of its features only `login_client` counts). Two ways at once are refused. A body must fit into 64KiB.",
        ),
        KeySpec::default(
            "window",
            Shape::Duration { min: 30, max: 900 },
            "300s",
            "How far the signed date may lie in the past or the future. The vendor publishes no bound.",
        ),
        KeySpec::optional(
            "mount",
            Shape::Text,
            "The path under which Capture's own paths stand here, such as `/capture`; clients sign what comes after it. Default: none.",
        ),
        KeySpec::default(
            "burn",
            Shape::Bool,
            "true",
            "Whether each signature is taken once only. A client that sends the same request twice within a second then fails the second time.",
        ),
    ],
};

/// The settings, proven.
#[derive(Debug)]
pub struct JanrainSignaturePlan {
    store: String,
    store_span: Span,
    from: Origins,
    rules: Rules,
}

fn plan(node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn SchemePlan>> {
    prove(node, checking).map(|plan| Box::new(plan) as Box<dyn SchemePlan>)
}

/// Proves the settings, or notes every fault and returns `None`. Pure.
pub fn prove(node: &Node, checking: &mut Checking<'_>) -> Option<JanrainSignaturePlan> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let store = section.text("keys")?.to_owned();
    let store_span = section.span_of("keys").clone();
    let mut sound = checking.resolve("keys", &store, &store_span);
    let from = Origins::named(&section.texts("from"));
    let mount = section.text("mount").map(|mount| mount.strip_suffix('/').unwrap_or(mount)).unwrap_or_default();
    if !mount.is_empty() && (!mount.starts_with('/') || mount.contains("//") || !mount.bytes().all(|byte| byte.is_ascii_graphic())) {
        checking.faults.error(section.span_of("mount"), "`mount` is a path such as `/capture`");
        sound = false;
    }
    let rules = Rules { window: section.seconds("window")?, mount: mount.into(), burn: section.flag("burn") };
    sound.then_some(JanrainSignaturePlan { store, store_span, from, rules })
}

impl SchemePlan for JanrainSignaturePlan {
    fn scheme(&self) -> &'static str {
        NAME
    }

    fn key_stores(&self) -> Vec<KeyUse> {
        vec![KeyUse { store: self.store.clone(), class: KeyClass::SigningClients, span: self.store_span.clone(), shared: false }]
    }

    fn looks_at(&self) -> Vec<Place> {
        let signed = [Place::Header(AUTHORIZATION), Place::Header(DATE)];
        let body = (self.from.body || self.from.public).then_some(Place::Body);
        signed.into_iter().filter(|_| self.from.signature).chain(body).collect()
    }

    fn remembers(&self) -> bool {
        self.from.signature && self.rules.burn
    }

    fn build(&self, name: &Arc<str>, tools: &mut SchemeTools<'_>) -> Result<Arc<dyn Verifier>, String> {
        Ok(Arc::new(self.verifier(name, tools.keys, tools.desks)?))
    }
}

impl JanrainSignaturePlan {
    /// The verifier of authenticator `name` over the stores in `keys`.
    ///
    /// # Errors
    ///
    /// A sentence for the operator when the store does not hold API clients.
    pub fn verifier(
        &self,
        name: &Arc<str>,
        keys: &BTreeMap<String, BuiltKeys>,
        desks: &mut Desks,
    ) -> Result<JanrainSignatureVerifier, String> {
        let holders = Keyholders::of(name, NAME, &self.store, keys, desks)?;
        let Some(BuiltKeys::ServerKeys(clients)) = keys.get(&self.store) else {
            return Err(format!("`{}` holds no {}", self.store, KeyClass::SigningClients.describe()));
        };
        let prover = Prover::new(NAME, name, &self.store, Arc::clone(clients), self.rules.clone());
        Ok(JanrainSignatureVerifier { from: self.from, holders, prover })
    }
}

/// Verifies who an API client is.
pub struct JanrainSignatureVerifier {
    from: Origins,
    holders: Keyholders,
    prover: Prover,
}

impl Verifier for JanrainSignatureVerifier {
    fn find<'r>(&self, request: &RequestView<'r>, facts: &Facts) -> Step<Found<'r>> {
        reading::find(self.from, request, facts)
    }

    fn verify(
        &self,
        credential: &Credential<'_>,
        request: &RequestView<'_>,
        facts: &Facts,
        now: Timestamp,
    ) -> Step<Verified<Arc<Identity>>> {
        let id = credential.part(1);
        if !is_id(id) {
            return Step::Refuse(Doubt::Malformed.into());
        }
        let outcome = match Kind::named(credential.part(0)) {
            None => Err(Doubt::Malformed),
            Some(Kind::Body) => return self.holders.judge(id, credential.part(2).as_bytes(), request, facts, now),
            Some(Kind::Public) => self.prover.named(id, request.host, now),
            Some(Kind::Signature) => {
                let Some(body) = facts.body() else { return Step::Need(Need::Body) };
                reading::parameters(id, request, body).and_then(|pairs| self.prover.judge(credential, &pairs, request, now))
            }
        };
        match outcome {
            Ok(identity) => Step::Done(identity),
            Err(doubt) => Step::Refuse(doubt.into()),
        }
    }

    fn challenge(&self) -> Option<&'static str> {
        None
    }

    fn cache_generation(&self) -> Option<u64> {
        None
    }

    fn claimed_id<'c>(&self, credential: &'c Credential<'_>) -> Option<Cow<'c, str>> {
        let id = credential.part(1);
        is_id(id).then_some(Cow::Borrowed(id))
    }
}

#[cfg(test)]
mod tests;
