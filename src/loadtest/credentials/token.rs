//! Signed tokens: `jwt`.
//!
//! Claims are what the settings of the authenticator ask for: issuer, audience, kind, required claims, scopes.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::domain::{Random, Seconds, Timestamp};
use crate::jose::algorithm::Algorithm;
use crate::jose::base64url;
use crate::jose::mint::SigningKey;
use crate::loadtest::credentials::contract::{Asked, Presented, Presenter};
use crate::loadtest::credentials::place::Place;
use crate::loadtest::fresh::keyring::Signer;
use crate::loadtest::fresh::sections::listed;
use crate::loadtest::lane::Lasting;
use crate::loadtest::mix::Kind;
use crate::settings::section::parse_duration;

/// Presents tokens.
pub struct TokenPresenter {
    signer: Signer,
    /// Somebody else's key of the same algorithm.
    stranger: SigningKey,
    place: Place,
    /// What every token says.
    base: Map<String, Value>,
    typ: Option<String>,
    subject: String,
    life: Seconds,
    leeway: Seconds,
    single_use: bool,
    random: Arc<dyn Random>,
}

/// Names of algorithms that `settings` allow; empty for any.
#[must_use]
pub fn algorithms(settings: &Value) -> Vec<Algorithm> {
    settings.get("algorithms").into_iter().flat_map(listed).filter_map(Algorithm::named).collect()
}

/// The key store that verifies for `settings`, and the issuer whose tokens it verifies.
#[must_use]
pub fn store_and_issuer(settings: &Value) -> Option<(String, String)> {
    let first = settings.get("issuer").into_iter().flat_map(listed).next()?;
    match settings.get("keys") {
        None => Some((format!("discovery:{first}"), first.to_owned())),
        Some(Value::String(store)) => Some((store.clone(), first.to_owned())),
        Some(mapping) => {
            let (issuer, store) = mapping.as_object()?.iter().next()?;
            Some((store.as_str()?.to_owned(), issuer.clone()))
        }
    }
}

/// Who signs for `issuer` as a conf names it: one of its hosts where it names all of a domain.
#[must_use]
pub fn host_of(issuer: &str) -> String {
    issuer.strip_prefix("*.").map_or_else(|| issuer.to_owned(), |domain| format!("bench.{domain}"))
}

impl TokenPresenter {
    /// For a `jwt` authenticator with these settings, whose tokens `signer` signs; they have `scopes` and `claims` besides.
    ///
    /// # Errors
    ///
    /// The crypto library makes no key.
    pub fn new(
        settings: &Value,
        signer: Signer,
        scopes: &[String],
        claims: &[(String, Value)],
        random: Arc<dyn Random>,
    ) -> Result<Self, String> {
        let key = signer.key().ok_or("there is no key to sign with")?;
        let stranger = SigningKey::generate(key.algorithm()).map_err(|fault| fault.to_string())?.with_kid(key.kid());
        let seconds = |name: &str| {
            let length = settings.get(name).and_then(Value::as_str).and_then(parse_duration)?;
            u32::try_from(length.as_secs()).ok().map(Seconds)
        };
        let text = |name: &str, default: &str| settings.get(name).and_then(Value::as_str).unwrap_or(default).to_owned();
        let (_, issuer) = store_and_issuer(settings).ok_or("the authenticator names no issuer")?;
        let mut base = Map::new();
        put(&mut base, "iss", host_of(&issuer).into());
        if let Some(audience) = settings.get("audience").into_iter().flat_map(listed).next().filter(|audience| *audience != "none") {
            put(&mut base, "aud", audience.into());
        }
        if !scopes.is_empty() {
            put(&mut base, &text("scopes_from", "scope"), scopes.join(" ").into());
        }
        for (path, wanted) in settings.get("require").and_then(Value::as_object).into_iter().flatten() {
            let first = wanted.as_array().and_then(|several| several.first()).unwrap_or(wanted);
            match first.as_str() {
                Some("absent") => {}
                Some("present") => put(&mut base, path, "bench".into()),
                _ => put(&mut base, path, first.clone()),
            }
        }
        for (name, value) in claims {
            put(&mut base, name, value.clone());
        }
        let bounds = [seconds("max_age"), seconds("max_lifetime")];
        Ok(Self {
            signer,
            stranger,
            place: Place::first(settings.get("from")),
            base,
            typ: settings.get("typ").into_iter().flat_map(listed).next().map(str::to_owned),
            subject: text("subject_from", "sub"),
            life: bounds.into_iter().flatten().min().map_or(Self::LIFE, |bound| bound.min(Self::LIFE)),
            leeway: seconds("leeway").unwrap_or(Seconds(30)),
            single_use: settings.get("single_use") == Some(&Value::Bool(true)),
            random,
        })
    }

    /// How long tokens live unless the conf wants less.
    const LIFE: Seconds = Seconds(3_600);

    /// What a token of `kind` of caller `number` says.
    #[must_use]
    pub fn claims(&self, kind: Kind, number: u64, now: Timestamp) -> Value {
        let past = Seconds(self.leeway.0.saturating_add(60));
        let expires = if kind == Kind::Expired { now.minus(past) } else { now.plus(self.life) };
        let mut claims = self.base.clone();
        put(&mut claims, &self.subject, format!("caller-{number}").into());
        claims.entry("sub").or_insert_with(|| format!("caller-{number}").into());
        put(&mut claims, "iat", expires.minus(self.life).0.into());
        put(&mut claims, "exp", expires.0.into());
        let mut unique = [0; 12];
        self.random.fill(&mut unique);
        put(&mut claims, "jti", base64url::encode(&unique).into());
        Value::Object(claims)
    }
}

impl Presenter for TokenPresenter {
    fn lasting(&self) -> Lasting {
        // A new one well before the old one ends.
        if self.single_use { Lasting::Once } else { Lasting::For(Seconds(self.life.0.saturating_mul(3) / 4)) }
    }

    fn makes(&self, kind: Kind) -> bool {
        matches!(kind, Kind::Good | Kind::Expired | Kind::Forged)
    }

    fn present(&self, kind: Kind, number: u64, _: &Asked, now: Timestamp) -> Result<Presented, String> {
        let claims = self.claims(kind, number, now);
        let extras: Vec<(&str, &str)> = self.typ.iter().map(|typ| ("typ", typ.as_str())).collect();
        let token = match kind {
            // The name of the key that verifies, and another key: only the signature tells.
            Kind::Forged => {
                let key = self.signer.key().ok_or("there is no key to sign with")?;
                let named: Vec<(&str, &str)> = extras.iter().copied().chain(key.kid().map(|kid| ("kid", kid))).collect();
                self.stranger.sign_compact(&named, &claims).map_err(|fault| fault.to_string())?
            }
            _ => self.signer.sign(&extras, &claims)?,
        };
        Ok(self.place.hold(token))
    }
}

/// Sets the claim at the dotted `path`.
fn put(claims: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            claims.insert(path.to_owned(), value);
        }
        Some((first, rest)) => {
            let below = claims.entry(first).or_insert_with(|| json!({}));
            if let Some(below) = below.as_object_mut() {
                put(below, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
