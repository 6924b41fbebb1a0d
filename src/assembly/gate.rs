//! Turns a proven conf into a gate.
//!
//! Everything that can be wrong with a conf has been said by then; what can still fail here is the machine's doing (a certificate
//! bundle that cannot be read, a key file that changed under our hands).

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use crate::assembly::outbound::Outbound;
use crate::assembly::renewal::{Renewing, handed_back, refresh_headers};
use crate::assembly::services::{Services, issuers, sessions};
use crate::config::plan::{ActionPlan, ForwardPlan, GovernorPlan, Plan, PreflightPlan, RequirementPlan, RulePlan};
use crate::countersign::contract::CountersignTools;
use crate::countersign::firewall::Firewall;
use crate::domain::{Clock, Observer, Place, Random, Seconds, Stopwatch, Timestamp};
use crate::gate::admit;
use crate::gate::allowance::{Allowance, Allowed};
use crate::gate::in_vain::InVain;
use crate::gate::rule::{Action, Authenticator, Forward, Gate, Preflight, Rule, SessionToken};
use crate::issuer::contract::Harvester;
use crate::issuer::gatherer::Gatherer;
use crate::issuer::pairs::Issuer;
use crate::issuer::session::Sessions;
use crate::net::client::Client;
use crate::policy::requirement::Requirement;
use crate::state::contract::StateStore;
use crate::state::revoked::Revocations;
use crate::verify::cache::{AuthenticatorKey, CachePlan, CredentialCache};
use crate::verify::contract::{Desks, SchemeTools, Verifier};
use crate::verify::governor::{Budgets, Governor};
use crate::verify::keys::contract::{BuiltKeys, KeyTools};
use crate::verify::lasting::Lasting;

/// What every gate of this process is built with, whatever its conf.
#[derive(Clone)]
pub struct Ground {
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Elapsed time.
    pub stopwatch: Arc<dyn Stopwatch>,
    /// Unpredictable bytes.
    pub random: Arc<dyn Random>,
    /// Who hears of events.
    pub observer: Arc<dyn Observer>,
    /// What has been spent. Outlives every conf: a reload must not make a ticket good again.
    pub state: Arc<dyn StateStore>,
    /// Whose credentials are no longer taken. Outlives every conf, too.
    pub revoked: Arc<Revocations>,
}

/// A key store in use, and the task that keeps it fresh, if there is one. The task ends with the last gate that uses the store.
#[derive(Clone)]
pub struct Kept {
    /// Its name in the conf.
    pub name: Arc<str>,
    /// The store.
    pub store: BuiltKeys,
    continuity: Option<String>,
    _task: Option<Arc<Keeper>>,
}

/// Ends a task when nobody holds it any more.
struct Keeper(tokio::task::JoinHandle<()>);

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A gate and what it rests on.
pub struct Built {
    /// The gate.
    pub gate: Gate,
    /// What the next gate may go on with.
    pub carried: Carried,
}

/// What outlives a gate where the next conf says the same of it.
#[derive(Default)]
pub struct Carried {
    /// Key stores; `/readyz` waits for those of signature keys.
    pub kept: Vec<Kept>,
    /// The client that asks other machines.
    pub outbound: Option<Outbound>,
    /// Budgets of failures, and what they were made of: whoever is over budget stays so.
    governor: Option<(GovernorPlan, Arc<Governor>)>,
    /// How much callers of guarded rules have had remembered.
    allowance: Arc<Allowance>,
    /// What authenticators were told by others.
    lasting: Lasting,
}

/// The names of those of `kept` that have no set to verify with.
#[must_use]
pub fn waiting(kept: &[Kept], now: Timestamp) -> Vec<Arc<str>> {
    let lacks = |kept: &&Kept| matches!(&kept.store, BuiltKeys::Signature(store) if !store.ready(now));
    kept.iter().filter(lacks).map(|kept| Arc::clone(&kept.name)).collect()
}

