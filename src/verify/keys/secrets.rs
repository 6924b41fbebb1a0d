//! Secret references of a key source: one or a list, and the files they name.

use std::path::PathBuf;

use crate::settings::{Material, Node};

/// The references in `node`, which is one reference or a list of them.
#[must_use]
pub fn references(node: &Node) -> Vec<&Node> {
    node.as_list().map_or_else(|| vec![node], |items| items.iter().collect())
}

/// The files among the references in `node`; their change is a reason to reload.
#[must_use]
pub fn files_of(node: &Node, material: &Material) -> Vec<PathBuf> {
    let file = |reference: &&Node| reference.get("file").and_then(Node::as_text).map(|path| material.resolve(path));
    references(node).iter().filter_map(file).collect()
}
