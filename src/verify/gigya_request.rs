//! The `gigya_request` scheme: a whole request signed as Gigya's server libraries sign it, in the manner of OAuth 1.
//!
//! `apiKey`, maybe `userKey`, `timestamp`, `nonce` and `sig` stand among the parameters, in the query and in a form body; every other
//! parameter is signed with them. Which secret is used follows from the conf: a request chooses among the sites and user keys that
//! stand there and brings none. The URL that was signed is the public one of the conf, since what stands before us may have changed
//! scheme and host. A nonce is spent as the gate's last act, so only requests that are authentic and in time are remembered.
//!
//! Never here: the raw `secret` parameter and `oauth_token`, which are no signatures; the expected signature or what it was made
//! over, in any answer or record.

mod call;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::{Credential, Doubt, Facts, Found, Identity, Need, Place, RequestView, Seconds, Step, Timestamp, Verified};
use crate::jose::login_expiry::{is_api_key, is_user_key};
use crate::jose::signed_call::PublicBase;
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape, Span};
use crate::verify::contract::{KeyUse, SchemeEntry, SchemePlan, SchemeTools, Verifier};
use crate::verify::form_body::{FormBody, form_body};
use crate::verify::gigya_request::call::{Prover, Rules, Signer, read_parameters};
use crate::verify::keys::contract::{BuiltKeys, KeyClass};
use crate::verify::presented::{form_value, query};

/// The scheme's line on the roll-call.
pub static ENTRY: SchemeEntry = SchemeEntry {
    name: "gigya_request",
    doc: "Requests signed by Gigya's server libraries: `apiKey`, `userKey`, `timestamp`, `nonce`, `sig` among the parameters.",
    shape: Shape::Section(&SETTINGS),
    plan,
};

const NAME: &str = ENTRY.name;

static SETTINGS: SectionSpec = SectionSpec {
    title: "the `gigya_request` scheme",
    doc: "Servers that sign each request with the partner secret of a site, or with the secret of a user key.",
    keys: &[
        KeySpec::required(
            "public_base",
            Shape::Url,
            "Where clients believe to send their requests: scheme, host, and port unless it is the scheme's own, such as \
             `https://accounts.us1.gigya.com`. It is part of what they sign.",
        ),
        KeySpec::required(
            "sites",
            Shape::List { of: &Shape::Section(&SITE), lone: true, min: 1 },
            "Sites whose requests are taken. A request for any other is refused, however it is signed.",
        ),
        KeySpec::default(
            "window",
            Shape::Duration { min: 30, max: 300 },
            "300s",
            "How long ago a request may have been signed. Nonces are remembered that long.",
        ),
        KeySpec::default(
            "ahead",
            Shape::Duration { min: 0, max: 300 },
            "60s",
            "How far a client's clock may be ahead. For that long after a state store has begun anew, requests are refused as replayed, since \
             nobody can say that they are not.",
        ),
    ],
};

static SITE: SectionSpec = SectionSpec {
    title: "a site",
    doc: "A site, and who may sign for it.",
    keys: &[
        KeySpec::required("api_key", Shape::Text, "Its API key, as requests name it in `apiKey`."),
        KeySpec::optional(
            "keys",
            Shape::Name("keys"),
            "The store with its partner secret, of kind `gigya_secret`: for requests without `userKey`.",
        ),
        KeySpec::optional(
            "user_keys",
            Shape::Map(&Shape::Name("keys")),
            "User keys and the stores with their secrets, of kind `gigya_secret`.",
        ),
    ],
};

/// Who may sign in one name, as the conf says it.
#[derive(Debug)]
struct Signature {
    api_key: Box<str>,
    user_key: Option<Box<str>>,
    store: String,
    span: Span,
}

/// The settings, proven.
#[derive(Debug)]
pub struct GigyaRequestPlan {
    base: PublicBase,
    signatures: Vec<Signature>,
    window: Seconds,
    ahead: Seconds,
}

