//! Sealed tickets of our own: `ticket`.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::domain::{Random, Seconds, Secret, Timestamp, Value};
use crate::issuer::ticket::{Mint, TicketOrder, mint};
use crate::jose::ticket::{Bindings, TicketKey};
use crate::loadtest::credentials::contract::{Asked, Presented, Presenter};
use crate::loadtest::credentials::place::Place;
use crate::loadtest::lane::Lasting;
use crate::loadtest::mix::Kind;
use crate::settings::section::parse_duration;
use crate::verify::keys::mac::key_of;

/// Presents tickets.
pub struct TicketPresenter {
    press: Mint,
    stranger: Mint,
    place: Place,
    scopes: Box<[Box<str>]>,
    single_use: bool,
    random: Arc<dyn Random>,
}

impl TicketPresenter {
    /// For the `ticket` authenticator `name` with these settings, whose key store holds `key`.
    ///
    /// # Errors
    ///
    /// The key is too weak to be one.
    pub fn new(name: &str, settings: &Json, key: &str, scopes: &[String], random: Arc<dyn Random>) -> Result<Self, String> {
        let text = |key: &str, default: &str| settings.get(key).and_then(Json::as_str).unwrap_or(default).to_owned();
        let longest = settings.get("max_life").and_then(Json::as_str).and_then(parse_duration);
        let longest = longest.and_then(|length| u32::try_from(length.as_secs()).ok()).unwrap_or(3_600);
        let press = |key: &[u8]| {
            let key = key_of(Secret::new(key.to_vec()))?;
            Ok::<_, String>(Mint {
                key: TicketKey::new(key.id, &key.secret),
                issuer: text("issuer", "countersign").into(),
                audience: text("audience", name).into(),
                max_life: Seconds(longest.min(3_600)),
            })
        };
        let mut strange = [0; 64];
        random.fill(&mut strange);
        // Nothing but the bearer has a default of two places, and it is the first of them.
        Ok(Self {
            press: press(key.as_bytes())?,
            stranger: press(&strange)?,
            place: Place::first(settings.get("from")),
            scopes: scopes.iter().map(|scope| scope.as_str().into()).collect(),
            single_use: settings.get("single_use") == Some(&Json::Bool(true)),
            random,
        })
    }
}

impl Presenter for TicketPresenter {
    fn lasting(&self) -> Lasting {
        if self.single_use { Lasting::Once } else { Lasting::For(Seconds(self.press.max_life.0.saturating_mul(3) / 4)) }
    }

    fn makes(&self, kind: Kind) -> bool {
        matches!(kind, Kind::Good | Kind::Expired | Kind::Forged)
    }

    fn present(&self, kind: Kind, number: u64, _: &Asked, now: Timestamp) -> Result<Presented, String> {
        let press = if kind == Kind::Forged { &self.stranger } else { &self.press };
        // One that ran out ten minutes ago, whatever leeway the conf forgives.
        let made = if kind == Kind::Expired { now.minus(press.max_life).minus(Seconds(600)) } else { now };
        let order = TicketOrder {
            subject: format!("caller-{number}").into(),
            life: None,
            scopes: self.scopes.clone(),
            single_use: self.single_use,
            bindings: Bindings::default(),
            claims: Value::empty(),
        };
        Ok(self.place.hold(mint(press, order, made, &*self.random).map_err(|fault| fault.to_string())?))
    }
}
