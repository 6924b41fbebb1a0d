//! What is known of key stores: how old, how many, whether the newest fetch failed.
//!
//! Fetches are rare, so nothing here is prepared. The age is worked out when it is asked for.

use std::borrow::Cow;
use std::collections::BTreeMap;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::domain::Timestamp;

/// The name of a store.
pub(super) type StoreLabel = [(&'static str, Box<str>); 1];
/// The name of a store and one word.
pub(super) type StoreLabels = [(&'static str, Cow<'static, str>); 2];

/// Everything about key stores.
#[derive(Debug, Default)]
pub(super) struct KeyStores {
    pub(super) age: Family<StoreLabel, Gauge>,
    pub(super) fetches: Family<StoreLabels, Counter>,
    pub(super) stale: Family<StoreLabel, Gauge>,
    pub(super) keys: Family<StoreLabel, Gauge>,
    pub(super) skipped: Family<StoreLabels, Counter>,
    /// When the set in force was fetched, by store. A store without a set is not in it.
    fetched: Mutex<BTreeMap<Box<str>, Timestamp>>,
}

impl KeyStores {
    /// Takes note of a fetch.
    pub(super) fn fetched(&self, store: &str, ok: bool, keys: usize, fetched: Option<Timestamp>) {
        let label = [("store", Box::from(store))];
        let result = if ok { "ok" } else { "failed" };
        self.fetches.get_or_create(&[("store", Cow::Owned(store.to_owned())), ("result", Cow::Borrowed(result))]).inc();
        self.stale.get_or_create(&label).set(i64::from(!ok));
        self.keys.get_or_create(&label).set(i64::try_from(keys).unwrap_or(i64::MAX));
        let mut times = self.fetched.lock();
        match fetched {
            Some(time) => {
                times.insert(store.into(), time);
            }
            None => {
                times.remove(store);
                self.age.remove(&label);
            }
        }
    }

    /// Takes note of a key that was passed over.
    pub(super) fn skipped(&self, store: &str, why: &'static str) {
        self.skipped.get_or_create(&[("store", Cow::Owned(store.to_owned())), ("reason", Cow::Borrowed(why))]).inc();
    }

    /// Works out the ages as of `now`.
    pub(super) fn age(&self, now: Timestamp) {
        for (store, fetched) in &*self.fetched.lock() {
            self.age.get_or_create(&[("store", store.clone())]).set(i64::from(fetched.until(now).0));
        }
    }
}
