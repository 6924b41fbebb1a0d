//! Tokens that say nothing by themselves: `introspection`.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::demo::issuer::DemoIssuer;
use crate::domain::{Random, Seconds, Timestamp};
use crate::jose::base64url;
use crate::loadtest::credentials::contract::{Asked, Presented, Presenter};
use crate::loadtest::credentials::place::Place;
use crate::loadtest::fresh::sections::listed;
use crate::loadtest::lane::Lasting;
use crate::loadtest::mix::Kind;

/// Presents tokens that the stand-in knows.
pub struct OpaquePresenter {
    issuer: Arc<DemoIssuer>,
    place: Place,
    base: Value,
    subject: String,
    random: Arc<dyn Random>,
}

impl OpaquePresenter {
    /// For an `introspection` authenticator with these settings, whose questions `issuer` answers.
    #[must_use]
    pub fn new(settings: &Value, issuer: Arc<DemoIssuer>, scopes: &[String], random: Arc<dyn Random>) -> Self {
        let mut base = json!({ "iss": settings.get("issuer"), "scope": scopes.join(" ") });
        if let Some(members) = base.as_object_mut() {
            let audience = settings.get("audience").into_iter().flat_map(listed).next();
            members.extend(audience.map(|audience| ("aud".to_owned(), Value::from(audience))));
            for (name, wanted) in settings.get("require").and_then(Value::as_object).into_iter().flatten() {
                let first = wanted.as_array().and_then(|several| several.first()).unwrap_or(wanted);
                members.insert(name.clone(), first.clone());
            }
        }
        let subject = settings.get("subject_from").and_then(Value::as_str).unwrap_or("sub").to_owned();
        Self { issuer, place: Place::first(settings.get("from")), base, subject, random }
    }
}

/// A token that says nothing, and that nobody else draws.
pub fn drawn(random: &dyn Random) -> String {
    let mut bytes = [0; 32];
    random.fill(&mut bytes);
    base64url::encode(&bytes)
}

impl Presenter for OpaquePresenter {
    fn lasting(&self) -> Lasting {
        Lasting::For(Seconds(2_700))
    }

    fn makes(&self, kind: Kind) -> bool {
        matches!(kind, Kind::Good | Kind::Expired | Kind::Forged)
    }

    fn present(&self, kind: Kind, number: u64, _: &Asked, now: Timestamp) -> Result<Presented, String> {
        let token = drawn(&*self.random);
        // A forged one is any text that the issuer never gave.
        if kind != Kind::Forged {
            let mut claims = self.base.clone();
            if let Some(members) = claims.as_object_mut() {
                members.insert(self.subject.clone(), format!("caller-{number}").into());
                let expires = if kind == Kind::Expired { now.minus(Seconds(600)) } else { now.plus(Seconds(3_600)) };
                members.insert("exp".to_owned(), expires.0.into());
            }
            self.issuer.remember(&token, claims);
        }
        Ok(self.place.hold(token))
    }
}
