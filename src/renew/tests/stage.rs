//! What the tests of renewers share: settings as the conf's own reader takes them, an issuer on loopback, a pair to spend.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::time::Duration;

use crate::config::document::Document;
use crate::domain::{Claims, Clock, Identity, Observer, Random, Secret, Silent, Spent, Timestamp, TokenPair};
use crate::net::client::loopback::{Loopback, Told};
use crate::net::client::{Client, ClientSettings};
use crate::renew::contract::{RenewError, RenewTools, Renewer, RenewerEntry, RenewerPlan};
use crate::settings::section::prove;
use crate::settings::{Checking, Faults, Level, Material, Names};

/// The moment at which the tests renew.
pub(super) const NOW: Timestamp = Timestamp(1_800_000_000);

/// An Ed25519 key, for statements about ourselves.
pub(super) const KEY: &str = include_str!("../../../conf/keys/demo-assertion.pem");

/// Counts up, so that every draw differs and every run is alike.
struct Counting(AtomicU8);

impl Random for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(self.0.fetch_add(1, Ordering::SeqCst));
    }
}

/// What became of settings: the plan, and every fault and warning as text.
type Planned = (Option<Box<dyn RenewerPlan>>, Vec<String>);

/// The plan of `yaml`, as the conf's own reader makes it.
pub(super) fn plan(entry: &RenewerEntry, yaml: &str) -> Planned {
    let document = Document::read("c.yaml", yaml.as_bytes()).unwrap();
    let mut faults = Faults::default();
    prove(entry.shape, entry.name, &document.root, &mut faults);
    let variables = [("SECRET", "s&c:r t"), ("KEY", KEY), ("RSA", include_str!("../../jose/mint/rsa.pkcs1.pem"))];
    let material = Material {
        base: PathBuf::new(),
        variables: variables.map(|(name, value)| (name.to_owned(), Some(Secret::new(value.as_bytes().to_vec())))).into(),
        ..Material::default()
    };
    let names = Names::default();
    let plan = (faults.errors() == 0)
        .then(|| {
            let mut checking = Checking { faults: &mut faults, material: &material, names: &names, allow_inline_secrets: false };
            (entry.plan)(&document.root, &mut checking)
        })
        .flatten();
    let told = faults.sorted().into_iter().map(|fault| match fault.level {
        Level::Error => fault.says,
        Level::Warning => format!("warning: {}", fault.says),
    });
    (plan, told.collect())
}

/// A renewer, and the issuer it asks.
pub(super) struct Scene {
    pub(super) issuer: Loopback,
    pub(super) renewer: Arc<dyn Renewer>,
}

impl Scene {
    /// The renewer of `yaml`, in which `ISSUER` stands for the origin of an issuer that follows `script`.
    pub(super) fn new(entry: &RenewerEntry, yaml: &str, script: impl Fn() -> Told + Send + 'static) -> Self {
        let issuer = Loopback::start(move |_| script());
        let renewer = renewer(entry, &yaml.replace("ISSUER", &issuer.url("")), Duration::from_secs(10));
        Self { issuer, renewer }
    }

    /// What it makes of the answer `told`.
    pub(super) async fn told(&self, told: Told) -> Result<TokenPair, RenewError> {
        self.issuer.tell(told);
        self.renew().await
    }

    /// Spends the pair of the tests.
    pub(super) async fn renew(&self) -> Result<TokenPair, RenewError> {
        self.renewer.renew(&spent(), NOW).await
    }

    /// The last thing that was asked: the request line and the fields we chose, and the body.
    pub(super) fn asked(&self) -> (String, String) {
        let asked = self.issuer.asked().pop().unwrap();
        let chosen = |line: &&str| !["host:", "user-agent:", "content-length:"].iter().any(|name| line.starts_with(name));
        let head: Vec<&str> = asked.head.lines().filter(chosen).collect();
        (head.join("\n"), String::from_utf8(asked.body).unwrap())
    }
}

/// The renewer of `yaml`, with `deadline` for an exchange.
pub(super) fn renewer(entry: &RenewerEntry, yaml: &str, deadline: Duration) -> Arc<dyn Renewer> {
    let (plan, told) = plan(entry, yaml);
    let plan = plan.unwrap_or_else(|| panic!("{yaml}\n{told:#?}"));
    build(&*plan, deadline)
}

/// `plan` as it runs.
pub(super) fn build(plan: &dyn RenewerPlan, deadline: Duration) -> Arc<dyn Renewer> {
    let client = Arc::new(Client::new(ClientSettings { unpooled: true, ..ClientSettings::default() }).unwrap());
    let clock: Arc<dyn Clock> = Arc::new(AtomicI64::new(NOW.0));
    let random: Arc<dyn Random> = Arc::new(Counting(1.into()));
    let observer: Arc<dyn Observer> = Arc::new(Silent);
    let tools = RenewTools { deadline, issuers: &BTreeMap::new(), client: &client, clock: &clock, random: &random, observer: &observer };
    plan.build(&"login".into(), &tools).unwrap()
}

/// The pair of the tests: full of what forms, JSON and headers read otherwise than as text.
pub(super) fn spent() -> Spent {
    let identity = Identity {
        subject: "ann \"& bob".into(),
        issuer: "https://id.example".into(),
        scopes: Box::default(),
        claims: Claims::empty(),
        expires: Some(NOW),
        not_before: None,
        scheme: "jwt",
        authenticator: "user".into(),
        burn: None,
        also: Vec::new(),
    };
    Spent { refresh: Secret::new(b"r&1=\"+/%".to_vec()), access: Secret::new(b"old.access".to_vec()), identity: Arc::new(identity) }
}

/// An answer of `status` with a JSON body.
pub(super) fn json(status: u16, body: &str) -> Told {
    Told::Answer(status, vec![("content-type".into(), "application/json;charset=UTF-8".into())], body.into())
}

/// A pair as text: access, refresh, and seconds from now to its ends.
pub(super) fn shown(pair: &TokenPair) -> String {
    let text = |secret: &Secret| String::from_utf8(secret.expose().to_vec()).unwrap();
    let end = |end: Option<Timestamp>| end.map_or("-".to_owned(), |end| (end.0 - NOW.0).to_string());
    format!(
        "{} {} {} {}",
        text(&pair.access),
        pair.refresh.as_ref().map_or("-".to_owned(), text),
        end(pair.access_until),
        end(pair.refresh_until)
    )
}
