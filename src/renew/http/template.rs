//! Texts of the conf with places in them for what is only known when a request is made.
//!
//! A template is read once. What is put into it is written for where it stands (a JSON string, a form field, a header field), so
//! no credential can end a string or begin another field. `{{` and `}}` stand for the braces themselves; a place that is not
//! known is a fault of the conf, never text.

use bytes::Bytes;
use http::HeaderValue;
use serde_json::Value as Json;
use zeroize::Zeroizing;

use crate::domain::{Secret, Spent};
use crate::settings::{Node, NodeValue};

/// How deep a body may nest.
const DEPTH: usize = 16;

/// A text with places in it.
#[derive(Debug, Clone)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone)]
enum Part {
    Text(Box<str>),
    Refresh,
    Access,
    Subject,
    Secret(Secret),
}

/// A JSON body whose texts are templates.
#[derive(Debug, Clone)]
pub enum JsonTemplate {
    /// A text.
    Text(Template),
    /// A value as it is.
    Plain(Json),
    /// A list.
    List(Vec<JsonTemplate>),
    /// An object.
    Map(Vec<(String, JsonTemplate)>),
}

/// The secrets that templates may name, and which of them have been.
#[derive(Debug, Default)]
pub struct Names {
    secrets: Vec<(Box<str>, Secret, bool)>,
    /// Whether a credential of the client's has been named.
    pub spends: bool,
}

/// What was to be put into a template cannot stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a credential or subject cannot be written where the conf wants it")]
pub struct Unwritable;

impl Names {
    /// Adds a secret that templates may name as `{secrets.NAME}`.
    pub fn define(&mut self, name: &str, secret: Secret) {
        self.secrets.push((name.into(), secret, false));
    }

    /// Those that no template has named.
    pub fn unused(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().filter(|(_, _, used)| !used).map(|(name, ..)| &**name)
    }

    fn part(&mut self, place: &str) -> Result<Part, String> {
        match place {
            "refresh" | "access" => {
                self.spends = true;
                return Ok(if place == "refresh" { Part::Refresh } else { Part::Access });
            }
            "subject" => return Ok(Part::Subject),
            _ => {}
        }
        let Some(name) = place.strip_prefix("secrets.") else {
            return Err(format!(
                "`{{{place}}}` is nothing that can be put here; write {{refresh}}, {{access}}, {{subject}} or {{secrets.NAME}}, and `{{{{` for a brace"
            ));
        };
        match self.secrets.iter_mut().find(|(known, ..)| **known == *name) {
            Some((_, secret, used)) => {
                *used = true;
                Ok(Part::Secret(secret.clone()))
            }
            None => Err(format!("`secrets` of this renewer defines no `{name}`")),
        }
    }
}

impl Template {
    /// Reads `text`.
    ///
    /// # Errors
    ///
    /// A sentence for the operator: a place that is not known, or a brace that belongs to none.
    pub fn read(text: &str, names: &mut Names) -> Result<Self, String> {
        const LONE: &str = "a brace stands alone here; write `{{` or `}}` for the brace itself";
        let mut parts: Vec<Part> = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            plain.push_str(before);
            if let Some(after) = from.strip_prefix("{{") {
                plain.push('{');
                rest = after;
            } else if let Some(after) = from.strip_prefix("}}") {
                plain.push('}');
                rest = after;
            } else if let Some((place, after)) = from.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain).into()));
                }
                parts.push(names.part(place)?);
                rest = after;
            } else {
                return Err(LONE.to_owned());
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain.into()));
        }
        Ok(Self(parts))
    }

    /// The bytes, with everything in its place.
    #[must_use]
    pub fn bytes(&self, spent: &Spent) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::new());
        for part in &self.0 {
            bytes.extend_from_slice(match part {
                Part::Text(text) => text.as_bytes(),
                Part::Refresh => spent.refresh.expose(),
                Part::Access => spent.access.expose(),
                Part::Subject => spent.identity.subject.as_bytes(),
                Part::Secret(secret) => secret.expose(),
            });
        }
        bytes
    }

    /// The value of a header field.
    ///
    /// # Errors
    ///
    /// [`Unwritable`] when it would hold anything but visible ASCII and inner spaces.
    pub fn header(&self, spent: &Spent) -> Result<HeaderValue, Unwritable> {
        let bytes = self.bytes(spent);
        let is_plain = bytes.iter().all(|byte| matches!(byte, 0x20..=0x7e)) && bytes.trim_ascii().len() == bytes.len();
        let mut value = HeaderValue::from_bytes(&bytes).ok().filter(|_| is_plain).ok_or(Unwritable)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl JsonTemplate {
    /// Reads `node` as a body.
    ///
    /// # Errors
    ///
    /// The place in the conf and a sentence for the operator.
    pub fn read<'n>(node: &'n Node, names: &mut Names) -> Result<Self, (&'n Node, String)> {
        Self::read_to(node, names, DEPTH)
    }

    fn read_to<'n>(node: &'n Node, names: &mut Names, depth: usize) -> Result<Self, (&'n Node, String)> {
        let inner = || depth.checked_sub(1).ok_or((node, format!("a body may nest {DEPTH} levels deep, and this is deeper")));
        Ok(match &node.value {
            NodeValue::Null => Self::Plain(Json::Null),
            NodeValue::Bool(flag) => Self::Plain(Json::Bool(*flag)),
            NodeValue::Int(number) => Self::Plain(Json::from(*number)),
            NodeValue::Float(number) => Self::Plain(Json::from(*number)),
            NodeValue::Text(text) => Self::Text(Template::read(text, names).map_err(|says| (node, says))?),
            NodeValue::List(items) => {
                let depth = inner()?;
                Self::List(items.iter().map(|item| Self::read_to(item, names, depth)).collect::<Result<_, _>>()?)
            }
            NodeValue::Map(entries) => {
                let depth = inner()?;
                let member = |entry: &'n crate::settings::Entry| Ok((entry.key.clone(), Self::read_to(&entry.node, names, depth)?));
                Self::Map(entries.iter().map(member).collect::<Result<_, _>>()?)
            }
        })
    }

    /// The body, with everything in its place and its members in written order.
    ///
    /// # Errors
    ///
    /// [`Unwritable`] when a credential is not UTF-8.
    pub fn body(&self, spent: &Spent) -> Result<Bytes, Unwritable> {
        let mut text = Zeroizing::new(String::new());
        self.write(spent, &mut text)?;
        Ok(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn write(&self, spent: &Spent, text: &mut String) -> Result<(), Unwritable> {
        match self {
            Self::Text(template) => {
                let bytes = template.bytes(spent);
                write_text(std::str::from_utf8(&bytes).map_err(|_| Unwritable)?, text)?;
            }
            Self::Plain(value) => text.push_str(&value.to_string()),
            Self::List(items) => {
                text.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index != 0 {
                        text.push(',');
                    }
                    item.write(spent, text)?;
                }
                text.push(']');
            }
            Self::Map(members) => {
                text.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    if index != 0 {
                        text.push(',');
                    }
                    write_text(name, text)?;
                    text.push(':');
                    value.write(spent, text)?;
                }
                text.push('}');
            }
        }
        Ok(())
    }
}

/// Appends `value` as a JSON string (RFC 8259 section 7).
fn write_text(value: &str, text: &mut String) -> Result<(), Unwritable> {
    let written = Zeroizing::new(serde_json::to_string(value).map_err(|_| Unwritable)?);
    text.push_str(&written);
    Ok(())
}
