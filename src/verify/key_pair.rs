//! The `key_pair` scheme: an id in one header, its secret in another.
//!
//! `InstanceId` and `InstanceKey` as telematics apps send them; both names can be set. Field names have no case, so
//! `InstanceID` is the same field. One without the other is malformed, not absent. Values are taken as they stand: no
//! decoding. A comma is how two fields are joined on the way, so a value with one is a conflict.
//! What is judged, and why nothing is cached: [`crate::verify::keyholder`].

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE};

use crate::domain::{Credential, Doubt, Facts, Found, Identity, Place, RequestView, Step, Timestamp, Verified};
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape, Span};
use crate::verify::contract::{Desks, KeyUse, SchemeEntry, SchemePlan, SchemeTools, Verifier};
use crate::verify::keyholder::{Keyholders, is_id};
use crate::verify::keys::contract::{BuiltKeys, KeyClass};
use crate::verify::presented::header;

/// The scheme's line on the roll-call.
pub static ENTRY: SchemeEntry = SchemeEntry {
    name: "key_pair",
    doc: "An id and a secret in two headers: `InstanceId` and `InstanceKey`.",
    shape: Shape::Section(&SETTINGS),
    plan,
};

const NAME: &str = ENTRY.name;

/// The longest secret that is judged, in bytes.
const MAX_SECRET: usize = 4 * 1024;

static SETTINGS: SectionSpec = SectionSpec {
    title: "the `key_pair` scheme",
    doc: "Callers that present an id and a secret in two headers.",
    keys: &[
        KeySpec::required("keys", Shape::Name("keys"), "The key store that knows the ids: one of kind `server_keys`."),
        KeySpec::default("id_header", Shape::HeaderName, "InstanceId", "The header that holds the id."),
        KeySpec::default("key_header", Shape::HeaderName, "InstanceKey", "The header that holds the secret."),
    ],
};

/// The settings, proven.
#[derive(Debug)]
pub struct KeyPairPlan {
    store: String,
    store_span: Span,
    id: HeaderName,
    key: HeaderName,
}

fn plan(node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn SchemePlan>> {
    prove(node, checking).map(|plan| Box::new(plan) as Box<dyn SchemePlan>)
}

/// Proves the settings, or notes every fault and returns `None`. Pure.
pub fn prove(node: &Node, checking: &mut Checking<'_>) -> Option<KeyPairPlan> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let store = section.text("keys")?.to_owned();
    let store_span = section.span_of("keys").clone();
    let mut sound = checking.resolve("keys", &store, &store_span);
    let (id, key) = (section.header("id_header")?, section.header("key_header")?);
    for (name, setting) in [(&id, "id_header"), (&key, "key_header")] {
        if *name == AUTHORIZATION || *name == COOKIE {
            checking.faults.error(section.span_of(setting), format!("`{name}` never holds one value alone; name a header of its own"));
            sound = false;
        }
    }
    if id == key {
        checking
            .faults
            .error(section.span_of("key_header"), "id and secret cannot stand in the same header; for both in one, use `server_key`");
        sound = false;
    }
    sound.then_some(KeyPairPlan { store, store_span, id, key })
}

impl SchemePlan for KeyPairPlan {
    fn scheme(&self) -> &'static str {
        NAME
    }

    fn key_stores(&self) -> Vec<KeyUse> {
        vec![KeyUse { store: self.store.clone(), class: KeyClass::ServerKeys, span: self.store_span.clone(), shared: false }]
    }

    fn looks_at(&self) -> Vec<Place> {
        vec![Place::Header(self.id.clone()), Place::Header(self.key.clone())]
    }

    fn build(&self, name: &Arc<str>, tools: &mut SchemeTools<'_>) -> Result<Arc<dyn Verifier>, String> {
        Ok(Arc::new(self.verifier(name, tools.keys, tools.desks)?))
    }
}

impl KeyPairPlan {
    /// The verifier of authenticator `name` over the stores in `keys`.
    ///
    /// # Errors
    ///
    /// A sentence for the operator when the store does not hold server keys.
    pub fn verifier(&self, name: &Arc<str>, keys: &BTreeMap<String, BuiltKeys>, desks: &mut Desks) -> Result<KeyPairVerifier, String> {
        let holders = Keyholders::of(name, NAME, &self.store, keys, desks)?;
        Ok(KeyPairVerifier { holders, id: self.id.clone(), key: self.key.clone() })
    }
}

/// Verifies an id and a secret that stand in two headers.
pub struct KeyPairVerifier {
    holders: Keyholders,
    id: HeaderName,
    key: HeaderName,
}

impl Verifier for KeyPairVerifier {
    fn find<'r>(&self, request: &RequestView<'r>, _facts: &Facts) -> Step<Found<'r>> {
        Step::Done(match (header(&self.id, request), header(&self.key, request)) {
            (Err(doubt), _) | (_, Err(doubt)) => Found::Unreadable(doubt),
            (Ok(None), Ok(None)) => Found::Absent,
            (Ok(Some(id)), Ok(Some(key))) => {
                Found::Present(Credential::new(vec![id, key], vec![Place::Header(self.id.clone()), Place::Header(self.key.clone())]))
            }
            (Ok(Some(_)), Ok(None)) | (Ok(None), Ok(Some(_))) => Found::Unreadable(Doubt::Malformed),
        })
    }

    fn verify(
        &self,
        credential: &Credential<'_>,
        request: &RequestView<'_>,
        facts: &Facts,
        now: Timestamp,
    ) -> Step<Verified<Arc<Identity>>> {
        let (id, secret) = (credential.part(0), credential.part(1));
        if !is_id(id) || secret.is_empty() || MAX_SECRET < secret.len() {
            return Step::Refuse(Doubt::Malformed.into());
        }
        self.holders.judge(id, secret.as_bytes(), request, facts, now)
    }

    fn challenge(&self) -> Option<&'static str> {
        None
    }

    fn cache_generation(&self) -> Option<u64> {
        None
    }

    fn claimed_id<'c>(&self, credential: &'c Credential<'_>) -> Option<Cow<'c, str>> {
        let id = credential.part(0);
        is_id(id).then_some(Cow::Borrowed(id))
    }
}