/// Builds the gate of `plan`. What of `carried` is the same in `plan` goes on: stores with the keys they have, the client with
/// the connections it has, budgets with what is spent of them, desks with the answers they were given. Verdicts on credentials
/// do not: they rest on rules that may have changed.
///
/// Must be called inside a runtime: key stores are kept fresh by tasks of it.
///
/// # Errors
///
/// A sentence for the operator that names the part of the conf it could not build.
pub fn build(plan: &Plan, ground: &Ground, carried: &Carried) -> Result<Built, String> {
    let outbound = Outbound::of(plan, carried.outbound.as_ref())?;
    let client = outbound.client();
    let issuers = issuers(plan, ground)?;
    let (keys, kept) = build_keys(plan, ground, client, &issuers, &carried.kept)?;

    let sessions = sessions(plan, ground, &keys)?;
    let renewing = Renewing::build(plan, client, &issuers, &sessions, ground)?;
    let mut desks = Desks::with(carried.lasting.clone());
    let mut verifiers: BTreeMap<String, Arc<dyn Verifier>> = BTreeMap::new();
    // Those that others lean on come first.
    let (leaning, upright): (Vec<_>, Vec<_>) = plan.authenticators.iter().partition(|written| written.scheme.leans_on().is_some());
    for written in upright.into_iter().chain(leaning) {
        let mut tools = SchemeTools {
            keys: &keys,
            verifiers: &verifiers,
            state: &ground.state,
            desks: &mut desks,
            client,
            clock: &ground.clock,
            random: &ground.random,
            observer: &ground.observer,
        };
        let verifier = written.scheme.build(&written.name, &mut tools).map_err(|why| format!("authenticator `{}`: {why}", written.name))?;
        verifiers.insert(written.name.to_string(), verifier);
    }
    let mut authenticators = Vec::with_capacity(plan.authenticators.len());
    for written in &plan.authenticators {
        authenticators.push(Authenticator {
            name: Arc::clone(&written.name),
            verifier: verifiers
                .get(&*written.name)
                .map(Arc::clone)
                .ok_or_else(|| format!("authenticator `{}` was not built", written.name))?,
            cache_for: plan.cache.and(written.cache),
            looks_at: written.scheme.looks_at().into(),
            renewal: renewing.of(plan, written),
            // Every gate has a cache of its own, so the name and the settings within one conf suffice.
            key: AuthenticatorKey::of(&written.name, &format!("{:?}", written.scheme)),
        });
    }

    let tools = CountersignTools { random: Arc::clone(&ground.random) };
    let services = Services::new(plan, ground, &keys, &issuers, &sessions, renewing.relays(plan))?;
    let mut rules = Vec::with_capacity(plan.rules.len());
    let mut published: Vec<String> = issuers.values().map(|issuer| issuer.public_keys()).collect();
    let ours = emitted(plan);
    for written in &plan.rules {
        let why = |why: String| format!("rule `{}`: {why}", written.name);
        let action = match &written.action {
            ActionPlan::Forward(forward) => {
                let built = build_forward(forward, &tools).map_err(why)?;
                published.extend(built.countersigners.iter().filter_map(|signer| signer.public_keys()));
                Action::Forward(built)
            }
            ActionPlan::Serve(service) => {
                let built = services.build(service.as_ref()).map_err(why)?;
                published.extend(built.public_keys());
                Action::Serve { service: built, reads_body: service.reads_body() }
            }
        };
        let keeper = written.harvest.as_ref().map(|name| keeper(name, written, &sessions)).transpose().map_err(why)?;
        rules.push(build_rule(written, action, &authenticators, keeper)?);
    }
    services.publish(&published);
    let governor = governor(plan, carried.governor.as_ref());
    let allowance = Arc::clone(&carried.allowance);
    let lasting = desks.lasting().successor();
    let spent_in = refresh_headers(plan);
    let gate = Gate {
        table: Arc::clone(&plan.table),
        rules: rules.into(),
        authenticators: authenticators.into(),
        spendable: spendable(plan),
        own_cookies: sessions.values().map(|sessions| Place::Cookie(sessions.terms().cookie.clone())).collect(),
        desks,
        state: Arc::clone(&ground.state),
        revoked: Arc::clone(&ground.revoked),
        cache: Arc::new(cache(plan)),
        governor: governor.as_ref().map(|(_, governor)| Arc::clone(governor)),
        allowance: Arc::clone(&allowance),
        allowed: Allowed { most: plan.limits.notes, per_address: plan.limits.notes_per_address },
        in_vain: InVain::default(),
        firewall: Firewall::new(ours.iter().chain(&spent_in)).with_credentials(&credential_headers(plan)),
        private_responses: ours.into_iter().chain(handed_back(plan)).collect(),
        trusted_proxies: plan.trusted_proxies.clone().into(),
        clock: Arc::clone(&ground.clock),
        stopwatch: Arc::clone(&ground.stopwatch),
        random: Arc::clone(&ground.random),
        observer: Arc::clone(&ground.observer),
    };
    Ok(Built { gate, carried: Carried { kept, outbound: Some(outbound), governor, allowance, lasting } })
}

