//! How a fresh pair is written for the client that the old one came from.
//!
//! Fields for the response, whatever its status. Nothing that would change its meaning on the way is written: a credential that
//! cannot stand in the place the conf names is an error, not a guess.
//!
//! Rules: RFC 6265 section 4.1 (`Set-Cookie`), RFC 9111 section 5.2.2.5 (`no-store`).

use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::{HeaderName, HeaderValue};

use crate::domain::{Refusal, Seconds, Secret, Timestamp, TokenPair};
use crate::gate::rule::{HandBack, HandTo};
use crate::verify::presented::is_cookie_octet;

/// The response fields that hand `pair` to the client.
///
/// # Errors
///
/// [`Refusal::Internal`] when a credential cannot stand where it should: control characters, or in a cookie what no cookie holds.
pub(super) fn fields(to: &HandBack, pair: &TokenPair, now: Timestamp) -> Result<Vec<(HeaderName, HeaderValue)>, Refusal> {
    let mut fields = Vec::with_capacity(4);
    if let Some(place) = &to.access {
        fields.push(field(place, &pair.access)?);
    }
    if let (Some(place), Some(refresh)) = (&to.refresh, &pair.refresh) {
        fields.push(field(place, refresh)?);
    }
    if let (Some(name), Some(end)) = (&to.expires_in, pair.access_until) {
        fields.push((name.clone(), HeaderValue::from(now.until(end).0)));
    }
    fields.push((CACHE_CONTROL, HeaderValue::from_static("no-store")));
    Ok(fields)
}

/// Whether `pair` can be handed to the client as `to` says.
#[must_use]
pub fn can_hold(to: &HandBack, pair: &TokenPair) -> bool {
    fields(to, pair, Timestamp(0)).is_ok()
}

fn field(place: &HandTo, secret: &Secret) -> Result<(HeaderName, HeaderValue), Refusal> {
    let (name, mut value) = match place {
        HandTo::Header(name) => (name.clone(), HeaderValue::from_bytes(secret.expose()).map_err(|_| Refusal::Internal)?),
        HandTo::Cookie { name, attributes, max_age } => {
            let text = std::str::from_utf8(secret.expose()).map_err(|_| Refusal::Internal)?;
            if !text.bytes().all(is_cookie_octet) {
                return Err(Refusal::Internal);
            }
            let age = max_age.map_or_else(String::new, |Seconds(seconds)| format!("; Max-Age={seconds}"));
            (SET_COOKIE, HeaderValue::try_from(format!("{name}={text}{attributes}{age}")).map_err(|_| Refusal::Internal)?)
        }
    };
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::{can_hold, fields};
    use crate::domain::{Reason, Seconds, Secret, Timestamp, TokenPair, Value};
    use crate::gate::rule::{HandBack, HandTo};

    fn pair(access: &str, refresh: Option<&str>) -> TokenPair {
        let secret = |text: &str| Secret::new(text.as_bytes().to_vec());
        TokenPair {
            access: secret(access),
            refresh: refresh.map(secret),
            access_until: Some(Timestamp(1_300)),
            refresh_until: None,
            beside: Value::empty(),
        }
    }

    fn header(name: &'static str) -> HandTo {
        HandTo::Header(HeaderName::from_static(name))
    }

    fn cookie(name: &str, max_age: Option<u32>) -> HandTo {
        HandTo::Cookie { name: name.into(), attributes: "; Path=/; Secure; HttpOnly; SameSite=Lax".into(), max_age: max_age.map(Seconds) }
    }

    #[test]
    fn a_pair_goes_where_the_conf_says() {
        let expires_in = Some(HeaderName::from_static("x-expires-in"));
        let rows: [(HandBack, TokenPair, &str, &str); 4] = [
            (
                HandBack { access: Some(header("x-access")), refresh: Some(header("x-refresh")), expires_in },
                pair("a", Some("r")),
                "x-access: a|x-refresh: r|x-expires-in: 300|cache-control: no-store",
                "headers",
            ),
            (
                HandBack { access: Some(cookie("at", None)), refresh: Some(cookie("rt", Some(60))), expires_in: None },
                pair("a", Some("r")),
                "set-cookie: at=a; Path=/; Secure; HttpOnly; SameSite=Lax|set-cookie: rt=r; Path=/; Secure; HttpOnly; SameSite=Lax; \
                 Max-Age=60|cache-control: no-store",
                "cookies, one with an age",
            ),
            (
                HandBack { access: Some(header("x-access")), refresh: Some(header("x-refresh")), expires_in: None },
                pair("a", None),
                "x-access: a|cache-control: no-store",
                "an issuer that does not rotate: the client keeps what it has",
            ),
            (
                HandBack { access: None, refresh: Some(header("x-refresh")), expires_in: None },
                pair("a", Some("r")),
                "x-refresh: r|cache-control: no-store",
                "only what the client holds",
            ),
        ];
        for (to, pair, expected, shows) in rows {
            assert!(can_hold(&to, &pair), "{shows}");
            let written = fields(&to, &pair, Timestamp(1_000)).unwrap();
            assert!(
                written.iter().all(|(name, value)| value.is_sensitive() || name == "cache-control" || name == "x-expires-in"),
                "{shows}"
            );
            let text: Vec<String> = written.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
            assert_eq!(text.join("|"), expected, "{shows}");
        }
    }

    #[test]
    fn what_cannot_stand_there_is_not_written() {
        let rows = [
            (header("x-access"), "a\r\nb", "a line break in a header"),
            (cookie("at", None), "a;b", "a separator in a cookie"),
            (cookie("at", None), "a b", "a space in a cookie"),
            (cookie("at", None), "\u{e9}", "a letter beyond ASCII in a cookie"),
        ];
        for (place, access, shows) in rows {
            let to = HandBack { access: Some(place), refresh: None, expires_in: None };
            assert_eq!(fields(&to, &pair(access, None), Timestamp(0)).unwrap_err().reason(), Reason::Internal, "{shows}");
            assert!(!can_hold(&to, &pair(access, None)), "{shows}");
        }
    }
}
