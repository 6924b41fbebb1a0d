//! A million server keys in little memory.
//!
//! A record takes a row of fixed size; ids lie in one text, lists of scopes and hosts are kept once however many keys
//! share them. The index is open addressing over row numbers: one probe or two for an id that is known or not, and
//! nothing that grows with how alike ids are. Immutable once finished.

use std::collections::HashMap;
use std::mem::size_of;

use aws_lc_rs::digest::{SHA256, digest};

use crate::domain::Timestamp;
use crate::verify::keys::contract::ServerKey;

/// All keys of a store, by id.
pub struct Table {
    ids: Box<str>,
    rows: Box<[Row]>,
    /// Row numbers, or [`NONE`]; a power of two of them, at most half in use, so a probe always ends.
    index: Box<[u32]>,
    hasher: ahash::RandomState,
    /// Second digests, for the few keys that are being rotated.
    seconds: Box<[[u8; 32]]>,
    lists: Box<[List]>,
    generation: u64,
}

/// A table that is being filled.
pub struct Tabling {
    ids: String,
    rows: Vec<Row>,
    /// For each row the line it came from.
    lines: Vec<u32>,
    index: Box<[u32]>,
    hasher: ahash::RandomState,
    seconds: Vec<[u8; 32]>,
    lists: Vec<List>,
    known: HashMap<List, u32, ahash::RandomState>,
}

type List = Box<[Box<str>]>;

/// Why a record cannot be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableFault {
    /// Its id is taken.
    Duplicate {
        /// The line of the record that has it.
        line: usize,
    },
    /// Rows or ids no longer fit 32 bits.
    Full,
}

/// No row, no second digest.
const NONE: u32 = u32::MAX;

struct Row {
    not_before: Timestamp,
    expires: Timestamp,
    id_start: u32,
    id_length: u16,
    disabled: bool,
    scopes: u32,
    hosts: u32,
    second: u32,
    first: [u8; 32],
}

/// Stands for "no bound" in a row; as bounds they would say the same.
const SINCE_EVER: Timestamp = Timestamp(i64::MIN);

impl Tabling {
    /// An empty table with room for `records`; more would be refused.
    #[must_use]
    pub fn with_capacity(records: usize) -> Self {
        let slots = records.saturating_mul(2).next_power_of_two();
        Self {
            ids: String::new(),
            rows: Vec::with_capacity(records),
            lines: Vec::with_capacity(records),
            index: vec![NONE; slots].into(),
            hasher: ahash::RandomState::default(),
            seconds: Vec::new(),
            lists: Vec::new(),
            known: HashMap::default(),
        }
    }

    /// Adds `record`, which stands in `line`.
    ///
    /// # Errors
    ///
    /// [`TableFault`]; the table is then as it was.
    pub fn add(&mut self, record: &ServerKey, line: usize) -> Result<(), TableFault> {
        let number = u32::try_from(self.rows.len()).ok().filter(|number| *number != NONE).ok_or(TableFault::Full)?;
        let id_start = u32::try_from(self.ids.len()).map_err(|_| TableFault::Full)?;
        let id_length = u16::try_from(record.id.len()).map_err(|_| TableFault::Full)?;
        if self.index.len() / 2 <= self.rows.len() {
            return Err(TableFault::Full);
        }
        let slot = match probe(&self.index, &self.rows, &self.ids, self.hasher.hash_one(&*record.id), &record.id) {
            Probe::Row(row) => {
                let line = self.lines.get(row as usize).copied().unwrap_or_default();
                return Err(TableFault::Duplicate { line: line as usize });
            }
            Probe::Free(slot) => slot,
        };
        let scopes = self.list(&record.scopes)?;
        let hosts = self.list(&record.hosts)?;
        let [first, second] = record.digests;
        let second = match second {
            None => NONE,
            Some(digest) => {
                self.seconds.push(digest);
                u32::try_from(self.seconds.len() - 1).map_err(|_| TableFault::Full)?
            }
        };
        self.ids.push_str(&record.id);
        self.rows.push(Row {
            not_before: record.not_before.unwrap_or(SINCE_EVER),
            expires: record.expires.unwrap_or(Timestamp::END),
            id_start,
            id_length,
            disabled: record.disabled,
            scopes,
            hosts,
            second,
            first: first.unwrap_or_default(),
        });
        self.lines.push(u32::try_from(line).unwrap_or(u32::MAX));
        if let Some(slot) = self.index.get_mut(slot) {
            *slot = number;
        }
        Ok(())
    }

    /// The number of `list` among the lists, each kept once.
    fn list(&mut self, list: &List) -> Result<u32, TableFault> {
        if let Some(number) = self.known.get(list) {
            return Ok(*number);
        }
        let number = u32::try_from(self.lists.len()).map_err(|_| TableFault::Full)?;
        self.lists.push(list.clone());
        self.known.insert(list.clone(), number);
        Ok(number)
    }

    /// The finished table. `content` is what it was made of: tables of different content have different generations.
    #[must_use]
    pub fn finish(self, content: &[u8]) -> Table {
        let sum = digest(&SHA256, content);
        let generation = sum.as_ref().first_chunk().copied().map_or(0, u64::from_be_bytes);
        Table {
            ids: self.ids.into(),
            rows: self.rows.into(),
            index: self.index,
            hasher: self.hasher,
            seconds: self.seconds.into(),
            lists: self.lists.into(),
            generation,
        }
    }
}

impl Table {
    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Changes whenever the content does.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// About how many bytes it takes, lists not counted.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.ids.len() + self.rows.len() * size_of::<Row>() + self.index.len() * size_of::<u32>() + self.seconds.len() * 32
    }

    /// The record of exactly `id`.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<ServerKey> {
        let Probe::Row(number) = probe(&self.index, &self.rows, &self.ids, self.hasher.hash_one(id), id) else { return None };
        let row = self.rows.get(number as usize)?;
        let list = |number: u32| self.lists.get(number as usize).cloned();
        let second = if row.second == NONE { None } else { Some(*self.seconds.get(row.second as usize)?) };
        Some(ServerKey {
            id: id.into(),
            digests: [Some(row.first), second],
            not_before: (row.not_before != SINCE_EVER).then_some(row.not_before),
            expires: (row.expires != Timestamp::END).then_some(row.expires),
            disabled: row.disabled,
            scopes: list(row.scopes)?,
            hosts: list(row.hosts)?,
        })
    }
}

enum Probe {
    /// The row that has the id.
    Row(u32),
    /// The slot where it would have to stand.
    Free(usize),
}

fn probe(index: &[u32], rows: &[Row], ids: &str, hash: u64, id: &str) -> Probe {
    let mask = index.len().wrapping_sub(1);
    #[allow(clippy::cast_possible_truncation, reason = "only the low bits are used")]
    let mut slot = hash as usize & mask;
    loop {
        let number = index.get(slot).copied().unwrap_or(NONE);
        let Some(row) = rows.get(number as usize) else { return Probe::Free(slot) };
        let start = row.id_start as usize;
        if ids.get(start..start + usize::from(row.id_length)) == Some(id) {
            return Probe::Row(number);
        }
        slot = (slot + 1) & mask;
    }
}
