//! The parameters of a call: the body's, in the order in which they came, each name once.
//!
//! A form, or one flat JSON object of texts where the endpoint takes one. What has no reading, or two, is refused; nothing is
//! trimmed. A body that is changed is written in the form it came in.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use crate::domain::Value;
use crate::jose::form::{self, Parameters as Kind};
use crate::jose::json::{self, JsonFault};

/// What is wrong with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyFault {
    /// It is of no type that is read here, compressed, or in another charset.
    Type,
    /// It has no reading.
    Unreadable,
    /// A name stands in it twice.
    Duplicate,
}

/// Names with their values.
#[derive(Debug)]
pub(super) struct Parameters {
    kind: Kind,
    pairs: Vec<(String, String)>,
    changed: bool,
}

impl Parameters {
    /// Reads `body` as its `Content-Type` says; as JSON only where `takes_json`. An empty one has no parameters.
    pub(super) fn read(headers: &HeaderMap, body: &[u8], takes_json: bool) -> Result<Self, BodyFault> {
        if body.is_empty() {
            return Ok(Self { kind: Kind::Form, pairs: Vec::new(), changed: false });
        }
        let kind = form::body_type(headers).filter(|kind| takes_json || *kind == Kind::Form).ok_or(BodyFault::Type)?;
        let pairs = match kind {
            Kind::Form => {
                let text = std::str::from_utf8(body).map_err(|_| BodyFault::Unreadable)?;
                let pairs = form::pairs(text).ok_or(BodyFault::Unreadable)?;
                if form::repeated(&pairs).is_some() {
                    return Err(BodyFault::Duplicate);
                }
                pairs.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
            }
            Kind::Json => flat(body)?,
        };
        let sound = |(name, _): &(String, String)| !name.is_empty() && !name.chars().any(char::is_control);
        if !pairs.iter().all(sound) {
            return Err(BodyFault::Unreadable);
        }
        Ok(Self { kind, pairs, changed: false })
    }

    /// The value of `name`; an empty one counts as none.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Has `name` be `value`, whatever it was.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        match self.pairs.iter_mut().find(|(other, _)| other == name) {
            Some((_, old)) if old == value => {}
            Some((_, old)) => {
                value.clone_into(old);
                self.changed = true;
            }
            None => {
                self.pairs.push((name.to_owned(), value.to_owned()));
                self.changed = true;
            }
        }
    }

    /// Takes `name` out.
    pub(super) fn remove(&mut self, name: &str) {
        let before = self.pairs.len();
        self.pairs.retain(|(other, _)| other != name);
        self.changed |= self.pairs.len() != before;
    }

    /// The body to send in place of the client's, when something was changed.
    pub(super) fn rewritten(&self) -> Option<Bytes> {
        if !self.changed {
            return None;
        }
        Some(match self.kind {
            Kind::Form => form::written(self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))).into(),
            Kind::Json => {
                let members = self.pairs.iter().map(|(name, value)| (name.clone(), serde_json::Value::from(value.as_str()))).collect();
                serde_json::Value::Object(members).to_string().into()
            }
        })
    }

    /// The type of the body, for one that had none because it was empty.
    pub(super) fn media_type(&self) -> HeaderValue {
        HeaderValue::from_static(match self.kind {
            Kind::Form => "application/x-www-form-urlencoded",
            Kind::Json => "application/json",
        })
    }
}

