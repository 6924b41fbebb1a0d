//! Reads one mapping of the conf against its description.
//!
//! [`Section::open`] proves the form of the whole mapping at once: unknown keys, missing keys, wrong
//! shapes, values out of bounds. What it returns can be read without further questions; meaning (does this
//! name exist, is this key strong enough) is the business of each section's own check.

use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use url::Url;

use crate::domain::Seconds;
use crate::settings::fault::{Faults, suggest};
use crate::settings::node::{Node, NodeValue, Span};
use crate::settings::shape::{KeySpec, Presence, SectionSpec, Shape};

/// A mapping whose form has been proven against its [`SectionSpec`].
#[derive(Debug, Clone, Copy)]
pub struct Section<'n> {
    spec: &'static SectionSpec,
    node: &'n Node,
}

impl<'n> Section<'n> {
    /// Proves the form of `node`, noting every fault; `None` when there was an error in it.
    pub fn open(spec: &'static SectionSpec, node: &'n Node, faults: &mut Faults) -> Option<Self> {
        let before = faults.errors();
        prove_mapping(spec.title, spec.keys, node, faults);
        (faults.errors() == before).then_some(Self { spec, node })
    }

    /// `node` read as this section although its form was not proven here: by whoever has seen to that elsewhere, or
    /// can do with the default of a key whose value is of a wrong form.
    #[must_use]
    pub fn unproven(spec: &'static SectionSpec, node: &'n Node) -> Self {
        Self { spec, node }
    }

    /// Where the section starts.
    #[must_use]
    pub fn span(&self) -> &'n Span {
        &self.node.span
    }

    /// Where the value of `key` stands, or the section itself when it is not written.
    #[must_use]
    pub fn span_of(&self, key: &str) -> &'n Span {
        self.node(key).map_or(&self.node.span, |node| &node.span)
    }

    /// What is written under `key`.
    ///
    /// A key written as `null` counts as not written.
    #[must_use]
    pub fn node(&self, key: &str) -> Option<&'n Node> {
        debug_assert!(self.spec.keys.iter().any(|spec| spec.name == key), "{} has no key {key}", self.spec.title);
        self.node.get(key).filter(|node| node.value != NodeValue::Null)
    }

    /// Text under `key`, or its default.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&'n str> {
        match self.node(key) {
            Some(node) => node.as_text(),
            None => self.default_of(key),
        }
    }

    /// Text items under `key`; one item may stand alone. Empty when not written and without a default.
    #[must_use]
    pub fn texts(&self, key: &str) -> Vec<&'n str> {
        match self.node(key) {
            Some(node) => match &node.value {
                NodeValue::Text(text) => vec![text.as_str()],
                NodeValue::List(items) => items.iter().filter_map(Node::as_text).collect(),
                _ => Vec::new(),
            },
            None => self.default_of(key).map_or_else(Vec::new, |text| {
                text.trim_matches(['[', ']']).split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
            }),
        }
    }

    /// The items under `key`; a single value that is not a list counts as one item.
    #[must_use]
    pub fn items(&self, key: &str) -> Vec<&'n Node> {
        match self.node(key) {
            None => Vec::new(),
            Some(node) => node.as_list().map_or_else(|| vec![node], |items| items.iter().collect()),
        }
    }

    /// The flag under `key`, or its default, or `false`.
    #[must_use]
    pub fn flag(&self, key: &str) -> bool {
        match self.node(key).map(|node| &node.value) {
            Some(NodeValue::Bool(flag)) => *flag,
            _ => self.default_of(key) == Some("true"),
        }
    }

    /// The whole number under `key`, or its default.
    #[must_use]
    pub fn count(&self, key: &str) -> Option<i64> {
        match self.node(key).map(|node| &node.value) {
            Some(NodeValue::Int(number)) => Some(*number),
            _ => self.default_of(key).and_then(|text| text.parse().ok()),
        }
    }

    /// The length of time under `key`, or its default.
    #[must_use]
    pub fn duration(&self, key: &str) -> Option<Duration> {
        let text = self.text(key)?;
        parse_duration(text)
    }

    /// The length of time under `key` in whole seconds, or its default.
    #[must_use]
    pub fn seconds(&self, key: &str) -> Option<Seconds> {
        self.duration(key).map(|length| Seconds(u32::try_from(length.as_secs()).unwrap_or(u32::MAX)))
    }

    /// The size under `key` in bytes, or its default.
    #[must_use]
    pub fn size(&self, key: &str) -> Option<usize> {
        let bytes = match self.node(key).map(|node| &node.value) {
            Some(NodeValue::Int(number)) => u64::try_from(*number).ok(),
            Some(NodeValue::Text(text)) => parse_size(text),
            _ => self.default_of(key).and_then(parse_size),
        };
        bytes.and_then(|bytes| usize::try_from(bytes).ok())
    }

    /// The URL under `key`.
    #[must_use]
    pub fn url(&self, key: &str) -> Option<Url> {
        self.text(key).and_then(|text| Url::parse(text).ok())
    }

    /// The header name under `key`, or its default.
    #[must_use]
    pub fn header(&self, key: &str) -> Option<HeaderName> {
        self.text(key).and_then(|text| HeaderName::from_bytes(text.as_bytes()).ok())
    }

    /// The path under `key`, as written.
    #[must_use]
    pub fn path(&self, key: &str) -> Option<PathBuf> {
        self.text(key).map(PathBuf::from)
    }

    fn default_of(&self, key: &str) -> Option<&'static str> {
        let spec = self.spec.keys.iter().find(|spec| spec.name == key)?;
        match spec.presence {
            Presence::Default(text) => Some(text),
            Presence::Required | Presence::Optional => None,
        }
    }
}

