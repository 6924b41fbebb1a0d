//! The keys `system` and `harvest` of a rule: whose clients it serves, and who keeps what its upstream's replies bring.
//!
//! Which systems there are is the roll-call's to say; each proves its own settings.

use crate::config::plan::{ActionPlan, AuthenticatorPlan};
use crate::config::root::opened;
use crate::config::serve::prove_sessions;
use crate::settings::{Checking, Choice, KeySpec, Node, Section, SectionSpec, Shape, sound};
use crate::systems::SYSTEMS;
use crate::systems::contract::SystemPlan;

/// The shape of `system`.
pub(super) const SYSTEM: Shape = Shape::Either(&[Shape::OneOf(&BARE), Shape::Kind { what: "system", kinds: systems, beside: &[] }]);

/// The shape of `harvest`.
pub(super) const HARVEST: Shape = Shape::Section(&HARVEST_SECTION);

static HARVEST_SECTION: SectionSpec = SectionSpec {
    title: "`harvest`",
    doc: "Keeps the credential that a reply of the upstream brings, as the rule's `system` reads it; the client gets a session instead, and one \
          that it has brought along ends. The session is for whom the reply names, else for who asked.",
    keys: &[KeySpec::required(
        "session",
        Shape::Name("authenticators"),
        "The authenticator whose session is opened: one of scheme `session`.",
    )],
};

/// The names of all systems: each may stand without settings.
const BARE: [&str; SYSTEMS.len()] = {
    let mut names = [""; SYSTEMS.len()];
    let mut open: &mut [&str] = &mut names;
    let mut entries = SYSTEMS;
    while let ([name, later @ ..], [entry, others @ ..]) = (open, entries) {
        *name = entry.name;
        (open, entries) = (later, others);
    }
    names
};

fn systems() -> Vec<Choice> {
    SYSTEMS.iter().map(|entry| Choice { name: entry.name, shape: entry.shape, doc: entry.doc }).collect()
}

/// Proves `system`; `None` when it is at fault, `Some(None)` when it is not written.
pub(super) fn system(rule: &Section<'_>, checking: &mut Checking<'_>) -> Option<Option<Box<dyn SystemPlan>>> {
    let Some(node) = rule.node("system") else { return Some(None) };
    if !sound(SYSTEM, node) {
        return None;
    }
    let (name, settings): (&str, Option<&Node>) = match node.as_text() {
        Some(name) => (name, None),
        None => node.sole_entry().map(|entry| (entry.key.as_str(), Some(&entry.node)))?,
    };
    let entry = SYSTEMS.iter().find(|entry| entry.name == name)?;
    (entry.plan)(settings, &node.span, checking).map(Some)
}

/// Proves `harvest`; as [`system`].
pub(super) fn harvest(
    rule: &Section<'_>,
    action: Option<&ActionPlan>,
    authenticators: &[Option<AuthenticatorPlan>],
    checking: &mut Checking<'_>,
) -> Option<Option<String>> {
    let Some(node) = rule.node("harvest") else { return Some(None) };
    let section = opened(&HARVEST_SECTION, node)?;
    let before = checking.faults.errors();
    if rule.node("system").is_none() {
        checking.faults.error(&node.span, "replies are read as a system has them; name it: `system: NAME`");
    }
    if matches!(action, Some(ActionPlan::Serve(_))) {
        checking.faults.error(&node.span, "this rule is answered here, so no reply of an upstream brings anything; remove `harvest`");
    }
    let session = section.text("session")?;
    prove_sessions("harvest", session, section.span_of("session"), authenticators, checking);
    (checking.faults.errors() == before).then(|| Some(session.to_owned()))
}
