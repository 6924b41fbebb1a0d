//! JSON bodies of the API, with one reading only.
//!
//! Its servers match names without case, so two names that differ in case only are the same name twice, and which of the two
//! would count is anybody's guess. Bodies in other encodings than UTF-8 could be read as another document than the one judged.
//!
//! Deliberately absent: repairs of any kind, and any limit on what else a document may hold.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use crate::domain::{Refusal, Value};
use crate::jose::json::parse_to_depth;
use crate::systems::telematics::breach::{invalid, wrong_type};
use crate::systems::telematics::calls::fold;

/// How deep a document may nest.
const MAX_DEPTH: usize = 32;

/// What a body says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// JSON in UTF-8.
    Json,
    /// Form fields.
    Form,
    /// Nothing, or text that a lenient server might read as JSON.
    Unsaid,
    /// Something else: pictures, archives, parts.
    Opaque,
}

/// What the body of a request with `headers` says it is.
///
/// # Errors
///
/// It says so twice, in another encoding than UTF-8, or compressed where it is one that must be read.
pub(crate) fn kind(headers: &HeaderMap) -> Result<Kind, Refusal> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let written = match (types.next(), types.next()) {
        (None, _) => "",
        (Some(only), None) => only.to_str().map_err(|_| wrong_type())?,
        (Some(_), Some(_)) => return Err(wrong_type()),
    };
    let mut parts = written.split(';');
    let essence = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let kind = match essence.as_str() {
        "application/x-www-form-urlencoded" => Kind::Form,
        // A list of types is none, but a lenient server may take its first.
        json if json.ends_with("/json") || json.ends_with("+json") || json.contains(',') => Kind::Json,
        "" => Kind::Unsaid,
        text if text.starts_with("text/") => Kind::Unsaid,
        _ => Kind::Opaque,
    };
    if kind == Kind::Opaque {
        return Ok(kind);
    }
    let says_utf8 = |part: &str| match part.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            matches!(value.trim().trim_matches('"').to_ascii_lowercase().as_str(), "utf-8" | "utf8")
        }
        _ => true,
    };
    let is_plain = headers.get_all(CONTENT_ENCODING).iter().all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if essence.contains(',') || !parts.all(says_utf8) || !is_plain {
        return Err(wrong_type());
    }
    Ok(kind)
}

/// The JSON document in `text`; `None` when it has no single reading.
pub(crate) fn document(text: &[u8]) -> Option<Value> {
    parse_to_depth(text, MAX_DEPTH).ok().filter(has_one_reading)
}

/// The object that is the body of a call.
///
/// # Errors
///
/// It is no JSON object, or has more than one reading.
pub(crate) fn object(headers: &HeaderMap, body: &[u8]) -> Result<Value, Refusal> {
    if kind(headers)? != Kind::Json {
        return Err(wrong_type());
    }
    document(body)
        .filter(|value| matches!(value, Value::Map(_)))
        .ok_or_else(|| invalid("", "The body must be one JSON object in which no name stands twice, in whatever case."))
}

/// What `object` holds under `name`, which is folded.
pub(crate) fn member<'v>(object: &'v Value, name: &str) -> Option<&'v Value> {
    match object {
        Value::Map(members) => members.iter().find(|(key, _)| fold(key) == name).map(|(_, value)| value),
        _ => None,
    }
}

