//! Form-encoded text to names and values, with one reading only.
//!
//! Nothing is repaired: a percent sign that starts no escape, or bytes that are not UTF-8, and the whole text has no reading.
//! Names that stand twice are kept as they stand; whoever asks decides what that means. Empty pieces between two `&` are nothing.
//!
//! Whether a body is such a text is told from its `Content-Type` here too, beside its twin in JSON.
//!
//! Rules: WHATWG URL section 5.1 and 5.2; RFC 9110 sections 8.3 and 8.4.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use percent_encoding::percent_decode_str;

/// A name and its value, decoded.
pub type Pair<'t> = (Cow<'t, str>, Cow<'t, str>);

/// The most pairs of one text.
const MOST: usize = 1_000;

/// The pairs of `text` in their order; `None` when one of them has no reading, or there are more than a thousand.
#[must_use]
pub fn pairs(text: &str) -> Option<Vec<Pair<'_>>> {
    let mut found = Vec::new();
    for (name, value) in pieces(text) {
        if found.len() == MOST {
            return None;
        }
        found.push((decoded(name)?, decoded(value)?));
    }
    Some(found)
}

/// The names and values of `text` as they are written; a name without an equals sign has an empty value.
pub fn pieces(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches('&');
        if rest.is_empty() {
            return None;
        }
        let (piece, behind) = cut(rest, b'&');
        rest = behind;
        Some(cut(piece, b'='))
    })
}

/// What stands before the first `byte`, a character of ASCII, and what behind it. Found many bytes at once: a query may be a page long.
fn cut(text: &str, byte: u8) -> (&str, &str) {
    memchr::memchr(byte, text.as_bytes()).and_then(|at| Some((text.get(..at)?, text.get(at + 1..)?))).unwrap_or((text, ""))
}

/// The first name that stands among `pairs` twice.
#[must_use]
pub fn repeated<'p>(pairs: &'p [Pair<'_>]) -> Option<&'p str> {
    let mut names: Vec<&str> = pairs.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    names.windows(2).find_map(|two| match two {
        [first, second] if first == second => Some(*first),
        _ => None,
    })
}

/// `pairs` as form-encoded text.
#[must_use]
pub fn written<'p>(pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// What a body with parameters in it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameters {
    /// Form-encoded.
    Form,
    /// A JSON text.
    Json,
}

/// What the fields say of the body; `None` when they say nothing, twice, or something in which the bytes have another reading
/// than ours: another type, another charset, a coding.
#[must_use]
pub fn body_type(headers: &HeaderMap) -> Option<Parameters> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(written), None) = (types.next(), types.next()) else { return None };
    if headers.get_all(CONTENT_ENCODING).iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return None;
    }
    let mut pieces = written.to_str().ok()?.split(';').map(|piece| piece.trim_matches([' ', '\t']));
    let kind = match pieces.next()?.to_ascii_lowercase().as_str() {
        "application/x-www-form-urlencoded" => Parameters::Form,
        "application/json" => Parameters::Json,
        _ => return None,
    };
    let foreign = pieces.filter_map(|piece| piece.split_once('=')).any(|(key, value)| {
        key.eq_ignore_ascii_case("charset")
            && !["utf-8", "us-ascii"].iter().any(|known| value.trim_matches('"').eq_ignore_ascii_case(known))
    });
    (!foreign).then_some(kind)
}

/// One name or value without its encoding; `None` when an escape is broken or the result is not UTF-8.
#[must_use]
pub fn decoded(part: &str) -> Option<Cow<'_, str>> {
    if is_plain(part) {
        return Some(Cow::Borrowed(part));
    }
    let bytes = part.as_bytes();
    let starts_escape = |at: usize| bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    if !memchr::memchr_iter(b'%', bytes).all(starts_escape) {
        return None;
    }
    let spaced = part.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(|text| Cow::Owned(text.into_owned()))
}

/// Whether `part` is the same with its encoding as without.
fn is_plain(part: &str) -> bool {
    memchr::memchr2(b'%', b'+', part.as_bytes()).is_none()
}

#[cfg(test)]
mod tests {
    use super::{MOST, pairs, repeated, written};

    fn read(text: &str) -> Option<Vec<(String, String)>> {
        pairs(text).map(|pairs| pairs.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    #[test]
    fn a_form_has_one_reading_or_none() {
        let rows: [(&str, Option<&[(&str, &str)]>, &str); 13] = [
            ("", Some(&[]), "nothing"),
            ("a=1&b=2", Some(&[("a", "1"), ("b", "2")]), "two pairs in their order"),
            ("&a=1&&", Some(&[("a", "1")]), "empty pieces are nothing"),
            ("a", Some(&[("a", "")]), "a name alone has an empty value"),
            ("a=b=c", Some(&[("a", "b=c")]), "the first equals sign divides"),
            ("a+b=%2B%20c", Some(&[("a b", "+ c")]), "plus and escapes"),
            ("birthdate%5Bdateselect_year%5D=1930", Some(&[("birthdate[dateselect_year]", "1930")]), "brackets in a name"),
            ("%C3%A4=%c3%b6", Some(&[("ä", "ö")]), "UTF-8, digits of either case"),
            ("a=%", None, "a percent sign alone"),
            ("a=%4", None, "half an escape"),
            ("a=%+1", None, "a plus within an escape"),
            ("%zz=1", None, "a broken name"),
            ("a=%FF", None, "bytes that are no UTF-8"),
        ];
        for (text, expected, shows) in rows {
            let expected = expected.map(|pairs| pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect());
            assert_eq!(read(text), expected, "{shows}: {text}");
        }
        assert!(pairs(&"a&".repeat(MOST)).is_some() && pairs(&"a&".repeat(MOST + 1)).is_none(), "a thousand pairs and no more");
    }

    #[test]
    fn a_name_that_stands_twice_is_found_in_any_spelling() {
        for (text, expected, shows) in [
            ("a=1&b=2&%61=3", Some("a"), "another spelling is the same name"),
            ("a=1&A=2", None, "names are case-sensitive"),
            ("", None, "nothing"),
        ] {
            assert_eq!(repeated(&pairs(text).unwrap()), expected, "{shows}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let pairs = [("a b", "ä&=+%"), ("birthdate[dateselect_day]", ""), ("c", "\n")];
        let text = written(pairs);
        assert_eq!(read(&text).unwrap(), pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
