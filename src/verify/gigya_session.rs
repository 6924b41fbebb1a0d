//! The `gigya_session` scheme: a login of Gigya's whose end the site itself has signed, in two cookies.
//!
//! `glt_{apiKey}` holds the login token, `gltexp_{apiKey}` until when it is good, signed with the partner secret, with the secret of
//! a user key, or as an RS256 token of a user key. What is proven is that the site lets this login go on until then; whose it is
//! the cookies do not say. So the subject is a name for the login, made of a digest. Together with a signed user id or an id token
//! under `all`, the login has a user.
//!
//! Never here: the end moved (that goes out with the reply), a secret or key that a cookie names and the conf does not, a look at
//! what stands behind the `|`.

mod expiry;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::{Credential, Doubt, Facts, Found, Identity, Place, RequestView, Seconds, Step, Timestamp, Verified};
use crate::jose::algorithm::Algorithm;
use crate::jose::login_expiry::{is_api_key, is_user_key, login_token, unescaped};
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape, Span};
use crate::verify::contract::{Desks, KeyUse, Renewability, SchemeEntry, SchemePlan, SchemeTools, Verifier};
use crate::verify::gigya_session::expiry::{Prover, PublicKeys, Signer};
use crate::verify::keys::contract::{BuiltKeys, KeyClass};
use crate::verify::presented::cookie;

/// The scheme's line on the roll-call.
pub static ENTRY: SchemeEntry = SchemeEntry {
    name: "gigya_session",
    doc: "A Gigya login whose end the site has signed: the cookies `glt_{apiKey}` and `gltexp_{apiKey}`.",
    shape: Shape::Section(&SETTINGS),
    plan,
};

const NAME: &str = ENTRY.name;

static SETTINGS: SectionSpec = SectionSpec {
    title: "the `gigya_session` scheme",
    doc: "Logins of a Gigya site that keeps them alive itself (`sessionExpiration: -1`).",
    keys: &[
        KeySpec::required("api_key", Shape::Text, "The site's API key: the end of both cookies' names."),
        KeySpec::optional("keys", Shape::Name("keys"), "The store with the partner secret, of kind `gigya_secret`: for `EXP_SIG`."),
        KeySpec::optional(
            "user_keys",
            Shape::Map(&Shape::Name("keys")),
            "User keys and the stores with their secrets, of kind `gigya_secret`: for `EXP_USERKEY_SIG`. No other user key is looked at.",
        ),
        KeySpec::optional(
            "public_keys",
            Shape::Name("keys"),
            "The store with the public keys of user keys, by their names as `kid`: for the RS256 form.",
        ),
        KeySpec::default(
            "max_life",
            Shape::Duration { min: 60, max: 31_536_000 },
            "1d",
            "How far ahead an end may lie. One that lies farther is refused although it is signed: it was meant to slide.",
        ),
    ],
};

/// The settings, proven.
#[derive(Debug)]
pub struct GigyaSessionPlan {
    api_key: Box<str>,
    partner: Option<(String, Span)>,
    users: Vec<(Box<str>, String, Span)>,
    public: Option<(String, Span)>,
    max_life: Seconds,
}

fn plan(node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn SchemePlan>> {
    prove(node, checking).map(|plan| Box::new(plan) as Box<dyn SchemePlan>)
}

/// Proves the settings, or notes every fault and returns `None`. Pure.
pub fn prove(node: &Node, checking: &mut Checking<'_>) -> Option<GigyaSessionPlan> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let before = checking.faults.errors();
    let api_key = section.text("api_key")?;
    if !is_api_key(api_key) {
        checking.faults.error(section.span_of("api_key"), "an API key has letters, digits, `_` and `-`: it ends the names of two cookies");
    }
    let named = |key: &str| section.text(key).map(|store| (store.to_owned(), section.span_of(key).clone()));
    let (partner, public) = (named("keys"), named("public_keys"));
    let mut users = Vec::new();
    for entry in section.node("user_keys").and_then(Node::as_map).unwrap_or_default() {
        if !is_user_key(&entry.key) {
            checking.faults.error(&entry.span, "a user key is visible ASCII and not digits alone, which would read as the end of a login");
        }
        let store = entry.node.as_text().unwrap_or_default();
        users.push((entry.key.as_str().into(), store.to_owned(), entry.node.span.clone()));
    }
    let stores = partner.iter().chain(&public).map(|(store, span)| (store, span)).chain(users.iter().map(|(_, store, span)| (store, span)));
    for (store, span) in stores {
        checking.resolve("keys", store, span);
    }
    if partner.is_none() && public.is_none() && users.is_empty() {
        checking.faults.error(section.span(), "nobody could have signed: name `keys`, `user_keys` or `public_keys`");
    }
    let max_life = section.seconds("max_life")?;
    (before == checking.faults.errors()).then(|| GigyaSessionPlan { api_key: api_key.into(), partner, users, public, max_life })
}

impl SchemePlan for GigyaSessionPlan {
    fn scheme(&self) -> &'static str {
        NAME
    }

    fn key_stores(&self) -> Vec<KeyUse> {
        let secret =
            |store: &str, span: &Span| KeyUse { store: store.to_owned(), class: KeyClass::GigyaSecret, span: span.clone(), shared: false };
        let partner = self.partner.iter().map(|(store, span)| secret(store, span));
        let users = self.users.iter().map(|(_, store, span)| secret(store, span));
        let public = self.public.iter().map(|(store, span)| KeyUse {
            store: store.clone(),
            class: KeyClass::Signature,
            span: span.clone(),
            shared: false,
        });
        partner.chain(users).chain(public).collect()
    }

    fn algorithms(&self) -> Option<&[Algorithm]> {
        self.public.as_ref().map(|_| &[Algorithm::Rs256][..])
    }

    fn looks_at(&self) -> Vec<Place> {
        Names::of(&self.api_key).places()
    }

    fn renewability(&self) -> Renewability {
        Renewability::Never("their site moves their end with its replies, and nothing is spent for it")
    }

    fn build(&self, name: &Arc<str>, tools: &mut SchemeTools<'_>) -> Result<Arc<dyn Verifier>, String> {
        Ok(Arc::new(self.verifier(name, tools.keys, tools.desks)?))
    }
}

