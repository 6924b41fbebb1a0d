//! The `gigya_request` scheme: a whole request signed as Gigya's server libraries sign it, in the manner of OAuth 1.
//!
//! `apiKey`, maybe `userKey`, `timestamp`, `nonce` and `sig` stand among the parameters, in the query and in a form body; every other
//! parameter is signed with them. Which secret is used follows from the conf: a request chooses among the sites and user keys that
//! stand there and brings none. The URL that was signed is the public one of the conf, since what stands before us may have changed
//! scheme and host. A nonce is spent as the gate's last act, so only requests that are authentic and in time are remembered.
//!
//! A request without `sig` may bring the `secret` itself, which the vendor takes over https; so it is taken here where the conf says so,
//! in a form alone, and nowhere in the clear. It has neither time nor nonce: whoever reads it can say anything, as often as they like.
//!
//! Never here: `oauth_token`, which is no proof that could be had without asking the vendor (`token_check`); the expected signature or
//! what it was made over, in any answer or record.

mod call;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::{
    Breach, Credential, Doubt, Facts, Found, Identity, Need, Place, Refusal, RequestView, Seconds, Step, Timestamp, Verified,
};
use crate::jose::login_expiry::{is_api_key, is_user_key};
use crate::jose::signed_call::{Parameters, PublicBase};
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape, Span};
use crate::verify::body::{Body, Kind, body};
use crate::verify::contract::{KeyUse, SchemeEntry, SchemePlan, SchemeTools, Verifier};
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
            "raw_secret",
            Shape::Bool,
            "false",
            "Whether the `secret` itself, in a form sent over https, proves a request that is not signed, as the vendor takes it. It goes on with \
             the body to whatever stands behind the rule, so say so only before the vendor's own API.",
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
    raw_secret: bool,
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
    Some(GigyaRequestPlan { base: base?.ok()?, signatures, window, ahead, raw_secret: section.flag("raw_secret") })
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
        let prover = Prover { scheme: NAME, authenticator: Arc::clone(name), signers: signers.into(), rules };
        Ok(GigyaRequestVerifier { prover, raw_secret: self.raw_secret })
    }
}

/// What a secret that came over plain http is told: the vendor's own code.
const IN_THE_CLEAR: Breach =
    Breach { code: Cow::Borrowed("403006"), field: Cow::Borrowed("secret"), says: Cow::Borrowed("a secret is sent over https only") };

/// What proves a request, as against what it asks for: taken off before it goes on.
const PROOF: [&str; 3] = ["sig", "nonce", "timestamp"];

/// Verifies signed requests. Parts of a credential: API key, user key or nothing, time, nonce, signature; or API key, user key or nothing,
/// secret.
pub struct GigyaRequestVerifier {
    prover: Prover,
    raw_secret: bool,
}

impl GigyaRequestVerifier {
    /// What a request without a signature brings, `parameters` being all that it says.
    fn find_secret<'r>(&self, parameters: &Parameters<'_>, form: Option<&str>) -> Found<'r> {
        let part = |name: &str| parameters.get(name).filter(|value| !value.is_empty());
        let (Some(api_key), Some(secret)) = (part("apiKey"), part("secret")) else {
            // Requests of other kinds may hold what they like.
            return Found::Absent;
        };
        // In a query it would stand in every log on the way.
        if !self.raw_secret || !form.is_some_and(|form| matches!(form_value("secret", form), Ok(Some(_)))) {
            return Found::Foreign(Doubt::AlgorithmRefused);
        }
        let own = |text: &str| Cow::Owned(text.to_owned());
        let parts = [api_key, parameters.get("userKey").unwrap_or_default(), secret].map(own).into();
        Found::Present(Credential::new(parts, vec![Place::Body]))
    }
}

impl Verifier for GigyaRequestVerifier {
    fn find<'r>(&self, request: &RequestView<'r>, facts: &Facts) -> Step<Found<'r>> {
        let unreadable = |doubt| Step::Done(Found::Unreadable(doubt));
        let form = match body(|kind| kind == Kind::Form, request, facts) {
            Ok(Body::Unread) => return Step::Need(Need::Body),
            Ok(Body::Form(text)) => Some(text),
            Ok(_) => None,
            Err(doubt) => return unreadable(doubt),
        };
        let has = |name: &str| {
            let in_form = form.map_or(Ok(None), |text| form_value(name, text))?;
            Ok((query(name, request)?.is_some(), in_form.is_some()))
        };
        let signed = match has("sig") {
            Err(doubt) => return unreadable(doubt),
            Ok((true, true)) => return unreadable(Doubt::Conflict),
            Ok((in_query, in_form)) => in_query || in_form,
        };
        if !signed {
            match has("secret") {
                Err(doubt) if self.raw_secret => return unreadable(doubt),
                Ok((false, false)) | Err(_) => return Step::Done(Found::Absent),
                Ok(_) => {}
            }
        }
        let parameters = match read_parameters(request, facts) {
            Ok(parameters) => parameters,
            Err(doubt) => return unreadable(doubt),
        };
        if !signed {
            return Step::Done(self.find_secret(&parameters, form));
        }
        let part = |name: &str| parameters.get(name).filter(|value| !value.is_empty());
        let (Some(api_key), Some(time), Some(nonce), Some(signature)) = (part("apiKey"), part("timestamp"), part("nonce"), part("sig"))
        else {
            return unreadable(Doubt::Malformed);
        };
        let own = |text: &str| Cow::Owned(text.to_owned());
        let parts = [api_key, parameters.get("userKey").unwrap_or_default(), time, nonce, signature].map(own).into();
        let stands = |name: &&str| request.target.query.is_some() && query(name, request).is_ok_and(|value| value.is_some());
        let mut places: Vec<Place> = PROOF.iter().filter(|name| stands(name)).map(|name| Place::Query((*name).into())).collect();
        if form.is_some() {
            places.push(Place::Body);
        }
        Step::Done(Found::Present(Credential::new(parts, places)))
    }

    fn verify(
        &self,
        credential: &Credential<'_>,
        request: &RequestView<'_>,
        facts: &Facts,
        now: Timestamp,
    ) -> Step<Verified<Arc<Identity>>> {
        let judged = if let [_, _, _] = credential.parts.as_slice() {
            if !request.secure {
                // Whoever is on the way has read it by now, so nothing else that the request brings makes it good.
                return Step::Refuse(Refusal::GuardRefused(Box::new(IN_THE_CLEAR)));
            }
            self.prover.judge_secret(credential)
        } else {
            self.prover.judge(credential, request, facts, now)
        };
        judged.map_or_else(|doubt| Step::Refuse(doubt.into()), Step::Done)
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
