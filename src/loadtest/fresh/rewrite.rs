//! Turns the tree of a conf into another that is written as JSON, which is YAML too.
//!
//! Which values are secrets, files and URLs follows from the shapes of the sections, as it does when a conf is read.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value};

use crate::config::sections::CONF;
use crate::jose::algorithm::Algorithm;
use crate::loadtest::fresh::vault::{Form, Vault};
use crate::settings::{Node, NodeValue, Shape, walk};

/// What a value of the conf refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refers {
    Secret,
    File,
    Url,
}

/// Writes `root` again: secrets made fresh, files found from anywhere, URLs at `origin` with the path they had.
///
/// `base` is the folder of the conf.
///
/// # Errors
///
/// A secret could not be made.
pub fn rewritten(root: &Node, base: &Path, origin: &str, vault: &mut Vault) -> Result<Value, String> {
    let mut refers = HashMap::new();
    walk(Shape::Section(&CONF), root, &mut |shape, node| {
        let what = match shape {
            Shape::Secret => Refers::Secret,
            Shape::File => Refers::File,
            Shape::Url => Refers::Url,
            _ => return,
        };
        refers.insert(std::ptr::from_ref(node).addr(), what);
    });
    Turning { refers, base, origin, vault }.turn(root, None, "")
}

/// `root` as it is, for reading only. Its secrets are references, and stay such.
#[must_use]
pub fn plain(root: &Node) -> Value {
    match &root.value {
        NodeValue::Null => Value::Null,
        NodeValue::Bool(flag) => (*flag).into(),
        NodeValue::Int(number) => (*number).into(),
        NodeValue::Float(number) => (*number).into(),
        NodeValue::Text(text) => text.as_str().into(),
        NodeValue::List(items) => items.iter().map(plain).collect(),
        NodeValue::Map(entries) => entries.iter().map(|entry| (entry.key.clone(), plain(&entry.node))).collect::<Map<_, _>>().into(),
    }
}

struct Turning<'c> {
    /// By where the node stands in memory: an alias has the span of what it stands for.
    refers: HashMap<usize, Refers>,
    base: &'c Path,
    origin: &'c str,
    vault: &'c mut Vault,
}

impl Turning<'_> {
    /// `node`, which stands under `key` of `parent`.
    fn turn(&mut self, node: &Node, parent: Option<&Node>, key: &str) -> Result<Value, String> {
        match (self.refers.get(&std::ptr::from_ref(node).addr()), &node.value) {
            (Some(Refers::Secret), _) => return self.secret(node, parent, key),
            (Some(Refers::File), NodeValue::Text(path)) => return Ok(self.base.join(path).display().to_string().into()),
            (Some(Refers::Url), NodeValue::Text(url)) => return Ok(elsewhere(url, self.origin).into()),
            _ => {}
        }
        Ok(match &node.value {
            NodeValue::List(items) => {
                // The items of a list are what its key says they are.
                let items: Result<Vec<Value>, String> = items.iter().map(|item| self.turn(item, parent, key)).collect();
                Value::Array(items?)
            }
            NodeValue::Map(entries) => {
                let mut members = Map::new();
                for entry in entries {
                    let value = self.turn(&entry.node, Some(node), &entry.key)?;
                    members.insert(entry.key.clone(), value);
                }
                Value::Object(members)
            }
            _ => plain(node),
        })
    }

    fn secret(&mut self, node: &Node, parent: Option<&Node>, key: &str) -> Result<Value, String> {
        let written = match (node.sole_entry(), node.as_text()) {
            (Some(entry), _) => format!("{}:{}", entry.key, entry.node.as_text().unwrap_or_default()),
            (None, text) => format!("written:{}", text.unwrap_or_default()),
        };
        // Two kinds of secrets are private keys: those of `issuers`, and the one of an assertion.
        let algorithm = parent.and_then(|parent| parent.get("algorithm")).and_then(Node::as_text).and_then(Algorithm::named);
        let form = match key {
            "signing_key" => Form::Pem(algorithm.unwrap_or(Algorithm::Es256)),
            "key" if parent.is_some_and(|parent| parent.get("issuer").is_some()) => Form::Pem(algorithm.unwrap_or(Algorithm::Es256)),
            _ => Form::Text,
        };
        self.vault.secret(&format!("{form:?} {written}"), form)
    }
}

/// `url` at `origin`: its path and query stay.
fn elsewhere(url: &str, origin: &str) -> String {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    format!("{origin}{}", rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::elsewhere;

    #[test]
    fn urls_keep_their_path_and_lose_their_host() {
        let cases = [
            ("https://id.example/oauth/introspect", "http://127.0.0.1:1/oauth/introspect"),
            ("https://keys.example/v1/{id}?x=1", "http://127.0.0.1:1/v1/{id}?x=1"),
            ("https://id.example", "http://127.0.0.1:1"),
            ("https://user:secret@id.example:8443/a", "http://127.0.0.1:1/a"),
        ];
        for (url, expected) in cases {
            assert_eq!(elsewhere(url, "http://127.0.0.1:1"), expected);
        }
    }
}
