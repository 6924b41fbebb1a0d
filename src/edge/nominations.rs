//! What a client may nominate in `Connection`.
//!
//! A field named there is taken off before the request goes on. That is meant for hop-by-hop fields; used on others it
//! removes what a later hop relies on, a credential or the proxy's own word among them. What a proxy of ours sets is set
//! after that step, so it cannot be removed; to nominate such a name at all is refused, since nobody does it by accident.
//!
//! Rules: RFC 9110 section 7.6.1.

use crate::edge::head::{HeadFault, is_token, trim};

/// More than this in one head has no honest use, and Pingora would refuse it unseen.
const MOST: usize = 8;

/// Names that are hop-by-hop anyway, or mere options.
const HARMLESS: &[&[u8]] = &[b"close", b"keep-alive", b"upgrade", b"te", b"trailer", b"trailers", b"http2-settings", b"proxy-connection"];

/// Names that carry credentials, framing, routing or the word of a proxy; folded.
const PROTECTED: &[&str] = &[
    "authorization",
    "contentencoding",
    "contentlength",
    "contenttype",
    "cookie",
    "earlydata",
    "expect",
    "forwarded",
    "host",
    "instanceid",
    "instancekey",
    "origin",
    "proxyauthorization",
    "serverkey",
    "setcookie",
    "traceparent",
    "tracestate",
    "transferencoding",
    "via",
    "xauthtoken",
    "xrealip",
    "xrequestid",
];

/// Families of such names; folded.
const PROTECTED_PREFIXES: &[&str] = &["xauth", "xforwarded", "secfetch", "secwebsocket"];

/// Checks one `Connection` value; `count` runs over all of them. True when `upgrade` is among the options.
///
/// # Errors
///
/// Too many, not a token, or a protected name.
pub(super) fn check(value: &[u8], count: &mut usize, protected: &[Box<str>]) -> Result<bool, HeadFault> {
    let mut upgrade = false;
    for option in value.split(|byte| *byte == b',').map(trim).filter(|option| !option.is_empty()) {
        *count += 1;
        if MOST < *count {
            return Err(HeadFault::malformed("nominations"));
        }
        if !is_token(option) {
            return Err(HeadFault::malformed("nomination"));
        }
        upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        if HARMLESS.iter().any(|name| option.eq_ignore_ascii_case(name)) {
            continue;
        }
        let folded = fold(option);
        let is_protected = PROTECTED.contains(&folded.as_str())
            || PROTECTED_PREFIXES.iter().any(|prefix| folded.starts_with(prefix))
            || protected.iter().any(|name| **name == *folded);
        if is_protected {
            return Err(HeadFault::malformed("nomination_protected"));
        }
    }
    Ok(upgrade)
}

/// Lower case, and nothing but letters and digits: how CGI, WSGI and their like may come to see a name.
pub(super) fn fold(name: &[u8]) -> String {
    name.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(|byte| char::from(byte.to_ascii_lowercase())).collect()
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::edge::head::HeadFault;

    #[test]
    fn a_client_cannot_have_a_protected_field_removed() {
        let extra: Vec<Box<str>> = vec!["xtenant".into()];
        let rows: &[(&str, Result<bool, HeadFault>, &str)] = &[
            ("close", Ok(false), "an option"),
            ("keep-alive, Upgrade", Ok(true), "an upgrade in any case"),
            ("x-debug", Ok(false), "a field of the client's own"),
            (" , ,close, ", Ok(false), "empty elements are none"),
            ("close, X-Auth-User", Err(HeadFault::malformed("nomination_protected")), "an identity header"),
            ("x_auth.user", Err(HeadFault::malformed("nomination_protected")), "the same, as other servers read it"),
            ("authorization", Err(HeadFault::malformed("nomination_protected")), "a credential"),
            ("Server-Key", Err(HeadFault::malformed("nomination_protected")), "a credential of one system"),
            ("x-real-ip", Err(HeadFault::malformed("nomination_protected")), "the word of a proxy"),
            ("content-length", Err(HeadFault::malformed("nomination_protected")), "framing"),
            ("X-Tenant", Err(HeadFault::malformed("nomination_protected")), "a name that the conf emits"),
            (":path", Err(HeadFault::malformed("nomination")), "a pseudo header is no token"),
            ("\"x-forwarded-for\"", Err(HeadFault::malformed("nomination")), "a decorated name is no token"),
            ("a,b,c,d,e,f,g,h", Ok(false), "eight are the most"),
            ("a,b,c,d,e,f,g,h,i", Err(HeadFault::malformed("nominations")), "nine are too many"),
        ];
        for (value, expected, shows) in rows {
            assert_eq!(check(value.as_bytes(), &mut 0, &extra), *expected, "{shows}: {value}");
        }
    }

    #[test]
    fn the_count_runs_over_several_fields() {
        let mut count = 7;
        assert_eq!(check(b"close", &mut count, &[]), Ok(false), "the eighth");
        assert_eq!(check(b"close", &mut count, &[]), Err(HeadFault::malformed("nominations")), "the ninth");
    }
}
