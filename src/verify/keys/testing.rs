//! What the tests of key sources share: tools that reach nothing but loopback, and a clock that stands.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;

use crate::domain::{Event, Observer, Random, Timestamp};
use crate::jose::algorithm::Algorithm;
use crate::jose::base64url;
use crate::jose::key::VerifyingKey;
use crate::net::client::{Client, ClientSettings};
use crate::settings::{Checking, Entry, Faults, Level, Material, Names, Node, NodeValue, Span};
use crate::verify::keys::contract::{BuiltKeys, KeyHint, KeySearch, KeySourcePlan, KeyTools, SignatureKeys};

/// "Random" bytes that are always zero: no jitter.
pub(crate) struct Still;

impl Random for Still {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

/// Keeps what it hears, as text.
#[derive(Default)]
pub(crate) struct Notes(pub(crate) Mutex<Vec<String>>);

impl Observer for Notes {
    fn note(&self, event: Event<'_>) {
        self.0.lock().push(format!("{event:?}"));
    }
}

/// Tools with a clock that stands at zero.
pub(crate) fn tools() -> KeyTools {
    tools_with(ClientSettings::default(), Arc::new(AtomicI64::new(0)), Arc::new(Notes::default()))
}

/// Tools with these parts.
pub(crate) fn tools_with(client: ClientSettings, clock: Arc<AtomicI64>, notes: Arc<Notes>) -> KeyTools {
    KeyTools {
        client: Arc::new(Client::new(client).expect("a client")),
        clock,
        random: Arc::new(Still),
        observer: notes,
        issued: Arc::default(),
    }
}

/// A key pair of an issuer, by the name it serves it under.
pub(crate) struct IssuerKey {
    pair: Ed25519KeyPair,
    kid: Option<&'static str>,
}

impl IssuerKey {
    pub(crate) fn new(kid: &'static str) -> Self {
        Self { pair: Ed25519KeyPair::generate().expect("a key for tests"), kid: Some(kid) }
    }

    pub(crate) fn nameless() -> Self {
        Self { kid: None, ..Self::new("") }
    }

