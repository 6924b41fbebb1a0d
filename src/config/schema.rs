//! The JSON Schema (draft 2020-12) of a conf, for editors, from the same tables that the reader reads by.
//!
//! It speaks of form only. What needs a second look-up is the reader's alone: whether a name resolves, whether a length of
//! time is within its bounds, whether a secret is strong enough.

use serde_json::{Map, Value, json};

use crate::config::sections::CONF;
use crate::settings::{Choice, KeySpec, Presence, SectionSpec, Shape};

/// The whole schema.
#[must_use]
pub fn schema() -> Value {
    let mut writer = Writer::default();
    let mut root = writer.section(&CONF);
    if let Value::Object(members) = &mut root {
        members.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        members.insert("title".to_owned(), json!("countersign configuration"));
        members.insert("$defs".to_owned(), Value::Object(writer.definitions));
    }
    root
}

/// Writes shapes; remembers those that hold themselves.
#[derive(Default)]
struct Writer {
    definitions: Map<String, Value>,
    /// Kinds being written, outermost first, and whether one inside referred to them.
    open: Vec<(&'static str, bool)>,
}

impl Writer {
    fn section(&mut self, spec: &SectionSpec) -> Value {
        let mut properties = Map::new();
        for key in spec.keys {
            properties.insert(key.name.to_owned(), self.key(key));
        }
        json!({
            "type": "object",
            "description": spec.doc,
            "properties": properties,
            "required": required(spec.keys),
            "additionalProperties": false,
        })
    }

    fn key(&mut self, key: &KeySpec) -> Value {
        let shape = self.shape(key.shape);
        let mut members = Map::new();
        members.insert("description".to_owned(), json!(key.doc));
        // A key that need not be written may stand there without a value.
        let choices = if key.presence == Presence::Required { vec![shape] } else { vec![shape, json!({ "type": "null" })] };
        members.insert("anyOf".to_owned(), json!(choices));
        if let Presence::Default(text) = key.presence {
            members.insert("default".to_owned(), default_value(key.shape, text));
        }
        Value::Object(members)
    }

    fn shape(&mut self, shape: Shape) -> Value {
        match shape {
            Shape::Text | Shape::Name(_) | Shape::Expression | Shape::File | Shape::Path => json!({ "type": "string", "minLength": 1 }),
            Shape::Bool => json!({ "type": "boolean" }),
            Shape::Count { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
            Shape::Duration { .. } => json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$" }),
            Shape::Size { min, max } => json!({ "anyOf": [
                { "type": "integer", "minimum": min, "maximum": max },
                { "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB)?$" },
            ] }),
            Shape::Url => json!({ "type": "string", "pattern": "^[hH][tT][tT][pP][sS]?://" }),
            Shape::HeaderName => json!({ "type": "string", "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$" }),
            Shape::Secret => {
                let reference = |word: &str| json!({ "type": "object", "properties": { word: { "type": "string" } }, "required": [word], "additionalProperties": false });
                json!({ "anyOf": [reference("env"), reference("file"), { "type": "string" }] })
            }
            Shape::OneOf(words) => json!({ "enum": words }),
            Shape::List { of, lone, min } => {
                let item = self.shape(*of);
                let list = json!({ "type": "array", "items": item, "minItems": min });
                if lone { json!({ "anyOf": [list, item] }) } else { list }
            }
            Shape::Map(of) => json!({ "type": "object", "additionalProperties": self.shape(*of) }),
            Shape::Section(spec) => self.section(spec),
            Shape::Kind { what, kinds, beside } => self.kind(what, kinds, beside),
            Shape::Either(shapes) => {
                let shapes: Vec<Value> = shapes.iter().map(|shape| self.shape(*shape)).collect();
                json!({ "anyOf": shapes })
            }
            Shape::Free(words) => json!({ "description": words }),
        }
    }

    /// A kind that is met again inside itself is written once, among the definitions.
    fn kind(&mut self, what: &'static str, kinds: fn() -> Vec<Choice>, beside: &[KeySpec]) -> Value {
        let reference = json!({ "$ref": format!("#/$defs/{}", what.replace(' ', "_")) });
        if let Some(open) = self.open.iter_mut().find(|(open, _)| *open == what) {
            open.1 = true;
            return reference;
        }
        self.open.push((what, false));
        let mut properties = Map::new();
        let mut choices = Vec::new();
        for kind in kinds() {
            let mut written = json!({ "description": kind.doc });
            if let Value::Object(members) = &mut written {
                members.insert("anyOf".to_owned(), json!([self.shape(kind.shape)]));
            }
            properties.insert(kind.name.to_owned(), written);
            choices.push(json!({ "required": [kind.name] }));
        }
        for key in beside {
            properties.insert(key.name.to_owned(), self.key(key));
        }
        let written = json!({
            "type": "object",
            "properties": properties,
            "required": required(beside),
            "additionalProperties": false,
            // An empty `oneOf` is no schema at all; where there is no kind yet, nothing fits.
            "oneOf": if choices.is_empty() { vec![json!(false)] } else { choices },
        });
        match self.open.pop() {
            Some((_, true)) => {
                self.definitions.insert(what.replace(' ', "_"), written);
                reference
            }
            _ => written,
        }
    }
}

fn required(keys: &[KeySpec]) -> Vec<&'static str> {
    keys.iter().filter(|key| key.presence == Presence::Required).map(|key| key.name).collect()
}

/// A default as JSON, as far as JSON can say it the way YAML flow style does; as text otherwise.
fn default_value(shape: Shape, text: &str) -> Value {
    match (shape, text) {
        (_, "{}") => json!({}),
        (_, "[]") => json!([]),
        (Shape::Bool, _) => json!(text == "true"),
        (Shape::Count { .. }, _) => text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number)),
        (Shape::List { .. }, _) => {
            json!(text.trim_matches(['[', ']']).split(',').map(str::trim).collect::<Vec<_>>())
        }
        _ => json!(text),
    }
}