/// The members of a flat object; whole numbers and flags are read as their text.
fn flat(body: &[u8]) -> Result<Vec<(String, String)>, BodyFault> {
    let value = json::parse(body).map_err(|fault| match fault {
        JsonFault::Duplicate => BodyFault::Duplicate,
        JsonFault::Malformed | JsonFault::TooDeep => BodyFault::Unreadable,
    })?;
    let Value::Map(members) = value else { return Err(BodyFault::Unreadable) };
    members
        .iter()
        .map(|(name, value)| {
            let text: Cow<'_, str> = match value {
                Value::Text(text) => Cow::Borrowed(text),
                Value::Int(number) => Cow::Owned(number.to_string()),
                Value::Bool(flag) => Cow::Owned(flag.to_string()),
                Value::Null | Value::Float(_) | Value::List(_) | Value::Map(_) => return Err(BodyFault::Unreadable),
            };
            Ok((name.to_string(), text.into_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};

    use super::{BodyFault, Parameters};

    const FORM: &str = "application/x-www-form-urlencoded";

    fn fields(media: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(media))])
    }

    fn told(media: &'static str, body: &str, takes_json: bool) -> Result<String, BodyFault> {
        Parameters::read(&fields(media), body.as_bytes(), takes_json).map(|read| read.get("a").unwrap_or("-").to_owned())
    }

    #[test]
    fn a_body_is_read_as_its_type_says_or_not_at_all() {
        let rows = [
            (FORM, "a=1&b=2", true, Ok("1"), "a form"),
            ("Application/X-WWW-Form-Urlencoded; charset=UTF-8", "a=1", false, Ok("1"), "written otherwise"),
            (FORM, "a=", false, Ok("-"), "an empty value counts as none"),
            (FORM, "a=1&a=1", false, Err(BodyFault::Duplicate), "twice the same"),
            (FORM, "a=1&%61=2", false, Err(BodyFault::Duplicate), "twice, in two spellings"),
            (FORM, "a=%zz", false, Err(BodyFault::Unreadable), "no escape"),
            (FORM, "=1", false, Err(BodyFault::Unreadable), "no name"),
            (FORM, "a%0A=1", false, Err(BodyFault::Unreadable), "a control character in a name"),
            ("application/json", r#"{"a":"1"}"#, true, Ok("1"), "JSON where it is taken"),
            ("application/json", r#"{"a":1}"#, true, Ok("1"), "a number as its text"),
            ("application/json", r#"{"a":"1"}"#, false, Err(BodyFault::Type), "JSON where it is not"),
            ("application/json", r#"{"a":"1","a":"2"}"#, true, Err(BodyFault::Duplicate), "a member twice"),
            ("application/json", r#"{"a":{"b":1}}"#, true, Err(BodyFault::Unreadable), "not flat"),
            ("application/json", r#"["a"]"#, true, Err(BodyFault::Unreadable), "no object"),
            ("application/json", "a=1", true, Err(BodyFault::Unreadable), "a form that says it is JSON"),
            ("text/plain", "a=1", true, Err(BodyFault::Type), "another type"),
            ("application/x-www-form-urlencoded; charset=utf-16", "a=1", true, Err(BodyFault::Type), "another charset"),
            ("multipart/form-data; boundary=x", "--x", true, Err(BodyFault::Type), "parts"),
            ("text/plain", "", true, Ok("-"), "nothing needs no type"),
        ];
        for (media, body, takes_json, expected, shows) in rows {
            assert_eq!(told(media, body, takes_json), expected.map(str::to_owned), "{shows}: {body}");
        }
        let read = |fields: &HeaderMap| Parameters::read(fields, b"a=1", false).map(|_| ());
        let mut coded = fields(FORM);
        coded.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert_eq!(read(&coded), Err(BodyFault::Type), "compressed");
        let mut twice = fields(FORM);
        twice.append(CONTENT_TYPE, HeaderValue::from_static(FORM));
        assert_eq!((read(&twice), read(&HeaderMap::new())), (Err(BodyFault::Type), Err(BodyFault::Type)), "two types, and none");
    }

    #[test]
    fn a_changed_body_is_written_as_it_came() {
        let written = |media, body: &str| {
            let mut read = Parameters::read(&fields(media), body.as_bytes(), true).unwrap();
            assert_eq!(read.rewritten(), None, "nothing was changed");
            read.set("a", "x y");
            read.set("c", "ä");
            read.remove("b");
            String::from_utf8(read.rewritten().unwrap().to_vec()).unwrap()
        };
        assert_eq!(written(FORM, "a=1&b=2"), "a=x+y&c=%C3%A4");
        assert_eq!(written("application/json", r#"{"b":"2"}"#), r#"{"a":"x y","c":"ä"}"#);
        let mut same = Parameters::read(&fields(FORM), b"a=1", false).unwrap();
        same.set("a", "1");
        same.remove("z");
        assert_eq!(same.rewritten(), None, "the same values leave the body as it is");
    }
}
