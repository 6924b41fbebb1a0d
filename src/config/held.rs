//! What is said of rules whose replies may be held: their upstream is then spoken to over HTTP/1.1, whatever else it is offered.
//!
//! A server that is reached over TLS agrees to HTTP/1.1 or refuses the connection; in plaintext nothing is agreed on, so one that speaks
//! HTTP/2 alone would answer each such request with an error that says nothing. Which requests are held is the system's to say, path by
//! path, so what is told here is a warning: a server that speaks both is served well.

use crate::config::plan::{ActionPlan, AuthenticatorPlan, RulePlan, UpstreamPlan};
use crate::config::root::{Root, opened};
use crate::config::rules::RULE;
use crate::settings::{Checking, Node};

/// Looks at all rules of `root`; `plans` are the same, proven.
pub(super) fn warn(
    root: &Root<'_>,
    plans: &[RulePlan],
    upstreams: &[UpstreamPlan],
    authenticators: &[AuthenticatorPlan],
    checking: &mut Checking<'_>,
) {
    let Some(written) = root.get("rules").and_then(Node::as_list) else { return };
    for (plan, node) in plans.iter().zip(written) {
        let ActionPlan::Forward(forward) = &plan.action else { continue };
        let Some(upstream) = upstreams.get(forward.upstream) else { continue };
        if upstream.h2
            && upstream.tls.is_none()
            && may_hold(plan, authenticators)
            && let Some(section) = opened(&RULE, node)
        {
            let says = format!(
                "replies of this rule are held until their body is there, and come over HTTP/1.1; `{}` is spoken to in plaintext HTTP/2 \
                 (`h2: true`), and fails here if it speaks nothing else: give it HTTP/1.1 as well, TLS, or `h2: false`",
                upstream.name
            );
            checking.faults.warn(section.span_of("forward"), says);
        }
    }
}

/// Whether replies of this rule are held on any path: its system asks for it, and something comes of what they say.
fn may_hold(plan: &RulePlan, authenticators: &[AuthenticatorPlan]) -> bool {
    let renews = |index: usize| authenticators.get(index).is_some_and(|authenticator| authenticator.renewal.is_some());
    plan.system.is_some() && (plan.harvest.is_some() || plan.requirement.authenticators().into_iter().any(renews))
}
