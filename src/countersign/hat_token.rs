//! The token of another application of a personal data server (HAT), shown to the upstream in the caller's name.
//!
//! The authenticator of the scheme `hat` has it exchanged and proven (`application_token`); here it is only written. A caller for whom
//! there is none is refused: an upstream that is to act with it must not act without.
//!
//! Deliberately absent: any other claim in a credential's place.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use crate::countersign::contract::{CountersignTools, Countersigner, CountersignerEntry, CountersignerPlan};
use crate::countersign::firewall::reserved;
use crate::domain::{Claim, Identity, Refusal, RequestView, Timestamp};
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape};

/// The line on the roll-call.
pub const ENTRY: CountersignerEntry = CountersignerEntry {
    name: "hat_token",
    doc: "The token of another application that a HAT gave for the caller's, as `application_token` of the scheme `hat` asks for it.",
    shape: Shape::Section(&SETTINGS),
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "`hat_token`",
    doc: "Shows the upstream the token that the caller's was exchanged for. Without one the request is refused.",
    keys: &[KeySpec::default(
        "header",
        Shape::HeaderName,
        "X-Auth-Token",
        "The field that carries it, in place of whatever the client sent.",
    )],
};

/// The claim under which the scheme `hat` keeps it.
const CLAIM: &str = "application_token";

/// The field, proven.
#[derive(Debug, Clone)]
struct HatToken {
    name: HeaderName,
}

fn plan(node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn CountersignerPlan>> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let name = section.header("header")?;
    if let Some(why) = reserved(&name) {
        checking.faults.error(section.span_of("header"), format!("`{name}` cannot carry a token: {why}"));
        return None;
    }
    Some(Box::new(HatToken { name }))
}

impl CountersignerPlan for HatToken {
    /// In `X-Auth-Token` clients present tokens of their own, and a route without this countersigner may pass them on. Where it is
    /// used, its field replaces the client's.
    fn names(&self) -> Vec<HeaderName> {
        if self.name == "x-auth-token" { Vec::new() } else { vec![self.name.clone()] }
    }

    fn is_credential(&self) -> bool {
        true
    }

    fn build(&self, _tools: &CountersignTools) -> Result<Arc<dyn Countersigner>, String> {
        Ok(Arc::new(self.clone()))
    }
}

impl Countersigner for HatToken {
    fn sign(
        &self,
        identity: Option<&Identity>,
        _request: &RequestView<'_>,
        _now: Timestamp,
        out: &mut Vec<(HeaderName, HeaderValue)>,
    ) -> Result<(), Refusal> {
        let token = identity.and_then(|identity| identity.claims.member(CLAIM)).and_then(Claim::as_text).ok_or(Refusal::PolicyDenied)?;
        let plain = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        let mut value = HeaderValue::from_str(token).ok().filter(|_| plain).ok_or(Refusal::PolicyDenied)?;
        value.set_sensitive(true);
        out.push((self.name.clone(), value));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::ENTRY;
    use crate::countersign::contract::CountersignTools;
    use crate::countersign::stage::{Counting, NOW, identity, map, plan, sign};
    use crate::domain::{Reason, RequestView, Target, Value};

    #[test]
    fn the_upstream_is_shown_the_exchanged_token_or_nothing_goes_on() {
        let (plan, told) = plan(&ENTRY, "{}");
        let plan = plan.unwrap_or_else(|| panic!("{told:?}"));
        let with = |value: Value| identity("ada.hubat.net", &[], map(&[("application_token", value)]));
        let written = sign(&*plan, Some(&with(Value::from("a.b.c")))).unwrap();
        assert_eq!(written, [("x-auth-token".to_owned(), "a.b.c".to_owned())]);
        assert!(plan.names().is_empty(), "what clients may send elsewhere is not taken off there");
        let rows = [
            (Some(identity("ada.hubat.net", &[], Value::empty())), "a caller without one"),
            (Some(with(Value::from(""))), "an empty one"),
            (Some(with(Value::from("a\r\nX-Admin: yes"))), "one that would be two fields"),
            (Some(with(Value::Int(7))), "one that is none"),
            (None, "nobody"),
        ];
        for (identity, shows) in rows {
            let refused = sign(&*plan, identity.as_ref()).unwrap_err();
            assert_eq!(refused.reason(), Reason::PolicyDenied, "{shows}");
        }
    }

    #[test]
    fn what_is_written_is_not_indexed_or_printed_and_only_where_a_token_may_stand() {
        let (plan_of_one, _) = plan(&ENTRY, "{ header: X-Plug-Token }");
        assert_eq!(plan_of_one.as_ref().unwrap().names(), ["x-plug-token"], "a field of our own is taken off wherever clients send it");
        let tools = CountersignTools { random: Arc::new(Counting(1.into())) };
        let signer = plan_of_one.unwrap().build(&tools).unwrap();
        let (target, headers) = (Target { path: "/".into(), query: None }, http::HeaderMap::new());
        let request = RequestView {
            method: "GET",
            raw_target: "/",
            target: &target,
            host: "api.example",
            headers: &headers,
            client: "192.0.2.7".parse().unwrap(),
            secure: true,
            request_id: "id",
        };
        let mut out = Vec::new();
        let caller = identity("ada.hubat.net", &[], map(&[("application_token", Value::from("a.b.c"))]));
        signer.sign(Some(&caller), &request, NOW, &mut out).unwrap();
        assert!(out[0].0 == "x-plug-token" && out[0].1.is_sensitive(), "{out:?}");
        for name in ["Content-Length", "Host", "Connection"] {
            let (plan, told) = plan(&ENTRY, &format!("{{ header: {name} }}"));
            assert!(plan.is_none() && told[0].1.contains("cannot carry a token"), "{name}: {told:?}");
        }
    }
}
