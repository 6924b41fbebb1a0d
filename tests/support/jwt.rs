//! A `jwt` authenticator under test: settings as JSON, key sets by hand, one verdict per token.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use countersign::domain::{Answer, DeskId, Facts, Found, Identity, Need, Outage, Refusal, RequestView, Step, Target, Timestamp, Verified};
use countersign::jose::algorithm::Algorithm;
use countersign::jose::base64url;
use countersign::jose::jwk::{Trust, parse_set};
use countersign::jose::key::VerifyingKey;
use countersign::jose::mint::SigningKey;
use countersign::settings::{Checking, Entry, Faults, Material, Names, Node, NodeValue, Span};
use countersign::verify::contract::{Desk, SchemePlan, Verifier};
use countersign::verify::jwt::judge::{Judge, Store};
use countersign::verify::jwt::settings::prove;
use countersign::verify::keys::contract::{KeyHint, KeySearch, SignatureKeys};
use http::{HeaderMap, HeaderValue};
use serde_json::{Value as Json, json};

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

/// A set of keys at hand, and a count of how often its desk was asked for more.
pub struct Set {
    pub keys: Vec<Arc<VerifyingKey>>,
    pub asked: AtomicUsize,
}

impl Set {
    pub fn of(keys: Vec<Arc<VerifyingKey>>) -> Arc<Self> {
        Arc::new(Self { keys, asked: AtomicUsize::new(0) })
    }

    /// The set that a JWKS document makes when somebody serves it.
    pub fn served(document: &Json) -> Arc<Self> {
        Self::of(parse_set(document.to_string().as_bytes(), Trust::Remote).unwrap().keys)
    }
}

#[async_trait]
impl Desk for Set {
    async fn answer(&self, _about: &str, _now: Timestamp) -> Result<Answer, Outage> {
        Ok(Arc::new(()))
    }
}

#[async_trait]
impl SignatureKeys for Set {
    fn find(&self, hint: &KeyHint<'_>, _now: Timestamp) -> KeySearch {
        if self.keys.is_empty() {
            return KeySearch::Unavailable("set".into());
        }
        let fitting: Vec<_> =
            self.keys.iter().filter(|key| key.permits(hint.algorithm) && (hint.kid.is_none() || key.kid() == hint.kid)).cloned().collect();
        match (fitting.is_empty(), hint.kid) {
            (false, _) => KeySearch::Keys(fitting),
            (true, Some(kid)) => KeySearch::Unknown(kid.into()),
            (true, None) => KeySearch::Never,
        }
    }

    fn generation(&self) -> u64 {
        1
    }

    fn ready(&self, _now: Timestamp) -> bool {
        true
    }

    async fn run(&self) {}

    fn desk(self: Arc<Self>) -> Arc<dyn Desk> {
        self
    }
}

/// An authenticator and its sets.
pub struct Bench {
    pub judge: Judge,
    pub sets: Vec<Arc<Set>>,
}

/// Builds an authenticator from its settings; `stores` are the key stores of the conf, by name.
pub fn bench(settings: &Json, stores: &[(&str, Arc<Set>)]) -> Bench {
    let mut names = Names::default();
    for (name, _) in stores {
        names.define("keys", name);
    }
    let material = Material::default();
    let mut faults = Faults::default();
    let mut checking = Checking { faults: &mut faults, material: &material, names: &names, allow_inline_secrets: false };
    let plan = prove(&node(settings), &mut checking).unwrap_or_else(|| panic!("settings refused: {:?}", faults.sorted()));
    let mut sets = Vec::new();
    let mut built = Vec::new();
    for need in plan.key_stores() {
        let (_, set) = stores.iter().find(|(name, _)| *name == need.store).expect("a store of that name");
        built.push(Store { keys: Arc::clone(set) as Arc<dyn SignatureKeys>, desk: DeskId(u16::try_from(sets.len()).unwrap()) });
        sets.push(Arc::clone(set));
    }
    Bench { judge: Judge::new("user".into(), Arc::clone(plan.rules()), built.into()), sets }
}

