//! The cookie that holds a session's id: how it is set, how it is taken away, and how it is read where a session is ended.
//!
//! `Secure`, `Path=/` and no `Domain`, as the prefix `__Host-` demands: no other host, and nobody in between, can set or read it.
//! `HttpOnly`: no script can. `SameSite=Lax`: other sites cannot make it be sent with anything that changes something.
//!
//! Rules: RFC 6265bis sections 4.1.2 and 4.1.3.2.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use crate::domain::{Doubt, RequestView, Seconds};
use crate::jose::session::SessionId;

const ATTRIBUTES: &str = "; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=";

/// Sets the cookie `name` to `id`, for `life`. `None` when the name cannot stand in a header.
#[must_use]
pub fn set(name: &str, id: &SessionId, life: Seconds) -> Option<HeaderValue> {
    let text = zeroize::Zeroizing::new(format!("{name}={}{ATTRIBUTES}{}", id.text().as_str(), life.0));
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Takes the cookie `name` away.
#[must_use]
pub fn clear(name: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("{name}={ATTRIBUTES}0")).ok()
}

/// The id in the cookie `name` of `request`, if there is one.
///
/// # Errors
///
/// [`Doubt::Conflict`] when the cookie stands there twice (RFC 6265 section 5.4 leaves open which is meant), [`Doubt::Malformed`]
/// when it holds no id.
pub fn read(name: &str, request: &RequestView<'_>) -> Result<Option<SessionId>, Doubt> {
    read_of(name, request.headers)
}

/// The same of a request of which only the fields are at hand.
///
/// # Errors
///
/// As [`read`].
pub fn read_of(name: &str, headers: &HeaderMap) -> Result<Option<SessionId>, Doubt> {
    let mut found = None;
    for line in headers.get_all(COOKIE) {
        for pair in line.as_bytes().split(|byte| *byte == b';') {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            if halves.next().unwrap_or_default().trim_ascii() != name.as_bytes() {
                continue;
            }
            if found.is_some() {
                return Err(Doubt::Conflict);
            }
            found = Some(halves.next().and_then(|value| std::str::from_utf8(value).ok()).and_then(SessionId::parse));
        }
    }
    found.map(|id| id.ok_or(Doubt::Malformed)).transpose()
}
