//! Everyone's token runs out at once: requests that bring an expired token and the refresh token that buys another, several requests
//! with the same pair at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde_json::Value;

use crate::demo::issuer::DemoIssuer;
use crate::domain::{Random, Timestamp};
use crate::jose::algorithm::Algorithm;
use crate::loadtest::credentials::contract::{Asked, Presented, Presenter};
use crate::loadtest::credentials::opaque::drawn;
use crate::loadtest::credentials::place::Place;
use crate::loadtest::credentials::token::{TokenPresenter, algorithms, store_and_issuer};
use crate::loadtest::fresh::lanes::{Means, good_request, sent_to};
use crate::loadtest::lane::{Arm, Expected, Lane, Lasting, Maker, Shot, Supply};
use crate::loadtest::mix::Kind;

/// Lanes of a storm, and how many credentials it has spent.
#[derive(Default)]
pub struct Storm {
    /// What is sent. Every request must pass.
    pub lanes: Vec<Lane>,
    /// Pairs that were handed out to be spent.
    pub pairs: Arc<AtomicU64>,
}

/// Requests that bring the same pair.
const TOGETHER: u64 = 8;

impl Storm {
    /// A storm over the rules of `conf` whose `jwt` authenticator renews at a token endpoint, where clients bring the refresh token.
    #[must_use]
    pub fn over(conf: &Value, means: &Means) -> Self {
        let mut storm = Self::default();
        for rule in conf.get("rules").and_then(Value::as_array).into_iter().flatten() {
            if let Some(lane) = storm.lane(conf, rule, means) {
                storm.lanes.push(lane);
            }
        }
        storm
    }

    fn lane(&self, conf: &Value, rule: &Value, means: &Means) -> Option<Lane> {
        let name = rule.get("authenticate")?.as_str()?;
        rule.get("forward")?;
        let authenticator = conf.get("authenticators")?.get(name)?;
        let settings = authenticator.get("jwt")?;
        let renewer = conf.get("renewers")?.get(authenticator.get("renew")?.as_str()?)?.get("oauth2")?;
        let from = renewer.get("refresh_from")?;
        let allowed = algorithms(settings);
        // What the stand-in signs fresh tokens with.
        if !allowed.is_empty() && !allowed.contains(&Algorithm::Es256) {
            return None;
        }
        let (store, _) = store_and_issuer(settings)?;
        let signer = means.keyring.signer(&store, &[Algorithm::Es256])?;
        let tokens = TokenPresenter::new(settings, signer, &means.scopes, &means.claims, Arc::clone(&means.random)).ok()?;
        let (asked, authority) = sent_to(rule, means);
        let spending = Spending {
            tokens,
            issuer: Arc::clone(means.issuer.as_ref()?),
            place: Place::first(Some(from)),
            asked,
            authority,
            pairs: Arc::clone(&self.pairs),
            current: Mutex::new(None),
            random: Arc::clone(&means.random),
        };
        let arm =
            Arm { kind: Kind::Expired, expected: Expected::Passes, weight: 1, supply: Supply::new(Box::new(spending), Lasting::Once, 1) };
        let rule = rule.get("name").and_then(Value::as_str).unwrap_or_default();
        Some(Lane { name: format!("{rule} · {name}, renewing").into(), scheme: Arc::from("jwt"), arms: vec![arm] })
    }
}

/// Makes requests that bring pairs.
struct Spending {
    tokens: TokenPresenter,
    issuer: Arc<DemoIssuer>,
    place: Place,
    asked: Asked,
    authority: String,
    pairs: Arc<AtomicU64>,
    /// The pair that is being handed out: its number, and what is presented.
    current: Mutex<Option<(u64, Presented)>>,
    random: Arc<dyn Random>,
}

impl Maker for Spending {
    fn make(&self, number: u64, now: Timestamp) -> Result<Shot, String> {
        let pair = number / TOGETHER;
        let mut current = self.current.lock();
        let presented = match current.as_ref().filter(|(held, _)| *held == pair) {
            Some((_, presented)) => presented.clone(),
            None => {
                let expired = self.tokens.present(Kind::Expired, pair, &self.asked, now)?;
                let refresh = drawn(&*self.random);
                self.issuer.renews(&refresh, self.tokens.claims(Kind::Good, pair, now));
                self.pairs.fetch_add(1, Ordering::Relaxed);
                let presented = expired.and(self.place.hold(refresh));
                *current = Some((pair, presented.clone()));
                presented
            }
        };
        good_request(&self.asked, &self.authority, presented)
    }
}
