//! Keeps an issuer that is down from being stormed, and the credentials of others from being spent on it.
//!
//! After some exchanges in a row without a usable answer nobody asks for a while; then one exchange is let through, and its end
//! decides. Each time the while doubles, up to a bound, and a part of it is random, so that nodes do not come back together.
//! Lost answers count as well as refused connections: an issuer that swallows one credential after another is given no more.
//! One breaker per renewer and node; nothing is shared, nothing is kept over a restart.

use std::sync::Arc;

use parking_lot::Mutex;

/// When the breaker opens, and for how long; milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Temper {
    /// How many exchanges in a row must fail.
    pub(super) failures: u32,
    /// The first pause, and what follows a single failure.
    pub(super) pause: i64,
    /// The longest pause.
    pub(super) longest: i64,
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
    /// Exchanges in a row that failed while it was closed.
    failures: u32,
    /// How often in a row it has opened; 0 while it is closed.
    opened: u32,
    /// Until when it is open.
    until: i64,
    /// Whether the one exchange that decides is on its way.
    probing: bool,
    /// Changes whenever it opens or closes: what was begun before tells nothing about now.
    round: u64,
}

/// The right to ask the issuer once. Dropped without a word, it says nothing about the issuer.
#[derive(Debug)]
pub(super) struct Permit {
    breaker: Arc<Breaker>,
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

    /// Lets one exchange through at `now`.
    ///
    /// # Errors
    ///
    /// How many milliseconds to wait before asking again.
    pub(super) fn permit(self: &Arc<Self>, now: i64) -> Result<Permit, i64> {
        let mut held = self.held.lock();
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
        Ok(Permit { breaker: Arc::clone(self), round: held.round, probe })
    }
}

impl Permit {
    /// The issuer answered.
    pub(super) fn answered(self) {
        let mut held = self.breaker.held.lock();
        // Whenever it was begun: it is there.
        held.failures = 0;
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
        if held.round != self.round {
            // Begun before it opened: that is known already.
            let left = held.until.saturating_sub(now);
            return if held.opened == 0 { jittered(temper.pause, chance) } else { left.clamp(0, temper.longest) };
        }
        held.failures = held.failures.saturating_add(1);
        if !self.probe && held.failures < temper.failures {
            return jittered(temper.pause, chance);
        }
        let doubled = 1_i64.checked_shl(held.opened).filter(|times| 0 < *times).unwrap_or(i64::MAX);
        let pause = jittered(temper.pause.saturating_mul(doubled).min(temper.longest), chance);
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

/// Between half of `pause` and all of it.
fn jittered(pause: i64, chance: u32) -> i64 {
    let half = pause / 2;
    pause.saturating_sub(i64::from(chance) % half.saturating_add(1).max(1))
}