/// Proves that `node` is a mapping with the given keys.
fn prove_mapping(title: &str, keys: &[KeySpec], node: &Node, faults: &mut Faults) {
    let Some(entries) = node.as_map() else {
        faults.error(&node.span, format!("{title} is a mapping; found {}", node.kind()));
        return;
    };
    for entry in entries {
        match keys.iter().find(|spec| spec.name == entry.key) {
            Some(spec) if entry.node.value == NodeValue::Null && spec.presence != Presence::Required => {}
            Some(spec) => prove(spec.shape, spec.name, &entry.node, faults),
            None => unknown_key(title, &entry.key, keys.iter().map(|spec| spec.name), &entry.span, faults),
        }
    }
    for spec in keys {
        if spec.presence == Presence::Required && node.get(spec.name).is_none() {
            faults.error(&node.span, format!("{title} needs `{}`: {}", spec.name, spec.doc));
        }
    }
}

fn unknown_key<'k>(title: &str, key: &str, known: impl Iterator<Item = &'k str> + Clone, at: &Span, faults: &mut Faults) {
    let hint = suggest(key, known.clone());
    let known: Vec<&str> = known.collect();
    let rest = if hint.is_empty() { format!("; it knows: {}", known.join(", ")) } else { hint };
    faults.error(at, format!("{title} knows no key `{key}`{rest}"));
}

