//! The top level of a conf, for the checks of its sections.

use crate::config::sections::CONF;
use crate::settings::{Entry, Node, NodeValue, Section, SectionSpec, Shape, sound};

/// The longest name that a conf may give to anything.
const MAX_NAME: usize = 64;

/// The root of the tree; its form may be at fault in places.
pub(super) struct Root<'n> {
    node: &'n Node,
    /// Stands for sections that are not written.
    empty: Node,
}

impl<'n> Root<'n> {
    pub(super) fn new(node: &'n Node) -> Self {
        let empty = Node { span: node.span.clone(), value: NodeValue::Map(Vec::new()) };
        Self { node, empty }
    }

    /// The tree itself.
    pub(super) fn node(&self) -> &'n Node {
        self.node
    }

    /// What is written under `key`.
    pub(super) fn get(&self, key: &str) -> Option<&'n Node> {
        self.node.get(key).filter(|node| node.value != NodeValue::Null)
    }

    /// The entries under `key`; none when it is not a mapping.
    pub(super) fn entries(&self, key: &str) -> &'n [Entry] {
        self.get(key).and_then(Node::as_map).unwrap_or_default()
    }

    /// The section under `key`, with defaults where it is not written; `None` when its form is at fault.
    pub(super) fn section<'s>(&'s self, spec: &'static SectionSpec, key: &str) -> Option<Section<'s>> {
        self.section_of(spec, self.get(key))
    }

    /// `node` as a section, with defaults where there is none; `None` when its form is at fault.
    pub(super) fn section_of<'s>(&'s self, spec: &'static SectionSpec, node: Option<&'s Node>) -> Option<Section<'s>> {
        opened(spec, node.unwrap_or(&self.empty))
    }

    /// A section of which nothing is written.
    pub(super) fn defaults(&self, spec: &'static SectionSpec) -> Section<'_> {
        Section::unproven(spec, &self.empty)
    }

    /// A mapping in which nothing is written.
    pub(super) fn nothing(&self) -> &Node {
        &self.empty
    }

    /// The top level itself, read key by key: a key whose value is at fault reads as its default.
    pub(super) fn top(&self) -> Section<'_> {
        Section::unproven(&CONF, self.node)
    }
}

/// `node` as a section of sound form, without saying again what is wrong with it where it is not.
pub(super) fn opened<'n>(spec: &'static SectionSpec, node: &'n Node) -> Option<Section<'n>> {
    sound(Shape::Section(spec), node).then(|| Section::unproven(spec, node))
}

/// What is wrong with `name` as the name of something, if anything.
///
/// Names stand in metrics, in the audit record and in expressions, so they are plain.
pub(super) fn fault_of_name(name: &str) -> Option<String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.');
    let sound = name.starts_with(|letter: char| letter.is_ascii_alphanumeric()) && name.chars().all(plain) && name.len() <= MAX_NAME;
    (!sound).then(|| {
        format!(
            "`{}` is no name; names have up to {MAX_NAME} letters, digits, `_`, `-` and `.`, and start with a letter or digit",
            name.escape_debug()
        )
    })
}
