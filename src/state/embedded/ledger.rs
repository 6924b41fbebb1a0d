//! The tables of the database, and what each operation does to them inside one transaction.
//!
//! Beside each table of things with an end stands one that orders them by their end, so that what is past it is found without
//! looking at the rest. Nothing here commits, waits or reads a clock.

use bytes::Bytes;
use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata, Table, TableDefinition, TableError, WriteTransaction};

use crate::domain::{Burn, Timestamp};
use crate::state::contract::{Burned, Entry, Expect, Key, Written};

type Digest = [u8; 32];

/// Counters and the store's own facts.
const FACTS: TableDefinition<'_, &str, u64> = TableDefinition::new("facts");
/// What was spent -> until when the mark must stand.
const MARKS: TableDefinition<'_, &Digest, i64> = TableDefinition::new("marks");
const MARK_ENDS: TableDefinition<'_, (i64, &Digest), ()> = TableDefinition::new("mark_ends");
/// Class and digest -> version, end, value.
const RECORDS: TableDefinition<'_, (&str, &Digest), (u64, i64, &[u8])> = TableDefinition::new("records");
const RECORD_ENDS: TableDefinition<'_, (i64, &str, &Digest), ()> = TableDefinition::new("record_ends");
/// Number -> end, value.
const LOG: TableDefinition<'_, u64, (i64, &[u8])> = TableDefinition::new("log");
const LOG_ENDS: TableDefinition<'_, (i64, u64), ()> = TableDefinition::new("log_ends");

/// The form of the tables above; another form has another number.
const FORM: u64 = 1;

/// The database cannot do what was asked of it: what it rests on failed, or it is damaged.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Broken(pub(super) String);

impl Broken {
    pub(super) fn because(error: impl Into<redb::Error>) -> Self {
        Self(error.into().to_string())
    }
}

impl From<redb::StorageError> for Broken {
    fn from(error: redb::StorageError) -> Self {
        Self::because(error)
    }
}

impl From<TableError> for Broken {
    fn from(error: TableError) -> Self {
        Self::because(error)
    }
}

/// What a store knows of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    /// Which life this is.
    pub(super) life: u64,
    /// How many commits there were, this one included.
    pub(super) commits: u64,
    /// What was made before this moment may have been spent without the store's knowing.
    pub(super) born: Timestamp,
    /// The version given last.
    version: u64,
    /// The latest end of any mark that was swept: what ends no later may have been spent.
    swept: Timestamp,
}

/// What came of an operation.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Done {
    Burned(Burned),
    Written(Written),
    Removed(bool),
    Appended,
    Alive,
    /// There is no room, and nothing was done.
    Full,
}

/// The tables, open for writing.
pub(super) struct Ledger<'t> {
    facts: Table<'t, &'static str, u64>,
    marks: Table<'t, &'static Digest, i64>,
    mark_ends: Table<'t, (i64, &'static Digest), ()>,
    records: Table<'t, (&'static str, &'static Digest), (u64, i64, &'static [u8])>,
    record_ends: Table<'t, (i64, &'static str, &'static Digest), ()>,
    log: Table<'t, u64, (i64, &'static [u8])>,
    log_ends: Table<'t, (i64, u64), ()>,
    known: Facts,
    /// Marks, records and entries of the log at most, of each.
    capacity: u64,
    changed: bool,
}

/// How many rows are swept at once when there is no room.
const ROOM: usize = 256;

impl<'t> Ledger<'t> {
    /// The tables of a store that has been made.
    pub(super) fn open(transaction: &'t WriteTransaction, capacity: u64) -> Result<Self, Broken> {
        let facts = transaction.open_table(FACTS)?;
        let known = read_facts(&facts)?.ok_or_else(|| Broken("it has tables, but says nothing of itself".to_owned()))?;
        Self::with(transaction, facts, known, capacity)
    }

    /// Makes the tables of a new store.
    pub(super) fn make(transaction: &'t WriteTransaction, life: u64, born: Timestamp) -> Result<Facts, Broken> {
        let mut facts = transaction.open_table(FACTS)?;
        facts.insert("form", FORM)?;
        facts.insert("life", life)?;
        facts.insert("born", to_bits(born))?;
        let known = Facts { life, commits: 0, born, version: 0, swept: Timestamp(i64::MIN) };
        let mut ledger = Self::with(transaction, facts, known, 0)?;
        ledger.changed = true;
        ledger.close()
    }

