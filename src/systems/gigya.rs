//! Gigya (SAP Customer Data Cloud): its envelope, what its endpoints ask for, and what is signed on behalf of the app.
//!
//! Refusals are written as the vendor's clients read them (`envelope`, `errors`); parameters are held to the vendor's rules
//! (`rules`); calls are signed with a secret that the app never sees (`signing`); a login goes on with every reply (`sliding`);
//! replies are read by their codes (`replies`).
//!
//! Never here: a proof of who is calling (schemes `gigya`, `gigya_session`, `gigya_request`, and `jwt` for id tokens); the expected
//! signature or what it was made over, in any answer.

mod envelope;
mod errors;
mod replies;
mod rules;
mod settings;
mod signing;
mod sliding;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

use crate::domain::{Breach, Need, Refusal, Step};
use crate::jose::base64url;
use crate::jose::digest::digest;
use crate::jose::form::{Parameters as BodyType, body_type};
use crate::jose::signed_call::{ParameterFault, Parameters};
use crate::settings::Shape;
use crate::systems::contract::{Guarded, Harvest, Meaning, Pass, Refused, Rendered, Reply, System, SystemEntry};
use crate::systems::gigya::envelope::Statuses;
use crate::systems::gigya::errors::{INVALID_SIGNATURE, INVALID_VALUE, METHOD_REFUSED};
use crate::systems::gigya::rules::{breach, check_call, check_link, check_site_of, links};
use crate::systems::gigya::settings::{GigyaPlan, SETTINGS};
use crate::systems::gigya::signing::names_of;

/// The system's line on the roll-call.
pub static ENTRY: SystemEntry = SystemEntry {
    name: "gigya",
    doc: "Gigya (SAP Customer Data Cloud): refusals in its envelope, its parameters checked, calls signed on behalf of the app.",
    shape: Shape::Section(&SETTINGS),
    plan: settings::plan,
};

const NAME: &str = ENTRY.name;

/// Gigya at one rule.
pub struct Gigya {
    plan: GigyaPlan,
    /// Tells apart the nonces of requests that are alike. Nothing else rests on it.
    signed: AtomicU64,
}

impl Gigya {
    fn new(plan: GigyaPlan) -> Self {
        Self { plan, signed: AtomicU64::new(0) }
    }

