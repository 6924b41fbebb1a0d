//! What a site signs about a login of Gigya's that it keeps alive: until when the login token is good (the `gltexp` cookie).
//!
//! `EXP_SIG` is signed over `TOKEN_EXP`, and `EXP_USERKEY_SIG` over `TOKEN_EXP_USERKEY`. The key is the one that also signs user
//! ids over `TIME_UID` and friendships over `TIME_FRIEND_UID`, and nothing in these texts tells them apart. So the form of every
//! part is checked before anything is computed, in both directions: a login token that begins as a time does (digits, then the end
//! or `_`) is none, neither when it is read nor when it is signed. Otherwise the signature of a user called `1700000000` would
//! keep a login alive, and a kept login would be the signature of a user.
//!
//! Absent on purpose: the RS256 form, which is a token like others (see [`crate::jose::compact`]), and any opinion on the time.
//!
//! Source: the vendor's server libraries (`getDynamicSessionSignature` and its user-signed form).

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::domain::Timestamp;
use crate::jose::base64url;
use crate::jose::digest::digest;
use crate::jose::hmac_sha1::{Sha1Key, Tag, read_tag};
use crate::jose::signed_call::read_number;

/// The longest login token that is looked at, in bytes.
const MAX_TOKEN: usize = 4 * 1_024;

/// The longest user key, in bytes.
const MAX_USER_KEY: usize = 128;

/// Whether `text` can be the API key of a site: it becomes part of the names of cookies.
#[must_use]
pub fn is_api_key(text: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=MAX_USER_KEY).contains(&text.len()) && text.bytes().all(sound)
}

/// Whether `text` can be a user key: visible ASCII, and not the digits that a time is made of.
#[must_use]
pub fn is_user_key(text: &str) -> bool {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    (1..=MAX_USER_KEY).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) && !digits
}

/// Whether `token` can be a login token: what stands in it is seen and separates nothing, and it does not begin as a time does.
#[must_use]
pub fn is_login_token(token: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'~' | b'+' | b'/' | b'=' | b'*');
    let rest = token.trim_start_matches(|c: char| c.is_ascii_digit());
    let like_a_time = rest.len() < token.len() && (rest.is_empty() || rest.starts_with('_'));
    (1..=MAX_TOKEN).contains(&token.len()) && token.bytes().all(sound) && !like_a_time
}

/// The login token in the value of a `glt` cookie: what stands before the first `|`, which browsers' code may have escaped.
#[must_use]
pub fn login_token(cookie: &str) -> Option<&str> {
    let end = ["|", "%7C", "%7c"].iter().filter_map(|mark| cookie.find(mark)).min().unwrap_or(cookie.len());
    cookie.get(..end).filter(|token| is_login_token(token))
}

/// A name for a login at the site `api_key` that shows nothing of the token: the same for the same login, on every node.
#[must_use]
pub fn login_name(api_key: &str, token: &str) -> String {
    base64url::encode(&digest("countersign gigya login", &[api_key.as_bytes(), token.as_bytes()]))
}

/// The value of a `gltexp` cookie as it was written, whose `+`, `/` and `=` may have been escaped once; `None` for broken escapes.
#[must_use]
pub fn unescaped(cookie: &str) -> Option<Cow<'_, str>> {
    if !cookie.contains('%') {
        return Some(Cow::Borrowed(cookie));
    }
    let sound = |piece: &str| piece.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    if !cookie.split('%').skip(1).all(sound) {
        return None;
    }
    let text = percent_decode_str(cookie).decode_utf8().ok()?;
    (!text.contains('%') && text.bytes().all(|byte| byte.is_ascii_graphic())).then(|| Cow::Owned(text.into_owned()))
}

/// A signed end of a login, whose form is sound and whose signature nobody has looked at yet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LoginExpiry<'t> {
    /// The end as it was signed.
    written: &'t str,
    /// The end. Unproven.
    pub expires: Timestamp,
    /// Whose secret has signed it; `None` for the site's own.
    pub user_key: Option<&'t str>,
    tag: Tag,
}

impl<'t> LoginExpiry<'t> {
    /// Reads `value`, escapes taken off; `None` when it is not of either form.
    #[must_use]
    pub fn read(value: &'t str) -> Option<Self> {
        let (written, rest) = value.split_once('_')?;
        let expires = Timestamp(read_number(written)?);
        // A signature holds no `_`, a user key may.
        let (user_key, tag) = match rest.rsplit_once('_') {
            Some((user_key, tag)) if is_user_key(user_key) => (Some(user_key), tag),
            Some(_) => return None,
            None => (None, rest),
        };
        Some(Self { written, expires, user_key, tag: read_tag(tag)? })
    }

    /// Whether one of `keys` has signed this end for `token`, which [`login_token`] has read.
    #[must_use]
    pub fn is_of(&self, token: &str, keys: &[Sha1Key]) -> bool {
        if !is_login_token(token) {
            return false;
        }
        let asked = |key: &Sha1Key| match self.user_key {
            Some(user_key) => key.verifies(&[token, "_", self.written, "_", user_key], &self.tag),
            None => key.verifies(&[token, "_", self.written], &self.tag),
        };
        keys.iter().fold(false, |found, key| found | asked(key))
    }
}

/// The value of a `gltexp` cookie by which `token` is good until `expires`; `None` for what is no login token or user key.
#[must_use]
pub fn sign(key: &Sha1Key, token: &str, expires: Timestamp, user_key: Option<&str>) -> Option<String> {
    if !is_login_token(token) || expires.0 < 0 || !user_key.is_none_or(is_user_key) {
        return None;
    }
    let written = expires.to_string();
    Some(match user_key {
        Some(user_key) => format!("{written}_{user_key}_{}", key.sign_text(&[token, "_", &written, "_", user_key])),
        None => format!("{written}_{}", key.sign_text(&[token, "_", &written])),
    })
}

#[cfg(test)]
mod tests;
