//! The text that a signed call signs: method, URL and parameters in the one order and encoding that both sides can make.
//!
//! The scheme is that of OAuth 1 with one peculiarity of the vendors that still use it: parameters are sorted by their names and
//! the names are not encoded. So a name that holds a separator would let one list of parameters read as another; such names are
//! refused where parameters are read ([`Parameters::read`]), as is every name that stands twice.
//!
//! Absent on purpose: a key (see [`crate::jose::hmac_sha1`]), a guess at the URL that the client used, repair of broken escapes.
//!
//! Rules: RFC 5849 sections 3.4.1 and 3.6; WHATWG URL section 5.1 (forms).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;

/// Everything but letters, digits and `-._~`: RFC 3986 section 2.3.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The most parameters of one call.
const MOST: usize = 512;

/// Percent-encodes all but unreserved characters, hex digits in upper case.
#[must_use]
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// Decimal digits without sign or leading zero, at most 19 of them, as a number that fits.
#[must_use]
pub fn read_number(text: &str) -> Option<i64> {
    let canonical = text == "0" || !text.starts_with('0');
    let digits = !text.is_empty() && text.len() <= 19 && text.bytes().all(|byte| byte.is_ascii_digit());
    if canonical && digits { text.parse().ok() } else { None }
}

/// Why parameters have no reading, or more than one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParameterFault {
    /// A broken escape, bytes that are not UTF-8, a name with a separator in it, or too many of them.
    #[error("a parameter cannot be read")]
    Malformed,
    /// A name stands twice, in whatever spelling.
    #[error("a parameter stands twice")]
    Twice,
}

/// The parameters of one call, decoded, in the order of the bytes of their names; every name once.
///
/// `Debug` shows how many there are: values may be credentials.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Parameters<'t>(BTreeMap<Cow<'t, str>, Cow<'t, str>>);

impl<'t> Parameters<'t> {
    /// No parameter yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in those of the form-encoded `text`: `+` and `%20` are both a space. A name without `=` has an empty value.
    ///
    /// # Errors
    ///
    /// [`ParameterFault`], also when a name has been taken in before.
    pub fn read(&mut self, text: &'t str) -> Result<(), ParameterFault> {
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name).filter(|name| is_name(name)).ok_or(ParameterFault::Malformed)?;
            let value = decode(value).ok_or(ParameterFault::Malformed)?;
            if MOST <= self.0.len() {
                return Err(ParameterFault::Malformed);
            }
            match self.0.entry(name) {
                Entry::Occupied(_) => return Err(ParameterFault::Twice),
                Entry::Vacant(place) => place.insert(value),
            };
        }
        Ok(())
    }

    /// The value of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| &**value)
    }

    /// Sets `name`, whatever it was.
    pub fn set(&mut self, name: &'static str, value: impl Into<Cow<'t, str>>) {
        self.0.insert(Cow::Borrowed(name), value.into());
    }

    /// Takes `name` out.
    pub fn remove(&mut self, name: &str) -> Option<Cow<'t, str>> {
        self.0.remove(name)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// `name=value` joined by `&`, names as they are and values encoded: what is signed, and what a call may be sent as.
    ///
    /// `without` is left out: the signature itself.
    #[must_use]
    pub fn written(&self, without: &str) -> String {
        let mut text = String::new();
        for (name, value) in self.iter().filter(|(name, _)| *name != without) {
            if !text.is_empty() {
                text.push('&');
            }
            text.push_str(name);
            text.push('=');
            text.extend(utf8_percent_encode(value, ENCODED));
        }
        text
    }

    /// The same with encoded names: a form that any reader takes apart alike.
    #[must_use]
    pub fn form(&self) -> String {
        let mut text = String::new();
        for (name, value) in self.iter() {
            if !text.is_empty() {
                text.push('&');
            }
            text.extend(utf8_percent_encode(name, ENCODED));
            text.push('=');
            text.extend(utf8_percent_encode(value, ENCODED));
        }
        text
    }
}

impl fmt::Debug for Parameters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Parameters({})", self.0.len())
    }
}

/// A name that reads the same in a base string as it does decoded: no separator, no escape, nothing that is not seen.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && !b"=&%+#".contains(&byte))
}

/// Decodes one part of a form; `None` when an escape is broken or the result is not UTF-8.
fn decode(part: &str) -> Option<Cow<'_, str>> {
    if !part.bytes().any(|byte| byte == b'%' || byte == b'+') {
        return Some(Cow::Borrowed(part));
    }
    let sound = |piece: &str| piece.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    if !part.split('%').skip(1).all(sound) {
        return None;
    }
    percent_decode_str(&part.replace('+', " ")).decode_utf8().ok().map(|text| Cow::Owned(text.into_owned()))
}

/// Where the calls of a service go, as its clients see it: scheme, host, a port that is not the scheme's own, the path in front.
///
/// Clients sign the URL they know. What stands before us may have changed all of it, so it is set and never read off a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicBase(Box<str>);

impl PublicBase {
    /// The base that `url` names.
    ///
    /// # Errors
    ///
    /// What is wrong with it: another scheme, a user, a query, a fragment.
    pub fn new(url: &Url) -> Result<Self, &'static str> {
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err("the public base is an http or https URL");
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err("the public base has a host and maybe a path, and nothing else");
        }
        // `Url` has put scheme and host into lower case, and left out the port that is the scheme's own.
        let origin = url.origin().ascii_serialization();
        Ok(Self(format!("{origin}{}", url.path().trim_end_matches('/')).into()))
    }

    /// The URL of a call to `path`, which starts with `/`.
    #[must_use]
    pub fn url_of(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

/// What is signed for a call: `METHOD&URL&PARAMETERS`, the last two encoded once more. `without` names the signature parameter.
#[must_use]
pub fn base_string(method: &str, url: &str, parameters: &Parameters<'_>, without: &str) -> String {
    format!("{method}&{}&{}", encode(url), encode(&parameters.written(without)))
}

#[cfg(test)]
mod tests;
