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

use crate::domain::{Refusal, Value};
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
        let token = identity.claims.member(CLAIM).and_then(Value::as_text).ok_or_else(|| {
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
mod tests {
    use std::sync::Arc;

    use super::ENTRY;
    use crate::domain::{Identity, Reason, Value};
    use crate::issuer::services::house::{House, field, get_at, identity};
    use crate::settings::NodeValue;
    use crate::verify::keys::testing::{map, node};

    const HOST: &str = "app.example";

    fn settings(plug: &str) -> crate::settings::Node {
        let text = |text: &str| NodeValue::Text(text.into());
        let back = NodeValue::List(vec![node(text("https://app.example/done")), node(text("https://app.example/other"))]);
        node(map(vec![("plug", text(plug)), ("redirect_uris", back)]))
    }

    fn caller(token: Option<&str>) -> Arc<Identity> {
        let claims = token.map_or_else(Value::empty, |token| Value::Map([("application_token".into(), Value::from(token))].into()));
        Arc::new(Identity { claims, ..identity("session") })
    }

    #[tokio::test]
    async fn a_browser_is_sent_to_the_plug_with_the_plugs_own_token() {
        let house = House::new();
        let service = house.service(&ENTRY, Some(&settings("https://plug.example/setup?v=2"))).unwrap();
        let reply = get_at(HOST, &service, Some(&caller(Some("a.b.c"))), &[], "").await.unwrap();
        let expected = "https://plug.example/setup?v=2&token=a.b.c&redirect=https%3A%2F%2Fapp.example%2Fdone";
        assert_eq!((reply.status, field(&reply, "location")), (303, Some(expected)));
        assert_eq!(field(&reply, "referrer-policy"), Some("no-referrer"), "the token is in the address");
        let query = "redirect_uri=https%3A%2F%2Fapp.example%2Fother";
        let reply = get_at(HOST, &service, Some(&caller(Some("a.b.c"))), &[], query).await.unwrap();
        assert!(field(&reply, "location").unwrap().ends_with("&redirect=https%3A%2F%2Fapp.example%2Fother"), "another of ours");
        for query in ["redirect_uri=https://evil.example", "redirect_uri=https://app.example@evil.example/done", "a=%zz"] {
            let reply = get_at(HOST, &service, Some(&caller(Some("a.b.c"))), &[], query).await.unwrap();
            assert_eq!((reply.status, field(&reply, "location")), (400, None), "{query} (L1, L8)");
            assert!(!String::from_utf8_lossy(&reply.body).contains("evil"), "{query}: and is not repeated");
        }
        let refused = get_at(HOST, &service, Some(&caller(None)), &[], "").await.unwrap_err();
        assert_eq!(refused.reason(), Reason::PolicyDenied, "without a token of the plug's there is nothing to set up");
        let fields = [("sec-fetch-site", "cross-site")];
        let refused = get_at(HOST, &service, Some(&caller(Some("a.b.c"))), &fields, "").await.unwrap_err();
        assert_eq!(refused.reason(), Reason::PolicyDenied, "nor does another site's page begin it (L15)");
    }

    #[test]
    fn settings_that_would_send_tokens_astray_are_faults() {
        let house = House::new();
        for (plug, expected) in [
            ("http://plug.example/setup", "not https"),
            ("https://user@plug.example/", "a user"),
            ("https://plug.example/?token=x", "written by the service itself"),
        ] {
            let says = house.service(&ENTRY, Some(&settings(plug))).map(|_| ()).unwrap_err();
            assert!(says[0].contains(expected), "{plug}: {says:?}");
        }
        assert!(house.service(&ENTRY, None).map(|_| ()).unwrap_err()[0].contains("say which plug"));
    }
}
