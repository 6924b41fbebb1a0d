//! Texts of the conf with places in them for what is only known when a request is made.
//!
//! A template is read once. What is put into it is written for where it stands (a JSON string, a form field, a header field), so
//! no credential can end a string or begin another field. `{{` and `}}` stand for the braces themselves; a place that is not
//! known is a fault of the conf, never text.
//!
//! Which places there are is the business of whoever asks: `P` is a type of theirs with a value for each.

use std::fmt::{self, Debug, Write};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use http::HeaderValue;
use serde_json::Value as Json;
use zeroize::Zeroizing;

use crate::domain::Secret;
use crate::settings::{Checking, KeySpec, Node, NodeValue, Section, Shape};

/// How deep a body may nest.
const DEPTH: usize = 16;

/// The secrets that templates may name.
pub const SECRETS_KEY: KeySpec =
    KeySpec::optional("secrets", Shape::Map(&Shape::Secret), "Secrets that the texts may name, as {secrets.NAME}.");

/// What stands in the places of one request.
pub type Filling<'f, 'v, P> = &'f dyn Fn(P) -> &'v [u8];

/// A text with places in it.
#[derive(Debug, Clone)]
pub struct Template<P>(Vec<Part<P>>);

#[derive(Clone)]
enum Part<P> {
    Text(Box<str>),
    Place(P),
    Secret(Box<str>, Secret),
}

/// Shows a secret by its name too, which tells two of one length apart.
impl<P: Debug> Debug for Part<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.debug_tuple("Text").field(text).finish(),
            Self::Place(place) => f.debug_tuple("Place").field(place).finish(),
            Self::Secret(name, secret) => f.debug_tuple("Secret").field(name).field(secret).finish(),
        }
    }
}

/// A JSON body whose texts are templates.
#[derive(Debug, Clone)]
pub enum JsonTemplate<P> {
    /// A text.
    Text(Template<P>),
    /// A value as it is.
    Plain(Json),
    /// A list.
    List(Vec<JsonTemplate<P>>),
    /// An object.
    Map(Vec<(String, JsonTemplate<P>)>),
}

/// What templates may name, and what of it they have named.
#[derive(Debug)]
pub struct Names<P: 'static> {
    whose: &'static str,
    places: &'static [(&'static str, P)],
    said: Vec<P>,
    secrets: Vec<(Box<str>, Secret, bool)>,
}

/// What was to be put into a template cannot stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a credential or subject cannot be written where the conf wants it")]
pub struct Unwritable;

