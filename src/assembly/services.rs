//! Puts the services of a conf together: what the proxy answers itself, and what they share.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ambient::{SystemRandom, WallClock};
use crate::assembly::gate::Ground;
use crate::config::plan::{IssuerPlan, Plan};
use crate::domain::Silent;
use crate::issuer::contract::{PublishedKeys, Relay, Service, ServicePlan, ServiceTools};
use crate::issuer::pairs::{Issuer, IssuerTools};
use crate::issuer::session::Sessions;
use crate::jose::ticket::TicketTerms;
use crate::net::client::{Client, ClientSettings};
use crate::verify::keys::contract::{BuiltKeys, KeyClass, KeyTools};

/// The issuers of `plan`, by name.
///
/// # Errors
///
/// A sentence for the operator.
pub fn issuers(plan: &Plan, ground: &Ground) -> Result<BTreeMap<String, Arc<Issuer>>, String> {
    let build = |written: &IssuerPlan| {
        let tools = IssuerTools {
            state: Arc::clone(&ground.state),
            revoked: Arc::clone(&ground.revoked),
            random: Arc::clone(&ground.random),
            observer: Arc::clone(&ground.observer),
        };
        let name = written.terms.name.to_string();
        let built = Issuer::new(written.terms.clone(), Arc::clone(&written.keys), tools);
        built.map(|issuer| (name.clone(), Arc::new(issuer))).map_err(|why| format!("issuer `{name}`: {why}"))
    };
    plan.issuers.iter().map(build).collect()
}

/// The sessions of each authenticator of that scheme, by its name.
///
/// # Errors
///
/// A sentence for the operator.
pub fn sessions(plan: &Plan, ground: &Ground, keys: &BTreeMap<String, BuiltKeys>) -> Result<BTreeMap<String, Arc<Sessions>>, String> {
    let mut sessions = BTreeMap::new();
    for written in &plan.authenticators {
        let Some(terms) = written.scheme.session_terms(&written.name, keys) else { continue };
        let terms = terms.map_err(|why| format!("authenticator `{}`: {why}", written.name))?;
        let (state, random, observer) = (Arc::clone(&ground.state), Arc::clone(&ground.random), Arc::clone(&ground.observer));
        sessions.insert(written.name.to_string(), Arc::new(Sessions::new(Arc::new(terms), state, random, observer)));
    }
    Ok(sessions)
}

/// What every authenticator of tickets of `plan` demands, in written order, for whoever looks at a ticket without serving
/// anybody. Only keys that seal tickets are set up.
///
/// # Errors
///
/// A sentence for the operator.
pub fn ticket_terms(plan: &Plan) -> Result<Vec<TicketTerms>, String> {
    let tools = KeyTools {
        client: Arc::new(Client::new(ClientSettings::default())?),
        clock: Arc::new(WallClock),
        random: Arc::new(SystemRandom),
        observer: Arc::new(Silent),
        issued: Arc::default(),
    };
    let mut keys = BTreeMap::new();
    for written in plan.keys.iter().filter(|written| written.source.class() == KeyClass::Mac) {
        let built = written.source.build(&written.name, &tools).map_err(|why| format!("key store `{}`: {why}", written.name))?;
        keys.insert(written.name.to_string(), built);
    }
    terms_of(plan, &keys)
}

/// What every authenticator of tickets demands, in written order.
fn terms_of(plan: &Plan, keys: &BTreeMap<String, BuiltKeys>) -> Result<Vec<TicketTerms>, String> {
    let terms = plan.authenticators.iter().filter_map(|written| {
        let terms = written.scheme.ticket_terms(&written.name, keys)?;
        Some(terms.map_err(|why| format!("authenticator `{}`: {why}", written.name)))
    });
    terms.collect()
}

/// What the services of one conf are built with.
pub struct Services<'a> {
    ground: &'a Ground,
    tickets: BTreeMap<String, Arc<TicketTerms>>,
    issuers: &'a BTreeMap<String, Arc<Issuer>>,
    sessions: &'a BTreeMap<String, Arc<Sessions>>,
    relays: BTreeMap<String, Arc<dyn Relay>>,
    published: Arc<PublishedKeys>,
}

impl<'a> Services<'a> {
    /// What the services of `plan` need, with the key stores in `keys`.
    ///
    /// # Errors
    ///
    /// A sentence for the operator.
    pub fn new(
        plan: &Plan,
        ground: &'a Ground,
        keys: &BTreeMap<String, BuiltKeys>,
        issuers: &'a BTreeMap<String, Arc<Issuer>>,
        sessions: &'a BTreeMap<String, Arc<Sessions>>,
        relays: BTreeMap<String, Arc<dyn Relay>>,
    ) -> Result<Self, String> {
        let tickets = terms_of(plan, keys)?.into_iter().map(|terms| (terms.name.to_string(), Arc::new(terms))).collect();
        Ok(Self { ground, tickets, issuers, sessions, relays, published: Arc::default() })
    }

    /// Builds one.
    ///
    /// # Errors
    ///
    /// A sentence for the operator.
    pub fn build(&self, plan: &dyn ServicePlan) -> Result<Arc<dyn Service>, String> {
        plan.build(&ServiceTools {
            tickets: &self.tickets,
            issuers: self.issuers,
            sessions: self.sessions,
            relays: &self.relays,
            published: &self.published,
            state: &self.ground.state,
            revoked: &self.ground.revoked,
            random: &self.ground.random,
            observer: &self.ground.observer,
        })
    }

    /// Publishes the keys in `documents`, each a JWKS document, as one, each key once.
    pub fn publish(&self, documents: &[String]) {
        let mut keys: Vec<serde_json::Value> = Vec::new();
        for document in documents {
            let parsed: serde_json::Value = serde_json::from_str(document).unwrap_or_default();
            for key in parsed.get("keys").and_then(|keys| keys.as_array()).into_iter().flatten() {
                if !keys.contains(key) {
                    keys.push(key.clone());
                }
            }
        }
        self.published.publish(serde_json::json!({ "keys": keys }).to_string().into());
    }
}