/// Every header name that any rule of `plan` can emit, each once.
#[must_use]
pub fn emitted(plan: &Plan) -> Vec<HeaderName> {
    let mut names = admit::own_names();
    for rule in &plan.rules {
        if let ActionPlan::Forward(forward) = &rule.action {
            names.extend(forward.countersigners.iter().flat_map(|signer| signer.names()));
        }
        names.extend(rule.system.iter().flat_map(|system| system.sets()));
    }
    names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    names
}

/// Every header field that any authenticator or renewer of `plan` looks at.
#[must_use]
pub fn credential_headers(plan: &Plan) -> Vec<HeaderName> {
    let places = plan.authenticators.iter().flat_map(|authenticator| authenticator.scheme.looks_at());
    let headers = places.filter_map(|place| match place {
        Place::Header(name) => Some(name),
        Place::Cookie(_) | Place::Query(_) | Place::Body => None,
    });
    headers.chain(refresh_headers(plan)).chain(shown_credentials(plan)).collect()
}

/// The header fields in which upstreams of `plan` are shown credentials of their own.
fn shown_credentials(plan: &Plan) -> Vec<HeaderName> {
    let forwards = plan.rules.iter().filter_map(|rule| match &rule.action {
        ActionPlan::Forward(forward) => Some(forward),
        ActionPlan::Serve(_) => None,
    });
    let signers = forwards.flat_map(|forward| &forward.countersigners).filter(|signer| signer.is_credential());
    signers.flat_map(|signer| signer.names()).collect()
}

/// Wherever a client of `plan` brings what is spent, but for the header fields: those the firewall takes off at no cost.
fn spendable(plan: &Plan) -> Box<[Place]> {
    let places = plan.renewers.iter().filter_map(|renewer| renewer.handling.refresh_from.clone());
    places.filter(|place| !matches!(place, Place::Header(_))).collect()
}

fn build_keys(
    plan: &Plan,
    ground: &Ground,
    client: &Arc<Client>,
    issuers: &BTreeMap<String, Arc<Issuer>>,
    carried: &[Kept],
) -> Result<(BTreeMap<String, BuiltKeys>, Vec<Kept>), String> {
    let tools = KeyTools {
        client: Arc::clone(client),
        clock: Arc::clone(&ground.clock),
        random: Arc::clone(&ground.random),
        observer: Arc::clone(&ground.observer),
        issued: Arc::new(issuers.iter().map(|(name, issuer)| (name.clone(), issuer.verifying_keys().to_vec())).collect()),
    };
    let mut keys = BTreeMap::new();
    let mut kept = Vec::new();
    for written in &plan.keys {
        let continuity = written.source.continuity();
        let running = carried.iter().find(|old| old.name == written.name && continuity.is_some() && old.continuity == continuity);
        let built = match running {
            Some(old) => {
                kept.push(old.clone());
                old.store.clone()
            }
            None => {
                let built = written.source.build(&written.name, &tools).map_err(|why| format!("key store `{}`: {why}", written.name))?;
                let task = match &built {
                    BuiltKeys::Signature(store) => {
                        let runner = Arc::clone(store);
                        Some(Arc::new(Keeper(tokio::spawn(async move { runner.run().await }))))
                    }
                    BuiltKeys::ServerKeys(_) | BuiltKeys::Mac(_) | BuiltKeys::GigyaSecret(_) => None,
                };
                kept.push(Kept { name: Arc::clone(&written.name), store: built.clone(), continuity, _task: task });
                built
            }
        };
        keys.insert(written.name.to_string(), built);
    }
    Ok((keys, kept))
}

