//! What tests of services share: everything a service is built with, and a call to make of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;

use crate::domain::{
    Claims, Identity, Observer, Random, Refusal, RenewalFailure, RequestView, Seconds, Secret, Silent, Spent, Target, Timestamp, TokenPair,
    Value,
};
use crate::issuer::contract::{Call, PublishedKeys, Relay, Reply, Service, ServiceEntry, ServiceTools};
use crate::issuer::pairs::{Issuer, IssuerTools, PairOrder, Terms};
use crate::issuer::session::Sessions;
use crate::jose::algorithm::Algorithm;
use crate::jose::mint::SigningKey;
use crate::jose::session::{SessionKey, SessionTerms};
use crate::settings::{Checking, Faults, Level, Material, Names, Node};
use crate::state::contract::StateStore;
use crate::state::memory::Memory;
use crate::state::testing::{Counting, Failing, revocations};
use crate::verify::keys::testing::span;

pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000);

/// A house with one issuer (`main`) and one authenticator of sessions (`member`), over a store that can fail.
pub(crate) struct House {
    pub(crate) failing: Arc<Failing>,
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) relay: Arc<Vendor>,
    store: Arc<dyn StateStore>,
}

impl House {
    pub(crate) fn new() -> Self {
        let failing = Failing::over(Arc::new(Memory::new(1_000, Timestamp(0))));
        let store: Arc<dyn StateStore> = Arc::<Failing>::clone(&failing);
        let tools = IssuerTools {
            state: Arc::clone(&store),
            revoked: revocations(&store, Arc::new(AtomicI64::new(NOW.0))),
            random: Arc::new(Counting::apart()),
            observer: Arc::new(Silent),
        };
        let terms = Terms {
            name: "main".into(),
            issuer: "https://id.example".into(),
            audience: Box::new(["app".into()]),
            access_life: Seconds(900),
            refresh_life: Seconds(86_400),
            grace: Seconds(30),
            client_id: "main".into(),
            claims: Box::default(),
        };
        let keys: Arc<[SigningKey]> = Arc::new([SigningKey::generate(Algorithm::EdDsa).unwrap()]);
        let issuer = Arc::new(Issuer::new(terms, keys, tools).unwrap());
        let terms = SessionTerms {
            name: "member".into(),
            cookie: "__Host-session".into(),
            life: Seconds(3_600),
            idle: Seconds(600),
            keys: Box::new([SessionKey::new([1; 4], &Secret::new(vec![1; 32]))]),
            epochs: Arc::default(),
        };
        let sessions = Sessions::new(Arc::new(terms), Arc::clone(&store), Arc::new(Counting::apart()), Arc::new(Silent));
        Self { failing, issuer, sessions: Arc::new(sessions), relay: Arc::default(), store }
    }

    /// The service of `entry` with `settings`, or what is wrong with them.
    pub(crate) fn service(&self, entry: &ServiceEntry, settings: Option<&Node>) -> Result<Arc<dyn Service>, Vec<String>> {
        let (mut faults, material, mut names) = (Faults::default(), Material::default(), Names::default());
        names.define("issuers", "main");
        names.define("authenticators", "member");
        names.define("renewers", "vendor");
        let mut checking = Checking { faults: &mut faults, material: &material, names: &names, allow_inline_secrets: false };
        let plan = (entry.plan)(settings, &span(), &mut checking);
        let says: Vec<String> = faults.sorted().into_iter().filter(|fault| fault.level == Level::Error).map(|fault| fault.says).collect();
        let plan = plan.ok_or(says)?;
        let (random, observer): (Arc<dyn Random>, Arc<dyn Observer>) = (Arc::new(Counting::apart()), Arc::new(Silent));
        let tools = ServiceTools {
            tickets: &BTreeMap::new(),
            issuers: &BTreeMap::from([("main".to_owned(), Arc::clone(&self.issuer))]),
            sessions: &BTreeMap::from([("member".to_owned(), Arc::clone(&self.sessions))]),
            relays: &BTreeMap::from([("vendor".to_owned(), Arc::clone(&self.relay) as Arc<dyn Relay>)]),
            published: &Arc::new(PublishedKeys::default()),
            state: &self.store,
            revoked: &revocations(&self.store, Arc::new(AtomicI64::new(NOW.0))),
            random: &random,
            observer: &observer,
        };
        plan.build(&tools).map_err(|why| vec![why])
    }

    /// The refresh token of a new login.
    pub(crate) async fn login(&self) -> String {
        let order = PairOrder { subject: "ann".into(), scopes: Box::default(), claims: Value::empty(), client: None };
        let issued = self.issuer.open(order, NOW).await.unwrap();
        String::from_utf8(issued.pair.refresh.unwrap().expose().to_vec()).unwrap()
    }
}

/// What asks a vendor (`vendor`): it answers as it is told, and remembers what was spent.
#[derive(Default)]
pub(crate) struct Vendor {
    pub(crate) answer: Mutex<Option<Result<TokenPair, RenewalFailure>>>,
    pub(crate) spent: Mutex<Vec<Spent>>,
}

#[async_trait]
impl Relay for Vendor {
    async fn relay(&self, spent: &Spent, _now: Timestamp) -> Result<TokenPair, RenewalFailure> {
        self.spent.lock().push(spent.clone());
        self.answer.lock().clone().unwrap_or(Err(RenewalFailure::Fatal))
    }
}

/// Somebody whom a rule has proven.
pub(crate) fn identity(scheme: &'static str) -> Identity {
    Identity {
        subject: "ann".into(),
        issuer: "https://id.example".into(),
        scopes: Box::new(["read".into()]),
        claims: Claims::empty(),
        expires: Some(NOW.plus(Seconds(300))),
        not_before: None,
        scheme,
        authenticator: "user".into(),
        burn: None,
        also: Vec::new(),
    }
}

/// What `service` answers to a POST with `fields` and `body` at `host`, from whoever is proven.
pub(crate) async fn post_at(
    host: &str,
    service: &Arc<dyn Service>,
    identity: Option<&Arc<Identity>>,
    fields: &[(&str, &str)],
    body: &str,
) -> Result<Reply, Refusal> {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    let target = Target { path: "/service".into(), query: None };
    let request = RequestView {
        method: "POST",
        raw_target: "/service",
        target: &target,
        host,
        headers: &headers,
        client: std::net::Ipv4Addr::LOCALHOST.into(),
        secure: true,
        request_id: "",
    };
    service.serve(&Call { request: &request, identity, body: Bytes::copy_from_slice(body.as_bytes()), now: NOW }).await
}

/// What `service` answers to a GET with `query` and `fields` at `host`, from whoever is proven.
pub(crate) async fn get_at(
    host: &str,
    service: &Arc<dyn Service>,
    identity: Option<&Arc<Identity>>,
    fields: &[(&str, &str)],
    query: &str,
) -> Result<Reply, Refusal> {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    let target = Target { path: "/service".into(), query: (!query.is_empty()).then(|| query.into()) };
    let request = RequestView {
        method: "GET",
        raw_target: "/service",
        target: &target,
        host,
        headers: &headers,
        client: std::net::Ipv4Addr::LOCALHOST.into(),
        secure: true,
        request_id: "",
    };
    service.serve(&Call { request: &request, identity, body: Bytes::new(), now: NOW }).await
}

/// The value of field `name`, when it stands there once.
pub(crate) fn field<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
    let mut values = reply.headers.iter().filter(|(known, _)| known == name);
    let value = values.next().map(|(_, value)| value.to_str().unwrap());
    value.filter(|_| values.next().is_none())
}
