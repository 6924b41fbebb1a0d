//! JSON text to [`Claims`] or [`Value`], with one reading only.
//!
//! Refused: names that stand twice in one object (compared after unescaping), nesting beyond a bound, anything after
//! the first value, text that is not UTF-8, lone surrogates, numbers beyond any float. Nothing is repaired.
//!
//! Rules: RFC 8259, RFC 7493 (I-JSON), RFC 7519 section 4 (duplicate claim names).

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::domain::claims::Writer;
use crate::domain::{Claims, Value};

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
    read(bytes, depth).map(|claims| claims.to_value())
}

/// Like [`parse`], as claims that are kept.
///
/// # Errors
///
/// See [`JsonFault`].
pub fn parse_claims(bytes: &[u8]) -> Result<Claims, JsonFault> {
    read(bytes, MAX_DEPTH)
}

fn read(bytes: &[u8], depth: usize) -> Result<Claims, JsonFault> {
    /// The parser underneath gives up at 128 levels, as malformed; ours must speak first.
    const DEEPEST: usize = 100;
    // All at once, where the parser would look at each text by itself.
    let text = std::str::from_utf8(bytes).map_err(|_| JsonFault::Malformed)?;
    let fault = Cell::new(JsonFault::Malformed);
    let mut writer = Writer::with_room(text.len());
    let mut reader = serde_json::Deserializer::from_str(text);
    let reading = Reading { depth: depth.min(DEEPEST), fault: &fault, writer: &mut writer };
    reading.deserialize(&mut reader).map_err(|_| fault.get())?;
    reader.end().map_err(|_| JsonFault::Malformed)?;
    Ok(writer.finish())
}

/// Reads one value into a writer, knowing how many levels may still open.
struct Reading<'r> {
    depth: usize,
    /// What went wrong, when it was one of our own rules.
    fault: &'r Cell<JsonFault>,
    writer: &'r mut Writer,
}

impl Reading<'_> {
    fn fail<E: Error>(&self, fault: JsonFault) -> E {
        self.fault.set(fault);
        E::custom(fault)
    }

    /// One level less for what is inside.
    fn enter<E: Error>(&mut self) -> Result<(), E> {
        self.depth = self.depth.checked_sub(1).ok_or_else(|| self.fail(JsonFault::TooDeep))?;
        Ok(())
    }

    /// The same for the next value.
    fn next(&mut self) -> Reading<'_> {
        Reading { depth: self.depth, fault: self.fault, writer: &mut *self.writer }
    }
}

impl<'de> DeserializeSeed<'de> for Reading<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reading<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.writer.null();
        Ok(())
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<(), E> {
        self.writer.bool(flag);
        Ok(())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.writer.int(number);
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        match i64::try_from(number) {
            Ok(number) => self.writer.int(number),
            #[allow(clippy::cast_precision_loss, reason = "beyond 2^63 only the magnitude is kept; no rule reads it as a whole number")]
            Err(_) => self.writer.float(number as f64),
        }
        Ok(())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        if !number.is_finite() {
            return Err(self.fail(JsonFault::Malformed));
        }
        self.writer.float(number);
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.writer.text(text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        self.enter()?;
        self.writer.open_list();
        while items.next_element_seed(self.next())?.is_some() {}
        self.writer.close();
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        self.enter()?;
        self.writer.open_map();
        let mut names = Names::from(self.writer.position());
        while let Some(()) = entries.next_key_seed(Name { writer: &mut *self.writer, names: &mut names })? {
            entries.next_value_seed(self.next())?;
        }
        if names.stand_twice(self.writer) {
            return Err(self.fail(JsonFault::Duplicate));
        }
        self.writer.close();
        Ok(())
    }
}

/// Reads the name of a member.
struct Name<'r> {
    writer: &'r mut Writer,
    names: &'r mut Names,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<(), E> {
        self.names.meet(name, self.writer);
        self.writer.text(name);
        Ok(())
    }
}

/// The names of one object so far.
struct Names {
    /// Where the first of them stands.
    start: usize,
    count: usize,
    /// One bit for each name met, by its length and ends; a name whose bit is not set is new.
    marks: u64,
    twice: bool,
}

impl Names {
    /// So many are compared as they come; were there more, that would take quadratic time, and they are sorted at the end.
    const FEW: usize = 24;

    fn from(start: usize) -> Self {
        Self { start, count: 0, marks: 0, twice: false }
    }

    /// Notes `name`, before it is written.
    fn meet(&mut self, name: &str, writer: &Writer) {
        let bytes = name.as_bytes();
        let ends = bytes.first().zip(bytes.last()).map_or(0, |(first, last)| usize::from(*first) * 5 + usize::from(*last) * 3);
        let mark = 1 << ((ends + bytes.len()) % 64);
        if self.marks & mark != 0 && self.count < Self::FEW {
            self.twice |= writer.members(self.start).any(|(earlier, _)| earlier == name);
        }
        self.marks |= mark;
        self.count += 1;
    }

    /// Whether a name stands twice, once all are written.
    fn stand_twice(&self, writer: &Writer) -> bool {
        if self.twice || self.count <= Self::FEW {
            return self.twice;
        }
        let mut names: Vec<&str> = writer.members(self.start).map(|(name, _)| name).collect();
        names.sort_unstable();
        names.windows(2).any(|pair| matches!(pair, [first, second] if first == second))
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

#[cfg(test)]
mod tests;
