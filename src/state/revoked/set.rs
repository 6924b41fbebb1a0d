//! What requests are compared with: entries by what they go by and its value, changed in place one at a time.
//!
//! Each kind is a table of buckets, and a bucket is replaced whole: whoever writes copies the few entries of one bucket, and whoever
//! reads follows two pointers and waits for nobody. A table that has become too small or too large for what it holds is made anew
//! at twice or half its size, so an entry costs the same however many there are; but those of one and the same value stand
//! together, and another one costs as much as there are of them.
//!
//! Writers are one at a time; whoever holds [`Known`](super::known::Known) is the one. Never here: what has been withdrawn, a clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwapOption;

use crate::domain::revocation::Digits;
use crate::domain::{By, Identity, Revocation, Timestamp};

/// The smallest table.
const LEAST: usize = 16;
/// A table is halved when it has more buckets than this for each value.
const SPARE: usize = 8;

/// Everything that counts.
#[derive(Clone)]
pub(super) struct Set([Arc<Table>; By::ALL.len()]);

/// What goes by one kind of thing.
struct Table {
    /// A power of two of them. The place of a value is given by its hash.
    buckets: Box<[ArcSwapOption<Bucket>]>,
    hasher: ahash::RandomState,
    /// Entries in all; written after the bucket, so that whoever was told of an entry finds it.
    entries: AtomicUsize,
    /// Values in all. Writers only.
    values: AtomicUsize,
}

/// The values whose hashes fall together: two at most, on average.
type Bucket = Vec<Group>;

/// All entries of one value; never empty.
type Group = Arc<[Arc<Revocation>]>;

/// What a change came to.
pub(super) struct Changed {
    /// The set to publish in place of the old one, where one table had to be made anew; otherwise the change is visible already.
    pub(super) anew: Option<Set>,
    /// How many pointers were copied for it.
    #[cfg_attr(not(test), allow(dead_code, reason = "the work that a change is, for tests to count"))]
    pub(super) copied: usize,
}

impl Default for Set {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Arc::new(Table::of_size(LEAST, ahash::RandomState::new()))))
    }
}

impl Set {
    /// Whether one of them takes away `identity`, or one beside it, as of `now`.
    pub(super) fn covers(&self, identity: &Identity, now: Timestamp) -> bool {
        let own = By::ALL.into_iter().zip(&self.0).any(|(by, table)| {
            let mut digits = Digits::default();
            !table.is_empty() && by.of(identity, &mut digits).is_some_and(|value| table.reaches(value, identity, now))
        });
        own || identity.also.iter().any(|(_, other)| self.covers(other, now))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|table| table.entries.load(Ordering::Acquire)).sum()
    }

    /// Adds `entry`.
    pub(super) fn insert(&self, entry: &Arc<Revocation>) -> Changed {
        let Some((place, table)) = self.table_of(entry) else { return Changed { anew: None, copied: 0 } };
        let copied = table.insert(entry);
        self.fitted(place, table, copied)
    }

    /// Takes away `entry`: this very one, not another that says the same.
    pub(super) fn remove(&self, entry: &Arc<Revocation>) -> Changed {
        let Some((place, table)) = self.table_of(entry) else { return Changed { anew: None, copied: 0 } };
        let copied = table.remove(entry);
        self.fitted(place, table, copied)
    }

    fn table_of(&self, entry: &Revocation) -> Option<(usize, &Arc<Table>)> {
        let place = By::ALL.into_iter().position(|by| by == entry.by)?;
        Some((place, self.0.get(place)?))
    }

    /// The set with the table at `place` made anew, when it has not the size for what it holds.
    fn fitted(&self, place: usize, table: &Table, copied: usize) -> Changed {
        let (values, size) = (table.values.load(Ordering::Relaxed), table.buckets.len());
        let fitting = if size * 2 < values {
            size * 2
        } else if LEAST < size && values * SPARE < size {
            size / 2
        } else {
            return Changed { anew: None, copied };
        };
        let mut anew = self.clone();
        anew.0.iter_mut().skip(place).take(1).for_each(|slot| *slot = Arc::new(table.resized(fitting)));
        Changed { anew: Some(anew), copied: copied + size + fitting + values }
    }
}

