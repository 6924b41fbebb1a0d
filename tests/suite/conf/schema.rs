//! The JSON Schema beside the reader: every shipped conf, and thousands of spoilt ones, get the same answer from both.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;

use countersign::config::sections::CONF;
use countersign::config::{Document, schema};
use countersign::settings::section::prove;
use countersign::settings::{Faults, Node, NodeValue, Shape};
use regex::Regex;
use serde_json::{Map, Value, json};

use crate::conf::files::{shipped, unhidden};

/// Whether `value` fits `schema`: the keywords of draft 2020-12 that ours uses, and a panic for any other.
fn fits(schema: &Value, value: &Value, root: &Value) -> bool {
    let Value::Object(keywords) = schema else { return schema.as_bool().expect("a schema is an object or a flag") };
    keywords.iter().all(|(keyword, wanted)| match keyword.as_str() {
        "$schema" | "$defs" | "title" | "description" | "default" => true,
        "$ref" => {
            let name = wanted.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
            fits(&root["$defs"][name], value, root)
        }
        "type" => match wanted.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64(),
            "null" => value.is_null(),
            other => panic!("unknown type {other}"),
        },
        "enum" => wanted.as_array().unwrap().contains(value),
        "pattern" => value.as_str().is_none_or(|text| matches_pattern(wanted.as_str().unwrap(), text)),
        "minLength" => value.as_str().is_none_or(|text| wanted.as_u64().unwrap() <= text.chars().count() as u64),
        "minItems" => value.as_array().is_none_or(|items| wanted.as_u64().unwrap() <= items.len() as u64),
        "minimum" => value.as_i64().is_none_or(|number| wanted.as_i64().is_none_or(|least| least <= number)),
        "maximum" => value.as_i64().is_none_or(|number| wanted.as_i64().is_none_or(|most| number <= most)),
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| fits(wanted, item, root))),
        "required" => {
            value.as_object().is_none_or(|object| wanted.as_array().unwrap().iter().all(|key| object.contains_key(key.as_str().unwrap())))
        }
        "properties" => value.as_object().is_none_or(|object| {
            wanted.as_object().unwrap().iter().all(|(key, schema)| object.get(key).is_none_or(|value| fits(schema, value, root)))
        }),
        "additionalProperties" => value.as_object().is_none_or(|object| {
            let known = keywords.get("properties").and_then(Value::as_object);
            object.iter().filter(|(key, _)| known.is_none_or(|known| !known.contains_key(*key))).all(|(_, value)| fits(wanted, value, root))
        }),
        "anyOf" => wanted.as_array().unwrap().iter().any(|schema| fits(schema, value, root)),
        "oneOf" => wanted.as_array().unwrap().iter().filter(|schema| fits(schema, value, root)).count() == 1,
        other => panic!("unknown keyword {other}"),
    })
}

/// Whether `text` has what `pattern` says; each pattern is compiled once.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    thread_local!(static COMPILED: RefCell<HashMap<String, Regex>> = RefCell::default());
    COMPILED.with_borrow_mut(|compiled| {
        compiled.entry(pattern.to_owned()).or_insert_with(|| Regex::new(pattern).expect("a pattern of ours")).is_match(text)
    })
}

/// The tree as JSON.
fn json_of(node: &Node) -> Value {
    match &node.value {
        NodeValue::Null => Value::Null,
        NodeValue::Bool(flag) => json!(flag),
        NodeValue::Int(number) => json!(number),
        NodeValue::Float(number) => json!(number),
        NodeValue::Text(text) => json!(text),
        NodeValue::List(items) => items.iter().map(json_of).collect(),
        NodeValue::Map(entries) => {
            Value::Object(entries.iter().map(|entry| (entry.key.clone(), json_of(&entry.node))).collect::<Map<_, _>>())
        }
    }
}

/// Every tree that differs from `node` in one place: a key dropped or renamed, a value of another kind.
fn spoilt(node: &Node) -> Vec<Node> {
    let with = |value: NodeValue| Node { span: node.span.clone(), value };
    let mut found = vec![
        with(NodeValue::Null),
        with(NodeValue::Bool(true)),
        with(NodeValue::Int(-1)),
        with(NodeValue::Text(String::new())),
        with(NodeValue::Text("nonsense ü".to_owned())),
        with(NodeValue::List(Vec::new())),
        with(NodeValue::Map(Vec::new())),
    ];
    match &node.value {
        NodeValue::Map(entries) => {
            for index in 0..entries.len() {
                let mut dropped = entries.clone();
                dropped.remove(index);
                found.push(with(NodeValue::Map(dropped)));
                let mut renamed = entries.clone();
                renamed[index].key.push('x');
                found.push(with(NodeValue::Map(renamed)));
                for value in spoilt(&entries[index].node) {
                    let mut changed = entries.clone();
                    changed[index].node = value;
                    found.push(with(NodeValue::Map(changed)));
                }
            }
        }
        NodeValue::List(items) => {
            for index in 0..items.len() {
                for value in spoilt(&items[index]) {
                    let mut changed = items.clone();
                    changed[index] = value;
                    found.push(with(NodeValue::List(changed)));
                }
            }
        }
        _ => {}
    }
    found
}

/// What the reader says about the form of `node`.
fn read(node: &Node) -> Faults {
    let mut faults = Faults::default();
    prove(Shape::Section(&CONF), "the conf", node, &mut faults);
    faults
}

#[test]
fn the_schema_and_the_reader_agree_on_every_shipped_conf_and_on_every_way_to_spoil_it() {
    let schema = schema::schema();
    let mut refused = 0;
    let mut accepted = 0;
    for path in shipped() {
        let text = unhidden(&fs::read_to_string(&path).unwrap());
        let document = Document::read("conf", text.as_bytes()).expect("a shipped conf is YAML");
        assert!(fits(&schema, &json_of(&document.root), &schema), "{} does not fit the schema", path.display());
        for node in spoilt(&document.root) {
            let faults = read(&node);
            let fits = fits(&schema, &json_of(&node), &schema);
            assert_eq!(fits, faults.errors() == 0, "{}: {}\n{:?}", path.display(), json_of(&node), faults.sorted());
            *if fits { &mut accepted } else { &mut refused } += 1;
        }
    }
    // Both sides of the question were asked, and not a few times.
    assert!(100 < accepted && 1_000 < refused, "accepted {accepted}, refused {refused}");
}

#[test]
fn the_schema_has_no_loose_ends() {
    fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let schema = schema::schema();
    let mut found = Vec::new();
    references(&schema, &mut found);
    assert!(!found.is_empty(), "a requirement holds requirements");
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(schema.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}
