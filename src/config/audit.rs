//! The section `audit`: where the record of each request goes.

use crate::config::plan::{AuditPlan, AuditSink, WhenBehind};
use crate::config::root::Root;
use crate::settings::{Checking, KeySpec, SectionSpec, Shape};

/// The `audit` section.
pub(super) static AUDIT: SectionSpec = SectionSpec {
    title: "`audit`",
    doc: "The audit record: one JSON line per request, never a credential.",
    keys: &[
        KeySpec::default(
            "to",
            Shape::OneOf(&["stdout", "nowhere"]),
            "stdout",
            "Where it goes. Diagnostics go to standard error, so that the two never mix. `nowhere` writes none: who was let in is then \
             told by metrics alone.",
        ),
        KeySpec::default(
            "when_behind",
            Shape::OneOf(&["drop", "block"]),
            "drop",
            "What happens when the writer is behind: records are dropped and counted exactly, or requests wait for it \
             before they begin.",
        ),
    ],
};

/// Proves `audit`.
pub(super) fn audit(root: &Root<'_>, checking: &mut Checking<'_>) -> Option<AuditPlan> {
    let section = root.section(&AUDIT, "audit")?;
    let when_behind = if section.text("when_behind") == Some("block") { WhenBehind::Block } else { WhenBehind::Drop };
    let to = if section.text("to") == Some("nowhere") { AuditSink::Nowhere } else { AuditSink::Stdout };
    if to == AuditSink::Nowhere {
        checking.faults.warn(section.span_of("to"), "nobody will know who was let in and why others were refused");
    }
    Some(AuditPlan { when_behind, to })
}
