//! Visits every single value of a conf together with the shape it was meant to have.
//!
//! The walk follows the same tables as the reader, and takes the same way through alternatives, so that what is
//! gathered beforehand (files, variables) and what is resolved later (names) is exactly what the reader sees.
//! It notes no fault.

use crate::settings::node::{Node, NodeValue};
use crate::settings::section::{form_fits, sound};
use crate::settings::shape::{KeySpec, Shape};

/// Calls `visit` with every value under `node` that is no mapping or list of others, in written order.
///
/// Unknown keys and values of a wrong form are passed over. Of alternatives, the first that proves without fault is
/// followed; where none does, every one whose outer form fits.
pub fn walk<'n>(shape: Shape, node: &'n Node, visit: &mut dyn FnMut(Shape, &'n Node)) {
    match (shape, &node.value) {
        (_, NodeValue::Null) => {}
        (Shape::List { of, .. }, NodeValue::List(items)) => items.iter().for_each(|item| walk(*of, item, visit)),
        (Shape::List { of, lone: true, .. }, _) => walk(*of, node, visit),
        (Shape::Map(of), NodeValue::Map(entries)) => entries.iter().for_each(|entry| walk(*of, &entry.node, visit)),
        (Shape::Section(spec), NodeValue::Map(_)) => walk_keys(spec.keys, node, visit),
        (Shape::Kind { kinds, beside, .. }, NodeValue::Map(entries)) => {
            let kinds = kinds();
            for entry in entries {
                if let Some(kind) = kinds.iter().find(|kind| kind.name == entry.key) {
                    walk(kind.shape, &entry.node, visit);
                } else if let Some(spec) = beside.iter().find(|spec| spec.name == entry.key) {
                    walk(spec.shape, &entry.node, visit);
                }
            }
        }
        (Shape::Either(shapes), _) => match shapes.iter().find(|shape| sound(**shape, node)) {
            Some(shape) => walk(*shape, node, visit),
            None => shapes.iter().filter(|shape| form_fits(**shape, node)).for_each(|shape| walk(*shape, node, visit)),
        },
        (Shape::List { .. } | Shape::Map(_) | Shape::Section(_) | Shape::Kind { .. }, _) => {}
        _ => visit(shape, node),
    }
}

fn walk_keys<'n>(keys: &[KeySpec], node: &'n Node, visit: &mut dyn FnMut(Shape, &'n Node)) {
    for entry in node.as_map().unwrap_or_default() {
        if let Some(spec) = keys.iter().find(|spec| spec.name == entry.key) {
            walk(spec.shape, &entry.node, visit);
        }
    }
}
