//! What the services for sessions have in common: whose sessions, and where the browser is sent afterwards.
//!
//! That place stands in the conf and nowhere else: nothing in a request says where to go.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::header::{LOCATION, SET_COOKIE};

use crate::issuer::contract::{Reply, ServiceEntry, ServiceTools};
use crate::issuer::session::Sessions;
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape, Span};

/// Whose sessions.
pub(super) const SESSION_KEY: KeySpec =
    KeySpec::required("session", Shape::Name("authenticators"), "The authenticator of the scheme `session` whose sessions they are.");

/// Where the browser goes afterwards.
pub(super) const THEN_KEY: KeySpec = KeySpec::optional(
    "then",
    Shape::Text,
    "A path of this host that the browser is sent to afterwards (303). Without it the answer is 204 and the page goes on by itself.",
);

/// The two, proven.
#[derive(Debug)]
pub(super) struct Place {
    session: String,
    span: Span,
    /// Where the browser is sent.
    pub(super) then: Option<HeaderValue>,
}

impl Place {
    /// Reads what `settings` of `service` say, or notes every fault.
    pub(super) fn read(
        service: &ServiceEntry,
        spec: &'static SectionSpec,
        settings: Option<&Node>,
        at: &Span,
        checking: &mut Checking<'_>,
    ) -> Option<Self> {
        let Some(node) = settings else {
            checking.faults.error(at, format!("say whose sessions: `{{ {}: {{ session: NAME }} }}`", service.name));
            return None;
        };
        let section = Section::open(spec, node, checking.faults)?;
        let then = match section.text("then") {
            None => None,
            Some(path) if is_own_path(path) => Some(HeaderValue::from_str(path).ok()?),
            Some(path) => {
                let says = format!("`then` must be a path of this host such as `/home`; found `{}`", path.escape_debug());
                checking.faults.error(section.span_of("then"), says);
                return None;
            }
        };
        Some(Self { session: section.text("session")?.to_owned(), span: section.span_of("session").clone(), then })
    }

    /// The authenticator, for the contract.
    pub(super) fn uses(&self) -> Vec<(String, Span)> {
        vec![(self.session.clone(), self.span.clone())]
    }

    /// Its sessions.
    pub(super) fn sessions(&self, tools: &ServiceTools<'_>) -> Result<Arc<Sessions>, String> {
        tools.sessions.get(&self.session).map(Arc::clone).ok_or_else(|| format!("`{}` has no sessions", self.session))
    }
}

/// Whether browsers read `path` as one of the very host that they are at.
pub(super) fn is_own_path(path: &str) -> bool {
    path.starts_with('/') && !path.starts_with("//") && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

/// 303 to where the conf says, or 204; with `cookie`.
pub(super) fn answer(cookie: HeaderValue, then: Option<&HeaderValue>) -> Reply {
    let mut headers = vec![(SET_COOKIE, cookie)];
    headers.extend(then.map(|place| (LOCATION, place.clone())));
    Reply { status: if then.is_some() { 303 } else { 204 }, headers, body: Bytes::new(), guessed: false }
}
