//! API clients of Janrain Capture with their secrets: a file of JSON Lines, or the conf's own list with secret references.
//!
//! A signature can only be verified with the secret itself, so this store holds secrets and no digests; a file of them is as
//! secret as they are. For `Basic` and body credentials it answers like any store of server keys, by digests under a pepper of
//! its own that nobody else knows. The file is proven as a whole: one bad line and nothing of it is used. Nothing here watches it.

mod record;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::{Answer, Outage, Secret, Timestamp};
use crate::jose::digest::digest;
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape, Span};
use crate::verify::contract::Desk;
use crate::verify::keys::contract::{BuiltKeys, KeyClass, KeySourceEntry, KeySourcePlan, KeyTools, ServerKey, ServerKeySearch, ServerKeys};
use crate::verify::keys::digest::Pepper;
use crate::verify::keys::janrain_clients::record::{Client, FEATURES, parse_client, proven};
use crate::verify::keys::secrets::references;

/// The source's line on the roll-call.
pub static ENTRY: KeySourceEntry = KeySourceEntry {
    name: "janrain_clients",
    doc: "API clients of Janrain Capture: ids, secrets and features, in a file of JSON Lines or in the conf.",
    class: KeyClass::SigningClients,
    shape: Shape::Section(&SETTINGS),
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the `janrain_clients` source",
    doc: "API clients of Janrain Capture, whose features become their scopes.",
    keys: &[
        KeySpec::optional(
            "file",
            Shape::File,
            "One JSON object a line: `client_id`, `secrets` (one, or two during a rotation, in the clear: keep the file like a key), `features`, and \
             where wanted `hosts`, `not_before`, `expires`, `disabled`. Read again on reload.",
        ),
        KeySpec::optional("clients", Shape::Map(&Shape::Section(&CLIENT)), "The same in the conf, by client id."),
    ],
};

static CLIENT: SectionSpec = SectionSpec {
    title: "an API client",
    doc: "One API client of Janrain Capture.",
    keys: &[
        KeySpec::required(
            "secret",
            Shape::List { of: &Shape::Secret, lone: true, min: 1 },
            "Its secret, or two during a rotation, the current one first.",
        ),
        KeySpec::optional(
            "features",
            Shape::List { of: &Shape::OneOf(&FEATURES), lone: true, min: 0 },
            "What it may do; a client without features may do nothing that a guard asks features for.",
        ),
        KeySpec::optional(
            "hosts",
            Shape::List { of: &Shape::Text, lone: true, min: 1 },
            "Hosts it is good for; any without. No signature covers the host: name it where one secret is used for several.",
        ),
        KeySpec::default("disabled", Shape::Bool, "false", "Whether it is switched off."),
    ],
};

/// Faults told of one file.
const FAULTS_TOLD: usize = 20;

type Table = BTreeMap<Box<str>, Client>;

struct JanrainClientsPlan {
    clients: Arc<Table>,
}

fn plan(_name: &str, node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn KeySourcePlan>> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let before = checking.faults.errors();
    let mut clients = Table::new();
    match (section.text("file"), section.node("clients")) {
        (None, None) => checking.faults.error(section.span(), "name the clients: `file`, or `clients` in the conf"),
        (file, written) => {
            if let Some(path) = file {
                read_file(path, section.span_of("file"), &mut clients, checking);
            }
            for entry in written.and_then(Node::as_map).unwrap_or_default() {
                if let Some(client) = read_client(&entry.key, &entry.node, checking)
                    && clients.insert(entry.key.as_str().into(), client).is_some()
                {
                    checking.faults.error(&entry.span, "this client stands in the file already; name each client once");
                }
            }
        }
    }
    if checking.faults.errors() != before {
        return None;
    }
    if clients.is_empty() {
        checking.faults.warn(section.span(), "there is no client here, so nobody can pass as one");
    }
    Some(Box::new(JanrainClientsPlan { clients: Arc::new(clients) }))
}

/// Reads one client of the conf.
fn read_client(id: &str, node: &Node, checking: &mut Checking<'_>) -> Option<Client> {
    let section = Section::open(&CLIENT, node, checking.faults)?;
    let secrets: Vec<Secret> =
        references(section.node("secret")?).into_iter().map(|reference| checking.secret(reference)).collect::<Option<_>>()?;
    let boxed = |key| section.texts(key).into_iter().map(Into::into).collect();
    match proven(id, secrets, boxed("features"), boxed("hosts"), None, None, section.flag("disabled")) {
        Ok(client) => Some(client),
        Err(says) => {
            checking.faults.error(&node.span, says);
            None
        }
    }
}

