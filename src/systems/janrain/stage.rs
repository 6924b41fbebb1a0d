//! What the tests of Janrain Capture's rules stand on: settings as YAML would give them, requests, callers.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value as Json;

use crate::domain::{Breach, Claims, Facts, Identity, Refusal, RequestView, Step, Timestamp};
use crate::settings::{Checking, Entry, Faults, Level, Material, Names, Node, NodeValue, Span};
use crate::systems::contract::{Guarded, Pass};
use crate::systems::janrain::guard::guard;
use crate::systems::janrain::rules::Rules;

/// 2000-01-01 01:01:01.
pub(super) const NOW: i64 = 946_688_461;

/// The secret of the application, as it stands in its file.
pub(super) const SECRET: &str = "marked-client-secret-of-the-application";

fn span() -> Span {
    Span { file: "conf".into(), line: 1, column: 1 }
}

fn node(written: &Json) -> Node {
    let value = match written {
        Json::Null => NodeValue::Null,
        Json::Bool(flag) => NodeValue::Bool(*flag),
        Json::Number(number) => NodeValue::Int(number.as_i64().unwrap()),
        Json::String(text) => NodeValue::Text(text.clone()),
        Json::Array(items) => NodeValue::List(items.iter().map(node).collect()),
        Json::Object(members) => {
            NodeValue::Map(members.iter().map(|(key, member)| Entry { key: key.clone(), span: span(), node: node(member) }).collect())
        }
    };
    Node { span: span(), value }
}

/// The rules that settings make, or what is wrong with them. The file `secret` is there to be referred to.
pub(super) fn proven(settings: &Json) -> Result<Rules, Vec<String>> {
    let mut material = Material { base: "/conf".into(), ..Material::default() };
    material.files.insert(material.resolve("secret"), Ok(Arc::from(SECRET.as_bytes())));
    let (mut faults, names) = (Faults::default(), Names::default());
    let mut checking = Checking { faults: &mut faults, material: &material, names: &names, allow_inline_secrets: false };
    let rules = Rules::prove(&node(settings), &mut checking);
    let errors: Vec<String> = faults.sorted().into_iter().filter(|fault| fault.level == Level::Error).map(|fault| fault.says).collect();
    match rules {
        Some(rules) if errors.is_empty() => Ok(rules),
        _ => Err(errors),
    }
}

/// A caller whom `scheme` has proven, with these scopes.
pub(super) fn caller(scheme: &'static str, subject: &str, scopes: &[&str]) -> Identity {
    Identity {
        subject: subject.into(),
        issuer: "clients".into(),
        scopes: scopes.iter().map(|scope| (*scope).into()).collect(),
        claims: Claims::empty(),
        expires: None,
        not_before: None,
        scheme,
        authenticator: "client".into(),
        burn: None,
        also: Vec::new(),
    }
}

/// One request to be guarded.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) method: &'static str,
    pub(super) target: String,
    pub(super) media: Option<&'static str>,
    pub(super) authorization: Option<&'static str>,
    pub(super) page: (Option<&'static str>, Option<&'static str>),
    pub(super) body: String,
    pub(super) identity: Option<Identity>,
    pub(super) now: i64,
    /// Whether it comes over TLS.
    pub(super) secure: bool,
}

impl Call {
    /// A form sent to `target` by POST, by nobody.
    pub(super) fn post(target: &str, body: impl Into<String>) -> Self {
        Self {
            method: "POST",
            target: target.to_owned(),
            media: Some("application/x-www-form-urlencoded"),
            authorization: None,
            page: (None, None),
            body: body.into(),
            identity: None,
            now: NOW,
            secure: true,
        }
    }

    /// The same by `identity`.
    pub(super) fn by(self, identity: Identity) -> Self {
        Self { identity: Some(identity), ..self }
    }

    /// What the guard says, once it has the body.
    pub(super) fn asked(&self, rules: &Rules) -> Result<Pass, Breach> {
        let mut headers = HeaderMap::new();
        let (site, origin) = (HeaderName::from_static("sec-fetch-site"), ORIGIN);
        for (name, value) in [(CONTENT_TYPE, self.media), (AUTHORIZATION, self.authorization), (site, self.page.0), (origin, self.page.1)] {
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        let (path, query) = self.target.split_once('?').map_or((self.target.as_str(), None), |(path, query)| (path, Some(query.into())));
        let target = crate::domain::request::Target { path: path.into(), query };
        let request = RequestView {
            method: self.method,
            raw_target: &self.target,
            target: &target,
            host: "capture.example",
            headers: &headers,
            client: [192, 0, 2, 1].into(),
            secure: self.secure,
            request_id: "0123456789abcdef0123456789abcdef",
        };
        let mut facts = Facts::default();
        let ask =
            |facts: &Facts| guard(rules, &Guarded { request: &request, identity: self.identity.as_ref(), facts, now: Timestamp(self.now) });
        let mut step = ask(&facts);
        if matches!(step, Step::Need(_)) {
            facts.add_body(Bytes::from(self.body.clone()));
            step = ask(&facts);
        }
        match step {
            Step::Done(pass) => Ok(pass),
            Step::Refuse(Refusal::GuardRefused(breach)) => Err(*breach),
            Step::Refuse(other) => panic!("a guard refuses in its own words: {other:?}"),
            Step::Need(need) => panic!("still lacks {need:?}"),
        }
    }

    /// The same in short: the code and the field of a breach.
    pub(super) fn told(&self, rules: &Rules) -> Result<(), (String, String)> {
        self.asked(rules).map(|_| ()).map_err(|breach| (breach.code.into_owned(), breach.field.into_owned()))
    }
}
