//! What the tests share: a conf text, a request, a caller.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue};

use crate::config::document::Document;
use crate::domain::{Breach, Claims, Facts, Identity, Need, Refusal, RequestView, Secret, Step, Target, Timestamp};
use crate::settings::section::prove;
use crate::settings::{Checking, Faults, Level, Material, Names};
use crate::systems::contract::{Guarded, Pass, System, SystemPlan};
use crate::systems::gigya::ENTRY;

pub(super) const NOW: Timestamp = Timestamp(1_800_000_000);

/// The partner secret of all tests, as the console shows it.
pub(super) const SECRET: &str = "kln45j654l3kn5jb";

/// What becomes of settings: the plan, and every error as text.
pub(super) fn plan(yaml: &str) -> Result<Box<dyn SystemPlan>, Vec<String>> {
    let document = Document::read("conf.yaml", yaml.as_bytes()).unwrap();
    let mut faults = Faults::default();
    prove(ENTRY.shape, ENTRY.name, &document.root, &mut faults);
    let variables = [("PARTNER", SECRET), ("LENIENT", "jkl234h53k2"), ("DANGLING", "mkl34n5jb4356"), ("FOREIGN", "3e54ght879r8ei0[w-4t5")];
    let material = Material {
        base: PathBuf::new(),
        variables: variables.map(|(name, value)| (name.to_owned(), Some(Secret::new(value.as_bytes().to_vec())))).into(),
        ..Material::default()
    };
    let names = Names::default();
    let plan = (faults.errors() == 0)
        .then(|| {
            let mut checking = Checking { faults: &mut faults, material: &material, names: &names, allow_inline_secrets: false };
            (ENTRY.plan)(Some(&document.root), &document.root.span, &mut checking)
        })
        .flatten();
    let errors: Vec<String> = faults.sorted().into_iter().filter(|fault| fault.level == Level::Error).map(|fault| fault.says).collect();
    assert_eq!(plan.is_none(), !errors.is_empty(), "a plan exactly when there is no fault: {errors:?}");
    plan.ok_or(errors)
}

pub(super) fn system(yaml: &str) -> Arc<dyn System> {
    plan(yaml).unwrap_or_else(|faults| panic!("{yaml}: {faults:?}")).build().unwrap()
}

pub(super) fn identity(scheme: &'static str, subject: &str) -> Identity {
    Identity {
        subject: subject.into(),
        issuer: "site".into(),
        scopes: Box::default(),
        claims: Claims::empty(),
        expires: None,
        not_before: None,
        scheme,
        authenticator: "member".into(),
        burn: None,
        also: Vec::new(),
    }
}

/// A request to a guarded endpoint.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) method: &'static str,
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
    pub(super) identity: Option<Identity>,
    pub(super) secure: bool,
}

impl Call {
    /// A form that is posted to `path` by nobody in particular, over https.
    pub(super) fn form(path: &str, body: impl Into<String>) -> Self {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8");
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, form)]);
        Self { method: "POST", target: path.to_owned(), headers, body: body.into(), identity: None, secure: true }
    }

    pub(super) fn get(target: &str) -> Self {
        Self { method: "GET", target: target.to_owned(), headers: HeaderMap::new(), body: String::new(), identity: None, secure: true }
    }

    pub(super) fn by(mut self, scheme: &'static str, subject: &str) -> Self {
        self.identity = Some(identity(scheme, subject));
        self
    }

    pub(super) fn field(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        self
    }

    /// What `system` makes of it; the body is there when it is asked for.
    pub(super) fn guard(&self, system: &dyn System, now: Timestamp) -> Result<Pass, Breach> {
        let (path, query) = self.target.split_once('?').map_or((self.target.as_str(), None), |(path, query)| (path, Some(query)));
        let target = Target { path: path.into(), query: query.map(Into::into) };
        let request = RequestView {
            method: self.method,
            raw_target: &self.target,
            target: &target,
            host: "accounts.example",
            headers: &self.headers,
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            secure: self.secure,
            request_id: "r-1",
        };
        let mut facts = Facts::default();
        loop {
            match system.guard(&Guarded { request: &request, identity: self.identity.as_ref(), facts: &facts, now }) {
                Step::Done(pass) => return Ok(pass),
                Step::Refuse(Refusal::GuardRefused(breach)) => return Err(*breach),
                Step::Need(Need::Body) if facts.body().is_none() => facts.add_body(Bytes::from(self.body.clone())),
                other => panic!("{other:?}"),
            }
        }
    }

    /// The code and the parameter of the refusal; nothing when it passes.
    pub(super) fn told(&self, system: &dyn System) -> Option<(String, String)> {
        self.guard(system, NOW).err().map(|breach| (breach.code.into_owned(), breach.field.into_owned()))
    }
}

/// `name=value` pairs as a form.
pub(super) fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// The parameters of a form.
pub(super) fn pairs(body: &[u8]) -> BTreeMap<String, String> {
    form_urlencoded::parse(body).into_owned().collect()
}

/// The signature of `text` as the vendor's libraries make it, apart from all code of ours.
pub(super) fn signature(text: &str) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(&STANDARD.decode(SECRET).unwrap()).unwrap();
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}
