//! Whose device a request names: in fields, in the query, in the path, in the body.
//!
//! A device token is a name and no secret, so a caller who may write any is whoever they like. Every place where the API, or an
//! app in its manner, reads one is looked at, without case, and every name found must be the caller's own. A name that cannot be
//! read is nobody's, so it is refused with the others.
//!
//! Deliberately absent: a judgement; that is [`crate::systems::telematics::devices`]'.

use std::borrow::Cow;

use crate::domain::{Refusal, RequestView, Value};
use crate::systems::telematics::breach::invalid;
use crate::systems::telematics::calls::{fold, management};

/// Names under which a device stands, folded. `CustomToken` is the name that a new user is to get.
const DEVICE_NAMES: [&str; 5] = ["devicetoken", "userdevicetoken", "devicetokens", "userdevicetokens", "customtoken"];

/// Names that never stand in a query, because queries end up in logs; folded.
const NEVER_IN_QUERY: [&str; 6] = ["instancekey", "password", "loginfields", "accesstoken", "refreshtoken", "authorization"];

/// Refuses credentials in the query of `request`.
pub(crate) fn refuse_in_query(request: &RequestView<'_>) -> Result<(), Refusal> {
    let is_credential = |(name, _): &(String, String)| NEVER_IN_QUERY.contains(&name.as_str());
    if parameters(request).any(|parameter| is_credential(&parameter)) {
        return Err(invalid("", "A credential stands in a header field or in the body, never in the address."));
    }
    Ok(())
}

/// The devices that the head of `request` names.
pub(crate) fn in_head(request: &RequestView<'_>) -> Vec<String> {
    let in_fields = request.headers.iter().filter(|(name, _)| DEVICE_NAMES.contains(&name.as_str()));
    let mut named: Vec<String> = in_fields.map(|(_, value)| String::from_utf8_lossy(value.as_bytes()).trim().to_owned()).collect();
    named.extend(parameters(request).filter(|(name, _)| DEVICE_NAMES.contains(&name.as_str())).map(|(_, value)| value));
    if let Some(below) = management(&request.target.path)
        && let [users, name] = below.as_slice()
        && users == "users"
        && name != "find"
    {
        named.push(name.clone());
    }
    named
}

/// Whether the query of `request` says something besides the devices that it names.
pub(crate) fn asks_otherwise(request: &RequestView<'_>) -> bool {
    parameters(request).any(|(name, _)| !DEVICE_NAMES.contains(&name.as_str()))
}

/// The devices that `document` names, at any depth. What is no text names a device that is nobody's.
pub(crate) fn in_document(document: &Value) -> Vec<Cow<'_, str>> {
    let mut named = Vec::new();
    collect(document, &mut named);
    named
}

fn collect<'v>(value: &'v Value, named: &mut Vec<Cow<'v, str>>) {
    match value {
        Value::Map(members) => {
            for (name, member) in members {
                match member {
                    Value::Null => {}
                    member if DEVICE_NAMES.contains(&fold(name).as_str()) => devices(member, named),
                    member => collect(member, named),
                }
            }
        }
        Value::List(items) => items.iter().for_each(|item| collect(item, named)),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {}
    }
}

fn devices<'v>(value: &'v Value, named: &mut Vec<Cow<'v, str>>) {
    match value {
        Value::Text(text) => named.push(Cow::Borrowed(text)),
        Value::List(items) => items.iter().for_each(|item| devices(item, named)),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Map(_) => named.push(Cow::Borrowed("")),
    }
}

/// The devices that a form names.
pub(crate) fn in_form(body: &[u8]) -> Vec<String> {
    pairs(body).filter(|(name, _)| DEVICE_NAMES.contains(&name.as_str())).map(|(_, value)| value).collect()
}

fn parameters<'r>(request: &'r RequestView<'_>) -> impl Iterator<Item = (String, String)> + 'r {
    pairs(request.target.query.as_deref().unwrap_or_default().as_bytes())
}

/// Names, folded and without an index (`DeviceToken[0]`), and values, both decoded as leniently as any server does.
fn pairs(text: &[u8]) -> impl Iterator<Item = (String, String)> {
    form_urlencoded::parse(text).map(|(name, value)| {
        let name = name.split('[').next().unwrap_or_default();
        (fold(name.trim()), value.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::{in_document, in_form};
    use crate::systems::telematics::body::document;

    #[test]
    fn a_document_names_devices_at_any_depth() {
        let rows: [(&str, &[&str], &str); 9] = [
            (r#"{"DeviceToken":"a"}"#, &["a"], "as it is written"),
            (r#"{"userdevicetoken":"a","x":{"y":[{"DEVICETOKEN":"b"}]}}"#, &["a", "b"], "in any case, further down"),
            (r#"[{"CustomToken":"a"},{"CustomToken":"b"}]"#, &["a", "b"], "of many"),
            (r#"{"DeviceTokens":["a",["b"]]}"#, &["a", "b"], "lists of them"),
            (r#"{"DeviceToken":7}"#, &[""], "a number is nobody's"),
            (r#"{"DeviceToken":{"x":1}}"#, &[""], "an object is nobody's"),
            (r#"{"Device\u0054oken":"a"}"#, &["a"], "escaped"),
            (r#"{"DeviceToken":null}"#, &[], "null names nobody"),
            (r#"{"Device":"a","Token":"b"}"#, &[], "other names"),
        ];
        for (text, expected, shows) in rows {
            assert_eq!(in_document(&document(text.as_bytes()).unwrap()), expected, "{shows}: {text}");
        }
    }

    #[test]
    fn a_form_names_devices_in_any_spelling() {
        let rows: [(&str, &[&str]); 6] = [
            ("DeviceToken=a", &["a"]),
            ("x=1&devicetoken=a&UserDeviceToken=b", &["a", "b"]),
            ("%44eviceToken=a%20", &["a"]),
            ("DeviceToken[0]=a", &["a"]),
            ("DeviceToken", &[""]),
            ("Device=a", &[]),
        ];
        for (text, expected) in rows {
            assert_eq!(in_form(text.as_bytes()), expected, "{text}");
        }
    }
}