impl<'e> FromIterator<&'e Arc<Revocation>> for Set {
    fn from_iter<I: IntoIterator<Item = &'e Arc<Revocation>>>(entries: I) -> Self {
        entries.into_iter().fold(Self::default(), |set, entry| set.insert(entry).anew.unwrap_or(set))
    }
}

impl Table {
    fn of_size(size: usize, hasher: ahash::RandomState) -> Self {
        let buckets = std::iter::repeat_with(ArcSwapOption::empty).take(size).collect();
        Self { buckets, hasher, entries: AtomicUsize::new(0), values: AtomicUsize::new(0) }
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.entries.load(Ordering::Acquire) == 0
    }

    fn bucket(&self, value: &str) -> Option<&ArcSwapOption<Bucket>> {
        // The remainder by a power of two; the lower bits of this hash are as good as the upper ones.
        #[allow(clippy::cast_possible_truncation, reason = "only the lower bits count")]
        let hash = self.hasher.hash_one(value) as usize;
        self.buckets.get(hash & (self.buckets.len() - 1))
    }

    fn reaches(&self, value: &str, identity: &Identity, now: Timestamp) -> bool {
        let Some(bucket) = self.bucket(value) else { return false };
        let held = bucket.load();
        let group = held.as_deref().and_then(|groups| groups.iter().find(|group| is_of(group, value)));
        group.is_some_and(|group| group.iter().any(|entry| entry.reaches(identity, now)))
    }

    /// Adds `entry`; how many pointers were copied for it.
    fn insert(&self, entry: &Arc<Revocation>) -> usize {
        let Some(bucket) = self.bucket(&entry.value) else { return 0 };
        let mut groups = bucket.load().as_deref().cloned().unwrap_or_default();
        let copied = match groups.iter_mut().find(|group| is_of(group, &entry.value)) {
            Some(group) => {
                *group = group.iter().chain([entry]).map(Arc::clone).collect();
                group.len()
            }
            None => {
                groups.push(Arc::new([Arc::clone(entry)]));
                self.values.fetch_add(1, Ordering::Relaxed);
                1
            }
        };
        let copied = copied + groups.len();
        bucket.store(Some(Arc::new(groups)));
        self.entries.fetch_add(1, Ordering::Release);
        copied
    }

    /// Takes `entry` away, if it is there; how many pointers were copied for it.
    fn remove(&self, entry: &Arc<Revocation>) -> usize {
        let Some(bucket) = self.bucket(&entry.value) else { return 0 };
        let Some(mut groups) = bucket.load().as_deref().cloned() else { return 0 };
        let Some(at) = groups.iter().position(|group| group.iter().any(|other| Arc::ptr_eq(other, entry))) else { return 0 };
        let mut copied = groups.len();
        if let Some(group) = groups.get_mut(at) {
            *group = group.iter().filter(|other| !Arc::ptr_eq(other, entry)).map(Arc::clone).collect();
            copied += group.len();
            if group.is_empty() {
                groups.swap_remove(at);
                self.values.fetch_sub(1, Ordering::Relaxed);
            }
        }
        bucket.store((!groups.is_empty()).then(|| Arc::new(groups)));
        self.entries.fetch_sub(1, Ordering::Release);
        copied
    }

    /// The same with `size` buckets.
    fn resized(&self, size: usize) -> Self {
        let anew = Self::of_size(size, self.hasher.clone());
        let mut buckets: Vec<Bucket> = vec![Vec::new(); size];
        for groups in self.buckets.iter().filter_map(ArcSwapOption::load_full) {
            for group in groups.iter() {
                let value = group.first().map_or("", |entry| &*entry.value);
                #[allow(clippy::cast_possible_truncation, reason = "only the lower bits count")]
                let place = self.hasher.hash_one(value) as usize & (size - 1);
                buckets.iter_mut().skip(place).take(1).for_each(|bucket| bucket.push(Arc::clone(group)));
            }
        }
        for (slot, groups) in anew.buckets.iter().zip(buckets) {
            slot.store((!groups.is_empty()).then(|| Arc::new(groups)));
        }
        anew.entries.store(self.entries.load(Ordering::Relaxed), Ordering::Relaxed);
        anew.values.store(self.values.load(Ordering::Relaxed), Ordering::Relaxed);
        anew
    }
}

/// Whether `group` holds the entries of `value`.
fn is_of(group: &Group, value: &str) -> bool {
    group.first().is_some_and(|entry| *entry.value == *value)
}
