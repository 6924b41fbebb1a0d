//! The sections `keys` and `state`: where keys come from, and where what must not be forgotten is kept.
//!
//! Which kinds of stores there are is for their roll-calls to say; each kind proves its own settings.

use std::sync::Arc;

use crate::config::plan::KeyStorePlan;
use crate::config::root::{Root, fault_of_name};
use crate::settings::{Checking, Choice, Shape, sound};
use crate::state::contract::StorePlan;
use crate::state::{DEFAULT, STORES};
use crate::verify::keys::KEY_SOURCES;

/// The shape of `keys`.
pub(super) const KEYS: Shape = Shape::Map(&KEY_STORE);

const KEY_STORE: Shape = Shape::Kind { what: "key source", kinds: key_sources, beside: &[] };

/// The shape of `state`.
pub(super) const STATE: Shape = Shape::Kind { what: "state store", kinds: state_stores, beside: &[] };

fn key_sources() -> Vec<Choice> {
    KEY_SOURCES.iter().map(|entry| Choice { name: entry.name, shape: entry.shape, doc: entry.doc }).collect()
}

fn state_stores() -> Vec<Choice> {
    STORES.iter().map(|entry| Choice { name: entry.name, shape: entry.shape, doc: entry.doc }).collect()
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
pub(super) fn state(root: &Root<'_>, checking: &mut Checking<'_>) -> Option<Arc<dyn StorePlan>> {
    let Some(written) = root.get("state") else { return (DEFAULT.plan)(root.nothing(), checking).map(Arc::from) };
    if !sound(STATE, written) {
        return None;
    }
    let kind = written.sole_entry()?;
    let entry = STORES.iter().find(|entry| entry.name == kind.key)?;
    (entry.plan)(&kind.node, checking).map(Arc::from)
}
