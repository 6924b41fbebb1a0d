//! Reads a conf and everything it refers to, once, so that checking it can be pure.
//!
//! Which files and variables are meant follows from the shapes of the sections, not from their meaning: a path is
//! read because its key is described as one. What cannot be read is remembered as such; `check` says where.
//!
//! Never here: a verdict about what was read; the machine itself, which is handed in as [`Sources`].

use std::collections::btree_map::Entry;
use std::path::Path;
use std::sync::Arc;

use crate::config::document::Document;
use crate::config::sections::CONF;
use crate::domain::Secret;
use crate::settings::{Faults, Material, Node, NodeValue, Shape, Span, walk};

/// The machine, as far as a conf may look at it.
pub trait Sources {
    /// The content of `path`.
    ///
    /// # Errors
    ///
    /// A short reason for the operator.
    fn file(&self, path: &Path) -> Result<Vec<u8>, String>;

    /// The environment variable `name`.
    fn variable(&self, name: &str) -> Option<Secret>;

    /// Whether users other than its owner and group may read `path`. Only asked about the conf itself.
    fn exposed(&self, path: &Path) -> bool;
}

/// Reads the conf at `path` and everything it refers to.
///
/// # Errors
///
/// The file cannot be read, or is not YAML within the budgets of [`Document`].
pub fn load(path: &Path, sources: &dyn Sources) -> Result<(Document, Material), Faults> {
    let file = path.display().to_string();
    let bytes = sources.file(path).map_err(|why| {
        let mut faults = Faults::default();
        faults.error(&Span { file: file.as_str().into(), line: 1, column: 1 }, format!("cannot read the conf: {why}"));
        faults
    })?;
    let mut document = Document::read(&file, &bytes)?;
    document.exposed = sources.exposed(path);
    let base = path.parent().unwrap_or(Path::new(""));
    let mut material = gather(&document, base, sources);
    material.files.insert(path.to_path_buf(), Ok(Arc::from(bytes)));
    Ok((document, material))
}

/// Reads every file and variable that `document` refers to; relative paths start at `base`.
#[must_use]
pub fn gather(document: &Document, base: &Path, sources: &dyn Sources) -> Material {
    let mut material = Material { base: base.to_path_buf(), ..Material::default() };
    walk(Shape::Section(&CONF), &document.root, &mut |shape, node| match shape {
        Shape::File => {
            if let Some(path) = node.as_text() {
                read(&mut material, path, sources);
            }
        }
        Shape::Secret => match secret_reference(node) {
            Some(("file", path)) => read(&mut material, path, sources),
            Some(("env", name)) if !material.variables.contains_key(name) => {
                material.variables.insert(name.to_owned(), sources.variable(name));
            }
            _ => {}
        },
        _ => {}
    });
    material
}

/// Where the conf holds secrets itself, in written order.
pub(super) fn inline_secrets(root: &Node) -> Vec<Span> {
    let mut found = Vec::new();
    walk(Shape::Section(&CONF), root, &mut |shape, node| {
        if matches!((shape, &node.value), (Shape::Secret, NodeValue::Text(_))) {
            found.push(node.span.clone());
        }
    });
    found
}

fn read(material: &mut Material, path: &str, sources: &dyn Sources) {
    let resolved = material.resolve(path);
    if let Entry::Vacant(unread) = material.files.entry(resolved) {
        let content = sources.file(unread.key()).map(Arc::from);
        unread.insert(content);
    }
}

/// The word and the text of `{ env: NAME }` or `{ file: path }`.
fn secret_reference(node: &Node) -> Option<(&str, &str)> {
    let entry = node.sole_entry()?;
    Some((entry.key.as_str(), entry.node.as_text()?))
}
