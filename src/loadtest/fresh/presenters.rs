//! Who makes credentials for which authenticator of a conf.

use std::sync::Arc;

use serde_json::Value;

use crate::loadtest::credentials::checked::CheckedPresenter;
use crate::loadtest::credentials::contract::Presenter;
use crate::loadtest::credentials::gigya::{GigyaPresenter, GigyaRequestPresenter, GigyaSessionPresenter};
use crate::loadtest::credentials::hat::HatPresenter;
use crate::loadtest::credentials::janrain::JanrainPresenter;
use crate::loadtest::credentials::opaque::OpaquePresenter;
use crate::loadtest::credentials::pair::PairPresenter;
use crate::loadtest::credentials::session::SessionPresenter;
use crate::loadtest::credentials::ticket::TicketPresenter;
use crate::loadtest::credentials::token::{TokenPresenter, algorithms, store_and_issuer};
use crate::loadtest::fresh::lanes::Means;

/// Makes each presenter once, although several rules may ask for it.
pub(super) struct Presenters<'c> {
    conf: &'c Value,
    pub(super) means: &'c Means,
    made: Vec<(String, Result<(Arc<dyn Presenter>, &'static str), String>)>,
}

impl<'c> Presenters<'c> {
    /// For the authenticators of `conf`.
    pub(super) fn new(conf: &'c Value, means: &'c Means) -> Self {
        Self { conf, means, made: Vec::new() }
    }

    /// Who makes credentials for the authenticator `name`, and its scheme; or why nobody does.
    pub(super) fn of(&mut self, name: &str) -> Result<(Arc<dyn Presenter>, &'static str), String> {
        if let Some((_, made)) = self.made.iter().find(|(known, _)| known == name) {
            return made.clone();
        }
        let made = self.make(name);
        self.made.push((name.to_owned(), made.clone()));
        made
    }

    fn make(&self, name: &str) -> Result<(Arc<dyn Presenter>, &'static str), String> {
        let written = self.conf.get("authenticators").and_then(|all| all.get(name)).and_then(Value::as_object);
        let beside = ["cache", "renew"];
        let (scheme, settings) = written
            .and_then(|written| written.iter().find(|(key, _)| !beside.contains(&key.as_str())))
            .ok_or_else(|| format!("there is no authenticator `{name}`"))?;
        let means = self.means;
        let ring = &means.keyring;
        let store = settings.get("keys").and_then(Value::as_str).unwrap_or_default();
        let unknown = || format!("no keys for `{store}`: its kind of key source has no stand-in, or none was handed in");
        let pairs = || ring.pairs(store).ok_or_else(unknown);
        let text = || ring.text(store).ok_or_else(unknown);
        let random = || Arc::clone(&means.random);
        Ok(match scheme.as_str() {
            "server_key" => (Arc::new(PairPresenter::server_key(settings, pairs()?)), "server_key"),
            "key_pair" => (Arc::new(PairPresenter::key_pair(settings, pairs()?)), "key_pair"),
            "jwt" => {
                let (store, _) = store_and_issuer(settings).ok_or("it names no issuer")?;
                let signer = ring.signer(name, &algorithms(settings)).or_else(|| ring.signer(&store, &algorithms(settings)));
                let signer = signer.ok_or_else(|| format!("no key that signs for `{store}`"))?;
                (Arc::new(TokenPresenter::new(settings, signer, &means.scopes, &means.claims, random())?), "jwt")
            }
            "ticket" => (Arc::new(TicketPresenter::new(name, settings, &text()?, &means.scopes, random())?), "ticket"),
            "introspection" => {
                let issuer = means.issuer.clone().ok_or("nobody stands in for its issuer")?;
                (Arc::new(OpaquePresenter::new(settings, issuer, &means.scopes, random())), "introspection")
            }
            "gigya" => (Arc::new(GigyaPresenter::new(settings, &text()?, &*means.random)?), "gigya"),
            "gigya_session" => (Arc::new(GigyaSessionPresenter::new(settings, &text()?, &*means.random)?), "gigya_session"),
            "gigya_request" => (Arc::new(GigyaRequestPresenter::new(settings, |store| ring.text(store), random())?), "gigya_request"),
            "janrain_signature" => (Arc::new(JanrainPresenter::new(settings, pairs()?, random())), "janrain_signature"),
            "session" => {
                let sessions = ring.sessions(name).filter(|sessions| !sessions.good.is_empty());
                let sessions = sessions.ok_or("no rule opens sessions of this kind for credentials that can be made here")?;
                (Arc::new(SessionPresenter::new(sessions, random())), "session")
            }
            "hat" => {
                let hats = ring.hats(name).ok_or("nobody stands in for the HATs that it believes")?;
                (Arc::new(HatPresenter::new(settings, hats, random())?), "hat")
            }
            "token_check" => {
                let checks = ring.checks(name).ok_or("nobody stands in for the endpoint that it asks")?;
                (Arc::new(CheckedPresenter::new(settings, checks, &means.scopes, &means.claims, random())), "token_check")
            }
            other => return Err(format!("credentials of scheme `{other}` cannot be made here; bring them with --url and --credentials")),
        })
    }
}
