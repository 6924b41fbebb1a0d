//! From the renewers of a conf to what the gate asks: one set of flights for each renewer, shared by all authenticators that name
//! it, and for each authenticator how its fresh credentials reach the client.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderName;

use crate::assembly::gate::Ground;
use crate::config::plan::{ActionPlan, AuthenticatorPlan, Plan};
use crate::domain::Place;
use crate::gate::hand_back::can_hold;
use crate::gate::rule::{HandBack, HandTo, Renewal};
use crate::issuer::contract::Relay;
use crate::issuer::pairs::Issuer;
use crate::issuer::session::Sessions;
use crate::net::client::Client;
use crate::renew::contract::{FlightTools, RenewTools, Renewals, Renewer};
use crate::renew::fitting::Fitting;
use crate::renew::flight::{FlightSettings, Flights};
use crate::renew::handling::{self, Handling};
use crate::renew::relayed::Relayed;
use crate::renew::session::SessionRenewer;
use crate::verify::presented::Source;

/// The renewals of a conf, by the numbers of its renewers; none for a renewer that no authenticator names.
pub struct Renewing {
    /// By the numbers of the renewers.
    shared: Vec<Option<Arc<dyn Renewals>>>,
    /// Of authenticators that hold what is spent themselves, by name: what is renewed for them goes into their own records.
    held: BTreeMap<Arc<str>, Arc<dyn Renewals>>,
}

impl Renewing {
    /// Builds every renewer that is used.
    ///
    /// # Errors
    ///
    /// A sentence for the operator that names the renewer.
    pub fn build(
        plan: &Plan,
        client: &Arc<Client>,
        issuers: &BTreeMap<String, Arc<Issuer>>,
        sessions: &BTreeMap<String, Arc<Sessions>>,
        ground: &Ground,
    ) -> Result<Self, String> {
        let mut built = Self { shared: Vec::with_capacity(plan.renewers.len()), held: BTreeMap::new() };
        if plan.renewers.is_empty() {
            return Ok(built);
        }
        let client = Arc::new(client.unpooled()?);
        for (index, written) in plan.renewers.iter().enumerate() {
            let used = plan.authenticators.iter().any(|user| user.renewal.as_ref().is_some_and(|used| used.renewer == index));
            if !used && !relayed(plan).any(|name| name == *written.name) {
                built.shared.push(None);
                continue;
            }
            let handling = &written.handling;
            let tools = RenewTools {
                deadline: handling.flight.duration(),
                issuers,
                client: &client,
                clock: &ground.clock,
                random: &ground.random,
                observer: &ground.observer,
            };
            let renewer = written.renewer.build(&written.name, &tools).map_err(|why| format!("renewer `{}`: {why}", written.name))?;
            for user in plan.authenticators.iter().filter(|user| user.renewal.as_ref().is_some_and(|used| used.renewer == index)) {
                let Some(sessions) = sessions.get(&*user.name) else { continue };
                // A name of its own: what is renewed for a session is worth nothing to whoever does not look into its record.
                let name = Arc::from(format!("{}@{}", written.name, user.name));
                let renewer = Arc::new(SessionRenewer::over(Arc::clone(&renewer), Arc::clone(sessions), handling.flight));
                built.held.insert(Arc::clone(&user.name), flights(name, renewer, handling, ground));
            }
            built.shared.push(Some(flights(Arc::clone(&written.name), fitted(plan, index, &written.name, renewer), handling, ground)));
        }
        Ok(built)
    }

    /// What services of `plan` relay pairs by, by the names of the renewers.
    #[must_use]
    pub fn relays(&self, plan: &Plan) -> BTreeMap<String, Arc<dyn Relay>> {
        let named = relayed(plan).filter_map(|name| {
            let index = plan.renewers.iter().position(|written| *written.name == *name)?;
            let renewals = Arc::clone(self.shared.get(index)?.as_ref()?);
            Some((name, Arc::new(Relayed::over(renewals)) as Arc<dyn Relay>))
        });
        named.collect()
    }

