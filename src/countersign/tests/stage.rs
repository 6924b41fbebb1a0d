//! What the tests of countersigners share: a conf text, an identity, a request.

use std::path::PathBuf;
use std::sync::Arc;

use http::HeaderMap;

use crate::config::document::Document;
use crate::countersign::contract::{CountersignTools, CountersignerEntry, CountersignerPlan};
use crate::domain::{Identity, Random, Refusal, RequestView, Secret, Target, Timestamp, Value};
use crate::settings::section::prove;
use crate::settings::{Checking, Faults, Level, Material, Names};

/// The moment at which the tests sign.
pub(super) const NOW: Timestamp = Timestamp(1_767_323_045);

/// Counts up, so that every draw differs and every run is alike.
pub(super) struct Counting(pub(super) std::sync::atomic::AtomicU8);

impl Random for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
    }
}

/// What became of settings: the plan, and every fault and warning as text.
type Planned = (Option<Box<dyn CountersignerPlan>>, Vec<(Level, String)>);

/// The plan of `yaml`, as the conf's own reader makes it.
pub(super) fn plan(entry: &CountersignerEntry, yaml: &str) -> Planned {
    let document = Document::read("conf.yaml", yaml.as_bytes()).unwrap();
    let mut faults = Faults::default();
    prove(entry.shape, entry.name, &document.root, &mut faults);
    let variables = [
        ("SECRET", "s3cret"),
        ("BROKEN", "two\nlines"),
        ("EDGE", " spaced "),
        ("KEY", KEY),
        ("GIGYA", "kln45j654l3kn5jb"),
        ("GIGYA_LENIENT", "jkl234h53k2"),
        ("RSA", include_str!("../../jose/mint/rsa.pkcs1.pem")),
    ];
    let material = Material {
        base: PathBuf::new(),
        variables: variables.map(|(name, value)| (name.to_owned(), Some(Secret::new(value.as_bytes().to_vec())))).into(),
        ..Material::default()
    };
    let mut names = Names::default();
    names.define("authenticators", "partner");
    let plan = (faults.errors() == 0)
        .then(|| {
            let mut checking = Checking { faults: &mut faults, material: &material, names: &names, allow_inline_secrets: false };
            (entry.plan)(&document.root, &mut checking)
        })
        .flatten();
    (plan, faults.sorted().into_iter().map(|fault| (fault.level, fault.says)).collect())
}

/// What a countersigner adds to a request of `identity`, as text.
pub(super) fn sign(plan: &dyn CountersignerPlan, identity: Option<&Identity>) -> Result<Vec<(String, String)>, Refusal> {
    let tools = CountersignTools { random: Arc::new(Counting(1.into())) };
    let signer = plan.build(&tools).unwrap();
    let target = Target { path: "/".into(), query: None };
    let headers = HeaderMap::new();
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
    signer.sign(identity, &request, NOW, &mut out)?;
    Ok(out.into_iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect())
}

pub(super) fn map(members: &[(&str, Value)]) -> Value {
    Value::Map(members.iter().map(|(name, value)| ((*name).into(), value.clone())).collect())
}

pub(super) fn list(items: &[&str]) -> Value {
    Value::List(items.iter().map(|item| Value::from(*item)).collect())
}

pub(super) fn identity(subject: &str, scopes: &[&str], claims: Value) -> Identity {
    Identity {
        subject: subject.into(),
        issuer: "https://id.example".into(),
        scopes: scopes.iter().map(|scope| (*scope).into()).collect(),
        claims: claims.into(),
        expires: None,
        not_before: None,
        scheme: "jwt",
        authenticator: "user".into(),
        burn: None,
        also: Vec::new(),
    }
}

/// An Ed25519 key of RFC 8037 appendix A.1, as PKCS#8.
pub(super) const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
";