/// Whether every object in `value` has each name once, without case.
fn has_one_reading(value: &Value) -> bool {
    match value {
        Value::Map(members) => {
            let mut names: Vec<String> = members.iter().map(|(name, _)| fold(name)).collect();
            names.sort_unstable();
            let is_distinct = !names.windows(2).any(|pair| matches!(pair, [first, second] if first == second));
            is_distinct && members.iter().all(|(_, member)| has_one_reading(member))
        }
        Value::List(items) => items.iter().all(has_one_reading),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
    use http::{HeaderMap, HeaderValue};

    use super::{Kind, document, kind, member};

    #[test]
    fn a_body_is_what_it_says_or_is_refused() {
        let rows: [(&[&str], &[&str], Option<Kind>, &str); 17] = [
            (&["application/json"], &[], Some(Kind::Json), "as the vendor's clients send it"),
            (&["Application/JSON; charset=UTF-8"], &[], Some(Kind::Json), "in another case"),
            (&["application/json;charset=\"utf-8\""], &[], Some(Kind::Json), "quoted"),
            (&["application/problem+json"], &[], Some(Kind::Json), "a kind of JSON"),
            (&["text/json"], &[], Some(Kind::Json), "an older name"),
            (&["application/x-www-form-urlencoded"], &[], Some(Kind::Form), "a form"),
            (&[], &[], Some(Kind::Unsaid), "nothing said"),
            (&["text/plain"], &[], Some(Kind::Unsaid), "what a page of another site may send"),
            (&["image/png"], &[], Some(Kind::Opaque), "a picture"),
            (&["multipart/form-data; boundary=x"], &[], Some(Kind::Opaque), "parts"),
            (&["image/png"], &["gzip"], Some(Kind::Opaque), "a compressed picture"),
            (&["application/json"], &["identity"], Some(Kind::Json), "compressed by nothing"),
            (&["application/json"], &["gzip"], None, "compressed"),
            (&["application/json; charset=utf-16"], &[], None, "another encoding, another document"),
            (&["application/json; charset=utf-7"], &[], None, "another encoding of the same bytes"),
            (&["application/json", "image/png"], &[], None, "said twice"),
            (&["image/png, application/json"], &[], None, "said twice in one field"),
        ];
        for (types, codings, expected, shows) in rows {
            let mut headers = HeaderMap::new();
            for written in types {
                headers.append(CONTENT_TYPE, HeaderValue::from_static(written));
            }
            for coding in codings {
                headers.append(CONTENT_ENCODING, HeaderValue::from_static(coding));
            }
            assert_eq!(kind(&headers).ok(), expected, "{shows}");
        }
    }

    #[test]
    fn a_document_has_one_reading_or_none() {
        let rows = [
            (r#"{"A":1,"B":{"A":2}}"#, true, "names of different objects are different"),
            (r#"[{"a":1},{"a":2}]"#, true, "so are those of two items"),
            (r#"{"Password":"a","password":"b"}"#, false, "the same name without case"),
            (r#"{"Password":"a","Pa\u017fsword":"b"}"#, false, "the same name by way of another letter"),
            (r#"{"x":{"DeviceToken":"a","devicetoken":"b"}}"#, false, "further down"),
            (r#"[[{"a":1,"A":1}]]"#, false, "in a list"),
            (r#"{"a":1,"a":1}"#, false, "byte for byte"),
            (r#"{"a":1} "#, true, "a space behind it"),
            (r#"{"a":1}{"#, false, "something behind it"),
            ("", false, "nothing"),
            ("\u{feff}{}", false, "a byte order mark, which some skip"),
            ("{'a':1}", false, "another language"),
            (r#"{"a":1,}"#, false, "a comma too many"),
        ];
        for (text, expected, shows) in rows {
            assert_eq!(document(text.as_bytes()).is_some(), expected, "{shows}: {text}");
        }
        let (deep, deeper) = ("[".repeat(32) + &"]".repeat(32), "[".repeat(33) + &"]".repeat(33));
        assert!(document(deep.as_bytes()).is_some(), "as deep as is read");
        assert!(document(deeper.as_bytes()).is_none(), "one deeper");
    }

    #[test]
    fn a_member_is_found_without_case() {
        let object = document(br#"{"LoginFields":1,"password":null}"#).unwrap();
        assert!(member(&object, "loginfields").is_some());
        assert!(member(&object, "password").is_some(), "null is there");
        assert!(member(&object, "email").is_none());
    }
}
