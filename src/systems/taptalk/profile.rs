//! The user data of a ticket request: documented fields, each with a form of its own; twelve of chat (PowerTalk), six of its sister
//! product for support (OneTalk).
//!
//! A request is a JSON object, whatever media type it says it is: web clients send JSON as `text/plain`. What is not understood is
//! refused, and nothing that was sent is repeated; an optional field that is empty counts as left out, which is how back ends say
//! that they know nothing.
//!
//! Where the documentation gives no bound ([`MAX_TEXT`], [`MAX_URL`]) it is ours, wide enough for what the fields mean.
//!
//! Source: docs.taptalk.io (get an auth ticket), fields 101 to 112; for OneTalk, its User/Contact API.

use std::borrow::Cow;
use std::net::IpAddr;

use bytes::Bytes;
use serde_json::{Map, Value as Json};
use url::Url;

use crate::domain::{Breach, Value};
use crate::jose::json;
use crate::systems::taptalk::envelope::PARAMETER_INVALID;

/// The longest text, in characters, of a field whose length is not documented.
pub const MAX_TEXT: usize = 512;
/// The longest URL, in characters.
pub const MAX_URL: usize = 2_048;
/// The longest user id, in characters, as documented.
pub const MAX_USER: usize = 50;

/// The field that names the user.
pub const USER: &str = "xcUserID";
/// The field with the user's address.
pub const ADDRESS: &str = "userIPAddress";
/// The field with the user's browser or app.
pub const AGENT: &str = "userAgent";
/// The field with the kind of device.
pub const PLATFORM: &str = "userPlatform";
/// The field with the user's device.
pub const DEVICE_ID: &str = "userDeviceID";

/// The field that names the user to OneTalk.
pub const CUSTOMER: &str = "customerUserID";

/// Whose ticket a request asks for: the two products have an endpoint, a key and fields each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// Chat.
    PowerTalk,
    /// Support, over many channels.
    OneTalk,
}

impl Product {
    /// Every documented field, in the order of the documentation.
    #[must_use]
    pub fn fields(self) -> &'static [Field] {
        match self {
            Self::PowerTalk => &FIELDS,
            Self::OneTalk => &CONTACT_FIELDS,
        }
    }

    /// The field called `name`; `None` when it is not documented.
    #[must_use]
    pub fn field(self, name: &str) -> Option<&'static Field> {
        self.fields().iter().find(|field| field.name == name)
    }

    /// The field that names the user.
    #[must_use]
    pub fn user(self) -> &'static str {
        match self {
            Self::PowerTalk => USER,
            Self::OneTalk => CUSTOMER,
        }
    }
}

/// A documented field.
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Whether it must be there.
    pub required: bool,
    form: Form,
    /// The most characters, where they are documented beside the form.
    most: usize,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Address,
    Platform,
    User,
    Text,
    Email,
    Phone,
    Url,
}

const fn required(name: &'static str, form: Form) -> Field {
    Field { name, required: true, form, most: usize::MAX }
}

const fn optional(name: &'static str, form: Form) -> Field {
    Field { name, required: false, form, most: usize::MAX }
}

impl Field {
    const fn within(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// What `text` would have to be, when it is not; it is not empty.
    fn fault_of(&self, text: &str) -> Option<&'static str> {
        if self.most < text.chars().count() {
            return Some("is longer than is documented");
        }
        self.form.fault_of(text)
    }
}

/// Every documented field, in the order of the documentation.
pub static FIELDS: [Field; 12] = [
    required(ADDRESS, Form::Address),
    required(AGENT, Form::Text),
    required(PLATFORM, Form::Platform),
    required(DEVICE_ID, Form::Text),
    required(USER, Form::User),
    required("fullName", Form::Text),
    optional("email", Form::Email),
    optional("phone", Form::Phone),
    optional("username", Form::Text),
    optional("photoThumbnailURL", Form::Url),
    optional("photoFullsizeURL", Form::Url),
    optional("userRoleCode", Form::Text),
];

/// Every documented field of a contact of OneTalk's, in the order of the documentation.
static CONTACT_FIELDS: [Field; 6] = [
    required(CUSTOMER, Form::Text).within(100),
    required("fullName", Form::Text).within(250),
    optional("alias", Form::Text).within(100),
    optional("email", Form::Email).within(250),
    optional("phone", Form::Phone).within(20),
    optional("photoURL", Form::Url),
];

