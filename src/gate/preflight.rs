//! CORS preflights: questions a browser asks before the request itself, always without credentials.
//!
//! Rules: Fetch standard section 3.2 (`Origin`, `Access-Control-Request-Method`, the answer's fields). A preflight is never
//! a way past authentication: whatever it asks, the request that follows is judged like any other.
//!
//! A forwarded preflight carries nobody's identity and nobody's credential. Where a rule names a system, no guard has looked at it; so it
//! goes on with what a browser asks by and nothing else: no query, in which clients of some systems have to put their credentials, and
//! no field of the system's own.

use http::header;
use http::{HeaderName, HeaderValue};

use crate::domain::{Facts, Outage, Refusal, RequestView, Timestamp};
use crate::gate::arrival::BodySource;
use crate::gate::forwarded;
use crate::gate::prove::{Proven, Walk};
use crate::gate::rule::{Action, Forward, Gate, Preflight, Rule};
use crate::gate::verdict::{Outcome, Served};

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

impl Gate {
    /// Answers or forwards a preflight where the rule says so; `None` when it is a request like any other.
    pub(super) async fn preflight(
        &self,
        rule: &Rule,
        request: &RequestView<'_>,
        origin: &forwarded::Origin,
        asked: &str,
        now: Timestamp,
        body: &mut dyn BodySource,
    ) -> Result<Option<Outcome>, Refusal> {
        match (answer(&rule.preflight, request, asked), &rule.action) {
            (Reply::Ordinary, _) | (Reply::Forward, Action::Serve { .. }) => Ok(None),
            (Reply::Served(served), _) => Ok(Some(Outcome::Serve(served))),
            (Reply::Forward, Action::Forward(forward)) => {
                // A preflight brings nothing. A body would reach the upstream from a caller whom nobody has proven.
                body.body(0).await.map_err(Outage::refusal)?;
                // Without identity and without credentials, ours among them.
                let mut proven = Proven::default();
                Walk { gate: self, request, now, refused: None, shows_held: false }.places(
                    &rule.requirement,
                    &Facts::default(),
                    &mut proven.places,
                );
                let bare =
                    Forward { upstream: forward.upstream, countersigners: Box::default(), keep_credential: false, session_token: None };
                let mut admission = self.countersign(&bare, request, origin, &proven, now)?;
                admission.remove.extend([header::AUTHORIZATION, header::COOKIE]);
                admission.set.retain(|(name, _)| *name != header::COOKIE);
                if rule.system.is_some() {
                    admission.target.query = None;
                    admission.remove.extend(request.headers.keys().filter(|name| !is_asked_by(name)).cloned());
                }
                Ok(Some(Outcome::Admit(Box::new(admission))))
            }
        }
    }
}

/// Whether a browser asks by this field, or it says nothing of who asks (Fetch standard section 4.8). Those of the connection are the
/// edge's.
fn is_asked_by(name: &HeaderName) -> bool {
    const PLAIN: [&str; 8] =
        ["host", "origin", "user-agent", "accept", "accept-language", "accept-encoding", "connection", "content-length"];
    let name = name.as_str();
    PLAIN.contains(&name) || name.starts_with("access-control-request-") || name.starts_with("sec-fetch-")
}
