//! `serve: hat.callback`: a browser comes back from a HAT with a token in its URL, and goes on with a session and a clean one.
//!
//! The rule's authenticator (scheme `hat`, `from: query`, `single_use: true`) proves the token and sees to it that it is taken once; here it
//! is kept in a session, and the browser is sent to where the conf says. It comes back with an error as well, whose codes are known: what
//! is none of them is told as none of them, and nothing that stood in the URL is ever repeated.
//!
//! Only a browser that was sent away by `hat.login` may come back, unless the conf says otherwise (`begun`).
//!
//! Source: the vendor's error reference (`error`, `error_reason`) and its guide on registration (`token`).

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};

use crate::domain::{Identity, Refusal, Seconds, Secret};
use crate::issuer::contract::{Call, Reply, Service, ServiceEntry, ServicePlan, ServiceTools};
use crate::issuer::services::begun::{self, Begun};
use crate::issuer::services::form::Form;
use crate::issuer::services::place::{Place, SESSION_KEY, THEN_KEY, is_own_path};
use crate::issuer::services::submission::Unread;
use crate::issuer::session::cookie;
use crate::issuer::session::{OpenFault, Sessions};
use crate::jose::compact::Compact;
use crate::jose::session::KeptPair;
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape, Span};

/// The service's line on the roll-call.
pub static ENTRY: ServiceEntry = ServiceEntry {
    name: "hat.callback",
    doc: "Takes the token that a browser brings back from a HAT, and opens a session that keeps it.",
    shape: Shape::Section(&SETTINGS),
    methods: &["GET"],
    proven: false,
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the service `hat.callback`",
    doc: "Takes the token that a browser brings back from a HAT, and opens a session that keeps it. Its rule says `authenticate: { optional: NAME }` \
          with an authenticator of the scheme `hat` that takes its token `from: query`, `single_use: true`.",
    keys: &[
        SESSION_KEY,
        THEN_KEY,
        KeySpec::optional(
            "failed",
            Shape::Text,
            "A path of this host that the browser is sent to when it brings an error, with `?error=CODE&reason=CODE`. Without it the codes are \
             told as plain text.",
        ),
        KeySpec::default(
            "parameter",
            Shape::Text,
            "token",
            "What the token is called in the query, as the authenticator has it in `field`.",
        ),
        KeySpec::default(
            "begun",
            Shape::Bool,
            "true",
            "Whether the browser must have been sent away by `hat.login` of the same `session`. Without it anybody can log anybody in as \
             themselves, so the application that sends browsers away itself must see to that.",
        ),
    ],
};

/// Codes of the vendor, each with its reasons.
const CODES: [(&str, &[&str]); 3] = [
    (
        "application_misconfigured",
        &[
            "email_is_required",
            "email_is_not_valid",
            "hat_name_is_required",
            "hat_name_is_not_valid",
            "application_id_is_required",
            "application_id_not_found",
            "redirect_uri_is_required",
        ],
    ),
    ("hat_provisioning", &["hat_name_already_taken", "email_already_taken", "uncaught_error", "unexpected_error", "next_step_undefined"]),
    ("hat_exception", &["enabling_application_failed", "hat_authentication_failed", "hat_communication_failure"]),
];

/// What is said in place of a code that is none of these.
const UNKNOWN: &str = "unknown";

/// What a second arrival with one token is told.
const TAKEN: &str = "the token is in a session already, which goes on with the cookie that it was opened with; for another, log in anew";

/// When to come again after the store did not answer.
const RETRY: Seconds = Seconds(5);

#[derive(Debug)]
struct CallbackPlan {
    place: Place,
    failed: Option<Box<str>>,
    parameter: Box<str>,
    begun: bool,
}

fn plan(settings: Option<&Node>, at: &Span, checking: &mut Checking<'_>) -> Option<Box<dyn ServicePlan>> {
    let place = Place::read(&ENTRY, &SETTINGS, settings, at, checking)?;
    let section = Section::open(&SETTINGS, settings?, checking.faults)?;
    if place.then.is_none() {
        checking.faults.error(section.span(), "say where the browser goes on with a clean URL: `then: /home`");
        return None;
    }
    let failed = section.text("failed");
    if let Some(path) = failed.filter(|path| !is_own_path(path) || path.contains(['?', '#'])) {
        let says = format!("`failed` must be a path of this host such as `/welcome`, without query; found `{}`", path.escape_debug());
        checking.faults.error(section.span_of("failed"), says);
        return None;
    }
    Some(Box::new(CallbackPlan {
        place,
        failed: failed.map(Into::into),
        parameter: section.text("parameter")?.into(),
        begun: section.flag("begun"),
    }))
}

impl ServicePlan for CallbackPlan {
    fn sessions(&self) -> Vec<(String, Span)> {
        self.place.uses()
    }

    fn reads_body(&self) -> bool {
        false
    }

    fn build(&self, tools: &ServiceTools<'_>) -> Result<Arc<dyn Service>, String> {
        let sessions = self.place.sessions(tools)?;
        let begun = Begun { sessions: Arc::clone(&sessions), state: Arc::clone(tools.state), observer: Arc::clone(tools.observer) };
        Ok(Arc::new(Callback {
            sessions,
            begun: self.begun.then_some(begun),
            then: self.place.then.clone().ok_or("there is no place to go on to")?,
            failed: self.failed.clone(),
            parameter: self.parameter.clone(),
        }))
    }
}

