//! The sections `keys` and `state`: where keys come from, and where spent credentials are remembered.
//!
//! Which kinds of key stores there are is the roll-call's to say; each kind proves its own settings.

use std::sync::Arc;

use crate::config::limits::number;
use crate::config::plan::{KeyStorePlan, StatePlan};
use crate::config::root::{Root, fault_of_name, opened};
use crate::settings::{Checking, Choice, KeySpec, SectionSpec, Shape, sound};
use crate::verify::keys::KEY_SOURCES;

/// The shape of `keys`.
pub(super) const KEYS: Shape = Shape::Map(&KEY_STORE);

const KEY_STORE: Shape = Shape::Kind { what: "key source", kinds: key_sources, beside: &[] };

/// The shape of `state`.
pub(super) const STATE: Shape = Shape::Kind { what: "state store", kinds: state_stores, beside: &[] };

static MEMORY: SectionSpec = SectionSpec {
    title: "`memory`",
    doc: "In this process: for one node. Lost when it ends, so a single-use credential of its last minutes could be used once more.",
    keys: &[KeySpec::default(
        "capacity",
        Shape::Count { min: 1, max: 100_000_000 },
        "1000000",
        "Spent credentials remembered at once, about 72 bytes each. None is evicted before its end: a full store answers 503.",
    )],
};

fn key_sources() -> Vec<Choice> {
    KEY_SOURCES.iter().map(|entry| Choice { name: entry.name, shape: entry.shape, doc: entry.doc }).collect()
}

fn state_stores() -> Vec<Choice> {
    vec![Choice { name: "memory", shape: Shape::Section(&MEMORY), doc: MEMORY.doc }]
}

/// Proves `keys`, in written order. Those at fault are left out; the faults have been noted.
pub(super) fn key_stores(root: &Root<'_>, checking: &mut Checking<'_>) -> Vec<KeyStorePlan> {
    let mut stores = Vec::new();
    for entry in root.entries("keys") {
        if let Some(fault) = fault_of_name(&entry.key) {
            checking.faults.error(&entry.span, fault);
            continue;
        }
        if !sound(KEY_STORE, &entry.node) {
            continue;
        }
        let Some(kind) = entry.node.sole_entry() else { continue };
        let Some(source) = KEY_SOURCES.iter().find(|source| source.name == kind.key) else { continue };
        if let Some(source) = (source.plan)(&entry.key, &kind.node, checking) {
            stores.push(KeyStorePlan { name: Arc::from(entry.key.as_str()), source });
        }
    }
    stores
}

/// Proves `state`.
pub(super) fn state(root: &Root<'_>) -> Option<StatePlan> {
    let written = root.get("state");
    let section = match written {
        None => root.defaults(&MEMORY),
        Some(node) => opened(&MEMORY, &node.sole_entry()?.node)?,
    };
    Some(StatePlan::Memory { capacity: number(&section, "capacity")? })
}