impl Form {
    /// What `text` would have to be, when it is not; it is not empty.
    fn fault_of(self, text: &str) -> Option<&'static str> {
        let long = |most: usize| most < text.chars().count();
        if text.chars().any(char::is_control) {
            return Some("must not hold control characters");
        }
        let (sound, says) = match self {
            Self::Address => (text.parse::<IpAddr>().is_ok(), "must be an IP address"),
            Self::Platform => (matches!(text, "android" | "ios" | "web"), "must be android, ios or web"),
            Self::User => (!long(MAX_USER) && !text.trim().is_empty(), "has at most 50 characters"),
            Self::Text => (!long(MAX_TEXT) && !text.trim().is_empty(), "has at most 512 characters, and not only spaces"),
            Self::Email => (!long(MAX_TEXT) && is_email(text), "must be an e-mail address"),
            Self::Phone => (is_phone(text), "must be a phone number that starts with its country code"),
            Self::Url => (!long(MAX_URL) && is_url(text), "must be an http or https URL"),
        };
        (!sound).then_some(says)
    }
}

/// One sign between two parts, as far as anybody can tell without sending a letter.
fn is_email(text: &str) -> bool {
    let parts = text.split_once('@');
    parts.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@') && !text.contains(char::is_whitespace))
}

/// Digits, a `+` in front or not, with the signs that people put between them; a zero in front is no country's (ITU-T E.164).
fn is_phone(text: &str) -> bool {
    let number = text.strip_prefix('+').unwrap_or(text);
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    number.starts_with(|first: char| ('1'..='9').contains(&first))
        && (5..=15).contains(&digits)
        && number.bytes().all(|byte| byte.is_ascii_digit() || b" -()".contains(&byte))
}

fn is_url(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// The members of a request, in the order that it has them.
pub type Members = Vec<(Box<str>, Value)>;

/// The members of the object that `body` is. Nothing, and the empty text `""` that web clients send in its place, is an empty object.
///
/// # Errors
///
/// A [`Breach`]: it is no JSON object, or one with two readings.
pub fn members(body: &[u8]) -> Result<Members, Breach> {
    /// Every documented field is a text.
    const DEPTH: usize = 2;
    if matches!(body.trim_ascii(), b"" | b"\"\"") {
        return Ok(Vec::new());
    }
    match json::parse_to_depth(body, DEPTH) {
        Ok(Value::Map(members)) => Ok(members.into_vec()),
        Ok(_) | Err(_) => Err(breach("", "the body must be a JSON object of texts")),
    }
}

/// User data that meets every rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile(Vec<(&'static str, Box<str>)>);

impl Profile {
    /// The user data in `members`.
    ///
    /// # Errors
    ///
    /// A [`Breach`] for the first field, in the order of the documentation, that is missing or of a wrong form; and for a member that
    /// is not documented, whose name is not repeated.
    pub fn check(product: Product, members: &[(Box<str>, Value)]) -> Result<Self, Breach> {
        let mut values = Vec::with_capacity(product.fields().len());
        for field in product.fields() {
            let found = members.iter().find(|(name, _)| **name == *field.name).map(|(_, value)| value);
            match found {
                None if field.required => return Err(breach(field.name, "is required")),
                None => {}
                Some(Value::Text(text)) if text.is_empty() && field.required => return Err(breach(field.name, "is required")),
                Some(Value::Text(text)) if text.is_empty() => {}
                Some(Value::Text(text)) => match field.fault_of(text) {
                    Some(says) => return Err(breach(field.name, says)),
                    None => values.push((field.name, text.clone())),
                },
                Some(_) => return Err(breach(field.name, "must be a text")),
            }
        }
        if members.iter().all(|(name, _)| product.field(name).is_some()) {
            Ok(Self(values))
        } else {
            Err(breach("", "there is a field that is not documented"))
        }
    }

    /// The value of the field called `name`; `None` when it was left out.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value)
    }

    /// Every field that is there, in the order of the documentation.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, &**value))
    }

    /// As the body of a request.
    #[must_use]
    pub fn body(&self) -> Bytes {
        let members: Map<String, Json> = self.fields().map(|(name, value)| (name.to_owned(), value.into())).collect();
        Bytes::from(Json::Object(members).to_string())
    }
}

/// A field that breaks a rule: `says` goes on after its name.
pub(super) fn breach(field: &'static str, says: &'static str) -> Breach {
    let says: Cow<'static, str> = if field.is_empty() { says.into() } else { format!("{field} {says}").into() };
    Breach { code: PARAMETER_INVALID.into(), field: field.into(), says }
}

#[cfg(test)]
mod tests;