/// Proves that `node` has `shape`, noting every fault. `key` names it in messages.
pub fn prove(shape: Shape, key: &str, node: &Node, faults: &mut Faults) {
    let wrong = |faults: &mut Faults, wanted: &str| {
        faults.error(&node.span, format!("`{key}` must be {wanted}; found {}", node.kind()));
    };
    match (shape, &node.value) {
        (Shape::Text | Shape::Name(_) | Shape::Expression | Shape::File | Shape::Path, NodeValue::Text(text)) => {
            if text.is_empty() {
                faults.error(&node.span, format!("`{key}` must not be empty"));
            }
        }
        (Shape::Text | Shape::Name(_) | Shape::File | Shape::Path, NodeValue::Bool(_) | NodeValue::Int(_) | NodeValue::Float(_)) => {
            wrong(faults, "text, so put it in quotes");
        }
        (Shape::Text | Shape::Name(_) | Shape::File | Shape::Path, _) => wrong(faults, "text"),
        (Shape::Expression, _) => wrong(faults, "a CEL expression, written as text"),
        (Shape::Bool, NodeValue::Bool(_)) | (Shape::Free(_), _) => {}
        (Shape::Bool, _) => wrong(faults, "`true` or `false`"),
        (Shape::Count { min, max }, NodeValue::Int(number)) => {
            if *number < min || max < *number {
                faults.error(&node.span, format!("`{key}` must be between {min} and {max}; found {number}"));
            }
        }
        (Shape::Count { .. }, _) => wrong(faults, "a whole number"),
        (Shape::Duration { min, max }, NodeValue::Text(text)) => prove_duration(key, text, min, max, node, faults),
        (Shape::Duration { .. }, _) => wrong(faults, "a length of time such as `30s`, `5m` or `1h`"),
        (Shape::Size { min, max }, value) => {
            let bytes = match value {
                NodeValue::Int(number) => u64::try_from(*number).ok(),
                NodeValue::Text(text) => parse_size(text),
                _ => None,
            };
            match bytes {
                None => wrong(faults, "a size such as `512`, `64KiB` or `1MiB`"),
                Some(bytes) if bytes < min || max < bytes => {
                    faults.error(&node.span, format!("`{key}` must be between {min} and {max} bytes; found {bytes}"));
                }
                Some(_) => {}
            }
        }
        (Shape::Url, NodeValue::Text(text)) => prove_url(key, text, node, faults),
        (Shape::Url, _) => wrong(faults, "an absolute http or https URL"),
        (Shape::HeaderName, NodeValue::Text(text)) => {
            if HeaderName::from_bytes(text.as_bytes()).is_err() {
                faults.error(&node.span, format!("`{text}` is not a header field name (RFC 9110 section 5.1)"));
            }
        }
        (Shape::HeaderName, _) => wrong(faults, "a header field name"),
        (Shape::Secret, NodeValue::Text(_)) => {} // whether it may stand here is decided by `Checking::secret`
        (Shape::Secret, NodeValue::Map(entries)) => match entries.as_slice() {
            [entry] if (entry.key == "env" || entry.key == "file") && entry.node.as_text().is_some() => {}
            _ => faults.error(&node.span, format!("`{key}` must be a secret reference: `{{ env: NAME }}` or `{{ file: path }}`")),
        },
        (Shape::Secret, _) => wrong(faults, "a secret reference: `{ env: NAME }` or `{ file: path }`"),
        (Shape::OneOf(words), NodeValue::Text(text)) => {
            if !words.contains(&text.as_str()) {
                let hint = suggest(text, words.iter().copied());
                faults.error(&node.span, format!("`{key}` must be one of {}; found `{text}`{hint}", words.join(", ")));
            }
        }
        (Shape::OneOf(words), _) => wrong(faults, &format!("one of {}", words.join(", "))),
        (Shape::List { of, min, .. }, NodeValue::List(items)) => {
            if items.len() < min {
                faults.error(&node.span, format!("`{key}` needs at least {min}; an empty list would match nothing and nobody"));
            }
            for item in items {
                prove(*of, key, item, faults);
            }
        }
        (Shape::List { of, lone: true, .. }, _) => prove(*of, key, node, faults),
        (Shape::List { .. }, _) => wrong(faults, "a list"),
        (Shape::Map(of), NodeValue::Map(entries)) => {
            for entry in entries {
                prove(*of, &entry.key, &entry.node, faults);
            }
        }
        (Shape::Map(_), _) => wrong(faults, "a mapping"),
        (Shape::Section(spec), _) => prove_mapping(&format!("`{key}`"), spec.keys, node, faults),
        (Shape::Kind { what, kinds, beside }, NodeValue::Map(_)) => prove_kind(what, &kinds(), beside, key, node, faults),
        (Shape::Kind { what, kinds, .. }, _) => {
            let names: Vec<&str> = kinds().iter().map(|kind| kind.name).collect();
            wrong(faults, &format!("a mapping whose key says which {what} it is: {}", names.join(", ")));
        }
        (Shape::Either(shapes), _) => prove_either(shapes, key, node, faults),
    }
}

