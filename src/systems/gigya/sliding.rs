//! The signed end of a login, moved with every reply: a fresh `gltexp` cookie.
//!
//! It is written for the login that has proven itself on this very request, and for no token that merely stands in a cookie: whatever
//! is signed here keeps somebody logged in. `opens` is the exception, for the post-back at which the first one is written; there the
//! caller has proven a user, and the login token is new.
//!
//! Browsers' code of the vendor reads the cookie where it must know when to ask again; then it cannot be `HttpOnly`, and any script of
//! the page can read it. Without the login token beside it, it is of no use.

use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::domain::{Identity, Seconds, Timestamp};
use crate::jose::hmac_sha1::Sha1Key;
use crate::jose::login_expiry::{login_name, login_token, sign};

/// Moves the ends of logins at one site.
#[derive(Debug, Clone)]
pub struct Sliding {
    /// The site.
    pub api_key: Box<str>,
    /// The secret of the site, or of the user key.
    pub key: Sha1Key,
    /// Who signs; `None` for the site itself.
    pub user_key: Option<Box<str>>,
    /// How long a login lasts unused.
    pub life: Seconds,
    /// Whether the first end is written too, for whoever has proven to be a user in another way.
    pub opens: bool,
    /// `; Path=/…`: what stands behind the value.
    pub attributes: Box<str>,
}

impl Sliding {
    /// The field that moves the end of the login that `identity` has proven, if it has.
    #[must_use]
    pub fn field(&self, identity: Option<&Identity>, headers: &HeaderMap, now: Timestamp) -> Option<(HeaderName, HeaderValue)> {
        let identity = identity?;
        let cookie = sole_cookie(headers, &format!("glt_{}", self.api_key))?;
        let token = login_token(cookie)?;
        let name = login_name(&self.api_key, token);
        let is_this = |identity: &Identity| identity.scheme == "gigya_session" && *identity.subject == *name;
        let goes_on = is_this(identity) || identity.also.iter().any(|(_, identity)| is_this(identity));
        if !goes_on && !self.opens {
            return None;
        }
        let value = sign(&self.key, token, now.plus(self.life), self.user_key.as_deref())?;
        let text = format!("gltexp_{}={value}; Max-Age={}{}", self.api_key, self.life.0, self.attributes);
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true);
        Some((SET_COOKIE, value))
    }
}

/// The value of the cookie `name`; `None` when it stands twice.
fn sole_cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(http::header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut values = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('=')).filter(|(key, _)| key.trim() == name);
    let (_, value) = values.next()?;
    values.next().is_none().then_some(value.trim_end_matches([' ', '\t']))
}
