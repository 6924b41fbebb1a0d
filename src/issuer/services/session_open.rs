//! `serve: session.open`: who has been proven gets a session, and a cookie to hold it by.
//!
//! The rule's authenticator proves the caller, by a token or a ticket; the id is new whatever the request brought along, and a
//! session that it brought is ended. A refresh token in the body is kept, so that the session is renewed when its access token ends.
//! A refresh token that is in a session already opens no second one: spent twice, it would end both.
//! Pages of other sites open none, so that nobody is logged in as somebody else without noticing.
//!
//! Rules: OWASP session management (renewal of the id at login), RFC 6749 section 6 for what is kept.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderValue;
use http::header::{AUTHORIZATION, CONTENT_TYPE};

use crate::domain::{Identity, Refusal, RequestView, Seconds, Secret, Value};
use crate::issuer::contract::{Call, Reply, Service, ServiceEntry, ServicePlan, ServiceTools};
use crate::issuer::services::form::Form;
use crate::issuer::services::oauth::refusal;
use crate::issuer::services::place::{Place, SESSION_KEY, THEN_KEY, answer};
use crate::issuer::services::submission::Unread;
use crate::issuer::session::cookie;
use crate::issuer::session::origin::{self, Origin};
use crate::issuer::session::{OpenFault, Sessions};
use crate::jose::json;
use crate::jose::session::KeptPair;
use crate::settings::{Checking, Node, SectionSpec, Shape, Span};

/// The service's line on the roll-call.
pub static ENTRY: ServiceEntry = ServiceEntry {
    name: "session.open",
    doc: "Opens a session for whoever the rule has proven, and sets its cookie.",
    shape: Shape::Section(&SETTINGS),
    methods: &["POST"],
    proven: true,
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the service `session.open`",
    doc: "Opens a session for whoever the rule has proven, and sets its cookie. A body (a form, or a JSON object) may bring `refresh_token`, to be kept and spent \
          when the access token ends, and `access_token` where that is not the bearer of the request.",
    keys: &[SESSION_KEY, THEN_KEY],
};

/// What a second log-in with one pair is told.
const TAKEN: Unread = Unread {
    status: 409,
    says: Cow::Borrowed(
        "the refresh token is in a session already, which goes on with the cookie that it was opened with; for another, log in anew",
    ),
};

/// When to come again after the store did not answer.
const RETRY: Seconds = Seconds(5);

#[derive(Debug)]
struct OpenPlan(Place);

fn plan(settings: Option<&Node>, at: &Span, checking: &mut Checking<'_>) -> Option<Box<dyn ServicePlan>> {
    Some(Box::new(OpenPlan(Place::read(&ENTRY, &SETTINGS, settings, at, checking)?)))
}

impl ServicePlan for OpenPlan {
    fn sessions(&self) -> Vec<(String, Span)> {
        self.0.uses()
    }

    fn build(&self, tools: &ServiceTools<'_>) -> Result<Arc<dyn Service>, String> {
        Ok(Arc::new(Open { sessions: self.0.sessions(tools)?, then: self.0.then.clone() }))
    }
}

/// Opens the sessions of one authenticator.
struct Open {
    sessions: Arc<Sessions>,
    then: Option<HeaderValue>,
}

#[async_trait]
impl Service for Open {
    async fn serve(&self, call: &Call<'_>) -> Result<Reply, Refusal> {
        let identity = call.identity.ok_or(Refusal::Internal)?;
        // A session that opens another would never end.
        if identity.scheme == "session" || origin::of(call.request) == Origin::Elsewhere {
            return Err(Refusal::PolicyDenied);
        }
        if call.request.host.is_empty() {
            return Err(Refusal::HeadMalformed);
        }
        let pair = match kept(identity, call) {
            Ok(pair) => pair,
            Err(says) => return Ok(refusal("invalid_request", says)),
        };
        let lost = |_outage| Refusal::StateUnavailable { retry_after: RETRY };
        // Before anything ends: the session that came along may be the very one.
        if let Some(pair) = &pair
            && self.sessions.holds(pair, call.now).await.map_err(lost)?
        {
            return Ok(Reply::problem(call, &TAKEN));
        }
        let terms = self.sessions.terms();
        if let Ok(Some(id)) = cookie::read(&terms.cookie, call.request)
            && let Some(before) = terms.recognise(id, call.request.host)
        {
            let closed = self.sessions.close(&before, call.now).await;
            closed.map_err(lost)?;
        }
        let (reference, session) = match self.sessions.open(call.request.host, identity, pair, call.now).await {
            Ok(opened) => opened,
            Err(OpenFault::Taken) => return Ok(Reply::problem(call, &TAKEN)),
            Err(OpenFault::TooLarge) => return Err(Refusal::PolicyDenied),
            Err(OpenFault::Store) => return Err(Refusal::StateUnavailable { retry_after: RETRY }),
        };
        let held = cookie::set(&terms.cookie, reference.id(), call.now.until(session.ends)).ok_or(Refusal::Internal)?;
        Ok(answer(held, self.then.as_ref()))
    }
}

/// The pair that the session shall keep; `None` when the caller brought nothing to be spent.
///
/// # Errors
///
/// What is wrong with the body, for the caller.
fn kept(identity: &Identity, call: &Call<'_>) -> Result<Option<KeptPair>, &'static str> {
    if call.body.is_empty() {
        return Ok(None);
    }
    let brought = Brought::read(call).ok_or("the body is neither a form nor a JSON object that can be read")?;
    let secret = |text: &str| Secret::new(text.as_bytes().to_vec());
    let access = brought.value("access_token")?.map(secret);
    match brought.value("refresh_token")? {
        None if access.is_some() => Err("`access_token` is kept together with a `refresh_token` only"),
        None => Ok(None),
        Some(refresh) => Ok(Some(KeptPair {
            access: access.or_else(|| bearer(call.request).map(secret)).unwrap_or_else(|| Secret::new(Vec::new())),
            refresh: secret(refresh),
            // What proved the caller ends then; the session does not go on without a renewal.
            access_until: identity.expires,
            refresh_until: None,
        })),
    }
}

/// What a caller brings to be kept, as pages send it.
enum Brought {
    Form(Form),
    Json(Value),
}

impl Brought {
    /// The body of `call`; `None` when it has not exactly one reading.
    fn read(call: &Call<'_>) -> Option<Self> {
        if !is_json(call.request) {
            return Form::read(call.request.headers, &call.body).map(Self::Form);
        }
        json::parse(&call.body).ok().filter(|value| matches!(value, Value::Map(_))).map(Self::Json)
    }

    /// The text called `name`; `None` when it is left out or empty.
    fn value(&self, name: &str) -> Result<Option<&str>, &'static str> {
        let value = match self {
            Self::Form(form) => return Ok(form.value(name)),
            Self::Json(value) => value.member(name),
        };
        match value {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Text(text)) => Ok(Some(&**text).filter(|text| !text.is_empty())),
            Some(_) => Err("`access_token` and `refresh_token` are text"),
        }
    }
}

/// Whether the body of `request` says that it is JSON.
fn is_json(request: &RequestView<'_>) -> bool {
    let written = request.sole_header(&CONTENT_TYPE).ok().flatten().unwrap_or_default();
    written.split(';').next().unwrap_or_default().trim_matches([' ', '\t']).eq_ignore_ascii_case("application/json")
}

/// The bearer of `request` (RFC 6750 section 2.1).
fn bearer<'r>(request: &RequestView<'r>) -> Option<&'r str> {
    let (scheme, token) = request.sole_header(&AUTHORIZATION).ok()??.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests;
