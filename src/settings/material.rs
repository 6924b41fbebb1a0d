//! What a conf refers to but does not hold: files and variables, read beforehand.
//!
//! Checking a conf is pure. `config::load` reads everything the conf names into [`Material`], outcome by
//! outcome, and a missing file becomes a fault at the place that names it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};

use crate::domain::Secret;
use crate::settings::fault::{Faults, suggest};
use crate::settings::node::{Node, Span};

/// What stands for the content of a file, so that it can be told whether it has changed without being kept: its SHA-256, or
/// `None` when it could not be read.
pub type Mark = Option<[u8; 32]>;

/// Every file that was read, by what was in it.
pub type Files = BTreeMap<PathBuf, Mark>;

/// What stands for `content`.
#[must_use]
pub fn mark(content: &[u8]) -> Mark {
    digest(&SHA256, content).as_ref().try_into().ok()
}

/// Contents of every file and variable that the conf names.
#[derive(Debug, Default)]
pub struct Material {
    /// The folder of the conf file; relative paths start there.
    pub base: PathBuf,
    /// File contents by the path as resolved against `base`, or why the file could not be read.
    pub files: BTreeMap<PathBuf, Result<Arc<[u8]>, String>>,
    /// Variables by name; `None` when not set.
    pub variables: BTreeMap<String, Option<Secret>>,
}

impl Material {
    /// `path` as written in the conf, resolved against the conf's folder.
    #[must_use]
    pub fn resolve(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }

    /// The content of the file written as `path`, or a sentence that says why there is none.
    ///
    /// # Errors
    ///
    /// The file does not exist, cannot be read, or was not among those that were read.
    pub fn file(&self, path: &str) -> Result<&[u8], String> {
        let resolved = self.resolve(path);
        match self.files.get(&resolved) {
            Some(Ok(bytes)) => Ok(bytes),
            Some(Err(why)) => Err(format!("cannot read `{}`: {why}", resolved.display())),
            None => Err(format!("`{}` was not read", resolved.display())),
        }
    }

    /// Every file among it, by what was in it.
    #[must_use]
    pub fn marks(&self) -> Files {
        self.files.iter().map(|(path, content)| (path.clone(), content.as_deref().ok().and_then(mark))).collect()
    }

    /// The folder relative paths start from.
    #[must_use]
    pub fn base(&self) -> &Path {
        &self.base
    }
}

/// What names the conf defines, by the section that defines them (`keys`, `authenticators`, `upstreams`...).
#[derive(Debug, Default)]
pub struct Names(BTreeMap<&'static str, BTreeSet<String>>);

impl Names {
    /// Notes that section `of` defines `name`.
    pub fn define(&mut self, of: &'static str, name: &str) {
        self.0.entry(of).or_default().insert(name.to_owned());
    }

    /// Whether section `of` defines `name`.
    #[must_use]
    pub fn holds(&self, of: &str, name: &str) -> bool {
        self.0.get(of).is_some_and(|names| names.contains(name))
    }

    /// All names that section `of` defines.
    pub fn all(&self, of: &str) -> impl Iterator<Item = &str> {
        self.0.get(of).into_iter().flatten().map(String::as_str)
    }
}

/// Everything a section's check may look at, and where it leaves what it found wrong.
pub struct Checking<'a> {
    /// Faults found so far.
    pub faults: &'a mut Faults,
    /// Files and variables.
    pub material: &'a Material,
    /// Names that references may use.
    pub names: &'a Names,
    /// Whether a secret may stand in the conf itself.
    pub allow_inline_secrets: bool,
}

impl Checking<'_> {
    /// The secret that `node` refers to (`{ env: NAME }`, `{ file: path }`, or inline text where allowed).
    ///
    /// One trailing line break of a file is not part of the secret. Says what is wrong and returns `None`
    /// when it resolves to nothing.
    pub fn secret(&mut self, node: &Node) -> Option<Secret> {
        let secret = match (node.as_text(), node.sole_entry()) {
            (Some(text), _) if self.allow_inline_secrets => Secret::new(text.as_bytes().to_vec()),
            (Some(_), _) => {
                self.faults.error(
                    &node.span,
                    "a secret may not stand in the conf; write `{ env: NAME }` or `{ file: path }`, or set `allow_inline_secrets: true` for tests",
                );
                return None;
            }
            (None, Some(entry)) if entry.key == "env" && entry.node.as_text().is_some() => {
                let name = entry.node.as_text().unwrap_or_default();
                match self.material.variables.get(name) {
                    Some(Some(value)) => value.clone(),
                    _ => {
                        self.faults.error(&entry.node.span, format!("the environment variable `{name}` is not set"));
                        return None;
                    }
                }
            }
            (None, Some(entry)) if entry.key == "file" && entry.node.as_text().is_some() => {
                match self.material.file(entry.node.as_text().unwrap_or_default()) {
                    Ok(bytes) => Secret::new(without_line_break(bytes).to_vec()),
                    Err(why) => {
                        self.faults.error(&entry.node.span, why);
                        return None;
                    }
                }
            }
            _ => {
                self.faults.error(
                    &node.span,
                    format!("expected a secret reference `{{ env: NAME }}` or `{{ file: path }}`, found {}", node.kind()),
                );
                return None;
            }
        };
        if secret.is_empty() {
            self.faults.error(&node.span, "this secret is empty; an empty secret protects nothing");
            return None;
        }
        Some(secret)
    }

    /// Checks that section `of` defines `name`; says so, with a suggestion, when it does not.
    pub fn resolve(&mut self, of: &'static str, name: &str, at: &Span) -> bool {
        if self.names.holds(of, name) {
            return true;
        }
        let hint = suggest(name, self.names.all(of));
        let says = if hint.is_empty() {
            let known: Vec<&str> = self.names.all(of).collect();
            format!("`{of}` defines no `{name}`; it defines: {}", if known.is_empty() { "nothing".to_owned() } else { known.join(", ") })
        } else {
            format!("`{of}` defines no `{name}`{hint}")
        };
        self.faults.error(at, says);
        false
    }
}

/// `bytes` without one trailing `\n` or `\r\n`, as editors leave them.
fn without_line_break(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}
