//! The section `renewers`, and `renew` beside the scheme of an authenticator.
//!
//! Which renewers there are is the roll-call's to say; each proves its own settings. Here it is shown that what an authenticator
//! takes can be renewed at all, that the client has a place to bring what is spent and to find what is new, and that nothing
//! else is written in that place.

use std::sync::Arc;

use crate::config::plan::{ActionPlan, AuthenticatorPlan, RenewalPlan, RenewerUse, RulePlan};
use crate::config::root::{Root, fault_of_name};
use crate::countersign::firewall::{fold, same_folded};
use crate::domain::Place;
use crate::renew::RENEWERS;
use crate::renew::handling::{HandBack, Handling};
use crate::settings::{Checking, Choice, Entry, Node, Shape, Span, sound};
use crate::verify::contract::Renewability;

/// The shape of `renewers`.
pub(super) const RENEWERS_SHAPE: Shape = Shape::Map(&RENEWER);

const RENEWER: Shape = Shape::Kind { what: "renewer", kinds: renewers_known, beside: &[] };

fn renewers_known() -> Vec<Choice> {
    RENEWERS.iter().map(|entry| Choice { name: entry.name, shape: entry.shape, doc: entry.doc }).collect()
}

/// Proves `renewers`, in written order; `None` stands for one at fault.
pub(super) fn renewers(root: &Root<'_>, checking: &mut Checking<'_>) -> Vec<Option<RenewalPlan>> {
    root.entries("renewers").iter().map(|entry| renewer(entry, checking)).collect()
}

fn renewer(entry: &Entry, checking: &mut Checking<'_>) -> Option<RenewalPlan> {
    if let Some(fault) = fault_of_name(&entry.key) {
        checking.faults.error(&entry.span, fault);
        return None;
    }
    refuse_lasting_places(&entry.node, checking);
    if !sound(RENEWER, &entry.node) {
        return None;
    }
    let kind = entry.node.sole_entry()?;
    let known = RENEWERS.iter().find(|known| known.name == kind.key)?;
    let handling = Handling::read(&kind.node, checking);
    let renewer = (known.plan)(&kind.node, checking);
    let (handling, renewer) = (handling?, renewer?);
    Some(RenewalPlan { name: Arc::from(entry.key.as_str()), renewer, handling })
}

/// Says why `refresh_from` knows no `body` and no `query`; that it knows none has been said by the form.
fn refuse_lasting_places(node: &Node, checking: &mut Checking<'_>) {
    let written = node.sole_entry().and_then(|kind| kind.node.get("refresh_from")).and_then(Node::as_map);
    for place in written.unwrap_or_default() {
        let says = match place.key.as_str() {
            "body" => {
                "what stands in a body goes on to the upstream with it; let the client bring its refresh credential in a header or a cookie"
            }
            "query" => {
                "what stands in a URL ends up in logs and histories; let the client bring its refresh credential in a header or a cookie"
            }
            _ => continue,
        };
        checking.faults.error(&place.span, says);
    }
}

/// Binds each authenticator to the renewer it names.
///
/// The entries of both sections are those that the plans were made of, in their order.
pub(super) fn bind(
    root: &Root<'_>,
    authenticators: &mut [Option<AuthenticatorPlan>],
    renewers: &mut [Option<RenewalPlan>],
    checking: &mut Checking<'_>,
) {
    for (plan, entry) in authenticators.iter_mut().zip(root.entries("authenticators")) {
        let Some(plan) = plan else { continue };
        let Some((name, span)) = entry.node.get("renew").and_then(|node| Some((node.as_text()?, &node.span))) else { continue };
        let found = renewers
            .iter_mut()
            .enumerate()
            .find_map(|(index, renewer)| Some((index, renewer.as_mut().filter(|renewer| *renewer.name == *name)?)));
        // One that is not there, or is at fault, has been complained about.
        let Some((index, renewer)) = found else { continue };
        plan.renewal = bind_one(plan, index, renewer, span, checking);
    }
    prove_places(authenticators, renewers, root.entries("renewers"), checking);
    name_issuers(authenticators, renewers, root.entries("renewers"), checking);
}

/// Shows that no place of a refresh credential is one of an access credential of any authenticator: what renews is shown to no
/// upstream, and a credential of one kind is nothing that another's issuer should see. Warns of two renewers with one place.
fn prove_places(
    authenticators: &[Option<AuthenticatorPlan>],
    renewers: &[Option<RenewalPlan>],
    written: &[Entry],
    checking: &mut Checking<'_>,
) {
    let mut before: Vec<(&str, &Place)> = Vec::new();
    for (index, (renewer, entry)) in renewers.iter().zip(written).enumerate() {
        let Some((renewer, place)) = renewer.as_ref().and_then(|renewer| Some((renewer, renewer.handling.refresh_from.as_ref()?))) else {
            continue;
        };
        // Those who use it have been asked already.
        let others = authenticators.iter().flatten().filter(|plan| plan.renewal.as_ref().is_none_or(|used| used.renewer != index));
        if let Some(other) = others.into_iter().find(|plan| plan.scheme.looks_at().iter().any(|taken| is_same_place(taken, place))) {
            let says = format!(
                "`{}` takes its refresh credential from where `{}` takes its credential, which no upstream would be shown and an issuer would; name \
                 two places",
                renewer.name, other.name
            );
            checking.faults.error(&entry.span, says);
        }
        if let Some((twin, _)) = before.iter().find(|(_, taken)| is_same_place(taken, place)) {
            let says = format!(
                "`{twin}` and `{}` take what they spend from one place: a credential that one of them has spent is spent again by the other, at \
                 its own issuer. Name two places, or use one renewer for both",
                renewer.name
            );
            checking.faults.warn(&entry.span, says);
        }
        before.push((&renewer.name, place));
    }
}

