//! Server keys from a file: JSON Lines, one key a line, held ready in compact form.
//!
//! The file is proven as a whole: one bad line is a fault with its line number, and nothing of the file is used. Secrets
//! stand in it as keyed digests only ([`crate::verify::keys::digest`]). A reload reads it again; nothing here watches it.
//! An empty file is a store that knows nobody, and says so.

pub mod table;

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::{Answer, Outage, Timestamp};
use crate::settings::{Checking, KeySpec, Node, Section, SectionSpec, Shape, Span};
use crate::verify::contract::Desk;
use crate::verify::keys::contract::{BuiltKeys, KeyClass, KeySourceEntry, KeySourcePlan, KeyTools, ServerKey, ServerKeySearch, ServerKeys};
use crate::verify::keys::digest::{LEAST_PEPPER, Pepper};
use crate::verify::keys::record::parse_record;
use crate::verify::keys::server_keys::table::{Table, TableFault, Tabling};

/// The source's line on the roll-call.
pub static ENTRY: KeySourceEntry = KeySourceEntry {
    name: "server_keys",
    doc: "Server keys from a file of JSON Lines: ids with digests of their secrets.",
    class: KeyClass::ServerKeys,
    shape: Shape::Section(&SETTINGS),
    plan,
};

static SETTINGS: SectionSpec = SectionSpec {
    title: "the `server_keys` source",
    doc: "Callers known by id and secret, in a file.",
    keys: &[
        KeySpec::required(
            "file",
            Shape::File,
            "One JSON object a line: `id`, `secrets` (one digest, or two during a rotation, as `countersign keys hash` makes them), \
             and where wanted `scopes`, `hosts`, `not_before`, `expires`, `disabled`. Read again on reload.",
        ),
        KeySpec::required("pepper", Shape::Secret, PEPPER_DOC),
    ],
};

/// What a pepper is, for the reference page.
const PEPPER_DOC: &str = "The secret that the digests are made under; at least 16 bytes, and not kept beside the file.";

/// Faults told of one file; whoever mixes up the columns does not need a million.
const FAULTS_TOLD: usize = 20;

struct ServerKeysPlan {
    pepper: Pepper,
    table: Arc<Table>,
}

fn plan(_name: &str, node: &Node, checking: &mut Checking<'_>) -> Option<Box<dyn KeySourcePlan>> {
    let section = Section::open(&SETTINGS, node, checking.faults)?;
    let pepper = plan_pepper(section.node("pepper")?, checking);
    let path = section.text("file")?;
    let table = match checking.material.file(path) {
        Ok(content) => read_file(content, path, section.span_of("file"), checking),
        Err(why) => {
            checking.faults.error(section.span_of("file"), why);
            None
        }
    };
    let (pepper, table) = (pepper?, table?);
    Some(Box::new(ServerKeysPlan { pepper, table: Arc::new(table) }))
}

fn plan_pepper(node: &Node, checking: &mut Checking<'_>) -> Option<Pepper> {
    let secret = checking.secret(node)?;
    let pepper = Pepper::new(&secret);
    if pepper.is_none() {
        let says = format!("a pepper has at least {LEAST_PEPPER} bytes; this one has {}", secret.len());
        checking.faults.error(&node.span, says);
    }
    pepper
}

/// Reads the whole file, or notes what is wrong with it, line by line.
fn read_file(content: &[u8], path: &str, written: &Span, checking: &mut Checking<'_>) -> Option<Table> {
    let file: Arc<str> = Arc::from(path);
    let mut faults: usize = 0;
    let mut fault = |checking: &mut Checking<'_>, line: usize, says: String| {
        faults += 1;
        if faults <= FAULTS_TOLD {
            let line = u32::try_from(line).unwrap_or(u32::MAX);
            checking.faults.error(&Span { file: Arc::clone(&file), line, column: 1 }, says);
        }
    };
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let lines = memchr::memchr_iter(b'\n', content).count() + 1;
    let mut tabling = Tabling::with_capacity(lines);
    for (number, line) in (1..).zip(content.split(|byte| *byte == b'\n')) {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        match parse_record(line) {
            Err(says) => fault(checking, number, says),
            Ok(record) => match tabling.add(&record, number) {
                Ok(()) => {}
                Err(TableFault::Duplicate { line }) => {
                    fault(
                        checking,
                        number,
                        format!("this `id` stands in line {line} already; whose secret counts must not depend on order"),
                    );
                }
                Err(TableFault::Full) => fault(checking, number, "more keys than one store can hold; split the file".to_owned()),
            },
        }
    }
    if faults != 0 {
        let more = faults.saturating_sub(FAULTS_TOLD);
        let rest = if more == 0 { String::new() } else { format!("; {more} more than are listed") };
        checking.faults.error(written, format!("`{path}` has {faults} bad lines{rest}"));
        return None;
    }
    let table = tabling.finish(content);
    if table.is_empty() {
        checking.faults.warn(written, format!("`{path}` holds no key, so nobody can pass with one"));
    }
    Some(table)
}

impl KeySourcePlan for ServerKeysPlan {
    fn class(&self) -> KeyClass {
        KeyClass::ServerKeys
    }

    fn continuity(&self) -> Option<String> {
        None
    }

    fn build(&self, _name: &Arc<str>, _tools: &KeyTools) -> Result<BuiltKeys, String> {
        Ok(BuiltKeys::ServerKeys(Arc::new(FileKeys { pepper: self.pepper.clone(), table: Arc::clone(&self.table) })))
    }
}

impl std::fmt::Debug for ServerKeysPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerKeysPlan").field("keys", &self.table.len()).finish_non_exhaustive()
    }
}

/// The store: all keys are at hand, always.
struct FileKeys {
    pepper: Pepper,
    table: Arc<Table>,
}

impl ServerKeys for FileKeys {
    fn find(&self, id: &str, _now: Timestamp) -> ServerKeySearch {
        self.table.get(id).map_or(ServerKeySearch::Unknown, |record| ServerKeySearch::Known(Arc::new(record)))
    }

    fn digest(&self, id: &str, secret: &[u8]) -> [u8; 32] {
        self.pepper.digest(id, secret)
    }

    fn generation(&self) -> u64 {
        self.table.generation()
    }

    fn desk(self: Arc<Self>) -> Arc<dyn Desk> {
        self
    }
}

#[async_trait]
impl Desk for FileKeys {
    async fn answer(&self, about: &str, _now: Timestamp) -> Result<Answer, Outage> {
        let record: Option<Arc<ServerKey>> = self.table.get(about).map(Arc::new);
        Ok(Arc::new(record))
    }
}

#[cfg(test)]
mod tests;
