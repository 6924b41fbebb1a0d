//! The body of `Auth/Login`: who logs in, by what, in either of the two forms that are sent.
//!
//! The vendor's page has `LoginFields` as a JSON document in a string, its Android code sends an object; names come in several
//! cases. All of them have the same reading here, and whatever has none is refused: its Python client puts an e-mail address into
//! that string as it is, so a quote in the address writes further members.
//!
//! Deliberately absent: members that nobody has documented, since nothing says whom they would log in.

use serde_json::json;
use zeroize::Zeroizing;

use crate::domain::{Refusal, Value};
use crate::systems::telematics::body::{document, member};
use crate::systems::telematics::breach::invalid;
use crate::systems::telematics::calls::fold;

/// The longest e-mail address (RFC 5321 section 4.5.3.1, with the `@`).
const MAX_EMAIL: usize = 320;

/// The longest password.
const MAX_PASSWORD: usize = 4 * 1024;

/// Who logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Who {
    /// A user of an instance, by the token that names them; the instance's key is their password.
    Device(Box<str>),
    /// An operator, by e-mail address, with a password of their own.
    Operator(Box<str>),
}

/// A login as sent. No `Debug`: a password stands in it.
pub(crate) struct Login {
    /// Who.
    pub(crate) who: Who,
    /// By what; `None` when nothing was sent, or an empty text.
    pub(crate) password: Option<Zeroizing<String>>,
}

/// Reads `body`, an object that has one reading.
///
/// # Errors
///
/// A breach that names the member: `LoginFields` or `Password`.
pub(crate) fn read(body: &Value) -> Result<Login, Refusal> {
    let Value::Map(members) = body else { return Err(fields("A login is an object.")) };
    if members.iter().any(|(name, _)| !matches!(fold(name).as_str(), "loginfields" | "password")) {
        return Err(invalid("", "A login has LoginFields and Password, and nothing else."));
    }
    let who = match member(body, "loginfields") {
        Some(Value::Text(text)) => {
            let inner = document(text.as_bytes()).ok_or_else(|| fields("LoginFields holds no JSON object that has one reading."))?;
            who(&inner)?
        }
        Some(object @ Value::Map(_)) => who(object)?,
        Some(_) => return Err(fields("LoginFields is a JSON object, or one written as a string.")),
        None => return Err(fields("LoginFields is required.")),
    };
    let password = match member(body, "password") {
        None | Some(Value::Null) => None,
        Some(Value::Text(text)) if text.len() <= MAX_PASSWORD => Some(Zeroizing::new(text.to_string())).filter(|text| !text.is_empty()),
        Some(_) => return Err(invalid("Password", "Password is a string of at most 4096 bytes.")),
    };
    Ok(Login { who, password })
}

/// The body that logs `device` in with `key`, in the form and the spelling that the vendor documents.
pub(crate) fn written(device: &str, key: &str) -> String {
    let inner = json!({ "Devicetoken": device }).to_string();
    json!({ "LoginFields": inner, "Password": key }).to_string()
}

/// Whether `text` is a UUID in its usual form (RFC 9562 section 4), in either case.
pub(crate) fn is_uuid(text: &str) -> bool {
    let is_digit = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.len() == 36 && text.bytes().enumerate().all(is_digit)
}

fn who(inner: &Value) -> Result<Who, Refusal> {
    let Value::Map(members) = inner else { return Err(fields("LoginFields holds an object.")) };
    let [(name, Value::Text(text))] = &**members else {
        return Err(fields("LoginFields has one member, a string: Devicetoken or email."));
    };
    match fold(name).as_str() {
        "devicetoken" if is_uuid(text) => Ok(Who::Device(text.clone())),
        "devicetoken" => Err(fields("Devicetoken is a UUID.")),
        "email" if is_email(text) => Ok(Who::Operator(text.clone())),
        "email" => Err(fields("email is an e-mail address.")),
        _ => Err(fields("LoginFields has one member, a string: Devicetoken or email.")),
    }
}

/// Whether `text` may be an e-mail address; whose it is, is not asked here. Nothing that means something in JSON, HTML or a header
/// is in one that is used.
fn is_email(text: &str) -> bool {
    let is_plain = |letter: char| !letter.is_control() && !letter.is_whitespace() && !matches!(letter, '"' | '\\' | '<' | '>' | ',' | ';');
    text.len() <= MAX_EMAIL
        && text.split_once('@').is_some_and(|(local, host)| !local.is_empty() && !host.is_empty() && !host.contains('@'))
        && text.chars().all(is_plain)
}

fn fields(says: &'static str) -> Refusal {
    invalid("LoginFields", says)
}

#[cfg(test)]
mod tests {
    use super::{Who, is_uuid, read, written};
    use crate::systems::telematics::body::document;

    const DEVICE: &str = "8b1cf7f9-0000-4000-8000-000000000001";

    fn who(body: &str) -> Option<Who> {
        read(&document(body.as_bytes())?).ok().map(|login| login.who)
    }

