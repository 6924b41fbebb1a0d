//! What the tests of key sources share: tools that reach nothing but loopback, and a clock that stands.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use parking_lot::Mutex;

use crate::domain::{Event, Observer, Random};
use crate::net::client::{Client, ClientSettings};
use crate::settings::{Checking, Entry, Faults, Level, Material, Names, Node, NodeValue, Span};
use crate::verify::keys::contract::{KeySourcePlan, KeyTools};

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
    KeyTools { client: Arc::new(Client::new(client).expect("a client")), clock, random: Arc::new(Still), observer: notes }
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
