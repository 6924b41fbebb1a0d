//! What an admitted request looks like to its upstream, and the upstream's answer to the client.
//!
//! Runs after Pingora has taken hop-by-hop fields off, so that nothing a client nominates in `Connection` can remove what
//! is set here. Only the Admission says what is removed and set; nothing is decided here.

use http::header::{CONTENT_LENGTH, COOKIE, EXPECT, HOST, IF_RANGE, RANGE, SET_COOKIE, TRANSFER_ENCODING, VIA};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use pingora::http::{RequestHeader, ResponseHeader};

use crate::edge::upstream::{Address, HostShown, Upstream};
use crate::gate::hygiene;
use crate::gate::verdict::Admission;

/// Lets the client's spelling of field names go, which nobody relies on: names are compared without regard to case (RFC 9110
/// section 5.1), and to keep both costs every later step twice. Names go upstream in lower case.
pub fn forget_spelling(request: &mut RequestHeader) {
    // Only of this form does a request keep nothing else beside its parts.
    if request.has_case() && request.raw_path().first() == Some(&b'/') {
        let parts = Parts::from(std::mem::replace(request, nothing()));
        *request = RequestHeader::from(parts);
    }
}

/// Holds the place of a request whose parts are being changed.
fn nothing() -> RequestHeader {
    RequestHeader::from(http::Request::new(()).into_parts().0)
}

/// Writes the Admission into the request that goes upstream.
///
/// `received` is the version that the client spoke.
///
/// # Errors
///
/// When a part of it cannot stand in a request; the request is then not sent.
pub fn apply(
    admission: &Admission,
    upstream: &Upstream,
    address: &Address,
    received: Version,
    request: &mut RequestHeader,
) -> pingora::Result<()> {
    let sent = sent_host(request);
    let target = admission.target.wire();
    let same_target = target.starts_with('/') && request.raw_path() == target.as_bytes();
    let ends_early = request.send_end_stream();
    // Changed as parts: Pingora's own way reads every name anew and keeps its spelling beside it.
    let mut parts = Parts::from(std::mem::replace(request, nothing()));
    rewrite(admission, &mut parts.headers)?;
    match (upstream.options().host, &admission.host) {
        (HostShown::Own, _) => {
            parts.headers.insert(HOST, address.authority().clone());
        }
        (HostShown::Preserved, Some(judged)) => {
            parts.headers.insert(HOST, judged.clone());
        }
        (HostShown::Preserved, None) => {
            if let Some(sent) = sent {
                parts.headers.insert(HOST, sent);
            }
        }
    }
    for (name, value) in &admission.set {
        parts.headers.insert(name, value.clone());
    }
    if admission.keeper.is_some() {
        // A part of a reply says nothing of what the whole of it brings.
        parts.headers.remove(RANGE);
        parts.headers.remove(IF_RANGE);
    }
    if let Some(body) = &admission.body {
        // Whatever the client said of its own body, and whatever else is set: there is one length, and it is true.
        parts.headers.remove(TRANSFER_ENCODING);
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    // Behind what earlier proxies said of themselves, who need not be believed.
    parts.headers.append(VIA, via(received));
    *request = RequestHeader::from(parts);
    if let Some(ends_early) = ends_early {
        request.set_send_end_stream(ends_early);
    }
    if !same_target {
        request.set_raw_path(target.as_bytes())?;
    }
    Ok(())
}

/// Takes off what the Admission names, and what is said to us alone.
fn rewrite(admission: &Admission, headers: &mut HeaderMap) -> pingora::Result<()> {
    for name in &admission.remove {
        headers.remove(name);
    }
    // `100 Continue` is said by us, after the verdict, and never awaited from the upstream.
    headers.remove(EXPECT);
    join_cookies(headers)?;
    // A host and a `Via` besides.
    headers.reserve(admission.set.len() + 2);
    Ok(())
}

/// Our entry in `Via`, which a gateway owes every request it forwards (RFC 9110 section 7.6.3): the version that was
/// received, and a pseudonym, since our address is nobody's business.
fn via(received: Version) -> HeaderValue {
    HeaderValue::from_static(match received {
        Version::HTTP_10 => "1.0 countersign",
        Version::HTTP_2 => "2.0 countersign",
        _ => "1.1 countersign",
    })
}

/// The host of a request that names it in its target only, as HTTP/2 does: the target is replaced, and a request without a
/// host cannot go on over HTTP/2. The gate has judged it.
fn sent_host(request: &RequestHeader) -> Option<HeaderValue> {
    let authority = request.uri.authority().filter(|_| !request.headers.contains_key(HOST))?;
    HeaderValue::from_str(authority.as_str()).ok()
}

/// HTTP/2 splits cookies over several fields; HTTP/1.1 knows one (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) -> pingora::Result<()> {
    let mut cookies = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (cookies.next(), cookies.next()) else { return Ok(()) };
    let mut joined = [first.as_bytes(), second.as_bytes()].join(&b"; "[..]);
    for cookie in cookies {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(cookie.as_bytes());
    }
    let joined = HeaderValue::from_bytes(&joined)
        .map_err(|error| pingora::Error::because(pingora::ErrorType::InvalidHTTPHeader, "cookies cannot be joined", error))?;
    headers.insert(COOKIE, joined);
    Ok(())
}

/// Takes off what the upstream must not say in our name, in whatever spelling.
pub fn clean_response(admission: &Admission, response: &mut ResponseHeader) {
    for name in hygiene::named_among(&admission.remove_from_response, &response.headers) {
        response.remove_header(&name);
    }
}

/// Writes a fresh pair into the answer. What the upstream says under the same headers is not passed on; but what it says of the same
/// cookies counts, since it says it later: whoever logs in or out with a pair that has just run out stays so.
///
/// # Errors
///
/// When a field cannot stand in a response; the client then gets none of it.
pub fn hand_back(fields: &[(HeaderName, HeaderValue)], response: &mut ResponseHeader) -> pingora::Result<()> {
    if fields.is_empty() {
        return Ok(());
    }
    let theirs: Vec<HeaderValue> = response.headers.get_all(SET_COOKIE).iter().cloned().collect();
    let overruling: Vec<HeaderName> = response.headers.keys().filter(|name| overrules_cache_control(name)).cloned().collect();
    for name in overruling {
        response.remove_header(&name);
    }
    for (name, value) in fields {
        if *name != SET_COOKIE {
            response.insert_header(name, value.clone())?;
        } else if theirs.iter().all(|said| cookie_name(said) != cookie_name(value)) {
            response.append_header(name, value.clone())?;
        }
    }
    Ok(())
}

/// Whether caches heed the field before `Cache-Control`: `CDN-Cache-Control` and its kin (RFC 9213), and what came before them.
fn overrules_cache_control(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.ends_with("cdn-cache-control") || matches!(name, "surrogate-control" | "x-accel-expires" | "edge-control")
}

/// The name in a `Set-Cookie` (RFC 6265 section 5.2).
fn cookie_name(value: &HeaderValue) -> &[u8] {
    let pair = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii()
}

/// The same for what it says behind its body, which HTTP/2 passes on.
pub fn clean_trailers(admission: &Admission, trailers: &mut HeaderMap) {
    for name in hygiene::named_among(&admission.remove_from_response, trailers) {
        trailers.remove(name);
    }
}

#[cfg(test)]
mod tests;