    fn with(transaction: &'t WriteTransaction, facts: Table<'t, &'static str, u64>, known: Facts, capacity: u64) -> Result<Self, Broken> {
        Ok(Self {
            facts,
            marks: transaction.open_table(MARKS)?,
            mark_ends: transaction.open_table(MARK_ENDS)?,
            records: transaction.open_table(RECORDS)?,
            record_ends: transaction.open_table(RECORD_ENDS)?,
            log: transaction.open_table(LOG)?,
            log_ends: transaction.open_table(LOG_ENDS)?,
            known,
            capacity,
            changed: false,
        })
    }

    /// Whether there is anything to commit.
    pub(super) fn changed(&self) -> bool {
        self.changed
    }

    /// Asks for a commit although nothing was done, to see whether one is possible.
    pub(super) fn touch(&mut self) {
        self.changed = true;
    }

    /// Writes the counters down; the transaction can be committed then.
    pub(super) fn close(mut self) -> Result<Facts, Broken> {
        if self.changed {
            self.known.commits += 1;
            self.facts.insert("commits", self.known.commits)?;
            self.facts.insert("version", self.known.version)?;
            self.facts.insert("swept", to_bits(self.known.swept))?;
        }
        Ok(self.known)
    }

    /// Spends `burn.key`, once. `latest` is the latest moment that anybody has spoken of.
    pub(super) fn burn(&mut self, burn: &Burn, latest: Timestamp) -> Result<Done, Broken> {
        if self.marks.get(&burn.key)?.is_some() {
            return Ok(Done::Burned(Burned::Again));
        }
        if burn.made < self.known.born {
            return Ok(Done::Burned(Burned::Forgotten));
        }
        // Its mark may have been swept: it is no longer spendable.
        if burn.until < latest || burn.until <= self.known.swept {
            return Ok(Done::Burned(Burned::Again));
        }
        while self.capacity <= self.marks.len()? {
            if self.sweep_marks(latest, ROOM)? == 0 {
                return Ok(Done::Full);
            }
        }
        self.changed = true;
        self.marks.insert(&burn.key, burn.until.0)?;
        self.mark_ends.insert((burn.until.0, &burn.key), ())?;
        Ok(Done::Burned(Burned::First))
    }

    /// Sets the record under `key` if it is as expected.
    pub(super) fn write(&mut self, key: &Key, expect: Expect, value: &[u8], until: Timestamp, latest: Timestamp) -> Result<Done, Broken> {
        let place = (key.class.as_str(), &key.digest);
        let stored = self.records.get(place)?.map(|row| entry(row.value()));
        let old_end = stored.as_ref().map(|entry| entry.until);
        let standing = stored.filter(|entry| latest < entry.until);
        let as_expected = match expect {
            Expect::Absent => standing.is_none(),
            Expect::Version(version) => standing.as_ref().is_some_and(|entry| entry.version == version),
        };
        if !as_expected {
            return Ok(Done::Written(Written::Conflict(standing)));
        }
        while old_end.is_none() && self.capacity <= self.records.len()? {
            if self.sweep_records(latest, ROOM)? == 0 {
                return Ok(Done::Full);
            }
        }
        self.changed = true;
        if let Some(end) = old_end {
            self.record_ends.remove((end.0, place.0, place.1))?;
        }
        let version = self.next_version();
        self.records.insert(place, (version, until.0, value))?;
        self.record_ends.insert((until.0, place.0, place.1), ())?;
        Ok(Done::Written(Written::Done { version }))
    }

    /// Removes the record under `key`.
    pub(super) fn remove(&mut self, key: &Key, latest: Timestamp) -> Result<Done, Broken> {
        let place = (key.class.as_str(), &key.digest);
        let end = self.records.remove(place)?.map(|row| row.value().1);
        if let Some(end) = end {
            self.changed = true;
            self.record_ends.remove((end, place.0, place.1))?;
        }
        Ok(Done::Removed(end.is_some_and(|end| latest < Timestamp(end))))
    }

    /// Appends to the log.
    pub(super) fn append(&mut self, value: &[u8], until: Timestamp, latest: Timestamp) -> Result<Done, Broken> {
        while self.capacity <= self.log.len()? {
            if self.sweep_log(latest, ROOM)? == 0 {
                return Ok(Done::Full);
            }
        }
        self.changed = true;
        let number = self.next_version();
        self.log.insert(number, (until.0, value))?;
        self.log_ends.insert((until.0, number), ())?;
        Ok(Done::Appended)
    }

    /// The number of the entry appended last; 0 when there is none.
    pub(super) fn last_appended(&self) -> Result<u64, Broken> {
        Ok(self.log.last()?.map_or(0, |(number, _)| number.value()))
    }

    /// Throws away what is past its end, at most `limit` of each kind.
    pub(super) fn sweep(&mut self, latest: Timestamp, limit: usize) -> Result<(), Broken> {
        self.sweep_marks(latest, limit)?;
        self.sweep_records(latest, limit)?;
        self.sweep_log(latest, limit)?;
        Ok(())
    }

