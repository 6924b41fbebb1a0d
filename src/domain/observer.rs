//! What lower rooms report, without knowing who listens.

use crate::domain::time::Timestamp;

/// One thing that happened below the edge. Names come from the conf, never from a client.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The credential cache was asked.
    CredentialCache {
        /// Whether it knew.
        hit: bool,
    },
    /// A key store tried to fetch its set.
    KeyFetch {
        /// The store's name in the conf.
        store: &'a str,
        /// Whether a usable set came back.
        ok: bool,
        /// How many keys are in force now.
        keys: usize,
        /// When the set in force was fetched; `None` when there is none.
        fetched: Option<Timestamp>,
    },
    /// A key of a set was skipped as weak or ill-formed.
    KeySkipped {
        /// The store's name in the conf.
        store: &'a str,
        /// What was wrong with it.
        why: &'static str,
    },
    /// An introspection endpoint was asked, or whatever a conf has asked in place of one.
    Introspection {
        /// The authenticator's name in the conf.
        authenticator: &'a str,
        /// Whether it answered usably.
        ok: bool,
    },
    /// The state store was asked.
    State {
        /// The operation.
        operation: &'static str,
        /// Whether it answered.
        ok: bool,
    },
    /// A renewal was asked for.
    Renewal {
        /// The renewer's name in the conf.
        renewer: &'a str,
        /// How it ended: `renewed`, or the name of a failure.
        result: &'static str,
        /// Whether this only tells of a request that got what another one had begun; counted apart.
        coalesced: bool,
    },
    /// It was asked whether a caller has failures left, or room to have something remembered.
    Governor {
        /// What the budget belongs to: `address` or `id`; `notes_address` or `notes` of what is remembered for guards.
        budget: &'static str,
        /// Whether the caller was over it and was turned away.
        refused: bool,
        /// How many budgets are being kept now.
        tracked: usize,
    },
    /// The list of revocations was looked at or has changed.
    Revocations {
        /// How many are in force now.
        in_force: usize,
        /// When the log of the state store was last read to its end; `None` when it never was.
        read: Option<Timestamp>,
    },
    /// An entry of the log of revocations could not be read.
    RevocationUnreadable,
}

/// Hears of events. Must be quick and must not block: it is called on the request path.
pub trait Observer: Send + Sync {
    /// Takes note of `event`.
    fn note(&self, event: Event<'_>);
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn note(&self, _event: Event<'_>) {}
}
