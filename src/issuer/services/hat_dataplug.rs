//! `serve: hat.dataplug`: a browser is sent to set up the data that an application was registered without (`skip_deps`).
//!
//! A DataPlug takes over from its own token in the URL; that one is the plug's at the caller's HAT, fetched and proven by the rule's
//! authenticator (`application_token` of the scheme `hat`), and of no use to this application. It is in the URL because the vendor has it
//! there: the answer is stored by nobody, and names no page that the browser came from.
//!
//! Source: the vendor's page on registration and DataPlug set-up (`token`, `redirect`).

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderValue;
use http::header::{LOCATION, REFERRER_POLICY};
use url::Url;

use crate::domain::{Claim, Refusal};
use crate::issuer::contract::{Call, Reply, Service, ServiceEntry, ServicePlan, ServiceTools};
use crate::issuer::services::away::{Away, REDIRECT_KEY, fault_of};
use crate::issuer::services::form::Form;
use crate::issuer::services::submission::Unread;
use crate::issuer::session::origin::{self, Origin};
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape, Span};

/// The service's line on the roll-call.
pub static ENTRY: ServiceEntry = ServiceEntry {
    name: "hat.dataplug",
    doc: "Sends a browser to set up a DataPlug, with the plug's own token.",
    shape: Shape::Section(&SETTINGS),
    methods: &["GET"],
    proven: true,
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the service `hat.dataplug`",
    doc: "Sends a browser to set up a DataPlug. Its rule proves the caller with an authenticator whose tokens are judged by one of the scheme `hat` \
          that says `application_token: ID` of the plug.",
    keys: &[
        KeySpec::required("plug", Shape::Url, "Where the plug is set up, as its provider says; `token` and `redirect` are added."),
        REDIRECT_KEY,
    ],
};

/// The claim under which the scheme `hat` keeps the plug's token.
const CLAIM: &str = "application_token";

#[derive(Debug, Clone)]
struct PlugPlan {
    plug: Url,
    away: Away,
}

fn plan(settings: Option<&Node>, at: &Span, checking: &mut Checking<'_>) -> Option<Box<dyn ServicePlan>> {
    let Some(node) = settings else {
        checking.faults.error(at, "say which plug: `{ hat.dataplug: { plug: URL, redirect_uris: URL } }`");
        return None;
    };
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let before = checking.faults.errors();
    let away = Away::read(&section, checking);
    if let Some(says) = section.text("plug").and_then(fault_of) {
        checking.faults.error(section.span_of("plug"), says);
    }
    let plug = section.url("plug")?;
    if plug.query_pairs().any(|(name, _)| name == "token" || name == "redirect") {
        checking.faults.error(section.span_of("plug"), "`token` and `redirect` are written by the service itself");
    }
    (before == checking.faults.errors()).then_some(())?;
    Some(Box::new(PlugPlan { plug, away: away? }))
}

impl ServicePlan for PlugPlan {
    fn remembers(&self) -> bool {
        false
    }

    fn reads_body(&self) -> bool {
        false
    }

    fn build(&self, _tools: &ServiceTools<'_>) -> Result<Arc<dyn Service>, String> {
        Ok(Arc::new(Plug(self.clone())))
    }
}

/// Sends browsers to the plug.
struct Plug(PlugPlan);

#[async_trait]
impl Service for Plug {
    async fn serve(&self, call: &Call<'_>) -> Result<Reply, Refusal> {
        let identity = call.identity.ok_or(Refusal::Internal)?;
        // A page of another site must not have somebody's data flow.
        if origin::of(call.request) == Origin::Elsewhere {
            return Err(Refusal::PolicyDenied);
        }
        let form = Form::parse(call.request.target.query.as_deref().unwrap_or_default());
        let wanted = form.as_ref().map(|form| form.value("redirect_uri"));
        let Some(back) = wanted.and_then(|wanted| self.0.away.choose(wanted)) else {
            let says = "`redirect_uri` is none of the addresses that this application comes back to";
            return Ok(Reply::problem(call, &Unread::wrong(says)));
        };
        let token = identity.claims.member(CLAIM).and_then(Claim::as_text).ok_or_else(|| {
            tracing::error!(authenticator = %identity.authenticator, "`hat.dataplug` needs `application_token` at the `hat` authenticator");
            Refusal::PolicyDenied
        })?;
        let mut url = self.0.plug.clone();
        url.query_pairs_mut().append_pair("token", token).append_pair("redirect", back);
        let mut place = HeaderValue::from_str(url.as_str()).map_err(|_| Refusal::Internal)?;
        place.set_sensitive(true);
        let headers = vec![(LOCATION, place), (REFERRER_POLICY, HeaderValue::from_static("no-referrer"))];
        Ok(Reply { status: 303, headers, body: Bytes::new(), guessed: false })
    }
}

#[cfg(test)]
mod tests;