    /// How the credentials of `authenticator` are renewed, when they are.
    #[must_use]
    pub fn of(&self, plan: &Plan, authenticator: &AuthenticatorPlan) -> Option<Renewal> {
        let used = authenticator.renewal.as_ref()?;
        let renewals = match self.held.get(&authenticator.name) {
            Some(renewals) => renewals,
            None => self.shared.get(used.renewer)?.as_ref()?,
        };
        let handling = &plan.renewers.get(used.renewer)?.handling;
        let brought = handling.refresh_from.as_ref().filter(|_| used.brought);
        Some(Renewal {
            renewals: Arc::clone(renewals),
            refresh_from: brought.and_then(source).into_iter().collect(),
            early: handling.early,
            hand_back: used.hand_back.as_ref().map(hand_back),
        })
    }
}

/// The renewers by which services of `plan` relay pairs.
fn relayed(plan: &Plan) -> impl Iterator<Item = String> {
    plan.rules.iter().flat_map(|rule| match &rule.action {
        ActionPlan::Serve(service) => service.renewers().into_iter().map(|(name, _)| name).collect(),
        ActionPlan::Forward(_) => Vec::new(),
    })
}

/// `renewer`, the one of this number, less the pairs that none of the clients it renews for could be handed.
fn fitted(plan: &Plan, index: usize, name: &Arc<str>, renewer: Arc<dyn Renewer>) -> Arc<dyn Renewer> {
    let used = plan.authenticators.iter().filter_map(|user| user.renewal.as_ref()).filter(|used| used.renewer == index);
    let places: Vec<HandBack> = used.filter_map(|used| used.hand_back.as_ref()).map(hand_back).collect();
    if places.is_empty() {
        return renewer;
    }
    Arc::new(Fitting::over(Arc::clone(name), renewer, Box::new(move |pair| places.iter().any(|to| can_hold(to, pair)))))
}

fn flights(name: Arc<str>, renewer: Arc<dyn Renewer>, handling: &Handling, ground: &Ground) -> Arc<dyn Renewals> {
    let tools = FlightTools {
        state: Arc::clone(&ground.state),
        clock: Arc::clone(&ground.clock),
        random: Arc::clone(&ground.random),
        observer: Arc::clone(&ground.observer),
    };
    let settings = FlightSettings { wait: handling.wait, flight: handling.flight, grace: handling.grace, ..FlightSettings::default() };
    Arc::new(Flights::new(name, renewer, tools, settings))
}

/// Every response header in which a fresh credential is handed to a client: nobody else may write them.
#[must_use]
pub fn handed_back(plan: &Plan) -> Vec<HeaderName> {
    let used = plan.authenticators.iter().filter_map(|authenticator| authenticator.renewal.as_ref()?.hand_back.as_ref());
    used.flat_map(|hand_back| hand_back.headers().map(|(name, _)| name.clone())).collect()
}

/// Every header field in which a client of `plan` brings what is spent.
#[must_use]
pub fn refresh_headers(plan: &Plan) -> Vec<HeaderName> {
    let places = plan.renewers.iter().filter_map(|renewer| renewer.handling.refresh_from.as_ref());
    let headers = places.filter_map(|place| match place {
        Place::Header(name) => Some(name.clone()),
        Place::Cookie(_) | Place::Query(_) | Place::Body => None,
    });
    headers.collect()
}

fn source(place: &Place) -> Option<Source> {
    match place {
        Place::Header(name) => Some(Source::Header(name.clone())),
        Place::Cookie(name) => Some(Source::Cookie(name.clone())),
        // The conf knows no such place.
        Place::Query(_) | Place::Body => None,
    }
}

fn hand_back(plan: &handling::HandBack) -> HandBack {
    HandBack {
        access: Some(hand_to(&plan.access.0)),
        refresh: Some(hand_to(&plan.refresh.0)),
        expires_in: plan.expires_in.as_ref().map(|(name, _)| name.clone()),
    }
}

fn hand_to(plan: &handling::HandTo) -> HandTo {
    match plan {
        handling::HandTo::Header(name) => HandTo::Header(name.clone()),
        handling::HandTo::Cookie { name, attributes, max_age } => {
            HandTo::Cookie { name: name.clone(), attributes: attributes.clone(), max_age: *max_age }
        }
    }
}