    /// The public key as a JWK.
    pub(crate) fn jwk(&self) -> String {
        let x = base64url::encode(self.pair.public_key().as_ref());
        let kid = self.kid.map_or_else(String::new, |kid| format!(r#","kid":"{kid}""#));
        format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"{kid}}}"#)
    }

    /// The public key as PEM text.
    pub(crate) fn pem(&self) -> String {
        // RFC 8410 section 4: the bytes before the point are always the same.
        let mut der = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        der.extend_from_slice(self.pair.public_key().as_ref());
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
    }

    /// Whether one of `keys` verifies what this key signs.
    pub(crate) fn is_among(&self, keys: &[Arc<VerifyingKey>]) -> bool {
        let signature = self.pair.sign(b"message");
        keys.iter().any(|key| key.verifies(Algorithm::EdDsa, b"message", signature.as_ref()))
    }
}

/// A JWK Set of `keys`.
pub(crate) fn set_of(keys: &[&IssuerKey]) -> String {
    format!(r#"{{"keys":[{}]}}"#, keys.iter().map(|key| key.jwk()).collect::<Vec<_>>().join(","))
}

/// What a store says about a token of `kid`, in a word, and whether it gives the keys of `issuer`.
pub(crate) fn says(store: &Arc<dyn SignatureKeys>, issuer: &str, kid: Option<&str>, now: i64) -> &'static str {
    match store.find(&KeyHint { issuer, kid, algorithm: Algorithm::EdDsa }, Timestamp(now)) {
        KeySearch::Keys(_) => "keys",
        KeySearch::Unknown(_) => "unknown",
        KeySearch::Never => "never",
        KeySearch::Unavailable(_) => "unavailable",
    }
}

/// The keys a store gives for a token of `issuer` and `kid`; none when it gives none.
pub(crate) fn keys_of(store: &Arc<dyn SignatureKeys>, issuer: &str, kid: Option<&str>, now: i64) -> Vec<Arc<VerifyingKey>> {
    match store.find(&KeyHint { issuer, kid, algorithm: Algorithm::EdDsa }, Timestamp(now)) {
        KeySearch::Keys(keys) => keys,
        KeySearch::Unknown(_) | KeySearch::Never | KeySearch::Unavailable(_) => Vec::new(),
    }
}

/// The store that comes of `plan`.
pub(crate) fn signature_store(plan: &dyn KeySourcePlan, tools: &KeyTools) -> Arc<dyn SignatureKeys> {
    match plan.build(&"store".into(), tools).expect("a store") {
        BuiltKeys::Signature(store) => store,
        _ => panic!("another class of keys"),
    }
}

pub(crate) fn span() -> Span {
    Span { file: "conf".into(), line: 1, column: 1 }
}

pub(crate) fn node(value: NodeValue) -> Node {
    Node { span: span(), value }
}

pub(crate) fn text(value: &str) -> Node {
    node(NodeValue::Text(value.into()))
}

pub(crate) fn map(entries: Vec<(&str, NodeValue)>) -> NodeValue {
    NodeValue::Map(entries.into_iter().map(|(key, value)| Entry { key: key.into(), span: span(), node: node(value) }).collect())
}

pub(crate) type PlanFn = fn(&str, &Node, &mut Checking<'_>) -> Option<Box<dyn KeySourcePlan>>;

/// What `plan` makes of a list of secrets in files (one stands without brackets), or what it found wrong.
pub(crate) fn planned(plan: PlanFn, secrets: &[&[u8]], files: &[(&str, &[u8])]) -> Result<Box<dyn KeySourcePlan>, Vec<String>> {
    let (written, material) = written(secrets, files);
    prove(plan, &node(written), &material)
}

/// The same, where `around` says what mapping the secrets stand in.
pub(crate) fn planned_node(
    plan: PlanFn,
    secrets: &[&[u8]],
    around: impl FnOnce(NodeValue) -> Vec<(&'static str, NodeValue)>,
) -> Result<Box<dyn KeySourcePlan>, Vec<String>> {
    let (written, material) = written(secrets, &[]);
    prove(plan, &node(map(around(written))), &material)
}

/// References to files that hold `secrets`, and the material with them and with `files`.
pub(crate) fn written(secrets: &[&[u8]], files: &[(&str, &[u8])]) -> (NodeValue, Material) {
    let mut material = Material { base: "/conf".into(), ..Material::default() };
    let mut references = Vec::new();
    for (number, secret) in secrets.iter().enumerate() {
        let name = format!("secret-{number}");
        material.files.insert(material.resolve(&name), Ok(Arc::from(*secret)));
        references.push(node(map(vec![("file", NodeValue::Text(name))])));
    }
    for (name, content) in files {
        material.files.insert(material.resolve(name), Ok(Arc::from(*content)));
    }
    let written = if references.len() == 1 { references.remove(0).value } else { NodeValue::List(references) };
    (written, material)
}

/// What `plan` makes of `node`, or what it found wrong.
pub(crate) fn prove(plan: PlanFn, node: &Node, material: &Material) -> Result<Box<dyn KeySourcePlan>, Vec<String>> {
    let (mut faults, names) = (Faults::default(), Names::default());
    let mut checking = Checking { faults: &mut faults, material, names: &names, allow_inline_secrets: false };
    let made = plan("store", node, &mut checking);
    let errors: Vec<String> = faults.sorted().into_iter().filter(|fault| fault.level == Level::Error).map(|fault| fault.says).collect();
    match made {
        Some(plan) => {
            assert!(errors.is_empty(), "planned although at fault: {errors:?}");
            Ok(plan)
        }
        None => {
            assert!(!errors.is_empty(), "refused without saying why");
            Err(errors)
        }
    }
}