impl GigyaSessionPlan {
    /// The verifier of authenticator `name` over the stores in `keys`.
    ///
    /// # Errors
    ///
    /// A sentence for the operator when a store does not hold what it must, or an empty secret.
    pub fn verifier(&self, name: &Arc<str>, keys: &BTreeMap<String, BuiltKeys>, desks: &mut Desks) -> Result<GigyaSessionVerifier, String> {
        let signer = |user_key: Option<&str>, store: &str| match keys.get(store) {
            Some(BuiltKeys::GigyaSecret(secrets)) => Signer::new(user_key, store, secrets),
            _ => Err(format!("`{store}` holds no {}", KeyClass::GigyaSecret.describe())),
        };
        let mut signers = Vec::new();
        if let Some((store, _)) = &self.partner {
            signers.push(signer(None, store)?);
        }
        for (user_key, store, _) in &self.users {
            signers.push(signer(Some(user_key), store)?);
        }
        let public = match &self.public {
            None => None,
            Some((store, _)) => match keys.get(store) {
                Some(BuiltKeys::Signature(keys)) => {
                    let desk = desks.register(Arc::clone(keys).desk());
                    Some(PublicKeys { store: store.as_str().into(), keys: Arc::clone(keys), desk })
                }
                _ => return Err(format!("`{store}` holds no {}", KeyClass::Signature.describe())),
            },
        };
        let prover = Prover {
            scheme: NAME,
            authenticator: Arc::clone(name),
            api_key: self.api_key.clone(),
            signers: signers.into(),
            public,
            max_life: self.max_life,
        };
        Ok(GigyaSessionVerifier { names: Names::of(&self.api_key), prover })
    }
}

/// What the cookies of one site are called.
struct Names {
    login: Box<str>,
    expiry: Box<str>,
}

impl Names {
    fn of(api_key: &str) -> Self {
        Self { login: format!("glt_{api_key}").into(), expiry: format!("gltexp_{api_key}").into() }
    }

    fn places(&self) -> Vec<Place> {
        vec![Place::Cookie(self.login.clone()), Place::Cookie(self.expiry.clone())]
    }
}

/// Verifies logins of one site. Parts of a credential: login token, signed end.
pub struct GigyaSessionVerifier {
    names: Names,
    prover: Prover,
}

impl Verifier for GigyaSessionVerifier {
    fn find<'r>(&self, request: &RequestView<'r>, _facts: &Facts) -> Step<Found<'r>> {
        let (login, expiry) = (cookie(&self.names.login, request), cookie(&self.names.expiry, request));
        Step::Done(match (login, expiry) {
            (Err(doubt), _) | (_, Err(doubt)) => Found::Unreadable(doubt),
            (Ok(None), Ok(None)) => Found::Absent,
            // Sites that leave the end to Gigya have one without the other; somebody else may know what to make of it.
            (Ok(Some(_)), Ok(None)) | (Ok(None), Ok(Some(_))) => Found::Foreign(Doubt::Malformed),
            (Ok(Some(login)), Ok(Some(expiry))) => match (login_token(&login), unescaped(&expiry)) {
                (Some(token), Some(end)) => {
                    Found::Present(Credential::new(vec![token.to_owned().into(), end.into_owned().into()], self.names.places()))
                }
                _ => Found::Unreadable(Doubt::Malformed),
            },
        })
    }

    fn verify(
        &self,
        credential: &Credential<'_>,
        _request: &RequestView<'_>,
        facts: &Facts,
        now: Timestamp,
    ) -> Step<Verified<Arc<Identity>>> {
        self.prover.judge(credential.part(0), credential.part(1), facts, now)
    }

    fn challenge(&self) -> Option<&'static str> {
        None
    }

    fn cache_generation(&self) -> Option<u64> {
        Some(self.prover.generation())
    }
}