    #[test]
    fn both_forms_and_every_case_have_one_reading() {
        let device = || Some(Who::Device(DEVICE.into()));
        let operator = || Some(Who::Operator("anna@example.com".into()));
        let rows = [
            (
                r#"{"LoginFields":"{\"Devicetoken\":\"8b1cf7f9-0000-4000-8000-000000000001\"}","Password":"k"}"#,
                device(),
                "the vendor's page",
            ),
            (r#"{"LoginFields":{"Devicetoken":"8b1cf7f9-0000-4000-8000-000000000001"},"Password":"k"}"#, device(), "the same as an object"),
            (r#"{"loginFields":{"DeviceToken":"8b1cf7f9-0000-4000-8000-000000000001"},"password":"k"}"#, device(), "its Android code"),
            (r#"{"LOGINFIELDS":"{\"DEVICETOKEN\":\"8b1cf7f9-0000-4000-8000-000000000001\"}"}"#, device(), "capitals, and no password"),
            (r#"{"LoginFields":"{\"email\":\"anna@example.com\"}","Password":"k"}"#, operator(), "an operator"),
            (r#"{"LoginFields":{"Email":"anna@example.com"},"Password":"k"}"#, operator(), "an operator, as an object"),
            (r#"{"LoginFields":"{\"Devicetoken\":\"8b1cf7f9\"}"}"#, None, "no UUID"),
            (r#"{"LoginFields":"{\"Devicetoken\":1}"}"#, None, "no text"),
            (r#"{"LoginFields":{"Devicetoken":"8b1cf7f9-0000-4000-8000-000000000001","email":"a@b"}}"#, None, "two who could be meant"),
            (r#"{"LoginFields":"{\"email\":\"a@b\",\"Email\":\"c@d\"}"}"#, None, "the same name twice"),
            (r#"{"LoginFields":"{\"email\":\"a@b\"","Password":"k"}"#, None, "an inner document that breaks off"),
            (
                r#"{"LoginFields":"{\"email\":\"a\",\"Devicetoken\":\"8b1cf7f9-0000-4000-8000-000000000001\"}"}"#,
                None,
                "what a quote in an address writes",
            ),
            (r#"{"LoginFields":"{\"email\":\"a@b\"} {}"}"#, None, "something behind it"),
            (r#"{"LoginFields":"\"{}\""}"#, None, "a string in the string"),
            (r#"{"LoginFields":[],"Password":"k"}"#, None, "a list"),
            (r#"{"LoginFields":null}"#, None, "null"),
            (r#"{"LoginFields":{}}"#, None, "nobody"),
            (r#"{"Password":"k"}"#, None, "nobody at all"),
            (r#"{"LoginFields":{"email":"a@b@c"}}"#, None, "no address"),
            (r#"{"LoginFields":{"email":"a\"@b"}}"#, None, "a quote in an address"),
            (r#"{"LoginFields":{"email":"a\u0000@b"}}"#, None, "a control in an address"),
            (r#"{"LoginFields":{"Phone":"1"}}"#, None, "a member that nobody has documented"),
            (r#"{"LoginFields":{"email":"a@b"},"Password":"k","Remember":true}"#, None, "another one, outside"),
            (r#"{"LoginFields":{"email":"a@b"},"Password":1}"#, None, "a password that is no text"),
        ];
        for (body, expected, shows) in rows {
            assert_eq!(who(body), expected, "{shows}: {body}");
        }
    }

    #[test]
    fn an_empty_password_is_none() {
        for (password, expected) in [(r#""k""#, Some("k")), (r#""""#, None), ("null", None)] {
            let body = format!(r#"{{"LoginFields":{{"email":"a@b"}},"Password":{password}}}"#);
            let login = read(&document(body.as_bytes()).unwrap()).ok().unwrap();
            assert_eq!(login.password.as_ref().map(|text| text.as_str()), expected, "{password}");
        }
    }

    #[test]
    fn what_is_written_is_the_documented_form_whatever_the_key_holds() {
        let body = written(DEVICE, "k\"ey\\");
        assert_eq!(body, format!(r#"{{"LoginFields":"{{\"Devicetoken\":\"{DEVICE}\"}}","Password":"k\"ey\\"}}"#));
        let login = read(&document(body.as_bytes()).unwrap()).ok().unwrap();
        assert_eq!(login.who, Who::Device(DEVICE.into()), "and is read as it was meant");
        assert_eq!(login.password.unwrap().as_str(), "k\"ey\\");
    }

    #[test]
    fn a_uuid_has_one_form() {
        let rows = [
            (DEVICE, true),
            ("8B1CF7F9-0000-4000-8000-00000000000A", true),
            ("{8b1cf7f9-0000-4000-8000-000000000001}", false),
            ("8b1cf7f900004000800000000000000100000", false),
            ("8b1cf7f9-0000-4000-8000-00000000000g", false),
            ("8b1cf7f9-0000-4000-8000-00000000000", false),
            ("8b1cf7f9-0000-4000-80000-00000000001", false),
            ("", false),
        ];
        for (text, expected) in rows {
            assert_eq!(is_uuid(text), expected, "{text}");
        }
    }
}
