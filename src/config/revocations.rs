//! The section `revocations`: whose credentials are no longer taken, as far as a file says so.

use std::sync::Arc;

use crate::config::plan::RevocationsPlan;
use crate::config::root::Root;
use crate::settings::{Checking, KeySpec, SectionSpec, Shape};

/// The `revocations` section.
pub(super) static REVOCATIONS: SectionSpec = SectionSpec {
    title: "`revocations`",
    doc: "Whose credentials are no longer taken, although they are still good. Operators also revoke by `countersign revoke`, on all nodes \
          that share a state store. See revocation.md.",
    keys: &[
        KeySpec::optional(
            "file",
            Shape::File,
            "JSON Lines: `{\"subject\":\"anna\",\"issuer\":\"https://id.example\",\"issued_before\":1798761600}`, or by `key`, `token` (`jti`), `session` \
             (`sid`), `family` (`fam`); `until` ends an entry. Watched; a file with a fault in it changes nothing.",
        ),
        KeySpec::default(
            "lasts",
            Shape::Duration { min: 60, max: crate::settings::revocation::LONGEST.0 },
            "30d",
            "How long what an operator revokes counts unless the command says otherwise. Longer than any credential lives: one that outlives \
             its revocation is good again.",
        ),
    ],
};

/// Proves `revocations`.
pub(super) fn revocations(root: &Root<'_>, checking: &mut Checking<'_>) -> Option<RevocationsPlan> {
    let section = root.section(&REVOCATIONS, "revocations")?;
    let listed = match section.text("file") {
        None => Vec::new(),
        Some(file) => {
            let read = checking.material.file(file).map_err(|why| vec![why]).and_then(|bytes| {
                let faults = |faults: Vec<String>| faults.into_iter().map(|says| format!("`{file}`, {says}")).collect::<Vec<_>>();
                crate::settings::revocation::read_file(bytes).map_err(faults)
            });
            match read {
                Ok(listed) => listed,
                Err(faults) => {
                    faults.into_iter().for_each(|says| checking.faults.error(section.span_of("file"), says));
                    return None;
                }
            }
        }
    };
    let listed: Arc<[_]> = listed.into_iter().map(|(line, revocation)| (line, Arc::new(revocation))).collect();
    Some(RevocationsPlan { listed, lasts: section.seconds("lasts")? })
}
