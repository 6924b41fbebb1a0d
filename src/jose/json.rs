//! JSON text to [`Value`], with one reading only.
//!
//! Refused: names that stand twice in one object (compared after unescaping), nesting beyond a bound, anything after
//! the first value, text that is not UTF-8, lone surrogates, numbers beyond any float. Nothing is repaired.
//!
//! Rules: RFC 8259, RFC 7493 (I-JSON), RFC 7519 section 4 (duplicate claim names).

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::domain::Value;

/// How deep the claims of a token or a key set may nest: an object of flat members has depth 1.
pub const MAX_DEPTH: usize = 8;

/// Why a text is not JSON that we read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    /// It breaks the grammar, is not UTF-8, or goes on after the first value.
    #[error("not well-formed JSON")]
    Malformed,
    /// A name stands twice in one object.
    #[error("a member name stands twice")]
    Duplicate,
    /// It nests deeper than allowed.
    #[error("nested too deeply")]
    TooDeep,
}

/// Reads `bytes` as one JSON value that nests at most [`MAX_DEPTH`] levels.
///
/// The caller bounds the length. Whole numbers within 64 bits become `Int`, all others `Float`.
///
/// # Errors
///
/// See [`JsonFault`].
pub fn parse(bytes: &[u8]) -> Result<Value, JsonFault> {
    parse_to_depth(bytes, MAX_DEPTH)
}

/// Like [`parse`], with another bound on nesting; at most 100, whatever is asked for.
///
/// # Errors
///
/// See [`JsonFault`].
pub fn parse_to_depth(bytes: &[u8], depth: usize) -> Result<Value, JsonFault> {
    /// The parser underneath gives up at 128 levels, as malformed; ours must speak first.
    const DEEPEST: usize = 100;
    let fault = Cell::new(JsonFault::Malformed);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let reading = Reading { depth: depth.min(DEEPEST), fault: &fault };
    let value = reading.deserialize(&mut reader).map_err(|_| fault.get())?;
    reader.end().map_err(|_| JsonFault::Malformed)?;
    Ok(value)
}

/// Reads one value, knowing how many levels may still open.
#[derive(Clone, Copy)]
struct Reading<'f> {
    depth: usize,
    /// What went wrong, when it was one of our own rules.
    fault: &'f Cell<JsonFault>,
}

impl Reading<'_> {
    fn fail<E: Error>(self, fault: JsonFault) -> E {
        self.fault.set(fault);
        E::custom(fault)
    }

    fn deeper<E: Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth, ..self }),
            None => Err(self.fail(JsonFault::TooDeep)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Reading<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reading<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        #[allow(clippy::cast_precision_loss, reason = "beyond 2^63 only the magnitude is kept; no rule reads it as a whole number")]
        Ok(i64::try_from(number).map_or(Value::Float(number as f64), Value::Int))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        if number.is_finite() { Ok(Value::Float(number)) } else { Err(self.fail(JsonFault::Malformed)) }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Value::List(list.into_boxed_slice()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members: Vec<(Box<str>, Value)> = Vec::new();
        while let Some(name) = entries.next_key::<Box<str>>()? {
            members.push((name, entries.next_value_seed(inner)?));
        }
        if has_duplicate(&members) {
            return Err(self.fail(JsonFault::Duplicate));
        }
        Ok(Value::Map(members.into_boxed_slice()))
    }
}

/// `value` as JSON text is made of; `None` where JSON cannot say it (an infinite number).
#[must_use]
pub fn written(value: &Value) -> Option<serde_json::Value> {
    use serde_json::Value as Json;
    Some(match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Int(number) => Json::from(*number),
        Value::Float(number) => Json::Number(serde_json::Number::from_f64(*number)?),
        Value::Text(text) => Json::from(&**text),
        Value::List(items) => Json::Array(items.iter().map(written).collect::<Option<_>>()?),
        Value::Map(members) => {
            Json::Object(members.iter().map(|(name, member)| Some((name.to_string(), written(member)?))).collect::<Option<_>>()?)
        }
    })
}

/// Whether a name stands twice, in less than quadratic time once that matters.
fn has_duplicate(members: &[(Box<str>, Value)]) -> bool {
    const FEW: usize = 24;
    if members.len() <= FEW {
        return members.iter().enumerate().any(|(index, (name, _))| members.iter().take(index).any(|(earlier, _)| earlier == name));
    }
    let mut names: Vec<&str> = members.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| matches!(pair, [first, second] if first == second))
}

#[cfg(test)]
mod tests;