fn prove_kind(what: &str, kinds: &[crate::settings::shape::Choice], beside: &[KeySpec], key: &str, node: &Node, faults: &mut Faults) {
    let mut chosen: Option<&str> = None;
    for entry in node.as_map().unwrap_or_default() {
        if let Some(kind) = kinds.iter().find(|kind| kind.name == entry.key) {
            if let Some(first) = chosen {
                faults.error(&entry.span, format!("`{key}` is already a {what} of kind `{first}`; it cannot be `{}` too", kind.name));
            }
            chosen = Some(kind.name);
            prove(kind.shape, kind.name, &entry.node, faults);
        } else if let Some(spec) = beside.iter().find(|spec| spec.name == entry.key) {
            if entry.node.value != NodeValue::Null {
                prove(spec.shape, spec.name, &entry.node, faults);
            }
        } else {
            let known = kinds.iter().map(|kind| kind.name).chain(beside.iter().map(|spec| spec.name));
            unknown_key(&format!("`{key}`, a {what},"), &entry.key, known, &entry.span, faults);
            chosen = chosen.or(Some("?"));
        }
    }
    if chosen.is_none() {
        let names: Vec<&str> = kinds.iter().map(|kind| kind.name).collect();
        faults.error(&node.span, format!("`{key}` does not say which {what} it is; write one of: {}", names.join(", ")));
    }
    for spec in beside {
        if spec.presence == Presence::Required && node.get(spec.name).is_none() {
            faults.error(&node.span, format!("`{key}` needs `{}`: {}", spec.name, spec.doc));
        }
    }
}

/// Of several shapes, the one whose outer form fits is proven; when none fits, all are named.
fn prove_either(shapes: &[Shape], key: &str, node: &Node, faults: &mut Faults) {
    let mut fewest: Option<Faults> = None;
    for shape in shapes {
        let mut tried = Faults::default();
        prove(*shape, key, node, &mut tried);
        if tried.errors() == 0 {
            faults.extend(tried);
            return;
        }
        if form_fits(*shape, node) && fewest.as_ref().is_none_or(|best| tried.errors() < best.errors()) {
            fewest = Some(tried);
        }
    }
    match fewest {
        Some(tried) => faults.extend(tried),
        None => faults.error(&node.span, format!("`{key}` cannot be {}", node.kind())),
    }
}

/// Whether the outer form of `node` is the one that `shape` speaks of; single values fit every shape, so that the
/// most fitting complaint wins.
pub(super) fn form_fits(shape: Shape, node: &Node) -> bool {
    match &node.value {
        NodeValue::Map(_) => matches!(shape, Shape::Section(_) | Shape::Map(_) | Shape::Kind { .. } | Shape::Secret | Shape::Free(_)),
        NodeValue::List(_) => matches!(shape, Shape::List { .. } | Shape::Free(_)),
        _ => true,
    }
}

fn prove_duration(key: &str, text: &str, min: u32, max: u32, node: &Node, faults: &mut Faults) {
    match parse_duration(text) {
        None => faults.error(&node.span, format!("`{key}` must be a length of time such as `30s`, `5m` or `1h`; found `{text}`")),
        Some(length) if length < Duration::from_secs(min.into()) || Duration::from_secs(max.into()) < length => {
            faults.error(&node.span, format!("`{key}` must be between {min}s and {max}s; found `{text}`"));
        }
        Some(_) => {}
    }
}

fn prove_url(key: &str, text: &str, node: &Node, faults: &mut Faults) {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
            if !url.username().is_empty() || url.password().is_some() {
                faults.error(&node.span, format!("`{key}` must not carry a user name or password; use a secret reference"));
            }
        }
        _ => faults.error(&node.span, format!("`{key}` must be an absolute URL such as `https://id.example`; found `{text}`")),
    }
}

/// Whether `node` has `shape`, without saying what is wrong with it where it has not.
///
/// For checks of meaning: they skip what the reader has complained about already.
#[must_use]
pub fn sound(shape: Shape, node: &Node) -> bool {
    let mut faults = Faults::default();
    prove(shape, "", node, &mut faults);
    faults.errors() == 0
}

/// Reads `500ms`, `30s`, `5m`, `1h` or `2d`; `None` for anything else.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let split = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (digits, unit) = text.split_at(split);
    let number: u64 = digits.parse().ok()?;
    let seconds = match unit {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// Reads `512`, `64KiB`, `1MiB` or `1GiB` as bytes; `None` for anything else.
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    let split = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let number: u64 = digits.parse().ok()?;
    let factor: u64 = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor)
}
