//! A request, a conf fragment and a key store for verifiers to be tried on; one outcome per try.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]
#![allow(dead_code, reason = "each test target uses its own part of it")]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use aws_lc_rs::hmac;
use bytes::Bytes;
use countersign::domain::{Answer, Facts, Found, Identity, Need, Outage, Refusal, RequestView, Step, Target, Timestamp};
use countersign::domain::{Doubt, Random};
use countersign::settings::{Checking, Entry, Faults, Material, Names, Node, NodeValue, Span};
use countersign::verify::contract::{Desk, Verifier};
use countersign::verify::keys::contract::{BuiltKeys, ServerKey, ServerKeySearch, ServerKeys};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value as Json;

/// The moment at which everything happens, unless a row says otherwise.
pub const NOW: i64 = 1_800_000_000;

/// `value` as a node of a conf.
pub fn node(value: &Json) -> Node {
    let span = Span { file: "test".into(), line: 1, column: 1 };
    let inner = match value {
        Json::Null => NodeValue::Null,
        Json::Bool(flag) => NodeValue::Bool(*flag),
        Json::Number(number) => number.as_i64().map_or_else(|| NodeValue::Float(number.as_f64().unwrap()), NodeValue::Int),
        Json::String(text) => NodeValue::Text(text.clone()),
        Json::Array(items) => NodeValue::List(items.iter().map(node).collect()),
        Json::Object(members) => {
            NodeValue::Map(members.iter().map(|(key, value)| Entry { key: key.clone(), span: span.clone(), node: node(value) }).collect())
        }
    };
    Node { span, value: inner }
}

/// What `prove` makes of `settings` in a conf whose only key store is `store`, or how many faults it finds.
pub fn prove<P>(prove: fn(&Node, &mut Checking<'_>) -> Option<P>, settings: &Json) -> Result<P, Vec<String>> {
    let mut names = Names::default();
    names.define("keys", "store");
    let (material, mut faults) = (Material::default(), Faults::default());
    let mut checking = Checking { faults: &mut faults, material: &material, names: &names, allow_inline_secrets: false };
    let plan = prove(&node(settings), &mut checking);
    let says: Vec<String> = faults.sorted().into_iter().map(|fault| fault.says).collect();
    assert_eq!(plan.is_none(), faults.errors() != 0, "a plan exactly when there is no fault: {says:?}");
    plan.ok_or(says)
}

/// A conf's key stores: one, called `store`.
pub fn stores(keys: BuiltKeys) -> BTreeMap<String, BuiltKeys> {
    BTreeMap::from([("store".to_owned(), keys)])
}

/// A request under construction.
#[derive(Clone)]
pub struct Stage {
    pub method: &'static str,
    pub host: &'static str,
    pub path: &'static str,
    pub query: Option<String>,
    pub headers: HeaderMap,
    pub client: IpAddr,
    pub secure: bool,
    pub body: Option<&'static [u8]>,
}

impl Stage {
    pub fn new() -> Self {
        let client = IpAddr::from([192, 0, 2, 1]);
        Self { method: "GET", host: "api.example", path: "/a", query: None, headers: HeaderMap::new(), client, secure: true, body: None }
    }

    /// With one more field, whatever is there already.
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value.as_ref()).unwrap());
        self
    }

    pub fn query(mut self, query: &str) -> Self {
        self.query = Some(query.to_owned());
        self
    }

    pub fn body(mut self, media: &str, body: &'static [u8]) -> Self {
        self.body = Some(body);
        self.field("content-type", media)
    }

    pub fn facts(&self) -> Facts {
        Facts::default()
    }

    /// Calls `look` with this request.
    pub fn show<T>(&self, look: impl FnOnce(&RequestView<'_>) -> T) -> T {
        let target = Target { path: self.path.into(), query: self.query.as_deref().map(Into::into) };
        let raw = target.wire().into_owned();
        look(&RequestView {
            method: self.method,
            raw_target: &raw,
            target: &target,
            host: self.host,
            headers: &self.headers,
            client: self.client,
            secure: self.secure,
            request_id: "request",
        })
    }

    /// What `verifier` makes of this request as of `now`; a body is supplied when it is asked for.
    pub fn ask(&self, verifier: &dyn Verifier, now: i64) -> Outcome {
        self.ask_with(verifier, &mut Facts::default(), now)
    }

    pub fn ask_with(&self, verifier: &dyn Verifier, facts: &mut Facts, now: i64) -> Outcome {
        self.show(|request| {
            let found = loop {
                match verifier.find(request, facts) {
                    Step::Done(found) => break found,
                    Step::Need(Need::Body) if facts.body().is_none() => facts.add_body(Bytes::from_static(self.body.unwrap_or_default())),
                    Step::Need(need) => return Outcome::Needs(need),
                    Step::Refuse(refusal) => return Outcome::Refused(refusal),
                }
            };
            let credential = match found {
                Found::Absent => return Outcome::Absent,
                Found::Foreign(_) => return Outcome::Foreign,
                Found::Unreadable(doubt) => return Outcome::Refused(doubt.into()),
                Found::Present(credential) => credential,
            };
            match verifier.verify(&credential, request, facts, Timestamp(now)) {
                Step::Done(identity) => Outcome::Known(identity.into_inner()),
                Step::Need(need) => Outcome::Needs(need),
                Step::Refuse(refusal) => Outcome::Refused(refusal),
            }
        })
    }
}

