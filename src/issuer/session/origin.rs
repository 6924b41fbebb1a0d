//! Whose page made a browser send a request.
//!
//! A session is opened and ended by pages of the same origin only: otherwise any site could log a visitor out, or in as somebody
//! else. Browsers say where a request comes from (`Sec-Fetch-Site`, or else `Origin`); what says neither is no browser of our time.
//!
//! Rules: W3C Fetch Metadata section 2.3, RFC 6454 section 7, OWASP cross-site request forgery prevention.

use http::HeaderName;
use http::header::{HOST, ORIGIN};

use crate::domain::RequestView;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Where a request comes from, as the browser that sent it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// From a page of this very origin, or from the user's own hand.
    Here,
    /// From anywhere else, or it cannot be read.
    Elsewhere,
    /// It does not say.
    Unsaid,
}

/// Where `request` comes from.
#[must_use]
pub fn of(request: &RequestView<'_>) -> Origin {
    if request.headers.contains_key(&SEC_FETCH_SITE) {
        return match request.sole_header(&SEC_FETCH_SITE) {
            Ok(Some("same-origin" | "none")) => Origin::Here,
            _ => Origin::Elsewhere,
        };
    }
    match request.sole_header(&ORIGIN) {
        Ok(None) => Origin::Unsaid,
        Ok(Some(origin)) if is_ours(origin, request) => Origin::Here,
        _ => Origin::Elsewhere,
    }
}

/// Whether `origin` is how a browser writes the origin that `request` was sent to. Both fields leave the usual port out.
fn is_ours(origin: &str, request: &RequestView<'_>) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let fitting = scheme == "https" || (scheme == "http" && !request.secure);
    match request.sole_header(&HOST) {
        Ok(Some(host)) => fitting && !host.is_empty() && authority.eq_ignore_ascii_case(host),
        // HTTP/2: the host came as `:authority`, whose port is not kept.
        Ok(None) => fitting && !request.host.is_empty() && without_port(authority).eq_ignore_ascii_case(request.host),
        Err(()) => false,
    }
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{Origin, of};
    use crate::domain::{RequestView, Target};

    fn asked(secure: bool, host: &str, fields: &[(&str, &str)]) -> Origin {
        let headers: HeaderMap =
            fields.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())).collect();
        let headers = fields.iter().skip(headers.len()).fold(headers, |mut headers, (name, value)| {
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
            headers
        });
        let target = Target { path: "/s".into(), query: None };
        of(&RequestView {
            method: "POST",
            raw_target: "/s",
            target: &target,
            host,
            headers: &headers,
            client: std::net::Ipv4Addr::LOCALHOST.into(),
            secure,
            request_id: "",
        })
    }

    #[test]
    fn only_pages_of_the_same_origin_are_here() {
        let rows: [(bool, &[(&str, &str)], Origin, &str); 19] = [
            (true, &[("host", "app.example")], Origin::Unsaid, "no browser"),
            (true, &[("sec-fetch-site", "same-origin")], Origin::Here, "a page of ours"),
            (true, &[("sec-fetch-site", "none")], Origin::Here, "the user's own hand"),
            (true, &[("sec-fetch-site", "same-site")], Origin::Elsewhere, "a sibling, who is not us"),
            (true, &[("sec-fetch-site", "cross-site")], Origin::Elsewhere, "another site"),
            (true, &[("sec-fetch-site", "")], Origin::Elsewhere, "nothing that can be read"),
            (true, &[("sec-fetch-site", "none"), ("sec-fetch-site", "none")], Origin::Elsewhere, "twice"),
            (
                true,
                &[("sec-fetch-site", "cross-site"), ("host", "app.example"), ("origin", "https://app.example")],
                Origin::Elsewhere,
                "the newer field decides",
            ),
            (true, &[("host", "app.example"), ("origin", "https://app.example")], Origin::Here, "our own origin"),
            (true, &[("host", "App.Example"), ("origin", "https://app.example")], Origin::Here, "hosts have no case"),
            (true, &[("host", "app.example:8443"), ("origin", "https://app.example:8443")], Origin::Here, "with its port"),
            (true, &[("host", "app.example:8443"), ("origin", "https://app.example")], Origin::Elsewhere, "another port"),
            (true, &[("host", "app.example"), ("origin", "https://app.example.evil")], Origin::Elsewhere, "a longer name"),
            (true, &[("host", "app.example"), ("origin", "http://app.example")], Origin::Elsewhere, "in the clear"),
            (false, &[("host", "app.example"), ("origin", "http://app.example")], Origin::Here, "in the clear, as this request"),
            (true, &[("host", "app.example"), ("origin", "null")], Origin::Elsewhere, "a sandboxed page"),
            (true, &[("host", "app.example"), ("origin", "https://app.example/")], Origin::Elsewhere, "no browser writes that"),
            (true, &[("host", "app.example"), ("origin", "https://a"), ("origin", "https://b")], Origin::Elsewhere, "two of them"),
            (true, &[("origin", "https://app.example:443")], Origin::Here, "HTTP/2 has no Host field"),
        ];
        for (secure, fields, expected, shows) in rows {
            assert_eq!(asked(secure, "app.example", fields), expected, "{shows}: {fields:?}");
        }
        assert_eq!(asked(true, "", &[("origin", "https://")]), Origin::Elsewhere, "a request without host is nobody's");
    }
}
