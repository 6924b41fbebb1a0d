//! What a caller hands to a service: a JSON object or a form, with one reading or none.
//!
//! Whatever is not understood is an error that says what would be right: a binding that was mistyped and passed over would be
//! a ticket that is good everywhere. No name twice, no empty value, no unknown member. Nothing that was sent is echoed.
//!
//! Rules: RFC 8259 and RFC 7493 (JSON, by `jose::json`), the URL standard section 5.1 (forms; broken escapes are refused, not
//! repaired), RFC 6749 section 3.2 (no parameter twice).

use std::borrow::Cow;

use crate::domain::{RequestView, Value};
use crate::issuer::contract::Call;
use crate::jose::{form, json};
use http::header::CONTENT_TYPE;

/// How deep what is handed in may nest.
const DEPTH: usize = 3;

/// More fields than any service reads.
const MOST_FIELDS: usize = 32;

/// What was handed in: values by their path, `bind.address` for the member `address` of the object `bind`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Submission {
    /// No path twice.
    fields: Vec<(Box<str>, Value)>,
    /// Whether it was a form, in which everything is text.
    form: bool,
}

/// Why it cannot be read, in words for whoever sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unread {
    /// 400, or 415 where the type of the body is none that we read.
    pub status: u16,
    /// What would be right. Holds nothing that was sent.
    pub says: Cow<'static, str>,
}

impl Unread {
    /// Something is wrong with the request: 400.
    #[must_use]
    pub fn wrong(says: impl Into<Cow<'static, str>>) -> Self {
        Self { status: 400, says: says.into() }
    }
}

impl Submission {
    /// Reads the body of `call`; without one, nothing was handed in.
    ///
    /// # Errors
    ///
    /// [`Unread`].
    pub fn read(call: &Call<'_>) -> Result<Self, Unread> {
        if call.body.is_empty() {
            return Ok(Self { fields: Vec::new(), form: false });
        }
        match media_type(call.request).as_deref() {
            Some("application/json") => {
                let value = json::parse_to_depth(&call.body, DEPTH).map_err(|fault| Unread::wrong(format!("the body is {fault}")))?;
                let fields = flat(value).ok_or(Unread::wrong("the body is not a JSON object with plain names"))?;
                Ok(Self { fields, form: false })
            }
            Some("application/x-www-form-urlencoded") => {
                let says = "the body is not a form of distinct names, each with a value, in escaped UTF-8";
                form(&call.body).map(|fields| Self { fields, form: true }).ok_or(Unread::wrong(says))
            }
            _ => Err(Unread { status: 415, says: "send application/json or application/x-www-form-urlencoded".into() }),
        }
    }

    /// Shows that nothing was handed in but `known` paths.
    ///
    /// # Errors
    ///
    /// [`Unread`] names those that are known.
    pub fn only(&self, known: &[&str]) -> Result<(), Unread> {
        if self.fields.iter().all(|(path, _)| known.contains(&&**path)) {
            return Ok(());
        }
        Err(Unread::wrong(format!("there is a member that is not known here; known are: {}", known.join(", "))))
    }

    fn at(&self, path: &str) -> Option<&Value> {
        self.fields.iter().find(|(known, _)| **known == *path).map(|(_, value)| value)
    }

    /// The text at `path`; it is not empty.
    ///
    /// # Errors
    ///
    /// [`Unread`] when it is anything else.
    pub fn text(&self, path: &'static str) -> Result<Option<&str>, Unread> {
        match self.at(path) {
            None => Ok(None),
            Some(Value::Text(text)) if !text.is_empty() => Ok(Some(text)),
            Some(_) => Err(Unread::wrong(format!("`{path}` is a text that is not empty"))),
        }
    }

    /// The whole number at `path`.
    ///
    /// # Errors
    ///
    /// [`Unread`] when it is anything else.
    pub fn number(&self, path: &'static str) -> Result<Option<i64>, Unread> {
        let number = match self.at(path) {
            None => return Ok(None),
            Some(Value::Int(number)) => Some(*number),
            Some(Value::Text(text)) if self.form && text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            Some(_) => None,
        };
        number.map(Some).ok_or_else(|| Unread::wrong(format!("`{path}` is a whole number")))
    }

    /// The flag at `path`.
    ///
    /// # Errors
    ///
    /// [`Unread`] when it is anything else.
    pub fn flag(&self, path: &'static str) -> Result<Option<bool>, Unread> {
        match self.at(path) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(Value::Text(text)) if self.form && &**text == "true" => Ok(Some(true)),
            Some(Value::Text(text)) if self.form && &**text == "false" => Ok(Some(false)),
            Some(_) => Err(Unread::wrong(format!("`{path}` is true or false"))),
        }
    }

    /// The words at `path`: a list of texts; in a form, one text with spaces between them.
    ///
    /// # Errors
    ///
    /// [`Unread`] when it is anything else, or an empty list.
    pub fn words(&self, path: &'static str) -> Result<Option<Vec<&str>>, Unread> {
        let words: Option<Vec<&str>> = match self.at(path) {
            None => return Ok(None),
            Some(Value::List(items)) => items.iter().map(Value::as_text).collect(),
            Some(Value::Text(text)) if self.form => Some(text.split(' ').collect()),
            Some(_) => None,
        };
        match words {
            Some(words) if !words.is_empty() && words.iter().all(|word| !word.is_empty()) => Ok(Some(words)),
            _ => Err(Unread::wrong(format!("`{path}` is a list of texts, in a form with a space between them"))),
        }
    }
}

/// The type of the body, lower case, without parameters; `None` when there is none, or not exactly one.
fn media_type(request: &RequestView<'_>) -> Option<String> {
    let value = request.sole_header(&CONTENT_TYPE).ok()??;
    let essence = value.split(';').next().unwrap_or_default();
    Some(essence.trim().to_ascii_lowercase())
}

/// The members of an object, those of objects in it by their path; `None` when it is none, or a name could be mistaken for a path.
fn flat(value: Value) -> Option<Vec<(Box<str>, Value)>> {
    let Value::Map(members) = value else { return None };
    let mut fields = Vec::new();
    for (name, member) in members {
        match member {
            _ if name.contains('.') => return None,
            Value::Map(inner) if !inner.is_empty() => {
                for (below, value) in inner {
                    if below.contains('.') {
                        return None;
                    }
                    fields.push((format!("{name}.{below}").into(), value));
                }
            }
            value => fields.push((name, value)),
        }
    }
    (fields.len() <= MOST_FIELDS).then_some(fields)
}

/// The fields of a form; `None` when it has no single reading.
fn form(body: &[u8]) -> Option<Vec<(Box<str>, Value)>> {
    let mut fields: Vec<(Box<str>, Value)> = Vec::new();
    for pair in std::str::from_utf8(body).ok()?.split('&') {
        let (name, value) = pair.split_once('=')?;
        let (name, value) = (form::decoded(name)?, form::decoded(value)?);
        let known = fields.iter().any(|(known, _)| **known == *name);
        if known || name.is_empty() || value.is_empty() || MOST_FIELDS <= fields.len() {
            return None;
        }
        fields.push((name.into(), Value::Text(value.into())));
    }
    Some(fields)
}

#[cfg(test)]
mod tests;
