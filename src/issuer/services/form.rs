//! Form bodies, as the token endpoints take them: every parameter once, nothing repaired.
//!
//! A parameter without a value counts as left out, and unknown ones are passed over; one that stands there twice, an escape that is
//! broken, text that is not UTF-8, or another media type makes the whole unreadable.
//!
//! Rules: RFC 6749 sections 3.2 and appendix B, WHATWG URL section 5.1.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use zeroize::Zeroizing;

use crate::jose::form;

const MEDIA_TYPE: &str = "application/x-www-form-urlencoded";

/// The most parameters that are read.
const MOST: usize = 32;

/// A form. It has no `Debug`: credentials stand in it.
pub(super) struct Form(Vec<(String, Zeroizing<String>)>);

impl Form {
    /// The form in `body`; `None` when it is not one that can be read in exactly one way.
    pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Option<Self> {
        let mut types = headers.get_all(CONTENT_TYPE).iter();
        let (Some(written), None) = (types.next(), types.next()) else { return None };
        let essence = written.to_str().ok()?.split(';').next().unwrap_or_default();
        if !essence.trim_matches([' ', '\t']).eq_ignore_ascii_case(MEDIA_TYPE) {
            return None;
        }
        Self::parse(std::str::from_utf8(body).ok()?)
    }

    /// The form that `text` is, a query for instance; `None` when it has not exactly one reading.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parameters: Vec<(String, Zeroizing<String>)> = Vec::new();
        for (name, value) in form::pieces(text) {
            let (name, value) = (form::decoded(name)?.into_owned(), Zeroizing::new(form::decoded(value)?.into_owned()));
            if MOST <= parameters.len() || parameters.iter().any(|(known, _)| *known == name) {
                return None;
            }
            parameters.push((name, value));
        }
        Some(Self(parameters))
    }

    /// The value of `name`; `None` when it is left out or empty.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{Form, MEDIA_TYPE, MOST};

    fn headers(types: &[&str]) -> HeaderMap {
        types.iter().map(|written| (http::header::CONTENT_TYPE, HeaderValue::from_str(written).unwrap())).collect()
    }

    #[test]
    fn a_form_has_one_reading_or_none() {
        let many = |count: usize| (0..count).map(|number| format!("p{number}=v")).collect::<Vec<_>>().join("&");
        let rows: [(String, Option<Option<&str>>, &str); 15] = [
            ("a=1".into(), Some(Some("1")), "a parameter"),
            ("b=2&a=1&c=3".into(), Some(Some("1")), "among others, which are passed over"),
            ("%61=%31".into(), Some(Some("1")), "escapes mean what they stand for"),
            ("a=1+2%2B".into(), Some(Some("1 2+")), "a plus is a space, an escaped one is a plus"),
            ("a=".into(), Some(None), "without a value it counts as left out"),
            ("a".into(), Some(None), "with or without the sign"),
            (String::new(), Some(None), "nothing at all"),
            ("&&a=1&".into(), Some(Some("1")), "empty pairs are none"),
            ("a=1&a=1".into(), None, "twice, even alike"),
            ("a=1&%61=2".into(), None, "twice in another spelling"),
            ("a=1&b=2&b=3".into(), None, "twice, of another name"),
            ("a=%4".into(), None, "a broken escape"),
            ("a=%ff".into(), None, "not UTF-8"),
            (many(MOST), Some(None), "as many as are read"),
            (many(MOST + 1), None, "one more"),
        ];
        for (text, expected, shows) in rows {
            let form = Form::read(&headers(&[MEDIA_TYPE]), text.as_bytes());
            assert_eq!(form.as_ref().map(|form| form.value("a")), expected, "{shows}: {text:?}");
        }
    }

    #[test]
    fn only_a_form_that_says_it_is_one_is_read() {
        let rows: [(&[&str], bool, &str); 6] = [
            (&[MEDIA_TYPE], true, "as it should"),
            (&["Application/X-WWW-Form-Urlencoded ; charset=UTF-8"], true, "case and parameters do not matter"),
            (&[], false, "it does not say"),
            (&["application/json"], false, "something else"),
            (&["text/plain"], false, "what a page of another site may send as well"),
            (&[MEDIA_TYPE, MEDIA_TYPE], false, "twice"),
        ];
        for (types, expected, shows) in rows {
            assert_eq!(Form::read(&headers(types), b"a=1").is_some(), expected, "{shows}");
        }
        assert!(Form::read(&headers(&[MEDIA_TYPE]), b"a=\xff").is_none(), "bytes that are no text");
    }
}