    /// A mark is kept through the last second of its time.
    fn sweep_marks(&mut self, latest: Timestamp, limit: usize) -> Result<usize, Broken> {
        let mut swept = 0;
        while swept < limit {
            let end = match self.mark_ends.first()? {
                Some((row, _)) if Timestamp(row.value().0) < latest => {
                    let (end, digest) = row.value();
                    (end, *digest)
                }
                _ => break,
            };
            self.mark_ends.remove((end.0, &end.1))?;
            self.marks.remove(&end.1)?;
            self.known.swept = self.known.swept.max(Timestamp(end.0));
            self.changed = true;
            swept += 1;
        }
        Ok(swept)
    }

    /// A record is absent from the moment of its end on.
    fn sweep_records(&mut self, latest: Timestamp, limit: usize) -> Result<usize, Broken> {
        let mut swept = 0;
        while swept < limit {
            let (end, class, digest) = match self.record_ends.first()? {
                Some((row, _)) if Timestamp(row.value().0) <= latest => {
                    let (end, class, digest) = row.value();
                    (end, class.to_owned(), *digest)
                }
                _ => break,
            };
            self.record_ends.remove((end, class.as_str(), &digest))?;
            self.records.remove((class.as_str(), &digest))?;
            self.changed = true;
            swept += 1;
        }
        Ok(swept)
    }

    fn sweep_log(&mut self, latest: Timestamp, limit: usize) -> Result<usize, Broken> {
        let mut swept = 0;
        while swept < limit {
            let (end, number) = match self.log_ends.first()? {
                Some((row, _)) if Timestamp(row.value().0) <= latest => row.value(),
                _ => break,
            };
            self.log_ends.remove((end, number))?;
            self.log.remove(number)?;
            self.changed = true;
            swept += 1;
        }
        Ok(swept)
    }

    fn next_version(&mut self) -> u64 {
        self.known.version += 1;
        self.known.version
    }
}

/// What the store in `transaction` knows of itself; `None` when it was never made.
pub(super) fn facts(transaction: &ReadTransaction) -> Result<Option<Facts>, Broken> {
    match transaction.open_table(FACTS) {
        Ok(table) => read_facts(&table),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The number of the entry appended last; 0 when there is none.
pub(super) fn last_appended(transaction: &ReadTransaction) -> Result<u64, Broken> {
    Ok(transaction.open_table(LOG)?.last()?.map_or(0, |(number, _)| number.value()))
}

/// The record under `key` as it is stored, whether or not it is past its end.
pub(super) fn record(transaction: &ReadTransaction, key: &Key) -> Result<Option<Entry>, Broken> {
    let table = transaction.open_table(RECORDS)?;
    Ok(table.get((key.class.as_str(), &key.digest))?.map(|row| entry(row.value())))
}

/// What was appended after number `after` and is not past its end, and the number of the entry appended last.
pub(super) fn appended_after(
    transaction: &ReadTransaction,
    after: u64,
    latest: Timestamp,
) -> Result<(Vec<(Bytes, Timestamp)>, u64), Broken> {
    let table = transaction.open_table(LOG)?;
    let mut entries = Vec::new();
    let mut last = after;
    for row in table.range(after.saturating_add(1)..)? {
        let (number, row) = row?;
        let (until, value) = row.value();
        last = last.max(number.value());
        if latest < Timestamp(until) {
            entries.push((Bytes::copy_from_slice(value), Timestamp(until)));
        }
    }
    Ok((entries, last))
}

fn read_facts(table: &impl ReadableTable<&'static str, u64>) -> Result<Option<Facts>, Broken> {
    let read = |name: &'static str| -> Result<u64, Broken> {
        table.get(name)?.map(|value| value.value()).ok_or_else(|| Broken(format!("it does not say its `{name}`")))
    };
    let Some(form) = table.get("form")?.map(|value| value.value()) else { return Ok(None) };
    if form != FORM {
        return Err(Broken(format!("its tables have form {form}; this release reads form {FORM}")));
    }
    Ok(Some(Facts {
        life: read("life")?,
        commits: read("commits")?,
        born: from_bits(read("born")?),
        version: read("version")?,
        swept: from_bits(read("swept")?),
    }))
}

fn entry((version, until, value): (u64, i64, &[u8])) -> Entry {
    Entry { value: Bytes::copy_from_slice(value), version, until: Timestamp(until) }
}

fn to_bits(moment: Timestamp) -> u64 {
    u64::from_ne_bytes(moment.0.to_ne_bytes())
}

fn from_bits(bits: u64) -> Timestamp {
    Timestamp(i64::from_ne_bytes(bits.to_ne_bytes()))
}
