//! Tokens that are proven by a call with them: `token_check`.

use std::sync::Arc;

use serde_json::Value;

use crate::domain::{Random, Seconds, Timestamp};
use crate::loadtest::credentials::contract::{Asked, Presented, Presenter};
use crate::loadtest::credentials::opaque::drawn;
use crate::loadtest::credentials::place::Place;
use crate::loadtest::fresh::checks::{Checks, Holder};
use crate::loadtest::lane::Lasting;
use crate::loadtest::mix::Kind;

/// Presents tokens that the stand-in knows.
pub struct CheckedPresenter {
    checks: Arc<Checks>,
    place: Place,
    scopes: Vec<String>,
    claims: Vec<(String, Value)>,
    random: Arc<dyn Random>,
}

impl CheckedPresenter {
    /// For a `token_check` authenticator with these settings, whose questions `checks` answers.
    #[must_use]
    pub fn new(settings: &Value, checks: Arc<Checks>, scopes: &[String], claims: &[(String, Value)], random: Arc<dyn Random>) -> Self {
        Self { checks, place: Place::first(settings.get("from")), scopes: scopes.to_vec(), claims: claims.to_vec(), random }
    }
}

impl Presenter for CheckedPresenter {
    fn lasting(&self) -> Lasting {
        Lasting::For(Seconds(2_700))
    }

    fn makes(&self, kind: Kind) -> bool {
        matches!(kind, Kind::Good | Kind::Expired | Kind::Forged)
    }

    fn present(&self, kind: Kind, number: u64, _: &Asked, now: Timestamp) -> Result<Presented, String> {
        let token = drawn(&*self.random);
        match kind {
            // Any text that nobody ever gave out.
            Kind::Forged => {}
            Kind::Expired => self.checks.give_ended(&token),
            _ => {
                let subject = format!("caller-{number}");
                self.checks.give(&token, &Holder { subject: &subject, scopes: &self.scopes, claims: &self.claims, now });
            }
        }
        Ok(self.place.hold(token))
    }
}
