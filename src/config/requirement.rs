//! The key `authenticate` of a rule: a tree of any, all and optional over authenticators.
//!
//! What no request could ever meet, and what every request would, is found here.

use crate::config::plan::{AuthenticatorPlan, RequirementPlan};
use crate::domain::Place;
use crate::settings::{Checking, Choice, Node, Shape, Span};
use crate::verify::jwt::settings::IssuerName;

/// The shape of `authenticate`.
pub(super) const AUTHENTICATE: Shape = Shape::Either(&[Shape::OneOf(&["none"]), Shape::Name("authenticators"), TREE]);

const BRANCH: Shape = Shape::Either(&[Shape::Name("authenticators"), TREE]);

const TREE: Shape = Shape::Kind { what: "requirement", kinds: combinations, beside: &[] };

/// How authenticators combine. A function, because a branch may be a tree again.
fn combinations() -> Vec<Choice> {
    vec![
        Choice {
            name: "any",
            shape: Shape::List { of: &BRANCH, lone: false, min: 1 },
            doc: "The first, in written order, whose credential is present decides, right or wrong.",
        },
        Choice {
            name: "all",
            shape: Shape::List { of: &BRANCH, lone: false, min: 1 },
            doc: "Each of them; the first names the identity, the others stand under `identity.also.NAME`.",
        },
        Choice {
            name: "optional",
            shape: BRANCH,
            doc: "Whoever brings a credential must bring a right one; without one the request goes on without identity.",
        },
    ]
}

/// The tree at `node` over the authenticators called `names`, whose place in that list is their number.
///
/// Names that do not resolve have been complained about, and yield `None`.
pub(super) fn requirement(node: &Node, names: &[&str], checking: &mut Checking<'_>) -> Option<RequirementPlan> {
    if node.as_text() == Some("none") {
        return Some(RequirementPlan::None);
    }
    branch(node, names, checking)
}

fn branch(node: &Node, names: &[&str], checking: &mut Checking<'_>) -> Option<RequirementPlan> {
    if let Some(name) = node.as_text() {
        if name == "none" {
            checking
                .faults
                .error(&node.span, "`none` stands alone; to let callers without credential through as well, write `{ optional: ... }`");
            return None;
        }
        return names.iter().position(|known| *known == name).map(RequirementPlan::One);
    }
    let entry = node.sole_entry()?;
    if entry.key == "optional" {
        return branch(&entry.node, names, checking).map(|inner| RequirementPlan::Optional(Box::new(inner)));
    }
    let items = entry.node.as_list()?;
    let branches: Vec<Option<RequirementPlan>> = items.iter().map(|item| branch(item, names, checking)).collect();
    let branches: Vec<RequirementPlan> = branches.into_iter().collect::<Option<_>>()?;
    refuse_repetition(&branches, items, checking);
    if entry.key == "all" {
        return Some(RequirementPlan::All(branches));
    }
    refuse_unreached(&branches, items, checking);
    Some(RequirementPlan::Any(branches))
}

/// A branch written twice is a slip: it changes nothing, and something else was probably meant.
fn refuse_repetition(branches: &[RequirementPlan], items: &[Node], checking: &mut Checking<'_>) {
    for (index, (branch, item)) in branches.iter().zip(items).enumerate() {
        if branches.iter().take(index).any(|earlier| earlier == branch) {
            checking.faults.error(&item.span, "this branch stands here twice; remove one");
        }
    }
}

/// Behind a branch that lets everyone through, no other is ever asked.
fn refuse_unreached(branches: &[RequirementPlan], items: &[Node], checking: &mut Checking<'_>) {
    let Some(open) = branches.iter().position(RequirementPlan::admits_anyone) else { return };
    if let Some(unreached) = items.get(open + 1) {
        checking.faults.error(
            &unreached.span,
            "this branch is never asked: the one before it lets everyone through; write `{ optional: { any: [...] } }` around all of them",
        );
    }
}