/// Reads the whole file, or notes what is wrong with it, line by line.
fn read_file(path: &str, written: &Span, clients: &mut Table, checking: &mut Checking<'_>) {
    let material = checking.material;
    let content = match material.file(path) {
        Ok(content) => content,
        Err(why) => return checking.faults.error(written, why),
    };
    let file: Arc<str> = Arc::from(path);
    let mut faults: usize = 0;
    let mut fault = |checking: &mut Checking<'_>, line: usize, says: &str| {
        faults += 1;
        if faults <= FAULTS_TOLD {
            let line = u32::try_from(line).unwrap_or(u32::MAX);
            checking.faults.error(&Span { file: Arc::clone(&file), line, column: 1 }, says);
        }
    };
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    for (number, line) in (1..).zip(content.split(|byte| *byte == b'\n')) {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        match parse_client(line) {
            Err(says) => fault(checking, number, &says),
            Ok(client) => {
                if clients.insert(client.record.id.clone(), client).is_some() {
                    fault(
                        checking,
                        number,
                        "this `client_id` stands in an earlier line already; whose secret counts must not depend on order",
                    );
                }
            }
        }
    }
    if FAULTS_TOLD < faults {
        checking.faults.error(written, format!("`{path}` has {faults} bad lines; not all of them are listed"));
    }
}

impl KeySourcePlan for JanrainClientsPlan {
    fn class(&self) -> KeyClass {
        KeyClass::SigningClients
    }

    fn continuity(&self) -> Option<String> {
        None
    }

    fn build(&self, name: &Arc<str>, tools: &KeyTools) -> Result<BuiltKeys, String> {
        // Digests are made and compared in this process only.
        let mut bytes = vec![0; 32];
        tools.random.fill(&mut bytes);
        let pepper = Pepper::new(&Secret::new(bytes)).ok_or_else(|| format!("`{name}` has no pepper"))?;
        let digests = |client: &Client| {
            let of = |index: usize| client.secrets.get(index).map(|secret| pepper.digest(&client.record.id, secret.expose()));
            [of(0), of(1)]
        };
        let known = |client: &Client| Known {
            record: Arc::new(ServerKey { digests: digests(client), ..client.record.clone() }),
            secrets: Arc::clone(&client.secrets),
        };
        let clients = self.clients.iter().map(|(id, client)| (id.clone(), known(client))).collect();
        Ok(BuiltKeys::ServerKeys(Arc::new(Clients { pepper, clients, generation: generation_of(&self.clients) })))
    }
}

impl std::fmt::Debug for JanrainClientsPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JanrainClientsPlan").field("clients", &self.clients.len()).finish()
    }
}

/// A number that changes with any client. It stays in memory.
fn generation_of(clients: &Table) -> u64 {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for client in clients.values() {
        parts.push(format!("{:?}", client.record).into_bytes());
        parts.extend(client.secrets.iter().map(|secret| secret.expose().to_vec()));
    }
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    digest("countersign janrain clients", &parts).first_chunk().copied().map_or(0, u64::from_be_bytes)
}

/// A client, ready to be asked for.
struct Known {
    record: Arc<ServerKey>,
    secrets: Arc<[Secret]>,
}

/// The store: all clients are at hand, always.
struct Clients {
    pepper: Pepper,
    clients: BTreeMap<Box<str>, Known>,
    generation: u64,
}

impl ServerKeys for Clients {
    fn find(&self, id: &str, _now: Timestamp) -> ServerKeySearch {
        self.clients.get(id).map_or(ServerKeySearch::Unknown, |known| ServerKeySearch::Known(Arc::clone(&known.record)))
    }

    fn digest(&self, id: &str, secret: &[u8]) -> [u8; 32] {
        self.pepper.digest(id, secret)
    }

    fn secrets(&self, id: &str) -> Option<Arc<[Secret]>> {
        self.clients.get(id).map(|known| Arc::clone(&known.secrets))
    }

    fn generation(&self) -> u64 {
        self.generation
    }

    fn desk(self: Arc<Self>) -> Arc<dyn Desk> {
        self
    }
}

#[async_trait]
impl Desk for Clients {
    async fn answer(&self, about: &str, _now: Timestamp) -> Result<Answer, Outage> {
        let record: Option<Arc<ServerKey>> = self.clients.get(about).map(|known| Arc::clone(&known.record));
        Ok(Arc::new(record))
    }
}

#[cfg(test)]
mod tests;
