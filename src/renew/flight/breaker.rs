//! Keeps an issuer that is down from being stormed, and the credentials of others from being spent on it.
//!
//! When the exchanges of some callers in a row have had no usable answer nobody asks for a while; then one exchange is let through,
//! and its end decides. Each time the while doubles, up to a bound, and a part of it is random, so that nodes do not come back
//! together. Lost answers count as well as refused connections: an issuer that swallows one credential after another is given no
//! more. One breaker per renewer and node; nothing is shared, nothing is kept over a restart.
//!
//! What is spent may be made up by whoever brings it, and something before the issuer may answer that with a page. So a caller
//! counts once, however often they fail: alone they stop nobody but themselves. For them alone the same pauses hold, and whoever
//! has failed the exchange that decides is not the one to decide next.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::domain::Identity;
use crate::jose::digest::digest;

/// When the breaker opens, and for how long; milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Temper {
    /// How many callers in a row must fail to stop everybody, and how many exchanges of one caller to stop them.
    pub(super) failures: u32,
    /// The first pause, and what follows a single failure.
    pub(super) pause: i64,
    /// The longest pause.
    pub(super) longest: i64,
}

/// Names whoever an exchange is for, whichever credential they bring: a digest of who it is and who vouches for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Caller(pub(super) [u8; 32]);

impl Caller {
    /// Whoever `identity` is.
    pub(super) fn of(identity: &Identity) -> Self {
        Self(digest("countersign renewal caller", &[identity.issuer.as_bytes(), identity.subject.as_bytes()]))
    }
}

/// Lets exchanges through, or not.
#[derive(Debug)]
pub(super) struct Breaker {
    temper: Temper,
    /// A `Mutex`: every question about an open breaker may write.
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// Callers in a row whose exchanges failed while it was closed; each once, and no more than it takes to open it.
    row: Vec<Caller>,
    /// Those who have failed since they were last answered.
    failing: BTreeMap<Caller, Failing>,
    /// How often in a row it has opened; 0 while it is closed.
    opened: u32,
    /// Until when it is open.
    until: i64,
    /// Whether the one exchange that decides is on its way.
    probing: bool,
    /// Changes whenever it opens or closes: what was begun before tells nothing about now.
    round: u64,
}

/// How one caller has fared.
#[derive(Debug, Default)]
struct Failing {
    /// Their exchanges in a row that failed.
    failures: u32,
    /// Until when none is let through.
    until: i64,
}

impl Failing {
    /// Counts one more failure; for how long there is none now.
    fn count(&mut self, now: i64, chance: u32, temper: &Temper) -> i64 {
        self.failures = self.failures.saturating_add(1);
        let Some(beyond) = self.failures.checked_sub(temper.failures) else { return jittered(temper.pause, chance) };
        let pause = jittered(doubled(temper, beyond), chance);
        self.until = self.until.max(now.saturating_add(pause));
        pause
    }
}

/// The right to ask the issuer once. Dropped without a word, it says nothing about the issuer.
#[derive(Debug)]
pub(super) struct Permit {
    breaker: Arc<Breaker>,
    caller: Caller,
    round: u64,
    probe: bool,
}

impl Breaker {
    pub(super) fn new(temper: Temper) -> Arc<Self> {
        Arc::new(Self { temper, held: Mutex::default() })
    }

    /// Whether exchanges pass freely.
    pub(super) fn is_closed(&self) -> bool {
        self.held.lock().opened == 0
    }

    /// How many callers it remembers.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.held.lock().failing.len()
    }

    /// Lets one exchange for `caller` through at `now`.
    ///
    /// # Errors
    ///
    /// How many milliseconds to wait before asking again.
    pub(super) fn permit(self: &Arc<Self>, caller: Caller, now: i64) -> Result<Permit, i64> {
        let mut held = self.held.lock();
        if let Some(failing) = held.failing.get_mut(&caller) {
            failing.until = failing.until.min(now.saturating_add(self.temper.longest.saturating_mul(2)));
            if now < failing.until {
                return Err(failing.until.saturating_sub(now));
            }
            if self.temper.failures <= failing.failures {
                // One exchange decides here too.
                failing.until = now.saturating_add(self.temper.pause);
            }
        }
        let probe = held.opened != 0;
        if probe {
            // A clock that was set back must not keep it open for longer than it ever is.
            held.until = held.until.min(now.saturating_add(self.temper.longest));
            if now < held.until {
                return Err(held.until.saturating_sub(now));
            }
            if held.probing {
                return Err(self.temper.pause);
            }
            held.probing = true;
        }
        Ok(Permit { breaker: Arc::clone(self), caller, round: held.round, probe })
    }
}

impl Permit {
    /// The issuer answered.
    pub(super) fn answered(self) {
        let mut held = self.breaker.held.lock();
        // Whenever it was begun: it is there.
        held.row.clear();
        held.failing.remove(&self.caller);
        if held.opened != 0 {
            held.opened = 0;
            held.probing = false;
            held.round = held.round.wrapping_add(1);
        }
    }

    /// The issuer gave no usable answer. `chance` is random.
    ///
    /// Returns after how many milliseconds the next attempt makes sense.
    pub(super) fn failed(self, now: i64, chance: u32) -> i64 {
        let temper = self.breaker.temper;
        let mut held = self.breaker.held.lock();
        let own = held.blame(self.caller, now, chance, &temper);
        if held.round != self.round {
            // Begun before it opened: that is known already.
            let left = held.until.saturating_sub(now);
            return if held.opened == 0 { own } else { left.clamp(0, temper.longest) };
        }
        let enough = usize::try_from(temper.failures).unwrap_or(usize::MAX);
        if !held.row.contains(&self.caller) && held.row.len() < enough {
            held.row.push(self.caller);
        }
        if !self.probe && held.row.len() < enough {
            return own;
        }
        let pause = jittered(doubled(&temper, held.opened), chance);
        if self.probe
            && let Some(failing) = held.failing.get_mut(&self.caller)
        {
            // Whoever asks next is somebody else, if there is anybody.
            failing.until = failing.until.max(now.saturating_add(pause.saturating_mul(2)));
        }
        held.opened = held.opened.saturating_add(1);
        held.until = now.saturating_add(pause);
        held.probing = false;
        held.round = held.round.wrapping_add(1);
        pause
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        // After `answered` and `failed` the round is another one, unless nothing was being probed.
        let mut held = self.breaker.held.lock();
        if self.probe && held.round == self.round {
            held.probing = false;
        }
    }
}

impl Held {
    /// Counts a failure of `caller`; after how many milliseconds the next attempt of theirs makes sense.
    fn blame(&mut self, caller: Caller, now: i64, chance: u32, temper: &Temper) -> i64 {
        /// Callers who fail are few while the breaker is closed: some of them in a row open it.
        const MOST: usize = 1_024;
        if MOST <= self.failing.len() && !self.failing.contains_key(&caller) {
            self.failing.retain(|_, failing| now < failing.until);
            if MOST <= self.failing.len() {
                self.failing.clear();
            }
        }
        self.failing.entry(caller).or_default().count(now, chance, temper)
    }
}

/// The pause after so many before it, without its random part.
fn doubled(temper: &Temper, times: u32) -> i64 {
    let factor = 1_i64.checked_shl(times).filter(|factor| 0 < *factor).unwrap_or(i64::MAX);
    temper.pause.saturating_mul(factor).min(temper.longest)
}

/// Between half of `pause` and all of it.
fn jittered(pause: i64, chance: u32) -> i64 {
    let half = pause / 2;
    pause.saturating_sub(i64::from(chance) % half.saturating_add(1).max(1))
}