/// What became of a try.
#[derive(Debug, Clone)]
pub enum Outcome {
    Absent,
    Foreign,
    Known(Arc<Identity>),
    Needs(Need),
    Refused(Refusal),
}

/// The same, as a row of a table writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    Absent,
    Foreign,
    /// Let in, under this name.
    In(String),
    /// Refused, with this reason and status.
    Out(&'static str, u16),
    Needs,
}

impl Outcome {
    pub fn told(&self) -> Told {
        match self {
            Self::Absent => Told::Absent,
            Self::Foreign => Told::Foreign,
            Self::Known(identity) => Told::In(identity.subject.to_string()),
            Self::Needs(_) => Told::Needs,
            Self::Refused(refusal) => Told::Out(refusal.reason().as_str(), refusal.reason().status()),
        }
    }

    pub fn identity(&self) -> &Identity {
        match self {
            Self::Known(identity) => identity,
            other => panic!("nobody was let in: {other:?}"),
        }
    }

    pub fn doubt(&self) -> &Doubt {
        match self {
            Self::Refused(Refusal::Doubted(doubt)) => doubt,
            other => panic!("no doubt: {other:?}"),
        }
    }
}

/// Shorthand for rows.
pub fn known(subject: &str) -> Told {
    Told::In(subject.to_owned())
}

/// A store of server keys in memory.
pub struct Partners {
    /// What is at hand.
    pub records: Vec<Arc<ServerKey>>,
    /// Whether ids that are not at hand must be asked for.
    pub remote: bool,
    /// How many secrets have been digested.
    pub digests: AtomicUsize,
}

impl Partners {
    pub fn of(records: Vec<ServerKey>) -> Arc<Self> {
        Arc::new(Self { records: records.into_iter().map(Arc::new).collect(), remote: false, digests: AtomicUsize::new(0) })
    }

    pub fn digested(&self) -> usize {
        self.digests.load(Ordering::SeqCst)
    }
}

/// The digest that [`Partners`] holds of `secret`.
pub fn digest(id: &str, secret: &[u8]) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"pepper");
    let mut context = hmac::Context::with_key(&key);
    context.update(&(id.len() as u64).to_be_bytes());
    context.update(id.as_bytes());
    context.update(secret);
    context.sign().as_ref().try_into().unwrap()
}

/// A record with one live secret and no bounds.
pub fn partner(id: &str, secret: &str) -> ServerKey {
    ServerKey {
        id: id.into(),
        digests: [Some(digest(id, secret.as_bytes())), None],
        not_before: None,
        expires: None,
        disabled: false,
        scopes: Box::default(),
        hosts: Box::default(),
    }
}

#[async_trait]
impl Desk for Partners {
    async fn answer(&self, _about: &str, _now: Timestamp) -> Result<Answer, Outage> {
        Err(Outage::Other)
    }
}

#[async_trait]
impl ServerKeys for Partners {
    fn find(&self, id: &str, _now: Timestamp) -> ServerKeySearch {
        match self.records.iter().find(|record| *record.id == *id) {
            Some(record) => ServerKeySearch::Known(Arc::clone(record)),
            None if self.remote => ServerKeySearch::Ask,
            None => ServerKeySearch::Unknown,
        }
    }

    fn digest(&self, id: &str, secret: &[u8]) -> [u8; 32] {
        self.digests.fetch_add(1, Ordering::SeqCst);
        digest(id, secret)
    }

    fn generation(&self) -> u64 {
        1
    }

    fn desk(self: Arc<Self>) -> Arc<dyn Desk> {
        self
    }
}

/// Bytes that count up, so that every draw differs and every run is the same.
pub struct Counting(pub AtomicUsize);

impl Counting {
    pub fn new() -> Self {
        Self(AtomicUsize::new(1))
    }
}

impl Random for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let number = (self.0.fetch_add(1, Ordering::SeqCst) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
            chunk.copy_from_slice(&number[..chunk.len()]);
        }
    }
}
