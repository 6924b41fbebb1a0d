//! CORS preflights: questions a browser asks before the request itself, always without credentials.
//!
//! Rules: Fetch standard section 3.2 (`Origin`, `Access-Control-Request-Method`, the answer's fields). A preflight is never
//! a way past authentication: whatever it asks, the request that follows is judged like any other.

use http::header;
use http::{HeaderName, HeaderValue};

use crate::domain::RequestView;
use crate::gate::rule::Preflight;
use crate::gate::verdict::Served;

/// What becomes of a preflight.
pub(super) enum Reply {
    /// It is treated like any request.
    Ordinary,
    /// It goes to the upstream, bare.
    Forward,
    /// We answer.
    Served(Served),
}

/// The method that a preflight asks about; `None` when the request is not a preflight.
pub(super) fn asked_method<'r>(request: &RequestView<'r>) -> Option<&'r str> {
    if request.method != "OPTIONS" {
        return None;
    }
    let origin = request.sole_header(&header::ORIGIN).ok()??;
    let method = request.sole_header(&header::ACCESS_CONTROL_REQUEST_METHOD).ok()??;
    (!origin.is_empty() && !method.is_empty()).then_some(method)
}

/// What `preflight` says to this request.
pub(super) fn answer(preflight: &Preflight, request: &RequestView<'_>, asked: &str) -> Reply {
    match preflight {
        Preflight::Refuse => Reply::Ordinary,
        Preflight::Forward => Reply::Forward,
        Preflight::Answer { origins, headers, methods, credentials, max_age } => {
            let origin = request.sole_header(&header::ORIGIN).ok().flatten().unwrap_or_default();
            let mut fields: Vec<(HeaderName, HeaderValue)> = vec![
                (header::VARY, HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers")),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ];
            let method_allowed = methods.is_empty() || methods.iter().any(|method| &**method == asked);
            if method_allowed
                && origins.iter().any(|allowed| &**allowed == origin)
                && let (Ok(origin), Ok(method)) = (HeaderValue::from_str(origin), HeaderValue::from_str(asked))
            {
                fields.push((header::ACCESS_CONTROL_ALLOW_ORIGIN, origin));
                fields.push((header::ACCESS_CONTROL_ALLOW_METHODS, method));
                fields.push((header::ACCESS_CONTROL_ALLOW_HEADERS, headers.clone()));
                fields.push((header::ACCESS_CONTROL_MAX_AGE, max_age.clone()));
                if *credentials {
                    fields.push((header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true")));
                }
            }
            // Without the fields above the browser refuses by itself; 204 either way tells an outsider nothing.
            Reply::Served(Served { status: 204, headers: fields, body: bytes::Bytes::new() })
        }
    }
}