fn build_forward(plan: &ForwardPlan, tools: &CountersignTools) -> Result<Forward, String> {
    let countersigners = plan.countersigners.iter().map(|signer| signer.build(tools)).collect::<Result<Vec<_>, _>>()?;
    let session_token = plan.session_token.clone().map(|(header, prefix)| SessionToken { header, prefix });
    Ok(Forward { upstream: plan.upstream, countersigners: countersigners.into(), keep_credential: plan.keep_credential, session_token })
}

/// Who keeps what replies bring, in sessions of `name`.
fn keeper(name: &str, rule: &RulePlan, sessions: &BTreeMap<String, Arc<Sessions>>) -> Result<Arc<dyn Harvester>, String> {
    let sessions = sessions.get(name).ok_or_else(|| format!("there are no sessions of `{name}`"))?;
    let system = rule.system.as_ref().ok_or_else(|| "no system says how replies are read".to_owned())?;
    Ok(Arc::new(Gatherer::over(Arc::clone(sessions), system.system())))
}

fn build_rule(
    plan: &RulePlan,
    action: Action,
    authenticators: &[Authenticator],
    keeper: Option<Arc<dyn Harvester>>,
) -> Result<Rule, String> {
    let mut challenges: Vec<&'static str> = Vec::new();
    for index in plan.requirement.authenticators() {
        if let Some(challenge) = authenticators.get(index).and_then(|authenticator| authenticator.verifier.challenge())
            && !challenges.contains(&challenge)
        {
            challenges.push(challenge);
        }
    }
    Ok(Rule {
        name: Arc::clone(&plan.name),
        requirement: requirement(&plan.requirement),
        scopes: plan.scopes.clone().into(),
        scopes_text: plan.scopes.join(" ").into(),
        conditions: plan.conditions.clone().into(),
        action,
        preflight: preflight(&plan.preflight).map_err(|why| format!("rule `{}`: {why}", plan.name))?,
        login: plan.login.clone(),
        csrf: plan.csrf,
        allow_semicolon: plan.allow_semicolon,
        system: plan.system.as_ref().map(|system| system.build()).transpose().map_err(|why| format!("rule `{}`: {why}", plan.name))?,
        keeper,
        challenges: challenges.into(),
    })
}

fn requirement(plan: &RequirementPlan) -> Requirement {
    let all = |branches: &[RequirementPlan]| branches.iter().map(requirement).collect();
    match plan {
        RequirementPlan::None => Requirement::None,
        RequirementPlan::One(index) => Requirement::One(*index),
        RequirementPlan::Any(branches) => Requirement::Any(all(branches)),
        RequirementPlan::All(branches) => Requirement::All(all(branches)),
        RequirementPlan::Optional(inner) => Requirement::Optional(Box::new(requirement(inner))),
    }
}

fn preflight(plan: &PreflightPlan) -> Result<Preflight, String> {
    Ok(match plan {
        PreflightPlan::Refuse => Preflight::Refuse,
        PreflightPlan::Forward => Preflight::Forward,
        PreflightPlan::Answer { origins, headers, methods, credentials, max_age } => {
            let headers: Vec<&str> = headers.iter().map(HeaderName::as_str).collect();
            Preflight::Answer {
                origins: origins.clone().into(),
                headers: HeaderValue::from_str(&headers.join(", ")).map_err(|_| "its preflight headers cannot be written".to_owned())?,
                methods: methods.clone().into(),
                credentials: *credentials,
                max_age: HeaderValue::from(max_age.0),
            }
        }
    })
}

fn cache(plan: &Plan) -> CredentialCache {
    let plan = plan.cache.map(|cache| CachePlan { max_age: cache.max_age, size: cache.max_bytes as u64 });
    CredentialCache::new(plan.unwrap_or(CachePlan { max_age: Seconds(0), size: 0 }))
}

/// The governor of `plan`: the `running` one where the section is the same.
fn governor(plan: &Plan, running: Option<&(GovernorPlan, Arc<Governor>)>) -> Option<(GovernorPlan, Arc<Governor>)> {
    let plan = plan.governor?;
    if let Some(same) = running.filter(|(made_of, _)| *made_of == plan) {
        return Some(same.clone());
    }
    let window = Seconds(u32::try_from(plan.window.as_secs()).unwrap_or(u32::MAX));
    let budgets = Budgets { per_address: plan.failures_per_address, per_id: plan.failures_per_id, window, tracked: plan.tracked };
    Some((plan, Arc::new(Governor::new(budgets))))
}