impl Bench {
    /// The verdict on a request whose header fields are `fields`.
    pub fn request(&self, path: &str, query: Option<&str>, fields: &[(&'static str, &str)], now: i64) -> Result<Arc<Identity>, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).map_err(|_| "no header value".to_owned())?);
        }
        let target = Target { path: path.into(), query: query.map(Into::into) };
        let raw = target.wire().into_owned();
        let request = RequestView {
            method: "GET",
            raw_target: &raw,
            target: &target,
            host: "api.example",
            headers: &headers,
            client: [127, 0, 0, 1].into(),
            secure: true,
            request_id: "test",
        };
        self.judged(&request, Timestamp(now))
            .map(|identity| Arc::clone(identity.get()))
            .map_err(|refusal| refusal.reason().as_str().to_owned())
    }

    /// The verdict on `request`, with every question put to its desk once.
    pub fn judged(&self, request: &RequestView<'_>, now: Timestamp) -> Result<Verified<Arc<Identity>>, Refusal> {
        let mut facts = Facts::default();
        let credential = match self.judge.find(request, &facts) {
            Step::Done(Found::Present(credential)) => credential,
            Step::Done(Found::Absent) => return Err(Refusal::CredentialMissing),
            Step::Done(Found::Foreign(doubt) | Found::Unreadable(doubt)) => return Err(doubt.into()),
            Step::Need(need) => panic!("find needs {need:?}"),
            Step::Refuse(refusal) => return Err(refusal),
        };
        for _ in 0..3 {
            match self.judge.verify(&credential, request, &facts, now) {
                Step::Done(identity) => return Ok(identity),
                Step::Refuse(refusal) => return Err(refusal),
                Step::Need(Need::Ask(question)) => {
                    self.sets[usize::from(question.desk.0)].asked.fetch_add(1, Ordering::SeqCst);
                    facts.add_answer(question, Arc::new(()));
                }
                Step::Need(need) => panic!("verify needs {need:?}"),
            }
        }
        panic!("the same fact was asked for again");
    }

    /// The verdict on `token` as a bearer, at `now`: the subject, or the reason of the refusal.
    pub fn at(&self, token: &str, now: i64) -> Result<String, String> {
        self.request("/", None, &[("authorization", &format!("Bearer {token}"))], now).map(|identity| identity.subject.to_string())
    }

    /// The same at [`NOW`].
    pub fn on(&self, token: &str) -> Result<String, String> {
        self.at(token, NOW)
    }

    /// The verdict on the token alone, past the finding: what a scheme that was handed it would say.
    pub fn verify_only(&self, token: &str, now: i64) -> Result<String, Refusal> {
        let (headers, target) = (HeaderMap::new(), Target { path: "/".into(), query: None });
        let request = RequestView {
            method: "GET",
            raw_target: "/",
            target: &target,
            host: "api.example",
            headers: &headers,
            client: [127, 0, 0, 1].into(),
            secure: true,
            request_id: "test",
        };
        let credential = countersign::domain::Credential::new(vec![token.into()], Vec::new());
        let mut facts = Facts::default();
        for _ in 0..3 {
            match self.judge.verify(&credential, &request, &facts, Timestamp(now)) {
                Step::Done(identity) => return Ok(identity.get().subject.to_string()),
                Step::Refuse(refusal) => return Err(refusal),
                Step::Need(Need::Ask(question)) => facts.add_answer(question, Arc::new(())),
                Step::Need(need) => panic!("verify needs {need:?}"),
            }
        }
        panic!("the same fact was asked for again");
    }
}

/// Claims that the usual settings accept at [`NOW`], changed by `changes`; `null` in `changes` removes a claim.
pub fn claims(changes: Json) -> Json {
    let mut claims = json!({ "iss": "https://id.example", "aud": "app", "sub": "ada", "iat": NOW - 60, "exp": NOW + 600 });
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

/// The usual settings, changed by `changes`.
pub fn settings(changes: Json) -> Json {
    let mut settings = json!({ "issuer": "https://id.example", "audience": "app", "keys": "set" });
    for (name, value) in changes.as_object().unwrap() {
        settings[name] = value.clone();
    }
    settings
}

/// A token over exactly these texts, properly signed.
pub fn signed(key: &SigningKey, header: &[u8], payload: &[u8]) -> String {
    let text = format!("{}.{}", base64url::encode(header), base64url::encode(payload));
    let signature = base64url::encode(&key.sign(text.as_bytes()).unwrap());
    format!("{text}.{signature}")
}

/// A fresh key and the public half under the `kid` "k1".
pub fn fresh(algorithm: Algorithm) -> (SigningKey, Arc<VerifyingKey>) {
    let key = SigningKey::generate(algorithm).unwrap().with_kid(Some("k1"));
    let public = Arc::new(key.verifying_key().unwrap());
    (key, public)
}
