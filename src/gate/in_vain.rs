//! Renewals that were in vain: the upstream has refused the fresh credential as it had refused the one before.
//!
//! An upstream that answers 401 whatever it is shown would otherwise cost one exchange with the issuer for every request, since
//! the client is handed a pair each time that renews once more. So such a credential rests: for a while the upstream's 401
//! renews it no more. What has ended, or is about to, is renewed as ever.
//!
//! Kept in this process only, and forgotten with the conf: what is forgotten costs one exchange. Known by what the fresh credential
//! would be renewed with, so it holds for pairs that clients bring and for those that sessions keep.

use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::domain::{Seconds, SpentKey, Timestamp};

/// For how long the 401 of an upstream does not renew a credential that was renewed in vain. As long as a pair is handed out under
/// the spent credential by default: a client in a loop costs its issuer two exchanges a minute, and one whose rights were mended
/// meanwhile waits half a minute.
pub const REST: Seconds = Seconds(30);

/// How many rest at a time. Each has cost an exchange, so what is pushed out was paid for.
const MOST: u64 = 10_000;

/// Credentials that were renewed in vain a moment ago.
pub struct InVain {
    /// Until when each rests. Its own end makes room; `now` decides.
    until: Cache<SpentKey, Timestamp>,
}

impl Default for InVain {
    fn default() -> Self {
        let until = Cache::builder()
            .max_capacity(MOST)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(Duration::from_secs(u64::from(REST.0)))
            .build();
        Self { until }
    }
}

impl InVain {
    /// Notes at `now` that what `spent` would renew was refused, fresh as it is.
    pub(super) fn note(&self, spent: SpentKey, now: Timestamp) {
        self.until.insert(spent, now.plus(REST));
    }

    /// Whether what `spent` would renew rests at `now`.
    pub(super) fn rests(&self, spent: &SpentKey, now: Timestamp) -> bool {
        self.until.get(spent).is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::{InVain, MOST, REST};
    use crate::domain::{SpentKey, Timestamp};

    #[test]
    fn what_was_in_vain_rests_for_a_while_and_nothing_else_does() {
        let (in_vain, noted) = (InVain::default(), Timestamp(1_000));
        in_vain.note(SpentKey([1; 32]), noted);
        let end = noted.plus(REST);
        let rows = [
            (1, noted, true, "at once"),
            (1, end.minus(crate::domain::Seconds(1)), true, "to its last second"),
            (1, end, false, "and no longer"),
            (2, noted, false, "another one does not"),
        ];
        for (key, now, rests, shows) in rows {
            assert_eq!(in_vain.rests(&SpentKey([key; 32]), now), rests, "{shows}");
        }
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let in_vain = InVain::default();
        for number in 0..3 * MOST {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_be_bytes());
            in_vain.note(SpentKey(key), Timestamp(0));
        }
        in_vain.until.run_pending_tasks();
        assert!(in_vain.until.entry_count() <= MOST, "{}", in_vain.until.entry_count());
    }
}