fn plan(node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn SchemePlan>> {
    prove(node, checking).map(|plan| Box::new(plan) as Box<dyn SchemePlan>)
}

/// Proves the settings, or notes every fault and returns `None`. Pure.
pub fn prove(node: &Node, checking: &mut Checking<'_>) -> Option<GigyaRequestPlan> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let before = checking.faults.errors();
    let base = section.url("public_base").as_ref().map(PublicBase::new);
    if let Some(Err(says)) = &base {
        checking.faults.error(section.span_of("public_base"), *says);
    }
    let mut signatures = Vec::new();
    for site in section.items("sites") {
        signatures.extend(prove_site(site, checking));
    }
    for (index, signature) in signatures.iter().enumerate() {
        let same = |other: &Signature| other.api_key == signature.api_key && other.user_key == signature.user_key;
        if signatures.iter().take(index).any(same) {
            checking.faults.error(&signature.span, "this site is named already; say everything about it in one place");
        }
        checking.resolve("keys", &signature.store, &signature.span);
    }
    let (window, ahead) = (section.seconds("window")?, section.seconds("ahead")?);
    (before == checking.faults.errors()).then_some(())?;
    Some(GigyaRequestPlan { base: base?.ok()?, signatures, window, ahead })
}

fn prove_site(node: &Node, checking: &mut Checking<'_>) -> Vec<Signature> {
    let Some(section) = Section::open(&SITE, node, checking.faults) else { return Vec::new() };
    let api_key: Box<str> = section.text("api_key").unwrap_or_default().into();
    if !is_api_key(&api_key) {
        checking.faults.error(section.span_of("api_key"), "an API key has letters, digits, `_` and `-`");
    }
    let signature = |user_key: Option<&str>, store: &str, span: &Span| Signature {
        api_key: api_key.clone(),
        user_key: user_key.map(Into::into),
        store: store.to_owned(),
        span: span.clone(),
    };
    let mut signatures = Vec::new();
    if let Some(store) = section.text("keys") {
        signatures.push(signature(None, store, section.span_of("keys")));
    }
    for entry in section.node("user_keys").and_then(Node::as_map).unwrap_or_default() {
        if !is_user_key(&entry.key) {
            checking.faults.error(&entry.span, "a user key is visible ASCII, and not digits alone");
        }
        signatures.push(signature(Some(&entry.key), entry.node.as_text().unwrap_or_default(), &entry.node.span));
    }
    if signatures.is_empty() {
        checking.faults.error(section.span(), "nobody could sign for this site: name `keys` or `user_keys`");
    }
    signatures
}

impl SchemePlan for GigyaRequestPlan {
    fn scheme(&self) -> &'static str {
        NAME
    }

    fn key_stores(&self) -> Vec<KeyUse> {
        let used = |signature: &Signature| KeyUse {
            store: signature.store.clone(),
            class: KeyClass::GigyaSecret,
            span: signature.span.clone(),
            shared: false,
        };
        self.signatures.iter().map(used).collect()
    }

    fn looks_at(&self) -> Vec<Place> {
        PROOF.iter().map(|name| Place::Query((*name).into())).chain([Place::Body]).collect()
    }

    fn remembers(&self) -> bool {
        true
    }

    fn build(&self, name: &Arc<str>, tools: &mut SchemeTools<'_>) -> Result<Arc<dyn Verifier>, String> {
        Ok(Arc::new(self.verifier(name, tools.keys)?))
    }
}

impl GigyaRequestPlan {
    /// The verifier of authenticator `name` over the stores in `keys`.
    ///
    /// # Errors
    ///
    /// A sentence for the operator when a store does not hold secrets, or an empty one.
    pub fn verifier(&self, name: &Arc<str>, keys: &BTreeMap<String, BuiltKeys>) -> Result<GigyaRequestVerifier, String> {
        let mut signers = Vec::with_capacity(self.signatures.len());
        for Signature { api_key, user_key, store, .. } in &self.signatures {
            let Some(BuiltKeys::GigyaSecret(secrets)) = keys.get(store) else {
                return Err(format!("`{store}` holds no {}", KeyClass::GigyaSecret.describe()));
            };
            signers.push(Signer::new(api_key, user_key.as_deref(), store, secrets)?);
        }
        let rules = Rules { base: self.base.clone(), window: self.window, ahead: self.ahead };
        Ok(GigyaRequestVerifier { prover: Prover { scheme: NAME, authenticator: Arc::clone(name), signers: signers.into(), rules } })
    }
}

/// What proves a request, as against what it asks for: taken off before it goes on.
const PROOF: [&str; 3] = ["sig", "nonce", "timestamp"];

/// Verifies signed requests. Parts of a credential: API key, user key or nothing, time, nonce, signature.
pub struct GigyaRequestVerifier {
    prover: Prover,
}

impl Verifier for GigyaRequestVerifier {
    fn find<'r>(&self, request: &RequestView<'r>, facts: &Facts) -> Step<Found<'r>> {
        let unreadable = |doubt| Step::Done(Found::Unreadable(doubt));
        let form = match form_body(request, facts) {
            Ok(FormBody::Unread) => return Step::Need(Need::Body),
            Ok(form) => form,
            Err(doubt) => return unreadable(doubt),
        };
        let in_form = match form {
            FormBody::Text(text) => form_value("sig", text).map(|found| found.is_some()),
            FormBody::None | FormBody::Unread => Ok(false),
        };
        match (query("sig", request), in_form) {
            (Err(doubt), _) | (_, Err(doubt)) => return unreadable(doubt),
            // Requests of other kinds may hold what they like.
            (Ok(None), Ok(false)) => return Step::Done(Found::Absent),
            (Ok(Some(_)), Ok(true)) => return unreadable(Doubt::Conflict),
            (Ok(_), Ok(_)) => {}
        }
        let parameters = match read_parameters(request, facts) {
            Ok(parameters) => parameters,
            Err(doubt) => return unreadable(doubt),
        };
        let part = |name: &str| parameters.get(name).filter(|value| !value.is_empty());
        let (Some(api_key), Some(time), Some(nonce), Some(signature)) = (part("apiKey"), part("timestamp"), part("nonce"), part("sig"))
        else {
            return unreadable(Doubt::Malformed);
        };
        let own = |text: &str| Cow::Owned(text.to_owned());
        let parts = [api_key, parameters.get("userKey").unwrap_or_default(), time, nonce, signature].map(own).into();
        let stands = |name: &&str| request.target.query.is_some() && query(name, request).is_ok_and(|value| value.is_some());
        let mut places: Vec<Place> = PROOF.iter().filter(|name| stands(name)).map(|name| Place::Query((*name).into())).collect();
        if matches!(form, FormBody::Text(_)) {
            places.push(Place::Body);
        }
        Step::Done(Found::Present(Credential { parts, places }))
    }

    fn verify(
        &self,
        credential: &Credential<'_>,
        request: &RequestView<'_>,
        facts: &Facts,
        now: Timestamp,
    ) -> Step<Verified<Arc<Identity>>> {
        match self.prover.judge(credential, request, facts, now) {
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
        let user_key = credential.part(1);
        let id = if user_key.is_empty() { credential.part(0) } else { user_key };
        self.prover.knows(id).then_some(Cow::Borrowed(id))
    }
}