/// Notes where two authenticators that must both be satisfied need the same single place for their credentials.
pub(super) fn refuse_unsatisfiable(
    requirement: &RequirementPlan,
    authenticators: &[Option<AuthenticatorPlan>],
    at: &Span,
    checking: &mut Checking<'_>,
) {
    match requirement {
        RequirementPlan::None | RequirementPlan::One(_) => {}
        RequirementPlan::Optional(inner) => refuse_unsatisfiable(inner, authenticators, at, checking),
        RequirementPlan::Any(branches) => {
            branches.iter().for_each(|branch| refuse_unsatisfiable(branch, authenticators, at, checking));
        }
        RequirementPlan::All(branches) => {
            branches.iter().for_each(|branch| refuse_unsatisfiable(branch, authenticators, at, checking));
            let needed: Vec<(&AuthenticatorPlan, Place)> = branches
                .iter()
                .filter_map(|branch| match branch {
                    RequirementPlan::One(index) => authenticators.get(*index)?.as_ref(),
                    _ => None,
                })
                .filter_map(|plan| Some((plan, sole_place(plan)?)))
                .collect();
            for (index, (plan, place)) in needed.iter().enumerate() {
                let rival = needed.iter().take(index).find(|(earlier, taken)| taken == place && earlier.name != plan.name);
                if let Some((earlier, _)) = rival {
                    let says = format!(
                        "nobody can satisfy this: `{}` and `{}` both take their credential from {}, where only one can stand",
                        earlier.name,
                        plan.name,
                        describe(place),
                    );
                    checking.faults.error(at, says);
                }
            }
        }
    }
}

/// Notes where two branches of one `any` take tokens of the same issuer from the same place: the first would decide on every
/// one of them, and whoever was to be let in by the second would be refused.
pub(super) fn refuse_ambiguous(
    requirement: &RequirementPlan,
    authenticators: &[Option<AuthenticatorPlan>],
    at: &Span,
    checking: &mut Checking<'_>,
) {
    match requirement {
        RequirementPlan::None | RequirementPlan::One(_) => {}
        RequirementPlan::Optional(inner) => refuse_ambiguous(inner, authenticators, at, checking),
        RequirementPlan::All(branches) => {
            branches.iter().for_each(|branch| refuse_ambiguous(branch, authenticators, at, checking));
        }
        RequirementPlan::Any(branches) => {
            let (mut leaves, mut combined) = (Vec::new(), Vec::new());
            branches.iter().for_each(|branch| alternatives(branch, &mut leaves, &mut combined));
            combined.iter().for_each(|branch| refuse_ambiguous(branch, authenticators, at, checking));
            let plans: Vec<&AuthenticatorPlan> = leaves.iter().filter_map(|index| authenticators.get(*index)?.as_ref()).collect();
            for (index, plan) in plans.iter().enumerate() {
                let mut rivals = plans.iter().take(index).filter(|earlier| earlier.name != plan.name);
                let clash = rivals.find_map(|earlier| Some((earlier, contested(earlier, plan)?)));
                if let Some((earlier, (issuer, place))) = clash {
                    let says = format!(
                        "`{}` and `{}` both take tokens of `{issuer}` from {}, so the first decides on all of them and the second is never \
                         asked; merge them, or have them look in different places",
                        earlier.name,
                        plan.name,
                        describe(&place),
                    );
                    checking.faults.error(at, says);
                }
            }
        }
    }
}

/// The authenticators that decide alone in a branch of an `any`, in the order in which they are asked, and the branches in
/// which several decide together.
fn alternatives<'r>(branch: &'r RequirementPlan, leaves: &mut Vec<usize>, combined: &mut Vec<&'r RequirementPlan>) {
    match branch {
        RequirementPlan::None => {}
        RequirementPlan::One(index) => leaves.push(*index),
        RequirementPlan::Optional(inner) => alternatives(inner, leaves, combined),
        RequirementPlan::Any(branches) => branches.iter().for_each(|branch| alternatives(branch, leaves, combined)),
        RequirementPlan::All(_) => combined.push(branch),
    }
}

/// An issuer and a place that both plans would take a token of.
fn contested(one: &AuthenticatorPlan, other: &AuthenticatorPlan) -> Option<(String, Place)> {
    let places = one.scheme.looks_at();
    let place = other.scheme.looks_at().into_iter().find(|place| places.contains(place))?;
    let issuers = one.scheme.issuers();
    let meets = |name: &String| issuers.iter().any(|issuer| IssuerName::read(issuer).meets(&IssuerName::read(name)));
    other.scheme.issuers().into_iter().find(meets).map(|issuer| (issuer, place))
}

/// The one place an authenticator looks at; `None` when there are several, or when it is the body.
fn sole_place(plan: &AuthenticatorPlan) -> Option<Place> {
    let places = plan.scheme.looks_at();
    match places.as_slice() {
        [Place::Body] => None,
        [place] => Some(place.clone()),
        _ => None,
    }
}

/// A place, in the words of a message.
pub(super) fn describe(place: &Place) -> String {
    match place {
        Place::Header(name) => format!("the header `{name}`"),
        Place::Cookie(name) => format!("the cookie `{name}`"),
        Place::Query(name) => format!("the query parameter `{name}`"),
        Place::Body => "the body".to_owned(),
    }
}
