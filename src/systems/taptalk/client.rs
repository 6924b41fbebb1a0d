//! Who a client is: the app that its App-Key names, and the device that it says it is.
//!
//! An App-Key is the padded standard base64 of `id:secret`, split at the first colon, as a Server-Key is. It ships inside apps, so it
//! names an app and proves nothing; its secret is not looked at here (the scheme `server_key` with `from: { header: App-Key }` does).
//!
//! Source: docs.taptalk.io (headers), taptalksdk-web 1.0.310.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName};

/// The field that names an app.
pub const APP_KEY: HeaderName = HeaderName::from_static("app-key");
/// The field that names a device.
pub const DEVICE: HeaderName = HeaderName::from_static("device-identifier");

/// The longest text of a key, in bytes.
const MAX_KEY: usize = 2 * 1024;
/// The longest id of an app or a device, in bytes.
const MAX_ID: usize = 256;

/// How every name of a client of ours starts, in `client_id` of access tokens.
const PREFIX: &str = "taptalk:";

/// Why a field says nothing that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// It is not there, or empty.
    Missing,
    /// It stands there twice, or has not the form that it must have.
    Malformed,
}

/// The only value of `name` in `headers`.
///
/// # Errors
///
/// [`Unread`]; what stands there twice has no reading, also when both are alike.
pub fn sole<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<&'h str, Unread> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Err(Unread::Missing),
        (Some(_), Some(_)) => Err(Unread::Malformed),
        (Some(value), None) if value.is_empty() => Err(Unread::Missing),
        (Some(value), None) => value.to_str().map_err(|_| Unread::Malformed),
    }
}

/// The id in a key's `text`; `None` when that is not the one text of an id and a secret, both at least one character.
#[must_use]
pub fn id_in(text: &str) -> Option<String> {
    if MAX_KEY < text.len() {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    (is_id(id) && !secret.is_empty()).then(|| id.to_owned())
}

/// The id of the app that `headers` name.
///
/// # Errors
///
/// [`Unread`].
pub fn app(headers: &HeaderMap) -> Result<String, Unread> {
    id_in(sole(headers, &APP_KEY)?).ok_or(Unread::Malformed)
}

/// The device that `headers` name.
///
/// # Errors
///
/// [`Unread`].
pub fn device(headers: &HeaderMap) -> Result<&str, Unread> {
    sole(headers, &DEVICE).and_then(|id| if is_id(id) { Ok(id) } else { Err(Unread::Malformed) })
}

/// What a client is called where tokens are bound to it: one name for each pair of `app` and `device`.
#[must_use]
pub fn name(app: &str, device: &str) -> String {
    // The length keeps apart what an id that holds the sign between them would run together.
    format!("{PREFIX}{}:{app}:{device}", app.len())
}

/// Whether `name` is the name of a client of ours.
#[must_use]
pub fn is_name(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// Visible ASCII of a length that a header carries easily.
fn is_id(id: &str) -> bool {
    (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use http::{HeaderMap, HeaderValue};

    use super::{APP_KEY, DEVICE, Unread, app, device, id_in, name};

    #[test]
    fn a_key_has_one_text() {
        let long = STANDARD.encode(format!("{}:s", "i".repeat(257)));
        let longest = STANDARD.encode(format!("{}:s", "i".repeat(256)));
        let longest_id = "i".repeat(256);
        let rows = [
            ("c2lkOnNzZWM=", Some("sid"), "the vector of a Server-Key: sid, ssec"),
            ("YXBwaWQ6YXBwc2VjcmV0", Some("appid"), "the vector of an App-Key: appid, appsecret"),
            (&STANDARD.encode("a:b:c"), Some("a"), "split at the first colon"),
            ("c2lkOnNzZWM", None, "without its padding"),
            ("c2lkOnNzZWN=", None, "bits to spare that are not zero"),
            (" c2lkOnNzZWM=", None, "a space in front"),
            ("c2lkOnNzZWM=\n", None, "a line break behind"),
            (&STANDARD.encode("sid"), None, "no colon"),
            (&STANDARD.encode(":ssec"), None, "no id"),
            (&STANDARD.encode("sid:"), None, "no secret"),
            (&STANDARD.encode("s d:x"), None, "a space in the id"),
            (&STANDARD.encode(b"\xff:x"), None, "no text"),
            (&longest, Some(&longest_id), "the longest id"),
            (&long, None, "one more"),
            ("", None, "nothing"),
        ];
        for (text, expected, shows) in rows {
            assert_eq!(id_in(text).as_deref(), expected, "{shows}: {text:?}");
        }
    }

    #[test]
    fn what_stands_there_twice_is_not_absent_and_not_once() {
        let rows: [(&[&str], Result<&str, Unread>, &str); 6] = [
            (&["YXBwaWQ6YXBwc2VjcmV0"], Ok("appid"), "once"),
            (&[], Err(Unread::Missing), "not at all"),
            (&[""], Err(Unread::Missing), "empty"),
            (&["YXBwaWQ6YXBwc2VjcmV0", "YXBwaWQ6YXBwc2VjcmV0"], Err(Unread::Malformed), "twice, even alike"),
            (&["", ""], Err(Unread::Malformed), "twice, even empty"),
            (&["!"], Err(Unread::Malformed), "of another form"),
        ];
        for (values, expected, shows) in rows {
            let headers: HeaderMap = values.iter().map(|value| (APP_KEY, HeaderValue::from_str(value).unwrap())).collect();
            assert_eq!(app(&headers).as_deref().map_err(|unread| *unread), expected, "{shows}");
        }
        let headers: HeaderMap = [(DEVICE, HeaderValue::from_static("two words"))].into_iter().collect();
        assert_eq!(device(&headers), Err(Unread::Malformed), "a device has no spaces");
    }

    #[test]
    fn no_two_clients_have_one_name() {
        assert_ne!(name("a", "b:c"), name("a:b", "c"), "a colon moves nothing from one to the other");
        assert_ne!(name("a", "1:b"), name("a:1", "b"), "nor does a digit in front of it");
        assert_eq!(name("appid", "d-1"), "taptalk:5:appid:d-1");
    }
}