    fn check(&self, guarded: &Guarded<'_>) -> Result<Step<Pass>, Breach> {
        let request = guarded.request;
        if let Some(identity) = guarded.identity {
            check_site_of(identity)?;
        }
        let mut pass = Pass::default();
        if let Some(sliding) = &self.plan.sliding
            && let Some(field) = sliding.field(guarded.identity, request.headers, guarded.now)
        {
            pass.back.extend([field, (CACHE_CONTROL, HeaderValue::from_static("no-store"))]);
        }
        let path = &*request.target.path;
        let signing = self.plan.signing.as_ref();
        if !replies::is_method(path) && signing.is_none() {
            return Ok(Step::Done(pass));
        }
        let query = request.target.query.as_deref().unwrap_or_default();
        let body = match body_of(guarded) {
            Ok(body) => body,
            Err(Reading::Needed) => return Ok(Step::Need(Need::Body)),
            // These calls take parameters from nowhere else; what another reader finds in another kind of body has been checked by nobody.
            Err(Reading::Foreign) if links(path) || signing.is_some() => {
                return Err(breach(INVALID_VALUE, "", "the body is a form (application/x-www-form-urlencoded)"));
            }
            Err(Reading::Foreign) => "",
        };
        let told = |fault| match fault {
            ParameterFault::Twice => breach(INVALID_VALUE, "", "a parameter stands twice"),
            ParameterFault::Malformed => breach(INVALID_VALUE, "", "a parameter cannot be read"),
        };
        let mut parameters = Parameters::new();
        parameters.read(query).and_then(|()| parameters.read(body)).map_err(told)?;
        check_call(&parameters, request.secure, &self.plan.api_keys)?;
        let Some(signing) = signing else {
            if links(path) {
                check_link(&parameters, self.plan.site.as_ref(), guarded.identity, guarded.now)?;
            }
            return Ok(Step::Done(pass));
        };
        match &signing.uid {
            Some(signer) if links(path) => signer.sign(&mut parameters, guarded.identity, guarded.now)?,
            None if links(path) => check_link(&parameters, self.plan.site.as_ref(), guarded.identity, guarded.now)?,
            // Nothing in this call is signed here: it goes on as it came.
            Some(_) | None if signing.request.is_none() => return Ok(Step::Done(pass)),
            Some(_) | None => {}
        }
        if request.method != "POST" {
            return Err(breach(METHOD_REFUSED, "", "signed calls are sent as POST"));
        }
        if let Some(signer) = &signing.request {
            signer.sign(&mut parameters, path, self.nonce(guarded), guarded.now)?;
        }
        pass.remove_query = names_of(query)?;
        pass.set.push((CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")));
        pass.body = Some(Bytes::from(parameters.form()));
        Ok(Step::Done(pass))
    }

    /// A nonce that no other request has, on this node or another.
    fn nonce(&self, guarded: &Guarded<'_>) -> String {
        let count = self.signed.fetch_add(1, Ordering::Relaxed);
        let (id, client) = (guarded.request.request_id, guarded.request.client.to_string());
        let parts = [id.as_bytes(), client.as_bytes(), &guarded.now.0.to_be_bytes(), &count.to_be_bytes()];
        base64url::encode(&digest("countersign gigya request nonce", &parts))
    }
}

impl fmt::Debug for Gigya {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gigya").field(&self.plan).finish()
    }
}

/// Why there is no form.
enum Reading {
    /// The body has to be asked for.
    Needed,
    /// There is one, and it is no form that we read.
    Foreign,
}

/// The form of a request; empty when there is no body.
fn body_of<'g>(guarded: &Guarded<'g>) -> Result<&'g str, Reading> {
    let request = guarded.request;
    if matches!(request.method, "GET" | "HEAD") {
        return Ok("");
    }
    let Some(bytes) = guarded.facts.body() else { return Err(Reading::Needed) };
    if bytes.is_empty() {
        return Ok("");
    }
    if body_type(request.headers) != Some(BodyType::Form) {
        return Err(Reading::Foreign);
    }
    std::str::from_utf8(bytes).map_err(|_| Reading::Foreign)
}

impl System for Gigya {
    fn name(&self) -> &'static str {
        NAME
    }

    fn render(&self, refused: &Refused<'_>) -> Option<Rendered> {
        let form = refused.body.filter(|_| body_type(refused.headers) == Some(BodyType::Form));
        Some(self.plan.dialect.render(refused, form.and_then(|form| std::str::from_utf8(form).ok())))
    }

    fn reads_refused(&self, method: &str, headers: &HeaderMap) -> bool {
        self.plan.dialect.statuses == Statuses::Asked && !matches!(method, "GET" | "HEAD") && body_type(headers) == Some(BodyType::Form)
    }

    fn guard(&self, guarded: &Guarded<'_>) -> Step<Pass> {
        match self.check(guarded) {
            Ok(step) => step,
            Err(breach) => Step::Refuse(Refusal::GuardRefused(Box::new(breach))),
        }
    }

    /// Where the conf gives the guard what proves `UIDSig`.
    fn judges(&self, path: &str) -> bool {
        self.plan.site.is_some() && links(path)
    }

    fn is_guess(&self, breach: &Breach) -> bool {
        breach.code == INVALID_SIGNATURE.number.to_string()
    }

    fn coded(&self) -> Breach {
        breach(INVALID_VALUE, "", "the body is a form (application/x-www-form-urlencoded), in no content coding")
    }

    fn holds(&self, _method: &str, path: &str) -> bool {
        replies::is_method(path)
    }

    fn classify(&self, reply: &Reply<'_>) -> Meaning {
        replies::classify(reply)
    }

    fn harvest(&self, reply: &Reply<'_>) -> Option<Harvest> {
        replies::harvest(reply)
    }
}

#[cfg(test)]
mod tests;