/// Whether what stands in `one` is found in `other`; names of fields as upstreams read them, without regard to their punctuation.
fn is_same_place(one: &Place, other: &Place) -> bool {
    match (one, other) {
        (Place::Header(one), Place::Header(other)) => same_folded(one.as_str(), other.as_str()),
        _ => one == other,
    }
}

/// Tells each renewer that is used who issues the credentials that it renews, where that is one.
fn name_issuers(
    authenticators: &[Option<AuthenticatorPlan>],
    renewers: &mut [Option<RenewalPlan>],
    written: &[Entry],
    checking: &mut Checking<'_>,
) {
    for (index, (renewer, entry)) in renewers.iter_mut().zip(written).enumerate() {
        let Some(renewer) = renewer else { continue };
        let users = authenticators.iter().flatten().filter(|plan| plan.renewal.as_ref().is_some_and(|used| used.renewer == index));
        let mut issuers: Vec<Vec<String>> = users.map(|plan| plan.scheme.issuers()).collect();
        issuers.dedup();
        let issuer = match issuers.as_slice() {
            [] => continue,
            [of_all] => match of_all.as_slice() {
                [issuer] if !issuer.starts_with('*') => Some(issuer.as_str()),
                _ => None,
            },
            _ => None,
        };
        if let Err(says) = renewer.renewer.take_issuer(issuer) {
            checking.faults.error(&entry.span, says);
        }
    }
}

/// Tells renewers that only services use that nobody here knows whose pairs they spend.
pub(super) fn prove_relayed(
    rules: &[RulePlan],
    authenticators: &[Option<AuthenticatorPlan>],
    renewers: &mut [Option<RenewalPlan>],
    checking: &mut Checking<'_>,
) {
    for rule in rules {
        let ActionPlan::Serve(service) = &rule.action else { continue };
        for (name, span) in service.renewers() {
            let found = renewers.iter_mut().enumerate().find_map(|(index, plan)| {
                let plan = plan.as_mut().filter(|plan| *plan.name == *name)?;
                Some((index, plan))
            });
            // One that is not there, or is at fault, has been complained about.
            let Some((index, renewer)) = found else { continue };
            let used = |plan: &AuthenticatorPlan| plan.renewal.as_ref().is_some_and(|used| used.renewer == index);
            if !authenticators.iter().flatten().any(used)
                && let Err(says) = renewer.renewer.take_issuer(None)
            {
                checking.faults.error(&span, says);
            }
        }
    }
}

fn bind_one(
    plan: &AuthenticatorPlan,
    index: usize,
    renewer: &mut RenewalPlan,
    span: &Span,
    checking: &mut Checking<'_>,
) -> Option<RenewerUse> {
    let hand_back = match plan.scheme.renewability() {
        Renewability::Never(why) => {
            let says = format!("credentials of `{}` cannot be renewed: {why}; remove `renew`", plan.name);
            checking.faults.error(span, says);
            return None;
        }
        Renewability::Held => None,
        Renewability::Brought => Some(brought(plan, renewer, span, checking)?),
    };
    Some(RenewerUse { renewer: index, hand_back, brought: plan.scheme.renewability() == Renewability::Brought })
}

/// Where the clients of `plan`, who bring what is spent, find the fresh pair.
fn brought(plan: &AuthenticatorPlan, renewer: &RenewalPlan, span: &Span, checking: &mut Checking<'_>) -> Option<HandBack> {
    let Some(place) = &renewer.handling.refresh_from else {
        let says = format!(
            "`{}` does not say where clients bring what is spent; write `refresh_from: {{ cookie: NAME }}` or `{{ header: NAME }}`",
            renewer.name
        );
        checking.faults.error(span, says);
        return None;
    };
    let places = plan.scheme.looks_at();
    if places.iter().any(|taken| is_same_place(taken, place)) {
        let says = format!(
            "`{}` takes its refresh credential from where `{}` takes the credential itself; name two places",
            renewer.name, plan.name
        );
        checking.faults.error(span, says);
        return None;
    }
    renewer.handling.hand_back(&plan.name, &places, span, checking)
}

/// Shows that no response header of a fresh credential bears the name of an identity header: what one of them says must not
/// be taken for the other, and many programs read names without regard to their punctuation.
pub(super) fn prove_names(authenticators: &[Option<AuthenticatorPlan>], rules: &[RulePlan], checking: &mut Checking<'_>) {
    let mut emitted: Vec<String> = Vec::new();
    for rule in rules {
        if let ActionPlan::Forward(forward) = &rule.action {
            emitted.extend(forward.countersigners.iter().flat_map(|signer| signer.names()).map(|name| fold(name.as_str())));
        }
    }
    for hand_back in authenticators.iter().flatten().filter_map(|plan| plan.renewal.as_ref()?.hand_back.as_ref()) {
        for (name, span) in hand_back.headers() {
            if emitted.contains(&fold(name.as_str())) {
                checking.faults.error(
                    span,
                    format!("`{name}` is a header that upstreams are shown the identity in; hand the credential back in another"),
                );
            }
        }
    }
}
