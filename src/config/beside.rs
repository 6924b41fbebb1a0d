//! What is said of rules once all of them are proven: what works, and is probably not meant.
//!
//! Contradictions between rules are faults and the table's to find (`route::table`); here are warnings only.

use crate::config::plan::{ActionPlan, RequirementPlan, RulePlan};
use crate::config::root::{Root, opened};
use crate::config::rules::RULE;
use crate::route::pattern::{HostPattern, PathPattern, Segment};
use crate::route::table::{Match, Table};
use crate::settings::{Checking, Node, Section};

/// Methods that a rule may forget: those that browsers and libraries send without being asked twice.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// A segment that no rule is likely to name.
const ANY: &str = "~any~";

/// Looks at all rules of `root`; `plans` are the same, proven, and `table` ranks them.
pub(super) fn warn(root: &Root<'_>, plans: &[RulePlan], table: &Table, checking: &mut Checking<'_>) {
    let Some(written) = root.get("rules").and_then(Node::as_list) else { return };
    let sections: Vec<Option<Section<'_>>> = written.iter().map(|node| opened(&RULE, node)).collect();
    for (plan, section) in plans.iter().zip(&sections) {
        let Some(section) = section else { continue };
        empty_key_set(plan, section, plans, checking);
        if let Some((method, by)) = falls_through(plan, plans, table)
            && let Some(other) = plans.get(by)
        {
            let line = sections.get(by).and_then(Option::as_ref).map_or(0, |section| section.span().line);
            let at = section.node("match").and_then(|node| node.get("methods")).map_or(section.span(), |node| &node.span);
            let says = format!(
                "methods that are not named here, such as `{method}`, fall to the rule `{}` (line {line}), which lets everyone in; \
                 leave `methods` out, or give them a rule of their own",
                other.name
            );
            checking.faults.warn(at, says);
        }
    }
}

/// A document of keys that never holds one.
fn empty_key_set(plan: &RulePlan, section: &Section<'_>, plans: &[RulePlan], checking: &mut Checking<'_>) {
    let signs = |plan: &RulePlan| match &plan.action {
        ActionPlan::Forward(forward) => forward.countersigners.iter().any(|countersigner| countersigner.signs()),
        ActionPlan::Serve(service) => !service.issuers().is_empty(),
    };
    if matches!(&plan.action, ActionPlan::Serve(service) if service.publishes_keys()) && !plans.iter().any(signs) {
        let says = "no rule signs anything, so this serves an empty set; add an `assertion` to a rule's `forward`, or remove this rule";
        checking.faults.warn(section.span_of("serve"), says);
    }
}

/// A method that `plan` leaves to a rule which names no methods and asks nobody who they are, and that rule.
///
/// A public rule that names its methods was written with methods in mind, so it is taken as meant.
fn falls_through(plan: &RulePlan, plans: &[RulePlan], table: &Table) -> Option<(&'static str, usize)> {
    if plan.written.methods.is_empty() || plan.requirement.admits_anyone() {
        return None;
    }
    let hosts =
        if plan.written.hosts.is_empty() { vec![ANY.to_owned()] } else { plan.written.hosts.iter().map(|host| host_of(host)).collect() };
    let paths: Vec<String> = plan.written.paths.iter().filter_map(|path| path_of(path)).collect();
    let open =
        |index: usize| plans.get(index).is_some_and(|other| other.requirement == RequirementPlan::None && other.written.methods.is_empty());
    hosts.iter().flat_map(|host| paths.iter().map(move |path| (host, path))).find_map(|(host, path)| {
        METHODS.into_iter().find_map(|method| match table.find(host, path, method) {
            Match::Rule(index) if open(index) => Some((method, index)),
            Match::Rule(_) | Match::Method { .. } | Match::None => None,
        })
    })
}

/// A host that the pattern `written` matches.
fn host_of(written: &str) -> String {
    match HostPattern::parse(written) {
        Ok(HostPattern::Exact(name)) => name.into(),
        Ok(HostPattern::Suffix(domain)) => format!("{ANY}.{domain}"),
        Ok(HostPattern::Any) | Err(_) => ANY.to_owned(),
    }
}

/// A path that the pattern `written` matches, and as few others as can be.
fn path_of(written: &str) -> Option<String> {
    let pattern = PathPattern::parse(written).ok()?;
    let segments: Vec<&str> = pattern
        .segments()
        .iter()
        .map(|segment| match segment {
            Segment::Literal(text) => text,
            Segment::Named(_) | Segment::Rest => ANY,
        })
        .collect();
    Some(format!("/{}", segments.join("/")))
}
