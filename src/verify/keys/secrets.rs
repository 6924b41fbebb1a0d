//! Secret references of a key source: one or a list.

use crate::settings::Node;

/// The references in `node`, which is one reference or a list of them.
#[must_use]
pub fn references(node: &Node) -> Vec<&Node> {
    node.as_list().map_or_else(|| vec![node], |items| items.iter().collect())
}