impl<P: Copy + PartialEq + Debug> Names<P> {
    /// `places` by the names they have between braces, for texts of a `whose` (a renewer, an authenticator).
    #[must_use]
    pub fn new(whose: &'static str, places: &'static [(&'static str, P)]) -> Self {
        Self { whose, places, said: Vec::new(), secrets: Vec::new() }
    }

    /// Whose texts these are, as a noun for faults.
    #[must_use]
    pub fn whose(&self) -> &'static str {
        self.whose
    }

    /// Adds the secrets under the key [`SECRETS_KEY`] of `section`, each of which templates may name as `{secrets.NAME}`.
    pub fn define_secrets(&mut self, section: &Section<'_>, checking: &mut Checking<'_>) {
        for entry in section.node(SECRETS_KEY.name).and_then(Node::as_map).unwrap_or_default() {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            if entry.key.is_empty() || !entry.key.bytes().all(is_plain) {
                checking.faults.error(&entry.span, "the name of a secret has letters, digits and `_`");
            }
            if let Some(secret) = checking.secret(&entry.node) {
                self.secrets.push((entry.key.as_str().into(), secret, false));
            }
        }
    }

    /// Warns of every secret that no template has named.
    pub fn warn_of_unused(&self, section: &Section<'_>, checking: &mut Checking<'_>) {
        for (name, ..) in self.secrets.iter().filter(|(_, _, used)| !used) {
            let says = format!("nothing says `{{secrets.{name}}}`; remove it, or use it");
            checking.faults.warn(section.span_of(SECRETS_KEY.name), says);
        }
    }

    /// Whether a template has named `place`.
    #[must_use]
    pub fn says(&self, place: P) -> bool {
        self.said.contains(&place)
    }

    /// A text that is equal exactly when names and secrets are, and from which neither can be told: a digest.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut digest = Context::new(&SHA256);
        for (name, secret, _) in &self.secrets {
            for part in [name.as_bytes(), secret.expose()] {
                digest.update(&(part.len() as u64).to_be_bytes());
                digest.update(part);
            }
        }
        let mut text = String::new();
        for byte in digest.finish().as_ref() {
            // Writing into a String does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    fn part(&mut self, name: &str) -> Result<Part<P>, String> {
        if let Some((_, place)) = self.places.iter().find(|(known, _)| *known == name) {
            self.said.push(*place);
            return Ok(Part::Place(*place));
        }
        let Some(name) = name.strip_prefix("secrets.") else {
            let known: Vec<String> = self.places.iter().map(|(known, _)| format!("{{{known}}}")).collect();
            return Err(format!(
                "`{{{name}}}` is nothing that can be put here; write {} or {{secrets.NAME}}, and `{{{{` for a brace",
                known.join(", ")
            ));
        };
        match self.secrets.iter_mut().find(|(known, ..)| **known == *name) {
            Some((known, secret, used)) => {
                *used = true;
                Ok(Part::Secret(known.clone(), secret.clone()))
            }
            None => Err(format!("`secrets` of this {} defines no `{name}`", self.whose)),
        }
    }
}

impl<P: Copy + PartialEq + Debug> Template<P> {
    /// Reads `text`.
    ///
    /// # Errors
    ///
    /// A sentence for the operator: a place that is not known, or a brace that belongs to none.
    pub fn read(text: &str, names: &mut Names<P>) -> Result<Self, String> {
        const LONE: &str = "a brace stands alone here; write `{{` or `}}` for the brace itself";
        let mut parts: Vec<Part<P>> = Vec::new();
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
    pub fn bytes(&self, filling: Filling<'_, '_, P>) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::new());
        for part in &self.0 {
            bytes.extend_from_slice(match part {
                Part::Text(text) => text.as_bytes(),
                Part::Place(place) => filling(*place),
                Part::Secret(_, secret) => secret.expose(),
            });
        }
        bytes
    }

    /// The value of a header field.
    ///
    /// # Errors
    ///
    /// [`Unwritable`] when it would hold anything but visible ASCII and inner spaces.
    pub fn header(&self, filling: Filling<'_, '_, P>) -> Result<HeaderValue, Unwritable> {
        let bytes = self.bytes(filling);
        let is_plain = bytes.iter().all(|byte| matches!(byte, 0x20..=0x7e)) && bytes.trim_ascii().len() == bytes.len();
        let mut value = HeaderValue::from_bytes(&bytes).ok().filter(|_| is_plain).ok_or(Unwritable)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl<P: Copy + PartialEq + Debug> JsonTemplate<P> {
    /// Reads `node` as a body.
    ///
    /// # Errors
    ///
    /// The place in the conf and a sentence for the operator.
    pub fn read<'n>(node: &'n Node, names: &mut Names<P>) -> Result<Self, (&'n Node, String)> {
        Self::read_to(node, names, DEPTH)
    }

    fn read_to<'n>(node: &'n Node, names: &mut Names<P>, depth: usize) -> Result<Self, (&'n Node, String)> {
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
    pub fn body(&self, filling: Filling<'_, '_, P>) -> Result<Bytes, Unwritable> {
        let mut text = Zeroizing::new(String::new());
        self.write(filling, &mut text)?;
        Ok(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn write(&self, filling: Filling<'_, '_, P>, text: &mut String) -> Result<(), Unwritable> {
        match self {
            Self::Text(template) => {
                let bytes = template.bytes(filling);
                write_text(std::str::from_utf8(&bytes).map_err(|_| Unwritable)?, text)?;
            }
            Self::Plain(value) => text.push_str(&value.to_string()),
            Self::List(items) => {
                text.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index != 0 {
                        text.push(',');
                    }
                    item.write(filling, text)?;
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
                    value.write(filling, text)?;
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
