//! Everything that one node knows of revocations: what operators have said to it or another, and what the file says.
//!
//! It keeps in order what has to be found again, ends and what the log lacks, so that nothing is ever looked through for it.
//! Never here: what requests are compared with (that is `set`), the store.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::domain::{Revocation, RevocationId, Timestamp};
use crate::state::contract::Cursor;
use crate::state::revoked::record::Record;
use crate::state::revoked::set::Set;

/// Everything that is known.
#[derive(Default)]
pub(super) struct Known {
    /// What operators have said, to this node or another.
    told: HashMap<RevocationId, Told, ahash::RandomState>,
    /// The same by their ends.
    ends: BTreeSet<(Timestamp, RevocationId)>,
    /// Those that are not in the log: this node still owes them to the others.
    owed: BTreeSet<RevocationId>,
    /// What the file of the conf says, with its lines.
    pub(super) file: Arc<[(usize, Arc<Revocation>)]>,
    /// How far the log has been read.
    pub(super) cursor: Cursor,
    /// When that was; `None` as long as it never was.
    pub(super) read: Option<Timestamp>,
    /// When the log was last read from its beginning.
    pub(super) whole: Option<Timestamp>,
}

/// One thing that an operator said.
pub(super) struct Told {
    pub(super) record: Record,
    /// Whether it is in the log.
    pub(super) kept: bool,
}

/// What an entry of the log did to the list.
pub(super) enum Change {
    /// Nothing.
    Same,
    /// It withdrew this one.
    Less(Arc<Revocation>),
    /// It added this one.
    More(Arc<Revocation>),
}

impl Known {
    /// How many things operators have said that must be known.
    pub(super) fn len(&self) -> usize {
        self.told.len()
    }

    /// What was said under `id`.
    pub(super) fn told(&self, id: RevocationId) -> Option<&Record> {
        self.told.get(&id).map(|told| &told.record)
    }

    /// Everything that was said, in no order.
    pub(super) fn all(&self) -> impl Iterator<Item = (&RevocationId, &Told)> {
        self.told.iter()
    }

    /// From now on `record` is what was said under its name; the revocation whose place it took, if any.
    pub(super) fn put(&mut self, record: Record, kept: bool) -> Option<Arc<Revocation>> {
        let id = record.id();
        let displaced = self.forget(id);
        self.ends.insert((record.until(), id));
        if !kept {
            self.owed.insert(id);
        }
        self.told.insert(id, Told { record, kept });
        displaced
    }

    fn forget(&mut self, id: RevocationId) -> Option<Arc<Revocation>> {
        let told = self.told.remove(&id)?;
        self.ends.remove(&(told.record.until(), id));
        self.owed.remove(&id);
        told.record.revocation().map(Arc::clone)
    }

    /// Forgets what is past its end; the revocations among it.
    pub(super) fn sweep(&mut self, now: Timestamp) -> Vec<Arc<Revocation>> {
        let mut ended = Vec::new();
        while let Some((_, id)) = self.ends.first().copied().filter(|(until, _)| *until <= now) {
            ended.extend(self.forget(id));
        }
        ended
    }

    /// Takes in what stands in the log; what that does to the list.
    pub(super) fn take_in(&mut self, record: Record) -> Change {
        match (self.told(record.id()).map(Record::revokes), record.revokes()) {
            (None, _) => {
                let added = record.revocation().map(Arc::clone);
                self.put(record, true);
                added.map_or(Change::Same, Change::More)
            }
            (Some(true), false) => self.put(record, true).map_or(Change::Same, Change::Less),
            // The log does not know yet that it was withdrawn.
            (Some(false), true) => Change::Same,
            (Some(_), _) => {
                self.keep(record.id());
                Change::Same
            }
        }
    }

    /// `record` is in the log now, unless something else has taken its place meanwhile.
    pub(super) fn mark_kept(&mut self, record: &Record) {
        if self.told(record.id()) == Some(record) {
            self.keep(record.id());
        }
    }

    fn keep(&mut self, id: RevocationId) {
        if let Some(told) = self.told.get_mut(&id) {
            told.kept = true;
            self.owed.remove(&id);
        }
    }

    /// The log is being read from its beginning: what does not stand in it is owed.
    pub(super) fn owe_all(&mut self) {
        self.told.values_mut().for_each(|told| told.kept = false);
        self.owed = self.told.keys().copied().collect();
    }

    /// Up to `most` things that the log lacks and that still count as of `now`.
    pub(super) fn owed(&self, most: usize, now: Timestamp) -> Vec<Record> {
        let owed = self.owed.iter().filter_map(|id| self.told(*id)).filter(|record| now < record.until());
        owed.take(most).cloned().collect()
    }

    /// What counts as of `now`, put together from nothing.
    pub(super) fn set(&self, now: Timestamp) -> Set {
        let told = self.told.values().filter_map(|told| told.record.revocation());
        told.chain(self.file.iter().map(|(_, revocation)| revocation)).filter(|entry| entry.in_force(now)).collect()
    }
}