/// Takes tokens.
struct Callback {
    sessions: Arc<Sessions>,
    begun: Option<Begun>,
    then: HeaderValue,
    failed: Option<Box<str>>,
    parameter: Box<str>,
}

#[async_trait]
impl Service for Callback {
    async fn serve(&self, call: &Call<'_>) -> Result<Reply, Refusal> {
        if call.request.host.is_empty() {
            return Err(Refusal::HeadMalformed);
        }
        let Some(form) = Form::parse(call.request.target.query.as_deref().unwrap_or_default()) else {
            return Ok(Reply::problem(call, &Unread::wrong("the query has no single reading")));
        };
        let error = form.value("error");
        if error.is_none() && call.identity.is_none() {
            return Err(Refusal::CredentialMissing);
        }
        let is_begun = match (&self.begun, call.identity) {
            (None, _) => true,
            (Some(begun), Some(identity)) => begun.end(call.request, &identity.issuer, call.now).await?,
            (Some(_), None) => Begun::is_likely(call.request),
        };
        if !is_begun {
            return Ok(Reply::problem(
                call,
                &Unread::wrong("this log-in was not begun in this browser, or at another HAT, or has come back before; begin again"),
            ));
        }
        match (call.identity, error) {
            (None, Some(error)) => self.failure(error, form.value("error_reason")),
            (Some(_), Some(_)) => Ok(Reply::problem(call, &Unread::wrong("the query brings a token and an error"))),
            (Some(identity), None) => self.arrival(identity, &form, call).await,
            (None, None) => Err(Refusal::CredentialMissing),
        }
    }
}

impl Callback {
    /// The browser brings an error.
    fn failure(&self, error: &str, reason: Option<&str>) -> Result<Reply, Refusal> {
        let known = CODES.iter().find(|(code, _)| *code == error);
        let code = known.map_or(UNKNOWN, |(code, _)| code);
        let reasons = known.map_or(&[][..], |(_, reasons)| reasons);
        let reason = reasons.iter().find(|known| reason == Some(known)).copied().unwrap_or(UNKNOWN);
        let mut headers =
            vec![(SET_COOKIE, begun::forget().ok_or(Refusal::Internal)?), (REFERRER_POLICY, HeaderValue::from_static("no-referrer"))];
        if let Some(failed) = &self.failed {
            let place = format!("{failed}?error={code}&reason={reason}");
            headers.push((LOCATION, HeaderValue::from_str(&place).map_err(|_| Refusal::Internal)?));
            return Ok(Reply { status: 303, headers, body: Bytes::new(), guessed: false });
        }
        headers.extend([
            (CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
        ]);
        let body = format!("The log-in did not succeed: {code} ({reason}).\n");
        Ok(Reply { status: 400, headers, body: Bytes::from(body), guessed: false })
    }

    /// The browser brings a token, which has been proven.
    async fn arrival(&self, identity: &Arc<Identity>, form: &Form, call: &Call<'_>) -> Result<Reply, Refusal> {
        // What is kept must be what was proven, and nothing that stood beside it.
        let token = form
            .value(&self.parameter)
            .filter(|token| identity.scheme == "hat" && Compact::parse(token).is_ok_and(|token| *token.claimed() == identity.claims));
        let Some(token) = token else {
            tracing::error!("`hat.callback` was reached by a caller whose token is not the one in the query; let its rule prove that one");
            return Err(Refusal::PolicyDenied);
        };
        let secret = || Secret::new(token.as_bytes().to_vec());
        // A HAT's token is slid on with itself.
        let pair = KeptPair { access: secret(), refresh: secret(), access_until: identity.expires, refresh_until: identity.expires };
        let lost = |_outage| Refusal::StateUnavailable { retry_after: RETRY };
        let taken = || Ok(Reply::problem(call, &Unread { status: 409, says: TAKEN.into() }));
        if self.sessions.holds(&pair, call.now).await.map_err(lost)? {
            return taken();
        }
        let terms = self.sessions.terms();
        if let Ok(Some(id)) = cookie::read(&terms.cookie, call.request)
            && let Some(before) = terms.recognise(id, call.request.host)
        {
            let closed = self.sessions.close(&before, call.now).await;
            closed.map_err(lost)?;
        }
        let (reference, session) = match self.sessions.open(call.request.host, identity, Some(pair), call.now).await {
            Ok(opened) => opened,
            Err(OpenFault::Taken) => return taken(),
            Err(OpenFault::TooLarge) => return Err(Refusal::PolicyDenied),
            Err(OpenFault::Store) => return Err(Refusal::StateUnavailable { retry_after: RETRY }),
        };
        let held = cookie::set(&terms.cookie, reference.id(), call.now.until(session.ends)).ok_or(Refusal::Internal)?;
        let headers: Vec<(HeaderName, HeaderValue)> = vec![
            (SET_COOKIE, held),
            (SET_COOKIE, begun::forget().ok_or(Refusal::Internal)?),
            (LOCATION, self.then.clone()),
            // The page that is left has the token in its address.
            (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        ];
        Ok(Reply { status: 303, headers, body: Bytes::new(), guessed: false })
    }
}

#[cfg(test)]
mod tests;
