//! The key `serve` of a rule: what the proxy answers itself.
//!
//! Which services there are is the roll-call's to say; each proves its own settings. Here it is shown that the rule around
//! a service is such as the service needs: who must have been proven, by which methods it is asked, whose tickets it handles.

use crate::config::plan::{AuthenticatorPlan, RequirementPlan};
use crate::issuer::SERVICES;
use crate::issuer::contract::{ServiceEntry, ServicePlan, TicketUse};
use crate::settings::{Checking, Choice, Node, Shape, Span, sound};

/// The shape of `serve`.
pub(super) const SERVE: Shape = Shape::Either(&[Shape::OneOf(&BARE), Shape::Kind { what: "service", kinds: services, beside: &[] }]);

/// The names of all services: each may stand without settings.
const BARE: [&str; SERVICES.len()] = {
    let mut names = [""; SERVICES.len()];
    let mut open: &mut [&str] = &mut names;
    let mut entries = SERVICES;
    while let ([name, later @ ..], [entry, others @ ..]) = (open, entries) {
        *name = entry.name;
        (open, entries) = (later, others);
    }
    names
};

fn services() -> Vec<Choice> {
    SERVICES.iter().map(|entry| Choice { name: entry.name, shape: entry.shape, doc: entry.doc }).collect()
}

/// The rule around a service.
pub(super) struct Served<'a> {
    /// Who must be calling; `None` when that is at fault.
    pub(super) requirement: Option<&'a RequirementPlan>,
    /// The methods it matches; empty means any.
    pub(super) methods: &'a [Box<str>],
    /// Every authenticator of the conf; `None` stands for one at fault.
    pub(super) authenticators: &'a [Option<AuthenticatorPlan>],
}

/// Proves `serve`.
pub(super) fn service(node: &Node, rule: &Served<'_>, checking: &mut Checking<'_>) -> Option<Box<dyn ServicePlan>> {
    if !sound(SERVE, node) {
        return None;
    }
    let (name, settings) = match node.as_text() {
        Some(name) => (name, None),
        None => node.sole_entry().map(|entry| (entry.key.as_str(), Some(&entry.node)))?,
    };
    let entry = SERVICES.iter().find(|entry| entry.name == name)?;
    let plan = (entry.plan)(settings, &node.span, checking);
    let before = checking.faults.errors();
    fits(entry, rule, &node.span, checking);
    let plan = plan?;
    for wanted in plan.tickets() {
        prove_tickets(name, &wanted, rule.authenticators, checking);
    }
    for (authenticator, span) in plan.sessions() {
        prove_sessions(name, &authenticator, &span, rule.authenticators, checking);
    }
    (checking.faults.errors() == before).then_some(plan)
}

/// Shows that the rule is one that this service may stand behind.
fn fits(entry: &ServiceEntry, rule: &Served<'_>, at: &Span, checking: &mut Checking<'_>) {
    let name = entry.name;
    if entry.proven && rule.requirement.is_some_and(RequirementPlan::admits_anyone) {
        let says = format!(
            "`{name}` gives to whoever the rule has proven, and this rule lets anyone through; let `authenticate` name who may ask"
        );
        checking.faults.error(at, says);
    }
    let allowed = |method: &str| entry.methods.contains(&method);
    if !entry.methods.is_empty() && (rule.methods.is_empty() || !rule.methods.iter().all(|method| allowed(method))) {
        let methods = entry.methods.join(", ");
        checking.faults.error(at, format!("`{name}` answers {methods} only; write `methods: [{methods}]` under `match`"));
    }
}

/// Shows that the authenticator whose tickets a service handles is one of tickets, which one it is, and that it takes what is made.
fn prove_tickets(name: &str, wanted: &TicketUse, authenticators: &[Option<AuthenticatorPlan>], checking: &mut Checking<'_>) {
    let proven = authenticators.iter().flatten();
    let found = match &wanted.authenticator {
        Some(named) => {
            // One that does not exist, or is at fault itself, has been told already.
            let Some(plan) = proven.clone().find(|plan| *plan.name == **named) else { return };
            if plan.scheme.ticket_life().is_none() {
                let says = format!("`{name}` handles tickets, but `{named}` is an authenticator of the scheme `{}`", plan.scheme.scheme());
                checking.faults.error(&wanted.span, says);
            }
            plan
        }
        None if authenticators.iter().any(Option::is_none) => return,
        None => match proven.filter(|plan| plan.scheme.ticket_life().is_some()).collect::<Vec<_>>().as_slice() {
            [sole] => sole,
            [] => {
                let says = format!("`{name}` needs an authenticator of the scheme `ticket`, whose tickets it handles; there is none");
                return checking.faults.error(&wanted.span, says);
            }
            _ => {
                let says =
                    format!("there are several authenticators of the scheme `ticket`; say whose: `{{ {name}: {{ tickets: NAME }} }}`");
                return checking.faults.error(&wanted.span, says);
            }
        },
    };
    if let (Some(life), Some(longest)) = (wanted.life, found.scheme.ticket_life())
        && longest < life
    {
        let says = format!("tickets of {} s would be refused: `{}` takes none that live longer than {} s", life.0, found.name, longest.0);
        checking.faults.error(&wanted.span, says);
    }
}

/// Shows that the authenticator whose sessions a service opens or ends is one of sessions.
pub(super) fn prove_sessions(
    name: &str,
    wanted: &str,
    at: &Span,
    authenticators: &[Option<AuthenticatorPlan>],
    checking: &mut Checking<'_>,
) {
    const SCHEME: &str = "session";
    // One that does not exist, or is at fault itself, has been told already.
    let known = authenticators.iter().flatten().find(|plan| *plan.name == *wanted);
    if let Some(plan) = known.filter(|plan| plan.scheme.scheme() != SCHEME) {
        let says = format!("`{name}` handles sessions, but `{wanted}` is an authenticator of the scheme `{}`", plan.scheme.scheme());
        checking.faults.error(at, says);
    }
}
